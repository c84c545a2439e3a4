//! How many steps a run has, which samples each of them sees, and its learning rate.

use crate::engine::protocol::{Schedule, TrainSettings};
use crate::error::{Error, Result};
use std::f64::consts::PI;
use std::ops::Range;

/// The steps of a run, counted as Hugging Face's Trainer does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    /// Samples of an epoch, and of a step.
    samples: usize,
    batch: usize,
    pub per_epoch: u64,
    pub total: u64,
    pub warmup: u64,
    scheduler: Schedule,
    lr: f64,
}

impl Steps {
    /// Of a run over `samples` samples: ceil(samples / batch) steps an epoch, ceil(epochs * that) in all or the
    /// demanded number, ceil(total * ratio) of them warm-up.
    ///
    /// # Errors
    /// No samples, or more steps than can be counted.
    pub fn new(settings: &TrainSettings, samples: usize) -> Result<Self> {
        if samples == 0 {
            return Err(Error::failed(
                "there is no sample to train on: all rows are held out or empty; give more data or a smaller --val-size",
            ));
        }
        let batch = settings.batch_size.max(1);
        let per_epoch = samples.div_ceil(batch) as u64;
        let wanted = (settings.epochs * per_epoch as f64).ceil();
        let total = settings.max_steps.unwrap_or(wanted as u64);
        if total == 0 || total > 1 << 40 {
            return Err(Error::usage(format!(
                "{} epochs of {per_epoch} steps are no possible run; give other --epochs or --max-steps",
                settings.epochs
            )));
        }
        let warmup = (total as f64 * settings.warmup_ratio).ceil() as u64;
        let (scheduler, lr) = (settings.scheduler, settings.lr);
        Ok(Self { samples, batch, per_epoch, total, warmup, scheduler, lr })
    }

    /// The learning rate of step `s` (from 0): `lr s / W` while warming up, then (T = total, W = warm-up steps,
    /// p = (s - W) / (T - W)) `lr (1 + cos(pi p)) / 2`, `lr (1 - p)` or `lr`.
    pub fn rate(&self, s: u64) -> f64 {
        if s < self.warmup {
            return self.lr * (s as f64 / self.warmup.max(1) as f64);
        }
        let left = self.total.saturating_sub(self.warmup).max(1) as f64;
        let done = (s - self.warmup) as f64 / left;
        let factor = match self.scheduler {
            Schedule::Cosine => 0.5 * (1.0 + (PI * done).cos()),
            Schedule::Linear => (self.total.saturating_sub(s)) as f64 / left,
            Schedule::Constant => 1.0,
        };
        self.lr * factor.max(0.0)
    }

    /// The epoch (from 0) of step `s` (from 0), and the step's places in that epoch's order.
    pub fn places(&self, s: u64) -> (u64, Range<usize>) {
        let first = (s % self.per_epoch) as usize * self.batch;
        (s / self.per_epoch, first..(first + self.batch).min(self.samples))
    }

    /// Epochs done after `done` steps.
    pub fn epoch(&self, done: u64) -> f64 {
        done as f64 / self.per_epoch as f64
    }
}

