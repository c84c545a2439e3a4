//! The explorer's state and its one transition: message in, effects out. It knows no terminal,
//! does no I/O and reads no clock, so a test can type keys and look at the outcome.

mod act;
pub mod action;
mod adopt;
pub mod bundle;
mod choose;
pub mod confirm;
pub mod editor;
pub mod fuzzy;
pub mod keys;
pub mod layout;
mod leave;
pub mod library;
pub mod messages;
pub mod model;
pub mod overlay;
pub mod panes;
pub mod picker;
pub mod question;
pub mod replay;
pub mod shared;
pub mod tape;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
pub mod testing_sessions;
#[cfg(test)]
pub mod testing_train;
#[cfg(test)]
mod tests;
pub mod text;
mod update;

pub use action::{Action, PaneId};
pub use keys::{Key, KeyInput};
pub use shared::{Cx, Effect, MouseKind, Pane, PaneMouse, Shared};
pub use tape::{Tape, TapeSign};

use crate::engine::protocol::{Command, Event, Protocol, Query, Style, TokenSets};
use crate::train::log::Update;
use layout::{Layout, Request};
use library::Library;
use messages::{Level, Messages};
use model::{CatalogueEntry, Found, ModelState, Settings};
use overlay::{Overlay, Question};
use panes::{
    eval::EvalPane, grid::GridPane, lens::LensPane, pca::PcaPane, query::QueryPane, training::TrainingPane,
};
use serde::{Deserialize, Serialize};
use shared::Jobs;
use std::path::PathBuf;
use std::sync::Arc;
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

    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Ascii => "ascii",
        }
    }
}

/// Everything that can happen to the app.
#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    /// What a key meant; a recording has this in the key's place, so that it outlives the key table.
    Act(Action),
    /// A question that stands in a recording made without the explorer: it is taken over as if it had been asked here.
    Adopt(Command),
    Key(KeyInput),
    /// A question about the recording is put; it is left out of the recording itself.
    Ask {
        what: Question,
        text: String,
    },
    /// A sentence from outside.
    Told {
        level: Level,
        text: String,
    },
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
    /// Time passed: see [`App::wake`].
    Tick,
    /// What `train::log::LogFollower::poll` gave for a followed run, or why it cannot be read (a sentence).
    Log {
        path: PathBuf,
        updates: Result<Vec<Update>, String>,
    },
    /// Answer to `Effect::FindModel`.
    ModelFound {
        name: String,
        found: Result<Found, String>,
    },
    /// Answer to `Effect::ListModels`.
    Catalogue(Result<Vec<CatalogueEntry>, String>),
    /// Answer to `Effect::Complete`: what was typed, and what it may become.
    Completions {
        typed: String,
        candidates: Vec<String>,
    },
    /// Answer to `Effect::Save`: the file, or why it could not be written.
    Saved(Result<PathBuf, String>),
}

/// What the app starts with.
#[derive(Clone)]
pub struct Setup {
    pub library: Arc<dyn Library>,
    pub model: String,
    pub adapters: Vec<String>,
    pub task: String,
    pub lang: String,
    pub style: Style,
    pub protocol: Protocol,
    pub settings: Settings,
    pub theme: ThemeKind,
    pub training_log: Option<PathBuf>,
}

/// The whole explorer. Copies are cheap enough for one a frame: what is large is shared.
#[derive(Clone, Debug)]
pub struct App {
    pub shared: Shared,
    pub query: QueryPane,
    pub lens: LensPane,
    pub grid: GridPane,
    pub pca: PcaPane,
    pub training: TrainingPane,
    pub eval: EvalPane,
    pub model: ModelState,
    pub messages: Messages,
    pub overlay: Option<Overlay>,
    pub theme: ThemeKind,
    /// The terminal's size in cells.
    pub size: (u16, u16),
    /// Where the mouse rests, in cells of the whole screen.
    pub hover: Option<(u16, u16)>,
    pub focus: PaneId,
    /// The pane beside the query, where there are two.
    pub main: PaneId,
    /// The pane beside the lens, where there are three.
    pub side: PaneId,
    pub zoomed: bool,
    /// The time of the last message, since the start.
    pub now: Duration,
    pub jobs: Jobs,
    /// What is shown of the recording that goes on; set from outside, and no part of what is recorded.
    pub tape: Option<TapeSign>,
    /// The training log that is followed.
    pub training_log: Option<PathBuf>,
    /// What is done once the run, asked to stop, has ended.
    pub leaving: Option<confirm::Leaving>,
    /// The adapter that is evaluated once it is loaded.
    evaluate: Option<PathBuf>,
    quitting: bool,
    /// A recording is shown, and nobody answers.
    pub replayed: bool,
    /// Inner sizes that the panes were told.
    areas: std::collections::BTreeMap<PaneId, (u16, u16)>,
}

