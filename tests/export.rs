//! `polylens sessions export`: every form of a small session, and what is refused.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SESSION: &str = r#"{"schema":"polylens.session/1","version":"0.1.0","source":"explorer","command":"explore","title":"A small one","started":"2026-11-23T17:00:00Z","seed":0,"model":null,"adapters":[],"start":{"model":"gemma-3-270m","task":"sentiment","lang":"th","size":[80,24]}}
{"t":100,"mark":"Start"}
{"t":900,"user":{"act":"show_pca"}}
{"t":1200,"note":{"text":"What does the model say in ภาษาไทย and 中文?"}}
{"t":5000,"user":{"act":"help"}}
{"t":90000,"user":{"act":"back"}}
"#;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("s.jsonl"), SESSION).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the command in the directory, expects the status; returns stdout and stderr.
    fn export(&self, status: i32, args: &[&str]) -> (Vec<u8>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polylens"));
        command.current_dir(self.dir.path()).args(["sessions", "export"]).args(args);
        let out = command.stdin(Stdio::null()).env_remove("RUST_BACKTRACE").output().unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(status), "{args:?}\n{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        (out.stdout, stderr)
    }

    /// The file that an export writes.
    fn written(&self, name: &str, args: &[&str]) -> Vec<u8> {
        let (stdout, stderr) = self.export(0, &[&["s.jsonl", "--out", name], args].concat());
        assert!(stdout.is_empty());
        assert!(stderr.contains(&format!("note: wrote {name}")), "{stderr}");
        std::fs::read(self.path(name)).unwrap()
    }
}

fn utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn every_form_by_its_extension_or_name() {
    let place = Place::new();
    let cast = utf8(place.written("a.cast", &[]));
    let head: Value = serde_json::from_str(cast.lines().next().unwrap()).unwrap();
    assert_eq!((&head["version"], &head["width"]), (&2.into(), &80.into()));
    assert!(cast.contains(r#""m", "Start"]"#), "{cast}");
    // 85 s without anything are 2 s.
    let last: Value = serde_json::from_str(cast.lines().last().unwrap()).unwrap();
    assert!((6.0..10.0).contains(&last[0].as_f64().unwrap()), "{last}");
    assert_eq!(utf8(place.export(0, &["s.jsonl", "--to", "cast"]).0), cast);
    let (three, _) = place.export(0, &["s.jsonl", "--to", "cast", "--cast-version", "3", "--size", "100x30"]);
    let head: Value = serde_json::from_str(utf8(three).lines().next().unwrap()).unwrap();
    assert_eq!((&head["version"], &head["term"]["cols"]), (&3.into(), &100.into()));

    let svg = utf8(place.written("a.svg", &["--at", "0:02"]));
    assert!(svg.contains("<title>A small one</title>") && svg.contains("中"));
    let moving = utf8(place.written("b.svg", &["--to", "svg-anim", "--theme", "light"]));
    assert!(moving.contains("repeatCount=\"indefinite\""));
    assert!(place.written("a.png", &["--at", "start"]).starts_with(b"\x89PNG"));
    let gif = place.written("a.gif", &["--from", "start", "--until", "3", "--fps", "4"]);
    assert!(gif.starts_with(b"GIF89a") && gif.len() > 1000);
    let screen = utf8(place.export(0, &["s.jsonl", "--to", "txt", "--at", "end", "--theme", "ascii"]).0);
    assert!(screen.lines().count() == 24 && screen.contains("polylens"), "{screen}");
    let told = utf8(place.written("a.txt", &[]));
    assert!(told.contains("A small one") && told.contains("0:01.2  note    What does"), "{told}");
    let json: Value = serde_json::from_slice(&place.written("a.json", &[])).unwrap();
    assert_eq!(json["schema"], "polylens.session-data/1");
    assert!(utf8(place.written("a.csv", &[])).starts_with("t_ms,job,kind,run,"));
    // A form may be written under any other name, and an older file is replaced.
    std::fs::write(place.path("c.log"), "old").unwrap();
    assert_eq!(utf8(place.written("c.log", &["--to", "cast"])), cast);
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let place = Place::new();
    let says = |status, args: &[&str], wanted: &str| {
        let (_, stderr) = place.export(status, args);
        assert!(stderr.contains(wanted), "{args:?}: {stderr}");
    };
    says(2, &["s.jsonl"], "give --to FORM");
    says(2, &["s.jsonl", "--out", "a.pdf"], "give --to FORM");
    says(2, &["s.jsonl", "--to", "png"], "give --out FILE");
    says(2, &["s.jsonl", "--to", "png", "--out", "a.svg"], "leave --to out");
    says(
        2,
        &["s.jsonl", "--to", "txt", "--at", "2:00"],
        "2:00 is after the end of the session, which is 1:30 long",
    );
    says(2, &["s.jsonl", "--to", "txt", "--at", "nowhere"], "it has Start");
    says(2, &["s.jsonl", "--to", "cast", "--from", "5", "--until", "4"], "is empty");
    says(2, &["s.jsonl", "--to", "cast", "--size", "5000x60"], "to 500x200");
    says(2, &["s.jsonl", "--to", "cast", "--size", "big"], "such as 100x30");
    says(2, &["s.jsonl", "--to", "cast", "--speed", "0"], "above 0");
    says(2, &["s.jsonl", "--to", "cast", "--idle", "nan"], "--idle");
    says(1, &["s.jsonl", "--to", "cast", "--out", "no/such/a.cast"], "there is no directory no/such");
    says(1, &["nothing.jsonl", "--to", "cast"], "nothing.jsonl is not there");
    std::fs::write(place.path("foreign.json"), "{\"a\":1}\n").unwrap();
    says(1, &["foreign.json", "--to", "txt"], "foreign.json: line 1: this is no session");
    std::fs::write(place.path("damaged.jsonl"), SESSION.replace("\"show_pca\"", "\"fly\"")).unwrap();
    says(1, &["damaged.jsonl", "--out", "d.gif"], "line 3");
    assert!(!exists(&place.path("d.gif")), "nothing half-written stays");
    std::fs::write(place.path("cut.jsonl"), &SESSION[..SESSION.len() - 9]).unwrap();
    says(0, &["cut.jsonl", "--out", "cut.cast"], "ends in the middle of line 6");
}

fn exists(path: &Path) -> bool {
    path.exists()
}
