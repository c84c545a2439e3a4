//! Prompt to full lens (every layer, top 10, entropy, KL) on a real model, beside the reference library.
//!
//! `cargo bench --bench full_lens`; POLYLENS_BENCH_MODEL is another model than the default, by name or path.
//! With POLYLENS_REFERENCE_PYTHON and POLYLENS_REFERENCE_MODEL (benches/reference/setup.sh) the reference runs in
//! the same minutes: every round times both sides one after the other, so that other load on the machine meets
//! both (a loaded machine still distorts the ratio: the reference's threads wait for each other by spinning), and
//! both must name the same most probable token. Also read: POLYLENS_BENCH_THREADS (2), POLYLENS_BENCH_ROUNDS (15),
//! POLYLENS_BENCH_DTYPE (f32), POLYLENS_BENCH_STRICT (fail where a goal is missed).

mod common;
#[path = "common/memory.rs"]
mod memory;
#[path = "common/prompts.rs"]
mod prompts;
#[path = "common/times.rs"]
mod times;

use common::{Beside, load, reference, setting};
use memory::peak;
use prompts::{QUERIES, SHOTS, fresh, lens};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Set in the child process that measures a cold start and the peak memory.
const COLD: &str = "POLYLENS_BENCH_COLD";

/// In a process of its own: load, first lens, peak memory; one line for the parent.
fn cold() -> Result<(), String> {
    let start = Instant::now();
    let engine = load()?;
    let loaded = start.elapsed().as_secs_f64() * 1e3;
    let (first, _) = lens(&engine, SHOTS, QUERIES[0])?;
    println!("{loaded} {first} {} {}", peak().unwrap_or(0.0), engine.info().weight_bytes);
    Ok(())
}

/// What `cold` found: load ms, first lens ms, peak bytes, weight bytes.
fn cold_child() -> Result<[f64; 4], String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let out = Command::new(me).env(COLD, "1").output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    numbers
        .try_into()
        .map_err(|_| format!("the cold run failed: {text}{}", String::from_utf8_lossy(&out.stderr)))
}

/// Times of one kind, in milliseconds.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn median(&self) -> f64 {
        times::median(self.0.iter().copied())
    }

    fn show(&self, name: &str) {
        let low = self.0.iter().copied().fold(f64::MAX, f64::min);
        let high = times::largest(self.0.iter().copied());
        println!("  {name:<38}{:>8.0} ms   ({low:.0} to {high:.0})", self.median());
    }
}

fn run() -> Result<bool, String> {
    let [load_ms, first_ms, peak, weights] = cold_child()?;
    let engine = load()?;
    let mut reference = reference("reference.py")?.map(Beside::start).transpose()?;
    let [mut new, mut warm, mut bare, mut full] = <[Times; 4]>::default();
    lens(&engine, SHOTS, QUERIES[0])?;
    let mut tokens = 0;
    for round in 0..setting("POLYLENS_BENCH_ROUNDS", 15) {
        let (prefix, query) = (fresh(round), QUERIES[round % QUERIES.len()]);
        let (ms, answer) = lens(&engine, &prefix, query)?;
        new.0.push(ms);
        tokens = answer.tokens.len();
        warm.0.push(lens(&engine, SHOTS, query)?.0);
        let ours =
            answer.runs[0].layers.last().and_then(|l| l.top.first()).map_or(u64::MAX, |t| u64::from(t.id));
        if let Some(reference) = &mut reference {
            let text = format!("{prefix}{query}");
            let (ms, theirs) = reference.ask(&serde_json::json!({"what": "forward", "text": text}))?;
            bare.0.push(ms);
            full.0.push(reference.ask(&serde_json::json!({"what": "lens", "text": text}))?.0);
            let theirs = theirs["top"][0].as_u64().unwrap_or(u64::MAX);
            if ours != theirs {
                return Err(format!(
                    "round {round}: next token {ours} here, {theirs} in the reference: not the same model"
                ));
            }
        }
    }
    let info = engine.info();
    println!(
        "{}: {} layers, {}, {} threads, about {tokens} tokens",
        info.name, info.layers, info.dtype, info.threads
    );
    println!(
        "  load {load_ms:.0} ms, first lens {first_ms:.0} ms; peak memory {:.2} GB = {:.2} x the weights",
        peak / 1e9,
        peak / weights
    );
    new.show("prompt to full lens, new prefix");
    warm.show("prompt to full lens, known prefix");
    let mut met = peak / weights < 1.3;
    if let Some(reference) = &reference {
        println!("  {}:", reference.versions);
        bare.show("bare forward pass");
        full.show("forward pass and lens");
        println!(
            "  full lens / reference's bare forward pass: new prefix {:.2}, known prefix {:.2}",
            new.median() / bare.median(),
            warm.median() / bare.median()
        );
        met &= new.median() <= bare.median();
    }
    Ok(met)
}

fn main() -> ExitCode {
    let outcome = if std::env::var_os(COLD).is_some() { cold().map(|()| true) } else { run() };
    match outcome {
        Ok(met) if met || std::env::var_os("POLYLENS_BENCH_STRICT").is_none() => ExitCode::SUCCESS,
        Ok(_) => {
            eprintln!(
                "a goal was missed: no slower than the reference's bare forward pass, peak memory below 1.3 x the weights"
            );
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
