//! Loss and gradient of LoRA weights.

use super::lora::LoraParams;
use crate::engine::control::Cancel;
use crate::error::Result;
use crate::model::decoder::Decoder;

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
/// A token outside the vocabulary, a sample longer than the model's positions, cancellation.
pub fn gradient(
    decoder: &Decoder,
    params: &LoraParams,
    samples: &[Sample],
    options: GradientOptions,
    cancel: &Cancel,
    grads: &mut [f32],
) -> Result<Sums> {
    let _ = (decoder, params, samples, options, cancel, grads);
    crate::fail!("being written")
}

/// The summed negative log-likelihood alone.
///
/// # Errors
/// As [`gradient`].
pub fn loss(decoder: &Decoder, params: &LoraParams, samples: &[Sample], cancel: &Cancel) -> Result<Sums> {
    let _ = (decoder, params, samples, cancel);
    crate::fail!("being written")
}
