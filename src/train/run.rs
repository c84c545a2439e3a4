//! The loop of a run: passes, updates, and what becomes of errors.

mod due;

use super::begin::{self, Begun};
use super::checkpoint::State;
use super::clock::{Clock, memory};
use super::data;
use super::finish;
use super::gradient::{GradientOptions, Sample, Sums};
use super::job::{Control, Hooks, Job};
use super::log::LOG_FILE;
use super::optimiser;
use super::record::Record;
use super::schedule::Steps;
use crate::engine::control::Cancel;
use crate::engine::protocol::{TrainEnd, TrainOutcome, TrainStep};
use crate::error::{Context, Error, Result};
use crate::geometry::random::SplitMix64;
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::time::Instant;

/// Trains from the beginning, or from the last good checkpoint of the run in `out`, to the end.
///
/// A finished run that is resumed gives its outcome again. Everything that decides the weights is derived from seed and
/// step, so that a run that was stopped, by whatever, ends in the same weights as one that was not.
///
/// # Errors
/// What `begin` refuses; a loss, gradient or weight that is not finite; what cannot be written; what the
/// gradient says. The last good checkpoint is intact and named then. [`Error::Interrupted`] once the flag is raised: the
/// state after the last complete step is saved before.
pub fn run(job: &Job, cancel: &Cancel, hooks: &mut dyn Hooks) -> Result<TrainOutcome> {
    let Begun { record, state, from, lock } = begin::begin(job, hooks)?;
    if record.is_finished()
        && let Some(outcome) = record.outcome
    {
        return Ok(outcome);
    }
    let mut plan = job.plan.clone();
    plan.done_steps = state.progress.step;
    hooks.planned(&plan);
    let mut trainer = Trainer::new(job, (record, state, from), cancel, hooks)?;
    let ended = match trainer.drive() {
        Ok(end) => finish::finish(&mut trainer, end).map_err(|e| trainer.named(e)),
        Err(Error::Interrupted) => trainer.interrupted(),
        Err(e) => Err(trainer.named(e)),
    };
    // Other processes were kept out until here.
    drop(lock);
    ended
}

/// How a part of a step ended.
enum Flow {
    On,
    Discard,
}

/// A run that goes on.
pub(super) struct Trainer<'a> {
    pub job: &'a Job<'a>,
    pub record: Record,
    pub steps: Steps,
    pub state: State,
    pub clock: Clock,
    pub hooks: &'a mut dyn Hooks,
    cancel: &'a Cancel,
    log: File,
    grads: Vec<f32>,
    /// An epoch and its order.
    order: (u64, Vec<usize>),
    /// Whether there is something that no checkpoint holds yet.
    unsaved: bool,
    last_good: Option<PathBuf>,
    save: bool,
    stop: bool,
    /// Rate and gradient norm of the last step.
    last: (f64, f64),
}

