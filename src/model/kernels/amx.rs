//! Products on AMX's bf16 tiles with the accuracy of f32.
//!
//! Every f32 is cut, exactly, into three bf16 numbers of eight significant bits each (hi + mid + lo). Of the nine
//! products the six largest are summed in f32; the three left out are below 2^-22 of the product, as f32's own
//! rounding is. bf16 weights are a single part, and all three products are taken. Sums over an output's terms have
//! one order, whatever else is computed beside it.

use super::mat::{LINE, Mat, SendPtr};
use super::matmul::CpuWeight;
use crate::model::format::Format;
use rayon::prelude::*;
use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::OnceLock;

/// Numbers of a row that one tile holds, and rows of a tile.
const DEEP: usize = 32;
const TALL: usize = 16;
/// Bytes of a tile.
const TILE: usize = 1024;
/// Tiles along a row that are multiplied before the sums go back to memory: two tiles of activations that deep stay
/// in the L1 cache while all rows of a task pass by.
const CHUNK: usize = 3;
/// Tiles along a row that are cut at a time: whole rows of a small model, so that they are read as they lie.
const DEEPEST: usize = 20;
/// Rows that are cut at a time; the next ones come from memory meanwhile.
const PANEL: usize = 64;
/// Most rows of weights in one task.
const ROWS: usize = 256;

/// Whether this processor has the tiles and the system lets this process use them. `POLYLENS_SIMD` set to anything
/// but `amx` turns them off.
pub fn available() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let wanted = std::env::var("POLYLENS_SIMD").map_or(true, |asked| asked == "amx");
        wanted && is_x86_feature_detected!("avx512f") && processor_has_tiles() && permitted()
    })
}

/// CPUID leaf 7: AMX-BF16 (EDX bit 22) and AMX-TILE (EDX bit 24).
fn processor_has_tiles() -> bool {
    // SAFETY: every x86-64 processor has CPUID; leaf 7 is there where leaf 0 says so.
    #[allow(unused_unsafe)]
    let bits = unsafe { if __cpuid(0).eax < 7 { 0 } else { __cpuid_count(7, 0).edx } };
    bits & (1 << 22) != 0 && bits & (1 << 24) != 0
}

/// Linux hands out the tiles' large state on request only.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: a plain system call that changes what this process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// LDTILECFG's operand: eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: TileConfig = TileConfig {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Activations `[in, tokens]` cut into tiles: per pair of 16 tokens, per 32 inputs, hi, mid and lo of both.
pub struct Packed {
    tiles: Mat,
    /// Tiles along `in`.
    deep: usize,
    tokens: usize,
}

impl Packed {
    /// Cuts `tokens` columns of `x` from column `from` (a multiple of [`LINE`]) on the current rayon pool.
    pub fn new(x: &Mat, from: usize, tokens: usize) -> Self {
        let deep = x.rows().div_ceil(DEEP);
        let pairs = tokens.div_ceil(2 * TALL);
        let mut tiles = Mat::to_fill(pairs * deep * 6, TILE / 4);
        let (row, to) = (tiles.stride(), SendPtr(tiles.flat_mut().as_mut_ptr()));
        (0..pairs * deep).into_par_iter().for_each(|at| {
            let (pair, k) = (at / deep, at % deep * DEEP);
            for half in 0..2 {
                let column = pair * 2 * TALL + half * TALL;
                // A second half without tokens is never multiplied.
                if column < tokens {
                    let source = x.flat()[k * x.stride() + from + column..].as_ptr();
                    let to =
                        |part: usize| to.get().wrapping_add((at * 6 + part * 2 + half) * row).cast::<u8>();
                    // SAFETY: the rows k.. below `x.rows()` hold 16 floats from that column (rows are whole vectors),
                    // the three tiles lie in `tiles` and belong to this call; the caller of `available` has AVX-512.
                    unsafe { cut_tokens(source, x.stride(), DEEP.min(x.rows() - k), [to(0), to(1), to(2)]) };
                }
            }
        });
        Self { tiles, deep, tokens }
    }

    /// The tiles of a pair of token blocks at a depth.
    fn at(&self, pair: usize, deep: usize) -> *const u8 {
        let first = (pair * self.deep + deep) * 6 * self.tiles.stride();
        self.tiles.flat()[first..].as_ptr().cast()
    }

