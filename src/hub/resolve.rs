//! From a reference to a local path; what is cached, what is missing, and removing it.

use super::catalogue::{self, Entry, Form};
use super::job::{Job, Progress, human_bytes};
use super::pull::directory_bytes;
use super::reference::{self, Reference, RepoRef};
use super::remote::{self, Purpose};
use super::store::{delete, tree_bytes};
use super::{Hub, lock};
use crate::engine::control::Cancel;
use crate::error::{Error, Result};
use crate::fail;
use serde::Serialize;
use std::fs;
use std::path::PathBuf;

/// A model or adapter on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// A GGUF file, or a directory in the Hugging Face form.
    pub path: PathBuf,
    /// The name to show: catalogue name, ORG/REPO, the file's stem or the directory's name.
    pub name: String,
    pub kind: Form,
}

/// Whether a model is on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    Cached {
        path: PathBuf,
        bytes: u64,
    },
    Missing {
        /// Bytes that a fetch would bring; `None` for a repository that only the hub knows.
        bytes: Option<u64>,
        /// `bytes` is rounded.
        approximate: bool,
        /// Where it would come from, for a person.
        source: String,
        /// Bytes of a broken-off pull that would be used.
        partial: u64,
    },
}

impl Status {
    /// One line for a person: "in the cache, 253.1 MB", "not fetched: 238.2 MB from Python packages with pip".
    pub fn sentence(&self) -> String {
        match self {
            Self::Cached { bytes, .. } => format!("in the cache, {}", human_bytes(*bytes)),
            Self::Missing { bytes, approximate, source, partial } => {
                let about = if *approximate { "about " } else { "" };
                let size = bytes.map_or_else(String::new, |b| format!("{about}{} ", human_bytes(b)));
                let kept = match partial {
                    0 => String::new(),
                    bytes => format!("; {} of it are there", human_bytes(*bytes)),
                };
                format!("not fetched: {size}from {source}{kept}")
            }
        }
    }
}

/// One line of the list of models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    pub name: String,
    /// `None` for a model in the hub's cache that the catalogue does not know.
    pub entry: Option<&'static Entry>,
    #[serde(flatten)]
    pub status: Status,
}

/// What was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
}

impl Hub {
    /// A local path for a catalogue name, `ORG/REPO[@REVISION]`, a directory or a .gguf file. What is not here is
    /// fetched if `may_fetch`; else the error says how to fetch it and how large it is ([`Hub::status`] says the same
    /// as data).
    pub fn resolve(
        &self,
        text: &str,
        progress: Progress,
        cancel: &Cancel,
        may_fetch: bool,
    ) -> Result<Resolved> {
        let reference = reference::parse(text)?;
        if let Reference::Path(path) = &reference {
            let kind = reference::local_model(path)?;
            return Ok(Resolved { path: path.clone(), name: reference::local_name(path), kind });
        }
        let (name, kind) = match &reference {
            Reference::Catalogue(entry) => (entry.name.clone(), entry.form),
            _ => (text.trim().to_owned(), Form::Directory),
        };
        let status = self.status_of(&reference);
        if let Status::Cached { path, .. } = status {
            return Ok(Resolved { path, name, kind });
        }
        if !may_fetch {
            let what = status.sentence();
            fail!("{name} is {what}: `polylens models pull {name}` fetches it");
        }
        let mut job = Job::new(&self.config, progress, cancel);
        match &reference {
            Reference::Catalogue(entry) => self.pull_entry_in(entry, None, &mut job).map(Into::into),
            Reference::Repository(repo) => {
                self.pull_repository(repo, Purpose::Model, None, &mut job).map(Into::into)
            }
            Reference::Path(path) => fail!("{}: there is no such file or directory", path.display()),
        }
    }

    /// A local directory for an adapter: DIR or `ORG/REPO[@REVISION]`. See [`Hub::resolve`].
    pub fn resolve_adapter(
        &self,
        text: &str,
        progress: Progress,
        cancel: &Cancel,
        may_fetch: bool,
    ) -> Result<Resolved> {
        let path = reference::expand_home(text.trim());
        if path.exists() {
            reference::local_adapter(&path)?;
            return Ok(Resolved { name: reference::local_name(&path), path, kind: Form::Directory });
        }
        let Some(repo) = reference::parse_repository(text.trim()) else {
            return Err(Error::usage(format!(
                "{text}: there is no such adapter directory, nor is it ORG/REPO of the hub"
            )));
        };
        if let Some(path) = remote::cached_snapshot(&self.config.hub_cache, &repo, Purpose::Adapter) {
            return Ok(Resolved { path, name: repo.shown(), kind: Form::Directory });
        }
        if !may_fetch {
            fail!("{text}: there is no such directory, and the adapter is not in the hub's cache");
        }
        let mut job = Job::new(&self.config, progress, cancel);
        self.pull_repository(&repo, Purpose::Adapter, None, &mut job).map(Into::into)
    }

    /// Whether the model is on this machine, and if not, what fetching it means. Asks nobody.
    ///
    /// Errors: the reference is none, or names a local file or directory that is no model.
    pub fn status(&self, text: &str) -> Result<Status> {
        let reference = reference::parse(text)?;
        if let Reference::Path(path) = &reference {
            reference::local_model(path)?;
        }
        Ok(self.status_of(&reference))
    }

