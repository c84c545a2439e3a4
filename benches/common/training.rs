//! Sides that train step by step, each in a process of its own.

use crate::common::{Beside, load};
use polylens::Error;
use polylens::engine::Cancel;
use polylens::engine::protocol::{TrainData, TrainRequest, TrainSettings, TrainStep};
use polylens::train::data::Dataset;
use polylens::train::lora::LoraParams;
use polylens::train::{self, Hooks};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Set in the processes that train for us: the directory of their run.
pub const OUT: &str = "POLYLENS_BENCH_OUT";

/// A path from the environment, else of the reference folder.
fn named(variable: &str, golden: &str) -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("POLYLENS_SHARED").map(PathBuf::from);
    let roots = shared.into_iter().chain([here.join("../shared"), here.join("shared")]);
    let found = roots.map(|root| root.join(golden)).find(|path| path.exists());
    found.ok_or_else(|| format!("{golden} is not in the reference folder; name another one by {variable}"))
}

pub fn data() -> Result<PathBuf, String> {
    named("POLYLENS_BENCH_DATA", "golden/lora/data.json")
}

pub fn adapter() -> Result<PathBuf, String> {
    named("POLYLENS_BENCH_ADAPTER", "golden/lora/init")
}

/// Our side: waits for a line before every step, answers a line after it.
struct InTurn {
    began: Instant,
}

impl Hooks for InTurn {
    fn watch(&mut self, _step: u64, _params: &LoraParams) -> polylens::Result<()> {
        let mut line = String::new();
        match std::io::stdin().read_line(&mut line) {
            Ok(n) if n > 0 => {
                self.began = Instant::now();
                Ok(())
            }
            _ => Err(Error::Interrupted),
        }
    }

    fn stepped(&mut self, step: &TrainStep) {
        let ms = self.began.elapsed().as_secs_f64() * 1e3;
        let TrainStep { loss, grad_norm, tokens, peak_memory_bytes: peak, .. } = step;
        println!(
            "{}",
            json!({"ms": ms, "loss": loss, "grad_norm": grad_norm, "tokens": tokens, "peak": peak})
        );
    }
}

/// In a process of its own: a whole run as `polylens train` makes it, a step for every line on stdin.
pub fn train_in_turn(out: PathBuf) -> Result<(), String> {
    let engine = load()?;
    let settings = TrainSettings {
        epochs: 1.0,
        val_size: 0.0,
        shuffle: false,
        save_steps: u64::MAX,
        ..TrainSettings::default()
    };
    let data = vec![TrainData::File { lang: None, path: data()? }];
    let init_adapter = Some(adapter()?);
    let request = TrainRequest { settings, data, out, init_adapter, ..TrainRequest::default() };
    let told = |e: Error| e.to_string();
    let dataset = Dataset::read(&request.data, &request.settings, engine.tokenizer()).map_err(told)?;
    let id = engine.model_id(&engine.info().name, &mut |_, _| Ok(())).map_err(told)?;
    let job = engine.training_job(request, &dataset, id).map_err(told)?;
    let again = if job.plan.recompute { ", blocks computed again" } else { "" };
    let info = engine.info();
    let versions = format!("{} {} weights{again}", info.name, info.dtype);
    println!("{}", json!({"ready": true, "versions": versions}));
    match train::run(&job, &Cancel::new(), &mut InTurn { began: Instant::now() }) {
        Ok(_) | Err(Error::Interrupted) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

/// What a side did.
pub struct Side {
    pub name: String,
    pub process: Beside,
    pub ours: bool,
    pub steps: Vec<Step>,
}

pub struct Step {
    pub ms: f64,
    pub loss: f64,
    pub grad_norm: f64,
    pub tokens: f64,
    pub peak: f64,
}

impl Side {
    pub fn ours(dtype: &str, out: &Path) -> Result<Self, String> {
        let me = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = Command::new(me);
        command.env(OUT, out.join(dtype)).env("POLYLENS_BENCH_DTYPE", dtype);
        Self::new(format!("polylens, {dtype}"), command, true)
    }

    pub fn new(name: String, command: Command, ours: bool) -> Result<Self, String> {
        Ok(Self { name, process: Beside::start(command)?, ours, steps: Vec::new() })
    }

    pub fn step(&mut self) -> Result<(), String> {
        let (ms, answer) = self.process.ask(&json!({"step": self.steps.len()}))?;
        let number = |key: &str| {
            answer.get(key).and_then(Value::as_f64).ok_or(format!("{}: no {key} in {answer}", self.name))
        };
        let step = Step {
            ms,
            loss: number("loss")?,
            grad_norm: number("grad_norm")?,
            tokens: number("tokens")?,
            peak: number("peak")?,
        };
        self.steps.push(step);
        Ok(())
    }
}
