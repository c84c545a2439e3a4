//! Every action of the explorer, and the one key table from which the bottom line, the help, the
//! palette and the key handling are all made.

use super::keys::KeyInput;
use serde::{Deserialize, Serialize};

/// What a key, a palette entry or a click asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    // the program
    Quit,
    ForceQuit,
    Suspend,
    Back,
    Help,
    Palette,
    NextTheme,
    Copy,
    Write,
    Dismiss,
    CancelJob,
    Redraw,
    Record,
    AddNote,
    AddMark,
    // panes
    NextPane,
    PreviousPane,
    ShowQuery,
    ShowLens,
    ShowGrid,
    ShowPca,
    ShowTraining,
    ShowEval,
    Zoom,
    // model
    PickModel,
    PickAdapter,
    ToggleAdapter,
    Fetch,
    PickRecording,
    // query
    PickTask,
    PickLanguage,
    PreviousLanguage,
    NextLanguage,
    PickItem,
    PreviousItem,
    NextItem,
    NextStyle,
    PreviousStyle,
    NextProtocol,
    EditText,
    ToggleSource,
    ToggleSets,
    TrackWords,
    Rerun,
    // movement, meant for the focused pane
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    HalfUp,
    HalfDown,
    First,
    Last,
    LineStart,
    LineEnd,
    Open,
    Filter,
    // lens
    ToggleDifference,
    NextRun,
    NextMeasure,
    // grid and pca
    Play,
    NextPooling,
    ToggleSharedFit,
    ToggleLanguages,
    Compute,
    ToggleAxes,
    ToggleMarks,
    ToggleCurve,
    Faster,
    Slower,
    // evaluation
    NextScore,
    NextLimit,
    NextFilter,
    ToggleOrder,
    // training
    ToggleWatch,
    NextSheet,
    NextPreset,
    SaveRun,
    StopRun,
    NextPart,
    ToggleTrails,
    WatchQuery,
    OpenTrainingLog,
    ToggleSmoothing,
    ToggleLogScale,
    ToggleRecent,
}

/// The panes, in the order of the number keys 1 to 6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PaneId {
    Query,
    #[default]
    Lens,
    Grid,
    Pca,
    Training,
    Eval,
}

impl PaneId {
    /// All panes, in the order of the number keys.
    pub const ALL: [Self; 6] = [Self::Query, Self::Lens, Self::Grid, Self::Pca, Self::Training, Self::Eval];

    /// The name in its title and tab.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "Query",
            Self::Lens => "Lens",
            Self::Grid => "Grid",
            Self::Pca => "PCA",
            Self::Training => "Training",
            Self::Eval => "Eval",
        }
    }

    /// Its number key, 1 to 6.
    pub fn number(self) -> usize {
        self as usize + 1
    }
}

/// Where a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Where {
    /// In every pane.
    Everywhere,
    /// While this pane has the focus; wins over `Everywhere`.
    Pane(PaneId),
}

/// One row of the key table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// In the notation of [`KeyInput::parse`]; the first is the one shown in hints. May be empty
    /// (reachable through the palette alone).
    pub keys: &'static [&'static str],
    pub action: Action,
    /// What it does, as a short sentence without a full stop.
    pub description: &'static str,
    /// One word for the bottom line; empty where it is not hinted.
    pub hint: &'static str,
    pub place: Where,
}

const fn row(
    keys: &'static [&'static str],
    action: Action,
    hint: &'static str,
    description: &'static str,
    place: Where,
) -> Binding {
    Binding { keys, action, description, hint, place }
}

use Action as A;
const ANY: Where = Where::Everywhere;
const QUERY: Where = Where::Pane(PaneId::Query);
const LENS: Where = Where::Pane(PaneId::Lens);
const GRID: Where = Where::Pane(PaneId::Grid);
const PCA: Where = Where::Pane(PaneId::Pca);
const TRAINING: Where = Where::Pane(PaneId::Training);
const EVAL: Where = Where::Pane(PaneId::Eval);

