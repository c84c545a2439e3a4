//! Training: what is asked, how it goes on, how it ends. Plain data for the explorer, scripts and checkpoints.

use super::{LensAnswer, PcaAnswer, PcaRequest, Query};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the learning rate runs after its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    #[default]
    Cosine,
    Linear,
    Constant,
}

/// Whether a block's activations are computed anew on the way back instead of being kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// Where keeping them would take more than a quarter of the free memory.
    #[default]
    Auto,
    Always,
    Never,
}

/// Everything that decides a run besides model and data. The defaults are the paper's (Zhang et al. 2024).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    pub rank: usize,
    pub alpha: f64,
    /// Module names: q_proj k_proj v_proj o_proj gate_proj up_proj down_proj.
    pub targets: Vec<String>,
    pub dropout: f64,
    pub epochs: f64,
    /// Samples an optimiser step.
    pub batch_size: usize,
    /// Samples a forward and backward pass.
    pub micro_batch: usize,
    pub lr: f64,
    pub scheduler: Schedule,
    /// Of all steps.
    pub warmup_ratio: f64,
    /// Most tokens of a sample.
    pub cutoff: usize,
    /// Held out: a share below 1, else a number of samples.
    pub val_size: f64,
    pub eval_steps: u64,
    pub logging_steps: u64,
    pub save_steps: u64,
    /// The total, whatever the epochs say.
    pub max_steps: Option<u64>,
    /// 0: no clipping.
    pub max_grad_norm: f64,
    pub weight_decay: f64,
    pub seed: u64,
    pub shuffle: bool,
    /// Stop after so many validations without a better loss.
    pub patience: Option<u32>,
    pub recompute: Recompute,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            targets: vec!["q_proj".into(), "v_proj".into()],
            dropout: 0.0,
            epochs: 3.0,
            batch_size: 16,
            micro_batch: 4,
            lr: 5e-5,
            scheduler: Schedule::Cosine,
            warmup_ratio: 0.1,
            cutoff: 2048,
            val_size: 0.05,
            eval_steps: 50,
            logging_steps: 10,
            save_steps: 50,
            max_steps: None,
            max_grad_norm: 1.0,
            weight_decay: 0.0,
            seed: 0,
            shuffle: true,
            patience: None,
            recompute: Recompute::Auto,
        }
    }
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TrainData {
    /// A file of question-translation rows, of one source language where that is known.
    File { lang: Option<String>, path: PathBuf },
    /// Question pairs made of a task's own items, its gold answers left out.
    Task { task: String, source: String, target: String, limit: Option<usize> },
}

/// What is computed again and again while a run goes on, with the adapter as it is then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// Steps between two frames, from 1.
    pub every: u64,
    pub query: Option<Query>,
    /// Length of the lens' top lists.
    pub top: usize,
    /// Its `runs` are not looked at: a frame has the base model or the adapter as it is.
    pub pca: Option<PcaRequest>,
}

/// A run that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainRequest {
    pub settings: TrainSettings,
    pub data: Vec<TrainData>,
    /// The run's directory.
    pub out: PathBuf,
    /// Begin from this adapter's weights.
    pub init_adapter: Option<PathBuf>,
    /// Go on with the run that lies in `out`; settings and data are its own then.
    pub resume: bool,
    pub watch: Option<Watch>,
}

/// What can be asked of a run that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainAction {
    Pause,
    Continue,
    /// Write a checkpoint after this step.
    Save,
    /// Stop after this step; the adapter as it is then is the run's result.
    StopAndSave,
    /// Stop at once and remove what the run has written.
    StopAndDiscard,
}

/// A run as planned, once its data are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainPlan {
    pub out: PathBuf,
    /// Samples trained on, and held out.
    pub samples: usize,
    pub held_out: usize,
    /// Source languages (or files) and their samples.
    pub sources: Vec<(String, usize)>,
    pub steps_per_epoch: u64,
    pub total_steps: u64,
    pub warmup_steps: u64,
    /// Steps that were done before, by the run that is resumed.
    pub done_steps: u64,
    /// Tokens of one epoch, those among them that are in the loss, and of the longest sample.
    pub tokens: u64,
    pub answer_tokens: u64,
    pub longest: usize,
    /// Samples that were cut at the cut-off.
    pub cut: usize,
    /// Trained numbers.
    pub parameters: usize,
    /// Whether activations are computed anew on the way back.
    pub recompute: bool,
    /// Bytes that weights, activations and optimiser will take, about.
    pub memory_bytes: u64,
    /// About how long the steps that are left will take; `None` where nothing was measured yet.
    pub estimate_s: Option<f64>,
    pub settings: TrainSettings,
}

/// One optimiser step; what an imported run did not note is NaN, or 0 where it is a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainStep {
    /// Steps done, from 1.
    pub step: u64,
    /// Mean negative log-likelihood (nats) of the step's answer tokens, before its update.
    #[serde(deserialize_with = "super::number::or_nan")]
    pub loss: f64,
    /// The rate that the update used.
    #[serde(deserialize_with = "super::number::or_nan")]
    pub lr: f64,
    /// Of the whole gradient, before clipping.
    #[serde(deserialize_with = "super::number::or_nan")]
    pub grad_norm: f64,
    #[serde(deserialize_with = "super::number::or_nan")]
    pub epoch: f64,
    /// Tokens of the step's samples.
    pub tokens: u64,
    /// Tokens a second since this process began, validation and frames left out.
    #[serde(deserialize_with = "super::number::or_nan")]
    pub tokens_per_s: f64,
    pub total_tokens: u64,
    #[serde(deserialize_with = "super::number::or_nan")]
    pub elapsed_s: f64,
    #[serde(deserialize_with = "super::number::or_nan")]
    pub remaining_s: f64,
    /// Memory of the process now, and at most so far.
    pub memory_bytes: u64,
    pub peak_memory_bytes: u64,
}

/// Lens and PCA at one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainFrame {
    /// Steps done; the frame of the base model has `base` set and step 0.
    pub step: u64,
    pub base: bool,
    /// One run: `None` (base) or the adapter as it was, under the run number 0.
    pub lens: Option<LensAnswer>,
    pub pca: Option<PcaAnswer>,
    pub elapsed_ms: f64,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainEnd {
    #[default]
    Finished,
    /// The validation loss did not get better any more.
    Early,
    /// Asked to stop, its adapter was saved.
    Stopped,
    Discarded,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainOutcome {
    pub end: TrainEnd,
    /// The PEFT directory.
    pub path: PathBuf,
    pub steps: u64,
    pub total_steps: u64,
    /// Mean of the last logged steps.
    pub loss: Option<f64>,
    pub eval_loss: Option<f64>,
    /// Step of the best validation loss, and that loss.
    pub best: Option<(u64, f64)>,
    #[serde(deserialize_with = "super::number::or_nan")]
    pub elapsed_s: f64,
    #[serde(deserialize_with = "super::number::or_nan")]
    pub tokens_per_s: f64,
    pub peak_memory_bytes: u64,
}
