//! Names for weights by what they are: results of one model, adapter or number format are never taken for another's.

use super::core::Engine;
use super::protocol::RunId;
use crate::error::{Context, Result};
use crate::hub::job::hex;
use crate::model::act::weight_row;
use crate::model::adapter::Adapter;
use crate::model::kernels;
use crate::model::linear::Weight;
use crate::model::names::Proj;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What tells, without reading it, whether a file is still the one that it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stamp {
    path: PathBuf,
    bytes: u64,
    /// Nanoseconds since 1970 of the last change.
    modified: u128,
    /// The file's number on its disk; 0 where there is none.
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self> {
        let shown = path.display();
        let meta = std::fs::metadata(path).with_context(|| format!("{shown} cannot be opened"))?;
        let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&meta);
        #[cfg(not(unix))]
        let inode = 0;
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Ok(Self { path, bytes: meta.len(), modified: modified.map_or(0, |d| d.as_nanos()), inode })
    }
}

/// A model's files as they were when it was loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFiles(Vec<Stamp>);

impl ModelFiles {
    /// Of a single file, or of everything in a directory that a loader may read.
    ///
    /// # Errors
    /// Where a file cannot be looked at.
    pub fn of(path: &Path) -> Result<Self> {
        if path.is_file() {
            return Ok(Self(vec![Stamp::of(path)?]));
        }
        let shown = path.display();
        let read = |path: &PathBuf| {
            let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            ["json", "safetensors", "model", "txt"].contains(&kind) && path.is_file()
        };
        let entries = std::fs::read_dir(path).with_context(|| format!("{shown} cannot be read"))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(read).collect();
        files.sort();
        Ok(Self(files.iter().map(|p| Stamp::of(p)).collect::<Result<_>>()?))
    }

    /// One hash over the files' names and contents; `None` where a file is gone or no longer the one that was loaded.
    /// Hashes of large files are kept in `cache`. `on` gets the bytes read and all bytes.
    ///
    /// # Errors
    /// Where a file cannot be read, or `on` says so.
    pub fn hash(
        &self,
        cache: Option<&Path>,
        on: &mut dyn FnMut(u64, u64) -> Result<()>,
    ) -> Result<Option<String>> {
        let mut all = Sha256::new();
        let total = self.0.iter().map(|s| s.bytes).sum();
        let mut done = 0;
        for stamp in &self.0 {
            let unchanged = || Stamp::of(&stamp.path).is_ok_and(|now| now == *stamp);
            if !unchanged() {
                return Ok(None);
            }
            let kept = cache.map(|dir| dir.join(text_hash(&stamp.path.display().to_string())));
            let known = kept.as_deref().and_then(|file| read_kept(file, stamp));
            let hash = match known {
                Some(hash) => hash,
                None => {
                    let hash = file_hash(&stamp.path, &mut |n| {
                        done += n;
                        on(done, total)
                    })?;
                    if !unchanged() {
                        return Ok(None);
                    }
                    if let Some(file) = kept {
                        keep(&file, stamp, &hash);
                    }
                    hash
                }
            };
            all.update(stamp.path.file_name().unwrap_or_default().as_encoded_bytes());
            all.update([0]);
            all.update(hash.as_bytes());
        }
        Ok(Some(hex(all)))
    }
}

#[derive(Serialize, Deserialize)]
struct KeptHash {
    stamp: Stamp,
    sha256: String,
}

fn read_kept(file: &Path, stamp: &Stamp) -> Option<String> {
    let kept: KeptHash = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    (kept.stamp == *stamp).then_some(kept.sha256)
}

/// A hash that cannot be kept costs time later, nothing else.
fn keep(file: &Path, stamp: &Stamp, hash: &str) {
    let kept = KeptHash { stamp: stamp.clone(), sha256: hash.to_owned() };
    let Some(dir) = file.parent() else { return };
    let written = serde_json::to_vec(&kept).ok().and_then(|bytes| {
        std::fs::create_dir_all(dir).ok()?;
        let temporary = tempfile::NamedTempFile::new_in(dir).ok()?;
        std::fs::write(temporary.path(), bytes).ok()?;
        Some(temporary)
    });
    if let Some(temporary) = written {
        let _ = temporary.persist(file);
    }
}

