//! What the lens answers: tokens, sets, layers, cells, curves.

use super::{Item, RunId, Style};
use serde::{Deserialize, Serialize};

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

/// Curves over a task's items in one language.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvesRequest {
    /// The task's ID, the language's code and the style that the prompts were made with: for the answer's name.
    pub task: String,
    pub lang: String,
    pub style: Style,
    pub items: Vec<Item>,
    pub runs: Vec<RunId>,
}

/// Curves of all items in one language, per run.
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
