//! A training run's curves, from what its log or the engine says.

use crate::app::action::Action;
use crate::app::panes::trace::Trace;
use crate::train::log::{LogRecord, Update};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// A run that has not written for this long, and for ten times its usual pace, is called stalled.
const STALLED_AFTER: f64 = 60.0;

/// What a curve shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// Training loss; the evaluation loss is drawn into the same plot.
    #[default]
    Loss,
    LearningRate,
    /// Tokens a second, or steps a second where the log does not count tokens.
    Speed,
    GradNorm,
}

impl Metric {
    /// All of them, in the order they are switched through.
    pub const ALL: [Self; 4] = [Self::Loss, Self::LearningRate, Self::Speed, Self::GradNorm];
}

/// What the run of a followed log is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LogState {
    /// No record has arrived.
    Waiting,
    Running,
    /// Nothing new for so many seconds.
    Stalled(f64),
    Finished,
}

/// The curves of one run, and how they are shown.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    /// The file that is read.
    pub path: Option<PathBuf>,
    loss: Trace,
    eval_loss: Trace,
    lr: Trace,
    speed: Trace,
    grad_norm: Trace,
    /// Each value as last given.
    pub last: LogRecord,
    /// Records taken in.
    pub records: u64,
    /// Damaged lines, and the last of them: its number and why.
    pub damaged: u64,
    pub damage: Option<(u64, String)>,
    /// Losses that were NaN or infinite.
    pub not_finite: u64,
    /// What is waited for, while there is no file.
    pub waiting: Option<String>,
    pub error: Option<String>,
    /// The file's age when its status was told, and when that was.
    told: Option<(f64, Duration)>,
    /// Bytes read and bytes there are.
    pub progress: (u64, u64),
    /// Elapsed time and step of the record before, for the pace.
    before: Option<(f64, f64)>,
    /// Seconds between the last two records, by the log's own clock.
    pace: Option<f64>,
    /// Steps went backwards: the run was resumed so many times.
    pub resumed: u32,
    pub metric: Metric,
    /// Raw curves only.
    pub raw_only: bool,
    pub log_scale: bool,
    pub recent: bool,
    /// Steps by which the reading cursor lies before the end; `None`: no cursor.
    pub cursor: Option<f64>,
}

impl Curves {
    /// The points of a metric.
    pub fn trace(&self, metric: Metric) -> &Trace {
        match metric {
            Metric::Loss => &self.loss,
            Metric::LearningRate => &self.lr,
            Metric::Speed => &self.speed,
            Metric::GradNorm => &self.grad_norm,
        }
    }

    /// The evaluation loss.
    pub fn eval_loss(&self) -> &Trace {
        &self.eval_loss
    }

    /// Metrics that the log has values of.
    pub fn metrics(&self) -> Vec<Metric> {
        Metric::ALL.into_iter().filter(|m| self.trace(*m).count() > 0).collect()
    }

    /// Whether the recent part of the shown metric is less than its whole.
    pub fn has_recent_part(&self) -> bool {
        let trace = self.trace(self.metric);
        (trace.raw(true).len() as u64) < trace.count()
    }

    /// True where speeds are tokens a second, false where steps.
    pub fn in_tokens(&self) -> bool {
        self.last.throughput.is_some()
    }

    /// Seconds since the file was last written.
    pub fn age(&self, now: Duration) -> Option<f64> {
        self.told.map(|(age, at)| age + now.saturating_sub(at).as_secs_f64())
    }

    /// Share of the run that is done, 0..=1.
    pub fn done(&self) -> Option<f64> {
        let by_steps =
            self.last.step.zip(self.last.total_steps).filter(|(_, t)| *t > 0.0).map(|(s, t)| s / t);
        by_steps.or(self.last.percentage.map(|p| p / 100.0)).map(|d| d.clamp(0.0, 1.0))
    }

    /// What the run is doing at `now`.
    pub fn state(&self, now: Duration) -> LogState {
        let age = self.age(now).unwrap_or(0.0);
        if self.records == 0 {
            LogState::Waiting
        } else if self.done() == Some(1.0) || self.last.train_runtime_s.is_some() {
            LogState::Finished
        } else if age > STALLED_AFTER.max(10.0 * self.pace.unwrap_or(0.0)) {
            LogState::Stalled(age)
        } else {
            LogState::Running
        }
    }

    /// Seconds left at `now`: as the log says, less what has passed since; else by the pace so far.
    pub fn left(&self, now: Duration) -> Option<f64> {
        let by_pace = || {
            let (done, elapsed) = (self.done().filter(|d| *d > 0.0)?, self.last.elapsed_s?);
            Some(elapsed * (1.0 - done) / done)
        };
        let left = self.last.remaining_s.or_else(by_pace)?;
        Some((left - self.age(now).unwrap_or(0.0)).max(0.0))
    }

    /// Forgets the run shown: another one is followed now. The view's settings stay.
    pub fn restart(&mut self, path: PathBuf) {
        *self = Self {
            path: Some(path),
            metric: self.metric,
            raw_only: self.raw_only,
            log_scale: self.log_scale,
            recent: self.recent,
            ..Self::default()
        };
    }

