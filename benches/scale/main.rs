//! How cost grows with items, layers and tokens.
//!
//! `cargo bench --bench scale [-- --out PLOT.svg]` measures an evaluation against its items, a lens against layers and
//! tokens, and peak memory against tokens; it prints each series with its line (slope, intercept, R², largest
//! deviation) and a plot, and writes all plots to one SVG. `--only items|layers|tokens|memory` measures one of them.
//! The environment is that of benches/full_lens.rs.
//!
//! `cargo bench --bench scale -- make PLACE --format f32|bf16|q4_k|q4_0 [--blocks N]` writes a checkpoint of Mistral
//! 7B's shape with random weights and a tokenizer (14.5 GB as bf16 in sharded safetensors, 4.4 GB as Q4_K in one GGUF
//! file), for `polylens lens --model …` to be timed on.

#[expect(dead_code, reason = "shared with the benchmarks that compare with the reference library")]
#[path = "../common/mod.rs"]
mod common;
mod draw;
mod fit;
mod make;
mod measure;

use make::{Shape, Store};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: [--out PLOT.svg] [--only items|layers|tokens|memory], or make PLACE --format \
    f32|bf16|q4_k|q4_0 [--blocks N]";

fn make_model(args: &[String]) -> Result<(), String> {
    let (mut place, mut store, mut shape) = (None, Store::Bf16, Shape::MISTRAL_7B);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{arg} needs a value; {USAGE}"));
        match arg.as_str() {
            "--format" => {
                let name = value()?;
                store = Store::named(name).ok_or_else(|| format!("{name:?} is no format; {USAGE}"))?;
            }
            "--blocks" => {
                let n = value()?;
                shape.blocks = n.parse().map_err(|_| format!("{n:?} is no number of blocks; {USAGE}"))?;
            }
            other if other.starts_with('-') || place.is_some() => {
                return Err(format!("{other:?} is not understood; {USAGE}"));
            }
            other => place = Some(PathBuf::from(other)),
        }
    }
    let place = place.ok_or(USAGE)?;
    let made = make::write(&place, &shape, store).map_err(|e| format!("{}: {e}", place.display()))?;
    println!("{}", made.display());
    Ok(())
}

fn measure_all(args: &[String]) -> Result<(), String> {
    let (mut out, mut only) = (None, None);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{arg} needs a value; {USAGE}"));
        match arg.as_str() {
            "--out" => out = Some(PathBuf::from(value()?)),
            "--only" => only = Some(value()?.clone()),
            other => return Err(format!("{other:?} is not understood; {USAGE}")),
        }
    }
    let engine = common::load()?;
    let info = engine.info();
    let about = format!("{}, {}, {} threads", info.name, info.dtype, info.threads);
    println!("{about}");
    let mut all = Vec::new();
    for name in ["items", "layers", "tokens", "memory"] {
        if only.as_ref().is_some_and(|o| o != name) {
            continue;
        }
        let series = match name {
            "items" => measure::items(&engine)?,
            "layers" => measure::layers()?,
            "tokens" => measure::tokens(&engine)?,
            _ => measure::memory()?,
        };
        println!("\n{}", draw::text(&series));
        all.push(series);
    }
    if all.is_empty() {
        return Err(USAGE.to_owned());
    }
    match out {
        Some(out) => {
            std::fs::write(&out, draw::svg(&all, &about)).map_err(|e| format!("{}: {e}", out.display()))
        }
        None => Ok(()),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let child = std::env::var(measure::CHILD).ok().and_then(|n| n.parse().ok());
    let outcome = match (child, args.split_first()) {
        (Some(tokens), _) => measure::child(tokens),
        (None, Some((command, rest))) if command == "make" => make_model(rest),
        (None, _) => measure_all(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
