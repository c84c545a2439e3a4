//! The long table: one number a line.

use super::{Collected, Data, Train};
use crate::engine::protocol::{Command, Curves, CurvesRun, EvalPlan, LensAnswer, Measure, PcaAnswer, RunId};
use crate::error::Result;
use crate::report::curves::CURVES;
use crate::report::table::{Align, Table};
use std::collections::BTreeMap;

/// What does not apply is empty. `run`: `base`, an adapter's name or, for the frames of a training run, `adapter`.
/// `of`: the token, label, word or pair of languages that a value belongs to; `rank` is its place in a list, from 1.
pub const COLUMNS: [&str; 15] = [
    "t_ms", "job", "kind", "run", "lang", "item", "layer", "position", "step", "measure", "of", "rank",
    "value", "low", "high",
];

/// The cells of a line, those that are the same for many kept from line to line.
#[derive(Clone, Default)]
struct Row<'a> {
    t: u64,
    job: u64,
    kind: &'a str,
    run: &'a str,
    lang: &'a str,
    item: String,
    layer: String,
    position: String,
    step: String,
}

struct Rows {
    table: Table,
}

impl Rows {
    fn add(&mut self, row: &Row, measure: &str, of: &str, rank: &str, value: String) {
        self.whole(row, measure, of, rank, value, ["".into(), "".into()]);
    }

    fn value(&mut self, row: &Row, measure: &str, value: impl ToString) {
        self.add(row, measure, "", "", value.to_string());
    }

    fn whole(&mut self, row: &Row, measure: &str, of: &str, rank: &str, value: String, bounds: [String; 2]) {
        let [low, high] = bounds;
        let (t, job) = (row.t.to_string(), row.job.to_string());
        let head = [t.as_str(), &job, row.kind, row.run, row.lang];
        let place = [&row.item, &row.layer, &row.position, &row.step].map(String::as_str);
        self.table.row(head.iter().chain(&place).copied().chain([measure, of, rank, &value, &low, &high]));
    }
}

pub(super) fn csv(all: &Collected) -> Result<String> {
    let mut rows = Rows { table: Table::new(COLUMNS.map(|c| (c, Align::Left))) };
    let name = |run: RunId| match run {
        None => "base",
        Some(i) => all.adapters.get(&i).map_or("adapter", String::as_str),
    };
    for answer in &all.answers {
        let row = Row { t: answer.t, job: answer.job, ..Row::default() };
        match &answer.data {
            Data::Model(info) => {
                let row = Row { kind: "model", run: "base", ..row };
                rows.value(&row, "layers", info.layers);
                rows.value(&row, "logits_check", info.logits_check);
            }
            Data::Adapter { info, .. } => {
                let row = Row { kind: "adapter", run: &info.name, ..row };
                rows.value(&row, "probe_change", info.probe_change);
                for (i, norm) in info.delta_norms.iter().enumerate() {
                    rows.value(&Row { layer: (i + 1).to_string(), ..row.clone() }, "delta_norm", norm);
                }
            }
            Data::Lens(lens) => self::lens(&mut rows, &Row { kind: "lens", ..row }, lens, &name),
            Data::Cell { run, detail } => {
                let (layer, position) = (detail.layer.to_string(), detail.position.to_string());
                let row = Row { kind: "cell", run: name(*run), layer, position, ..row };
                rows.value(&row, "entropy_bits", detail.entropy_bits);
                let lists = [
                    ("residual", &detail.residual),
                    ("after_attention", &detail.after_attention),
                    ("mlp_output", &detail.mlp_output),
                ];
                for (measure, list) in lists {
                    for (rank, t) in list.iter().enumerate() {
                        rows.add(&row, measure, &t.text, &(rank + 1).to_string(), t.p.to_string());
                    }
                }
            }
            Data::Grid { run, columns } => {
                for (position, cells) in columns {
                    for (k, cell) in cells.iter().enumerate() {
                        let (layer, position) = (k.to_string(), position.to_string());
                        let row = Row { kind: "grid", run: name(*run), layer, position, ..row.clone() };
                        rows.add(&row, "top", &cell.token.text, "1", cell.token.p.to_string());
                        rows.value(&row, "entropy_bits", cell.entropy_bits);
                    }
                }
            }
            Data::Curves { lang, answer, .. } => {
                for run in &answer.runs {
                    let row = Row { kind: "curves", run: name(run.run), lang, ..row.clone() };
                    curves(&mut rows, &row, run);
                }
            }
            Data::Pca { answer, .. } => pca(&mut rows, &Row { kind: "pca", ..row }, answer, &name),
            Data::Eval { records, .. } => {
                let plan = match &answer.command {
                    Some(Command::Eval { request, .. }) => Some(&request.plan),
                    _ => None,
                };
                for r in records {
                    let (lang, item) = place(plan, r.lang, r.slot);
                    let row = Row { kind: "eval", run: name(r.run), lang, item, ..row.clone() };
                    let label = |i: usize| match plan.and_then(|p| p.labels.get(i)) {
                        Some(label) => label.clone(),
                        None => i.to_string(),
                    };
                    for (i, p) in r.p.iter().enumerate() {
                        rows.add(&row, "p", &label(i), "", p.to_string());
                    }
                    for (i, l) in r.loglik.iter().enumerate() {
                        rows.add(&row, "loglik", &label(i), "", l.sum.to_string());
                    }
                }
            }
            Data::Train(train) => self::train(&mut rows, &Row { kind: "train", ..row }, train),
            Data::Log { records } => {
                for r in records {
                    let step = r.step.map_or(String::new(), |s| s.to_string());
                    let row = Row { kind: "log", step, ..row.clone() };
                    let values = [
                        ("loss", r.loss),
                        ("eval_loss", r.eval_loss),
                        ("lr", r.lr),
                        ("epoch", r.epoch),
                        ("grad_norm", r.grad_norm),
                        ("elapsed_s", r.elapsed_s),
                    ];
                    for (measure, value) in values.into_iter().filter_map(|(m, v)| Some((m, v?))) {
                        rows.value(&row, measure, value);
                    }
                }
            }
        }
    }
    rows.table.csv()
}

