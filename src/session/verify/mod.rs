//! Whether a recording says what the model says: its answers are computed anew and compared.

mod again;
mod tally;
mod training;

pub use tally::{Tally, Tolerance, Worst};

use super::file::{Kind, SessionFile, Unread};
use super::line::{Line, Weights, What};
use crate::engine::protocol::*;
use crate::engine::{Cancel, Engine};
use crate::error::Result;
use again::Again;
use serde::Serialize;
use std::collections::BTreeMap;

/// How a recording is verified.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub tolerance: Tolerance,
    /// Only the first so many answers.
    pub first: Option<u64>,
    /// Steps of each training that are made again, where its data are here.
    pub steps: u64,
    /// Compare although the model is another one.
    pub other_model: bool,
}

/// Whether the weights are those of the recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Identity {
    pub name: String,
    /// SHA-256 as recorded, and of the weights here; empty where it is not known.
    pub recorded: String,
    pub here: String,
}

impl Identity {
    /// `None` where the recording does not say.
    pub fn same(&self) -> Option<bool> {
        (!self.recorded.is_empty()).then(|| self.recorded == self.here)
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verified {
    pub model: Identity,
    /// Answers by kind, in the order of the first of each.
    pub kinds: Vec<(String, Tally)>,
    /// What was not verified, why, and how many of it.
    pub skipped: BTreeMap<String, u64>,
    /// Adapters of the recording that were not given.
    pub missing: Vec<String>,
    /// Sentences on what was decided.
    pub notes: Vec<String>,
    #[serde(skip)]
    other_model: bool,
}

impl Verified {
    /// Numbers compared.
    pub fn numbers(&self) -> u64 {
        self.kinds.iter().map(|(_, t)| t.numbers).sum()
    }

    /// Whether the recording is confirmed: something was compared, all of it within the tolerance, with its weights.
    pub fn passed(&self) -> bool {
        let model = self.other_model || self.model.same() != Some(false);
        model && self.numbers() > 0 && self.kinds.iter().all(|(_, t)| t.passed())
    }

    pub(super) fn skip(&mut self, what: impl Into<String>) {
        *self.skipped.entry(what.into()).or_default() += 1;
    }
}

/// Computes a recording's answers anew with the engine and its loaded adapters, as far as the recording has the
/// questions (its `ask` lines). `progress` hears of the lines.
///
/// # Errors
/// A damaged line, what the engine says, Interrupted.
pub fn verify(
    file: &SessionFile,
    engine: &Engine,
    options: Options,
    cancel: &Cancel,
    progress: &mut dyn FnMut(&str, u64, u64, &str),
) -> Result<Verified> {
    let mut hash = |done, total| {
        progress("hashing the model's files", done, total, "bytes");
        cancel.check()
    };
    let here = engine.weights_hash(None, &mut hash)?.unwrap_or_default();
    let mut adapters = Vec::new();
    for (i, adapter) in engine.adapters().into_iter().enumerate() {
        if let Some(adapter) = adapter {
            let sha256 = engine.weights_hash(Some(i), &mut hash)?.unwrap_or_default();
            adapters.push((i, adapter.name, sha256));
        }
    }
    let mut walk = Walk::new(file, engine, options, cancel, adapters);
    walk.out.model.here = here;
    let total = file.entries().len() as u64;
    for (i, entry) in file.entries().iter().enumerate() {
        progress("verifying", i as u64, total, "lines");
        cancel.check()?;
        if !matches!(entry.kind, Kind::Ask | Kind::Event | Kind::Weights) || walk.full() {
            continue;
        }
        let line: Line<Unread> = file.line(entry)?;
        let known = super::sane::Known::default();
        match line.what {
            What::Weights(weights) => walk.weights(weights),
            What::Ask(command) => {
                known.command(&command).map_err(|why| file.damaged(entry, &why))?;
                walk.asked(command);
            }
            What::Event(event) => {
                known.event(&event).map_err(|why| file.damaged(entry, &why))?;
                walk.event(entry.line, event)?;
            }
            _ => {}
        }
    }
    Ok(walk.finish())
}

/// On the way through a file.
struct Walk<'a> {
    again: Again<'a>,
    options: Options,
    out: Verified,
    /// Questions by job, and what a job was to watch.
    asks: BTreeMap<JobId, Command>,
    watches: BTreeMap<JobId, Vec<Watch>>,
    /// The recording's adapters by their number: name and hash.
    stamps: BTreeMap<usize, (String, String)>,
    /// Loaded here: number, name, hash.
    loaded: Vec<(usize, String, String)>,
    /// Trainings of which the first steps were made again.
    retrained: BTreeMap<JobId, training::Retrained>,
    /// Another model is in use in the recording.
    foreign: Option<String>,
    /// Verified answers.
    answers: u64,
}

impl<'a> Walk<'a> {
    fn new(
        file: &SessionFile,
        engine: &'a Engine,
        options: Options,
        cancel: &'a Cancel,
        loaded: Vec<(usize, String, String)>,
    ) -> Self {
        let header = &file.header;
        let stamps = header.adapters.iter().enumerate();
        let stamps = stamps.map(|(i, a)| (i, (a.name.clone(), a.sha256.clone()))).collect();
        let mut out = Verified { other_model: options.other_model, ..Verified::default() };
        if let Some(model) = &header.model {
            out.model.name.clone_from(&model.name);
            out.model.recorded.clone_from(&model.sha256);
        }
        Self {
            again: Again::new(engine, cancel),
            options,
            out,
            asks: BTreeMap::new(),
            watches: BTreeMap::new(),
            stamps,
            loaded,
            retrained: BTreeMap::new(),
            foreign: None,
            answers: 0,
        }
    }

