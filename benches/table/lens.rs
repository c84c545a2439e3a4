//! Prompt to full lens: every layer, the ten most probable tokens of each.

use crate::common::setting;
use crate::prompts::{QUERIES, fresh, lens};
use crate::show::{Goal, Row, Table};
use crate::sides::{Found, Given, Side, apart};
use crate::times::{largest, median};
use polylens::engine::protocol::LensAnswer;
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::Duration;

/// Between an answer and the next question: what a side still does by itself (threads that wait by spinning, memory made
/// ready) meets neither side's time, as it meets no user's, who reads the answer first.
const PAUSE: Duration = Duration::from_millis(50);
/// Layers of a round are counted on from here.
const ROUND: usize = 1000;

/// Times of one format.
#[derive(Default)]
struct Times {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

/// The row of prompts that begin as none before, or (`warm`) as one that was just read. The reference reads all of it.
pub fn rows(sides: &mut [Side], warm: bool, table: &mut Table) -> Result<Vec<Row>, String> {
    let mut times: Vec<Times> = sides.iter().map(|_| Times::default()).collect();
    let mut given: Vec<Given> = sides.iter().map(|_| Given::default()).collect();
    let (mut tokens, mut reused) = (0, 0);
    // The first round is not timed.
    for round in 0..=setting("POLYLENS_BENCH_ROUNDS", 7) {
        // Another first word than in any row before.
        let (prefix, query) = (fresh(round + 100 * usize::from(warm)), QUERIES[round % QUERIES.len()]);
        for ((side, times), given) in sides.iter_mut().zip(&mut times).zip(&mut given) {
            if !side.timed && round > 0 {
                continue;
            }
            if warm {
                lens(&side.engine, &prefix, QUERIES[(round + 1) % QUERIES.len()])?;
            }
            sleep(PAUSE);
            let (ms, answer) = lens(&side.engine, &prefix, query)?;
            (tokens, reused) = (answer.tokens.len(), answer.reused_tokens);
            put(&mut given.ours, round, of(&answer));
            times.ours.push(ms);
            if let Some(reference) = &mut side.reference {
                sleep(PAUSE);
                let (ms, answer) =
                    reference.ask(&json!({"what": "lens", "text": format!("{prefix}{query}")}))?;
                put(&mut given.theirs, round, told(&answer)?);
                times.theirs.push(ms);
            }
        }
    }
    let apart = apart(&given, 1e-3, compare)?;
    let work = match warm {
        true => format!("the same, {reused} of {tokens} tokens read before"),
        false => format!("prompt to full lens, {tokens} tokens"),
    };
    if warm {
        table.note(format!(
            "{work}: the reference keeps nothing between prompts, so that its whole time counts for the same result."
        ));
    }
    let goals = if warm { [4.0, 2.5] } else { [2.2, 1.4] };
    let row = |((side, times), apart): ((&Side, &Times), _)| {
        let (ours, theirs) =
            (median(times.ours.iter().skip(1).copied()), times.theirs.iter().skip(1).copied());
        let theirs = side.reference.as_ref().map(|_| median(theirs));
        Row {
            work: work.clone(),
            dtype: side.dtype,
            ours: format!("{ours:.0} ms"),
            theirs: theirs.map(|t| format!("{t:.0} ms")),
            ratio: theirs.map(|t| t / ours),
            goal: Goal::AtLeast(goals[usize::from(side.dtype != "f32")]),
            apart: Some(apart),
        }
    };
    let all = sides.iter().zip(&times).zip(apart).filter(|((side, _), _)| side.timed);
    Ok(all.map(row).collect())
}

/// Token, probability, token, probability: one list a layer.
type Layers = Vec<Vec<f64>>;

fn of(answer: &LensAnswer) -> Layers {
    let one = |top: &Vec<polylens::engine::protocol::TokenP>| {
        top.iter().flat_map(|t| [f64::from(t.id), f64::from(t.p)]).collect()
    };
    answer.runs[0].layers.iter().map(|l| one(&l.top)).collect()
}

fn told(answer: &Value) -> Result<Layers, String> {
    let pairs: Vec<Vec<[f64; 2]>> = serde_json::from_value(answer["layers"].clone())
        .map_err(|e| format!("no layers in the answer ({e})"))?;
    Ok(pairs.into_iter().map(|l| l.into_iter().flatten().collect()).collect())
}

fn put(to: &mut Found, round: usize, layers: Layers) {
    to.extend(layers.into_iter().enumerate().map(|(k, l)| (round * ROUND + k, l)));
}

/// The largest difference of a probability. Of a token that is not among the other's most probable, what is known is
/// that its probability there is at most the least of those.
fn compare(a: &Found, b: &Found) -> f64 {
    let one = |a: &Vec<f64>, b: &Vec<f64>| {
        let least = b.chunks(2).map(|c| c[1]).fold(f64::MAX, f64::min);
        largest(a.chunks(2).map(|c| match b.chunks(2).find(|d| d[0] == c[0]) {
            Some(d) => (c[1] - d[1]).abs(),
            None => (c[1] - least).max(0.0),
        }))
    };
    let both: Vec<f64> = a.iter().filter_map(|(k, x)| b.get(k).map(|y| one(x, y).max(one(y, x)))).collect();
    if both.is_empty() { f64::NAN } else { largest(both) }
}
