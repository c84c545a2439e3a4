//! Rows of a file: a JSON array, JSON Lines or CSV, told apart by their content.
//!
//! What the columns mean is decided by the reader of the rows ([`super::items`], the training data).

use crate::error::{Context, Error, Result};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;

/// Larger than any file of rows; a larger one is refused before it is read.
const MAX_BYTES: u64 = 256 << 20;

/// A file's bytes, with what its name says about them.
pub(crate) struct Text {
    pub bytes: Vec<u8>,
    /// `Some` where the name says that it is CSV (or TSV).
    pub delimiter: Option<u8>,
    /// The path, for messages.
    pub shown: String,
}

impl Text {
    /// The text, UTF-8 without a byte-order mark.
    ///
    /// # Errors
    /// As [`utf8`], naming the file.
    pub fn text(&self) -> Result<&str> {
        utf8(&self.bytes).map_err(|e| e.context(&self.shown))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Failed`] naming it: missing, no file, too large, not UTF-8, or named as JSON and something else.
    pub fn open(path: &Path) -> Result<Self> {
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

/// Rows to be read, and how they are called in messages.
pub(crate) struct Rows<'a> {
    pub text: &'a str,
    /// `Some`: it is CSV, whatever it looks like.
    pub delimiter: Option<u8>,
    /// Shown in errors.
    pub origin: &'a str,
    /// The columns that a row needs, as a list in words.
    pub columns: &'a str,
    /// At most so many rows are looked at.
    pub limit: usize,
}

/// One row.
pub(crate) struct Record<'a> {
    /// `row 3 (line 7)`, from 1.
    pub place: &'a str,
    cells: Cells<'a>,
}

enum Cells<'a> {
    Json(&'a Map<String, Value>),
    Csv(&'a [String], &'a csv::StringRecord),
}

impl Record<'_> {
    /// The names of the columns that are there.
    pub fn columns(&self) -> Vec<String> {
        match self.cells {
            Cells::Json(object) => object.keys().cloned().collect(),
            Cells::Csv(header, _) => header.to_vec(),
        }
    }

    /// A column's text; `None` where the row has no such column.
    ///
    /// # Errors
    /// `"answer" is a number, not a text`.
    pub fn text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.cells {
            Cells::Json(object) => match object.get(name) {
                Some(Value::String(text)) => Ok(Some(text)),
                Some(other) => Err(format!("{name:?} is {}, not a text", kind(other))),
                None => Ok(None),
            },
            Cells::Csv(header, record) => {
                Ok(header.iter().position(|h| h == name).and_then(|column| record.get(column)))
            }
        }
    }

    /// Whether a column holds nothing: an empty text or list, or null.
    pub fn is_blank(&self, name: &str) -> bool {
        match self.cells {
            Cells::Json(object) => match object.get(name) {
                None | Some(Value::Null) => true,
                Some(Value::String(text)) => text.is_empty(),
                Some(Value::Array(list)) => list.is_empty(),
                Some(_) => false,
            },
            Cells::Csv(..) => self.text(name).ok().flatten().is_none_or(str::is_empty),
        }
    }
}

impl Rows<'_> {
    /// Calls `row` with every row in its order, an error being a row that cannot be taken apart; `header` with the
    /// columns of a CSV file. The first error that one of them returns ends the reading.
    ///
    /// # Errors
    /// Those of `header` and `row`, and [`Error::Failed`] for what makes the whole unreadable.
    pub fn each(
        &self,
        header: &mut dyn FnMut(&[String]) -> Result<()>,
        row: &mut dyn FnMut(Result<&Record<'_>>) -> Result<()>,
    ) -> Result<()> {
        match (self.delimiter, self.text.trim_start().chars().next()) {
            (None, Some('[')) => self.json_array(row),
            (None, Some('{')) => self.json_lines(row),
            (delimiter, Some(_)) => self.csv(delimiter.unwrap_or(b','), header, row),
            (_, None) => Ok(()),
        }
    }

    fn json_array(&self, row: &mut dyn FnMut(Result<&Record<'_>>) -> Result<()>) -> Result<()> {
        let mut deserializer = serde_json::Deserializer::from_str(self.text);
        let values = Elements { limit: self.limit }.deserialize(&mut deserializer);
        let values = values.and_then(|values| deserializer.end().map(|()| values));
        let values = values.with_context(|| format!("{} is not a JSON array of items", self.origin))?;
        values.iter().enumerate().try_for_each(|(i, value)| self.json(value, &format!("row {}", i + 1), row))
    }

    fn json_lines(&self, row: &mut dyn FnMut(Result<&Record<'_>>) -> Result<()>) -> Result<()> {
        let lines = self.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        for (i, (number, line)) in lines.enumerate().take(self.limit) {
            let place = format!("row {} (line {})", i + 1, number + 1);
            let value = serde_json::from_str(line)
                .with_context(|| format!("{}, {place}: it is not one JSON object a line", self.origin));
            match value {
                Ok(value) => self.json(&value, &place, row)?,
                Err(fault) => row(Err(fault))?,
            }
        }
        Ok(())
    }

    fn json(
        &self,
        value: &Value,
        place: &str,
        row: &mut dyn FnMut(Result<&Record<'_>>) -> Result<()>,
    ) -> Result<()> {
        match value {
            Value::Object(object) => row(Ok(&Record { place, cells: Cells::Json(object) })),
            _ => row(Err(Error::failed(format!(
                "{}, {place}: it is not an object with {}",
                self.origin, self.columns
            )))),
        }
    }

    fn csv(
        &self,
        delimiter: u8,
        check: &mut dyn FnMut(&[String]) -> Result<()>,
        row: &mut dyn FnMut(Result<&Record<'_>>) -> Result<()>,
    ) -> Result<()> {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(self.text.as_bytes());
        let unreadable =
            |e: csv::Error| Error::failed(format!("{} is not CSV that can be read: {e}", self.origin));
        let header: Vec<String> =
            reader.headers().map_err(unreadable)?.iter().map(|h| h.trim().to_owned()).collect();
        check(&header)?;
        let records: Vec<_> =
            reader.records().take(self.limit).collect::<Result<_, _>>().map_err(unreadable)?;
        for (i, record) in records.iter().enumerate() {
            let line = record.position().map_or(0, csv::Position::line);
            let place = format!("row {} (line {line})", i + 1);
            row(Ok(&Record { place: &place, cells: Cells::Csv(&header, record) }))?;
        }
        Ok(())
    }

    /// Refuses a CSV header that lacks one of `names`.
    ///
    /// # Errors
    /// Naming the first missing column, and those that are there.
    pub fn needs<'n>(&self, header: &[String], mut names: impl Iterator<Item = &'n str>) -> Result<()> {
        let Some(name) = names.find(|name| !header.iter().any(|h| h == name)) else { return Ok(()) };
        crate::fail!(
            "{}: its first line names no column {name:?} (it has {}); a CSV file begins with a line naming its \
             columns, and this task needs {}",
            self.origin,
            header.join(", "),
            self.columns
        )
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
