//! The merges of a SentencePiece vocabulary on disk, so that they are found once and not at each load.
//!
//! One file a vocabulary: magic, format, key, count, triples of ids, checksum; all little-endian. The key is
//! a hash of the pieces, kinds and scores, so that a changed vocabulary never meets old merges. A file that
//! is damaged in any way is ignored and written anew.

use super::scores::Kind;
use super::table::{Merge, Pieces};
use crate::error::Result;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

const MAGIC: &[u8; 8] = b"plmerge1";
const HEADER: usize = 8 + 32 + 4;
const CHECKSUM: usize = 32;
const TRIPLE: usize = 12;

/// The merges from the cache directory, else from `build` (and then into the cache, where that can be written).
///
/// # Errors
/// Those of `build`; a cache that cannot be read or written is no error.
pub(super) fn merges(
    cache: Option<&Path>,
    pieces: &Pieces,
    kinds: &[Kind],
    scores: &[f32],
    build: impl FnOnce() -> Result<Vec<Merge>>,
) -> Result<Vec<Merge>> {
    let Some(directory) = cache else { return build() };
    let key = key(pieces, kinds, scores);
    let name: String = key[..8].iter().map(|b| format!("{b:02x}")).collect();
    let path = directory.join(format!("tokenizer-{name}.merges"));
    if let Some(merges) = std::fs::read(&path).ok().and_then(|data| decode(&data, &key, pieces.len())) {
        return Ok(merges);
    }
    let merges = build()?;
    // The cache only saves time: without it (read-only, disk full) everything still works.
    let _ = store(directory, &path, &encode(&key, &merges));
    Ok(merges)
}

fn key(pieces: &Pieces, kinds: &[Kind], scores: &[f32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let (text, ends) = pieces.raw();
    hash.update((ends.len() as u64).to_le_bytes());
    hash.update(ends.iter().flat_map(|end| end.to_le_bytes()).collect::<Vec<u8>>());
    hash.update(text);
    hash.update(kinds.iter().map(|kind| *kind as u8).collect::<Vec<u8>>());
    hash.update(scores.iter().flat_map(|score| score.to_le_bytes()).collect::<Vec<u8>>());
    hash.finalize().into()
}

fn encode(key: &[u8; 32], merges: &[Merge]) -> Vec<u8> {
    let mut data = Vec::with_capacity(HEADER + merges.len() * TRIPLE + CHECKSUM);
    data.extend(MAGIC);
    data.extend(key);
    data.extend((merges.len() as u32).to_le_bytes());
    for merge in merges {
        for id in [merge.left, merge.right, merge.whole] {
            data.extend(id.to_le_bytes());
        }
    }
    let sum = Sha256::digest(&data);
    data.extend(sum);
    data
}

/// `None` unless every byte is as it was written, for this very vocabulary.
fn decode(data: &[u8], key: &[u8; 32], vocabulary: usize) -> Option<Vec<Merge>> {
    let (body, sum) = data.split_at_checked(data.len().checked_sub(CHECKSUM)?)?;
    let rest = body.strip_prefix(MAGIC)?.strip_prefix(key)?;
    let (count, triples) = rest.split_first_chunk::<4>()?;
    if triples.len() != u32::from_le_bytes(*count) as usize * TRIPLE || Sha256::digest(body).as_slice() != sum
    {
        return None;
    }
    let id = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("4 bytes"));
    let merges: Vec<Merge> = triples
        .chunks_exact(TRIPLE)
        .map(|t| Merge { left: id(&t[..4]), right: id(&t[4..8]), whole: id(&t[8..]) })
        .collect();
    let known = |id: u32| (id as usize) < vocabulary;
    merges.iter().all(|m| known(m.left) && known(m.right) && known(m.whole)).then_some(merges)
}

/// Writes beside the target and renames, so that no reader meets half a file.
fn store(directory: &Path, path: &Path, data: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(data)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_load_takes_the_file_and_a_damaged_one_is_rebuilt() {
        let directory = tempfile::tempdir().unwrap();
        let pieces = Pieces::new(["a", "b", "ab"].into_iter()).unwrap();
        let (kinds, scores) = ([Kind::Normal; 3], [0.0, -1.0, -2.0]);
        let merge = Merge { left: 0, right: 1, whole: 2 };
        let cache = Some(directory.path());
        let builds = std::cell::Cell::new(0);
        let load = |scores: &[f32]| {
            let build = || {
                builds.set(builds.get() + 1);
                Ok(vec![merge])
            };
            assert_eq!(merges(cache, &pieces, &kinds, scores, build).unwrap(), [merge]);
            builds.get()
        };
        assert_eq!((load(&scores), load(&scores)), (1, 1));
        assert_eq!(load(&[0.0, -1.0, -3.0]), 2, "another vocabulary has another file");
        let path = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        let whole = std::fs::read(&path).unwrap();
        std::fs::remove_dir_all(directory.path()).unwrap();
        let key = key(&pieces, &kinds, &scores);
        let data = encode(&key, &[merge]);
        assert_eq!(decode(&data, &key, 3), Some(vec![merge]));
        assert_eq!(decode(&data, &key, 2), None, "an id outside the vocabulary");
        for at in 0..data.len() {
            let mut damaged = data.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged, &key, 3), None, "byte {at}");
            assert_eq!(decode(&data[..at], &key, 3), None, "cut at {at}");
        }
        assert_eq!(whole.len(), data.len());
        std::fs::create_dir_all(directory.path()).unwrap();
        std::fs::write(&path, &data[..20]).unwrap();
        assert_eq!(load(&scores), 3);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let pieces = Pieces::new(["a"].into_iter()).unwrap();
        let found = merges(Some(&file.path().join("x")), &pieces, &[Kind::Normal], &[0.0], || Ok(Vec::new()));
        assert_eq!(found.unwrap(), []);
    }
}
