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
//! size, and back. Sums run in sixteen lanes along the depth, which keeps their rounding smaller than one long sum's;
//! a token's result is the same to the last bit whatever stands beside it.

use super::mat::{LINE, Mat, SendPtr};
use super::simd::{Simd, simd};
use super::source::Output;
use super::team;
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::OnceLock;

/// Depth of one pass: its slice of four tokens stays in the L1 cache. Whole blocks of every format, whole triples.
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
        (simd() == Simd::Avx512).then(|| if adders_stand_aside() { &TRADING } else { &PLAIN })
    }

    /// Whether multiplications are traded for additions.
    pub fn trades(&self) -> bool {
        self.trades
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

/// Rows of weights as inner products take them.
pub trait Rows {
    /// Inputs `deep` of rows `rows`, widened, to the panel's `[rows][pitch]`.
    fn fill(&self, rows: Range<usize>, deep: Range<usize>, panel: &mut [f32], pitch: usize);
    /// The bytes of the same, where there are such rows; none where they do not lie in order.
    fn ahead(&self, rows: Range<usize>, deep: Range<usize>) -> Ahead;
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

/// A product's tokens, laid out for inner products.
pub struct Inner {
    kernels: &'static Kernels,
    /// Four tokens a row, `[depth / 16][4][16]`, each times a power of two.
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
    /// the processor one for which [`Kernels::chosen`] gave these.
    pub fn new(kernels: &'static Kernels, x: &Mat, from: usize, cols: usize, size: f32) -> Self {
        let depth = x.rows();
        assert!(depth.is_multiple_of(LINE) && from.is_multiple_of(LINE) && from + cols <= x.cols());
        let width = cols.next_multiple_of(LINE);
        let mut out = Self {
            kernels,
            x: Mat::to_fill(width / TILE, TILE * depth),
            depth,
            tokens: cols,
            back: vec![1.0; width],
            own: vec![0.0; depth.div_ceil(PIECE) * width],
        };
        let stride = out.x.stride();
        let to = SendPtr(out.x.flat_mut().as_mut_ptr());
        let (back, own) = (SendPtr(out.back.as_mut_ptr()), SendPtr(out.own.as_mut_ptr()));
        team::each(width / LINE, |i| {
            let block = Block {
                x: x.flat()[from + i * LINE..].as_ptr(),
                x_row: x.stride(),
                depth,
                tokens: LINE.min(cols - i * LINE),
                size,
                to: to.get().wrapping_add(i * (LINE / TILE) * stride),
                to_row: stride,
                back: back.get().wrapping_add(i * LINE),
                own: kernels.trades.then(|| own.get().wrapping_add(i * LINE)),
                own_row: width,
            };
            // SAFETY: rows of x reach to whole vectors; every block has its own rows of the layout and its own numbers of
            // the others; the instructions are there.
            unsafe { block.lay_out() }
        });
        out
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
    pub unsafe fn rows_times(&self, w: &dyn Rows, rows: Range<usize>, out: Output) {
        let tall = if self.tokens <= FEW { FEW_ROWS } else { ROWS };
        let panels: Vec<_> = rows
            .clone()
            .step_by(tall)
            .flat_map(|r| (0..self.depth).step_by(PIECE).map(move |k| (r, k)))
            .map(|(r, k)| (r..rows.end.min(r + tall), k..self.depth.min(k + PIECE)))
            .collect();
        // Other threads take the rows that follow these.
        let beyond = rows.end + (rayon::current_num_threads() - 1) * rows.len();
        PANEL.with_borrow_mut(|panel| {
            let panel = panel.get_or_insert_with(|| Mat::zeros(ROWS, PIECE));
            let pitch = panel.stride();
            for (i, (these, deep)) in panels.iter().enumerate() {
                w.fill(these.clone(), deep.clone(), panel.flat_mut(), pitch);
                let mut ahead = match panels.get(i + 1) {
                    Some((rows, deep)) => w.ahead(rows.clone(), deep.clone()),
                    None => w.ahead(beyond..beyond + tall, 0..self.depth.min(PIECE)),
                };
                let to = (out.y.get().wrapping_add((these.start - rows.start) * out.row), out.row);
                // SAFETY: the caller's.
                unsafe {
                    self.panel_times((panel, these.len()), deep, to, out.add || deep.start > 0, &mut ahead)
                }
            }
        });
    }

    /// # Safety
    /// As for [`Inner::rows_times`], for `count` rows of the panel.
    unsafe fn panel_times(
        &self,
        (panel, count): (&Mat, usize),
        deep: &Range<usize>,
        (out, out_row): (*mut f32, usize),
        add: bool,
        ahead: &mut Ahead,
    ) {
        let (pitch, w) = (panel.stride(), panel.flat());
        // A row's own products once for each of a tile's tokens.
        let mut own = [[0f32; TILE]; ROWS];
        if self.kernels.trades {
            for (r, own) in own[..count].iter_mut().enumerate() {
                // SAFETY: the row lies in the panel.
                *own = unsafe { [own_products(w[r * pitch..].as_ptr(), LINE, deep.len()); TILE] };
            }
        }
        let x_own = &self.own[deep.start / PIECE * self.back.len()..];
        let lines = (ahead.left / 64).div_ceil(self.tokens.div_ceil(TILE) * count.div_ceil(TILE));
        for token in (0..self.tokens).step_by(TILE) {
            for r in (0..count).step_by(TILE) {
                ahead.fetch(lines);
                let dots = Dots {
                    depth: deep.len(),
                    w: w[r * pitch..].as_ptr(),
                    w_row: pitch,
                    x: self.x.flat()[token / TILE * self.x.stride() + deep.start * TILE..].as_ptr(),
                    w_own: own[r..].as_ptr().cast(),
                    x_own: x_own[token..].as_ptr(),
                    back: self.back[token..].as_ptr(),
                    out: out.wrapping_add(r * out_row + token),
                    out_row,
                    add,
                };
                let (rows, tokens) = (TILE.min(count - r), TILE.min(self.tokens - token));
                // SAFETY: the caller's; the panel has these rows, and four tokens lie together.
                unsafe { (self.kernels.table[rows - 1][tokens - 1])(dots) };
            }
        }
    }
}

/// A tile's operands.
#[derive(Clone, Copy)]
struct Dots {
    depth: usize,
    /// On cache lines.
    w: *const f32,
    w_row: usize,
    /// `[depth / 16][4][16]`, on cache lines.
    x: *const f32,
    /// `[4][4]`, each row's four times.
    w_own: *const f32,
    x_own: *const f32,
    back: *const f32,
    /// Four numbers in each row.
    out: *mut f32,
    out_row: usize,
    add: bool,
}

/// `out[r][t] (+)= back[t] * sum over k of w[r][k] * x[t][k]`; four numbers of every row are written.
///
/// # Safety
/// Every address must be as [`Dots`] says, and AVX-512 there.
#[target_feature(enable = "avx512f")]
#[expect(clippy::needless_range_loop, reason = "rows and columns of a register tile")]
unsafe fn dots<const R: usize, const C: usize, const TRADES: bool>(d: Dots) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); C]; R];
        let (mut w, mut x, mut left) = (d.w, d.x, d.depth);
        while left >= TRIPLE {
            let mut ws = [[_mm512_setzero_ps(); 3]; R];
            for (r, ws) in ws.iter_mut().enumerate() {
                for (j, v) in ws.iter_mut().enumerate() {
                    *v = _mm512_load_ps(w.add(r * d.w_row + j * LINE));
                }
            }
            for c in 0..C {
                let at = |j: usize| _mm512_load_ps(x.add(j * TILE * LINE + c * LINE));
                let (x0, x1) = (at(0), at(1));
                for r in 0..R {
                    let sum = &mut sums[r][c];
                    if TRADES {
                        let (a, b) = (_mm512_add_ps(x0, ws[r][1]), _mm512_add_ps(x1, ws[r][0]));
                        *sum = _mm512_fmadd_ps(a, b, *sum);
                    } else {
                        *sum = _mm512_fmadd_ps(x1, ws[r][1], _mm512_fmadd_ps(x0, ws[r][0], *sum));
                    }
                }
                let x2 = at(2);
                for r in 0..R {
                    sums[r][c] = _mm512_fmadd_ps(x2, ws[r][2], sums[r][c]);
                }
            }
            (w, x, left) = (w.add(TRIPLE), x.add(TILE * TRIPLE), left - TRIPLE);
        }
        while left > 0 {
            for r in 0..R {
                let w = _mm512_load_ps(w.add(r * d.w_row));
                for c in 0..C {
                    sums[r][c] = _mm512_fmadd_ps(_mm512_load_ps(x.add(c * LINE)), w, sums[r][c]);
                }
            }
            (w, x, left) = (w.add(LINE), x.add(TILE * LINE), left - LINE);
        }
        let mut all = [[_mm512_setzero_ps(); TILE]; TILE];
        for r in 0..R {
            all[r][..C].copy_from_slice(&sums[r]);
        }
        let four = |p: *const f32| _mm512_broadcast_f32x4(_mm_loadu_ps(p));
        let mut totals = totals(all);
        if TRADES {
            totals = _mm512_sub_ps(_mm512_sub_ps(totals, four(d.x_own)), _mm512_loadu_ps(d.w_own));
        }
        totals = _mm512_mul_ps(totals, four(d.back));
        for r in 0..R {
            let mut sum = match r {
                0 => _mm512_extractf32x4_ps::<0>(totals),
                1 => _mm512_extractf32x4_ps::<1>(totals),
                2 => _mm512_extractf32x4_ps::<2>(totals),
                _ => _mm512_extractf32x4_ps::<3>(totals),
            };
            let to = d.out.add(r * d.out_row);
            if d.add {
                sum = _mm_add_ps(_mm_loadu_ps(to), sum);
            }
            _mm_storeu_ps(to, sum);
        }
    }
}

