//! `polylens sessions import`: a run that was made elsewhere, from its log and checkpoints, as a session.

mod found;
mod lines;
mod timeline;

use crate::app::replay::{Line, What};
use crate::cli::args::Output;
use crate::cli::console::Console;
use crate::cli::train_watch::{self, Watched};
use crate::cli::{record, values};
use crate::engine::Engine;
use crate::engine::protocol::*;
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::session::{AdapterStamp, Header, ModelStamp, Recorder, Start};
use clap::Args;
use found::Found;
use lines::Frames;
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    /// A run's directory (of LLaMA-Factory, a Hugging Face trainer or polylens), its trainer_log.jsonl or trainer_state.json
    #[arg(value_name = "DIR|FILE")]
    run: PathBuf,
    /// The session to be written
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The model that was trained: each checkpoint's adapter is read with it, for the lens and the languages' plane
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Task whose prompts are read
    #[arg(long, value_name = "ID|FILE", default_value = "sentiment", requires = "model")]
    task: String,
    /// Languages in the plane; the lens reads the first item of the first one
    #[arg(long, value_name = "LANG,…|all", default_value = "hi,en,de,fr", requires = "model")]
    langs: String,
    /// Own items instead of the task's; `{lang}` in the name stands for the language
    #[arg(long, value_name = "FILE", requires = "model")]
    items: Option<String>,
    /// Items of each language
    #[arg(long, value_name = "N", default_value = "20", value_parser = values::limit, requires = "model")]
    limit: usize,
    /// Number format of the model's weights in memory
    #[arg(long, value_name = "DTYPE", default_value = "auto", value_parser = values::dtype(), requires = "model")]
    dtype: DType,
    /// Threads for computing; 0 = one per core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::threads, requires = "model")]
    threads: usize,
    /// No progress bar and no notes on stderr
    #[arg(long, short)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  polylens sessions import saves/zh-en --out zh-en.session.jsonl
  polylens sessions import saves/zh-en --out zh-en.session.jsonl --model gemma-3-270m --langs zh,es,en,de --limit 16";

/// Runs the command.
///
/// # Errors
/// No log, nothing in it, checkpoints that do not fit the model, a file that is there already; Interrupted on Ctrl-C
/// (nothing is written then).
pub fn run(args: &Import) -> Result<()> {
    let output = Output { json: false, out: None, quiet: args.quiet, log: None };
    let mut console = Console::open(&output)?;
    let found = found::read(&args.run)?;
    found.notes.iter().for_each(|n| console.note(n));
    let reserved = Recorder::reserve(&args.out)?;
    let watched = args
        .model
        .as_ref()
        .map(|_| train_watch::made(&args.task, &args.langs, (args.items.as_deref(), args.limit), 1));
    let watched = watched.transpose()?;
    let frames = match (&args.model, &watched) {
        (Some(model), Some(watched)) => Some(frames(args, model, watched, &found, &mut console)?),
        _ => {
            if !found.checkpoints.is_empty() {
                let n = found.checkpoints.len();
                console.note(&format!(
                    "{n} checkpoints are marked; with --model each is read too, for the lens and the languages' plane"
                ));
            }
            None
        }
    };
    let header = header(args, &found, watched.as_ref(), frames.as_ref())?;
    let all = lines::lines(&found, watched.map(|w| w.watch), frames.as_ref());
    let mut recorder = reserved.begin(&header)?;
    for (t, what) in all {
        recorder.record(&Line { t, what })?;
    }
    let shown = frames.map_or(String::new(), |f| format!(", {} with frames", f.of.len()));
    let said = format!(
        "{}: {} steps in {} records, {} checkpoints{shown}\n",
        args.out.display(),
        found.steps(),
        found.records.len(),
        found.checkpoints.len()
    );
    drop(console);
    crate::cli::console::print(&said)
}

/// Reads each checkpoint with the model.
fn frames(
    args: &Import,
    model: &str,
    watched: &Watched,
    found: &Found,
    console: &mut Console,
) -> Result<Frames> {
    if found.checkpoints.is_empty() {
        return Err(Error::failed(format!(
            "{}: there is no adapter to be read with {model}: neither the directory nor a checkpoint-N in it holds \
             adapter_model.safetensors and adapter_config.json. Leave --model out to import the log alone",
            found.dir.display()
        )));
    }
    let cancel = console.cancel.clone();
    let mut on = |s: &str, d, t, u: &str| console.show(s, d, t, u);
    let place = Hub::from_env()?.resolve(model, &mut on, &cancel, true)?;
    let (dtype, threads) = (args.dtype, args.threads);
    let spec = LoadSpec { path: place.path, name: place.name, dtype, device: DeviceChoice::Auto, threads };
    let engine = Engine::load(&spec, &mut on)?;
    cancel.check()?;
    let mut frames = Frames {
        reference: model.to_owned(),
        dtype,
        threads,
        model: record::model_stamp(&engine, &mut |done, total| {
            console.show("hashing the model's files", done, total, "bytes");
            cancel.check()
        })?,
        info: engine.info().clone(),
        base: engine.checkpoint_frame(&watched.watch, 0, None, &cancel)?.0,
        adapters: Vec::new(),
        of: Vec::new(),
    };
    let mut refused = None;
    for (i, (step, dir)) in found.checkpoints.iter().enumerate() {
        console.show("reading checkpoints", i as u64, found.checkpoints.len() as u64, "checkpoints");
        match engine.checkpoint_frame(&watched.watch, *step, Some(dir), &cancel) {
            Ok((frame, stamp)) => {
                let name = name(dir);
                let stamp = stamp.map(|(rank, sha256)| AdapterStamp { name, rank, sha256 });
                frames.adapters.extend(stamp);
                frames.of.push((*step, frame));
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(e) => {
                console.note(&format!("{e}; the checkpoint is only marked"));
                refused.get_or_insert(e);
            }
        }
    }
    match (refused, frames.of.is_empty()) {
        (Some(e), true) => Err(Error::failed(format!(
            "no checkpoint of {} can be read with {}: {e}. Name the model that was trained with --model, or leave it out",
            found.dir.display(),
            frames.info.name
        ))),
        _ => Ok(frames),
    }
}

fn name(dir: &Path) -> String {
    dir.file_name().map_or_else(|| "adapter".into(), |n| n.to_string_lossy().into_owned())
}

fn header(
    args: &Import,
    found: &Found,
    watched: Option<&Watched>,
    frames: Option<&Frames>,
) -> Result<Header> {
    let run = std::path::absolute(&found.dir).map_or_else(|_| name(&found.dir), |d| name(&d));
    let about = format!("A run of {} steps that was made elsewhere, from its log.", found.steps());
    let start = Start {
        model: args.model.clone().or(found.base.clone()).unwrap_or_default(),
        lang: watched.map(|w| w.lang.clone()).unwrap_or_default(),
        ..Start::default()
    };
    let task = watched.map(|_| args.task.as_str());
    let mut header = record::header("import", about, found.settings.seed, task, start)?;
    header.title = format!("Imported run {run}");
    if let Some(frames) = frames {
        (header.model, header.adapters) = (Some(frames.model.clone()), frames.adapters.clone());
    }
    Ok(header)
}
