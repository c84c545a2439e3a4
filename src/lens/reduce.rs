//! Reductions of a block of logits, `[vocabulary rows][columns]`, that can be merged over blocks.

use crate::model::kernels::elementwise::exp;
use crate::model::kernels::mat::LINE;
use crate::multiversion;
use std::sync::atomic::{AtomicU32, Ordering};

/// The largest `k` values seen in one column, largest first; of equal values the lower id comes first.
#[derive(Clone, Default)]
pub struct TopK {
    k: usize,
    pub best: Vec<(f32, u32)>,
}

impl TopK {
    pub fn new(k: usize) -> Self {
        Self { k, best: Vec::with_capacity(k + 1) }
    }

    /// The value that a newcomer must exceed.
    fn floor(&self) -> f32 {
        if self.best.len() < self.k {
            f32::NEG_INFINITY
        } else {
            self.best.last().map_or(f32::INFINITY, |b| b.0)
        }
    }

    pub fn push(&mut self, z: f32, id: u32) {
        let at = self.best.partition_point(|b| b.0 > z || (b.0 == z && b.1 < id));
        if at < self.k {
            self.best.insert(at, (z, id));
            self.best.truncate(self.k);
        }
    }
}

/// A lower bound on each column's k-th largest logit, shared by the threads so that blocks skip what cannot
/// be among the top.
pub struct Floors(Vec<AtomicU32>);

impl Floors {
    pub fn new(columns: usize) -> Self {
        Self((0..columns).map(|_| AtomicU32::new(ordered(f32::NEG_INFINITY))).collect())
    }

    fn get(&self, c: usize) -> f32 {
        unordered(self.0[c].load(Ordering::Relaxed))
    }

    fn raise(&self, c: usize, z: f32) {
        self.0[c].fetch_max(ordered(z), Ordering::Relaxed);
    }
}

/// Bits of a float that compare as the floats do.
fn ordered(x: f32) -> u32 {
    let b = x.to_bits();
    if b >> 31 == 1 { !b } else { b | 1 << 31 }
}

fn unordered(b: u32) -> f32 {
    f32::from_bits(if b >> 31 == 1 { b & !(1 << 31) } else { !b })
}

/// A block of logits.
pub struct Block<'a> {
    /// `[rows][width]`, `width` a multiple of [`LINE`].
    pub z: &'a mut [f32],
    pub width: usize,
    /// Columns that mean something.
    pub columns: usize,
    /// Token id of the first row.
    pub first: u32,
}

/// Sums over a block, per column, relative to the block's largest logit.
pub struct Partial {
    pub max: Vec<f32>,
    /// Sum of exp(z - max).
    pub sum: Vec<f32>,
    /// Sum of exp(z - max) * (z - max).
    pub weighted: Vec<f32>,
    /// Sum of exp(z_final - max_final) * (z - max).
    pub cross: Vec<f32>,
    /// Sum of (z / norm of the unembedding row)^2.
    pub squares: Vec<f32>,
    pub above: Vec<u32>,
    pub top: Vec<TopK>,
    /// Logits of the block's wanted tokens, `[tokens][columns]`.
    pub picked: Vec<f32>,
}

/// What to reduce to.
pub struct Plan<'a> {
    pub top: usize,
    /// Column ranges and the column that holds their final layer.
    pub finals: &'a [(std::ops::Range<usize>, usize)],
    /// Per column: count the logits above this one (infinity: none wanted).
    pub gold: &'a [f32],
    /// 1 / norm per vocabulary row, for the token energy.
    pub inverse_norms: Option<&'a [f32]>,
    pub softcap: Option<f32>,
    /// Tokens whose logits are wanted, ascending.
    pub picked: &'a [u32],
}

/// Reduces a block (its logits are soft-capped in place on the way).
pub fn reduce(block: Block, plan: &Plan, floors: &Floors) -> Partial {
    let w = block.width;
    let mut p = Partial {
        max: vec![f32::MIN; w],
        sum: vec![0.0; w],
        weighted: vec![0.0; w],
        cross: vec![0.0; w],
        squares: vec![0.0; w],
        above: vec![0; w],
        top: (0..block.columns).map(|_| TopK::new(plan.top)).collect(),
        picked: Vec::new(),
    };
    if let Some(norms) = plan.inverse_norms {
        let rows = block.z.len() / w;
        squares(block.z, w, &norms[block.first as usize..][..rows], &mut p.squares);
    }
    if let Some(cap) = plan.softcap {
        crate::model::kernels::attention::soft_cap(block.z, cap);
    }
    let rows = (block.z.len() / w) as u32;
    let from = plan.picked.partition_point(|id| *id < block.first);
    for id in plan.picked[from..].iter().take_while(|id| **id - block.first < rows) {
        p.picked.extend_from_slice(&block.z[(id - block.first) as usize * w..][..block.columns]);
    }
    largest(block.z, w, &mut p.max);
    let mut gold = plan.gold.to_vec();
    gold.resize(w, f32::INFINITY);
    tops(&block, floors, &mut p.top);
    exponentials(
        block.z,
        w,
        &p.max,
        &gold,
        plan.finals,
        &mut p.sum,
        &mut p.weighted,
        &mut p.cross,
        &mut p.above,
    );
    p
}

