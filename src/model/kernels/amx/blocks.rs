//! Products with weights in ggml's blocks of 32 small integers and one scale (Q4_0, Q5_0, Q8_0).
//!
//! The integers are bf16 numbers exactly, and a tile is one block deep: each block's integers times the three parts of
//! the activations give a tile of sums, which is multiplied with the rows' scales and added up in f32. That is half of
//! the tile products that widened weights need, and nothing is cut.

use super::cut::{Packed, joined};
use super::{DEEP, TALL, TILE};
use crate::model::format::Format;
use crate::model::kernels::matmul::CpuWeight;
use crate::model::kernels::source::Output;
use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Blocks along a row that are multiplied before the sums go back to memory: a tile of tokens that deep stays in the
/// L1 cache while all rows of a panel pass by.
const CHUNK: usize = 8;
/// Rows whose integers are laid out at a time.
const PANEL: usize = 64;

/// Whether a format's products can be taken block by block.
pub fn fits(format: Format) -> bool {
    matches!(format, Format::Q4_0 | Format::Q5_0 | Format::Q8_0)
}

/// Rows `rows` of `w x` to `out` (whose first row is `rows.start`), on the calling thread; tiles configured. `cut` and
/// `scales` are scratch memory.
///
/// # Safety
/// `out` must have those rows for all whole vectors of tokens, and nobody else may use them.
pub unsafe fn rows_times(
    w: &CpuWeight,
    rows: Range<usize>,
    x: &Packed,
    out: Output,
    (cut, scales): (&mut Vec<u64>, &mut Vec<f32>),
) {
    let deep = x.deep;
    cut.resize(cut.len().max((PANEL / TALL * deep * TILE + 64) / 8), 0);
    scales.resize(scales.len().max(PANEL * deep), 0.0);
    let base = cut.as_mut_ptr().cast::<u8>();
    let base = base.wrapping_add(base.align_offset(64));
    for first in rows.clone().step_by(PANEL) {
        let there = PANEL.min(rows.end - first);
        for t in 0..there.div_ceil(TALL) {
            let tile = base.wrapping_add(t * deep * TILE);
            for r in 0..TALL {
                let row = first + t * TALL + r;
                let (to, scales) = (tile.wrapping_add(r * 64), &mut scales[t * deep * TALL + r..]);
                if row >= rows.end {
                    scales.iter_mut().step_by(TALL).take(deep).for_each(|s| *s = 0.0);
                    continue;
                }
                let bytes = w.stored_row(row);
                // SAFETY: tiles and scales have room for `deep` blocks of 16 rows; AVX-512 was found, and F16C is older.
                unsafe {
                    match w.format {
                        Format::Q4_0 => lay_out::<18>(bytes, deep, to, scales),
                        Format::Q5_0 => lay_out::<22>(bytes, deep, to, scales),
                        _ => lay_out::<34>(bytes, deep, to, scales),
                    }
                }
            }
        }
        for k in (0..deep).step_by(CHUNK) {
            for c in 0..x.tokens.div_ceil(TALL) {
                for t in 0..there.div_ceil(TALL) {
                    let step = Block {
                        w: base.wrapping_add((t * deep + k) * TILE),
                        scales: scales[(t * deep + k) * TALL..].as_ptr(),
                        x: x.at(c / 2, k).wrapping_add(c % 2 * TILE),
                        length: CHUNK.min(deep - k),
                        rows: TALL.min(there - t * TALL),
                        add: out.add || k > 0,
                        y: out.y.get().wrapping_add((first - rows.start + t * TALL) * out.row + c * TALL),
                        y_row: out.row,
                    };
                    // SAFETY: the caller's, and what was laid out above.
                    unsafe { step.run() };
                }
            }
        }
    }
}

