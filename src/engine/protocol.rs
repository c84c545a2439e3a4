//! What goes into the engine and what comes out: plain data, serialisable, never a tensor.
//!
//! Layer indices are k = 0..=L: 0 is the embedding output, k the residual stream after block k,
//! L the model's own output (see `lens`).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Names one job; answers carry it, and answers of an older job are dropped by the receiver.
pub type JobId = u64;

/// Which weights a number belongs to: `None` is the base model, `Some(i)` the i-th loaded adapter.
pub type RunId = Option<usize>;

/// Number format of the weights in memory (arithmetic on a CPU is f32 in all of them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// Chosen at load time by what is faithful and fits in memory; the choice is shown.
    #[default]
    Auto,
    F32,
    F16,
    Bf16,
    /// As the file holds them (quantised GGUF blocks stay quantised), widened a panel at a time.
    Native,
}

/// Where to compute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChoice {
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
    Metal,
}

/// Everything that decides what a load gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSpec {
    /// Resolved local path: a Hugging Face directory or a single GGUF file (see `hub::resolve`).
    pub path: PathBuf,
    /// The name to show (catalogue name, ORG/REPO, or the file's stem).
    pub name: String,
    pub dtype: DType,
    pub device: DeviceChoice,
    /// 0 = one thread per core.
    pub threads: usize,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    pub name: String,
    /// mistral, qwen2, qwen3, llama or gemma3.
    pub architecture: String,
    /// L, the number of blocks; there are L + 1 readout layers.
    pub layers: usize,
    pub hidden: usize,
    pub vocabulary: usize,
    pub dtype: String,
    pub device: String,
    pub threads: usize,
    /// Bytes the weights take in memory.
    pub weight_bytes: u64,
    /// Largest |difference| between the readout at L and the model's own logits on a fixed probe.
    pub logits_check: f32,
    pub load_ms: u64,
    /// Sentences the user should see once (a choice that was made, a fact that was odd).
    pub notes: Vec<String>,
}

/// A loaded adapter, with the proof that it is applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdapterInfo {
    pub name: String,
    pub path: PathBuf,
    pub rank: usize,
    pub alpha: f64,
    pub targets: Vec<String>,
    /// Tensors matched to a linear layer (A and B counted separately).
    pub keys_matched: usize,
    /// Frobenius norm of scale * B A, summed in squares over a block's linears, per block 1..=L.
    pub delta_norms: Vec<f32>,
    /// Largest |change| of a logit on the fixed probe.
    pub probe_change: f32,
}

/// One token as shown: its id and its text (byte tokens as <0xE3>, spaces kept).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenText {
    pub id: u32,
    pub text: String,
}

/// One entry of a top-k list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenP {
    pub id: u32,
    #[serde(rename = "token")]
    pub text: String,
    pub p: f32,
}

/// Which definitions apply where the paper's code and the cleaner way differ (see science.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Default,
    Paper,
}

/// Language of the label words that a prompt shows and the model must say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    English,
    #[default]
    Same,
    Agnostic,
}

/// The words whose token sets are followed through the layers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Canonical label names, in the task's order.
    pub labels: Vec<String>,
    /// Index of the gold label.
    pub gold: usize,
    /// Each label's English word ("latent"), parallel to `labels`.
    pub english: Vec<String>,
    /// Each label's word in the query's language or the agnostic word ("out"), parallel to `labels`.
    pub target: Vec<String>,
    /// True where English and target words are the same comparison (language en): nothing is removed
    /// between them then.
    pub same_language: bool,
    pub protocol: Protocol,
}

/// A prompt and what is followed in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// Few-shot prefix shared by many queries (its keys and values are computed once); may be empty.
    /// The model reads `prefix` + `text`, tokenised as one string.
    pub prefix: String,
    pub text: String,
    /// The four curves, for a task's query.
    pub comparison: Option<Comparison>,
    /// Free words to follow, each through its own token set.
    pub track: Vec<String>,
}

/// A word's token set as used, and what was taken out of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenSet {
    pub word: String,
    pub ids: Vec<u32>,
    /// Removed because another label, or the word in the other language, holds them too.
    pub removed: Vec<TokenText>,
}

/// All token sets of a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenSets {
    /// Canonical label names, in order.
    pub labels: Vec<String>,
    pub gold: usize,
    /// Per label: the English word's set.
    pub latent: Vec<TokenSet>,
    /// Per label: the target word's set.
    pub target: Vec<TokenSet>,
    pub tracked: Vec<TokenSet>,
    /// Full sentences on collisions, for the user.
    pub warnings: Vec<String>,
    /// A set became empty: the four curves are not shown, and this says why.
    pub refused: Option<String>,
}

/// The four curves of science.md at one layer: summed probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    pub en: f32,
    pub target: f32,
    pub all_possible_latent: f32,
    pub all_possible_out: f32,
}

