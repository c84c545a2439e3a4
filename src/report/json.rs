//! Parts that the JSON documents share. Numbers keep their type (f32 or f64) and so print as the shortest
//! text that reads back to the same value.

use super::Source;
use crate::engine::protocol::{AdapterInfo, ModelInfo, TokenSet, TokenText};
use crate::error::{Context, Result};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The `model` object of every document.
#[derive(Serialize)]
pub struct Model<'a> {
    name: &'a str,
    architecture: &'a str,
    layers: usize,
    hidden: usize,
    vocabulary: usize,
    dtype: &'a str,
    device: &'a str,
    logits_check: f32,
    threads: usize,
    weight_bytes: u64,
    notes: &'a [String],
}

impl<'a> From<&'a ModelInfo> for Model<'a> {
    fn from(m: &'a ModelInfo) -> Self {
        Self {
            name: &m.name,
            architecture: &m.architecture,
            layers: m.layers,
            hidden: m.hidden,
            vocabulary: m.vocabulary,
            dtype: &m.dtype,
            device: &m.device,
            logits_check: m.logits_check,
            threads: m.threads,
            weight_bytes: m.weight_bytes,
            notes: &m.notes,
        }
    }
}

/// What every document begins with.
#[derive(Serialize)]
pub struct Head<'a> {
    pub schema: &'static str,
    pub model: Model<'a>,
    /// The loaded adapters with the proof that they are applied.
    pub adapters: &'a [AdapterInfo],
    pub polylens: &'static str,
}

impl<'a> Head<'a> {
    pub fn new(schema: &'static str, source: &Source<'a>) -> Self {
        Self {
            schema,
            model: source.model.into(),
            adapters: source.adapters,
            polylens: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// `key -> value` in the given order (a plain map type would sort the labels).
pub struct Ordered<K, V>(pub Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Ordered<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (k, v) in &self.0 {
            map.serialize_entry(k, v)?;
        }
        map.end()
    }
}

/// label -> ids of its set.
pub fn ids<'a>(labels: &'a [String], sets: &'a [TokenSet]) -> Ordered<&'a str, &'a [u32]> {
    Ordered(labels.iter().zip(sets).map(|(l, s)| (l.as_str(), s.ids.as_slice())).collect())
}

/// label -> what was removed, with the tokens' texts.
pub fn removed_tokens<'a>(labels: &'a [String], sets: &'a [TokenSet]) -> Ordered<&'a str, &'a [TokenText]> {
    Ordered(labels.iter().zip(sets).map(|(l, s)| (l.as_str(), s.removed.as_slice())).collect())
}

/// label -> the word that stands for it.
pub fn words<'a>(labels: &'a [String], sets: &'a [TokenSet]) -> Ordered<&'a str, &'a str> {
    Ordered(labels.iter().zip(sets).map(|(l, s)| (l.as_str(), s.word.as_str())).collect())
}

/// Pretty-printed with a final newline.
///
/// # Errors
/// When a value cannot be serialised.
pub fn document(value: &impl Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value).context("cannot write the JSON document")?;
    text.push('\n');
    Ok(text)
}
