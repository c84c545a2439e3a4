//! A recording of the explorer while it is used: every message before the app takes it in, and what the app asks the
//! engine. What happens before a recording is begun goes to a journal, so that the recording holds what led there.

use crate::app::replay::{self, Input, Line, What};
use crate::app::text::{bytes, clock};
use crate::app::{App, Msg, TapeSign};
use crate::engine::protocol::{Command, Event, RunId};
use crate::engine::worker::Handle;
use crate::error::{Error, Result};
use crate::session::{AdapterStamp, Header, ModelStamp, Note, Recorder, Source, Start, TaskText, Weights};
use crate::tasks::BUNDLED;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Longest note, in characters: it is a caption.
const LONGEST: usize = 400;

/// The journal, and the recording that goes on, if one does.
pub struct Recording {
    header: Header,
    journal: Option<Recorder>,
    live: Option<Live>,
}

struct Live {
    recorder: Recorder,
    begin: Duration,
}

/// What is recorded from, besides what happens.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub start: Start,
    pub title: String,
    pub about: String,
    /// The user's own task, as its file has it.
    pub own_task: Option<TaskText>,
}

impl Recording {
    /// Nothing but the journal yet. Where no temporary file can be made there is none, and a recording begins with an
    /// empty one only from the start.
    pub fn new(origin: Origin) -> Self {
        let mut header = Header::new(Source::Explorer, "explore", origin.start);
        (header.title, header.about) = (origin.title, origin.about);
        let hash = crate::engine::fingerprint::text_hash;
        let bundled = BUNDLED.iter().map(|t| (t.id.to_owned(), hash(t.toml)));
        header.tasks = bundled.collect::<BTreeMap<_, _>>();
        if let Some(task) = &origin.own_task {
            header.tasks.insert(task.id.clone(), hash(&task.toml));
        }
        header.own_tasks = origin.own_task.into_iter().collect();
        Self { header, journal: Recorder::journal().ok(), live: None }
    }

    /// Nothing is kept: a replay is no session of its own.
    pub fn none() -> Self {
        Self { header: Header::default(), journal: None, live: None }
    }

    /// Begins to write a file at `now`, with all that happened before.
    ///
    /// # Errors
    /// One goes on already; the file is there or cannot be written; what led here could not be kept.
    pub fn begin(&mut self, path: &Path, now: Duration) -> Result<()> {
        if let Some(live) = &self.live {
            crate::fail!("{} is being recorded already: Ctrl-r ends it", live.recorder.path().display());
        }
        if self.journal.is_none() && now > Duration::ZERO {
            crate::fail!(
                "what led here could not be kept (no room for temporary files), so nothing can be recorded from here; \
                 start with --record FILE"
            );
        }
        let header = Header { begin: now.as_millis() as u64, ..self.header.clone() };
        let mut recorder = Recorder::create(path, &header)?;
        if let Some(journal) = &mut self.journal
            && let Err(e) = recorder.append(journal)
        {
            let _ = std::fs::remove_file(path);
            return Err(e);
        }
        self.live = Some(Live { recorder, begin: now });
        Ok(())
    }

    /// Ends the recording: says where it is and how to play it.
    pub fn end(&mut self, now: Duration) -> Option<String> {
        if self.live.is_some()
            // What was looked at last is part of it.
            && let Err(e) = self.add(What::User(Input::Tick), now)
        {
            return Some(e.to_string());
        }
        let live = self.live.take()?;
        let path = live.recorder.path().display();
        let long = clock(now.saturating_sub(live.begin));
        let size = bytes(live.recorder.bytes());
        Some(format!("Recorded {long} ({size}) to {path}. To see it: polylens sessions play {path}"))
    }

    /// Whether a recording goes on.
    pub fn goes_on(&self) -> bool {
        self.live.is_some()
    }

    /// What the status line says.
    pub fn sign(&self, now: Duration) -> Option<TapeSign> {
        let live = self.live.as_ref()?;
        let ms = now.saturating_sub(live.begin).as_millis() as u64;
        Some(TapeSign { ms, bytes: live.recorder.bytes() })
    }

