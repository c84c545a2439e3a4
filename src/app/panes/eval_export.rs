//! An evaluation as text and as data.

use super::eval::EvalPane;
use crate::app::shared::Shared;
use crate::engine::protocol::EvalLang;
use crate::eval::{Change, LangSummary, Table, predict};
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

/// The whole table; its names mean what they mean in `polylens eval --json`.
pub fn document(pane: &EvalPane, shared: &Shared) -> Option<Value> {
    let table = pane.table.as_ref().filter(|t| t.progress(None).0 > 0)?;
    let run = |run: usize| {
        let summary = pane.summary.runs.get(run)?;
        let cell = |(l, lang): (usize, &EvalLang)| {
            Some((lang.lang.clone(), language(table, run, l, pane.cell(run, l)?)))
        };
        let languages: Map<String, Value> = table.plan.langs.iter().enumerate().filter_map(cell).collect();
        let adapter = table.runs[run].map(|_| pane.name(run));
        Some(json!({
            "adapter": adapter, "mean": summary.mean, "mean_auc": summary.mean_auc,
            "mean_calibrated": summary.mean_calibrated, "change": summary.change.as_ref().map(change),
            "languages": languages,
        }))
    };
    let runs: Vec<Value> = (0..table.runs.len()).filter_map(run).collect();
    let (there, total) = table.progress(None);
    let plan = &table.plan;
    Some(json!({
        "schema": "polylens.explorer-eval/1", "model": shared.model, "task": plan.task, "style": plan.style,
        "score": plan.score, "protocol": plan.protocol, "labels": plan.labels, "complete": there == total,
        "runs": runs,
    }))
}

fn change(c: &Change) -> Value {
    // An interval that is not drawn yet is null.
    json!({
        "accuracy": c.accuracy, "ci95": [c.low, c.high], "gained": c.gained, "lost": c.lost, "mcnemar_p": c.p,
    })
}

fn language(table: &Table, run: usize, lang: usize, cell: &LangSummary) -> Value {
    let labels = &table.plan.labels;
    let by_label =
        |values: Vec<Value>| -> Map<String, Value> { labels.iter().cloned().zip(values).collect() };
    let items = table.plan.langs[lang].items.iter().enumerate().filter_map(|(i, item)| {
        let record = table.item(run, lang, i)?;
        let predicted = predict(record);
        let p = by_label(record.p.iter().map(|p| json!(p)).collect());
        Some(json!({
            "index": item.index, "gold": labels[item.gold], "predicted": labels[predicted.label],
            "tie": predicted.tie, "p": p,
        }))
    });
    let counts = cell.confusion.iter().map(|row| json!(by_label(row.iter().map(|n| json!(n)).collect())));
    json!({
        "n": cell.n, "correct": cell.correct, "accuracy": cell.accuracy(), "ties": cell.ties,
        "auc": cell.auc, "calibrated_accuracy": cell.calibrated, "mass": cell.mass,
        "confusion": by_label(counts.collect()), "change": cell.change.as_ref().map(change),
        "items": items.collect::<Vec<_>>(),
    })
}