fn file_hash(path: &Path, on: &mut dyn FnMut(u64) -> Result<()>) -> Result<String> {
    let shown = path.display();
    let mut file = File::open(path).with_context(|| format!("{shown} cannot be opened"))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).with_context(|| format!("{shown} cannot be read"))?;
        if n == 0 {
            return Ok(hex(hash));
        }
        hash.update(&buffer[..n]);
        on(n as u64)?;
    }
}

/// SHA-256 of a text, in hexadecimal.
pub fn text_hash(text: &str) -> String {
    hex(Sha256::new_with_prefix(text.as_bytes()))
}

/// SHA-256 of an adapter's weights as they are applied (the scale is in them).
///
/// # Errors
/// What the device says.
pub fn adapter_hash(adapter: &Adapter, layers: usize) -> Result<String> {
    let mut hash = Sha256::new();
    let matrix = |weight: &Weight, hash: &mut Sha256| -> Result<()> {
        let (rows, columns) = weight.shape();
        hash.update((rows as u64).to_le_bytes());
        hash.update((columns as u64).to_le_bytes());
        for row in 0..rows {
            for x in weight_row(weight, row as u32)? {
                hash.update(x.to_le_bytes());
            }
        }
        Ok(())
    };
    for layer in 0..layers {
        for proj in Proj::ALL {
            if let Some(lora) = adapter.lora(layer, proj) {
                hash.update(format!("{layer} {proj:?} "));
                matrix(&lora.a, &mut hash)?;
                matrix(&lora.b, &mut hash)?;
            }
        }
    }
    Ok(hex(hash))
}

impl Engine {
    /// SHA-256 of the model's files (names and contents), or of an adapter's weights: the same on every machine. `None`
    /// where the model's files have changed since they were loaded.
    ///
    /// # Errors
    /// Where a file cannot be read, or `on` (bytes read, all bytes) says so.
    pub fn weights_hash(
        &self,
        run: RunId,
        on: &mut dyn FnMut(u64, u64) -> Result<()>,
    ) -> Result<Option<String>> {
        if let Some(adapter) = self.adapter(run)? {
            return adapter_hash(&adapter, self.decoder.blocks.len()).map(Some);
        }
        let cache = super::load::cache_root().map(|root| root.join("hashes"));
        self.files.as_ref().map_or(Ok(None), |files| files.hash(cache.as_deref(), on))
    }

    /// The hash of what a run computes with: the model's files, the adapter's weights, the number format, the device
    /// and the kernels, with their revision. `None` where the model's files have changed since they were loaded.
    ///
    /// # Errors
    /// Where a file cannot be read, or `on` (bytes read, all bytes) says so.
    pub fn fingerprint(
        &self,
        run: RunId,
        on: &mut dyn FnMut(u64, u64) -> Result<()>,
    ) -> Result<Option<String>> {
        let Some(model) = self.weights_hash(None, on)? else { return Ok(None) };
        let adapter = match self.adapter(run)? {
            Some(adapter) => adapter_hash(&adapter, self.decoder.blocks.len())?,
            None => String::new(),
        };
        let (kernels, revision) = (kernels::name(), kernels::REVISION);
        let (dtype, device) = (&self.info().dtype, &self.info().device);
        Ok(Some(text_hash(&format!("{model} {adapter} {dtype} {device} {kernels} {revision}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_hash_is_kept_until_the_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (model, cache) = (dir.path().join("m"), dir.path().join("c"));
        std::fs::create_dir(&model).unwrap();
        std::fs::write(model.join("config.json"), "{}").unwrap();
        std::fs::write(model.join("model.safetensors"), "weights").unwrap();
        std::fs::write(model.join("notes.md"), "not read").unwrap();
        let hash = |files: &ModelFiles| {
            let mut read = 0;
            let hash = files.hash(Some(&cache), &mut |done, _| {
                read = done;
                Ok(())
            });
            (hash.unwrap(), read)
        };
        let files = ModelFiles::of(&model).unwrap();
        let (first, read) = hash(&files);
        assert!(first.is_some() && read == 9);
        assert_eq!(hash(&files), (first.clone(), 0), "kept");
        std::fs::write(model.join("model.safetensors"), "Weights!").unwrap();
        assert_eq!(hash(&files).0, None, "no longer what was loaded");
        std::fs::rename(model.join("config.json"), model.join("config")).unwrap();
        assert_eq!(hash(&files).0, None, "gone");
        std::fs::rename(model.join("config"), model.join("config.json")).unwrap();
        let (second, read) = hash(&ModelFiles::of(&model).unwrap());
        assert!(second.is_some() && second != first && read == 8);
    }
}
