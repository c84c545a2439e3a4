//! RMSNorms, along vectors of tokens.

use super::mat::{LINE, Mat, SendPtr};
#[cfg(target_arch = "x86_64")]
use super::simd::{Simd, fetch_to_write, simd};
use super::team;
use crate::multiversion;

/// How a norm's result is used.
pub enum NormOut<'a> {
    /// The normed activations.
    Write(&'a mut Mat),
    /// Added to a residual stream (Gemma's post-norms).
    AddTo(&'a mut Mat),
}

/// Norm of one strip of `vectors` lines of tokens (some of them padding); see [`rms_norm`].
///
/// # Safety
/// The rows of `w` of so many lines at `x`, and at `out`, which nobody else uses.
pub(super) unsafe fn norm_strip(vectors: usize, strip: Strip, w: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    if simd() == Simd::Avx512 {
        // SAFETY: the caller's; `simd` returns only what this processor was found to have.
        return unsafe {
            match vectors {
                1 => strip_512::<1>(strip, w),
                2 => strip_512::<2>(strip, w),
                3 => strip_512::<3>(strip, w),
                _ => strip_512::<4>(strip, w),
            }
        };
    }
    strip_of_lines(strip, vectors * LINE, w);
}

/// A strip of a matrix, to be normed into `out`.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    pub x: *const f32,
    pub out: *mut f32,
    /// Floats from one row to the next in each.
    pub x_row: usize,
    pub out_row: usize,
    pub plus: f32,
    pub eps: f32,
    pub add: bool,
}

/// Lines that are asked for before they are needed.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 32;

/// [`norm_strip`] in registers.
///
/// # Safety
/// As there; AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn strip_512<const V: usize>(strip: Strip, w: &[f32]) {
    use std::arch::x86_64::*;
    let rows = w.len();
    let halves = |x: __m512| {
        let upper =
            _mm512_castpd_ps(_mm512_shuffle_f64x2::<0b11_10_11_10>(_mm512_castps_pd(x), _mm512_castps_pd(x)));
        [_mm512_cvtps_pd(_mm512_castps512_ps256(x)), _mm512_cvtps_pd(_mm512_castps512_ps256(upper))]
    };
    let mut totals = [[_mm512_setzero_pd(); 2]; V];
    for first in (0..rows).step_by(PIECE) {
        let mut sums = [_mm512_setzero_ps(); V];
        for r in first..rows.min(first + PIECE) {
            for (v, sum) in sums.iter_mut().enumerate() {
                let at = strip.x.wrapping_add(r * strip.x_row + v * LINE);
                // Rows lie pages apart: the processor does not fetch the next ones by itself.
                // SAFETY: a prefetch never faults; the caller's.
                let x = unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD / V * strip.x_row).cast());
                    _mm512_loadu_ps(at)
                };
                *sum = _mm512_fmadd_ps(x, x, *sum);
            }
        }
        for (total, sum) in totals.iter_mut().zip(sums) {
            let [low, high] = halves(sum);
            *total = [_mm512_add_pd(total[0], low), _mm512_add_pd(total[1], high)];
        }
    }
    let mut factors = [_mm512_setzero_ps(); V];
    for (factor, total) in factors.iter_mut().zip(totals) {
        let mut sums = [0f64; LINE];
        // SAFETY: sixteen numbers.
        unsafe {
            _mm512_storeu_pd(sums.as_mut_ptr(), total[0]);
            _mm512_storeu_pd(sums[8..].as_mut_ptr(), total[1]);
        }
        let inverse = sums.map(|t| 1.0 / ((t / rows as f64) as f32 + strip.eps).sqrt());
        // SAFETY: sixteen numbers.
        *factor = unsafe { _mm512_loadu_ps(inverse.as_ptr()) };
    }
    for (r, w) in w.iter().enumerate() {
        let w = _mm512_set1_ps(w + strip.plus);
        for (v, factor) in factors.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let x = _mm512_loadu_ps(strip.x.wrapping_add(r * strip.x_row + v * LINE));
                let mut y = _mm512_mul_ps(_mm512_mul_ps(x, *factor), w);
                let out = strip.out.wrapping_add(r * strip.out_row + v * LINE);
                fetch_to_write(out.wrapping_add(AHEAD / V * strip.out_row));
                if strip.add {
                    y = _mm512_add_ps(_mm512_loadu_ps(out), y);
                }
                _mm512_storeu_ps(out, y);
            }
        }
    }
}

