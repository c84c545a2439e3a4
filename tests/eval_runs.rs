//! `eval` of the real binary on a tiny fixture model: what is kept, killed, continued, divided and joined.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/gemma3");

/// A task of three languages with short items, and a cache of its own. Deleted with the value.
struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new(items: usize) -> Self {
        let bed = Self { dir: tempfile::tempdir().unwrap() };
        bed.write_task("the cat sat");
        for lang in ["en", "de", "sw"] {
            bed.write_items(lang, items, "");
        }
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write_task(&self, shot: &str) {
        let mut toml = "id = \"mood\"\nlabels = [\"positive\", \"negative\"]\nfields = [\"input\"]\nseparator = \"\\n\"\n\
                        [styles.agnostic]\npositive = \"ox\"\nnegative = \"horse\"\n"
            .to_owned();
        for (lang, good, bad) in
            [("en", "positive", "negative"), ("de", "gut", "schlecht"), ("sw", "zuri", "baya")]
        {
            toml += &format!(
                "[languages.{lang}]\nitem = \"{lang}: {{input}} \\\"{{answer}}\\\"\"\n\
                 shots = [{{ input = \"{shot}\", answer = \"positive\" }}]\n\
                 labels = {{ positive = \"{good}\", negative = \"{bad}\" }}\n"
            );
        }
        std::fs::write(self.path("mood.toml"), toml).unwrap();
    }

    fn write_items(&self, lang: &str, n: usize, more: &str) {
        let words = ["cat", "dog", "house", "rain", "book", "tea", "no", "yes"];
        let text = |i: usize| format!("{} {} {}{more}", words[i % 8], words[i / 8 % 8], i);
        let row = |i: usize| json!({"input": text(i), "answer": if i * 5 % 3 == 1 { "positive" } else { "negative" }});
        let rows: Vec<Value> = (0..n).map(row).collect();
        std::fs::write(self.path(&format!("items_{lang}.json")), json!(rows).to_string()).unwrap();
    }

    fn command(&self, model: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polylens"));
        command.args(["eval", "--task", &self.name("mood.toml"), "--items", &self.name("items_{lang}.json")]);
        command.args(["--model", model, "--protocol", "paper"]).args(more);
        command.stdin(Stdio::null()).env_remove("RUST_BACKTRACE").env("POLYLENS_CACHE", self.path("cache"));
        command.env("HF_HOME", self.path("cache")).env("HF_HUB_OFFLINE", "1");
        command
    }

    fn run(&self, model: &str, more: &[&str]) -> Output {
        self.command(model, more).output().expect("the binary runs")
    }

    /// The document of a run that must succeed.
    fn document(&self, model: &str, more: &[&str]) -> Value {
        let out = self.run(model, &[&["--json"], more].concat());
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    fn refusal(&self, more: &[&str]) -> String {
        let out = self.run(MODEL, more);
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        stderr
    }
}

/// A result file without what may differ: how long it took and how much of it was computed.
fn without_times(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let kept: Vec<&str> =
        text.lines().filter(|l| !l.contains("\"elapsed_ms\"") && !l.contains("\"computed\"")).collect();
    assert_eq!(text.lines().count() - kept.len(), 2);
    // The line before them ends in a comma either way.
    kept.join("\n")
}

#[test]
fn killed_twenty_times_and_continued_the_result_is_the_same_to_the_byte() {
    let bed = Bed::new(700);
    let adapter = format!("{MODEL}/adapter_all");
    let (whole, pieced) = (bed.name("whole.json"), bed.name("pieced.json"));
    bed.document(MODEL, &["--adapter", &adapter, "--fresh", "--out", &whole]);
    let total = (700 + 3) * 3 * 2;
    let mut seed = 7u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / (1u64 << 31) as f64
    };
    let mut lines = 0;
    for kill in 0..20 {
        let mut child = bed
            .command(MODEL, &["--adapter", &adapter, "--out", &pieced])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // At a random moment, but one in twenty of the work further than before at most: every kill meets a run.
        let until = lines + (random() * total as f64 / 21.0) as usize;
        while kept_lines(&bed.path("cache/eval")) <= until && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_secs_f64(0.003 * random()));
        }
        // SIGKILL: nothing is tidied up.
        child.kill().unwrap();
        child.wait().unwrap();
        let count = kept_lines(&bed.path("cache/eval"));
        assert!(count >= lines, "kill {kill}: {count} answers are kept where there were {lines}");
        lines = count;
    }
    assert!(lines > 0, "the kills came before anything was computed");
    let document = bed.document(MODEL, &["--adapter", &adapter, "--out", &pieced]);
    let computed = document["computed"].as_u64().unwrap();
    assert!(0 < computed && computed < total as u64, "{computed} of {total}: no kill met a run");
    assert_eq!(without_times(Path::new(&whole)), without_times(Path::new(&pieced)));
    println!("{lines} of {total} answers were kept before the last run, which computed {computed}");
}

fn kept_lines(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries.map(|e| std::fs::read_to_string(e.unwrap().path()).unwrap().matches('\n').count()).sum()
}