    /// Takes a record in.
    pub fn take(&mut self, record: &LogRecord) {
        self.records += 1;
        let before = self.last.step;
        let step = record.step.unwrap_or(self.records as f64);
        if record.step.zip(before).is_some_and(|(now, before)| now < before) {
            self.resumed += 1;
            self.last.train_runtime_s = None;
            self.before = None;
            for trace in
                [&mut self.loss, &mut self.eval_loss, &mut self.lr, &mut self.speed, &mut self.grad_norm]
            {
                trace.push(step, f64::NAN);
            }
        }
        merge(&mut self.last, record);
        self.not_finite += u64::from(record.loss.is_some_and(|l| !l.is_finite()));
        let values = [
            (&mut self.loss, record.loss),
            (&mut self.eval_loss, record.eval_loss),
            (&mut self.lr, record.lr),
            (&mut self.grad_norm, record.grad_norm),
        ];
        for (trace, value) in values {
            if let Some(value) = value {
                trace.push(step, value);
            }
        }
        let measured = self.measure_pace(record);
        if let Some(speed) = record.throughput.or(measured.filter(|_| !self.in_tokens())) {
            self.speed.push(step, speed);
        }
    }

    /// Notes the time between records; returns the steps a second since the one before.
    fn measure_pace(&mut self, record: &LogRecord) -> Option<f64> {
        let (elapsed, step) = (record.elapsed_s?, record.step?);
        let before = self.before.replace((elapsed, step));
        let (seconds, steps) = before.map(|(e, s)| (elapsed - e, step - s))?;
        if seconds <= 0.0 {
            return None;
        }
        self.pace = Some(seconds);
        (steps > 0.0).then_some(steps / seconds)
    }

    fn update(&mut self, update: &Update, now: Duration) {
        match update {
            Update::Restarted { path } => self.restart(path.clone()),
            Update::Record(record) => self.take(record),
            Update::Damaged { line, reason } => {
                self.damaged += 1;
                self.damage = Some((*line, reason.clone()));
            }
            Update::Waiting { what } => self.waiting = Some(what.clone()),
            Update::Status { age_s, read, size } => {
                self.told = Some((*age_s, now));
                self.progress = (*read, *size);
                self.waiting = None;
            }
        }
    }

    /// Moves the reading cursor by a share of the run shown.
    fn move_cursor(&mut self, by: f64) {
        let trace = self.trace(self.metric);
        let points = trace.raw(self.recent);
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let span = last.0 - first.0;
        let at = self.cursor.unwrap_or(0.0) - by * span;
        self.cursor = (at > 0.0 || by < 0.0).then(|| at.clamp(0.0, span));
    }

    /// The point of the shown metric nearest to the cursor.
    pub fn reading(&self) -> Option<(f64, f64)> {
        let points = self.trace(self.metric).raw(self.recent);
        let at = points.last()?.0 - self.cursor?;
        let finite = points.into_iter().filter(|p| p.1.is_finite());
        finite.min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs()))
    }
}

/// Overwrites what the newer record gives.
fn merge(last: &mut LogRecord, newer: &LogRecord) {
    let LogRecord {
        step,
        total_steps,
        loss,
        eval_loss,
        lr,
        epoch,
        percentage,
        elapsed_s,
        remaining_s,
        throughput,
        total_tokens,
        grad_norm,
        train_runtime_s,
    } = *newer;
    last.step = step.or(last.step);
    last.total_steps = total_steps.or(last.total_steps);
    last.loss = loss.or(last.loss);
    last.eval_loss = eval_loss.or(last.eval_loss);
    last.lr = lr.or(last.lr);
    last.epoch = epoch.or(last.epoch);
    last.percentage = percentage.or(last.percentage);
    last.elapsed_s = elapsed_s.or(last.elapsed_s);
    last.remaining_s = remaining_s.or(last.remaining_s);
    last.throughput = throughput.or(last.throughput);
    last.total_tokens = total_tokens.or(last.total_tokens);
    last.grad_norm = grad_norm.or(last.grad_norm);
    last.train_runtime_s = train_runtime_s.or(last.train_runtime_s);
}

impl Curves {
    /// An action on how the curves are shown; false where it is another.
    pub fn on_action(&mut self, action: Action) -> bool {
        match action {
            Action::NextMeasure => {
                let there = self.metrics();
                let at = there.iter().position(|m| *m == self.metric).map_or(0, |i| i + 1);
                self.metric = there.get(at % there.len().max(1)).copied().unwrap_or_default();
            }
            Action::ToggleSmoothing => self.raw_only = !self.raw_only,
            Action::ToggleLogScale => self.log_scale = !self.log_scale,
            Action::ToggleRecent => self.recent = !self.recent,
            Action::Left => self.move_cursor(-0.02),
            Action::Right => self.move_cursor(0.02),
            Action::LineStart | Action::First => self.move_cursor(-1.0),
            Action::LineEnd | Action::Last => self.cursor = None,
            _ => return false,
        }
        true
    }

    /// News of the file that is followed, or why it cannot be read.
    pub fn on_log(&mut self, updates: &Result<Vec<Update>, String>, now: Duration) {
        match updates {
            Ok(updates) => {
                self.error = None;
                updates.iter().for_each(|u| self.update(u, now));
            }
            Err(message) => self.error = Some(message.clone()),
        }
    }

    /// Takes the reading cursor away; false if there was none.
    pub fn back(&mut self) -> bool {
        self.cursor.take().is_some()
    }

    /// The value under the cursor, else the last one: step, tab, value.
    pub fn copy_text(&self) -> Option<String> {
        let (step, value) = self.reading().or_else(|| self.trace(self.metric).last())?;
        Some(format!("{step}\t{value}"))
    }

    /// All curves.
    pub fn export(&self) -> Option<serde_json::Value> {
        let path = self.path.as_ref()?;
        let points = |t: &Trace| json!(t.raw(false));
        Some(json!({
            "schema": "polylens.training/1", "path": path, "last": self.last, "damaged_lines": self.damaged,
            "loss": points(&self.loss), "eval_loss": points(&self.eval_loss), "lr": points(&self.lr),
            "speed": points(&self.speed), "grad_norm": points(&self.grad_norm),
        }))
    }
}

#[cfg(test)]
#[path = "training_curves_tests.rs"]
mod tests;
