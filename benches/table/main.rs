//! One table: every kind of work beside the reference library, in f32 and in bf16, in one run.
//!
//! `cargo bench --bench table`; with POLYLENS_REFERENCE_PYTHON and POLYLENS_REFERENCE_MODEL (benches/reference/setup.sh
//! makes both) every row has the reference's time beside ours and their ratio. All sides take turns within a row, so that
//! other load on the machine meets all of them, and must give the same results: at f32 within 1e-3; at bf16 the largest
//! difference from the f32 results is shown, beside the reference's own.
//!
//! POLYLENS_BENCH_ROWS names the rows (all: lens,warm,sentiment,nli,pca,products,train,memory), POLYLENS_BENCH_DTYPE the
//! formats (f32,bf16). Also read: POLYLENS_BENCH_MODEL, POLYLENS_BENCH_THREADS (2), POLYLENS_BENCH_ROUNDS (7 lenses),
//! POLYLENS_BENCH_ITEMS (24 a language), POLYLENS_BENCH_BLOCKS (3 times 16 prompts for the reference),
//! POLYLENS_BENCH_STEPS (2 of training), POLYLENS_BENCH_STRICT (fail where a goal is missed).

#[path = "../common/mod.rs"]
mod common;
mod lens;
mod memory_row;
mod pooled;
mod products;
mod sample;
mod scored;
mod show;
mod sides;
mod trained;
mod turns;

#[path = "../common/memory.rs"]
mod memory;
#[path = "../common/prompts.rs"]
mod prompts;
#[path = "../common/scoring.rs"]
mod scoring;
#[path = "../common/times.rs"]
mod times;
#[path = "../common/training.rs"]
mod training;

use show::{Row, Table};
use sides::Side;
use std::process::ExitCode;
use std::time::Instant;

/// All rows, in the order in which they are measured: those that need a loaded model first.
const ROWS: [&str; 8] = ["lens", "warm", "sentiment", "nli", "pca", "products", "train", "memory"];
/// How many of them need one.
const LOADED: usize = 6;

/// What of `all` a variable asks for.
fn wanted(variable: &str, all: &[&'static str]) -> Result<Vec<&'static str>, String> {
    let Ok(text) = std::env::var(variable) else { return Ok(all.to_vec()) };
    let known = |name: &str| {
        let found = all.iter().find(|a| **a == name.trim()).copied();
        found.ok_or(format!(
            "{variable} names {name:?}; possible are {}, several with commas between",
            all.join(", ")
        ))
    };
    text.split(',').map(known).collect()
}

fn measure(row: &str, sides: &mut [Side], table: &mut Table) -> Result<Vec<Row>, String> {
    match row {
        "lens" => lens::rows(sides, false, table),
        "warm" => lens::rows(sides, true, table),
        "sentiment" => {
            scored::rows(sides, "sentiment", "20-language sentiment evaluation", [4.0, 3.0], table)
        }
        "nli" => scored::rows(sides, "nli", "NLI evaluation, 6 shots", [8.0, 5.0], table),
        "pca" => pooled::rows(sides, table),
        _ => products::rows(sides, table),
    }
}

fn run() -> Result<bool, String> {
    let rows = wanted("POLYLENS_BENCH_ROWS", &ROWS)?;
    let dtypes = wanted("POLYLENS_BENCH_DTYPE", &["f32", "bf16"])?;
    let mut table = Table::new();
    if ROWS[..LOADED].iter().any(|r| rows.contains(r)) {
        let mut sides = sides::open(&dtypes)?;
        table.note_sides(&sides);
        for row in ROWS[..LOADED].iter().filter(|r| rows.contains(r)) {
            let start = Instant::now();
            let found = measure(row, &mut sides, &mut table).map_err(|e| format!("{row}: {e}"))?;
            table.add(found, start);
        }
    }
    for row in ROWS[LOADED..].iter().filter(|r| rows.contains(r)) {
        let start = Instant::now();
        let found = match *row {
            "train" => trained::rows(&dtypes, &mut table),
            _ => memory_row::rows(&dtypes, &mut table),
        };
        table.add(found.map_err(|e| format!("{row}: {e}"))?, start);
    }
    table.print();
    Ok(table.reached())
}

fn main() -> ExitCode {
    let outcome = if let Some(out) = std::env::var_os(training::OUT) {
        training::train_in_turn(out.into()).map(|()| true)
    } else if std::env::var_os(memory_row::CHILD).is_some() {
        memory_row::child().map(|()| true)
    } else {
        run()
    };
    match outcome {
        Ok(met) if met || std::env::var_os("POLYLENS_BENCH_STRICT").is_none() => ExitCode::SUCCESS,
        Ok(_) => {
            eprintln!("a goal was missed: see the table");
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
