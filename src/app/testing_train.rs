//! For tests: training as a scripted engine answers it.

use super::Msg;
use super::testing::Bench;
use crate::engine::protocol::*;

/// A plan of 64 pairs a run, or of so many steps as are asked for.
pub fn plan(request: &TrainRequest) -> TrainPlan {
    let total_steps = request.settings.max_steps.unwrap_or(51);
    TrainPlan {
        out: request.out.clone(),
        samples: 274,
        held_out: 14,
        sources: vec![("zh".into(), 137), ("es".into(), 137)],
        steps_per_epoch: 17,
        total_steps,
        warmup_steps: total_steps / 10,
        done_steps: if request.resume { 20 } else { 0 },
        tokens: 52_000,
        answer_tokens: 21_000,
        longest: 311,
        cut: 3,
        parameters: 737_280,
        recompute: false,
        memory_bytes: 1_400_000_000,
        estimate_s: Some(7.2 * total_steps as f64),
        settings: request.settings.clone(),
    }
}

/// The step `step` of `total`: the loss falls, the rate warms up and falls.
pub fn step(step: u64, total: u64) -> TrainStep {
    let share = step as f64 / total as f64;
    let noise = ((step as f64 * 12.9898).sin() * 43_758.547).fract();
    TrainStep {
        step,
        loss: 1.6 + 1.9 * (-4.0 * share).exp() + 0.1 * noise,
        lr: 5e-5 * (share / 0.1).min(1.0) * (1.0 - share),
        grad_norm: 1.2 + 0.4 * noise,
        epoch: 3.0 * share,
        tokens: 3100,
        tokens_per_s: 412.0 + 9.0 * noise,
        total_tokens: 3100 * step,
        elapsed_s: 7.5 * step as f64,
        remaining_s: 7.5 * (total - step) as f64,
        memory_bytes: 1_320_000_000,
        peak_memory_bytes: 1_480_000_000,
    }
}

/// How a run of `total` steps ends after `steps` of them.
pub fn outcome(path: &std::path::Path, end: TrainEnd, steps: u64, total: u64) -> TrainOutcome {
    let last = step(steps.max(1), total);
    TrainOutcome {
        end,
        path: path.to_owned(),
        steps,
        total_steps: total,
        loss: Some(last.loss),
        eval_loss: Some(last.loss + 0.05),
        best: Some((steps, last.loss + 0.05)),
        elapsed_s: last.elapsed_s,
        tokens_per_s: 412.0,
        peak_memory_bytes: 1_480_000_000,
    }
}

/// What the engine answers to a command of training; steps come from [`Bench::steps`].
pub fn answer(command: &Command, done: u64) -> Vec<Event> {
    match command {
        Command::TrainPlan { job, request } => vec![Event::TrainPlanned { job: *job, plan: plan(request) }],
        Command::Train { job, request } => {
            let reading = Event::Progress {
                job: *job,
                stage: "reading zh".into(),
                done: 12,
                total: 137,
                unit: "items".into(),
            };
            vec![reading, Event::TrainStarted { job: *job, plan: plan(request) }]
        }
        Command::TrainControl { job, action } => {
            let job = *job;
            let path = std::path::PathBuf::from("runs/zh+es-en-1");
            let ended = |end| Event::TrainDone { job, outcome: outcome(&path, end, done, 51) };
            match action {
                TrainAction::Pause => vec![Event::TrainPaused { job, paused: true }],
                TrainAction::Continue => vec![Event::TrainPaused { job, paused: false }],
                TrainAction::Save => vec![Event::TrainSaved { job, step: done, path }],
                TrainAction::StopAndSave => vec![ended(TrainEnd::Stopped)],
                TrainAction::StopAndDiscard => vec![ended(TrainEnd::Discarded)],
            }
        }
        _ => Vec::new(),
    }
}

impl Bench {
    /// The run that goes on makes its steps `from..=to`, with a validation every tenth.
    pub fn steps(&mut self, from: u64, to: u64) {
        let run = self.app.training.active().expect("a run goes on");
        let (job, total) = (run.job, run.total().expect("it has started"));
        for n in from..=to {
            let made = step(n, total);
            self.send(Msg::Engine(Event::TrainStep { job, step: made }));
            if n % 10 == 0 {
                let eval_loss = made.loss + 0.05;
                self.send(Msg::Engine(Event::TrainValidated { job, step: n, eval_loss, best: true }));
            }
        }
    }

    /// The run that goes on ends.
    pub fn finish(&mut self, end: TrainEnd) {
        let run = self.app.training.active().expect("a run goes on");
        let (job, steps) = (run.job, run.step.map_or(0, |s| s.step));
        let outcome = outcome(run.out(), end, steps, run.total().unwrap_or(steps));
        self.send(Msg::Engine(Event::TrainDone { job, outcome }));
    }

    /// The form is left alone for long enough to be asked about.
    pub fn settle(&mut self) {
        self.wait(500);
    }
}
