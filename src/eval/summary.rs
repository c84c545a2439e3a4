//! From scored prompts to a table: accuracy, and beside it what tells accuracy from label bias.

use super::stats;
use crate::engine::protocol::{EvalPlan, EvalRecord, EvalSets, RunId, Score};
use std::collections::BTreeSet;

/// All answers of an evaluation so far, in their places.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub plan: EvalPlan,
    /// A language each.
    pub sets: Vec<EvalSets>,
    pub runs: Vec<RunId>,
    /// [run][language][slot]
    records: Vec<Vec<Vec<Option<EvalRecord>>>>,
}

impl Table {
    /// An empty table for these runs.
    pub fn new(plan: EvalPlan, sets: Vec<EvalSets>, runs: Vec<RunId>) -> Self {
        let empty = plan.langs.iter().map(|l| vec![None; l.slots()]).collect::<Vec<_>>();
        let records = vec![empty; runs.len()];
        Self { plan, sets, runs, records }
    }

    /// Puts an answer in its place. False where it has none in this table: another run, language or number of labels.
    pub fn insert(&mut self, record: EvalRecord) -> bool {
        let Some(run) = self.runs.iter().position(|r| *r == record.run) else { return false };
        let loglik = if self.plan.score == Score::Loglik { self.plan.labels.len() } else { 0 };
        if record.p.len() != self.plan.labels.len() || record.loglik.len() != loglik {
            return false;
        }
        let place = self.records[run].get_mut(record.lang).and_then(|slots| slots.get_mut(record.slot));
        place.map(|place| *place = Some(record)).is_some()
    }

    /// An answer, where it is there already.
    pub fn record(&self, run: usize, lang: usize, slot: usize) -> Option<&EvalRecord> {
        self.records.get(run)?.get(lang)?.get(slot)?.as_ref()
    }

    /// The answer to an item (not a content-free query).
    pub fn item(&self, run: usize, lang: usize, item: usize) -> Option<&EvalRecord> {
        self.record(run, lang, self.plan.langs.get(lang)?.free.len() + item)
    }

    /// Whether a language takes part: its labels can be told apart.
    pub fn takes_part(&self, lang: usize) -> bool {
        self.sets.get(lang).is_none_or(|s| s.refused.is_none())
    }

    /// (answers that are there, answers that there will be), over all runs, or in one language of one run.
    pub fn progress(&self, only: Option<(usize, usize)>) -> (usize, usize) {
        let mut count = (0, 0);
        for (r, langs) in self.records.iter().enumerate() {
            for (l, slots) in langs.iter().enumerate() {
                if self.takes_part(l) && only.is_none_or(|only| only == (r, l)) {
                    count.0 += slots.iter().flatten().count();
                    count.1 += slots.len();
                }
            }
        }
        count
    }

    /// The label that an item's answer names with a calibration (see [`calibration`]).
    pub fn calibrated(&self, run: usize, lang: usize, item: usize) -> Option<Prediction> {
        let shift = calibration(self, run, lang)?;
        let record = self.item(run, lang, item)?;
        Some(argmax(logs(record).iter().zip(&shift).map(|(a, b)| a - b)))
    }
}

/// The arg-max over labels; `tie` where another label scores exactly the same (the first in the task's order is taken).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    pub label: usize,
    pub tie: bool,
}

/// The label that an answer names: the one with the largest score.
pub fn predict(record: &EvalRecord) -> Prediction {
    match record.loglik.is_empty() {
        true => argmax(record.p.iter().map(|p| f64::from(*p))),
        false => argmax(record.loglik.iter().map(|l| l.sum)),
    }
}

fn argmax(scores: impl Iterator<Item = f64>) -> Prediction {
    let mut best = (f64::NEG_INFINITY, Prediction { label: 0, tie: false });
    for (label, score) in scores.enumerate() {
        if score > best.0 || label == 0 {
            best = (score, Prediction { label, tie: false });
        } else if score == best.0 {
            best.1.tie = true;
        }
    }
    best.1
}

/// Natural logs of the labels' scores.
fn logs(record: &EvalRecord) -> Vec<f64> {
    match record.loglik.is_empty() {
        true => record.p.iter().map(|p| f64::from(*p).ln()).collect(),
        false => record.loglik.iter().map(|l| l.sum).collect(),
    }
}

