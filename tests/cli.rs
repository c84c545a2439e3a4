//! The real binary: help, exit statuses, usage messages, pipes, and the commands that need no model.

use serde_json::Value;
use std::io::Read;
use std::process::{Command, Output, Stdio};

fn polylens(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polylens"));
    command.args(args).stdin(Stdio::null()).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
    // Never the user's caches, never the network.
    let nowhere = std::env::temp_dir().join("polylens-no-cache");
    command.env("POLYLENS_CACHE", &nowhere).env("HF_HOME", &nowhere).env("HF_HUB_OFFLINE", "1");
    command
}

fn run(args: &[&str]) -> Output {
    polylens(args).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Runs, expects the status, and returns (stdout, stderr).
fn expect(status: i32, args: &[&str]) -> (String, String) {
    let out = run(args);
    let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
    assert_eq!(out.status.code(), Some(status), "{args:?}\n{stdout}\n{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    (stdout, stderr)
}

#[test]
fn help_of_every_command() {
    let (top, _) = expect(0, &["--help"]);
    let commands = [
        "explore",
        "lens",
        "pca",
        "eval",
        "data",
        "train",
        "merge",
        "models",
        "tasks",
        "sessions",
        "doctor",
        "completions",
    ];
    for command in commands {
        assert!(top.contains(&format!("\n  {command}")), "{command} is not in\n{top}");
        let (help, _) = expect(0, &[command, "--help"]);
        assert!(help.contains("Usage: polylens"), "{help}");
    }
    let (lens, _) = expect(0, &["lens", "--help"]);
    for option in [
        "--text",
        "--top",
        "--track",
        "--task",
        "--lang",
        "--langs",
        "--style",
        "--limit",
        "--items",
        "--layers",
        "--protocol",
        "--model",
        "--adapter",
        "--device",
        "--dtype",
        "--threads",
        "--json",
        "--out",
        "--quiet",
        "--log",
    ] {
        assert!(lens.contains(option), "{option}");
    }
    let (pca, _) = expect(0, &["pca", "--help"]);
    for option in ["--pooling", "--shared-fit", "--seed", "--langs", "--layers"] {
        assert!(pca.contains(option), "{option}");
    }
    assert!(expect(0, &["--version"]).0.starts_with("polylens "));
}

#[test]
fn wrong_usage_is_status_2_and_says_what_is_right() {
    let cases: [(&[&str], &[&str]); 14] = [
        (&["lens"], &["--text", "--task"]),
        (&["lens", "--text", "a", "--task", "sentiment"], &["cannot be used with"]),
        (&["lens", "--text", "a", "--device", "gpu"], &["gpu", "cuda:N"]),
        (&["lens", "--text", "a", "--dtype", "f8"], &["f8", "bf16", "native"]),
        (&["lens", "--text", "a", "--layers", "x"], &["\"x\" is no layer", "0,6,10-12"]),
        (&["lens", "--text", "a", "--top", "0"], &["\"0\"", "1 to 1000"]),
        (&["lens", "--text", ""], &["empty"]),
        (&["lens", "--text", "a", "--out", "r.pdf"], &[".pdf", ".json .csv .md .svg .png"]),
        (&["lens", "--text", "a", "--out", "r.tex"], &["no .tex form", ".json .csv .md .svg .png"]),
        (&["lens", "--task", "sentiment", "--lang", "xx"], &["xx", "en"]),
        (&["pca", "--langs", ","], &["language"]),
        (&["lens", "--text", "a", "--limit", "3"], &["--limit"]),
        (&["pca", "--pooling", "median"], &["median", "mean", "last", "query"]),
        (&["pca", "--task", "no-such-task"], &["no-such-task", "sentiment"]),
    ];
    for (args, said) in cases {
        let (stdout, stderr) = expect(2, args);
        assert_eq!(stdout, "", "{args:?}");
        for word in said {
            assert!(stderr.contains(word), "{args:?}: {word} is not in {stderr}");
        }
    }
}

#[test]
fn an_unwritable_result_is_said_before_anything_is_loaded() {
    let (_, stderr) = expect(1, &["lens", "--text", "a", "--model", "/no/such", "--out", "/no/dir/r.json"]);
    assert!(stderr.contains("/no/dir") && !stderr.contains("/no/such"), "{stderr}");
    let (_, stderr) = expect(1, &["lens", "--text", "a", "--log", "/no/dir/log"]);
    assert!(stderr.contains("--log /no/dir/log"), "{stderr}");
}

#[test]
fn what_is_no_model_is_one_clear_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.gguf");
    std::fs::write(&bad, b"GGUF\x03\0\0\0").unwrap();
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for path in [bad.to_str().unwrap(), empty.to_str().unwrap()] {
        let (stdout, stderr) = expect(1, &["lens", "--text", "a", "--model", path]);
        assert_eq!(stdout, "");
        assert!(stderr.starts_with("error: ") && stderr.contains(path), "{stderr}");
    }
    let (_, stderr) = expect(2, &["lens", "--text", "a", "--model", "gemma-3-270"]);
    assert!(stderr.contains("gemma-3-270m"), "{stderr}");
}

#[test]
fn a_closed_pipe_is_success() {
    let mut child =
        polylens(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success(), "{stderr}");
    assert_eq!(stderr, "");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (script, _) = expect(0, &["completions", shell]);
        assert!(script.contains("doctor") && script.contains("shared-fit"), "{shell}");
    }
    assert!(expect(2, &["completions", "tcsh"]).1.contains("tcsh"));
}

