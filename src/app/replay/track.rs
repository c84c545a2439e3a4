//! A session driving the app: the same update function that the user's keys go through, at the recorded times and
//! on a screen of the recorded size. What the app would ask of the world is not done: the answers are in the file.

use super::keyframes::{Keyframes, LINE};
use super::{Input, What, sane};
use crate::app::library::Library;
use crate::app::model::Settings;
use crate::app::{App, Msg, Setup, ThemeKind};
use crate::error::Result;
use crate::session::sane::Known;
use crate::session::{Entry, Header, Kind, SessionFile, Source};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A session and the app as it was at one time in it.
#[derive(Clone, Debug)]
pub struct Track {
    file: Arc<SessionFile>,
    library: Arc<dyn Library>,
    /// Where it is.
    at: Place,
    keyframes: Keyframes,
    /// How far [`Track::index_some`] has come beyond the keyframes; `None` at the file's end, and before it began.
    ahead: Option<Box<Place>>,
    indexed: bool,
}

/// The app after so many lines.
#[derive(Clone, Debug)]
struct Place {
    app: App,
    /// Lines that were taken in, and what they cost.
    taken: usize,
    cost: u64,
    /// Milliseconds since the recording began.
    now: u64,
}

impl Place {
    /// Takes the next line in; false at the end.
    fn step(&mut self, file: &SessionFile) -> Result<bool> {
        let Some(entry) = file.entries().get(self.taken) else { return Ok(false) };
        let mut msg = None;
        let mut at = self.app.now;
        if matters(entry.kind, file.header.source) {
            let line: super::Line = file.line(entry)?;
            let known = Known { layers: self.app.shared.model.as_ref().map(|m| m.layers) };
            sane::what(&line.what, known).map_err(|why| file.damaged(entry, &why))?;
            at = at.max(Duration::from_millis(line.t));
            msg = message(line.what, file.header.source);
        }
        self.taken += 1;
        self.cost += LINE + entry.size() as u64;
        self.now = self.now.max(entry.t);
        if let Some(msg) = msg {
            self.app.update(msg, at);
        }
        Ok(true)
    }
}

impl Track {
    /// At the beginning, before the first line.
    pub fn new(file: Arc<SessionFile>, library: Arc<dyn Library>) -> Self {
        let at = Place { app: first(&file.header, library.clone()), taken: 0, cost: 0, now: 0 };
        Self { file, library, at, keyframes: Keyframes::default(), ahead: None, indexed: false }
    }

    /// The session.
    pub fn file(&self) -> &Arc<SessionFile> {
        &self.file
    }

    /// The app as it was.
    pub fn app(&self) -> &App {
        &self.at.app
    }

    /// Milliseconds since the recording began.
    pub fn now(&self) -> u64 {
        self.at.now
    }

    /// Lines that were taken in.
    pub fn taken(&self) -> usize {
        self.at.taken
    }

    /// The app on a viewer's screen of another size: the recorded one is left as it is.
    pub fn view(&self, size: (u16, u16)) -> App {
        view(&self.at.app, size, self.time(self.at.now))
    }

    /// The app's time `t` milliseconds after the recording began.
    pub fn time(&self, t: u64) -> Duration {
        Duration::from_millis(self.file.header.begin.saturating_add(t))
    }

    /// The line that comes next.
    pub fn next(&self) -> Option<&Entry> {
        self.file.entries().get(self.at.taken)
    }

    /// Takes the next line in, at its time; false at the end.
    ///
    /// # Errors
    /// The line is damaged: the sentence names it. The track stays before it.
    pub fn step(&mut self) -> Result<bool> {
        let went = self.at.step(&self.file)?;
        if went && self.at.taken > self.keyframes.reach() {
            self.keyframes.offer(self.at.taken, self.at.cost, self.at.now, &self.at.app);
        }
        Ok(went)
    }

    /// To a time, after all lines of that time: forwards from here, or from a place kept on the way.
    ///
    /// # Errors
    /// As [`Track::step`]; the track stays before the damaged line.
    pub fn seek(&mut self, t: u64) -> Result<()> {
        let lines = self.file.entries().partition_point(|e| e.t <= t);
        self.go(lines)?;
        self.at.now = t;
        Ok(())
    }

    /// To the place after the first `lines` lines (in the order in which they are played), at the last one's time.
    ///
    /// # Errors
    /// As [`Track::step`]; the track stays before the damaged line.
    pub fn seek_line(&mut self, lines: usize) -> Result<()> {
        let lines = lines.min(self.file.entries().len());
        self.go(lines)?;
        self.at.now = lines.checked_sub(1).map_or(0, |last| self.file.entries()[last].t);
        Ok(())
    }

    fn go(&mut self, lines: usize) -> Result<()> {
        let back = lines < self.at.taken;
        match self.keyframes.before(lines) {
            Some((taken, cost, now, app)) if back || taken > self.at.taken => {
                self.at = Place { app, taken, cost, now };
            }
            None if back => {
                let app = first(&self.file.header, self.library.clone());
                self.at = Place { app, taken: 0, cost: 0, now: 0 };
            }
            _ => {}
        }
        while self.at.taken < lines && self.step()? {}
        Ok(())
    }

    /// Goes on remembering places for later jumps, for about `lines` lines; false once the whole session is known (or
    /// known up to a damaged line). The place where the track is does not change.
    pub fn index_some(&mut self, lines: usize) -> bool {
        if self.indexed {
            return false;
        }
        let mut ahead = match self.ahead.take() {
            Some(place) if place.taken >= self.keyframes.reach() => place,
            _ => Box::new(self.farthest()),
        };
        for _ in 0..lines {
            if !matches!(ahead.step(&self.file), Ok(true)) {
                self.indexed = true;
                return false;
            }
            if ahead.taken > self.keyframes.reach() {
                self.keyframes.offer(ahead.taken, ahead.cost, ahead.now, &ahead.app);
            }
        }
        self.ahead = Some(ahead);
        true
    }

    /// The farthest place that is known.
    fn farthest(&self) -> Place {
        match self.keyframes.before(usize::MAX) {
            Some((taken, cost, now, app)) if taken > self.at.taken => Place { app, taken, cost, now },
            _ => self.at.clone(),
        }
    }

    /// The share of the session in which jumps are quick, 0..=1.
    pub fn indexed(&self) -> f64 {
        let all = self.file.entries().len().max(1);
        let known = self.ahead.as_ref().map_or(0, |p| p.taken).max(self.keyframes.reach());
        if self.indexed { 1.0 } else { known as f64 / all as f64 }
    }

    /// Takes over what another track of the same file (on a thread, say) remembers, where that is more.
    pub fn learn(&mut self, other: &Self) {
        if Arc::ptr_eq(&self.file, &other.file) && other.keyframes.reach() > self.keyframes.reach() {
            self.keyframes = other.keyframes.clone();
            self.indexed |= other.indexed;
            self.ahead = None;
        }
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
    copy.replayed = true;
    copy
}

/// Whether lines of a kind mean something to the app: others are not parsed.
fn matters(kind: Kind, source: Source) -> bool {
    match kind {
        Kind::User | Kind::Event => true,
        Kind::Ask => source == Source::Command,
        Kind::Note | Kind::Mark | Kind::Weights => false,
    }
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

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
