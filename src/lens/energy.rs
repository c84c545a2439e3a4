//! Token energy (Wendler et al. 2024, section 5): how much of a state lies where output tokens lie.
//!
//! With the unembedding's rows times the final norm's factors scaled to length one, U, and the state scaled to
//! length one, h: `E(h)^2 = (|U h|^2 / V) / (|U U^T|_F^2 / V^2)`, the mean squared cosine to the tokens relative
//! to that between tokens.

use crate::engine::control::Cancel;
use crate::error::Result;
use crate::model::act::device;
use crate::model::decoder::Decoder;
use crate::model::kernels::CpuWeight;
use crate::model::kernels::Mat;
use crate::model::kernels::matmul::{Job, matmul};
use crate::model::linear::Weight;
use rayon::prelude::*;

/// What a model's token energy needs, computed once.
pub struct EnergyTable {
    /// 1 / length of each unembedding row times the final norm's factors, `[V]`.
    pub inverse_norms: Vec<f32>,
    /// Mean squared cosine between two tokens.
    pub between_tokens: f64,
}

/// Vocabulary rows per step of the Gram matrix.
const ROWS: usize = 2048;

impl EnergyTable {
    /// Computes the table: a pass over the unembedding for the norms, and `V d^2` multiplications for the mean
    /// between tokens, unless `known` has it for a model of these norms.
    ///
    /// # Errors
    /// Cancellation, or what the device says.
    pub fn new(
        decoder: &Decoder,
        cancel: &Cancel,
        known: impl FnOnce(&[f32]) -> Option<f64>,
    ) -> Result<Self> {
        let (vocabulary, hidden) = decoder.unembedding.shape();
        let factors = decoder.final_norm.factors();
        let mut inverse_norms = vec![0f32; vocabulary];
        for first in (0..vocabulary).step_by(ROWS) {
            cancel.check()?;
            let n = ROWS.min(vocabulary - first);
            let rows = rows_of(&decoder.unembedding, first, n)?;
            rows.par_chunks(hidden).zip(&mut inverse_norms[first..first + n]).for_each(|(row, inverse)| {
                let square = |(x, f): (&f32, &f32)| f64::from(x * f).powi(2);
                let length = row.iter().zip(&factors).map(square).sum::<f64>().sqrt();
                *inverse = if length > 0.0 { (1.0 / length) as f32 } else { 0.0 };
            });
        }
        let between_tokens = match known(&inverse_norms) {
            Some(x) => x,
            None => between_tokens(decoder, &factors, &inverse_norms, cancel)?,
        };
        Ok(Self { inverse_norms, between_tokens })
    }

    /// The energy of a state whose mean squared cosine to the tokens is known.
    pub fn energy(&self, mean_square_cosine: f64) -> f32 {
        (mean_square_cosine / self.between_tokens).sqrt() as f32
    }
}

/// `|U U^T|_F^2 / V^2` through the smaller Gram matrix `U^T U [d, d]`.
fn between_tokens(decoder: &Decoder, factors: &[f32], inverse_norms: &[f32], cancel: &Cancel) -> Result<f64> {
    let (vocabulary, hidden) = decoder.unembedding.shape();
    let mut gram = Mat::zeros(hidden, hidden);
    for first in (0..vocabulary).step_by(ROWS) {
        cancel.check()?;
        let n = ROWS.min(vocabulary - first);
        let mut rows = rows_of(&decoder.unembedding, first, n)?;
        rows.par_chunks_mut(hidden).zip(&inverse_norms[first..first + n]).for_each(|(row, inverse)| {
            for (x, f) in row.iter_mut().zip(factors) {
                *x *= f * inverse;
            }
        });
        // gram += rows^T rows: the rows as weights [d, n] and as activations [n, d].
        let mut transposed = vec![0f32; rows.len()];
        transposed.par_chunks_mut(n).enumerate().for_each(|(d, out)| {
            for (o, row) in out.iter_mut().zip(rows.chunks_exact(hidden)) {
                *o = row[d];
            }
        });
        let mut x = Mat::zeros(n, hidden);
        for r in 0..n {
            x.row_mut(r).copy_from_slice(&rows[r * hidden..][..hidden]);
        }
        let w = CpuWeight::floats(transposed, hidden, n);
        matmul(&x, &mut [Job { w: &w, y: &mut gram, add: true }]);
    }
    let square: f64 = (0..hidden).flat_map(|r| gram.row(r)).map(|g| f64::from(*g).powi(2)).sum();
    Ok(square / (vocabulary as f64).powi(2))
}

fn rows_of(w: &Weight, first: usize, n: usize) -> Result<Vec<f32>> {
    match w {
        Weight::Cpu(w) => {
            let mut rows = vec![0f32; n * w.inp];
            rows.par_chunks_mut(w.inp).enumerate().for_each(|(r, row)| w.widen_row(first + r, 0, row));
            Ok(rows)
        }
        Weight::Device(t) => t
            .narrow(0, first, n)
            .and_then(|t| t.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1())
            .map_err(device),
    }
}