    fn full(&self) -> bool {
        self.options.first.is_some_and(|first| self.answers >= first)
    }

    fn weights(&mut self, weights: Weights) {
        match weights.adapter {
            Some(i) => _ = self.stamps.insert(i, (weights.name, weights.sha256)),
            None if self.out.model.recorded.is_empty() || self.out.model.recorded == weights.sha256 => {
                (self.out.model.name, self.out.model.recorded) = (weights.name, weights.sha256);
                self.foreign = None;
            }
            // A later model of the same recording: what it says is not this one's.
            None => {
                let other = weights.sha256 != self.out.model.here && !self.options.other_model;
                self.foreign = other.then_some(weights.name);
            }
        }
    }

    fn asked(&mut self, command: Command) {
        match &command {
            Command::Train { job, request } => {
                self.watches.entry(*job).or_default().extend(request.watch.clone());
            }
            Command::TrainWatch { job, watch } => {
                self.watches.entry(*job).or_default().extend(watch.clone());
            }
            _ => {}
        }
        if let Some(job) = job_of(&command) {
            self.asks.insert(job, command);
        }
    }

    fn event(&mut self, line: u32, event: Event) -> Result<()> {
        match &event {
            Event::ModelLoaded { info, .. } => {
                let here = self.again.engine.info();
                let shape = |i: &ModelInfo| (i.layers, i.hidden, i.vocabulary, i.architecture.clone());
                self.foreign = (shape(info) != shape(here)).then(|| info.name.clone());
                if self.out.model.name.is_empty() {
                    self.out.model.name.clone_from(&info.name);
                }
                if info.dtype != here.dtype {
                    let (was, is) = (&info.dtype, &here.dtype);
                    self.note(format!("Recorded with {was} weights in memory, computed here with {is}."));
                }
                return Ok(());
            }
            Event::AdapterLoaded { index, info, .. } => {
                self.stamps.entry(*index).or_default().0.clone_from(&info.name);
                return Ok(());
            }
            Event::TrainStep { job, .. } | Event::TrainValidated { job, .. } if self.foreign.is_none() => {
                return self.trained(line, *job, &event);
            }
            Event::TrainFrame { job, frame } if self.foreign.is_none() && frame.step > 0 => {
                return self.trained(line, *job, &event);
            }
            _ => {}
        }
        let (what, job) = match &event {
            Event::LensDone { job, .. } => ("lens", *job),
            Event::GridColumn { job, .. } => ("grid column", *job),
            Event::CellReady { job, .. } => ("cell", *job),
            Event::PcaReady { job, complete: true, .. } => ("pca", *job),
            Event::CurvesReady { job, .. } => ("curves", *job),
            Event::EvalRecords { job, .. } => ("eval records", *job),
            Event::TrainFrame { job, frame } if frame.step == 0 => ("frame of step 0", *job),
            Event::TrainFrame { job, .. } => ("frames of a training", *job),
            Event::TrainStep { job, .. } => ("training steps", *job),
            _ => return Ok(()),
        };
        if let Some(name) = &self.foreign {
            let name = name.clone();
            return self.skipped(&format!("{what}: of another model, {name}"));
        }
        let Some(ask) = self.asks.get(&job).cloned() else {
            return self.skipped(&format!("{what}: its question is not in the file"));
        };
        self.compare(line, what, &ask, &event)
    }

    fn skipped(&mut self, what: &str) -> Result<()> {
        self.out.skip(what);
        Ok(())
    }

    fn note(&mut self, sentence: String) {
        if !self.out.notes.contains(&sentence) {
            self.out.notes.push(sentence);
        }
    }

    /// The run here that is the recording's: by the adapter's hash, or by its name where there is none.
    fn run(&mut self, run: RunId) -> Option<RunId> {
        let Some(index) = run else { return Some(None) };
        let (name, sha256) = self.stamps.get(&index).cloned().unwrap_or_default();
        let by_hash = self.loaded.iter().find(|(_, _, s)| !sha256.is_empty() && *s == sha256);
        let by_name =
            || self.loaded.iter().find(|(_, n, _)| sha256.is_empty() && *n == name && !n.is_empty());
        let found = by_hash.or_else(by_name).map(|(i, _, _)| Some(*i));
        if found.is_none() {
            let short: String = sha256.chars().take(12).collect();
            let missing = match short.is_empty() {
                true => format!("adapter {name:?}, number {index} (the recording has no hash of it)"),
                false => format!("adapter {name:?} ({short}…)"),
            };
            if !self.out.missing.contains(&missing) {
                self.out.missing.push(missing);
            }
        } else if sha256.is_empty() {
            self.note(format!("The recording has no hash of adapter {name:?}: it is taken by its name."));
        }
        found
    }

    fn finish(self) -> Verified {
        self.out
    }
}

/// The job of a question that is answered.
fn job_of(command: &Command) -> Option<JobId> {
    match command {
        Command::Lens { job, .. }
        | Command::Grid { job, .. }
        | Command::Cell { job, .. }
        | Command::Pca { job, .. }
        | Command::Curves { job, .. }
        | Command::Eval { job, .. }
        | Command::Train { job, .. } => Some(*job),
        _ => None,
    }
}
