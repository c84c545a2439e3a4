//! The way back through causal attention: scores are computed again a block of queries at a time (Dao et al. 2022),
//! so that no matrix of queries x keys is ever kept.

use super::attention::{BLOCK, Heads, Keys, Sequence, mask, mix, scores_of, softmax};
use super::mat::{LINE, Mat, SendPtr};
use super::simd::simd;
use super::tile::{Tile, Tiles};
use crate::multiversion;
use rayon::prelude::*;
use std::cell::RefCell;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

/// Working memory of one task.
#[derive(Default)]
struct Scratch {
    /// Probabilities, then gradients of the scores: `[keys][BLOCK]` each.
    p: Vec<f32>,
    ds: Vec<f32>,
    /// Gradients of keys and values, token-major: `[keys][dim]` each.
    dk: Vec<f32>,
    dv: Vec<f32>,
    /// A block of queries, or of their outputs' gradients, token-major: `[BLOCK][dim]`.
    turned: Vec<f32>,
    dq: Vec<f32>,
}

/// What went into attention.
pub struct Forward<'a> {
    /// `[heads * dim, tokens]`, scaled and rotated.
    pub q: &'a Mat,
    /// `[kv_heads * dim, tokens]`, rotated.
    pub k: &'a Mat,
    pub v: &'a Mat,
}

/// Gradients of queries, keys and values (as they went in) from that of the output, `d_out [heads * dim, tokens]`.
/// Sequences have no past.
pub fn attention_backward(f: &Forward, d_out: &Mat, sequences: &[Sequence], heads: Heads) -> (Mat, Mat, Mat) {
    let mut dq = Mat::zeros(f.q.rows(), f.q.cols());
    let mut dk = Mat::zeros(f.k.rows(), f.k.cols());
    let mut dv = Mat::zeros(f.v.rows(), f.v.cols());
    let to = [&mut dq, &mut dk, &mut dv].map(|m| SendPtr(m.flat_mut().as_mut_ptr()));
    let tasks: Vec<(Sequence, usize)> =
        sequences.iter().flat_map(|s| (0..heads.kv_heads).map(move |h| (*s, h))).collect();
    tasks.into_par_iter().for_each(|(s, kv_head)| {
        assert!(s.past.is_none() && s.start + s.len <= f.q.cols());
        SCRATCH.with_borrow_mut(|scratch| one(f, d_out, &s, heads, kv_head, to, scratch));
    });
    (dq, dk, dv)
}

/// All query heads of one key/value head of one sequence.
fn one(
    f: &Forward,
    d_out: &Mat,
    s: &Sequence,
    heads: Heads,
    kv_head: usize,
    to: [SendPtr; 3],
    scratch: &mut Scratch,
) {
    let dim = heads.dim;
    let each = heads.heads / heads.kv_heads;
    for sum in [&mut scratch.dk, &mut scratch.dv] {
        sum.clear();
        sum.resize(s.len * dim + 4 * LINE, 0.0);
    }
    for head in kv_head * each..(kv_head + 1) * each {
        for from in (0..s.len).step_by(BLOCK) {
            Block { f, d_out, s, heads, head, kv_head, from, n: BLOCK.min(s.len - from) }.add(to[0], scratch);
        }
    }
    for (to, sums) in [(to[1], &scratch.dk), (to[2], &scratch.dv)] {
        let stride = f.k.stride();
        // SAFETY: this head's rows and this sequence's columns belong to this task alone.
        unsafe {
            let to = to.get().add(kv_head * dim * stride + s.start);
            for t in 0..s.len {
                for d in 0..dim {
                    *to.add(d * stride + t) = sums[t * dim + d];
                }
            }
        }
    }
}

/// One head's block of queries.
struct Block<'a> {
    f: &'a Forward<'a>,
    d_out: &'a Mat,
    s: &'a Sequence<'a>,
    heads: Heads,
    head: usize,
    kv_head: usize,
    /// First query, counted from the sequence's first token, and how many.
    from: usize,
    n: usize,
}