/// The sum of each vector's sixteen numbers, all in the same order; number `4 r + c` is that of `v[r][c]`.
#[inline]
#[target_feature(enable = "avx512f")]
fn totals(v: [[__m512; TILE]; TILE]) -> __m512 {
    let halves = |a: __m512, b: __m512| _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let quarters = |a: __m512, b: __m512| {
        let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
        let (low, high) = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
        _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high))
    };
    // In every 128 bits the sums of a row's four vectors, as far as they lie there.
    let row = |v: [__m512; TILE]| quarters(halves(v[0], v[1]), halves(v[2], v[3]));
    let lanes = |a: __m512, b: __m512| {
        _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xDD>(a, b))
    };
    lanes(lanes(row(v[0]), row(v[1])), lanes(row(v[2]), row(v[3])))
}

/// The traded neighbours' products within one token or row, whose vectors lie `stride` numbers apart.
///
/// # Safety
/// The addresses must be readable, and AVX-512 there.
#[target_feature(enable = "avx512f")]
unsafe fn own_products(v: *const f32, stride: usize, depth: usize) -> f32 {
    let mut sum = _mm512_setzero_ps();
    for at in (0..depth / TRIPLE).map(|i| 3 * i * stride) {
        // SAFETY: the caller's.
        let (a, b) = unsafe { (_mm512_loadu_ps(v.add(at)), _mm512_loadu_ps(v.add(at + stride))) };
        sum = _mm512_fmadd_ps(a, b, sum);
    }
    _mm512_reduce_add_ps(sum)
}

