//! The register tile that all products are made of:
//! `out[r][c] (+)= sum over k of w[r * w_row + k * w_k] * x[k * x_k + c]`.

use super::mat::LINE;
use super::simd::{Simd, simd};

/// One tile's operands. `c` runs over `cols` vectors of the instruction set's width.
#[derive(Clone, Copy)]
pub struct Tile {
    pub k: usize,
    pub w: *const f32,
    pub w_row: usize,
    pub w_k: usize,
    pub x: *const f32,
    pub x_k: usize,
    pub out: *mut f32,
    pub out_row: usize,
    /// Add to what is in `out` instead of overwriting it.
    pub add: bool,
    /// What to fetch from memory meanwhile: from here on as many numbers as the tile has weights; null for nothing.
    pub prefetch: *const f32,
}

type TileFn = unsafe fn(Tile);

/// The tiles of one instruction set.
pub struct Tiles {
    /// Floats in a vector.
    pub lanes: usize,
    /// Most rows of a tile.
    pub max_rows: usize,
    /// Most vectors of a tile.
    pub max_cols: usize,
    /// Per row count: one to three vectors, then the same with prefetching.
    table: &'static [[TileFn; 6]],
}

impl Tiles {
    /// The tiles for an instruction set.
    pub fn of(simd: Simd) -> &'static Self {
        match simd {
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => &AVX512,
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => &AVX2,
            _ => &PORTABLE,
        }
    }

    /// Tiles over pairs of bf16 numbers in place of floats (`k`, `w_row` and `x_k` count pairs), where the processor
    /// multiplies those; products and sums are f32.
    pub fn of_pairs() -> Option<&'static Self> {
        #[cfg(target_arch = "x86_64")]
        if simd() == Simd::Avx512 && is_x86_feature_detected!("avx512bf16") {
            return Some(&AVX512_PAIRS);
        }
        None
    }

    /// Computes a tile of `rows` x (`cols` vectors).
    ///
    /// # Safety
    /// The instruction set must be available, 1 <= rows <= max_rows, 1 <= cols <= max_cols, and every
    /// address that the formula names must be readable (`x`, `w`) or exclusively writable (`out`).
    #[inline]
    pub unsafe fn run(&self, rows: usize, cols: usize, tile: Tile) {
        debug_assert!(rows >= 1 && rows <= self.max_rows && cols >= 1 && cols <= self.max_cols);
        // SAFETY: the caller's.
        unsafe { (self.table[rows - 1][cols - 1 + 3 * usize::from(!tile.prefetch.is_null())])(tile) }
    }

    /// Splits `n` columns into tiles as even as may be: (first column, vectors).
    pub fn column_blocks(&self, n: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (lanes, vectors) = (self.lanes, n.div_ceil(self.lanes));
        let blocks = vectors.div_ceil(self.max_cols);
        let first = move |block: usize| block * vectors / blocks;
        (0..blocks).map(move |b| (first(b) * lanes, first(b + 1) - first(b)))
    }
}

macro_rules! tiles {
    ($table:ident, $kernel:ident, $(#[$attr:meta])? $vec:ty, $lanes:expr, rows: $max_rows:expr,
     [$($r:literal),*], zero: $zero:expr, load: $load:expr, store: $store:expr, splat: $splat:expr, fma: $fma:expr, prefetch: $prefetch:expr) => {
        $(#[$attr])?
        unsafe fn $kernel<const R: usize, const C: usize, const P: bool>(t: Tile) {
            // SAFETY: the caller of `Tiles::run` vouches for every address and for the instruction set.
            unsafe {
                let mut acc = [[$zero; C]; R];
                if t.add {
                    for r in 0..R {
                        for c in 0..C {
                            acc[r][c] = $load(t.out.add(r * t.out_row + c * $lanes) as *const f32);
                        }
                    }
                }
                let (mut x, mut w) = (t.x, t.w);
                // In the order of memory, so that the processor's own fetching joins in.
                let mut next = t.prefetch;
                for k in 0..t.k {
                    if P && k % LINE == 0 {
                        for r in 0..R {
                            $prefetch(next.wrapping_add(r * LINE));
                        }
                        next = next.wrapping_add(R * LINE);
                    }
                    let mut xs = [$zero; C];
                    for c in 0..C {
                        xs[c] = $load(x.add(c * $lanes));
                    }
                    for r in 0..R {
                        let b = $splat(w.add(r * t.w_row));
                        for c in 0..C {
                            acc[r][c] = $fma(b, xs[c], acc[r][c]);
                        }
                    }
                    x = x.add(t.x_k);
                    w = w.add(t.w_k);
                }
                for r in 0..R {
                    for c in 0..C {
                        $store(t.out.add(r * t.out_row + c * $lanes), acc[r][c]);
                    }
                }
            }
        }
        static $table: Tiles = Tiles {
            lanes: $lanes,
            max_rows: $max_rows,
            max_cols: 3,
            table: &[$([
                $kernel::<$r, 1, false>, $kernel::<$r, 2, false>, $kernel::<$r, 3, false>,
                $kernel::<$r, 1, true>, $kernel::<$r, 2, true>, $kernel::<$r, 3, true>,
            ]),*],
        };
    };
}

#[cfg(target_arch = "x86_64")]
use super::simd::{broadcast, broadcast_half};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Asks for a cache line; any address is allowed, also one behind the weights' end.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn fetch(p: *const f32) {
    // SAFETY: a prefetch never faults.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
}

#[inline(always)]
fn no_fetch(_: *const f32) {}

#[cfg(target_arch = "x86_64")]
tiles!(AVX512, avx512, #[target_feature(enable = "avx512f")] __m512, 16, rows: 8, [1, 2, 3, 4, 5, 6, 7, 8],
    zero: _mm512_setzero_ps(), load: _mm512_loadu_ps, store: _mm512_storeu_ps, splat: broadcast,
    fma: _mm512_fmadd_ps, prefetch: fetch);

/// `c + a * b` over the pairs in every lane.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn dot_pairs(a: __m512, b: __m512, c: __m512) -> __m512 {
    // SAFETY: vectors of the same size, of any bits.
    unsafe {
        _mm512_dpbf16_ps(
            c,
            std::mem::transmute::<__m512, __m512bh>(a),
            std::mem::transmute::<__m512, __m512bh>(b),
        )
    }
}

