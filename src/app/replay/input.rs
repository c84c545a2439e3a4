//! What the app is told besides the engine's events, as it stands in a session.

use crate::app::messages::Level;
use crate::app::model::{CatalogueEntry, Found};
use crate::app::{Action, App, KeyInput, MouseKind, Msg, Overlay, PaneId, Tape, action};
use crate::train::log::Update;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::path::PathBuf;

/// A key in the key table's notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyName(pub KeyInput);

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let key = KeyInput::parse(&text);
        key.map(Self).ok_or_else(|| de::Error::custom(format_args!("there is no key {text:?}")))
    }
}

/// One thing that the app was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Input {
    /// What a key meant.
    Act(Action),
    /// A key that was typed into something, or answered a question.
    Key(KeyName),
    Paste(String),
    /// Cells of a screen of the size that the last `resize` said.
    Mouse {
        x: u16,
        y: u16,
        kind: MouseKind,
    },
    Resize(u16, u16),
    /// Time passed, and something happened through it alone.
    Tick,
    Log {
        path: PathBuf,
        updates: Result<Vec<Update>, String>,
    },
    ModelFound {
        name: String,
        found: Result<Found, String>,
    },
    Catalogue(Result<Vec<CatalogueEntry>, String>),
    Completions {
        typed: String,
        candidates: Vec<String>,
    },
    Saved(Result<PathBuf, String>),
    /// A sentence from outside.
    Told {
        level: Level,
        text: String,
    },
}

impl Input {
    /// What is recorded of a message that `app` is about to take in at `now`; `None` for the engine's events, and
    /// for ticks that only turn a spinner.
    pub fn of(msg: &Msg, app: &App, now: std::time::Duration) -> Option<Self> {
        Some(match msg {
            Msg::Act(action) => Self::Act(*action),
            Msg::Key(key) => match app.meaning(*key) {
                Some(action) => Self::Act(action),
                None => Self::Key(KeyName(*key)),
            },
            Msg::Paste(text) => Self::Paste(text.clone()),
            Msg::Mouse { x, y, kind } => Self::Mouse { x: *x, y: *y, kind: *kind },
            Msg::Resize { width, height } => Self::Resize(*width, *height),
            Msg::Tick if app.tick_matters(now) => Self::Tick,
            Msg::Log { path, updates } => Self::Log { path: path.clone(), updates: updates.clone() },
            Msg::ModelFound { name, found } => Self::ModelFound { name: name.clone(), found: found.clone() },
            Msg::Catalogue(list) => Self::Catalogue(list.clone()),
            Msg::Completions { typed, candidates } => {
                Self::Completions { typed: typed.clone(), candidates: candidates.clone() }
            }
            Msg::Saved(saved) => Self::Saved(saved.clone()),
            Msg::Told { level, text } => Self::Told { level: *level, text: text.clone() },
            Msg::Engine(_) | Msg::Adopt(_) | Msg::Ask { .. } | Msg::Tick => return None,
        })
    }
}

impl From<Input> for Msg {
    fn from(input: Input) -> Self {
        match input {
            Input::Act(action) => Self::Act(action),
            Input::Key(KeyName(key)) => Self::Key(key),
            Input::Paste(text) => Self::Paste(text),
            Input::Mouse { x, y, kind } => Self::Mouse { x, y, kind },
            Input::Resize(width, height) => Self::Resize { width, height },
            Input::Tick => Self::Tick,
            Input::Log { path, updates } => Self::Log { path, updates },
            Input::ModelFound { name, found } => Self::ModelFound { name, found },
            Input::Catalogue(list) => Self::Catalogue(list),
            Input::Completions { typed, candidates } => Self::Completions { typed, candidates },
            Input::Saved(saved) => Self::Saved(saved),
            Input::Told { level, text } => Self::Told { level, text },
        }
    }
}

impl App {
    /// What a key would mean as an action; `None` where it is typed into something, answers a question, or means
    /// nothing. The order is that of the keys' own handling.
    pub fn meaning(&self, key: KeyInput) -> Option<Action> {
        let typed = self.layout().is_none()
            || self.overlay.is_some()
            || self.query.editing
            || (self.focus == PaneId::Training && self.training.shows_form());
        let reserved = key == KeyInput::ctrl('c') || key == KeyInput::ctrl('z');
        if typed || reserved { None } else { action::lookup(key, self.focus).map(|b| b.action) }
    }

    /// Whether a tick at `now` changes more than how long something has taken.
    pub fn tick_matters(&self, now: std::time::Duration) -> bool {
        self.messages.next_expiry().is_some_and(|at| at <= now)
            || self.query.typed_at.is_some_and(|t| now >= t + super::super::panes::query::DEBOUNCE)
            || PaneId::ALL.iter().any(|p| self.pane(*p).awaits_tick(now))
    }

    /// Whether a message is about the recording itself: it changes nothing but what lies over the panes, and whoever
    /// watches a replay shall not see a note being typed.
    pub fn about_tape(&self, msg: &Msg) -> bool {
        let asked = matches!(&self.overlay, Some(Overlay::Ask { what, .. }) if what.about_tape());
        match msg {
            Msg::Ask { .. } => true,
            Msg::Key(key) => asked || self.meaning(*key).and_then(Tape::of).is_some(),
            Msg::Act(action) => Tape::of(*action).is_some(),
            Msg::Paste(_) | Msg::Mouse { .. } => asked,
            _ => false,
        }
    }
}
