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
    #[serde(deserialize_with = "super::number::or_nan")]
    pub value: f64,
    #[serde(deserialize_with = "super::number::or_nan")]
    pub low: f64,
    #[serde(deserialize_with = "super::number::or_nan")]
    pub high: f64,
    /// The same measure with the pairing of items shuffled.
    #[serde(deserialize_with = "super::number::or_nan")]
    pub shuffled: f64,
}

/// A measure of alignment between two languages. All are symmetric in the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alignment {
    #[default]
    Pearson,
    Cka,
    CosineGap,
    Mexa,
}

impl Alignment {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Pearson, Self::Cka, Self::CosineGap, Self::Mexa];

    /// Those with bootstrap intervals and shuffled-pair controls.
    pub const WITH_INTERVALS: [Self; 3] = [Self::Cka, Self::CosineGap, Self::Mexa];

    /// Its name over a panel or a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pearson => "Pearson r",
            Self::Cka => "linear CKA",
            Self::CosineGap => "cosine gap",
            Self::Mexa => "MEXA",
        }
    }

    /// Its name over a column.
    pub fn short(self) -> &'static str {
        match self {
            Self::Pearson => "r",
            Self::Cka => "CKA",
            Self::CosineGap => "cos gap",
            Self::Mexa => "MEXA",
        }
    }

    /// Values, intervals and controls of all pairs at a layer; `None` for Pearson, which has values alone.
    pub fn measures(self, layer: &PcaLayer) -> Option<&BTreeMap<String, Measure>> {
        match self {
            Self::Pearson => None,
            Self::Cka => Some(&layer.cka),
            Self::CosineGap => Some(&layer.cosine_gap),
            Self::Mexa => Some(&layer.mexa),
        }
    }

    /// A pair's value at a layer. Pearson comes without interval and control: those are NaN then.
    pub fn of(self, layer: &PcaLayer, pair: &str) -> Option<Measure> {
        match self.measures(layer) {
            Some(all) => all.get(pair).copied(),
            None => {
                let value = *layer.pearson.get(pair)?;
                Some(Measure { value, low: f64::NAN, high: f64::NAN, shuffled: f64::NAN })
            }
        }
    }
}

/// PCA and alignment at one layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PcaLayer {
    pub layer: usize,
    /// Of the joint 2-D fit on all shown languages; relative to the total variance.
    pub explained_variance_ratio: Vec<f64>,
    /// Of the 1-D fit that the Pearson values use.
    #[serde(deserialize_with = "super::number::or_nan")]
    pub explained_variance_ratio_1d: f64,
    /// Per language: one [x, y] per item.
    pub points: BTreeMap<String, Vec<[f64; 2]>>,
    /// "en-de" -> value, over all shown pairs.
    #[serde(deserialize_with = "super::number::map_or_nan")]
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
