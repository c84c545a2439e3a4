//! A run of this program: what was asked, how far it is, how it ended.

use crate::engine::protocol::*;
use crate::train::log::LogRecord;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Steps whose mean is called the loss at the beginning.
const FIRST: u64 = 5;

/// What a run is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Phase {
    /// Data are read, memory is taken.
    #[default]
    Reading,
    Running,
    /// Asked to pause; the running step is finished first.
    Pausing,
    Paused,
    /// Asked to stop: the adapter is being written.
    Stopping,
    /// Asked to stop and to remove what was written.
    Discarding,
    Ended(Ending),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    Done(TrainOutcome),
    Failed(String),
    Cancelled,
}

/// A run of this program.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub job: JobId,
    pub request: TrainRequest,
    pub phase: Phase,
    pub plan: Option<TrainPlan>,
    pub step: Option<TrainStep>,
    /// What is read before the first step: stage, done, total, unit.
    pub reading: Option<(String, u64, u64, String)>,
    /// A checkpoint was asked for and is not written yet.
    pub saving: bool,
    /// The last checkpoint: its step and place.
    pub saved: Option<(u64, PathBuf)>,
    /// Sum and number of the first losses.
    first: (f64, u64),
    pub first_eval: Option<(u64, f64)>,
    pub last_eval: Option<(u64, f64)>,
    pub best: Option<(u64, f64)>,
    /// When something was last heard of it.
    pub heard: Duration,
    pub since: Duration,
}

impl Run {
    /// A run that is asked for at `now`.
    pub fn new(job: JobId, request: TrainRequest, now: Duration) -> Self {
        Self { job, request, heard: now, since: now, ..Self::default() }
    }

    /// Whether it goes on.
    pub fn active(&self) -> bool {
        !matches!(self.phase, Phase::Ended(_))
    }

    /// Whether it is at something that takes a moment, between its steps.
    pub fn waits(&self) -> bool {
        self.saving || !matches!(self.phase, Phase::Running | Phase::Paused | Phase::Ended(_))
    }

    /// Its directory.
    pub fn out(&self) -> &Path {
        match (&self.phase, &self.plan) {
            (Phase::Ended(Ending::Done(outcome)), _) if !outcome.path.as_os_str().is_empty() => &outcome.path,
            (_, Some(plan)) if !plan.out.as_os_str().is_empty() => &plan.out,
            _ => &self.request.out,
        }
    }

    /// The adapter that it has made, once it has ended with one.
    pub fn adapter(&self) -> Option<&Path> {
        match &self.phase {
            Phase::Ended(Ending::Done(o)) if o.end != TrainEnd::Discarded => Some(&o.path),
            _ => None,
        }
    }

    /// Whether it can go on from what it has written.
    pub fn resumable(&self) -> bool {
        match &self.phase {
            Phase::Ended(Ending::Done(o)) => o.end == TrainEnd::Stopped && o.steps < o.total_steps,
            Phase::Ended(_) => self.saved.is_some() || self.request.resume,
            _ => false,
        }
    }

    /// Steps of the whole run, once they are known.
    pub fn total(&self) -> Option<u64> {
        self.plan.as_ref().map(|p| p.total_steps).filter(|t| *t > 0)
    }

    /// The share that is done, 0..=1.
    pub fn done(&self) -> Option<f64> {
        let steps = self.step.map(|s| s.step).or(self.plan.as_ref().map(|p| p.done_steps))?;
        Some((steps as f64 / self.total()? as f64).clamp(0.0, 1.0))
    }

    /// Seconds left, as last said.
    pub fn left(&self) -> Option<f64> {
        let said = self.step.map(|s| s.remaining_s).or(self.plan.as_ref().and_then(|p| p.estimate_s));
        said.filter(|s| s.is_finite() && self.active())
    }

    /// Mean loss of its first steps.
    pub fn first_loss(&self) -> Option<f64> {
        (self.first.1 > 0).then(|| self.first.0 / self.first.1 as f64)
    }

    /// Whether an event is about it.
    pub fn owns(&self, event: &Event) -> bool {
        job_of(event) == Some(self.job)
    }

    /// Takes an event in; returns the record that it means for the curves.
    pub fn on_event(&mut self, event: &Event, now: Duration) -> Option<LogRecord> {
        if !self.owns(event) || !self.active() {
            return None;
        }
        self.heard = now;
        match event {
            Event::Progress { stage, done, total, unit, .. } => {
                self.reading = Some((stage.clone(), *done, *total, unit.clone()));
            }
            Event::TrainStarted { plan, .. } => {
                self.plan = Some(plan.clone());
                self.begin();
            }
            Event::TrainStep { step, .. } => return Some(self.take(step)),
            Event::TrainValidated { step, eval_loss, best, .. } => {
                self.first_eval.get_or_insert((*step, *eval_loss));
                self.last_eval = Some((*step, *eval_loss));
                if *best {
                    self.best = Some((*step, *eval_loss));
                }
                let (step, eval_loss) = (Some(*step as f64), Some(*eval_loss));
                return Some(LogRecord { step, eval_loss, ..LogRecord::default() });
            }
            Event::TrainSaved { step, path, .. } => {
                self.saving = false;
                self.saved = Some((*step, path.clone()));
            }
            Event::TrainPaused { paused, .. } => match (paused, &self.phase) {
                (_, Phase::Stopping | Phase::Discarding) => {}
                (true, _) => self.phase = Phase::Paused,
                (false, _) => self.phase = Phase::Running,
            },
            Event::TrainDone { outcome, .. } => self.end(Ending::Done(outcome.clone())),
            Event::Failed { message, .. } => self.end(Ending::Failed(message.clone())),
            Event::Cancelled { .. } => self.end(Ending::Cancelled),
            _ => {}
        }
        None
    }

    fn begin(&mut self) {
        if self.phase == Phase::Reading {
            self.phase = Phase::Running;
        }
        self.reading = None;
    }

    fn end(&mut self, ending: Ending) {
        (self.phase, self.saving, self.reading) = (Phase::Ended(ending), false, None);
    }

    fn take(&mut self, step: &TrainStep) -> LogRecord {
        self.begin();
        if self.first.1 < FIRST && step.loss.is_finite() {
            self.first = (self.first.0 + step.loss, self.first.1 + 1);
        }
        self.step = Some(*step);
        let known = |x: f64| Some(x).filter(|x| x.is_finite());
        LogRecord {
            step: Some(step.step as f64),
            total_steps: self.total().map(|t| t as f64),
            loss: Some(step.loss),
            lr: known(step.lr),
            grad_norm: known(step.grad_norm),
            epoch: known(step.epoch),
            percentage: self.done().map(|d| 100.0 * d),
            elapsed_s: known(step.elapsed_s),
            remaining_s: known(step.remaining_s),
            throughput: known(step.tokens_per_s),
            total_tokens: Some(step.total_tokens as f64).filter(|n| *n > 0.0),
            ..LogRecord::default()
        }
    }
}

/// The job that an event of training, or a general one, is about.
pub fn job_of(event: &Event) -> Option<JobId> {
    match event {
        Event::Progress { job, .. }
        | Event::TrainPlanned { job, .. }
        | Event::TrainStarted { job, .. }
        | Event::TrainStep { job, .. }
        | Event::TrainValidated { job, .. }
        | Event::TrainSaved { job, .. }
        | Event::TrainPaused { job, .. }
        | Event::TrainFrame { job, .. }
        | Event::TrainDone { job, .. }
        | Event::Failed { job, .. }
        | Event::Cancelled { job } => Some(*job),
        _ => None,
    }
}