#[cfg(target_arch = "x86_64")]
tiles!(AVX512_PAIRS, avx512_pairs, #[target_feature(enable = "avx512f,avx512bf16")] __m512, 16, rows: 8, [1, 2, 3, 4, 5, 6, 7, 8],
    zero: _mm512_setzero_ps(), load: _mm512_loadu_ps, store: _mm512_storeu_ps, splat: broadcast,
    fma: dot_pairs, prefetch: fetch);

#[cfg(target_arch = "x86_64")]
tiles!(AVX2, avx2, #[target_feature(enable = "avx2,fma")] __m256, 8, rows: 4, [1, 2, 3, 4],
    zero: _mm256_setzero_ps(), load: _mm256_loadu_ps, store: _mm256_storeu_ps, splat: broadcast_half,
    fma: _mm256_fmadd_ps, prefetch: fetch);

/// Four floats that the compiler maps to whatever vectors the target has.
type Quad = [f32; 4];

#[inline(always)]
unsafe fn quad_load(p: *const f32) -> Quad {
    // SAFETY: the tile's caller vouches for the address.
    unsafe { p.cast::<Quad>().read_unaligned() }
}

#[inline(always)]
unsafe fn quad_store(p: *mut f32, q: Quad) {
    // SAFETY: as above.
    unsafe { p.cast::<Quad>().write_unaligned(q) }
}

#[inline(always)]
unsafe fn quad_splat(p: *const f32) -> Quad {
    // SAFETY: as above.
    [unsafe { *p }; 4]
}

#[inline(always)]
fn quad_fma(a: Quad, b: Quad, c: Quad) -> Quad {
    // A separate multiply and add: `mul_add` would call the C library where the target has no FMA.
    std::array::from_fn(|i| a[i] * b[i] + c[i])
}

tiles!(PORTABLE, portable, Quad, 4, rows: 4, [1, 2, 3, 4],
    zero: [0f32; 4], load: quad_load, store: quad_store, splat: quad_splat, fma: quad_fma, prefetch: no_fetch);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tile_of_every_instruction_set_equals_the_plain_sum() {
        for simd in Simd::available() {
            let tiles = Tiles::of(simd);
            for rows in 1..=tiles.max_rows {
                for cols in 1..=tiles.max_cols {
                    for add in [false, true] {
                        one(tiles, rows, cols, add);
                    }
                }
            }
        }
    }

    fn one(tiles: &Tiles, rows: usize, cols: usize, add: bool) {
        let (k, n) = (13, cols * tiles.lanes);
        let w: Vec<f32> = (0..rows * k).map(|i| ((i * 7 % 11) as f32) - 5.0).collect();
        let x: Vec<f32> = (0..k * n).map(|i| ((i * 5 % 13) as f32) * 0.25 - 1.0).collect();
        let mut out: Vec<f32> = (0..rows * n).map(|i| i as f32).collect();
        let before = out.clone();
        let tile = Tile {
            k,
            w: w.as_ptr(),
            w_row: k,
            w_k: 1,
            x: x.as_ptr(),
            x_k: n,
            out: out.as_mut_ptr(),
            out_row: n,
            add,
            prefetch: if rows.is_multiple_of(2) { w.as_ptr() } else { std::ptr::null() },
        };
        // SAFETY: all slices have the sizes the tile names.
        unsafe { tiles.run(rows, cols, tile) };
        for r in 0..rows {
            for c in 0..n {
                let sum: f32 = (0..k).map(|i| w[r * k + i] * x[i * n + c]).sum();
                let want = if add { before[r * n + c] + sum } else { sum };
                assert!((out[r * n + c] - want).abs() < 1e-3, "{rows}x{cols}");
            }
        }
    }
}
