//! Products with weights in ggml's blocks of 32 small integers with one scale, and in some formats one offset.
//!
//! The integers are bf16 numbers exactly, and a tile is one block deep: each block's integers times the three parts of
//! the activations give a tile of sums, which is multiplied with the rows' scales and added up in f32. Offsets are
//! multiplied with the sums of the block's activations, which a tile of ones gives. That is half of the tile products
//! that widened weights need, and nothing is cut.
//!
//! The parts of 16 tokens' activations stay in three tiles while the weights of a panel's rows pass by, so that there is
//! one tile to load for three products; the panel's sums are few enough to stay in the L1 cache.

use super::cut::Packed;
use super::integers::{Coding, Integers};
use super::{DEEP, TALL, TILE};
use crate::model::kernels::matmul::CpuWeight;
use crate::model::kernels::source::Output;
use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::Range;

/// Blocks along a row that are laid out and multiplied before the sums go back to memory.
const CHUNK: usize = 24;
/// Rows whose integers are laid out at a time: at most those of one task.
const PANEL: usize = super::ROWS;
/// Tiles of sums under way between the products and the scales, and those that there is room for.
const UNDER_WAY: usize = 3;
const RING: usize = UNDER_WAY + 1;
/// Bytes of a thread's scratch memory before the laid out integers: a panel's sums, those under way, a row of ones, and
/// the sums of a chunk's activations.
const SUMS: usize = PANEL / TALL * TILE;
const ONES: usize = SUMS + RING * TILE;
const TOTALS: usize = ONES + 64;
const INTEGERS: usize = TOTALS + CHUNK * 64;

/// Rows `rows` of `w x` to `out` (whose first row is `rows.start`), on the calling thread; tiles configured by
/// [`super::BLOCKS`]. `memory` and `factors` are scratch.
///
/// # Safety
/// `out` must have those rows for all whole vectors of tokens, and nobody else may use them.
pub unsafe fn rows_times(
    w: &CpuWeight,
    coding: Coding,
    rows: Range<usize>,
    x: &Packed,
    out: Output,
    (memory, factors): (&mut Vec<u64>, &mut Vec<f32>),
) {
    let chunk = CHUNK / coding.tiles_at_once() * coding.tiles_at_once();
    let tall = rows.len().min(PANEL).div_ceil(TALL);
    memory.resize(memory.len().max((INTEGERS + tall * chunk * coding.parts() * TILE + 64) / 8), 0);
    factors.resize(factors.len().max(2 * tall * chunk * TALL), 0.0);
    let base = memory.as_mut_ptr().cast::<u8>();
    let base = base.wrapping_add(base.align_offset(64));
    // SAFETY: there is room for a line.
    unsafe { base.add(ONES).cast::<[u32; 16]>().write([0x3F80_3F80; 16]) };
    for first in rows.clone().step_by(PANEL) {
        let there = PANEL.min(rows.end - first);
        let tall = there.div_ceil(TALL);
        for k in (0..x.deep).step_by(chunk) {
            let length = chunk.min(x.deep - k);
            let (scales, offsets) = factors.split_at_mut(tall * length * TALL);
            let offsets = if coding.has_offsets() { offsets } else { &mut [] };
            let mut to = Integers { to: base.wrapping_add(INTEGERS), tall, scales, offsets };
            // SAFETY: the scratch memory's size.
            unsafe { coding.lay_out(w, first..first + there, k..k + length, &mut to) };
            let panel = Panel {
                base,
                tall,
                length,
                scales: factors.as_ptr(),
                offsets: factors[tall * length * TALL..].as_ptr(),
            };
            let of = |tokens: usize| x.at(tokens / 2, k).wrapping_add(tokens % 2 * TILE);
            let last = x.tokens.div_ceil(TALL) - 1;
            for tokens in 0..=last {
                let y = out.y.get().wrapping_add((first - rows.start) * out.row + tokens * TALL);
                let x = Tokens { x: of(tokens), next: of(last.min(tokens + 1)), y, y_row: out.row };
                // SAFETY: the caller's, and what was laid out above.
                unsafe {
                    panel.read(y, out.row, there, out.add || k > 0);
                    match (coding.parts(), coding.has_offsets()) {
                        (2, _) => panel.times::<2, false>(x),
                        (_, true) => panel.times::<1, true>(x),
                        _ => panel.times::<1, false>(x),
                    }
                    panel.write(y, out.row, there);
                }
            }
        }
    }
}

