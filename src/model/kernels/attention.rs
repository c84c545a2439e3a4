//! Causal attention over packed sequences with shared prefixes; scores of a block of queries at a time, so
//! that memory grows with the number of keys and never with its square.

mod paired;

use super::elementwise::{exp, tanh};
use super::mat::{LINE, Mat, SendPtr};
use super::simd::simd;
use super::team;
use super::tile::{Tile, Tiles};
use crate::multiversion;
use paired::{Paired, pair_rows};
use std::cell::RefCell;
use std::ops::Range;

/// Keys and values that a sequence continues: the first `len` columns of both.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    /// `[kv_heads * dim, >= len]`, keys after their rotary embedding.
    pub k: &'a Mat,
    pub v: &'a Mat,
    pub len: usize,
}

/// One sequence in a packed batch.
#[derive(Clone, Copy)]
pub struct Sequence<'a> {
    /// First column of its own tokens.
    pub start: usize,
    /// Its own tokens.
    pub len: usize,
    pub past: Option<Past<'a>>,
}

/// What the heads look like.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    pub heads: usize,
    pub kv_heads: usize,
    pub dim: usize,
    /// A query sees itself and the `window - 1` positions before it.
    pub window: Option<usize>,
    pub softcap: Option<f32>,
    /// Queries, keys, values and weights of the mean are rounded to bf16 where the vector instructions multiply pairs of
    /// such numbers.
    pub rounds: bool,
}

/// Queries of one block: three AVX-512 vectors.
pub(super) const BLOCK: usize = 3 * LINE;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `out[h * dim + d][token] = sum over keys of softmax(q . k) v`; zero in columns of no sequence.
///
/// `q`, `out`: `[heads * dim, tokens]`, queries already scaled; `k`, `v`: `[kv_heads * dim, tokens]`, the own
/// tokens of all sequences.
pub fn attention(q: &Mat, k: &Mat, v: &Mat, sequences: &[Sequence], heads: Heads, out: &mut Mat) {
    assert!(q.rows() == heads.heads * heads.dim && k.rows() == heads.kv_heads * heads.dim);
    assert!(q.stride() == out.stride() && q.rows() == out.rows() && k.stride() == v.stride());
    let paired = Paired::of(q, k, v, sequences, heads);
    let mut tasks = Vec::new();
    for (i, s) in sequences.iter().enumerate() {
        assert!(s.start + s.len <= q.cols());
        for head in 0..heads.heads {
            tasks.extend((0..s.len).step_by(BLOCK).map(|from| (i, head, from)));
        }
    }
    clear_between(sequences, out);
    let dst = SendPtr(out.flat_mut().as_mut_ptr());
    let whole = Whole { q, k, v, sequences, heads, paired: paired.as_ref() };
    team::each(tasks.len(), |i| {
        let (s, head, from) = tasks[i];
        SCRATCH.with_borrow_mut(|scratch| whole.block(s, head, from, dst, scratch));
    });
}

/// Zeros in the columns that belong to no sequence.
fn clear_between(sequences: &[Sequence], out: &mut Mat) {
    let mut taken: Vec<Range<usize>> = sequences.iter().map(|s| s.start..s.start + s.len).collect();
    taken.push(out.cols()..out.cols());
    taken.sort_unstable_by_key(|t| t.start);
    let mut at = 0;
    for taken in taken {
        if at < taken.start {
            (0..out.rows()).for_each(|r| out.row_mut(r)[at..taken.start].fill(0.0));
        }
        at = at.max(taken.end);
    }
}

/// A run of keys: first rows of the head in k and v, columns `from..to`, and the position of column 0.
pub(super) struct Keys {
    pub k: *const f32,
    pub v: *const f32,
    pub k_row: usize,
    pub v_row: usize,
    pub from: usize,
    pub to: usize,
    pub first_position: usize,
}

impl Keys {
    /// Of the head whose rows of `k` and `v` begin there, from a column of each on.
    pub fn at((k, k_row, k_col): (&Mat, usize, usize), (v, v_row, v_col): (&Mat, usize, usize)) -> Self {
        Self {
            k: k.flat()[k_row * k.stride() + k_col..].as_ptr(),
            v: v.flat()[v_row * v.stride() + v_col..].as_ptr(),
            k_row: k.stride(),
            v_row: v.stride(),
            from: 0,
            to: 0,
            first_position: 0,
        }
    }
}

