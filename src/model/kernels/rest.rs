//! What a product's columns leave over beside whole vectors: a few columns, each along its depth, against rows of weights.
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

/// The last columns of a product's input, `[columns][depth]`.
pub struct Rest {
    x: Vec<f32>,
    depth: usize,
    pairs: bool,
}

impl Rest {
    /// How many of `cols` columns are left over, where it pays on this processor.
    pub fn count(cols: usize) -> usize {
        match cols % LINE {
            n @ 1..=MOST if cfg!(target_arch = "x86_64") && simd() == Simd::Avx512 => n,
            _ => 0,
        }
    }

    /// Columns `from..to` of `x`: numbers, or with `pairs` two bf16 ones in each.
    pub fn new(x: &Mat, from: usize, to: usize, pairs: bool) -> Self {
        assert!(to - from <= MOST);
        let depth = x.rows();
        let mut columns = vec![0f32; (to - from) * depth];
        for r in 0..depth {
            let row = &x.flat()[r * x.stride() + from..][..to - from];
            row.iter().enumerate().for_each(|(c, v)| columns[c * depth + r] = *v);
        }
        Self { x: columns, depth, pairs }
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.x.len() / self.depth.max(1)
    }

    /// `out[r][c] (+)= sum over k of w[r][k] * x[c][from + k]`.
    ///
    /// # Safety
    /// `w` must have `rows` rows of `depth` numbers, `w_row` apart, and `out` that many rows of as many numbers as there
    /// are columns, `out_row` apart, which nobody else uses.
    #[allow(clippy::too_many_arguments)]
    pub unsafe fn times(
        &self,
        (w, w_row): (*const f32, usize),
        rows: usize,
        (from, depth): (usize, usize),
        (out, out_row): (*mut f32, usize),
        add: bool,
    ) {
        assert!(from + depth <= self.depth);
        #[cfg(target_arch = "x86_64")]
        for first in (0..rows).step_by(ROWS) {
            let dots = Dots {
                k: depth,
                w: w.wrapping_add(first * w_row),
                w_row,
                x: self.x.as_ptr().wrapping_add(from),
                x_row: self.depth,
                out: out.wrapping_add(first * out_row),
                out_row,
                add,
            };
            let (r, c) = (ROWS.min(rows - first) - 1, self.columns() - 1);
            // SAFETY: the caller's; the instructions are there, or `count` were 0 and there were no pairs.
            unsafe {
                match self.pairs {
                    true => PAIRS[r][c](dots),
                    false => FLOATS[r][c](dots),
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("columns are left over on x86-64 alone: {w:?} {w_row} {rows} {out:?} {out_row} {add}");
    }
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Some rows against all columns.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Dots {
    k: usize,
    w: *const f32,
    w_row: usize,
    x: *const f32,
    x_row: usize,
    out: *mut f32,
    out_row: usize,
    add: bool,
}

#[cfg(target_arch = "x86_64")]
macro_rules! dots {
    ($table:ident, $kernel:ident, $features:literal, $fma:expr) => {
        /// # Safety
        /// As for [`Rest::times`], for `R` rows and `C` columns, with the instructions.
        #[target_feature(enable = $features)]
        unsafe fn $kernel<const R: usize, const C: usize>(d: Dots) {
            // SAFETY: the caller's; what lies behind the end is masked out.
            unsafe {
                let mut sums = [[_mm512_setzero_ps(); C]; R];
                for k in (0..d.k).step_by(LINE) {
                    let mask = if d.k - k >= LINE { !0 } else { (1 << (d.k - k)) - 1 };
                    let mut xs = [_mm512_setzero_ps(); C];
                    for c in 0..C {
                        xs[c] = _mm512_maskz_loadu_ps(mask, d.x.add(c * d.x_row + k));
                    }
                    for r in 0..R {
                        let w = _mm512_maskz_loadu_ps(mask, d.w.add(r * d.w_row + k));
                        for c in 0..C {
                            sums[r][c] = $fma(w, xs[c], sums[r][c]);
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
        static $table: [[unsafe fn(Dots); MOST]; ROWS] = [
            [$kernel::<1, 1>, $kernel::<1, 2>, $kernel::<1, 3>, $kernel::<1, 4>],
            [$kernel::<2, 1>, $kernel::<2, 2>, $kernel::<2, 3>, $kernel::<2, 4>],
            [$kernel::<3, 1>, $kernel::<3, 2>, $kernel::<3, 3>, $kernel::<3, 4>],
            [$kernel::<4, 1>, $kernel::<4, 2>, $kernel::<4, 3>, $kernel::<4, 4>],
        ];
    };
}

#[cfg(target_arch = "x86_64")]
dots!(FLOATS, floats, "avx512f", _mm512_fmadd_ps);
#[cfg(target_arch = "x86_64")]
dots!(PAIRS, pairs, "avx512f,avx512bf16", super::tile::dot_pairs);