impl App {
    /// The explorer before its first frame, and what is to be done at once.
    pub fn new(setup: Setup) -> (Self, Vec<Effect>) {
        let shared = Shared {
            library: setup.library,
            model: None,
            adapters: Vec::new(),
            task: setup.task,
            lang: setup.lang,
            item: 0,
            style: setup.style,
            protocol: setup.protocol,
            items: Vec::new(),
            query: Query::default(),
            tokens: Vec::new(),
            sets: TokenSets::default(),
            told: false,
        };
        let mut app = Self {
            shared,
            query: QueryPane::default(),
            lens: LensPane::default(),
            grid: GridPane::default(),
            pca: PcaPane::default(),
            training: TrainingPane::default(),
            eval: EvalPane::default(),
            model: ModelState::new(setup.settings, setup.adapters),
            messages: Messages::default(),
            overlay: None,
            theme: setup.theme,
            size: (0, 0),
            hover: None,
            focus: PaneId::Lens,
            main: PaneId::Lens,
            side: PaneId::Grid,
            zoomed: false,
            now: Duration::ZERO,
            jobs: Jobs::default(),
            tape: None,
            training_log: None,
            leaving: None,
            evaluate: None,
            quitting: false,
            replayed: false,
            areas: std::collections::BTreeMap::new(),
        };
        let mut effects = Vec::new();
        app.load_items();
        app.requery(&mut effects);
        app.model.choose(&setup.model, &mut effects);
        if let Some(path) = setup.training_log {
            app.follow_log(path, &mut effects);
            app.show(PaneId::Training, &mut effects);
        }
        (app, effects)
    }

    /// Where everything is; `None` on a terminal that is too small.
    pub fn layout(&self) -> Option<Layout> {
        Layout::new(&Request {
            size: self.size,
            focus: self.focus,
            main: self.main,
            side: self.side,
            zoomed: self.zoomed,
            comparing: self.shared.compares(),
            long_query: self.query.sets_open,
            message_rows: self.message_rows(),
        })
    }

    /// Rows that the current message takes.
    pub fn message_rows(&self) -> u16 {
        let Some(message) = self.messages.current() else { return 0 };
        text::rows(&message.text, self.message_columns()).len().min(4) as u16
    }

    /// Columns that a message is wrapped at: its sign on the left, how to dismiss it on the right.
    pub fn message_columns(&self) -> usize {
        let note =
            if self.messages.current().is_some_and(|m| m.level == messages::Level::Info) { 5 } else { 22 };
        usize::from(self.size.0).saturating_sub(note).max(10)
    }

    /// Whether a pane is on screen.
    pub fn is_visible(&self, pane: PaneId) -> bool {
        self.layout().is_some_and(|l| l.pane(pane).is_some())
    }

    /// When the app wants a `Tick`, since the start; `None` if it waits for nothing.
    pub fn wake(&self) -> Option<Duration> {
        let busy = !self.model.works.is_empty() || self.lens.animating() || self.model.job().is_some();
        let busy = busy || self.training.active().is_some_and(|r| r.waits());
        let frame = busy.then(|| self.now + Duration::from_millis(100));
        let animated = PaneId::ALL.iter().any(|p| *p != PaneId::Lens && self.pane(*p).animating());
        let animation = animated.then(|| self.now + Duration::from_millis(50));
        let typed = self.query.typed_at.map(|t| t + panes::query::DEBOUNCE);
        [frame, animation, typed, self.messages.next_expiry()].into_iter().flatten().min()
    }

    /// A pane by its name.
    pub fn pane(&self, id: PaneId) -> &dyn Pane {
        match id {
            PaneId::Query => &self.query,
            PaneId::Lens => &self.lens,
            PaneId::Grid => &self.grid,
            PaneId::Pca => &self.pca,
            PaneId::Training => &self.training,
            PaneId::Eval => &self.eval,
        }
    }

    /// Lets a pane do something: it may read what is shared, and ask for work.
    fn with_pane<T>(
        &mut self,
        id: PaneId,
        effects: &mut Vec<Effect>,
        f: impl FnOnce(&mut dyn Pane, &mut Cx) -> T,
    ) -> T {
        if id == PaneId::Training {
            // What a run watches is chosen in the PCA pane.
            self.training.watch.set.copy(&self.pca);
        }
        let pane: &mut dyn Pane = match id {
            PaneId::Query => &mut self.query,
            PaneId::Lens => &mut self.lens,
            PaneId::Grid => &mut self.grid,
            PaneId::Pca => &mut self.pca,
            PaneId::Training => &mut self.training,
            PaneId::Eval => &mut self.eval,
        };
        f(pane, &mut Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects })
    }

    /// Whether the program is about to end.
    pub fn quitting(&self) -> bool {
        self.quitting
    }
}