/// Sixteen tokens.
#[derive(Clone, Copy)]
struct Tokens {
    /// Their activations at the panel's first block, and those of the tokens that follow.
    x: *const u8,
    next: *const u8,
    /// Their sums' place.
    y: *mut f32,
    y_row: usize,
}

/// Some blocks' depth of some rows, laid out.
struct Panel {
    /// Scratch memory.
    base: *mut u8,
    /// Tiles of rows.
    tall: usize,
    /// Blocks along the rows.
    length: usize,
    /// For each block and row.
    scales: *const f32,
    offsets: *const f32,
}

impl Panel {
    /// The panel's sums, 16 tokens a row.
    fn sums(&self) -> *mut f32 {
        self.base.cast()
    }

    /// # Safety
    /// `y` has `rows` rows of 16 floats; AVX-512.
    #[target_feature(enable = "avx512f")]
    unsafe fn read(&self, y: *const f32, y_row: usize, rows: usize, add: bool) {
        for r in 0..self.tall * TALL {
            // SAFETY: the caller's, and the scratch memory's size.
            unsafe {
                let sum =
                    if add && r < rows { _mm512_loadu_ps(y.add(r * y_row)) } else { _mm512_setzero_ps() };
                _mm512_store_ps(self.sums().add(r * TALL), sum);
            }
        }
    }

    /// # Safety
    /// As for [`Panel::read`].
    #[target_feature(enable = "avx512f")]
    unsafe fn write(&self, y: *mut f32, y_row: usize, rows: usize) {
        for r in 0..rows {
            // SAFETY: the caller's.
            unsafe { _mm512_storeu_ps(y.add(r * y_row), _mm512_load_ps(self.sums().add(r * TALL))) };
        }
    }

    /// Adds the products with 16 tokens' activations to the sums.
    ///
    /// # Safety
    /// Tiles configured by [`super::BLOCKS`], everything laid out, AVX-512.
    #[target_feature(enable = "avx512f")]
    unsafe fn times<const PARTS: usize, const OFFSETS: bool>(&self, tokens: Tokens) {
        let ring = self.base.wrapping_add(SUMS);
        let totals = self.base.wrapping_add(TOTALS);
        let (mut x, mut begun, mut at, mut block) = (tokens.x, 0, 0, 0);
        let all = self.tall * self.length;
        // What comes next is asked for from the L2 cache and beyond a few lines at a time.
        let (lines, mut ahead) = (TALL.div_ceil(self.tall), x);
        // The products of the next tile of weights, and where they go.
        let mut multiply = || {
            if begun == all {
                return;
            }
            // SAFETY: the caller's.
            unsafe {
                if at == 0 {
                    activations(x);
                    if OFFSETS {
                        add_up(self.base.wrapping_add(ONES), totals.wrapping_add(block * 64));
                    }
                    (x, block) = (x.wrapping_add(6 * TILE), block + 1);
                    ahead = if block == self.length { tokens.next } else { x };
                }
                for line in at * lines..(at + 1) * lines {
                    // A prefetch never faults.
                    let ahead = ahead.wrapping_add(line * 64).cast::<i8>();
                    _mm_prefetch::<_MM_HINT_T0>(ahead);
                    _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(2 * TILE));
                    _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(4 * TILE));
                }
                if begun < self.tall * TALL {
                    _mm_prefetch::<_MM_HINT_ET0>(tokens.y.wrapping_add(begun * tokens.y_row).cast());
                }
                products::<PARTS>(
                    self.base.wrapping_add(INTEGERS + begun * PARTS * TILE),
                    ring.wrapping_add(begun % RING * TILE),
                );
            }
            begun += 1;
            at = if at + 1 == self.tall { 0 } else { at + 1 };
        };
        (0..UNDER_WAY).for_each(|_| multiply());
        let mut done = 0;
        for block in 0..self.length {
            // SAFETY: the caller's.
            let total = || unsafe { _mm512_load_ps(totals.wrapping_add(block * 64).cast()) };
            let total = if OFFSETS { total() } else { _mm512_setzero_ps() };
            for t in 0..self.tall {
                multiply();
                let from = ring.wrapping_add(done % RING * TILE).cast::<f32>();
                let sums = self.sums().wrapping_add(t * TALL * TALL);
                let (scales, offsets) =
                    (self.scales.wrapping_add(done * TALL), self.offsets.wrapping_add(done * TALL));
                for r in 0..TALL {
                    // SAFETY: the caller's.
                    unsafe {
                        let mut sum = _mm512_load_ps(sums.add(r * TALL));
                        if OFFSETS {
                            sum = _mm512_fmadd_ps(total, _mm512_set1_ps(*offsets.add(r)), sum);
                        }
                        let product = _mm512_load_ps(from.add(r * TALL));
                        sum = _mm512_fmadd_ps(product, _mm512_set1_ps(*scales.add(r)), sum);
                        _mm512_store_ps(sums.add(r * TALL), sum);
                    }
                }
                done += 1;
            }
        }
    }
}

