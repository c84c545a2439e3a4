//! A task as it is used: labels, and per language the item's template, the label words and the shots.

use super::languages::Language;
use super::read::{self, Fault};
use super::template::Template;
use crate::engine::protocol::Style;
use crate::error::{Context, Error, Result};
use std::path::Path;

/// Larger than any task file.
const MAX_BYTES: u64 = 8 << 20;

/// A task file, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub id: String,
    /// One line for lists, where the file has one.
    pub description: Option<String>,
    /// Canonical (English) labels, in order.
    pub labels: Vec<String>,
    /// Columns of an item, without `answer`.
    pub fields: Vec<String>,
    /// Between the shots, and between the last shot and the query.
    pub separator: String,
    /// Neutral words of `--style agnostic`, parallel to `labels`.
    pub agnostic: Option<Vec<String>>,
    /// In the file's order.
    pub languages: Vec<TaskLanguage>,
}

/// A task in one language.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskLanguage {
    pub code: String,
    pub item: Template,
    /// The language's own label words, parallel to the task's labels.
    pub words: Vec<String>,
    /// Further answers that items may name a label by, parallel to the labels; never shown to a model.
    pub also: Vec<Vec<String>>,
    pub shots: Vec<Shot>,
}

/// A solved example.
#[derive(Clone, Debug, PartialEq)]
pub struct Shot {
    /// Parallel to the task's fields.
    pub values: Vec<String>,
    /// Index of its label.
    pub label: usize,
}

impl Task {
    /// Reads a task from its text; `origin` (a file's name) is shown in errors.
    ///
    /// # Errors
    /// [`Error::Failed`] with the first faults, each with its line and column.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        read::task(text, origin).map_err(|faults| {
            let shown: Vec<String> = faults.iter().take(3).map(Fault::to_string).collect();
            let more = match faults.len() {
                0..=3 => String::new(),
                n => format!("\n… and {} more: polylens tasks check {origin}", n - 3),
            };
            Error::Failed(shown.join("\n") + &more)
        })
    }

    /// Reads a task file.
    ///
    /// # Errors
    /// [`Error::Failed`] where it cannot be read, is no text, or has faults.
    pub fn open(path: &Path) -> Result<Self> {
        Self::parse(&Self::file_text(path)?, &path.display().to_string())
    }

    /// The text of a task file, for [`super::check`].
    ///
    /// # Errors
    /// [`Error::Failed`] where it cannot be read, is too large, or is not UTF-8.
    pub fn file_text(path: &Path) -> Result<String> {
        let shown = path.display();
        let size = std::fs::metadata(path).with_context(|| format!("{shown} cannot be opened"))?.len();
        if size > MAX_BYTES {
            crate::fail!("{shown} has {size} bytes, more than any task file ({MAX_BYTES} at most)");
        }
        let bytes = std::fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
        super::records::utf8(&bytes).map(str::to_owned).map_err(|e| e.context(shown))
    }

    /// The task in a language, given as for [`Language::find`] or as a code that this task has.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the languages that the task has.
    pub fn language(&self, query: &str) -> Result<&TaskLanguage> {
        let of = |code: &str| self.languages.iter().find(|language| language.code == code);
        if let Some(language) = of(query.trim()) {
            return Ok(language);
        }
        let known = Language::find(query)?;
        of(known.code).ok_or_else(|| {
            let codes: Vec<&str> = self.languages.iter().map(|l| l.code.as_str()).collect();
            Error::usage(format!(
                "the task {} is not there in {} ({}); it has {}",
                self.id,
                known.name,
                known.code,
                codes.join(" ")
            ))
        })
    }

    /// The label words that a style shows and asks for, parallel to the labels.
    ///
    /// # Errors
    /// [`Error::Usage`] where the task has no agnostic words.
    pub fn words<'a>(&'a self, language: &'a TaskLanguage, style: Style) -> Result<&'a [String]> {
        match style {
            Style::English => Ok(&self.labels),
            Style::Same => Ok(&language.words),
            Style::Agnostic => self.agnostic.as_deref().ok_or_else(|| {
                Error::usage(format!(
                    "the task {} names no agnostic words: use --style english or same, or add [styles.agnostic] to its file",
                    self.id
                ))
            }),
        }
    }

    /// The label that an item's answer names: the canonical one, the language's own word, or another accepted one.
    pub fn gold(&self, language: &TaskLanguage, answer: &str) -> Option<usize> {
        let answer = answer.trim();
        let place = |words: &[String]| words.iter().position(|word| word == answer);
        place(&self.labels)
            .or_else(|| place(&language.words))
            .or_else(|| language.also.iter().position(|words| words.iter().any(|word| word == answer)))
    }
}
