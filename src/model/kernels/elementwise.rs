//! What lies between the products, norms aside: rotary embeddings, gated activations, residual adds.
//!
//! All work on feature-major [`Mat`]s, along vectors of tokens.

use super::mat::{LINE, Mat, SendPtr};
use super::team;
use crate::model::config::Activation;
use crate::multiversion;
use rayon::prelude::*;
use std::ops::Range;

/// e^x by a polynomial on [-ln2/2, ln2/2] (Cephes' coefficients; relative error below 2e-7), branch-free so
/// that loops over it vectorise. Below -87.3 it gives 0, above 88.3 it stays at the largest finite power.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to a whole number that then stands in the low bits: no conversion to an integer,
    // which would keep the loop from vectorising.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    let y = p * r * r + r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    let scaled = y * power;
    if x < -87.3 { 0.0 } else { scaled }
}

/// tanh through [`exp`]; absolute error below 3e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[inline(always)]
fn activate(kind: Activation, x: f32) -> f32 {
    match kind {
        Activation::Silu => x / (1.0 + exp(-x)),
        // sqrt(2/pi) (x + 0.044715 x^3), as torch's gelu(approximate="tanh"); (1 + tanh(u)) / 2 = 1 / (1 + e^-2u)
        Activation::GeluTanh => x / (1.0 + exp(-1.595_769 * (x + 0.044_715 * x * x * x))),
    }
}

multiversion! {
    /// `gate = act(gate) * up`, number by number.
    fn gate_slice(kind: Activation, gate: &mut [f32], up: &[f32]) {
        match kind {
            Activation::Silu => {
                for (g, u) in gate.iter_mut().zip(up) {
                    *g = activate(Activation::Silu, *g) * u;
                }
            }
            Activation::GeluTanh => {
                for (g, u) in gate.iter_mut().zip(up) {
                    *g = activate(Activation::GeluTanh, *g) * u;
                }
            }
        }
    }
}

/// `gate = act(gate) * up`, the middle of a gated MLP; both `[intermediate, tokens]`.
pub fn gated(kind: Activation, gate: &mut Mat, up: &Mat) {
    assert!(gate.rows() == up.rows() && gate.stride() == up.stride());
    let piece = (gate.flat().len() / (rayon::current_num_threads() * 4)).next_multiple_of(LINE).max(4096);
    each_pair(gate.flat_mut(), up.flat(), piece, |g, u| gate_slice(kind, g, u));
}

/// `work` on pieces of two slices of one length, on all threads.
fn each_pair(a: &mut [f32], b: &[f32], piece: usize, work: impl Fn(&mut [f32], &[f32]) + Sync) {
    assert_eq!(a.len(), b.len());
    let (len, to) = (a.len(), SendPtr(a.as_mut_ptr()));
    team::each(len.div_ceil(piece), |i| {
        let from = i * piece;
        let n = piece.min(len - from);
        // SAFETY: pieces lie apart, and `a` is ours alone.
        let a = unsafe { std::slice::from_raw_parts_mut(to.get().wrapping_add(from), n) };
        work(a, &b[from..from + n]);
    });
}

multiversion! {
    /// Sum of a row's piece, in f64 on eight lanes.
    fn sum_slice(xs: &[f32]) -> f64 {
        let mut lanes = [0f64; 8];
        let (whole, rest) = xs.as_chunks::<8>();
        for eight in whole {
            for (lane, x) in lanes.iter_mut().zip(eight) {
                *lane += f64::from(*x);
            }
        }
        lanes.iter().sum::<f64>() + rest.iter().map(|x| f64::from(*x)).sum::<f64>()
    }
}

/// Rows whose sums are taken together.
const ROWS: usize = 32;

/// Sums over runs of tokens, `[runs][features]`.
pub fn sums(x: &Mat, runs: &[Range<usize>]) -> Vec<Vec<f64>> {
    let n = runs.len().max(1);
    let all: Vec<f64> = team::map(x.rows().div_ceil(ROWS), |piece| {
        let rows = piece * ROWS..x.rows().min((piece + 1) * ROWS);
        let sums = rows.flat_map(|r| runs.iter().map(move |run| sum_slice(&x.row(r)[run.clone()])));
        sums.collect::<Vec<f64>>()
    })
    .concat();
    (0..runs.len()).map(|i| all.iter().skip(i).step_by(n).copied().collect()).collect()
}

