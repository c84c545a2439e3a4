//! Products on AMX's bf16 tiles with the accuracy of f32.
//!
//! Every f32 is cut, exactly, into three bf16 numbers of eight significant bits each (hi + mid + lo). Of the nine
//! products the six largest are summed in f32; the three left out are below 2^-22 of the product, as f32's own
//! rounding is. bf16 weights are a single part, and all three products are taken; in bf16 arithmetic activations are
//! rounded to a single part as well. Sums over an output's terms have one order, whatever else is computed beside it.

mod blocks;
mod cut;
mod integers;
mod step;

pub use cut::Packed;
pub use integers::Coding;

use super::mat::SendPtr;
use super::matmul::CpuWeight;
use super::source::Output;
use crate::model::format::{Format, floats_of, halves_of};
use cut::{copy_weights, cut_turned, cut_weights};
use integers::Rounded;
use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _MM_HINT_T1, _mm_prefetch};
use std::cell::RefCell;
use std::ops::Range;
use std::sync::OnceLock;
use step::Step;

/// Numbers of a row that one tile holds, and rows of a tile.
const DEEP: usize = 32;
const TALL: usize = 16;
/// Bytes of a tile.
const TILE: usize = 1024;
/// Most tiles along a row that are cut and multiplied before the sums go back to memory: whole rows of a small model.
const DEEPEST: usize = 20;
/// The same in bf16 arithmetic: with few tokens whole rows, so that weights come from memory in order; with many as much
/// as stays in the L1 cache.
const DEEPEST_FEW: usize = 64;
const DEEPEST_MANY: usize = 8;
/// Most tokens that are few.
const FEW: usize = 64;
/// Most rows that are cut at a time; the next ones come from memory meanwhile.
const PANEL: usize = 64;
/// Most rows of weights in one task.
const ROWS: usize = 256;

/// Whether this processor has the tiles and the system lets this process use them. `POLYLENS_SIMD` set to anything
/// but `amx` turns them off.
pub fn available() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let wanted = std::env::var("POLYLENS_SIMD").map_or(true, |asked| asked == "amx");
        wanted
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
            && is_x86_feature_detected!("f16c")
            && processor_has_tiles()
            && permitted()
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
pub struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// All eight tiles as large as they can be.
pub static CONFIG: TileConfig = TileConfig::of([16; 8]);

/// For products of blocks: tmm1 and tmm2 are a row.
static BLOCKS: TileConfig = TileConfig::of([16, 1, 1, 16, 16, 16, 16, 16]);

impl TileConfig {
    const fn of(tall: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = tall;
        Self {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
            rows: [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0],
        }
    }
}

