//! A session as read: an index of its lines, each parsed when it is needed.

use super::header::{Header, SCHEMA};
use super::line::{Line, Note, What};
use crate::error::{Context, Error, Result};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::borrow::Cow;
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
    offset: usize,
    len: usize,
}

/// A session file. Copies share it.
#[derive(Clone)]
pub struct SessionFile {
    /// The file's name, for messages.
    pub name: String,
    pub header: Header,
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
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
        let name = path.display().to_string();
        if path.is_dir() {
            crate::fail!("{name} is a directory; name the session's file");
        }
        let bytes = std::fs::read(path).with_context(|| format!("the session {name} cannot be read"))?;
        Self::from_bytes(&name, Arc::new(bytes))
    }

    /// A session in memory; `name` is for messages.
    ///
    /// # Errors
    /// As [`SessionFile::open`].
    pub fn from_bytes(name: &str, bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<Self> {
        let all: &[u8] = (*bytes).as_ref();
        let (first, mut offset) = cut_line(all, 0);
        let header = header(name, first)?;
        let mut entries = Vec::new();
        let (mut line, mut cut, mut last) = (1_u32, None, 0);
        while offset < all.len() {
            line = line.saturating_add(1);
            let (text, next) = cut_line(all, offset);
            let whole = next <= all.len() && all.get(next.wrapping_sub(1)) == Some(&b'\n');
            match entry(text) {
                Ok((t, kind)) => {
                    if t < last && kind != Kind::Note {
                        return Err(damaged(
                            name,
                            line,
                            &format!("its time {t} ms is before the line above it ({last} ms)"),
                        ));
                    }
                    if kind != Kind::Note {
                        last = t;
                    }
                    entries.push(Entry { t, line, kind, offset, len: text.len() });
                }
                Err(_) if !whole => cut = Some(line),
                Err(why) => return Err(damaged(name, line, &why)),
            }
            offset = next;
        }
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
        (*self.bytes).as_ref().get(entry.offset..entry.offset + entry.len).unwrap_or_default()
    }

    /// Parses a line.
    ///
    /// # Errors
    /// The line is damaged: the sentence has its number.
    pub fn line<U: DeserializeOwned>(&self, entry: &Entry) -> Result<Line<U>> {
        serde_json::from_slice(self.text(entry)).map_err(|e| damaged(&self.name, entry.line, &e.to_string()))
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
struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// The line at `offset` without its break, and where the next one begins.
fn cut_line(all: &[u8], offset: usize) -> (&[u8], usize) {
    let rest = &all[offset..];
    match rest.iter().position(|b| *b == b'\n') {
        Some(at) => (rest[..at].strip_suffix(b"\r").unwrap_or(&rest[..at]), offset + at + 1),
        None => (rest, all.len()),
    }
}

fn damaged(name: &str, line: u32, why: &str) -> Error {
    Error::Failed(format!(
        "{name}: line {line} is damaged: {why}. Restore the file from a copy, or delete the line"
    ))
}

fn header(name: &str, text: &[u8]) -> Result<Header> {
    let foreign = |why: &str| Error::Failed(format!("{name}: line 1: this is no session of polylens: {why}"));
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
    let named: Named = serde_json::from_slice(text).map_err(|e| foreign(&e.to_string()))?;
    match named.schema.as_deref() {
        Some(SCHEMA) => {}
        Some(other) if other.starts_with("polylens.session/") => {
            return Err(foreign(&format!(
                "it has the schema {other}, and this program reads {SCHEMA}: use a newer version"
            )));
        }
        Some(other) => return Err(foreign(&format!("its schema is {other:?} and not {SCHEMA}"))),
        None => return Err(foreign(&format!("its first line has no schema; it should be {SCHEMA}"))),
    }
    serde_json::from_slice(text)
        .map_err(|e| Error::Failed(format!("{name}: line 1 is damaged: {e}. Restore the file from a copy")))
}

/// A line's time and kind.
fn entry(text: &[u8]) -> std::result::Result<(u64, Kind), String> {
    quick(text).map_or_else(|| slow(text), Ok)
}

/// As this program writes them: `{"t":123,"event":`.
fn quick(text: &[u8]) -> Option<(u64, Kind)> {
    let rest = text.strip_prefix(b"{\"t\":")?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 15 {
        return None;
    }
    let t = rest[..digits].iter().fold(0, |t, b| t * 10 + u64::from(b - b'0'));
    let name = rest[digits..].strip_prefix(b",\"")?;
    let end = name.iter().take(12).position(|b| *b == b'"')?;
    (name.get(end + 1) == Some(&b':') && text.last() == Some(&b'}')).then_some((t, kind(&name[..end])?))
}

fn kind(name: &[u8]) -> Option<Kind> {
    Some(match name {
        b"user" => Kind::User,
        b"ask" => Kind::Ask,
        b"event" => Kind::Event,
        b"note" => Kind::Note,
        b"mark" => Kind::Mark,
        b"weights" => Kind::Weights,
        _ => return None,
    })
}

/// In any order and spacing.
fn slow(text: &[u8]) -> std::result::Result<(u64, Kind), String> {
    let map: std::collections::BTreeMap<Cow<str>, IgnoredAny> =
        serde_json::from_slice(text).map_err(|e| e.to_string())?;
    #[derive(Deserialize)]
    struct Time {
        t: u64,
    }
    let Time { t } = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let mut kinds = map.keys().filter(|k| *k != "t").map(|k| kind(k.as_bytes()).ok_or(k));
    match (kinds.next(), kinds.next()) {
        (Some(Ok(kind)), None) => Ok((t, kind)),
        (Some(Err(other)), _) => Err(format!("there is no kind of line called {other:?}")),
        (None, _) => Err("nothing stands beside the time".into()),
        _ => Err("a line has a time and one thing".into()),
    }
}
