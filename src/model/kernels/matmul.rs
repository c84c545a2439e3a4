//! Products with weights that stay in their file's own format.

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::mat::{LINE, Mat, SendPtr};
use super::simd::simd;
use super::tile::{Tile, Tiles};
use crate::error::{Error, Result};
use crate::model::format::{Format, bytes_of};
use memmap2::Mmap;
use rayon::prelude::*;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::Arc;

/// Where the bytes of a weight are.
#[derive(Clone)]
enum Bytes {
    /// Read from the file's map as needed: no copy in memory.
    Mapped(Arc<Mmap>, Range<usize>),
    Floats(Arc<Vec<f32>>),
    /// Anything else, kept in 64-bit words for alignment, with the true length in bytes.
    Words(Arc<Vec<u64>>, usize),
}

/// A linear layer's weights `[out, in]`, row-major, in any [`Format`].
#[derive(Clone)]
pub struct CpuWeight {
    pub format: Format,
    pub out: usize,
    pub inp: usize,
    bytes: Bytes,
    /// Rows of a head that is stored with its halves interleaved; 0 where rows lie in order.
    interleaved: usize,
}

impl CpuWeight {
    /// Weights that are read from a file's map.
    ///
    /// # Errors
    /// Where the range does not hold `[out, inp]` numbers or is not aligned for its format.
    pub fn mapped(
        map: Arc<Mmap>,
        range: Range<usize>,
        format: Format,
        out: usize,
        inp: usize,
    ) -> Result<Self> {
        let fits = range.end <= map.len() && format.bytes_for(inp).map(|b| b * out) == Some(range.len());
        if !fits {
            return Err(Error::failed(format!(
                "{} bytes do not hold [{out}, {inp}] {}",
                range.len(),
                format.name()
            )));
        }
        if !(map.as_ptr() as usize + range.start).is_multiple_of(format.alignment()) {
            // Widened formats need alignment that a careless writer may not have kept.
            return Ok(Self::copied(&map[range], format, out, inp));
        }
        Ok(Self { format, out, inp, bytes: Bytes::Mapped(map, range), interleaved: 0 })
    }

    /// Weights copied from bytes.
    pub fn copied(raw: &[u8], format: Format, out: usize, inp: usize) -> Self {
        let mut words = vec![0u64; raw.len().div_ceil(8)];
        // SAFETY: u64 is plain data and the vector is at least as long as `raw`.
        let dst = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), raw.len()) };
        dst.copy_from_slice(raw);
        Self { format, out, inp, bytes: Bytes::Words(Arc::new(words), raw.len()), interleaved: 0 }
    }

    /// Weights from f32 numbers.
    pub fn floats(xs: Vec<f32>, out: usize, inp: usize) -> Self {
        assert_eq!(xs.len(), out * inp);
        Self { format: Format::F32, out, inp, bytes: Bytes::Floats(Arc::new(xs)), interleaved: 0 }
    }

    /// The same weights where the file has the two halves of each head of `dim` rows interleaved: rows are found where
    /// they lie, and nothing is copied. For quantised formats alone: of others kernels read the bytes as they are.
    pub fn with_interleaved_heads(self, dim: usize) -> Self {
        assert!(self.format.block_len() > 1 && self.out.is_multiple_of(dim) && dim.is_multiple_of(2));
        Self { interleaved: dim, ..self }
    }

    /// Where row `r` lies among the stored rows.
    fn place(&self, r: usize) -> usize {
        match self.interleaved {
            0 => r,
            dim => interleaved_place(r, dim),
        }
    }

    /// All bytes, rows one after the other as they are stored.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map, range) => &map[range.clone()],
            Bytes::Floats(xs) => bytes_of(xs),
            // SAFETY: the words hold at least that many bytes.
            Bytes::Words(words, n) => unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), *n) },
        }
    }

    /// Bytes of one row.
    fn row_bytes(&self) -> usize {
        self.inp / self.format.block_len() * self.format.block_bytes()
    }

    /// Widens columns `from..from + out.len()` of row `r` (block-aligned) into `out`.
    pub fn widen_row(&self, r: usize, from: usize, out: &mut [f32]) {
        let (len, size) = (self.format.block_len(), self.format.block_bytes());
        let start = self.place(r) * self.row_bytes() + from / len * size;
        self.format.widen(&self.bytes()[start..start + out.len() / len * size], out);
    }

    /// Row `r` as f32, `[in]`.
    pub fn row(&self, r: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.inp];
        self.widen_row(r, 0, &mut out);
        out
    }
}

