//! An evaluation as text and as data.

use super::eval::EvalPane;
use crate::app::shared::Shared;
use crate::eval::{LangSummary, Table, predict};
use serde_json::{Map, Value, json};

/// The selected language's numbers, or the selected item with what each run answered: a line each.
pub fn copied(pane: &EvalPane) -> Option<String> {
    let (table, lang) = (pane.table.as_ref()?, pane.lang()?);
    let runs = 0..table.runs.len();
    let lines: Vec<String> = if pane.open {
        let item = lang.items.get(pane.item)?;
        let answers = runs.filter_map(|run| {
            let record = table.item(run, pane.selected, pane.item)?;
            let labels = table.plan.labels.iter().zip(&record.p).map(|(label, p)| format!("{label} {p}"));
            Some(format!("{}\t{}", pane.name(run), labels.collect::<Vec<_>>().join("\t")))
        });
        let first = format!("{}\t{}\t{}", lang.lang, table.plan.labels[item.gold], item.values.join("\t"));
        std::iter::once(first).chain(answers).collect()
    } else {
        let number = |v: Option<f64>| v.map_or("-".to_owned(), |v| v.to_string());
        let line = |run| {
            let l = pane.cell(run, pane.selected)?;
            let (name, auc, calibrated) = (pane.name(run), number(l.auc), number(l.calibrated));
            Some(format!(
                "{}\t{name}\taccuracy {}\tAUC {auc}\tcalibrated {calibrated}\tn {}",
                lang.lang,
                l.accuracy(),
                l.n
            ))
        };
        runs.filter_map(line).collect()
    };
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The whole table, as `polylens eval --json` has it; `complete` says whether all answers are there.
pub fn document(pane: &EvalPane, shared: &Shared) -> Option<Value> {
    let table = pane.table.as_ref().filter(|t| t.progress(None).0 > 0)?;
    let runs: Vec<Value> = (0..table.runs.len())
        .filter_map(|run| {
            let summary = pane.summary.runs.get(run)?;
            let mut languages = Map::new();
            for (l, lang) in table.plan.langs.iter().enumerate() {
                if let Some(cell) = pane.cell(run, l) {
                    languages.insert(lang.lang.clone(), language(table, run, l, cell));
                }
            }
            let adapter = table.runs[run].map(|_| pane.name(run));
            Some(json!({
                "adapter": adapter, "mean": summary.mean, "mean_auc": summary.mean_auc,
                "mean_calibrated": summary.mean_calibrated, "languages": languages,
            }))
        })
        .collect();
    let (there, total) = table.progress(None);
    let plan = &table.plan;
    Some(json!({
        "schema": "polylens.eval/1", "model": shared.model, "task": plan.task, "style": plan.style,
        "protocol": plan.protocol, "score": plan.score, "complete": there == total, "runs": runs,
    }))
}

fn language(table: &Table, run: usize, lang: usize, cell: &LangSummary) -> Value {
    let labels = &table.plan.labels;
    let items = table.plan.langs[lang].items.iter().enumerate().filter_map(|(i, item)| {
        let record = table.item(run, lang, i)?;
        let p: Map<String, Value> = labels.iter().cloned().zip(record.p.iter().map(|p| json!(p))).collect();
        let predicted = &labels[predict(record).label];
        Some(json!({"index": item.index, "gold": labels[item.gold], "predicted": predicted, "p": p}))
    });
    json!({
        "n": cell.n, "correct": cell.correct, "accuracy": cell.accuracy(), "ties": cell.ties,
        "auc": cell.auc, "calibrated": cell.calibrated, "confusion": cell.confusion, "mass": cell.mass,
        "items": items.collect::<Vec<_>>(),
    })
}
