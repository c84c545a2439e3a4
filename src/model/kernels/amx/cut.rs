//! Cutting f32 into three bf16 numbers, in the order in which tiles want them.

use super::{DEEP, TALL, TILE};
use crate::model::kernels::mat::{Mat, SendPtr};
use rayon::prelude::*;
use std::arch::x86_64::*;

/// Activations `[in, tokens]` cut into tiles: per pair of 16 tokens, per 32 inputs, hi, mid and lo of both.
pub struct Packed {
    tiles: Mat,
    /// Tiles along `in`.
    pub deep: usize,
    pub tokens: usize,
}

impl Packed {
    /// Cuts `tokens` columns of `x` from column `from` (a multiple of 16) on the current rayon pool.
    pub fn new(x: &Mat, from: usize, tokens: usize) -> Self {
        let deep = x.rows().div_ceil(DEEP);
        let pairs = tokens.div_ceil(2 * TALL);
        let mut tiles = Mat::to_fill(pairs * deep * 6, TILE / 4);
        let (row, to) = (tiles.stride(), SendPtr(tiles.flat_mut().as_mut_ptr()));
        (0..pairs * deep).into_par_iter().for_each(|at| {
            let (pair, k) = (at / deep, at % deep * DEEP);
            for half in 0..2 {
                let column = pair * 2 * TALL + half * TALL;
                // A second half without tokens is never multiplied.
                if column < tokens {
                    let source = x.flat()[k * x.stride() + from + column..].as_ptr();
                    let to =
                        |part: usize| to.get().wrapping_add((at * 6 + part * 2 + half) * row).cast::<u8>();
                    // SAFETY: the rows k.. below `x.rows()` hold 16 floats from that column (rows are whole vectors),
                    // the three tiles lie in `tiles` and belong to this call; the caller of `available` has AVX-512.
                    unsafe { cut_tokens(source, x.stride(), DEEP.min(x.rows() - k), [to(0), to(1), to(2)]) };
                }
            }
        });
        Self { tiles, deep, tokens }
    }

    /// Cuts `tokens` columns of `rows` rows of `x`, `stride` apart (a multiple of 16), on the calling thread, into the
    /// memory of `self` where that is enough.
    pub fn refill(&mut self, x: &[f32], stride: usize, rows: usize, tokens: usize) {
        assert!(stride.is_multiple_of(TALL) && stride >= tokens && x.len() >= rows * stride);
        let (deep, pairs) = (rows.div_ceil(DEEP), tokens.div_ceil(2 * TALL));
        if self.tiles.rows() < pairs * deep * 6 {
            self.tiles = Mat::to_fill(pairs * deep * 6, TILE / 4);
        }
        (self.deep, self.tokens) = (deep, tokens);
        let (row, to) = (self.tiles.stride(), self.tiles.flat_mut().as_mut_ptr());
        for at in 0..pairs * deep {
            let (pair, k) = (at / deep, at % deep * DEEP);
            for column in (pair * 2 * TALL..tokens).step_by(TALL).take(2) {
                let half = column / TALL % 2;
                let to = |part: usize| to.wrapping_add((at * 6 + part * 2 + half) * row).cast::<u8>();
                let source = x[k * stride + column..].as_ptr();
                // SAFETY: as in `new`.
                unsafe { cut_tokens(source, stride, DEEP.min(rows - k), [to(0), to(1), to(2)]) };
            }
        }
    }

    /// Nothing yet, to be filled by [`Packed::refill`].
    pub fn empty() -> Self {
        Self { tiles: Mat::zeros(0, 0), deep: 0, tokens: 0 }
    }

    /// The tiles of a pair of token blocks at a depth.
    pub fn at(&self, pair: usize, deep: usize) -> *const u8 {
        let first = (pair * self.deep + deep) * 6 * self.tiles.stride();
        self.tiles.flat()[first..].as_ptr().cast()
    }

    /// Bytes from one tile to the next.
    pub fn step(&self) -> usize {
        self.tiles.stride() * 4
    }
}

/// hi, mid and lo of sixteen floats, each in the upper half of its lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn cut(x: __m512) -> [__m512i; 3] {
    let upper = _mm512_set1_epi32(0xFFFF_0000_u32 as i32);
    let hi = _mm512_and_si512(_mm512_castps_si512(x), upper);
    let rest = _mm512_sub_ps(x, _mm512_castsi512_ps(hi));
    let mid = _mm512_and_si512(_mm512_castps_si512(rest), upper);
    let lo = _mm512_sub_ps(rest, _mm512_castsi512_ps(mid));
    [hi, mid, _mm512_castps_si512(lo)]
}

/// A tile of 32 inputs (`rows` of them there, `stride` apart) x 16 tokens: neighbouring inputs in one lane.
///
/// # Safety
/// `rows` times 16 floats must be readable, a tile writable at each of `to`; AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn cut_tokens(x: *const f32, stride: usize, rows: usize, to: [*mut u8; 3]) {
    let upper = _mm512_set1_epi32(0xFFFF_0000_u32 as i32);
    for pair in 0..DEEP / 2 {
        let load = |k: usize| {
            // SAFETY: the caller's.
            if k < rows {
                unsafe { _mm512_loadu_ps(x.wrapping_add(k * stride)) }
            } else {
                _mm512_setzero_ps()
            }
        };
        let (even, odd) = (cut(load(2 * pair)), cut(load(2 * pair + 1)));
        for part in 0..3 {
            let both =
                _mm512_or_si512(_mm512_srli_epi32::<16>(even[part]), _mm512_and_si512(odd[part], upper));
            // SAFETY: the caller's.
            unsafe { _mm512_storeu_si512(to[part].wrapping_add(pair * 64).cast(), both) };
        }
    }
}

