//! Tensors by name, from safetensors (single or sharded) or GGUF, memory-mapped and checked.

use crate::error::{Context, Error, Result};
use crate::model::format::Format;
use crate::model::gguf::Gguf;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A tensor in a file: its shape (row-major), its format and its bytes in the map.
#[derive(Clone)]
pub struct Stored {
    pub shape: Vec<usize>,
    pub format: Format,
    pub map: Arc<Mmap>,
    pub range: Range<usize>,
}

impl Stored {
    /// The raw bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }

    /// All numbers as f32.
    ///
    /// # Errors
    /// Where the bytes do not hold the shape (cannot happen for an opened store).
    pub fn floats(&self) -> Result<Vec<f32>> {
        self.format.widen_all(self.bytes(), self.shape.iter().product())
    }

    /// Tells the kernel that the pages of this tensor are not needed any more, so that converting a large
    /// file does not keep both forms in memory.
    pub fn release(&self) {
        #[cfg(unix)]
        {
            // SAFETY: the map is read-only and file-backed: dropped pages are read again when touched.
            let _ = unsafe {
                self.map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    self.range.start,
                    self.range.len(),
                )
            };
        }
    }
}

/// Bytes that the system is asked to read at a time: what it reads ahead without a question is less than that.
const AHEAD: usize = 1 << 20;

/// Asks the system, from a thread of its own, to read whole maps into memory, in their order, for as long as somebody
/// else holds them. Pages that are there already cost next to nothing.
pub fn read_ahead(maps: Vec<Arc<Mmap>>) {
    #[cfg(unix)]
    {
        let maps: Vec<_> = maps.iter().map(Arc::downgrade).collect();
        let work = move || {
            for map in maps {
                let mut from = 0;
                while let Some(map) = map.upgrade().filter(|m| from < m.len()) {
                    let _ = map.advise_range(memmap2::Advice::WillNeed, from, AHEAD.min(map.len() - from));
                    from += AHEAD;
                }
            }
        };
        // Without the thread pages are read as they are touched.
        let _ = std::thread::Builder::new().name("read-ahead".into()).spawn(work);
    }
    #[cfg(not(unix))]
    drop(maps);
}

/// All tensors of a checkpoint.
pub struct Store {
    tensors: BTreeMap<String, Stored>,
    maps: Vec<Arc<Mmap>>,
    /// Shown in errors.
    origin: PathBuf,
}

impl Store {
    /// Those of an opened GGUF file.
    ///
    /// # Errors
    /// For a value that was not read from a file.
    pub fn from_gguf(file: &Gguf) -> Result<Self> {
        let Some(map) = &file.map else { crate::fail!("{}: has no data", file.path.display()) };
        let stored = |p: &crate::model::gguf::TensorPlace| Stored {
            shape: p.shape.clone(),
            format: p.format,
            map: Arc::clone(map),
            range: p.range.clone(),
        };
        let tensors = file.tensors.iter().map(|(n, p)| (n.clone(), stored(p))).collect();
        Ok(Self { tensors, maps: vec![Arc::clone(map)], origin: file.path.clone() })
    }

