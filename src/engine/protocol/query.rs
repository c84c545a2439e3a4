//! What is asked about: prompts, and the words followed in them.

use serde::{Deserialize, Serialize};

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

/// One prompt to be pooled or followed, with where its own query begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub index: usize,
    pub query: Query,
    /// Canonical gold label.
    pub gold: String,
}
