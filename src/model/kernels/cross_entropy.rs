//! Cross-entropy over a large vocabulary and its gradient, in one pass over the unembedding.
//!
//! The logits exist a block of vocabulary rows at a time. Each block is exponentiated against the largest logit so far
//! and goes back at once through the same rows of the unembedding; what was summed before is scaled down whenever a
//! larger logit comes (the online softmax of Milakov & Gimelshein 2018, carried through the backward product). So the
//! unembedding is read once, and the memory is that of the states.

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::attention::soft_cap;
use super::elementwise::exp;
#[cfg(target_arch = "x86_64")]
use super::inner::Inner;
#[cfg(target_arch = "x86_64")]
use super::mat::SendPtr;
use super::mat::{LINE, Mat};
use super::matmul::CpuWeight;
use super::simd::simd;
#[cfg(target_arch = "x86_64")]
use super::source::Output;
use super::source::{DEPTH, panel_times};
use super::tile::{Tile, Tiles};
use crate::engine::control::Cancel;
use crate::error::Result;
use crate::model::format::{Format, floats_of};
use crate::multiversion;
use rayon::prelude::*;
use std::ops::Range;

/// Vocabulary rows of a block: its logits of [`COLUMNS`] states stay in the L2 cache.
const ROWS: usize = 128;
/// Most states in one pass over the unembedding.
const COLUMNS: usize = 512;
/// Fewest states for which cutting the unembedding for the processor's tiles pays.
#[cfg(target_arch = "x86_64")]
const FEWEST: usize = 64;
/// Fewest parts of the vocabulary that are summed apart, whatever the threads are: the result's bits must not depend
/// on who came first.
const PARTS: usize = 8;

/// Sum over states of `-log softmax(w x)[label]` (nats), and its gradient into `dx` where that is given (overwritten).
/// `w [vocabulary, in]`, `x` and `dx [in, n]`, `labels [n]` within the vocabulary. On the current rayon pool.
///
/// # Errors
/// Cancellation.
pub fn cross_entropy(
    w: &CpuWeight,
    x: &Mat,
    labels: &[u32],
    softcap: Option<f32>,
    mut dx: Option<&mut Mat>,
    cancel: &Cancel,
) -> Result<f64> {
    assert!(w.inp == x.rows() && labels.len() == x.cols());
    let mut nll = 0.0;
    for from in (0..x.cols()).step_by(COLUMNS) {
        let to = x.cols().min(from + COLUMNS);
        let piece;
        let states = if to - from == x.cols() {
            x
        } else {
            piece = x.columns(from, to);
            &piece
        };
        let task = Task {
            w,
            x: states,
            labels: &labels[from..to],
            softcap,
            gradient: dx.is_some(),
            #[cfg(target_arch = "x86_64")]
            packed: (amx::available() && to - from >= FEWEST)
                .then(|| amx::Packed::new(states, 0, to - from, 3)),
            #[cfg(target_arch = "x86_64")]
            inner: match amx::available() {
                true => None,
                false => Inner::of_floats(
                    &states.flat()[..states.rows() * states.stride()],
                    states.stride(),
                    to - from,
                    w.size(),
                ),
            },
            cancel,
        };
        let (sum, d) = task.run()?;
        nll += sum;
        if let (Some(dx), Some(d)) = (dx.as_deref_mut(), d) {
            for r in 0..d.rows() {
                dx.row_mut(r)[from..to].copy_from_slice(d.row(r));
            }
        }
    }
    Ok(nll)
}

/// One pass over the unembedding.
struct Task<'a> {
    w: &'a CpuWeight,
    x: &'a Mat,
    labels: &'a [u32],
    softcap: Option<f32>,
    gradient: bool,
    /// The states for the processor's tiles, where they are used.
    #[cfg(target_arch = "x86_64")]
    packed: Option<amx::Packed>,
    /// The states for traded products, where those are the faster ones.
    #[cfg(target_arch = "x86_64")]
    inner: Option<Inner>,
    cancel: &'a Cancel,
}

/// What a part of the vocabulary gives.
struct Part {
    /// Per state: the largest logit, the exponentials' sum against it, and the label's logit if it is in this part.
    max: Vec<f32>,
    sum: Vec<f64>,
    label: Vec<Option<f32>>,
    /// `[in, n]`: sum over the part of (exponential against the largest logit) times row.
    d: Option<Mat>,
}

