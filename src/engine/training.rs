//! What a training run needs of a loaded model.

use super::core::Engine;
use super::load;
use super::protocol::TrainRequest;
use crate::error::{Error, Result};
use crate::hub::catalogue;
use crate::model::act::Backend;
use crate::train::Job;
use crate::train::data::Dataset;
use crate::train::record::ModelId;
use std::path::Path;

impl Engine {
    /// The model's name in a run's record: `reference` is what `--model` was given. `on` gets the bytes hashed and all
    /// bytes.
    ///
    /// # Errors
    /// Where the model's files cannot be read or have changed since they were loaded, or `on` says so.
    pub fn model_id(&self, reference: &str, on: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<ModelId> {
        let cache = load::cache_root().map(|root| root.join("hashes"));
        let hash = self.files.as_ref().map(|files| files.hash(cache.as_deref(), on)).transpose()?.flatten();
        let Some(sha256) = hash else {
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
