//! What a training run needs of a loaded model.

use super::control::Cancel;
use super::core::{Engine, Progress};
use super::load;
use super::pooled::PooledRun;
use super::protocol::{PcaRequest, TrainFrame, TrainPlan, TrainRequest, TrainSettings, Watch};
use crate::error::{Error, Result};
use crate::hub::catalogue;
use crate::model::act::Backend;
use crate::model::adapter::Adapter;
use crate::train::Job;
use crate::train::data::Dataset;
use crate::train::gradient::{GradientOptions, Sample};
use crate::train::lora::LoraParams;
use crate::train::record::ModelId;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

impl Engine {
    /// The model's name in a run's record: `reference` is what `--model` was given. `on` gets the bytes hashed and all
    /// bytes.
    ///
    /// # Errors
    /// Where the model's files cannot be read or have changed since they were loaded, or `on` says so.
    pub fn model_id(&self, reference: &str, on: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<ModelId> {
        let Some(sha256) = self.weights_hash(None, on)? else {
            crate::fail!(
                "{reference}: the model's files have changed since they were loaded; load the model again"
            )
        };
        let path = Path::new(reference);
        let whole = path.exists().then(|| std::path::absolute(path).ok()).flatten();
        let info = self.info();
        Ok(ModelId {
            name: info.name.clone(),
            reference: whole.map_or_else(|| reference.to_owned(), |p| p.display().to_string()),
            base: base(reference),
            sha256,
            dtype: info.dtype.clone(),
            kernels: crate::model::kernels::name().to_owned(),
            threads: info.threads,
            weight_bytes: info.weight_bytes,
        })
    }

    /// A run over this model, ready to begin or to go on.
    ///
    /// # Errors
    /// A model that is not on the CPU, settings that no run can have, an adapter that cannot be gone on from.
    pub fn training_job<'a>(
        &'a self,
        request: TrainRequest,
        dataset: &'a Dataset,
        model: ModelId,
    ) -> Result<Job<'a>> {
        if !matches!(self.decoder.backend, Backend::Cpu) {
            return Err(Error::usage(format!(
                "training runs on the CPU, and the model lies on {}; load it with --device cpu",
                self.info().device
            )));
        }
        Job::new(request, dataset, (&self.decoder, &self.pool), model, load::free_memory())
    }
}

/// How long one token of a gradient takes, by what decides it besides the machine.
#[derive(Default)]
pub(super) struct Paces(Mutex<Vec<(Key, f64)>>);

/// Adapted layers and samples a pass.
type Key = (Vec<String>, usize);

fn key(settings: &TrainSettings) -> Key {
    (settings.targets.clone(), settings.micro_batch)
}

/// A validation's forward pass beside a gradient's passes forward and back.
const FORWARD_SHARE: f64 = 0.45;

impl Engine {
    /// The run's samples, read and tokenised on the compute pool.
    ///
    /// # Errors
    /// As [`Dataset::read`].
    pub fn training_data(&self, request: &TrainRequest) -> Result<Dataset> {
        self.pool.install(|| Dataset::read(&request.data, &request.settings, self.tokenizer()))
    }

    /// What a run would be. With `measure` one pass is timed, where that was not done before, for an estimate.
    ///
    /// # Errors
    /// As [`Engine::training_job`]; cancellation.
    pub fn training_plan(
        &self,
        request: TrainRequest,
        dataset: &Dataset,
        measure: bool,
        cancel: &Cancel,
    ) -> Result<TrainPlan> {
        let settings = request.settings.clone();
        // A plan is no record of anything: the files' hash is not needed.
        let model = ModelId { weight_bytes: self.info().weight_bytes, ..ModelId::default() };
        let job = self.training_job(request, dataset, model)?;
        let mut seconds = self.known_pace(&settings);
        if measure && seconds.is_none() {
            let middle = dataset.train.len().saturating_sub(settings.micro_batch) / 2;
            let samples: Vec<Sample> =
                dataset.train.iter().skip(middle).take(settings.micro_batch).cloned().collect();
            let mut grads = vec![0.0; job.start.values.len()];
            let options = GradientOptions { recompute: job.plan.recompute, dropout: None };
            let began = Instant::now();
            let sums = job.gradient.gradient(&job.start, &samples, options, cancel, &mut grads)?;
            let pace = began.elapsed().as_secs_f64() / sums.tokens.max(1) as f64;
            let mut known = self.paces.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.push((key(&settings), pace));
            seconds = Some(pace);
        }
        let mut plan = job.plan;
        let left = plan.total_steps.saturating_sub(plan.done_steps);
        plan.estimate_s = seconds.map(|s| s * self.work_of(&plan, left));
        Ok(plan)
    }