impl Task<'_> {
    fn run(&self) -> Result<(f64, Option<Mat>)> {
        let parts = PARTS.max(rayon::current_num_threads() * 2);
        let rows = self.w.out.div_ceil(parts).next_multiple_of(ROWS);
        let starts: Vec<usize> = (0..self.w.out).step_by(rows).collect();
        let parts: Vec<Part> = starts
            .into_par_iter()
            .map(|first| self.part(first..self.w.out.min(first + rows)))
            .collect::<Result<_>>()?;
        Ok(self.merge(&parts))
    }

    fn part(&self, range: Range<usize>) -> Result<Part> {
        let (n, inp) = (self.x.cols(), self.w.inp);
        let width = n.next_multiple_of(LINE);
        let mut part = Part {
            max: vec![f32::MIN; width],
            sum: vec![0.0; n],
            label: vec![None; n],
            d: self.gradient.then(|| Mat::zeros(inp, n)),
        };
        let mut z = vec![0f32; ROWS * width];
        let mut wide = Vec::new();
        let mut slopes = Vec::new();
        let mut own = Mat::to_fill(inp, if self.gradient { n } else { 0 });
        #[cfg(target_arch = "x86_64")]
        let mut packed = amx::Packed::empty();
        for first in range.clone().step_by(ROWS) {
            self.cancel.check()?;
            let rows = ROWS.min(range.end - first);
            let block = block(self.w, first, rows, &mut wide);
            let z = &mut z[..rows * width];
            self.logits(block, z, width);
            if let Some(cap) = self.softcap {
                soft_cap(z, cap);
            }
            for (c, label) in self.labels.iter().enumerate() {
                if let Some(r) = (*label as usize).checked_sub(first).filter(|r| *r < rows) {
                    part.label[c] = Some(z[r * width + c]);
                }
            }
            if let Some(cap) = self.softcap {
                slopes.clear();
                slopes.extend(z.iter().map(|z| 1.0 - (z / cap) * (z / cap)));
            }
            let scale = part.exponentials(z, width, n);
            if self.softcap.is_some() && self.gradient {
                for (z, s) in z.iter_mut().zip(&slopes) {
                    *z *= s;
                }
            }
            if let Some(d) = &mut part.d {
                if let Some(scale) = scale {
                    rescale(d, &scale);
                }
                #[cfg(target_arch = "x86_64")]
                if self.packed.is_some() {
                    tiles_back(block, self.w.format, z, (rows, width), &mut packed, &mut own);
                    add(d, &own);
                    continue;
                }
                #[cfg(target_arch = "x86_64")]
                if self.inner.is_some()
                    && let Some(e) = Inner::of_floats(z, width, n, self.w.size())
                {
                    let out = Output { y: SendPtr(d.flat_mut().as_mut_ptr()), row: d.stride(), add: true };
                    // SAFETY: the sums are ours and have a row for each input.
                    unsafe { e.float_columns_times(block, inp, out) }
                    continue;
                }
                back(block, z, (rows, width), &mut own);
                add(d, &own);
            }
        }
        Ok(part)
    }

    /// `z [rows][width] = block x`, on the calling thread.
    fn logits(&self, block: &[f32], z: &mut [f32], width: usize) {
        let inp = self.w.inp;
        #[cfg(target_arch = "x86_64")]
        if let Some(packed) = &self.packed {
            let weights = amx::Weights::floats(block, inp, self.w.format, false);
            let out = Output { y: SendPtr(z.as_mut_ptr()), row: width, add: false };
            return amx::rows_times(weights, 0..block.len() / inp, packed, out);
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(inner) = &self.inner {
            let out = Output { y: SendPtr(z.as_mut_ptr()), row: width, add: false };
            // SAFETY: z is ours and has a row for each of the block's.
            return unsafe { inner.floats_times(block, out) };
        }
        let tile = Tile {
            k: inp,
            w: block.as_ptr(),
            w_row: inp,
            w_k: 1,
            x: self.x.flat().as_ptr(),
            x_k: self.x.stride(),
            out: z.as_mut_ptr(),
            out_row: width,
            add: false,
            prefetch: std::ptr::null(),
        };
        // SAFETY: the block has rows of `inp` numbers, rows of x and z reach to whole vectors.
        unsafe { panel_times(Tiles::of(simd()), tile, block.len() / inp, (self.x.cols(), DEPTH)) };
    }

    /// The negative log-likelihoods' sum and the gradient from all parts.
    fn merge(&self, parts: &[Part]) -> (f64, Option<Mat>) {
        let n = self.x.cols();
        let mut nll = 0.0;
        // Per part and state: what its sums are multiplied by.
        let mut factors = vec![vec![0f32; n]; parts.len()];
        let mut slopes = vec![1f32; n];
        for c in 0..n {
            let max = parts.iter().map(|p| p.max[c]).fold(f32::MIN, f32::max);
            let shift = |p: &Part| f64::from(p.max[c] - max).exp();
            let sum: f64 = parts.iter().map(|p| p.sum[c] * shift(p)).sum();
            for (f, p) in factors.iter_mut().zip(parts) {
                f[c] = (shift(p) / sum) as f32;
            }
            let label = parts.iter().find_map(|p| p.label[c]).unwrap_or(f32::NAN);
            nll += sum.ln() + f64::from(max) - f64::from(label);
            if let Some(cap) = self.softcap {
                slopes[c] = 1.0 - (label / cap) * (label / cap);
            }
        }
        if !self.gradient {
            return (nll, None);
        }
        let mut d = Mat::zeros(self.w.inp, n);
        let stride = d.stride();
        d.flat_mut()[..self.w.inp * stride].par_chunks_mut(stride).enumerate().for_each(|(r, row)| {
            for (p, f) in parts.iter().zip(&factors) {
                let Some(from) = &p.d else { continue };
                for ((to, from), f) in row.iter_mut().zip(from.row(r)).zip(f) {
                    *to += from * f;
                }
            }
        });
        for (c, label) in self.labels.iter().enumerate() {
            for (r, u) in self.w.row(*label as usize).into_iter().enumerate() {
                d.row_mut(r)[c] -= u * slopes[c];
            }
        }
        (nll, Some(d))
    }
}

