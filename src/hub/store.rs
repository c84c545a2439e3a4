//! polylens's own cache: `models/NAME/` holds what is complete, `partial/NAME/` what is under way.

use super::catalogue::Entry;
use super::job::{io_error, make_dir};
use super::reference::is_safe_relative;
use crate::error::{Context, Error, Result};
use crate::fail;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The name of the file that says where a cached model came from.
pub const MANIFEST: &str = "polylens.json";

/// What was fetched, when and from where; lies beside the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: String,
    pub name: String,
    pub title: String,
    pub licence: String,
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
    /// "pip" or "hub".
    pub source: String,
    /// Seconds since 1970.
    pub fetched_at: u64,
}

/// The cache folder at `root`.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// A cache at `root`; nothing is made until something is fetched.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the complete model lies or will lie.
    pub fn model_dir(&self, name: &str) -> PathBuf {
        self.root.join("models").join(name)
    }

    /// What a broken-off pull leaves to be gone on with.
    pub fn partial_dir(&self, name: &str) -> PathBuf {
        self.root.join("partial").join(name)
    }

    /// The file whose lock says who fetches `name`.
    pub fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(format!("{name}.lock"))
    }

    /// The model's file, if it is there in full length. Its hash was checked when it was put there.
    pub fn installed(&self, entry: &Entry) -> Option<PathBuf> {
        let file = entry.file.as_ref()?;
        let path = self.model_dir(&entry.name).join(&file.name);
        (fs::metadata(&path).ok()?.len() == file.bytes).then_some(path)
    }

    /// Where the model's file came from, if it is there.
    pub fn manifest(&self, name: &str) -> Option<Manifest> {
        let text = fs::read_to_string(self.model_dir(name).join(MANIFEST)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Bytes that a broken-off pull has left.
    pub fn partial_bytes(&self, name: &str) -> u64 {
        tree_bytes(&self.partial_dir(name))
    }

    /// Writes the manifest into `files` and moves that folder into place as one step; an older one is replaced.
    pub fn install(&self, entry: &Entry, files: &Path, source: &str) -> Result<PathBuf> {
        let spec =
            entry.file.as_ref().ok_or_else(|| Error::failed(format!("{}: not a single file", entry.name)))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let manifest = Manifest {
            schema: "polylens.model/1".to_owned(),
            name: entry.name.clone(),
            title: entry.title.clone(),
            licence: entry.licence.clone(),
            file: spec.name.clone(),
            bytes: spec.bytes,
            sha256: spec.sha256.clone(),
            source: source.to_owned(),
            fetched_at: now,
        };
        let text = serde_json::to_string_pretty(&manifest).context("the manifest")?;
        let manifest_path = files.join(MANIFEST);
        fs::write(&manifest_path, text).map_err(|e| io_error(&manifest_path, "write", &e))?;
        let whole = files.join(&spec.name);
        // The name must not appear before the bytes are safe, or a power cut leaves a model of zeros.
        let synced = fs::File::open(&whole).and_then(|f| f.sync_all());
        synced.map_err(|e| io_error(&whole, "write", &e))?;
        let target = self.model_dir(&entry.name);
        make_dir(&self.root.join("models"))?;
        if fs::symlink_metadata(&target).is_ok() {
            let old = self.partial_dir(&entry.name).join("replaced");
            delete(&old)?;
            fs::rename(&target, &old).map_err(|e| io_error(&target, "replace", &e))?;
        }
        fs::rename(files, &target).map_err(|e| io_error(&target, "write", &e))?;
        delete(&self.partial_dir(&entry.name))?;
        Ok(target.join(&spec.name))
    }

    /// Deletes `models/NAME` and `partial/NAME`; returns the bytes freed. A link is removed, never followed.
    ///
    /// Errors: the name is not a plain folder name, or nothing of that name is there.
    pub fn remove(&self, name: &str) -> Result<u64> {
        if !is_safe_relative(name) || name.contains('/') {
            return Err(Error::usage(format!("\"{name}\" is not the name of a cached model")));
        }
        let paths = [self.model_dir(name), self.partial_dir(name)];
        if paths.iter().all(|p| fs::symlink_metadata(p).is_err()) {
            fail!("{name} is not in the cache ({}): there is nothing to remove", self.root.display());
        }
        let bytes = paths.iter().map(|p| tree_bytes(p)).sum();
        paths.iter().try_for_each(|p| delete(p))?;
        Ok(bytes)
    }
}

/// Deletes a file, a link (not what it points to) or a directory with all that is in it; nothing there is fine.
pub fn delete(path: &Path) -> Result<()> {
    let Ok(kind) = fs::symlink_metadata(path) else { return Ok(()) };
    let done = if kind.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    done.map_err(|e| io_error(path, "delete", &e))
}

/// Bytes of all plain files below `path`; links count nothing.
pub fn tree_bytes(path: &Path) -> u64 {
    let Ok(kind) = fs::symlink_metadata(path) else { return 0 };
    if kind.is_file() {
        return kind.len();
    }
    if !kind.is_dir() {
        return 0;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|e| tree_bytes(&e.path())).sum()
}

/// Fails if fewer than `need` bytes are free where `dir` is or will be.
pub fn check_space(dir: &Path, need: u64) -> Result<()> {
    match free_bytes(dir) {
        Some(free) => enough(dir, need, free),
        None => Ok(()),
    }
}

fn enough(dir: &Path, need: u64, free: u64) -> Result<()> {
    if free >= need {
        return Ok(());
    }
    let (need, free) = (super::job::human_bytes(need), super::job::human_bytes(free));
    fail!(
        "{}: {need} are needed here and {free} are free: make room, or name another cache folder in POLYLENS_CACHE",
        dir.display()
    )
}

/// Free bytes on the file system of the nearest directory above that exists; `None` where that cannot be asked.
#[cfg(unix)]
pub fn free_bytes(dir: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let there = dir.ancestors().find(|p| p.is_dir())?;
    let path = std::ffi::CString::new(there.as_os_str().as_bytes()).ok()?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends in NUL and `stat` is as large as statvfs writes; it is read only after success.
    let stat = unsafe {
        if libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) != 0 {
            return None;
        }
        stat.assume_init()
    };
    // The fields' widths differ between systems.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    Some((stat.f_bavail as u64).saturating_mul(stat.f_frsize as u64))
}

