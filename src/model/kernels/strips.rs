//! Norms that are computed a strip of tokens at a time, on their way into the form that the following product's kernel
//! takes: between the two they stay in the L2 cache.

use super::mat::{LINE, Mat};
use super::norms::{Strip, norm_strip};
use super::team;
use std::cell::RefCell;

/// The RMSNorm of `x [in, tokens]`, not yet computed (see [`super::norms::rms_norm`]).
#[derive(Clone, Copy)]
pub struct Normed<'a> {
    pub x: &'a Mat,
    /// `[in]`
    pub w: &'a [f32],
    pub plus: f32,
    pub eps: f64,
}

/// Tokens of a strip, and of one where there are few: all threads shall have some.
const MANY: usize = 2 * LINE;
const FEW: usize = LINE;
/// Most tokens that are few.
const FEW_TOKENS: usize = 4 * MANY;

/// Tokens of a strip of so many.
pub(super) fn width(tokens: usize) -> usize {
    if tokens <= FEW_TOKENS { FEW } else { MANY }
}

thread_local! {
    static STRIP: RefCell<Option<Mat>> = const { RefCell::new(None) };
}

/// A computed strip: `rows` rows of some tokens, up to whole vectors, on cache lines.
#[derive(Clone, Copy)]
pub(super) struct Computed<'a> {
    pub rows: &'a [f32],
    /// Floats from one row to the next.
    pub row: usize,
    /// Column of the first token.
    pub first: usize,
    pub tokens: usize,
}

impl Normed<'_> {
    /// Every strip, on the team that stands by, or the current rayon pool.
    pub(super) fn each(&self, work: impl Fn(Computed) + Sync) {
        let (rows, cols) = (self.x.rows(), self.x.cols());
        assert_eq!(self.w.len(), rows);
        let width = width(cols);
        team::each(cols.div_ceil(width), |i| {
            STRIP.with_borrow_mut(|strip| {
                let fits = |m: &&mut Mat| m.rows() >= rows && m.cols() == width;
                if strip.as_mut().filter(fits).is_none() {
                    *strip = Some(Mat::to_fill(rows, width));
                }
                let Some(strip) = strip else { return };
                let (first, row) = (i * width, strip.stride());
                let tokens = width.min(cols - first);
                let strip = &mut strip.flat_mut()[..rows * row];
                self.compute(first, tokens, strip, row);
                work(Computed { rows: strip, row, first, tokens });
            });
        });
    }

    fn compute(&self, first: usize, tokens: usize, to: &mut [f32], row: usize) {
        let strip = Strip {
            x: self.x.flat()[first..].as_ptr(),
            out: to.as_mut_ptr(),
            x_row: self.x.stride(),
            out_row: row,
            plus: self.plus,
            eps: self.eps as f32,
            add: false,
        };
        // SAFETY: rows of x reach to whole vectors; `to` has as many rows.
        unsafe { norm_strip(tokens.div_ceil(LINE), strip, self.w) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::norms::{NormOut, rms_norm};
    use super::super::testing::{matrix, numbers};
    use super::*;
    use std::sync::Mutex;

    fn computed(normed: Normed) -> Mat {
        let out = Mutex::new(Mat::zeros(normed.x.rows(), normed.x.cols()));
        normed.each(|s| {
            let mut out = out.lock().unwrap();
            for (r, row) in s.rows.chunks_exact(s.row).enumerate() {
                out.row_mut(r)[s.first..][..s.tokens].copy_from_slice(&row[..s.tokens]);
            }
        });
        out.into_inner().unwrap()
    }

    #[test]
    fn strips_are_parts_of_the_whole() {
        for cols in [1, 16, 37, 192, 193, 300] {
            let (x, w) = (matrix(70, cols, 1), numbers(70, 3));
            let mut want = Mat::zeros(70, cols);
            rms_norm(&x, &w, 1.0, 1e-6, NormOut::Write(&mut want));
            let got = computed(Normed { x: &x, w: &w, plus: 1.0, eps: 1e-6 });
            (0..70).for_each(|r| assert_eq!(got.row(r), want.row(r), "{cols} columns, row {r}"));
        }
    }
}