/// The key table. Rows of a pane come before the general ones; within a place the order is the
/// order of the hints.
pub static KEYS: &[Binding] = &[
    // Query
    row(&["e"], A::EditText, "edit text", "Edit the prompt; Esc ends", QUERY),
    row(&["enter"], A::Open, "choose", "Choose, edit or expand the selected line", QUERY),
    row(&["l"], A::PickLanguage, "language", "Language: choose by code or name", QUERY),
    row(&["/"], A::Filter, "items", "Items: browse and filter", QUERY),
    row(&["s"], A::NextStyle, "style", "Next output style: english, same, agnostic", QUERY),
    row(&["f"], A::ToggleSource, "free text", "Switch between the task's item and free text", QUERY),
    row(&["x"], A::ToggleSets, "token sets", "Show or hide the token sets with what was removed", QUERY),
    // Lens
    row(&["enter"], A::Open, "top tokens", "Open a layer: top tokens, KL, gold rank, sub-layers", LENS),
    row(&["d"], A::ToggleDifference, "difference", "Base beside aligned, or their difference", LENS),
    row(&["v"], A::NextMeasure, "columns", "Next set of columns: all, curves, tokens", LENS),
    row(&["r"], A::NextRun, "run", "Next run: base or an adapter", LENS),
    row(
        &["c"],
        A::ToggleCurve,
        "",
        "Mean curves over all items of the task and language, or the layers",
        LENS,
    ),
    // Grid
    row(&["enter"], A::Open, "top tokens", "Open a cell: its top tokens and sub-layers", GRID),
    row(&["r"], A::NextRun, "run", "Next run: base or an adapter", GRID),
    row(&["v"], A::NextMeasure, "measure", "Colour by probability or by entropy", GRID),
    // PCA
    row(&["c"], A::Compute, "compute", "Compute the PCA over the chosen languages", PCA),
    row(&["space"], A::Play, "play", "Play through the layers, or pause", PCA),
    row(&["/"], A::ToggleLanguages, "languages", "Choose the languages shown", PCA),
    row(&["enter"], A::Open, "table", "Show or hide the table of alignment measures", PCA),
    row(&["v"], A::NextMeasure, "measure", "Next measure: Pearson, CKA, cosine gap, MEXA", PCA),
    row(&["P"], A::NextPooling, "pooling", "Next pooling: mean, last position, query only", PCA),
    row(&["u"], A::ToggleSharedFit, "fit", "Own fit of each run, or one shared fit", PCA),
    row(&["r"], A::NextRun, "run", "Next run: base or an adapter, side by side", PCA),
    row(&["x"], A::ToggleAxes, "", "Axes fixed over all layers, or fitted to each layer", PCA),
    row(&["o"], A::ToggleMarks, "", "Points as shapes, or as fine dots", PCA),
    row(&["d"], A::ToggleCurve, "", "Show or hide the curve of the measure over the layers", PCA),
    row(&["+", ">"], A::Faster, "", "Play faster", PCA),
    row(&["-", "<"], A::Slower, "", "Play slower", PCA),
    // Training
    row(
        &["c"],
        A::Compute,
        "start",
        "Start the run of the form; evaluate the adapter of a run that has ended",
        TRAINING,
    ),
    row(
        &["enter"],
        A::Open,
        "edit",
        "Edit the selected line; load the adapter of a run that has ended",
        TRAINING,
    ),
    row(
        &["space"],
        A::Play,
        "pause",
        "Pause the run or go on with it; play the frames; switch a choice",
        TRAINING,
    ),
    row(&["X"], A::StopRun, "stop", "Stop the run: its adapter is saved or discarded", TRAINING),
    row(&["b"], A::ToggleWatch, "watch", "Watch it align, frame by frame, or back to the run", TRAINING),
    row(
        &["N"],
        A::NextSheet,
        "new run",
        "Next sheet: the form of a new run, the run, the followed log",
        TRAINING,
    ),
    row(&["P"], A::NextPreset, "preset", "Settings: the paper's, or for a quick look", TRAINING),
    row(&["/"], A::ToggleLanguages, "languages", "Choose the source languages", TRAINING),
    row(&["o"], A::OpenTrainingLog, "open log", "Follow any run's trainer_log.jsonl", TRAINING),
    row(
        &["v"],
        A::NextMeasure,
        "curve",
        "Next curve: loss, rate, speed, gradient; next measure of the frames",
        TRAINING,
    ),
    row(&["s"], A::ToggleSmoothing, "smooth", "Smooth the curve, or show it raw", TRAINING),
    row(&["x"], A::ToggleLogScale, "log scale", "Logarithmic or linear vertical axis", TRAINING),
    row(&["r"], A::ToggleRecent, "recent", "The whole run, or its most recent part", TRAINING),
    row(&["C-s"], A::SaveRun, "save", "Write a checkpoint now and go on", TRAINING),
    row(&["+", ">"], A::Faster, "", "A larger value; play the frames faster", TRAINING),
    row(&["-", "<"], A::Slower, "", "A smaller value; play the frames slower", TRAINING),
    row(&["left", "h"], A::Left, "", "Frames: a frame back; else the reading cursor to the left", TRAINING),
    row(&["right", "l"], A::Right, "", "Frames: a frame on; else the reading cursor to the right", TRAINING),
    row(&["home", "g"], A::First, "", "Frames: to step 0; else to the curve's beginning", TRAINING),
    row(&["end", "G"], A::Last, "", "Frames: to the newest, and on with the run", TRAINING),
    row(&["up", "k"], A::Up, "", "Frames: a layer up; else to the line above", TRAINING),
    row(&["down", "j"], A::Down, "", "Frames: a layer down; else to the line below", TRAINING),
    row(&["d"], A::NextPart, "", "Frames: lens, scatter, pairs where not all fit", TRAINING),
    row(&["M"], A::ToggleTrails, "", "Frames: show or hide the languages' paths since the base", TRAINING),
    row(
        &["Q"],
        A::WatchQuery,
        "watch this query",
        "Frames: watch the current query and languages from now on",
        TRAINING,
    ),
    // Eval
    row(&["c"], A::Compute, "evaluate", "Evaluate what is chosen; what was answered before is kept", EVAL),
    row(&["enter"], A::Open, "open", "Open a language's items; open an item in the lens", EVAL),
    row(&["f"], A::NextFilter, "filter", "Items: all, those answered wrongly, or those that changed", EVAL),
    row(&["space"], A::Play, "stop", "Stop the evaluation, or go on with it", EVAL),
    row(&["/"], A::ToggleLanguages, "languages", "Choose the languages to evaluate", EVAL),
    row(&["N"], A::NextLimit, "items", "Items of each language: all, or the first 8, 16, 32", EVAL),
    row(&["s"], A::NextStyle, "labels", "Next output style: english, same, agnostic", EVAL),
    row(&["u"], A::NextScore, "score", "Score labels by their token sets, or by their whole words", EVAL),
    row(&["v"], A::NextMeasure, "measure", "Next measure: accuracy, calibrated accuracy, AUC", EVAL),
    row(&["d"], A::ToggleOrder, "order", "Languages in their order, or the largest gain first", EVAL),
    row(&["r"], A::NextRun, "run", "Run whose confusions and wrong answers are shown", EVAL),
    row(&["x"], A::NextProtocol, "", "Definitions: default, or the paper's code", EVAL),
    // Everywhere
    row(&["L"], A::PickLanguage, "language", "Language: choose by code or name", ANY),
    row(&["["], A::PreviousLanguage, "", "Previous language", ANY),
    row(&["]"], A::NextLanguage, "", "Next language", ANY),
    row(&["i"], A::PickItem, "item", "Items: browse and filter", ANY),
    row(&["p"], A::PreviousItem, "", "Previous item", ANY),
    row(&["n"], A::NextItem, "next item", "Next item", ANY),
    row(&["m"], A::PickModel, "model", "Model: from the catalogue, the hub, a directory or a file", ANY),
    row(&["a"], A::PickAdapter, "adapter", "Adapters: load, show, hide or drop", ANY),
    row(&["A"], A::ToggleAdapter, "", "Adapters all on, or the base alone", ANY),
    row(&["t"], A::PickTask, "", "Task: choose", ANY),
    row(&["S"], A::NextStyle, "", "Next output style: english, same, agnostic", ANY),
    row(&["e"], A::EditText, "", "Edit the prompt text", ANY),
    row(&["f"], A::ToggleSource, "", "Switch between the item and free text", ANY),
    row(&["w"], A::Write, "", "Write the pane's data (.json, .txt) or a picture of the screen (.svg)", ANY),
    row(&["y"], A::Copy, "", "Copy the selected value to the clipboard", ANY),
    row(&["tab"], A::NextPane, "next pane", "Focus the next pane", ANY),
    row(&["S-tab"], A::PreviousPane, "", "Focus the previous pane", ANY),
    row(&["1"], A::ShowQuery, "", "Show the query", ANY),
    row(&["2"], A::ShowLens, "", "Show the lens", ANY),
    row(&["3"], A::ShowGrid, "", "Show the grid", ANY),
    row(&["4"], A::ShowPca, "", "Show the PCA", ANY),
    row(&["5"], A::ShowTraining, "", "Train an adapter, or follow a run", ANY),
    row(&["6"], A::ShowEval, "", "Show the evaluation", ANY),
    row(&["z"], A::Zoom, "zoom", "Zoom the focused pane, or show all again", ANY),
    row(&[":"], A::Palette, "commands", "Find any command by name", ANY),
    row(&["?"], A::Help, "help", "Help for where you are", ANY),
    row(&["up", "k"], A::Up, "", "Up", ANY),
    row(&["down", "j"], A::Down, "", "Down", ANY),
    row(&["left", "h"], A::Left, "", "Left", ANY),
    row(&["right", "l"], A::Right, "", "Right", ANY),
    row(&["home", "g"], A::First, "", "To the first", ANY),
    row(&["end", "G"], A::Last, "", "To the last", ANY),
    row(&["C-u"], A::HalfUp, "", "Half a page up", ANY),
    row(&["C-d"], A::HalfDown, "", "Half a page down", ANY),
    row(&["pgup", "C-b"], A::PageUp, "", "A page up", ANY),
    row(&["pgdn", "C-f"], A::PageDown, "", "A page down", ANY),
    row(&["0", "^"], A::LineStart, "", "To the left edge", ANY),
    row(&["$"], A::LineEnd, "", "To the right edge", ANY),
    row(&["R"], A::Rerun, "", "Ask the model again", ANY),
    row(&["X"], A::CancelJob, "", "Cancel what is being computed or fetched", ANY),
    row(&["D"], A::Dismiss, "", "Dismiss the message", ANY),
    row(&["T"], A::NextTheme, "", "Next theme: dark, light, ascii", ANY),
    row(&["esc"], A::Back, "", "One step back", ANY),
    row(&["C-l"], A::Redraw, "", "Draw the whole screen again", ANY),
    row(&["C-r"], A::Record, "", "Record this session to a file, or end the recording", ANY),
    row(&["C"], A::AddNote, "", "Recording: add a note, shown as a caption in the replay", ANY),
    row(&["B"], A::AddMark, "", "Recording: bookmark this place, to jump to in the replay", ANY),
    row(&["C-z"], A::Suspend, "", "Suspend to the shell (fg continues)", ANY),
    row(&["q"], A::Quit, "quit", "Quit", ANY),
    row(&["C-c"], A::ForceQuit, "", "Quit at once", ANY),
    row(&["W"], A::TrackWords, "", "Choose words to follow through the layers of a free text", ANY),
    row(&[], A::NextProtocol, "", "Definitions: default, or the paper's code", ANY),
    row(&["V"], A::PickRecording, "", "Replay a recording: those that come with the program, or a file", ANY),
    row(&["F"], A::Fetch, "", "Fetch the chosen model into the cache", ANY),
];

