//! From files to a [`Decoder`].

use super::act::{Backend, RmsNorm};
use super::config::{Biases, Config};
use super::damage::{finite, not_finite, scan};
use super::decoder::{Block, Decoder};
use super::format::{Format, bytes_of};
use super::gguf::Gguf;
use super::kernels::CpuWeight;
use super::kernels::matmul::interleaved_place;
use super::linear::{Linear, Weight};
use super::names::{Names, Norm, Proj};
use super::weights::{Store, Stored};
use crate::engine::protocol::DType;
use crate::error::{Context, Result};
use candle_core::Tensor;
use half::{bf16, f16};
use rayon::prelude::*;
use std::path::Path;

/// Largest config.json that is read.
const CONFIG_LIMIT: u64 = 16 << 20;

/// Reading this much takes about a second from a fast disk.
const READ_AT_LOAD: usize = 2 << 30;

/// An opened checkpoint whose weights are still where they were.
pub struct Checkpoint {
    pub config: Config,
    pub store: Store,
    pub names: Names,
    /// For a GGUF file: itself, for its tokenizer.
    pub gguf: Option<Gguf>,
    /// Weights that stay in the file are read through at load up to this many bytes, and otherwise as needed.
    pub read_at_load: usize,
}

impl Checkpoint {
    /// Opens a Hugging Face directory or a GGUF file.
    ///
    /// # Errors
    /// One sentence naming the file and what is wrong with it.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = &path.display();
        if path.is_dir() {
            let file = path.join("config.json");
            let size = std::fs::metadata(&file).map(|m| m.len());
            match size {
                Err(_) => crate::fail!(
                    "{shown}: holds no config.json; a Hugging Face model directory or a .gguf file is needed"
                ),
                Ok(n) if n > CONFIG_LIMIT => {
                    crate::fail!("{}: is {n} bytes long, that is no configuration", file.display())
                }
                Ok(_) => {}
            }
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("{}: cannot be read", file.display()))?;
            let config = Config::from_json(&text).map_err(|e| e.context(shown))?;
            let store = Store::from_dir(path)?;
            let names = Names::hf(&store, config.post_norms).map_err(|e| e.context(shown))?;
            return Ok(Self { config, store, names, gguf: None, read_at_load: READ_AT_LOAD });
        }
        if !path.exists() {
            crate::fail!("{shown}: does not exist");
        }
        let gguf = Gguf::open(path)?;
        let config = Config::from_gguf(&gguf).map_err(|e| e.context(shown))?;
        let store = Store::from_gguf(&gguf)?;
        Ok(Self { config, store, names: Names::Gguf, gguf: Some(gguf), read_at_load: READ_AT_LOAD })
    }

    /// Whether weights stay in the file and are so many that reading them through would make a person wait: then a
    /// block is read, and checked (see [`super::damage`]), when something is first computed with it.
    pub fn read_as_needed(&self, dtype: DType, backend: &Backend) -> bool {
        let stays = |s: &Stored| format_of(s.format, dtype, backend) == s.format;
        let mapped: usize = self.store.all().filter(|s| stays(s)).map(|s| s.range.len()).sum();
        matches!(backend, Backend::Cpu) && mapped > self.read_at_load
    }

    /// The separate unembedding's name, decided by what the file holds.
    fn unembedding_name(&self) -> Option<String> {
        self.names.output().into_iter().find(|n| self.store.has(n))
    }

    /// Builds the decoder with weights in `dtype` (not `Auto`).
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, NaN or infinite weights (of blocks that are read as needed: when they are), what
    /// the device says.
    pub fn build(
        &self,
        dtype: DType,
        backend: &Backend,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Decoder> {
        let c = &self.config;
        let (blocks, total) = (c.layers.len(), c.layers.len() as u64 + 2);
        let maker = Maker { from: self, dtype, backend, as_needed: self.read_as_needed(dtype, backend) };
        let beyond = self.names.norm(blocks, Norm::Attention);
        if self.store.has(&beyond) {
            crate::fail!(
                "the file holds {beyond:?}, but the configuration has only {blocks} blocks; they do not belong together"
            );
        }
        progress(0, total);
        // The readout is checked at load, over the whole vocabulary.
        let output = self.unembedding_name();
        let embedding = maker.table(&self.names.embedding(), output.is_none() || !maker.as_needed)?;
        progress(1, total);
        let unembedding = match output {
            Some(name) => maker.table(&name, true)?,
            None => embedding.clone(),
        };
        let final_norm = maker.norm(&self.names.final_norm(), c.hidden)?;
        progress(2, total);
        let mut built = Vec::with_capacity(blocks);
        for layer in 0..blocks {
            built.push(maker.block(layer)?);
            progress(layer as u64 + 3, total);
        }
        Ok(Decoder {
            config: c.clone(),
            backend: backend.clone(),
            embedding,
            unembedding,
            final_norm,
            blocks: built,
        })
    }
}