/// Angles of the rotary embedding for a run of positions: `[2 * dim / 2][tokens]`, cosines then sines.
pub struct Angles {
    pub cos: Mat,
    pub sin: Mat,
}

impl Angles {
    /// For the given positions and inverse frequencies `[dim / 2]`.
    pub fn new(inverse: &[f64], positions: &[usize]) -> Self {
        let mut cos = Mat::zeros(inverse.len(), positions.len());
        let mut sin = Mat::zeros(inverse.len(), positions.len());
        let stride = cos.stride();
        let rows = cos.flat_mut().par_chunks_mut(stride).zip(sin.flat_mut().par_chunks_mut(stride));
        rows.zip(inverse).with_min_len(8).for_each(|((c, s), f)| {
            for ((c, s), p) in c.iter_mut().zip(s).zip(positions) {
                // f32 as the reference library does it: position times frequency is rounded before the cosine.
                let angle = f64::from(*p as f32 * *f as f32);
                (*s, *c) = (angle.sin() as f32, angle.cos() as f32);
            }
        });
        Self { cos, sin }
    }
}

multiversion! {
    fn rotate(a: &mut [f32], b: &mut [f32], cos: &[f32], sin: &[f32], scale: f32) {
        for i in 0..a.len() {
            let (x, y) = (a[i], b[i]);
            a[i] = (x * cos[i] - y * sin[i]) * scale;
            b[i] = (y * cos[i] + x * sin[i]) * scale;
        }
    }
}

/// Rotary embedding (Su et al. 2021) in the half-split layout of Hugging Face, in place, times `scale`:
/// `x [heads * dim, tokens]`.
pub fn rope(x: &mut Mat, dim: usize, angles: &Angles, scale: f32) {
    let (half, stride, cols) = (dim / 2, x.stride(), x.cols());
    assert!(x.rows().is_multiple_of(dim) && angles.cos.rows() == half && angles.cos.cols() == cols);
    let (heads, to) = (x.rows() / dim, SendPtr(x.flat_mut().as_mut_ptr()));
    team::each(heads, |head| {
        // SAFETY: heads are rows of their own, and `x` is ours alone.
        let head = unsafe {
            std::slice::from_raw_parts_mut(to.get().wrapping_add(head * dim * stride), dim * stride)
        };
        let (first, second) = head.split_at_mut(half * stride);
        for i in 0..half {
            let (a, b) = (&mut first[i * stride..][..cols], &mut second[i * stride..][..cols]);
            rotate(a, b, angles.cos.row(i), angles.sin.row(i), scale);
        }
    });
}

/// `x += y`, all numbers.
pub fn add(x: &mut Mat, y: &Mat) {
    assert!(x.rows() == y.rows() && x.stride() == y.stride());
    each_pair(x.flat_mut(), y.flat(), 1 << 14, |a, b| {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
    });
}

/// Adds `bias [rows]` to every token.
pub fn add_bias(x: &mut Mat, bias: &[f32]) {
    assert_eq!(x.rows(), bias.len());
    for (r, b) in bias.iter().enumerate() {
        for v in x.row_mut(r) {
            *v += b;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_f64() {
        let x = super::super::testing::matrix(37, 70, 3);
        let runs = [0..70, 3..4, 5..5, 11..29];
        for (run, sums) in runs.iter().zip(sums(&x, &runs)) {
            for (r, sum) in sums.iter().enumerate() {
                let want: f64 = x.row(r)[run.clone()].iter().map(|v| f64::from(*v)).sum();
                assert!((sum - want).abs() < 1e-12, "{run:?} {r}: {sum} {want}");
            }
        }
    }

    #[test]
    fn exp_and_tanh_are_accurate() {
        for i in -8800..8800 {
            let x = i as f32 * 0.01;
            let want = f64::from(x).exp();
            if x > -87.0 {
                assert!((f64::from(exp(x)) / want - 1.0).abs() < 4e-7, "exp({x})");
            }
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 5e-7, "tanh({x})");
        }
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(1000.0).is_finite());
    }
}
