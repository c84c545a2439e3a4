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
const CHUNK: usize = 10;
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
            for pair in 0..x.tokens.div_ceil(2 * TALL) {
                for t in (0..there.div_ceil(TALL)).step_by(2) {
                    let step = Block {
                        w: base.wrapping_add((t * deep + k) * TILE),
                        scales: scales[(t * deep + k) * TALL..].as_ptr(),
                        below: deep,
                        x: x.at(pair, k),
                        length: CHUNK.min(deep - k),
                        rows: (2 * TALL).min(there - t * TALL),
                        wide: x.tokens > pair * 2 * TALL + TALL,
                        add: out.add || k > 0,
                        y: out
                            .y
                            .get()
                            .wrapping_add((first - rows.start + t * TALL) * out.row + pair * 2 * TALL),
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

/// Up to 32 x 32 outputs over some blocks' depth. The tiles of rows and tokens that are not there are multiplied, whatever
/// they hold, and not used.
struct Block {
    w: *const u8,
    scales: *const f32,
    /// Tiles from a row of tiles to the next.
    below: usize,
    x: *const u8,
    length: usize,
    rows: usize,
    wide: bool,
    add: bool,
    y: *mut f32,
    y_row: usize,
}

/// Four tiles of sums: rows of two tiles of tokens each, then those below.
#[repr(align(64))]
struct Sums([MaybeUninit<f32>; 4 * TALL * TALL]);

impl Block {
    /// # Safety
    /// Every address that the fields name, tiles configured, AVX-512.
    #[target_feature(enable = "avx512f")]
    unsafe fn run(&self) {
        let mut all = Sums([const { MaybeUninit::uninit() }; 4 * TALL * TALL]);
        let mut sums = [const { Sums([const { MaybeUninit::uninit() }; 4 * TALL * TALL]) }; 2];
        let all = all.0.as_mut_ptr().cast::<f32>();
        let [even, odd] = sums.each_mut().map(|s| s.0.as_mut_ptr().cast::<f32>());
        // SAFETY: the caller's; a place of `all` is a row of a tile, 16 floats.
        unsafe {
            for r in 0..2 * TALL {
                for c in 0..2 {
                    let there = self.add && r < self.rows && (c == 0 || self.wide);
                    let from = self.y.wrapping_add(r * self.y_row + c * TALL);
                    let sum = if there { _mm512_loadu_ps(from) } else { _mm512_setzero_ps() };
                    _mm512_store_ps(all.add(Self::place(r, c)), sum);
                }
            }
            // The next block is multiplied while this one's sums are scaled and added.
            self.multiply(0, even);
            for k in 0..self.length {
                let (now, next) = if k % 2 == 0 { (even, odd) } else { (odd, even) };
                if k + 1 < self.length {
                    self.multiply(k + 1, next);
                }
                for half in 0..2 {
                    let scales = self.scales.wrapping_add((half * self.below + k) * TALL);
                    for r in 0..TALL {
                        let scale = _mm512_set1_ps(*scales.add(r));
                        for c in 0..2 {
                            let at = Self::place(half * TALL + r, c);
                            let sum = _mm512_fmadd_ps(
                                _mm512_load_ps(now.add(at)),
                                scale,
                                _mm512_load_ps(all.add(at)),
                            );
                            _mm512_store_ps(all.add(at), sum);
                        }
                    }
                }
            }
            for r in 0..self.rows {
                for c in 0..1 + usize::from(self.wide) {
                    let sum = _mm512_load_ps(all.add(Self::place(r, c)));
                    _mm512_storeu_ps(self.y.wrapping_add(r * self.y_row + c * TALL), sum);
                }
            }
        }
    }

    /// Where row `r` of tile column `c` lies among the sums.
    #[inline(always)]
    fn place(r: usize, c: usize) -> usize {
        ((r / TALL * 2 + c) * TALL + r % TALL) * TALL
    }

    /// One block's sums: tmm4, tmm5 weights, tmm6, tmm7 a part of the activations, the smallest part first.
    ///
    /// # Safety
    /// As for [`Block::run`].
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn multiply(&self, k: usize, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            asm!(
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                "tileloadd tmm4, [{w} + {s}*1]",
                "tileloadd tmm6, [{x} + {s}*1 + 4096]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{x} + {s}*1 + 5120]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{below} + {s}*1]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "tileloadd tmm6, [{x} + {s}*1 + 2048]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{x} + {s}*1 + 3072]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "tileloadd tmm6, [{x} + {s}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{x} + {s}*1 + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "tilestored [{to} + {s}*1], tmm0",
                "tilestored [{to} + {s}*1 + 1024], tmm1",
                "tilestored [{to} + {s}*1 + 2048], tmm2",
                "tilestored [{to} + {s}*1 + 3072], tmm3",
                w = in(reg) self.w.wrapping_add(k * TILE),
                below = in(reg) self.w.wrapping_add((self.below + k) * TILE),
                x = in(reg) self.x.wrapping_add(k * 6 * TILE),
                to = in(reg) to,
                s = in(reg) 64usize,
                options(nostack)
            );
        }
    }
}

/// A block of the formats is as deep as a tile, and the parts of a pair of token tiles lie 2 KiB apart.
const _: () = assert!(DEEP == 32 && TILE == 1024);
