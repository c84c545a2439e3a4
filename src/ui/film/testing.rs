//! For tests: sessions recorded with the scripted engine.

use crate::app::replay::Line;
use crate::app::replay::testing::start;
use crate::app::testing::Bench;
use crate::session::{Header, Note, SessionFile, Source, What};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Records what `lives` does with the scripted explorer on a screen of 120 x 40, and `extra` lines with their times.
pub fn record(lang: &str, lives: impl FnOnce(&mut Bench), extra: &[(u64, What<()>)]) -> Arc<SessionFile> {
    let mut header = Header::new(Source::Explorer, "explore", start());
    header.title = "A first tour".into();
    header.started = "2026-11-23T17:00:00Z".into();
    let lines = Rc::new(RefCell::new(Vec::<(u64, String)>::new()));
    let mut bench = Bench::new(120, 40);
    let kept = lines.clone();
    bench.tap = Some(Box::new(move |line: &Line| {
        kept.borrow_mut().push((line.t, serde_json::to_string(line).unwrap()));
    }));
    bench.found(Ok(crate::app::model::Found::Here));
    if lang != "th" {
        bench.keys(&format!("1L{lang}<enter>2"));
    }
    lives(&mut bench);
    let mut lines: Vec<(u64, String)> = lines.take();
    for (t, what) in extra {
        let line = crate::session::Line { t: *t, what: what.clone() };
        lines.push((*t, serde_json::to_string(&line).unwrap()));
    }
    lines.sort_by_key(|(t, _)| *t);
    let mut text = serde_json::to_string(&header).unwrap() + "\n";
    lines.iter().for_each(|(_, line)| text.extend([line.as_str(), "\n"]));
    Arc::new(SessionFile::from_bytes("tour.jsonl", Arc::new(text.into_bytes())).unwrap())
}

/// A note.
pub fn note<U>(text: &str) -> What<U> {
    What::Note(Note { text: text.into(), ..Note::default() })
}

/// The bundled tasks.
pub fn library() -> Arc<dyn crate::app::library::Library> {
    Arc::new(crate::app::bundle::Bundle::with(None).unwrap().0)
}
