//! Hidden states to next-token distributions, reduced to what is asked for.
//!
//! The vocabulary is walked in blocks: each thread multiplies a block of the unembedding with all states at once
//! and reduces the logits while they are in its cache, so the full logits exist nowhere; those of wanted tokens are
//! taken out in passing.

use super::reduce::{self, Floors, Partial, Plan};
use super::totals;
use crate::engine::control::Cancel;
use crate::error::{Error, Result};
use crate::model::act::{Act, device, to_device, weight_row};
use crate::model::decoder::Decoder;
use crate::model::kernels::Mat;
use crate::model::kernels::mat::LINE;
use crate::model::kernels::matmul::CpuWeight;
use crate::model::kernels::source::{Source, Way};
use crate::model::kernels::team;
use crate::model::linear::{Weight, tensor_times};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// What is wanted of each state.
#[derive(Default)]
pub struct Wanted<'a> {
    /// Length of the top list.
    pub top: usize,
    /// Token sets whose summed probability is wanted.
    pub sets: Vec<&'a [u32]>,
    /// Which of the sets belong to each state; of every state all of them where this is empty.
    pub sets_of: Vec<Range<usize>>,
    /// Token set of which the best token's rank is wanted.
    pub gold: &'a [u32],
    /// Column ranges and the column of their final layer, for KL(final || layer).
    pub finals: Vec<(Range<usize>, usize)>,
    /// 1 / norm of each unembedding row times the final norm's factors, for the token energy.
    pub inverse_norms: Option<&'a [f32]>,
}

impl Wanted<'_> {
    /// Which of the sets belong to a state.
    pub(super) fn sets_of(&self, state: usize) -> Range<usize> {
        self.sets_of.get(state).cloned().unwrap_or(0..self.sets.len())
    }
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

thread_local! {
    /// A block's logits.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The readout of a decoder.
pub struct Readout<'a> {
    decoder: &'a Decoder,
    any_order: bool,
}

impl<'a> Readout<'a> {
    /// Of this decoder; a state's numbers are the same, to the last bit, whatever states are read beside it.
    pub fn new(decoder: &'a Decoder) -> Self {
        Self { decoder, any_order: false }
    }

    /// Of this decoder, with the last bits of a state's numbers free to depend on its place among the others: faster
    /// where the states do not fill whole vectors.
    pub fn in_any_order(decoder: &'a Decoder) -> Self {
        Self { decoder, any_order: true }
    }

    fn source<'x>(&self, w: &CpuWeight, x: &'x Mat) -> Source<'x> {
        let way = Way { tiles: w.suits_tiles(), same_bits: !self.any_order };
        let source = Source::new(x, (0, x.cols()), (w, w.out), way, w.rounds);
        if self.any_order { source.in_any_order() } else { source }
    }

    /// Reads out states `[hidden, n]` (residual stream, before the final norm).
    ///
    /// # Errors
    /// Cancellation, or what the device says.
    pub fn read(&self, states: &Mat, wanted: &Wanted, cancel: &Cancel) -> Result<Vec<Column>> {
        team::with(|| self.read_in_passes(states, wanted, cancel))
    }

    fn read_in_passes(&self, states: &Mat, wanted: &Wanted, cancel: &Cancel) -> Result<Vec<Column>> {
        let mut out = Vec::with_capacity(states.cols());
        for from in (0..states.cols()).step_by(COLUMNS) {
            let to = states.cols().min(from + COLUMNS);
            if !wanted.finals.is_empty() && states.cols() > COLUMNS {
                return Err(Error::failed(format!(
                    "a divergence needs all layers in one pass of {COLUMNS} states"
                )));
            }
            cancel.check()?;
            out.extend(self.pass(&states.columns(from, to), from, wanted)?);
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
                let source = self.source(w, x);
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

    /// Reads out at most [`COLUMNS`] states, of which the first is number `from`.
    fn pass(&self, states: &Mat, from: usize, wanted: &Wanted) -> Result<Vec<Column>> {
        let (normed, n) = (self.normed(states)?, states.cols());
        let mut ids: Vec<u32> = wanted.sets.iter().flat_map(|s| s.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        let gold = self.gold_logits(&normed, wanted.gold)?;
        let plan = Plan {
            top: wanted.top,
            finals: &wanted.finals,
            gold: &gold,
            inverse_norms: wanted.inverse_norms,
            softcap: self.decoder.config.final_softcap.map(|c| c as f32),
            picked: &ids,
        };
        let partials = self.blocks(&normed, n, &plan)?;
        let totals = totals::merge(&partials, n, wanted);
        let norms = self.norms_of(&normed, wanted)?;
        let mut columns = totals::columns(&totals, wanted, norms, self.decoder.vocabulary());
        let places: Vec<Vec<usize>> = wanted.sets.iter().map(|s| places(s, &ids)).collect();
        let picked: Vec<&[f32]> = partials.iter().flat_map(|p| p.picked.chunks_exact(n)).collect();
        for (c, column) in columns.iter_mut().enumerate() {
            let p = |at: &usize| (f64::from(picked[*at][c]) - column.log_sum).exp() as f32;
            column.sets = wanted.sets_of(from + c).map(|s| places[s].iter().map(p).sum()).collect();
        }
        Ok(columns)
    }

    /// The best logit of the gold set per state; infinity where no rank is wanted.
    fn gold_logits(&self, normed: &Act, gold: &[u32]) -> Result<Vec<f32>> {
        let rows = gold
            .iter()
            .map(|id| weight_row(&self.decoder.unembedding, *id))
            .collect::<Result<Vec<Vec<f32>>>>()?;
        let cap = self.decoder.config.final_softcap;
        let logit = |x: &[f32], row: &Vec<f32>| {
            let z: f64 = x.iter().zip(row).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            cap.map_or(z, |c| c * (z / c).tanh()) as f32
        };
        // These are summed in another order than the product's: what is nearer than that rounding counts as equal, or a
        // token would stand above itself.
        let margin = |z: f32| z + 2e-5 * z.abs().max(1.0);
        let best = |c: usize| {
            let x = if rows.is_empty() { Vec::new() } else { normed.column(c)? };
            Ok(rows.iter().map(|row| logit(&x, row)).reduce(f32::max).map_or(f32::INFINITY, margin))
        };
        (0..normed.cols()).map(best).collect()
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
                // Cutting the whole table for the processor's tiles would cost more than the product with few states.
                let source = self.source(w, x);
                Ok(team::map(starts.len(), |i| {
                    SCRATCH.with_borrow_mut(|z| {
                        let rows = ROWS.min(vocabulary - starts[i]);
                        z.resize(z.len().max(rows * width), 0.0);
                        source.block(w, starts[i]..starts[i] + rows, &mut z[..rows * width], width);
                        block(&mut z[..rows * width], starts[i])
                    })
                }))
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

/// Where a set's tokens stand in the sorted `ids`.
fn places(set: &[u32], ids: &[u32]) -> Vec<usize> {
    set.iter().filter_map(|id| ids.binary_search(id).ok()).collect()
}