#[test]
fn what_is_kept_is_never_taken_for_anothers() {
    let bed = Bed::new(6);
    let all = (6 + 3) * 3;
    let computed = |model: &str, more: &[&str]| bed.document(model, more)["computed"].as_u64().unwrap();
    assert_eq!(computed(MODEL, &[]), all);
    assert_eq!(computed(MODEL, &[]), 0, "the same again");
    assert_eq!(computed(MODEL, &["--limit", "4", "--langs", "de,en"]), 0, "a part of it");
    assert_eq!(computed(MODEL, &["--fresh"]), all);
    let adapter = format!("{MODEL}/adapter_all");
    assert_eq!(computed(MODEL, &["--adapter", &adapter]), all, "the adapter alone");
    let other = format!("{MODEL}/adapter_qv");
    assert_eq!(computed(MODEL, &["--adapter", &other]), all);
    assert_eq!(computed(MODEL, &["--style", "agnostic"]), all);
    assert_eq!(computed(MODEL, &["--score", "loglik"]), all);
    assert_eq!(computed(MODEL, &["--dtype", "bf16"]), all);
    // The same bytes elsewhere are the same model; one changed number is another.
    let copy = bed.path("model");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(MODEL).unwrap().map(|e| e.unwrap()).filter(|e| e.path().is_file()) {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let copied = copy.to_str().unwrap();
    assert_eq!(computed(copied, &[]), 0);
    let weights = copy.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 0x40;
    std::fs::write(&weights, &bytes).unwrap();
    assert_eq!(computed(copied, &[]), all);
    // An item, then a shot.
    bed.write_items("sw", 6, "!");
    assert_eq!(computed(MODEL, &[]), 6, "the content-free queries of sw are the same");
    bed.write_task("the dog sat");
    assert_eq!(computed(MODEL, &[]), all);
}

#[test]
fn parts_joined_are_the_whole_and_nothing_else_is_joined() {
    let bed = Bed::new(11);
    let adapter = format!("{MODEL}/adapter_qv");
    let whole = bed.name("whole.json");
    bed.document(MODEL, &["--adapter", &adapter, "--out", &whole, "--fresh"]);
    let part = |index: usize, of: usize, name: &str, more: &[&str]| {
        let (shard, out) = (format!("{index}/{of}"), bed.name(name));
        let args = [&["--shard", &shard, "--out", &out, "--fresh"], more].concat();
        let done = bed.run(MODEL, &args);
        assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(done.stdout.is_empty());
        out
    };
    let with = ["--adapter", adapter.as_str()];
    let [a, b, c] = [1, 2, 3].map(|i| part(i, 3, &format!("part{i}.json"), &with));
    let merged = bed.name("merged.json");
    let merge = |files: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polylens"));
        command.arg("eval").arg("--merge").args(files).args(["--out", &merged, "--json"]);
        command.env("POLYLENS_CACHE", bed.path("none")).stdin(Stdio::null()).output().unwrap()
    };
    let out = merge(&[&c, &a, &b]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    // Load times stand in no document, so that the rest is equal to the byte.
    assert_eq!(without_times(Path::new(&whole)), without_times(Path::new(&merged)));

    let refused = |files: &[&str], what: &str| {
        let out = merge(files);
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(what) && !stderr.contains("panicked"), "{stderr}");
    };
    refused(&[&a, &c], "missing: 2");
    refused(&[&a, &b, &c, &b], "both part 2 of 3");
    let foreign = part(2, 3, "foreign.json", &[]);
    refused(&[&a, &foreign, &c], "adapters");
    let styled = part(2, 3, "styled.json", &[&with[..], &["--style", "agnostic"]].concat());
    refused(&[&a, &styled, &c], "style: agnostic here, english there");
    let halves = part(2, 2, "half.json", &with);
    refused(&[&a, &halves, &c], "one of 2 parts");
    refused(&[&a, &whole, &c], "polylens.eval/1");
    let cut = bed.name("cut.json");
    let text = std::fs::read_to_string(&b).unwrap();
    std::fs::write(&cut, &text[..text.len() / 2]).unwrap();
    refused(&[&a, &cut, &c], "cut off");
    let mut tampered: Value = serde_json::from_str(&text).unwrap();
    tampered["records"].as_array_mut().unwrap().pop();
    std::fs::write(&cut, tampered.to_string()).unwrap();
    refused(&[&a, &cut, &c], "damaged");
    tampered = serde_json::from_str(&text).unwrap();
    tampered["records"][0]["slot"] = json!(99_999);
    std::fs::write(&cut, tampered.to_string()).unwrap();
    refused(&[&a, &cut, &c], "damaged");
}

#[test]
fn every_form_of_the_result_is_written() {
    let bed = Bed::new(5);
    for name in ["r.json", "r.csv", "r.md", "r.tex", "r.svg", "r.png"] {
        let out = bed.name(name);
        let samples = bed.name("samples");
        bed.document(
            MODEL,
            &["--adapter", &format!("{MODEL}/adapter_qv"), "--out", &out, "--samples", &samples],
        );
        assert!(std::fs::metadata(&out).unwrap().len() > 200, "{name}");
    }
    let document: Value =
        serde_json::from_str(&std::fs::read_to_string(bed.path("r.json")).unwrap()).unwrap();
    assert_eq!(document["schema"], "polylens.eval/1");
    assert_eq!(document["score"], "prefix-set");
    let de = &document["runs"][1]["languages"]["de"];
    assert_eq!(de["n"], 5);
    let right = de["items"].as_array().unwrap().iter().filter(|i| i["gold"] == i["predicted"]).count();
    assert_eq!(de["correct"].as_u64(), Some(right as u64));
    let samples = std::fs::read_to_string(bed.path("samples/adapter_qv/samples_mood_de.jsonl")).unwrap();
    assert_eq!(samples.lines().count(), 5);

    std::fs::remove_file(bed.path("items_sw.json")).unwrap();
    let stderr = bed.refusal(&[]);
    assert!(stderr.contains("items_sw.json"), "{stderr}");
    let usage = bed.run(MODEL, &["--shard", "4/3"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("there is no part 4"));
    let usage = bed.run(MODEL, &["--shard", "1/3", "--out", "part.csv"]);
    assert_eq!(usage.status.code(), Some(2));
}