/// Free bytes cannot be asked for here.
#[cfg(not(unix))]
pub fn free_bytes(_dir: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::catalogue;

    #[test]
    fn remove_stays_inside_the_cache() {
        let tmp = tempfile::tempdir().unwrap();
        let outside = tmp.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("precious"), "x").unwrap();
        let store = Store::new(tmp.path().join("cache"));
        fs::create_dir_all(store.model_dir("a").join("deep")).unwrap();
        fs::write(store.model_dir("a").join("deep/f"), "12345").unwrap();
        for name in ["../outside", "..", ".", "", "/etc", "a/../../outside", "a\\b"] {
            assert_eq!(store.remove(name).unwrap_err().exit_code(), 2, "{name}");
        }
        assert!(store.remove("b").unwrap_err().to_string().contains("nothing to remove"));
        assert_eq!(store.remove("a").unwrap(), 5);
        assert!(!store.model_dir("a").exists());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&outside, store.model_dir("linked")).unwrap();
            fs::create_dir_all(store.partial_dir("linked")).unwrap();
            std::os::unix::fs::symlink(&outside, store.partial_dir("linked").join("l")).unwrap();
            assert_eq!(store.remove("linked").unwrap(), 0);
            assert!(fs::symlink_metadata(store.model_dir("linked")).is_err());
        }
        assert!(outside.join("precious").exists());
    }

    #[test]
    fn installing_replaces_what_was_there_and_clears_the_partial_folder() {
        let tmp = tempfile::tempdir().unwrap();
        let store = Store::new(tmp.path());
        let mut entry = catalogue::find("smollm2-135m").unwrap().clone();
        let spec = entry.file.as_mut().unwrap();
        spec.bytes = 3;
        let name = spec.name.clone();
        fs::create_dir_all(store.model_dir(&entry.name)).unwrap();
        fs::write(store.model_dir(&entry.name).join(&name), "older and longer").unwrap();
        assert_eq!(store.installed(&entry), None, "a file of another length is not the model");
        let files = store.partial_dir(&entry.name).join("files");
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join(&name), "new").unwrap();
        assert_eq!(store.partial_bytes(&entry.name), 3);
        let path = store.install(&entry, &files, "pip").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(store.installed(&entry), Some(path));
        assert_eq!(store.manifest(&entry.name).unwrap().source, "pip");
        assert!(!store.partial_dir(&entry.name).exists());
    }

    #[test]
    fn too_little_space_is_said_with_both_numbers() {
        let dir = Path::new("/c");
        assert!(enough(dir, 10, 10).is_ok());
        let text = enough(dir, 238_200_000, 12_000_000).unwrap_err().to_string();
        assert_eq!(
            text,
            "/c: 238.2 MB are needed here and 12.0 MB are free: make room, or name another cache folder in \
             POLYLENS_CACHE"
        );
        assert!(check_space(Path::new("/no/such/dir"), u64::MAX).is_err() || cfg!(not(unix)));
        assert!(check_space(&std::env::temp_dir(), 1).is_ok());
    }
}