/// What all blocks have in common.
struct Whole<'a> {
    q: &'a Mat,
    k: &'a Mat,
    v: &'a Mat,
    sequences: &'a [Sequence<'a>],
    heads: Heads,
    paired: Option<&'a Paired>,
}

impl Whole<'_> {
    /// The keys that queries from `first_query` on see, `own` of them the sequence's own.
    fn runs(&self, sequence: usize, kv_row: usize, first_query: usize, own: usize) -> Vec<Keys> {
        let s = &self.sequences[sequence];
        let past_len = s.past.map_or(0, |p| p.len);
        // The earliest position that any query of the block sees.
        let lowest = self.heads.window.map_or(0, |w| (first_query + 1).saturating_sub(w));
        // The other key of a pair is hidden by its position.
        let begun = |from: usize| if self.paired.is_some() { from & !1 } else { from };
        let mut runs = Vec::with_capacity(2);
        if let Some(p) = s.past.filter(|p| lowest < p.len) {
            let at = match self.paired {
                Some(paired) => paired.past(sequence, kv_row),
                None => Keys::at((p.k, kv_row, 0), (p.v, kv_row, 0)),
            };
            runs.push(Keys { from: begun(lowest), to: p.len, first_position: 0, ..at });
        }
        let at = match self.paired {
            Some(paired) => paired.own(sequence, kv_row, s.start),
            None => Keys::at((self.k, kv_row, s.start), (self.v, kv_row, s.start)),
        };
        let from = begun(lowest.saturating_sub(past_len));
        runs.push(Keys { from, to: own, first_position: past_len, ..at });
        runs
    }

    /// Queries `from..from + BLOCK` of a sequence under one head.
    fn block(&self, sequence: usize, head: usize, from: usize, out: SendPtr, scratch: &mut Vec<f32>) {
        let (s, dim) = (&self.sequences[sequence], self.heads.dim);
        let n = BLOCK.min(s.len - from);
        let first_query = s.past.map_or(0, |p| p.len) + from;
        let kv_row = head / (self.heads.heads / self.heads.kv_heads) * dim;
        let runs = self.runs(sequence, kv_row, first_query, from + n);
        let keys: usize = runs.iter().map(|r| r.to - r.from).sum();
        // Scores, pairs of them with one left over in each run, and the outputs.
        let needed = (keys + keys / 2 + runs.len() + dim) * BLOCK + LINE;
        scratch.resize(scratch.len().max(needed), 0.0);
        let (scores, rest) = scratch.split_at_mut(keys * BLOCK);
        let (pairs, mixed) = rest.split_at_mut((keys / 2 + runs.len()) * BLOCK);
        let (tiles, q, unit) = match self.paired {
            Some(p) => (p.tiles, &p.q, 2),
            None => (Tiles::of(simd()), self.q, 1),
        };
        let x = q.flat()[head * dim / unit * q.stride() + s.start + from..].as_ptr();
        let vectors = n.div_ceil(tiles.lanes);
        let mut row = 0;
        for run in &runs {
            let scores = &mut scores[row * BLOCK..];
            // SAFETY: keys are columns of the k matrix; queries beyond n read the row's padding or its neighbours,
            // at worst the matrix's slack, and their scores are not used.
            unsafe { scores_of(tiles, run, x, q.stride(), dim / unit, vectors, scores) };
            mask(run, first_query, self.heads, n, scores);
            row += run.to - run.from;
        }
        let mut totals = [0f32; BLOCK];
        softmax(scores, &mut totals);
        row = 0;
        for run in runs {
            let p = &scores[row * BLOCK..][..(run.to - run.from) * BLOCK];
            let add = row > 0;
            row += run.to - run.from;
            // SAFETY: values are columns of the v matrix, scores were filled above.
            unsafe {
                if self.paired.is_some() {
                    pair_rows(p, pairs);
                    let run = Keys { from: run.from / 2, to: run.to.div_ceil(2), ..run };
                    mix(tiles, &run, pairs, dim, vectors, mixed, add);
                } else {
                    mix(tiles, &run, p, dim, vectors, mixed, add);
                }
            }
        }
        let (stride, inverse) = (self.q.stride(), totals.map(|t| 1.0 / t));
        for (d, mixed) in mixed.chunks_exact(BLOCK).take(dim).enumerate() {
            let at = (head * dim + d) * stride + s.start + from;
            // SAFETY: this block's columns of this head's rows belong to this task alone.
            let to = unsafe { std::slice::from_raw_parts_mut(out.get().wrapping_add(at), n) };
            scale(mixed, &inverse, to);
        }
    }
}