/// Sixteen columns that are to be laid out.
struct Block {
    x: *const f32,
    x_row: usize,
    depth: usize,
    /// How many of the columns are tokens; the others become zero.
    tokens: usize,
    size: f32,
    to: *mut f32,
    to_row: usize,
    back: *mut f32,
    own: Option<*mut f32>,
    own_row: usize,
}

impl Block {
    /// # Safety
    /// Every address must be there for its size, and AVX-512.
    #[target_feature(enable = "avx512f")]
    unsafe fn lay_out(&self) {
        let there = (u32::MAX >> (32 - self.tokens)) as __mmask16;
        // SAFETY: the caller's.
        unsafe {
            // Four sums: one would wait for itself.
            let mut squares = [_mm512_setzero_ps(); 4];
            for k in (0..self.depth).step_by(LINE) {
                let mut rows = [_mm512_setzero_ps(); LINE];
                for (i, row) in rows.iter_mut().enumerate() {
                    let at = self.x.add((k + i) * self.x_row);
                    // The next rows lie pages apart: the processor does not fetch them by itself.
                    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(LINE * self.x_row).cast());
                    *row = _mm512_maskz_loadu_ps(there, at);
                    squares[i % 4] = _mm512_fmadd_ps(*row, *row, squares[i % 4]);
                }
                for (t, token) in transposed(rows).into_iter().enumerate() {
                    let to = self.token(t).add(k * TILE);
                    // What both sides read last is slow to become this one's.
                    _mm_prefetch::<_MM_HINT_ET0>(to.wrapping_add(2 * LINE * TILE).cast());
                    _mm512_store_ps(to, token);
                }
            }
            let Some(own) = self.own else { return };
            let mut sums = [0f32; LINE];
            let [a, b, c, d] = squares;
            _mm512_storeu_ps(sums.as_mut_ptr(), _mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)));
            for (t, sum) in sums.into_iter().enumerate().take(self.tokens) {
                let (scale, back) = self.scale(self.token(t), sum);
                *self.back.add(t) = back;
                for (piece, from) in (0..self.depth).step_by(PIECE).enumerate() {
                    let (x, depth) = (self.token(t).add(from * TILE), PIECE.min(self.depth - from));
                    for k in (0..depth).step_by(LINE) {
                        let x = x.add(k * TILE);
                        _mm512_store_ps(x, _mm512_mul_ps(_mm512_load_ps(x), _mm512_set1_ps(scale)));
                    }
                    *own.add(piece * self.own_row + t) = own_products(x, TILE * LINE, depth);
                }
            }
        }
    }

    /// Where a token's first vector goes; the next ones lie `TILE * LINE` numbers apart.
    fn token(&self, t: usize) -> *mut f32 {
        self.to.wrapping_add(t / TILE * self.to_row + t % TILE * LINE)
    }

    /// The power of two that brings a token (laid out at `x`, with its sum of squares) to the weights' size, and the one
    /// that undoes it.
    ///
    /// # Safety
    /// The token must lie there.
    unsafe fn scale(&self, x: *const f32, squares: f32) -> (f32, f32) {
        let mut squares = f64::from(squares);
        if !(1e-25..=1e30).contains(&squares) {
            // Squares of what is so large or so small are no numbers, or lose theirs.
            let number = |k: usize| {
                // SAFETY: the caller's.
                f64::from(unsafe { *x.add(k / LINE * TILE * LINE + k % LINE) })
            };
            squares = (0..self.depth).map(|k| number(k).powi(2)).sum();
        }
        let by = (f64::from(self.size) / (squares / self.depth as f64).sqrt()).log2().round();
        // Both powers must be numbers; a token of zeros has no size.
        if by.abs() <= 100.0 { (by.exp2() as f32, (-by).exp2() as f32) } else { (1.0, 1.0) }
    }
}

