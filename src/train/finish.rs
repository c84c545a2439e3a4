//! What a run leaves when it ends: the adapter, the best one, the states, the model card.

use super::begin::{self, BEST, CARD};
use super::checkpoint;
use super::clock::memory;
use super::durable;
use super::run::Trainer;
use super::{card, peft};
use crate::engine::protocol::{TrainEnd, TrainOutcome};
use crate::error::Result;
use serde_json::{Value, json};

/// Writes the results. `training.json` gets the outcome last, so that a run that was killed here does this again.
///
/// # Errors
/// What cannot be written.
pub(super) fn finish(trainer: &mut Trainer, end: TrainEnd) -> Result<TrainOutcome> {
    let out = trainer.job.request.out.clone();
    let outcome = outcome(trainer, end);
    if end == TrainEnd::Discarded {
        begin::discard(&out)?;
        return Ok(outcome);
    }
    let last = last_entry(trainer, &outcome);
    let said: Vec<(&str, Value)> =
        ["train_loss", "train_runtime"].into_iter().map(|key| (key, last[key].clone())).collect();
    trainer.line(&said)?;
    for (name, bytes) in trainer.adapter()? {
        durable::write(&out, name, &bytes)?;
    }
    best(trainer)?;
    let settings = &trainer.job.request.settings;
    let state = trainer.state.progress.state(settings, &trainer.steps, &out, Some(last));
    durable::write(&out, checkpoint::STATE, &peft::pretty(&state))?;
    trainer.record.outcome = Some(outcome.clone());
    let text = card::card(&trainer.record, &trainer.job.plan, &trainer.state.progress, &outcome);
    durable::write(&out, CARD, text.as_bytes())?;
    trainer.record.write(&out)?;
    Ok(outcome)
}

fn outcome(trainer: &Trainer, end: TrainEnd) -> TrainOutcome {
    let progress = &trainer.state.progress;
    let pace = trainer.clock.pace(0);
    TrainOutcome {
        end,
        path: trainer.job.request.out.clone(),
        steps: progress.step,
        total_steps: trainer.steps.total,
        loss: progress.loss,
        eval_loss: progress.eval_loss,
        best: progress.best,
        elapsed_s: pace.elapsed_s,
        tokens_per_s: pace.tokens_per_s,
        peak_memory_bytes: progress.peak_memory_bytes.max(memory().1),
    }
}

/// Hugging Face's last entry of the history.
fn last_entry(trainer: &Trainer, outcome: &TrainOutcome) -> Value {
    let progress = &trainer.state.progress;
    let (steps, seconds) = (progress.step as f64, outcome.elapsed_s.max(1e-9));
    json!({
        "epoch": trainer.steps.epoch(progress.step),
        "step": progress.step,
        "total_flos": 0.0,
        "train_loss": progress.loss_sum / steps.max(1.0),
        "train_runtime": outcome.elapsed_s,
        "train_samples_per_second": steps * trainer.job.request.settings.batch_size as f64 / seconds,
        "train_steps_per_second": steps / seconds,
    })
}

/// The adapter of the best validation.
fn best(trainer: &mut Trainer) -> Result<()> {
    let out = &trainer.job.request.out;
    let Some((step, _)) = trainer.state.progress.best else { return Ok(()) };
    match checkpoint::adapter(&out.join(checkpoint::name(step))) {
        Ok(files) => durable::write_dir(out, BEST, &files),
        Err(e) => {
            trainer.hooks.note(&format!("the best adapter cannot be given: {e}"));
            Ok(())
        }
    }
}