/// Where llama.cpp stores row `r` of heads of `dim` rows: as (pair, half) what Hugging Face has as (half, pair).
pub fn interleaved_place(r: usize, dim: usize) -> usize {
    let (head, in_head) = (r / dim, r % dim);
    head * dim + 2 * (in_head % (dim / 2)) + in_head / (dim / 2)
}

/// Numbers of a row that are widened at a time: whole blocks of every format, small enough for the L2 cache.
const WIDE: usize = 1024;
/// Depth of one pass over a tile, so that its slice of activations stays in the L1 cache.
const DEPTH: usize = 176;
/// Most rows of weights in one task.
const ROWS: usize = 64;
/// Most tokens in one pass, so that their slice stays in the L2 cache.
const TOKENS: usize = 768;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

thread_local! {
    /// Whether products that are begun on this thread use the processor's tiles, where it has them.
    static TILES: Cell<bool> = const { Cell::new(true) };
}

/// Fewest tokens for which cutting the weights for the tiles pays.
const FEWEST: usize = 256;

/// Runs `work`, whose products are over about `tokens` tokens, with the kernel that is the faster one for so many; or,
/// where the same sum must come out whatever it is computed beside (`same_bits`), with one kernel always.
pub fn with_kernel<T>(tokens: usize, same_bits: bool, work: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            TILES.set(self.0);
        }
    }
    let _restore = Restore(TILES.replace(same_bits || tokens >= FEWEST));
    work()
}

/// Whether products that are begun on this thread use the processor's tiles, where it has them.
pub fn uses_tiles() -> bool {
    TILES.get()
}

/// One product of a group that shares its input.
pub struct Job<'a> {
    pub w: &'a CpuWeight,
    /// `[out, tokens]`, the same token columns as the input.
    pub y: &'a mut Mat,
    /// Add to what is in `y` instead of overwriting it.
    pub add: bool,
}

/// `y = w x` (or `y += w x`) for every job, on the token columns `cols`: `x [in, tokens]`, `y [out, tokens]`,
/// the columns of `x` shifted by `x_from` against those of `y`. Jobs run together so that small ones fill the
/// threads, on the current rayon pool. `cols.start` is a multiple of [`LINE`]; whole vectors are written, so
/// the columns up to the next multiple of [`LINE`] after `cols.end` are overwritten as well.
pub fn matmul_columns(x: &Mat, x_from: usize, jobs: &mut [Job], cols: Range<usize>) {
    #[cfg(target_arch = "x86_64")]
    if amx::available() && TILES.get() {
        return on_tiles(x, x_from, jobs, cols);
    }
    let threads = rayon::current_num_threads();
    let total: usize = jobs.iter().map(|j| j.w.out).sum();
    let rows = (total / (threads * 6)).next_multiple_of(8).clamp(16, ROWS);
    let mut tasks = Vec::new();
    assert!(
        cols.start.is_multiple_of(LINE) && x_from.is_multiple_of(LINE) && x_from + cols.len() <= x.cols()
    );
    for job in jobs.iter_mut() {
        assert!(job.w.inp == x.rows() && job.w.out == job.y.rows() && cols.end <= job.y.cols());
        let (y_row, y) = (job.y.stride(), SendPtr(job.y.flat_mut().as_mut_ptr()));
        tasks.extend((0..job.w.out).step_by(rows).map(|first| Task {
            w: job.w,
            add: job.add,
            rows: first..job.w.out.min(first + rows),
            // Task outputs are rows of a matrix, from its column `cols.start` on.
            y: SendPtr(y.get().wrapping_add(first * y_row + cols.start)),
            y_row,
        }));
    }
    let source = Source {
        x: SendPtr(x.flat().as_ptr().cast_mut().wrapping_add(x_from)),
        row: x.stride(),
        cols: cols.len(),
    };
    tasks.into_par_iter().for_each(|task| {
        SCRATCH.with_borrow_mut(|scratch| rows_times(&task, &source, scratch));
    });
}

/// [`matmul_columns`] where the processor has tiles of its own.
#[cfg(target_arch = "x86_64")]
fn on_tiles(x: &Mat, x_from: usize, jobs: &mut [Job], cols: Range<usize>) {
    let total: usize = jobs.iter().map(|j| j.w.out).sum();
    let rows = amx::task_rows(total, rayon::current_num_threads());
    assert!(
        cols.start.is_multiple_of(LINE) && x_from.is_multiple_of(LINE) && x_from + cols.len() <= x.cols()
    );
    let packed = amx::Packed::new(x, x_from, cols.len());
    let mut tasks = Vec::new();
    for job in jobs.iter_mut() {
        assert!(job.w.inp == x.rows() && job.w.out == job.y.rows() && cols.end <= job.y.cols());
        let (row, y) = (job.y.stride(), SendPtr(job.y.flat_mut().as_mut_ptr()));
        tasks.extend((0..job.w.out).step_by(rows).map(|first| {
            let y = SendPtr(y.get().wrapping_add(first * row + cols.start));
            (job.w, first..job.w.out.min(first + rows), amx::Output { y, row, add: job.add })
        }));
    }
    tasks
        .into_par_iter()
        .for_each(|(w, rows, out)| amx::rows_times(amx::Weights::filed(w, false), rows, &packed, out));
}

