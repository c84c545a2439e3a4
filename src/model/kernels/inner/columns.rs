//! Products with transposed weights: columns of the weights are rows of the product.

use super::super::mat::{LINE, Mat};
use super::super::matmul::CpuWeight;
use super::super::source::Output;
use super::across::Threes;
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
            if panel.as_ref().is_none_or(|p| p.cols() != wide) {
                *panel = Some(Mat::zeros(PIECE, wide));
            }
            let Some(panel) = panel else { return };
            for from in (0..self.depth).step_by(PIECE) {
                let deep = from..self.depth.min(from + PIECE);
                for (i, k) in deep.clone().enumerate() {
                    w.widen_row(k, columns.start, panel.row_mut(i));
                }
                let next = deep.end..self.depth.min(deep.end + PIECE);
                let mut ahead = match next.is_empty() {
                    false => w.ahead(next, columns.clone()),
                    true if beyond + wide <= w.inp => {
                        w.ahead(0..self.depth.min(PIECE), beyond..beyond + wide)
                    }
                    true => Ahead::default(),
                };
                let row = panel.stride();
                for first in (0..wide).step_by(ROWS) {
                    let (count, flat) = (ROWS.min(wide - first), &panel.flat()[first..]);
                    // SAFETY: the processor has the instructions of the kernels that were chosen.
                    let own = unsafe { own_products(flat, row, deep.len(), count) };
                    let part = Panel { w: flat, row: 1, input: row, count, own, deep: deep.clone() };
                    let to = out.y.get().wrapping_add(first * out.row);
                    // SAFETY: the caller's.
                    unsafe { self.across(&part, (to, out.row), out.add || from > 0, &mut ahead) }
                }
            }
        });
    }
}

/// The traded neighbours' products within each of a panel's columns.
#[target_feature(enable = "avx512f")]
fn own_products(panel: &[f32], row: usize, depth: usize, count: usize) -> [f32; ROWS] {
    assert!(count <= ROWS && panel.len() >= (depth.max(1) - 1) * row + count.next_multiple_of(LINE));
    let mut own = [0f32; ROWS];
    for (v, own) in own.as_chunks_mut::<LINE>().0.iter_mut().enumerate().take(count.div_ceil(LINE)) {
        let mut sum = _mm512_setzero_ps();
        for three in Threes::of(depth) {
            for k in three.from..three.from + three.apart {
                let at = panel[k * row + v * LINE..].as_ptr();
                // SAFETY: both inputs are in the panel.
                let (a, b) = unsafe { (_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(three.apart * row))) };
                sum = _mm512_fmadd_ps(a, b, sum);
            }
        }
        // SAFETY: sixteen numbers.
        unsafe { _mm512_storeu_ps(own.as_mut_ptr(), sum) }
    }
    own
}