impl Block<'_> {
    fn add(&self, dq_to: SendPtr, scratch: &mut Scratch) {
        let Scratch { p, ds, dk, dv, turned, dq } = scratch;
        let (dim, stride) = (self.heads.dim, self.f.q.stride());
        let tiles = Tiles::of(simd());
        let vectors = self.n.div_ceil(tiles.lanes);
        let lowest = self.heads.window.map_or(0, |w| (self.from + 1).saturating_sub(w));
        let at = |m: &Mat, row: usize, column: usize| m.flat()[row * m.stride() + column..].as_ptr();
        let kv_row = self.kv_head * dim;
        let run = Keys {
            k: at(self.f.k, kv_row, self.s.start),
            v: at(self.f.v, kv_row, self.s.start),
            k_row: self.f.k.stride(),
            v_row: self.f.v.stride(),
            from: lowest,
            to: self.from + self.n,
            first_position: 0,
        };
        let keys = run.to - run.from;
        p.resize(p.len().max(keys * BLOCK + LINE), 0.0);
        ds.resize(ds.len().max(keys * BLOCK + LINE), 0.0);
        dq.resize(dq.len().max(dim * BLOCK + LINE), 0.0);
        let (p, ds) = (&mut p[..keys * BLOCK], &mut ds[..keys * BLOCK]);
        let first = self.s.start + self.from;
        let (q, d_out) = (at(self.f.q, self.head * dim, first), at(self.d_out, self.head * dim, first));
        // SAFETY: as in the forward pass; for d_out values take the keys' place.
        unsafe {
            scores_of(tiles, &run, q, stride, dim, vectors, p);
            let values = Keys { k: run.v, k_row: run.v_row, ..run };
            scores_of(tiles, &values, d_out, self.d_out.stride(), dim, vectors, ds);
        }
        // With a soft-cap the slope is read off the capped scores, before the softmax overwrites them.
        mask(&run, self.from, self.heads, self.n, p);
        let capped = self.heads.softcap.map(|cap| (cap, p.to_vec()));
        let mut totals = [0f32; BLOCK];
        softmax(p, &mut totals);
        score_gradients(p, ds, &totals, self.n);
        if let Some((cap, scores)) = capped {
            for (d, s) in ds.iter_mut().zip(&scores) {
                // Masked scores are -inf, their gradient 0.
                *d = if *d == 0.0 { 0.0 } else { *d * (1.0 - (s / cap) * (s / cap)) };
            }
        }
        // SAFETY: keys are columns of the k matrix; ds was filled above.
        unsafe {
            let keys_as_values = Keys { v: run.k, v_row: run.k_row, ..run };
            mix(tiles, &keys_as_values, ds, dim, vectors, dq, false);
            let to = dq_to.get().add(self.head * dim * stride + first);
            for d in 0..dim {
                for c in 0..self.n {
                    *to.add(d * stride + c) = dq[d * BLOCK + c];
                }
            }
        }
        self.turn(self.d_out, first, turned);
        accumulate(tiles, p, turned, &mut dv[run.from * dim..], (keys, self.n, dim));
        self.turn(self.f.q, first, turned);
        accumulate(tiles, ds, turned, &mut dk[run.from * dim..], (keys, self.n, dim));
    }

    /// The block's columns of the head's rows, token-major.
    fn turn(&self, m: &Mat, first: usize, turned: &mut Vec<f32>) {
        let dim = self.heads.dim;
        turned.resize(turned.len().max(BLOCK * dim + 4 * LINE), 0.0);
        for d in 0..dim {
            let row = &m.flat()[(self.head * dim + d) * m.stride() + first..][..self.n];
            for (c, v) in row.iter().enumerate() {
                turned[c * dim + d] = *v;
            }
        }
    }
}

/// `sums[key][d] += sum over queries of p[key][query] * x[query][d]`.
fn accumulate(tiles: &Tiles, p: &[f32], x: &[f32], sums: &mut [f32], (keys, n, dim): (usize, usize, usize)) {
    // Whole vectors only: what is left over at the end of `dim` is added number by number.
    let whole = dim / tiles.lanes * tiles.lanes;
    for key in (0..keys).step_by(tiles.max_rows) {
        let rows = tiles.max_rows.min(keys - key);
        for (c, vectors) in tiles.column_blocks(whole) {
            let tile = Tile {
                k: n,
                w: p[key * BLOCK..].as_ptr(),
                w_row: BLOCK,
                w_k: 1,
                x: x[c..].as_ptr(),
                x_k: dim,
                out: sums[key * dim + c..].as_mut_ptr(),
                out_row: dim,
                add: true,
                prefetch: std::ptr::null(),
            };
            // SAFETY: `keys` rows of p and sums, `n` rows of x, whole vectors within `dim`.
            unsafe { tiles.run(rows, vectors, tile) };
        }
        for k in key..key + rows {
            for d in whole..dim {
                sums[k * dim + d] += (0..n).map(|c| p[k * BLOCK + c] * x[c * dim + d]).sum::<f32>();
            }
        }
    }
}

