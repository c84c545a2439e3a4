//! The model's life: found, offered, fetched, loaded, replaced; and its adapters.

use super::messages::Messages;
use super::shared::{Adapter, Effect, Jobs, Shared};
use super::text::bytes;
use crate::engine::protocol::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A model of the catalogue as its picker shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueEntry {
    pub name: String,
    /// Architecture, size, licence in a few words.
    pub summary: String,
    /// Bytes that fetching it takes; 0 = not known before asking the hub.
    pub download: u64,
    pub cached: bool,
}

/// What looking for a model found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// On this machine.
    Here,
    /// To be fetched: from where, and how many bytes (0 = unknown).
    Fetchable { from: String, bytes: u64 },
}

/// Where the model stands. Once one is loaded, `Shared::model` holds it whatever the stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    #[default]
    Idle,
    /// Looking whether it is in the cache.
    Looking {
        name: String,
    },
    /// Not in the cache: what would be fetched. Enter fetches.
    Offer {
        name: String,
        from: String,
        bytes: u64,
    },
    Fetching {
        job: JobId,
        name: String,
    },
    Loading {
        job: JobId,
        name: String,
    },
    /// It could not be found, fetched or loaded. `job` is kept for nothing but the retry.
    Failed {
        name: String,
        message: String,
    },
}

impl Stage {
    /// An offer to fetch, as a sentence.
    pub fn offer(&self) -> Option<String> {
        let Self::Offer { name, from, bytes: size } = self else { return None };
        let size = if *size > 0 { format!("{} ", bytes(*size)) } else { String::new() };
        Some(format!("{name} is not on this machine yet: F fetches {size}from {from}."))
    }
}

/// What is being done and how far it is, for the status line.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub job: JobId,
    pub stage: String,
    pub done: u64,
    pub total: u64,
    pub unit: String,
    pub since: Duration,
    /// What was done already at that time: kept from before, or fetched.
    pub from: u64,
}

impl Work {
    /// The share done, in 0..=1, where the total is known.
    pub fn ratio(&self) -> Option<f64> {
        (self.total > 0).then(|| (self.done as f64 / self.total as f64).clamp(0.0, 1.0))
    }

    /// Time left at the rate so far; `None` until it can be said.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        let spent = now.saturating_sub(self.since).as_secs_f64();
        self.ratio()?;
        let (done, left) = (self.done.checked_sub(self.from)?, self.total.saturating_sub(self.done));
        let enough = spent > 1.0 && done as f64 > 0.005 * (done + left) as f64;
        enough.then(|| Duration::from_secs_f64(spent * left as f64 / done as f64))
    }

    /// "12 of 40 items", "85 MB of 241 MB".
    pub fn amount(&self) -> String {
        match (self.unit.as_str(), self.total) {
            ("bytes", 0) => bytes(self.done),
            ("bytes", total) => format!("{} of {}", bytes(self.done), bytes(total)),
            (unit, 0) => format!("{} {unit}", self.done),
            (unit, total) => format!("{} of {total} {unit}", self.done),
        }
    }
}

/// Choices of the command line that hold for every load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub dtype: DType,
    pub device: DeviceChoice,
    pub threads: usize,
}

/// The model's stage, running work, and adapters that wait.
#[derive(Clone, Debug, Default)]
pub struct ModelState {
    pub stage: Stage,
    pub settings: Settings,
    pub catalogue: Vec<CatalogueEntry>,
    pub works: Vec<Work>,
    /// Adapters to load once the model is there.
    pub pending: Vec<String>,
    /// Adapters being loaded.
    adapter_jobs: Vec<(JobId, String)>,
}

/// What happened to the model or its adapters, for the rest of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// Another model: everything computed belongs to the old one.
    Model,
    /// The runs changed.
    Adapters,
}

impl ModelState {
    /// Nothing loaded; `pending` adapters are loaded once a model is.
    pub fn new(settings: Settings, pending: Vec<String>) -> Self {
        Self { settings, pending, ..Self::default() }
    }

    /// Starts over with that model: looks for it first.
    pub fn choose(&mut self, name: &str, effects: &mut Vec<Effect>) {
        self.stage = Stage::Looking { name: name.to_owned() };
        effects.push(Effect::FindModel(name.to_owned()));
    }

