//! Prompts: the shots, each with its answer in the style's words, then the query cut before its answer.

use super::items::Row;
use super::task::{Task, TaskLanguage};
use crate::engine::protocol::{Comparison, Item, Protocol, Query, Style};
use crate::error::Result;

/// The part of a prompt that all items of a language share: the shots and the separator after them.
/// Empty for a task without shots.
///
/// # Errors
/// As [`Task::words`].
pub fn prefix(task: &Task, language: &TaskLanguage, style: Style) -> Result<String> {
    let words = task.words(language, style)?;
    let shots = language.shots.iter().map(|shot| language.item.shot(&shot.values, &words[shot.label]));
    Ok(shots.map(|shot| shot + &task.separator).collect())
}

/// The words that are followed for an item whose gold label is `gold`. English and target words are the same
/// comparison where the style asks for English words, or the language is English.
///
/// # Errors
/// As [`Task::words`].
pub fn comparison(
    task: &Task,
    language: &TaskLanguage,
    style: Style,
    protocol: Protocol,
    gold: usize,
) -> Result<Comparison> {
    Ok(Comparison {
        labels: task.labels.clone(),
        gold,
        english: task.labels.clone(),
        target: task.words(language, style)?.to_vec(),
        same_language: style == Style::English || (style == Style::Same && language.code == "en"),
        protocol,
    })
}

/// The items of a language as the engine takes them.
///
/// # Errors
/// As [`Task::words`].
pub fn items(
    task: &Task,
    language: &TaskLanguage,
    style: Style,
    protocol: Protocol,
    rows: &[Row],
) -> Result<Vec<Item>> {
    let prefix = prefix(task, language, style)?;
    rows.iter()
        .map(|row| {
            let query = Query {
                prefix: prefix.clone(),
                text: language.item.query(&row.values),
                comparison: Some(comparison(task, language, style, protocol, row.label)?),
                track: Vec::new(),
            };
            Ok(Item { index: row.index, query, gold: task.labels[row.label].clone() })
        })
        .collect()
}
