//! Sums over the whole vocabulary, put together from blocks, and what is read off them.

use super::readout::{Column, Wanted};
use super::reduce::{Partial, TopK};
use rayon::prelude::*;

/// One state's sums over the whole vocabulary, relative to its largest logit.
pub(super) struct Total {
    max: f64,
    sum: f64,
    weighted: f64,
    cross: f64,
    squares: f64,
    above: u32,
    top: TopK,
    final_of: Option<usize>,
}

/// Joins the blocks' sums, for each of `n` states.
pub(super) fn merge(partials: &[Partial], n: usize, wanted: &Wanted) -> Vec<Total> {
    let max: Vec<f64> =
        (0..n).map(|c| f64::from(partials.iter().map(|p| p.max[c]).fold(f32::MIN, f32::max))).collect();
    let one = |c: usize| {
        let mut t = Total {
            max: max[c],
            sum: 0.0,
            weighted: 0.0,
            cross: 0.0,
            squares: 0.0,
            above: 0,
            top: TopK::new(wanted.top),
            final_of: wanted.finals.iter().rev().find(|(range, _)| range.contains(&c)).map(|f| f.1),
        };
        partials.iter().for_each(|p| t.add(p, c, &max));
        t
    };
    (0..n).into_par_iter().map(one).collect()
}

impl Total {
    /// Moves a block's sums from its own largest logit to the state's.
    fn add(&mut self, p: &Partial, c: usize, max: &[f64]) {
        let shift = f64::from(p.max[c]) - self.max;
        let scale = shift.exp();
        let sum = f64::from(p.sum[c]);
        self.sum += sum * scale;
        self.weighted += (f64::from(p.weighted[c]) + shift * sum) * scale;
        self.squares += f64::from(p.squares[c]);
        self.above += p.above[c];
        if let Some(f) = self.final_of {
            let final_scale = (f64::from(p.max[f]) - max[f]).exp();
            self.cross += (f64::from(p.cross[c]) + shift * f64::from(p.sum[f])) * final_scale;
        }
        for (z, id) in &p.top[c].best {
            self.top.push(*z, *id);
        }
    }

    /// Bits from the final layer's distribution `f` to this one.
    fn divergence(&self, f: &Self) -> f32 {
        // H = ln S - sum p (z - max); KL(f || c) = sum p_f (z_f - z_c) - lse_f + lse_c.
        let own = f.weighted / f.sum - f.sum.ln();
        let other = self.cross / f.sum - self.sum.ln();
        ((own - other) / std::f64::consts::LN_2).max(0.0) as f32
    }
}

/// What is wanted of each state, the sets aside; `norms` are the states' squared lengths for the energy.
pub(super) fn columns(
    totals: &[Total],
    wanted: &Wanted,
    norms: Option<Vec<f64>>,
    vocabulary: usize,
) -> Vec<Column> {
    let column = |(c, t): (usize, &Total)| {
        let log_sum = t.max + t.sum.ln();
        let p = |z: f32| (f64::from(z) - log_sum).exp() as f32;
        let entropy = (t.sum.ln() - t.weighted / t.sum) / std::f64::consts::LN_2;
        Column {
            log_sum,
            entropy_bits: entropy.max(0.0) as f32,
            kl_bits: t.final_of.map(|f| t.divergence(&totals[f])),
            top: t.top.best.iter().map(|(z, id)| (*id, p(*z))).collect(),
            sets: Vec::new(),
            gold_rank: (!wanted.gold.is_empty()).then_some(t.above),
            mean_square_cosine: norms.as_ref().map(|n| t.squares / n[c] / vocabulary as f64),
        }
    };
    totals.iter().enumerate().map(column).collect()
}