    fn status_of(&self, reference: &Reference) -> Status {
        match reference {
            Reference::Path(path) => {
                let bytes = if path.is_dir() { directory_bytes(path) } else { tree_bytes(path) };
                Status::Cached { path: path.clone(), bytes }
            }
            Reference::Repository(repo) => self.repository_status(repo, None),
            Reference::Catalogue(entry) => match entry.repository() {
                Some((repo, revision)) => self.repository_status(&RepoRef::new(repo, revision), Some(entry)),
                None => match self.store.installed(entry) {
                    Some(path) => Status::Cached { bytes: tree_bytes(&path), path },
                    None => Status::Missing {
                        bytes: Some(entry.download),
                        approximate: entry.approximate,
                        source: entry.sources.first().map_or_else(String::new, |s| s.label()),
                        partial: self.store.partial_bytes(&entry.name),
                    },
                },
            },
        }
    }

    fn repository_status(&self, repo: &RepoRef, entry: Option<&Entry>) -> Status {
        let found = remote::cached_snapshot(&self.config.hub_cache, repo, Purpose::Model);
        if let Some(path) = found {
            return Status::Cached { bytes: directory_bytes(&path), path };
        }
        Status::Missing {
            bytes: entry.map(|e| e.download),
            approximate: entry.is_none_or(|e| e.approximate),
            source: format!("hub {}", repo.shown()),
            partial: tree_bytes(&remote::repo_folder(&self.config.hub_cache, repo).join("blobs")),
        }
    }

    /// The catalogue with what is cached, then complete models in the hub's cache that it does not know.
    pub fn list(&self) -> Vec<Listed> {
        let known = catalogue::entries().iter().map(|entry| Listed {
            name: entry.name.clone(),
            entry: Some(entry),
            status: self.status_of(&Reference::Catalogue(entry)),
        });
        let mut all: Vec<Listed> = known.collect();
        let folders = fs::read_dir(&self.config.hub_cache).into_iter().flatten().flatten();
        let mut others: Vec<String> = folders
            .filter_map(|f| Some(f.file_name().to_str()?.strip_prefix("models--")?.replacen("--", "/", 1)))
            .filter(|id| reference::is_repository(id))
            .filter(|id| !catalogue::entries().iter().any(|e| e.repository().is_some_and(|(r, _)| r == id)))
            .collect();
        others.sort();
        for id in others {
            let status = self.repository_status(&RepoRef::new(&id, None), None);
            if matches!(status, Status::Cached { .. }) {
                all.push(Listed { name: id, entry: None, status });
            }
        }
        all
    }

    /// The folder that [`Hub::remove`] would delete for `text`, and its bytes.
    ///
    /// Errors: not the name of a cached model; a path on disk is never removed.
    pub fn removable(&self, text: &str) -> Result<Removed> {
        let reference = match reference::parse(text) {
            // A folder of a catalogue of another version of this program.
            Err(_) if reference::is_safe_relative(text) && self.store.model_dir(text).is_dir() => None,
            other => Some(other?),
        };
        let (name, path) = match &reference {
            None => (text.to_owned(), self.store.model_dir(text)),
            Some(Reference::Path(path)) => {
                let shown = path.display();
                return Err(Error::usage(format!(
                    "{shown} is a file of yours: only cached models are removed"
                )));
            }
            Some(Reference::Repository(repo)) => {
                (repo.id.clone(), remote::repo_folder(&self.config.hub_cache, repo))
            }
            Some(Reference::Catalogue(entry)) => match entry.repository() {
                Some((repo, _)) => {
                    let folder = remote::repo_folder(&self.config.hub_cache, &RepoRef::new(repo, None));
                    (entry.name.clone(), folder)
                }
                None => (entry.name.clone(), self.store.model_dir(&entry.name)),
            },
        };
        let partial = self.store.partial_dir(&name);
        if fs::symlink_metadata(&path).is_err() && fs::symlink_metadata(&partial).is_err() {
            fail!("{name} is not in the cache ({}): there is nothing to remove", path.display());
        }
        let bytes =
            tree_bytes(&path) + if path.starts_with(&self.config.cache) { tree_bytes(&partial) } else { 0 };
        Ok(Removed { name, path, bytes })
    }

    /// Deletes a model from the cache that it lies in, and what a broken-off pull of it left.
    pub fn remove(&self, text: &str, progress: Progress, cancel: &Cancel) -> Result<Removed> {
        let removed = self.removable(text)?;
        let own = removed.path == self.store.model_dir(&removed.name);
        let lock_path = if own {
            self.store.lock_path(&removed.name)
        } else {
            let folder = removed.path.file_name().unwrap_or_default();
            self.config.hub_cache.join(".locks").join(folder).join("polylens.lock")
        };
        let mut job = Job::new(&self.config, progress, cancel);
        let _lock = lock::acquire(&lock_path, &removed.name, &mut job)?;
        if own {
            self.store.remove(&removed.name)?;
        } else {
            delete(&removed.path)?;
        }
        Ok(removed)
    }
}
