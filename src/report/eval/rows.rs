//! CSV: one row a run and language.

use super::{EvalReport, protocol_name, score_name};
use crate::error::Result;
use crate::eval::LangSummary;
use crate::report::curves::style_name;
use crate::report::table::{Align, Table};

const FIXED: [&str; 21] = [
    "model",
    "task",
    "style",
    "score",
    "protocol",
    "run",
    "lang",
    "n",
    "correct",
    "accuracy",
    "ties",
    "auc",
    "calibrated_accuracy",
    "accuracy_per_token",
    "accuracy_per_byte",
    "change",
    "change_low",
    "change_high",
    "gained",
    "lost",
    "mcnemar_p",
];

/// Shares are of 1; what does not apply is empty. After the fixed columns, the mass on all labels, and then a label
/// each: share of predictions and mean mass; at the end the confusion counts.
///
/// # Errors
/// As [`Table::csv`].
pub(super) fn csv(report: &EvalReport) -> Result<String> {
    let labels = &report.plan().labels;
    let mut columns: Vec<String> = FIXED.map(String::from).to_vec();
    columns.push("mass".into());
    for kind in ["predicted", "mass"] {
        columns.extend(labels.iter().map(|l| format!("{kind}_{l}")));
    }
    for gold in labels {
        columns.extend(labels.iter().map(|l| format!("gold_{gold}_predicted_{l}")));
    }
    let mut table = Table::new(columns.into_iter().map(|c| (c, Align::Left)));
    for r in 0..report.table.runs.len() {
        for l in 0..report.plan().langs.len() {
            if let Some(summary) = report.cell(r, l) {
                table.row(row(report, r, l, summary));
            }
        }
    }
    table.csv()
}

fn row(report: &EvalReport, r: usize, l: usize, s: &LangSummary) -> Vec<String> {
    let plan = report.plan();
    let names = [
        report.source.model.name.as_str(),
        &plan.task,
        style_name(plan.style),
        score_name(plan.score),
        protocol_name(plan.protocol),
        report.run_name(r),
        report.code(l),
    ];
    let mut out: Vec<String> = names.map(String::from).to_vec();
    let optional = |v: Option<f64>| v.map_or(String::new(), |v| v.to_string());
    out.extend([s.n.to_string(), s.correct.to_string(), s.accuracy().to_string(), s.ties.to_string()]);
    out.extend([s.auc, s.calibrated, s.per_token, s.per_byte].map(optional));
    out.extend(match &s.change {
        Some(c) => [
            c.accuracy.to_string(),
            c.low.to_string(),
            c.high.to_string(),
            c.gained.to_string(),
            c.lost.to_string(),
            c.p.to_string(),
        ],
        None => [const { String::new() }; 6],
    });
    out.push(s.mass.to_string());
    out.extend((0..plan.labels.len()).map(|label| s.predicted_share(label).to_string()));
    out.extend(s.label_mass.iter().map(f64::to_string));
    out.extend(s.confusion.iter().flatten().map(usize::to_string));
    out
}
