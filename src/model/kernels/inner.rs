//! f32 products as inner products along the depth, part of their multiplications traded for additions.
//!
//! For two neighbours in the depth (S. Winograd, "A New Algorithm for Inner Product", IEEE Transactions on Computers
//! C-17, 1968)
//!
//! ```text
//! x0 w0 + x1 w1 = (x0 + w1) (x1 + w0) - x0 x1 - w0 w1
//! ```
//!
//! and the last two products, summed, belong to a token or to a row of weights alone: they are taken once and not for
//! every pair of both. What is left is one multiplication and two additions for two products. On AMD's Zen cores the
//! vector adders stand beside the multipliers, so that of three inputs two are computed so and one as usual: two
//! multiplications and two additions at once, three products in the time of two, half as many again as the peak of
//! multiply-and-add. Where adders and multipliers are the same units, nothing is traded.
//!
//! It is as exact as the usual sum where both sides are of one size: tokens are scaled by a power of two to the weights'
//! size, and back. Vectors lie across the tokens where these fill them, or else along the depth, sixteen lanes of a sum;
//! within either way a token's result is the same to the last bit whatever stands beside it.

mod across;
mod block;
mod columns;
mod dots;
mod floats;

use super::mat::{LINE, Mat, SendPtr};
use super::matmul::CpuWeight;
use super::simd::{Simd, simd};
use super::source::Output;
use super::strips::{self, Normed};
use super::team;
use across::{Across, Group};
use block::Block;
use dots::{Dots, dots, own_products};
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::OnceLock;

/// Depth of one pass: its slice of four tokens stays in the L1 cache, a panel beside groups of more of them in the L2 cache.
/// Whole blocks of every format, whole triples.
const PIECE: usize = 768;
/// Depth of three vectors, of which two are traded.
const TRIPLE: usize = 3 * LINE;
/// Rows and tokens of a register tile.
const TILE: usize = 4;
/// Rows of weights that are widened together: they stay in the L2 cache, or with few tokens in the L1 cache.
const ROWS: usize = 64;
const FEW_ROWS: usize = 8;
const FEW: usize = 32;
/// Fewest inputs and rows of weights for which laying out the tokens pays.
const SHALLOWEST: usize = 128;
const FEWEST_ROWS: usize = 64;

thread_local! {
    static PANEL: RefCell<Option<Mat>> = const { RefCell::new(None) };
}

/// The kernels of one way of multiplying.
pub struct Kernels {
    trades: bool,
    /// By rows and tokens of a tile, less one each.
    table: [[unsafe fn(Dots); TILE]; TILE],
}

macro_rules! table {
    ($trades:literal) => {
        [
            [dots::<1, 1, $trades>, dots::<1, 2, $trades>, dots::<1, 3, $trades>, dots::<1, 4, $trades>],
            [dots::<2, 1, $trades>, dots::<2, 2, $trades>, dots::<2, 3, $trades>, dots::<2, 4, $trades>],
            [dots::<3, 1, $trades>, dots::<3, 2, $trades>, dots::<3, 3, $trades>, dots::<3, 4, $trades>],
            [dots::<4, 1, $trades>, dots::<4, 2, $trades>, dots::<4, 3, $trades>, dots::<4, 4, $trades>],
        ]
    };
}

static TRADING: Kernels = Kernels { trades: true, table: table!(true) };
static PLAIN: Kernels = Kernels { trades: false, table: table!(false) };

impl Kernels {
    /// Those for this processor, where it has the instructions.
    pub fn chosen() -> Option<&'static Self> {
        let trading = || is_x86_feature_detected!("avx512vl") && adders_stand_aside();
        (simd() == Simd::Avx512).then(|| if trading() { &TRADING } else { &PLAIN })
    }

    /// Whether multiplications are traded for additions.
    pub fn trades(&self) -> bool {
        self.trades
    }

    /// Whether vectors lie across so many tokens.
    fn across(&self, tokens: usize, same_bits: bool) -> bool {
        // Measured on Zen 4, in the time of one token in whole groups.
        let along = tokens.next_multiple_of(TILE) as f64 * 1.19;
        self.trades && (same_bits || across::cost(tokens) <= along)
    }

    /// Whether weights `[rows, depth]` are worth laying out tokens for.
    pub fn suits(rows: usize, depth: usize) -> bool {
        rows >= FEWEST_ROWS && depth >= SHALLOWEST && depth.is_multiple_of(LINE)
    }
}

