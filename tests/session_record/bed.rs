//! A place to record in: a task, items, rows to train on, and the program.

use polylens::app::App;
use polylens::app::bundle::Bundle;
use polylens::app::replay::Track;
use polylens::session::{SessionFile, Source};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
pub const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/gemma3");

/// A task of three languages with short items, rows to train on, and a cache of its own. Deleted with the value.
pub struct Bed {
    pub dir: tempfile::TempDir,
}

impl Bed {
    pub fn new(items: usize) -> Self {
        let bed = Self { dir: tempfile::tempdir().unwrap() };
        let mut toml =
            "id = \"mood\"\nlabels = [\"positive\", \"negative\"]\nfields = [\"input\"]\nseparator = \"\\n\"\n".to_owned();
        for (lang, good, bad) in
            [("en", "positive", "negative"), ("de", "gut", "schlecht"), ("sw", "zuri", "baya")]
        {
            toml += &format!(
                "[languages.{lang}]\nitem = \"{lang}: {{input}} \\\"{{answer}}\\\"\"\n\
                 shots = [{{ input = \"the cat\", answer = \"positive\" }}]\n\
                 labels = {{ positive = \"{good}\", negative = \"{bad}\" }}\n"
            );
            let words = ["cat", "dog", "house", "rain", "book", "tea", "no", "yes"];
            let text = |i: usize| format!("{} {lang} {i}", words[i % 8]);
            let row = |i: usize| json!({"input": text(i), "answer": if i * 5 % 3 == 1 { "positive" } else { "negative" }});
            let rows: Vec<Value> = (0..items).map(row).collect();
            std::fs::write(bed.path(&format!("items_{lang}.json")), json!(rows).to_string()).unwrap();
        }
        std::fs::write(bed.path("mood.toml"), toml).unwrap();
        let row = |i: usize| json!({"input": format!("es: cat {i}\nTranslate the input:\n"), "answer": format!("cat {i}")});
        let rows: Vec<Value> = (0..40).map(row).collect();
        std::fs::write(bed.path("es.json"), json!(rows).to_string()).unwrap();
        bed
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// `{item}` and `{task}` stand for the bed's own, `{NAME}` for a file in it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polylens"));
        command.args(args.iter().map(|a| a.replace("@", &format!("{}/", self.dir.path().display()))));
        command.stdin(Stdio::null()).env_remove("RUST_BACKTRACE").env("POLYLENS_CACHE", self.path("cache"));
        command.env("HF_HOME", self.path("cache")).env("HF_HUB_OFFLINE", "1");
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// Runs what must succeed; returns stdout.
    pub fn done(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", stderr(&out));
        String::from_utf8(out.stdout).unwrap()
    }

    pub fn document(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }

    /// Runs what must fail with that status; returns stderr.
    pub fn refused(&self, status: i32, args: &[&str], said: &[&str]) -> String {
        let out = self.run(args);
        let text = stderr(&out);
        assert_eq!(out.status.code(), Some(status), "{args:?}: {text}");
        assert!(!text.contains("panicked"), "{text}");
        for words in said {
            assert!(text.contains(words), "{words} is not in {text}");
        }
        text
    }

    /// Checks a session with the program, and plays it here to its end, at which nothing may wait for an answer.
    pub fn replay(&self, name: &str) -> Track {
        let track = self.play(name);
        assert!(track.app().model.works.is_empty() && !busy(track.app()), "something goes on for ever");
        track
    }

    /// As [`Bed::replay`], for a recording that may have ended before its answers came.
    pub fn play(&self, name: &str) -> Track {
        self.done(&["sessions", "check", &self.name(name)]);
        let file = Arc::new(SessionFile::open(&self.path(name)).unwrap());
        assert_eq!((file.header.source, file.header.start.size), (Source::Command, (160, 48)));
        let (library, _) = Bundle::with(Some(&self.name("mood.toml"))).unwrap();
        let mut track = Track::new(file.clone(), Arc::new(library));
        track.seek(file.end()).unwrap();
        assert_eq!(track.taken(), file.entries().len());
        track
    }
}

/// Whether a pane waits for an answer that will not come.
pub fn busy(app: &App) -> bool {
    app.lens.job.is_some()
        || app.grid.pending.is_some()
        || app.pca.running.is_some()
        || app.eval.running.is_some()
}

pub fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

pub fn f32_of(v: &Value) -> f32 {
    serde_json::from_value(v.clone()).unwrap_or_else(|e| panic!("{v}: {e}"))
}

pub fn adapter() -> String {
    format!("{MODEL}/adapter_qv")
}
