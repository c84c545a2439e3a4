//! Writes a session while it happens: a line at a time, each handed to the system before the next.

use super::header::Header;
use super::line::Line;
use crate::error::{Context, Result};
use serde::Serialize;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A session being written.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    path: PathBuf,
    bytes: u64,
    lines: u64,
    buffer: Vec<u8>,
    hide: Vec<(Vec<u8>, &'static [u8])>,
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
        Ok(Self {
            file,
            path: "a temporary file".into(),
            bytes: 0,
            lines: 0,
            buffer: Vec::new(),
            hide: hidden(),
        })
    }

    /// Writes the lines of a journal.
    ///
    /// # Errors
    /// The journal cannot be read, or the disk is full.
    pub fn append(&mut self, journal: &mut Self) -> Result<()> {
        journal.file.rewind().context("what led here cannot be read again")?;
        let copied = std::io::copy(&mut (&mut journal.file).take(journal.bytes), &mut self.file);
        journal.file.seek(SeekFrom::Start(journal.bytes)).context("what led here cannot be read again")?;
        copied.with_context(|| format!("the recording {} cannot be written", self.path.display()))?;
        self.bytes += journal.bytes;
        self.lines += journal.lines;
        Ok(())
    }

    /// Writes a line; it is with the system when this returns, so that a crash loses nothing.
    ///
    /// # Errors
    /// The disk is full or gone; what was written before is whole.
    pub fn record<U: Serialize>(&mut self, line: &Line<U>) -> Result<()> {
        self.write(line)
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
        let path = self.path.clone();
        let mut recorder = Recorder { file, path, bytes: 0, lines: 0, buffer: Vec::new(), hide: hidden() };
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
