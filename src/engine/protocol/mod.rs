//! What goes into the engine and what comes out: plain data, serialisable, never a tensor.
//!
//! Layer indices are k = 0..=L: 0 is the embedding output, k the residual stream after block k,
//! L the model's own output (see `lens`).

mod eval;
mod geometry;
mod model;
mod number;
mod query;
mod readout;
mod train;

pub use eval::*;
pub use geometry::*;
pub use model::*;
pub use query::*;
pub use readout::*;
pub use train::*;

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Names one job; answers carry it, and answers of an older job are dropped by the receiver.
pub type JobId = u64;

/// Which weights a number belongs to: `None` is the base model, `Some(i)` the i-th loaded adapter.
pub type RunId = Option<usize>;

/// What the explorer asks for. A new job of a kind supersedes the running one of the same kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Resolves (catalogue name, ORG/REPO, directory, file), loads, replaces the current model.
    LoadModel {
        job: JobId,
        model: String,
        dtype: DType,
        device: DeviceChoice,
        threads: usize,
    },
    /// Loads a PEFT adapter directory (or ORG/REPO) for the current model, appended to the list.
    LoadAdapter {
        job: JobId,
        adapter: String,
    },
    /// Forgets the i-th adapter.
    DropAdapter {
        index: usize,
    },
    /// Lens at the last position for every given run.
    Lens {
        job: JobId,
        query: Query,
        runs: Vec<RunId>,
        top: usize,
    },
    /// Grid columns for the current lens query: positions `from..to`, every layer.
    Grid {
        job: JobId,
        query: Query,
        run: RunId,
        from: usize,
        to: usize,
    },
    /// Top-k of one cell, with the sub-layer readouts.
    Cell {
        job: JobId,
        query: Query,
        run: RunId,
        layer: usize,
        position: usize,
        top: usize,
    },
    /// The four curves and the entropy over many items of a task: for their means.
    Curves {
        job: JobId,
        request: CurvesRequest,
    },
    Pca {
        job: JobId,
        request: PcaRequest,
    },
    /// Scores every query of a plan under every run; what was scored before is not computed again.
    Eval {
        job: JobId,
        request: EvalRequest,
    },
    /// Fetches a catalogue entry into the cache.
    Pull {
        job: JobId,
        name: String,
    },
    /// Reads a run's data and says what it would be and how long it would take, without starting it.
    TrainPlan {
        job: JobId,
        request: TrainRequest,
    },
    /// Trains; goes on in the background until its end or [`Command::TrainControl`]. `Cancel` is stop-and-save.
    Train {
        job: JobId,
        request: TrainRequest,
    },
    TrainControl {
        job: JobId,
        action: TrainAction,
    },
    /// Watches something else from the next frame on; that frame is computed after the running step.
    TrainWatch {
        job: JobId,
        watch: Option<Watch>,
    },
    Cancel {
        job: JobId,
    },
    Shutdown,
}

/// What the engine answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A job that takes time says where it is. `total` 0 = unknown. `unit` is "bytes", "items", "layers".
    Progress {
        job: JobId,
        stage: String,
        done: u64,
        total: u64,
        unit: String,
    },
    ModelLoaded {
        job: JobId,
        info: ModelInfo,
    },
    AdapterLoaded {
        job: JobId,
        index: usize,
        info: AdapterInfo,
    },
    LensStarted {
        job: JobId,
        tokens: Vec<TokenText>,
        sets: TokenSets,
        reused_tokens: usize,
    },
    /// Layers become ready in order, a few at a time, per run.
    LensLayers {
        job: JobId,
        run: RunId,
        layers: Vec<LensLayer>,
    },
    /// All layers of all runs (KL filled in).
    LensDone {
        job: JobId,
        answer: LensAnswer,
    },
    /// One column of the grid: `cells[k]` is layer k.
    GridColumn {
        job: JobId,
        run: RunId,
        position: usize,
        cells: Vec<GridCell>,
    },
    CellReady {
        job: JobId,
        run: RunId,
        detail: CellDetail,
    },
    CurvesReady {
        job: JobId,
        task: String,
        lang: String,
        style: Style,
        answer: CurvesAnswer,
    },
    /// Sent as languages become complete (earlier answers are superseded), and at the end.
    PcaReady {
        job: JobId,
        answer: PcaAnswer,
        complete: bool,
    },
    /// The labels' token sets, a language each, before anything is scored.
    EvalStarted {
        job: JobId,
        sets: Vec<EvalSets>,
    },
    /// Some more answers; `kept` says that they were there from an earlier evaluation.
    EvalRecords {
        job: JobId,
        records: Vec<EvalRecord>,
        kept: bool,
    },
    EvalDone {
        job: JobId,
        elapsed_ms: f64,
    },
    TrainPlanned {
        job: JobId,
        plan: TrainPlan,
    },
    TrainStarted {
        job: JobId,
        plan: TrainPlan,
    },
    TrainStep {
        job: JobId,
        step: TrainStep,
    },
    /// The held-out samples' loss after a step.
    TrainValidated {
        job: JobId,
        step: u64,
        #[serde(deserialize_with = "number::or_nan")]
        eval_loss: f64,
        best: bool,
    },
    TrainSaved {
        job: JobId,
        step: u64,
        path: PathBuf,
    },
    TrainPaused {
        job: JobId,
        paused: bool,
    },
    TrainFrame {
        job: JobId,
        frame: TrainFrame,
    },
    TrainDone {
        job: JobId,
        outcome: TrainOutcome,
    },
    PullDone {
        job: JobId,
        name: String,
        path: PathBuf,
    },
    /// Something the user should know; the job goes on.
    Note {
        job: JobId,
        sentence: String,
    },
    /// The job failed; the sentence says what, why and what to do.
    Failed {
        job: JobId,
        message: String,
    },
    Cancelled {
        job: JobId,
    },
}
