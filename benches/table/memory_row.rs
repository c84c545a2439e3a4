//! Peak memory of an evaluation: both sides in processes that do nothing else.

use crate::common::{Beside, load, reference};
use crate::memory::peak;
use crate::scored::{Prompts, Scored};
use crate::scoring;
use crate::show::{Goal, Row, Table};
use crate::sides::torch;
use crate::turns::Work;
use std::process::Command;

/// Set in our process that is measured.
pub const CHILD: &str = "POLYLENS_BENCH_MEMORY";
const TASK: &str = "sentiment";
/// Languages that our side evaluates: the peak is reached in each.
const LANGUAGES: usize = 2;
/// Prompts of the reference, its longest of the same languages, so many at a time.
const PROMPTS: usize = 16;
const BATCH: usize = 8;

/// In a process of its own: loads, evaluates, prints the peak and the prompts' text for the reference.
pub fn child() -> Result<(), String> {
    let engine = load()?;
    let work = Scored::of(&engine, TASK)?;
    for lang in 0..LANGUAGES {
        scoring::ours(&engine, &work.prompts.plan, lang)?;
    }
    println!("{}", peak().ok_or("this system does not tell a process's peak memory")?);
    // The reference's own requests come after the peak is known.
    println!("{}", work.request(&longest(&work.prompts), BATCH));
    Ok(())
}

fn longest(prompts: &Prompts) -> Vec<usize> {
    let mut some: Vec<usize> =
        (0..prompts.places.len()).filter(|p| prompts.places[*p].0 < LANGUAGES).collect();
    some.sort_by_key(|p| std::cmp::Reverse(prompts.lengths[*p]));
    some.truncate(PROMPTS);
    some
}

pub fn rows(dtypes: &[&'static str], table: &mut Table) -> Result<Vec<Row>, String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    table.note(format!(
        "peak memory: ours of {LANGUAGES} languages' items, the reference's of its {PROMPTS} longest of them, {BATCH} at a time."
    ));
    let mut rows = Vec::new();
    for dtype in dtypes {
        let out = Command::new(&me)
            .env(CHILD, "1")
            .env("POLYLENS_BENCH_DTYPE", dtype)
            .output()
            .map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&out.stdout);
        let (ours, request) = text
            .split_once('\n')
            .and_then(|(n, request)| Some((n.parse::<f64>().ok()?, serde_json::from_str(request).ok()?)))
            .ok_or_else(|| format!("our process failed: {text}{}", String::from_utf8_lossy(&out.stderr)))?;
        let theirs = match reference("reference.py")? {
            None => None,
            Some(mut command) => {
                command.args(["--dtype", torch(dtype)]);
                let mut beside = Beside::start(command)?;
                beside.ask(&request)?;
                let (_, answer) = beside.ask(&serde_json::json!({"what": "peak"}))?;
                Some(answer["bytes"].as_f64().ok_or("no peak in the reference's answer")?)
            }
        };
        rows.push(Row {
            work: "peak memory, evaluation".into(),
            dtype,
            ours: format!("{:.2} GB", ours / 1e9),
            theirs: theirs.map(|t| format!("{:.2} GB", t / 1e9)),
            ratio: theirs.map(|t| ours / t),
            goal: Goal::AtMost(0.5),
            apart: None,
        });
    }
    Ok(rows)
}
