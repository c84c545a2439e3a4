//! The explorer's state and its one transition: message in, effects out. It knows no terminal,
//! does no I/O and reads no clock, so a test can type keys and look at the outcome.

pub mod action;
pub mod keys;
pub mod library;
pub mod panes;
pub mod shared;
pub mod text;

pub use action::{Action, PaneId};
pub use keys::{Key, KeyInput};
pub use shared::{Cx, Effect, MouseKind, Pane, PaneMouse, Shared};

use crate::engine::protocol::Event;
use crate::train::log::Update;
use panes::{grid::GridPane, lens::LensPane, pca::PcaPane, query::QueryPane, training::TrainingPane};
use serde::{Deserialize, Serialize};
use shared::Jobs;
use std::path::PathBuf;
use std::time::Duration;

/// The looks to choose from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeKind {
    #[default]
    Dark,
    Light,
    /// Dark, with furniture of plain ASCII.
    Ascii,
}

impl ThemeKind {
    /// All themes, in the order they are switched through.
    pub const ALL: [Self; 3] = [Self::Dark, Self::Light, Self::Ascii];
}

/// Everything that can happen to the app.
#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    Key(KeyInput),
    Paste(String),
    Mouse {
        x: u16,
        y: u16,
        kind: MouseKind,
    },
    Resize {
        width: u16,
        height: u16,
    },
    Engine(Event),
    Tick,
    /// What `train::log::LogFollower::poll` gave for a followed run, or why it cannot be read (a sentence).
    Log {
        path: PathBuf,
        updates: Result<Vec<Update>, String>,
    },
}

/// The whole explorer.
pub struct App {
    pub shared: Shared,
    pub query: QueryPane,
    pub lens: LensPane,
    pub grid: GridPane,
    pub pca: PcaPane,
    pub training: TrainingPane,
    pub theme: ThemeKind,
    /// The terminal's size in cells.
    pub size: (u16, u16),
    /// Where the mouse rests, in cells of the whole screen.
    pub hover: Option<(u16, u16)>,
    pub focus: PaneId,
    /// The time of the last message, since the start.
    pub now: Duration,
    pub jobs: Jobs,
}

impl App {
    /// Takes in one message at time `now` (since the start) and says what is to be done.
    pub fn update(&mut self, msg: Msg, now: Duration) -> Vec<Effect> {
        self.now = now;
        let effects = Vec::new();
        if let Msg::Resize { width, height } = msg {
            self.size = (width, height);
        }
        effects
    }
}
