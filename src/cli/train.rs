//! `polylens train`: question-translation alignment with LoRA.

use super::args::{self, Output};
use super::console::{Console, print};
use super::interrupt;
use super::load;
use super::record::{self, Taping};
use super::train_args::{Progress, Train};
use super::train_said::{self, Said};
use super::train_watch::{self, Observed};
use crate::engine::Engine;
use crate::engine::protocol::{Command, DType, DeviceChoice, Event, TrainRequest, TrainSettings};
use crate::engine::watching::Watching;
use crate::error::{Error, Result};
use crate::hub::DEFAULT_MODEL;
use crate::session::Start;
use crate::train::data::Dataset;
use crate::train::record::{ModelId, Record};
use crate::train::{self, Job};
use std::path::Path;

/// Runs the command.
///
/// # Errors
/// What the options, the data, the model or the run says; Interrupted on Ctrl-C, with a checkpoint written before.
pub fn run(args: &Train) -> Result<()> {
    interrupt::full_files_are_errors();
    if !matches!(args.device, DeviceChoice::Auto | DeviceChoice::Cpu) {
        return Err(Error::usage("training runs on the CPU; use --device cpu, or leave --device out"));
    }
    let output = Output { json: args.json, out: None, quiet: silent(args), log: args.log.clone() };
    let mut console = Console::open(&output)?;
    let (mut request, record) = match &args.resume {
        Some(out) => resumed(args, out)?,
        None => (fresh(args)?, None),
    };
    if let Some(record) = record.as_ref().filter(|r| r.is_finished())
        && let Some(outcome) = &record.outcome
    {
        console.note(&format!(
            "{} is finished ({} steps); there is nothing to go on with",
            request.out.display(),
            outcome.steps
        ));
        return print(&train_said::result(record, outcome, args.json)?);
    }
    let watched = train_watch::watched(args, &request.data)?;
    let task = watched.as_ref().map(|_| args.watch.watch_task.as_str());
    let lang = watched.as_ref().map_or_else(|| "en".to_owned(), |w| w.lang.clone());
    request.watch = watched.map(|w| w.watch);
    let start = Start { model: reference(args, record.as_ref()), lang, ..Start::default() };
    let tape = console.record(args.record.as_deref(), args.progress == Progress::Json, || {
        let about = "A training run, step by step.".to_owned();
        record::header("train", about, request.settings.seed, task, start)
    })?;
    tape.close(train(args, request, record.as_ref(), console, &tape))
}

fn train(
    args: &Train,
    request: TrainRequest,
    record: Option<&Record>,
    mut console: Console,
    tape: &Taping,
) -> Result<()> {
    let reference = reference(args, record);
    let loaded = load::open(&model_args(args, record, &reference), &mut console)?;
    let engine = &loaded.engine;
    let cancel = console.cancel.clone();
    tape.ask(|job| Command::Train { job, request: request.clone() });
    console.progress("reading data", 0, 0, "");
    let dataset = Dataset::read(&request.data, &request.settings, engine.tokenizer())?;
    let mut model = model_id(engine, &reference, &mut console)?;
    if let Some(base) = args.base_name.as_ref().or(record.map(|r| &r.model.base)) {
        model.base.clone_from(base);
    }
    let job = engine.training_job(request, &dataset, model)?;
    contradicts_init(args, &job)?;
    let notes = engine.info().notes.clone();
    let said = Said::new(args, console, &notes, &job.request);
    let watching = Watching::new(job.request.watch.clone(), job.plan.total_steps);
    let mut observed = Observed { said, tape: tape.clone(), watching, engine, cancel: &cancel };
    let done = train::run(&job, &cancel, &mut observed);
    match done {
        Err(Error::Interrupted) => {
            observed.said.interrupted();
            Err(Error::Interrupted)
        }
        Err(e) => Err(e),
        Ok(outcome) => {
            tape.event(|job| Event::TrainDone { job, outcome: outcome.clone() });
            observed.said.finish(&job, &outcome)
        }
    }
}

/// A new run as it was asked for.
fn fresh(args: &Train) -> Result<TrainRequest> {
    let out =
        args.out.clone().ok_or_else(|| Error::usage("--out DIR is missing: where the run is to be kept"))?;
    train::check_out(&out)?;
    let mut settings = TrainSettings::default();
    args.settings.apply(&mut settings);
    let data = args.sources()?;
    train::check_settings(&settings)?;
    let init_adapter = args.init_adapter.clone();
    Ok(TrainRequest { settings, data, out, init_adapter, resume: false, watch: None })
}

/// A run that goes on. Options may repeat its settings but not change them: the weights would be neither run's.
fn resumed(args: &Train, out: &Path) -> Result<(TrainRequest, Option<Record>)> {
    let record = Record::read(out)?;
    let mut settings = record.settings.clone();
    if let Some((name, value, own)) = args.settings.apply(&mut settings).first() {
        return Err(Error::usage(format!(
            "--{name} {value} contradicts the run in {}, which has {own}; leave the option out, or begin another run \
             with --init-adapter and a new --out",
            out.display()
        )));
    }
    Ok((record.request(out), Some(record)))
}

/// What an adapter that is begun from decides cannot be given otherwise.
fn contradicts_init(args: &Train, job: &Job) -> Result<()> {
    let (Some(dir), Some(_)) = (&args.init_adapter, &job.request.init_adapter) else { return Ok(()) };
    let mut own = job.request.settings.clone();
    // The order in which layers are named does not matter.
    let mut given = args.settings.clone();
    if let Some(targets) = &mut given.targets {
        targets.0.sort_by_key(|t| own.targets.iter().position(|o| o == t));
        targets.0.dedup();
    }
    match given.apply(&mut own).into_iter().find(|c| ["rank", "alpha", "targets"].contains(&c.0)) {
        Some((name, value, own)) => Err(Error::usage(format!(
            "--{name} {value} contradicts the adapter {}, which has {own}; leave the option out",
            dir.display()
        ))),
        None => Ok(()),
    }
}

fn reference(args: &Train, record: Option<&Record>) -> String {
    let own = || record.map_or(DEFAULT_MODEL, |r| &r.model.reference).to_owned();
    args.model.clone().unwrap_or_else(own)
}

fn model_args(args: &Train, record: Option<&Record>, reference: &str) -> args::Model {
    let dtype = record.map_or(DType::Auto, |r| match r.model.dtype.as_str() {
        "f32" => DType::F32,
        "f16" => DType::F16,
        "bf16" => DType::Bf16,
        _ => DType::Native,
    });
    args::Model {
        model: Some(reference.to_owned()),
        adapters: Vec::new(),
        device: DeviceChoice::Cpu,
        dtype: args.dtype.unwrap_or(dtype),
        threads: args.threads.unwrap_or_else(|| record.map_or(0, |r| r.model.threads)),
    }
}

fn model_id(engine: &Engine, reference: &str, console: &mut Console) -> Result<ModelId> {
    let cancel = console.cancel.clone();
    engine.model_id(reference, &mut |done, total| {
        console.progress("hashing the model's files", done, total, "bytes");
        cancel.check()
    })
}

/// With JSON lines on stderr nothing else may stand there.
fn silent(args: &Train) -> bool {
    args.quiet || args.progress == Progress::Json
}