    /// Bytes from one tile to the next.
    fn step(&self) -> usize {
        self.tiles.stride() * 4
    }
}

/// hi, mid and lo of sixteen floats, each in the upper half of its lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn cut(x: __m512) -> [__m512i; 3] {
    let upper = _mm512_set1_epi32(0xFFFF_0000_u32 as i32);
    let hi = _mm512_and_si512(_mm512_castps_si512(x), upper);
    let rest = _mm512_sub_ps(x, _mm512_castsi512_ps(hi));
    let mid = _mm512_and_si512(_mm512_castps_si512(rest), upper);
    let lo = _mm512_sub_ps(rest, _mm512_castsi512_ps(mid));
    [hi, mid, _mm512_castps_si512(lo)]
}

/// A tile of 32 inputs (`rows` of them there, `stride` apart) x 16 tokens: neighbouring inputs in one lane.
///
/// # Safety
/// `rows` times 16 floats must be readable, a tile writable at each of `to`; AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn cut_tokens(x: *const f32, stride: usize, rows: usize, to: [*mut u8; 3]) {
    let upper = _mm512_set1_epi32(0xFFFF_0000_u32 as i32);
    for pair in 0..DEEP / 2 {
        let load = |k: usize| {
            // SAFETY: the caller's.
            if k < rows {
                unsafe { _mm512_loadu_ps(x.wrapping_add(k * stride)) }
            } else {
                _mm512_setzero_ps()
            }
        };
        let (even, odd) = (cut(load(2 * pair)), cut(load(2 * pair + 1)));
        for part in 0..3 {
            let both =
                _mm512_or_si512(_mm512_srli_epi32::<16>(even[part]), _mm512_and_si512(odd[part], upper));
            // SAFETY: the caller's.
            unsafe { _mm512_storeu_si512(to[part].wrapping_add(pair * 64).cast(), both) };
        }
    }
}

/// One row of weights, `depth` floats, into row `row` of successive tiles: `parts` of them for every 32 inputs, `step`
/// bytes apart; what is beyond `depth` in the last ones is zero.
///
/// # Safety
/// `depth` floats must be readable, the tiles writable from `to` on; AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn cut_weights(w: *const f32, depth: usize, parts: usize, to: *mut u8, step: usize) {
    for at in (0..depth).step_by(DEEP) {
        let to = to.wrapping_add(at / DEEP * parts * step);
        for half in 0..2 {
            let from = at + half * 16;
            let there = depth.saturating_sub(from).min(16);
            let mask = ((1u32 << there) - 1) as __mmask16;
            // SAFETY: masked lanes are not read; the others are the caller's. A prefetch never faults.
            let x = unsafe {
                _mm_prefetch::<_MM_HINT_T0>(w.wrapping_add(from + AHEAD).cast());
                cut(_mm512_maskz_loadu_ps(mask, w.wrapping_add(from)))
            };
            for (part, x) in x.into_iter().enumerate().take(parts) {
                let narrow = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(x));
                // SAFETY: the caller's.
                unsafe { _mm256_storeu_si256(to.wrapping_add(part * step + half * 32).cast(), narrow) };
            }
        }
    }
}

/// Zeros in place of a row.
///
/// # Safety
/// As for [`cut_weights`].
unsafe fn clear(tiles: usize, parts: usize, to: *mut u8, step: usize) {
    for tile in 0..tiles * parts {
        // SAFETY: the caller's.
        unsafe { to.wrapping_add(tile * step).write_bytes(0, 64) };
    }
}

/// Floats ahead that are asked for while a row is cut.
const AHEAD: usize = 512;

