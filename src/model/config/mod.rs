//! One description of a decoder that covers every supported architecture.

mod gguf;
mod hf;
mod write;

pub use write::Beside;

use crate::error::Result;
use serde::{Deserialize, Serialize};

/// Activation of the gated MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    Silu,
    /// The tanh approximation (`gelu_pytorch_tanh`).
    GeluTanh,
}

/// Frequency scaling of rotary embeddings.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    None,
    /// All frequencies divided by the factor.
    Linear(f64),
    /// Llama 3.1: long wavelengths divided, short ones kept, a smooth blend between.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    /// Each frequency divided by its own factor (GGUF's `rope_freqs.weight`).
    Factors(Vec<f32>),
}

/// One set of rotary frequencies.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    pub theta: f64,
    pub scaling: RopeScaling,
}

impl Rope {
    /// Inverse frequencies, `[head_dim / 2]`.
    pub fn inverse_frequencies(&self, head_dim: usize) -> Vec<f64> {
        let half = head_dim / 2;
        (0..half)
            .map(|i| {
                // Rounded where the reference library rounds: exponent, power and quotient are f32 there, and at position
                // 100 the last bit of a frequency is 1e-5 of a turn.
                let exponent = (2 * i) as f32 / head_dim as f32;
                let f = f64::from(1.0 / self.theta.powf(f64::from(exponent)) as f32);
                match &self.scaling {
                    RopeScaling::None => f,
                    RopeScaling::Linear(factor) => f / factor,
                    RopeScaling::Factors(by) => f / f64::from(by[i]),
                    // transformers' modeling_rope_utils._compute_llama3_parameters
                    RopeScaling::Llama3 { factor, low, high, original } => {
                        let wavelength = 2.0 * std::f64::consts::PI / f;
                        if wavelength < original / high {
                            f
                        } else if wavelength > original / low {
                            f / factor
                        } else {
                            let smooth = (original / wavelength - low) / (high - low);
                            (1.0 - smooth) * f / factor + smooth * f
                        }
                    }
                }
            })
            .collect()
    }
}

/// What differs from block to block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerKind {
    /// A position sees itself and the `window - 1` before it; `None` = all before it.
    pub window: Option<usize>,
    /// Index into `Config::ropes`.
    pub rope: usize,
}

/// Whether linear layers of a group have biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Biases {
    Never,
    Always,
    /// Where the file holds them (GGUF states it nowhere).
    AsFiled,
}

/// Everything the decoder needs to know besides the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// mistral, qwen2, qwen3, llama or gemma3.
    pub architecture: String,
    pub hidden: usize,
    pub intermediate: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub eps: f64,
    pub activation: Activation,
    /// Factor on the embeddings (Gemma: sqrt(hidden)).
    pub embedding_scale: Option<f64>,
    /// RMSNorm multiplies by (1 + w) instead of w.
    pub norm_plus_one: bool,
    /// Norms after attention and after the MLP, before the residual add (Gemma).
    pub post_norms: bool,
    /// RMSNorm on each head of q and k.
    pub qk_norm: bool,
    pub qkv_bias: Biases,
    /// Of the attention's output projection.
    pub o_bias: Biases,
    pub mlp_bias: Biases,
    /// Factor on q·k before the softmax.
    pub attention_scale: f64,
    pub attention_softcap: Option<f64>,
    pub final_softcap: Option<f64>,
    pub layers: Vec<LayerKind>,
    pub ropes: Vec<Rope>,
    pub max_positions: usize,
    /// The name inside the checkpoint, where it has one.
    pub title: Option<String>,
}

/// Numbers beyond these are damage, not a model.
const LIMIT_WIDTH: usize = 1 << 20;
const LIMIT_LAYERS: usize = 4096;

impl Config {
    /// Refuses numbers that no model can have.
    ///
    /// # Errors
    /// One sentence naming the value.
    fn checked(self) -> Result<Self> {
        let widths = [
            ("hidden size", self.hidden),
            ("intermediate size", self.intermediate),
            ("number of attention heads", self.heads),
            ("number of key/value heads", self.kv_heads),
            ("head dimension", self.head_dim),
        ];
        for (what, n) in widths {
            if n == 0 || n > LIMIT_WIDTH {
                crate::fail!("the configuration's {what} is {n}; 1 to {LIMIT_WIDTH} is possible");
            }
        }
        if self.layers.is_empty() || self.layers.len() > LIMIT_LAYERS {
            crate::fail!(
                "the configuration has {} layers; 1 to {LIMIT_LAYERS} is possible",
                self.layers.len()
            );
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            crate::fail!(
                "{} attention heads cannot share {} key/value heads evenly; the configuration is wrong",
                self.heads,
                self.kv_heads
            );
        }
        if !self.head_dim.is_multiple_of(2) {
            crate::fail!("the head dimension {} is odd; rotary embeddings need an even one", self.head_dim);
        }
        let numbers = [("norm epsilon", self.eps), ("attention scale", self.attention_scale)];
        for (what, x) in numbers {
            if !x.is_finite() || x < 0.0 {
                crate::fail!("the configuration's {what} is {x}; a positive number is needed");
            }
        }
        for (what, cap) in [("attention", self.attention_softcap), ("final logit", self.final_softcap)] {
            if let Some(x) = cap.filter(|x| !x.is_finite() || *x <= 0.0) {
                crate::fail!("the configuration's {what} soft-cap is {x}; a positive number is needed");
            }
        }
        for rope in &self.ropes {
            if !rope.theta.is_finite() || rope.theta <= 0.0 {
                crate::fail!("the configuration's rope base is {}; a positive number is needed", rope.theta);
            }
            if let RopeScaling::Factors(by) = &rope.scaling
                && (by.len() != self.head_dim / 2 || by.iter().any(|f| !f.is_finite() || *f <= 0.0))
            {
                crate::fail!("rope_freqs.weight does not hold {} positive factors", self.head_dim / 2);
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_scaling_keeps_short_and_divides_long_wavelengths() {
        let plain = Rope { theta: 5e5, scaling: RopeScaling::None }.inverse_frequencies(64);
        let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        let scaled = Rope { theta: 5e5, scaling }.inverse_frequencies(64);
        assert_eq!(plain[0], scaled[0]);
        assert!((plain[31] / scaled[31] - 8.0).abs() < 1e-12);
        assert!(scaled.windows(2).all(|w| w[0] > w[1]));
    }
}
