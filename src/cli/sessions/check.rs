//! `polylens sessions check`: is this a session, does every line say something that can be, and does it replay to its
//! end?

use crate::app::replay::place::clock;
use crate::app::replay::{Line, Track, What, library_for, sane};
use crate::cli::console::print;
use crate::engine::protocol::Event;
use crate::error::{Error, Result};
use crate::session::sane::Known;
use crate::session::{Entry, Kind, SessionFile, shipped};
use clap::Args;
use serde_json::json;
use std::sync::Arc;

#[derive(Args, Debug)]
pub struct Check {
    /// Session files, or names of those that come with the program
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What is in a session, in the order in which it is told: a name for one and for several, and how many.
type Contents = [(&'static str, &'static str, u64); 13];

const KINDS: Contents = [
    ("lens", "lenses", 0),
    ("mean of curves", "means of curves", 0),
    ("grid column", "grid columns", 0),
    ("opened cell", "opened cells", 0),
    ("PCA", "PCAs", 0),
    ("scored query", "scored queries", 0),
    ("training step", "training steps", 0),
    ("frame of a training", "frames of a training", 0),
    ("validation", "validations", 0),
    ("action", "actions", 0),
    ("question", "questions", 0),
    ("note", "notes", 0),
    ("mark", "marks", 0),
];

/// A session that was replayed to its end.
struct Checked {
    file: Arc<SessionFile>,
    contents: Contents,
    notes: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// A file is damaged or foreign, with the line's number; all files are looked at first.
pub fn run(args: &Check) -> Result<()> {
    let mut errors = Vec::new();
    let mut documents = Vec::new();
    for name in &args.files {
        match check(name) {
            Ok(checked) if args.json => documents.push(checked.document(name)),
            Ok(checked) => print(&checked.text(name))?,
            Err(e) => {
                documents.push(json!({ "name": name, "ok": false, "error": e.to_string() }));
                errors.push(e);
            }
        }
    }
    if args.json {
        print(&format!("{:#}\n", json!({ "schema": "polylens.sessions-check/1", "files": documents })))?;
    }
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        n => {
            let all: Vec<String> = errors.iter().map(Error::to_string).collect();
            Err(Error::failed(format!(
                "{n} of {} files cannot be replayed\n{}",
                args.files.len(),
                all.join("\n")
            )))
        }
    }
}

fn check(name: &str) -> Result<Checked> {
    let file = Arc::new(shipped::find(name)?);
    let (library, notes) = library_for(&file.header)?;
    let mut track = Track::new(file.clone(), library);
    let mut contents = KINDS;
    while let Some(entry) = track.next().copied() {
        // The step refuses what cannot be of the lines that are played; others mean nothing to it.
        let before = track.app().shared.model.as_ref().map(|m| m.layers);
        track.step()?;
        let line: Line = file.line(&entry)?;
        if !matches!(entry.kind, Kind::User | Kind::Event) {
            sane::what(&line.what, Known { layers: before }).map_err(|why| file.damaged(&entry, &why))?;
        }
        count(&mut contents, &entry, &line.what);
    }
    Ok(Checked { file, contents, notes })
}

fn count(contents: &mut Contents, entry: &Entry, what: &What) {
    let (name, n) = match (entry.kind, what) {
        (_, What::Event(event)) => match event {
            Event::LensDone { .. } => ("lens", 1),
            Event::CurvesReady { .. } => ("mean of curves", 1),
            Event::GridColumn { .. } => ("grid column", 1),
            Event::CellReady { .. } => ("opened cell", 1),
            Event::PcaReady { complete: true, .. } => ("PCA", 1),
            Event::EvalRecords { records, .. } => ("scored query", records.len() as u64),
            Event::TrainStep { .. } => ("training step", 1),
            Event::TrainFrame { .. } => ("frame of a training", 1),
            Event::TrainValidated { .. } => ("validation", 1),
            _ => return,
        },
        (Kind::User, _) => ("action", 1),
        (Kind::Ask, _) => ("question", 1),
        (Kind::Note, _) => ("note", 1),
        (Kind::Mark, _) => ("mark", 1),
        _ => return,
    };
    if let Some(place) = contents.iter_mut().find(|c| c.0 == name) {
        place.2 += n;
    }
}

impl Checked {
    fn cut(&self) -> Option<String> {
        let line = self.file.cut?;
        Some(format!("it ends in the middle of line {line}: what is before it replays"))
    }

    fn text(&self, name: &str) -> String {
        let (file, header) = (&self.file, &self.file.header);
        let lines = file.entries().len() + 1;
        let mut out = format!("{name}: {lines} lines, {}, replays to its end\n", clock(file.end()));
        let model = header.model.as_ref().map_or(&header.start.model, |m| &m.name);
        let adapters: Vec<&str> = header.adapters.iter().map(|a| a.name.as_str()).collect();
        out += &format!("  polylens {} {}, {}", header.version, header.command, header.started);
        out += &format!("; model {}", if model.is_empty() { "not named" } else { model });
        if !adapters.is_empty() {
            out += &format!("; adapters {}", adapters.join(", "));
        }
        let there = self.contents.iter().filter(|c| c.2 > 0);
        let parts: Vec<String> =
            there.map(|(one, many, n)| format!("{n} {}", if *n == 1 { one } else { many })).collect();
        out += &format!(
            "\n  {}\n",
            if parts.is_empty() { "nothing happens in it".into() } else { parts.join(", ") }
        );
        for note in self.cut().iter().chain(&self.notes) {
            out += &format!("  note: {note}\n");
        }
        out
    }

    fn document(&self, name: &str) -> serde_json::Value {
        let (file, header) = (&self.file, &self.file.header);
        let contents: serde_json::Map<String, serde_json::Value> = self
            .contents
            .iter()
            .map(|(one, _, n)| (one.replace(' ', "_").to_lowercase(), json!(n)))
            .collect();
        json!({
            "name": name, "ok": true, "lines": file.entries().len() + 1, "duration_ms": file.end(),
            "bytes": file.size(), "cut_line": file.cut, "version": header.version, "command": header.command,
            "started": header.started, "model": header.model, "adapters": header.adapters,
            "contents": contents, "notes": self.notes,
        })
    }
}
