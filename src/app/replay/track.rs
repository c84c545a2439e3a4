//! A session driving the app: the same update function that the user's keys go through, at the recorded times and
//! on a screen of the recorded size. What the app would ask of the world is not done: the answers are in the file.

use super::{Input, What};
use crate::app::library::Library;
use crate::app::model::Settings;
use crate::app::{App, Msg, Setup, ThemeKind};
use crate::error::Result;
use crate::session::{Entry, Header, SessionFile, Source};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A session and the app as it was at one time in it.
#[derive(Clone, Debug)]
pub struct Track {
    file: Arc<SessionFile>,
    library: Arc<dyn Library>,
    app: App,
    /// Lines that were taken in.
    taken: usize,
    /// Milliseconds since the recording began.
    now: u64,
}

impl Track {
    /// At the beginning, before the first line.
    pub fn new(file: Arc<SessionFile>, library: Arc<dyn Library>) -> Self {
        let app = first(&file.header, library.clone());
        Self { file, library, app, taken: 0, now: 0 }
    }

    /// The session.
    pub fn file(&self) -> &Arc<SessionFile> {
        &self.file
    }

    /// The app as it was.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Milliseconds since the recording began.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Lines that were taken in.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The app on a viewer's screen of another size: the recorded one is left as it is.
    pub fn view(&self, size: (u16, u16)) -> App {
        view(&self.app, size, Duration::from_millis(self.file.header.begin + self.now))
    }

    /// The line that comes next.
    pub fn next(&self) -> Option<&Entry> {
        self.file.entries().get(self.taken)
    }

    /// Takes the next line in, at its time; false at the end.
    ///
    /// # Errors
    /// The line is damaged: the sentence names it. The track stays before it.
    pub fn step(&mut self) -> Result<bool> {
        let Some(entry) = self.next().copied() else { return Ok(false) };
        let line: super::Line = self.file.line(&entry)?;
        self.taken += 1;
        self.now = self.now.max(entry.t);
        if let Some(msg) = message(line.what, self.file.header.source) {
            self.app.update(msg, self.app.now.max(Duration::from_millis(line.t)));
        }
        Ok(true)
    }

    /// To a time: forwards from here or, for an earlier one, from the beginning.
    ///
    /// # Errors
    /// As [`Track::step`]; the track stays before the damaged line.
    pub fn seek(&mut self, t: u64) -> Result<()> {
        if t < self.now {
            *self = Self::new(self.file.clone(), self.library.clone());
        }
        while self.next().is_some_and(|e| e.t <= t) {
            self.step()?;
        }
        self.now = t;
        Ok(())
    }
}

/// A copy of a replayed app for a screen of `size`, at `now`.
pub fn view(app: &App, size: (u16, u16), now: Duration) -> App {
    let mut copy = app.clone();
    if copy.size != size {
        let (width, height) = size;
        copy.update(Msg::Resize { width, height }, now.max(copy.now));
        // A larger screen would ask for more than was recorded; nobody answers.
        copy.grid.pending = app.grid.pending;
    }
    copy.now = now.max(copy.now);
    copy
}

/// What a line means to the app.
fn message(what: What, source: Source) -> Option<Msg> {
    match (what, source) {
        (What::User(input), _) => Some(Input::into(input)),
        (What::Event(event), _) => Some(Msg::Engine(event)),
        // The explorer's own questions follow from what its user did.
        (What::Ask(command), Source::Command) => Some(Msg::Adopt(command)),
        _ => None,
    }
}

/// The app as it was before anything happened.
fn first(header: &Header, library: Arc<dyn Library>) -> App {
    let start = header.start.clone();
    let (mut app, _) = App::new(Setup {
        library,
        model: start.model,
        adapters: start.adapters,
        task: start.task,
        lang: start.lang,
        style: start.style,
        protocol: start.protocol,
        settings: Settings::default(),
        theme: ThemeKind::default(),
        training_log: start.training_log.map(PathBuf::from),
    });
    let (width, height) = start.size;
    app.update(Msg::Resize { width, height }, Duration::ZERO);
    app
}
