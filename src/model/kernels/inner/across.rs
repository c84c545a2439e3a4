//! The register tile whose vectors lie across the tokens: many of them at a time, and no lanes to be summed.

use super::super::mat::LINE;
use super::super::simd::broadcast;
use super::TRIPLE;
use std::arch::x86_64::*;

/// Rows of most tiles.
pub const TALL: usize = 8;
/// Vectors of tokens that lie together.
const GROUP: usize = 2;
/// Tokens in half a vector, of which the instructions take half the time.
const HALF: usize = LINE / 2;

/// Vectors of tokens that are multiplied together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The first of them.
    pub from: usize,
    pub vectors: usize,
    /// Whether the upper half of the last one is padding and left out.
    half: bool,
}

impl Group {
    /// The groups of so many tokens.
    pub fn all(tokens: usize) -> impl Iterator<Item = Self> {
        (0..tokens.div_ceil(LINE)).step_by(GROUP).map(move |vector| Self::of(vector, tokens))
    }

    /// The group of a vector.
    pub fn of(vector: usize, tokens: usize) -> Self {
        let from = vector / GROUP * GROUP;
        let vectors = GROUP.min(tokens.div_ceil(LINE) - from);
        let last = from + vectors == tokens.div_ceil(LINE);
        Self { from, vectors, half: last && (1..=HALF).contains(&(tokens % LINE)) }
    }
}

/// What so many tokens take, in the time of one token in whole groups, as measured on Zen 4: reading weights for less than
/// two vectors takes longer than the arithmetic.
pub fn cost(tokens: usize) -> f64 {
    let rest = match (tokens % (GROUP * LINE)).div_ceil(HALF) {
        0 => 0.0,
        1 => 15.5,
        2 => 17.5,
        3 => 29.0,
        _ => 32.0,
    };
    (tokens / (GROUP * LINE) * GROUP * LINE) as f64 + rest
}

/// The operands of tiles below each other.
#[derive(Clone, Copy)]
pub struct Across {
    pub depth: usize,
    pub w: *const f32,
    /// Floats from a row to the next, from [`TALL`] rows to the next of them, and from an input to the next.
    pub w_row: usize,
    pub w_tile: usize,
    pub w_k: usize,
    /// `[depth][vectors of the group][16]`, on cache lines; inputs that are multiplied together stand together (see
    /// [`Threes`]).
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

/// Inputs of which always three are taken together, `apart` inputs from each other; the products of the first two are
/// traded. The threes of a piece of the depth: of every [`TRIPLE`], and of what is left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threes {
    pub from: usize,
    /// And how many threes there are.
    pub apart: usize,
}

impl Threes {
    /// Those of so many inputs; fewer than three at the end are in none.
    pub fn of(depth: usize) -> impl Iterator<Item = Self> {
        (0..depth).step_by(TRIPLE).map(move |from| Self { from, apart: TRIPLE.min(depth - from) / 3 })
    }

    /// How many inputs are in threes.
    pub fn inputs(depth: usize) -> usize {
        depth / TRIPLE * TRIPLE + depth % TRIPLE / 3 * 3
    }
}

type AcrossFn = unsafe fn(Across, usize);

/// Rows of tiles and the kernels: most rows first.
type Tiles = [(usize, AcrossFn); 3];

macro_rules! tiles {
    ($vectors:literal, $half:literal) => {
        [
            (TALL, across::<TALL, $vectors, $half>),
            (4, across::<4, $vectors, $half>),
            (1, across::<1, $vectors, $half>),
        ]
    };
}

/// By halves of vectors.
static TILES: [Tiles; 2 * GROUP] = [tiles!(0, true), tiles!(1, false), tiles!(1, true), tiles!(2, false)];

impl Across {
    /// Floats from a tile of so many rows to the next.
    fn step(&self, rows: usize) -> usize {
        if rows == TALL { self.w_tile } else { rows * self.w_row }
    }

    /// `rows` rows from the first on, for the tokens of a group.
    ///
    /// # Safety
    /// Every address must be as the fields say, and AVX-512 there (F and VL).
    pub unsafe fn run(mut self, rows: usize, group: Group) {
        let mut left = rows;
        for (tall, kernel) in &TILES[2 * group.vectors - 1 - usize::from(group.half)] {
            let done = left / tall * tall;
            if done > 0 {
                // SAFETY: the caller's.
                unsafe { kernel(self, done / tall) };
                left -= done;
                self.w = self.w.wrapping_add(done / tall * self.step(*tall));
                self.w_own = self.w_own.wrapping_add(done);
                self.out = self.out.wrapping_add(done * self.out_row);
            }
        }
    }
}

