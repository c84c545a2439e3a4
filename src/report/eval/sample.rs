//! Hand-made evaluations for the tests: any languages, labels and runs; scores from a small generator.

use super::EvalReport;
use crate::engine::protocol::*;
use crate::eval::{Summary, Table, summarise};
use crate::report::{Source, sample};

/// All that a report borrows.
pub struct World {
    pub model: ModelInfo,
    pub adapters: Vec<AdapterInfo>,
    pub table: Table,
    pub summary: Summary,
}

pub const TWENTY: &str = "en zh de fr es it nl ja ru sv sl pl bg no ms is hi th sw bn";

/// Numbers in 0..1 that look random.
fn noise(seed: usize) -> f64 {
    let x = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995;
    ((x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / f64::from(1 << 24)
}

fn set(word: &str, ids: &[u32], removed: &[u32]) -> TokenSet {
    let removed = removed.iter().map(|id| TokenText { id: *id, text: format!("t{id}") }).collect();
    TokenSet { word: word.into(), ids: ids.to_vec(), removed }
}

fn plan(langs: &[&str], labels: &[&str], n: usize, score: Score) -> EvalPlan {
    let item = |i: usize| EvalItem {
        index: i,
        text: format!("text {i}\nanswer: \""),
        gold: i % labels.len(),
        values: vec![format!("text {i}")],
    };
    let lang = |code: &&str| EvalLang {
        lang: (*code).to_owned(),
        prefix: "shot\n".into(),
        head: String::new(),
        words: labels.iter().map(|l| format!("{l}-{code}")).collect(),
        items: (0..n).map(item).collect(),
        free: vec!["N/A: \"".into()],
    };
    EvalPlan {
        task: "sentiment".into(),
        labels: labels.iter().map(|l| (*l).to_owned()).collect(),
        fields: vec!["input".into()],
        style: Style::English,
        protocol: Protocol::Default,
        score,
        langs: langs.iter().map(lang).collect(),
    }
}

impl World {
    /// `runs` runs over `n` items in each language. Later runs and earlier languages are better.
    pub fn new(langs: &[&str], labels: &[&str], n: usize, runs: usize, score: Score) -> Self {
        let plan = plan(langs, labels, n, score);
        let sets: Vec<TokenSet> =
            labels.iter().enumerate().map(|(i, l)| set(l, &[i as u32, 10 + i as u32], &[7])).collect();
        let sets = EvalSets { sets, ..EvalSets::default() };
        let table = Table::new(plan, vec![sets; langs.len()], (0..runs).map(|r| r.checked_sub(1)).collect());
        let base = sample::adapters().remove(0);
        let named = |i: usize| AdapterInfo {
            name: if i == 0 { base.name.clone() } else { format!("adapter-{i}") },
            ..base.clone()
        };
        let adapters = (0..runs.saturating_sub(1)).map(named).collect();
        let mut world = Self { model: sample::model(), adapters, table, summary: Summary::default() };
        for r in 0..runs {
            for l in 0..langs.len() {
                for slot in 0..=n {
                    world.table.insert(world.record(r, l, slot));
                }
            }
        }
        world.summarise();
        world
    }

    pub fn summarise(&mut self) {
        self.summary = summarise(&self.table, 3);
    }

    fn record(&self, r: usize, l: usize, slot: usize) -> EvalRecord {
        let labels = self.table.plan.labels.len();
        let gold = slot.checked_sub(1).map(|i| self.table.plan.langs[l].items[i].gold);
        let skill = 0.55 + 0.12 * r as f64 - 0.02 * l as f64;
        let score = |label: usize| {
            let right = if gold == Some(label) { skill.max(0.05) } else { 0.0 };
            let bias = if label == 0 { 0.03 * (l as f64 - 4.0) } else { 0.0 };
            (0.1 + right + bias + noise(((slot * 31 + l) * 7 + label) * 5 + r)).max(0.0)
        };
        let scores: Vec<f64> = (0..labels).map(score).collect();
        let p: Vec<f32> =
            scores.iter().map(|s| (0.9 * s / (0.2 + scores.iter().sum::<f64>())) as f32).collect();
        let loglik = match self.table.plan.score {
            Score::PrefixSet => Vec::new(),
            Score::Loglik => p
                .iter()
                .enumerate()
                .map(|(i, p)| LabelLoglik {
                    sum: f64::from(*p).ln(),
                    tokens: 1 + i as u32,
                    bytes: 8 - i as u32,
                })
                .collect(),
        };
        EvalRecord { run: self.table.runs[r], lang: l, slot, p, loglik }
    }

    /// Leaves a language out, as if its label words shared all their tokens.
    pub fn refuse(&mut self, lang: usize, reason: &str) {
        self.table.sets[lang].refused = Some(reason.into());
        self.summarise();
    }

    pub fn report(&self) -> EvalReport<'_> {
        EvalReport {
            source: Source { model: &self.model, adapters: &self.adapters },
            table: &self.table,
            summary: &self.summary,
            seed: 3,
            elapsed_ms: Some(1234.5),
            computed: 7,
        }
    }
}
