//! What `polylens train` says: progress on stderr, the result on stdout.

use super::console::{Console, print};
use super::train_args::{Progress, Train};
use crate::engine::protocol::{
    TrainEnd, TrainFrame, TrainOutcome, TrainPlan, TrainRequest, TrainSettings, TrainStep,
};
use crate::error::Result;
use crate::report::json::document;
use crate::train::data::DataFile;
use crate::train::record::{ModelId, Record};
use crate::train::{Hooks, Job, clock};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// One run's way of speaking.
pub struct Said {
    console: Console,
    json: bool,
    /// Lines instead of a bar, where stderr is no terminal.
    lines: bool,
    every: u64,
    total: u64,
    quiet: bool,
    result_json: bool,
    out: PathBuf,
    saved: Option<PathBuf>,
    eval_loss: Option<f64>,
}

impl Said {
    /// `notes` are the loaded model's.
    pub fn new(args: &Train, console: Console, notes: &[String], request: &TrainRequest) -> Self {
        let mut said = Self {
            console,
            json: args.progress == Progress::Json && !args.quiet,
            lines: args.progress == Progress::Bar && !args.quiet && !std::io::stderr().is_terminal(),
            every: request.settings.logging_steps,
            total: 0,
            quiet: args.quiet || args.progress == Progress::None,
            result_json: args.json,
            out: request.out.clone(),
            saved: None,
            eval_loss: None,
        };
        if said.json {
            notes.iter().for_each(|n| said.note(n));
        }
        said
    }

    /// A line for scripts; a closed stderr is no reason to stop.
    fn event(&self, event: &str, value: Value) {
        let mut line = json!({ "event": event });
        if let (Some(line), Value::Object(rest)) = (line.as_object_mut(), value) {
            line.extend(rest);
        }
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// A frame of what is watched, for scripts.
    pub fn frame(&self, frame: &TrainFrame) {
        if self.json {
            self.event("frame", serde_json::to_value(frame).unwrap_or_default());
        }
    }

    /// Says where the run can be taken up again.
    pub fn interrupted(&mut self) {
        let out = self.out.display();
        let resume = format!("`polylens train --resume {out}` goes on");
        let sentence = match &self.saved {
            Some(path) => {
                format!("the state after the last step is in {}; {resume} from there", path.display())
            }
            None => format!("no step was done since the last checkpoint; {resume}"),
        };
        self.note(&sentence);
    }

    /// The result, on stdout.
    ///
    /// # Errors
    /// Where it cannot be read back or printed.
    pub fn finish(mut self, job: &Job, outcome: &TrainOutcome) -> Result<()> {
        let record = Record::read(&job.request.out)?;
        self.console.log(&format!("ended: {:?} after {} steps", outcome.end, outcome.steps));
        drop(self.console);
        print(&result(&record, outcome, self.result_json)?)
    }
}

impl Hooks for Said {
    fn planned(&mut self, plan: &TrainPlan) {
        self.total = plan.total_steps;
        if self.json {
            return self.event("plan", serde_json::to_value(plan).unwrap_or_default());
        }
        if self.quiet {
            return;
        }
        let recompute = if plan.recompute { ", activations are computed anew on the way back" } else { "" };
        self.console.note(&format!(
            "{} samples ({} held out), {} steps of {} samples, {} trained numbers, about {:.0} MB of memory{recompute}",
            plan.samples,
            plan.held_out,
            plan.total_steps,
            plan.settings.batch_size,
            plan.parameters,
            plan.memory_bytes as f64 / 1e6
        ));
        if plan.cut > 0 {
            self.console.note(&format!("{} samples were cut at {} tokens", plan.cut, plan.settings.cutoff));
        }
        if plan.done_steps > 0 {
            self.console.note(&format!("goes on after step {}", plan.done_steps));
        }
        self.console.training(plan.done_steps, plan.total_steps, "training");
    }

    fn stepped(&mut self, step: &TrainStep) {
        if self.json {
            return self.event("step", serde_json::to_value(step).unwrap_or_default());
        }
        let eval = self.eval_loss.map_or_else(String::new, |l| format!(", validation {l:.4}"));
        let text = format!(
            "loss {:.4}{eval}, {:.0} tokens/s, {} left",
            step.loss,
            step.tokens_per_s,
            clock(step.remaining_s)
        );
        if self.quiet {
            return;
        }
        self.console.training(step.step, self.total, &text);
        if self.lines && (step.step.is_multiple_of(self.every) || step.step == self.total) {
            let _ = writeln!(std::io::stderr(), "step {} of {}: {text}", step.step, self.total);
        }
    }

    fn validated(&mut self, step: u64, eval_loss: f64, best: bool) {
        self.eval_loss = Some(eval_loss);
        if self.json {
            return self.event("validation", json!({ "step": step, "eval_loss": eval_loss, "best": best }));
        }
        self.console.log(&format!("step {step}: validation loss {eval_loss}"));
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.saved = Some(path.to_owned());
        if self.json {
            return self.event("checkpoint", json!({ "step": step, "path": path }));
        }
        self.console.log(&format!("wrote {}", path.display()));
    }

    fn note(&mut self, sentence: &str) {
        if self.json {
            self.console.log(sentence);
            return self.event("note", json!({ "text": sentence }));
        }
        self.console.note(sentence);
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    model: &'a ModelId,
    outcome: &'a TrainOutcome,
    settings: &'a TrainSettings,
    data: &'a [DataFile],
    samples: usize,
    held_out: usize,
    polylens: &'static str,
}

/// The result as one document `polylens.train/1`, or in words.
///
/// # Errors
/// A number that cannot be written.
pub fn result(record: &Record, outcome: &TrainOutcome, as_json: bool) -> Result<String> {
    let out = outcome.path.display();
    if as_json {
        return document(&Document {
            schema: "polylens.train/1",
            model: &record.model,
            outcome,
            settings: &record.settings,
            data: &record.files,
            samples: record.samples,
            held_out: record.held_out,
            polylens: env!("CARGO_PKG_VERSION"),
        });
    }
    let end = match outcome.end {
        TrainEnd::Finished => "finished",
        TrainEnd::Early => "ended early: the validation loss did not get better any more",
        TrainEnd::Stopped => "stopped",
        TrainEnd::Discarded => "discarded",
    };
    let mut text = format!("{end} after {} of {} steps\n", outcome.steps, outcome.total_steps);
    let mut put = |key: &str, value: String| text += &format!("  {key:<16} {value}\n");
    if let Some(loss) = outcome.loss {
        put("loss", format!("{loss:.4} (mean of the last logged steps)"));
    }
    if let Some(loss) = outcome.eval_loss {
        put("validation loss", format!("{loss:.4}"));
    }
    if let Some((step, loss)) = outcome.best {
        put("best", format!("{loss:.4} at step {step}, in {out}/best"));
    }
    put("time", format!("{} ({:.0} tokens/s)", clock(outcome.elapsed_s), outcome.tokens_per_s));
    put("memory at most", format!("{:.0} MB", outcome.peak_memory_bytes as f64 / 1e6));
    put("adapter", format!("{out}  (polylens --adapter {out})"));
    Ok(text)
}