/// Whether the vector adders work beside the multipliers: on AMD's processors with AVX-512, all of them Zen 4 or later.
fn adders_stand_aside() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let id = __cpuid(0);
        [id.ebx, id.edx, id.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
    })
}

/// Bytes that are wanted soon: pieces of one length, apart from each other.
#[derive(Default)]
pub struct Ahead {
    at: usize,
    /// Bytes of a piece, and from the end of one to the beginning of the next.
    piece: usize,
    gap: usize,
    in_piece: usize,
    left: usize,
}

impl Ahead {
    /// `count` pieces of `length` bytes from an address on, `stride` bytes apart.
    pub fn new(first: *const u8, length: usize, stride: usize, count: usize) -> Self {
        match length == stride {
            true => {
                Self { at: first as usize, piece: length * count, gap: 0, in_piece: 0, left: length * count }
            }
            false => Self {
                at: first as usize,
                piece: length,
                gap: stride.wrapping_sub(length),
                in_piece: 0,
                left: length * count,
            },
        }
    }

    /// Asks for the next `lines` cache lines.
    fn fetch(&mut self, lines: usize) {
        for _ in 0..lines.min(self.left.div_ceil(64)) {
            // SAFETY: a prefetch never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::without_provenance(self.at)) }
            let step = 64.min(self.piece - self.in_piece);
            (self.at, self.in_piece, self.left) = (self.at + step, self.in_piece + step, self.left - step);
            if self.in_piece == self.piece {
                (self.at, self.in_piece) = (self.at.wrapping_add(self.gap), 0);
            }
        }
    }
}

/// Where the parts of a layout go.
struct Places {
    to: SendPtr,
    /// Floats from four tokens to the next where vectors lie along the depth.
    to_row: Option<usize>,
    back: SendPtr,
    own: SendPtr,
    trades: bool,
    depth: usize,
    tokens: usize,
    size: f32,
}

impl Places {
    /// The tokens from `first` (a multiple of sixteen) on, whose numbers are at `x`, each input's `x_row` after the one
    /// before. Every block of sixteen has its own places in the layout and its own numbers of the others.
    ///
    /// # Safety
    /// The numbers must be there, up to whole vectors of tokens; nobody else uses these tokens' places.
    unsafe fn lay_out(&self, (first, tokens): (usize, usize), x: *const f32, x_row: usize) {
        let vectors = first / LINE..(first + tokens).div_ceil(LINE);
        let block = |vector: usize, at: usize| Block {
            x: x.wrapping_add((vector - vectors.start) * LINE),
            x_row,
            depth: self.depth,
            tokens: LINE.min(self.tokens - vector * LINE),
            size: self.size,
            rest: self.to_row.is_none(),
            to: self.to.get().wrapping_add(at),
            back: self.back.get().wrapping_add(vector * LINE),
            own: self.trades.then(|| self.own.get().wrapping_add(vector * LINE)),
            own_row: self.tokens.next_multiple_of(LINE),
        };
        // SAFETY: the caller's.
        unsafe {
            if let Some(to_row) = self.to_row {
                vectors.clone().for_each(|v| block(v, v * LINE / TILE * to_row).lay_along(to_row));
                return;
            }
            let mut at = vectors.start;
            while at < vectors.end {
                let group = Group::of(at, self.tokens);
                let width = group.vectors * LINE;
                let one = |v: usize| block(v, (group.from * self.depth + v - group.from) * LINE);
                let end = vectors.end.min(group.from + group.vectors);
                match end - at {
                    1 => Block::lay_across(&[one(at)], width),
                    2 => Block::lay_across(&[one(at), one(at + 1)], width),
                    _ => Block::lay_across(&[one(at), one(at + 1), one(at + 2)], width),
                }
                at = end;
            }
        }
    }
}

/// A product's tokens, laid out for inner products.
pub struct Inner {
    kernels: &'static Kernels,
    /// Whether vectors lie across the tokens, not along the depth.
    across: bool,
    /// Each token times a power of two. Along the depth: four tokens a row, `[depth / 16][4][16]`. Across: groups of
    /// vectors of tokens, each `[depth][vectors][16]`.
    x: Mat,
    depth: usize,
    tokens: usize,
    /// What undoes each token's scale, up to whole vectors of tokens.
    back: Vec<f32>,
    /// Each token's own products, `[pieces][tokens up to whole vectors]`.
    own: Vec<f32>,
}

