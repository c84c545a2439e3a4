//! What a training set holds: lengths in a model's tokens, repeated rows, rows that also occur in evaluation items.

use super::leaks::{Index, Leak};
use super::rows::DataRow;
use super::{Part, eos, kept, tokens};
use crate::error::Result;
use crate::model::tokenizer::Tokenizer;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// Token counts of many texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Lengths {
    pub min: usize,
    pub mean: f64,
    /// The upper one of the two middle values where their number is even.
    pub median: usize,
    /// The smallest count that at least 95 % of the texts do not exceed.
    pub p95: usize,
    pub max: usize,
}

impl Lengths {
    /// Of counts in any order; all zero for none.
    pub fn of(mut counts: Vec<usize>) -> Self {
        counts.sort_unstable();
        let n = counts.len();
        let (Some(&min), Some(&max)) = (counts.first(), counts.last()) else { return Self::default() };
        Self {
            min,
            mean: counts.iter().sum::<usize>() as f64 / n as f64,
            median: counts[n / 2],
            p95: counts[(n * 95).div_ceil(100).max(1) - 1],
            max,
        }
    }
}

/// The rows of one language (or of one file, where no language is named).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LangStats {
    pub lang: String,
    pub rows: usize,
    /// Tokens of the input, BOS included where the model has one.
    pub input: Lengths,
    /// Tokens of the answer, EOS included.
    pub answer: Lengths,
    pub total: Lengths,
    /// Rows that the cut-off shortens, and how many tokens it takes from them.
    pub over_cutoff: usize,
    pub tokens_cut: u64,
}

/// A row of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Index into the files.
    pub file: usize,
    /// From 1, as messages count them.
    pub row: usize,
}

/// A row that is the same as an earlier one, input and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    pub at: Place,
    pub first: Place,
}

/// Everything about a training set.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DataStats {
    pub cutoff: usize,
    pub rows: usize,
    /// Tokens of one epoch, before the cut-off.
    pub tokens: u64,
    pub over_cutoff: usize,
    /// In the order in which they first come.
    pub languages: Vec<LangStats>,
    pub duplicates: Vec<Duplicate>,
    /// Distinct answers that stand under more than one language, as they do where several sources have one target.
    pub answers_shared: usize,
    /// Rows whose answer an earlier row of the same language has for another input.
    pub answers_repeated: usize,
    pub leaks: Vec<Leak>,
}