struct Maker<'a> {
    from: &'a Checkpoint,
    dtype: DType,
    backend: &'a Backend,
    /// Blocks are read and checked when they are computed with.
    as_needed: bool,
}

/// The format that weights of a file's `format` are multiplied from. On a CPU f32 is how they are multiplied, whatever
/// they lie in, and so is bf16 where the processor's arithmetic takes them as they are.
fn format_of(format: Format, dtype: DType, backend: &Backend) -> Format {
    let on_cpu = matches!(backend, Backend::Cpu);
    match dtype {
        DType::Native => format,
        DType::F32 | DType::Auto if on_cpu => format,
        DType::F32 | DType::Auto => Format::F32,
        DType::F16 => Format::F16,
        DType::Bf16 if on_cpu && CpuWeight::can_round(format) => format,
        DType::Bf16 => Format::Bf16,
    }
}

impl Maker<'_> {
    fn block(&self, layer: usize) -> Result<Block> {
        let c = &self.from.config;
        let norm = |n: Norm, len: usize| self.norm(&self.from.names.norm(layer, n), len);
        let maybe = |there: bool, n: Norm, len: usize| there.then(|| norm(n, len)).transpose();
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        Ok(Block {
            attention_norm: norm(Norm::Attention, c.hidden)?,
            q_norm: maybe(c.qk_norm, Norm::Q, c.head_dim)?,
            k_norm: maybe(c.qk_norm, Norm::K, c.head_dim)?,
            post_attention_norm: maybe(c.post_norms, Norm::PostAttention, c.hidden)?,
            mlp_norm: norm(Norm::Mlp, c.hidden)?,
            post_mlp_norm: maybe(c.post_norms, Norm::PostMlp, c.hidden)?,
            q: self.linear(layer, Proj::Q, q, c.hidden, c.qkv_bias)?,
            k: self.linear(layer, Proj::K, kv, c.hidden, c.qkv_bias)?,
            v: self.linear(layer, Proj::V, kv, c.hidden, c.qkv_bias)?,
            o: self.linear(layer, Proj::O, c.hidden, q, c.o_bias)?,
            gate: self.linear(layer, Proj::Gate, c.intermediate, c.hidden, c.mlp_bias)?,
            up: self.linear(layer, Proj::Up, c.intermediate, c.hidden, c.mlp_bias)?,
            down: self.linear(layer, Proj::Down, c.hidden, c.intermediate, c.mlp_bias)?,
        })
    }

    /// GGUF files of the llama architecture hold q and k with the two halves of each head interleaved.
    fn interleaved(&self, proj: Proj) -> Option<usize> {
        let llama = matches!(self.from.config.architecture.as_str(), "llama" | "mistral");
        (self.from.gguf.is_some() && llama && matches!(proj, Proj::Q | Proj::K))
            .then_some(self.from.config.head_dim)
    }

    fn linear(&self, layer: usize, proj: Proj, out: usize, inp: usize, biases: Biases) -> Result<Linear> {
        let names = &self.from.names;
        let mut stored = self.from.store.get(&names.linear(layer, proj, false), &[out, inp])?;
        let heads = self.interleaved(proj);
        let w =
            self.convert(&mut stored, &names.linear(layer, proj, false), (out, inp), heads, !self.as_needed)?;
        let bias_name = names.linear(layer, proj, true);
        let wanted = match biases {
            Biases::Never => false,
            Biases::Always => true,
            Biases::AsFiled => self.from.store.has(&bias_name),
        };
        let bias = if wanted {
            let xs = finite(&bias_name, self.from.store.get(&bias_name, &[out])?.floats()?)?;
            let xs = match heads {
                Some(dim) => (0..out).map(|r| xs[interleaved_place(r, dim)]).collect(),
                None => xs,
            };
            Some(self.backend.vector(xs)?)
        } else {
            None
        };
        Ok(Linear { w, bias })
    }

    fn norm(&self, name: &str, len: usize) -> Result<RmsNorm> {
        let xs = finite(name, self.from.store.get(name, &[len])?.floats()?)?;
        let c = &self.from.config;
        Ok(RmsNorm { w: self.backend.vector(xs)?, plus: if c.norm_plus_one { 1.0 } else { 0.0 }, eps: c.eps })
    }

    /// An embedding table, read through at once if `now`.
    fn table(&self, name: &str, now: bool) -> Result<Weight> {
        let rows = self.from.store.find(name)?.shape.first().copied().unwrap_or(0);
        let shape = (rows, self.from.config.hidden);
        let mut stored = self.from.store.get(name, &[shape.0, shape.1])?;
        self.convert(&mut stored, name, shape, None, now)
    }

    /// bf16 arithmetic where bf16 was asked for by name; weights that merely are bf16 are multiplied exactly.
    fn arithmetic(&self, w: CpuWeight) -> CpuWeight {
        if self.dtype == DType::Bf16 { w.rounding() } else { w }
    }

    fn convert(
        &self,
        s: &mut Stored,
        name: &str,
        (out, inp): (usize, usize),
        heads: Option<usize>,
        now: bool,
    ) -> Result<Weight> {
        let target = format_of(s.format, self.dtype, self.backend);
        if let Backend::Device(d) = self.backend {
            let dtype = match target {
                Format::F16 => candle_core::DType::F16,
                Format::Bf16 => candle_core::DType::BF16,
                _ => candle_core::DType::F32,
            };
            let w = rows_in_order(s, name, (out, inp), heads, Format::F32)?;
            let xs = Format::F32.widen_all(w.bytes(), out * inp)?;
            let tensor = Tensor::from_vec(xs, (out, inp), &candle_core::Device::Cpu)
                .and_then(|t| t.to_dtype(dtype)?.to_device(d))
                .map_err(super::act::device)?;
            s.release();
            return Ok(Weight::Device(tensor));
        }
        if target == s.format && (heads.is_none() || target.block_len() > 1) {
            let w = CpuWeight::mapped(s.map.clone(), s.range.clone(), s.format, out, inp)?;
            if now {
                scan(name, &w)?;
            }
            let w = match heads {
                Some(dim) => w.with_interleaved_heads(dim),
                None => w,
            };
            return Ok(Weight::Cpu(self.arithmetic(w)));
        }
        let w = rows_in_order(s, name, (out, inp), heads, target)?;
        s.release();
        Ok(Weight::Cpu(self.arithmetic(w)))
    }
}