/// The binding that a key means while `pane` has the focus: the pane's own before the general ones.
pub fn lookup(key: KeyInput, pane: PaneId) -> Option<&'static Binding> {
    let matches = |b: &&Binding| b.keys.iter().any(|k| KeyInput::parse(k) == Some(key));
    let at = |place: Where| KEYS.iter().filter(move |b| b.place == place).find(matches);
    at(Where::Pane(pane)).or_else(|| at(Where::Everywhere))
}

/// The key shown for an action while `pane` has the focus.
pub fn key_for(action: Action, pane: PaneId) -> Option<&'static str> {
    let at = |place: Where| {
        KEYS.iter()
            .filter(move |b| b.place == place && b.action == action)
            .find_map(|b| b.keys.first().copied())
    };
    at(Where::Pane(pane)).or_else(|| at(Where::Everywhere))
}

/// What holds while `pane` has the focus: its own rows, then the general rows that it does not
/// shadow completely.
pub fn bindings(pane: PaneId) -> impl Iterator<Item = &'static Binding> {
    let own = KEYS.iter().filter(move |b| b.place == Where::Pane(pane));
    let general = KEYS.iter().filter(move |b| {
        b.place == Where::Everywhere
            && (b.keys.is_empty()
                || b.keys.iter().any(|k| {
                    KeyInput::parse(k).and_then(|key| lookup(key, pane)).is_some_and(|w| std::ptr::eq(w, *b))
                }))
    });
    own.chain(general)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_key_parses_and_is_unique_in_its_place() {
        let mut seen = HashSet::new();
        for b in KEYS {
            for k in b.keys {
                let key = KeyInput::parse(k).unwrap_or_else(|| panic!("key {k:?} of {:?}", b.action));
                assert!(seen.insert((b.place, key)), "{k} is bound twice at {:?}", b.place);
            }
            assert!(!b.description.ends_with('.') && !b.description.is_empty());
        }
    }

    #[test]
    fn a_pane_shadows_the_general_binding() {
        let l = KeyInput::char('l');
        assert_eq!(lookup(l, PaneId::Query).unwrap().action, Action::PickLanguage);
        assert_eq!(lookup(l, PaneId::Lens).unwrap().action, Action::Right);
        assert_eq!(key_for(Action::PickLanguage, PaneId::Lens), Some("L"));
        assert!(bindings(PaneId::Query).any(|b| b.action == Action::Right), "still reachable by its arrow");
    }

    #[test]
    fn essential_actions_are_reachable_everywhere() {
        for pane in PaneId::ALL {
            for action in [A::Quit, A::ForceQuit, A::Help, A::Palette, A::Back, A::Zoom, A::NextPane] {
                assert!(key_for(action, pane).is_some(), "{action:?} in {pane:?}");
            }
        }
    }
}