multiversion! {
    /// [`norm_strip`] on any processor.
    fn strip_of_lines(strip: Strip, n: usize, w: &[f32]) {
        let rows = w.len();
        let mut totals = [0f64; STRIP];
        for first in (0..rows).step_by(PIECE) {
            let mut sums = [0f32; STRIP];
            for r in first..rows.min(first + PIECE) {
                // SAFETY: the caller gives a strip inside both matrices and exclusive use of `out`'s strip.
                let xs = unsafe { std::slice::from_raw_parts(strip.x.add(r * strip.x_row), n) };
                for (s, v) in sums[..n].iter_mut().zip(xs) {
                    *s += v * v;
                }
            }
            for (t, s) in totals.iter_mut().zip(&sums) {
                *t += f64::from(*s);
            }
        }
        let mut sums = [0f32; STRIP];
        for (s, t) in sums[..n].iter_mut().zip(&totals) {
            *s = 1.0 / ((t / rows as f64) as f32 + strip.eps).sqrt();
        }
        for (r, w) in w.iter().enumerate() {
            let factor = w + strip.plus;
            // SAFETY: as above; where x and out are the same memory they are only used number by number.
            unsafe {
                for (c, s) in sums[..n].iter().enumerate() {
                    let v = *strip.x.add(r * strip.x_row + c) * s * factor;
                    let o = strip.out.add(r * strip.out_row + c);
                    *o = if strip.add { *o + v } else { v };
                }
            }
        }
    }
}

/// Tokens that are normed together.
const STRIP: usize = 4 * LINE;
/// Squares that are summed in f32 before they go to an f64 total: beside a residual stream's outliers (1e3 times the
/// other numbers in Gemma) the small squares would vanish in one f32 sum, and every norm be a little too large.
pub(super) const PIECE: usize = 16;

/// RMSNorm over features (Zhang & Sennrich 2019): `x / sqrt(mean(x^2) + eps) * (w + plus)`, `w [rows]`, where
/// `plus` is 1 for Gemma's own checkpoints and 0 otherwise.
pub fn rms_norm(x: &Mat, w: &[f32], plus: f32, eps: f64, out: NormOut) {
    let (out, add) = match out {
        NormOut::Write(m) => (m, false),
        NormOut::AddTo(m) => (m, true),
    };
    assert!(x.rows() == out.rows() && x.stride() == out.stride() && w.len() == x.rows());
    let (src, dst) = (SendPtr(x.flat().as_ptr().cast_mut()), SendPtr(out.flat_mut().as_mut_ptr()));
    norm_groups(src, dst, x.stride(), x.rows(), 1, x.cols(), w, plus, eps, add);
}

/// RMSNorm of each head by itself, in place: `x [heads * dim, tokens]`, `w [dim]`.
pub fn head_norm(x: &mut Mat, dim: usize, w: &[f32], plus: f32, eps: f64) {
    assert!(x.rows().is_multiple_of(dim) && w.len() == dim);
    let (stride, groups, cols) = (x.stride(), x.rows() / dim, x.cols());
    let p = SendPtr(x.flat_mut().as_mut_ptr());
    norm_groups(p, p, stride, dim, groups, cols, w, plus, eps, false);
}

#[expect(clippy::too_many_arguments, reason = "one private kernel behind two readable faces")]
fn norm_groups(
    src: SendPtr,
    dst: SendPtr,
    stride: usize,
    rows: usize,
    groups: usize,
    cols: usize,
    w: &[f32],
    plus: f32,
    eps: f64,
    add: bool,
) {
    assert_eq!(w.len(), rows);
    let strips = cols.div_ceil(STRIP);
    team::each(groups * strips, |i| {
        let (group, from) = (i / strips, (i % strips) * STRIP);
        let at = group * rows * stride + from;
        // SAFETY: strips are disjoint lines of disjoint groups of rows, and rows are whole lines.
        unsafe {
            let (x, out) = (src.get().cast_const().add(at), dst.get().add(at));
            let strip = Strip { x, out, x_row: stride, out_row: stride, plus, eps: eps as f32, add };
            norm_strip(STRIP.min(cols - from).div_ceil(LINE), strip, w);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_agree_with_the_formula() {
        let (rows, cols) = (24, 37);
        let xs: Vec<f32> = (0..rows * cols).map(|i| ((i * 31 % 17) as f32) - 8.0).collect();
        let x = Mat::from_tokens(rows, cols, &xs);
        let w: Vec<f32> = (0..rows).map(|i| i as f32 * 0.1).collect();
        let mut out = Mat::zeros(rows, cols);
        rms_norm(&x, &w, 1.0, 1e-6, NormOut::Write(&mut out));
        for t in 0..cols {
            let token = &xs[t * rows..][..rows];
            let ms: f32 = token.iter().map(|v| v * v).sum::<f32>() / rows as f32;
            for r in 0..rows {
                let want = token[r] / (ms + 1e-6).sqrt() * (1.0 + w[r]);
                assert!((out.row(r)[t] - want).abs() < 1e-5);
            }
        }
        let mut heads = x.clone();
        head_norm(&mut heads, 8, &w[..8], 0.0, 1e-6);
        let ms: f32 = xs[8..16].iter().map(|v| v * v).sum::<f32>() / 8.0;
        assert!((heads.row(9)[0] - xs[9] / (ms + 1e-6).sqrt() * w[1]).abs() < 1e-5);
    }
}