thread_local! {
    /// Cut weights of a task, and widened rows.
    static SCRATCH: RefCell<(Vec<u64>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// The weights `[out, in]` of a product `w x`, or of `w^T x`, whose rows are the columns of `w`.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    source: Source<'a>,
    transposed: bool,
    /// bf16 numbers that a weight's numbers are the sum of: 1 or 3.
    parts: usize,
    out: usize,
    inp: usize,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Filed(&'a CpuWeight),
    Floats(&'a [f32]),
}

/// Parts of a format's numbers.
fn parts_of(format: Format) -> usize {
    if format == Format::Bf16 { 1 } else { 3 }
}

/// Numbers as the nearest bf16, in place.
fn round(xs: &mut [f32]) {
    for x in xs {
        let bits = x.to_bits();
        *x = f32::from_bits(bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000);
    }
}

impl<'a> Weights<'a> {
    /// A linear layer's, in its file's format.
    pub fn filed(w: &'a CpuWeight, transposed: bool) -> Self {
        let source = match w.format {
            Format::F32 => Source::Floats(floats_of(w.bytes())),
            _ => Source::Filed(w),
        };
        let parts = if w.rounds { 1 } else { parts_of(w.format) };
        Self { source, transposed, parts, out: w.out, inp: w.inp }
    }

    /// Rows of `inp` numbers that were widened from `format`.
    pub fn floats(xs: &'a [f32], inp: usize, format: Format, transposed: bool) -> Self {
        Self { source: Source::Floats(xs), transposed, parts: parts_of(format), out: xs.len() / inp, inp }
    }

    /// Numbers of a row that are widened together.
    fn block(&self) -> usize {
        match self.source {
            Source::Filed(w) => w.format.block_len(),
            Source::Floats(_) => 1,
        }
    }

    /// bf16 numbers where they lie.
    fn halves(&self) -> Option<&'a [u16]> {
        match self.source {
            Source::Filed(w) if w.format == Format::Bf16 => Some(halves_of(w.bytes())),
            _ => None,
        }
    }

    /// Blocks that are rounded as they are laid out.
    fn rounded(&self) -> Option<(&'a CpuWeight, Coding)> {
        match self.source {
            Source::Filed(w) if w.rounds => Coding::of(w.format).map(|coding| (w, coding)),
            _ => None,
        }
    }

    /// `width` numbers from column `from` of `count` rows from `first` as f32: where they lie, or widened into `wide`;
    /// and the floats from one row to the next.
    fn widened(
        &self,
        (first, count): (usize, usize),
        (from, width): (usize, usize),
        wide: &mut Vec<f32>,
    ) -> (*const f32, usize) {
        match self.source {
            Source::Floats(xs) => (xs[first * self.inp + from..].as_ptr(), self.inp),
            Source::Filed(w) => {
                wide.resize(wide.len().max(count * width), 0.0);
                for r in 0..count {
                    w.widen_row(first + r, from, &mut wide[r * width..][..width]);
                }
                if w.rounds && w.format != Format::Bf16 {
                    round(&mut wide[..count * width]);
                }
                (wide.as_ptr(), width)
            }
        }
    }
}

/// How many rows one task should have: few enough tasks that activations are not read again and again, and as many for
/// every thread.
pub fn task_rows(total: usize, threads: usize) -> usize {
    let tasks = total.div_ceil(ROWS).next_multiple_of(2 * threads.max(1));
    total.div_ceil(tasks).next_multiple_of(2 * TALL)
}

/// `total` in pieces of at most `most`, as even as multiples of `unit` allow: the size of a piece.
fn even(total: usize, most: usize, unit: usize) -> usize {
    total.div_ceil(total.div_ceil((most / unit * unit).max(unit)).max(1)).next_multiple_of(unit).max(unit)
}

/// Rows `rows` of the product to `out` (whose first row is `rows.start`), on the calling thread.
pub fn rows_times(weights: Weights, rows: Range<usize>, x: &Packed, out: Output) {
    SCRATCH.with_borrow_mut(|(cut, wide)| {
        if let Source::Filed(w) = weights.source
            && !weights.transposed
            && let Some(coding) = Coding::of(w.format)
            && x.parts == 3
        {
            configure(&BLOCKS);
            // SAFETY: as for the products below.
            unsafe { blocks::rows_times(w, coding, rows, x, out, (cut, wide)) };
            return release();
        }
        let parts = weights.parts;
        // Cut ends lie between the format's blocks, where rows are cut along them.
        let block = if weights.transposed { 1 } else { (weights.block() / DEEP).max(1) };
        let most = match x.parts {
            1 if x.tokens <= FEW => DEEPEST_FEW,
            1 => DEEPEST_MANY,
            _ => DEEPEST,
        };
        let deepest = even(x.deep, most, block);
        let tall = even(rows.len(), PANEL, 2 * TALL);
        // A line more for alignment.
        cut.resize(cut.len().max((tall / TALL * deepest * parts * TILE + 64) / 8), 0);
        let base = cut.as_mut_ptr().cast::<u8>();
        let base = base.wrapping_add(base.align_offset(64));
        configure(&CONFIG);
        // The depth on the outside: a slice of the activations stays while all rows pass by. Sums are the same to the
        // last bit wherever they are interrupted.
        let panels = (0..x.deep).step_by(deepest).flat_map(|from| {
            let deep = from..x.deep.min(from + deepest);
            let end = rows.end;
            rows.clone()
                .step_by(tall)
                .map(move |first| Panel { rows: first..end.min(first + tall), deep: deep.clone() })
        });
        let mut panels = panels.peekable();
        while let Some(panel) = panels.next() {
            // The way back takes pieces of many rows: each would ask for a page of its own.
            let next = panels.peek().filter(|_| !weights.transposed);
            if weights.transposed {
                panel.cut_turned(&weights, base, wide);
            } else {
                panel.cut(&weights, base, wide);
            }
            let mut ahead = Ahead::of(&weights, next, panel.steps(x));
            let out = Output {
                y: SendPtr(out.y.get().wrapping_add((panel.rows.start - rows.start) * out.row)),
                ..out
            };
            match (parts, x.parts) {
                (1, 1) => panel.times::<1, 1>(base, x, out, &mut ahead),
                (1, _) => panel.times::<1, 3>(base, x, out, &mut ahead),
                (_, 1) => unreachable!("rounded activations are for bf16 weights"),
                _ => panel.times::<3, 3>(base, x, out, &mut ahead),
            }
        }
        release();
    });
}

fn configure(tiles: &'static TileConfig) {
    // SAFETY: LDTILECFG reads 64 bytes; `available` was asked before a `Packed` was made.
    unsafe { asm!("ldtilecfg [{}]", in(reg) tiles, options(nostack)) };
}

/// Gives the tiles back, so that a thread switch need not save them.
fn release() {
    // SAFETY: no tile is in use.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
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

    fn cut(&self, w: &Weights, base: *mut u8, wide: &mut Vec<f32>) {
        let (from, parts) = (self.deep.start * DEEP, w.parts);
        let depth = (w.inp - from).min(self.deep.len() * DEEP);
        let halves = w.halves();
        if let Some((w, coding)) = w.rounded() {
            let mut to = Rounded { to: base, deep: self.deep.len() };
            // SAFETY: the tiles lie within the scratch.
            return unsafe { coding.lay_out(w, self.rows.clone(), self.deep.clone(), &mut to) };
        }
        for t in 0..self.rows.len().div_ceil(TALL) {
            let first = self.rows.start + t * TALL;
            let rows = TALL.min(self.rows.end - first);
            let place = |k: usize| (self.place(base, parts, t, k), depth - k * DEEP);
            if let Some(xs) = halves {
                let source = xs[first * w.inp + from..].as_ptr();
                for k in 0..self.deep.len() {
                    let ((to, there), source) = (place(k), source.wrapping_add(k * DEEP));
                    // SAFETY: each row has `there` numbers from there on; the tiles lie within the scratch.
                    unsafe { copy_weights(source, w.inp, rows, there, to) };
                }
                continue;
            }
            let (source, stride) = w.widened((first, rows), (from, depth), wide);
            for k in 0..self.deep.len() {
                let ((to, there), source) = (place(k), source.wrapping_add(k * DEEP));
                // SAFETY: as above, with the rows `stride` apart.
                unsafe {
                    match parts {
                        1 => cut_weights::<1>(source, stride, rows, there, to, 2 * TILE),
                        _ => cut_weights::<3>(source, stride, rows, there, to, 2 * TILE),
                    }
                }
            }
        }
    }

    /// As [`Panel::cut`], where the panel's rows are columns of the weights.
    fn cut_turned(&self, w: &Weights, base: *mut u8, wide: &mut Vec<f32>) {
        let (from, parts) = (self.deep.start * DEEP, w.parts);
        let depth = (w.out - from).min(self.deep.len() * DEEP);
        let block = w.block();
        // Whole blocks of the format, of which the panel's columns are a part.
        let first = self.rows.start / block * block;
        let width = self.rows.end.next_multiple_of(block).min(w.inp) - first;
        let (source, stride) = w.widened((from, depth), (first, width), wide);
        for t in 0..self.rows.len().div_ceil(TALL) {
            let column = self.rows.start + t * TALL;
            let columns = TALL.min(self.rows.end - column);
            for k in 0..self.deep.len() {
                let source = source.wrapping_add(k * DEEP * stride + column - first);
                let to = self.place(base, parts, t, k);
                // SAFETY: `depth` rows of `columns` floats from there on; the tiles lie within the scratch.
                unsafe {
                    cut_turned(source, stride, DEEP.min(depth - k * DEEP), columns, parts, to, 2 * TILE);
                }
            }
        }
    }

    /// How many tiles of weights [`Panel::times`] goes through, in pairs.
    fn steps(&self, x: &Packed) -> usize {
        x.tokens.div_ceil(2 * TALL) * self.rows.len().div_ceil(2 * TALL) * self.deep.len()
    }

    fn times<const W: usize, const X: usize>(
        &self,
        base: *mut u8,
        x: &Packed,
        out: Output,
        ahead: &mut Ahead,
    ) {
        let pairs = x.tokens.div_ceil(2 * TALL);
        let blocks = self.rows.len().div_ceil(2 * TALL);
        for at in 0..pairs * blocks {
            // In bf16 arithmetic a pair of tiles of weights stays in the L1 cache while the tokens pass by.
            let (pair, t) = match W * X {
                1 => (at % pairs, at / pairs * 2),
                _ => (at / blocks, at % blocks * 2),
            };
            let step = Step {
                w: self.place(base, W, t, 0),
                x: x.at(pair, self.deep.start),
                length: self.deep.len(),
                rows: (self.rows.len() - t * TALL).min(2 * TALL),
                wide: x.tokens > pair * 2 * TALL + TALL,
                add: out.add || self.deep.start > 0,
                y: out.y.get().wrapping_add(t * TALL * out.row + pair * 2 * TALL),
                y_row: out.row,
            };
            // SAFETY: all tiles are there; y's rows reach to whole vectors and are this task's alone.
            unsafe { step.run::<W, X>(ahead) };
        }
    }
}

/// The next panel's bytes, asked for from memory while this one is multiplied.
struct Ahead {
    next: *const u8,
    /// Bytes from one row to the next, and of what is wanted of a row.
    row: usize,
    wanted: usize,
    /// Of this row, bytes asked for; rows to come, this one included.
    at: usize,
    rows: usize,
    /// Cache lines at a time.
    each: usize,
}

impl Ahead {
    fn of(w: &Weights, next: Option<&Panel>, steps: usize) -> Self {
        let Some(panel) = next else {
            return Self { next: std::ptr::null(), row: 0, wanted: 0, at: 0, rows: 0, each: 0 };
        };
        let (bytes, len, size) = match w.source {
            Source::Filed(w) => (w.bytes().as_ptr(), w.format.block_len(), w.format.block_bytes()),
            Source::Floats(xs) => (xs.as_ptr().cast(), 1, size_of::<f32>()),
        };
        let row = w.inp / len * size;
        let from = panel.deep.start * DEEP;
        let wanted = (w.inp - from).min(panel.deep.len() * DEEP).div_ceil(len) * size;
        let next = bytes.wrapping_add(panel.rows.start * row + from / len * size);
        let lines = wanted.div_ceil(64) * panel.rows.len();
        Self { next, row, wanted, at: 0, rows: panel.rows.len(), each: lines.div_ceil(steps.max(1)) }
    }

    #[inline]
    fn fetch(&mut self) {
        for _ in 0..self.each {
            if self.rows == 0 {
                return;
            }
            // SAFETY: a prefetch never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(self.next.wrapping_add(self.at).cast()) };
            self.at += 64;
            if self.at >= self.wanted {
                (self.at, self.rows, self.next) = (0, self.rows - 1, self.next.wrapping_add(self.row));
            }
        }
    }
}