thread_local! {
    /// Cut weights of a task, and widened rows.
    static SCRATCH: RefCell<(Vec<u64>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Where a task's outputs go.
#[derive(Clone, Copy)]
pub struct Output {
    pub y: SendPtr,
    /// Floats from one row to the next.
    pub row: usize,
    pub add: bool,
}

/// How many rows one task should have so that `threads` have enough of them.
pub fn task_rows(total: usize, threads: usize) -> usize {
    (total / (threads * 2)).next_multiple_of(2 * TALL).clamp(2 * TALL, ROWS)
}

/// Rows `rows` of `w x` to `out` (whose first row is `rows.start`), on the calling thread.
pub fn rows_times(w: &CpuWeight, rows: Range<usize>, x: &Packed, out: Output) {
    SCRATCH.with_borrow_mut(|(cut, wide)| {
        let parts = if w.format == Format::Bf16 { 1 } else { 3 };
        // A line more for alignment.
        cut.resize(cut.len().max((PANEL / TALL * DEEPEST * parts * TILE + 64) / 8), 0);
        let base = cut.as_mut_ptr().cast::<u8>();
        let base = base.wrapping_add(base.align_offset(64));
        // SAFETY: LDTILECFG reads 64 bytes; `available` was asked before a `Packed` was made.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack)) };
        let panels = rows.clone().step_by(PANEL).flat_map(|first| {
            let last = rows.end.min(first + PANEL);
            (0..x.deep)
                .step_by(DEEPEST)
                .map(move |from| Panel { rows: first..last, deep: from..x.deep.min(from + DEEPEST) })
        });
        let mut panels = panels.peekable();
        while let Some(panel) = panels.next() {
            panel.cut(w, parts, base, wide);
            let mut ahead = Ahead::of(w, panels.peek(), panel.steps(x));
            let out = Output {
                y: SendPtr(out.y.get().wrapping_add((panel.rows.start - rows.start) * out.row)),
                ..out
            };
            panel.times(base, parts, x, out, &mut ahead);
        }
        // SAFETY: gives the tiles back, so that a thread switch need not save them.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    });
}

/// Rows of weights over some tiles' depth, cut together.
struct Panel {
    rows: Range<usize>,
    deep: Range<usize>,
}

impl Panel {
    /// Where a tile of the cut panel lies: pairs of row blocks, along their depth, part by part.
    fn place(&self, base: *mut u8, parts: usize, row: usize, k: usize) -> *mut u8 {
        base.wrapping_add(((row / 2 * self.deep.len() + k) * parts * 2 + row % 2) * TILE)
    }

    fn cut(&self, w: &CpuWeight, parts: usize, base: *mut u8, wide: &mut Vec<f32>) {
        let from = self.deep.start * DEEP;
        let depth = (w.inp - from).min(self.deep.len() * DEEP);
        for t in 0..self.rows.len().div_ceil(TALL) {
            let first = self.rows.start + t * TALL;
            let there = TALL.min(self.rows.end - first);
            let (source, stride) = widened(w, first, there, from, depth, wide);
            for r in 0..TALL {
                let to = self.place(base, parts, t, 0).wrapping_add(r * 64);
                // SAFETY: the source holds `there` rows of `depth` floats; the tiles lie within the scratch.
                unsafe {
                    match r < there {
                        true => cut_weights(source.wrapping_add(r * stride), depth, parts, to, 2 * TILE),
                        false => clear(self.deep.len(), parts, to, 2 * TILE),
                    }
                }
            }
        }
    }

    /// How many blocks of outputs [`Panel::times`] goes through.
    fn steps(&self, x: &Packed) -> usize {
        self.deep.len().div_ceil(CHUNK) * x.tokens.div_ceil(2 * TALL) * self.rows.len().div_ceil(2 * TALL)
    }

    fn times(&self, base: *mut u8, parts: usize, x: &Packed, out: Output, ahead: &mut Ahead) {
        for chunk in (0..self.deep.len()).step_by(CHUNK) {
            for pair in 0..x.tokens.div_ceil(2 * TALL) {
                for t in (0..self.rows.len().div_ceil(TALL)).step_by(2) {
                    ahead.fetch();
                    let step = Step {
                        w: self.place(base, parts, t, chunk),
                        parts,
                        x: x.at(pair, self.deep.start + chunk),
                        x_step: x.step(),
                        length: CHUNK.min(self.deep.len() - chunk),
                        rows: (self.rows.len() - t * TALL).min(2 * TALL),
                        wide: x.tokens > pair * 2 * TALL + TALL,
                        add: out.add || self.deep.start + chunk > 0,
                        y: out.y.get().wrapping_add(t * TALL * out.row + pair * 2 * TALL),
                        y_row: out.row,
                    };
                    // SAFETY: all tiles are there; y's rows reach to whole vectors and are this task's alone.
                    unsafe { step.run() };
                }
            }
        }
    }
}

/// The next panel's bytes, asked for from memory while this one is multiplied.
struct Ahead {
    first: *const u8,
    row: usize,
    /// Cache lines of a row.
    lines: usize,
    at: usize,
    end: usize,
    each: usize,
}

impl Ahead {
    fn of(w: &CpuWeight, next: Option<&Panel>, steps: usize) -> Self {
        let Some(panel) = next else {
            return Self { first: std::ptr::null(), row: 0, lines: 1, at: 0, end: 0, each: 0 };
        };
        let (len, size) = (w.format.block_len(), w.format.block_bytes());
        let row = w.inp / len * size;
        let from = panel.deep.start * DEEP;
        let depth = (w.inp - from).min(panel.deep.len() * DEEP);
        let first = w.bytes().as_ptr().wrapping_add(panel.rows.start * row + from / len * size);
        let lines = (depth.div_ceil(len) * size).div_ceil(64);
        let end = lines * panel.rows.len();
        Self { first, row, lines, at: 0, end, each: end.div_ceil(steps.max(1)) }
    }

    #[inline]
    fn fetch(&mut self) {
        let until = self.end.min(self.at + self.each);
        for i in self.at..until {
            let line = self.first.wrapping_add(i / self.lines * self.row + i % self.lines * 64);
            // SAFETY: a prefetch never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) };
        }
        self.at = until;
    }
}

/// `depth` numbers of `count` rows as f32: where they lie, or widened into `wide`.
fn widened(
    w: &CpuWeight,
    first: usize,
    count: usize,
    from: usize,
    depth: usize,
    wide: &mut Vec<f32>,
) -> (*const f32, usize) {
    if w.format == Format::F32 {
        return (w.bytes()[(first * w.inp + from) * 4..].as_ptr().cast(), w.inp);
    }
    wide.resize(wide.len().max(TALL * depth), 0.0);
    for r in 0..count {
        w.widen_row(first + r, from, &mut wide[r * depth..][..depth]);
    }
    (wide.as_ptr(), depth)
}

/// A block of up to 32 x 32 outputs over some depth.
struct Step {
    w: *const u8,
    parts: usize,
    x: *const u8,
    x_step: usize,
    length: usize,
    /// Rows that are there, 1 to 32.
    rows: usize,
    /// Two blocks of tokens, or one.
    wide: bool,
    add: bool,
    y: *mut f32,
    y_row: usize,
}

macro_rules! tile {
    (load $t:literal, $p:expr, $stride:expr) => {
        asm!(concat!("tileloadd tmm", $t, ", [{p} + {s}*1]"), p = in(reg) $p, s = in(reg) $stride, options(nostack, readonly))
    };
    (store $t:literal, $p:expr, $stride:expr) => {
        asm!(concat!("tilestored [{p} + {s}*1], tmm", $t), p = in(reg) $p, s = in(reg) $stride, options(nostack))
    };
    (zero $t:literal) => {
        asm!(concat!("tilezero tmm", $t), options(nostack, nomem))
    };
    (dot $c:literal, $a:literal, $b:literal) => {
        asm!(concat!("tdpbf16ps tmm", $c, ", tmm", $a, ", tmm", $b), options(nostack, nomem))
    };
}

impl Step {
    /// # Safety
    /// See [`rows_times`]: every address that the fields name, tiles configured.
    unsafe fn run(&self) {
        let tall = self.rows > TALL;
        // Outputs that are no whole tile go by way of a buffer.
        let whole = self.rows.is_multiple_of(TALL);
        let mut buffer = Buffer([0.0; 2 * TALL * 2 * TALL]);
        let (y, y_row) = if whole { (self.y, self.y_row) } else { (buffer.0.as_mut_ptr(), 2 * TALL) };
        let width = if self.wide { 2 * TALL } else { TALL };
        if !whole && self.add {
            for r in 0..self.rows {
                // SAFETY: the caller's; the buffer has 32 rows of 32.
                unsafe { self.y.add(r * self.y_row).copy_to_nonoverlapping(y.add(r * y_row), width) };
            }
        }
        // SAFETY: the caller's.
        unsafe {
            match (tall, self.wide) {
                (true, true) => self.block::<true, true>(y, y_row * 4),
                (true, false) => self.block::<true, false>(y, y_row * 4),
                (false, true) => self.block::<false, true>(y, y_row * 4),
                (false, false) => self.block::<false, false>(y, y_row * 4),
            }
        }
        if !whole {
            for r in 0..self.rows {
                // SAFETY: as above.
                unsafe { y.add(r * y_row).copy_to_nonoverlapping(self.y.add(r * self.y_row), width) };
            }
        }
    }

    /// tmm0 to tmm3: sums; tmm4, tmm5: weights; tmm6, tmm7: activations.
    #[inline]
    unsafe fn block<const TALL2: bool, const WIDE2: bool>(&self, y: *mut f32, row: usize) {
        let (right, below) = (y.wrapping_add(TALL), y.wrapping_byte_add(TALL * row));
        let corner = below.wrapping_add(TALL);
        // SAFETY: the caller's.
        unsafe {
            if self.add {
                tile!(load 0, y, row);
                if WIDE2 {
                    tile!(load 1, right, row);
                }
                if TALL2 {
                    tile!(load 2, below, row);
                }
                if TALL2 && WIDE2 {
                    tile!(load 3, corner, row);
                }
            } else {
                tile!(zero 0);
                tile!(zero 1);
                tile!(zero 2);
                tile!(zero 3);
            }
            for k in 0..self.length {
                let w = self.w.wrapping_add(k * self.parts * 2 * TILE);
                let x = self.x.wrapping_add(k * 6 * self.x_step);
                self.weights::<TALL2>(w);
                self.activations::<WIDE2>(x);
                Self::dots::<TALL2, WIDE2>();
                self.activations::<WIDE2>(x.wrapping_add(4 * self.x_step));
                Self::dots::<TALL2, WIDE2>();
                self.activations::<WIDE2>(x.wrapping_add(2 * self.x_step));
                Self::dots::<TALL2, WIDE2>();
                if self.parts == 3 {
                    self.weights::<TALL2>(w.wrapping_add(2 * TILE));
                    Self::dots::<TALL2, WIDE2>();
                    self.activations::<WIDE2>(x);
                    Self::dots::<TALL2, WIDE2>();
                    self.weights::<TALL2>(w.wrapping_add(4 * TILE));
                    Self::dots::<TALL2, WIDE2>();
                }
            }
            tile!(store 0, y, row);
            if WIDE2 {
                tile!(store 1, right, row);
            }
            if TALL2 {
                tile!(store 2, below, row);
            }
            if TALL2 && WIDE2 {
                tile!(store 3, corner, row);
            }
        }
    }

    #[inline(always)]
    unsafe fn weights<const TALL2: bool>(&self, w: *const u8) {
        // SAFETY: the caller's.
        unsafe {
            tile!(load 4, w, 64usize);
            if TALL2 {
                tile!(load 5, w.wrapping_add(TILE), 64usize);
            }
        }
    }

    #[inline(always)]
    unsafe fn activations<const WIDE2: bool>(&self, x: *const u8) {
        // SAFETY: the caller's.
        unsafe {
            tile!(load 6, x, 64usize);
            if WIDE2 {
                tile!(load 7, x.wrapping_add(self.x_step), 64usize);
            }
        }
    }

    #[inline(always)]
    unsafe fn dots<const TALL2: bool, const WIDE2: bool>() {
        // SAFETY: the caller's.
        unsafe {
            tile!(dot 0, 4, 6);
            if WIDE2 {
                tile!(dot 1, 4, 7);
            }
            if TALL2 {
                tile!(dot 2, 5, 6);
            }
            if TALL2 && WIDE2 {
                tile!(dot 3, 5, 7);
            }
        }
    }
}

#[repr(align(64))]
struct Buffer([f32; 4 * TALL * TALL]);

/// Columns beyond the last token are written up to whole vectors.
const _: () = assert!(TALL == LINE);
