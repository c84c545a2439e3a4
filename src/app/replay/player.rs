//! The player: one session or two on one time line, the viewer's keys, and what is said beside the picture.

mod keys;

pub use keys::KEYS;

use super::Track;
use super::clock::{Clock, PAUSE};
use super::lane::{Lane, LookInput, lasts};
use super::place::{self, Place};
use crate::app::editor::Editor;
use crate::app::{App, Effect, Pane, ThemeKind};
use crate::session::{Kind, Note};
use std::time::Duration;

/// How long something is said beside the time line.
const SAID: Duration = Duration::from_secs(5);

/// What is typed into the bottom line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    Jump,
    Note,
}

/// What the player wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    Leave,
    /// Draw every cell again.
    Redraw,
    Suspend,
    /// Add a note to the file of a lane.
    Annotate {
        lane: usize,
        t: u64,
        note: Note,
    },
    /// Of the app that is looked at: a copied value, a file.
    App(Box<Effect>),
}

/// Sessions being watched.
#[derive(Clone, Debug)]
pub struct Player {
    /// One, or two beside each other.
    pub lanes: Vec<Lane>,
    /// Whose panes the viewer's keys mean.
    pub active: usize,
    pub clock: Clock,
    pub theme: ThemeKind,
    pub asking: Option<(Asking, Editor)>,
    pub help: bool,
    /// Said beside the time line, until then.
    said: Option<(String, Duration)>,
    /// The caption on screen: its lane and time, and when it came on screen in the viewer's time.
    shown: Option<(usize, u64, Duration)>,
    /// The last tick in the viewer's time.
    ticked: Option<Duration>,
}

impl Player {
    /// Begins to play.
    pub fn new(tracks: Vec<Track>, theme: ThemeKind) -> Self {
        let lanes = tracks.into_iter().map(Lane::new).collect();
        let clock = Clock::default();
        let mut player = Self {
            lanes,
            active: 0,
            clock,
            theme,
            asking: None,
            help: false,
            said: None,
            shown: None,
            ticked: None,
        };
        player.take_lines();
        player
    }

    /// The session that the keys mean.
    pub fn lane(&self) -> &Lane {
        &self.lanes[self.active]
    }

    /// Milliseconds since the recording began.
    pub fn now(&self) -> u64 {
        self.clock.at as u64
    }

    /// Time of the last line of the longest session, and of its captions.
    pub fn end(&self) -> u64 {
        self.lanes.iter().map(|l| l.file().end()).max().unwrap_or(0)
    }

    /// Marks of all sessions by time.
    pub fn marks(&self) -> Vec<(u64, String)> {
        let mut marks: Vec<_> = self.lanes.iter().flat_map(|l| l.marks.iter().cloned()).collect();
        marks.sort();
        marks.dedup();
        marks
    }

    /// Whether the viewer has left the recorded path.
    pub fn aside(&self) -> bool {
        self.lanes.iter().any(|l| l.aside.is_some())
    }

    /// What is to be said beside the time line at `now`.
    pub fn said(&self, now: Duration) -> Option<&str> {
        self.said.as_ref().filter(|(_, until)| now < *until).map(|(words, _)| words.as_str())
    }

    /// Says something for a while.
    pub fn say(&mut self, words: impl Into<String>, now: Duration) {
        self.said = Some((words.into(), now + SAID));
    }

    /// The caption of a lane. At high speed it stays as long as it takes to read.
    pub fn caption(&self, lane: usize, now: Duration) -> Option<&Note> {
        let of = &self.lanes[lane];
        if let Some((_, note)) = of.caption(self.now()) {
            return Some(note);
        }
        let (_, at, since) = self.shown.filter(|(l, _, _)| *l == lane)?;
        let (_, note) = of.notes.iter().find(|(t, _)| *t == at && *t <= self.now())?;
        (now < since + Duration::from_millis(lasts(note))).then_some(note)
    }

    /// When the player wants a tick, in the viewer's time.
    pub fn wake(&self, now: Duration) -> Option<Duration> {
        let moving = self.clock.playing || self.lanes.iter().any(|l| l.aside.as_ref().is_some_and(animates));
        let next = moving.then(|| now + Duration::from_millis(33));
        next.into_iter().chain(self.said.as_ref().map(|s| s.1).filter(|t| *t > now)).min()
    }

    /// Time passes in the viewer's world.
    pub fn tick(&mut self, size: (u16, u16), now: Duration) {
        let mut budget = self.clock.passed(now);
        while self.clock.playing {
            let Some(next) = self
                .lanes
                .iter()
                .filter(|l| l.error.is_none())
                .filter_map(|l| l.track.next())
                .map(|e| e.t)
                .min()
            else {
                self.ended();
                break;
            };
            let last = self.lanes.iter().filter_map(last_line).max().unwrap_or(0);
            let limit = self
                .lanes
                .iter()
                .filter_map(|l| l.caption(last))
                .map(|(_, n)| lasts(n) as f64)
                .fold(PAUSE, f64::max);
            match self.clock.towards(last as f64, next as f64, limit, budget) {
                Some(left) => budget = left,
                None => break,
            }
            self.take_lines();
        }
        // After a long stop what moves goes on where it was.
        let since =
            now.saturating_sub(self.ticked.replace(now).unwrap_or(now)).min(Duration::from_millis(100));
        for lane in &mut self.lanes {
            if lane.aside.as_ref().is_some_and(animates) {
                let t = self.clock.at as u64;
                lane.look(LookInput::Tick(since), size, t);
            }
        }
        self.remember_caption(now);
    }