    /// A message that `app` is about to take in.
    ///
    /// # Errors
    /// The recording could not go on and has ended; a sentence for the user. What was written is whole.
    pub fn message(&mut self, msg: &Msg, app: &App, now: Duration) -> Result<()> {
        match replay::line(msg, app, now) {
            Some(line) => self.write(&line),
            None => Ok(()),
        }
    }

    /// A question that the app asks the engine.
    ///
    /// # Errors
    /// As [`Recording::message`].
    pub fn ask(&mut self, command: &Command, now: Duration) -> Result<()> {
        self.add(What::Ask(command.clone()), now)
    }

    /// A note, shown from `at` on.
    ///
    /// # Errors
    /// As [`Recording::message`].
    pub fn note(&mut self, text: &str, for_ms: Option<u64>, at: Duration) -> Result<()> {
        let text = text.chars().take(LONGEST).collect();
        self.add(What::Note(Note { text, for_ms, later: false }), at)
    }

    /// A place to jump to.
    ///
    /// # Errors
    /// As [`Recording::message`].
    pub fn mark(&mut self, name: &str, now: Duration) -> Result<()> {
        self.add(What::Mark(name.chars().take(LONGEST).collect()), now)
    }

    /// What a model or an adapter is.
    ///
    /// # Errors
    /// As [`Recording::message`].
    pub fn weights(&mut self, weights: &Weights, now: Duration) -> Result<()> {
        match (weights.adapter, &mut self.header.model) {
            (None, Some(stamp)) => stamp.sha256.clone_from(&weights.sha256),
            (Some(_), _) => {
                let stamps = self.header.adapters.iter_mut();
                stamps.filter(|a| a.name == weights.name).for_each(|a| a.sha256.clone_from(&weights.sha256));
            }
            (None, None) => {}
        }
        self.add(What::Weights(weights.clone()), now)
    }

    /// Takes note of a model or an adapter that was loaded, and asks `engine` for its hash, which `then` gets.
    pub fn loaded(&mut self, event: &Event, engine: &Handle, then: impl FnOnce(Weights) + Send + 'static) {
        let (run, name): (RunId, &String) = match event {
            Event::ModelLoaded { info, .. } => {
                self.header.model = Some(ModelStamp::of(info, String::new()));
                self.header.adapters.clear();
                (None, &info.name)
            }
            Event::AdapterLoaded { index, info, .. } => {
                let stamp = AdapterStamp { name: info.name.clone(), rank: info.rank, sha256: String::new() };
                self.header.adapters.push(stamp);
                (Some(*index), &info.name)
            }
            _ => return,
        };
        let name = name.clone();
        engine.identify(run, move |sha256| then(Weights { adapter: run, name, sha256 }));
    }

    fn add(&mut self, what: What, now: Duration) -> Result<()> {
        self.write(&Line { t: now.as_millis() as u64, what })
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        // Notes and marks belong to the recording in which they were made.
        let lasting = !matches!(line.what, What::Note(_) | What::Mark(_));
        if lasting && self.journal.as_mut().is_some_and(|j| j.record(line).is_err()) {
            self.journal = None;
        }
        let Some(live) = &mut self.live else { return Ok(()) };
        let Err(e) = live.recorder.record(line) else { return Ok(()) };
        let path = live.recorder.path().display().to_string();
        self.live = None;
        Err(Error::failed(format!("{e}. The recording has ended; {path} plays as far as it goes")))
    }
}

/// The file of a task that does not come with the program.
pub fn own_task(named: Option<&str>, id: &str) -> Option<TaskText> {
    let path = named.filter(|name| *name != id).map(Path::new)?;
    Some(TaskText { id: id.to_owned(), toml: std::fs::read_to_string(path).ok()? })
}

/// A name for a recording: when it is begun, in UTC.
pub fn free_name() -> String {
    let now: String = crate::session::utc(std::time::SystemTime::now())
        .chars()
        .filter_map(|c| match c {
            'T' => Some('-'),
            c => c.is_ascii_digit().then_some(c),
        })
        .collect();
    format!("session-{now}.jsonl")
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
