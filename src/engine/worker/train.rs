//! A training run on its own lane: what steers it, and the frames that are computed while it goes on.

use super::{Shared, lock};
use crate::engine::control::Cancel;
use crate::engine::core::Engine;
use crate::engine::protocol::*;
use crate::engine::watching::Watching;
use crate::error::{Error, Result};
use crate::train::lora::LoraParams;
use crate::train::record::Record;
use crate::train::{self, Control, Hooks};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What is asked of the run that goes on, or waits.
pub(super) struct Steer {
    pub(super) job: JobId,
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default)]
struct Asked {
    paused: bool,
    save: bool,
    end: Option<Control>,
    /// Another watch than the request's.
    watch: Option<Option<Watch>>,
}

impl Steer {
    pub(super) fn new(job: JobId) -> Self {
        Self { job, asked: Mutex::default(), changed: Condvar::new() }
    }

    pub(super) fn act(&self, action: TrainAction) {
        let mut asked = lock(&self.asked);
        match action {
            TrainAction::Pause => asked.paused = true,
            TrainAction::Continue => asked.paused = false,
            TrainAction::Save => asked.save = true,
            TrainAction::StopAndSave => asked.end = Some(Control::StopAndSave),
            TrainAction::StopAndDiscard => asked.end = Some(Control::StopAndDiscard),
        }
        drop(asked);
        self.changed.notify_all();
    }

    pub(super) fn watch(&self, watch: Option<Watch>) {
        lock(&self.asked).watch = Some(watch);
    }
}

/// How often a paused run looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(100);

impl Shared {
    /// The run that goes on or waits to, if it is this job's.
    pub(super) fn steer(&self, job: JobId) -> Option<Arc<Steer>> {
        lock(&self.training).clone().filter(|s| s.job == job)
    }

    /// What a run would be, and how long it would take.
    pub(super) fn train_plan(&self, job: JobId, request: TrainRequest, cancel: &Cancel) -> Result<()> {
        let engine = self.need()?;
        if !request.resume {
            train::check_out(&request.out)?;
        }
        let request = whole(request)?;
        let mut progress = self.progress(job);
        progress("reading data", 0, 0, "");
        let data = engine.training_data(&request)?;
        cancel.check()?;
        let busy = lock(&self.training).is_some();
        let plan = engine.training_plan(request, &data, !busy, cancel)?;
        (self.sink)(Event::TrainPlanned { job, plan });
        Ok(())
    }

    pub(super) fn train(&self, job: JobId, request: TrainRequest, cancel: &Cancel) -> Result<()> {
        let Some(steer) = self.steer(job) else { return Err(Error::Interrupted) };
        let engine = self.need()?;
        let resume = request.resume;
        let request = whole(request)?;
        if !resume {
            train::check_out(&request.out)?;
        }
        let mut progress = self.progress(job);
        progress("reading data", 0, 0, "");
        let dataset = engine.training_data(&request)?;
        let reference = lock(&self.reference).clone();
        let model = engine.model_id(&reference, &mut |done, total| {
            progress("hashing the model's files", done, total, "bytes");
            cancel.check()
        })?;
        let watch = request.watch.clone();
        let seconds = engine.known_pace(&request.settings);
        let training = engine.training_job(request, &dataset, model)?;
        let mut hooks = Steered {
            shared: self,
            engine: &engine,
            steer: &steer,
            job,
            cancel,
            watching: Watching::new(watch, training.plan.total_steps),
            seconds,
        };
        let outcome = train::run(&training, cancel, &mut hooks)?;
        (self.sink)(Event::TrainDone { job, outcome });
        Ok(())
    }

    /// Forgets the run that has ended; whoever waits for its end hears of it.
    pub(super) fn train_ended(&self, job: JobId) {
        let mut training = lock(&self.training);
        if training.as_ref().is_some_and(|s| s.job == job) {
            *training = None;
        }
        drop(training);
        self.idle.notify_all();
    }

    /// Waits until the run has written its last checkpoint, for at most as long as that can take.
    pub(super) fn wait_for_training(&self) {
        let training = lock(&self.training);
        let waited = self.idle.wait_timeout_while(training, Duration::from_secs(20), |t| t.is_some());
        drop(waited);
    }
}

/// Of a run that goes on, the settings and data are its own.
fn whole(request: TrainRequest) -> Result<TrainRequest> {
    if !request.resume {
        return Ok(request);
    }
    let own = Record::read(&request.out)?.request(&request.out);
    Ok(TrainRequest { watch: request.watch, ..own })
}

/// The explorer's hold on a run.
struct Steered<'a> {
    shared: &'a Shared,
    engine: &'a Engine,
    steer: &'a Steer,
    job: JobId,
    cancel: &'a Cancel,
    watching: Watching,
    /// About how long the run takes, if that is known.
    seconds: Option<f64>,
}

impl Steered<'_> {
    fn tell(&self, event: Event) {
        (self.shared.sink)(event);
    }
}

impl Hooks for Steered<'_> {
    fn planned(&mut self, plan: &TrainPlan) {
        let mut plan = plan.clone();
        let left = plan.total_steps.saturating_sub(plan.done_steps);
        plan.estimate_s = self.seconds.map(|s| s * self.engine.work_of(&plan, left));
        self.tell(Event::TrainStarted { job: self.job, plan });
    }

    fn stepped(&mut self, step: &TrainStep) {
        self.tell(Event::TrainStep { job: self.job, step: *step });
    }

    fn validated(&mut self, step: u64, eval_loss: f64, best: bool) {
        self.tell(Event::TrainValidated { job: self.job, step, eval_loss, best });
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.tell(Event::TrainSaved { job: self.job, step, path: path.to_path_buf() });
    }

    fn note(&mut self, sentence: &str) {
        self.tell(Event::Note { job: self.job, sentence: sentence.into() });
    }

    fn watch(&mut self, step: u64, params: &LoraParams) -> Result<()> {
        if let Some(another) = lock(&self.steer.asked).watch.take() {
            self.watching.change(another);
        }
        let (shared, job) = (self.shared, self.job);
        let mut way = |_: &str, _: u64, _: u64, _: &str| shared.give_way();
        let on = &mut |frame| (shared.sink)(Event::TrainFrame { job, frame });
        if let Some(why) = self.watching.step(self.engine, (step, params), self.cancel, &mut way, on)? {
            self.note(&why);
        }
        Ok(())
    }

    fn control(&mut self) -> Control {
        self.shared.give_way();
        let mut asked = lock(&self.steer.asked);
        let mut told = false;
        while asked.paused && asked.end.is_none() && !self.cancel.is_cancelled() {
            if !told {
                self.tell(Event::TrainPaused { job: self.job, paused: true });
                told = true;
            }
            let waited = self.steer.changed.wait_timeout(asked, LOOK);
            asked = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if told {
            self.tell(Event::TrainPaused { job: self.job, paused: false });
        }
        match (asked.end, std::mem::take(&mut asked.save)) {
            (Some(end), _) => end,
            (None, true) => Control::Save,
            (None, false) => Control::Go,
        }
    }
}
