//! Products with weights that stay in their file's own format.

#[cfg(target_arch = "x86_64")]
use super::amx;
#[cfg(target_arch = "x86_64")]
use super::inner::Ahead;
use super::mat::{LINE, Mat, SendPtr};
use super::source::{Output, Source, Way};
use super::strips::Normed;
use super::team;
use crate::error::{Error, Result};
use crate::model::format::{Format, bytes_of};
use memmap2::Mmap;
use std::cell::Cell;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

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
    /// Products round both sides to bf16, where the processor multiplies bf16.
    pub rounds: bool,
    bytes: Bytes,
    /// Rows of a head that is stored with its halves interleaved; 0 where rows lie in order.
    interleaved: usize,
    size: Arc<OnceLock<f32>>,
}

impl CpuWeight {
    fn new(format: Format, out: usize, inp: usize, bytes: Bytes) -> Self {
        Self { format, out, inp, rounds: false, bytes, interleaved: 0, size: Arc::default() }
    }

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
        Ok(Self::new(format, out, inp, Bytes::Mapped(map, range)))
    }

    /// Weights copied from bytes.
    pub fn copied(raw: &[u8], format: Format, out: usize, inp: usize) -> Self {
        let mut words = vec![0u64; raw.len().div_ceil(8)];
        // SAFETY: u64 is plain data and the vector is at least as long as `raw`.
        let dst = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), raw.len()) };
        dst.copy_from_slice(raw);
        Self::new(format, out, inp, Bytes::Words(Arc::new(words), raw.len()))
    }

    /// Weights from f32 numbers.
    pub fn floats(xs: Vec<f32>, out: usize, inp: usize) -> Self {
        assert_eq!(xs.len(), out * inp);
        Self::new(Format::F32, out, inp, Bytes::Floats(Arc::new(xs)))
    }

    /// Whether weights of a format can be multiplied in bf16 arithmetic on this processor as they are: bf16 ones, and
    /// such blocks as its tiles take.
    pub fn can_round(format: Format) -> bool {
        #[cfg(target_arch = "x86_64")]
        if amx::available() && amx::Coding::of(format).is_some() {
            return true;
        }
        format == Format::Bf16
    }

    /// The same weights for bf16 arithmetic; exact arithmetic as before where there is none for their format.
    pub fn rounding(mut self) -> Self {
        self.rounds = Self::can_round(self.format);
        self
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

    /// Whether products with any number of tokens are fastest on the processor's tiles: nothing needs to be cut.
    pub fn suits_tiles(&self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.rounds || amx::Coding::of(self.format).is_some();
        #[cfg(not(target_arch = "x86_64"))]
        self.rounds
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

    /// The bytes of row `r`.
    pub(super) fn stored_row(&self, r: usize) -> &[u8] {
        let size = self.row_bytes();
        &self.bytes()[self.place(r) * size..][..size]
    }

    /// Widens columns `from..from + out.len()` of row `r` (block-aligned) into `out`.
    pub fn widen_row(&self, r: usize, from: usize, out: &mut [f32]) {
        let (len, size) = (self.format.block_len(), self.format.block_bytes());
        let start = self.place(r) * self.row_bytes() + from / len * size;
        self.format.widen(&self.bytes()[start..start + out.len() / len * size], out);
    }

    /// The weights' root mean square, of some rows all over them; 1 where those are zero or no numbers.
    pub fn size(&self) -> f32 {
        const SAMPLE: usize = 32;
        *self.size.get_or_init(|| {
            let rows = (0..self.out).step_by(self.out.div_ceil(SAMPLE).max(1));
            let count = rows.len() * self.inp;
            let sum: f64 = rows.map(|r| self.row(r).iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()).sum();
            let size = (sum / count as f64).sqrt() as f32;
            if size.is_normal() { size } else { 1.0 }
        })
    }

    /// Row `r` as f32, `[in]`.
    pub fn row(&self, r: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.inp];
        self.widen_row(r, 0, &mut out);
        out
    }
}

