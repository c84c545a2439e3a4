//! Cutting f32 into three bf16 numbers, in the order in which tiles want them.

use super::{DEEP, TALL, TILE};
use crate::model::kernels::mat::{Mat, SendPtr};
use crate::model::kernels::team;
use std::arch::x86_64::*;

/// Pairs of tiles that are cut together.
const FEW: usize = 8;

/// Activations `[in, tokens]` cut into tiles: per pair of 16 tokens, per 32 inputs, part by part, a tile of both.
pub struct Packed {
    tiles: Mat,
    /// Tiles along `in`.
    pub deep: usize,
    pub tokens: usize,
    /// bf16 numbers for each number: 3 (exact), or 1 (rounded).
    pub parts: usize,
}

impl Packed {
    /// Cuts `tokens` columns of `x` from column `from` (a multiple of 16) on all threads.
    pub fn new(x: &Mat, from: usize, tokens: usize, parts: usize) -> Self {
        let deep = x.rows().div_ceil(DEEP);
        let pairs = tokens.div_ceil(2 * TALL);
        let mut tiles = Self::memory(pairs, deep, parts);
        let to = SendPtr(tiles.flat_mut().as_mut_ptr());
        // A few tiles at a time: one alone is less work than handing it out.
        team::each((pairs * deep).div_ceil(FEW), |few| {
            for at in few * FEW..(pairs * deep).min((few + 1) * FEW) {
                let (pair, k) = (at / deep, at % deep * DEEP);
                let to = to.get().cast::<u8>().wrapping_add(at * 2 * parts * TILE);
                let source = &x.flat()[k * x.stride() + from..];
                cut_pair(source, x.stride(), x.rows() - k, (pair * 2 * TALL, tokens), parts, to);
            }
        });
        Self { tiles, deep, tokens, parts }
    }

    /// Cuts `tokens` columns of `rows` rows of `x`, `stride` apart (a multiple of 16), exactly, on the calling thread,
    /// into the memory of `self` where that is enough.
    pub fn refill(&mut self, x: &[f32], stride: usize, rows: usize, tokens: usize) {
        assert!(stride.is_multiple_of(TALL) && stride >= tokens && x.len() >= rows * stride);
        let (deep, pairs) = (rows.div_ceil(DEEP), tokens.div_ceil(2 * TALL));
        if self.tiles.cols() < pairs * deep * 2 * self.parts * (TILE / 4) {
            self.tiles = Self::memory(pairs, deep, self.parts);
        }
        (self.deep, self.tokens) = (deep, tokens);
        let to = self.tiles.flat_mut().as_mut_ptr().cast::<u8>();
        for at in 0..pairs * deep {
            let (pair, k) = (at / deep, at % deep * DEEP);
            let to = to.wrapping_add(at * 2 * self.parts * TILE);
            cut_pair(&x[k * stride..], stride, rows - k, (pair * 2 * TALL, tokens), self.parts, to);
        }
    }

    /// Nothing yet, to be filled by [`Packed::refill`].
    pub fn empty() -> Self {
        Self { tiles: Mat::zeros(0, 0), deep: 0, tokens: 0, parts: 3 }
    }

    /// One row, so that tiles lie without gaps, on cache lines.
    fn memory(pairs: usize, deep: usize, parts: usize) -> Mat {
        Mat::to_fill(1, pairs * deep * 2 * parts * (TILE / 4))
    }

    /// The tiles of a pair of token blocks at a depth.
    pub fn at(&self, pair: usize, deep: usize) -> *const u8 {
        let first = (pair * self.deep + deep) * 2 * self.parts * (TILE / 4);
        self.tiles.flat()[first..].as_ptr().cast()
    }
}

/// The tiles of up to 32 tokens from `column` of `tokens`, over up to 32 of `rows` rows.
fn cut_pair(
    x: &[f32],
    stride: usize,
    rows: usize,
    (column, tokens): (usize, usize),
    parts: usize,
    to: *mut u8,
) {
    for half in 0..2 {
        let column = column + half * TALL;
        // A second half without tokens is never multiplied.
        if column < tokens {
            let to = |part: usize| to.wrapping_add((part * 2 + half) * TILE);
            let source = x[column..].as_ptr();
            // SAFETY: the rows hold 16 floats from that column (rows are whole vectors), the tiles belong to the
            // caller; the caller of `available` has AVX-512.
            unsafe {
                match parts {
                    1 => round_tokens(source, stride, DEEP.min(rows), to(0)),
                    _ => cut_tokens(source, stride, DEEP.min(rows), [to(0), to(1), to(2)]),
                }
            }
        }
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

/// The upper halves of two vectors' lanes side by side in each lane: how a tile holds the numbers k and k + 16.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn joined(first: __m512i, second: __m512i) -> __m512i {
    let upper = _mm512_set1_epi32(0xFFFF_0000_u32 as i32);
    // (a >> 16) | (b & upper): the truth table of "second operand, or third and first".
    _mm512_ternarylogic_epi32::<0b1110_1100>(second, _mm512_srli_epi32::<16>(first), upper)
}

/// Sixteen floats of row `k`, zeros where there are only `rows` rows.
///
/// # Safety
/// Sixteen floats must be readable in each of the rows; AVX-512.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn row_or_zeros(x: *const f32, stride: usize, k: usize, rows: usize) -> __m512 {
    // SAFETY: the caller's.
    if k < rows { unsafe { _mm512_loadu_ps(x.wrapping_add(k * stride)) } } else { _mm512_setzero_ps() }
}