impl<'a> Trainer<'a> {
    fn new(
        job: &'a Job<'a>,
        (record, state, from): (Record, State, Option<PathBuf>),
        cancel: &'a Cancel,
        hooks: &'a mut dyn Hooks,
    ) -> Result<Self> {
        let path = job.request.out.join(LOG_FILE);
        let log = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Self {
            job,
            record,
            steps: Steps::new(&job.request.settings, job.dataset.train.len())?,
            clock: Clock::start(state.progress.elapsed_s),
            state,
            hooks,
            cancel,
            log: log.with_context(|| format!("{} cannot be written", path.display()))?,
            grads: vec![0.0; job.start.values.len()],
            order: (u64::MAX, Vec::new()),
            unsaved: false,
            last_good: from,
            save: false,
            stop: false,
            last: (0.0, 0.0),
        })
    }

    fn drive(&mut self) -> Result<TrainEnd> {
        let settings = &self.job.request.settings;
        let total = self.steps.total;
        self.watch()?;
        // A validation that was interrupted is made up for.
        if self.state.progress.step > 0
            && let Flow::Discard = self.after_step(self.state.progress.step == total)?
        {
            return Ok(TrainEnd::Discarded);
        }
        loop {
            let early = self.state.progress.is_early_end(settings);
            if early || self.stop || self.state.progress.step >= total {
                if let Flow::Discard = self.after_step(true)? {
                    return Ok(TrainEnd::Discarded);
                }
                return Ok(match (self.state.progress.step >= total, early) {
                    (true, _) => TrainEnd::Finished,
                    (_, true) => TrainEnd::Early,
                    _ => TrainEnd::Stopped,
                });
            }
            if let Flow::Discard = self.step()? {
                return Ok(TrainEnd::Discarded);
            }
            if let Flow::Discard = self.after_step(self.state.progress.step == total)? {
                return Ok(TrainEnd::Discarded);
            }
            self.watch()?;
        }
    }

    fn watch(&mut self) -> Result<()> {
        self.cancel.check()?;
        self.hooks.watch(self.state.progress.step, &self.state.params)
    }

    /// Looks what is wanted; a pause is no time of the run.
    fn ask(&mut self) -> Result<Flow> {
        let asked = Instant::now();
        let control = self.hooks.control();
        self.clock.paused(asked.elapsed());
        self.cancel.check()?;
        match control {
            Control::Go => {}
            Control::Save => self.save = true,
            Control::StopAndSave => self.stop = true,
            Control::StopAndDiscard => return Ok(Flow::Discard),
        }
        Ok(Flow::On)
    }

    /// The samples of step `s` (from 0).
    fn batch(&mut self, s: u64) -> Vec<Sample> {
        let (settings, train) = (&self.job.request.settings, &self.job.dataset.train);
        let (epoch, places) = self.steps.places(s);
        if self.order.0 != epoch {
            self.order = (epoch, data::order(train.len(), settings.seed, epoch, settings.shuffle));
        }
        self.order.1[places].iter().map(|i| train[*i].clone()).collect()
    }

    /// One step: passes, mean, clipping, update.
    fn step(&mut self) -> Result<Flow> {
        let settings = &self.job.request.settings;
        let s = self.state.progress.step;
        let samples = self.batch(s);
        self.grads.fill(0.0);
        let mut sums = Sums::default();
        for (pass, samples) in samples.chunks(settings.micro_batch).enumerate() {
            if let Flow::Discard = self.ask()? {
                return Ok(Flow::Discard);
            }
            let began = Instant::now();
            let dropout = (settings.dropout > 0.0)
                .then(|| (settings.dropout, dropout_seed(settings.seed, s, pass as u64)));
            let options = GradientOptions { recompute: self.job.plan.recompute, dropout };
            let (params, grads) = (&self.state.params, &mut self.grads);
            let part = self.job.gradient.gradient(params, samples, options, self.cancel, grads)?;
            sums.nll += part.nll;
            sums.answer_tokens += part.answer_tokens;
            sums.tokens += part.tokens;
            self.clock.worked(began.elapsed(), part.tokens);
        }
        let began = Instant::now();
        let loss = self.update(sums)?;
        self.clock.worked(began.elapsed(), 0);
        self.clock.stepped();
        self.state.progress.step(loss, sums.tokens);
        self.unsaved = true;
        self.tell(loss, sums.tokens);
        Ok(Flow::On)
    }

    /// Moves the weights; gives the loss before. What is not finite moves nothing that is ever saved.
    fn update(&mut self, sums: Sums) -> Result<f64> {
        let settings = &self.job.request.settings;
        let step = self.state.progress.step + 1;
        let lost = |what: &str, x: f64| {
            let hint = "try a lower --lr, a smaller --max-grad-norm, or --dtype f32";
            Error::failed(format!("step {step}: the {what} is {x}, training cannot go on; {hint}"))
        };
        if sums.answer_tokens == 0 {
            crate::fail!("step {step}: its samples have no answer tokens; look at the data");
        }
        let loss = sums.nll / sums.answer_tokens as f64;
        if !loss.is_finite() {
            return Err(lost("loss", loss));
        }
        let mean = 1.0 / sums.answer_tokens as f32;
        self.grads.iter_mut().for_each(|g| *g *= mean);
        let norm = optimiser::clip(&mut self.grads, settings.max_grad_norm);
        if !norm.is_finite() {
            return Err(lost("gradient's norm", norm));
        }
        let lr = self.steps.rate(step - 1);
        let State { params, adam, .. } = &mut self.state;
        if !adam.step(&mut params.values, &self.grads, step, lr, settings.weight_decay) {
            return Err(lost("largest weight after the update", f64::INFINITY));
        }
        self.last = (lr, norm);
        Ok(loss)
    }

    fn tell(&mut self, loss: f64, tokens: u64) {
        let (memory_bytes, peak) = memory();
        let progress = &mut self.state.progress;
        progress.peak_memory_bytes = progress.peak_memory_bytes.max(peak);
        progress.elapsed_s = self.clock.elapsed();
        let pace = self.clock.pace(self.steps.total - progress.step);
        self.hooks.stepped(&TrainStep {
            step: progress.step,
            loss,
            lr: self.last.0,
            grad_norm: self.last.1,
            epoch: self.steps.epoch(progress.step),
            tokens,
            tokens_per_s: pace.tokens_per_s,
            total_tokens: progress.tokens,
            elapsed_s: pace.elapsed_s,
            remaining_s: pace.remaining_s,
            memory_bytes,
            peak_memory_bytes: peak,
        });
    }

    /// Saves the state after the last complete step.
    fn interrupted(&mut self) -> Result<TrainOutcome> {
        if self.state.progress.step > 0 {
            self.checkpoint().map_err(|e| self.named(e))?;
        }
        Err(Error::Interrupted)
    }

    /// An error with where the run can be taken up again.
    fn named(&self, e: Error) -> Error {
        let Error::Failed(what) = e else { return e };
        let out = self.job.request.out.display();
        Error::Failed(match &self.last_good {
            Some(path) => format!(
                "{what}. The last good checkpoint is {}: --resume {out} goes on from it, --init-adapter {} begins another \
                 run with its weights",
                path.display(),
                path.display()
            ),
            None => format!("{what}. No checkpoint was written yet; --resume {out} begins again"),
        })
    }
}

/// Another one for every pass of every step.
fn dropout_seed(seed: u64, step: u64, pass: u64) -> u64 {
    let first = SplitMix64::new(seed ^ 0xd20_0001).next_u64();
    let second = SplitMix64::new(first ^ step).next_u64();
    SplitMix64::new(second ^ pass).next_u64()
}

#[cfg(test)]
mod tests;
