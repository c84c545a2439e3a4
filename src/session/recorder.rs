//! Writes a session while it happens: a line at a time, each handed to the system before the next.

use super::header::Header;
use super::line::{Line, What};
use super::thin::Thinner;
use crate::engine::protocol::Event;
use crate::error::{Context, Result};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Milliseconds between two moves of the mouse.
const MOVES: u64 = 33;

/// A session being written.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    path: PathBuf,
    bytes: u64,
    lines: u64,
    buffer: Vec<u8>,
    hide: Vec<(Vec<u8>, &'static [u8])>,
    thinner: Thinner,
    /// When a mouse move was last written, and the one that came too soon after it.
    moved: Option<u64>,
    held_move: Option<serde_json::Value>,
    /// A line could not be written: nothing is tried after that.
    broken: bool,
}

/// An event's line, without a copy of the event.
struct Told<'a>(u64, &'a Event);

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("t", &self.0)?;
        map.serialize_entry("event", self.1)?;
        map.end()
    }
}

/// What the user did, already as data.
struct Done<'a>(u64, &'a serde_json::Value);

impl Serialize for Done<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("t", &self.0)?;
        map.serialize_entry("user", self.1)?;
        map.end()
    }
}

impl Recorder {
    /// Begins a new file with a header.
    ///
    /// # Errors
    /// The file is there already (it is left alone) or cannot be written.
    pub fn create(path: &Path, header: &Header) -> Result<Self> {
        Self::reserve(path)?.begin(header)
    }

    /// Makes the file, for a header that is known later: it is gone again if there never is one.
    ///
    /// # Errors
    /// The file is there already (it is left alone) or cannot be written.
    pub fn reserve(path: &Path) -> Result<Reserved> {
        let shown = path.display();
        if path.exists() {
            crate::fail!(
                "{shown} is there already and was left alone: choose another name for the recording"
            );
        }
        let file = File::options().write(true).create_new(true).open(path);
        let file = file.with_context(|| format!("the recording {shown} cannot be written"))?;
        Ok(Reserved { file: Some(file), path: path.to_owned() })
    }

    /// Keeps lines without a header in a file that has no name and is gone with the program: what a recording begins
    /// with that is asked for later.
    ///
    /// # Errors
    /// There is no room for temporary files.
    pub fn journal() -> Result<Self> {
        let file = tempfile::tempfile().context("a temporary file cannot be made")?;
        Ok(Self::over(file, "a temporary file".into()))
    }

    fn over(file: File, path: PathBuf) -> Self {
        Self {
            file,
            path,
            bytes: 0,
            lines: 0,
            buffer: Vec::new(),
            hide: hidden(),
            thinner: Thinner::default(),
            moved: None,
            held_move: None,
            broken: false,
        }
    }

    /// Writes the lines of a journal.
    ///
    /// # Errors
    /// The journal cannot be read, or the disk is full.
    pub fn append(&mut self, journal: &mut Self) -> Result<()> {
        journal.finish()?;
        self.thinner = journal.thinner.clone();
        journal.file.rewind().context("what led here cannot be read again")?;
        let copied = std::io::copy(&mut (&mut journal.file).take(journal.bytes), &mut self.file);
        journal.file.seek(SeekFrom::Start(journal.bytes)).context("what led here cannot be read again")?;
        copied.with_context(|| format!("the recording {} cannot be written", self.path.display()))?;
        self.bytes += journal.bytes;
        self.lines += journal.lines;
        Ok(())
    }

    /// Writes a line, thinned (see [`super::thin`]); what is written is with the system when this returns, so that a
    /// crash loses nothing but progress of the last tenth of a second.
    ///
    /// # Errors
    /// The disk is full or gone; what was written before is whole.
    pub fn record<U: Serialize>(&mut self, line: &Line<U>) -> Result<()> {
        match &line.what {
            What::Event(event) => {
                for (t, event) in self.thinner.event(line.t, event) {
                    self.write(&Told(t, &event))?;
                }
                Ok(())
            }
            What::User(user) => {
                self.owed(line.t)?;
                match serde_json::to_value(user) {
                    Ok(value) if is_move(&value) => self.mouse_move(line.t, value),
                    _ => {
                        self.last_move(line.t)?;
                        self.write(line)
                    }
                }
            }
            _ => {
                self.owed(line.t)?;
                self.write(line)
            }
        }
    }

