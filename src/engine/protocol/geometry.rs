//! PCA and alignment: what is asked and answered.

use super::{Item, Protocol, RunId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
