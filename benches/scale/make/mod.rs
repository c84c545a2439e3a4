//! Checkpoints of any shape with random weights, so that size can be measured where no such model is at hand.

mod files;
mod numbers;
mod vocabulary;

use std::io;
use std::path::Path;

/// What the weights are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// A Hugging Face directory of sharded safetensors.
    F32,
    Bf16,
    /// One GGUF file: linear layers and embedding in Q4_K, the unembedding and half of the value and down projections
    /// in Q6_K, as in the usual Q4_K_M files.
    Q4K,
    /// One GGUF file, all in Q4_0.
    Q4_0,
}

impl Store {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "f32" => Some(Self::F32),
            "bf16" => Some(Self::Bf16),
            "q4_k" => Some(Self::Q4K),
            "q4_0" => Some(Self::Q4_0),
            _ => None,
        }
    }
}

/// A decoder's shape (Llama's and Mistral's kind: no biases, gated SiLU, an unembedding of its own).
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub blocks: usize,
    pub hidden: usize,
    pub intermediate: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Tokens, at least 512.
    pub vocabulary: usize,
    /// Bytes of tensors in one safetensors file.
    pub shard: usize,
}

impl Shape {
    /// Mistral 7B's, in shards of at most 5 GB.
    pub const MISTRAL_7B: Self = Self {
        blocks: 32,
        hidden: 4096,
        intermediate: 14336,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        vocabulary: 32000,
        shard: 5_000_000_000,
    };
}

/// How a tensor is filled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Ones, always f32 in GGUF files.
    Norm,
    Linear,
    /// Stored more finely than the others in Q4_K_M files.
    Fine,
}

struct Tensor {
    hf: String,
    gguf: String,
    /// Outermost first; norms have one dimension.
    dims: Vec<usize>,
    role: Role,
}

/// All tensors, in the order in which a forward pass meets them.
fn tensors(s: &Shape) -> Vec<Tensor> {
    let mut all = Vec::new();
    let mut add = |hf: String, gguf: String, dims: &[usize], role: Role| {
        all.push(Tensor { hf, gguf, dims: dims.to_vec(), role });
    };
    let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    let (h, m) = (s.hidden, s.intermediate);
    add("model.embed_tokens.weight".into(), "token_embd.weight".into(), &[s.vocabulary, h], Role::Linear);
    for layer in 0..s.blocks {
        // llama.cpp gives the finer format to the first and last eighths and to every third block between.
        let fine = layer < s.blocks / 8 || layer >= 7 * s.blocks / 8 || (layer - s.blocks / 8) % 3 == 2;
        let finer = if fine { Role::Fine } else { Role::Linear };
        let parts: [(&str, &str, &[usize], Role); 9] = [
            ("input_layernorm", "attn_norm", &[h], Role::Norm),
            ("self_attn.q_proj", "attn_q", &[q, h], Role::Linear),
            ("self_attn.k_proj", "attn_k", &[kv, h], Role::Linear),
            ("self_attn.v_proj", "attn_v", &[kv, h], finer),
            ("self_attn.o_proj", "attn_output", &[h, q], Role::Linear),
            ("post_attention_layernorm", "ffn_norm", &[h], Role::Norm),
            ("mlp.gate_proj", "ffn_gate", &[m, h], Role::Linear),
            ("mlp.up_proj", "ffn_up", &[m, h], Role::Linear),
            ("mlp.down_proj", "ffn_down", &[h, m], finer),
        ];
        for (hf, gguf, dims, role) in parts {
            add(
                format!("model.layers.{layer}.{hf}.weight"),
                format!("blk.{layer}.{gguf}.weight"),
                dims,
                role,
            );
        }
    }
    add("model.norm.weight".into(), "output_norm.weight".into(), &[h], Role::Norm);
    add("lm_head.weight".into(), "output.weight".into(), &[s.vocabulary, h], Role::Fine);
    all
}

/// Writes a checkpoint of that shape below `place` (made if needed) and returns what to load: `place` itself, or the
/// GGUF file in it. The same shape and store give the same bytes every time.
pub fn write(place: &Path, shape: &Shape, store: Store) -> io::Result<std::path::PathBuf> {
    std::fs::create_dir_all(place)?;
    match store {
        Store::F32 | Store::Bf16 => files::directory(place, shape, store).map(|()| place.to_owned()),
        Store::Q4K | Store::Q4_0 => {
            let file = place.join("model.gguf");
            files::gguf(&file, shape, store).map(|()| file)
        }
    }
}
