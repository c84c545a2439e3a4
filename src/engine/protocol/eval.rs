//! Evaluation: what is asked of a model item by item, and what it answers.

use super::{Protocol, RunId, Style, TokenSet};
use serde::{Deserialize, Serialize};

/// How a label is scored at the end of a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// Summed probability of the label's token set (the paper's constrained decoding).
    #[default]
    PrefixSet,
    /// Log-likelihood of the whole label after the prompt.
    Loglik,
}

/// One item of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalItem {
    /// Place in its file, from 0.
    pub index: usize,
    /// The query: the item's template filled in and cut before the answer.
    pub text: String,
    /// Index of the gold label.
    pub gold: usize,
    /// The item's own columns, parallel to [`EvalPlan::fields`].
    pub values: Vec<String>,
}

/// The prompts of one language.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalLang {
    pub lang: String,
    /// The shots and the separator after them; every prompt begins with it.
    pub prefix: String,
    /// What stands in every query before the item's first own column: computed once, with the prefix.
    pub head: String,
    /// The word that stands for each label, parallel to [`EvalPlan::labels`].
    pub words: Vec<String>,
    pub items: Vec<EvalItem>,
    /// Queries without content, whose scores calibrate the labels (Zhao et al. 2021).
    pub free: Vec<String>,
}

impl EvalLang {
    /// Queries to be scored: the content-free ones first, then the items.
    pub fn slots(&self) -> usize {
        self.free.len() + self.items.len()
    }

    /// The query of a slot; `None` beyond the last.
    pub fn query(&self, slot: usize) -> Option<&str> {
        match slot.checked_sub(self.free.len()) {
            None => self.free.get(slot).map(String::as_str),
            Some(item) => self.items.get(item).map(|i| i.text.as_str()),
        }
    }
}

/// Everything that decides the answers of an evaluation, the weights aside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalPlan {
    /// The task's ID.
    pub task: String,
    /// Canonical labels, in the task's order.
    pub labels: Vec<String>,
    pub fields: Vec<String>,
    pub style: Style,
    pub protocol: Protocol,
    pub score: Score,
    pub langs: Vec<EvalLang>,
}

/// Evaluation of several runs, asked for by the explorer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalRequest {
    pub plan: EvalPlan,
    pub runs: Vec<RunId>,
}

/// The token sets of one language's labels, and why the language cannot be evaluated if it cannot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalSets {
    /// Parallel to the labels.
    pub sets: Vec<TokenSet>,
    /// Full sentences on tokens that were left out.
    pub warnings: Vec<String>,
    pub refused: Option<String>,
}

/// Log-likelihood of a label after a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelLoglik {
    /// Natural log, summed over the label's tokens.
    pub sum: f64,
    /// Tokens of the label.
    pub tokens: u32,
    /// UTF-8 bytes of the label.
    pub bytes: u32,
}

/// What one run answered to one query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    pub run: RunId,
    /// Index into [`EvalPlan::langs`].
    pub lang: usize,
    /// Which query of the language: see [`EvalLang::query`].
    pub slot: usize,
    /// Probability of each label: summed over its token set, or of the whole word.
    pub p: Vec<f32>,
    /// With [`Score::Loglik`]: each label's; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loglik: Vec<LabelLoglik>,
}
