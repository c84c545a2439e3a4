//! Items of a task from a file: a JSON array, JSON Lines or CSV, told apart by their content.
//!
//! Nothing is guessed: a row without a field, or with an answer that is no label, is an error naming file and row.

use super::quoted;
use super::task::{Task, TaskLanguage};
use crate::error::{Context, Error, Result};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// Larger than any item file; a larger one is refused before it is read.
const MAX_BYTES: u64 = 256 << 20;

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
    let mut rows = Rows { task, language, origin: &file.shown, rows: Vec::new(), faults: Some(Vec::new()) };
    rows.all(text, file.delimiter, usize::MAX)?;
    let faults = rows.faults.unwrap_or_default();
    if faults.is_empty() && rows.rows.is_empty() {
        return Err(none(task, &file.shown));
    }
    Ok((rows.rows.len(), faults))
}

/// An item file's bytes, with what its name says about them.
struct Text {
    bytes: Vec<u8>,
    delimiter: Option<u8>,
    shown: String,
}

impl Text {
    fn text(&self) -> Result<&str> {
        utf8(&self.bytes).map_err(|e| e.context(&self.shown))
    }

    fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let meta = std::fs::metadata(path).with_context(|| format!("{shown} cannot be opened"))?;
        if !meta.is_file() {
            crate::fail!("{shown} is not a file; name a JSON, JSON Lines or CSV file");
        }
        if meta.len() > MAX_BYTES {
            crate::fail!(
                "{shown} has {} bytes; item files of at most {MAX_BYTES} are read: cut it",
                meta.len()
            );
        }
        let bytes = std::fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
        let text = utf8(&bytes).map_err(|e| e.context(&shown))?;
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let delimiter = if extension == "tsv" { b'\t' } else { b',' };
        let csv = ["csv", "tsv"].contains(&extension.as_str());
        let json = ["json", "jsonl", "ndjson"].contains(&extension.as_str());
        if json && text.trim_start().starts_with(|c| c != '[' && c != '{') {
            crate::fail!("{shown} is not JSON: it must be an array of items, or one object a line");
        }
        Ok(Self { delimiter: csv.then_some(delimiter), shown: shown.to_string(), bytes })
    }
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
    let mut rows = Rows { task, language, origin, rows: Vec::new(), faults: None };
    rows.all(text, delimiter, limit)?;
    if rows.rows.is_empty() { Err(none(task, origin)) } else { Ok(rows.rows) }
}

/// Text from bytes: UTF-8, without its byte-order mark.
///
/// # Errors
/// [`Error::Failed`] with the offset of the first byte that is not UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let wide = bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]);
        let hint = if wide { "it seems to be UTF-16" } else { "it is in another encoding, or damaged" };
        Error::failed(format!("byte {} is not UTF-8 ({hint}): save it as UTF-8", e.valid_up_to()))
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

struct Rows<'a> {
    task: &'a Task,
    language: &'a TaskLanguage,
    origin: &'a str,
    rows: Vec<Row>,
    /// Where all faults are wanted: those so far. Else the first one ends the reading.
    faults: Option<Vec<String>>,
}