    /// Seconds a token of a gradient, if they were measured.
    pub(super) fn known_pace(&self, settings: &TrainSettings) -> Option<f64> {
        let known = self.paces.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(settings);
        known.iter().find(|(k, _)| *k == key).map(|(_, pace)| *pace)
    }

    /// Tokens of `steps` steps and their validations, in tokens of a gradient.
    pub(super) fn work_of(&self, plan: &TrainPlan, steps: u64) -> f64 {
        let settings = &plan.settings;
        let mean = plan.tokens as f64 / plan.samples.max(1) as f64;
        let validations = (steps / settings.eval_steps.max(1) + 1) as f64;
        let held_out = validations * plan.held_out as f64 * mean * FORWARD_SHARE;
        steps as f64 * settings.batch_size.min(plan.samples) as f64 * mean + held_out
    }

    /// An adapter with the weights as they are now.
    ///
    /// # Errors
    /// As [`LoraParams::adapter`].
    pub(super) fn snapshot(&self, params: &LoraParams) -> Result<Arc<Adapter>> {
        params.adapter(&self.decoder).map(Arc::new)
    }

    /// The frame before a run's first step: what a watch asks for, of the base model.
    ///
    /// # Errors
    /// As [`Engine::lens`] and [`Engine::pca`].
    pub fn base_frame(&self, watch: &Watch, cancel: &Cancel, progress: Progress) -> Result<TrainFrame> {
        self.frame(watch, 0, None, cancel, progress)
    }

    /// Lens and PCA as a watch asks for them, of the base or of an adapter that is only for now. Adapters are projected
    /// with the base's fit, so that what moves between two frames has moved.
    ///
    /// # Errors
    /// As [`Engine::lens`] and [`Engine::pca`].
    pub(super) fn frame(
        &self,
        watch: &Watch,
        step: u64,
        adapter: Option<Arc<Adapter>>,
        cancel: &Cancel,
        progress: Progress,
    ) -> Result<TrainFrame> {
        let began = Instant::now();
        let base = adapter.is_none();
        let run = adapter.as_ref().map(|_| 0);
        let lens = watch.query.as_ref().map(|query| {
            let runs = vec![(run, adapter.clone())];
            self.lens_with(query, runs, watch.top.max(1), cancel, &mut |_| {}, false)
        });
        let lens = lens.transpose()?;
        let pca = watch.pca.as_ref().map(|request| {
            let request = PcaRequest { shared_fit: true, ..request.clone() };
            let mut runs = vec![PooledRun { id: None, adapter: None, lasting: true }];
            runs.extend(adapter.clone().map(|a| PooledRun { id: run, adapter: Some(a), lasting: false }));
            let mut answer = self.pca_of(&request, &runs, cancel, progress, None)?;
            answer.runs.retain(|r| r.run == run);
            Ok::<_, Error>(answer)
        });
        let pca = pca.transpose()?;
        if let Some(adapter) = &adapter {
            self.kv.forget(adapter);
        }
        let elapsed_ms = began.elapsed().as_secs_f64() * 1e3;
        Ok(TrainFrame { step, base, lens, pca, elapsed_ms })
    }
}

/// What PEFT loads the model by: the repository of a catalogue name (of a GGUF entry, that of the model in full
/// precision where the catalogue knows it), else the reference as it is.
fn base(reference: &str) -> String {
    let of = |name: &str| catalogue::find(name).and_then(|e| e.repository()).map(|(repo, _)| repo.to_owned());
    of(reference).or_else(|| of(&format!("{reference}-hf"))).unwrap_or_else(|| reference.to_owned())
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn peft_is_told_a_name_that_it_can_load() {
        assert_eq!(base("gemma-3-270m"), "google/gemma-3-270m");
        assert_eq!(base("mistral-7b-v0.1"), "mistralai/Mistral-7B-v0.1");
        assert_eq!(base("some/dir"), "some/dir");
    }
}
