//! The first steps of a recorded training, made again: where its data are here, they are the same to the last digits.

use super::Walk;
use super::tally::Compare;
use crate::engine::protocol::*;
use crate::engine::watching::Watching;
use crate::engine::{Cancel, Engine};
use crate::error::{Context, Error, Result};
use crate::train::lora::LoraParams;
use crate::train::record::ModelId;
use crate::train::{Control, Hooks, run};
use std::collections::BTreeMap;

/// What the first steps gave here.
#[derive(Default)]
pub struct Retrained {
    steps: BTreeMap<u64, TrainStep>,
    losses: BTreeMap<u64, f64>,
    frames: BTreeMap<u64, TrainFrame>,
    /// Why there is nothing.
    refused: Option<String>,
}

struct Again<'a> {
    engine: &'a Engine,
    cancel: &'a Cancel,
    watching: Watching,
    most: u64,
    done: u64,
    out: Retrained,
}

impl Hooks for Again<'_> {
    fn stepped(&mut self, step: &TrainStep) {
        self.done = step.step;
        self.out.steps.insert(step.step, *step);
    }

    fn validated(&mut self, step: u64, eval_loss: f64, _best: bool) {
        self.out.losses.insert(step, eval_loss);
    }

    fn watch(&mut self, step: u64, params: &LoraParams) -> Result<()> {
        let frames = &mut self.out.frames;
        let on = &mut |frame: TrainFrame| {
            if !frame.base {
                frames.insert(frame.step, frame);
            }
        };
        let (engine, cancel) = (self.engine, self.cancel);
        self.watching.step(engine, (step, params), cancel, &mut |_, _, _, _| {}, on).map(drop)
    }

    fn control(&mut self) -> Control {
        // One more step: the validation and the frame of the last one wanted come after this is asked.
        if self.done > self.most { Control::StopAndDiscard } else { Control::Go }
    }
}

/// Makes the first `most` steps of a run again, in a directory that is gone afterwards.
fn again(engine: &Engine, request: &TrainRequest, most: u64, cancel: &Cancel) -> Result<Retrained> {
    if request.resume || request.init_adapter.is_some() {
        return Err(Error::failed("it goes on from other weights"));
    }
    let dir = tempfile::tempdir().context("a temporary directory cannot be made")?;
    let watch = request.watch.clone();
    let request = TrainRequest { out: dir.path().join("run"), watch: None, ..request.clone() };
    let dataset = engine.training_data(&request).map_err(|e| e.context("its data are not here"))?;
    let model = ModelId { weight_bytes: engine.info().weight_bytes, ..ModelId::default() };
    let job = engine.training_job(request, &dataset, model)?;
    let watching = Watching::new(watch, job.plan.total_steps);
    let mut hooks = Again { engine, cancel, watching, most, done: 0, out: Retrained::default() };
    run(&job, cancel, &mut hooks)?;
    Ok(hooks.out)
}

impl Walk<'_> {
    /// A number of a training after its first step, or a frame of it.
    pub(super) fn trained(&mut self, line: u32, job: JobId, event: &Event) -> Result<()> {
        let (what, step) = match event {
            Event::TrainStep { step, .. } => ("training steps", step.step),
            Event::TrainValidated { step, .. } => ("validations of a training", *step),
            Event::TrainFrame { frame, .. } => ("frames of a training", frame.step),
            _ => return Ok(()),
        };
        let most = self.options.steps;
        let Some(Command::Train { request, .. }) = self.asks.get(&job).cloned() else {
            return self.skipped(&format!("{what}: the run's settings are not in the file"));
        };
        if most == 0 || step > most {
            let which = if most == 0 { String::new() } else { format!(" after the first {most}") };
            return self.skipped(&format!("{what}{which}: --steps N makes the first N again"));
        }
        if !self.retrained.contains_key(&job) {
            let made = match again(self.again.engine, &request, most, self.again.cancel) {
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(e) => Retrained { refused: Some(e.to_string()), ..Retrained::default() },
                Ok(made) => made,
            };
            self.retrained.insert(job, made);
        }
        let Some(made) = self.retrained.remove(&job) else { return Ok(()) };
        let outcome = self.compare_trained(line, (what, job), &made, event);
        self.retrained.insert(job, made);
        outcome
    }

    fn compare_trained(
        &mut self,
        line: u32,
        (what, job): (&str, JobId),
        made: &Retrained,
        event: &Event,
    ) -> Result<()> {
        if let Some(why) = &made.refused {
            return self.skipped(&format!("{what}: {why}"));
        }
        match event {
            Event::TrainStep { step: was, .. } => {
                let is = made.steps.get(&was.step).copied();
                self.with(what, line, |c| steps(c, was, is))
            }
            Event::TrainValidated { step, eval_loss, .. } => {
                let is = made.losses.get(step).copied().unwrap_or(f64::NAN);
                self.with(what, line, |c| {
                    c.value(&|| format!("step {step}, validation loss"), *eval_loss, is)
                })
            }
            Event::TrainFrame { frame, .. } => match made.frames.get(&frame.step) {
                // Something else was watched from some step on.
                _ if self.watches.get(&job).is_some_and(|w| w.len() > 1) => {
                    self.skipped(&format!("{what}: another query was watched later"))
                }
                None => self.skipped(&format!("{what}: there is none of that step here")),
                Some(is) => self.with(what, line, |c| {
                    let name = |_: RunId| format!("step {}", frame.step);
                    c.frame(&name, frame, is);
                }),
            },
            _ => Ok(()),
        }
    }
}

/// What decides a step and follows from it; not how long it took.
fn steps(c: &mut Compare, was: &TrainStep, is: Option<TrainStep>) {
    let n = was.step;
    let Some(is) = is else {
        c.same(false, || format!("there is no step {n} here"));
        return;
    };
    c.same(was.tokens == is.tokens, || format!("step {n} has {} tokens, here {}", was.tokens, is.tokens));
    c.value(&|| format!("step {n}, loss"), was.loss, is.loss);
    c.value(&|| format!("step {n}, gradient"), was.grad_norm, is.grad_norm);
    c.value(&|| format!("step {n}, epoch"), was.epoch, is.epoch);
    // Rates are small; what is compared is their share of each other.
    c.value(&|| format!("step {n}, rate in parts of 10⁻⁵"), was.lr * 1e5, is.lr * 1e5);
}
