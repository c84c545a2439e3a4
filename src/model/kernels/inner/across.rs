//! The register tile whose vectors lie across the tokens: many of them at a time, and no lanes to be summed.

use super::super::mat::LINE;
use super::super::simd::broadcast;
use super::TRIPLE;
use std::arch::x86_64::*;

/// Vectors of tokens that lie together; of an odd number of them the last three do.
const GROUP: usize = 2;
/// Rows of a tile, by its vectors: the sums and the vectors of tokens fill the registers.
const TALL: [usize; 3] = [8, 8, 4];
/// Rows of the tiles for those that are left over.
const LEFT: [usize; 2] = [4, 1];

/// Vectors of tokens that are multiplied together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The first of them.
    pub from: usize,
    pub vectors: usize,
}

impl Group {
    /// The groups of so many vectors.
    pub fn all(vectors: usize) -> impl Iterator<Item = Self> {
        (0..vectors.max(1) / GROUP + usize::from(vectors == 1)).map(move |g| Self::at(g * GROUP, vectors))
    }

    /// The group of a vector.
    pub fn of(vector: usize, vectors: usize) -> Self {
        let last = (vectors / GROUP).max(1) - 1;
        Self::at((vector / GROUP).min(last) * GROUP, vectors)
    }

    fn at(from: usize, vectors: usize) -> Self {
        let left = vectors - from;
        Self { from, vectors: if left <= GROUP + 1 { left } else { GROUP } }
    }
}

/// The operands of tiles below each other.
#[derive(Clone, Copy)]
pub struct Across {
    pub tiles: usize,
    pub depth: usize,
    pub w: *const f32,
    pub w_row: usize,
    /// `[depth][vectors of the group][16]`, on cache lines; of each three vectors' depth the inputs that are multiplied
    /// together stand together: 0, 16, 32, 1, 17, 33 and so on.
    pub x: *const f32,
    /// A number for each row.
    pub w_own: *const f32,
    /// A number for each token, as the next.
    pub x_own: *const f32,
    pub back: *const f32,
    pub out: *mut f32,
    pub out_row: usize,
    pub add: bool,
}

impl Across {
    /// `rows` rows from the first on.
    ///
    /// # Safety
    /// Every address must be as the fields say, for that many rows and `vectors` vectors of tokens, and AVX-512 there.
    pub unsafe fn run(mut self, rows: usize, vectors: usize) {
        let mut left = rows;
        for (i, tall) in [TALL[vectors - 1]].into_iter().chain(LEFT).enumerate() {
            self.tiles = left / tall;
            left %= tall;
            if self.tiles > 0 {
                // SAFETY: the caller's.
                unsafe { TABLE[vectors - 1][i](self) };
                let done = self.tiles * tall;
                self.w = self.w.wrapping_add(done * self.w_row);
                self.w_own = self.w_own.wrapping_add(done);
                self.out = self.out.wrapping_add(done * self.out_row);
            }
        }
    }
}

type AcrossFn = unsafe fn(Across);

/// By vectors; those of [`TALL`] rows and those of [`LEFT`].
static TABLE: [[AcrossFn; 3]; 3] = [
    [across::<{ TALL[0] }, 1>, across::<{ LEFT[0] }, 1>, across::<{ LEFT[1] }, 1>],
    [across::<{ TALL[1] }, 2>, across::<{ LEFT[0] }, 2>, across::<{ LEFT[1] }, 2>],
    [across::<{ TALL[2] }, 3>, across::<{ LEFT[0] }, 3>, across::<{ LEFT[1] }, 3>],
];

/// `out[r][t] (+)= back[t] * sum over k of w[r][k] * x[t][k]` for rows in tiles of `R` and `C` vectors of tokens.
///
/// # Safety
/// As for [`Across::run`].
#[target_feature(enable = "avx512f")]
#[expect(clippy::needless_range_loop, reason = "rows and columns of a register tile")]
unsafe fn across<const R: usize, const C: usize>(mut d: Across) {
    // SAFETY: the caller's.
    unsafe {
        for _ in 0..d.tiles {
            let mut sums = [[_mm512_setzero_ps(); C]; R];
            let (mut w, mut x) = (d.w, d.x);
            for _ in 0..d.depth / TRIPLE {
                for _ in 0..LINE {
                    let mut xs = [[_mm512_setzero_ps(); C]; 3];
                    for (j, xs) in xs.iter_mut().enumerate() {
                        for (c, v) in xs.iter_mut().enumerate() {
                            *v = _mm512_load_ps(x.add((j * C + c) * LINE));
                        }
                    }
                    for r in 0..R {
                        let w = w.add(r * d.w_row);
                        let (w0, w1) = (broadcast(w), broadcast(w.add(LINE)));
                        for c in 0..C {
                            let (a, b) = (_mm512_add_ps(xs[0][c], w1), _mm512_add_ps(xs[1][c], w0));
                            sums[r][c] = _mm512_fmadd_ps(a, b, sums[r][c]);
                        }
                        let w2 = broadcast(w.add(2 * LINE));
                        for c in 0..C {
                            sums[r][c] = _mm512_fmadd_ps(xs[2][c], w2, sums[r][c]);
                        }
                    }
                    (w, x) = (w.add(1), x.add(3 * C * LINE));
                }
                w = w.add(2 * LINE);
            }
            for _ in 0..d.depth % TRIPLE {
                for r in 0..R {
                    let w = broadcast(w.add(r * d.w_row));
                    for c in 0..C {
                        sums[r][c] = _mm512_fmadd_ps(_mm512_load_ps(x.add(c * LINE)), w, sums[r][c]);
                    }
                }
                (w, x) = (w.add(1), x.add(C * LINE));
            }
            for c in 0..C {
                let own = _mm512_loadu_ps(d.x_own.add(c * LINE));
                let back = _mm512_loadu_ps(d.back.add(c * LINE));
                for r in 0..R {
                    let to = d.out.add(r * d.out_row + c * LINE);
                    let sum = _mm512_sub_ps(_mm512_sub_ps(sums[r][c], own), broadcast(d.w_own.add(r)));
                    let before = if d.add { _mm512_loadu_ps(to) } else { _mm512_setzero_ps() };
                    _mm512_storeu_ps(to, _mm512_fmadd_ps(sum, back, before));
                }
            }
            d.w = d.w.wrapping_add(R * d.w_row);
            d.w_own = d.w_own.wrapping_add(R);
            d.out = d.out.wrapping_add(R * d.out_row);
        }
    }
}