#[cfg(target_arch = "x86_64")]
impl CpuWeight {
    /// Inputs `deep` of rows `rows`, widened, to a panel's `[rows][pitch]`.
    pub(super) fn widen_rows(&self, rows: Range<usize>, deep: Range<usize>, panel: &mut [f32], pitch: usize) {
        for (r, panel) in rows.zip(panel.chunks_mut(pitch)) {
            self.widen_row(r, deep.start, &mut panel[..deep.len()]);
        }
    }

    /// The bytes of the same, where there are such rows; none where they do not lie in order.
    pub(super) fn ahead(&self, rows: Range<usize>, deep: Range<usize>) -> Ahead {
        let rows = rows.start..self.out.min(rows.end);
        if self.interleaved > 0 || rows.is_empty() {
            return Ahead::default();
        }
        let at = |k: usize| k / self.format.block_len() * self.format.block_bytes();
        let first = self.stored_row(rows.start)[at(deep.start)..].as_ptr();
        Ahead::new(first, at(deep.end) - at(deep.start), self.row_bytes(), rows.len())
    }
}

/// Where llama.cpp stores row `r` of heads of `dim` rows: as (pair, half) what Hugging Face has as (half, pair).
pub fn interleaved_place(r: usize, dim: usize) -> usize {
    let (head, in_head) = (r / dim, r % dim);
    head * dim + 2 * (in_head % (dim / 2)) + in_head / (dim / 2)
}

/// Most rows of weights in one task of the vector kernels.
const ROWS: usize = 64;

thread_local! {
    /// What is asked of products that are begun on this thread.
    static WAY: Cell<Way> = const { Cell::new(Way { tiles: true, same_bits: false }) };
}

/// Fewest tokens for which cutting the weights for the tiles pays.
const FEWEST: usize = 48;

/// Runs `work`, whose products are over about `tokens` tokens, with the kernel that is the faster one for so many; or,
/// where the same sum must come out whatever it is computed beside (`same_bits`), with one kernel always.
pub fn with_kernel<T>(tokens: usize, same_bits: bool, work: impl FnOnce() -> T) -> T {
    on_the_way(Way { tiles: same_bits || tokens >= FEWEST, same_bits }, work)
}

/// Runs `work` without the processor's tiles: its products are so thin that cutting the activations for them would cost
/// more than the product.
pub fn without_tiles<T>(work: impl FnOnce() -> T) -> T {
    on_the_way(Way { tiles: false, ..WAY.get() }, work)
}

fn on_the_way<T>(way: Way, work: impl FnOnce() -> T) -> T {
    struct Restore(Way);
    impl Drop for Restore {
        fn drop(&mut self) {
            WAY.set(self.0);
        }
    }
    let _restore = Restore(WAY.replace(way));
    work()
}

