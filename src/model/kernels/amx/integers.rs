//! ggml's quantised blocks laid out as tiles of bf16 integers, with a scale and an offset for every 32 numbers.

use super::cut::{joined, side_by_side};
use super::{TALL, TILE};
use crate::model::format::Format;
use crate::model::kernels::matmul::CpuWeight;
use crate::model::widen::scale_and_min;
use std::arch::x86_64::*;
use std::ops::Range;

/// How a format's numbers are written as `scale * integer + offset`, 32 with one scale at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding(Format);

/// Where a row's block of 32 goes: block along the rows, tile of rows, row of the tile.
#[derive(Clone, Copy)]
pub struct Place {
    block: usize,
    tile: usize,
    row: usize,
}

/// What is laid out of a block: tiles with the numbers i and i + 16 in a lane.
pub trait Layout {
    /// A row's block, as integers of up to eight bits (or of more where they are `LONG`).
    ///
    /// # Safety
    /// The tile must be there; AVX-512.
    unsafe fn put<const LONG: bool>(&mut self, at: Place, scale: f32, offset: f32, integers: [__m512i; 2]);
}

/// The integers, by block, then by tile of 16 rows, then by part; scales and offsets `[blocks][rows]`.
pub struct Integers<'a> {
    pub to: *mut u8,
    /// Tiles of rows.
    pub tall: usize,
    pub scales: &'a mut [f32],
    /// Empty for formats without offsets.
    pub offsets: &'a mut [f32],
}

/// Numbers rounded to bf16: by pairs of tiles of rows, then by block, then the two tiles.
pub struct Rounded {
    pub to: *mut u8,
    /// Blocks along the rows.
    pub deep: usize,
}

impl Coding {
    /// That of a format, if it can be written so with integers of few bits.
    pub fn of(format: Format) -> Option<Self> {
        use Format::*;
        matches!(format, Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0 | Q4K | Q5K | Q6K).then_some(Self(format))
    }

    /// bf16 numbers that an integer is the sum of: Q6_K's are multiplied with the scales of 16 numbers, which makes
    /// integers of up to 13 bits.
    pub fn parts(self) -> usize {
        if self.0 == Format::Q6K { 2 } else { 1 }
    }

    pub fn has_offsets(self) -> bool {
        matches!(self.0, Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K)
    }

    /// Blocks of 32 that must be laid out together.
    pub fn tiles_at_once(self) -> usize {
        self.0.block_len() / 32
    }

    /// Lays out blocks `blocks` (of 32 numbers each) of the rows.
    ///
    /// # Safety
    /// `to` must have room for whole tiles of rows; AVX-512.
    pub unsafe fn lay_out<L: Layout>(
        self,
        w: &CpuWeight,
        rows: Range<usize>,
        blocks: Range<usize>,
        to: &mut L,
    ) {
        let (size, step) = (self.0.block_bytes(), self.tiles_at_once());
        let (first, count) = (blocks.start / step * size, blocks.len() / step * size);
        assert!(blocks.start.is_multiple_of(step) && blocks.len().is_multiple_of(step));
        let all = w.stored_row(rows.start).len();
        for tile in 0..rows.len().div_ceil(TALL) {
            // In place of rows that are not there the last one, whose sums nobody reads.
            let row =
                |r: usize| &w.stored_row((rows.start + tile * TALL + r).min(rows.end - 1))[first..][..count];
            let rows: [&[u8]; TALL] = std::array::from_fn(row);
            // SAFETY: the caller's; F16C is older than AVX-512.
            unsafe {
                match self.0 {
                    Format::Q4_0 => q4_0(&rows, all, tile, to),
                    Format::Q4_1 => q4_1(&rows, all, tile, to),
                    Format::Q5_0 => q5_0(&rows, all, tile, to),
                    Format::Q5_1 => q5_1(&rows, all, tile, to),
                    Format::Q8_0 => q8_0(&rows, all, tile, to),
                    Format::Q4K => q4_k(&rows, all, tile, to),
                    Format::Q5K => q5_k(&rows, all, tile, to),
                    _ => q6_k(&rows, all, tile, to),
                }
            }
        }
    }
}

