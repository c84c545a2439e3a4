//! A product's input, made ready once for the kernel that will multiply it, and rows of weights times it.

#[cfg(target_arch = "x86_64")]
use super::amx;
#[cfg(target_arch = "x86_64")]
use super::inner::{Inner, Kernels};
use super::mat::{LINE, Mat, SendPtr};
use super::matmul::CpuWeight;
use super::pairs::{pairs, pairs_of_normed};
use super::rest::Rest;
use super::simd::simd;
use super::strips::Normed;
use super::tile::{Tile, Tiles};
use crate::model::format::{Format, bytes_of_mut};
use std::cell::RefCell;
use std::ops::Range;

/// Numbers of a row that are widened at a time: whole blocks of every format, small enough for the L2 cache.
const WIDE: usize = 1024;
/// Depth of one pass over a tile, so that its slice of activations stays in the L1 cache.
pub(super) const DEPTH: usize = 176;
/// The same of pairs, whose activations the arithmetic has time to fetch from the L2 cache.
const DEPTH_OF_PAIRS: usize = 512;
/// Most tokens for which the weights' way from memory takes longer than the arithmetic: their rows are read once, in the
/// order in which they lie there.
const FEW: usize = 6 * LINE;
/// Rows that are widened together, for few tokens and for many.
const WIDENED: usize = 8;
const ROWS: usize = 64;
/// Most tokens in one pass, so that their slice stays in the L2 cache.
const TOKENS: usize = 768;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Where rows of a product go.
#[derive(Clone, Copy)]
pub struct Output {
    pub y: SendPtr,
    /// Floats from one row to the next.
    pub row: usize,
    /// Add to what is there instead of overwriting it.
    pub add: bool,
}

/// Columns of activations `[in, tokens]` for products.
pub enum Source<'a> {
    /// As they are, from a column on.
    Floats { x: &'a Mat, from: usize, cols: usize },
    /// Rounded to bf16, two inputs in each number: `[in / 2, tokens]`; the last columns once more by themselves.
    Pairs { x: Mat, tiles: &'static Tiles, rest: Option<Rest> },
    #[cfg(target_arch = "x86_64")]
    Inner(Inner),
    #[cfg(target_arch = "x86_64")]
    Tiles(amx::Packed),
}

/// What is asked of a product.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The processor's own tiles, where it has them.
    pub tiles: bool,
    /// A column's result does not depend, to the last bit, on how many columns there are.
    pub same_bits: bool,
}

impl<'a> Source<'a> {
    /// `cols` columns of `x` from column `from` (a multiple of [`LINE`]), for the processor's own tiles where it has them
    /// and the way asks for them, for its bf16 arithmetic where it has any and `rounds` asks for it, for inner products
    /// where those are fast for weights like `w`, of which there are `rows` rows. On the current rayon pool.
    pub fn new(
        x: &'a Mat,
        (from, cols): (usize, usize),
        (w, rows): (&CpuWeight, usize),
        way: Way,
        rounds: bool,
    ) -> Self {
        assert!(from.is_multiple_of(LINE) && from + cols <= x.cols());
        #[cfg(target_arch = "x86_64")]
        if amx::available() && (way.tiles || rounds) {
            return Self::Tiles(amx::Packed::new(x, from, cols, if rounds { 1 } else { 3 }));
        }
        match Tiles::of_pairs() {
            Some(tiles) if rounds && x.rows().is_multiple_of(2) => {
                Self::Pairs { x: pairs(x, from, cols), tiles, rest: None }
            }
            _ => Self::floats(x, (from, cols), (w, rows), way.same_bits),
        }
    }

    /// Of an input that is computed meanwhile; `None` where that does not go together with the kernel.
    pub fn of_normed(
        normed: &Normed,
        (w, rows): (&CpuWeight, usize),
        same_bits: bool,
        rounds: bool,
    ) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if amx::available() {
            return None;
        }
        if let Some(tiles) = Tiles::of_pairs()
            && rounds
            && normed.x.rows().is_multiple_of(2)
        {
            return Some(Self::Pairs { x: pairs_of_normed(normed), tiles, rest: None });
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(kernels) = Kernels::chosen().filter(|_| Kernels::suits(rows, normed.x.rows())) {
            return Some(Self::Inner(Inner::of_normed(kernels, normed, w.size(), same_bits)));
        }
        let _ = (w, rows, same_bits);
        None
    }