    /// The answer to looking.
    pub fn found(
        &mut self,
        name: &str,
        found: Result<Found, String>,
        jobs: &mut Jobs,
        out: &mut Vec<Effect>,
    ) {
        if self.stage != (Stage::Looking { name: name.to_owned() }) {
            return;
        }
        let name = name.to_owned();
        match found {
            Ok(Found::Here) => self.load(name, jobs, out),
            Ok(Found::Fetchable { from, bytes }) => self.stage = Stage::Offer { name, from, bytes },
            Err(message) => self.stage = Stage::Failed { name, message },
        }
    }

    /// Fetches what is offered, or tries again what failed. False if there is nothing to do.
    pub fn fetch(&mut self, jobs: &mut Jobs, effects: &mut Vec<Effect>) -> bool {
        match std::mem::take(&mut self.stage) {
            Stage::Offer { name, .. } => {
                let job = jobs.issue();
                effects.push(Effect::Engine(Command::Pull { job, name: name.clone() }));
                self.stage = Stage::Fetching { job, name };
            }
            Stage::Failed { name, .. } => self.choose(&name, effects),
            other => {
                self.stage = other;
                return false;
            }
        }
        true
    }

    fn load(&mut self, name: String, jobs: &mut Jobs, effects: &mut Vec<Effect>) {
        let job = jobs.issue();
        let Settings { dtype, device, threads } = self.settings.clone();
        effects.push(Effect::Engine(Command::LoadModel { job, model: name.clone(), dtype, device, threads }));
        self.stage = Stage::Loading { job, name };
    }

    /// Loads an adapter, or keeps it until the model is there.
    pub fn add_adapter(&mut self, adapter: &str, ready: bool, jobs: &mut Jobs, effects: &mut Vec<Effect>) {
        let adapter = adapter.to_owned();
        if !ready {
            self.pending.push(adapter);
            return;
        }
        let job = jobs.issue();
        self.adapter_jobs.push((job, adapter.clone()));
        effects.push(Effect::Engine(Command::LoadAdapter { job, adapter }));
    }

    /// Waits for a model that somebody else asked for; its adapters are asked for by them too.
    pub fn expect(&mut self, job: JobId, name: &str) {
        self.pending.clear();
        self.stage = Stage::Loading { job, name: name.to_owned() };
    }

    /// Waits for an adapter that somebody else asked for.
    pub fn expect_adapter(&mut self, job: JobId, adapter: &str) {
        self.adapter_jobs.push((job, adapter.to_owned()));
    }

    /// Whether adapters are being loaded or wait for the model.
    pub fn awaits_adapters(&self) -> bool {
        !self.adapter_jobs.is_empty() || !self.pending.is_empty()
    }

    /// The job that Cancel means, if the model has one.
    pub fn job(&self) -> Option<JobId> {
        match self.stage {
            Stage::Fetching { job, .. } | Stage::Loading { job, .. } => Some(job),
            _ => self.adapter_jobs.last().map(|(job, _)| *job),
        }
    }

    /// The model that will take the place of the one in use as soon as it can.
    pub fn coming(&self) -> Option<String> {
        match &self.stage {
            Stage::Looking { name } | Stage::Fetching { name, .. } | Stage::Loading { name, .. } => {
                Some(name.clone())
            }
            _ => None,
        }
    }

    /// The work to show: the newest.
    pub fn work(&self) -> Option<&Work> {
        self.works.last()
    }

    fn progress(&mut self, work: Work) {
        match self.works.iter_mut().find(|w| w.job == work.job) {
            // A new stage has a rate of its own, unless it goes on with the same count.
            Some(w) if w.stage != work.stage && (&w.unit, w.total) != (&work.unit, work.total) => *w = work,
            Some(w) => *w = Work { since: w.since, from: w.from, ..work },
            None => self.works.push(work),
        }
    }

