//! One session in a player: its track, the viewer's own way beside it, its notes and marks.

use super::{Track, recorded};
use crate::app::{App, Effect, KeyInput, MouseKind, Msg};
use crate::engine::protocol::Command;
use crate::session::{Note, SessionFile};
use std::collections::VecDeque;
use std::time::Duration;

/// Questions that one key may lead to, answers' own questions included.
const MOST_ASKED: usize = 64;

/// A session being watched.
#[derive(Clone, Debug)]
pub struct Lane {
    pub track: Track,
    /// The viewer's own way, where the recorded path was left.
    pub aside: Option<App>,
    /// Captions by their times.
    pub notes: Vec<(u64, Note)>,
    pub marks: Vec<(u64, String)>,
    /// Why it cannot go on: a damaged line.
    pub error: Option<String>,
}

/// What came of looking around.
#[derive(Debug, Default)]
pub struct Looked {
    /// What the app wants done besides questions to the engine.
    pub effects: Vec<Effect>,
    /// A question that the recording has no answer to was taken back.
    pub refused: bool,
}

impl Lane {
    /// A session at its beginning.
    pub fn new(track: Track) -> Self {
        let (notes, marks) = (track.file().notes(), track.file().marks());
        Self { track, aside: None, notes, marks, error: None }
    }

    /// The session.
    pub fn file(&self) -> &SessionFile {
        self.track.file()
    }

    /// The app that is seen.
    pub fn app(&self) -> &App {
        self.aside.as_ref().unwrap_or(self.track.app())
    }

    /// Takes in all lines up to `t` milliseconds; stops before a damaged one.
    pub fn play_to(&mut self, t: u64) {
        while self.error.is_none() && self.track.next().is_some_and(|e| e.t <= t) {
            if let Err(e) = self.track.step() {
                self.error = Some(e.to_string());
            }
        }
    }

    /// Jumps to a time, on the recorded path.
    pub fn seek(&mut self, t: u64) {
        (self.aside, self.error) = (None, None);
        if let Err(e) = self.track.seek(t) {
            self.error = Some(e.to_string());
        }
    }

    /// Jumps behind the n-th line in playing order.
    pub fn seek_line(&mut self, n: usize) {
        (self.aside, self.error) = (None, None);
        if let Err(e) = self.track.seek_line(n) {
            self.error = Some(e.to_string());
        }
    }

    /// The caption at `t`: the last note that began before, while it lasts, and when it began.
    pub fn caption(&self, t: u64) -> Option<(u64, &Note)> {
        let last = self.notes.partition_point(|(at, _)| *at <= t).checked_sub(1)?;
        let (at, note) = &self.notes[last];
        (t < at.saturating_add(lasts(note))).then_some((*at, note))
    }

    /// A key or a mouse event of the viewer: leaves the recorded path.
    pub fn look(&mut self, input: LookInput, size: (u16, u16), t: u64) -> Looked {
        let now = self.track.time(t);
        let before = self.aside.clone();
        let mut app = before.clone().unwrap_or_else(|| super::track::view(self.track.app(), size, now));
        if app.size != size {
            app = super::track::view(&app, size, now);
        }
        // Beside the path the viewer asks, and the recording answers where it can.
        app.shared.told = false;
        let mut now = now.max(app.now);
        if let LookInput::Tick(passed) = input {
            now += passed;
        }
        let msg = match input {
            LookInput::Key(key) => Msg::Key(key),
            LookInput::Paste(text) => Msg::Paste(text),
            LookInput::Mouse { x, y, kind } => Msg::Mouse { x, y, kind },
            LookInput::Tick(_) => Msg::Tick,
        };
        let mut looked = Looked::default();
        let mut queue: VecDeque<Effect> = app.update(msg, now).into();
        let (mut asked, mut answered) = (0, 0);
        while let Some(effect) = queue.pop_front() {
            let Effect::Engine(command) = effect else {
                looked.effects.push(effect);
                continue;
            };
            if matches!(command, Command::Cancel { .. } | Command::TrainPlan { .. }) || asked > MOST_ASKED {
                continue;
            }
            asked += 1;
            if let Some(events) = recorded::answers(self.track.file(), &command) {
                answered += 1;
                for event in events {
                    queue.extend(app.update(Msg::Engine(event), now));
                }
            }
        }
        looked.refused = asked > 0 && answered == 0;
        // Columns that were never computed will not come.
        app.grid.pending = None;
        self.aside = if looked.refused { before } else { Some(app) };
        looked
    }
}

/// What a viewer does in the panes.
#[derive(Clone, Debug)]
pub enum LookInput {
    Key(KeyInput),
    Paste(String),
    Mouse {
        x: u16,
        y: u16,
        kind: MouseKind,
    },
    /// So much time has passed while the recording stands.
    Tick(Duration),
}

/// How long a note is shown, in milliseconds: as it says, or as long as it takes to read (about 16 characters a second).
pub fn lasts(note: &Note) -> u64 {
    let reading = 60_u64.saturating_mul(note.text.chars().count() as u64).max(2500);
    note.for_ms.unwrap_or(reading).min(60_000)
}