/// [`matmul_columns`] on all columns.
pub fn matmul(x: &Mat, jobs: &mut [Job]) {
    matmul_columns(x, 0, jobs, 0..x.cols());
}

/// The readout's product: rows `rows` of `w x` into `y [rows][y_row]`, on the calling thread.
pub fn matmul_rows(w: &CpuWeight, rows: Range<usize>, x: &Mat, y: &mut [f32], y_row: usize) {
    assert!(
        y_row.is_multiple_of(LINE) && y_row >= x.cols() && y.len() >= rows.len() * y_row && w.inp == x.rows()
    );
    let source = Source { x: SendPtr(x.flat().as_ptr().cast_mut()), row: x.stride(), cols: x.cols() };
    let task = Task { w, rows, add: false, y: SendPtr(y.as_mut_ptr()), y_row };
    SCRATCH.with_borrow_mut(|scratch| rows_times(&task, &source, scratch));
}

struct Task<'a> {
    w: &'a CpuWeight,
    rows: Range<usize>,
    add: bool,
    y: SendPtr,
    y_row: usize,
}

struct Source {
    x: SendPtr,
    row: usize,
    cols: usize,
}

/// The task's rows of the product, for all columns of the source.
fn rows_times(task: &Task, source: &Source, scratch: &mut Vec<f32>) {
    let (w, first, rows) = (task.w, task.rows.start, task.rows.len());
    let direct = w.format == Format::F32;
    for tokens in (0..source.cols).step_by(TOKENS) {
        let width = TOKENS.min(source.cols - tokens);
        for wide in (0..w.inp).step_by(WIDE) {
            let depth = WIDE.min(w.inp - wide);
            let (panel, w_row) = if direct {
                (w.bytes()[(first * w.inp + wide) * 4..].as_ptr().cast::<f32>(), w.inp)
            } else {
                scratch.resize(scratch.len().max(rows * WIDE), 0.0);
                for r in 0..rows {
                    w.widen_row(first + r, wide, &mut scratch[r * WIDE..][..depth]);
                }
                (scratch.as_ptr(), WIDE)
            };
            let tile = Tile {
                k: depth,
                w: panel,
                w_row,
                w_k: 1,
                x: source.x.get().wrapping_add(wide * source.row + tokens).cast_const(),
                x_k: source.row,
                out: task.y.get().wrapping_add(tokens),
                out_row: task.y_row,
                add: task.add || wide > 0,
                // Few tokens: the weights' way from memory takes longer than the arithmetic.
                prefetch: direct && width <= LINE * 3,
            };
            // SAFETY: the panel holds `rows` rows of `depth` numbers `w_row` apart; rows of x and y reach at
            // least to `tokens + width` rounded up to whole vectors, and y's belong to this task alone.
            unsafe { panel_times(tile, rows, width) };
        }
    }
}