/// Rows of the weights as f32: where they lie, or widened into `wide`.
fn block<'a>(w: &'a CpuWeight, first: usize, rows: usize, wide: &'a mut Vec<f32>) -> &'a [f32] {
    if w.format == Format::F32 {
        return &floats_of(w.bytes())[first * w.inp..][..rows * w.inp];
    }
    wide.resize(ROWS * w.inp, 0.0);
    for (r, to) in wide.chunks_exact_mut(w.inp).enumerate().take(rows) {
        w.widen_row(first + r, 0, to);
    }
    &wide[..rows * w.inp]
}

impl Part {
    /// Logits to exponentials against the largest so far; returns what the earlier sums must be multiplied by where
    /// some column's largest has changed.
    fn exponentials(&mut self, z: &mut [f32], width: usize, n: usize) -> Option<Vec<f32>> {
        let mut max = self.max.clone();
        let mut sums = vec![0f32; width];
        exponentials(z, width, &mut max, &mut sums);
        let changed = max[..n] != self.max[..n];
        let mut scale = vec![1f32; width];
        for c in 0..n {
            let by = f64::from(self.max[c] - max[c]).exp();
            scale[c] = by as f32;
            self.sum[c] = self.sum[c] * by + f64::from(sums[c]);
        }
        self.max = max;
        changed.then_some(scale)
    }
}

multiversion! {
    /// Raises `max` to each column's largest, replaces logits by exponentials against it and adds up their sums.
    fn exponentials(z: &mut [f32], width: usize, max: &mut [f32], sums: &mut [f32]) {
        for row in z.chunks_exact(width) {
            for (m, z) in max.iter_mut().zip(row) {
                *m = if *z > *m { *z } else { *m };
            }
        }
        for row in z.chunks_exact_mut(width) {
            for ((z, m), s) in row.iter_mut().zip(max.iter()).zip(sums.iter_mut()) {
                *z = exp(*z - m);
                *s += *z;
            }
        }
    }
}

/// Multiplies each column.
fn rescale(d: &mut Mat, scale: &[f32]) {
    for r in 0..d.rows() {
        for (x, s) in d.row_mut(r).iter_mut().zip(scale) {
            *x *= s;
        }
    }
}

