//! Where a session's lines are, when they are and of what kind, without parsing more of them than that takes.

use super::file::{Entry, Kind};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// A longer line is damaged.
const MOST_LINE: usize = 64 << 20;
/// More lines are not read: their index alone would take 320 MB.
const MOST_LINES: u32 = 10_000_000;
/// 31 years in milliseconds: a later time is damaged.
const MOST_TIME: u64 = 1_000_000_000_000;

/// The lines after the header.
pub struct Scanned {
    pub entries: Vec<Entry>,
    /// Number of the last line, if the file ends in the middle of it.
    pub cut: Option<u32>,
}

/// The line at `offset` without its break, where the next one begins, and whether it has a break.
pub fn cut_line(all: &[u8], offset: usize) -> (&[u8], usize, bool) {
    let rest = &all[offset..];
    match memchr::memchr(b'\n', rest) {
        Some(at) => (rest[..at].strip_suffix(b"\r").unwrap_or(&rest[..at]), offset + at + 1, true),
        None => (rest, all.len(), false),
    }
}

/// Finds the lines from `offset` on; the first of them is line 2.
///
/// # Errors
/// The number of the first damaged line, and why it is.
pub fn scan(all: &[u8], mut offset: usize) -> Result<Scanned, (u32, String)> {
    // Lines of a training are some hundred bytes long; what is reserved too much is given back.
    let mut entries = Vec::with_capacity(all.len() / 256);
    let (mut line, mut last) = (1_u32, 0);
    while offset < all.len() {
        line += 1;
        let (text, next, whole) = cut_line(all, offset);
        // Zeros at the end are what a file system leaves of a line that it did not get to write.
        let unwritten = next == all.len() && text.contains(&0) && text.iter().all(|b| *b == 0);
        if !whole || unwritten {
            let found =
                if unwritten { Err(String::new()) } else { limits(text, line).and_then(|()| slow(text)) };
            match found {
                Ok((t, kind)) => {
                    in_order(t, kind, &mut last).map_err(|why| (line, why))?;
                    entries.push(Entry::new(t, line, kind, offset, text.len()));
                }
                Err(_) => return Ok(Scanned { entries, cut: Some(line) }),
            }
        } else if !text.is_empty() {
            let found = limits(text, line).and_then(|()| quick(text).map_or_else(|| slow(text), Ok));
            let (t, kind) = found.map_err(|why| (line, why))?;
            in_order(t, kind, &mut last).map_err(|why| (line, why))?;
            entries.push(Entry::new(t, line, kind, offset, text.len()));
        }
        offset = next;
    }
    entries.shrink_to_fit();
    Ok(Scanned { entries, cut: None })
}

fn limits(text: &[u8], line: u32) -> Result<(), String> {
    if text.len() > MOST_LINE {
        return Err(format!("it has {} MB, and a line has at most {}", text.len() >> 20, MOST_LINE >> 20));
    }
    if line > MOST_LINES {
        return Err(format!("a session has at most {MOST_LINES} lines"));
    }
    Ok(())
}

/// Times do not go back, but for notes that were added later.
fn in_order(t: u64, kind: Kind, last: &mut u64) -> Result<(), String> {
    if t > MOST_TIME {
        return Err(format!("its time {t} ms is more than a lifetime of recording"));
    }
    if kind == Kind::Note {
        return Ok(());
    }
    if t < *last {
        return Err(format!("its time {t} ms is before that of the line above it ({last} ms)"));
    }
    *last = t;
    Ok(())
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

/// In any order and spacing; the whole line is checked to be JSON.
fn slow(text: &[u8]) -> Result<(u64, Kind), String> {
    #[derive(Deserialize)]
    struct Time {
        t: u64,
    }
    let map: std::collections::BTreeMap<Cow<str>, IgnoredAny> =
        serde_json::from_slice(text).map_err(|e| why(&e))?;
    let Time { t } = serde_json::from_slice(text).map_err(|e| why(&e))?;
    let mut kinds = map.keys().filter(|k| *k != "t").map(|k| kind(k.as_bytes()).ok_or(k));
    match (kinds.next(), kinds.next()) {
        (Some(Ok(kind)), None) => Ok((t, kind)),
        (Some(Err(other)), _) => Err(format!("there is no kind of line called {:?}", shorten(other))),
        (None, _) => Err("nothing stands beside the time".into()),
        _ => Err("a line has a time and one thing".into()),
    }
}

/// What a parser says, without its place ("at line 1 column 7"): there is one line, and it may be long.
pub fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line 1 column").next().unwrap_or(&text);
    format!("{} (byte {})", shorten(what), error.column())
}

/// A text out of a file, short enough for a sentence and without signs that steer a terminal.
pub fn shorten(text: &str) -> String {
    const MOST: usize = 160;
    let clean = text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c });
    let mut short: String = clean.take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}
