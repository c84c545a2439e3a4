//! A session as read: an index of its lines, each parsed when it is needed.

use super::bytes::{self, Bytes};
use super::header::{Header, SCHEMA};
use super::line::{Line, Note, What};
use super::sane;
use super::scan::{cut_line, scan, shorten, why};
use crate::error::{Error, Result};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use std::path::Path;
use std::sync::Arc;

/// A longer header is none.
const MOST_HEADER: usize = 16 << 20;

/// What stands on a line, as far as it shows without parsing all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    User,
    Ask,
    Event,
    Note,
    Mark,
    Weights,
}

/// A line's place, in the order in which lines are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds since the recording began; what led to its beginning has 0. See [`Header::begin`].
    pub t: u64,
    /// Its number in the file, from 1 (the header).
    pub line: u32,
    pub kind: Kind,
    offset: u64,
    len: u32,
}

impl Entry {
    pub(super) fn new(t: u64, line: u32, kind: Kind, offset: usize, len: usize) -> Self {
        Self { t, line, kind, offset: offset as u64, len: len as u32 }
    }

    /// Bytes of the line.
    pub fn size(&self) -> usize {
        self.len as usize
    }
}

/// A session file. Copies share it.
#[derive(Clone)]
pub struct SessionFile {
    /// The file's name, for messages.
    pub name: String,
    pub header: Header,
    bytes: Bytes,
    entries: Arc<[Entry]>,
    /// Number of the last line, if the file ends in the middle of it.
    pub cut: Option<u32>,
}

impl std::fmt::Debug for SessionFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionFile").field("name", &self.name).field("lines", &self.entries.len()).finish()
    }
}

impl SessionFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is no session; the sentence names the line.
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_bytes(&path.display().to_string(), bytes::open(path)?)
    }

    /// A session in memory; `name` is for messages.
    ///
    /// # Errors
    /// As [`SessionFile::open`].
    pub fn from_bytes(name: &str, bytes: Bytes) -> Result<Self> {
        let all: &[u8] = (*bytes).as_ref();
        // Some editors put a byte order mark before everything.
        let start = if all.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let (first, offset, whole) = cut_line(all, start);
        let header = header(name, first, whole)?;
        let scanned = scan(all, offset).map_err(|(line, why)| damaged(name, line, &why))?;
        let (mut entries, cut) = (scanned.entries, scanned.cut);
        for entry in &mut entries {
            entry.t = entry.t.saturating_sub(header.begin);
        }
        // Notes that were added later stand at the end of the file.
        entries.sort_by_key(|e| e.t);
        Ok(Self { name: name.to_owned(), header, bytes: bytes.clone(), entries: entries.into(), cut })
    }

    /// The lines in the order in which they are played.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Time of the last line, in milliseconds.
    pub fn end(&self) -> u64 {
        self.entries.last().map_or(0, |e| e.t)
    }

    /// Bytes of the file.
    pub fn size(&self) -> usize {
        (*self.bytes).as_ref().len()
    }

    /// A line's text, without the line break.
    pub fn text(&self, entry: &Entry) -> &[u8] {
        let from = entry.offset as usize;
        (*self.bytes).as_ref().get(from..from + entry.size()).unwrap_or_default()
    }

    /// Parses a line.
    ///
    /// # Errors
    /// The line is damaged: the sentence has its number.
    pub fn line<U: DeserializeOwned>(&self, entry: &Entry) -> Result<Line<U>> {
        serde_json::from_slice(self.text(entry)).map_err(|e| self.damaged(entry, &why(&e)))
    }

    /// The error that says that a line is damaged, and why.
    pub fn damaged(&self, entry: &Entry, why: &str) -> Error {
        damaged(&self.name, entry.line, why)
    }

    /// All notes with their times, in order.
    pub fn notes(&self) -> Vec<(u64, Note)> {
        let of = |e: &Entry| match self.line::<Unread>(e) {
            Ok(Line { what: What::Note(note), .. }) => Some((e.t, note)),
            _ => None,
        };
        self.entries.iter().filter(|e| e.kind == Kind::Note).filter_map(of).collect()
    }

    /// All marks with their times, in order.
    pub fn marks(&self) -> Vec<(u64, String)> {
        let of = |e: &Entry| match self.line::<Unread>(e) {
            Ok(Line { what: What::Mark(name), .. }) => Some((e.t, name)),
            _ => None,
        };
        self.entries.iter().filter(|e| e.kind == Kind::Mark).filter_map(of).collect()
    }
}

/// Stands for user data that are not looked at.
pub(super) struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

fn damaged(name: &str, line: u32, why: &str) -> Error {
    Error::Failed(format!(
        "{name}: line {line} is damaged: {why}. Restore the file from a copy, or delete the line"
    ))
}

fn header(name: &str, text: &[u8], whole: bool) -> Result<Header> {
    let foreign = |why: &str| Error::Failed(format!("{name}: line 1: this is no session of polylens: {why}"));
    if let Some(what) = bytes::foreign(text) {
        return Err(foreign(what));
    }
    if text.is_empty() {
        return Err(foreign("the file is empty or begins with an empty line"));
    }
    if text.len() > MOST_HEADER {
        return Err(foreign("its first line is longer than any header"));
    }
    #[derive(Deserialize)]
    struct Named {
        schema: Option<String>,
    }
    let named: Named = serde_json::from_slice(text).map_err(|e| {
        let rest = if whole { "" } else { "; the file ends in this line" };
        foreign(&format!("{}{rest}", why(&e)))
    })?;
    match named.schema.as_deref() {
        Some(SCHEMA) => {}
        Some(other) if other.starts_with("polylens.session/") => {
            return Err(foreign(&format!(
                "it has the schema {}, and this program reads {SCHEMA}: use a newer version",
                shorten(other)
            )));
        }
        Some(other) => {
            return Err(foreign(&format!("its schema is {:?} and not {SCHEMA}", shorten(other))));
        }
        None => return Err(foreign(&format!("its first line has no schema; it should be {SCHEMA}"))),
    }
    let damaged =
        |why: &str| Error::Failed(format!("{name}: line 1 is damaged: {why}. Restore the file from a copy"));
    let header: Header = serde_json::from_slice(text).map_err(|e| damaged(&why(&e)))?;
    let (width, height) = header.start.size;
    sane::size(width, height).map_err(|e| damaged(&e))?;
    Ok(header)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