/// `own = block^T e`: `block [rows, in]`, `e [rows][width]`, `own [in, n]`, on the calling thread.
fn back(block: &[f32], e: &[f32], (rows, width): (usize, usize), own: &mut Mat) {
    let tiles = Tiles::of(simd());
    let (inp, stride, n) = (own.rows(), own.stride(), own.cols());
    let to = own.flat_mut().as_mut_ptr();
    for (c, vectors) in tiles.column_blocks(n) {
        for r in (0..inp).step_by(tiles.max_rows) {
            let tile = Tile {
                k: rows,
                w: block[r..].as_ptr(),
                w_row: 1,
                w_k: inp,
                x: e[c..].as_ptr(),
                x_k: width,
                out: to.wrapping_add(r * stride + c),
                out_row: stride,
                add: false,
                prefetch: std::ptr::null(),
            };
            // SAFETY: the block has `rows` rows of `inp` numbers; rows of e and of the sums reach to whole vectors.
            unsafe { tiles.run(tiles.max_rows.min(inp - r), vectors, tile) };
        }
    }
}

/// [`back`] where the processor has tiles.
#[cfg(target_arch = "x86_64")]
fn tiles_back(
    block: &[f32],
    format: Format,
    e: &[f32],
    (rows, width): (usize, usize),
    packed: &mut amx::Packed,
    own: &mut Mat,
) {
    packed.refill(e, width, rows, own.cols());
    let (inp, row) = (own.rows(), own.stride());
    let out = Output { y: SendPtr(own.flat_mut().as_mut_ptr()), row, add: false };
    amx::rows_times(amx::Weights::floats(block, inp, format, true), 0..inp, packed, out);
}

/// `d += own`. A block is summed by itself first: added one by one to the large sum, the thousands of improbable tokens
/// would be rounded away, and with them up to 3e-5 of the gradient, the same way at every position.
fn add(d: &mut Mat, own: &Mat) {
    let n = d.cols();
    for r in 0..d.rows() {
        for (d, own) in d.row_mut(r)[..n].iter_mut().zip(own.row(r)) {
            *d += own;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    /// In [-2, 2), so that some words are much more probable than others.
    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        testing::numbers(n, seed).iter().map(|x| 2.0 * x).collect()
    }

    #[test]
    fn loss_and_gradient_equal_the_plain_ones() {
        for (vocabulary, inp, n, softcap) in
            [(3000, 24, 37, None), (1500, 40, 5, Some(3.0)), (130, 8, 600, None)]
        {
            let w = CpuWeight::floats(numbers(vocabulary * inp, 1), vocabulary, inp);
            let xs = numbers(inp * n, 2);
            let x = Mat::from_tokens(inp, n, &xs);
            let labels: Vec<u32> = (0..n).map(|i| (i * 7919 % vocabulary) as u32).collect();
            let mut dx = Mat::zeros(inp, n);
            let none = Cancel::new();
            let got = cross_entropy(&w, &x, &labels, softcap, Some(&mut dx), &none).unwrap();
            let alone = cross_entropy(&w, &x, &labels, softcap, None, &none).unwrap();
            assert_eq!(got, alone);
            let rows: Vec<Vec<f32>> = (0..vocabulary).map(|v| w.row(v)).collect();
            let mut nll = 0f64;
            for c in 0..n {
                let column = &xs[c * inp..][..inp];
                let z: Vec<f64> = rows
                    .iter()
                    .map(|row| {
                        let z: f64 = row.iter().zip(column).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        softcap.map_or(z, |cap: f32| f64::from(cap) * (z / f64::from(cap)).tanh())
                    })
                    .collect();
                let max = z.iter().copied().fold(f64::MIN, f64::max);
                let sum: f64 = z.iter().map(|z| (z - max).exp()).sum();
                nll += sum.ln() + max - z[labels[c] as usize];
                if c % 9 > 0 {
                    continue;
                }
                for (r, row) in (0..inp).map(|r| (r, dx.row(r))) {
                    let want: f64 = (0..vocabulary)
                        .map(|v| {
                            let p = (z[v] - max).exp() / sum - f64::from(u8::from(v == labels[c] as usize));
                            let slope = softcap.map_or(1.0, |cap| 1.0 - (z[v] / f64::from(cap)).powi(2));
                            p * slope * f64::from(rows[v][r])
                        })
                        .sum();
                    let got = f64::from(row[c]);
                    assert!((got - want).abs() < 2e-5, "{vocabulary} {inp} {n}: {r},{c}: {got} for {want}");
                }
            }
            assert!((got - nll).abs() < 1e-5 * nll, "{got} for {nll}");
        }
    }
}
