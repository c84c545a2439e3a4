//! Products with rows of weights that their user has widened already, on the calling thread.

use super::super::source::Output;
use super::across::TALL;
use super::{Ahead, Inner, Kernels, PIECE, ROWS};

impl Inner {
    /// `tokens` columns of `x [depth][row]`, rows up to whole vectors, for weights of about the root mean square `size`;
    /// `None` where this processor does not multiply so many any faster so.
    pub fn of_floats(x: &[f32], row: usize, tokens: usize, size: f32) -> Option<Self> {
        let depth = x.len() / row.max(1);
        let kernels = Kernels::chosen().filter(|k| depth > 0 && k.across(tokens, false))?;
        let mut out = Self::to_fill(kernels, depth, tokens, false);
        let places = out.places(size);
        // SAFETY: rows reach to whole vectors; every token is laid out once.
        unsafe { places.lay_out((0, tokens), x.as_ptr(), row) }
        Some(out)
    }

    /// Rows `w [count][depth]` times all tokens.
    ///
    /// # Safety
    /// `out` must have a row for each, of the tokens up to the next multiple of sixteen, which nobody else reads or writes.
    pub unsafe fn floats_times(&self, w: &[f32], out: Output) {
        assert!(self.across && w.len().is_multiple_of(self.depth));
        for (i, rows) in w.chunks(ROWS * self.depth).enumerate() {
            let to = out.y.get().wrapping_add(i * ROWS * out.row);
            for from in (0..self.depth).step_by(PIECE) {
                let deep = from..self.depth.min(from + PIECE);
                let panel = (&rows[from..], self.depth, rows.len() / self.depth);
                let add = out.add || from > 0;
                // SAFETY: the caller's.
                unsafe { self.panel_times(panel, &deep, (to, out.row), add, &mut Ahead::default()) }
            }
        }
    }

    /// Columns of `w [depth][columns]` times all tokens.
    ///
    /// # Safety
    /// As for [`Inner::floats_times`], with a row for each column.
    pub unsafe fn float_columns_times(&self, w: &[f32], columns: usize, out: Output) {
        assert!(self.across && w.len() == self.depth * columns);
        for from in (0..self.depth).step_by(PIECE) {
            let deep = from..self.depth.min(from + PIECE);
            let (panel, steps) = (&w[from * columns..], (columns, TALL, columns));
            let to = Output { add: out.add || from > 0, ..out };
            // SAFETY: the caller's.
            unsafe { self.panel_columns_times(panel, steps, &deep, to, &mut Ahead::default()) }
        }
    }
}