multiversion! {
    /// From exponentials and the gradients of probabilities to probabilities and the gradients of scores:
    /// `ds = p (dp - sum over keys of p dp)`. Columns beyond `n` become zero.
    fn score_gradients(p: &mut [f32], ds: &mut [f32], totals: &[f32; BLOCK], n: usize) {
        let mut inverse = [0f32; BLOCK];
        for (c, (i, t)) in inverse.iter_mut().zip(totals).enumerate() {
            *i = if c < n { 1.0 / t } else { 0.0 };
        }
        let mut dots = [0f32; BLOCK];
        for (p, d) in p.chunks_exact_mut(BLOCK).zip(ds.chunks_exact(BLOCK)) {
            for c in 0..BLOCK {
                p[c] *= inverse[c];
                dots[c] += if inverse[c] > 0.0 { p[c] * d[c] } else { 0.0 };
            }
        }
        for (p, d) in p.chunks_exact_mut(BLOCK).zip(ds.chunks_exact_mut(BLOCK)) {
            for c in 0..BLOCK {
                let inside = inverse[c] > 0.0;
                d[c] = if inside { p[c] * (d[c] - dots[c]) } else { 0.0 };
                p[c] = if inside { p[c] } else { 0.0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::attention::attention;
    use super::super::testing::matrix as numbers;
    use super::*;

    /// Sum over outputs of `w * attention(q, k, v)` in f64, for numeric slopes.
    fn plain(q: &[f64], k: &[f64], v: &[f64], w: &Mat, sequences: &[Sequence], h: Heads) -> f64 {
        let cols = w.cols();
        let at = |m: &[f64], r: usize, c: usize| m[r * cols + c];
        let mut total = 0.0;
        for s in sequences {
            for head in 0..h.heads {
                let kv = head / (h.heads / h.kv_heads) * h.dim;
                for t in 0..s.len {
                    let lowest = h.window.map_or(0, |w| (t + 1).saturating_sub(w));
                    let scores: Vec<f64> = (lowest..=t)
                        .map(|key| {
                            let z: f64 = (0..h.dim)
                                .map(|d| at(q, head * h.dim + d, s.start + t) * at(k, kv + d, s.start + key))
                                .sum();
                            h.softcap.map_or(z, |c| f64::from(c) * (z / f64::from(c)).tanh())
                        })
                        .collect();
                    let top = scores.iter().copied().fold(f64::MIN, f64::max);
                    let sum: f64 = scores.iter().map(|z| (z - top).exp()).sum();
                    for d in 0..h.dim {
                        let out: f64 = scores
                            .iter()
                            .enumerate()
                            .map(|(i, z)| (z - top).exp() / sum * at(v, kv + d, s.start + lowest + i))
                            .sum();
                        total += out * f64::from(w.row(head * h.dim + d)[s.start + t]);
                    }
                }
            }
        }
        total
    }

    fn wide(m: &Mat) -> Vec<f64> {
        (0..m.rows()).flat_map(|r| m.row(r).iter().map(|x| f64::from(*x)).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn gradients_equal_numeric_slopes() {
        for (heads, kv_heads, dim, window, softcap) in
            [(4, 2, 6, None, None), (2, 1, 32, Some(5), None), (2, 2, 16, None, Some(0.7))]
        {
            let h = Heads { heads, kv_heads, dim, window, softcap, rounds: false };
            let sequences =
                [(0, 7), (7, 55), (62, 1)].map(|(start, len)| Sequence { start, len, past: None });
            let cols = 63;
            let (q, k, v) = (
                numbers(heads * dim, cols, 1),
                numbers(kv_heads * dim, cols, 2),
                numbers(kv_heads * dim, cols, 3),
            );
            let w = numbers(heads * dim, cols, 4);
            let mut out = Mat::zeros(q.rows(), cols);
            attention(&q, &k, &v, &sequences, h, &mut out);
            let (dq, dk, dv) = attention_backward(&Forward { q: &q, k: &k, v: &v }, &w, &sequences, h);
            let (mut fq, mut fk, mut fv) = (wide(&q), wide(&k), wide(&v));
            for (which, rows, got) in [(0, q.rows(), &dq), (1, k.rows(), &dk), (2, v.rows(), &dv)] {
                for i in (0..rows * cols).step_by(61) {
                    let mut slope = 0.0;
                    for sign in [1.0, -1.0] {
                        [&mut fq, &mut fk, &mut fv][which][i] += sign * 1e-5;
                        slope += sign * plain(&fq, &fk, &fv, &w, &sequences, h);
                        [&mut fq, &mut fk, &mut fv][which][i] -= sign * 1e-5;
                    }
                    let (want, got) = (slope / 2e-5, f64::from(got.row(i / cols)[i % cols]));
                    assert!((want - got).abs() < 1e-4, "{which} of {h:?} at {i}: {got} for {want}");
                }
            }
        }
    }
}