/// ln of each label's mean score over the content-free queries: what a calibrated score is divided by.
/// `None` until all of them are there, or where a label's mean is 0.
pub fn calibration(table: &Table, run: usize, lang: usize) -> Option<Vec<f64>> {
    let free = table.plan.langs.get(lang)?.free.len();
    let logs: Vec<Vec<f64>> =
        (0..free).map(|slot| table.record(run, lang, slot).map(logs)).collect::<Option<_>>()?;
    let mean = |label: usize| {
        let top = logs.iter().map(|l| l[label]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logs.iter().map(|l| (l[label] - top).exp()).sum();
        top + (sum / free as f64).ln()
    };
    let means: Vec<f64> = (0..table.plan.labels.len()).map(mean).collect();
    (free > 0 && means.iter().all(|m| m.is_finite())).then_some(means)
}

/// What changed against the base model, on the same items.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// Difference of the accuracies.
    pub accuracy: f64,
    /// Its paired bootstrap interval, 95 %.
    pub low: f64,
    pub high: f64,
    /// Items that only the aligned model gets right, and only the base.
    pub gained: usize,
    pub lost: usize,
    /// Exact McNemar test over them.
    pub p: f64,
}

/// One run in one language.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LangSummary {
    /// Items answered so far.
    pub n: usize,
    pub correct: usize,
    pub ties: usize,
    /// AUC of the log-ratio of a label against the others together; mean over the labels (macro one-against-rest).
    pub auc: Option<f64>,
    /// Accuracy after each label's score is divided by its mean over content-free queries.
    pub calibrated: Option<f64>,
    /// With whole labels: accuracy of the log-likelihood a token, and a byte.
    pub per_token: Option<f64>,
    pub per_byte: Option<f64>,
    /// Counts: a row for each gold label, in it a number for each predicted one.
    pub confusion: Vec<Vec<usize>>,
    /// Mean probability on any label, and on each.
    pub mass: f64,
    pub label_mass: Vec<f64>,
    /// Against the first run, where this is another one.
    pub change: Option<Change>,
}

impl LangSummary {
    /// Share of right answers; NaN without items.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.n as f64
    }

    /// Share of items for which a label was predicted.
    pub fn predicted_share(&self, label: usize) -> f64 {
        self.confusion.iter().map(|row| row[label]).sum::<usize>() as f64 / self.n as f64
    }
}

/// One run over all languages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunSummary {
    pub run: RunId,
    /// Parallel to the plan's languages; `None` where a language takes no part or nothing is there yet.
    pub languages: Vec<Option<LangSummary>>,
    /// Plain means over the languages that are there.
    pub mean: Option<f64>,
    pub mean_auc: Option<f64>,
    pub mean_calibrated: Option<f64>,
    /// Of the mean: the interval draws items, the same in all languages where their items are parallel; the test
    /// pools the languages' discordant items.
    pub change: Option<Change>,
}

/// The whole table in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub runs: Vec<RunSummary>,
    /// Languages that the means are over.
    pub languages: usize,
}

/// Summarises what is there. The first run is what others are compared with; `seed` decides the bootstrap's draws.
pub fn summarise(table: &Table, seed: u64) -> Summary {
    over(table, Some(seed), |_, _| None)
}

/// As [`summarise`] without the bootstrap: the changes' intervals are NaN. For a table that is still filling.
pub fn outline(table: &Table) -> Summary {
    over(table, None, |_, _| None)
}

/// As [`outline`], where only the languages of `touched` have had answers since `before`, an outline of the same table.
pub fn outline_after(table: &Table, before: &Summary, touched: &BTreeSet<usize>) -> Summary {
    let known = |run: usize, lang: usize| before.runs.get(run)?.languages.get(lang)?.clone();
    over(table, None, |run, lang| known(run, lang).filter(|_| !touched.contains(&lang)))
}

/// `known` may say what a run is in a language, where that need not be worked out.
fn over(table: &Table, seed: Option<u64>, known: impl Fn(usize, usize) -> Option<LangSummary>) -> Summary {
    let langs = table.plan.langs.len();
    let runs: Vec<RunSummary> = (0..table.runs.len())
        .map(|r| {
            let languages: Vec<Option<LangSummary>> = (0..langs)
                .map(|l| {
                    let there = || known(r, l).or_else(|| language(table, r, l, seed));
                    table.takes_part(l).then(there).flatten()
                })
                .collect();
            let there = || languages.iter().flatten();
            RunSummary {
                run: table.runs[r],
                mean: mean(there().map(|l| Some(l.accuracy()))),
                mean_auc: mean(there().map(|l| l.auc)),
                mean_calibrated: mean(there().map(|l| l.calibrated)),
                change: (r > 0).then(|| mean_change(table, r, seed)).flatten(),
                languages,
            }
        })
        .collect();
    let languages = runs.first().map_or(0, |r| r.languages.iter().flatten().count());
    Summary { runs, languages }
}

