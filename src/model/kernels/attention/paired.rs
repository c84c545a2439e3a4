//! Attention's operands rounded to bf16, two numbers side by side for the instructions that multiply pairs: queries and keys
//! along the head's dimensions, values and the weights of their mean along the keys.

use super::super::mat::{Mat, SendPtr};
use super::super::pairs::{pair_row, pairs};
use super::super::team;
use super::super::tile::Tiles;
use super::{BLOCK, Heads, Keys, Sequence};
use std::ops::Range;

/// Tiles over pairs, on processors whose vector instructions are their fastest ones for bf16.
fn tiles() -> Option<&'static Tiles> {
    #[cfg(target_arch = "x86_64")]
    if super::super::amx::available() {
        return None;
    }
    Tiles::of_pairs()
}

/// Rounded operands of a batch.
pub(super) struct Paired {
    pub tiles: &'static Tiles,
    /// `[heads * dim / 2, tokens]`
    pub q: Mat,
    own: Pairs,
    /// First pair of each sequence's own values.
    first: Vec<usize>,
    /// What sequences continue, each once.
    pasts: Vec<Pairs>,
    /// Each sequence's.
    past: Vec<usize>,
}

/// Rounded keys and values.
struct Pairs {
    /// `[kv_heads * dim / 2, tokens]`
    k: Mat,
    /// `[kv_heads * dim, pairs of tokens]`; a token without another has zeros beside it.
    v: Mat,
}

impl Paired {
    /// Where they are wanted and multiplied faster than floats.
    pub fn of(q: &Mat, k: &Mat, v: &Mat, sequences: &[Sequence], heads: Heads) -> Option<Self> {
        let tiles = tiles().filter(|_| heads.rounds && heads.dim.is_multiple_of(2))?;
        let mut pasts: Vec<(*const f32, usize, Pairs)> = Vec::new();
        let mut past = Vec::with_capacity(sequences.len());
        for p in sequences.iter().map(|s| s.past) {
            let Some(p) = p else {
                past.push(usize::MAX);
                continue;
            };
            let id = (p.k.flat().as_ptr(), p.len);
            past.push(pasts.iter().position(|known| (known.0, known.1) == id).unwrap_or(pasts.len()));
            if past.last() == Some(&pasts.len()) {
                pasts.push((
                    id.0,
                    id.1,
                    Pairs { k: pairs(p.k, 0, p.len), v: in_pairs(p.v, std::slice::from_ref(&(0..p.len))).0 },
                ));
            }
        }
        let columns: Vec<Range<usize>> = sequences.iter().map(|s| s.start..s.start + s.len).collect();
        let (values, first) = in_pairs(v, &columns);
        Some(Self {
            tiles,
            q: pairs(q, 0, q.cols()),
            own: Pairs { k: pairs(k, 0, k.cols()), v: values },
            first,
            pasts: pasts.into_iter().map(|p| p.2).collect(),
            past,
        })
    }

    /// A sequence's own keys and values, its first column being `start`, of the head whose rows begin at `row`.
    pub fn own(&self, sequence: usize, row: usize, start: usize) -> Keys {
        Keys::at((&self.own.k, row / 2, start), (&self.own.v, row, self.first[sequence]))
    }

    /// Those that it continues.
    pub fn past(&self, sequence: usize, row: usize) -> Keys {
        let past = &self.pasts[self.past[sequence]];
        Keys::at((&past.k, row / 2, 0), (&past.v, row, 0))
    }
}

/// Runs of columns with each two neighbours in one number, and where each run begins.
fn in_pairs(x: &Mat, runs: &[Range<usize>]) -> (Mat, Vec<usize>) {
    let mut first = Vec::with_capacity(runs.len());
    let mut total = 0;
    for run in runs {
        first.push(total);
        total += run.len().div_ceil(2);
    }
    let mut out = Mat::to_fill(x.rows(), total);
    let (stride, to) = (out.stride(), SendPtr(out.flat_mut().as_mut_ptr()));
    /// Rows in one task.
    const ROWS: usize = 32;
    team::each(x.rows().div_ceil(ROWS), |i| {
        for r in i * ROWS..x.rows().min((i + 1) * ROWS) {
            // SAFETY: row r of the result, which is this task's.
            let to = unsafe { std::slice::from_raw_parts_mut(to.get().add(r * stride), total) };
            for (run, first) in runs.iter().zip(&first) {
                neighbours(&x.row(r)[run.clone()], &mut to[*first..][..run.len().div_ceil(2)]);
            }
        }
    });
    (out, first)
}