/// `out[r][t] (+)= back[t] * sum over k of w[r][k] * x[t][k]` for `tiles` times `R` rows and `C` vectors of tokens, with
/// half a vector more where `H`.
///
/// # Safety
/// As for [`Across::run`].
#[target_feature(enable = "avx512f,avx512vl")]
#[expect(clippy::needless_range_loop, reason = "rows and columns of a register tile")]
unsafe fn across<const R: usize, const C: usize, const H: bool>(mut d: Across, tiles: usize) {
    let width = (C + usize::from(H)) * LINE;
    // Rows at a time, as far as there are registers.
    let together = if C < 2 { 4 } else { 2 };
    // SAFETY: the caller's.
    unsafe {
        for _ in 0..tiles {
            let mut sums = [[_mm512_setzero_ps(); C]; R];
            let mut halves = [_mm256_setzero_ps(); R];
            let (mut w, mut x, mut left) = (d.w, d.x, d.depth);
            while left >= 3 {
                let apart = left.min(TRIPLE) / 3;
                for _ in 0..apart {
                    let mut xs = [[_mm512_setzero_ps(); C]; 3];
                    for (j, xs) in xs.iter_mut().enumerate() {
                        for (c, v) in xs.iter_mut().enumerate() {
                            *v = _mm512_load_ps(x.add(j * width + c * LINE));
                        }
                    }
                    let mut hs = [_mm256_setzero_ps(); 3];
                    if H {
                        for (j, v) in hs.iter_mut().enumerate() {
                            *v = _mm256_load_ps(x.add(j * width + C * LINE));
                        }
                    }
                    for first in (0..R).step_by(together) {
                        let rows = first..R.min(first + together);
                        let mut ws = [[_mm512_setzero_ps(); 2]; 4];
                        for r in rows.clone() {
                            let w = w.add(r * d.w_row);
                            ws[r - first] = [broadcast(w), broadcast(w.add(apart * d.w_k))];
                        }
                        for c in 0..C {
                            for r in rows.clone() {
                                let [w0, w1] = ws[r - first];
                                let (a, b) = (_mm512_add_ps(xs[0][c], w1), _mm512_add_ps(xs[1][c], w0));
                                sums[r][c] = _mm512_fmadd_ps(a, b, sums[r][c]);
                            }
                        }
                        let mut w2s = [_mm512_setzero_ps(); 4];
                        for r in rows.clone() {
                            let w2 = broadcast(w.add(r * d.w_row + 2 * apart * d.w_k));
                            for c in 0..C {
                                sums[r][c] = _mm512_fmadd_ps(xs[2][c], w2, sums[r][c]);
                            }
                            w2s[r - first] = w2;
                        }
                        if H {
                            for r in rows {
                                let [w0, w1] = ws[r - first].map(|w| _mm512_castps512_ps256(w));
                                let (a, b) = (_mm256_add_ps(hs[0], w1), _mm256_add_ps(hs[1], w0));
                                halves[r] = _mm256_fmadd_ps(a, b, halves[r]);
                                halves[r] =
                                    _mm256_fmadd_ps(hs[2], _mm512_castps512_ps256(w2s[r - first]), halves[r]);
                            }
                        }
                    }
                    (w, x) = (w.wrapping_add(d.w_k), x.add(3 * width));
                }
                (w, left) = (w.wrapping_add(2 * apart * d.w_k), left - 3 * apart);
            }
            for _ in 0..left {
                for r in 0..R {
                    let w = broadcast(w.add(r * d.w_row));
                    for c in 0..C {
                        sums[r][c] = _mm512_fmadd_ps(_mm512_load_ps(x.add(c * LINE)), w, sums[r][c]);
                    }
                    if H {
                        let x = _mm256_load_ps(x.add(C * LINE));
                        halves[r] = _mm256_fmadd_ps(x, _mm512_castps512_ps256(w), halves[r]);
                    }
                }
                (w, x) = (w.wrapping_add(d.w_k), x.add(width));
            }
            for r in 0..R {
                let (own, out) = (broadcast(d.w_own.add(r)), d.out.add(r * d.out_row));
                for c in 0..C {
                    let (at, to) = (c * LINE, out.add(c * LINE));
                    let sum = _mm512_sub_ps(_mm512_sub_ps(sums[r][c], _mm512_loadu_ps(d.x_own.add(at))), own);
                    let before = if d.add { _mm512_loadu_ps(to) } else { _mm512_setzero_ps() };
                    _mm512_storeu_ps(to, _mm512_fmadd_ps(sum, _mm512_loadu_ps(d.back.add(at)), before));
                }
                if H {
                    let (at, to) = (C * LINE, out.add(C * LINE));
                    let own = _mm512_castps512_ps256(own);
                    let sum = _mm256_sub_ps(_mm256_sub_ps(halves[r], _mm256_loadu_ps(d.x_own.add(at))), own);
                    let before = if d.add { _mm256_loadu_ps(to) } else { _mm256_setzero_ps() };
                    _mm256_storeu_ps(to, _mm256_fmadd_ps(sum, _mm256_loadu_ps(d.back.add(at)), before));
                }
            }
            d.w = d.w.wrapping_add(d.step(R));
            d.w_own = d.w_own.wrapping_add(R);
            d.out = d.out.wrapping_add(R * d.out_row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_take_every_vector_once() {
        for tokens in 0..400 {
            let mut next = 0;
            for group in Group::all(tokens) {
                assert_eq!(group.from, next, "{tokens}");
                next += group.vectors;
                (group.from..next).for_each(|v| assert_eq!(Group::of(v, tokens), group, "{tokens}, {v}"));
                assert!((1..=GROUP).contains(&group.vectors), "{tokens}: {group:?}");
                let padding = LINE * next - tokens.min(LINE * next);
                assert_eq!(group.half, padding >= HALF, "{tokens}: {group:?}");
            }
            assert_eq!(next, tokens.div_ceil(LINE));
        }
    }

    #[test]
    fn threes_take_inputs_once() {
        for depth in (0..200).step_by(LINE) {
            let all = Threes::of(depth).flat_map(|t| t.from..t.from + 3 * t.apart);
            assert!(all.eq(0..Threes::inputs(depth)));
            assert!(depth - Threes::inputs(depth) < 3);
        }
    }
}
