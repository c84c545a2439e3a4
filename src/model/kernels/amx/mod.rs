//! Products on AMX's bf16 tiles with the accuracy of f32.
//!
//! Every f32 is cut, exactly, into three bf16 numbers of eight significant bits each (hi + mid + lo). Of the nine
//! products the six largest are summed in f32; the three left out are below 2^-22 of the product, as f32's own
//! rounding is. bf16 weights are a single part, and all three products are taken. Sums over an output's terms have
//! one order, whatever else is computed beside it.

mod cut;
mod step;

pub use cut::Packed;

use super::mat::SendPtr;
use super::matmul::CpuWeight;
use crate::model::format::{Format, floats_of};
use cut::{clear, cut_turned, cut_weights};
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
/// Tiles along a row that are multiplied before the sums go back to memory: two tiles of activations that deep stay
/// in the L1 cache while all rows of a task pass by.
const CHUNK: usize = 3;
/// Tiles along a row that are cut at a time: whole rows of a small model, so that they are read as they lie.
const DEEPEST: usize = 10;
/// Rows that are cut at a time; the next ones come from memory meanwhile.
const PANEL: usize = 128;
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

impl<'a> Weights<'a> {
    /// A linear layer's, in its file's format.
    pub fn filed(w: &'a CpuWeight, transposed: bool) -> Self {
        let source = match w.format {
            Format::F32 => Source::Floats(floats_of(w.bytes())),
            _ => Source::Filed(w),
        };
        Self { source, transposed, parts: parts_of(w.format), out: w.out, inp: w.inp }
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
                (wide.as_ptr(), width)
            }
        }
    }
}

/// How many rows one task should have so that `threads` have enough of them.
pub fn task_rows(total: usize, threads: usize) -> usize {
    (total / (threads * 2)).next_multiple_of(2 * TALL).clamp(2 * TALL, ROWS)
}

/// Rows `rows` of the product to `out` (whose first row is `rows.start`), on the calling thread.
pub fn rows_times(weights: Weights, rows: Range<usize>, x: &Packed, out: Output) {
    SCRATCH.with_borrow_mut(|(cut, wide)| {
        let parts = weights.parts;
        // A line more for alignment.
        cut.resize(cut.len().max((PANEL / TALL * DEEPEST * parts * TILE + 64) / 8), 0);
        let base = cut.as_mut_ptr().cast::<u8>();
        let base = base.wrapping_add(base.align_offset(64));
        // Cut ends lie between the format's blocks, where rows are cut along them.
        let block = if weights.transposed { 1 } else { (weights.block() / DEEP).max(1) };
        let deepest = DEEPEST / block * block;
        // SAFETY: LDTILECFG reads 64 bytes; `available` was asked before a `Packed` was made.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack)) };
        let panels = rows.clone().step_by(PANEL).flat_map(|first| {
            let last = rows.end.min(first + PANEL);
            (0..x.deep)
                .step_by(deepest)
                .map(move |from| Panel { rows: first..last, deep: from..x.deep.min(from + deepest) })
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

    fn cut(&self, w: &Weights, base: *mut u8, wide: &mut Vec<f32>) {
        let (from, parts) = (self.deep.start * DEEP, w.parts);
        let depth = (w.inp - from).min(self.deep.len() * DEEP);
        for t in 0..self.rows.len().div_ceil(TALL) {
            let first = self.rows.start + t * TALL;
            let there = TALL.min(self.rows.end - first);
            let (source, stride) = w.widened((first, there), (from, depth), wide);
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
    fn of(w: &Weights, next: Option<&Panel>, steps: usize) -> Self {
        let Some(panel) = next else {
            return Self { first: std::ptr::null(), row: 0, lines: 1, at: 0, end: 0, each: 0 };
        };
        let (bytes, len, size) = match w.source {
            Source::Filed(w) => (w.bytes().as_ptr(), w.format.block_len(), w.format.block_bytes()),
            Source::Floats(xs) => (xs.as_ptr().cast(), 1, size_of::<f32>()),
        };
        let row = w.inp / len * size;
        let from = panel.deep.start * DEEP;
        let depth = (w.inp - from).min(panel.deep.len() * DEEP);
        let first = bytes.wrapping_add(panel.rows.start * row + from / len * size);
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
