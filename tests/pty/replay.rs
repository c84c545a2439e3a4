//! A session recorded and replayed, both by the real binary in a terminal.

use super::session::{Session, Start};
use std::path::Path;

/// A recording made without any model: a language, then the evaluation's card.
fn record(path: &Path) {
    let args = ["--record", path.to_str().unwrap()];
    let mut s = Session::start(&Start { args: &args, size: (120, 40), ..Start::default() });
    s.wait_for("is not on this machine yet");
    s.wait_for("REC");
    s.send("Lth\r");
    s.wait_for("ไทย");
    s.send("6");
    s.wait_for("answers a task");
    s.send("q");
    assert_eq!(s.end(), 0);
    s.assert_restored();
}

#[test]
fn what_was_recorded_is_replayed_at_another_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session.jsonl");
    record(&path);
    let args = ["sessions", "play", path.to_str().unwrap(), "--at", "end", "--paused"];
    let mut s = Session::start(&Start { args: &args, ..Start::default() });
    s.wait_for("REPLAY");
    s.wait_for("ไทย");
    s.wait_for("answers a task");
    // Back to the beginning, on to the end by steps, and beside the path.
    s.send("@0\r ");
    s.wait_for("is not on this machine yet");
    s.send("}");
    s.wait_for("no further mark");
    s.send("@end\r");
    s.wait_for("answers a task");
    s.send("2");
    s.wait_for("aside");
    s.send("\x7f");
    s.wait_gone("aside");
    s.send("mดูตรงนี้\r");
    s.wait_for("The note is in");
    s.wait_for("ดูตรงนี้");
    s.send("?");
    s.wait_for("leave the replay");
    s.send("?");
    s.wait_gone("leave the replay");
    s.resize(140, 45);
    s.wait_for("pauses short");
    s.send("q");
    assert_eq!(s.end(), 0);
    s.assert_restored();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().last().unwrap().contains("ดูตรงนี้"), "the note is the last line");
}

#[test]
fn two_sessions_side_by_side_and_a_foreign_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session.jsonl");
    record(&path);
    let name = path.to_str().unwrap();
    let args = ["sessions", "play", name, name, "--paused"];
    let mut s = Session::start(&Start { args: &args, size: (160, 40), ..Start::default() });
    s.wait_until("two pictures", |o| o.parser.screen().contents().matches("1 Query").count() == 2);
    s.send("q");
    assert_eq!(s.end(), 0);
    let foreign = dir.path().join("foreign.jsonl");
    std::fs::write(&foreign, "{\"loss\": 1.5}\n").unwrap();
    let args = ["sessions", "play", foreign.to_str().unwrap()];
    let mut s = Session::start(&Start { args: &args, ..Start::default() });
    assert_eq!(s.end(), 1);
    assert!(s.contents().contains("line 1"), "{}", s.contents());
}