impl Layout for Integers<'_> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn put<const LONG: bool>(&mut self, at: Place, scale: f32, offset: f32, integers: [__m512i; 2]) {
        let tile = at.block * self.tall + at.tile;
        self.scales[tile * TALL + at.row] = scale;
        if let Some(to) = self.offsets.get_mut(tile * TALL + at.row) {
            *to = offset;
        }
        let parts = 1 + usize::from(LONG);
        let to = self.to.wrapping_add(tile * parts * TILE + at.row * 64);
        let [first, second] = integers.map(|x| _mm512_castps_si512(_mm512_cvtepi32_ps(x)));
        // SAFETY: the caller's.
        unsafe { _mm512_store_si512(to.cast(), joined(first, second)) };
        if LONG {
            let upper = _mm512_set1_epi32(0xFFFF_0000_u32 as i32);
            let rest = |x: __m512i| {
                let hi = _mm512_castsi512_ps(_mm512_and_si512(x, upper));
                _mm512_castps_si512(_mm512_sub_ps(_mm512_castsi512_ps(x), hi))
            };
            // SAFETY: the caller's.
            unsafe {
                _mm512_store_si512(to.wrapping_add(TILE).cast(), joined(rest(first), rest(second)));
            }
        }
    }
}

impl Layout for Rounded {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn put<const LONG: bool>(&mut self, at: Place, scale: f32, offset: f32, integers: [__m512i; 2]) {
        let (scale, offset) = (_mm512_set1_ps(scale), _mm512_set1_ps(offset));
        let [first, second] = integers.map(|x| _mm512_fmadd_ps(_mm512_cvtepi32_ps(x), scale, offset));
        let rounded = m512i_of(_mm512_cvtne2ps_pbh(second, first));
        let tile = (at.tile / 2 * self.deep + at.block) * 2 + at.tile % 2;
        let to = self.to.wrapping_add(tile * TILE + at.row * 64);
        // SAFETY: the caller's.
        unsafe { _mm512_store_si512(to.cast(), _mm512_permutexvar_epi16(side_by_side(), rounded)) };
    }
}

/// The same bits.
#[inline(always)]
fn m512i_of(x: __m512bh) -> __m512i {
    // SAFETY: both are 64 bytes in a register.
    unsafe { std::mem::transmute(x) }
}

/// Sixteen bytes as numbers from 0 to 255.
#[inline]
#[target_feature(enable = "avx512f")]
fn bytes_from(b: &[u8], at: usize) -> __m512i {
    // SAFETY: the slice has them.
    _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(b[at..at + 16].as_ptr().cast()) })
}

/// The low and the high four bits of sixteen bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn nibbles(b: &[u8], at: usize) -> [__m512i; 2] {
    let both = bytes_from(b, at);
    [_mm512_and_si512(both, _mm512_set1_epi32(15)), _mm512_srli_epi32::<4>(both)]
}

/// Numbers of five bits less 16, from their low four and the fifth ones.
#[inline]
#[target_feature(enable = "avx512f")]
fn with_fifth([first, second]: [__m512i; 2], fifth: u32) -> [__m512i; 2] {
    // Where the fifth bit is set, 16 and -16 cancel out.
    let (unset, zero) = (!fifth, _mm512_set1_epi32(16));
    [
        _mm512_mask_sub_epi32(first, unset as __mmask16, first, zero),
        _mm512_mask_sub_epi32(second, (unset >> 16) as __mmask16, second, zero),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn less(x: [__m512i; 2], by: i32) -> [__m512i; 2] {
    x.map(|x| _mm512_sub_epi32(x, _mm512_set1_epi32(by)))
}

/// The half-precision number that a block has at a place.
#[inline]
#[target_feature(enable = "f16c")]
fn half(b: &[u8], at: usize) -> f32 {
    let bits = i32::from(u16::from_le_bytes([b[at], b[at + 1]]));
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)))
}

/// A format's function from sixteen rows of blocks of `$size` bytes, as a file has them, to tile `$t` of rows: `$body`
/// for each block, each of its pieces and each row. The rows are innermost, so that whole tiles are written in order.
macro_rules! layout {
    ($name:ident, $size:literal, $blocks:literal, $pieces:literal, |$b:ident, $piece:ident, $place:ident, $to:ident| $body:block) => {
        /// # Safety
        /// As for [`Layout::put`]; AVX-512's words and bf16, F16C.
        #[target_feature(enable = "avx512f,avx512bw,avx512bf16,f16c")]
        unsafe fn $name(rows: &[&[u8]; TALL], row_bytes: usize, tile: usize, $to: &mut impl Layout) {
            let (next, whole) = (TALL * row_bytes, rows[0].len() == row_bytes);
            for block in 0..rows[0].len() / $size {
                for $piece in 0..$pieces {
                    for (row, bytes) in rows.iter().enumerate() {
                        let Some($b) = bytes[block * $size..].first_chunk::<$size>() else { return };
                        // The rows that follow come from memory meanwhile, whole ones in the order in which they lie
                        // there: a prefetch never faults.
                        let ahead = match whole {
                            true => rows[0].as_ptr().wrapping_add((block * TALL + row) * $size),
                            false => $b.as_ptr(),
                        };
                        _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(next).cast());
                        let $place = |k: usize| Place { block: block * $blocks + k, tile, row };
                        // SAFETY: the caller's.
                        unsafe { $body }
                    }
                }
            }
        }
    };
}

