//! The numbers of a session: every answer with its question, as one JSON document or one long table.

mod rows;

use super::json;
use crate::engine::protocol::{
    AdapterInfo, CellDetail, Command, CurvesAnswer, EvalRecord, EvalSets, Event, GridCell, JobId, LensAnswer,
    ModelInfo, PcaAnswer, RunId, Style, TrainFrame, TrainOutcome, TrainPlan, TrainStep,
};
use crate::error::Result;
use crate::session::{Header, Kind, Line, SessionFile, What};
use crate::train::log::{LogRecord, Update};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::mem::Discriminant;

/// Name and version of the JSON document.
pub const SCHEMA: &str = "polylens.session-data/1";

/// What was answered to one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Answer {
    /// When it was complete, or its last part came: milliseconds since the recording began.
    t: u64,
    job: JobId,
    /// The question, where the session has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Command>,
    #[serde(flatten)]
    data: Data,
}

/// An answer put together from its parts. Runs are numbers as in the document's `adapters`; none is the base model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", content = "answer", rename_all = "snake_case")]
enum Data {
    Model(ModelInfo),
    Adapter {
        index: usize,
        info: AdapterInfo,
    },
    Lens(LensAnswer),
    Cell {
        run: RunId,
        detail: CellDetail,
    },
    Grid {
        run: RunId,
        /// Position -> a cell a layer.
        columns: BTreeMap<usize, Vec<GridCell>>,
    },
    Curves {
        task: String,
        lang: String,
        style: Style,
        answer: CurvesAnswer,
    },
    Pca {
        complete: bool,
        answer: PcaAnswer,
    },
    Eval {
        complete: bool,
        sets: Vec<EvalSets>,
        records: Vec<EvalRecord>,
    },
    Train(Box<Train>),
    /// A followed training log.
    Log {
        records: Vec<LogRecord>,
    },
}

/// A training run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Train {
    plan: Option<TrainPlan>,
    steps: Vec<TrainStep>,
    validations: Vec<Validation>,
    frames: Vec<TrainFrame>,
    outcome: Option<TrainOutcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Validation {
    step: u64,
    eval_loss: f64,
    best: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    polylens: &'static str,
    header: &'a Header,
    /// Run number -> the adapter's name.
    adapters: &'a BTreeMap<usize, String>,
    answers: &'a [Answer],
}

/// Every answer of a stretch as one document.
///
/// # Errors
/// A line is damaged.
pub fn json(file: &SessionFile, from: u64, to: Option<u64>) -> Result<String> {
    let collected = collect(file, from, to)?;
    json::document(&Document {
        schema: SCHEMA,
        polylens: env!("CARGO_PKG_VERSION"),
        header: &file.header,
        adapters: &collected.adapters,
        answers: &collected.answers,
    })
}

/// Every number of a stretch, one a line: its columns are named in the first.
///
/// # Errors
/// A line is damaged.
pub fn csv(file: &SessionFile, from: u64, to: Option<u64>) -> Result<String> {
    rows::csv(&collect(file, from, to)?)
}

/// What a session answered, in order.
#[derive(Default)]
struct Collected {
    answers: Vec<Answer>,
    adapters: BTreeMap<usize, String>,
    asked: HashMap<JobId, Command>,
    /// Place of a job's answer that is put together from parts; grids have one a run.
    open: HashMap<(JobId, RunId, Discriminant<Data>), usize>,
}

fn collect(file: &SessionFile, from: u64, to: Option<u64>) -> Result<Collected> {
    let mut all = Collected::default();
    for entry in file.entries().iter().filter(|e| e.t <= to.unwrap_or(u64::MAX)) {
        if !matches!(entry.kind, Kind::Ask | Kind::Event | Kind::User) {
            continue;
        }
        if entry.kind == Kind::User {
            // Of what the interface was told only a followed log has numbers.
            if entry.t >= from && file.text(entry).windows(6).any(|w| w == b"\"log\":") {
                let line: Line<serde_json::Value> = file.line(entry)?;
                all.log(entry.t, &line);
            }
            continue;
        }
        let line: Line<serde_json::Value> = file.line(entry)?;
        match line.what {
            What::Ask(command) => {
                if let Some(job) = job_of(&command) {
                    all.asked.insert(job, command);
                }
            }
            What::Event(Event::AdapterLoaded { job, index, info }) => {
                all.adapters.insert(index, info.name.clone());
                if entry.t >= from {
                    all.push(entry.t, job, Data::Adapter { index, info });
                }
            }
            What::Event(event) if entry.t >= from => all.event(entry.t, event),
            _ => {}
        }
    }
    Ok(all)
}