crate::multiversion! {
    /// Numbers `2 i` and `2 i + 1`, rounded, as the halves of number `i`.
    fn neighbours(x: &[f32], to: &mut [f32]) {
        use super::super::pairs::pair;
        let (twos, rest) = x.as_chunks::<2>();
        for (to, [a, b]) in to.iter_mut().zip(twos) {
            *to = pair(*a, *b);
        }
        if let [last] = rest {
            to[twos.len()] = pair(*last, 0.0);
        }
    }
}

/// Rows `2 i` and `2 i + 1` of `p [keys][BLOCK]`, rounded, side by side in row `i`; a last one beside zeros.
pub(super) fn pair_rows(p: &[f32], to: &mut [f32]) {
    for (two, to) in p.chunks(2 * BLOCK).zip(to.chunks_exact_mut(BLOCK)) {
        let (a, b) = two.split_at(BLOCK);
        pair_row(a, if b.is_empty() { &[0.0; BLOCK] } else { b }, to);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::matrix;
    use super::super::{Past, attention};
    use super::*;

    fn rounded(m: &Mat) -> Mat {
        let mut m = m.clone();
        m.flat_mut().iter_mut().for_each(|x| *x = half::bf16::from_f32(*x).to_f32());
        m
    }

    /// Against the same attention over numbers that were rounded before; only the weights of the mean are rounded besides.
    #[test]
    fn it_is_attention_over_rounded_numbers() {
        if tiles().is_none() {
            println!("skipped: this processor's vector instructions do not multiply bf16 numbers");
            return;
        }
        for (softcap, window) in [(None, None), (Some(2.0), None), (None, Some(7)), (None, Some(30))] {
            let heads = Heads { heads: 4, kv_heads: 2, dim: 16, window, softcap, rounds: true };
            let (mut q, k, v) = (matrix(64, 90, 1), matrix(32, 90, 2), matrix(32, 90, 3));
            q.flat_mut().iter_mut().for_each(|x| *x *= 0.5);
            let (past_k, past_v) = (matrix(32, 33, 4), matrix(32, 33, 5));
            // Odd and even beginnings, lengths and pasts; a gap between sequences.
            let past = |len| Some(Past { k: &past_k, v: &past_v, len });
            let sequences = [
                Sequence { start: 0, len: 53, past: None },
                Sequence { start: 53, len: 5, past: past(33) },
                Sequence { start: 58, len: 12, past: past(20) },
                Sequence { start: 77, len: 1, past: past(33) },
                Sequence { start: 78, len: 12, past: None },
            ];
            let mut got = Mat::zeros(64, 90);
            attention(&q, &k, &v, &sequences, heads, &mut got);
            let (q, k, v, pk, pv) =
                (rounded(&q), rounded(&k), rounded(&v), rounded(&past_k), rounded(&past_v));
            let sequences = sequences
                .map(|s| Sequence { past: s.past.map(|p| Past { k: &pk, v: &pv, len: p.len }), ..s });
            let mut want = Mat::zeros(64, 90);
            attention(&q, &k, &v, &sequences, Heads { rounds: false, ..heads }, &mut want);
            for r in 0..64 {
                for (c, (a, b)) in got.row(r).iter().zip(want.row(r)).enumerate() {
                    assert!((a - b).abs() < 4e-3, "{softcap:?} {window:?} row {r} column {c}: {a} {b}");
                }
                assert_eq!(got.row(r)[70..77], [0.0; 7]);
            }
        }
    }
}
