//! Hidden states to next-token distributions, reduced to what is asked for.
//!
//! The vocabulary is walked in blocks: each thread multiplies a block of the unembedding with all states at once
//! and reduces the logits while they are in its cache, so the full logits exist nowhere.

use super::reduce::{self, Floors, Partial, Plan, TopK};
use crate::engine::control::Cancel;
use crate::error::{Error, Result};
use crate::model::act::{Act, device, to_device, weight_row};
use crate::model::decoder::Decoder;
use crate::model::kernels::Mat;
use crate::model::kernels::mat::LINE;
use crate::model::kernels::source::Source;
use crate::model::linear::{Weight, tensor_times};
use rayon::prelude::*;
use std::ops::Range;

/// What is wanted of each state.
#[derive(Default)]
pub struct Wanted<'a> {
    /// Length of the top list.
    pub top: usize,
    /// Token sets whose summed probability is wanted.
    pub sets: Vec<&'a [u32]>,
    /// Token set of which the best token's rank is wanted.
    pub gold: &'a [u32],
    /// Column ranges and the column of their final layer, for KL(final || layer).
    pub finals: Vec<(Range<usize>, usize)>,
    /// 1 / norm of each unembedding row times the final norm's factors, for the token energy.
    pub inverse_norms: Option<&'a [f32]>,
}

/// One state's readout.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// Natural log of the sum of exponentiated logits.
    pub log_sum: f64,
    pub entropy_bits: f32,
    pub kl_bits: Option<f32>,
    /// (id, probability), most probable first.
    pub top: Vec<(u32, f32)>,
    /// Summed probability per set.
    pub sets: Vec<f32>,
    /// Rank (0 = top) of the gold set's best token.
    pub gold_rank: Option<u32>,
    /// Mean over the vocabulary of the squared cosine between state and unembedding rows.
    pub mean_square_cosine: Option<f64>,
}

/// Most states per pass over the vocabulary: more would fall out of the cache, fewer would read the
/// unembedding more often.
const COLUMNS: usize = 6 * LINE;
/// Vocabulary rows per task.
const ROWS: usize = 512;

/// The readout of a decoder.
pub struct Readout<'a> {
    decoder: &'a Decoder,
}

impl<'a> Readout<'a> {
    /// Of this decoder.
    pub fn new(decoder: &'a Decoder) -> Self {
        Self { decoder }
    }

    /// Reads out states `[hidden, n]` (residual stream, before the final norm).
    ///
    /// # Errors
    /// Cancellation, or what the device says.
    pub fn read(&self, states: &Mat, wanted: &Wanted, cancel: &Cancel) -> Result<Vec<Column>> {
        let mut out = Vec::with_capacity(states.cols());
        for from in (0..states.cols()).step_by(COLUMNS) {
            let to = states.cols().min(from + COLUMNS);
            if !wanted.finals.is_empty() && states.cols() > COLUMNS {
                return Err(Error::failed(format!(
                    "a divergence needs all layers in one pass of {COLUMNS} states"
                )));
            }
            cancel.check()?;
            out.extend(self.pass(&states.columns(from, to), wanted)?);
        }
        Ok(out)
    }

    /// Most states that one pass takes, and so the most that a divergence can be asked over.
    pub fn widest() -> usize {
        COLUMNS
    }

    /// The logits of states, `[vocabulary, n]`: for checks on a few states only.
    ///
    /// # Errors
    /// What the device says.
    pub fn logits(&self, states: &Mat) -> Result<Mat> {
        let normed = self.normed(states)?;
        let mut z = match (&self.decoder.unembedding, &normed) {
            (Weight::Cpu(w), Act::Cpu(x)) => {
                let mut y = Mat::zeros(w.out, x.cols());
                let row = y.stride();
                let source = Source::new(x, 0, x.cols(), false, w.rounds);
                y.flat_mut()[..w.out * row]
                    .par_chunks_mut(ROWS * row)
                    .enumerate()
                    .for_each(|(i, y)| source.block(w, i * ROWS..w.out.min((i + 1) * ROWS), y, row));
                y
            }
            (Weight::Device(w), Act::Device(x)) => {
                let rows: Vec<Vec<f32>> = tensor_times(w, x).and_then(|t| t.to_vec2()).map_err(device)?;
                let mut y = Mat::zeros(rows.len(), states.cols());
                for (r, row) in rows.iter().enumerate() {
                    y.row_mut(r).copy_from_slice(row);
                }
                y
            }
            _ => return Err(Error::failed("unembedding and states lie on different devices")),
        };
        if let Some(cap) = self.decoder.config.final_softcap {
            crate::model::kernels::attention::soft_cap(z.flat_mut(), cap as f32);
        }
        Ok(z)
    }

