//! Many prompts through both sides in turn: ours a language at a time, the reference's blocks between them.

use crate::common::{Beside, setting};
use crate::sample::{BLOCK, blocks};
use crate::show::{Goal, Row, Table};
use crate::sides::{Found, Given, Side, apart, plainly};
use polylens::engine::Engine;
use serde_json::Value;

/// A kind of work on the prompts of several languages.
pub trait Work {
    /// Tokens of every prompt, all languages one after the other.
    fn lengths(&self) -> &[usize];
    fn languages(&self) -> usize;
    /// All prompts of a language by our side: milliseconds and results by the prompt's number.
    fn ours(&self, engine: &Engine, lang: usize) -> Result<(f64, Found), String>;
    /// What the reference is asked for some prompts.
    fn request(&self, prompts: &[usize], batch: usize) -> Value;
    /// Where its results are in the answer: one entry a prompt, numbers in lists of any depth.
    fn key(&self) -> &'static str;
    /// What is compared, of our side's prompts that the reference ran as well.
    fn settle(&self, engine: &Engine, sample: &[usize], found: Found) -> Result<Found, String>;
    /// The same of the reference's.
    fn settle_theirs(&self, engine: &Engine, found: Found) -> Result<Found, String>;
}

/// Prompts a batch that are tried; the fastest counts.
const BATCHES: [usize; 4] = [1, 4, 8, BLOCK];

/// The reference's progress through its blocks: the first with every batch size, the others with the fastest.
struct Theirs {
    first: Vec<f64>,
    others: f64,
    done: usize,
}

impl Theirs {
    fn best(&self) -> usize {
        (0..self.first.len()).min_by(|a, b| self.first[*a].total_cmp(&self.first[*b])).unwrap_or(0)
    }

    fn turn(
        &mut self,
        work: &dyn Work,
        reference: &mut Beside,
        blocks: &[Vec<usize>],
        given: &mut Given,
    ) -> Result<(), String> {
        let tries = self.first.len() < BATCHES.len();
        let at = if tries { 0 } else { self.done + 1 - BATCHES.len() };
        let Some(block) = blocks.get(at) else { return Ok(()) };
        let batch = BATCHES[if tries { self.first.len() } else { self.best() }];
        if self.done == 0 {
            // What is done once in a process is not timed.
            reference.ask(&work.request(&block[..1], 1))?;
        }
        let (ms, answer) = reference.ask(&work.request(block, batch))?;
        if tries {
            self.first.push(ms);
        } else {
            self.others += ms;
        }
        self.done += 1;
        let all = answer[work.key()].as_array().ok_or("no results in the answer")?;
        for (prompt, value) in block.iter().zip(all) {
            let mut flat = Vec::new();
            flatten(value, &mut flat);
            given.theirs.insert(*prompt, flat);
        }
        Ok(())
    }

    fn rate(&self, prompts: usize) -> f64 {
        1e3 * prompts as f64 / (self.first[self.best()] + self.others)
    }

    fn said(&self) -> String {
        let one = |(b, ms): (&usize, &f64)| format!("{:.2} by {b}", 1e3 * BLOCK as f64 / ms);
        BATCHES.iter().zip(&self.first).map(one).collect::<Vec<_>>().join(", ")
    }
}

fn flatten(value: &Value, to: &mut Vec<f64>) {
    match value {
        Value::Array(all) => all.iter().for_each(|v| flatten(v, to)),
        other => to.push(other.as_f64().unwrap_or(f64::NAN)),
    }
}

/// The rows of a kind of work, one a format, with what is to be said about the prompts.
pub fn rows(
    sides: &mut [Side],
    work: &dyn Work,
    name: &str,
    goals: [f64; 2],
    table: &mut Table,
) -> Result<Vec<Row>, String> {
    let blocks = blocks(work.lengths(), setting("POLYLENS_BENCH_BLOCKS", 3));
    let sample: Vec<usize> = blocks.concat();
    let mut given: Vec<Given> = sides.iter().map(|_| Given::default()).collect();
    let mut theirs: Vec<Theirs> =
        sides.iter().map(|_| Theirs { first: Vec::new(), others: 0.0, done: 0 }).collect();
    let mut ours = vec![0f64; sides.len()];
    let turns = BATCHES.len() + blocks.len() - 1;
    let every = (work.languages() / turns).max(1);
    for lang in 0..work.languages().max(turns * every) {
        for (i, side) in sides.iter_mut().enumerate() {
            if side.timed && lang < work.languages() {
                let (ms, found) = work.ours(&side.engine, lang)?;
                ours[i] += ms;
                given[i].ours.extend(found);
            }
            // Also of an f32 side that is not asked for: results over all prompts together need the same ones everywhere.
            if let (Some(reference), true) = (&mut side.reference, lang % every == 0) {
                theirs[i].turn(work, reference, &blocks, &mut given[i])?;
            }
        }
    }
    for (side, given) in sides.iter().zip(&mut given) {
        given.ours = work.settle(&side.engine, &sample, std::mem::take(&mut given.ours))?;
        given.theirs = work.settle_theirs(&side.engine, std::mem::take(&mut given.theirs))?;
    }
    let apart = apart(&given, 1e-3, plainly)?;
    let count = work.lengths().len();
    let mean = |of: &mut dyn Iterator<Item = usize>, n: usize| of.sum::<usize>() as f64 / n.max(1) as f64;
    table.note(format!(
        "{name}: ours {count} prompts in {} languages, {:.0} tokens each; the reference {} of them, {:.0} tokens each",
        work.languages(),
        mean(&mut work.lengths().iter().copied(), count),
        sample.len(),
        mean(&mut sample.iter().map(|p| work.lengths()[*p]), sample.len())
    ));
    let mut rows = Vec::new();
    for (i, side) in sides.iter().enumerate().filter(|(_, s)| s.timed) {
        let rate = 1e3 * count as f64 / ours[i];
        let reference = side.reference.as_ref().map(|_| theirs[i].rate(sample.len()));
        if reference.is_some() {
            table.note(format!(
                "  {}: the reference's items/s on the first {BLOCK}: {}",
                side.dtype,
                theirs[i].said()
            ));
        }
        rows.push(Row {
            work: name.to_owned(),
            dtype: side.dtype,
            ours: format!("{rate:.1} items/s"),
            theirs: reference.map(|r| format!("{r:.2} items/s")),
            ratio: reference.map(|r| rate / r),
            goal: Goal::AtLeast(goals[usize::from(side.dtype != "f32")]),
            apart: Some(apart[i]),
        });
    }
    Ok(rows)
}
