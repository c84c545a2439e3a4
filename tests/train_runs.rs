//! `train` of the real binary on a tiny fixture model: what is written, killed, resumed, refused.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/gemma3");

/// Rows of two languages, and a cache of its own. Deleted with the value.
struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let bed = Self { dir: tempfile::tempdir().unwrap() };
        bed.write_rows("zh", 60);
        bed.write_rows("es", 40);
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write_rows(&self, lang: &str, n: usize) {
        let words = ["cat", "dog", "house", "rain", "book", "tea", "no"];
        let row = |i: usize| {
            let text = format!("{} {} {i}", words[i % 7], words[i / 7 % 7]);
            json!({"input": format!("{lang}: {text}\nTranslate the input from {lang} to English:\n"), "answer": text})
        };
        let rows: Vec<Value> = (0..n).map(row).collect();
        std::fs::write(self.path(&format!("{lang}.json")), json!(rows).to_string()).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polylens"));
        command.arg("train").args(args).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
        command.env("POLYLENS_CACHE", self.path("cache"));
        command.env("HF_HOME", self.path("cache")).env("HF_HUB_OFFLINE", "1");
        command
    }

    /// A new run in `out`.
    fn start(&self, out: &str, more: &[&str]) -> Command {
        let (zh, es) = (format!("zh={}", self.name("zh.json")), format!("es={}", self.name("es.json")));
        let mut command = self.command(&["--model", MODEL, "--data", &zh, "--data", &es]);
        command.args(["--out", &self.name(out), "--threads", "2"]).args(more);
        let usual =
            [("--lr", "1e-3"), ("--save-steps", "3"), ("--eval-steps", "4"), ("--logging-steps", "2")];
        for (option, value) in usual.into_iter().filter(|(option, _)| !more.contains(option)) {
            command.args([option, value]);
        }
        command
    }

    fn resume(&self, out: &str, more: &[&str]) -> Command {
        let mut command = self.command(&["--resume", &self.name(out)]);
        command.args(more);
        command
    }
}

fn stderr(out: &Output) -> String {
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[track_caller]
fn done(mut command: Command) -> Output {
    let out = command.output().expect("the binary runs");
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    out
}

#[track_caller]
fn refused(mut command: Command, code: i32, parts: &[&str]) -> String {
    let out = command.output().expect("the binary runs");
    let text = stderr(&out);
    assert_eq!(out.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    text
}

fn weights(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("adapter_model.safetensors")).unwrap()
}

fn lines(path: &Path) -> usize {
    std::fs::read(path).map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count())
}

#[test]
fn killed_ten_times_and_resumed_the_weights_are_the_same_to_the_bit() {
    let bed = Bed::new();
    let more = ["--epochs", "4", "--targets", "all", "--dropout", "0.1", "--batch-size", "4"];
    done(bed.start("whole", &more));
    let pieced = bed.path("pieced");
    let mut seed = 11u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / (1u64 << 31) as f64
    };
    let (mut met, total) = (0, 4.0 * 24.0 / 2.0);
    for kill in 0..10 {
        let begun = pieced.join("training.json").is_file();
        let mut command = if begun { bed.resume("pieced", &[]) } else { bed.start("pieced", &more) };
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // At a random moment: from before the first step to a tenth of the run further than the log was before.
        let log = pieced.join("trainer_log.jsonl");
        let until = (f64::from(kill) + random()) * total / 11.0;
        let began = Instant::now();
        while (lines(&log) as f64) < until
            && child.try_wait().unwrap().is_none()
            && began.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_secs_f64(0.004 * random()));
        }
        std::thread::sleep(Duration::from_secs_f64(0.02 * random()));
        // SIGKILL: nothing is tidied up.
        child.kill().unwrap();
        met += usize::from(child.wait().unwrap().code().is_none());
    }
    assert!(met >= 8, "only {met} of 10 kills met a run");
    done(bed.resume("pieced", &[]));
    let whole = bed.path("whole");
    assert_eq!(weights(&whole), weights(&pieced));
    assert_eq!(weights(&whole.join("best")), weights(&pieced.join("best")));
    assert_eq!(lines(&whole.join("trainer_log.jsonl")), lines(&pieced.join("trainer_log.jsonl")));
    for entry in std::fs::read_dir(&pieced).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with('.'), "{name} was left");
    }
    let again = done(bed.resume("pieced", &[]));
    assert!(stderr(&again).contains("is finished"), "{}", stderr(&again));
}

#[test]
fn a_run_learns_and_tells_scripts_and_leaves_an_adapter() {
    let bed = Bed::new();
    let out = done(bed.start("run", &["--epochs", "2", "--json", "--progress", "json"]));
    let document: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(document["schema"], "polylens.train/1");
    assert_eq!(document["outcome"]["end"], "finished");
    assert_eq!(document["data"][0]["rows"], 60);
    let events: Vec<Value> =
        stderr(&out).lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    let of = |name: &str| events.iter().filter(|e| e["event"] == name).collect::<Vec<_>>();
    let steps = of("step");
    assert_eq!(steps.len() as u64, of("plan")[0]["total_steps"].as_u64().unwrap());
    let loss = |e: &Value| e["loss"].as_f64().unwrap();
    assert!(loss(steps[steps.len() - 1]) < loss(steps[0]));
    assert!(!of("validation").is_empty() && !of("checkpoint").is_empty());
    // The adapter is one that the other commands take, and its effect is seen.
    let run = bed.name("run");
    for dir in [run.clone(), format!("{run}/best")] {
        let mut lens = Command::new(env!("CARGO_BIN_EXE_polylens"));
        lens.args(["lens", "--text", "cat", "--model", MODEL, "--adapter", &dir, "--json"]);
        let out = lens.env("POLYLENS_CACHE", bed.path("cache")).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    }
    // Begun from it: the first loss is lower than that of a fresh one.
    let out = done(bed.start("next", &["--init-adapter", &run, "--max-steps", "2", "--progress", "json"]));
    let first = stderr(&out).lines().find(|l| l.contains("\"event\":\"step\"")).unwrap().to_owned();
    assert!(loss(&serde_json::from_str(&first).unwrap()) < loss(steps[0]));
    // The same seed and threads: the same weights.
    done(bed.start("again", &["--epochs", "2"]));
    assert_eq!(weights(&bed.path("run")), weights(&bed.path("again")));
}