fn all_finite(xs: &[f32]) -> bool {
    // NaN and infinity times zero are NaN; a sum of zeros vectorises where `all` would not.
    xs.iter().map(|x| x * 0.0).sum::<f32>() == 0.0
}

/// The weights in another format and row order.
fn rows_in_order(
    s: &Stored,
    name: &str,
    (out, inp): (usize, usize),
    heads: Option<usize>,
    to: Format,
) -> Result<CpuWeight> {
    let from = CpuWeight::mapped(s.map.clone(), s.range.clone(), s.format, out, inp)?;
    let source = |r: usize| heads.map_or(r, |dim| interleaved_place(r, dim));
    if to == s.format && to != Format::F32 {
        scan(name, &from)?;
        let size = from.bytes().len() / out;
        let bytes: Vec<u8> =
            (0..out).flat_map(|r| from.bytes()[source(r) * size..][..size].iter().copied()).collect();
        return Ok(CpuWeight::copied(&bytes, to, out, inp));
    }
    let ok = |xs: &[f32]| if all_finite(xs) { Ok(()) } else { Err(not_finite(name)) };
    if to == Format::F32 {
        let mut all = vec![0f32; out * inp];
        all.par_chunks_mut(inp).enumerate().with_min_len(32).try_for_each(|(r, row)| {
            from.widen_row(source(r), 0, row);
            ok(row)
        })?;
        return Ok(CpuWeight::floats(all, out, inp));
    }
    let mut all = vec![0f32; (out * inp).div_ceil(2)];
    let narrow = |x: f32| match to {
        Format::F16 => f16::from_f32(x).to_bits(),
        _ => bf16::from_f32(x).to_bits(),
    };
    let halves = super::format::bytes_of_mut(&mut all);
    halves[..out * inp * 2].par_chunks_mut(inp * 2).enumerate().with_min_len(32).try_for_each(
        |(r, bytes)| {
            let row = from.row(source(r));
            ok(&row)?;
            for (b, x) in bytes.chunks_exact_mut(2).zip(&row) {
                b.copy_from_slice(&narrow(*x).to_le_bytes());
                if to == Format::F16 && !f16::from_bits(narrow(*x)).is_finite() {
                    crate::fail!("tensor {name:?} has values too large for f16; use --dtype bf16 or f32");
                }
            }
            Ok(())
        },
    )?;
    Ok(CpuWeight::copied(&bytes_of(&all)[..out * inp * 2], to, out, inp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_rows_come_back_in_order() {
        // llama.cpp: reshape(heads, 2, dim / 2).swapaxes(1, 2); two heads of four rows.
        let stored = [0, 2, 1, 3, 4, 6, 5, 7];
        let back: Vec<usize> = (0..8).map(|r| stored[interleaved_place(r, 4)]).collect();
        assert_eq!(back, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
