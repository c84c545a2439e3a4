//! Items a second of the sentiment and NLI evaluations on a real model, beside the reference library.
//!
//! `cargo bench --bench evaluate`; the environment is that of benches/full_lens.rs. Both sides score the same prompts
//! of the bundled tasks in all 20 languages, one language after the other and in turn, so that other load meets both;
//! the reference with the better of two batch sizes (1 and 8, sorted by length). Our time has everything in it:
//! tokenising, the shots once a language, the readout. Both must give the same probabilities (1e-3).
//! Also read: POLYLENS_BENCH_ITEMS (24 a language here; the reference's cost an item does not depend on it, and it
//! runs the first POLYLENS_BENCH_REFERENCE_ITEMS of them, 3), POLYLENS_BENCH_TASKS (other tasks than the bundled ones:
//! `my.toml=items_{lang}.json`, several with commas between).

mod common;
#[path = "common/scoring.rs"]
mod scoring;

use common::{Beside, load, reference, setting};
use polylens::engine::Engine;
use polylens::tasks;
use scoring::{ours, plan};
use serde_json::json;
use std::process::ExitCode;

fn measure(engine: &Engine, reference: &mut Option<Beside>, task: &str) -> Result<(), String> {
    let plan = plan(task, setting("POLYLENS_BENCH_ITEMS", 24))?;
    let sets = engine.eval_sets(&plan).map_err(|e| e.to_string())?;
    let (mut items, mut ms, mut tokens, mut own) = (0usize, 0f64, 0usize, 0usize);
    let (mut their_items, mut their_ms) = (0usize, [0f64; 2]);
    let mut worst = 0f64;
    for (l, lang) in plan.langs.iter().enumerate() {
        let (took, records) = ours(engine, &plan, l)?;
        (items, ms) = (items + records.len(), ms + took);
        let texts: Vec<String> = lang.items.iter().map(|i| lang.prefix.clone() + &i.text).collect();
        let count = |t: &str| engine.tokenizer().encode(t).map(|ids| ids.len()).unwrap_or(0);
        tokens += texts.iter().map(|t| count(t)).sum::<usize>();
        own += texts.iter().map(|t| count(t)).sum::<usize>() - lang.items.len() * count(&lang.prefix);
        let Some(reference) = reference else { continue };
        let some = &texts[..texts.len().min(setting("POLYLENS_BENCH_REFERENCE_ITEMS", 3))];
        let ids: Vec<&Vec<u32>> = sets[l].sets.iter().map(|s| &s.ids).collect();
        let ids = vec![ids; some.len()];
        for (batch, sum) in [1, 8].iter().zip(&mut their_ms) {
            let (took, answer) =
                reference.ask(&json!({"what": "eval", "texts": some, "sets": ids, "batch": batch}))?;
            *sum += took;
            for (record, theirs) in records.iter().zip(answer["p"].as_array().ok_or("no answer")?) {
                for (p, q) in record.p.iter().zip(theirs.as_array().ok_or("no answer")?) {
                    worst = worst.max((f64::from(*p) - q.as_f64().unwrap_or(f64::NAN)).abs());
                }
            }
        }
        their_items += some.len();
    }
    let rate = 1e3 * items as f64 / ms;
    println!(
        "{task}: {items} items in {} languages, {:.0} tokens an item, {:.0} of them its own: {rate:.1} items/s",
        plan.langs.len(),
        tokens as f64 / items as f64,
        own as f64 / items as f64
    );
    if let Some(reference) = reference {
        let rates = their_ms.map(|ms| 1e3 * their_items as f64 / ms);
        let best = rates[0].max(rates[1]);
        println!(
            "  {}: {:.2} items/s one by one, {:.2} by eight; ratio {:.2}; largest difference of a probability {worst:.1e}",
            reference.versions,
            rates[0],
            rates[1],
            rate / best
        );
        if worst > 1e-3 {
            return Err(format!("{task}: the sides differ by {worst:e}: not the same model or prompts"));
        }
    }
    Ok(())
}

fn run() -> Result<(), String> {
    let engine = load()?;
    let info = engine.info();
    println!("{}: {} layers, {}, {} threads", info.name, info.layers, info.dtype, info.threads);
    let mut reference = reference("reference.py")?.map(Beside::start).transpose()?;
    let bundled: Vec<&str> = tasks::BUNDLED.iter().map(|b| b.id).collect();
    let named = std::env::var("POLYLENS_BENCH_TASKS").unwrap_or_else(|_| bundled.join(","));
    for task in named.split(',') {
        measure(&engine, &mut reference, task)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
