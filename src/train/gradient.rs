//! Loss and gradient of LoRA weights over a frozen decoder.
//!
//! Samples lie one after the other in one packed matrix, without padding. What is kept on the way forward is a block's
//! activations, or its input alone where they are to be computed again; logits exist for the answers' positions only,
//! a block of the vocabulary at a time.

use super::block::{Kept, Pass, on_cpu};
use super::lora::LoraParams;
use super::lowrank::LowRanks;
use crate::engine::control::Cancel;
use crate::error::{Error, Result};
use crate::model::act::{self, Act};
use crate::model::decoder::Decoder;
use crate::model::kernels::Mat;
use crate::model::kernels::attention::Sequence;
use crate::model::kernels::cross_entropy::cross_entropy;
use crate::model::kernels::elementwise::Angles;
use crate::model::kernels::elementwise_backward::rms_norm_backward;
use crate::model::kernels::matmul::with_kernel;
use crate::model::kernels::norms::{NormOut, rms_norm};

/// One sample: tokens, of which those from `answer` on are in the loss, each predicted from the position before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub ids: Vec<u32>,
    /// First token of the answer; at least 1.
    pub answer: usize,
}

impl Sample {
    /// Tokens in the loss.
    pub fn answer_tokens(&self) -> usize {
        self.ids.len() - self.answer
    }
}

/// How gradients are computed.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradientOptions {
    /// Compute each block's activations anew on the way back instead of keeping them.
    pub recompute: bool,
    /// Share of an adapted layer's inputs that its A does not see, and the seed of the choice (another one for every
    /// pass, the same one when a pass is repeated).
    pub dropout: Option<(f64, u64)>,
}

/// Sums over the samples of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Negative log-likelihood (nats) of the answers' tokens.
    pub nll: f64,
    pub answer_tokens: u64,
    pub tokens: u64,
}

/// Adds the gradient of the summed negative log-likelihood to `grads`, parallel to [`LoraParams::values`]. Call it on
/// the compute pool.
///
/// # Errors
/// A token outside the vocabulary, a sample without an answer or longer than the model's positions, weights on another
/// device, cancellation (`grads` is of no use then).
pub fn gradient(
    decoder: &Decoder,
    params: &LoraParams,
    samples: &[Sample],
    options: GradientOptions,
    cancel: &Cancel,
    grads: &mut [f32],
) -> Result<Sums> {
    assert_eq!(grads.len(), params.values.len());
    let packed = Packed::new(decoder, samples)?;
    let loras = LowRanks::new(params, options.dropout);
    with_kernel(packed.ids.len(), false, || {
        packed.run(decoder, &loras, options.recompute, cancel, Some(grads))
    })
}

/// The summed negative log-likelihood alone.
///
/// # Errors
/// As [`gradient`].
pub fn loss(decoder: &Decoder, params: &LoraParams, samples: &[Sample], cancel: &Cancel) -> Result<Sums> {
    let packed = Packed::new(decoder, samples)?;
    let loras = LowRanks::new(params, None);
    with_kernel(packed.ids.len(), false, || packed.run(decoder, &loras, false, cancel, None))
}

/// Samples one after the other.
struct Packed {
    ids: Vec<Option<u32>>,
    positions: Vec<usize>,
    sequences: Vec<Sequence<'static>>,
    /// Columns whose next token is in the loss, and that token.
    asked: Vec<usize>,
    labels: Vec<u32>,
}

/// What is kept of a block on the way forward.
enum Trail {
    All(Box<Kept>),
    Input(Mat),
}

impl Packed {
    fn new(decoder: &Decoder, samples: &[Sample]) -> Result<Self> {
        let mut p = Self {
            ids: Vec::new(),
            positions: Vec::new(),
            sequences: Vec::new(),
            asked: Vec::new(),
            labels: Vec::new(),
        };
        let vocabulary = decoder.embedding.shape().0.min(decoder.vocabulary());
        for s in samples {
            if s.answer == 0 || s.answer >= s.ids.len() {
                return Err(Error::failed("a sample has no question or no answer; it cannot be trained on"));
            }
            if s.ids.len() > decoder.config.max_positions {
                crate::fail!(
                    "a sample has {} tokens, the model reads at most {}; use a smaller --cutoff",
                    s.ids.len(),
                    decoder.config.max_positions
                );
            }
            if let Some(id) = s.ids.iter().find(|id| **id as usize >= vocabulary) {
                crate::fail!("token id {id} is outside the model's vocabulary of {vocabulary}");
            }
            let start = p.ids.len();
            p.sequences.push(Sequence { start, len: s.ids.len(), past: None });
            p.ids.extend(s.ids.iter().map(|id| Some(*id)));
            p.positions.extend(0..s.ids.len());
            p.asked.extend((s.answer..s.ids.len()).map(|i| start + i - 1));
            p.labels.extend(&s.ids[s.answer..]);
        }
        Ok(p)
    }

