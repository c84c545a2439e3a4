//! A run that was found, as the lines of a session.

use super::found::Found;
use super::timeline::Timeline;
use super::{AdapterStamp, ModelStamp, What};
use crate::engine::protocol::*;
use crate::train::log::LogRecord;
use std::path::PathBuf;

/// What the model says of each checkpoint.
#[derive(Debug)]
pub struct Frames {
    /// As `--model` had it.
    pub reference: String,
    pub dtype: DType,
    pub threads: usize,
    pub model: ModelStamp,
    pub info: ModelInfo,
    pub base: TrainFrame,
    pub adapters: Vec<AdapterStamp>,
    /// By steps.
    pub of: Vec<(u64, TrainFrame)>,
}

/// All lines with their times, in milliseconds.
pub fn lines(found: &Found, watch: Option<Watch>, frames: Option<&Frames>) -> Vec<(u64, What)> {
    let timeline = Timeline::new(&found.records);
    let mut out = Vec::new();
    let mut job = 1;
    if let Some(f) = frames {
        let (model, dtype, threads) = (f.reference.clone(), f.dtype, f.threads);
        let device = DeviceChoice::Auto;
        out.push((0, What::Ask(Command::LoadModel { job, model, dtype, device, threads })));
        out.push((0, What::Event(Event::ModelLoaded { job, info: f.info.clone() })));
        job += 1;
    }
    let (settings, data) = (found.settings.clone(), found.data.clone());
    let dir = found.dir.clone();
    let request = TrainRequest { settings, data, out: dir, watch, ..TrainRequest::default() };
    out.push((0, What::Ask(Command::Train { job, request })));
    out.push((0, What::Event(Event::TrainStarted { job, plan: plan(found) })));
    if let Some(f) = frames {
        out.push((0, What::Event(Event::TrainFrame { job, frame: f.base.clone() })));
    }
    let mut best: Option<(u64, f64)> = None;
    for (record, t) in found.records.iter().zip(&timeline.of) {
        let Some(step) = record.step.map(|s| s as u64) else { continue };
        if let Some(step) = trained(record, found) {
            out.push((*t, What::Event(Event::TrainStep { job, step })));
        }
        if let Some(eval_loss) = record.eval_loss {
            let better = eval_loss.is_finite() && best.is_none_or(|(_, b)| eval_loss < b);
            if better {
                best = Some((step, eval_loss));
            }
            out.push((*t, What::Event(Event::TrainValidated { job, step, eval_loss, best: better })));
        }
    }
    for (step, path) in &found.checkpoints {
        let t = timeline.at(*step);
        out.push((t, What::Mark(format!("checkpoint-{step}"))));
        out.push((t, What::Event(Event::TrainSaved { job, step: *step, path: path.clone() })));
        let frame = frames.and_then(|f| f.of.iter().find(|(s, _)| s == step));
        out.extend(frame.map(|(_, f)| (t, What::Event(Event::TrainFrame { job, frame: f.clone() }))));
    }
    let outcome = found.outcome.clone().unwrap_or_else(|| outcome(found, best));
    out.push((timeline.end(), What::Event(Event::TrainDone { job, outcome })));
    // What has the same time stays in the order in which it was put here.
    out.sort_by_key(|(t, what)| (*t, matches!(what, What::Event(Event::TrainDone { .. }))));
    out
}

/// A record with a loss as a step; what the log does not say is no number.
fn trained(record: &LogRecord, found: &Found) -> Option<TrainStep> {
    let gap = |x: Option<f64>| x.unwrap_or(f64::NAN);
    let step = record.step?;
    let total = total(found) as f64;
    Some(TrainStep {
        step: step as u64,
        loss: record.loss?,
        lr: gap(record.lr),
        grad_norm: gap(record.grad_norm),
        epoch: gap(record.epoch),
        tokens: 0,
        tokens_per_s: gap(record.throughput),
        total_tokens: record.total_tokens.map_or(0, |n| n as u64),
        elapsed_s: gap(record.elapsed_s),
        remaining_s: gap(record.remaining_s.or((step >= total).then_some(0.0))),
        memory_bytes: 0,
        peak_memory_bytes: 0,
    })
}

/// Steps of the whole run, as far as they are known.
fn total(found: &Found) -> u64 {
    let said = found.records.iter().rev().find_map(|r| r.total_steps).map_or(0, |t| t as u64);
    said.max(found.steps())
}

fn plan(found: &Found) -> TrainPlan {
    let epoch = found.records.iter().find_map(|r| Some((r.step?, r.epoch.filter(|e| *e > 0.0)?)));
    TrainPlan {
        out: found.dir.clone(),
        samples: found.samples.0,
        held_out: found.samples.1,
        steps_per_epoch: epoch.map_or(0, |(step, epoch)| (step / epoch).round() as u64),
        total_steps: total(found),
        settings: found.settings.clone(),
        ..TrainPlan::default()
    }
}

/// How the run ended, by its log.
fn outcome(found: &Found, best: Option<(u64, f64)>) -> TrainOutcome {
    let last = |f: fn(&LogRecord) -> Option<f64>| found.records.iter().rev().find_map(f);
    let (steps, total_steps) = (found.steps(), total(found));
    // A trainer writes its whole time when it has come to its end.
    let finished = steps >= total_steps || last(|r| r.train_runtime_s).is_some();
    TrainOutcome {
        end: if finished { TrainEnd::Finished } else { TrainEnd::Stopped },
        path: found.checkpoints.last().map_or_else(PathBuf::new, |(_, dir)| dir.clone()),
        steps,
        total_steps,
        loss: last(|r| r.loss),
        eval_loss: last(|r| r.eval_loss),
        best,
        elapsed_s: last(|r| r.train_runtime_s.or(r.elapsed_s)).unwrap_or(f64::NAN),
        tokens_per_s: last(|r| r.throughput).unwrap_or(f64::NAN),
        peak_memory_bytes: 0,
    }
}
