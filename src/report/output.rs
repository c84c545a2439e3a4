//! Result files: the format by extension, the path checked before anything is computed, and the file
//! complete or not there at all (written beside its place and renamed).

use crate::error::{Context, Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv,
    Markdown,
    Svg,
    Png,
}

impl Format {
    /// The format that a path's extension names, in any case.
    ///
    /// # Errors
    /// [`Error::Usage`] that lists the known extensions.
    pub fn from_path(path: &Path) -> Result<Self> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        Ok(match extension.as_deref() {
            Some("json") => Self::Json,
            Some("csv") => Self::Csv,
            Some("md") => Self::Markdown,
            Some("svg") => Self::Svg,
            Some("png") => Self::Png,
            other => {
                let what = match other {
                    Some(e) => format!("the extension .{e} names no format that polylens writes"),
                    None => "its name has no extension to choose the format by".into(),
                };
                return Err(Error::Usage(format!(
                    "--out {}: {what}; use one of .json .csv .md .svg .png",
                    path.display()
                )));
            }
        })
    }
}

/// A place for a result, known to be writable.
#[derive(Debug)]
pub struct OutFile {
    path: PathBuf,
    format: Format,
    temporary: tempfile::NamedTempFile,
}

impl OutFile {
    /// Checks the extension and that the file can be made, by making its temporary neighbour.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown extension, [`Error::Failed`] where nothing can be written.
    pub fn prepare(path: &Path) -> Result<Self> {
        let format = Format::from_path(path)?;
        let shown = path.display();
        if path.is_dir() {
            crate::fail!("--out {shown}: this is a directory; name a file in it");
        }
        let dir = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        if !dir.is_dir() {
            crate::fail!(
                "--out {shown}: there is no directory {}; create it first (mkdir -p {0})",
                dir.display()
            );
        }
        let temporary = tempfile::Builder::new()
            .prefix(".polylens-")
            .suffix(".part")
            .tempfile_in(dir)
            .with_context(|| format!("--out {shown}: cannot write in {}", dir.display()))?;
        Ok(Self { path: path.to_owned(), format, temporary })
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the bytes and moves the file to its place, replacing an older one.
    ///
    /// # Errors
    /// When the disk is full or the place has become unwritable; nothing half-written stays behind.
    pub fn write(mut self, bytes: &[u8]) -> Result<()> {
        let shown = self.path.display().to_string();
        self.temporary.write_all(bytes).with_context(|| format!("cannot write {shown}"))?;
        self.temporary.as_file().sync_all().with_context(|| format!("cannot write {shown}"))?;
        readable_for_all(self.temporary.as_file());
        self.temporary
            .persist(&self.path)
            .map_err(|e| e.error)
            .with_context(|| format!("cannot write {shown}"))?;
        Ok(())
    }
}

/// Temporary files are private (0600); a result gets the permissions that the user's umask gives new files.
#[cfg(unix)]
fn readable_for_all(file: &std::fs::File) {
    use std::os::unix::fs::PermissionsExt;
    // umask can only be read by setting it.
    let mask = unsafe {
        let mask = libc::umask(0o022);
        libc::umask(mask);
        mask
    };
    let mode = 0o666 & !(mask as u32);
    // Without the right to change the mode the file stays private, which loses nothing.
    let _ = file.set_permissions(std::fs::Permissions::from_mode(mode));
}

#[cfg(not(unix))]
fn readable_for_all(_: &std::fs::File) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_extension() {
        assert_eq!(Format::from_path(Path::new("a/b.JSON")).unwrap(), Format::Json);
        assert_eq!(Format::from_path(Path::new("x.tar.md")).unwrap(), Format::Markdown);
        for bad in ["a.pdf", "noext", ".svg"] {
            let e = Format::from_path(Path::new(bad)).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains(".json .csv .md .svg .png"), "{e}");
        }
    }

    #[test]
    fn written_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.json");
        std::fs::write(&path, "old").unwrap();
        drop(OutFile::prepare(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        OutFile::prepare(&path).unwrap().write(b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn unwritable_is_said_before() {
        let dir = tempfile::tempdir().unwrap();
        let e = OutFile::prepare(&dir.path().join("no/such/r.csv")).unwrap_err();
        assert_eq!(e.exit_code(), 1);
        assert!(e.to_string().contains("no/such") && e.to_string().contains("create it"), "{e}");
        let sub = dir.path().join("d.svg");
        std::fs::create_dir(&sub).unwrap();
        assert!(OutFile::prepare(&sub).unwrap_err().to_string().contains("is a directory"));
    }
}
