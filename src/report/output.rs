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
    /// A LaTeX table; evaluations only.
    Tex,
    Svg,
    Png,
}

impl Format {
    /// Every format, in the order in which they are named to the user.
    pub const ALL: [Self; 6] = [Self::Json, Self::Csv, Self::Markdown, Self::Tex, Self::Svg, Self::Png];
    /// The formats of every command's result.
    pub const COMMON: [Self; 5] = [Self::Json, Self::Csv, Self::Markdown, Self::Svg, Self::Png];

    /// The file extension, with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => ".json",
            Self::Csv => ".csv",
            Self::Markdown => ".md",
            Self::Tex => ".tex",
            Self::Svg => ".svg",
            Self::Png => ".png",
        }
    }

    /// The format that a path's extension names, in any case, if it is one of `formats`.
    ///
    /// # Errors
    /// [`Error::Usage`] that lists the extensions of `formats`.
    pub fn from_path(path: &Path, formats: &[Self]) -> Result<Self> {
        let extension = path.extension().map(|e| format!(".{}", e.to_string_lossy().to_lowercase()));
        let named = Self::ALL.into_iter().find(|f| extension.as_deref() == Some(f.extension()));
        let what = match (named, extension) {
            (Some(format), _) if formats.contains(&format) => return Ok(format),
            (Some(format), _) => format!("this command's result has no {} form", format.extension()),
            (None, Some(e)) => format!("the extension {e} names no format that polylens writes"),
            (None, None) => "its name has no extension to choose the format by".into(),
        };
        let list: Vec<&str> = formats.iter().map(|f| f.extension()).collect();
        Err(Error::Usage(format!("--out {}: {what}; use one of {}", path.display(), list.join(" "))))
    }
}

/// A place for a file, known to be writable.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    temporary: tempfile::NamedTempFile,
}

impl Place {
    /// Checks that the file can be made, by making its temporary neighbour.
    ///
    /// # Errors
    /// [`Error::Failed`] where nothing can be written.
    pub fn prepare(path: &Path) -> Result<Self> {
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
        let temporary =
            temporary(dir).with_context(|| format!("--out {shown}: cannot write in {}", dir.display()))?;
        Ok(Self { path: path.to_owned(), temporary })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the bytes and moves the file to its place, replacing an older one.
    ///
    /// # Errors
    /// When the disk is full or the place has become unwritable; nothing half-written stays behind.
    pub fn write(self, bytes: &[u8]) -> Result<()> {
        persist(self.temporary, &self.path, bytes)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// A place for a result, known to be writable, and its format.
#[derive(Debug)]
pub struct OutFile {
    place: Place,
    format: Format,
}

impl OutFile {
    /// Checks that the extension is that of one of `formats` and that the file can be made.
    ///
    /// # Errors
    /// [`Error::Usage`] for another extension; as [`Place::prepare`].
    pub fn prepare(path: &Path, formats: &[Format]) -> Result<Self> {
        let format = Format::from_path(path, formats)?;
        Ok(Self { place: Place::prepare(path)?, format })
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// As [`Place::write`].
    ///
    /// # Errors
    /// As [`Place::write`].
    pub fn write(self, bytes: &[u8]) -> Result<()> {
        self.place.write(bytes)
    }
}

/// Writes a file that is complete or not there at all, replacing an older one. Its directory must be there.
///
/// # Errors
/// When it cannot be written, naming it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    temporary(dir)
        .and_then(|temporary| persist(temporary, path, bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn temporary(dir: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(".polylens-").suffix(".part").tempfile_in(dir)
}

fn persist(mut temporary: tempfile::NamedTempFile, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    readable_for_all(temporary.as_file());
    temporary.persist(path).map(drop).map_err(|e| e.error)
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
        let all = |path: &str| Format::from_path(Path::new(path), &Format::ALL);
        assert_eq!(all("a/b.JSON").unwrap(), Format::Json);
        assert_eq!(all("x.tar.md").unwrap(), Format::Markdown);
        assert_eq!(all("t.tex").unwrap(), Format::Tex);
        for bad in ["a.pdf", "noext", ".svg"] {
            let e = all(bad).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains(".json .csv .md .tex .svg .png"), "{e}");
        }
    }

    #[test]
    fn a_format_of_other_commands_is_refused_with_those_of_this_one() {
        let e = OutFile::prepare(Path::new("no/such/t.tex"), &Format::COMMON).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        assert!(e.to_string().contains("no .tex form; use one of .json .csv .md .svg .png"), "{e}");
    }

    #[test]
    fn written_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.json");
        std::fs::write(&path, "old").unwrap();
        drop(OutFile::prepare(&path, &Format::ALL).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        OutFile::prepare(&path, &Format::ALL).unwrap().write(b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn unwritable_is_said_before() {
        let dir = tempfile::tempdir().unwrap();
        let e = OutFile::prepare(&dir.path().join("no/such/r.csv"), &Format::ALL).unwrap_err();
        assert_eq!(e.exit_code(), 1);
        assert!(e.to_string().contains("no/such") && e.to_string().contains("create it"), "{e}");
        let sub = dir.path().join("d.svg");
        std::fs::create_dir(&sub).unwrap();
        assert!(OutFile::prepare(&sub, &Format::ALL).unwrap_err().to_string().contains("is a directory"));
    }
}
