//! What a product's columns of bf16 pairs leave over beside whole vectors: a few columns, each along its depth, against
//! rows of weights.
//!
//! The register tile gives them a whole vector, most of it padding: 19 columns cost as much as 32. Along the depth they
//! cost their own share. Their sums are taken in another order than the tile's, so that a column's last bits depend on
//! where it lies among the others.

use super::mat::{LINE, Mat};
use super::simd::{Simd, simd};

/// Most columns for which this is faster than a vector with padding.
const MOST: usize = 4;
/// Rows of weights at a time.
const ROWS: usize = 4;

/// The last columns of a product's input, `[columns][depth]`, two bf16 numbers in each.
pub struct Rest {
    x: Vec<f32>,
    depth: usize,
}

impl Rest {
    /// How many of `cols` columns are left over, where it pays on this processor.
    pub fn count(cols: usize) -> usize {
        match cols % LINE {
            n @ 1..=MOST if cfg!(target_arch = "x86_64") && simd() == Simd::Avx512 => n,
            _ => 0,
        }
    }

    /// Columns `from..to` of pairs.
    pub fn new(x: &Mat, from: usize, to: usize) -> Self {
        assert!(to - from <= MOST);
        let depth = x.rows();
        let mut columns = vec![0f32; (to - from) * depth];
        for r in 0..depth {
            let row = &x.flat()[r * x.stride() + from..][..to - from];
            row.iter().enumerate().for_each(|(c, v)| columns[c * depth + r] = *v);
        }
        Self { x: columns, depth }
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.x.len() / self.depth.max(1)
    }

    /// `out[r][c] (+)= sum over k of w[r][k] * x[c][k]` over both halves of every number; rows of `w` lie `w.1` apart.
    ///
    /// # Safety
    /// The processor must multiply pairs, and `out` have `rows` rows of as many numbers as there are columns, `out.1`
    /// apart, which nobody else uses.
    pub unsafe fn times(
        &self,
        (w, w_row): (&[f32], usize),
        rows: usize,
        (out, out_row): (*mut f32, usize),
        add: bool,
    ) {
        assert!(w_row >= self.depth && w.len() + w_row >= rows * w_row + self.depth);
        #[cfg(target_arch = "x86_64")]
        for first in (0..rows).step_by(ROWS) {
            let dots = Dots {
                k: self.depth,
                w: w[first * w_row..].as_ptr(),
                w_row,
                x: self.x.as_ptr(),
                out: out.wrapping_add(first * out_row),
                out_row,
                add,
            };
            // SAFETY: the caller's.
            unsafe { PAIRS[ROWS.min(rows - first) - 1][self.columns() - 1](dots) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("columns are left over on x86-64 alone: {w:?} {w_row} {rows} {out:?} {out_row} {add}");
    }
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Some rows against all columns, both `k` numbers long.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Dots {
    k: usize,
    w: *const f32,
    w_row: usize,
    x: *const f32,
    out: *mut f32,
    out_row: usize,
    add: bool,
}

/// # Safety
/// As for [`Rest::times`], for `R` rows and `C` columns.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
#[expect(clippy::needless_range_loop, reason = "rows and columns of a register tile")]
unsafe fn pairs<const R: usize, const C: usize>(d: Dots) {
    // SAFETY: the caller's; what lies behind the end is masked out.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); C]; R];
        for k in (0..d.k).step_by(LINE) {
            let mask = if d.k - k >= LINE { !0 } else { (1 << (d.k - k)) - 1 };
            let mut xs = [_mm512_setzero_ps(); C];
            for c in 0..C {
                xs[c] = _mm512_maskz_loadu_ps(mask, d.x.add(c * d.k + k));
            }
            for r in 0..R {
                let w = _mm512_maskz_loadu_ps(mask, d.w.add(r * d.w_row + k));
                for c in 0..C {
                    sums[r][c] = super::tile::dot_pairs(w, xs[c], sums[r][c]);
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                let (sum, to) = (_mm512_reduce_add_ps(sums[r][c]), d.out.add(r * d.out_row + c));
                *to = if d.add { *to + sum } else { sum };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
static PAIRS: [[unsafe fn(Dots); MOST]; ROWS] = [
    [pairs::<1, 1>, pairs::<1, 2>, pairs::<1, 3>, pairs::<1, 4>],
    [pairs::<2, 1>, pairs::<2, 2>, pairs::<2, 3>, pairs::<2, 4>],
    [pairs::<3, 1>, pairs::<3, 2>, pairs::<3, 3>, pairs::<3, 4>],
    [pairs::<4, 1>, pairs::<4, 2>, pairs::<4, 3>, pairs::<4, 4>],
];
