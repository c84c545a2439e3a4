//! What every fetch carries: the settings, the progress call, the cancel flag and what was reused.

use super::HubConfig;
use super::catalogue::Entry;
use crate::engine::control::Cancel;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::{Duration, Instant};

/// Called with (stage, done, total, unit); total 0 = unknown. The same type as the engine's.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, u64, &str);

/// The shortest time between two progress calls of a stage.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// A place that a catalogue entry's files come from.
pub trait Source {
    /// Puts the entry's files into `files`, complete and checked. `work` is this pull's own scratch folder, on
    /// the same file system. Whatever a broken-off call leaves in either is what the next call goes on with.
    ///
    /// Errors: one sentence that says what could not be fetched and why; `Interrupted` when cancelled.
    fn fetch(&self, entry: &Entry, files: &Path, work: &Path, job: &mut Job) -> Result<()>;
}

/// One pull under way.
pub struct Job<'a> {
    pub config: &'a HubConfig,
    pub cancel: &'a Cancel,
    progress: Progress<'a>,
    last: Option<(String, Instant)>,
    /// Bytes that travelled.
    pub fetched: u64,
    /// Bytes that an earlier, broken-off pull had left and that were used again.
    pub reused: u64,
    /// Facts for the user, as full sentences.
    pub notes: Vec<String>,
}

impl<'a> Job<'a> {
    /// A pull that has not begun.
    pub fn new(config: &'a HubConfig, progress: Progress<'a>, cancel: &'a Cancel) -> Self {
        Self { config, cancel, progress, last: None, fetched: 0, reused: 0, notes: Vec::new() }
    }

    /// Reports bytes done of a stage, not more often than anybody can see.
    pub fn bytes(&mut self, stage: &str, done: u64, total: u64) {
        let due = match &self.last {
            Some((last, at)) => last != stage || done >= total || at.elapsed() >= PROGRESS_INTERVAL,
            None => true,
        };
        if due {
            (self.progress)(stage, done, total, "bytes");
            self.last = Some((stage.to_owned(), Instant::now()));
        }
    }

    /// `Err(Interrupted)` once the user has cancelled.
    pub fn check(&self) -> Result<()> {
        self.cancel.check()
    }
}

/// sha256, in lower-case hexadecimal, of `length` bytes of `reader` from where it stands; `None` if it ends early.
/// `on` gets the number of bytes done.
pub fn sha256_of(
    reader: impl Read,
    length: u64,
    cancel: &Cancel,
    mut on: impl FnMut(u64),
) -> Result<Option<String>> {
    let mut hash = Sha256::new();
    let done = copy(&mut reader.take(length), cancel, |chunk, done| {
        hash.update(chunk);
        on(done);
        Ok(())
    })?;
    Ok((done == length).then(|| hex(hash)))
}

/// sha256 of a whole file.
pub fn sha256_file(path: &Path, cancel: &Cancel, on: impl FnMut(u64)) -> Result<String> {
    let file = File::open(path).map_err(|e| io_error(path, "read", &e))?;
    let length = file.metadata().map_err(|e| io_error(path, "read", &e))?.len();
    let changed = || Error::failed(format!("{}: the file changed while it was read", path.display()));
    let hash = sha256_of(file, length, cancel, on).map_err(|e| e.context(path.display()))?;
    hash.ok_or_else(changed)
}

/// A finished hash in lower-case hexadecimal.
pub fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads to the end in 1 MiB chunks; `on` gets each chunk and the bytes done with it. Returns all bytes read.
pub fn copy(
    reader: &mut impl Read,
    cancel: &Cancel,
    mut on: impl FnMut(&[u8], u64) -> Result<()>,
) -> Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        cancel.check()?;
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(done),
            Ok(n) => {
                done += n as u64;
                on(&buffer[..n], done)?;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::failed(format!("reading failed: {e}"))),
        }
    }
}

/// A file error as a sentence that says what to do about it. `verb` is what was being done: "write", "read".
pub fn io_error(path: &Path, verb: &str, e: &io::Error) -> Error {
    let shown = path.display();
    Error::failed(match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!(
            "{shown}: the disk is full: make room and run the same command again; what was fetched is kept"
        ),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!(
                "{shown}: no permission to {verb} here; another cache folder can be named in POLYLENS_CACHE"
            )
        }
        _ => format!("{shown}: cannot {verb}: {e}"),
    })
}

/// Makes a directory and those above it.
pub fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| io_error(path, "write", &e))
}

/// A number of bytes as read by people: "238.2 MB" (powers of 1000, as disks and downloads are sold).
pub fn human_bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 999.95 && unit < 4 {
        value /= 1000.0;
        unit += 1;
    }
    let name = ["B", "kB", "MB", "GB", "TB"][unit];
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (238_203_400, "238.2 MB")] {
            assert_eq!(human_bytes(bytes), text);
        }
        assert_eq!(human_bytes(14_500_000_000), "14.5 GB");
        assert_eq!(human_bytes(999_960), "1.0 MB");
    }

    #[test]
    fn hashes_stop_at_their_length_and_notice_a_short_file() {
        let cancel = Cancel::new();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(&b"abcdef"[..], 3, &cancel, |_| ()).unwrap().as_deref(), Some(abc));
        assert_eq!(sha256_of(&b"ab"[..], 3, &cancel, |_| ()).unwrap(), None);
        cancel.cancel();
        assert_eq!(sha256_of(&b"abc"[..], 3, &cancel, |_| ()).unwrap_err(), Error::Interrupted);
    }

    #[test]
    fn progress_is_thinned_but_never_loses_a_stage_or_its_end() {
        let config = HubConfig::under("/nowhere");
        let cancel = Cancel::new();
        let mut seen = Vec::new();
        let mut on = |stage: &str, done: u64, total: u64, _: &str| seen.push((stage.to_owned(), done, total));
        let mut job = Job::new(&config, &mut on, &cancel);
        for done in 0..=1000 {
            job.bytes("a", done, 1000);
        }
        job.bytes("b", 0, 10);
        assert_eq!(seen.first(), Some(&("a".to_owned(), 0, 1000)));
        assert!(seen.contains(&("a".to_owned(), 1000, 1000)));
        assert_eq!(seen.last(), Some(&("b".to_owned(), 0, 10)));
        assert!(seen.len() < 100, "{}", seen.len());
    }

    #[test]
    fn file_errors_say_what_to_do() {
        let at = Path::new("/c/x");
        assert!(io_error(at, "write", &ErrorKind::StorageFull.into()).to_string().contains("disk is full"));
        assert!(
            io_error(at, "write", &ErrorKind::PermissionDenied.into()).to_string().contains("POLYLENS_CACHE")
        );
        assert!(
            io_error(at, "read", &ErrorKind::NotFound.into()).to_string().starts_with("/c/x: cannot read")
        );
    }
}
