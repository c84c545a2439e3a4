//! For tests: recordings of the scripted explorer.

use super::Line;
use crate::app::App;
use crate::app::testing::Bench;
use crate::session::{Header, SessionFile, Source, Start};
use std::sync::{Arc, Mutex};

/// What the scripted explorer begins with.
pub fn start() -> Start {
    Start {
        model: "gemma-3-270m".into(),
        task: "sentiment".into(),
        lang: "th".into(),
        size: (120, 40),
        ..Start::default()
    }
}

/// What a recording of these keys would hold, and the app at its end.
pub fn lived(keys: &str) -> (SessionFile, App) {
    let mut header = Header::new(Source::Explorer, "explore", start());
    header.started = "2026-01-01T00:00:00Z".into();
    header.title = "A test".into();
    let text = Arc::new(Mutex::new(serde_json::to_string(&header).unwrap() + "\n"));
    let into = text.clone();
    let mut bench = Bench::new(120, 40);
    bench.tap = Some(Box::new(move |line: &Line| {
        *into.lock().unwrap() += &(serde_json::to_string(line).unwrap() + "\n");
    }));
    bench.found(Ok(crate::app::model::Found::Here));
    bench.keys(keys);
    bench.wait(500);
    let bytes = text.lock().unwrap().clone().into_bytes();
    (SessionFile::from_bytes("test.jsonl", Arc::new(bytes)).unwrap(), bench.app)
}

/// As `lived`, the file alone.
pub fn recorded(keys: &str) -> SessionFile {
    lived(keys).0
}