    /// Writes what is held back; nothing else is held back after that.
    ///
    /// # Errors
    /// As [`Recorder::record`].
    pub fn finish(&mut self) -> Result<()> {
        if self.broken {
            return Ok(());
        }
        for (t, event) in self.thinner.end() {
            self.write(&Told(t, &event))?;
        }
        let t = self.thinner.last();
        self.last_move(t)
    }

    fn owed(&mut self, t: u64) -> Result<()> {
        for (t, event) in self.thinner.other(t) {
            self.write(&Told(t, &event))?;
        }
        Ok(())
    }

    /// A move of the mouse, unless one was written a moment ago: then it waits for what comes next.
    fn mouse_move(&mut self, t: u64, value: serde_json::Value) -> Result<()> {
        if self.moved.is_some_and(|last| t < last + MOVES) {
            self.held_move = Some(value);
            return Ok(());
        }
        (self.moved, self.held_move) = (Some(t), None);
        self.write(&Done(t, &value))
    }

    /// Where the mouse rests when something else is done.
    fn last_move(&mut self, t: u64) -> Result<()> {
        match self.held_move.take() {
            Some(value) => {
                self.moved = Some(t);
                self.write(&Done(t, &value))
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, value: &impl Serialize) -> Result<()> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, value).context("a line of the recording cannot be made")?;
        for (place, sign) in &self.hide {
            replace(&mut self.buffer, place, sign);
        }
        self.buffer.push(b'\n');
        if let Err(e) = self.file.write_all(&self.buffer) {
            // Half a line would look like a crash.
            self.broken = true;
            let _ = self.file.set_len(self.bytes);
            let shown = self.path.display();
            return Err(e)
                .with_context(|| format!("the recording {shown} cannot go on (what was written stays)"));
        }
        self.bytes += self.buffer.len() as u64;
        self.lines += 1;
        Ok(())
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lines written, with the header.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A file that was made for a session whose header is not known yet.
#[derive(Debug)]
pub struct Reserved {
    file: Option<File>,
    path: PathBuf,
}

impl Reserved {
    /// Writes the header.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(mut self, header: &Header) -> Result<Recorder> {
        let Some(file) = self.file.take() else { crate::fail!("the recording was begun before") };
        let mut recorder = Recorder::over(file, self.path.clone());
        recorder.write(header)?;
        Ok(recorder)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What is empty would stand in the next recording's way.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Nobody is left to be told of a full disk.
        let _ = self.finish();
    }
}

/// Whether the mouse moved, and no more.
fn is_move(user: &serde_json::Value) -> bool {
    user.get("mouse").and_then(|m| m.get("kind")).and_then(|k| k.as_str()) == Some("move")
}

/// Directories whose names are nobody else's business, as they stand in JSON, and what is written for them.
fn hidden() -> Vec<(Vec<u8>, &'static [u8])> {
    let quoted = |path: PathBuf| {
        let text = serde_json::to_string(path.to_str()?).ok()?;
        let text = text.trim_matches('"').as_bytes().to_vec();
        (text.len() > 3).then_some(text)
    };
    let here = std::env::current_dir().ok().and_then(quoted).map(|p| (p, &b"."[..]));
    let home = std::env::var_os("HOME").map(PathBuf::from).and_then(quoted).map(|p| (p, &b"~"[..]));
    here.into_iter().chain(home).collect()
}

/// Puts `sign` in the place of every `place`, where that is a whole path or the beginning of one.
fn replace(buffer: &mut Vec<u8>, place: &[u8], sign: &[u8]) {
    let mut from = 0;
    while let Some(at) = buffer[from..].windows(place.len()).position(|w| w == place).map(|at| at + from) {
        let ends = matches!(buffer.get(at + place.len()), Some(b'/' | b'"' | b'\\'));
        if ends {
            buffer.splice(at..at + place.len(), sign.iter().copied());
            from = at + sign.len();
        } else {
            from = at + place.len();
        }
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
