//! What a run has been through: its counters, its losses, and the two forms in which others read them.

use super::schedule::Steps;
use crate::engine::protocol::TrainSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The counters of a run after a step: with weights and moments all that decides how it goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    pub tokens: u64,
    /// Seconds that it has run, in this process and those before, pauses left out.
    pub elapsed_s: f64,
    /// Losses since the last logged step: their sum and number.
    pub open_loss: (f64, u64),
    /// The sum of all steps' losses.
    pub loss_sum: f64,
    /// As last logged.
    pub loss: Option<f64>,
    pub eval_loss: Option<f64>,
    /// The last step that was validated.
    pub validated: Option<u64>,
    /// Step and value of the least validation loss.
    pub best: Option<(u64, f64)>,
    /// Validations since then.
    pub worse: u32,
    pub peak_memory_bytes: u64,
    /// Hugging Face's `log_history`; it lies in trainer_state.json.
    #[serde(skip)]
    pub history: Vec<Value>,
}

impl Progress {
    /// Counts a step.
    pub fn step(&mut self, loss: f64, tokens: u64) {
        self.step += 1;
        self.tokens += tokens;
        self.loss_sum += loss;
        self.open_loss.0 += loss;
        self.open_loss.1 += 1;
    }

    /// Closes the mean of the losses since the last logged step, if there are any, as an entry of the history.
    pub fn log(&mut self, lr: f64, grad_norm: f64, epoch: f64) -> Option<f64> {
        let (sum, count) = std::mem::take(&mut self.open_loss);
        let mean = (count > 0).then(|| sum / count as f64)?;
        self.loss = Some(mean);
        self.history.push(json!({
            "epoch": epoch, "grad_norm": grad_norm, "learning_rate": lr, "loss": mean, "step": self.step,
        }));
        Some(mean)
    }

    /// Enters a validation. Returns whether it is the best so far.
    pub fn validate(&mut self, loss: f64, seconds: f64, samples: usize, epoch: f64) -> bool {
        self.eval_loss = Some(loss);
        self.validated = Some(self.step);
        self.history.push(json!({
            "epoch": epoch, "eval_loss": loss, "eval_runtime": seconds,
            "eval_samples_per_second": samples as f64 / seconds.max(1e-9), "step": self.step,
        }));
        let better = self.best.is_none_or(|(_, best)| loss < best);
        if better {
            self.best = Some((self.step, loss));
            self.worse = 0;
        } else {
            self.worse += 1;
        }
        better
    }

    /// Whether patience is at its end.
    pub fn is_early_end(&self, settings: &TrainSettings) -> bool {
        settings.patience.is_some_and(|most| self.worse >= most)
    }

    /// `trainer_state.json` with all keys of Hugging Face's TrainerState, and `last` as the history's last entry.
    pub fn state(&self, settings: &TrainSettings, steps: &Steps, out: &Path, last: Option<Value>) -> Value {
        let path = |step: u64| out.join(super::checkpoint::name(step)).display().to_string();
        let history: Vec<Value> = self.history.iter().cloned().chain(last).collect();
        json!({
            "best_global_step": self.best.map(|(step, _)| step),
            "best_metric": self.best.map(|(_, loss)| loss),
            "best_model_checkpoint": self.best.map(|(step, _)| path(step)),
            "epoch": steps.epoch(self.step),
            "eval_steps": settings.eval_steps,
            "global_step": self.step,
            "is_hyper_param_search": false,
            "is_local_process_zero": true,
            "is_world_process_zero": true,
            "log_history": history,
            "logging_steps": settings.logging_steps,
            "max_steps": steps.total,
            "num_input_tokens_seen": self.tokens,
            "num_train_epochs": steps.total.div_ceil(steps.per_epoch),
            "save_steps": settings.save_steps,
            "stateful_callbacks": {},
            "total_flos": 0.0,
            "train_batch_size": settings.micro_batch,
            "trial_name": null,
            "trial_params": null,
        })
    }
}

/// What a line of `trainer_log.jsonl` says besides its numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    pub elapsed_s: f64,
    pub remaining_s: f64,
    pub tokens_per_s: f64,
}

