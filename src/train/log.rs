//! Follows the log files of a training run, also while they are being written.

mod record;

pub use record::LogRecord;

use crate::error::{Context, Result};
use crate::fail;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most bytes read in one [`LogFollower::poll`] of a JSON Lines file.
const MAX_POLL: u64 = 8 << 20;
/// A longer line is damaged.
const MAX_LINE: usize = 1 << 20;
/// A `trainer_state.json` larger than this is refused.
const MAX_STATE: u64 = 256 << 20;
/// Bytes at the start of a file by which a replaced file is noticed.
const HEAD: usize = 256;

/// The names looked for in a directory.
pub const LOG_FILE: &str = "trainer_log.jsonl";
pub const STATE_FILE: &str = "trainer_state.json";

/// What has become known since the last poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Update {
    /// The file is another one now (first opened, truncated or replaced): forget all records.
    Restarted {
        path: PathBuf,
    },
    Record(LogRecord),
    /// A line (from 1) that is no record, or not quite.
    Damaged {
        line: u64,
        reason: String,
    },
    /// There is no file yet, or no longer; says what is waited for.
    Waiting {
        what: String,
    },
    /// Where the file stands: written `age_s` seconds ago, `read` of its `size` bytes taken in.
    Status {
        age_s: f64,
        read: u64,
        size: u64,
    },
}

/// An incremental reader of one run. Give it a directory, a JSON Lines file or a `trainer_state.json`.
#[derive(Debug)]
pub struct LogFollower {
    /// What was asked for.
    target: PathBuf,
    current: Option<Current>,
    waiting: bool,
}

/// The file being followed.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    id: FileId,
    head: Vec<u8>,
    /// Bytes taken in.
    read: u64,
    /// An unfinished last line.
    tail: Vec<u8>,
    /// The rest of a line that is too long is skipped.
    skipping: bool,
    lines: u64,
    /// Entries of a `log_history` already handed out.
    entries: usize,
    last: Option<(u64, Option<SystemTime>)>,
}

/// What stays the same while a file grows.
type FileId = (u64, u64);

impl LogFollower {
    /// Follows `target`: a file, or a directory in which `trainer_log.jsonl`, else `trainer_state.json`
    /// (its own, else its newest checkpoint's), is looked for at every poll. It may not exist yet.
    pub fn new(target: impl Into<PathBuf>) -> Self {
        Self { target: target.into(), current: None, waiting: false }
    }

    /// What was asked for.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// What is new. Reads at most 8 MiB; the last [`Update::Status`] tells whether there is more.
    ///
    /// # Errors
    /// The file cannot be read, is no regular file, or (`trainer_state.json`) is too large.
    pub fn poll(&mut self) -> Result<Vec<Update>> {
        let mut updates = Vec::new();
        let Some((path, meta)) = find(&self.target)? else {
            if !std::mem::replace(&mut self.waiting, true) {
                updates.push(Update::Waiting { what: waiting_text(&self.target) });
            }
            return Ok(updates);
        };
        self.waiting = false;
        let mut file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let head = read_head(&mut file).with_context(|| format!("cannot read {}", path.display()))?;
        let goes_on = self.current.as_ref().is_some_and(|c| c.continues_in(&path, &meta, &head));
        if !goes_on {
            self.current = Some(Current::new(path.clone(), file_id(&meta)));
            updates.push(Update::Restarted { path: path.clone() });
        }
        let Some(current) = &mut self.current else { return Ok(updates) };
        current.head = head;
        if is_state(&path) {
            current.poll_state(&mut file, &meta, &mut updates)?;
        } else {
            current.poll_lines(&mut file, &meta, &mut updates)?;
        }
        Ok(updates)
    }
}

impl Current {
    fn new(path: PathBuf, id: FileId) -> Self {
        let (head, tail) = (Vec::new(), Vec::new());
        Self { path, id, head, read: 0, tail, skipping: false, lines: 0, entries: 0, last: None }
    }

    /// Whether `path` is still the file read so far, perhaps grown. A state file is rewritten each time.
    fn continues_in(&self, path: &Path, meta: &Metadata, head: &[u8]) -> bool {
        let same = self.path == path;
        same && (is_state(path)
            || self.id == file_id(meta) && meta.len() >= self.read && head.starts_with(&self.head))
    }