multiversion! {
    fn squares(z: &[f32], width: usize, norms: &[f32], out: &mut [f32]) {
        for (row, n) in z.chunks_exact(width).zip(norms) {
            for (o, x) in out.iter_mut().zip(row) {
                let c = x * n;
                *o += c * c;
            }
        }
    }
}

multiversion! {
    fn largest(z: &[f32], width: usize, max: &mut [f32]) {
        for row in z.chunks_exact(width) {
            for (m, x) in max.iter_mut().zip(row) {
                *m = if *x > *m { *x } else { *m };
            }
        }
    }
}

multiversion! {
    fn exponentials(z: &[f32], width: usize, max: &[f32], gold: &[f32], finals: &[(std::ops::Range<usize>, usize)],
                    sum: &mut [f32], weighted: &mut [f32], cross: &mut [f32], above: &mut [u32]) {
        let mut e = vec![0f32; width];
        let mut d = vec![0f32; width];
        for row in z.chunks_exact(width) {
            // Whole vectors: the padding columns cost less than a scalar rest.
            for from in (0..width).step_by(LINE) {
                let r = from..from + LINE;
                let (row, max, gold) = (&row[r.clone()], &max[r.clone()], &gold[r.clone()]);
                let (e, d) = (&mut e[r.clone()], &mut d[r.clone()]);
                let (sum, weighted, above) = (&mut sum[r.clone()], &mut weighted[r.clone()], &mut above[r]);
                for i in 0..LINE {
                    d[i] = row[i] - max[i];
                    e[i] = exp(d[i]);
                    sum[i] += e[i];
                    weighted[i] += e[i] * d[i];
                    above[i] += u32::from(row[i] > gold[i]);
                }
            }
            for (range, f) in finals {
                let pf = e[*f];
                for (c, x) in cross[range.clone()].iter_mut().zip(&d[range.clone()]) {
                    *c += pf * x;
                }
            }
        }
    }
}

fn tops(block: &Block, floors: &Floors, top: &mut [TopK]) {
    let k = top.first().map_or(0, |t| t.k);
    if k == 0 {
        return;
    }
    let mut floor = vec![f32::INFINITY; block.width];
    for (c, f) in floor[..block.columns].iter_mut().enumerate() {
        *f = floors.get(c);
    }
    for (r, row) in block.z.chunks_exact(block.width).enumerate() {
        if !any_above(row, &floor) {
            continue;
        }
        let id = block.first + r as u32;
        for c in 0..block.columns {
            // Equal to the floor may still win by its lower id.
            if row[c] >= floor[c] {
                top[c].push(row[c], id);
                floor[c] = floor[c].max(top[c].floor());
            }
        }
    }
    for (c, t) in top.iter().enumerate() {
        if t.best.len() == k {
            floors.raise(c, t.floor());
        }
    }
}

multiversion! {
    fn any_above(row: &[f32], floor: &[f32]) -> bool {
        let mut any = false;
        for (x, f) in row.iter().zip(floor) {
            any |= x >= f;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_bits_compare_as_floats() {
        let xs = [f32::NEG_INFINITY, -3.5, -0.0, 0.0, 1e-30, 2.0, f32::INFINITY];
        for pair in xs.windows(2) {
            assert!(ordered(pair[0]) <= ordered(pair[1]));
        }
        for x in xs {
            assert_eq!(unordered(ordered(x)).to_bits(), x.to_bits());
        }
    }

    #[test]
    fn top_k_keeps_the_largest_and_breaks_ties_by_id() {
        let mut t = TopK::new(3);
        for (i, z) in [1.0, 5.0, 5.0, -2.0, 7.0].into_iter().enumerate() {
            t.push(z, i as u32);
        }
        assert_eq!(t.best, [(7.0, 4), (5.0, 1), (5.0, 2)]);
    }
}