/// The readout of one layer at one position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LensLayer {
    pub layer: usize,
    pub entropy_bits: f32,
    /// KL(final || layer); `None` until the final layer is known.
    pub kl_bits: Option<f32>,
    pub top: Vec<TokenP>,
    pub curves: Option<Curves>,
    /// Summed probability of each tracked word's set, parallel to `TokenSets::tracked`.
    pub tracked: Vec<f32>,
    /// Rank (0 = top) of the best token of the gold answer's target set.
    pub gold_rank: Option<u32>,
    /// Token energy of Wendler et al. 2024, once its table is made (see `Engine::prepare_energy`).
    pub energy: Option<f32>,
}

/// A readout of one prompt, all layers, one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LensRun {
    pub run: RunId,
    pub layers: Vec<LensLayer>,
    /// First layer whose top-1 is the final top-1.
    pub first_final_top1: Option<usize>,
}

/// Answer to a lens request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LensAnswer {
    pub tokens: Vec<TokenText>,
    pub sets: TokenSets,
    pub runs: Vec<LensRun>,
    pub elapsed_ms: f64,
    /// Tokens whose keys and values came from the cache.
    pub reused_tokens: usize,
}

/// One cell of the grid: a position and a layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GridCell {
    pub token: TokenP,
    pub entropy_bits: f32,
}

/// Sub-layer readouts of one layer and position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CellDetail {
    pub layer: usize,
    pub position: usize,
    pub residual: Vec<TokenP>,
    /// Residual stream after attention, before the MLP (absent for layer 0).
    pub after_attention: Vec<TokenP>,
    /// The MLP's output alone, read through the same norm and unembedding (absent for layer 0).
    pub mlp_output: Vec<TokenP>,
    pub entropy_bits: f32,
}

/// How an item's positions become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Mean over all positions, few-shot prefix included; BOS only under `Protocol::Paper`.
    #[default]
    Mean,
    Last,
    /// Mean over the query's own positions.
    Query,
}

/// One prompt to be pooled or followed, with where its own query begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub index: usize,
    pub query: Query,
    /// Canonical gold label.
    pub gold: String,
}

/// Joint PCA over languages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PcaRequest {
    /// Language code -> its items; item i is the same in all languages.
    pub items: Vec<(String, Vec<Item>)>,
    pub runs: Vec<RunId>,
    /// Layers wanted; empty = all.
    pub layers: Vec<usize>,
    pub pooling: Pooling,
    pub protocol: Protocol,
    /// Project aligned runs with the base's fit instead of each with its own.
    pub shared_fit: bool,
    /// Random numbers of the bootstrap intervals and shuffled-pair controls.
    pub seed: u64,
}

/// A measure with its bootstrap interval and shuffled-pair control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    pub value: f64,
    pub low: f64,
    pub high: f64,
    /// The same measure with the pairing of items shuffled.
    pub shuffled: f64,
}

/// PCA and alignment at one layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PcaLayer {
    pub layer: usize,
    /// Of the joint 2-D fit on all shown languages; relative to the total variance.
    pub explained_variance_ratio: Vec<f64>,
    /// Of the 1-D fit that the Pearson values use.
    pub explained_variance_ratio_1d: f64,
    /// Per language: one [x, y] per item.
    pub points: BTreeMap<String, Vec<[f64; 2]>>,
    /// "en-de" -> value, over all shown pairs.
    pub pearson: BTreeMap<String, f64>,
    pub cka: BTreeMap<String, Measure>,
    pub cosine_gap: BTreeMap<String, Measure>,
    pub mexa: BTreeMap<String, Measure>,
}

/// Answer to a PCA request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PcaAnswer {
    pub langs: Vec<String>,
    /// Languages the 1-D fit was made on.
    pub fit_langs: Vec<String>,
    pub n: usize,
    pub pooling: Pooling,
    pub runs: Vec<PcaRun>,
    pub elapsed_ms: f64,
}

/// One run of a PCA answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PcaRun {
    pub run: RunId,
    pub layers: Vec<PcaLayer>,
}

/// Mean curves over a task's items in one language.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvesAnswer {
    pub n: usize,
    /// Sets of the first item (they differ between items only in which label is gold).
    pub sets: TokenSets,
    pub runs: Vec<CurvesRun>,
    pub elapsed_ms: f64,
}

/// Per item and layer values of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvesRun {
    pub run: RunId,
    pub items: Vec<CurvesItem>,
}

/// One item's curves, one entry a layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvesItem {
    pub index: usize,
    pub gold: String,
    pub layers: Vec<CurvesPoint>,
}

/// The four curves and the entropy at a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvesPoint {
    pub layer: usize,
    #[serde(flatten)]
    pub curves: Curves,
    pub entropy_bits: f32,
}

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
    Pca {
        job: JobId,
        request: PcaRequest,
    },
    /// Fetches a catalogue entry into the cache.
    Pull {
        job: JobId,
        name: String,
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
    /// One column of the grid: cells[k] is layer k.
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
    /// Sent as languages become complete (earlier answers are superseded), and at the end.
    PcaReady {
        job: JobId,
        answer: PcaAnswer,
        complete: bool,
    },
    PullDone {
        job: JobId,
        name: String,
        path: PathBuf,
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
