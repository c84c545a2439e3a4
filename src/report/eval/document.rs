//! The JSON document, `polylens.eval/1`.

use super::EvalReport;
use crate::engine::protocol::{EvalRecord, EvalSets, Protocol, Score, Style, TokenSet, TokenText};
use crate::error::Result;
use crate::eval::{self, LangSummary};
use crate::report::json::{self, Head, Ordered};
use serde::Serialize;

/// Values by label, in the task's order.
type ByLabel<'a, T> = Ordered<&'a str, T>;
/// Values by language, in the plan's order.
type ByLang<'a, T> = Ordered<&'a str, T>;

/// The times stand last, so that two documents of equal tables differ in their last lines only.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    task: &'a str,
    style: Style,
    score: Score,
    protocol: Protocol,
    seed: u64,
    labels: &'a [String],
    fields: &'a [String],
    /// Whether all answers are there.
    complete: bool,
    /// Languages that the means are over.
    languages_in_mean: usize,
    runs: Vec<Run<'a>>,
    token_sets: ByLang<'a, ByLabel<'a, Set<'a>>>,
    refused: ByLang<'a, &'a str>,
    warnings: ByLang<'a, &'a [String]>,
    elapsed_ms: Option<f64>,
    computed: usize,
}

#[derive(Serialize)]
struct Run<'a> {
    adapter: Option<&'a str>,
    mean: Option<f64>,
    mean_auc: Option<f64>,
    mean_calibrated: Option<f64>,
    change: Option<Change>,
    languages: ByLang<'a, Language<'a>>,
}

/// Against the first run, on the same items.
#[derive(Serialize)]
struct Change {
    accuracy: f64,
    ci95: [f64; 2],
    gained: usize,
    lost: usize,
    mcnemar_p: f64,
}

#[derive(Serialize)]
struct Language<'a> {
    n: usize,
    correct: usize,
    accuracy: f64,
    ties: usize,
    auc: Option<f64>,
    calibrated_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_per_token: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_per_byte: Option<f64>,
    confusion: ByLabel<'a, ByLabel<'a, usize>>,
    predicted_share: ByLabel<'a, f64>,
    mass: f64,
    label_mass: ByLabel<'a, f64>,
    change: Option<Change>,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    index: usize,
    gold: &'a str,
    predicted: &'a str,
    /// The label after calibration; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibrated: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tie: bool,
    p: ByLabel<'a, f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loglik: Option<ByLabel<'a, Loglik>>,
}

#[derive(Serialize)]
struct Loglik {
    sum: f64,
    tokens: u32,
    bytes: u32,
}

#[derive(Serialize)]
struct Set<'a> {
    word: &'a str,
    ids: &'a [u32],
    removed: &'a [TokenText],
}

impl<'a> From<&'a TokenSet> for Set<'a> {
    fn from(set: &'a TokenSet) -> Self {
        Self { word: &set.word, ids: &set.ids, removed: &set.removed }
    }
}

impl From<&eval::Change> for Change {
    fn from(c: &eval::Change) -> Self {
        Self { accuracy: c.accuracy, ci95: [c.low, c.high], gained: c.gained, lost: c.lost, mcnemar_p: c.p }
    }
}

/// The document of a report.
///
/// # Errors
/// When a value cannot be serialised.
pub(super) fn json(report: &EvalReport) -> Result<String> {
    let (plan, table) = (report.plan(), report.table);
    let (done, of) = report.progress();
    let sets = |s: &'_ EvalSets| !s.sets.is_empty();
    json::document(&Document {
        head: Head::new("polylens.eval/1", &report.source),
        task: &plan.task,
        style: plan.style,
        score: plan.score,
        protocol: plan.protocol,
        seed: report.seed,
        labels: &plan.labels,
        fields: &plan.fields,
        complete: done == of,
        languages_in_mean: report.summary.languages,
        runs: (0..table.runs.len()).map(|r| run(report, r)).collect(),
        token_sets: by_lang(report, sets, |s| by_label(report, s.sets.iter().map(Set::from))),
        refused: Ordered(report.refused()),
        warnings: by_lang(report, |s| !s.warnings.is_empty(), |s| s.warnings.as_slice()),
        elapsed_ms: report.elapsed_ms,
        computed: report.computed,
    })
}

fn by_label<'a, T>(report: &EvalReport<'a>, values: impl Iterator<Item = T>) -> ByLabel<'a, T> {
    Ordered(report.plan().labels.iter().map(String::as_str).zip(values).collect())
}

/// A value of the token sets of each language that has one.
fn by_lang<'a, T>(
    report: &EvalReport<'a>,
    has: impl Fn(&EvalSets) -> bool,
    value: impl Fn(&'a EvalSets) -> T,
) -> ByLang<'a, T> {
    let langs = report.plan().langs.iter().zip(&report.table.sets);
    Ordered(langs.filter(|(_, s)| has(s)).map(|(l, s)| (l.lang.as_str(), value(s))).collect())
}

fn run<'a>(report: &EvalReport<'a>, r: usize) -> Run<'a> {
    let summary = report.summary.runs.get(r);
    let of = |l: usize| Some((report.code(l), language(report, r, l, report.cell(r, l)?)));
    Run {
        adapter: report.source.adapter(report.table.runs[r]),
        mean: summary.and_then(|s| s.mean),
        mean_auc: summary.and_then(|s| s.mean_auc),
        mean_calibrated: summary.and_then(|s| s.mean_calibrated),
        change: summary.and_then(|s| s.change.as_ref()).map(Change::from),
        languages: Ordered((0..report.plan().langs.len()).filter_map(of).collect()),
    }
}

fn language<'a>(report: &EvalReport<'a>, r: usize, l: usize, summary: &LangSummary) -> Language<'a> {
    let labels = report.plan().labels.len();
    let counts = |row: &Vec<usize>| by_label(report, row.clone().into_iter());
    let items = report.plan().langs[l].items.len();
    Language {
        n: summary.n,
        correct: summary.correct,
        accuracy: summary.accuracy(),
        ties: summary.ties,
        auc: summary.auc,
        calibrated_accuracy: summary.calibrated,
        accuracy_per_token: summary.per_token,
        accuracy_per_byte: summary.per_byte,
        confusion: by_label(report, summary.confusion.iter().map(counts)),
        predicted_share: by_label(report, (0..labels).map(|label| summary.predicted_share(label))),
        mass: summary.mass,
        label_mass: by_label(report, summary.label_mass.iter().copied()),
        change: summary.change.as_ref().map(Change::from),
        items: (0..items)
            .filter_map(|i| Some(item(report, (r, l, i), report.table.item(r, l, i)?)))
            .collect(),
    }
}

fn item<'a>(report: &EvalReport<'a>, (r, l, i): (usize, usize, usize), record: &EvalRecord) -> Item<'a> {
    let plan = report.plan();
    let label = |index: usize| plan.labels[index].as_str();
    let predicted = eval::predict(record);
    let logliks = record.loglik.iter().map(|x| Loglik { sum: x.sum, tokens: x.tokens, bytes: x.bytes });
    Item {
        index: plan.langs[l].items[i].index,
        gold: label(plan.langs[l].items[i].gold),
        predicted: label(predicted.label),
        calibrated: report.table.calibrated(r, l, i).map(|p| label(p.label)),
        tie: predicted.tie,
        p: by_label(report, record.p.iter().copied()),
        loglik: (!record.loglik.is_empty()).then(|| by_label(report, logliks)),
    }
}
