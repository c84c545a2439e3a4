//! `lens` and `pca` of the real binary on the tiny fixture models: shapes of the documents, files, interruption.

use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/gemma3");

fn polylens(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polylens"));
    command.args(args).args(["--model", MODEL]).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
    let nowhere = std::env::temp_dir().join("polylens-no-cache");
    command.env("POLYLENS_CACHE", &nowhere).env("HF_HOME", &nowhere).env("HF_HUB_OFFLINE", "1");
    command
}

fn adapter(name: &str) -> String {
    format!("{MODEL}/{name}")
}

/// A task of our own with short items (the fixture models read 128 tokens).
struct Mood {
    /// Deleted with the value.
    _dir: tempfile::TempDir,
    task: String,
    items: String,
}

impl Mood {
    fn new(n: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut toml = "id = \"mood\"\nlabels = [\"positive\", \"negative\"]\nfields = [\"input\"]\n\
                        separator = \"\\n\"\n"
            .to_owned();
        for (lang, good, bad) in
            [("en", "positive", "negative"), ("de", "gut", "schlecht"), ("sw", "zuri", "baya")]
        {
            toml += &format!(
                "[languages.{lang}]\nitem = \"{{input}}: \\\"{{answer}}\\\"\"\nshots = []\n\
                 labels = {{ positive = \"{good}\", negative = \"{bad}\" }}\n"
            );
            let row = |i: usize| json!({"input": format!("{lang} the cat {i}"), "answer": if i.is_multiple_of(2) { good } else { bad }});
            let rows: Vec<Value> = (0..n).map(row).collect();
            std::fs::write(dir.path().join(format!("items_{lang}.json")), json!(rows).to_string()).unwrap();
        }
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (task, items) = (path("mood.toml"), path("items_{lang}.json"));
        std::fs::write(&task, toml).unwrap();
        Self { _dir: dir, task, items }
    }

    fn args<'a>(&'a self, command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&[command, "--task", &self.task, "--items", &self.items][..], more].concat()
    }
}

fn done(out: &Output) -> String {
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{stderr}");
    String::from_utf8(out.stdout.clone()).unwrap()
}

fn run(args: &[&str]) -> String {
    done(&polylens(args).output().unwrap())
}

fn document(args: &[&str]) -> Value {
    let mut args = args.to_vec();
    args.push("--json");
    serde_json::from_str(&run(&args)).expect("one JSON document alone on stdout")
}

