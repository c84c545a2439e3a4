//! What the benchmarks share: settings, the model, and the reference library in a process beside.

use polylens::engine::protocol::{DType, DeviceChoice, LoadSpec};
use polylens::engine::{Cancel, Engine};
use polylens::hub;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A number from the environment.
pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// The model that is measured, in the format that POLYLENS_BENCH_DTYPE names (f32).
pub fn load() -> Result<Engine, String> {
    load_as(&std::env::var("POLYLENS_BENCH_DTYPE").unwrap_or_else(|_| "f32".to_owned()))
}

/// The model that is measured, in a format named as by `--dtype`.
pub fn load_as(dtype: &str) -> Result<Engine, String> {
    let model = std::env::var("POLYLENS_BENCH_MODEL").unwrap_or_else(|_| hub::DEFAULT_MODEL.to_owned());
    let found =
        hub::resolve(&model, &mut |_, _, _, _| {}, &Cancel::new(), false).map_err(|e| e.to_string())?;
    let dtype = match dtype {
        "f32" => DType::F32,
        "f16" => DType::F16,
        "bf16" => DType::Bf16,
        "native" => DType::Native,
        other => {
            return Err(format!("POLYLENS_BENCH_DTYPE is {other:?}; f32, f16, bf16 and native are possible"));
        }
    };
    let threads = setting("POLYLENS_BENCH_THREADS", 2);
    let spec = LoadSpec { path: found.path, name: found.name, dtype, device: DeviceChoice::Cpu, threads };
    Engine::load(&spec, &mut |_, _, _, _| {}).map_err(|e| e.to_string())
}

/// A script of benches/reference with the reference's python, the model's directory and the number of threads; `None`
/// where no reference is asked for.
pub fn reference(script: &str) -> Result<Option<Command>, String> {
    let Ok(python) = std::env::var("POLYLENS_REFERENCE_PYTHON") else { return Ok(None) };
    let model = std::env::var("POLYLENS_REFERENCE_MODEL").map_err(|_| {
        "POLYLENS_REFERENCE_MODEL must name a Hugging Face directory of the same model".to_owned()
    })?;
    let mut command = Command::new(python);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reference").join(script))
        .args([model, setting("POLYLENS_BENCH_THREADS", 2).to_string()]);
    Ok(Some(command))
}

/// A process that stays and answers a line for a line; it waits while others compute.
pub struct Beside {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    pub versions: String,
}

impl Beside {
    /// Starts it and waits until it says that it is ready.
    pub fn start(mut command: Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: cannot be started ({e})", command.get_program().display()))?;
        let to = child.stdin.take().ok_or("no pipe to a process beside")?;
        let from = BufReader::new(child.stdout.take().ok_or("no pipe from a process beside")?);
        let mut beside = Self { child, to, from, versions: String::new() };
        let ready = beside.line()?;
        beside.versions = ready["versions"].as_str().unwrap_or("unknown").to_owned();
        Ok(beside)
    }

    fn line(&mut self) -> Result<serde_json::Value, String> {
        let mut text = String::new();
        self.from.read_line(&mut text).map_err(|e| e.to_string())?;
        serde_json::from_str(&text).map_err(|_| format!("a process beside ended or answered {text:?}"))
    }

    /// One request (see the scripts in benches/reference): milliseconds and the answer.
    pub fn ask(&mut self, request: &serde_json::Value) -> Result<(f64, serde_json::Value), String> {
        writeln!(self.to, "{request}").map_err(|e| format!("a process beside ended ({e})"))?;
        let answer = self.line()?;
        Ok((answer["ms"].as_f64().ok_or("no time in the answer of a process beside")?, answer))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
