//! What the app asks of the world outside, done on threads of their own and answered by messages.

use crate::app::Msg;
use crate::app::model::{CatalogueEntry, Found};
use crate::app::text::bytes;
use crate::hub::{self, Hub};
use crate::train::log::{LogFollower, Update};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where answers go.
pub type Post = Arc<dyn Fn(Msg) + Send + Sync>;

/// How often a followed log is looked at.
const POLL: Duration = Duration::from_millis(500);
/// Completions offered at most.
const MOST: usize = 200;

/// Runs `work` on a thread and posts its answer.
fn spawn(post: &Post, work: impl FnOnce() -> Msg + Send + 'static) {
    let post = post.clone();
    std::thread::spawn(move || post(work()));
}

/// Looks whether a model is on this machine.
pub fn find_model(name: String, post: &Post) {
    spawn(post, move || {
        let found = hub::status(&name).map(|status| match status {
            hub::Status::Cached { .. } => Found::Here,
            hub::Status::Missing { bytes, source, .. } => {
                Found::Fetchable { from: source, bytes: bytes.unwrap_or(0) }
            }
        });
        Msg::ModelFound { name, found: found.map_err(|e| e.to_string()) }
    });
}

/// The catalogue, and what is in the caches.
pub fn list_models(post: &Post) {
    spawn(post, || Msg::Catalogue(Hub::from_env().map(|h| catalogue(&h)).map_err(|e| e.to_string())));
}

fn catalogue(hub: &Hub) -> Vec<CatalogueEntry> {
    let entries = hub.list().into_iter().map(|listed| {
        let cached = matches!(listed.status, hub::Status::Cached { .. });
        let download = match listed.status {
            hub::Status::Cached { .. } => 0,
            hub::Status::Missing { bytes, .. } => bytes.unwrap_or(0),
        };
        let summary = listed.entry.map_or_else(
            || "from the hub's cache".to_owned(),
            |e| format!("{} · {}", e.architecture, e.licence),
        );
        CatalogueEntry { name: listed.name, summary, download, cached }
    });
    entries.collect()
}

/// Paths that begin with what was typed; directories end in a separator.
pub fn complete(typed: String, post: &Post) {
    spawn(post, move || Msg::Completions { candidates: completions(&typed), typed });
}

fn completions(typed: &str) -> Vec<String> {
    let (dir, start) = typed.rsplit_once('/').map_or(("", typed), |(d, s)| (d, s));
    let prefix = if typed.contains('/') { format!("{dir}/") } else { String::new() };
    let place = match (prefix.as_str(), home()) {
        ("", _) => PathBuf::from("."),
        (p, Some(home)) if p.starts_with("~/") => home.join(&p[2..]),
        (p, _) => PathBuf::from(p),
    };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let mut found: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let hidden = name.starts_with('.') && !start.starts_with('.');
            let end = if entry.path().is_dir() { "/" } else { "" };
            (name.starts_with(start) && !hidden).then(|| format!("{prefix}{name}{end}"))
        })
        .take(MOST)
        .collect();
    found.sort();
    found
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

/// A path as typed, with `~/` meant as the shell means it.
pub fn expand(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// Writes a new file; one that is there already is left alone.
pub fn save(path: PathBuf, text: String, post: &Post) {
    spawn(post, move || {
        let path = expand(&path);
        let file = std::fs::File::options().write(true).create_new(true).open(&path);
        let written = file.and_then(|mut f| f.write_all(text.as_bytes()));
        Msg::Saved(match written {
            Ok(()) => Ok(path),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(format!("{} is there already and was left alone: choose another name.", path.display()))
            }
            Err(e) => Err(format!(
                "{} ({}) could not be written: {e}. Choose a directory that you may write to.",
                path.display(),
                bytes(text.len() as u64)
            )),
        })
    });
}

/// A training log being followed; dropping it stops.
pub struct Follow(Arc<AtomicBool>);

impl Follow {
    /// Follows the log at `path` and posts what is new.
    pub fn start(path: PathBuf, post: &Post) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, post) = (stop.clone(), post.clone());
        std::thread::spawn(move || {
            let mut follower = LogFollower::new(expand(&path));
            let mut last_error = None;
            while !stopped.load(Ordering::Relaxed) {
                let updates = follower.poll().map_err(|e| e.to_string());
                let more = updates.as_ref().is_ok_and(
                    |u| matches!(u.last(), Some(Update::Status { read, size, .. }) if read < size),
                );
                // The same failure is told once.
                let error = updates.as_ref().err().cloned();
                let news = updates.as_ref().map_or(error != last_error, |u| !u.is_empty());
                last_error = error;
                if news {
                    post(Msg::Log { path: path.clone(), updates });
                }
                if !more {
                    std::thread::sleep(POLL);
                }
            }
        });
        Self(stop)
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn post() -> (Post, std::sync::mpsc::Receiver<Msg>) {
        let (tx, rx) = channel();
        (Arc::new(move |m| _ = tx.send(m)), rx)
    }

    #[test]
    fn completions_of_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("adapter-one")).unwrap();
        std::fs::write(dir.path().join("adapter.txt"), "").unwrap();
        std::fs::write(dir.path().join(".hidden"), "").unwrap();
        let at = |s: &str| format!("{}/{s}", dir.path().display());
        assert_eq!(completions(&at("adapter-")), [at("adapter-one/")]);
        assert_eq!(completions(&at("")).len(), 2);
        assert!(completions("/no/such/place/x").is_empty());
    }

    #[test]
    fn saving_never_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lens.json");
        let (post, answers) = post();
        save(path.clone(), "one".into(), &post);
        assert_eq!(answers.recv().unwrap(), Msg::Saved(Ok(path.clone())));
        save(path.clone(), "two".into(), &post);
        assert!(matches!(answers.recv().unwrap(), Msg::Saved(Err(m)) if m.contains("left alone")));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
    }
}