/// The job that a command asks for.
fn job_of(command: &Command) -> Option<JobId> {
    Some(match command {
        Command::LoadModel { job, .. }
        | Command::LoadAdapter { job, .. }
        | Command::Lens { job, .. }
        | Command::Grid { job, .. }
        | Command::Cell { job, .. }
        | Command::Curves { job, .. }
        | Command::Pca { job, .. }
        | Command::Eval { job, .. }
        | Command::Pull { job, .. }
        | Command::TrainPlan { job, .. }
        | Command::Train { job, .. } => *job,
        _ => return None,
    })
}

impl Collected {
    fn push(&mut self, t: u64, job: JobId, data: Data) {
        let command = self.asked.get(&job).cloned();
        self.answers.push(Answer { t, job, command, data });
    }

    /// The answer that a part belongs to; it begins as `empty`. Parts of another kind never meet.
    fn part(&mut self, t: u64, job: JobId, run: RunId, empty: Data) -> &mut Data {
        let key = (job, run, std::mem::discriminant(&empty));
        let at = match self.open.get(&key) {
            Some(at) => *at,
            None => {
                self.push(t, job, empty);
                self.open.insert(key, self.answers.len() - 1);
                self.answers.len() - 1
            }
        };
        self.answers[at].t = t;
        &mut self.answers[at].data
    }

    fn eval(
        &mut self,
        t: u64,
        job: JobId,
        more: impl FnOnce(&mut bool, &mut Vec<EvalSets>, &mut Vec<EvalRecord>),
    ) {
        let empty = Data::Eval { complete: false, sets: Vec::new(), records: Vec::new() };
        if let Data::Eval { complete, sets, records } = self.part(t, job, None, empty) {
            more(complete, sets, records);
        }
    }

    fn train(&mut self, t: u64, job: JobId, more: impl FnOnce(&mut Train)) {
        if let Data::Train(train) = self.part(t, job, None, Data::Train(Box::default())) {
            more(train);
        }
    }

    fn event(&mut self, t: u64, event: Event) {
        match event {
            Event::ModelLoaded { job, info } => self.push(t, job, Data::Model(info)),
            Event::LensDone { job, answer } => self.push(t, job, Data::Lens(answer)),
            Event::CellReady { job, run, detail } => self.push(t, job, Data::Cell { run, detail }),
            Event::GridColumn { job, run, position, cells } => {
                if let Data::Grid { columns, .. } =
                    self.part(t, job, run, Data::Grid { run, columns: BTreeMap::new() })
                {
                    columns.insert(position, cells);
                }
            }
            Event::CurvesReady { job, task, lang, style, answer } => {
                self.push(t, job, Data::Curves { task, lang, style, answer });
            }
            Event::PcaReady { job, answer, complete } => {
                // An answer for more languages takes the place of the one before.
                *self.part(t, job, None, Data::Pca { complete, answer: PcaAnswer::default() }) =
                    Data::Pca { complete, answer };
            }
            Event::EvalStarted { job, sets } => self.eval(t, job, |_, all, _| *all = sets),
            Event::EvalRecords { job, records, .. } => self.eval(t, job, |_, _, all| all.extend(records)),
            Event::EvalDone { job, .. } => self.eval(t, job, |complete, _, _| *complete = true),
            Event::TrainPlanned { job, plan } | Event::TrainStarted { job, plan } => {
                self.train(t, job, |train| train.plan = Some(plan));
            }
            Event::TrainStep { job, step } => self.train(t, job, |train| train.steps.push(step)),
            Event::TrainValidated { job, step, eval_loss, best } => {
                self.train(t, job, |train| train.validations.push(Validation { step, eval_loss, best }));
            }
            Event::TrainFrame { job, frame } => self.train(t, job, |train| train.frames.push(frame)),
            Event::TrainDone { job, outcome } => self.train(t, job, |train| train.outcome = Some(outcome)),
            _ => {}
        }
    }

    /// The records of a followed training log; its lines are the interface's, not the engine's.
    fn log(&mut self, t: u64, line: &Line<serde_json::Value>) {
        let What::User(input) = &line.what else { return };
        let Some(updates) = input.pointer("/log/updates/Ok") else { return };
        let Ok(updates) = serde_json::from_value::<Vec<Update>>(updates.clone()) else { return };
        let Data::Log { records } = self.part(t, 0, None, Data::Log { records: Vec::new() }) else {
            return;
        };
        for update in updates {
            match update {
                Update::Restarted { .. } => records.clear(),
                Update::Record(record) => records.push(record),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
