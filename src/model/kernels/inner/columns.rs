//! Products with transposed weights: columns of the weights are rows of the product.

use super::super::mat::{LINE, Mat};
use super::super::matmul::CpuWeight;
use super::super::source::Output;
use super::across::{TALL, Threes};
use super::{Ahead, Inner, Kernels, PIECE, Panel, ROWS};
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::ops::Range;

thread_local! {
    static PANEL: RefCell<Option<Mat>> = const { RefCell::new(None) };
}

impl Kernels {
    /// Whether transposed weights are worth laying out so many tokens for.
    pub fn suits_columns(&self, w: &CpuWeight, tokens: usize, same_bits: bool) -> bool {
        Self::suits(w.inp, w.out) && self.across(tokens, same_bits)
    }
}

impl Inner {
    /// Columns `columns` of weights times all tokens, to `out`, on the calling thread. Tokens and weights must be such as
    /// [`Kernels::suits_columns`] takes.
    ///
    /// # Safety
    /// `out` must have a row for each column, of the tokens up to the next multiple of [`LINE`], which nobody else reads or
    /// writes.
    pub unsafe fn columns_times(&self, w: &CpuWeight, columns: Range<usize>, out: Output) {
        assert!(self.across && w.out == self.depth && columns.end <= w.inp);
        let wide = columns.len();
        // Other threads take the columns that follow these.
        let beyond = columns.end + (rayon::current_num_threads() - 1) * wide;
        PANEL.with_borrow_mut(|panel| {
            // A tile's columns lie together, `[columns / 8][depth][8]`: in rows of all columns they would take whole cache
            // lines for half of each.
            let tiles = wide.div_ceil(TALL);
            if panel.as_ref().is_none_or(|p| p.rows() != tiles) {
                *panel = Some(Mat::zeros(tiles, PIECE * TALL));
            }
            let Some(panel) = panel else { return };
            let tile = panel.stride();
            let mut row = vec![0f32; tiles * TALL];
            for from in (0..self.depth).step_by(PIECE) {
                let deep = from..self.depth.min(from + PIECE);
                for (i, k) in deep.clone().enumerate() {
                    w.widen_row(k, columns.start, &mut row[..wide]);
                    for (t, eight) in row.as_chunks::<TALL>().0.iter().enumerate() {
                        panel.flat_mut()[t * tile + i * TALL..][..TALL].copy_from_slice(eight);
                    }
                }
                let next = deep.end..self.depth.min(deep.end + PIECE);
                let mut ahead = match next.is_empty() {
                    false => w.ahead(next, columns.clone()),
                    true if beyond + wide <= w.inp => {
                        w.ahead(0..self.depth.min(PIECE), beyond..beyond + wide)
                    }
                    true => Ahead::default(),
                };
                let to = Output { add: out.add || from > 0, ..out };
                // SAFETY: the caller's.
                unsafe { self.panel_columns_times(panel.flat(), (TALL, tile, wide), &deep, to, &mut ahead) }
            }
        });
    }

    /// `wide` columns of a panel, `input` floats from an input to the next and `tile` from [`TALL`] columns to the next.
    ///
    /// # Safety
    /// As for [`Inner::columns_times`].
    pub(super) unsafe fn panel_columns_times(
        &self,
        panel: &[f32],
        (input, tile, wide): (usize, usize, usize),
        deep: &Range<usize>,
        out: Output,
        ahead: &mut Ahead,
    ) {
        for first in (0..wide).step_by(ROWS) {
            let (count, w) = (ROWS.min(wide - first), &panel[first / TALL * tile..]);
            // SAFETY: the processor has the instructions of the kernels that were chosen.
            let own = unsafe { own_products(w, (input, tile), deep.len(), count) };
            let part = Panel { w, row: 1, tile, input, count, own, deep: deep.clone() };
            let to = out.y.get().wrapping_add(first * out.row);
            // SAFETY: the caller's.
            unsafe { self.across(&part, (to, out.row), out.add, ahead) }
        }
    }
}

/// The traded neighbours' products within each of a panel's columns.
#[target_feature(enable = "avx512f")]
fn own_products(panel: &[f32], (input, tile): (usize, usize), depth: usize, count: usize) -> [f32; ROWS] {
    // Tiles beside each other fill whole vectors.
    let together = if tile == TALL { LINE } else { TALL };
    let end = (count - 1) / TALL * tile + (count - 1) % TALL;
    assert!((1..=ROWS).contains(&count) && panel.len() > (depth - 1) * input + end);
    let mut own = [0f32; ROWS];
    for (v, own) in own.chunks_exact_mut(together).enumerate().take(count.div_ceil(together)) {
        let there = (u32::MAX >> (32 - together.min(count - v * together))) as __mmask16;
        let mut sum = _mm512_setzero_ps();
        for three in Threes::of(depth) {
            for k in three.from..three.from + three.apart {
                let at = panel[k * input + v * together / TALL * tile..].as_ptr();
                // SAFETY: both inputs' columns are in the panel.
                let (a, b) = unsafe {
                    (
                        _mm512_maskz_loadu_ps(there, at),
                        _mm512_maskz_loadu_ps(there, at.add(three.apart * input)),
                    )
                };
                sum = _mm512_fmadd_ps(a, b, sum);
            }
        }
        // SAFETY: as many numbers as there are lanes in the mask.
        unsafe { _mm512_mask_storeu_ps(own.as_mut_ptr(), there, sum) }
    }
    own
}