#[cfg(unix)]
#[test]
fn a_signal_saves_and_says_how_to_go_on() {
    let bed = Bed::new();
    let more = ["--epochs", "3", "--batch-size", "4"];
    done(bed.start("whole", &more));
    let mut command = bed.start("run", &more);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = bed.path("run/trainer_log.jsonl");
    let began = Instant::now();
    while lines(&log) < 6 && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: a signal to a child of this process.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let out = child.wait_with_output().unwrap();
    let text = stderr(&out);
    assert_eq!(out.status.code(), Some(130), "{text}");
    assert!(text.contains("--resume") && text.contains("checkpoint-"), "{text}");
    assert!(!bed.path("run/adapter_model.safetensors").exists());
    done(bed.resume("run", &["--progress", "none"]));
    assert_eq!(weights(&bed.path("whole")), weights(&bed.path("run")));
}

#[cfg(unix)]
#[test]
fn a_full_disk_stops_it_and_the_last_checkpoint_is_good() {
    use std::os::unix::process::CommandExt;
    let bed = Bed::new();
    let more = ["--epochs", "3", "--batch-size", "4", "--eval-steps", "1000"];
    done(bed.start("whole", &more));
    // The log grows until the limit meets it; a checkpoint's files are smaller or larger than that by the rank.
    let limited = |out: &str, bytes: u64, more: &[&str]| {
        let mut command = bed.start(out, more);
        // SAFETY: a plain system call between fork and exec.
        unsafe {
            command.pre_exec(move || {
                let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
                if libc::setrlimit(libc::RLIMIT_FSIZE, &limit) == 0 {
                    Ok(())
                } else {
                    Err(std::io::Error::last_os_error())
                }
            });
        }
        command
    };
    let text =
        refused(limited("early", 4096, &more), 1, &["cannot be written", "No checkpoint was written yet"]);
    assert!(text.contains("checkpoint-3"), "{text}");
    // The checkpoints' largest file is smaller than the limit, the log outgrows it.
    let largest = std::fs::metadata(bed.path("whole/checkpoint-72/optimizer.safetensors")).unwrap().len();
    let long = [&more[..], &["--logging-steps", "1", "--max-steps", "400"]].concat();
    let text = refused(
        limited("late", largest + 2048, &long),
        1,
        &["trainer_log.jsonl cannot be written", "The last good checkpoint is", "--resume"],
    );
    let named = text.split("checkpoint is ").nth(1).unwrap().split(": --resume").next().unwrap().to_owned();
    assert!(Path::new(&named).join("progress.json").is_file(), "{named}");
    done(bed.resume("late", &["--quiet"]));
    done(bed.start("unlimited", &long));
    assert_eq!(weights(&bed.path("unlimited")), weights(&bed.path("late")));
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let bed = Bed::new();
    let started = || bed.start("run", &["--max-steps", "4"]);
    refused(bed.start("x", &["--lr", "-1"]), 2, &["--lr -1"]);
    refused(bed.start("x", &["--targets", "lm_head"]), 2, &["lm_head", "q_proj"]);
    refused(bed.start("x", &["--device", "cuda"]), 2, &["CPU"]);
    refused(bed.start("x", &["--data", "fr=nowhere.json"]), 1, &["nowhere.json"]);
    refused(bed.command(&["--out", &bed.name("x")]), 2, &["--data", "--pairs"]);
    refused(bed.command(&[]), 2, &["--out"]);
    assert!(!bed.path("x").exists(), "nothing was made");
    done(started());
    refused(started(), 2, &["holds a run already", "--resume"]);
    refused(bed.resume("run", &["--lr", "0.5"]), 2, &["--lr 0.5 contradicts", "0.001"]);
    refused(bed.resume("run", &["--out", "y"]), 2, &["--out"]);
    refused(bed.resume("none", &[]), 2, &["holds no run"]);
    done(bed.resume("run", &["--lr", "0.001"]));
    let adapter = format!("{MODEL}/adapter_qv");
    refused(bed.start("x", &["--init-adapter", &adapter, "--rank", "63"]), 2, &["--rank 63 contradicts"]);
    refused(bed.start("x", &["--init-adapter", &bed.name("zh.json")]), 1, &["zh.json", "directory"]);
    // Data that were changed between.
    done(bed.start("other", &["--max-steps", "2"]));
    let record = bed.path("other/training.json");
    let mut text: Value = serde_json::from_str(&std::fs::read_to_string(&record).unwrap()).unwrap();
    text["outcome"] = Value::Null;
    std::fs::write(&record, text.to_string()).unwrap();
    bed.write_rows("es", 41);
    refused(bed.resume("other", &[]), 1, &["es.json", "is not the file"]);
    std::fs::write(&record, "{").unwrap();
    refused(bed.resume("other", &[]), 1, &["training.json is damaged"]);
}
