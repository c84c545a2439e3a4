//! Files that are whole or not there: written under another name, synced, renamed, and the directory synced.

use crate::error::{Context, Error, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What begins so is unfinished and is removed when the run goes on.
pub const UNFINISHED: &str = ".tmp-";

/// A file's name and its bytes.
pub type Named = (&'static str, Vec<u8>);

/// Writes one file of a directory.
///
/// # Errors
/// Names the file; what was there before is untouched then.
pub fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (hidden, path) = (dir.join(format!("{UNFINISHED}{name}")), dir.join(name));
    let written =
        write_synced(&hidden, bytes).and_then(|()| fs::rename(&hidden, &path)).and_then(|()| sync(dir));
    written.map_err(|e| {
        let _ = fs::remove_file(&hidden);
        Error::Failed(format!("{} cannot be written: {e}", path.display()))
    })
}

/// Writes a whole sub-directory; one of the same name is replaced.
///
/// # Errors
/// Names the directory; what was there before is untouched then.
pub fn write_dir(parent: &Path, name: &str, files: &[Named]) -> Result<()> {
    let (hidden, path) = (parent.join(format!("{UNFINISHED}{name}")), parent.join(name));
    let fill = || -> io::Result<()> {
        remove_tree(&hidden)?;
        fs::create_dir(&hidden)?;
        for (file, bytes) in files {
            write_synced(&hidden.join(file), bytes)?;
        }
        sync(&hidden)?;
        if path.exists() {
            set_aside(parent, name)?;
        }
        fs::rename(&hidden, &path)?;
        sync(parent)
    };
    fill().map_err(|e| {
        let _ = fs::remove_dir_all(&hidden);
        Error::Failed(format!("{} cannot be written: {e}", path.display()))
    })
}

/// Removes a sub-directory so that no part of it is ever seen under its name.
///
/// # Errors
/// Names the directory.
pub fn remove_dir(parent: &Path, name: &str) -> Result<()> {
    set_aside(parent, name).with_context(|| format!("{} cannot be removed", parent.join(name).display()))
}

fn set_aside(parent: &Path, name: &str) -> io::Result<()> {
    let aside = parent.join(format!("{UNFINISHED}old-{name}"));
    remove_tree(&aside)?;
    fs::rename(parent.join(name), &aside)?;
    fs::remove_dir_all(&aside)
}

/// Removes what interrupted writes have left.
///
/// # Errors
/// Where something cannot be removed.
pub fn tidy(dir: &Path) -> Result<()> {
    for path in entries(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(UNFINISHED) {
            let shown = path.display();
            let removed = if path.is_dir() { remove_tree(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("{shown}, left by an interrupted write, cannot be removed"))?;
        }
    }
    Ok(())
}

/// The paths in a directory, sorted.
///
/// # Errors
/// Where it cannot be read.
pub fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let shown = dir.display();
    let read = fs::read_dir(dir).with_context(|| format!("{shown} cannot be read"))?;
    let mut paths = Vec::new();
    for entry in read {
        paths.push(entry.with_context(|| format!("{shown} cannot be read"))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// A rename is on the disk once its directory is. Elsewhere than on Unix a directory cannot be opened for this.
fn sync(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_replace_and_leave_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let names = || -> Vec<String> {
            let name = |p: PathBuf| p.file_name().unwrap().to_str().unwrap().to_owned();
            entries(dir.path()).unwrap().into_iter().map(name).collect()
        };
        write(dir.path(), "a", b"1").unwrap();
        write(dir.path(), "a", b"2").unwrap();
        write_dir(dir.path(), "d", &[("x", b"1".to_vec())]).unwrap();
        write_dir(dir.path(), "d", &[("y", b"2".to_vec())]).unwrap();
        assert_eq!(names(), ["a", "d"]);
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"2");
        assert!(!dir.path().join("d/x").exists() && dir.path().join("d/y").exists());
        // Leftovers of a kill, and a write over them.
        fs::create_dir(dir.path().join(".tmp-d")).unwrap();
        fs::write(dir.path().join(".tmp-d/part"), "x").unwrap();
        fs::write(dir.path().join(".tmp-a"), "x").unwrap();
        write_dir(dir.path(), "d", &[("z", b"3".to_vec())]).unwrap();
        assert!(!dir.path().join("d/part").exists());
        fs::create_dir(dir.path().join(".tmp-old-d")).unwrap();
        tidy(dir.path()).unwrap();
        assert_eq!(names(), ["a", "d"]);
        remove_dir(dir.path(), "d").unwrap();
        assert_eq!(names(), ["a"]);
        let e = write(&dir.path().join("none"), "a", b"1").unwrap_err().to_string();
        assert!(e.contains("none") && e.contains("cannot be written"), "{e}");
        assert_eq!(sha256(b"abc")[..8], *"ba7816bf");
    }
}