/// Rows become columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(r: [__m512; LINE]) -> [__m512; LINE] {
    let zero = _mm512_setzero_ps();
    // Within every 128 bits: four rows' numbers of one column.
    let mut quads = [zero; LINE];
    for i in (0..LINE).step_by(4) {
        let (a, b) = (_mm512_unpacklo_ps(r[i], r[i + 1]), _mm512_unpackhi_ps(r[i], r[i + 1]));
        let (c, d) = (_mm512_unpacklo_ps(r[i + 2], r[i + 3]), _mm512_unpackhi_ps(r[i + 2], r[i + 3]));
        let pd = _mm512_castps_pd;
        quads[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(a), pd(c)));
        quads[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(a), pd(c)));
        quads[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(b), pd(d)));
        quads[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(b), pd(d)));
    }
    let mut out = [zero; LINE];
    for j in 0..4 {
        // Column 4 l + j stands in lane l of each of the four quads.
        let (a, b) = (quads[j], quads[4 + j]);
        let (c, d) = (quads[8 + j], quads[12 + j]);
        let (low, high) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xEE>(a, b));
        let (low2, high2) = (_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xEE>(c, d));
        out[j] = _mm512_shuffle_f32x4::<0x88>(low, low2);
        out[4 + j] = _mm512_shuffle_f32x4::<0xDD>(low, low2);
        out[8 + j] = _mm512_shuffle_f32x4::<0x88>(high, high2);
        out[12 + j] = _mm512_shuffle_f32x4::<0xDD>(high, high2);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::matmul::CpuWeight;
    use super::super::testing::{matrix, numbers};
    use super::*;

    /// Both ways of multiplying, where the processor has the instructions.
    fn all() -> Vec<&'static Kernels> {
        if simd() != Simd::Avx512 {
            println!("skipped: no AVX-512 here");
            return Vec::new();
        }
        vec![&TRADING, &PLAIN]
    }

    fn times(
        kernels: &'static Kernels,
        w: &CpuWeight,
        x: &Mat,
        (from, cols): (usize, usize),
        y: &mut Mat,
        add: bool,
    ) {
        let inner = Inner::new(kernels, x, from, cols, w.size());
        let out = Output { y: SendPtr(y.flat_mut().as_mut_ptr()), row: y.stride(), add };
        // SAFETY: y is ours and large enough.
        unsafe { inner.rows_times(w, 0..w.out, out) }
    }

    #[test]
    fn products_are_at_least_as_exact_as_one_long_sum() {
        for (out, depth, n) in
            [(1, 16, 1), (5, 48, 3), (67, 640, 19), (70, 768, 34), (130, 1296, 33), (6, 2048, 50)]
        {
            let w = CpuWeight::floats(
                numbers(out * depth, 1).into_iter().map(|v| v * 0.03).collect(),
                out,
                depth,
            );
            let mut x = matrix(depth, n + LINE, 2);
            // Tokens of very different sizes, with a few inputs that stand out.
            for c in 0..n + LINE {
                let token: Vec<f32> = x.column(c);
                let scale = 10f32.powi(c as i32 % 9 - 4);
                let loud = |(i, v): (usize, &f32)| v * scale * if i % 97 == 3 { 40.0 } else { 1.0 };
                x.set_column(c, &token.iter().enumerate().map(loud).collect::<Vec<f32>>());
            }
            let (mut usual, mut size) = (0f64, 0f64);
            let exact: Vec<Vec<f64>> = (0..out)
                .map(|r| {
                    let row = w.row(r);
                    let one = |c: usize| {
                        let token = x.column(LINE + c);
                        let products = || row.iter().zip(&token).map(|(a, b)| f64::from(*a) * f64::from(*b));
                        let (sum, terms) = (products().sum::<f64>(), products().map(|p| p * p).sum::<f64>());
                        let long = row.iter().zip(&token).fold(0f32, |s, (a, b)| a.mul_add(*b, s));
                        usual += (f64::from(long) - sum).powi(2) / terms;
                        size += 1.0;
                        sum / terms.sqrt()
                    };
                    (0..n).map(one).collect()
                })
                .collect();
            for kernels in all() {
                for add in [false, true] {
                    let mut y = Mat::zeros(out, n);
                    if add {
                        y.flat_mut().fill(0.5);
                    }
                    times(kernels, &w, &x, (LINE, n), &mut y, add);
                    let mut error = 0f64;
                    for (r, exact) in exact.iter().enumerate() {
                        let row = w.row(r);
                        for (c, want) in exact.iter().enumerate() {
                            let token = x.column(LINE + c);
                            let terms: f64 = row
                                .iter()
                                .zip(&token)
                                .map(|(a, b)| (f64::from(*a) * f64::from(*b)).powi(2))
                                .sum();
                            let before = if add { 0.5 } else { 0.0 };
                            let off = f64::from(y.row(r)[c]) - before - want * terms.sqrt();
                            // Adding to 0.5 rounds to its last bit.
                            let slack = if add { 1e-7 } else { 0.0 };
                            error += ((off.abs() - slack).max(0.0) / terms.sqrt()).powi(2);
                        }
                    }
                    let (ours, usual) = ((error / size).sqrt(), (usual / size).sqrt());
                    println!(
                        "{out} x {depth} x {n}, trades {}: {ours:.1e}, one sum {usual:.1e}",
                        kernels.trades
                    );
                    assert!(ours <= usual + 2e-7, "{out} {depth} {n} {add}: {ours:e} against {usual:e}");
                }
            }
        }
    }

    #[test]
    fn a_tokens_bits_do_not_depend_on_its_neighbours_nor_on_the_rows_taken_together() {
        let (out, depth, n) = (75, 1280, 37);
        let w = CpuWeight::floats(numbers(out * depth, 3), out, depth);
        let x = matrix(depth, n, 4);
        for kernels in all() {
            let mut together = Mat::zeros(out, n);
            times(kernels, &w, &x, (0, n), &mut together, false);
            for c in [0, 3, 17, 36] {
                let mut alone = Mat::zeros(out, 1);
                times(kernels, &w, &Mat::from_tokens(depth, 1, &x.column(c)), (0, 1), &mut alone, false);
                assert_eq!(alone.column(0), together.column(c));
            }
            let inner = Inner::new(kernels, &x, 0, n, w.size());
            let mut y = Mat::zeros(7, n);
            let to = Output { y: SendPtr(y.flat_mut().as_mut_ptr()), row: y.stride(), add: false };
            // SAFETY: y is ours and has seven rows.
            unsafe {
                inner.rows_times(&w, 33..40, to);
            }
            (0..7).for_each(|r| assert_eq!(y.row(r), together.row(33 + r)));
        }
    }

    #[test]
    fn tokens_of_zeros_and_of_no_numbers_stay_what_they_are() {
        let (out, depth) = (8, 128);
        let w = CpuWeight::floats(numbers(out * depth, 5), out, depth);
        let mut x = matrix(depth, 5, 6);
        x.set_column(1, &vec![0.0; depth]);
        let mut token = x.column(2);
        token[70] = f32::NAN;
        x.set_column(2, &token);
        x.set_column(3, &x.column(0).iter().map(|v| v * 1e-30).collect::<Vec<f32>>());
        x.set_column(4, &x.column(0).iter().map(|v| v * 1e30).collect::<Vec<f32>>());
        for kernels in all() {
            let mut y = Mat::zeros(out, 5);
            times(kernels, &w, &x, (0, 5), &mut y, false);
            for r in 0..out {
                let y = y.row(r);
                assert!(y[1].abs() < 1e-5 && y[2].is_nan());
                for (c, scale) in [(3, 1e-30), (4, 1e30)] {
                    assert!(
                        (f64::from(y[c]) / scale - f64::from(y[0])).abs()
                            < 1e-5 * (1.0 + f64::from(y[0].abs()))
                    );
                }
            }
        }
    }

    #[test]
    fn rows_become_columns() {
        if simd() != Simd::Avx512 {
            return println!("skipped: no AVX-512 here");
        }
        let x: Vec<f32> = (0..256u16).map(f32::from).collect();
        // SAFETY: the instructions are there, and every vector lies in the numbers.
        let got: Vec<[f32; LINE]> = unsafe {
            let rows = std::array::from_fn(|r| _mm512_loadu_ps(x[r * LINE..].as_ptr()));
            transposed(rows).map(|v| std::mem::transmute::<__m512, [f32; LINE]>(v)).to_vec()
        };
        for (c, column) in got.iter().enumerate() {
            assert!(column.iter().enumerate().all(|(r, v)| *v == x[r * LINE + c]), "{c}: {column:?}");
        }
    }
}