#[test]
fn doctor_tells_what_is_there() {
    let (table, stderr) = expect(0, &["doctor"]);
    for word in ["threads", "cpu:", "cuda:", "python3", "NO_COLOR set", "no terminal"] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }
    assert_eq!(stderr, "");
    let v: Value = serde_json::from_str(&expect(0, &["doctor", "--json"]).0).unwrap();
    assert_eq!(v["schema"], "polylens.doctor/1");
    assert!(v["threads"].as_u64().unwrap() >= 1);
    assert_eq!(v["devices"][0]["usable"], true);
    assert_eq!(v["devices"][1]["built_in"], cfg!(feature = "cuda"));
    assert_eq!(v["terminal"]["no_color"], true);
    assert!(v["caches"][0]["path"].as_str().unwrap().ends_with("polylens-no-cache"));
    let out = polylens(&["doctor", "--json"])
        .env("LC_ALL", "C")
        .env("POLYLENS_PYTHON", "/no/python")
        .output()
        .unwrap();
    let v: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&v["terminal"]["utf8"], &v["python"]["found"]), (&Value::Bool(false), &Value::Bool(false)));
    assert_eq!(v["advice"].as_array().unwrap().len(), 2, "{v}");
}

#[test]
fn doctor_measures_the_machine() {
    let v: Value = serde_json::from_str(&expect(0, &["doctor", "--bench", "--json"]).0).unwrap();
    let speed = &v["speed"];
    assert!(speed["threads"].as_u64().unwrap() >= 1 && speed["kernels"].is_string(), "{speed}");
    for peak in speed["peaks"].as_array().unwrap() {
        assert!(peak["gflops"].as_f64().unwrap() > 0.0 && peak["instructions"].is_string(), "{peak}");
    }
    assert!(speed["memory_read_gb_s"].as_f64().unwrap() > 0.0);
    let products = speed["products"].as_array().unwrap();
    let count = |weights: &str, arithmetic: &str| {
        products.iter().filter(|p| p["weights"] == weights && p["arithmetic"] == arithmetic).count()
    };
    // Rows of 640 are no whole blocks of Q4_K.
    assert_eq!(["f32", "bf16", "Q5_0", "Q4_K"].map(|w| count(w, "f32")), [4, 4, 4, 2]);
    // Blocks are multiplied in bf16 arithmetic where the processor takes them as they are.
    let blocks = count("Q5_0", "bf16");
    assert!(count("bf16", "bf16") == 4 && (blocks == 0 || blocks == 4), "{blocks}");
    assert_eq!(count("Q4_K", "bf16"), blocks / 2);
    for product in products {
        let positive = |key: &str| product[key].as_f64().is_some_and(|x| x > 0.0);
        assert!(["ms", "gflops", "gb_s", "percent"].iter().all(|k| positive(k)), "{product}");
    }
    assert!(!speed["sentences"].as_array().unwrap().is_empty());
    let v: Value = serde_json::from_str(&expect(0, &["doctor", "--json"]).0).unwrap();
    assert!(v["speed"].is_null());
}