/// tmm5 to tmm7: the parts of 16 tokens' activations, the largest first.
///
/// # Safety
/// Tiles configured, `x` as [`Packed`] has it.
#[inline(always)]
unsafe fn activations(x: *const u8) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "tileloadd tmm5, [{x} + {s}*1]",
            "tileloadd tmm6, [{x} + {s}*1 + 2048]",
            "tileloadd tmm7, [{x} + {s}*1 + 4096]",
            x = in(reg) x, s = in(reg) 64usize, options(nostack, readonly)
        );
    }
}

/// The sums of the block's activations.
///
/// # Safety
/// As for [`products`], with a line at both places.
#[inline(always)]
unsafe fn add_up(ones: *const u8, to: *mut u8) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "tileloadd tmm2, [{ones} + {s}*1]",
            "tilezero tmm1",
            "tdpbf16ps tmm1, tmm2, tmm7",
            "tdpbf16ps tmm1, tmm2, tmm6",
            "tdpbf16ps tmm1, tmm2, tmm5",
            "tilestored [{to} + {s}*1], tmm1",
            ones = in(reg) ones, to = in(reg) to, s = in(reg) 64usize, options(nostack)
        );
    }
}

/// A tile of weights, in one part or two (of which the smaller one is not multiplied with the activations' smallest: that
/// is below 2^-24 of the product), times the activations: the smallest products first.
///
/// # Safety
/// Tiles configured by [`super::BLOCKS`], the parts at `w`, a tile writable at `to`.
#[inline(always)]
unsafe fn products<const PARTS: usize>(w: *const u8, to: *mut u8) {
    // SAFETY: the caller's.
    unsafe {
        if PARTS == 1 {
            asm!(
                "tileloadd tmm3, [{w} + {s}*1]",
                "tilezero tmm0",
                "tdpbf16ps tmm0, tmm3, tmm7",
                "tdpbf16ps tmm0, tmm3, tmm6",
                "tdpbf16ps tmm0, tmm3, tmm5",
                "tilestored [{to} + {s}*1], tmm0",
                w = in(reg) w, to = in(reg) to, s = in(reg) 64usize, options(nostack)
            );
        } else {
            asm!(
                "tileloadd tmm3, [{w} + {s}*1]",
                "tileloadd tmm4, [{w} + {s}*1 + 1024]",
                "tilezero tmm0",
                "tdpbf16ps tmm0, tmm3, tmm7",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm0, tmm3, tmm6",
                "tdpbf16ps tmm0, tmm4, tmm5",
                "tdpbf16ps tmm0, tmm3, tmm5",
                "tilestored [{to} + {s}*1], tmm0",
                w = in(reg) w, to = in(reg) to, s = in(reg) 64usize, options(nostack)
            );
        }
    }
}

/// A block of the formats is as deep as a tile, and the parts of a pair of token tiles lie 2 KiB apart.
const _: () = assert!(DEEP == 32 && TILE == 1024 && SUMS.is_multiple_of(64));