/// The mean, where every value is there.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.collect::<Option<_>>()?;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn language(table: &Table, run: usize, lang: usize, seed: Option<u64>) -> Option<LangSummary> {
    let labels = table.plan.labels.len();
    let items = &table.plan.langs[lang].items;
    let shift = calibration(table, run, lang);
    let mut out = LangSummary {
        confusion: vec![vec![0; labels]; labels],
        label_mass: vec![0.0; labels],
        ..LangSummary::default()
    };
    let (mut calibrated, mut per_token, mut per_byte) = (0usize, 0usize, 0usize);
    let mut cases: Vec<Vec<(f64, bool)>> = vec![Vec::new(); labels];
    for (i, item) in items.iter().enumerate() {
        let Some(record) = table.item(run, lang, i) else { continue };
        let predicted = predict(record);
        out.n += 1;
        out.correct += usize::from(predicted.label == item.gold);
        out.ties += usize::from(predicted.tie);
        out.confusion[item.gold][predicted.label] += 1;
        let logs = logs(record);
        if let Some(shift) = &shift {
            let best = argmax(logs.iter().zip(shift).map(|(a, b)| a - b));
            calibrated += usize::from(best.label == item.gold);
        }
        let by = |f: fn(&crate::engine::protocol::LabelLoglik) -> u32| {
            let scores = record.loglik.iter().map(|l| l.sum / f64::from(f(l).max(1)));
            usize::from(argmax(scores).label == item.gold)
        };
        per_token += by(|l| l.tokens);
        per_byte += by(|l| l.bytes);
        let p: Vec<f64> = logs.iter().map(|l| l.exp()).collect();
        for (label, cases) in cases.iter_mut().enumerate() {
            out.label_mass[label] += p[label];
            let others: f64 = p.iter().enumerate().filter(|(l, _)| *l != label).map(|(_, p)| p).sum();
            // No mass on any label says nothing for one.
            let ratio = if p[label] == 0.0 && others == 0.0 { 0.0 } else { logs[label] - others.ln() };
            cases.push((ratio, item.gold == label));
        }
    }
    if out.n == 0 {
        return None;
    }
    let share = |count: usize| count as f64 / out.n as f64;
    let loglik = table.plan.score == Score::Loglik;
    (out.per_token, out.per_byte) = (loglik.then(|| share(per_token)), loglik.then(|| share(per_byte)));
    out.calibrated = shift.map(|_| share(calibrated));
    let aucs: Vec<f64> = cases.iter().filter_map(|c| stats::auc(c)).collect();
    out.auc = mean(aucs.iter().map(|a| Some(*a)));
    out.label_mass.iter_mut().for_each(|m| *m /= out.n as f64);
    out.mass = out.label_mass.iter().sum();
    out.change = (run > 0).then(|| change(&[differences(table, run, lang)], seed)).flatten();
    Some(out)
}

/// Per item that both have answered: right now minus right at first (-1, 0 or 1), with the item's index.
fn differences(table: &Table, run: usize, lang: usize) -> Vec<(usize, f64)> {
    let right = |r: usize, i: usize, gold: usize| {
        table.item(r, lang, i).map(|record| f64::from(u8::from(predict(record).label == gold)))
    };
    let items = table.plan.langs[lang].items.iter().enumerate();
    items
        .filter_map(|(i, item)| Some((item.index, right(run, i, item.gold)? - right(0, i, item.gold)?)))
        .collect()
}

fn mean_change(table: &Table, run: usize, seed: Option<u64>) -> Option<Change> {
    let all: Vec<Vec<(usize, f64)>> = (0..table.plan.langs.len())
        .filter(|l| table.takes_part(*l))
        .map(|lang| differences(table, run, lang))
        .filter(|d| !d.is_empty())
        .collect();
    change(&all, seed)
}

/// The change over languages (or one): mean of the languages' differences.
fn change(langs: &[Vec<(usize, f64)>], seed: Option<u64>) -> Option<Change> {
    let first = langs.first()?;
    let parallel = langs.iter().all(|l| l.iter().map(|(i, _)| i).eq(first.iter().map(|(i, _)| i)));
    // Translations of one item are no independent items: where all languages have the same ones, they are drawn together.
    let strata: Vec<Vec<f64>> = if parallel {
        let together = |i: usize| langs.iter().map(|l| l[i].1).sum::<f64>() / langs.len() as f64;
        vec![(0..first.len()).map(together).collect()]
    } else {
        langs.iter().map(|l| l.iter().map(|(_, d)| *d).collect()).collect()
    };
    let (low, high) = match seed {
        Some(seed) => stats::paired_interval(&strata, seed)?,
        None => (f64::NAN, f64::NAN),
    };
    let accuracy =
        strata.iter().map(|s| s.iter().sum::<f64>() / s.len() as f64).sum::<f64>() / strata.len() as f64;
    let count = |wanted: f64| langs.iter().flatten().filter(|(_, d)| *d == wanted).count();
    let (gained, lost) = (count(1.0), count(-1.0));
    Some(Change { accuracy, low, high, gained, lost, p: stats::mcnemar(gained, lost) })
}