#[test]
fn tasks_are_listed_and_shown() {
    let (table, _) = expect(0, &["tasks", "list"]);
    assert!(table.contains("sentiment") && table.contains("positive, negative"), "{table}");
    let v: Value = serde_json::from_str(&expect(0, &["tasks", "list", "--json"]).0).unwrap();
    assert_eq!(v["tasks"][0]["langs"].as_array().unwrap().len(), 20);
    assert_eq!(v["tasks"][0]["items"], 32);
    let (shown, _) = expect(0, &["tasks", "show", "sentiment", "--lang", "th", "--style", "agnostic"]);
    assert!(shown.contains("\"ox\"") && shown.contains("style agnostic"), "{shown}");
    let v: Value =
        serde_json::from_str(&expect(0, &["tasks", "show", "sentiment", "--lang", "zh", "--json"]).0)
            .unwrap();
    assert!(v["prompt"].as_str().unwrap().ends_with('"'), "the query ends in an open quote");
    assert_eq!(v["words"].as_object().unwrap().len(), 20);
    assert!(expect(2, &["tasks", "show", "sentiment", "--lang", "xx"]).1.contains("xx"));
}

#[test]
fn task_files_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file(
        "good.toml",
        "id = \"mood\"\nlabels = [\"up\", \"down\"]\nfields = [\"input\"]\nseparator = \"\\n\"\n[languages.en]\n\
         item = \"{input}: \\\"{answer}\\\"\"\nlabels = { up = \"up\", down = \"down\" }\nshots = []\n",
    );
    let items = file("items_en.csv", "input,answer\nfine day,up\n\"rain, again\",down\n");
    let (said, _) = expect(0, &["tasks", "check", &good, "--items", &items, "--langs", "en"]);
    assert!(said.contains("no faults") && said.contains("2 items in en"), "{said}");
    let bad = file("bad.toml", "id = \"mood\"\nlabels = [\"up\"]\nlanguage = 3\n");
    let (_, said) = expect(1, &["tasks", "check", &bad]);
    assert!(said.contains("bad.toml:3:"), "{said}");
    let rows = file("rows.csv", "input,answer\nfine day,sideways\n");
    let (_, said) = expect(1, &["tasks", "check", &good, "--items", &rows, "--langs", "en"]);
    assert!(said.contains("rows.csv, row 1") && said.contains("sideways"), "{said}");
    let (_, said) = expect(2, &["lens", "--task", &good, "--lang", "en"]);
    assert!(said.contains("--items"), "{said}");
    expect(1, &["tasks", "check", "/no/such.toml"]);
}

#[test]
fn every_faulty_row_is_named_and_label_words_are_tried_on_a_vocabulary() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let toml = "id = \"x\"\nlabels = [\"good\", \"goodness\"]\nfields = [\"input\"]\nseparator = \"\\n\"\n\
                [languages.en]\nitem = \"{input}: \\\"{answer}\\\"\"\nshots = []\n\
                labels = { good = \"good\", goodness = \"goodness\" }\n";
    std::fs::write(path("x.toml"), toml).unwrap();
    let rows = "{\"input\":\"a\",\"answer\":\"good\"}\n{\"text\":\"b\",\"answer\":\"good\"}\n{\"input\":\"c\",\"answer\":\"bad\"}\n[1]\nnot json\n";
    std::fs::write(path("items.jsonl"), rows).unwrap();
    let (_, stderr) = expect(1, &["tasks", "check", &path("x.toml"), "--items", &path("items.jsonl")]);
    for what in [
        "has 4 faults",
        "row 2 (line 2): there is no \"input\"",
        "row 3 (line 3): the answer \"bad\"",
        "row 4 (line 4)",
        "row 5 (line 5)",
    ] {
        assert!(stderr.contains(what), "{what} is not in\n{stderr}");
    }
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/gemma3");
    let (stdout, _) = expect(0, &["tasks", "check", &path("x.toml"), "--model", model]);
    assert!(stdout.contains("warnings") && stdout.contains("\"good\""), "{stdout}");
}