/// The integers of one row's blocks, of `SIZE` bytes, as row of successive tiles, numbers i and i + 16 in a lane, and the
/// scales 16 apart.
///
/// # Safety
/// Tiles must be writable from `to` on; AVX-512 and F16C.
#[target_feature(enable = "avx512f,f16c")]
unsafe fn lay_out<const SIZE: usize>(bytes: &[u8], deep: usize, to: *mut u8, scales: &mut [f32]) {
    assert!(bytes.len() >= deep * SIZE && scales.len() > (deep - 1) * TALL);
    let low_bits = _mm512_set1_epi32(15);
    for (k, b) in bytes.chunks_exact(SIZE).take(deep).enumerate() {
        let scale = i32::from(u16::from_le_bytes([b[0], b[1]]));
        scales[k * TALL] = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(scale)));
        let small = |at: usize| {
            // SAFETY: every block has 16 bytes from there on.
            unsafe { _mm_loadu_si128(b[at..at + 16].as_ptr().cast()) }
        };
        let (first, second) = match SIZE {
            34 => (_mm512_cvtepi8_epi32(small(2)), _mm512_cvtepi8_epi32(small(18))),
            22 => {
                let both = _mm512_cvtepu8_epi32(small(6));
                let (low, high) = (_mm512_and_si512(both, low_bits), _mm512_srli_epi32::<4>(both));
                // 16 is the zero; it is taken away where the fifth bit is not set.
                let unset = !u32::from_le_bytes([b[2], b[3], b[4], b[5]]);
                let zero = _mm512_set1_epi32(16);
                (
                    _mm512_mask_sub_epi32(low, unset as __mmask16, low, zero),
                    _mm512_mask_sub_epi32(high, (unset >> 16) as __mmask16, high, zero),
                )
            }
            _ => {
                let both = _mm512_cvtepu8_epi32(small(2));
                let (low, high) = (_mm512_and_si512(both, low_bits), _mm512_srli_epi32::<4>(both));
                let zero = _mm512_set1_epi32(8);
                (_mm512_sub_epi32(low, zero), _mm512_sub_epi32(high, zero))
            }
        };
        let bits = |x: __m512i| _mm512_castps_si512(_mm512_cvtepi32_ps(x));
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_si512(to.wrapping_add(k * TILE).cast(), joined(bits(first), bits(second))) };
    }
}

/// Up to 16 x 16 outputs over some blocks' depth.
struct Block {
    w: *const u8,
    scales: *const f32,
    x: *const u8,
    length: usize,
    rows: usize,
    add: bool,
    y: *mut f32,
    y_row: usize,
}

#[repr(align(64))]
struct Sums([MaybeUninit<f32>; TALL * TALL]);

/// One block: tmm4 weights, tmm5 to tmm7 the parts of the activations, smallest first, the sums to memory.
macro_rules! block {
    ($sums:literal, $w:expr, $x:expr, $to:expr) => {
        asm!(
            concat!("tilezero tmm", $sums),
            "tileloadd tmm4, [{w} + {s}*1]",
            "tileloadd tmm5, [{x} + {s}*1 + 4096]",
            concat!("tdpbf16ps tmm", $sums, ", tmm4, tmm5"),
            "tileloadd tmm6, [{x} + {s}*1 + 2048]",
            concat!("tdpbf16ps tmm", $sums, ", tmm4, tmm6"),
            "tileloadd tmm7, [{x} + {s}*1]",
            concat!("tdpbf16ps tmm", $sums, ", tmm4, tmm7"),
            concat!("tilestored [{to} + {s}*1], tmm", $sums),
            w = in(reg) $w, x = in(reg) $x, to = in(reg) $to, s = in(reg) 64usize,
            options(nostack)
        )
    };
}

impl Block {
    /// # Safety
    /// Every address that the fields name, tiles configured, AVX-512.
    #[target_feature(enable = "avx512f")]
    unsafe fn run(&self) {
        // SAFETY: the caller's.
        unsafe {
            let mut all = [_mm512_setzero_ps(); TALL];
            if self.add {
                for (r, sum) in all.iter_mut().enumerate().take(self.rows) {
                    *sum = _mm512_loadu_ps(self.y.add(r * self.y_row));
                }
            }
            // Four blocks are on their way while the sums of earlier ones are added.
            let mut sums = [const { Sums([MaybeUninit::uninit(); TALL * TALL]) }; 4];
            for k in (0..self.length).step_by(4) {
                let w = |i: usize| self.w.wrapping_add((k + i) * TILE);
                let x = |i: usize| self.x.wrapping_add((k + i) * 6 * TILE);
                let count = (self.length - k).min(4);
                let mut to = sums.iter_mut().map(|s| s.0.as_mut_ptr());
                let mut next = || to.next().unwrap_unchecked();
                block!(0, w(0), x(0), next());
                if count > 1 {
                    block!(1, w(1), x(1), next());
                }
                if count > 2 {
                    block!(2, w(2), x(2), next());
                }
                if count > 3 {
                    block!(3, w(3), x(3), next());
                }
                for (i, sums) in sums.iter().enumerate().take(count) {
                    let scales = self.scales.wrapping_add((k + i) * TALL);
                    for (r, all) in all.iter_mut().enumerate() {
                        let sum = _mm512_load_ps(sums.0.as_ptr().add(r * TALL).cast());
                        *all = _mm512_fmadd_ps(sum, _mm512_set1_ps(*scales.add(r)), *all);
                    }
                }
            }
            for (r, sum) in all.into_iter().enumerate().take(self.rows) {
                _mm512_storeu_ps(self.y.add(r * self.y_row), sum);
            }
        }
    }
}

/// A block of the formats is as deep as a tile, and the parts of a pair of token tiles lie 2 KiB apart.
const _: () = assert!(DEEP == 32 && TILE == 1024);