multiversion! {
    /// Sums over keys to means, with one over each query's total.
    fn scale(sums: &[f32], inverse: &[f32; BLOCK], to: &mut [f32]) {
        for ((to, sum), inverse) in to.iter_mut().zip(sums).zip(inverse) {
            *to = sum * inverse;
        }
    }
}

/// `scores[key][query] = k . q`.
pub(super) unsafe fn scores_of(
    tiles: &Tiles,
    run: &Keys,
    x: *const f32,
    x_k: usize,
    dim: usize,
    vectors: usize,
    out: &mut [f32],
) {
    let n = run.to - run.from;
    for key in (0..n).step_by(tiles.max_rows) {
        for c in (0..vectors).step_by(tiles.max_cols) {
            let tile = Tile {
                k: dim,
                w: run.k.wrapping_add(run.from + key),
                w_row: 1,
                w_k: run.k_row,
                x: x.wrapping_add(c * tiles.lanes),
                x_k,
                out: out[key * BLOCK + c * tiles.lanes..].as_mut_ptr(),
                out_row: BLOCK,
                add: false,
                prefetch: std::ptr::null(),
            };
            // SAFETY: the caller's.
            unsafe { tiles.run(tiles.max_rows.min(n - key), tiles.max_cols.min(vectors - c), tile) };
        }
    }
}

/// `mixed[d][query] (+)= sum over keys of v[d][key] * p[key][query]`.
pub(super) unsafe fn mix(
    tiles: &Tiles,
    run: &Keys,
    p: &[f32],
    dim: usize,
    vectors: usize,
    mixed: &mut [f32],
    add: bool,
) {
    for d in (0..dim).step_by(tiles.max_rows) {
        for c in (0..vectors).step_by(tiles.max_cols) {
            let tile = Tile {
                k: run.to - run.from,
                w: run.v.wrapping_add(d * run.v_row + run.from),
                w_row: run.v_row,
                w_k: 1,
                x: p[c * tiles.lanes..].as_ptr(),
                x_k: BLOCK,
                out: mixed[d * BLOCK + c * tiles.lanes..].as_mut_ptr(),
                out_row: BLOCK,
                add,
                prefetch: std::ptr::null(),
            };
            // SAFETY: the caller's.
            unsafe { tiles.run(tiles.max_rows.min(dim - d), tiles.max_cols.min(vectors - c), tile) };
        }
    }
}

/// Caps scores and hides what a query must not see.
pub(super) fn mask(run: &Keys, first_query: usize, heads: Heads, n: usize, scores: &mut [f32]) {
    for (i, key) in (run.from..run.to).enumerate() {
        let row = &mut scores[i * BLOCK..][..BLOCK];
        if let Some(cap) = heads.softcap {
            soft_cap(row, cap);
        }
        let position = run.first_position + key;
        // Query c stands at first_query + c: it sees positions up to its own ...
        for s in row.iter_mut().take(position.saturating_sub(first_query).min(n)) {
            *s = f32::NEG_INFINITY;
        }
        // ... and none that is `window` or more before it.
        if let Some(w) = heads.window {
            for s in row.iter_mut().take(n).skip((position + w).saturating_sub(first_query)) {
                *s = f32::NEG_INFINITY;
            }
        }
    }
}

multiversion! {
    /// `cap * tanh(x / cap)`, in place.
    pub fn soft_cap(xs: &mut [f32], cap: f32) {
        for x in xs {
            *x = cap * tanh(*x / cap);
        }
    }
}

multiversion! {
    /// Exponentials of each query's scores against its largest, and their sums.
    pub(super) fn softmax(scores: &mut [f32], totals: &mut [f32; BLOCK]) {
        let mut top = [f32::MIN; BLOCK];
        for row in scores.chunks_exact(BLOCK) {
            for c in 0..BLOCK {
                top[c] = if row[c] > top[c] { row[c] } else { top[c] };
            }
        }
        for row in scores.chunks_exact_mut(BLOCK) {
            for c in 0..BLOCK {
                row[c] = exp(row[c] - top[c]);
                totals[c] += row[c];
            }
        }
    }
}