    fn normed(&self, states: &Mat) -> Result<Act> {
        let x = match &self.decoder.unembedding {
            Weight::Cpu(_) => Act::Cpu(states.clone()),
            Weight::Device(w) => Act::Device(to_device(states, w.device())?),
        };
        self.decoder.final_norm.forward(&x)
    }

    fn pass(&self, states: &Mat, wanted: &Wanted) -> Result<Vec<Column>> {
        let normed = self.normed(states)?;
        let mut ids: Vec<u32> = wanted.sets.iter().flat_map(|s| s.iter().copied()).collect();
        ids.extend_from_slice(wanted.gold);
        ids.sort_unstable();
        ids.dedup();
        let picked = self.picked(&normed, &ids)?;
        let gold = self.gold_logits(&ids, &picked, wanted, states.cols());
        let plan = Plan {
            top: wanted.top,
            finals: &wanted.finals,
            gold: &gold,
            inverse_norms: wanted.inverse_norms,
            softcap: self.decoder.config.final_softcap.map(|c| c as f32),
        };
        let partials = self.blocks(&normed, states.cols(), &plan)?;
        let totals = Totals::merge(partials, states.cols(), wanted);
        Ok(totals.columns(&ids, &picked, wanted, self.norms_of(&normed, wanted)?, self.decoder.vocabulary()))
    }

    /// Soft-capped logits of single tokens, `[ids][columns]`.
    fn picked(&self, normed: &Act, ids: &[u32]) -> Result<Vec<Vec<f32>>> {
        let columns: Vec<Vec<f32>> = (0..normed.cols()).map(|c| normed.column(c)).collect::<Result<_>>()?;
        let cap = self.decoder.config.final_softcap;
        ids.iter()
            .map(|id| {
                let row = weight_row(&self.decoder.unembedding, *id)?;
                Ok(columns
                    .iter()
                    .map(|x| {
                        let z: f64 = x.iter().zip(&row).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        cap.map_or(z, |c| c * (z / c).tanh()) as f32
                    })
                    .collect())
            })
            .collect()
    }

    /// The best logit of the gold set per column; infinity where no rank is wanted.
    fn gold_logits(&self, ids: &[u32], picked: &[Vec<f32>], wanted: &Wanted, n: usize) -> Vec<f32> {
        let rows: Vec<usize> = wanted.gold.iter().filter_map(|g| ids.binary_search(g).ok()).collect();
        // Picked logits are summed in another order than the product's: what is nearer than that rounding counts as
        // equal, or a token would stand above itself.
        let margin = |z: f32| z + 2e-5 * z.abs().max(1.0);
        let best = |c: usize| rows.iter().map(|r| picked[*r][c]).reduce(f32::max);
        (0..n).map(|c| best(c).map_or(f32::INFINITY, margin)).collect()
    }

    fn blocks(&self, normed: &Act, columns: usize, plan: &Plan) -> Result<Vec<Partial>> {
        let vocabulary = self.decoder.vocabulary();
        let width = columns.next_multiple_of(LINE);
        let floors = Floors::new(columns);
        let starts: Vec<usize> = (0..vocabulary).step_by(ROWS).collect();
        let block = |z: &mut [f32], first: usize| {
            reduce::reduce(reduce::Block { z, width, columns, first: first as u32 }, plan, &floors)
        };
        match (&self.decoder.unembedding, normed) {
            (Weight::Cpu(w), Act::Cpu(x)) => {
                let source = Source::new(x, 0, columns, false, w.rounds);
                Ok(starts
                    .into_par_iter()
                    .map_init(
                        || vec![0f32; ROWS * width],
                        |z, first| {
                            let rows = ROWS.min(vocabulary - first);
                            source.block(w, first..first + rows, &mut z[..rows * width], width);
                            block(&mut z[..rows * width], first)
                        },
                    )
                    .collect())
            }
            (Weight::Device(w), Act::Device(x)) => starts
                .into_iter()
                .map(|first| {
                    let rows = ROWS.min(vocabulary - first);
                    let part: Vec<Vec<f32>> = w
                        .narrow(0, first, rows)
                        .and_then(|w| tensor_times(&w, x)?.to_vec2())
                        .map_err(device)?;
                    let mut z = vec![0f32; rows * width];
                    for (to, from) in z.chunks_exact_mut(width).zip(&part) {
                        to[..columns].copy_from_slice(from);
                    }
                    Ok(block(&mut z, first))
                })
                .collect(),
            _ => Err(Error::failed("unembedding and states lie on different devices")),
        }
    }