    /// Exact f32 products on vectors.
    fn floats(
        x: &'a Mat,
        (from, cols): (usize, usize),
        (w, rows): (&CpuWeight, usize),
        same_bits: bool,
    ) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(kernels) = Kernels::chosen().filter(|_| Kernels::suits(rows, x.rows())) {
            return Self::Inner(Inner::new(kernels, x, (from, cols), w.size(), same_bits));
        }
        let _ = (w, rows, same_bits);
        Self::Floats { x, from, cols }
    }

    /// The same for sums whose last bits may depend on where a column lies among the others: pairs that are left over
    /// beside whole vectors have their own kernel where that is faster.
    pub fn in_any_order(mut self) -> Self {
        if let Self::Pairs { x, rest, .. } = &mut self {
            let left = if x.cols() <= FEW { Rest::count(x.cols()) } else { 0 };
            *rest = (left > 0).then(|| Rest::new(x, x.cols() - left, x.cols()));
        }
        self
    }

    /// Rows `rows` of `w x` to `out` (whose first row is `rows.start`), on the calling thread.
    ///
    /// # Safety
    /// `out` must have that many rows, each of the source's columns up to the next multiple of [`LINE`], which nobody
    /// else reads or writes.
    pub unsafe fn rows_times(&self, w: &CpuWeight, rows: Range<usize>, out: Output) {
        assert!(rows.end <= w.out);
        match self {
            Self::Floats { x, from, cols } => {
                assert!(w.inp == x.rows());
                let start = x.flat()[*from..].as_ptr();
                // SAFETY: the caller's, and rows of x reach to whole vectors.
                unsafe { floats_times(w, rows, (start, x.stride(), *cols), out) }
            }
            Self::Pairs { x, tiles, rest } => {
                assert!(w.inp == 2 * x.rows() && w.format == Format::Bf16);
                // What is copied is used while it is in the cache.
                for first in rows.clone().step_by(ROWS) {
                    let y = SendPtr(out.y.get().wrapping_add((first - rows.start) * out.row));
                    let piece = first..rows.end.min(first + ROWS);
                    // Other threads take the rows that follow these.
                    let others = (rayon::current_num_threads() - 1) * rows.len();
                    let next = piece.end + if piece.end == rows.end { others } else { 0 };
                    // SAFETY: as above.
                    unsafe { pairs_times(tiles, (w, next), piece, x, rest.as_ref(), Output { y, ..out }) }
                }
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the caller's.
            Self::Inner(inner) => unsafe { inner.rows_times(w, rows, out) },
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(packed) => amx::rows_times(amx::Weights::filed(w, false), rows, packed, out),
        }
    }

    /// Rows `rows` of `w x` into `y [rows][row]`, on the calling thread: a readout's block.
    pub fn block(&self, w: &CpuWeight, rows: Range<usize>, y: &mut [f32], row: usize) {
        let cols = match self {
            Self::Floats { cols, .. } => *cols,
            Self::Pairs { x, .. } => x.cols(),
            #[cfg(target_arch = "x86_64")]
            Self::Inner(inner) => inner.tokens(),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(packed) => packed.tokens,
        };
        assert!(row.is_multiple_of(LINE) && row >= cols && y.len() >= rows.len() * row);
        // SAFETY: `y` is ours and large enough.
        unsafe { self.rows_times(w, rows, Output { y: SendPtr(y.as_mut_ptr()), row, add: false }) }
    }
}