    /// An engine event, as far as model and adapters are meant.
    pub fn on_event(
        &mut self,
        event: &Event,
        now: Duration,
        shared: &mut Shared,
        jobs: &mut Jobs,
        messages: &mut Messages,
        out: &mut Vec<Effect>,
    ) -> Change {
        self.finish_work(event);
        match event {
            Event::Progress { job, stage, done, total, unit } => {
                let (stage, unit) = (stage.clone(), unit.clone());
                let (job, done, total) = (*job, *done, *total);
                self.progress(Work { job, stage, done, total, unit, since: now, from: done });
                Change::Nothing
            }
            Event::PullDone { job, name, .. } if self.is(*job) => {
                messages.info(format!("{name} is in the cache."), now);
                self.load(name.clone(), jobs, out);
                Change::Nothing
            }
            Event::ModelLoaded { job, info } if self.is(*job) => {
                self.stage = Stage::Idle;
                shared.model = Some(info.clone());
                if !shared.adapters.is_empty() {
                    messages.warn(format!(
                        "The adapters belonged to the model before and are no longer loaded: a loads some for {}.",
                        info.name
                    ));
                }
                shared.adapters.clear();
                (shared.tokens, shared.sets) = (Vec::new(), TokenSets::default());
                self.adapter_jobs.clear();
                if !info.notes.is_empty() {
                    messages.info(info.notes.join(" "), now);
                }
                for adapter in std::mem::take(&mut self.pending) {
                    self.add_adapter(&adapter, true, jobs, out);
                }
                Change::Model
            }
            Event::AdapterLoaded { job, index, info } => {
                self.adapter_loaded(*job, *index, info, now, shared, messages)
            }
            Event::Failed { job, message } => {
                self.failed(*job, message, shared, messages);
                Change::Nothing
            }
            Event::Cancelled { job } => {
                self.cancelled(*job, now, messages);
                Change::Nothing
            }
            _ => Change::Nothing,
        }
    }

    fn adapter_loaded(
        &mut self,
        job: JobId,
        index: usize,
        info: &AdapterInfo,
        now: Duration,
        shared: &mut Shared,
        messages: &mut Messages,
    ) -> Change {
        if !self.adapter_jobs.iter().any(|(j, _)| *j == job) {
            return Change::Nothing;
        }
        self.adapter_jobs.retain(|(j, _)| *j != job);
        shared.adapters.retain(|a| a.number != index);
        shared.adapters.push(Adapter { number: index, info: info.clone(), shown: true });
        messages.info(proof(info), now);
        Change::Adapters
    }

    fn failed(&mut self, job: JobId, message: &str, shared: &Shared, messages: &mut Messages) {
        let stage_name = match &self.stage {
            Stage::Fetching { job: j, name } | Stage::Loading { job: j, name } if *j == job => {
                Some(name.clone())
            }
            _ => None,
        };
        if let Some(name) = stage_name {
            // Without a model the card in the panes says it; with one, the old one stays in use.
            if shared.model.is_some() {
                messages.error(message);
                self.stage = Stage::Idle;
            } else {
                self.stage = Stage::Failed { name, message: message.to_owned() };
            }
        } else if self.adapter_jobs.iter().any(|(j, _)| *j == job) {
            self.adapter_jobs.retain(|(j, _)| *j != job);
            messages.error(message);
        }
    }

    fn cancelled(&mut self, job: JobId, now: Duration, messages: &mut Messages) {
        if self.is(job) {
            let stage = std::mem::take(&mut self.stage);
            if let Stage::Fetching { name, .. } | Stage::Loading { name, .. } = stage {
                messages.info(format!("{name}: cancelled."), now);
                let message = "Cancelled; what was fetched so far is kept.".to_owned();
                self.stage = Stage::Failed { name, message };
            }
        }
        self.adapter_jobs.retain(|(j, _)| *j != job);
    }

    fn is(&self, id: JobId) -> bool {
        matches!(&self.stage, Stage::Fetching { job, .. } | Stage::Loading { job, .. } if *job == id)
    }

    fn finish_work(&mut self, event: &Event) {
        let ended = match event {
            Event::ModelLoaded { job, .. }
            | Event::AdapterLoaded { job, .. }
            | Event::LensDone { job, .. }
            | Event::PcaReady { job, complete: true, .. }
            | Event::CurvesReady { job, .. }
            | Event::EvalDone { job, .. }
            | Event::PullDone { job, .. }
            | Event::TrainDone { job, .. }
            | Event::Failed { job, .. }
            | Event::Cancelled { job } => *job,
            _ => return,
        };
        self.works.retain(|w| w.job != ended);
    }
}

/// The proof that an adapter is applied, in a sentence.
pub fn proof(info: &AdapterInfo) -> String {
    let norm = info.delta_norms.iter().map(|n| n * n).sum::<f32>().sqrt();
    format!(
        "Adapter {}: {} tensors matched, rank {}, |ΔW| {norm:.3}, largest change of a probe logit {:.3}.",
        info.name, info.keys_matched, info.rank, info.probe_change
    )
}
