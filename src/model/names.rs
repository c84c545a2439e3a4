//! What the same tensor is called in Hugging Face checkpoints and in GGUF files.

use super::weights::Store;
use crate::error::Result;

/// A linear layer of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Proj {
    Q,
    K,
    V,
    O,
    Gate,
    Up,
    Down,
}

impl Proj {
    /// In the order of a forward pass.
    pub const ALL: [Self; 7] = [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// PEFT's name of the module, as in `target_modules`.
    pub fn module(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The module's parent inside a block.
    pub fn parent(self) -> &'static str {
        match self {
            Self::Q | Self::K | Self::V | Self::O => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        }
    }

    fn gguf(self) -> &'static str {
        match self {
            Self::Q => "attn_q",
            Self::K => "attn_k",
            Self::V => "attn_v",
            Self::O => "attn_output",
            Self::Gate => "ffn_gate",
            Self::Up => "ffn_up",
            Self::Down => "ffn_down",
        }
    }
}

/// A norm of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    Attention,
    Q,
    K,
    PostAttention,
    Mlp,
    PostMlp,
}

/// The naming scheme of a checkpoint.
pub enum Names {
    Gguf,
    /// With the prefix before `embed_tokens`, `layers` and `norm`.
    Hf {
        prefix: String,
        gemma: bool,
    },
}

impl Names {
    /// Finds the prefix that a Hugging Face checkpoint uses (`model.`, or a multimodal one's).
    ///
    /// # Errors
    /// Where no token embedding is found.
    pub fn hf(store: &Store, gemma: bool) -> Result<Self> {
        for prefix in ["model.", "language_model.model.", "model.language_model.", ""] {
            if store.has(&format!("{prefix}embed_tokens.weight")) {
                return Ok(Self::Hf { prefix: prefix.to_owned(), gemma });
            }
        }
        crate::fail!(
            "tensor \"model.embed_tokens.weight\" is missing; the checkpoint is incomplete or no language model"
        )
    }

    /// Token embedding `[vocabulary, hidden]`.
    pub fn embedding(&self) -> String {
        match self {
            Self::Gguf => "token_embd.weight".into(),
            Self::Hf { prefix, .. } => format!("{prefix}embed_tokens.weight"),
        }
    }

    /// Places where a separate unembedding may be.
    pub fn output(&self) -> Vec<String> {
        match self {
            Self::Gguf => vec!["output.weight".into()],
            Self::Hf { .. } => vec!["lm_head.weight".into(), "language_model.lm_head.weight".into()],
        }
    }

    /// The norm before the unembedding.
    pub fn final_norm(&self) -> String {
        match self {
            Self::Gguf => "output_norm.weight".into(),
            Self::Hf { prefix, .. } => format!("{prefix}norm.weight"),
        }
    }

    /// A linear layer's weight or bias.
    pub fn linear(&self, layer: usize, proj: Proj, bias: bool) -> String {
        let part = if bias { "bias" } else { "weight" };
        match self {
            Self::Gguf => format!("blk.{layer}.{}.{part}", proj.gguf()),
            Self::Hf { prefix, .. } => {
                format!("{prefix}layers.{layer}.{}.{}.{part}", proj.parent(), proj.module())
            }
        }
    }

    /// A norm's weight. Gemma has a norm before and after each half of a block, and Hugging Face's names shift
    /// accordingly.
    pub fn norm(&self, layer: usize, norm: Norm) -> String {
        match self {
            Self::Gguf => {
                let name = match norm {
                    Norm::Attention => "attn_norm",
                    Norm::Q => "attn_q_norm",
                    Norm::K => "attn_k_norm",
                    Norm::PostAttention => "post_attention_norm",
                    Norm::Mlp => "ffn_norm",
                    Norm::PostMlp => "post_ffw_norm",
                };
                format!("blk.{layer}.{name}.weight")
            }
            Self::Hf { prefix, gemma } => {
                let name = match (norm, gemma) {
                    (Norm::Attention, _) => "input_layernorm",
                    (Norm::Q, _) => "self_attn.q_norm",
                    (Norm::K, _) => "self_attn.k_norm",
                    (Norm::PostAttention, _) | (Norm::Mlp, false) => "post_attention_layernorm",
                    (Norm::Mlp, true) => "pre_feedforward_layernorm",
                    (Norm::PostMlp, _) => "post_feedforward_layernorm",
                };
                format!("{prefix}layers.{layer}.{name}.weight")
            }
        }
    }
}