/// A tile of 32 inputs (`rows` of them there, `stride` apart) x 16 tokens: inputs k and k + 16 in one lane.
///
/// # Safety
/// `rows` times 16 floats must be readable, a tile writable at each of `to`; AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn cut_tokens(x: *const f32, stride: usize, rows: usize, to: [*mut u8; 3]) {
    for k in 0..DEEP / 2 {
        // SAFETY: the caller's.
        unsafe {
            let first = cut(row_or_zeros(x, stride, k, rows));
            let second = cut(row_or_zeros(x, stride, k + DEEP / 2, rows));
            for part in 0..3 {
                _mm512_storeu_si512(to[part].wrapping_add(k * 64).cast(), joined(first[part], second[part]));
            }
        }
    }
}

/// Sixteen floats rounded to the nearest bf16, each in the upper half of its lane.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn rounded_bits(x: __m512) -> __m512i {
    let bits = _mm512_castps_si512(x);
    let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
    _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)))
}

/// As [`cut_tokens`], rounded to the nearest bf16.
///
/// # Safety
/// As for [`cut_tokens`].
#[target_feature(enable = "avx512f")]
unsafe fn round_tokens(x: *const f32, stride: usize, rows: usize, to: *mut u8) {
    for k in 0..DEEP / 2 {
        // SAFETY: the caller's.
        unsafe {
            let first = rounded_bits(row_or_zeros(x, stride, k, rows));
            let second = rounded_bits(row_or_zeros(x, stride, k + DEEP / 2, rows));
            _mm512_storeu_si512(to.wrapping_add(k * 64).cast(), joined(first, second));
        }
    }
}

/// Up to 16 rows (`rows` of them there, `stride` apart) of 32 floats of weights (`there` of them there) as a tile, part
/// by part, `step` bytes apart. What is not there is zero.
///
/// # Safety
/// `there` floats must be readable in each of the `rows`, the tiles writable; AVX-512.
#[target_feature(enable = "avx512f")]
pub unsafe fn cut_weights<const PARTS: usize>(
    w: *const f32,
    stride: usize,
    rows: usize,
    there: usize,
    to: *mut u8,
    step: usize,
) {
    let mask = |from: usize| ((1u32 << there.saturating_sub(from).min(16)) - 1) as __mmask16;
    let masks = [mask(0), mask(16)];
    for r in 0..TALL {
        let to = to.wrapping_add(r * 64);
        let half = |i: usize| {
            // SAFETY: masked lanes are not read; the others are the caller's. A prefetch never faults.
            unsafe {
                let w = w.wrapping_add(r * stride + i * 16);
                _mm_prefetch::<_MM_HINT_T0>(w.wrapping_add(AHEAD).cast());
                cut(_mm512_maskz_loadu_ps(if r < rows { masks[i] } else { 0 }, w))
            }
        };
        let (first, second) = (half(0), half(1));
        for part in 0..PARTS {
            // SAFETY: the caller's.
            unsafe {
                _mm512_storeu_si512(to.wrapping_add(part * step).cast(), joined(first[part], second[part]));
            }
        }
    }
}

/// The order that puts numbers i and i + 16 of 32 halves into lane i of 32 bits.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn side_by_side() -> __m512i {
    let count = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    _mm512_or_si512(count, _mm512_slli_epi32::<16>(_mm512_add_epi32(count, _mm512_set1_epi32(16))))
}

/// As [`cut_weights`] for bf16 numbers, in one part.
///
/// # Safety
/// As for [`cut_weights`]; AVX-512 with its byte and word instructions.
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn copy_weights(w: *const u16, stride: usize, rows: usize, there: usize, to: *mut u8) {
    let order = side_by_side();
    let mask = if there >= DEEP { u32::MAX } else { (1u32 << there) - 1 };
    for r in 0..TALL {
        // SAFETY: masked lanes are not read; the others are the caller's. A prefetch never faults.
        unsafe {
            let w = w.wrapping_add(r * stride);
            _mm_prefetch::<_MM_HINT_T0>(w.wrapping_add(2 * AHEAD).cast());
            let x = _mm512_maskz_loadu_epi16(if r < rows { mask } else { 0 }, w.cast());
            _mm512_storeu_si512(to.wrapping_add(r * 64).cast(), _mm512_permutexvar_epi16(order, x));
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
        let (first, second) = (cut(load(pair)), cut(load(pair + DEEP / 2)));
        for ((to, first), second) in pairs.iter_mut().zip(first).zip(second).take(parts) {
            to[pair] = joined(first, second);
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

/// Floats ahead that are asked for while rows are cut side by side.
const AHEAD: usize = 64;