impl Inner {
    /// `cols` columns of `x [in, tokens]` from column `from` on (a multiple of [`LINE`]), for weights of about the root
    /// mean square `size`. On the team that stands by, or the current rayon pool. The inputs must be whole vectors, and
    /// the processor one for which [`Kernels::chosen`] gave these. With `same_bits` a token's result does not depend on how
    /// many there are.
    pub fn new(
        kernels: &'static Kernels,
        x: &Mat,
        (from, cols): (usize, usize),
        size: f32,
        same_bits: bool,
    ) -> Self {
        assert!(from.is_multiple_of(LINE) && from + cols <= x.cols());
        let mut out = Self::to_fill(kernels, x.rows(), cols, same_bits);
        let places = out.places(size);
        let strip = strips::width(cols);
        team::each(cols.div_ceil(strip), |i| {
            let (first, tokens) = (i * strip, strip.min(cols - i * strip));
            // SAFETY: rows of x reach to whole vectors; every token is laid out once.
            unsafe { places.lay_out((first, tokens), x.flat()[from + first..].as_ptr(), x.stride()) }
        });
        out
    }

    /// The same of an input that is computed meanwhile.
    pub fn of_normed(kernels: &'static Kernels, normed: &Normed, size: f32, same_bits: bool) -> Self {
        let mut out = Self::to_fill(kernels, normed.x.rows(), normed.x.cols(), same_bits);
        let places = out.places(size);
        normed.each(|strip| {
            // SAFETY: strips are of whole vectors; every token is laid out once.
            unsafe { places.lay_out((strip.first, strip.tokens), strip.rows.as_ptr(), strip.row) }
        });
        out
    }

    fn to_fill(kernels: &'static Kernels, depth: usize, tokens: usize, same_bits: bool) -> Self {
        let width = tokens.next_multiple_of(LINE);
        let across = kernels.across(tokens, same_bits);
        assert!(across || depth.is_multiple_of(LINE));
        Self {
            kernels,
            across,
            x: if across { Mat::to_fill(1, width * depth) } else { Mat::to_fill(width / TILE, TILE * depth) },
            depth,
            tokens,
            back: vec![1.0; width],
            own: vec![0.0; depth.div_ceil(PIECE) * width],
        }
    }

    fn places(&mut self, size: f32) -> Places {
        Places {
            to_row: (!self.across).then_some(self.x.stride()),
            to: SendPtr(self.x.flat_mut().as_mut_ptr()),
            back: SendPtr(self.back.as_mut_ptr()),
            own: SendPtr(self.own.as_mut_ptr()),
            trades: self.kernels.trades,
            depth: self.depth,
            tokens: self.tokens,
            size,
        }
    }

    /// How many tokens there are.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Rows `rows` of weights times all tokens, to `out`, on the calling thread.
    ///
    /// # Safety
    /// `out` must have that many rows, each of the tokens up to the next multiple of [`LINE`], which nobody else reads or
    /// writes.
    pub unsafe fn rows_times(&self, w: &CpuWeight, rows: Range<usize>, out: Output) {
        let tall = if self.tokens <= FEW { FEW_ROWS } else { ROWS };
        let panels: Vec<_> = rows
            .clone()
            .step_by(tall)
            .flat_map(|r| (0..self.depth).step_by(PIECE).map(move |k| (r, k)))
            .map(|(r, k)| (r..rows.end.min(r + tall), k..self.depth.min(k + PIECE)))
            .collect();
        // Other threads take the rows that follow these.
        let beyond = rows.end + (rayon::current_num_threads() - 1) * rows.len();
        assert!(w.inp == self.depth && rows.end <= w.out);
        PANEL.with_borrow_mut(|panel| {
            let panel = panel.get_or_insert_with(|| Mat::zeros(ROWS, PIECE));
            let pitch = panel.stride();
            for (i, (these, deep)) in panels.iter().enumerate() {
                w.widen_rows(these.clone(), deep.clone(), panel.flat_mut(), pitch);
                let mut ahead = match panels.get(i + 1) {
                    Some((rows, deep)) => w.ahead(rows.clone(), deep.clone()),
                    None => w.ahead(beyond..beyond + tall, 0..self.depth.min(PIECE)),
                };
                let to = out.y.get().wrapping_add((these.start - rows.start) * out.row);
                let panel = (panel.flat(), pitch, these.len());
                let add = out.add || deep.start > 0;
                // SAFETY: the caller's.
                unsafe { self.panel_times(panel, deep, (to, out.row), add, &mut ahead) }
            }
        });
    }

