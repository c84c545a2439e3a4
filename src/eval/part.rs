//! Parts of an evaluation: how the jobs of an array divide it, and how their files become one table again.

use super::Table;
use crate::engine::protocol::{AdapterInfo, EvalPlan, EvalRecord, EvalSets, ModelInfo, RunId};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The schema of a part's file.
pub const SCHEMA: &str = "polylens.eval-part/1";

/// Which part of how many, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    pub index: usize,
    pub of: usize,
}

impl Default for Shard {
    /// The whole.
    fn default() -> Self {
        Self { index: 1, of: 1 }
    }
}

impl Shard {
    /// The queries of this part, of `total` in the order of [`queries`]: a run of neighbours, so that most of a
    /// language's queries meet in one part.
    pub fn range(self, total: usize) -> Range<usize> {
        let cut = |i: usize| (total as u128 * i as u128 / self.of as u128) as usize;
        cut(self.index - 1)..cut(self.index)
    }
}

/// All (language, slot) of an evaluation, in order; languages that take no part have none.
pub fn queries(plan: &EvalPlan, sets: &[EvalSets]) -> Vec<(usize, usize)> {
    let of = |(l, lang): (usize, &crate::engine::protocol::EvalLang)| {
        let takes_part = sets.get(l).is_none_or(|s| s.refused.is_none());
        (0..if takes_part { lang.slots() } else { 0 }).map(move |slot| (l, slot))
    };
    plan.langs.iter().enumerate().flat_map(of).collect()
}

/// A part's file: everything that the whole needs, so that joining needs no model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub schema: String,
    pub shard: Shard,
    /// Hash of everything that decides the answers: weights, adapters, prompts, labels, settings.
    pub key: String,
    pub seed: u64,
    pub model: ModelInfo,
    pub adapters: Vec<AdapterInfo>,
    pub runs: Vec<RunId>,
    pub plan: EvalPlan,
    pub sets: Vec<EvalSets>,
    pub records: Vec<EvalRecord>,
}

/// What joined parts give.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    pub model: ModelInfo,
    pub adapters: Vec<AdapterInfo>,
    pub seed: u64,
    pub table: Table,
}

/// Reads a part's file.
///
/// # Errors
/// [`Error::Failed`] naming the file: no JSON, another kind of file, or one that was cut.
pub fn read(text: &str, origin: &str) -> Result<Part> {
    #[derive(Deserialize)]
    struct Any {
        schema: Option<String>,
    }
    let unreadable = |e: serde_json::Error| {
        let cut =
            if e.is_eof() { "it ends too early, as a file that was cut off does" } else { "it is damaged" };
        Error::failed(format!("{origin} is no part of an evaluation: {cut} ({e}); compute this part again"))
    };
    let any: Any = serde_json::from_str(text).map_err(unreadable)?;
    match any.schema.as_deref() {
        Some(SCHEMA) => {}
        Some(other) => crate::fail!(
            "{origin} is a {other} document, not a part of an evaluation ({SCHEMA}); --merge takes the files that \
             `polylens eval --shard I/N --out FILE.json` writes"
        ),
        None => {
            crate::fail!("{origin} names no schema: it is not a file that `polylens eval --shard` writes")
        }
    }
    let part: Part = serde_json::from_str(text).map_err(unreadable)?;
    let Shard { index, of } = part.shard;
    if index == 0 || index > of {
        crate::fail!("{origin} says that it is part {index} of {of}, which cannot be; compute it again");
    }
    if part.sets.len() != part.plan.langs.len() {
        crate::fail!("{origin} is damaged: its languages and token sets do not match; compute it again");
    }
    Ok(part)
}

/// Joins parts, given with their files' names.
///
/// # Errors
/// [`Error::Failed`]: parts of different evaluations, a part that is missing or there twice, answers that are missing
/// or belong to another part, each named.
pub fn merge(parts: &[(String, Part)]) -> Result<Whole> {
    let Some((first_name, first)) = parts.first() else {
        return Err(Error::usage("--merge needs the files of all parts"));
    };
    for (name, part) in parts {
        if part.key != first.key {
            crate::fail!(
                "{name} and {first_name} are parts of different evaluations ({}); merge parts of one only",
                difference(first, part)
            );
        }
        if part.shard.of != first.shard.of {
            crate::fail!(
                "{name} is one of {} parts and {first_name} one of {}: they do not fit together",
                part.shard.of,
                first.shard.of
            );
        }
    }
    let files = |index: usize| -> Vec<&str> {
        parts.iter().filter(|(_, p)| p.shard.index == index).map(|(n, _)| n.as_str()).collect()
    };
    let mut missing = Vec::new();
    for index in 1..=first.shard.of {
        match files(index).as_slice() {
            [] => missing.push(index.to_string()),
            [_] => {}
            [a, b, ..] => {
                crate::fail!("{a} and {b} are both part {index} of {}: name each part once", first.shard.of)
            }
        }
        if missing.len() > 20 {
            break;
        }
    }
    if !missing.is_empty() {
        crate::fail!(
            "of {} parts these are missing: {}; compute them and merge again",
            first.shard.of,
            missing.join(", ")
        );
    }
    let mut table = Table::new(first.plan.clone(), first.sets.clone(), first.runs.clone());
    let all = queries(&first.plan, &first.sets);
    for (name, part) in parts {
        let own = &all[part.shard.range(all.len())];
        let mut count = 0;
        for record in &part.records {
            let place = (record.lang, record.slot);
            let run = first.runs.iter().position(|r| *r == record.run);
            let twice = run.is_some_and(|r| table.record(r, place.0, place.1).is_some());
            if own.binary_search(&place).is_err() || twice || !table.insert(record.clone()) {
                crate::fail!(
                    "{name} holds an answer that is not of its part: it is damaged; compute it again"
                );
            }
            count += 1;
        }
        let wanted = own.len() * first.runs.len();
        if count != wanted {
            crate::fail!(
                "{name} holds {count} of the {wanted} answers of its part: it is damaged; compute it again"
            );
        }
    }
    Ok(Whole { model: first.model.clone(), adapters: first.adapters.clone(), seed: first.seed, table })
}

/// What two parts of different evaluations differ in, in words.
fn difference(a: &Part, b: &Part) -> String {
    let names = |p: &Part| p.adapters.iter().map(|a| a.name.clone()).collect::<Vec<_>>().join(", ");
    let langs = |p: &Part| p.plan.langs.iter().map(|l| l.lang.clone()).collect::<Vec<_>>().join(",");
    let items = |p: &Part| p.plan.langs.iter().map(|l| l.items.len()).sum::<usize>();
    let pairs = [
        ("model", a.model.name.clone(), b.model.name.clone()),
        ("number format", a.model.dtype.clone(), b.model.dtype.clone()),
        ("adapters", names(a), names(b)),
        ("task", a.plan.task.clone(), b.plan.task.clone()),
        ("languages", langs(a), langs(b)),
        ("style", format!("{:?}", a.plan.style).to_lowercase(), format!("{:?}", b.plan.style).to_lowercase()),
        (
            "protocol",
            format!("{:?}", a.plan.protocol).to_lowercase(),
            format!("{:?}", b.plan.protocol).to_lowercase(),
        ),
        ("score", format!("{:?}", a.plan.score).to_lowercase(), format!("{:?}", b.plan.score).to_lowercase()),
        ("number of items", items(a).to_string(), items(b).to_string()),
    ];
    match pairs.iter().find(|(_, x, y)| x != y) {
        Some((what, x, y)) => format!("{what}: {y} here, {x} there"),
        None => "their weights, texts or program versions differ".into(),
    }
}
