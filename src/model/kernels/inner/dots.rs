//! The register tile of inner products, and what stands beside its sums.

use super::super::mat::LINE;
use super::{TILE, TRIPLE};
use std::arch::x86_64::*;

/// The operands of tiles below each other.
#[derive(Clone, Copy)]
pub struct Dots {
    pub tiles: usize,
    pub depth: usize,
    /// On cache lines.
    pub w: *const f32,
    pub w_row: usize,
    /// `[depth / 16][4][16]`, on cache lines.
    pub x: *const f32,
    /// `[4][4]`, each row's four times.
    pub w_own: *const f32,
    pub x_own: *const f32,
    pub back: *const f32,
    /// Four numbers in each row.
    pub out: *mut f32,
    pub out_row: usize,
    pub add: bool,
}

/// `out[r][t] (+)= back[t] * sum over k of w[r][k] * x[t][k]` for rows in tiles of `R`; four numbers of every row are
/// written.
///
/// # Safety
/// Every address must be as [`Dots`] says, and AVX-512 there.
#[target_feature(enable = "avx512f")]
#[expect(clippy::needless_range_loop, reason = "rows and columns of a register tile")]
pub unsafe fn dots<const R: usize, const C: usize, const TRADES: bool>(mut d: Dots) {
    // SAFETY: the caller's.
    unsafe {
        for _ in 0..d.tiles {
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
            d.w = d.w.wrapping_add(R * d.w_row);
            d.w_own = d.w_own.wrapping_add(R * TILE);
            d.out = d.out.wrapping_add(R * d.out_row);
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

/// The traded neighbours' products within each of a tile's rows of a panel, with those of what is left over beside whole
/// triples where `rest`.
///
/// # Safety
/// The rows must be readable, and AVX-512 there.
#[target_feature(enable = "avx512f")]
pub unsafe fn own_products(
    (rows, count): (*const f32, usize),
    pitch: usize,
    depth: usize,
    rest: bool,
) -> [f32; TILE] {
    // Of rows that are not there the last one's once more.
    let row = |r: usize| rows.wrapping_add(r.min(count - 1) * pitch);
    let mut sums = [_mm512_setzero_ps(); TILE];
    for at in (0..depth / TRIPLE).map(|i| TRIPLE * i) {
        for (r, sum) in sums.iter_mut().enumerate() {
            let at = row(r).wrapping_add(at);
            // SAFETY: the caller's.
            let (a, b) = unsafe { (_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(LINE))) };
            *sum = _mm512_fmadd_ps(a, b, *sum);
        }
    }
    let (whole, apart) = (depth / TRIPLE * TRIPLE, depth % TRIPLE / 3);
    if rest && apart > 0 {
        let there = (1 << apart) - 1;
        for (r, sum) in sums.iter_mut().enumerate() {
            let at = row(r).wrapping_add(whole);
            // SAFETY: the caller's.
            let (a, b) =
                unsafe { (_mm512_maskz_loadu_ps(there, at), _mm512_maskz_loadu_ps(there, at.add(apart))) };
            *sum = _mm512_fmadd_ps(a, b, *sum);
        }
    }
    sums.map(|sum| _mm512_reduce_add_ps(sum))
}