#[test]
fn training_pairs_are_made_and_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (json, lines) = (path("p.json"), path("p.jsonl"));
    let make = ["data", "pairs", "--task", "nli", "--from", "zh,es", "--out"];
    let (said, _) = expect(0, &[&make[..], &[&json, "--n", "4", "--json"]].concat());
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["schema"], &said["file"]["rows"]), (&"polylens.pairs/1".into(), &8.into()));
    assert_eq!(said["sources"], serde_json::json!({"zh": 4, "es": 4}));
    let rows: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 8);
    let (table, _) = expect(0, &[&make[..], &[&lines, "--format", "alpaca"]].concat());
    assert!(table.contains("zh    en") && table.contains("SHA-256"), "{table}");
    let first = std::fs::read_to_string(&lines).unwrap().lines().next().unwrap().to_owned();
    assert!(first.starts_with("{\"instruction\": ") && first.contains("\"output\": "), "{first}");

    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/llama3");
    let zh = format!("zh={json}");
    let look = ["data", "stats", &zh, &lines, "--model", model, "--cutoff", "100"];
    let (stats, _) = expect(0, &[&look[..], &["--json"]].concat());
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["schema"], "polylens.data/1");
    let rows = stats["rows"].as_u64().unwrap();
    assert!(rows > 8 && stats["over_cutoff"] == rows, "every row is longer than 100 bytes");
    assert_eq!(stats["languages"][0]["lang"], "zh");
    assert_eq!(stats["duplicates"].as_array().unwrap().len(), 8, "the first file's rows are in the second");
    assert!(stats["leaks"].as_array().unwrap().len() as u64 >= 2 * rows, "made of evaluation items");
    let (text, _) = expect(0, &look);
    assert!(text.contains("LEAK: 72 of ") && text.contains("over cut-off"), "{text}");
    for extension in ["csv", "md", "svg"] {
        let out = path(&format!("stats.{extension}"));
        expect(0, &[&look[..], &["--out", &out]].concat());
        assert!(std::fs::metadata(out).unwrap().len() > 100);
    }

    for (args, says) in [
        (&["data", "pairs", "--task", "nli", "--from", "zh", "--out", "x.txt"][..], ".json .jsonl .csv .tsv"),
        (&["data", "pairs", "--task", "nli", "--from", "zh", "--to", "zh", "--out", "x.json"], "zh is both"),
        (&["data", "pairs", "--task", "nli", "--from", "zh", "--n", "0", "--out", "x.json"], "at least 1"),
        (&["data", "stats", "klingon=x.json"], "not one of the 20"),
        (&["data", "stats", &json, "--cutoff", "1"], "--cutoff 1"),
        (&["data", "stats", &json, "--items", "x.json"], "--against"),
        (&["merge", "--out", "x"], "--adapter"),
    ] {
        let (_, error) = expect(2, args);
        assert!(error.contains(says), "{error}");
    }
    let (_, error) = expect(1, &["data", "stats", "no-such.json", "--model", model]);
    assert!(error.contains("no-such.json cannot be opened"), "{error}");
    let (_, error) =
        expect(1, &["data", "pairs", "--task", "nli", "--from", "zh", "--out", "/no/such/x.json"]);
    assert!(error.contains("/no/such/x.json"), "{error}");
}

#[test]
fn a_merge_says_how_near_it_is() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/gemma3");
    let adapter = format!("{model}/adapter_all");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("merged").to_str().unwrap().to_owned();
    let args = ["merge", "--model", model, "--adapter", &adapter, "--out", &out, "--dtype", "f32"];
    let (said, _) = expect(0, &[&args[..], &["--json"]].concat());
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["schema"], "polylens.merge/1");
    assert!(
        said["probe_difference"].as_f64().unwrap() < 1e-4 && said["probe_change"].as_f64().unwrap() > 0.01
    );
    let (_, error) = expect(1, &args);
    assert!(error.contains("not empty"), "{error}");
    let (text, _) = expect(0, &["lens", "--model", &out, "--text", "the cat", "--top", "2"]);
    assert!(text.contains("gemma3"), "{text}");
}