/// What is asked of products that are begun on this thread.
pub(super) fn way() -> Way {
    WAY.get()
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
/// threads, on all of them. `cols.start` is a multiple of [`LINE`]; whole vectors are written, so
/// the columns up to the next multiple of [`LINE`] after `cols.end` are overwritten as well.
pub fn matmul_columns(x: &Mat, x_from: usize, jobs: &mut [Job], cols: Range<usize>) {
    let rounds = jobs.iter().all(|j| j.w.rounds);
    let way = WAY.get();
    let way = Way { tiles: way.tiles || jobs.iter().all(|j| j.w.suits_tiles()), ..way };
    let Some(first) = jobs.first() else { return };
    assert!(jobs.iter().all(|j| j.w.inp == x.rows()));
    let source = Source::new(x, (x_from, cols.len()), (first.w, outputs(jobs)), way, rounds);
    run(&source, jobs, cols);
}

/// `y = w x` for every job, with an input that is computed on its way into the products; whether it was done: where it
/// does not go together with the kernel that is the fastest one, nothing is.
pub fn matmul_normed(normed: &Normed, jobs: &mut [Job]) -> bool {
    let rounds = jobs.iter().all(|j| j.w.rounds);
    assert!(jobs.iter().all(|j| j.w.inp == normed.x.rows()));
    let same_bits = WAY.get().same_bits;
    let source =
        jobs.first().and_then(|first| Source::of_normed(normed, (first.w, outputs(jobs)), same_bits, rounds));
    if let Some(source) = &source {
        run(source, jobs, 0..normed.x.cols());
    }
    source.is_some()
}

/// Rows of all weights.
fn outputs(jobs: &[Job]) -> usize {
    jobs.iter().map(|j| j.w.out).sum()
}

fn run(source: &Source, jobs: &mut [Job], cols: Range<usize>) {
    assert!(cols.start.is_multiple_of(LINE));
    let (threads, total) = (rayon::current_num_threads(), outputs(jobs));
    let rows = match source {
        #[cfg(target_arch = "x86_64")]
        Source::Tiles(_) => amx::task_rows(total, threads),
        _ => (total / (threads * 5)).next_multiple_of(8).clamp(16, ROWS),
    };
    let mut tasks = Vec::new();
    for job in jobs.iter_mut() {
        assert!(job.w.out == job.y.rows() && cols.end <= job.y.cols());
        let (row, y) = (job.y.stride(), SendPtr(job.y.flat_mut().as_mut_ptr()));
        tasks.extend((0..job.w.out).step_by(rows).map(|first| {
            // Task outputs are rows of a matrix, from its column `cols.start` on.
            let y = SendPtr(y.get().wrapping_add(first * row + cols.start));
            (job.w, first..job.w.out.min(first + rows), Output { y, row, add: job.add })
        }));
    }
    team::each(tasks.len(), |i| {
        let (w, rows, out) = &tasks[i];
        // SAFETY: every task's rows of `y` are its own, and there are enough of them.
        unsafe { source.rows_times(w, rows.clone(), *out) }
    });
}

/// [`matmul_columns`] on all columns.
pub fn matmul(x: &Mat, jobs: &mut [Job]) {
    matmul_columns(x, 0, jobs, 0..x.cols());
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

    fn quantised() -> impl Iterator<Item = Format> {
        Format::ALL.into_iter().filter(|f| f.block_len() > 1)
    }

    /// Blocks whose bytes are so small that no scale is infinite.
    fn blocks(format: Format, numbers: usize) -> Vec<u8> {
        (0..format.bytes_for(numbers).unwrap()).map(|i| (i * 37 % 48) as u8).collect()
    }

    #[test]
    fn quantised_formats_in_bf16_arithmetic_equal_rounded_numbers() {
        let round = |v: f32| half::bf16::from_f32(v).to_f32();
        let inp = 1280;
        let mut tried = 0;
        for format in quantised().filter(|f| CpuWeight::can_round(*f)) {
            // Few and many tokens go by different slices; rows that fill no tile.
            for (out, tokens) in [(70, 21), (35, 150)] {
                let x = Mat::from_tokens(inp, tokens, &numbers(inp * tokens, 3));
                let mut rounded = x.clone();
                rounded.flat_mut().iter_mut().for_each(|v| *v = round(*v));
                let bytes = blocks(format, out * inp);
                let w = CpuWeight::copied(&bytes, format, out, inp).rounding();
                let wide = format.widen_all(&bytes, out * inp).unwrap().into_iter().map(round).collect();
                let wide = CpuWeight::floats(wide, out, inp);
                let (mut a, mut b) = (Mat::zeros(out, tokens), Mat::zeros(out, tokens));
                matmul(&x, &mut [Job { w: &w, y: &mut a, add: false }]);
                with_kernel(0, false, || {
                    matmul(&rounded, &mut [Job { w: &wide, y: &mut b, add: false }]);
                });
                let largest = (0..out).flat_map(|r| b.row(r)).fold(0f32, |m, x| m.max(x.abs()));
                for r in 0..out {
                    for (a, b) in a.row(r).iter().zip(b.row(r)) {
                        // A number that lies between two may be rounded either way: scales are applied in another order.
                        assert!((a - b).abs() <= 5e-4 * largest, "{}: {a} {b}", format.name());
                    }
                }
                tried += 1;
            }
        }
        println!("{tried} products in bf16 arithmetic");
    }

    /// Rows of several blocks, on both kernels.
    #[test]
    fn quantised_formats_equal_their_widened_f32() {
        let (out, inp, tokens) = (70, 1280, 21);
        let x = Mat::from_tokens(inp, tokens, &numbers(inp * tokens, 3));
        for format in quantised() {
            let bytes = blocks(format, out * inp);
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
