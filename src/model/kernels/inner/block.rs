//! Tokens from columns of a matrix to what the register tiles take: measured, scaled, and side by side in memory.

use super::super::mat::LINE;
use super::super::simd::fetch_to_write;
use super::across::Threes;
use super::{PIECE, TILE, TRIPLE};
use std::arch::x86_64::*;
use std::ops::RangeInclusive;

/// Sixteen columns that are to be laid out.
pub(super) struct Block {
    pub x: *const f32,
    pub x_row: usize,
    pub depth: usize,
    /// How many of the columns are tokens; the others become zero.
    pub tokens: usize,
    pub size: f32,
    /// Whether what is left over beside whole triples is traded too.
    pub rest: bool,
    pub to: *mut f32,
    pub back: *mut f32,
    pub own: Option<*mut f32>,
    pub own_row: usize,
}

impl Block {
    /// As [`super::dots::Dots`] takes them, `to_row` from four tokens to the next four.
    ///
    /// # Safety
    /// Every address must be there for its size, and AVX-512.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn lay_along(&self, to_row: usize) {
        // SAFETY: the caller's.
        unsafe {
            let (scale, ahead) = match self.own {
                Some(own) => (self.measure(own), 0),
                None => (_mm512_set1_ps(1.0), LINE),
            };
            for k in (0..self.depth).step_by(LINE) {
                let mut rows = [_mm512_setzero_ps(); LINE];
                for (i, row) in rows.iter_mut().enumerate() {
                    *row = _mm512_mul_ps(self.row(k + i, ahead), scale);
                }
                for (t, token) in transposed(rows).into_iter().enumerate() {
                    let to = self.to.add(t / TILE * to_row + t % TILE * LINE + k * TILE);
                    // What both sides read last is slow to become this one's.
                    fetch_to_write(to.wrapping_add(2 * LINE * TILE));
                    _mm512_store_ps(to, token);
                }
            }
        }
    }

    /// Blocks beside each other as [`super::across::Across`] takes them, `width` from an input to the next.
    ///
    /// # Safety
    /// As for [`Block::lay_along`], and every block has its own products.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn lay_across<const N: usize>(blocks: &[Self; N], width: usize) {
        // SAFETY: the caller's.
        unsafe {
            let mut scales = [_mm512_setzero_ps(); N];
            for (scale, block) in scales.iter_mut().zip(blocks) {
                *scale = block.own.map_or(_mm512_set1_ps(1.0), |own| block.measure(own));
            }
            let depth = blocks[0].depth;
            let mut to = blocks[0].to;
            let mut place = |k: usize| {
                for (i, (block, scale)) in blocks.iter().zip(scales).enumerate() {
                    fetch_to_write(to.wrapping_add(AHEAD * width + i * LINE));
                    _mm512_store_ps(to.add(i * LINE), _mm512_mul_ps(block.row(k, 0), scale));
                }
                to = to.wrapping_add(width);
            };
            for t in (0..depth).step_by(PIECE).flat_map(|from| threes(from, depth, true)) {
                for k in t.from..t.from + t.apart {
                    place(k);
                    place(k + t.apart);
                    place(k + 2 * t.apart);
                }
            }
            (Threes::inputs(depth)..depth).for_each(place);
        }
    }

    /// Input `k` of all columns, and the one that is `ahead` inputs further on is asked for: they lie pages apart, and the
    /// processor does not fetch them by itself.
    ///
    /// # Safety
    /// As for [`Block::lay_along`].
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn row(&self, k: usize, ahead: usize) -> __m512 {
        let there = (u32::MAX >> (32 - self.tokens)) as __mmask16;
        let at = self.x.wrapping_add(k * self.x_row);
        if ahead > 0 {
            _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(ahead * self.x_row).cast());
        }
        // SAFETY: the caller's.
        unsafe { _mm512_maskz_loadu_ps(there, at) }
    }

    /// The tokens' scales; what undoes them and the scaled tokens' own products are written.
    ///
    /// # Safety
    /// As for [`Block::lay_along`].
    #[target_feature(enable = "avx512f")]
    unsafe fn measure(&self, own: *mut f32) -> __m512 {
        // One sum would wait for itself, and lose more.
        let mut squares = [_mm512_setzero_ps(); 4];
        for (piece, from) in (0..self.depth).step_by(PIECE).enumerate() {
            let mut products = [_mm512_setzero_ps(); LINE];
            let end = self.depth.min(from + PIECE);
            let mut done = from;
            // SAFETY: the caller's.
            unsafe {
                for t in threes(from, self.depth, self.rest) {
                    for (i, sum) in products.iter_mut().enumerate().take(t.apart) {
                        let [a, b, c] = [0, t.apart, 2 * t.apart].map(|j| self.row(t.from + j + i, TRIPLE));
                        *sum = _mm512_fmadd_ps(a, b, *sum);
                        for (square, v) in squares.iter_mut().zip([a, b, c]) {
                            *square = _mm512_fmadd_ps(v, v, *square);
                        }
                    }
                    done = t.from + 3 * t.apart;
                }
                for k in done..end {
                    let v = self.row(k, 0);
                    squares[3] = _mm512_fmadd_ps(v, v, squares[3]);
                }
                _mm512_storeu_ps(own.add(piece * self.own_row), sum(&products));
            }
        }
        let (mut sums, mut scales, mut back) = ([0f32; LINE], [1f32; LINE], [1f32; LINE]);
        // SAFETY: sixteen numbers; the caller's.
        unsafe {
            _mm512_storeu_ps(sums.as_mut_ptr(), sum(&squares));
            for (t, sum) in sums.into_iter().enumerate().take(self.tokens) {
                (scales[t], back[t]) = self.scale(t, sum);
            }
            let scale = _mm512_loadu_ps(scales.as_ptr());
            _mm512_storeu_ps(self.back, _mm512_loadu_ps(back.as_ptr()));
            for piece in 0..self.depth.div_ceil(PIECE) {
                let own = own.add(piece * self.own_row);
                _mm512_storeu_ps(own, _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(own), scale), scale));
                for t in (0..self.tokens).filter(|t| !SAFE.contains(&f64::from(sums[*t]))) {
                    *own.add(t) = self.careful(t, piece, scales[t]);
                }
            }
            scale
        }
    }

    /// # Safety
    /// The token must be there.
    unsafe fn number(&self, k: usize, t: usize) -> f64 {
        // SAFETY: the caller's.
        f64::from(unsafe { *self.x.add(k * self.x_row + t) })
    }

    /// A scaled token's own products in one piece, of numbers of any size.
    ///
    /// # Safety
    /// The token must be there.
    unsafe fn careful(&self, t: usize, piece: usize, scale: f32) -> f32 {
        let (from, scale) = (piece * PIECE, f64::from(scale));
        let threes = threes(from, self.depth, self.rest);
        let at = threes.flat_map(|t| (t.from..t.from + t.apart).map(move |k| (k, k + t.apart)));
        // SAFETY: the caller's.
        at.map(|(a, b)| unsafe { scale * self.number(a, t) * (scale * self.number(b, t)) }).sum::<f64>()
            as f32
    }

    /// The power of two that brings a token, with its sum of squares, to the weights' size, and the one that undoes it.
    ///
    /// # Safety
    /// The token must be there.
    unsafe fn scale(&self, t: usize, squares: f32) -> (f32, f32) {
        let mut squares = f64::from(squares);
        if !SAFE.contains(&squares) {
            // SAFETY: the caller's.
            squares = (0..self.depth).map(|k| unsafe { self.number(k, t) }.powi(2)).sum();
        }
        let by = (f64::from(self.size) / (squares / self.depth as f64).sqrt()).log2().round();
        // Both powers must be numbers; a token of zeros has no size.
        if by.abs() <= 100.0 { (by.exp2() as f32, (-by).exp2() as f32) } else { (1.0, 1.0) }
    }
}

/// The inputs whose products are traded in the piece of `depth` from `from` on.
fn threes(from: usize, depth: usize, rest: bool) -> impl Iterator<Item = Threes> {
    let piece = PIECE.min(depth - from);
    Threes::of(if rest { piece } else { piece / TRIPLE * TRIPLE })
        .map(move |t| Threes { from: from + t.from, ..t })
}

/// Inputs ahead that are asked for to be written: what both sides read last is slow to become this one's.
const AHEAD: usize = 48;

/// Sums of squares beyond which, either way, squares and products are no f32 numbers any more or lose theirs.
const SAFE: RangeInclusive<f64> = 1e-25..=1e30;

/// All vectors' sum, two by two: a power of two of them.
#[inline]
#[target_feature(enable = "avx512f")]
fn sum<const N: usize>(v: &[__m512; N]) -> __m512 {
    let (mut v, mut n) = (*v, N);
    while n > 1 {
        n /= 2;
        for i in 0..n {
            v[i] = _mm512_add_ps(v[i], v[i + n]);
        }
    }
    v[0]
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
