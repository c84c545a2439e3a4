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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::protocol::Score;
    use crate::report::eval::sample::World;
    use serde_json::{Value, json};

    const TWO: [&str; 2] = ["positive", "negative"];

    #[test]
    fn records_have_the_harness_s_form() {
        let mut world = World::new(&["en"], &TWO, 2, 1, Score::PrefixSet);
        let record =
            EvalRecord { p: vec![0.0, 1.0], ..world.table.record(0, 0, 2).cloned().unwrap_or_default() };
        assert!(world.table.insert(record));
        world.table.plan.langs[0].items[1].values = vec!["say \"hi\"\u{1}\nü".into()];
        world.summarise();
        let text = lines(&world.report(), 0, 0).unwrap();
        assert!(text.ends_with("}\n") && text.lines().count() == 2);
        let line = text.lines().nth(1).unwrap();
        let v: Value = serde_json::from_str(line).unwrap();
        assert_eq!(v["doc_id"], 1);
        assert_eq!(v["doc"], json!({"input": "say \"hi\"\u{1}\nü", "answer": "negative"}));
        assert_eq!(v["target"], "1");
        let arguments = json!({
            "gen_args_0": {"arg_0": "shot\ntext 1\nanswer: \"", "arg_1": "positive-en"},
            "gen_args_1": {"arg_0": "shot\ntext 1\nanswer: \"", "arg_1": "negative-en"},
        });
        assert_eq!(v["arguments"], arguments);
        assert_eq!(v["resps"], json!([[["-inf", "False"]], [["0.0", "True"]]]));
        assert_eq!(v["filtered_resps"], json!([["-inf", "False"], ["0.0", "True"]]));
        assert_eq!((&v["filter"], &v["metrics"], &v["acc"]), (&json!("none"), &json!(["acc"]), &json!(1.0)));
        // Python: sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode()), sha256(prompt), sha256("1").
        assert_eq!(v["doc_hash"], "be0b9d8a23f5f47e2f70b76bb9da174f1c9366a589f789ed0bed4656b1fc03a7");
        assert_eq!(v["prompt_hash"], "b9abfa6df5cc8d337267c0133eef7dfbed89a20417f771f28d8a0811f4006cb5");
        assert_eq!(v["target_hash"], "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b");
        let order: Vec<usize> =
            ["doc_id", "\"doc\"", "target\"", "arguments", "resps", "filter\"", "doc_hash", "\"acc\":"]
                .iter()
                .map(|k| line.find(k).unwrap())
                .collect();
        assert!(order.is_sorted(), "{line}");
    }

    #[test]
    fn whole_labels_give_their_own_logs() {
        let world = World::new(&["en"], &TWO, 1, 1, Score::Loglik);
        let v: Value = serde_json::from_str(lines(&world.report(), 0, 0).unwrap().trim()).unwrap();
        let sum = world.table.item(0, 0, 0).unwrap().loglik[1].sum;
        assert_eq!(v["resps"][1][0][0].as_str().unwrap().parse::<f64>().unwrap(), sum);
    }

    #[test]
    fn one_file_a_run_and_language_and_no_name_leaves_the_directory() {
        let mut world = World::new(&["en", "../zh", "th"], &TWO, 2, 4, Score::PrefixSet);
        world.adapters[0].name = "../../etc/passwd".into();
        world.adapters[1].name = "Base".into();
        world.adapters[2].name = "..".into();
        world.table.plan.task = "a/b".into();
        world.refuse(2, "no");
        let dir = tempfile::tempdir().unwrap();
        let written = write(&dir.path().join("new"), &world.report()).unwrap();
        let shown: Vec<String> = written
            .iter()
            .map(|p| p.strip_prefix(dir.path()).unwrap().to_string_lossy().into_owned())
            .collect();
        let expected: Vec<String> = ["base", "_._.._etc_passwd", "Base-2", "_"]
            .iter()
            .flat_map(|run| ["en", "_._zh"].map(|lang| format!("new/{run}/samples_a_b_{lang}.jsonl")))
            .collect();
        assert_eq!(shown, expected);
        for path in &written {
            assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 2);
            assert_eq!(
                path.canonicalize().unwrap().components().count(),
                dir.path().canonicalize().unwrap().components().count() + 3
            );
        }
        let here = std::fs::read_dir(dir.path().join("new/base")).unwrap().count();
        assert_eq!(here, 2, "no temporary file stays, none for the refused language");
    }

    #[test]
    fn unwritable_places_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("taken");
        std::fs::write(&file, "").unwrap();
        let world = World::new(&["en"], &TWO, 1, 1, Score::PrefixSet);
        let e = write(&file, &world.report()).unwrap_err();
        assert!(e.exit_code() == 1 && e.to_string().contains("taken"), "{e}");
    }

    #[test]
    fn long_and_odd_names_are_cut() {
        assert_eq!(safe_name("zh+es => en"), "zh_es____en");
        assert_eq!(safe_name(" \u{202e}.x. "), "_.x");
        assert!(safe_name(&"é".repeat(400)).len() <= 100);
        assert_eq!(safe_name("..."), "_");
        assert_eq!(safe_name(""), "_");
    }
}