/// Language and item of an evaluation's slot; without the plan, their numbers. Content-free queries are `free`.
fn place(plan: Option<&EvalPlan>, lang: usize, slot: usize) -> (&str, String) {
    let Some(lang) = plan.and_then(|p| p.langs.get(lang)) else { return ("", format!("slot {slot}")) };
    let item = slot.checked_sub(lang.free.len()).and_then(|i| lang.items.get(i));
    (&lang.lang, item.map_or_else(|| "free".into(), |i| i.index.to_string()))
}

fn lens<'a>(rows: &mut Rows, row: &Row<'a>, answer: &LensAnswer, name: &dyn Fn(RunId) -> &'a str) {
    for run in &answer.runs {
        for l in &run.layers {
            let row = Row { run: name(run.run), layer: l.layer.to_string(), ..row.clone() };
            rows.value(&row, "entropy_bits", l.entropy_bits);
            if let Some(kl) = l.kl_bits {
                rows.value(&row, "kl_bits", kl);
            }
            if let Some(energy) = l.energy {
                rows.value(&row, "energy", energy);
            }
            if let Some(rank) = l.gold_rank {
                rows.value(&row, "gold_rank", rank);
            }
            if let Some(c) = &l.curves {
                four(rows, &row, c);
            }
            for (set, p) in answer.sets.tracked.iter().zip(&l.tracked) {
                rows.add(&row, "tracked", &set.word, "", p.to_string());
            }
            for (rank, t) in l.top.iter().enumerate() {
                rows.add(&row, "top", &t.text, &(rank + 1).to_string(), t.p.to_string());
            }
        }
    }
}

fn curves(rows: &mut Rows, row: &Row, run: &CurvesRun) {
    for item in &run.items {
        for p in &item.layers {
            let row = Row { item: item.index.to_string(), layer: p.layer.to_string(), ..row.clone() };
            four(rows, &row, &p.curves);
            rows.value(&row, "entropy_bits", p.entropy_bits);
        }
    }
}

fn four(rows: &mut Rows, row: &Row, c: &Curves) {
    let values = [c.en, c.target, c.all_possible_latent, c.all_possible_out];
    for ((measure, _), value) in CURVES.iter().zip(values) {
        rows.value(row, measure, value);
    }
}

fn pca<'a>(rows: &mut Rows, row: &Row<'a>, answer: &PcaAnswer, name: &dyn Fn(RunId) -> &'a str) {
    for run in &answer.runs {
        for l in &run.layers {
            let row = Row { run: name(run.run), layer: l.layer.to_string(), ..row.clone() };
            for (i, ratio) in l.explained_variance_ratio.iter().enumerate() {
                rows.value(&row, &format!("explained_variance_ratio_pc{}", i + 1), ratio);
            }
            for (lang, points) in &l.points {
                for (i, point) in points.iter().enumerate() {
                    let row = Row { lang, item: i.to_string(), ..row.clone() };
                    for (measure, value) in ["pc1", "pc2"].iter().zip(point) {
                        rows.value(&row, measure, value);
                    }
                }
            }
            for (pair, r) in &l.pearson {
                rows.add(&row, "pearson", pair, "", r.to_string());
            }
            measures(rows, &row, "cka", &l.cka);
            measures(rows, &row, "cosine_gap", &l.cosine_gap);
            measures(rows, &row, "mexa", &l.mexa);
        }
    }
}

/// Values with their intervals, and those of shuffled pairs.
fn measures(rows: &mut Rows, row: &Row, measure: &str, all: &BTreeMap<String, Measure>) {
    for (pair, m) in all {
        rows.whole(row, measure, pair, "", m.value.to_string(), [m.low.to_string(), m.high.to_string()]);
        rows.add(row, &format!("{measure}_shuffled"), pair, "", m.shuffled.to_string());
    }
}

fn train(rows: &mut Rows, row: &Row, train: &Train) {
    for s in &train.steps {
        let row = Row { step: s.step.to_string(), ..row.clone() };
        let values = [("loss", s.loss), ("lr", s.lr), ("grad_norm", s.grad_norm), ("epoch", s.epoch)];
        for (measure, value) in values.into_iter().chain([("tokens_per_s", s.tokens_per_s)]) {
            rows.value(&row, measure, value);
        }
    }
    for v in &train.validations {
        rows.value(&Row { step: v.step.to_string(), ..row.clone() }, "eval_loss", v.eval_loss);
    }
    for frame in &train.frames {
        let row = Row { step: frame.step.to_string(), ..row.clone() };
        let name = |_: RunId| if frame.base { "base" } else { "adapter" };
        if let Some(answer) = &frame.lens {
            lens(rows, &row, answer, &name);
        }
        if let Some(answer) = &frame.pca {
            pca(rows, &row, answer, &name);
        }
    }
}
