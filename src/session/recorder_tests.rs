use super::*;
use crate::session::{SessionFile, Source, Start};
use serde_json::{Value, json};

fn recorded(lines: &[(u64, Value)]) -> Vec<(u64, Value)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.jsonl");
    let mut recorder =
        Recorder::create(&path, &Header::new(Source::Explorer, "explore", Start::default())).unwrap();
    for (t, user) in lines {
        recorder.record(&Line { t: *t, what: What::User(user.clone()) }).unwrap();
    }
    drop(recorder);
    let file = SessionFile::open(&path).unwrap();
    assert!(Recorder::create(&path, &file.header).is_err(), "what is there is left alone");
    let line = |e| {
        let line: Line<Value> = file.line(e).unwrap();
        let What::User(user) = line.what else { panic!("{line:?}") };
        (line.t, user)
    };
    file.entries().iter().map(line).collect()
}

fn mouse(x: u64, kind: &str) -> Value {
    json!({"mouse": {"x": x, "y": 1, "kind": kind}})
}

#[test]
fn the_mouse_is_written_thirty_times_a_second_and_where_it_rests() {
    let mut lines: Vec<(u64, Value)> = (0..200).map(|i| (i * 5, mouse(i, "move"))).collect();
    lines.push((1000, mouse(300, "click")));
    let out = recorded(&lines);
    assert!((28..=33).contains(&out.len()), "{}", out.len());
    assert_eq!(out[out.len() - 2..], [(1000, mouse(199, "move")), (1000, mouse(300, "click"))]);
    assert!(out.windows(2).all(|w| w[0].0 <= w[1].0));
    // A last one that is held is written when the recording ends.
    assert_eq!(recorded(&[(0, mouse(1, "move")), (5, mouse(2, "move"))])[1].1, mouse(2, "move"));
    let clicks: Vec<_> = (0..9).map(|i| (i, mouse(i, "wheel_up"))).collect();
    assert_eq!(recorded(&clicks), clicks, "what does something is never left out");
}

#[test]
fn directories_of_the_user_are_hidden() {
    let here = std::env::current_dir().unwrap();
    let there = json!({"log": {"path": here.join("a/b").to_str().unwrap()}});
    assert_eq!(recorded(&[(0, there)])[0].1, json!({"log": {"path": "./a/b"}}));
}
