//! Base and adapter as one plain Hugging Face directory: `W + scale * B A`, a few rows at a time.

mod checkpoint;
mod shards;

use crate::engine::control::Cancel;
use crate::engine::protocol::DType;
use crate::error::{Context, Error, Result};
use crate::lens::Readout;
use crate::model::act::Backend;
use crate::model::adapter::Adapter;
use crate::model::decoder::{Decoder, Options, Span};
use crate::model::format::Format;
use crate::model::loader::Checkpoint;
use crate::model::tokenizer::Tokenizer;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is merged, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Hugging Face directory or GGUF file.
    pub model: &'a Path,
    /// PEFT directory.
    pub adapter: &'a Path,
    /// A directory that is not there yet, or empty.
    pub out: &'a Path,
    /// F32, F16 or Bf16; `None`: each tensor as the base has it, quantised ones as f32.
    pub dtype: Option<Format>,
    /// Most bytes of one safetensors file.
    pub shard_bytes: u64,
    /// Where rebuilt tokenizers are kept.
    pub cache: Option<&'a Path>,
}

/// Transformers' own size of a shard.
pub const SHARD_BYTES: u64 = 5_000_000_000;

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merged {
    pub path: PathBuf,
    /// Number formats that occur, as f32 or bf16.
    pub dtypes: Vec<&'static str>,
    pub bytes: u64,
    pub files: usize,
    pub tensors: usize,
    /// Tensors that the adapter changed.
    pub changed: usize,
    /// Largest difference of a logit between the written model and base + adapter unmerged, on a fixed text.
    pub probe_difference: f32,
    /// Largest difference of a logit between base and base + adapter on the same text.
    pub probe_change: f32,
}

/// Several scripts, so that an adapter for any language shows.
const PROBE: &str = "The capital of France is Paris. 法国的首都是巴黎。 Столица Франции — Париж.";

/// Writes the merged model into a new directory beside `out`, checks its logits, and moves it to its place.
///
/// # Errors
/// A directory `out` that holds something, what model or adapter have wrong, numbers too large for the format, a full
/// disk, cancellation. Nothing half-written stays behind.
pub fn merge(request: &Request, cancel: &Cancel, on: &mut dyn FnMut(&str, u64, u64, &str)) -> Result<Merged> {
    let place = Place::prepare(request.out)?;
    on("opening the model", 0, 0, "");
    let base = Checkpoint::open(request.model)?;
    let mut loading = |done, total| on("opening the model", done, total, "tensors");
    let decoder = base
        .build(DType::Native, &Backend::Cpu, &mut loading)
        .map_err(|e| e.context(request.model.display()))?;
    cancel.check()?;
    let adapter = Arc::new(Adapter::load(request.adapter, &decoder)?);
    let tokenizer = match &base.gguf {
        Some(gguf) => Tokenizer::from_gguf(gguf, request.cache)?,
        None => Tokenizer::from_dir(request.model)?,
    };
    let tensors = match base.gguf {
        Some(_) => checkpoint::of_decoder(&base, &decoder, &adapter, request.dtype)?,
        None => checkpoint::of_directory(&base, &adapter, request.dtype)?,
    };
    let written = shards::write(&place.parts, &tensors, request.shard_bytes, &mut |done, total| {
        on("writing", done, total, "bytes");
        cancel.check()
    })?;
    match &base.gguf {
        Some(gguf) => checkpoint::describe(&place.parts, gguf, &base, &tokenizer, request.dtype)?,
        None => checkpoint::copy_description(request.model, &place.parts, request.dtype)?,
    }
    on("comparing logits", 0, 0, "");
    let ids = tokenizer.encode(PROBE)?;
    let plain = logits(&decoder, &ids, None, cancel)?;
    let aligned = logits(&decoder, &ids, Some(Arc::clone(&adapter)), cancel)?;
    let merged = Checkpoint::open(&place.parts)?.build(DType::Native, &Backend::Cpu, &mut |_, _| {})?;
    let own = logits(&merged, &ids, None, cancel)?;
    drop(merged);
    let mut dtypes: Vec<&'static str> = Vec::new();
    for tensor in &tensors {
        if !dtypes.contains(&tensor.format.name()) {
            dtypes.push(tensor.format.name());
        }
    }
    Ok(Merged {
        path: place.finish()?,
        dtypes,
        bytes: written.bytes,
        files: written.files,
        tensors: tensors.len(),
        changed: tensors.iter().filter(|t| t.lora.is_some()).count(),
        probe_difference: apart(&own, &aligned),
        probe_change: apart(&plain, &aligned),
    })
}

/// Logits at all positions, one after the other.
fn logits(
    decoder: &Decoder,
    ids: &[u32],
    adapter: Option<Arc<Adapter>>,
    cancel: &Cancel,
) -> Result<Vec<f32>> {
    let ids = &ids[..ids.len().min(decoder.config.max_positions)];
    let mut out = Vec::new();
    let last = decoder.blocks.len();
    let spans = [Span::new(ids.to_vec(), adapter)];
    decoder.forward(&spans, Options::default(), cancel, &mut |tap| {
        if tap.layer == last {
            let x = tap.x.gather(&(0..tap.x.cols()).collect::<Vec<_>>())?;
            let read = Readout::new(decoder).logits(&x)?;
            out = (0..read.cols()).flat_map(|c| read.column(c)).collect();
        }
        Ok(())
    })?;
    Ok(out)
}

/// Largest difference; NaN counts as infinite.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    let largest = |most: f32, d: f32| if d.is_nan() { f32::INFINITY } else { most.max(d) };
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, largest)
}

/// The directory while it is written; removed again unless it is finished.
struct Place {
    parts: PathBuf,
    out: PathBuf,
    finished: bool,
}

impl Place {
    fn prepare(out: &Path) -> Result<Self> {
        let shown = out.display();
        let name = match out.file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => {
                return Err(Error::usage(format!(
                    "--out {shown} names no directory; give it a name, as merged"
                )));
            }
        };
        if out.exists() {
            let mut entries =
                std::fs::read_dir(out).with_context(|| format!("--out {shown}: it is not a directory"))?;
            if entries.next().is_some() {
                crate::fail!("--out {shown}: the directory is not empty; name another, or empty it first");
            }
        }
        let parent = match out.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        if !parent.is_dir() {
            crate::fail!("--out {shown}: there is no directory {}; create it first", parent.display());
        }
        let parts = parent.join(format!(".{name}.{}.part", std::process::id()));
        std::fs::create_dir(&parts)
            .with_context(|| format!("--out {shown}: cannot write in {}", parent.display()))?;
        Ok(Self { parts, out: out.to_owned(), finished: false })
    }

    /// Syncs and moves to the place.
    fn finish(mut self) -> Result<PathBuf> {
        let shown = self.out.display().to_string();
        let moved = || -> std::io::Result<()> {
            for entry in std::fs::read_dir(&self.parts)? {
                std::fs::File::open(entry?.path())?.sync_all()?;
            }
            if self.out.exists() {
                // Refused by the system unless it is still empty.
                std::fs::remove_dir(&self.out)?;
            }
            std::fs::rename(&self.parts, &self.out)
        };
        moved().with_context(|| format!("{shown} cannot be written"))?;
        self.finished = true;
        Ok(self.out.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.finished {
            // Whatever ended the work has been said already.
            let _ = std::fs::remove_dir_all(&self.parts);
        }
    }
}