    fn ended(&mut self) {
        self.clock.at = self.clock.at.max(self.end() as f64);
        if self.clock.looped && self.end() > 0 {
            self.seek(0);
            self.clock.playing = true;
        } else {
            self.clock.playing = false;
        }
    }

    fn take_lines(&mut self) {
        let t = self.now();
        self.lanes.iter_mut().for_each(|l| l.play_to(t));
    }

    fn remember_caption(&mut self, now: Duration) {
        let t = self.now();
        for (i, lane) in self.lanes.iter().enumerate() {
            if let Some((at, _)) = lane.caption(t)
                && self.shown.is_none_or(|(l, s, _)| (l, s) != (i, at))
            {
                self.shown = Some((i, at, now));
            }
        }
    }

    /// Jumps to a time, all sessions on their recorded paths.
    pub fn seek(&mut self, t: u64) {
        self.clock.at = t as f64;
        self.shown = None;
        self.lanes.iter_mut().for_each(|l| l.seek(t));
    }

    /// Jumps to a place as typed: see [`place::parse`].
    ///
    /// # Errors
    /// A sentence that says what may be typed.
    pub fn jump(&mut self, text: &str) -> Result<(), String> {
        match place::parse(text, self.now(), self.end(), &self.marks())? {
            Place::Time(t) => self.seek(t),
            Place::Line(n) => self.jump_line(self.active, n.saturating_sub(1)),
        }
        Ok(())
    }

    /// Back to the recorded path.
    pub fn rejoin(&mut self) {
        self.lanes.iter_mut().for_each(|l| l.aside = None);
    }

    fn toggle(&mut self, now: Duration) {
        if self.aside() {
            self.rejoin();
            self.clock.playing = true;
        } else if self.lanes.iter().all(|l| l.track.next().is_none()) && !self.clock.playing {
            self.seek(0);
            self.clock.playing = true;
        } else {
            self.clock.playing = !self.clock.playing;
        }
        // The pause before does not count as time that has passed.
        self.clock.passed(now);
    }

    /// One step: over ticks and progress to the next thing that was done or answered, or back behind the one before.
    fn step(&mut self, on: bool) {
        self.clock.playing = false;
        self.rejoin();
        let active = self.active;
        let track = &self.lanes[active].track;
        let entries = track.file().entries();
        let counts = |i: &usize| visible(track.file().text(&entries[*i]), entries[*i].kind);
        let taken = track.taken();
        let target = match on {
            true => (taken..entries.len()).find(counts).map_or(entries.len(), |i| i + 1),
            // Behind the last but one that counts: that is the state before the last.
            false => {
                let last = (0..taken).rev().find(counts).unwrap_or(0);
                (0..last).rev().find(counts).map_or(0, |i| i + 1)
            }
        };
        self.jump_line(active, target);
    }

    fn jump_line(&mut self, lane: usize, target: usize) {
        self.lanes[lane].seek_line(target);
        let t = self.lanes[lane].track.now();
        self.clock.at = t as f64;
        for (i, other) in self.lanes.iter_mut().enumerate() {
            if i != lane {
                other.seek(t);
            }
        }
    }

    fn jump_mark(&mut self, on: bool, now: Duration) {
        let t = self.now();
        let mut places: Vec<u64> = self
            .lanes
            .iter()
            .flat_map(|l| l.marks.iter().map(|m| m.0).chain(l.notes.iter().map(|n| n.0)))
            .collect();
        places.sort_unstable();
        // Just behind a mark, "the one before" is the one before that.
        let found = match on {
            true => places.iter().find(|p| **p > t),
            false => places.iter().rev().find(|p| **p + 1000 < t),
        };
        match (found.copied(), on) {
            (Some(at), _) => {
                self.seek(at);
                if let Some((_, name)) = self.marks().iter().find(|m| m.0 == at) {
                    self.say(name.clone(), now);
                }
            }
            (None, false) => self.seek(0),
            (None, true) => self.say("There is no further mark.", now),
        }
    }

    /// A note is in the file: it is shown from now on.
    pub fn annotated(&mut self, lane: usize, t: u64, note: Note) {
        let notes = &mut self.lanes[lane].notes;
        let at = notes.partition_point(|(other, _)| *other <= t);
        notes.insert(at, (t, note));
    }
}

/// Whether something moves by itself. What waits for an answer does not: beside the path none comes.
fn animates(app: &App) -> bool {
    app.pca.playing.is_some() || app.training.animating() || app.eval.animating()
}

/// Time of the last line that was taken in.
fn last_line(lane: &Lane) -> Option<u64> {
    let at = lane.track.taken().checked_sub(1)?;
    lane.file().entries().get(at).map(|e| e.t)
}

/// Whether a line is a step for a viewer: ticks, sizes and progress are not.
fn visible(text: &[u8], kind: Kind) -> bool {
    let begins = |what: &str| {
        let at = text.iter().position(|b| *b == b',').map_or(0, |i| i + 1);
        text[at..].starts_with(what.as_bytes())
    };
    match kind {
        Kind::User => !begins("\"user\":\"tick\"") && !begins("\"user\":{\"resize\""),
        Kind::Event => !begins("\"event\":{\"event\":\"progress\""),
        Kind::Note | Kind::Mark => true,
        Kind::Ask | Kind::Weights => false,
    }
}
