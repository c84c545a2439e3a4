//! One file from the hub to disk: resumed where an earlier try ended, hashed on the way, never taken unchecked.

use super::http::{Client, FileHead};
use super::job::{Job, hex, io_error};
use super::reference::RepoRef;
use super::store::delete;
use crate::error::{Error, Result};
use crate::fail;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

/// Connections that may break in a row without one byte of progress.
const TRIES: u32 = 4;

/// A file to fetch.
pub struct Fetch<'a> {
    pub client: &'a Client,
    pub repo: &'a RepoRef,
    pub file: &'a str,
    pub head: &'a FileHead,
    /// What the contents must hash to; `None` where neither catalogue nor hub knows (small text files).
    pub sha256: Option<&'a str>,
    pub stage: &'a str,
    /// Bytes of the whole job that are done before this file, and all of them.
    pub before: u64,
    pub total: u64,
}

impl Fetch<'_> {
    /// Fetches into `partial`, going on with what is there. Afterwards `partial` holds exactly the file.
    ///
    /// A wrong checksum deletes the file and fetches it once more.
    pub fn run(&self, partial: &Path, job: &mut Job) -> Result<()> {
        for attempt in 0..2 {
            let found = self.complete(partial, job)?;
            let Some(wanted) = self.sha256.filter(|w| *w != found) else { return Ok(()) };
            delete(partial)?;
            if attempt == 1 {
                fail!(
                    "{} of {}: the checksum is wrong twice (sha256 {found}; it must be {wanted}); the file was deleted",
                    self.file,
                    self.repo.shown()
                );
            }
            job.notes.push(format!("{} came damaged and was fetched again", self.file));
        }
        Ok(())
    }

    /// Brings `partial` to its full length and returns its sha256.
    fn complete(&self, partial: &Path, job: &mut Job) -> Result<String> {
        let write_error = |e| io_error(partial, "write", &e);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(partial)
            .map_err(write_error)?;
        let (mut hash, mut have) = self.what_is_there(&mut file, partial, job)?;
        job.reused += have;
        let mut broken = 0;
        while have < self.head.size {
            job.bytes(self.stage, self.before + have, self.total);
            let mut stream = self.client.bytes(self.repo, self.file, have, job.cancel)?;
            if stream.start != have {
                job.reused = job.reused.saturating_sub(have);
                (hash, have) = (Sha256::new(), 0);
                file.set_len(0).map_err(write_error)?;
                file.rewind().map_err(write_error)?;
            }
            let began = have;
            let why = loop {
                match stream.next(job.cancel)? {
                    Ok(Some(chunk)) => {
                        have += chunk.len() as u64;
                        if have > self.head.size {
                            delete(partial)?;
                            fail!(
                                "{}: the server sends more than the {} bytes that it named",
                                self.file,
                                self.head.size
                            );
                        }
                        hash.update(&chunk);
                        file.write_all(&chunk).map_err(write_error)?;
                        job.fetched += chunk.len() as u64;
                        job.bytes(self.stage, self.before + have, self.total);
                    }
                    Ok(None) => break "the connection ended early".to_owned(),
                    Err(why) => break why,
                }
            };
            broken = if have > began { 0 } else { broken + 1 };
            if have < self.head.size {
                self.pause(broken, have, &why, job)?;
            }
        }
        Ok(hex(hash))
    }

    /// Hash and length of what an earlier try left; a file that is too long is emptied.
    fn what_is_there(&self, file: &mut File, partial: &Path, job: &mut Job) -> Result<(Sha256, u64)> {
        let mut hash = Sha256::new();
        let length = file.metadata().map_err(|e| io_error(partial, "read", &e))?.len();
        if length > self.head.size {
            file.set_len(0).map_err(|e| io_error(partial, "write", &e))?;
            return Ok((hash, 0));
        }
        let cancel = job.cancel;
        let have = super::job::copy(file, cancel, |chunk, _| {
            hash.update(chunk);
            Ok(())
        })
        .map_err(|e| e.context(partial.display()))?;
        file.seek(SeekFrom::Start(have)).map_err(|e| io_error(partial, "read", &e))?;
        if have > 0 && have < self.head.size {
            job.notes.push(format!("{} goes on after {}", self.file, super::job::human_bytes(have)));
        }
        Ok((hash, have))
    }

    /// Waits a little after a broken connection, or gives up.
    fn pause(&self, broken: u32, have: u64, why: &str, job: &mut Job) -> Result<()> {
        if broken >= TRIES {
            return Err(Error::failed(format!(
                "{} of {}: the connection broke after {have} of {} bytes ({why}); run the same command again to go on \
                 from there",
                self.file,
                self.repo.shown(),
                self.head.size
            )));
        }
        for _ in 0..(1 << broken) {
            job.check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}