/// A panel of weights times a slice of tokens, in tiles.
///
/// # Safety
/// As for [`Tiles::run`], for all `rows` and for `width` columns rounded up to whole vectors.
pub(super) unsafe fn panel_times(whole: Tile, rows: usize, width: usize) {
    let tiles = Tiles::of(simd());
    // Even pieces: 640 is four times 160 rather than three times 176 and a rest. With one block of columns
    // there is no slice to keep, and whole rows are read in the order in which they lie in memory.
    let pieces = if width <= tiles.lanes * tiles.max_cols { 1 } else { whole.k.div_ceil(DEPTH) };
    let depth = whole.k.div_ceil(pieces);
    for k in (0..whole.k).step_by(depth) {
        for (c, vectors) in tiles.column_blocks(width) {
            for r in (0..rows).step_by(tiles.max_rows) {
                let tile = Tile {
                    k: depth.min(whole.k - k),
                    w: whole.w.wrapping_add(r * whole.w_row + k),
                    x: whole.x.wrapping_add(k * whole.x_k + c),
                    out: whole.out.wrapping_add(r * whole.out_row + c),
                    add: whole.add || k > 0,
                    ..whole
                };
                // SAFETY: the caller's.
                unsafe { tiles.run(tiles.max_rows.min(rows - r), vectors, tile) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::numbers;
    use super::*;

    #[test]
    fn equals_the_plain_product_at_odd_sizes() {
        for (out, inp, tokens) in [(1, 1, 1), (5, 3, 17), (67, 640, 49), (130, 1300, 33), (16, 64, 800)] {
            let w = CpuWeight::floats(numbers(out * inp, 1), out, inp);
            let xs = numbers(inp * tokens, 2);
            let x = Mat::from_tokens(inp, tokens, &xs);
            let mut y = Mat::zeros(out, tokens);
            matmul(&x, &mut [Job { w: &w, y: &mut y, add: false }]);
            for r in (0..out).step_by(7) {
                let row = w.row(r);
                for t in 0..tokens {
                    let want: f64 = (0..inp).map(|i| f64::from(row[i]) * f64::from(xs[t * inp + i])).sum();
                    assert!((f64::from(y.row(r)[t]) - want).abs() < 1e-4, "{out} {inp} {tokens}: {r},{t}");
                }
            }
        }
    }

    #[test]
    fn tiles_are_as_exact_as_f32() {
        #[cfg(target_arch = "x86_64")]
        if !amx::available() {
            println!("skipped: this processor has no tiles");
            return;
        }
        for (out, inp, tokens) in [(1, 1, 1), (33, 70, 17), (67, 640, 49), (300, 2048, 33), (16, 64, 800)] {
            let w = CpuWeight::floats(numbers(out * inp, 5), out, inp);
            let xs = numbers(inp * tokens, 6);
            let x = Mat::from_tokens(inp, tokens, &xs);
            let worst = |same_bits: bool| {
                let mut y = Mat::zeros(out, tokens);
                with_kernel(0, same_bits, || matmul(&x, &mut [Job { w: &w, y: &mut y, add: false }]));
                let mut worst = 0f64;
                for r in (0..out).step_by(5) {
                    let row = w.row(r);
                    for t in 0..tokens {
                        let want: f64 =
                            (0..inp).map(|i| f64::from(row[i]) * f64::from(xs[t * inp + i])).sum();
                        worst = worst.max((f64::from(y.row(r)[t]) - want).abs());
                    }
                }
                worst
            };
            let (tiles, vectors) = (worst(true), worst(false));
            println!("{out} x {inp} x {tokens}: error {tiles:.1e} on tiles, {vectors:.1e} on vectors");
            assert!(tiles <= 2.0 * vectors + 1e-6, "{out} {inp} {tokens}: {tiles:e} against {vectors:e}");
        }
    }

    #[test]
    fn half_formats_equal_their_widened_f32() {
        let (out, inp, tokens) = (40, 1100, 21);
        let xs = numbers(inp * tokens, 3);
        let x = Mat::from_tokens(inp, tokens, &xs);
        let halves: Vec<u8> =
            numbers(out * inp, 4).iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
        let w = CpuWeight::copied(&halves, Format::Bf16, out, inp);
        let wide = CpuWeight::floats(Format::Bf16.widen_all(&halves, out * inp).unwrap(), out, inp);
        let (mut a, mut b) = (Mat::zeros(out, tokens), Mat::zeros(out, tokens));
        matmul(&x, &mut [Job { w: &w, y: &mut a, add: false }, Job { w: &wide, y: &mut b, add: false }]);
        assert_eq!(a.flat(), b.flat());
    }

    /// Rows of several blocks, on both kernels.
    #[test]
    fn quantised_formats_equal_their_widened_f32() {
        let (out, inp, tokens) = (70, 1280, 21);
        let x = Mat::from_tokens(inp, tokens, &numbers(inp * tokens, 3));
        for format in [Format::Q4_1, Format::Q5_0, Format::Q8_0, Format::Q3K, Format::Q4K, Format::Q6K] {
            // Bytes so small that no scale is infinite.
            let bytes: Vec<u8> =
                (0..format.bytes_for(out * inp).unwrap()).map(|i| (i * 37 % 48) as u8).collect();
            let w = CpuWeight::copied(&bytes, format, out, inp);
            let wide = CpuWeight::floats(format.widen_all(&bytes, out * inp).unwrap(), out, inp);
            for same_bits in [false, true] {
                let (mut a, mut b) = (Mat::zeros(out, tokens), Mat::zeros(out, tokens));
                with_kernel(0, same_bits, || {
                    matmul(
                        &x,
                        &mut [Job { w: &w, y: &mut a, add: false }, Job { w: &wide, y: &mut b, add: false }],
                    );
                });
                let largest = b.flat().iter().fold(0f32, |m, x| m.max(x.abs()));
                assert!(largest > 0.0 && largest.is_finite());
                for (a, b) in a.flat().iter().zip(b.flat()) {
                    assert!((a - b).abs() <= 1e-5 * largest, "{}: {a} {b}", format.name());
                }
            }
        }
    }
}