/// Row `next` and as many more as there are in `rows` are fetched from memory meanwhile.
///
/// # Safety
/// As for [`Source::rows_times`].
unsafe fn pairs_times(
    tiles: &Tiles,
    (w, next): (&CpuWeight, usize),
    rows: Range<usize>,
    x: &Mat,
    rest: Option<&Rest>,
    out: Output,
) {
    let k = w.inp / 2;
    let bytes = &w.bytes()[rows.start * w.inp * 2..rows.end * w.inp * 2];
    // Rows must not share their cache sets: where their distance is a multiple of many lines, they are copied to one that
    // is an odd number of them.
    let direct = !(4 * k).is_multiple_of(512) && bytes.as_ptr().cast::<f32>().is_aligned();
    let pitch = if direct { k } else { (k.div_ceil(LINE) | 1) * LINE };
    let whole = x.cols() - rest.map_or(0, Rest::columns);
    SCRATCH.with_borrow_mut(|scratch| {
        if !direct {
            scratch.resize(scratch.len().max(rows.len() * pitch), 0.0);
            for (to, row) in scratch.chunks_mut(pitch).zip(bytes.chunks_exact(4 * k)) {
                bytes_of_mut(&mut to[..k]).copy_from_slice(row);
            }
        }
        // SAFETY: aligned, and any bits are floats.
        let filed = || unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<f32>(), bytes.len() / 4) };
        let panel: &[f32] = if direct { filed() } else { scratch };
        if let Some(rest) = rest {
            for first in (0..rows.len()).step_by(WIDENED) {
                let to = out.y.get().wrapping_add(first * out.row + whole);
                let count = WIDENED.min(rows.len() - first);
                // SAFETY: these rows are in the panel; the caller's.
                unsafe { rest.times((&panel[first * pitch..], pitch), count, (to, out.row), out.add) };
            }
        }
        let ahead = w.bytes().as_ptr().wrapping_add(next * w.inp * 2).cast::<f32>();
        for tokens in (0..whole).step_by(TOKENS) {
            let tile = Tile {
                k,
                w: panel.as_ptr(),
                w_row: pitch,
                w_k: 1,
                x: x.flat()[tokens..].as_ptr(),
                x_k: x.stride(),
                out: out.y.get().wrapping_add(tokens),
                out_row: out.row,
                add: out.add,
                prefetch: if tokens == 0 { ahead } else { std::ptr::null() },
            };
            // SAFETY: as in `floats_times`.
            unsafe { panel_times(tiles, tile, rows.len(), (TOKENS.min(whole - tokens), DEPTH_OF_PAIRS)) };
        }
    });
}

/// # Safety
/// As for [`Source::rows_times`]; `x` has `w.inp` rows, `x_row` apart, of whole vectors for `cols` columns.
unsafe fn floats_times(
    w: &CpuWeight,
    rows: Range<usize>,
    (x, x_row, cols): (*const f32, usize, usize),
    out: Output,
) {
    let direct = w.format == Format::F32;
    // What is widened is used while it is in the L1 cache, or with many tokens in the L2 cache.
    let (tall, most) = match (direct, cols <= FEW) {
        (true, _) => (rows.len().max(1), w.inp.max(1)),
        (_, true) => (WIDENED, WIDE),
        _ => (ROWS, WIDE),
    };
    SCRATCH.with_borrow_mut(|scratch| {
        for tokens in (0..cols).step_by(TOKENS) {
            let width = TOKENS.min(cols - tokens);
            let pieces = rows.clone().step_by(tall);
            for (first, wide) in pieces.flat_map(|r| (0..w.inp).step_by(most).map(move |k| (r, k))) {
                let (count, depth) = (tall.min(rows.end - first), most.min(w.inp - wide));
                let (panel, w_row) = if direct {
                    (w.bytes()[(first * w.inp + wide) * 4..].as_ptr().cast::<f32>(), w.inp)
                } else {
                    scratch.resize(scratch.len().max(count * WIDE), 0.0);
                    for r in 0..count {
                        w.widen_row(first + r, wide, &mut scratch[r * depth..][..depth]);
                    }
                    (scratch.as_ptr(), depth)
                };
                let tile = Tile {
                    k: depth,
                    w: panel,
                    w_row,
                    w_k: 1,
                    x: x.wrapping_add(wide * x_row + tokens),
                    x_k: x_row,
                    out: out.y.get().wrapping_add((first - rows.start) * out.row + tokens),
                    out_row: out.row,
                    add: out.add || wide > 0,
                    // The rows that follow.
                    prefetch: match direct && width <= FEW {
                        true => panel.wrapping_add(Tiles::of(simd()).max_rows * w_row),
                        false => std::ptr::null(),
                    },
                };
                // SAFETY: the panel holds `count` rows of `depth` numbers `w_row` apart; rows of x and y reach at
                // least to `tokens + width` rounded up to whole vectors, and y's belong to the caller alone.
                unsafe { panel_times(Tiles::of(simd()), tile, count, (width, DEPTH)) };
            }
        }
    });
}

