//! PEFT LoRA adapters, applied unmerged: `y = W x + scale * B (A x)`.

mod filed;

pub use filed::{Filed, Pair};

use super::decoder::Decoder;
use super::linear::{Lora, Weight};
use super::names::Proj;
use crate::error::Result;
use candle_core::DType;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A loaded adapter.
pub struct Adapter {
    loras: BTreeMap<(usize, Proj), Lora>,
    pub rank: usize,
    pub alpha: f64,
    pub targets: Vec<String>,
    /// Tensors used, A and B counted separately.
    pub keys_matched: usize,
    /// Frobenius norm of delta W per block (root of the summed squares over its linear layers), `[L]`.
    pub delta_norms: Vec<f32>,
}

impl Adapter {
    /// Whether two runs use the same weights: both the base, or the same loaded adapter.
    pub fn same(a: Option<&Arc<Self>>, b: Option<&Arc<Self>>) -> bool {
        match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// The update of a linear layer, if it has one.
    pub fn lora(&self, layer: usize, proj: Proj) -> Option<&Lora> {
        self.loras.get(&(layer, proj))
    }

    /// Reads adapter_config.json and adapter_model.safetensors of `dir` for a decoder.
    ///
    /// # Errors
    /// What [`Filed::read`] refuses, and an update of zero.
    pub fn load(dir: &Path, decoder: &Decoder) -> Result<Self> {
        let adapter = Self::new(Filed::read(dir, decoder)?, decoder)?;
        if adapter.delta_norms.iter().all(|s| *s == 0.0) {
            crate::fail!(
                "{}: the adapter changes nothing: every B A is zero; was it saved before training?",
                dir.display()
            );
        }
        Ok(adapter)
    }

    /// Of matrices that fit the decoder; the scale goes into B.
    ///
    /// # Errors
    /// What the device says.
    pub fn new(filed: Filed, decoder: &Decoder) -> Result<Self> {
        let mut squares = vec![0f64; decoder.blocks.len()];
        let mut loras = BTreeMap::new();
        for Pair { layer, proj, rank, scale, a, mut b } in filed.pairs {
            let (out, inp) = decoder.blocks[layer].linear(proj).w.shape();
            for x in &mut b {
                *x = (f64::from(*x) * scale) as f32;
            }
            squares[layer] += product_norm(&a, &b, rank);
            let make = |xs, rows, cols| Weight::from_floats(xs, rows, cols, DType::F32, &decoder.backend);
            loras.insert((layer, proj), Lora { a: make(a, rank, inp)?, b: make(b, out, rank)? });
        }
        let used = |p: &Proj| loras.keys().any(|(_, q)| q == p);
        Ok(Self {
            keys_matched: loras.len() * 2,
            rank: filed.rank,
            alpha: filed.alpha,
            targets: Proj::ALL.iter().filter(|p| used(p)).map(|p| p.module().to_owned()).collect(),
            loras,
            delta_norms: squares.into_iter().map(|s| s.sqrt() as f32).collect(),
        })
    }
}

/// `||B A||_F^2 = sum over i, j of (B^T B)_ij (A A^T)_ij`, without forming the product.
fn product_norm(a: &[f32], b: &[f32], rank: usize) -> f64 {
    let inp = a.len() / rank;
    let mut aa = vec![0f64; rank * rank];
    let mut bb = vec![0f64; rank * rank];
    for i in 0..rank {
        for j in 0..rank {
            let rows = a[i * inp..][..inp].iter().zip(&a[j * inp..][..inp]);
            aa[i * rank + j] = rows.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            bb[i * rank + j] = b.chunks_exact(rank).map(|r| f64::from(r[i]) * f64::from(r[j])).sum();
        }
    }
    aa.iter().zip(&bb).map(|(x, y)| x * y).sum::<f64>().max(0.0)
}
