//! How cost grows.
//!
//! `cargo bench --bench scale -- make PLACE --format f32|bf16|q4_k|q4_0 [--blocks N]` writes a checkpoint of Mistral
//! 7B's shape with random weights and a tokenizer (14.5 GB as bf16 in sharded safetensors, 4.4 GB as Q4_K in one GGUF
//! file), for `polylens lens --model …` to be timed on.

mod make;

use make::{Shape, Store};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: make PLACE --format f32|bf16|q4_k|q4_0 [--blocks N]";

fn make_model(args: &[String]) -> Result<(), String> {
    let (mut place, mut store, mut shape) = (None, Store::Bf16, Shape::MISTRAL_7B);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{arg} needs a value; {USAGE}"));
        match arg.as_str() {
            "--bench" => {}
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

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let outcome = match args.split_first() {
        Some((command, rest)) if command == "make" => make_model(rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
