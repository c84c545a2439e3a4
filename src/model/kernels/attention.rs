//! Causal attention over packed sequences with shared prefixes; scores of a block of queries at a time, so
//! that memory grows with the number of keys and never with its square.

use super::elementwise::{exp, tanh};
use super::mat::{LINE, Mat, SendPtr};
use super::simd::simd;
use super::team;
use super::tile::{Tile, Tiles};
use crate::multiversion;
use std::cell::RefCell;

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
}

/// Queries of one block: three AVX-512 vectors.
pub(super) const BLOCK: usize = 3 * LINE;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `out[h * dim + d][token] = sum over keys of softmax(q . k) v`.
///
/// `q`, `out`: `[heads * dim, tokens]`, queries already scaled; `k`, `v`: `[kv_heads * dim, tokens]`, the own
/// tokens of all sequences.
pub fn attention(q: &Mat, k: &Mat, v: &Mat, sequences: &[Sequence], heads: Heads, out: &mut Mat) {
    assert!(q.rows() == heads.heads * heads.dim && k.rows() == heads.kv_heads * heads.dim);
    assert!(q.stride() == out.stride() && q.rows() == out.rows() && k.stride() == v.stride());
    let mut tasks = Vec::new();
    for s in sequences {
        assert!(s.start + s.len <= q.cols());
        for head in 0..heads.heads {
            tasks.extend((0..s.len).step_by(BLOCK).map(|from| (*s, head, from)));
        }
    }
    let dst = SendPtr(out.flat_mut().as_mut_ptr());
    team::each(tasks.len(), |i| {
        let (s, head, from) = tasks[i];
        SCRATCH.with_borrow_mut(|scratch| block(q, k, v, &s, heads, head, from, dst, scratch));
    });
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

#[expect(clippy::too_many_arguments, reason = "a private kernel")]
fn block(
    q: &Mat,
    k: &Mat,
    v: &Mat,
    s: &Sequence,
    heads: Heads,
    head: usize,
    from: usize,
    out: SendPtr,
    scratch: &mut Vec<f32>,
) {
    let dim = heads.dim;
    let n = BLOCK.min(s.len - from);
    let past_len = s.past.map_or(0, |p| p.len);
    let first_query = past_len + from;
    // The earliest position that any query of the block sees.
    let lowest = heads.window.map_or(0, |w| (first_query + 1).saturating_sub(w));
    let kv_row = head / (heads.heads / heads.kv_heads) * dim;
    let mut runs = Vec::with_capacity(2);
    if let Some(p) = s.past.filter(|p| lowest < p.len) {
        let at = |m: &Mat| m.flat()[kv_row * m.stride()..].as_ptr();
        runs.push(Keys {
            k: at(p.k),
            v: at(p.v),
            k_row: p.k.stride(),
            v_row: p.v.stride(),
            from: lowest,
            to: p.len,
            first_position: 0,
        });
    }
    let at = |m: &Mat| m.flat()[kv_row * m.stride() + s.start..].as_ptr();
    runs.push(Keys {
        k: at(k),
        v: at(v),
        k_row: k.stride(),
        v_row: v.stride(),
        from: lowest.saturating_sub(past_len),
        to: from + n,
        first_position: past_len,
    });
    let keys: usize = runs.iter().map(|r| r.to - r.from).sum();
    scratch.clear();
    scratch.resize((keys + dim) * BLOCK + LINE, 0.0);
    let (scores, mixed) = scratch.split_at_mut(keys * BLOCK);
    let x = q.flat()[head * dim * q.stride() + s.start + from..].as_ptr();
    let vectors = |tiles: &Tiles| n.div_ceil(tiles.lanes);
    let tiles = Tiles::of(simd());
    let mut row = 0;
    for run in &runs {
        // SAFETY: keys are columns of the k matrix; queries beyond n read the row's padding or its neighbours,
        // at worst the matrix's slack, and their scores are not used.
        unsafe { scores_of(tiles, run, x, q.stride(), dim, vectors(tiles), &mut scores[row * BLOCK..]) };
        mask(run, first_query, heads, n, &mut scores[row * BLOCK..]);
        row += run.to - run.from;
    }
    let mut totals = [0f32; BLOCK];
    softmax(scores, &mut totals);
    row = 0;
    for run in &runs {
        // SAFETY: values are columns of the v matrix, scores were filled above.
        unsafe { mix(tiles, run, &scores[row * BLOCK..], dim, vectors(tiles), mixed, row > 0) };
        row += run.to - run.from;
    }
    // SAFETY: this block's columns of this head's rows belong to this task alone.
    unsafe {
        let o = out.get().add(head * dim * q.stride() + s.start + from);
        for d in 0..dim {
            for c in 0..n {
                *o.add(d * q.stride() + c) = mixed[d * BLOCK + c] / totals[c];
            }
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
