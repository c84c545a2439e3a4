//! `training.json`: what a run is. With it and a checkpoint the run goes on anywhere.

use super::data::{DataFile, Dataset};
use super::durable;
use super::lora::LoraParams;
use crate::engine::protocol::{TrainData, TrainEnd, TrainOutcome, TrainRequest, TrainSettings};
use crate::error::{Context, Error, Result};
use crate::model::format::bytes_of;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Its name in the run's directory.
pub const FILE: &str = "training.json";
const SCHEMA: &str = "polylens.training/1";

/// The model that a run trains over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelId {
    /// To show.
    pub name: String,
    /// What `--model` takes; a path is absolute.
    pub reference: String,
    /// PEFT's `base_model_name_or_path`.
    pub base: String,
    /// One hash over the files' names and contents; empty where it is not known.
    pub sha256: String,
    /// Number format in memory.
    pub dtype: String,
    /// Instruction set of the kernels, and threads: with others the sums' last bits may differ.
    pub kernels: String,
    pub threads: usize,
    /// Bytes of the weights in memory.
    pub weight_bytes: u64,
}

/// What decides a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    schema: String,
    /// Version of the program that began it.
    pub polylens: String,
    pub model: ModelId,
    pub settings: TrainSettings,
    /// With absolute paths.
    pub data: Vec<TrainData>,
    /// The files with their hashes and rows.
    pub files: Vec<DataFile>,
    pub samples: usize,
    pub held_out: usize,
    pub init_adapter: Option<PathBuf>,
    /// Of the weights before the first step.
    pub start_sha256: String,
    /// How it ended; `None` while it goes on or can go on.
    pub outcome: Option<TrainOutcome>,
}

impl Record {
    /// Of a run that is asked for.
    ///
    /// # Errors
    /// Where the current directory is not known.
    pub fn new(
        request: &TrainRequest,
        dataset: &Dataset,
        start: &LoraParams,
        model: &ModelId,
    ) -> Result<Self> {
        let whole = |path: &Path| {
            std::path::absolute(path).with_context(|| format!("{} cannot be resolved", path.display()))
        };
        let data = request.data.iter().map(|data| {
            Ok(match data {
                TrainData::File { lang, path } => TrainData::File { lang: lang.clone(), path: whole(path)? },
                other @ TrainData::Task { .. } => other.clone(),
            })
        });
        Ok(Self {
            schema: SCHEMA.into(),
            polylens: env!("CARGO_PKG_VERSION").into(),
            model: model.clone(),
            settings: request.settings.clone(),
            data: data.collect::<Result<_>>()?,
            files: dataset.files.clone(),
            samples: dataset.train.len(),
            held_out: dataset.held_out.len(),
            init_adapter: request.init_adapter.as_deref().map(whole).transpose()?,
            start_sha256: durable::sha256(bytes_of(&start.values)),
            outcome: None,
        })
    }

    /// Reads the record of the run in `out`.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is none; [`Error::Failed`] for a damaged one.
    pub fn read(out: &Path) -> Result<Self> {
        let path = out.join(FILE);
        let shown = path.display();
        if !path.is_file() {
            return Err(Error::usage(format!(
                "{}: holds no run (there is no {FILE}); --resume takes the --out of a run that was begun",
                out.display()
            )));
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("{shown} cannot be read"))?;
        let record: Self =
            serde_json::from_str(&text).map_err(|e| Error::failed(format!("{shown} is damaged ({e})")))?;
        if record.schema != SCHEMA {
            crate::fail!(
                "{shown} has schema {:?}, {SCHEMA} is read; another version wrote it",
                record.schema
            );
        }
        Ok(record)
    }

    /// Writes it into the run's directory.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, out: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("the run's settings cannot be written")?;
        durable::write(out, FILE, format!("{text}\n").as_bytes())
    }

    /// The request that goes on with the run in `out`.
    pub fn request(&self, out: &Path) -> TrainRequest {
        TrainRequest {
            settings: self.settings.clone(),
            data: self.data.clone(),
            out: out.to_owned(),
            init_adapter: self.init_adapter.clone(),
            resume: true,
            watch: None,
        }
    }

    /// Whether there is nothing left to go on with.
    pub fn is_finished(&self) -> bool {
        self.outcome.as_ref().is_some_and(|o| matches!(o.end, TrainEnd::Finished | TrainEnd::Early))
    }

    /// Refuses to go on with anything else than what the run was begun with. Returns what may differ in the last bits.
    ///
    /// # Errors
    /// Other data, another model, another start: named.
    pub fn check(&self, now: &Self, out: &Path) -> Result<Vec<String>> {
        let shown = out.display();
        for (then, now) in self.files.iter().zip(&now.files) {
            if then.sha256 != now.sha256 {
                crate::fail!(
                    "{shown}: cannot go on: {} is not the file that the run was begun with (SHA-256 {}… then, {}… now); \
                     put it back, or begin another run",
                    now.name,
                    &then.sha256.get(..12).unwrap_or_default(),
                    &now.sha256.get(..12).unwrap_or_default()
                );
            }
        }
        let counts = |r: &Self| (r.files.len(), r.samples, r.held_out);
        if counts(self) != counts(now) {
            crate::fail!(
                "{shown}: cannot go on: the run was begun with {} files, {} samples and {} held out, now there are {:?}",
                self.files.len(),
                self.samples,
                self.held_out,
                counts(now)
            );
        }
        let (then, is) = (&self.model, &now.model);
        if then.sha256 != is.sha256 || then.dtype != is.dtype {
            let what = if then.dtype == is.dtype { "other weights" } else { "another number format" };
            crate::fail!(
                "{shown}: cannot go on: the run was begun over {} ({}), and {} ({}) has {what}; give --model {} --dtype {}",
                then.name,
                then.dtype,
                is.name,
                is.dtype,
                then.reference,
                dtype(&then.dtype)
            );
        }
        if self.start_sha256 != now.start_sha256 {
            crate::fail!(
                "{shown}: cannot go on: the weights that the run began from are not the same any more{}",
                self.init_adapter.as_ref().map_or_else(
                    || " (another version of polylens draws them otherwise)".to_owned(),
                    |dir| format!("; put {} back as it was", dir.display())
                )
            );
        }
        let mut notes = Vec::new();
        if (then.threads, &then.kernels) != (is.threads, &is.kernels) {
            notes.push(format!(
                "the run was begun with {} threads and {} kernels, it goes on with {} and {}: the weights may differ in \
                 their last bits from those of an uninterrupted run",
                then.threads, then.kernels, is.threads, is.kernels
            ));
        }
        Ok(notes)
    }
}

/// What `--dtype` takes, for a number format as it is shown.
pub fn dtype(shown: &str) -> &str {
    if ["f32", "f16", "bf16"].contains(&shown) { shown } else { "native" }
}
