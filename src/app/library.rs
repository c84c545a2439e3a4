//! What the explorer needs to know about languages, tasks and items, behind one small trait.

use crate::engine::protocol::{EvalPlan, Item, Protocol, Query, Score, Style};

/// A language as its picker shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LanguageEntry {
    pub code: String,
    /// Its name in itself.
    pub own: String,
    pub english: String,
    pub script: String,
}

/// A task as its picker shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskEntry {
    pub id: String,
    /// Canonical labels.
    pub labels: Vec<String>,
    /// Codes of its languages.
    pub langs: Vec<String>,
}

/// An item as the browser shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemEntry {
    pub text: String,
    /// Canonical gold label.
    pub gold: String,
}

/// What to evaluate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvalWish {
    pub task: String,
    /// Codes of languages that the task has.
    pub langs: Vec<String>,
    pub style: Style,
    pub protocol: Protocol,
    pub score: Score,
    /// Only so many items of each language, from the first.
    pub limit: Option<usize>,
}

/// Languages, tasks, items and their prompts. Nothing here computes for long or does I/O.
pub trait Library: Send + Sync + std::fmt::Debug {
    /// The 20 languages, in science.md's order.
    fn languages(&self) -> &[LanguageEntry];
    /// The tasks.
    fn tasks(&self) -> &[TaskEntry];
    /// A task's items in one language.
    ///
    /// # Errors
    /// A sentence: the task or the language is not there.
    fn items(&self, task: &str, lang: &str) -> Result<Vec<ItemEntry>, String>;
    /// The prompt of one item.
    ///
    /// # Errors
    /// A sentence: the item is not there or the task has no such style.
    fn query(
        &self,
        task: &str,
        lang: &str,
        item: usize,
        style: Style,
        protocol: Protocol,
    ) -> Result<Query, String>;
    /// The prompts of all items of one language, for the PCA.
    ///
    /// # Errors
    /// As `query`.
    fn prompts(&self, task: &str, lang: &str, style: Style, protocol: Protocol) -> Result<Vec<Item>, String>;
    /// What an evaluation would ask.
    ///
    /// # Errors
    /// As `query`.
    fn eval_plan(&self, wish: &EvalWish) -> Result<EvalPlan, String>;
}

/// The position of a language in science.md's order, which decides its colour and marker.
pub fn language_index(library: &dyn Library, code: &str) -> usize {
    library.languages().iter().position(|l| l.code == code).unwrap_or(0)
}
