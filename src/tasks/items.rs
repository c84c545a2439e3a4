//! Items of a task from a file: a JSON array, JSON Lines or CSV, told apart by their content.
//!
//! Nothing is guessed: a row without a field, or with an answer that is no label, is an error naming file and row.

use super::quoted;
use super::records::{Record, Rows, Text};
use super::task::{Task, TaskLanguage};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// One item: its texts and its gold label.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Place in the file, from 0.
    pub index: usize,
    /// Parallel to the task's fields.
    pub values: Vec<String>,
    /// Index of the gold label.
    pub label: usize,
}

/// The file of a language: `{lang}` in a path becomes its code.
pub fn path_of(template: &str, code: &str) -> PathBuf {
    PathBuf::from(template.replace("{lang}", code))
}

/// Refuses one item file for several languages: their items would all be in one language.
///
/// # Errors
/// [`Error::Usage`] where `template` has no `{lang}` and there is more than one language.
pub fn check_template(template: &str, languages: usize) -> Result<()> {
    if languages > 1 && !template.contains("{lang}") {
        return Err(Error::usage(format!(
            "--items {template} is one file, and {languages} languages are asked for: write {{lang}} where their codes \
             stand in the files' names, as in items_{{lang}}.json"
        )));
    }
    Ok(())
}

/// Reads the items of a file, at most `limit` of them.
///
/// # Errors
/// [`Error::Failed`] naming the file (and the row): missing, too large, not UTF-8, of no known form, a missing
/// field, an answer that is no label, or no items at all.
pub fn load(task: &Task, language: &TaskLanguage, path: &Path, limit: Option<usize>) -> Result<Vec<Row>> {
    let file = Text::open(path)?;
    parse(task, language, file.text()?, file.delimiter, &file.shown, limit)
}

/// Reads a whole file and says all that is wrong with its rows, in their order, a sentence each; and how many rows
/// are sound.
///
/// # Errors
/// As [`load`], for what makes the file as a whole unreadable.
pub fn check(task: &Task, language: &TaskLanguage, path: &Path) -> Result<(usize, Vec<String>)> {
    let file = Text::open(path)?;
    let text = file.text()?;
    let mut read =
        Reading { task, language, origin: &file.shown, rows: Vec::new(), faults: Some(Vec::new()) };
    read.all(text, file.delimiter, usize::MAX)?;
    let faults = read.faults.unwrap_or_default();
    if faults.is_empty() && read.rows.is_empty() {
        return Err(none(task, &file.shown));
    }
    Ok((read.rows.len(), faults))
}

/// The texts of all items of a file, parallel to the task's fields. The answers, if there are any, are not looked at.
///
/// # Errors
/// As [`load`], but for what concerns answers.
pub fn questions(task: &Task, path: &Path) -> Result<Vec<Vec<String>>> {
    let file = Text::open(path)?;
    parse_questions(task, file.text()?, file.delimiter, &file.shown)
}

/// As [`questions`], from text.
///
/// # Errors
/// As [`questions`].
pub fn parse_questions(
    task: &Task,
    text: &str,
    delimiter: Option<u8>,
    origin: &str,
) -> Result<Vec<Vec<String>>> {
    let columns = task.fields.join(", ");
    let rows = Rows { text, delimiter, origin, columns: &columns, limit: usize::MAX };
    let fields = || task.fields.iter().map(String::as_str);
    let mut found = Vec::new();
    rows.each(&mut |header| rows.needs(header, fields()), &mut |record| {
        let record = record?;
        found.push(fields().map(|name| text_of(record, name, origin, &columns)).collect::<Result<_>>()?);
        Ok(())
    })?;
    if found.is_empty() { Err(none(task, origin)) } else { Ok(found) }
}

/// A column's text, which must be there.
fn text_of(record: &Record, name: &str, origin: &str, columns: &str) -> Result<String> {
    let found = record.text(name).map_err(|e| Error::failed(format!("{origin}, {}: {e}", record.place)))?;
    found.map(str::to_owned).ok_or_else(|| {
        Error::failed(format!(
            "{origin}, {}: there is no {name:?} (it has {}); this task's items need {columns}",
            record.place,
            record.columns().join(", "),
        ))
    })
}

fn none(task: &Task, origin: &str) -> Error {
    Error::failed(format!("{origin} has no items; each needs {} and answer", task.fields.join(", ")))
}

/// As [`load`], from text; `delimiter` says that it is CSV, `origin` is shown in errors.
///
/// # Errors
/// As [`load`].
pub fn parse(
    task: &Task,
    language: &TaskLanguage,
    text: &str,
    delimiter: Option<u8>,
    origin: &str,
    limit: Option<usize>,
) -> Result<Vec<Row>> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut read = Reading { task, language, origin, rows: Vec::new(), faults: None };
    read.all(text, delimiter, limit)?;
    if read.rows.is_empty() { Err(none(task, origin)) } else { Ok(read.rows) }
}

struct Reading<'a> {
    task: &'a Task,
    language: &'a TaskLanguage,
    origin: &'a str,
    rows: Vec<Row>,
    /// Where all faults are wanted: those so far. Else the first one ends the reading.
    faults: Option<Vec<String>>,
}

impl Reading<'_> {
    fn all(&mut self, text: &str, delimiter: Option<u8>, limit: usize) -> Result<()> {
        let (task, columns) = (self.task, self.columns());
        let rows = Rows { text, delimiter, origin: self.origin, columns: &columns, limit };
        let needed = || task.fields.iter().map(String::as_str).chain(["answer"]);
        rows.each(&mut |header| rows.needs(header, needed()), &mut |record| match (
            record.and_then(|record| self.row(record)),
            &mut self.faults,
        ) {
            (Err(fault), Some(faults)) => {
                faults.push(fault.to_string());
                Ok(())
            }
            (row, _) => row,
        })
    }

    fn row(&mut self, record: &Record) -> Result<()> {
        let text = |name: &str| text_of(record, name, self.origin, &self.columns());
        let values = self.task.fields.iter().map(|field| text(field)).collect::<Result<Vec<_>>>()?;
        let answer = text("answer")?;
        let Some(label) = self.task.gold(self.language, &answer) else {
            crate::fail!(
                "{}, {}: the answer {} is neither one of the labels ({}) nor the word for one in {} ({})",
                self.origin,
                record.place,
                quoted(&clip(&answer)),
                self.task.labels.join(", "),
                self.language.code,
                self.language.words.join(", ")
            );
        };
        self.rows.push(Row { index: self.rows.len(), values, label });
        Ok(())
    }

    fn columns(&self) -> String {
        format!("{}, answer", self.task.fields.join(", "))
    }
}

/// The beginning of a text, for a message.
fn clip(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