    /// Squared norms of the states as the energy needs them: normed, without the norm's factors.
    fn norms_of(&self, normed: &Act, wanted: &Wanted) -> Result<Option<Vec<f64>>> {
        if wanted.inverse_norms.is_none() {
            return Ok(None);
        }
        let factors = self.decoder.final_norm.factors();
        (0..normed.cols())
            .map(|c| {
                let x = normed.column(c)?;
                Ok(x.iter()
                    .zip(&factors)
                    .filter(|(_, f)| **f != 0.0)
                    .map(|(x, f)| f64::from(x / f).powi(2))
                    .sum())
            })
            .collect::<Result<Vec<f64>>>()
            .map(Some)
    }
}

/// Sums over the whole vocabulary.
struct Totals {
    max: Vec<f64>,
    sum: Vec<f64>,
    weighted: Vec<f64>,
    cross: Vec<f64>,
    squares: Vec<f64>,
    above: Vec<u32>,
    top: Vec<TopK>,
    final_of: Vec<Option<usize>>,
}

impl Totals {
    fn merge(partials: Vec<Partial>, n: usize, wanted: &Wanted) -> Self {
        let mut final_of = vec![None; n];
        for (range, f) in &wanted.finals {
            final_of[range.clone()].fill(Some(*f));
        }
        let max = (0..n)
            .map(|c| f64::from(partials.iter().map(|p| p.max[c]).fold(f32::MIN, f32::max)))
            .collect::<Vec<_>>();
        let zeros = || vec![0f64; n];
        let mut t = Self {
            max,
            sum: zeros(),
            weighted: zeros(),
            cross: zeros(),
            squares: zeros(),
            above: vec![0; n],
            top: (0..n).map(|_| TopK::new(wanted.top)).collect(),
            final_of,
        };
        for p in &partials {
            for c in 0..n {
                t.add(p, c);
            }
        }
        t
    }

    /// Moves a block's sums from its own largest logit to the column's.
    fn add(&mut self, p: &Partial, c: usize) {
        let shift = f64::from(p.max[c]) - self.max[c];
        let scale = shift.exp();
        let sum = f64::from(p.sum[c]);
        self.sum[c] += sum * scale;
        self.weighted[c] += (f64::from(p.weighted[c]) + shift * sum) * scale;
        self.squares[c] += f64::from(p.squares[c]);
        self.above[c] += p.above[c];
        if let Some(f) = self.final_of[c] {
            let final_scale = (f64::from(p.max[f]) - self.max[f]).exp();
            self.cross[c] += (f64::from(p.cross[c]) + shift * f64::from(p.sum[f])) * final_scale;
        }
        for (z, id) in &p.top[c].best {
            self.top[c].push(*z, *id);
        }
    }

    fn columns(
        &self,
        ids: &[u32],
        picked: &[Vec<f32>],
        wanted: &Wanted,
        norms: Option<Vec<f64>>,
        vocabulary: usize,
    ) -> Vec<Column> {
        let ln2 = std::f64::consts::LN_2;
        let log_sum = |c: usize| self.max[c] + self.sum[c].ln();
        (0..self.max.len())
            .map(|c| {
                let lse = log_sum(c);
                let p = |z: f32| (f64::from(z) - lse).exp() as f32;
                // H = ln S - sum p (z - max); KL(f || c) = sum p_f (z_f - z_c) - lse_f + lse_c.
                let entropy = (self.sum[c].ln() - self.weighted[c] / self.sum[c]) / ln2;
                let kl = self.final_of[c].map(|f| {
                    let own = self.weighted[f] / self.sum[f] - self.sum[f].ln();
                    let other = self.cross[c] / self.sum[f] - self.sum[c].ln();
                    ((own - other) / ln2).max(0.0) as f32
                });
                Column {
                    log_sum: lse,
                    entropy_bits: entropy.max(0.0) as f32,
                    kl_bits: kl,
                    top: self.top[c].best.iter().map(|(z, id)| (*id, p(*z))).collect(),
                    sets: wanted.sets.iter().map(|s| set_sum(s, ids, picked, c, &p)).collect(),
                    gold_rank: (!wanted.gold.is_empty()).then_some(self.above[c]),
                    mean_square_cosine: norms.as_ref().map(|n| self.squares[c] / n[c] / vocabulary as f64),
                }
            })
            .collect()
    }
}

fn set_sum(set: &[u32], ids: &[u32], picked: &[Vec<f32>], c: usize, p: &impl Fn(f32) -> f32) -> f32 {
    set.iter().filter_map(|id| ids.binary_search(id).ok()).map(|r| p(picked[r][c])).sum()
}
