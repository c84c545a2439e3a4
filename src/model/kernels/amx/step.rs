//! The tile arithmetic itself: up to 32 x 32 outputs.

use super::{Ahead, TALL, TILE};
use crate::model::kernels::mat::LINE;
use std::arch::asm;
use std::mem::MaybeUninit;

/// A block of up to 32 x 32 outputs over some depth.
pub struct Step {
    pub w: *const u8,
    pub x: *const u8,
    /// Tiles along the depth.
    pub length: usize,
    /// Rows that are there, 1 to 32.
    pub rows: usize,
    /// Two blocks of tokens, or one.
    pub wide: bool,
    pub add: bool,
    pub y: *mut f32,
    pub y_row: usize,
}

macro_rules! tile {
    (load $t:literal, $p:expr, $stride:expr) => {
        asm!(concat!("tileloadd tmm", $t, ", [{p} + {s}*1]"), p = in(reg) $p, s = in(reg) $stride, options(nostack, readonly))
    };
    (store $t:literal, $p:expr, $stride:expr) => {
        asm!(concat!("tilestored [{p} + {s}*1], tmm", $t), p = in(reg) $p, s = in(reg) $stride, options(nostack))
    };
    (zero $t:literal) => {
        asm!(concat!("tilezero tmm", $t), options(nostack, nomem))
    };
    (dot $c:literal, $a:literal, $b:literal) => {
        asm!(concat!("tdpbf16ps tmm", $c, ", tmm", $a, ", tmm", $b), options(nostack, nomem))
    };
}

impl Step {
    /// With weights of `W` parts and activations of `X`: 3 and 3, 1 and 3, or 1 and 1.
    ///
    /// # Safety
    /// See [`super::rows_times`]: every address that the fields name, tiles configured.
    pub unsafe fn run<const W: usize, const X: usize>(&self, ahead: &mut Ahead) {
        let tall = self.rows > TALL;
        // Outputs that are no whole tile go by way of a buffer.
        let whole = self.rows.is_multiple_of(TALL);
        let mut buffer = Buffer([const { MaybeUninit::uninit() }; 2 * TALL * 2 * TALL]);
        let (y, y_row) = if whole { (self.y, self.y_row) } else { (buffer.0.as_mut_ptr().cast(), 2 * TALL) };
        let width = if self.wide { 2 * TALL } else { TALL };
        if !whole && self.add {
            for r in 0..self.rows {
                // SAFETY: the caller's; the buffer has 32 rows of 32.
                unsafe { self.y.add(r * self.y_row).copy_to_nonoverlapping(y.add(r * y_row), width) };
            }
        }
        // SAFETY: the caller's.
        unsafe {
            match (tall, self.wide) {
                (true, true) => self.block::<W, X, true, true>(y, y_row * 4, ahead),
                (true, false) => self.block::<W, X, true, false>(y, y_row * 4, ahead),
                (false, true) => self.block::<W, X, false, true>(y, y_row * 4, ahead),
                (false, false) => self.block::<W, X, false, false>(y, y_row * 4, ahead),
            }
        }
        if !whole {
            for r in 0..self.rows {
                // SAFETY: as above.
                unsafe { y.add(r * y_row).copy_to_nonoverlapping(self.y.add(r * self.y_row), width) };
            }
        }
    }

    /// tmm0 to tmm3: sums; tmm4, tmm5: weights; tmm6, tmm7: activations.
    #[inline]
    unsafe fn block<const W: usize, const X: usize, const TALL2: bool, const WIDE2: bool>(
        &self,
        y: *mut f32,
        row: usize,
        ahead: &mut Ahead,
    ) {
        let (right, below) = (y.wrapping_add(TALL), y.wrapping_byte_add(TALL * row));
        let corner = below.wrapping_add(TALL);
        // SAFETY: the caller's.
        unsafe {
            if self.add {
                tile!(load 0, y, row);
                if WIDE2 {
                    tile!(load 1, right, row);
                }
                if TALL2 {
                    tile!(load 2, below, row);
                }
                if TALL2 && WIDE2 {
                    tile!(load 3, corner, row);
                }
            } else {
                tile!(zero 0);
                tile!(zero 1);
                tile!(zero 2);
                tile!(zero 3);
            }
            let (mut w, mut x) = (self.w, self.x);
            for _ in 0..self.length {
                ahead.fetch();
                Self::weights::<TALL2>(w);
                Self::activations::<WIDE2>(x);
                Self::dots::<TALL2, WIDE2>();
                if X == 3 {
                    Self::activations::<WIDE2>(x.wrapping_add(4 * TILE));
                    Self::dots::<TALL2, WIDE2>();
                    Self::activations::<WIDE2>(x.wrapping_add(2 * TILE));
                    Self::dots::<TALL2, WIDE2>();
                }
                if W == 3 {
                    Self::weights::<TALL2>(w.wrapping_add(2 * TILE));
                    Self::dots::<TALL2, WIDE2>();
                    Self::activations::<WIDE2>(x);
                    Self::dots::<TALL2, WIDE2>();
                    Self::weights::<TALL2>(w.wrapping_add(4 * TILE));
                    Self::dots::<TALL2, WIDE2>();
                }
                w = w.wrapping_add(2 * W * TILE);
                x = x.wrapping_add(2 * X * TILE);
            }
            tile!(store 0, y, row);
            if WIDE2 {
                tile!(store 1, right, row);
            }
            if TALL2 {
                tile!(store 2, below, row);
            }
            if TALL2 && WIDE2 {
                tile!(store 3, corner, row);
            }
        }
    }

    #[inline(always)]
    unsafe fn weights<const TALL2: bool>(w: *const u8) {
        // SAFETY: the caller's.
        unsafe {
            tile!(load 4, w, 64usize);
            if TALL2 {
                tile!(load 5, w.wrapping_add(TILE), 64usize);
            }
        }
    }

    #[inline(always)]
    unsafe fn activations<const WIDE2: bool>(x: *const u8) {
        // SAFETY: the caller's.
        unsafe {
            tile!(load 6, x, 64usize);
            if WIDE2 {
                tile!(load 7, x.wrapping_add(TILE), 64usize);
            }
        }
    }

    #[inline(always)]
    unsafe fn dots<const TALL2: bool, const WIDE2: bool>() {
        // SAFETY: the caller's.
        unsafe {
            tile!(dot 0, 4, 6);
            if WIDE2 {
                tile!(dot 1, 4, 7);
            }
            if TALL2 {
                tile!(dot 2, 5, 6);
            }
            if TALL2 && WIDE2 {
                tile!(dot 3, 5, 7);
            }
        }
    }
}

#[repr(align(64))]
struct Buffer([MaybeUninit<f32>; 4 * TALL * TALL]);

/// Columns beyond the last token are written up to whole vectors.
const _: () = assert!(TALL == LINE);