    fn poll_lines(&mut self, file: &mut File, meta: &Metadata, updates: &mut Vec<Update>) -> Result<()> {
        let before = self.last.replace((meta.len(), meta.modified().ok()));
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read))
            .and_then(|_| file.take(MAX_POLL).read_to_end(&mut bytes))
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        self.read += bytes.len() as u64;
        let mut rest = &bytes[..];
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.extend_tail(&rest[..end]);
            self.finish_line(updates);
            rest = &rest[end + 1..];
        }
        self.extend_tail(rest);
        let still = bytes.is_empty() && before == self.last;
        // A last line without its line break counts once nobody writes any more and it is whole.
        if still && !self.tail.is_empty() && LogRecord::from_line(&self.tail).is_ok() {
            self.finish_line(updates);
        }
        if !bytes.is_empty() || before != self.last {
            updates.push(self.status(meta));
        }
        Ok(())
    }

    fn extend_tail(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        if self.tail.len() + bytes.len() > MAX_LINE {
            self.skipping = true;
            self.tail = Vec::new();
        } else {
            self.tail.extend_from_slice(bytes);
        }
    }

    fn finish_line(&mut self, updates: &mut Vec<Update>) {
        self.lines += 1;
        let line = self.lines;
        if std::mem::take(&mut self.skipping) {
            updates.push(Update::Damaged { line, reason: format!("it is longer than {MAX_LINE} bytes") });
            return;
        }
        if !self.tail.trim_ascii().is_empty() {
            match LogRecord::from_line(self.tail.trim_ascii()) {
                Ok((record, problem)) => push_record(updates, line, record, problem),
                Err(reason) => updates.push(Update::Damaged { line, reason }),
            }
        }
        self.tail.clear();
    }

    fn poll_state(&mut self, file: &mut File, meta: &Metadata, updates: &mut Vec<Update>) -> Result<()> {
        let now = (meta.len(), meta.modified().ok());
        if self.last == Some(now) {
            return Ok(());
        }
        let shown = self.path.display();
        if meta.len() > MAX_STATE {
            fail!(
                "{shown} has {} bytes; a trainer_state.json of more than {MAX_STATE} is not read",
                meta.len()
            );
        }
        let mut text = String::new();
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.take(MAX_STATE).read_to_string(&mut text))
            .with_context(|| format!("cannot read {shown}"))?;
        let Ok(value) = record::parse(&text) else {
            // Being written just now, or cut off: the next poll decides.
            if self.entries == 0 {
                updates.push(Update::Damaged { line: 1, reason: "it is not whole JSON (yet)".into() });
            }
            self.last = Some(now);
            return Ok(());
        };
        let Some(history) = value.get("log_history").and_then(|h| h.as_array()) else {
            fail!("{shown} has no list \"log_history\": it is not a Hugging Face trainer_state.json");
        };
        if history.len() < self.entries {
            self.entries = 0;
            updates.push(Update::Restarted { path: self.path.clone() });
        }
        let total = value.get("max_steps").and_then(|v| v.as_f64()).filter(|v| *v > 0.0);
        for (i, entry) in history.iter().enumerate().skip(self.entries) {
            let line = i as u64 + 1;
            match entry.as_object().map(LogRecord::from_object) {
                Some((mut record, problem)) => {
                    record.total_steps = record.total_steps.or(total);
                    push_record(updates, line, record, problem);
                }
                None => updates.push(Update::Damaged { line, reason: "the entry is no object".into() }),
            }
        }
        self.entries = history.len();
        self.read = meta.len();
        self.last = Some(now);
        updates.push(self.status(meta));
        Ok(())
    }

    fn status(&self, meta: &Metadata) -> Update {
        let age = meta.modified().ok().and_then(|t| SystemTime::now().duration_since(t).ok());
        Update::Status { age_s: age.map_or(0.0, |a| a.as_secs_f64()), read: self.read, size: meta.len() }
    }
}

fn push_record(updates: &mut Vec<Update>, line: u64, record: LogRecord, problem: Option<String>) {
    if !record.is_empty() {
        updates.push(Update::Record(record));
    }
    if let Some(reason) = problem {
        updates.push(Update::Damaged { line, reason });
    }
}

fn is_state(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "json")
}

/// The file that `target` means now, `None` while there is none.
fn find(target: &Path) -> Result<Option<(PathBuf, Metadata)>> {
    let Some(meta) = stat(target)? else { return Ok(None) };
    if meta.is_file() {
        return Ok(Some((target.to_path_buf(), meta)));
    }
    if !meta.is_dir() {
        fail!(
            "{} is neither a file nor a directory: give a run's directory or its {LOG_FILE}",
            target.display()
        );
    }
    for name in [LOG_FILE, STATE_FILE] {
        let path = target.join(name);
        if let Some(meta) = stat(&path)?.filter(Metadata::is_file) {
            return Ok(Some((path, meta)));
        }
    }
    newest_checkpoint(target)
}

/// `checkpoint-N/trainer_state.json` with the largest N.
fn newest_checkpoint(directory: &Path) -> Result<Option<(PathBuf, Metadata)>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let step = |name: &str| name.strip_prefix("checkpoint-")?.parse::<u64>().ok();
    let mut steps: Vec<u64> =
        entries.flatten().filter_map(|e| e.file_name().to_str().and_then(step)).collect();
    steps.sort_unstable();
    for step in steps.into_iter().rev() {
        let path = directory.join(format!("checkpoint-{step}")).join(STATE_FILE);
        if let Some(meta) = stat(&path)?.filter(Metadata::is_file) {
            return Ok(Some((path, meta)));
        }
    }
    Ok(None)
}

/// Metadata, `None` where nothing is there.
fn stat(path: &Path) -> Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn waiting_text(target: &Path) -> String {
    if target.is_dir() {
        format!("{LOG_FILE} or {STATE_FILE} to appear in {}", target.display())
    } else {
        format!("{} to appear", target.display())
    }
}

fn read_head(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(unix)]
fn file_id(meta: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (meta.dev(), meta.ino())
}

#[cfg(not(unix))]
fn file_id(_: &Metadata) -> FileId {
    (0, 0)
}

#[cfg(test)]
mod tests;