layout!(q4_0, 18, 1, 1, |b, _piece, place, to| {
    to.put::<false>(place(0), half(b, 0), 0.0, less(nibbles(b, 2), 8));
});

layout!(q4_1, 20, 1, 1, |b, _piece, place, to| {
    let scale = half(b, 0);
    to.put::<false>(place(0), scale, half(b, 2) + 8.0 * scale, less(nibbles(b, 4), 8));
});

layout!(q5_0, 22, 1, 1, |b, _piece, place, to| {
    let fifth = u32::from_le_bytes([b[2], b[3], b[4], b[5]]);
    to.put::<false>(place(0), half(b, 0), 0.0, with_fifth(nibbles(b, 6), fifth));
});

layout!(q5_1, 24, 1, 1, |b, _piece, place, to| {
    let (scale, fifth) = (half(b, 0), u32::from_le_bytes([b[4], b[5], b[6], b[7]]));
    to.put::<false>(place(0), scale, half(b, 2) + 16.0 * scale, with_fifth(nibbles(b, 8), fifth));
});

layout!(q8_0, 34, 1, 1, |b, _piece, place, to| {
    let signed = |at: usize| _mm512_cvtepi8_epi32(_mm_loadu_si128(b[at..at + 16].as_ptr().cast()));
    to.put::<false>(place(0), half(b, 0), 0.0, [signed(2), signed(18)]);
});

layout!(q4_k, 144, 8, 4, |b, pair, place, to| {
    let (d, min) = (half(b, 0), half(b, 2));
    let [first, second] = [nibbles(b, 16 + pair * 32), nibbles(b, 32 + pair * 32)];
    for high in 0..2 {
        let (s, m) = scale_and_min(2 * pair + high, &b[4..16]);
        let integers = less([first[high], second[high]], 8);
        to.put::<false>(place(2 * pair + high), d * s, 8.0 * (d * s) - min * m, integers);
    }
});

layout!(q5_k, 176, 8, 4, |b, pair, place, to| {
    let (d, min) = (half(b, 0), half(b, 2));
    let [first, second] = [nibbles(b, 48 + pair * 32), nibbles(b, 64 + pair * 32)];
    for high in 0..2 {
        let (s, m) = scale_and_min(2 * pair + high, &b[4..16]);
        let bit = _mm512_set1_epi32(1 << (2 * pair + high));
        let set = |at: usize| u32::from(_mm512_test_epi32_mask(bytes_from(b, at), bit));
        let integers = with_fifth([first[high], second[high]], set(16) | set(32) << 16);
        to.put::<false>(place(2 * pair + high), d * s, 16.0 * (d * s) - min * m, integers);
    }
});

layout!(q6_k, 210, 8, 2, |b, side, place, to| {
    let d = half(b, 208);
    for quarter in 0..4 {
        let number = |part: usize| {
            let low = nibbles(b, side * 64 + quarter % 2 * 32 + part * 16)[quarter / 2];
            let high = bytes_from(b, 128 + side * 32 + part * 16);
            // Two bits to where they count 16 and 32.
            let above = match quarter {
                0 => _mm512_slli_epi32::<4>(high),
                1 => _mm512_slli_epi32::<2>(high),
                2 => high,
                _ => _mm512_srli_epi32::<2>(high),
            };
            let q = _mm512_or_si512(low, _mm512_and_si512(above, _mm512_set1_epi32(0x30)));
            let scale = i32::from(b[192 + side * 8 + quarter * 2 + part] as i8);
            _mm512_mullo_epi32(_mm512_sub_epi32(q, _mm512_set1_epi32(32)), _mm512_set1_epi32(scale))
        };
        to.put::<true>(place(side * 4 + quarter), d, 0.0, [number(0), number(1)]);
    }
});