impl Rows<'_> {
    fn all(&mut self, text: &str, delimiter: Option<u8>, limit: usize) -> Result<()> {
        match (delimiter, text.trim_start().chars().next()) {
            (None, Some('[')) => self.json_array(text, limit),
            (None, Some('{')) => self.json_lines(text, limit),
            (delimiter, Some(_)) => self.csv(text, delimiter.unwrap_or(b','), limit),
            (_, None) => Ok(()),
        }
    }

    /// Notes a row's fault and goes on, where all are wanted.
    fn or_note(&mut self, row: Result<()>) -> Result<()> {
        match (row, &mut self.faults) {
            (Err(fault), Some(faults)) => {
                faults.push(fault.to_string());
                Ok(())
            }
            (row, _) => row,
        }
    }

    fn json_array(&mut self, text: &str, limit: usize) -> Result<()> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let values = Elements { limit }.deserialize(&mut deserializer);
        let values = values.and_then(|values| deserializer.end().map(|()| values));
        let values = values.with_context(|| format!("{} is not a JSON array of items", self.origin))?;
        values.iter().enumerate().try_for_each(|(i, value)| {
            let row = self.json(value, &format!("row {}", i + 1));
            self.or_note(row)
        })
    }

    fn json_lines(&mut self, text: &str, limit: usize) -> Result<()> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        for (row, (number, line)) in lines.enumerate() {
            if self.rows.len() >= limit {
                break;
            }
            let place = format!("row {} (line {})", row + 1, number + 1);
            let value = serde_json::from_str(line)
                .with_context(|| format!("{}, {place}: it is not one JSON object a line", self.origin));
            let read = value.and_then(|value: Value| self.json(&value, &place));
            self.or_note(read)?;
        }
        Ok(())
    }

    fn json(&mut self, value: &Value, place: &str) -> Result<()> {
        let Value::Object(object) = value else {
            crate::fail!("{}, {place}: it is not an object with {}", self.origin, self.columns());
        };
        let cell = |name: &str| match object.get(name) {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("{name:?} is {}, not a text", kind(other))),
            None => Ok(None),
        };
        self.row(place, cell, || object.keys().cloned().collect())
    }

    fn csv(&mut self, text: &str, delimiter: u8, limit: usize) -> Result<()> {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
        let unreadable =
            |e: csv::Error| Error::failed(format!("{} is not CSV that can be read: {e}", self.origin));
        let header: Vec<String> =
            reader.headers().map_err(unreadable)?.iter().map(|h| h.trim().to_owned()).collect();
        let missing = |name: &&str| !header.iter().any(|h| h == name);
        if let Some(name) = self.task.fields.iter().map(String::as_str).chain(["answer"]).find(missing) {
            crate::fail!(
                "{}: its first line names no column {name:?} (it has {}); a CSV file begins with a line naming its \
                 columns, and this task needs {}",
                self.origin,
                header.join(", "),
                self.columns()
            );
        }
        let records: Vec<_> = reader.records().take(limit).collect::<Result<_, _>>().map_err(unreadable)?;
        for (row, record) in records.into_iter().enumerate() {
            let line = record.position().map_or(0, csv::Position::line);
            let place = format!("row {} (line {line})", row + 1);
            let cell = |name: &str| {
                let column = header.iter().position(|h| h == name);
                Ok(column.and_then(|column| record.get(column)).map(str::to_owned))
            };
            let read = self.row(&place, cell, || header.clone());
            self.or_note(read)?;
        }
        Ok(())
    }

    /// Adds a row; `cell` gives a column's text, `columns` all names that are there.
    fn row(
        &mut self,
        place: &str,
        cell: impl Fn(&str) -> Result<Option<String>, String>,
        columns: impl Fn() -> Vec<String>,
    ) -> Result<()> {
        let text = |name: &str| {
            let found = cell(name).map_err(|e| Error::failed(format!("{}, {place}: {e}", self.origin)))?;
            found.ok_or_else(|| {
                Error::failed(format!(
                    "{}, {place}: there is no {name:?} (it has {}); this task's items need {}",
                    self.origin,
                    columns().join(", "),
                    self.columns()
                ))
            })
        };
        let values = self.task.fields.iter().map(|field| text(field)).collect::<Result<Vec<_>>>()?;
        let answer = text("answer")?;
        let Some(label) = self.task.gold(self.language, &answer) else {
            crate::fail!(
                "{}, {place}: the answer {} is neither one of the labels ({}) nor the word for one in {} ({})",
                self.origin,
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

/// The first elements of a JSON array; the rest is read over, and must still be JSON.
struct Elements {
    limit: usize,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Value>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Value>, A::Error> {
        let mut values = Vec::new();
        while values.len() < self.limit {
            match seq.next_element()? {
                Some(value) => values.push(value),
                None => return Ok(values),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(values)
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The beginning of a text, for a message.
fn clip(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
