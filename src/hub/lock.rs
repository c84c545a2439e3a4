//! One pull of a model at a time, over all processes.
//!
//! The lock is the operating system's own lock on a file, so that it ends with the process that holds it: nothing
//! is left behind by a crash or a kill. The file's text (a process id) is only there to be shown.

use super::job::{Job, io_error, make_dir};
use crate::error::Result;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

/// Held while a model is fetched or removed; dropping it lets the next one in.
#[derive(Debug)]
pub struct PullLock {
    _file: File,
    /// Somebody else held the lock first, so that what was missing may be there now.
    pub waited: bool,
}

/// Takes the lock at `path`, waiting while another process has it; the wait is reported as a stage.
///
/// Errors: the file cannot be made; `Interrupted` when cancelled.
pub fn acquire(path: &Path, name: &str, job: &mut Job) -> Result<PullLock> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|e| io_error(path, "write", &e))?;
    let mut waited = false;
    loop {
        job.check()?;
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                waited = true;
                job.bytes(&format!("waiting for {}, which is fetching {name}", holder(path)), 0, 0);
                std::thread::sleep(Duration::from_millis(100));
            }
            // Some network file systems have no locks. Two pulls at once then disturb each other, which the
            // checksums catch: better than no pull at all.
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => break,
            Err(TryLockError::Error(e)) => return Err(io_error(path, "lock", &e)),
        }
    }
    let _ = file.set_len(0);
    let _ = file.rewind();
    let _ = write!(file, "{}", std::process::id());
    Ok(PullLock { _file: file, waited })
}

fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|f| f.take(16).read_to_string(&mut text));
    match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::control::Cancel;
    use crate::error::Error;
    use crate::hub::HubConfig;

    #[test]
    fn the_second_one_waits_until_the_first_is_done_or_gives_up_on_cancel() {
        let tmp = tempfile::tempdir().unwrap();
        let config = HubConfig::under(tmp.path());
        let path = tmp.path().join("locks/m.lock");
        let cancel = Cancel::new();
        let mut quiet = |_: &str, _: u64, _: u64, _: &str| ();
        let first = acquire(&path, "m", &mut Job::new(&config, &mut quiet, &cancel)).unwrap();
        assert!(!first.waited);

        let mut said = String::new();
        let stop = cancel.clone();
        let mut on = |stage: &str, _: u64, _: u64, _: &str| {
            said = stage.to_owned();
            stop.cancel();
        };
        let second = acquire(&path, "m", &mut Job::new(&config, &mut on, &cancel));
        assert_eq!(second.unwrap_err(), Error::Interrupted);
        assert_eq!(said, format!("waiting for process {}, which is fetching m", std::process::id()));

        let cancel = Cancel::new();
        let mut first = Some(first);
        let mut on = |_: &str, _: u64, _: u64, _: &str| drop(first.take());
        assert!(acquire(&path, "m", &mut Job::new(&config, &mut on, &cancel)).unwrap().waited);
    }

    #[test]
    fn what_a_dead_process_left_does_not_lock() {
        let tmp = tempfile::tempdir().unwrap();
        let config = HubConfig::under(tmp.path());
        let path = tmp.path().join("m.lock");
        std::fs::write(&path, "4194999").unwrap();
        let cancel = Cancel::new();
        let mut quiet = |_: &str, _: u64, _: u64, _: &str| ();
        let lock = acquire(&path, "m", &mut Job::new(&config, &mut quiet, &cancel)).unwrap();
        assert!(!lock.waited);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), std::process::id().to_string());
    }
}