/// A panel of weights times a slice of tokens, in tiles.
///
/// # Safety
/// As for [`Tiles::run`], for all `rows` and for `width` columns rounded up to whole vectors.
pub(super) unsafe fn panel_times(tiles: &Tiles, whole: Tile, rows: usize, (width, most): (usize, usize)) {
    let tile = |(k, depth): (usize, usize), (c, vectors): (usize, usize), r: usize| {
        let tile = Tile {
            k: depth.min(whole.k - k),
            w: whole.w.wrapping_add(r * whole.w_row + k),
            x: whole.x.wrapping_add(k * whole.x_k + c),
            out: whole.out.wrapping_add(r * whole.out_row + c),
            add: whole.add || k > 0,
            // Every tile of the first columns its part.
            prefetch: match c {
                0 if !whole.prefetch.is_null() => whole.prefetch.wrapping_add(k * rows + r * depth),
                _ => std::ptr::null(),
            },
            ..whole
        };
        // SAFETY: the caller's.
        unsafe { tiles.run(tiles.max_rows.min(rows - r), vectors, tile) };
    };
    let row_blocks = (0..rows).step_by(tiles.max_rows);
    if width <= FEW {
        for r in row_blocks {
            tiles.column_blocks(width).for_each(|columns| tile((0, whole.k), columns, r));
        }
        return;
    }
    // Even pieces: 640 is four times 160 rather than three times 176 and a rest.
    let depth = whole.k.div_ceil(whole.k.div_ceil(most).max(1));
    for k in (0..whole.k).step_by(depth.max(1)) {
        for columns in tiles.column_blocks(width) {
            row_blocks.clone().for_each(|r| tile((k, depth), columns, r));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::matmul::{Job, matmul, with_kernel};
    use super::super::testing::{matrix, numbers};
    use super::*;
    use half::bf16;

    #[test]
    fn blocks_of_rows_equal_the_whole_product() {
        let (out, inp) = (530, 1280);
        let floats = CpuWeight::floats(numbers(out * inp, 1), out, inp);
        let bytes: Vec<u8> =
            (0..Format::Q8_0.bytes_for(out * inp).unwrap()).map(|i| (i * 37 % 48) as u8).collect();
        let filed = CpuWeight::copied(&bytes, Format::Q8_0, out, inp);
        for (w, n) in [&floats, &filed].into_iter().flat_map(|w| [1, 17, 40, 64, 96, 113].map(|n| (w, n))) {
            let x = matrix(inp, n, 2);
            for tiles in [false, true] {
                let mut want = Mat::zeros(out, n);
                with_kernel(if tiles { usize::MAX } else { 0 }, false, || {
                    matmul(&x, &mut [Job { w, y: &mut want, add: false }]);
                });
                let source = Source::new(
                    &x,
                    (0, n),
                    (w, out),
                    Way { tiles: tiles || w.suits_tiles(), same_bits: false },
                    false,
                );
                let width = n.next_multiple_of(LINE);
                for first in (0..out).step_by(200) {
                    let rows = first..out.min(first + 200);
                    let mut y = vec![f32::NAN; rows.len() * width];
                    source.block(w, rows.clone(), &mut y, width);
                    for (r, y) in rows.zip(y.chunks_exact(width)) {
                        // One order of summing: the same to the last bit however rows are divided.
                        assert_eq!(&y[..n], want.row(r), "{n} columns, row {r}, tiles {tiles}");
                    }
                }
            }
        }
    }

    /// On tiles and, where the processor multiplies pairs, on those.
    #[test]
    fn bf16_arithmetic_is_exact_arithmetic_on_rounded_numbers() {
        for (out, inp, n) in [(1, 2, 1), (70, 640, 37), (33, 4096, 5), (41, 650, 19), (7, 30, 2)] {
            let halves: Vec<u8> =
                numbers(out * inp, 4).iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
            let w = CpuWeight::copied(&halves, Format::Bf16, out, inp);
            let x = matrix(inp, n, 6);
            let mut rounded = x.clone();
            rounded.flat_mut().iter_mut().for_each(|v| *v = bf16::from_f32(*v).to_f32());
            let mut want = Mat::zeros(out, n);
            with_kernel(0, false, || matmul(&rounded, &mut [Job { w: &w, y: &mut want, add: false }]));
            let rounding = w.clone().rounding();
            let mut sources =
                vec![Source::new(&x, (0, n), (&w, out), Way { tiles: false, same_bits: false }, true)];
            if let Some(tiles) = Tiles::of_pairs() {
                sources.push(Source::Pairs { x: pairs(&x, 0, n), tiles, rest: None });
                sources.push(Source::Pairs { x: pairs(&x, 0, n), tiles, rest: None }.in_any_order());
            }
            // A processor without bf16 arithmetic takes the numbers as they are.
            sources.retain(|s| !matches!(s, Source::Floats { .. }));
            for source in sources {
                let width = n.next_multiple_of(LINE);
                let mut y = vec![0f32; out * width];
                source.block(&rounding, 0..out, &mut y, width);
                for (r, y) in y.chunks_exact(width).enumerate() {
                    for (a, b) in y[..n].iter().zip(want.row(r)) {
                        assert!((a - b).abs() < 1e-4 * (inp as f32).sqrt(), "{out} {inp} {n}: {a} {b}");
                    }
                }
            }
        }
    }
}
