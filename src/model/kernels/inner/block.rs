//! Tokens from columns of a matrix to vectors along their depth.

use super::super::mat::LINE;
use super::{PIECE, TILE, own_products};
use std::arch::x86_64::*;

/// Sixteen columns that are to be laid out.
pub(super) struct Block {
    pub x: *const f32,
    pub x_row: usize,
    pub depth: usize,
    /// How many of the columns are tokens; the others become zero.
    pub tokens: usize,
    pub size: f32,
    pub to: *mut f32,
    pub to_row: usize,
    pub back: *mut f32,
    pub own: Option<*mut f32>,
    pub own_row: usize,
}

impl Block {
    /// # Safety
    /// Every address must be there for its size, and AVX-512.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn lay_out(&self) {
        let there = (u32::MAX >> (32 - self.tokens)) as __mmask16;
        // SAFETY: the caller's.
        unsafe {
            // Four sums: one would wait for itself.
            let mut squares = [_mm512_setzero_ps(); 4];
            for k in (0..self.depth).step_by(LINE) {
                let mut rows = [_mm512_setzero_ps(); LINE];
                for (i, row) in rows.iter_mut().enumerate() {
                    let at = self.x.add((k + i) * self.x_row);
                    // The next rows lie pages apart: the processor does not fetch them by itself.
                    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(LINE * self.x_row).cast());
                    *row = _mm512_maskz_loadu_ps(there, at);
                    squares[i % 4] = _mm512_fmadd_ps(*row, *row, squares[i % 4]);
                }
                for (t, token) in transposed(rows).into_iter().enumerate() {
                    let to = self.token(t).add(k * TILE);
                    // What both sides read last is slow to become this one's.
                    _mm_prefetch::<_MM_HINT_ET0>(to.wrapping_add(2 * LINE * TILE).cast());
                    _mm512_store_ps(to, token);
                }
            }
            let Some(own) = self.own else { return };
            let mut sums = [0f32; LINE];
            let [a, b, c, d] = squares;
            _mm512_storeu_ps(sums.as_mut_ptr(), _mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)));
            for (t, sum) in sums.into_iter().enumerate().take(self.tokens) {
                let (scale, back) = self.scale(self.token(t), sum);
                *self.back.add(t) = back;
                for (piece, from) in (0..self.depth).step_by(PIECE).enumerate() {
                    let (x, depth) = (self.token(t).add(from * TILE), PIECE.min(self.depth - from));
                    for k in (0..depth).step_by(LINE) {
                        let x = x.add(k * TILE);
                        _mm512_store_ps(x, _mm512_mul_ps(_mm512_load_ps(x), _mm512_set1_ps(scale)));
                    }
                    *own.add(piece * self.own_row + t) = own_products(x, TILE * LINE, depth);
                }
            }
        }
    }

    /// Where a token's first vector goes; the next ones lie `TILE * LINE` numbers apart.
    fn token(&self, t: usize) -> *mut f32 {
        self.to.wrapping_add(t / TILE * self.to_row + t % TILE * LINE)
    }

    /// The power of two that brings a token (laid out at `x`, with its sum of squares) to the weights' size, and the one
    /// that undoes it.
    ///
    /// # Safety
    /// The token must lie there.
    unsafe fn scale(&self, x: *const f32, squares: f32) -> (f32, f32) {
        let mut squares = f64::from(squares);
        if !(1e-25..=1e30).contains(&squares) {
            // Squares of what is so large or so small are no numbers, or lose theirs.
            let number = |k: usize| {
                // SAFETY: the caller's.
                f64::from(unsafe { *x.add(k / LINE * TILE * LINE + k % LINE) })
            };
            squares = (0..self.depth).map(|k| number(k).powi(2)).sum();
        }
        let by = (f64::from(self.size) / (squares / self.depth as f64).sqrt()).log2().round();
        // Both powers must be numbers; a token of zeros has no size.
        if by.abs() <= 100.0 { (by.exp2() as f32, (-by).exp2() as f32) } else { (1.0, 1.0) }
    }
}

/// Rows become columns.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transposed(r: [__m512; LINE]) -> [__m512; LINE] {
    let zero = _mm512_setzero_ps();
    // Within every 128 bits: four rows' numbers of one column.
    let mut quads = [zero; LINE];
    for i in (0..LINE).step_by(4) {
        let (a, b) = (_mm512_unpacklo_ps(r[i], r[i + 1]), _mm512_unpackhi_ps(r[i], r[i + 1]));
        let (c, d) = (_mm512_unpacklo_ps(r[i + 2], r[i + 3]), _mm512_unpackhi_ps(r[i + 2], r[i + 3]));
        let pd = _mm512_castps_pd;
        quads[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(a), pd(c)));
        quads[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(a), pd(c)));
        quads[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(b), pd(d)));
        quads[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(b), pd(d)));
    }
    let mut out = [zero; LINE];
    for j in 0..4 {
        // Column 4 l + j stands in lane l of each of the four quads.
        let (a, b) = (quads[j], quads[4 + j]);
        let (c, d) = (quads[8 + j], quads[12 + j]);
        let (low, high) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xEE>(a, b));
        let (low2, high2) = (_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xEE>(c, d));
        out[j] = _mm512_shuffle_f32x4::<0x88>(low, low2);
        out[4 + j] = _mm512_shuffle_f32x4::<0xDD>(low, low2);
        out[8 + j] = _mm512_shuffle_f32x4::<0x88>(high, high2);
        out[12 + j] = _mm512_shuffle_f32x4::<0xDD>(high, high2);
    }
    out
}