    /// `count` rows, `pitch` from one to the next.
    ///
    /// # Safety
    /// As for [`Inner::rows_times`], for the panel's rows, which begin on cache lines where vectors lie along the depth.
    unsafe fn panel_times(
        &self,
        (w, pitch, count): (&[f32], usize, usize),
        deep: &Range<usize>,
        to: (*mut f32, usize),
        add: bool,
        ahead: &mut Ahead,
    ) {
        assert!(count <= ROWS && w.len() + pitch >= count * pitch + deep.len());
        let mut own = [0f32; ROWS];
        if self.kernels.trades {
            let tiles = own.as_chunks_mut::<TILE>().0.iter_mut().zip((0..count).step_by(TILE));
            for (own, r) in tiles {
                let rows = (w[r * pitch..].as_ptr(), TILE.min(count - r));
                // SAFETY: the panel has these rows.
                *own = unsafe { own_products(rows, pitch, deep.len(), self.across) };
            }
        }
        let panel =
            Panel { w, row: pitch, tile: across::TALL * pitch, input: 1, count, own, deep: deep.clone() };
        // SAFETY: the caller's.
        unsafe {
            match self.across {
                true => self.across(&panel, to, add, ahead),
                false => self.along(&panel, to, add, ahead),
            }
        }
    }

    /// A panel times groups of vectors of tokens.
    ///
    /// # Safety
    /// As for [`Inner::panel_times`].
    unsafe fn across(&self, panel: &Panel, (out, out_row): (*mut f32, usize), add: bool, ahead: &mut Ahead) {
        let vectors = self.tokens.div_ceil(LINE);
        let lines = (ahead.left / 64).div_ceil(vectors) * 2;
        let x_own = &self.own[panel.deep.start / PIECE * self.back.len()..];
        for group in Group::all(self.tokens) {
            ahead.fetch(lines);
            let first = group.from * LINE;
            let tiles = Across {
                depth: panel.deep.len(),
                w: panel.w.as_ptr(),
                w_row: panel.row,
                w_tile: panel.tile,
                w_k: panel.input,
                x: self.x.flat()[first * self.depth + panel.deep.start * group.vectors * LINE..].as_ptr(),
                w_own: panel.own.as_ptr(),
                x_own: x_own[first..].as_ptr(),
                back: self.back[first..].as_ptr(),
                out: out.wrapping_add(first),
                out_row,
                add,
            };
            // SAFETY: the caller's; the panel has these rows.
            unsafe { tiles.run(panel.count, group) };
        }
    }

    /// A panel times tokens in fours.
    ///
    /// # Safety
    /// As for [`Inner::panel_times`].
    unsafe fn along(&self, panel: &Panel, (out, out_row): (*mut f32, usize), add: bool, ahead: &mut Ahead) {
        // A row's own products once for each of a tile's tokens.
        let own = panel.own.map(|own| [own; TILE]);
        let x_own = &self.own[panel.deep.start / PIECE * self.back.len()..];
        let lines = (ahead.left / 64).div_ceil(self.tokens.div_ceil(TILE));
        let whole = panel.count / TILE;
        for token in (0..self.tokens).step_by(TILE) {
            ahead.fetch(lines);
            // Whole tiles together, rows that are left over as one of their own.
            for (tiles, rows, r) in [(whole, TILE, 0), (1, panel.count % TILE, whole * TILE)] {
                if tiles == 0 || rows == 0 {
                    continue;
                }
                let dots = Dots {
                    tiles,
                    depth: panel.deep.len(),
                    w: panel.w[r * panel.row..].as_ptr(),
                    w_row: panel.row,
                    x: self.x.flat()[token / TILE * self.x.stride() + panel.deep.start * TILE..].as_ptr(),
                    w_own: own[r..].as_ptr().cast(),
                    x_own: x_own[token..].as_ptr(),
                    back: self.back[token..].as_ptr(),
                    out: out.wrapping_add(r * out_row + token),
                    out_row,
                    add,
                };
                let tokens = TILE.min(self.tokens - token);
                // SAFETY: the caller's; the panel has these rows, and four tokens lie together.
                unsafe { (self.kernels.table[rows - 1][tokens - 1])(dots) };
            }
        }
    }
}

/// Rows of weights, widened.
struct Panel<'a> {
    w: &'a [f32],
    /// Floats from a row to the next, from [`across::TALL`] rows to the next, and from an input to the next.
    row: usize,
    tile: usize,
    input: usize,
    count: usize,
    /// Each row's own products.
    own: [f32; ROWS],
    deep: Range<usize>,
}

#[cfg(test)]
mod tests;
