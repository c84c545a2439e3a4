//! What is done between steps: the log, the validation, checkpoints.

use super::{Flow, Trainer};
use crate::error::{Context, Result};
use crate::train::gradient::Sums;
use crate::train::log::LOG_FILE;
use crate::train::{checkpoint, durable, history, peft};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Instant;

impl Trainer<'_> {
    /// What is due after a step and was not done yet: the log, the validation, a checkpoint. All of it at the end.
    pub(super) fn after_step(&mut self, end: bool) -> Result<Flow> {
        let settings = &self.job.request.settings;
        let step = self.state.progress.step;
        let due = |every: u64| end || step.is_multiple_of(every);
        if due(settings.logging_steps) {
            self.log_losses()?;
        }
        let mut best = false;
        let asked = std::mem::take(&mut self.save);
        let held_out = !self.job.dataset.held_out.is_empty();
        if held_out && due(settings.eval_steps) && self.state.progress.validated != Some(step) {
            match self.validate()? {
                Some(better) => best = better,
                None => return Ok(Flow::Discard),
            }
        }
        if due(settings.save_steps) || best || asked {
            self.checkpoint()?;
        }
        Ok(Flow::On)
    }

    fn log_losses(&mut self) -> Result<()> {
        let (lr, norm) = self.last;
        let epoch = self.steps.epoch(self.state.progress.step);
        match self.state.progress.log(lr, norm, epoch) {
            Some(loss) => self.line(&[("loss", json!(loss)), ("lr", json!(lr)), ("grad_norm", json!(norm))]),
            None => Ok(()),
        }
    }

    /// Appends to the log.
    pub fn line(&mut self, more: &[(&str, Value)]) -> Result<()> {
        let progress = &self.state.progress;
        let pace = self.clock.pace(self.steps.total - progress.step);
        let text = history::line(progress, &self.steps, pace, more);
        let path = self.job.request.out.join(LOG_FILE);
        self.log.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The loss of the held-out samples; whether it is the best so far, `None` where the run is to be discarded.
    fn validate(&mut self) -> Result<Option<bool>> {
        let began = Instant::now();
        let held_out = &self.job.dataset.held_out;
        let mut sums = Sums::default();
        for samples in held_out.chunks(self.job.request.settings.micro_batch) {
            if let Flow::Discard = self.ask()? {
                return Ok(None);
            }
            let part = self.job.gradient.loss(&self.state.params, samples, self.cancel)?;
            sums.nll += part.nll;
            sums.answer_tokens += part.answer_tokens;
        }
        let step = self.state.progress.step;
        let loss = sums.nll / sums.answer_tokens as f64;
        if !loss.is_finite() {
            crate::fail!(
                "step {step}: the validation loss is {loss}, training cannot go on; try a lower --lr or --dtype f32"
            );
        }
        let (seconds, epoch) = (began.elapsed().as_secs_f64(), self.steps.epoch(step));
        let best = self.state.progress.validate(loss, seconds, held_out.len(), epoch);
        self.unsaved = true;
        self.line(&[("eval_loss", json!(loss))])?;
        self.hooks.validated(step, loss, best);
        Ok(Some(best))
    }

    /// Writes what is not saved yet.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        if !self.unsaved {
            return Ok(());
        }
        // A checkpoint may only say what the log says.
        self.log.sync_data().context("the run's log cannot be written")?;
        self.state.progress.elapsed_s = self.clock.elapsed();
        let out = &self.job.request.out;
        let settings = &self.job.request.settings;
        let state = self.state.progress.state(settings, &self.steps, out, None);
        let path = checkpoint::save(out, &self.state, self.adapter()?, &state)?;
        self.unsaved = false;
        self.hooks.saved(self.state.progress.step, &path);
        self.last_good = Some(path);
        Ok(())
    }

    /// PEFT's two files of the weights as they are.
    pub fn adapter(&self) -> Result<Vec<durable::Named>> {
        let (base, dropout) = (&self.job.model.base, self.job.request.settings.dropout);
        peft::files(&self.state.params, base, dropout)
    }
}
