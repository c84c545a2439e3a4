//! A run as it is handed over: data, weights, gradient; and who watches it.

use super::data::Dataset;
use super::gradient::{self, GradientOptions, Sample, Sums};
use super::lora::{self, LoraParams};
use super::plan::{Asked, Shape, plan};
use super::record::ModelId;
use crate::engine::control::Cancel;
use crate::engine::protocol::{TrainPlan, TrainRequest, TrainStep};
use crate::error::Result;
use crate::model::decoder::Decoder;
use rayon::ThreadPool;
use std::path::Path;

/// Where gradients come from.
pub trait Gradient: Sync {
    /// As [`gradient::gradient`].
    ///
    /// # Errors
    /// As there.
    fn gradient(
        &self,
        params: &LoraParams,
        samples: &[Sample],
        options: GradientOptions,
        cancel: &Cancel,
        grads: &mut [f32],
    ) -> Result<Sums>;

    /// As [`gradient::loss`].
    ///
    /// # Errors
    /// As there.
    fn loss(&self, params: &LoraParams, samples: &[Sample], cancel: &Cancel) -> Result<Sums>;
}

/// A decoder's, computed on a pool.
pub struct OfDecoder<'a> {
    pub decoder: &'a Decoder,
    pub pool: &'a ThreadPool,
}

impl Gradient for OfDecoder<'_> {
    fn gradient(
        &self,
        params: &LoraParams,
        samples: &[Sample],
        options: GradientOptions,
        cancel: &Cancel,
        grads: &mut [f32],
    ) -> Result<Sums> {
        self.pool.install(|| gradient::gradient(self.decoder, params, samples, options, cancel, grads))
    }

    fn loss(&self, params: &LoraParams, samples: &[Sample], cancel: &Cancel) -> Result<Sums> {
        self.pool.install(|| gradient::loss(self.decoder, params, samples, cancel))
    }
}

/// What a run is to do next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Control {
    #[default]
    Go,
    /// Write a checkpoint after this step.
    Save,
    /// Stop after this step; the adapter as it is then is the result.
    StopAndSave,
    /// Stop at once and remove what the run has written.
    StopAndDiscard,
}

/// Whoever watches a run and steers it.
pub trait Hooks {
    /// Before the first step.
    fn planned(&mut self, _plan: &TrainPlan) {}
    /// After every step.
    fn stepped(&mut self, _step: &TrainStep) {}
    /// After a validation; `best` where its loss is the least so far.
    fn validated(&mut self, _step: u64, _eval_loss: f64, _best: bool) {}
    /// After a checkpoint was written.
    fn saved(&mut self, _step: u64, _path: &Path) {}
    /// Something the user should know; the run goes on.
    fn note(&mut self, _sentence: &str) {}
    /// Before the first step (with the steps done before, 0 for a new run) and after every step, with the weights as
    /// they are. Its time is not counted in tokens a second.
    ///
    /// # Errors
    /// End the run as an error of its own does; Interrupted as a raised flag does.
    fn watch(&mut self, _step: u64, _params: &LoraParams) -> Result<()> {
        Ok(())
    }
    /// Asked between passes. It may block, which is a pause: a raised cancel flag must end it.
    fn control(&mut self) -> Control {
        Control::Go
    }
}

/// Watches nothing.
pub struct NoHooks;

impl Hooks for NoHooks {}

/// A run, ready to begin or to go on.
pub struct Job<'a> {
    /// Of a resumed run: what [`super::record::Record::request`] says.
    pub request: TrainRequest,
    pub dataset: &'a Dataset,
    /// Before the first step of the whole run.
    pub start: LoraParams,
    pub gradient: Box<dyn Gradient + 'a>,
    pub model: ModelId,
    pub plan: TrainPlan,
}

impl<'a> Job<'a> {
    /// Over a decoder. Where the request begins from an adapter, rank, alpha and targets are the adapter's.
    ///
    /// # Errors
    /// Settings that no run can have; an adapter that cannot be gone on from.
    pub fn new(
        mut request: TrainRequest,
        dataset: &'a Dataset,
        (decoder, pool): (&'a Decoder, &'a ThreadPool),
        model: ModelId,
        free_memory: Option<u64>,
    ) -> Result<Self> {
        super::schedule::check(&request.settings)?;
        let start = start(&mut request, decoder)?;
        let asked = Asked {
            request: &request,
            dataset,
            shape: Shape::of(decoder),
            parameters: start.values.len(),
            weight_bytes: model.weight_bytes,
            free_memory,
        };
        let mut plan = plan(&asked)?;
        if request.resume {
            plan.done_steps = super::begin::done_steps(&request.out);
        }
        let gradient = Box::new(OfDecoder { decoder, pool });
        Ok(Self { request, dataset, start, gradient, model, plan })
    }
}

fn start(request: &mut TrainRequest, decoder: &Decoder) -> Result<LoraParams> {
    let settings = &mut request.settings;
    if let Some(dir) = &request.init_adapter {
        let params = LoraParams::load(dir, decoder)?;
        (settings.rank, settings.alpha) = (params.rank, params.alpha);
        settings.targets = params.targets().iter().map(|p| p.module().to_owned()).collect();
        return Ok(params);
    }
    let targets = lora::targets(&settings.targets)?;
    LoraParams::fresh(decoder, settings.rank, settings.alpha, &targets, settings.seed)
}
