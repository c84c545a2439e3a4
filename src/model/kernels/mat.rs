//! A feature-major matrix of activations.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::sync::Mutex;

/// Sixteen floats on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats in a cache line.
pub const LINE: usize = 16;

/// `[rows, cols]` with `cols` (tokens) contiguous; rows begin on cache lines, an odd number of lines apart so
/// that walking down a column does not fall on the same cache sets. The padding holds numbers without meaning.
pub struct Mat {
    rows: usize,
    cols: usize,
    stride: usize,
    /// From [`fresh`] alone, so that all of its capacity is numbers.
    data: Vec<Line>,
}

/// Memory of dropped matrices, used again: fresh pages from the system cost more than a small product.
static POOL: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());
/// Dropped matrices kept at most (a forgotten prompt's keys and values, two for every layer, come at once), and the lines
/// that all of them may have together (64 MiB).
const POOLED: usize = 256;
const POOLED_LINES: usize = 1 << 20;

/// Fresh memory, all zero: whole pages come so from the system and are not written twice.
fn fresh(lines: usize) -> Vec<Line> {
    let Ok(layout) = Layout::array::<Line>(lines) else { return Vec::new() };
    if layout.size() == 0 {
        return Vec::new();
    }
    // SAFETY: the layout is not empty; a vector of `lines` lines has exactly this layout, and zeros are floats.
    unsafe {
        let p = alloc_zeroed(layout).cast::<Line>();
        if p.is_null() {
            handle_alloc_error(layout);
        }
        Vec::from_raw_parts(p, lines, lines)
    }
}

/// All of a matrix's memory: what was too much for it is there again, or memory would shrink from use to use.
fn whole(mut data: Vec<Line>) -> Vec<Line> {
    // SAFETY: all of the capacity was made and written by `fresh`.
    unsafe { data.set_len(data.capacity()) };
    data
}

/// Lines of a row.
fn row_lines(cols: usize) -> usize {
    cols.div_ceil(LINE).max(1) | 1
}

/// Lines of a matrix: slack at the end lets a tile that starts inside a row read whole vectors.
fn lines_for(rows: usize, cols: usize) -> usize {
    rows * row_lines(cols) + 3
}

/// Whether memory is enough for `lines` without much waste.
fn fits(data: &[Line], lines: usize) -> bool {
    (lines..=lines * 2).contains(&data.len())
}

/// A dropped matrix's memory that fits `lines`: the smallest, of equal ones the last.
fn recycled(lines: usize) -> Option<Vec<Line>> {
    let mut pool = POOL.lock().ok()?;
    let fitting = pool.iter().enumerate().rev().filter(|(_, v)| fits(v, lines));
    let at = fitting.min_by_key(|(_, v)| v.len())?.0;
    let mut data = pool.remove(at);
    data.truncate(lines);
    Some(data)
}

/// Keeps memory for the next matrix.
fn keep(data: Vec<Line>) {
    if !(16..=POOLED_LINES / 4).contains(&data.len()) {
        return;
    }
    if let Ok(mut pool) = POOL.lock() {
        let mut lines: usize = pool.iter().map(Vec::len).sum::<usize>() + data.len();
        // What has lain longest without use makes room.
        while pool.len() >= POOLED || lines > POOLED_LINES {
            lines -= pool.remove(0).len();
        }
        pool.push(data);
    }
}

impl Drop for Mat {
    fn drop(&mut self) {
        keep(whole(std::mem::take(&mut self.data)));
    }
}

impl Clone for Mat {
    fn clone(&self) -> Self {
        let mut data = recycled(self.data.len()).unwrap_or_else(|| fresh(self.data.len()));
        data.copy_from_slice(&self.data);
        Self { rows: self.rows, cols: self.cols, stride: self.stride, data }
    }
}