/// One row of weights, `depth` floats, into row `row` of successive tiles: `parts` of them for every 32 inputs, `step`
/// bytes apart; what is beyond `depth` in the last ones is zero.
///
/// # Safety
/// `depth` floats must be readable, the tiles writable from `to` on; AVX-512.
#[target_feature(enable = "avx512f")]
pub unsafe fn cut_weights(w: *const f32, depth: usize, parts: usize, to: *mut u8, step: usize) {
    for at in (0..depth).step_by(DEEP) {
        let to = to.wrapping_add(at / DEEP * parts * step);
        for half in 0..2 {
            let from = at + half * 16;
            let there = depth.saturating_sub(from).min(16);
            let mask = ((1u32 << there) - 1) as __mmask16;
            // SAFETY: masked lanes are not read; the others are the caller's. A prefetch never faults.
            let x = unsafe {
                _mm_prefetch::<_MM_HINT_T0>(w.wrapping_add(from + AHEAD).cast());
                cut(_mm512_maskz_loadu_ps(mask, w.wrapping_add(from)))
            };
            for (part, x) in x.into_iter().enumerate().take(parts) {
                let narrow = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(x));
                // SAFETY: the caller's.
                unsafe { _mm256_storeu_si256(to.wrapping_add(part * step + half * 32).cast(), narrow) };
            }
        }
    }
}

/// Sixteen columns (`columns` of them there) of 32 rows (`rows` of them there, `stride` apart) of weights as a tile
/// turned around, part by part, `step` bytes apart: row r of the tile is column r. What is not there is zero.
///
/// # Safety
/// `columns` floats must be readable in each of the `rows`, the tiles writable; AVX-512.
#[target_feature(enable = "avx512f")]
pub unsafe fn cut_turned(
    w: *const f32,
    stride: usize,
    rows: usize,
    columns: usize,
    parts: usize,
    to: *mut u8,
    step: usize,
) {
    let upper = _mm512_set1_epi32(0xFFFF_0000_u32 as i32);
    let mask = ((1u32 << columns) - 1) as __mmask16;
    let load = |k: usize| {
        // SAFETY: masked lanes are not read; the others are the caller's.
        if k < rows {
            unsafe { _mm512_maskz_loadu_ps(mask, w.wrapping_add(k * stride)) }
        } else {
            _mm512_setzero_ps()
        }
    };
    let mut pairs = [[_mm512_setzero_si512(); DEEP / 2]; 3];
    for pair in 0..DEEP / 2 {
        let (even, odd) = (cut(load(2 * pair)), cut(load(2 * pair + 1)));
        for ((to, even), odd) in pairs.iter_mut().zip(even).zip(odd).take(parts) {
            to[pair] = _mm512_or_si512(_mm512_srli_epi32::<16>(even), _mm512_and_si512(odd, upper));
        }
    }
    for (part, pairs) in pairs.iter().enumerate().take(parts) {
        for (r, row) in turned(pairs).into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { _mm512_storeu_si512(to.wrapping_add(part * step + r * 64).cast(), row) };
        }
    }
}

/// The transpose of a 16 x 16 matrix of 32-bit numbers.
#[inline]
#[target_feature(enable = "avx512f")]
fn turned(rows: &[__m512i; 16]) -> [__m512i; 16] {
    let mut a = *rows;
    let mut b = a;
    for i in (0..16).step_by(2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    for i in (0..16).step_by(4) {
        a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
    // Lane q of a[4 g + c] holds column 4 q + c of rows 4 g..4 g + 4.
    for half in (0..16).step_by(8) {
        for c in 0..4 {
            b[half + c] = _mm512_shuffle_i32x4::<0b10_00_10_00>(a[half + c], a[half + 4 + c]);
            b[half + 4 + c] = _mm512_shuffle_i32x4::<0b11_01_11_01>(a[half + c], a[half + 4 + c]);
        }
    }
    // Now b[c] has lanes (q 0, q 2) of rows 0..8, b[4 + c] lanes (q 1, q 3).
    let mut out = a;
    for c in 0..4 {
        out[c] = _mm512_shuffle_i32x4::<0b10_00_10_00>(b[c], b[8 + c]);
        out[8 + c] = _mm512_shuffle_i32x4::<0b11_01_11_01>(b[c], b[8 + c]);
        out[4 + c] = _mm512_shuffle_i32x4::<0b10_00_10_00>(b[4 + c], b[12 + c]);
        out[12 + c] = _mm512_shuffle_i32x4::<0b11_01_11_01>(b[4 + c], b[12 + c]);
    }
    out
}

/// Zeros in place of a row.
///
/// # Safety
/// As for [`cut_weights`].
pub unsafe fn clear(tiles: usize, parts: usize, to: *mut u8, step: usize) {
    for tile in 0..tiles * parts {
        // SAFETY: the caller's.
        unsafe { to.wrapping_add(tile * step).write_bytes(0, 64) };
    }
}

/// Floats ahead that are asked for while a row is cut.
const AHEAD: usize = 512;