fn keys(v: &Value) -> Vec<&str> {
    v.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn one_text_base_and_adapters() {
    let (qv, all) = (adapter("adapter_qv"), adapter("adapter_all"));
    let args =
        ["lens", "--text", "the cat", "--top", "3", "--track", "the", "--adapter", &qv, "--adapter", &all];
    let v = document(&args);
    assert_eq!(v["schema"], "polylens.lens/1");
    for key in ["name", "architecture", "layers", "hidden", "vocabulary", "dtype", "device", "logits_check"] {
        assert!(!v["model"][key].is_null(), "{key}");
    }
    assert!(v["model"]["logits_check"].as_f64().unwrap() < 1e-3);
    let names: Vec<&Value> = v["runs"].as_array().unwrap().iter().map(|r| &r["adapter"]).collect();
    assert_eq!(names, [&Value::Null, &json!("adapter_qv"), &json!("adapter_all")]);
    let last = v["model"]["layers"].as_u64().unwrap() as usize;
    for run in v["runs"].as_array().unwrap() {
        let layers = run["layers"].as_array().unwrap();
        assert_eq!(layers.len(), last + 1);
        for (k, layer) in layers.iter().enumerate() {
            assert_eq!(layer["layer"], k);
            assert_eq!(layer["top"].as_array().unwrap().len(), 3);
            assert!(layer["entropy_bits"].as_f64().unwrap() >= 0.0);
            assert!(layer["tracked"]["the"]["p"].is_number());
        }
        assert!(layers[last]["kl_bits"].as_f64().unwrap().abs() < 1e-5, "KL of the final layer from itself");
    }
    let top = |run: usize| v["runs"][run]["layers"][last]["top"][0]["p"].as_f64().unwrap();
    assert_ne!(top(0), top(2), "the adapter changes the output");
}

#[test]
fn stdin_and_argument_are_the_same_text() {
    let mut child = polylens(&["lens", "--text", "-", "--json", "--layers", "0,2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"the cat\n").unwrap();
    let piped: Value = serde_json::from_str(&done(&child.wait_with_output().unwrap())).unwrap();
    let typed = document(&["lens", "--text", "the cat", "--layers", "0,2"]);
    assert_eq!(piped["runs"], typed["runs"]);
    assert_eq!(typed["runs"][0]["layers"].as_array().unwrap().len(), 2);
}

#[test]
fn layers_beyond_the_model_are_wrong_usage() {
    let out = polylens(&["lens", "--text", "the", "--layers", "0,99"]).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(stderr.contains("no layer 99") && stderr.contains("(output)"), "{stderr}");
}

#[test]
fn a_task_in_one_language_and_in_several() {
    let mood = Mood::new(5);
    let task = mood.args("lens", &["--limit", "3", "--protocol", "paper"]);
    let v = document(&[&task[..], &["--lang", "en"]].concat());
    assert_eq!(v["schema"], "polylens.curves/1");
    assert_eq!((&v["lang"], &v["style"], &v["n"]), (&json!("en"), &json!("same"), &json!(3)));
    assert_eq!(keys(&v["token_sets"]["latent"]), ["negative", "positive"]);
    let run = &v["runs"][0];
    assert_eq!(run["items"].as_array().unwrap().len(), 3);
    for (layer, means) in run["curves"].as_array().unwrap().iter().enumerate() {
        for curve in ["en", "target", "all_possible_latent", "all_possible_out", "entropy_bits"] {
            let values = (0..3).map(|i| run["items"][i]["layers"][layer][curve].as_f64().unwrap());
            let mean = values.sum::<f64>() / 3.0;
            assert!((means[curve]["mean"].as_f64().unwrap() - mean).abs() < 1e-6, "{layer} {curve}");
            assert!(means[curve]["ci95"].as_f64().unwrap() >= 0.0);
        }
    }
    let many = document(&[&task[..], &["--langs", "en,de"]].concat());
    let langs: Vec<&Value> = many.as_array().unwrap().iter().map(|d| &d["lang"]).collect();
    assert_eq!(langs, [&json!("en"), &json!("de")]);
    assert_eq!(many[0]["runs"], v["runs"]);
}

/// The label words of this language begin with the same letters, so that no token tells them apart.
#[test]
fn refused_comparisons_are_told_once() {
    let mood = Mood::new(2);
    let toml = std::fs::read_to_string(&mood.task).unwrap().replace("\"zuri\"", "\"b\"");
    std::fs::write(&mood.task, toml.replace("\"baya\"", "\"ba\"")).unwrap();
    let rows = json!([{"input": "the cat", "answer": "positive"}]).to_string();
    for lang in ["en", "sw"] {
        std::fs::write(mood.items.replace("{lang}", lang), &rows).unwrap();
    }
    let alone = polylens(&mood.args("lens", &["--lang", "sw"])).output().unwrap();
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert_eq!((alone.status.code(), said.matches("--protocol paper").count()), (Some(1), 1), "{said}");
    let both = document(&mood.args("lens", &["--langs", "en,sw"]));
    assert!(both[1]["refused"].as_str().unwrap().contains("--protocol paper"));
    assert_eq!((both[0]["refused"].is_null(), both[1]["runs"].as_array().unwrap().len()), (true, 0));
}

#[test]
fn pca_of_three_languages() {
    let (mood, qv) = (Mood::new(6), adapter("adapter_qv"));
    let args = mood.args("pca", &["--langs", "en,de,sw", "--layers", "0,2", "--adapter", &qv, "--seed", "7"]);
    let v = document(&args);
    assert_eq!(v["schema"], "polylens.pca/1");
    assert_eq!(
        (&v["langs"], &v["n"], &v["pooling"]),
        (&json!(["en", "de", "sw"]), &json!(6), &json!("mean"))
    );
    for run in v["runs"].as_array().unwrap() {
        let layers: Vec<&Value> = run["layers"].as_array().unwrap().iter().collect();
        assert_eq!(layers.iter().map(|l| l["layer"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 2]);
        for layer in layers {
            assert_eq!(layer["points"]["sw"].as_array().unwrap().len(), 6);
            for measure in ["pearson", "cka", "cosine_gap", "mexa"] {
                assert_eq!(keys(&layer[measure]).len(), 3, "{measure}");
            }
            let ratios = layer["explained_variance_ratio"].as_array().unwrap();
            assert!(ratios.len() == 2 && ratios.iter().all(|r| (0.0..=1.0).contains(&r.as_f64().unwrap())));
        }
    }
    assert_eq!(document(&args)["runs"], v["runs"], "the seed decides");
}

#[test]
fn every_file_format() {
    let (dir, mood) = (tempfile::tempdir().unwrap(), Mood::new(4));
    let commands = [
        vec!["lens", "--text", "the cat", "--track", "the"],
        mood.args("lens", &["--lang", "en", "--protocol", "paper"]),
        mood.args("pca", &["--langs", "en,de", "--layers", "0,2"]),
    ];
    for command in &commands {
        for extension in ["json", "csv", "md", "svg", "png"] {
            let path = dir.path().join(format!("result.{extension}"));
            let table = run(&[&command[..], &["--out", path.to_str().unwrap()]].concat());
            assert!(table.contains("gemma3"), "the table is printed as well: {table}");
            check_file(&path, extension);
        }
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 5, "no temporary file stays");
}

fn check_file(path: &Path, extension: &str) {
    let bytes = std::fs::read(path).unwrap();
    let text = || String::from_utf8(bytes.clone()).unwrap();
    match extension {
        "json" => assert!(serde_json::from_slice::<Value>(&bytes).unwrap()["schema"].is_string()),
        "csv" => {
            let table = text();
            let mut reader = csv::Reader::from_reader(table.as_bytes());
            assert!(reader.records().collect::<Result<Vec<_>, _>>().expect("rectangular").len() > 10);
        }
        "md" => assert!(text().starts_with("# ") && text().contains("| ---: |")),
        "svg" => {
            let svg = text();
            resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
        }
        _ => {
            let image = resvg::tiny_skia::Pixmap::decode_png(&bytes).unwrap();
            assert!(image.width() > 500 && image.height() > 300);
        }
    }
}

#[test]
fn notes_and_log_stay_away_from_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let (log, csv) = (dir.path().join("log"), dir.path().join("r.csv"));
    let files = ["--log", log.to_str().unwrap(), "--out", csv.to_str().unwrap()];
    let args = [&["lens", "--text", "the", "--json"][..], &files].concat();
    let loud = polylens(&args).output().unwrap();
    assert!(String::from_utf8_lossy(&loud.stderr).contains("wrote "));
    let quiet = polylens(&[&args[..], &["--quiet"]].concat()).output().unwrap();
    assert_eq!(quiet.stderr.len(), 0);
    let runs = |out: &Output| serde_json::from_str::<Value>(&done(out)).unwrap()["runs"].clone();
    assert_eq!(runs(&loud), runs(&quiet));
    let lines = std::fs::read_to_string(&log).unwrap();
    assert_eq!(lines.matches("started: ").count(), 2);
    assert_eq!(lines.matches("done in ").count(), 2);
}

/// The log is a FIFO here: reading a line from it means that the command has come so far.
#[cfg(unix)]
#[test]
fn ctrl_c_is_status_130() {
    use std::io::{BufRead, BufReader};
    let (dir, mood) = (tempfile::tempdir().unwrap(), Mood::new(4000));
    let (fifo, out) = (dir.path().join("log"), dir.path().join("r.json"));
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let files = ["--langs", "en,de,sw", "--log", fifo.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let args = mood.args("pca", &files);
    let mut child = polylens(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(std::fs::File::open(&fifo).unwrap());
    let mut line = String::new();
    // This stage begins when the model is loaded and the first batch of items is done.
    while log.read_line(&mut line).unwrap() > 0 && !line.contains("states") {
        line.clear();
    }
    assert!(line.contains("states"), "{line}");
    assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) }, 0);
    // The rest is read, so that the command never waits for the reader.
    std::io::copy(&mut log, &mut std::io::sink()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.stdout.len(), String::from_utf8_lossy(&out.stderr).trim()), (0, "interrupted"));
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "only the FIFO: no result, no temporary file"
    );
}
