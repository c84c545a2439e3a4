//! Recording in the explorer, with the real binary.

use super::CARD;
use super::session::{Session, Start};
use std::path::Path;
use std::process::Command;

/// `polylens sessions check`: its exit status and what it says.
fn check(path: &Path) -> (bool, String) {
    let out =
        Command::new(env!("CARGO_BIN_EXE_polylens")).args(["sessions", "check"]).arg(path).output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn a_recording_that_was_killed_plays_as_far_as_it_got() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("killed.jsonl");
    let mut s = Session::start(&Start { args: &["--record", path.to_str().unwrap()], ..Start::default() });
    s.wait_for(CARD);
    s.wait_for("REC 0:0");
    s.send("Lth\r");
    s.wait_for("ไทย");
    let before = lines(&path);
    assert!(before > 4, "every line is written at once: {before}");
    s.send("?");
    s.wait_for("Help");
    s.signal(libc::SIGKILL);
    s.end();
    let (whole, said) = check(&path);
    assert!(whole, "{said}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"help\"") && lines(&path) > before, "the last key is in it:\n{text}");
    assert!(text.ends_with('\n'));
}

#[test]
fn a_key_begins_and_ends_a_recording_and_notes_are_typed_unseen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("demo.jsonl");
    let mut s = Session::start(&Start::default());
    s.wait_for(CARD);
    s.send("Lth\r");
    s.wait_for("ไทย");
    s.send("C");
    s.wait_for("Nothing is being recorded");
    s.send("\x12");
    s.wait_for("Record this session");
    s.wait_for("session-20");
    // Ctrl-u empties the line.
    s.send("\x15");
    s.wait_gone("session-20");
    s.send(&format!("{}\r", path.display()));
    s.wait_for("REC 0:0");
    s.send("C");
    s.wait_for("A note");
    s.send("Quite unseen\r");
    s.wait_gone("A note");
    s.send("B");
    s.wait_for("Name this place");
    s.send("here\r");
    s.wait_gone("Name this place");
    s.send("?");
    s.wait_for("Help");
    s.send("\x1b");
    s.wait_gone("Help");
    s.send("\x12");
    s.wait_for("Recorded 0:0");
    s.wait_gone("REC 0:0");
    let (whole, said) = check(&path);
    assert!(whole, "{said}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains(r#""note":{"text":"Quite unseen"}"#) && text.contains(r#""mark":"here""#),
        "{text}"
    );
    let keys = text.lines().filter(|l| l.contains(r#""user":{"key":"#)).count();
    assert_eq!(keys, 4, "t, h and Enter of the language, and Esc of the help: no key of a question\n{text}");
    assert!(text.contains("\"begin\":"), "what led there is in it");
    s.send("q");
    assert_eq!(s.end(), 0);
}

#[test]
fn quitting_ends_the_recording_and_says_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quit.jsonl");
    let mut s = Session::start(&Start { args: &["--record", path.to_str().unwrap()], ..Start::default() });
    s.wait_for("REC 0:0");
    s.wait_for(CARD);
    s.send("q");
    assert_eq!(s.end(), 0);
    s.assert_restored();
    let said = String::from_utf8_lossy(&s.raw()).into_owned();
    assert!(said.contains("To see it: polylens sessions play"), "{said}");
    assert!(check(&path).0);
    let mut again =
        Session::start(&Start { args: &["--record", path.to_str().unwrap()], ..Start::default() });
    assert_eq!(again.end(), 1);
    assert!(String::from_utf8_lossy(&again.raw()).contains("left alone"));
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_explorer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("full.jsonl");
    // Files of at most 4 kB; the signal that says so is ignored, and writing fails as on a full disk.
    let limit = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let mut s = Session::start(&Start {
        args: &["--record", path.to_str().unwrap()],
        shell: Some(limit),
        ..Start::default()
    });
    s.wait_for("REC 0:0");
    s.wait_for(CARD);
    for _ in 0..40 {
        s.send("jkjkjk");
    }
    s.wait_for("The recording has ended");
    s.wait_gone("REC 0:0");
    let (whole, said) = check(&path);
    assert!(whole, "{said}");
    assert!(std::fs::read_to_string(&path).unwrap().ends_with('\n'), "no half line is left");
    s.send("q");
    assert_eq!(s.end(), 0);
}