/// A line of `trainer_log.jsonl` with LLaMA-Factory's keys, and `more` of them.
pub fn line(progress: &Progress, steps: &Steps, pace: Pace, more: &[(&str, Value)]) -> String {
    let mut o = Map::new();
    o.insert("current_steps".into(), json!(progress.step));
    o.insert("total_steps".into(), json!(steps.total));
    o.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let rounded = |x: f64| json!((x * 100.0).round() / 100.0);
    o.insert("epoch".into(), json!(steps.epoch(progress.step)));
    o.insert("percentage".into(), rounded(progress.step as f64 / steps.total as f64 * 100.0));
    o.insert("elapsed_time".into(), json!(clock(pace.elapsed_s)));
    o.insert("remaining_time".into(), json!(clock(pace.remaining_s)));
    o.insert("throughput".into(), rounded(pace.tokens_per_s));
    o.insert("total_tokens".into(), json!(progress.tokens));
    format!("{}\n", Value::Object(o))
}

/// Python's `str(timedelta)`: `0:12:34`, `1 day, 2:03:04`.
pub fn clock(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    let (days, h, m, s) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    let time = format!("{h}:{m:02}:{s:02}");
    match days {
        0 => time,
        1 => format!("1 day, {time}"),
        n => format!("{n} days, {time}"),
    }
}

/// Whether a line belongs to a run that is at `step`: a record of a step up to it, and not the one that ends a run.
pub fn belongs(line: &str, step: u64) -> bool {
    let record: Option<Value> = serde_json::from_str(line).ok();
    record.is_some_and(|r| {
        r["current_steps"].as_u64().is_some_and(|s| s <= step) && r.get("train_runtime").is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::log::LogRecord;

    #[test]
    fn lines_are_read_back_as_they_were_meant() {
        let steps = Steps::new(&TrainSettings::default(), 320).unwrap();
        let mut p = Progress::default();
        for loss in [2.0, 1.0, 1.5] {
            p.step(loss, 100);
        }
        let loss = p.log(5e-5, 0.75, steps.epoch(3)).unwrap();
        assert_eq!((loss, p.log(5e-5, 0.75, 0.0)), (1.5, None));
        let pace = Pace { elapsed_s: 90_061.0, remaining_s: 59.9, tokens_per_s: 123.456 };
        let more = [("loss", json!(loss)), ("lr", json!(5e-5)), ("grad_norm", json!(0.75))];
        let text = line(&p, &steps, pace, &more);
        let (r, problem) = LogRecord::from_line(text.as_bytes()).unwrap();
        assert_eq!(problem, None);
        assert_eq!((r.step, r.total_steps, r.loss, r.lr), (Some(3.0), Some(60.0), Some(1.5), Some(5e-5)));
        assert_eq!((r.elapsed_s, r.remaining_s), (Some(90_061.0), Some(59.0)));
        assert_eq!((r.grad_norm, r.throughput, r.total_tokens), (Some(0.75), Some(123.46), Some(300.0)));
        assert_eq!((r.epoch, r.percentage), (Some(0.15), Some(5.0)));
        assert!(belongs(&text, 3) && !belongs(&text, 2) && !belongs("{\"current_steps\": 1", 9));
        assert!(!belongs("{\"current_steps\": 1, \"train_runtime\": 3}", 9));
    }

    #[test]
    fn the_best_validation_and_patience() {
        let settings = TrainSettings { patience: Some(2), ..TrainSettings::default() };
        let steps = Steps::new(&settings, 320).unwrap();
        let mut p = Progress::default();
        let seen: Vec<(bool, bool)> = [2.0, 1.0, 1.0, 1.5]
            .into_iter()
            .map(|loss| {
                p.step(1.0, 1);
                (p.validate(loss, 0.5, 4, 0.0), p.is_early_end(&settings))
            })
            .collect();
        assert_eq!(seen, [(true, false), (true, false), (false, false), (false, true)]);
        let state = p.state(&settings, &steps, Path::new("run"), None);
        assert_eq!((state["best_metric"].as_f64(), state["global_step"].as_u64()), (Some(1.0), Some(4)));
        assert_eq!(state["best_model_checkpoint"], "run/checkpoint-2");
        assert_eq!(state["log_history"].as_array().unwrap().len(), 4);
    }
}
