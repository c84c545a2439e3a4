//! What the benchmarks share: settings, the model, and the reference library in a process beside.

use polylens::engine::protocol::{DType, DeviceChoice, LoadSpec};
use polylens::engine::{Cancel, Engine};
use polylens::hub;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A number from the environment.
pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// The model that is measured.
pub fn load() -> Result<Engine, String> {
    let model = std::env::var("POLYLENS_BENCH_MODEL").unwrap_or_else(|_| hub::DEFAULT_MODEL.to_owned());
    let found =
        hub::resolve(&model, &mut |_, _, _, _| {}, &Cancel::new(), false).map_err(|e| e.to_string())?;
    let dtype = match std::env::var("POLYLENS_BENCH_DTYPE").as_deref() {
        Err(_) | Ok("f32") => DType::F32,
        Ok("f16") => DType::F16,
        Ok("bf16") => DType::Bf16,
        Ok("native") => DType::Native,
        Ok(other) => {
            return Err(format!("POLYLENS_BENCH_DTYPE is {other:?}; f32, f16, bf16 and native are possible"));
        }
    };
    let threads = setting("POLYLENS_BENCH_THREADS", 2);
    let spec = LoadSpec { path: found.path, name: found.name, dtype, device: DeviceChoice::Cpu, threads };
    Engine::load(&spec, &mut |_, _, _, _| {}).map_err(|e| e.to_string())
}

/// The reference library in a process that stays.
pub struct Reference {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    pub versions: String,
}

impl Reference {
    /// `None` where no reference is asked for.
    pub fn start() -> Result<Option<Self>, String> {
        let Ok(python) = std::env::var("POLYLENS_REFERENCE_PYTHON") else { return Ok(None) };
        let model = std::env::var("POLYLENS_REFERENCE_MODEL").map_err(|_| {
            "POLYLENS_REFERENCE_MODEL must name a Hugging Face directory of the same model".to_owned()
        })?;
        let mut child = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/reference/reference.py"))
            .args([model, setting("POLYLENS_BENCH_THREADS", 2).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{python}: cannot be started ({e})"))?;
        let to = child.stdin.take().ok_or("no pipe to the reference")?;
        let from = BufReader::new(child.stdout.take().ok_or("no pipe from the reference")?);
        let mut reference = Self { child, to, from, versions: String::new() };
        let ready = reference.line()?;
        reference.versions = ready["versions"].as_str().unwrap_or("unknown").to_owned();
        Ok(Some(reference))
    }

    fn line(&mut self) -> Result<serde_json::Value, String> {
        let mut text = String::new();
        self.from.read_line(&mut text).map_err(|e| e.to_string())?;
        serde_json::from_str(&text).map_err(|_| format!("the reference ended or answered {text:?}"))
    }

    /// One request (see benches/reference/reference.py): milliseconds and the answer.
    pub fn ask(&mut self, request: &serde_json::Value) -> Result<(f64, serde_json::Value), String> {
        writeln!(self.to, "{request}").map_err(|e| format!("the reference ended ({e})"))?;
        let answer = self.line()?;
        Ok((answer["ms"].as_f64().ok_or("no time in the reference's answer")?, answer))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
