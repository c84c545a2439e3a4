//! What all panes may read, how they ask for work, and what a pane is.

use super::action::Action;
use super::library::{ItemEntry, Library};
use super::tape::Tape;
use crate::engine::protocol::*;
use crate::train::log::Update;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the runtime shall do for the app; the app itself does no I/O.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "few at a time, each moved once")]
pub enum Effect {
    Engine(Command),
    /// Put text on the clipboard (OSC 52).
    Copy(String),
    /// Write the screen as a picture; answered by `Msg::Saved`.
    Picture(PathBuf),
    /// Write a file; answered by `Msg::Saved`.
    Save {
        path: PathBuf,
        text: String,
    },
    /// Follow a training log: answered by `Msg::Log`, again whenever it grows. `None` stops.
    FollowLog(Option<PathBuf>),
    /// Look whether a model is in the cache; answered by `Msg::ModelFound`.
    FindModel(String),
    /// Ask for the model catalogue; answered by `Msg::Catalogue`.
    ListModels,
    /// Ask for completions of a typed path; answered by `Msg::Completions`.
    Complete(String),
    /// Replay a recording: a shipped one's name or a file.
    Play(String),
    /// Something about the recording.
    Tape(Tape),
    /// Draw every cell again.
    Redraw,
    Suspend,
    Quit,
}

/// An adapter as loaded, and whether its run is shown beside the base.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adapter {
    /// The engine's number of it: stays when another one is dropped.
    pub number: usize,
    pub info: AdapterInfo,
    pub shown: bool,
}

/// The state that panes share: model, adapters, and the current query.
#[derive(Clone, Debug)]
pub struct Shared {
    pub library: Arc<dyn Library>,
    pub model: Option<ModelInfo>,
    pub adapters: Vec<Adapter>,
    /// Id of the current task in the library.
    pub task: String,
    /// Code of the current language.
    pub lang: String,
    /// Index of the current item.
    pub item: usize,
    pub style: Style,
    pub protocol: Protocol,
    /// The items of the current task and language.
    pub items: Vec<ItemEntry>,
    /// The query as last sent to the engine.
    pub query: Query,
    /// The prompt's tokens, once the engine has said them.
    pub tokens: Vec<TokenText>,
    /// The query's token sets, once the engine has said them.
    pub sets: TokenSets,
    /// The questions are those of a recording made without the explorer: none is asked here.
    pub told: bool,
}

impl Shared {
    /// The runs on screen: the base, and every adapter that is switched on.
    pub fn runs(&self) -> Vec<RunId> {
        let on = self.adapters.iter().filter(|a| a.shown);
        std::iter::once(None).chain(on.map(|a| Some(a.number))).collect()
    }

    /// Whether an adapter's run is on screen.
    pub fn compares(&self) -> bool {
        self.adapters.iter().any(|a| a.shown)
    }

    /// A run's name: "base" or the adapter's.
    pub fn run_name(&self, run: RunId) -> &str {
        let adapter = |n| self.adapters.iter().find(|a| a.number == n);
        run.map_or("base", |n| adapter(n).map_or("adapter", |a| a.info.name.as_str()))
    }
}

/// Hands out job numbers, which only ever grow.
#[derive(Clone, Debug, Default)]
pub struct Jobs {
    last: JobId,
}

impl Jobs {
    /// A new job's number.
    pub fn issue(&mut self) -> JobId {
        self.last += 1;
        self.last
    }

    /// A number that somebody else gave out.
    pub fn adopt(&mut self, job: JobId) {
        self.last = self.last.max(job);
    }
}

/// What a pane may read and do while it handles something.
pub struct Cx<'a> {
    pub shared: &'a Shared,
    pub now: Duration,
    pub jobs: &'a mut Jobs,
    pub effects: &'a mut Vec<Effect>,
}

impl Cx<'_> {
    /// Sends a command to the engine.
    pub fn send(&mut self, command: Command) {
        self.effects.push(Effect::Engine(command));
    }
}

/// A mouse event inside a pane; coordinates count from the top left of the pane's inner area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneMouse {
    pub x: u16,
    pub y: u16,
    pub width: u16,
    pub height: u16,
    pub kind: MouseKind,
}

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MouseKind {
    Click,
    Drag,
    Move,
    WheelUp,
    WheelDown,
}

/// A pane's state as plain methods; drawing it is `ui::panes`' part.
///
/// Every method has a default that does nothing, so a pane implements what it has.
pub trait Pane {
    /// An action of the key table while this pane has the focus. True if it meant something here.
    fn on_action(&mut self, _action: Action, _cx: &mut Cx) -> bool {
        false
    }
    /// An engine event. Every pane sees every event and picks its own by job id.
    fn on_event(&mut self, _event: &Event, _cx: &mut Cx) {}
    /// The query, the model or the runs changed and a lens was asked for. `visible`: the pane is
    /// on screen; a pane that is not asks for nothing until `on_show`.
    fn on_query(&mut self, _visible: bool, _cx: &mut Cx) {}
    /// News of the training run that is followed; only the training pane hears it.
    fn on_log(&mut self, _updates: &Result<Vec<Update>, String>, _cx: &mut Cx) {}
    /// The pane came on screen.
    fn on_show(&mut self, _cx: &mut Cx) {}
    /// The pane's inner area has this size now; called before anything else that depends on it, and
    /// whenever it changes.
    fn on_area(&mut self, _width: u16, _height: u16, _cx: &mut Cx) {}
    /// A mouse event inside the pane. True if it meant something here.
    fn on_mouse(&mut self, _mouse: PaneMouse, _cx: &mut Cx) -> bool {
        false
    }
    /// Time passed; called about 10 to 30 times a second while `animating`.
    fn on_tick(&mut self, _cx: &mut Cx) {}
    /// Whether a tick at `now` would change what the pane holds, and not only turn a spinner.
    fn awaits_tick(&self, _now: Duration) -> bool {
        false
    }
    /// Whether ticks are wanted.
    fn animating(&self) -> bool {
        false
    }
    /// Esc: one step back inside the pane. False if there is nowhere to go back from.
    fn back(&mut self) -> bool {
        false
    }
    /// The job to cancel, if this pane waits for one.
    fn job(&self) -> Option<JobId> {
        None
    }
    /// What `y` copies: the selected value as text.
    fn copy_text(&self, _shared: &Shared) -> Option<String> {
        None
    }
    /// What `w` writes.
    fn export(&self, _shared: &Shared) -> Option<serde_json::Value> {
        None
    }
}