    /// `model.safetensors`, or the shards that `model.safetensors.index.json` names, of a directory.
    ///
    /// # Errors
    /// One sentence: nothing there, only a format that is not supported, a damaged header, a shard that is
    /// missing or lies outside the directory, a number format that is not supported.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let mut store = Self { tensors: BTreeMap::new(), maps: Vec::new(), origin: dir.to_path_buf() };
        let index = dir.join("model.safetensors.index.json");
        let single = dir.join("model.safetensors");
        if single.is_file() {
            store.add_file(&single)?;
        } else if index.is_file() {
            for shard in shards(&index)? {
                let path = dir.join(&shard);
                if !path.is_file() {
                    crate::fail!("{}: the shard {shard:?} is missing; fetch the model again", dir.display());
                }
                store.add_file(&path)?;
            }
        } else if dir.join("pytorch_model.bin").exists() || dir.join("pytorch_model.bin.index.json").exists()
        {
            crate::fail!(
                "{}: holds pickled weights (pytorch_model.bin), which are not supported; convert them to safetensors",
                dir.display()
            );
        } else {
            crate::fail!("{}: holds no model.safetensors; is it a model's directory?", dir.display());
        }
        Ok(store)
    }

    /// One safetensors file.
    ///
    /// # Errors
    /// As for [`Store::from_dir`].
    pub fn from_safetensors(path: &Path) -> Result<Self> {
        let mut store = Self { tensors: BTreeMap::new(), maps: Vec::new(), origin: path.to_path_buf() };
        store.add_file(path)?;
        Ok(store)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("{shown}: cannot be opened"))?;
        if file.metadata().map(|m| m.len()).unwrap_or(0) < 8 {
            crate::fail!("{shown}: is too short for a safetensors file; fetch it again");
        }
        // SAFETY: read-only map; see Gguf::open.
        let map = unsafe { Mmap::map(&file) }.with_context(|| format!("{shown}: cannot be memory-mapped"))?;
        let map = Arc::new(map);
        self.maps.push(Arc::clone(&map));
        let parsed = SafeTensors::deserialize(&map)
            .map_err(|e| Error::failed(format!("{shown}: is damaged or cut off ({e}); fetch it again")))?;
        let base = map.as_ptr() as usize;
        for (name, view) in parsed.tensors() {
            let format = match view.dtype() {
                Dtype::F32 => Format::F32,
                Dtype::F16 => Format::F16,
                Dtype::BF16 => Format::Bf16,
                // Index buffers and the like are never asked for.
                Dtype::I64 | Dtype::I32 | Dtype::BOOL | Dtype::U8 => continue,
                other => {
                    crate::fail!("{shown}: tensor {name:?} is {other:?}; f32, f16 and bf16 are supported")
                }
            };
            let start = view.data().as_ptr() as usize - base;
            let range = start..start + view.data().len();
            let stored = Stored { shape: view.shape().to_vec(), format, map: Arc::clone(&map), range };
            if self.tensors.insert(name.clone(), stored).is_some() {
                crate::fail!("{shown}: tensor {name:?} is in two shards; fetch the model again");
            }
        }
        Ok(())
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// All tensors.
    pub fn all(&self) -> impl Iterator<Item = &Stored> {
        self.tensors.values()
    }

    /// Whether a tensor is there.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The files' maps, in the files' order.
    pub fn maps(&self) -> Vec<Arc<Mmap>> {
        self.maps.clone()
    }

    /// A tensor of exactly this shape.
    ///
    /// # Errors
    /// Missing, or of another shape (both named).
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Stored> {
        let stored = self.find(name)?;
        if stored.shape != shape {
            crate::fail!(
                "{}: tensor {name:?} has shape {:?} where the configuration needs {shape:?}; file and configuration do not belong together",
                self.origin.display(),
                stored.shape
            );
        }
        Ok(stored)
    }

    /// A tensor of any shape.
    ///
    /// # Errors
    /// Missing (named).
    pub fn find(&self, name: &str) -> Result<Stored> {
        self.tensors.get(name).cloned().ok_or_else(|| {
            Error::failed(format!(
                "{}: tensor {name:?} is missing; the file is incomplete",
                self.origin.display()
            ))
        })
    }
}

/// The distinct shard names of an index, each a plain file name inside the directory.
fn shards(index: &Path) -> Result<Vec<String>> {
    let shown = index.display();
    let text = std::fs::read_to_string(index).with_context(|| format!("{shown}: cannot be read"))?;
    let json: serde_json::Value = serde_json::from_str(&text)
        .map_err(|e| Error::failed(format!("{shown}: is not valid JSON ({e})")))?;
    let Some(map) = json.get("weight_map").and_then(|m| m.as_object()) else {
        crate::fail!("{shown}: has no \"weight_map\"; fetch it again")
    };
    let mut names = Vec::new();
    for (tensor, file) in map {
        let Some(file) = file.as_str() else { crate::fail!("{shown}: {tensor:?} names no file") };
        let plain = Path::new(file).components().all(|c| matches!(c, Component::Normal(_)));
        if file.is_empty() || !plain {
            crate::fail!(
                "{shown}: the shard {file:?} lies outside the directory; the index is not to be trusted"
            );
        }
        if !names.iter().any(|n| n == file) {
            names.push(file.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