/// Looks at all rows; `against` holds the evaluation items, `on` is told (rows done, all rows).
///
/// # Errors
/// A model without EOS, a text that cannot be tokenised (naming file and row); what `on` returns.
pub fn stats(
    parts: &[Part],
    tokenizer: &Tokenizer,
    cutoff: usize,
    against: &Index,
    on: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<DataStats> {
    let eos = eos(tokenizer)?;
    let all: usize = parts.iter().map(|part| part.rows.len()).sum();
    let mut out = DataStats { cutoff, rows: all, ..DataStats::default() };
    let mut lengths: Vec<(String, Vec<(usize, usize)>)> = Vec::new();
    let mut done = 0;
    for (file, part) in parts.iter().enumerate() {
        let at = lengths.iter().position(|(lang, _)| *lang == part.lang).unwrap_or(lengths.len());
        if at == lengths.len() {
            lengths.push((part.lang.clone(), Vec::new()));
        }
        for (block, rows) in part.rows.chunks(BLOCK).enumerate() {
            on(done, all)?;
            let counted: Vec<(usize, usize)> = rows
                .par_iter()
                .enumerate()
                .map(|(i, row)| {
                    let made = tokens(row, tokenizer, eos)
                        .map_err(|e| e.context(format!("{}, row {}", part.file.name, block * BLOCK + i + 1)));
                    made.map(|(source, target)| (source.len(), target.len()))
                })
                .collect::<Result<_>>()?;
            lengths[at].1.extend(counted);
            done += rows.len();
        }
        for (row, texts) in part.rows.iter().enumerate() {
            out.leaks.extend(against.leaks(texts, Place { file, row: row + 1 }));
        }
    }
    on(done, all)?;
    out.languages = lengths.into_iter().map(|(lang, counts)| language(lang, &counts, cutoff)).collect();
    out.over_cutoff = out.languages.iter().map(|l| l.over_cutoff).sum();
    out.tokens = out.languages.iter().map(|l| (l.total.mean * l.rows as f64).round() as u64).sum();
    repeats(parts, &mut out);
    Ok(out)
}

/// Rows that are tokenised between two looks at the user's wish to stop.
const BLOCK: usize = 1024;

fn language(lang: String, counts: &[(usize, usize)], cutoff: usize) -> LangStats {
    let of = |count: fn(&(usize, usize)) -> usize| Lengths::of(counts.iter().map(count).collect());
    let cut = |&(source, target): &(usize, usize)| {
        let (s, t) = kept(source, target, cutoff.max(2));
        source + target - s - t
    };
    LangStats {
        lang,
        rows: counts.len(),
        input: of(|c| c.0),
        answer: of(|c| c.1),
        total: of(|c| c.0 + c.1),
        over_cutoff: counts.iter().filter(|c| cut(c) > 0).count(),
        tokens_cut: counts.iter().map(|c| cut(c) as u64).sum(),
    }
}

/// Rows and answers that occur more than once.
fn repeats(parts: &[Part], out: &mut DataStats) {
    let mut rows: HashMap<&DataRow, Place> = HashMap::new();
    let mut answers: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for (file, part) in parts.iter().enumerate() {
        for (i, row) in part.rows.iter().enumerate() {
            let at = Place { file, row: i + 1 };
            if let Some(&first) = rows.get(row) {
                out.duplicates.push(Duplicate { at, first });
                continue;
            }
            rows.insert(row, at);
            if !answers.entry(&row.answer).or_default().insert(&part.lang) {
                out.answers_repeated += 1;
            }
        }
    }
    out.answers_shared = answers.values().filter(|langs| langs.len() > 1).count();
}

#[cfg(test)]
mod tests {
    use super::super::DataFile;
    use super::*;

    #[test]
    fn lengths_of_small_numbers() {
        let l = Lengths::of((1..=20).rev().collect());
        assert_eq!((l.min, l.mean, l.median, l.p95, l.max), (1, 10.5, 11, 19, 20));
        assert_eq!(Lengths::of(vec![7]), Lengths { min: 7, mean: 7.0, median: 7, p95: 7, max: 7 });
        assert_eq!(Lengths::of(Vec::new()), Lengths::default());
    }

    #[test]
    fn what_the_cut_off_takes_is_counted() {
        let l = language("zh".into(), &[(10, 5), (100, 5), (100, 100)], 50);
        assert_eq!((l.rows, l.over_cutoff, l.tokens_cut), (3, 2, 55 + 150));
        assert_eq!((l.input.max, l.answer.max, l.total.max), (100, 100, 200));
    }

    #[test]
    fn repeated_rows_and_answers_are_told_apart() {
        let part = |lang: &str, rows: &[(&str, &str)]| Part {
            lang: lang.into(),
            file: DataFile::default(),
            rows: rows.iter().map(|(i, a)| DataRow { input: (*i).into(), answer: (*a).into() }).collect(),
        };
        let parts = [
            part("zh", &[("x", "1"), ("y", "2"), ("x", "1"), ("z", "1")]),
            part("es", &[("p", "1"), ("q", "3"), ("x", "1")]),
        ];
        let mut out = DataStats::default();
        repeats(&parts, &mut out);
        let place = |file, row| Place { file, row };
        let same = |at, first| Duplicate { at, first };
        assert_eq!(
            out.duplicates,
            [same(place(0, 3), place(0, 1)), same(place(1, 3), place(0, 1))],
            "the third of zh, and the one that es has from zh"
        );
        assert_eq!((out.answers_shared, out.answers_repeated), (1, 1));
    }
}
