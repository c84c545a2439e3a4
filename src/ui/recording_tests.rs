use super::*;
use crate::app::bundle::Bundle;
use crate::app::model::Found;
use crate::app::replay::Track;
use crate::app::testing::Bench;
use crate::session::SessionFile;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

fn origin() -> Origin {
    Origin { start: crate::app::replay::testing::start(), title: "A title".into(), ..Origin::default() }
}

/// The scripted explorer, what it does being recorded.
fn bench() -> (Bench, Rc<RefCell<Recording>>) {
    let recording = Rc::new(RefCell::new(Recording::new(origin())));
    let mut bench = Bench::new(120, 40);
    let tape = recording.clone();
    bench.tap = Some(Box::new(move |line| tape.borrow_mut().write(line).unwrap()));
    bench.found(Ok(Found::Here));
    (bench, recording)
}

fn track(path: &Path) -> Track {
    let (library, _) = Bundle::with(None).unwrap();
    Track::new(Arc::new(SessionFile::open(path).unwrap()), Arc::new(library))
}

fn state(app: &App) -> String {
    let mut copy = app.clone();
    copy.now = Duration::ZERO;
    format!("{copy:?}")
}

#[test]
fn a_recording_begun_late_holds_what_led_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("late.jsonl");
    let (mut bench, recording) = bench();
    // What is typed is asked about after a while: the times of before matter.
    bench.keys("Lru<enter>jjfParis is");
    bench.wait(800);
    bench.keys("<esc>2d");
    let before = state(&bench.app);
    let begin = bench.clock;
    recording.borrow_mut().begin(&path, begin).unwrap();
    bench.keys("jjj");
    recording.borrow_mut().note("Look here", Some(3000), bench.clock).unwrap();
    bench.wait(5000);
    bench.keys("<enter>");
    let sign = recording.borrow().sign(bench.clock).unwrap();
    let words = recording.borrow_mut().end(bench.clock).unwrap();
    assert!(words.contains("0:05") && words.contains("late.jsonl"), "{words}");
    assert!(sign.ms >= 5000 && sign.bytes > 1000, "{sign:?}");

    let mut track = track(&path);
    assert_eq!(track.file().header.begin, begin.as_millis() as u64);
    assert_eq!(track.file().header.title, "A title");
    track.seek(0).unwrap();
    assert!(state(track.app()) == before, "at its beginning a replay is where the recording began");
    let end = track.file().end();
    assert!((5000..6000).contains(&end), "{end}");
    assert_eq!(track.file().notes()[0].0, 30, "a note's time counts from the beginning");
    track.seek(end).unwrap();
    bench.wait(0);
    assert!(state(track.app()) == state(&bench.app), "and at its end where it ended");
}

#[test]
fn a_second_recording_has_neither_notes_nor_marks_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (mut bench, recording) = bench();
    for name in ["one.jsonl", "two.jsonl"] {
        let path = dir.path().join(name);
        recording.borrow_mut().begin(&path, bench.clock).unwrap();
        bench.keys("jj");
        recording.borrow_mut().note(name, None, bench.clock).unwrap();
        recording.borrow_mut().mark(name, bench.clock).unwrap();
        bench.keys("k");
        recording.borrow_mut().end(bench.clock).unwrap();
        let file = SessionFile::open(&path).unwrap();
        let notes: Vec<String> = file.notes().into_iter().map(|(_, n)| n.text).collect();
        assert_eq!(notes, [name]);
        assert_eq!(file.marks().len(), 1);
        let mut track = track(&path);
        track.seek(file.end()).unwrap();
        assert!(state(track.app()) == state(&bench.app), "{name}");
    }
}

#[test]
fn a_file_that_is_there_is_left_alone_and_the_sentence_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    std::fs::write(&path, "mine").unwrap();
    let mut recording = Recording::new(origin());
    let said = recording.begin(&path, Duration::ZERO).unwrap_err().to_string();
    assert!(said.contains("left alone"), "{said}");
    assert!(!recording.goes_on());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    recording.begin(&dir.path().join("b.jsonl"), Duration::ZERO).unwrap();
    let twice = recording.begin(&dir.path().join("c.jsonl"), Duration::ZERO).unwrap_err().to_string();
    assert!(twice.contains("already") && twice.contains("Ctrl-r"), "{twice}");
}

#[test]
fn the_header_has_the_hashes_of_the_tasks() {
    let recording = Recording::new(origin());
    let ids: Vec<&String> = recording.header.tasks.keys().collect();
    assert_eq!(ids, ["nli", "paraphrase", "sentiment"]);
    assert!(recording.header.tasks.values().all(|h| h.len() == 64));
}
