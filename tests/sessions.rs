//! `sessions check` and `sessions verify` of the real binary, on recordings of a tiny fixture model.

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models");

/// A directory with a task of two languages, and a cache of its own. Deleted with the value.
struct Bed {
    dir: tempfile::TempDir,
}

fn model(name: &str) -> String {
    format!("{MODELS}/{name}")
}

impl Bed {
    fn new() -> Self {
        let bed = Self { dir: tempfile::tempdir().unwrap() };
        let mut toml = "id = \"mood\"\nlabels = [\"positive\", \"negative\"]\nfields = [\"input\"]\nseparator = \"\\n\"\n\
                        [styles.agnostic]\npositive = \"ox\"\nnegative = \"horse\"\n"
            .to_owned();
        for (lang, good, bad) in [("en", "positive", "negative"), ("de", "gut", "schlecht")] {
            toml += &format!(
                "[languages.{lang}]\nitem = \"{lang}: {{input}} \\\"{{answer}}\\\"\"\n\
                 shots = [{{ input = \"the cat sat\", answer = \"positive\" }}]\n\
                 labels = {{ positive = \"{good}\", negative = \"{bad}\" }}\n"
            );
            let rows: Vec<Value> = ["a cat", "no dog", "the rain", "tea"]
                .iter()
                .enumerate()
                .map(|(i, t)| json!({"input": t, "answer": if i % 2 == 0 { "positive" } else { "negative" }}))
                .collect();
            std::fs::write(bed.path(&format!("items_{lang}.json")), json!(rows).to_string()).unwrap();
        }
        std::fs::write(bed.path("mood.toml"), toml).unwrap();
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Runs, expects the status, and returns stdout and stderr.
    fn expect(&self, status: i32, args: &[&str]) -> (String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polylens"));
        command.args(args).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
        command.env("POLYLENS_CACHE", self.path("cache")).env("HF_HOME", self.path("cache"));
        let out = command.env("HF_HUB_OFFLINE", "1").output().expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        assert_eq!(out.status.code(), Some(status), "{args:?}\n{stdout}\n{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        (stdout, stderr)
    }

    /// Records a command on the tiny model; `more` names what it does.
    fn record(&self, name: &str, command: &str, more: &[&str]) -> String {
        let (file, gemma) = (self.name(name), model("gemma3"));
        let mut args = vec![command, "--model", &gemma, "--record", &file, "--quiet"];
        args.extend(more);
        self.expect(0, &args);
        file
    }

    fn task(&self) -> [String; 4] {
        ["--task".into(), self.name("mood.toml"), "--items".into(), self.name("items_{lang}.json")]
    }

    fn verify(&self, status: i32, file: &str, more: &[&str]) -> (Value, String) {
        let mut args = vec!["sessions", "verify", file, "--json", "--quiet"];
        args.extend(more);
        let (stdout, stderr) = self.expect(status, &args);
        (serde_json::from_str(&stdout).unwrap_or(Value::Null), stderr)
    }
}

/// Numbers compared of a kind.
fn numbers(document: &Value, kind: &str) -> u64 {
    let kinds = document["result"]["kinds"].as_array().unwrap();
    kinds.iter().filter(|k| k[0] == kind).map(|k| k[1]["numbers"].as_u64().unwrap()).sum()
}

#[test]
fn what_a_model_said_is_confirmed_and_what_it_did_not_say_is_not() {
    let bed = Bed::new();
    let (gemma, adapter) = (model("gemma3"), model("gemma3/adapter_qv"));
    let lens = bed.record("lens.jsonl", "lens", &["--text", "the cat sat", "--adapter", &adapter]);
    let with = ["--model", gemma.as_str(), "--adapter", adapter.as_str()];
    let (document, _) = bed.verify(0, &lens, &with);
    assert_eq!(document["confirmed"], true);
    assert!(numbers(&document, "lens") > 50, "{document:#}");
    assert_eq!(document["result"]["model"]["here"], document["result"]["model"]["recorded"]);

    // An adapter that is not given: the rest is verified, and it is said which one is missing.
    let (less, _) = bed.verify(0, &lens, &with[..2]);
    assert!(numbers(&less, "lens") * 2 == numbers(&document, "lens"), "{less:#}");
    assert!(less["result"]["missing"][0].as_str().unwrap().contains("adapter_qv"), "{less:#}");

    // Another model: refused by its hash, and by its numbers where that is only reported.
    let (_, said) = bed.verify(1, &lens, &["--model", &model("gemma3-softcap")]);
    assert!(said.contains("recorded with other weights"), "{said}");

    // A number that the model did not say.
    let text = std::fs::read_to_string(&lens).unwrap();
    let line = text.lines().position(|l| l.contains("\"lens_done\"")).unwrap();
    let (from, changed) = ("\"entropy_bits\":", bed.name("changed.jsonl"));
    let at = text.match_indices('\n').nth(line - 1).unwrap().0;
    let at = at + text[at..].find(from).unwrap() + from.len();
    std::fs::write(&changed, format!("{}1{}", &text[..at], &text[at..])).unwrap();
    let (document, said) = bed.verify(1, &changed, &with);
    assert_eq!(document["confirmed"], false);
    assert!(said.contains("differ by more than the tolerance"), "{said}");
    let worst = &document["result"]["kinds"][0][1]["worst"];
    assert_eq!(worst["line"], line + 1);
    assert!(worst["place"].as_str().unwrap().contains("layer 0, entropy"), "{worst}");
    bed.verify(0, &changed, &[&with[..], &["--relative", "1000000"]].concat());
}

#[test]
fn evaluations_and_planes_are_computed_anew() {
    let bed = Bed::new();
    let gemma = model("gemma3");
    let task = bed.task();
    let mut more: Vec<&str> = task.iter().map(String::as_str).collect();
    more.extend(["--langs", "en,de"]);
    let pca = bed.record("pca.jsonl", "pca", &more);
    let (document, _) = bed.verify(0, &pca, &["--model", &gemma]);
    assert!(numbers(&document, "pca") > 30, "{document:#}");
    more.extend(["--protocol", "paper"]);
    let eval = bed.record("eval.jsonl", "eval", &more);
    let (document, _) = bed.verify(0, &eval, &["--model", &gemma]);
    // Two languages of four items with two labels, and content-free queries.
    assert!(numbers(&document, "eval records") >= 16, "{document:#}");
    let (first, _) = bed.verify(0, &eval, &["--model", &gemma, "--first", "1"]);
    assert!(numbers(&first, "eval records") <= numbers(&document, "eval records"));
    let (checked, _) = bed.expect(0, &["sessions", "check", "--json", &pca, &eval]);
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(checked["files"][0]["contents"]["pca"], 1);
    assert!(checked["files"][1]["contents"]["scored_query"].as_u64().unwrap() >= 8, "{checked:#}");
}

#[test]
fn check_names_the_line_of_what_is_wrong_and_accepts_a_cut() {
    let bed = Bed::new();
    let file = bed.record("lens.jsonl", "lens", &["--text", "the cat sat"]);
    let text = std::fs::read_to_string(&file).unwrap();
    let (said, _) = bed.expect(0, &["sessions", "check", &file]);
    assert!(said.contains("replays to its end") && said.contains("1 lens"), "{said}");

    let lines = text.lines().count();
    let cut = bed.name("cut.jsonl");
    std::fs::write(&cut, &text[..text.len() - 40]).unwrap();
    let (said, _) = bed.expect(0, &["sessions", "check", &cut]);
    assert!(said.contains(&format!("it ends in the middle of line {lines}")), "{said}");

    let damaged = bed.name("damaged.jsonl");
    let (head, rest) = text.split_once('\n').unwrap();
    std::fs::write(&damaged, format!("{head}\n{{\"t\":0,\"event\":{{\"event\":\"nonsense\"}}}}\n{rest}"))
        .unwrap();
    let (_, said) = bed.expect(1, &["sessions", "check", &damaged]);
    assert!(said.contains("line 2 is damaged") && said.contains("nonsense"), "{said}");
    let (_, said) = bed.expect(1, &["sessions", "check", &file, &damaged, &model("gemma3/config.json")]);
    assert!(said.contains("2 of 3 files") && said.contains("line 1: this is no session"), "{said}");
    let (_, said) = bed.expect(1, &["sessions", "check", &bed.name("none.jsonl")]);
    assert!(said.contains("is not there"), "{said}");
}

#[test]
fn the_first_steps_of_a_training_are_made_again() {
    let bed = Bed::new();
    let row = |i: usize| json!({"input": format!("zh: cat {i}\nTranslate:\n"), "answer": format!("cat {i}")});
    std::fs::write(bed.path("zh.json"), json!((0..40).map(row).collect::<Vec<_>>()).to_string()).unwrap();
    let (data, out) = (format!("zh={}", bed.name("zh.json")), bed.name("run"));
    let (task, items) = (bed.name("mood.toml"), bed.name("items_{lang}.json"));
    let mut more =
        vec!["--data", &data, "--out", &out, "--max-steps", "4", "--lr", "1e-3", "--eval-steps", "2"];
    more.extend([
        "--watch-every",
        "2",
        "--watch-langs",
        "en,de",
        "--watch-task",
        &task,
        "--watch-items",
        &items,
    ]);
    let file = bed.record("train.jsonl", "train", &more);
    let gemma = model("gemma3");
    let with = ["--model", gemma.as_str(), "--steps", "2"];
    let (document, _) = bed.verify(0, &file, &with);
    assert_eq!(numbers(&document, "training steps"), 2 * 4, "{document:#}");
    assert_eq!(numbers(&document, "validations of a training"), 1, "{document:#}");
    // What was rounded for the file is within the tolerance, and not the same.
    for frames in ["frame of step 0", "frames of a training"] {
        assert!(numbers(&document, frames) > 100, "{document:#}");
    }
    let skipped = document["result"]["skipped"].to_string();
    assert!(skipped.contains("training steps after the first 2"), "{skipped}");

    // A loss that the run did not have, and data that are gone.
    let text = std::fs::read_to_string(&file).unwrap();
    let at = text.find("\"loss\":").unwrap() + 7;
    let changed = bed.name("changed.jsonl");
    std::fs::write(&changed, format!("{}9{}", &text[..at], &text[at..])).unwrap();
    let (document, _) = bed.verify(1, &changed, &with);
    assert!(document.to_string().contains("step 1, loss"), "{document:#}");
    std::fs::remove_file(bed.path("zh.json")).unwrap();
    let (document, _) = bed.verify(0, &file, &with);
    assert!(document["result"]["skipped"].to_string().contains("its data are not here"), "{document:#}");
    assert_eq!(numbers(&document, "training steps"), 0, "only what was before the first step is confirmed");
}
