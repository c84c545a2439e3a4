use super::*;
use crate::app::testing::Bench;
use crate::session::{Header, Recorder, SessionFile, Source};
use std::path::Path;
use std::sync::Arc;

/// Types keys into the scripted explorer and writes down what a recording would have.
fn record(path: &Path, keys: &str) -> crate::app::App {
    let mut recorder =
        Recorder::create(path, &Header::new(Source::Explorer, "explore", testing::start())).unwrap();
    let mut bench = Bench::new(120, 40);
    bench.tap = Some(Box::new(move |line: &Line| recorder.record(line).unwrap()));
    bench.found(Ok(crate::app::model::Found::Here));
    bench.keys(keys);
    bench.wait(500);
    bench.app
}

/// The whole state as text, at one time: a tick that turns a spinner is not recorded.
fn state(app: &crate::app::App) -> String {
    format!("{:?}", crate::app::App { now: std::time::Duration::ZERO, ..app.clone() })
}

/// Says where two states differ, and not all that they hold.
fn assert_same(a: &crate::app::App, b: &crate::app::App, what: &str) {
    let (a, b) = (state(a), state(b));
    let at = a.bytes().zip(b.bytes()).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    let near = |s: &str| {
        String::from_utf8_lossy(&s.as_bytes()[at.saturating_sub(80)..(at + 60).min(s.len())]).into_owned()
    };
    assert!(a == b, "{what}: {} != {}", near(&a), near(&b));
}

#[test]
fn a_recording_leads_to_the_same_end() {
    let dir = tempfile::tempdir().unwrap();
    for (i, keys) in
        ["jjj<enter>", "Lhi<enter>3jj4c5", "fParis is<esc>2d6", "?j<esc>:adap<esc>zT"].iter().enumerate()
    {
        let path = dir.path().join(format!("{i}.jsonl"));
        let lived = record(&path, keys);
        let file = Arc::new(SessionFile::open(&path).unwrap());
        let (library, _) = crate::app::bundle::Bundle::with(None).unwrap();
        let mut track = Track::new(file.clone(), Arc::new(library));
        track.seek(file.end()).unwrap();
        assert_same(track.app(), &lived, keys);
        let once = track.app().clone();
        track.seek(0).unwrap();
        track.seek(file.end()).unwrap();
        assert_same(track.app(), &once, keys);
    }
}
