//! What is loaded, and how.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What weights are multiplied in. On a CPU weights stay in memory as the file has them wherever they can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// Chosen at load time by what is faithful and fits in memory; the choice is shown.
    #[default]
    Auto,
    /// On a CPU: f32, or as exact, on the file's own numbers.
    F32,
    /// Weights are rounded to f16.
    F16,
    /// Weights and activations are rounded to bf16, where the processor multiplies bf16.
    Bf16,
    /// As the file holds them; on a CPU the same as f32.
    Native,
}

/// Where to compute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChoice {
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
    Metal,
}

/// Everything that decides what a load gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSpec {
    /// Resolved local path: a Hugging Face directory or a single GGUF file (see `hub::resolve`).
    pub path: PathBuf,
    /// The name to show (catalogue name, ORG/REPO, or the file's stem).
    pub name: String,
    pub dtype: DType,
    pub device: DeviceChoice,
    /// 0 = one thread per core.
    pub threads: usize,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    pub name: String,
    /// mistral, qwen2, qwen3, llama or gemma3.
    pub architecture: String,
    /// L, the number of blocks; there are L + 1 readout layers.
    pub layers: usize,
    pub hidden: usize,
    pub vocabulary: usize,
    pub dtype: String,
    pub device: String,
    pub threads: usize,
    /// Bytes the weights take in memory.
    pub weight_bytes: u64,
    /// Largest |difference| between the readout at L and the model's own logits on a fixed probe.
    pub logits_check: f32,
    pub load_ms: u64,
    /// Sentences the user should see once (a choice that was made, a fact that was odd).
    pub notes: Vec<String>,
}

/// A loaded adapter, with the proof that it is applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdapterInfo {
    pub name: String,
    pub path: PathBuf,
    pub rank: usize,
    pub alpha: f64,
    pub targets: Vec<String>,
    /// Tensors matched to a linear layer (A and B counted separately).
    pub keys_matched: usize,
    /// Frobenius norm of scale * B A, summed in squares over a block's linears, per block 1..=L.
    pub delta_norms: Vec<f32>,
    /// Largest |change| of a logit on the fixed probe.
    pub probe_change: f32,
}