    fn run(
        &self,
        decoder: &Decoder,
        loras: &LowRanks,
        recompute: bool,
        cancel: &Cancel,
        grads: Option<&mut [f32]>,
    ) -> Result<Sums> {
        let config = &decoder.config;
        let embedded = act::embed(&decoder.embedding, &self.ids, config.hidden, config.embedding_scale)?;
        let Act::Cpu(mut x) = embedded else {
            return Err(Error::failed("training runs on the CPU; load the model with --device cpu"));
        };
        let angles: Vec<Angles> = config
            .ropes
            .iter()
            .map(|r| Angles::new(&r.inverse_frequencies(config.head_dim), &self.positions))
            .collect();
        let pass = Pass { decoder, loras, sequences: &self.sequences, angles: &angles };
        let lowest = loras.lowest();
        let mut trail = Vec::new();
        for layer in 0..decoder.blocks.len() {
            cancel.check()?;
            let input = (recompute && grads.is_some() && layer >= lowest).then(|| x.clone());
            let (after, kept) = pass.forward(layer, x)?;
            x = after;
            match input {
                Some(input) => trail.push(Trail::Input(input)),
                None if grads.is_some() && layer >= lowest => trail.push(Trail::All(Box::new(kept))),
                None => {}
            }
        }
        let (nll, d) = self.head(decoder, &x, grads.is_some(), cancel)?;
        drop(x);
        if let (Some(grads), Some(mut d)) = (grads, d) {
            for layer in (lowest..decoder.blocks.len()).rev() {
                cancel.check()?;
                let kept = match trail.pop() {
                    Some(Trail::All(kept)) => *kept,
                    Some(Trail::Input(x)) => pass.forward(layer, x)?.1,
                    None => return Err(Error::failed("a block's activations were not kept")),
                };
                match pass.back(layer, kept, d, layer == lowest, grads)? {
                    Some(before) => d = before,
                    None => break,
                }
            }
        }
        Ok(Sums { nll, answer_tokens: self.labels.len() as u64, tokens: self.ids.len() as u64 })
    }

    /// The loss at the answers' positions, and its gradient with respect to the residual stream `x [hidden, tokens]`.
    fn head(
        &self,
        decoder: &Decoder,
        x: &Mat,
        gradient: bool,
        cancel: &Cancel,
    ) -> Result<(f64, Option<Mat>)> {
        let norm = &decoder.final_norm;
        let mut states = Mat::to_fill(x.rows(), self.asked.len());
        for r in 0..x.rows() {
            let row = x.row(r);
            for (to, c) in states.row_mut(r).iter_mut().zip(&self.asked) {
                *to = row[*c];
            }
        }
        let mut normed = Mat::to_fill(states.rows(), states.cols());
        rms_norm(&states, &norm.w.xs, norm.plus, norm.eps, NormOut::Write(&mut normed));
        let w = on_cpu(&decoder.unembedding)?;
        let softcap = decoder.config.final_softcap.map(|c| c as f32);
        let mut d_normed = gradient.then(|| Mat::to_fill(states.rows(), states.cols()));
        let nll = cross_entropy(w, &normed, &self.labels, softcap, d_normed.as_mut(), cancel)?;
        let Some(d_normed) = d_normed else { return Ok((nll, None)) };
        let mut d_states = Mat::to_fill(states.rows(), states.cols());
        rms_norm_backward(&states, &d_normed, &norm.w.xs, norm.plus, norm.eps, &mut d_states, false);
        let mut d = Mat::zeros(x.rows(), x.cols());
        for r in 0..x.rows() {
            let row = d.row_mut(r);
            for (from, c) in d_states.row(r).iter().zip(&self.asked) {
                row[*c] = *from;
            }
        }
        Ok((nll, Some(d)))
    }
}
