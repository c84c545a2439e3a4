//! What a run will take, before it begins.

use super::data::Dataset;
use super::schedule::Steps;
use crate::engine::protocol::{Recompute, TrainPlan, TrainRequest};
use crate::error::Result;
use crate::model::decoder::Decoder;

/// The widths that decide how much memory a pass takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub blocks: usize,
    /// Numbers kept for each token and block: its input and the stream between its halves (2 hidden; 4 where norms
    /// follow the halves), q and what attention gives (2 heads * head_dim), k and v (2 kv_heads * head_dim), the MLP's
    /// gate and up (2 intermediate).
    pub kept: usize,
    pub hidden: usize,
}

impl Shape {
    /// Of a decoder.
    pub fn of(decoder: &Decoder) -> Self {
        let c = &decoder.config;
        let attention = 2 * c.head_dim * (c.heads + c.kv_heads);
        let kept = if c.post_norms { 4 } else { 2 } * c.hidden + attention + 2 * c.intermediate;
        Self { blocks: decoder.blocks.len(), kept, hidden: c.hidden }
    }

    /// Bytes of the activations of `tokens` tokens, about, in f32: what all blocks keep (with recomputation only their
    /// inputs and one block's), and as much as one block keeps for its way back.
    pub fn bytes(&self, tokens: usize, recompute: bool) -> u64 {
        let numbers =
            if recompute { self.blocks * self.hidden + 2 * self.kept } else { (self.blocks + 1) * self.kept };
        4 * (tokens * numbers) as u64
    }
}

/// What the plan is made for.
pub struct Asked<'a> {
    pub request: &'a TrainRequest,
    pub dataset: &'a Dataset,
    pub shape: Shape,
    /// Trained numbers.
    pub parameters: usize,
    /// Bytes of the frozen weights.
    pub weight_bytes: u64,
    /// Bytes that can still be taken; `None` where the system does not say.
    pub free_memory: Option<u64>,
}

/// Steps, tokens and memory of a run. Memory: weights, 4 f32 numbers for each trained one (itself, its gradient, its
/// two moments), and the activations of the largest pass, as `micro_batch` of the longest samples.
///
/// # Errors
/// Settings that no run can have.
pub fn plan(asked: &Asked) -> Result<TrainPlan> {
    let Asked { request, dataset, .. } = asked;
    let settings = &request.settings;
    super::schedule::check(settings)?;
    let steps = Steps::new(settings, dataset.train.len())?;
    let longest = settings.micro_batch.min(settings.batch_size).saturating_mul(dataset.longest);
    let all = asked.shape.bytes(longest, false);
    let recompute = match settings.recompute {
        Recompute::Always => true,
        Recompute::Never => false,
        Recompute::Auto => asked.free_memory.is_some_and(|free| all > free / 4),
    };
    let activations = asked.shape.bytes(longest, recompute);
    Ok(TrainPlan {
        out: request.out.clone(),
        samples: dataset.train.len(),
        held_out: dataset.held_out.len(),
        sources: dataset.sources.clone(),
        steps_per_epoch: steps.per_epoch,
        total_steps: steps.total,
        warmup_steps: steps.warmup,
        done_steps: 0,
        tokens: dataset.train.iter().map(|s| s.ids.len() as u64).sum(),
        answer_tokens: dataset.train.iter().map(|s| s.answer_tokens() as u64).sum(),
        longest: dataset.longest,
        cut: dataset.cut,
        parameters: asked.parameters,
        recompute,
        memory_bytes: asked.weight_bytes + 16 * asked.parameters as u64 + activations,
        estimate_s: None,
        settings: settings.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::protocol::TrainSettings;
    use crate::train::gradient::Sample;

    #[test]
    fn memory_decides_whether_activations_are_recomputed() {
        let dataset = Dataset {
            train: vec![Sample { ids: vec![1; 100], answer: 40 }; 33],
            longest: 100,
            ..Dataset::default()
        };
        let request = TrainRequest {
            settings: TrainSettings { epochs: 2.0, ..TrainSettings::default() },
            ..TrainRequest::default()
        };
        let shape = Shape { blocks: 10, kept: 1000, hidden: 100 };
        let asked = |free_memory| Asked {
            request: &request,
            dataset: &dataset,
            shape,
            parameters: 1000,
            weight_bytes: 5_000_000,
            free_memory,
        };
        // 4 samples of 100 tokens, 10 blocks and one more of 1000 numbers of 4 bytes.
        let much = plan(&asked(Some(4 * 17_600_000))).unwrap();
        assert_eq!((much.recompute, much.memory_bytes), (false, 5_000_000 + 16_000 + 17_600_000));
        let little = plan(&asked(Some(4 * 17_600_000 - 1))).unwrap();
        assert_eq!((little.recompute, little.memory_bytes), (true, 5_000_000 + 16_000 + 4_800_000));
        assert!(!plan(&asked(None)).unwrap().recompute);
        assert_eq!((much.steps_per_epoch, much.total_steps, much.warmup_steps), (3, 6, 1));
        assert_eq!((much.tokens, much.answer_tokens), (3300, 1980));
    }
}