impl Mat {
    /// All zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        let mut m = Self::to_fill(rows, cols);
        m.data.fill(Line([0.0; LINE]));
        m
    }

    /// Numbers without meaning, for a kernel that writes all of them.
    pub fn to_fill(rows: usize, cols: usize) -> Self {
        let needed = lines_for(rows, cols);
        let data = recycled(needed).unwrap_or_else(|| fresh(needed));
        Self { rows, cols, stride: row_lines(cols) * LINE, data }
    }

    /// How many more matrices `[rows, cols]` are wanted for `count` of them to find memory of dropped ones.
    pub fn missing(count: usize, rows: usize, cols: usize) -> usize {
        let needed = lines_for(rows, cols);
        let most = count.min(POOLED / 2).min(POOLED_LINES / 2 / needed);
        let there = POOL.lock().map_or(most, |pool| pool.iter().filter(|v| fits(v, needed)).count());
        most.saturating_sub(there)
    }

    /// Makes that many, pages and all: a page that the system has to find first costs as much as what is computed to
    /// fill it, and on virtual machines several times as much.
    pub fn make_ready(missing: usize, rows: usize, cols: usize) {
        for _ in 0..missing {
            let mut data = fresh(lines_for(rows, cols));
            // One number on each page.
            data.iter_mut().step_by(64).for_each(|line| line.0[0] = std::hint::black_box(0.0));
            keep(data);
        }
    }

    /// From token-major `[cols, rows]` numbers.
    pub fn from_tokens(rows: usize, cols: usize, xs: &[f32]) -> Self {
        assert_eq!(xs.len(), rows * cols);
        let mut out = Self::zeros(rows, cols);
        for (c, token) in xs.chunks_exact(rows.max(1)).enumerate() {
            out.set_column(c, token);
        }
        out
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Floats from one row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Row `r`'s first `cols` numbers.
    pub fn row(&self, r: usize) -> &[f32] {
        &self.flat()[r * self.stride..][..self.cols]
    }

    /// Row `r`, writable.
    pub fn row_mut(&mut self, r: usize) -> &mut [f32] {
        let (stride, cols) = (self.stride, self.cols);
        &mut self.flat_mut()[r * stride..][..cols]
    }

    /// Everything, padding included.
    pub fn flat(&self) -> &[f32] {
        // SAFETY: Line is sixteen f32 without padding.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr().cast(), self.data.len() * LINE) }
    }

    /// Everything, padding included, writable.
    pub fn flat_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_mut_ptr().cast(), self.data.len() * LINE) }
    }

    /// Column `c` (one token's vector), `[rows]`.
    pub fn column(&self, c: usize) -> Vec<f32> {
        assert!(c < self.cols);
        let flat = self.flat();
        (0..self.rows).map(|r| flat[r * self.stride + c]).collect()
    }

    /// Writes column `c`.
    pub fn set_column(&mut self, c: usize, xs: &[f32]) {
        assert!(c < self.cols && xs.len() == self.rows);
        let stride = self.stride;
        let flat = self.flat_mut();
        for (r, x) in xs.iter().enumerate() {
            flat[r * stride + c] = *x;
        }
    }

    /// A copy of columns `from..to`.
    pub fn columns(&self, from: usize, to: usize) -> Self {
        assert!(from <= to && to <= self.cols);
        let mut out = Self::zeros(self.rows, to - from);
        for r in 0..self.rows {
            out.row_mut(r).copy_from_slice(&self.row(r)[from..to]);
        }
        out
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.data.len() * size_of::<Line>()
    }
}

/// A pointer that may cross threads; whoever uses it writes disjoint places.
#[derive(Clone, Copy)]
pub struct SendPtr(pub *mut f32);
// SAFETY: the kernels that share it partition their output by rows or columns.
unsafe impl Send for SendPtr {}
// SAFETY: as above.
unsafe impl Sync for SendPtr {}

impl SendPtr {
    /// The pointer (a method, so that closures capture the whole wrapper).
    pub fn get(self) -> *mut f32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_does_not_shrink_from_use_to_use() {
        let mut data = fresh(40);
        data.truncate(17);
        assert_eq!(whole(data).len(), 40);
        let m = Mat::zeros(3, 40);
        assert_eq!(m.clone().flat(), m.flat());
    }

    #[test]
    fn memory_made_ready_is_found() {
        // A size that no other test has.
        let (rows, cols) = (9973, 48);
        assert_eq!(Mat::missing(4, rows, cols), 4);
        Mat::make_ready(4, rows, cols);
        assert_eq!(Mat::missing(4, rows, cols), 0);
        assert_eq!(Mat::missing(6, rows, cols), 2);
        let (a, b) = (Mat::zeros(rows, cols), Mat::zeros(rows, cols - 10));
        assert_eq!(Mat::missing(4, rows, cols), 2);
        drop((a, b));
        assert_eq!(Mat::missing(4, rows, cols), 0);
        assert!(Mat::missing(usize::MAX, 1 << 20, 1 << 20) == 0, "more than is kept");
    }
}
