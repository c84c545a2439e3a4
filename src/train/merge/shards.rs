//! Safetensors files written a block of rows at a time, so that no tensor is in memory as a whole.

use crate::error::{Context, Result};
use crate::model::format::Format;
use crate::model::kernels::CpuWeight;
use crate::model::linear::{Lora, Weight};
use crate::model::weights::Stored;
use half::{bf16, f16};
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A tensor to be written.
pub(super) struct Tensor<'a> {
    pub name: String,
    pub shape: Vec<usize>,
    /// F32, F16 or Bf16.
    pub format: Format,
    /// All but the last dimension as rows.
    pub numbers: CpuWeight,
    /// Added to `numbers`.
    pub lora: Option<&'a Lora>,
    /// Its pages may leave the memory once it is written.
    pub stored: Option<Stored>,
}

impl Tensor<'_> {
    fn bytes(&self) -> u64 {
        (self.numbers.out * self.numbers.inp * self.format.block_bytes()) as u64
    }
}

/// How much was written.
pub(super) struct Written {
    pub bytes: u64,
    pub files: usize,
}

/// Bytes of rows that are made at a time.
const BLOCK: usize = 8 << 20;

/// Writes `model.safetensors`, or shards of at most `shard_bytes` (a larger tensor alone) with their index. `on` is
/// told (bytes done, all bytes) and may stop it.
///
/// # Errors
/// A full disk, numbers too large for f16, what `on` returns.
pub(super) fn write(
    dir: &Path,
    tensors: &[Tensor],
    shard_bytes: u64,
    on: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Written> {
    let total: u64 = tensors.iter().map(Tensor::bytes).sum();
    let mut groups: Vec<(u64, Vec<&Tensor>)> = Vec::new();
    for tensor in tensors {
        match groups.last_mut() {
            Some((size, group)) if *size + tensor.bytes() <= shard_bytes => {
                *size += tensor.bytes();
                group.push(tensor);
            }
            _ => groups.push((tensor.bytes(), vec![tensor])),
        }
    }
    let files = groups.len();
    let (mut done, mut places) = (0, Map::new());
    for (i, (_, mut group)) in groups.into_iter().enumerate() {
        let name = match files {
            1 => "model.safetensors".to_owned(),
            n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        // Wider numbers first keeps every tensor aligned.
        group.sort_by_key(|t| std::cmp::Reverse(t.format.block_bytes()));
        places.extend(group.iter().map(|t| (t.name.clone(), Value::from(name.as_str()))));
        let path = dir.join(&name);
        let file = File::create(&path).with_context(|| format!("{name} cannot be written"))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let mut put =
            |bytes: &[u8]| file.write_all(bytes).with_context(|| format!("{name} cannot be written"));
        put(&header(&group))?;
        for tensor in group {
            rows(tensor, &mut |bytes| {
                put(bytes)?;
                done += bytes.len() as u64;
                on(done, total)
            })?;
            if let Some(stored) = &tensor.stored {
                stored.release();
            }
        }
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error);
        file.and_then(|f| f.sync_all()).with_context(|| format!("{name} cannot be written"))?;
    }
    if files > 1 {
        let index = json!({"metadata": {"total_size": total}, "weight_map": places});
        let text = serde_json::to_string_pretty(&index).context("the index cannot be written")?;
        let path = dir.join("model.safetensors.index.json");
        std::fs::write(&path, text + "\n").context("the index cannot be written")?;
    }
    Ok(Written { bytes: total, files })
}

/// Length and JSON header, padded to eight bytes with blanks.
fn header(group: &[&Tensor]) -> Vec<u8> {
    let mut map = Map::new();
    map.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for t in group {
        let dtype = match t.format {
            Format::F16 => "F16",
            Format::Bf16 => "BF16",
            _ => "F32",
        };
        let end = at + t.bytes();
        map.insert(t.name.clone(), json!({"dtype": dtype, "shape": t.shape, "data_offsets": [at, end]}));
        at = end;
    }
    let mut text = Value::Object(map).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text].concat()
}

/// The tensor's bytes, a block of rows at a time.
fn rows(tensor: &Tensor, put: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let (out, inp) = (tensor.numbers.out, tensor.numbers.inp);
    let width = inp * tensor.format.block_bytes();
    if out == 0 || width == 0 {
        return Ok(());
    }
    let update = tensor.lora.map(Update::new).transpose()?;
    let count = (BLOCK / width).clamp(1, out);
    let mut block = vec![0u8; count * width];
    for from in (0..out).step_by(count) {
        let bytes = &mut block[..count.min(out - from) * width];
        bytes.par_chunks_mut(width).enumerate().with_min_len(8).try_for_each(|(i, bytes)| {
            let mut row = tensor.numbers.row(from + i);
            if let Some(update) = &update {
                update.add(from + i, &mut row);
            }
            narrow(&row, tensor.format, bytes)
                .map_err(|why| crate::Error::Failed(format!("tensor {:?} {why}", tensor.name)))
        })?;
        put(bytes)?;
    }
    Ok(())
}

/// `B A`, with the scale in B.
struct Update<'a> {
    a: &'a CpuWeight,
    b: &'a CpuWeight,
}

impl<'a> Update<'a> {
    fn new(lora: &'a Lora) -> Result<Self> {
        match (&lora.a, &lora.b) {
            (Weight::Cpu(a), Weight::Cpu(b)) => Ok(Self { a, b }),
            _ => crate::fail!("the adapter does not lie in main memory"),
        }
    }

    /// Adds row `r`, summed in f64 and rounded once.
    fn add(&self, r: usize, row: &mut [f32]) {
        let mut sum: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
        let mut a = vec![0f32; row.len()];
        for (k, b) in self.b.row(r).into_iter().enumerate() {
            self.a.widen_row(k, 0, &mut a);
            for (s, a) in sum.iter_mut().zip(&a) {
                *s += f64::from(b) * f64::from(*a);
            }
        }
        for (x, s) in row.iter_mut().zip(sum) {
            *x = s as f32;
        }
    }
}

/// A row in its format, little-endian.
fn narrow(row: &[f32], format: Format, bytes: &mut [u8]) -> Result<(), &'static str> {
    if row.iter().any(|x| !x.is_finite()) {
        return Err("holds NaN or infinity; the weights are damaged, fetch the model again");
    }
    match format {
        Format::F16 => {
            for (b, x) in bytes.chunks_exact_mut(2).zip(row) {
                let x = f16::from_f32(*x);
                if !x.is_finite() {
                    return Err("has values too large for f16; use --dtype bf16 or f32");
                }
                b.copy_from_slice(&x.to_le_bytes());
            }
        }
        Format::Bf16 => {
            for (b, x) in bytes.chunks_exact_mut(2).zip(row) {
                b.copy_from_slice(&bf16::from_f32(*x).to_le_bytes());
            }
        }
        _ => {
            for (b, x) in bytes.chunks_exact_mut(4).zip(row) {
                b.copy_from_slice(&x.to_le_bytes());
            }
        }
    }
    Ok(())
}
