//! A session's bytes: read into memory, or mapped where they are many.

use crate::error::{Context, Result};
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// The bytes of a file; copies share them.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Larger files are mapped: the system keeps of them what is looked at.
const IN_MEMORY: u64 = 32 << 20;
/// A larger file is no session that anybody could have recorded.
const MOST: u64 = 4 << 30;

/// Opens a file that should be a session.
///
/// # Errors
/// It is no regular file, is too large or cannot be read.
pub fn open(path: &Path) -> Result<Bytes> {
    let name = path.display();
    let cannot = || format!("the session {name} cannot be read");
    // Looked at before it is opened: opening a pipe waits for its other end.
    let meta = std::fs::metadata(path).with_context(cannot)?;
    if meta.is_dir() {
        crate::fail!("{name} is a directory; name the session's file");
    }
    if !meta.is_file() {
        crate::fail!(
            "{name} is a pipe or a device and not a file; write it to a file first and name that one"
        );
    }
    if meta.len() > MOST {
        crate::fail!(
            "{name} has {} MB, and a session has at most {} MB: is it another file? Record a long session in parts",
            meta.len() >> 20,
            MOST >> 20
        );
    }
    if meta.len() <= IN_MEMORY {
        return Ok(Arc::new(std::fs::read(path).with_context(cannot)?));
    }
    let file = File::open(path).with_context(cannot)?;
    // SAFETY: as with weights, the map is read-only; recordings are only ever appended to, and a file that somebody
    // cuts short while it is open ends the program, as documented in docs/sessions.md.
    let map = unsafe { Mmap::map(&file) }.with_context(cannot)?;
    Ok(Arc::new(map))
}

/// What a file that is no JSON Lines text is, by its first bytes, and what to do.
pub fn foreign(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 8] = [
        (b"\x1f\x8b", "it is compressed: gunzip it first"),
        (b"\x28\xb5\x2f\xfd", "it is compressed: unpack it with zstd first"),
        (b"BZh", "it is compressed: bunzip2 it first"),
        (b"\xfd7zXZ", "it is compressed: unpack it with xz first"),
        (b"PK\x03\x04", "it is a zip archive: unpack it first"),
        (b"\xff\xfe", "it is UTF-16 text: save it as UTF-8"),
        (b"\xfe\xff", "it is UTF-16 text: save it as UTF-8"),
        (b"GGUF", "it is a model: a session ends in .jsonl"),
    ];
    let known = KNOWN.iter().find(|(sign, _)| bytes.starts_with(sign)).map(|(_, what)| *what);
    let wide = bytes.len() > 3 && (bytes[..2] == *b"{\0" || bytes[..2] == *b"\0{");
    known.or(wide.then_some("it is UTF-16 text: save it as UTF-8"))
}