/// Refuses settings that no run can have, each by its option's name.
///
/// # Errors
/// [`Error::Usage`].
pub fn check(s: &TrainSettings) -> Result<()> {
    let positive = |x: f64| x.is_finite() && x > 0.0;
    let share = |x: f64| (0.0..=1.0).contains(&x);
    let checks: [(bool, &str, String, &str); 12] = [
        ((1..=65_536).contains(&s.rank), "rank", s.rank.to_string(), "1 to 65536"),
        (positive(s.alpha), "alpha", s.alpha.to_string(), "a number above 0"),
        ((0.0..1.0).contains(&s.dropout), "dropout", s.dropout.to_string(), "0 up to, not including, 1"),
        (positive(s.epochs), "epochs", s.epochs.to_string(), "a number above 0"),
        (s.batch_size > 0, "batch-size", s.batch_size.to_string(), "at least 1"),
        (s.micro_batch > 0, "micro-batch", s.micro_batch.to_string(), "at least 1"),
        (positive(s.lr), "lr", s.lr.to_string(), "a number above 0"),
        (share(s.warmup_ratio), "warmup-ratio", s.warmup_ratio.to_string(), "0 to 1"),
        (s.cutoff > 1, "cutoff", s.cutoff.to_string(), "at least 2 tokens"),
        (s.max_steps != Some(0), "max-steps", "0".into(), "at least 1"),
        (
            s.max_grad_norm.is_finite() && s.max_grad_norm >= 0.0,
            "max-grad-norm",
            s.max_grad_norm.to_string(),
            "0 (no clipping) or above",
        ),
        (
            s.weight_decay.is_finite() && s.weight_decay >= 0.0,
            "weight-decay",
            s.weight_decay.to_string(),
            "0 or above",
        ),
    ];
    for (good, name, value, allowed) in checks {
        if !good {
            return Err(Error::usage(format!("--{name} {value} is not possible; {allowed} is")));
        }
    }
    for (steps, name) in
        [(s.eval_steps, "eval-steps"), (s.logging_steps, "logging-steps"), (s.save_steps, "save-steps")]
    {
        if steps == 0 {
            return Err(Error::usage(format!("--{name} 0 is not possible; at least 1 is")));
        }
    }
    if !(s.val_size.is_finite() && s.val_size >= 0.0) || s.val_size > 1.0 && s.val_size.fract() != 0.0 {
        return Err(Error::usage(format!(
            "--val-size {} is not possible; a share below 1 or a whole number of samples is",
            s.val_size
        )));
    }
    if s.patience == Some(0) {
        return Err(Error::usage("--patience 0 is not possible; at least 1 validation is"));
    }
    if s.patience.is_some() && s.val_size == 0.0 {
        return Err(Error::usage(
            "--patience needs held-out samples to look at; give a --val-size above 0, or no --patience",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(f: impl FnOnce(&mut TrainSettings)) -> TrainSettings {
        let mut s = TrainSettings::default();
        f(&mut s);
        s
    }

    #[test]
    fn steps_are_counted_as_hugging_face_counts_them() {
        let steps = |n, f: fn(&mut TrainSettings)| Steps::new(&settings(f), n).unwrap();
        let s = steps(320, |s| s.epochs = 1.0);
        assert_eq!((s.per_epoch, s.total, s.warmup), (20, 20, 2));
        let s = steps(321, |s| s.epochs = 1.5);
        assert_eq!((s.per_epoch, s.total, s.warmup), (21, 32, 4));
        assert_eq!(s.places(0), (0, 0..16));
        assert_eq!(s.places(20), (0, 320..321), "the last batch of an epoch may be smaller");
        assert_eq!(s.places(21), (1, 0..16));
        assert_eq!(s.epoch(21), 1.0);
        assert_eq!(steps(5, |s| s.max_steps = Some(7)).total, 7, "over as many epochs as needed");
        assert!(Steps::new(&settings(|_| ()), 0).is_err());
        assert!(Steps::new(&settings(|s| s.epochs = 1e300), 5).is_err());
    }

    #[test]
    fn schedules_rise_and_fall_as_hugging_faces() {
        let all = |scheduler| {
            let s = settings(|s| {
                (s.scheduler, s.max_steps, s.lr, s.warmup_ratio) = (scheduler, Some(20), 5e-5, 0.1)
            });
            let steps = Steps::new(&s, 320).unwrap();
            (0..20).map(|i| steps.rate(i)).collect::<Vec<f64>>()
        };
        let cosine = all(Schedule::Cosine);
        // Reference run with transformers' get_cosine_schedule_with_warmup.
        for (s, want) in [
            (0, 0.0),
            (1, 2.5e-5),
            (2, 5e-5),
            (3, 4.962019382530521e-05),
            (7, 4.1069690242163484e-05),
            (14, 1.2500000000000006e-05),
            (19, 3.7980617469479953e-07),
        ] {
            assert!((cosine[s] - want).abs() <= 1e-19, "{s}: {} {want}", cosine[s]);
        }
        let linear = all(Schedule::Linear);
        assert_eq!(linear[1], 2.5e-5);
        assert!((linear[11] - 2.5e-5).abs() < 1e-19 && (linear[19] - 5e-5 / 18.0).abs() < 1e-19);
        assert_eq!(all(Schedule::Constant)[1..4], [2.5e-5, 5e-5, 5e-5]);
        let s = settings(|s| (s.warmup_ratio, s.max_steps) = (1.0, Some(3)));
        let steps = Steps::new(&s, 1).unwrap();
        assert!((0..3).all(|i| steps.rate(i).is_finite()), "nothing but warm-up");
    }

    #[test]
    fn impossible_settings_are_refused_by_name() {
        type Case = (fn(&mut TrainSettings), &'static str);
        let cases: [Case; 10] = [
            (|s| s.rank = 0, "--rank 0"),
            (|s| s.lr = f64::NAN, "--lr NaN"),
            (|s| s.epochs = -1.0, "--epochs -1"),
            (|s| s.dropout = 1.0, "--dropout 1"),
            (|s| s.batch_size = 0, "--batch-size 0"),
            (|s| s.val_size = 2.5, "--val-size 2.5"),
            (|s| s.eval_steps = 0, "--eval-steps 0"),
            (|s| s.max_steps = Some(0), "--max-steps 0"),
            (|s| (s.patience, s.val_size) = (Some(2), 0.0), "--patience"),
            (|s| s.max_grad_norm = f64::INFINITY, "--max-grad-norm inf"),
        ];
        for (f, what) in cases {
            let e = check(&settings(f)).unwrap_err();
            assert!(e.to_string().contains(what) && e.exit_code() == 2, "{e}");
        }
        check(&TrainSettings::default()).unwrap();
    }
}
