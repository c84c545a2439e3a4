//! Activations as pairs of bf16 numbers, for the instructions that multiply those.

use super::mat::{Mat, SendPtr};
use super::strips::{Computed, Normed};
use super::team;
use crate::multiversion;

/// Rows of pairs in one task.
const PAIRED: usize = 16;

/// Neighbouring inputs, rounded to bf16, side by side.
pub(super) fn pairs(x: &Mat, from: usize, cols: usize) -> Mat {
    let mut out = Mat::to_fill(x.rows() / 2, cols);
    let (rows, stride) = (out.rows(), out.stride());
    let to = SendPtr(out.flat_mut().as_mut_ptr());
    let row = |r: usize| &x.flat()[r * x.stride() + from..][..cols];
    team::each(rows.div_ceil(PAIRED), |i| {
        for r in i * PAIRED..rows.min((i + 1) * PAIRED) {
            // SAFETY: row r of the result, which is this task's.
            let to = unsafe { std::slice::from_raw_parts_mut(to.get().add(r * stride), cols) };
            pair_row(row(2 * r), row(2 * r + 1), to);
        }
    });
    out
}

/// The same of an input that is computed meanwhile.
pub(super) fn pairs_of_normed(normed: &Normed) -> Mat {
    let mut out = Mat::to_fill(normed.x.rows() / 2, normed.x.cols());
    let (stride, to) = (out.stride(), SendPtr(out.flat_mut().as_mut_ptr()));
    normed.each(|strip| pair_strip(strip, SendPtr(to.get().wrapping_add(strip.first)), stride));
    out
}

multiversion! {
    /// Pairs of a strip's rows, from `to` on, each `to_row` after the one before.
    fn pair_strip(strip: Computed, to: SendPtr, to_row: usize) {
        for (r, two) in strip.rows.chunks_exact(2 * strip.row).enumerate() {
            let (a, b) = two.split_at(strip.row);
            // SAFETY: these tokens of row r, which are this strip's.
            let to = unsafe { std::slice::from_raw_parts_mut(to.get().add(r * to_row), strip.tokens) };
            for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
                *to = pair(*a, *b);
            }
        }
    }
}

multiversion! {
    /// Two rows' numbers, rounded to the nearest bf16 (of two, the even one), as the halves of one number.
    pub(super) fn pair_row(a: &[f32], b: &[f32], to: &mut [f32]) {
        for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
            *to = pair(*a, *b);
        }
    }
}

/// Two numbers, rounded, as the halves of one: what [`Tiles::of_pairs`] multiply.
#[inline(always)]
pub(super) fn pair(a: f32, b: f32) -> f32 {
    f32::from_bits(rounded(a) >> 16 | rounded(b) & 0xFFFF_0000)
}

/// A number's bits, of which the upper half is its bf16. Without a branch, so that loops around it become vectors.
#[inline(always)]
fn rounded(x: f32) -> u32 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    if x.is_nan() { bits | 0x0040_0000 } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn rounding_is_that_of_the_library() {
        let odd = [0x7F80_0001, 0x7F7F_FFFF, 0x8000_0000, 0x3F80_8000, 0x3F81_8000, 1];
        for bits in (0..=u32::MAX).step_by(65_521).chain(odd) {
            let x = f32::from_bits(bits);
            assert_eq!((rounded(x) >> 16) as u16, bf16::from_f32(x).to_bits(), "{bits:x}");
        }
    }
}
