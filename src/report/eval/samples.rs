//! Per-item records in the form of lm-evaluation-harness's `samples_*.jsonl` (its `--log_samples`), for the tools that
//! read those: a multiple-choice task whose choices are the label words.
//!
//! Two values have another origin than in the harness: a response's first part is the log of the label's score (with
//! `prefix-set` the summed probability of its token set), and the second says whether the label is the arg-max among
//! the labels, not among all tokens.

use super::EvalReport;
use crate::engine::fingerprint::text_hash;
use crate::engine::protocol::{EvalItem, EvalRecord};
use crate::error::{Context, Result};
use crate::eval::predict;
use crate::report::json::Ordered;
use crate::report::output::write_whole;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// One line; the keys in the harness's order.
#[derive(Serialize)]
struct Sample<'a> {
    doc_id: usize,
    doc: Ordered<&'a str, &'a str>,
    /// Index of the gold label, as text.
    target: String,
    arguments: Ordered<String, Arguments<'a>>,
    resps: Vec<[(String, &'static str); 1]>,
    filtered_resps: Vec<(String, &'static str)>,
    filter: &'static str,
    metrics: [&'static str; 1],
    doc_hash: String,
    prompt_hash: String,
    target_hash: String,
    acc: f64,
}

#[derive(Serialize)]
struct Arguments<'a> {
    /// The whole prompt.
    arg_0: &'a str,
    /// The label's word.
    arg_1: &'a str,
}

/// The records of one run in one language, a line each, in the items' order; items without an answer are left out.
///
/// # Errors
/// When a record cannot be serialised.
pub fn lines(report: &EvalReport, run: usize, lang: usize) -> Result<String> {
    let mut out = String::new();
    for (i, item) in report.plan().langs[lang].items.iter().enumerate() {
        if let Some(record) = report.table.item(run, lang, i) {
            out += &line(report, lang, item, record)?;
            out.push('\n');
        }
    }
    Ok(out)
}

fn line(report: &EvalReport, lang: usize, item: &EvalItem, record: &EvalRecord) -> Result<String> {
    let plan = report.plan();
    let language = &plan.langs[lang];
    let prompt = [language.prefix.as_str(), &item.text].concat();
    let fields = plan.fields.iter().zip(&item.values).filter(|(field, _)| *field != "answer");
    let mut doc: Vec<(&str, &str)> = fields.map(|(f, v)| (f.as_str(), v.as_str())).collect();
    doc.push(("answer", &plan.labels[item.gold]));
    let doc = Ordered(doc);
    let predicted = predict(record).label;
    let target = item.gold.to_string();
    let response = |label: usize| {
        let log = match record.loglik.get(label) {
            Some(l) => l.sum,
            None => f64::from(record.p[label]).ln(),
        };
        // As Python writes them: "-1.0", "-inf", "True".
        (format!("{log:?}"), if label == predicted { "True" } else { "False" })
    };
    let responses: Vec<(String, &str)> = (0..plan.labels.len()).map(response).collect();
    let argument =
        |i: usize| (format!("gen_args_{i}"), Arguments { arg_0: &prompt, arg_1: &language.words[i] });
    let pretty = serde_json::to_string_pretty(&doc).context("cannot write a sample")?;
    let sample = Sample {
        doc_id: item.index,
        doc_hash: text_hash(&pretty),
        doc,
        prompt_hash: text_hash(&prompt),
        target_hash: text_hash(&target),
        target,
        arguments: Ordered((0..language.words.len()).map(argument).collect()),
        resps: responses.iter().cloned().map(|r| [r]).collect(),
        filtered_resps: responses,
        filter: "none",
        metrics: ["acc"],
        acc: f64::from(u8::from(predicted == item.gold)),
    };
    serde_json::to_string(&sample).context("cannot write a sample")
}

/// Writes `DIR/<run>/samples_<task>_<lang>.jsonl` for every run and language that has answers, making the directories;
/// each file is complete or not there. Returns the files written.
///
/// # Errors
/// Where a directory or file cannot be written, naming it.
pub fn write(dir: &Path, report: &EvalReport) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    let names = distinct((0..report.table.runs.len()).map(|r| report.run_name(r)));
    let codes = distinct(report.plan().langs.iter().map(|l| l.lang.as_str()));
    let task = safe_name(&report.plan().task);
    for (r, name) in names.iter().enumerate() {
        let folder = dir.join(name);
        for (l, code) in codes.iter().enumerate() {
            if report.cell(r, l).is_none() {
                continue;
            }
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            let path = folder.join(format!("samples_{task}_{code}.jsonl"));
            write_whole(&path, lines(report, r, l)?.as_bytes())?;
            out.push(path);
        }
    }
    Ok(out)
}

/// Longest file name in bytes, so that a prefix and an extension fit into the usual 255.
const LONGEST: usize = 100;

/// A name that is one harmless path component on every system: letters, digits, `-`, `_` and inner dots stay, all else
/// becomes `_`.
pub fn safe_name(name: &str) -> String {
    let mut out = String::new();
    for c in name.trim().chars() {
        let c = if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        if out.len() + c.len_utf8() > LONGEST {
            break;
        }
        // No hidden files, and no `..`.
        out.push(if c == '.' && out.is_empty() { '_' } else { c });
    }
    while out.ends_with('.') {
        out.pop();
    }
    if out.is_empty() { "_".into() } else { out }
}

/// Safe names, the second of a kind with `-2` and so on; upper and lower case count as the same.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for name in names {
        let safe = safe_name(name);
        let taken = |n: &String| out.iter().any(|o| o.to_lowercase() == n.to_lowercase());
        let numbered = (2..).map(|i| format!("{safe}-{i}"));
        let free = std::iter::once(safe.clone()).chain(numbered).find(|n| !taken(n));
        out.push(free.unwrap_or(safe));
    }
    out
}
