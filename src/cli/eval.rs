//! `polylens eval`: constrained-decoding accuracy, and what must be read beside it.

use super::args::Eval;
use super::console::Console;
use super::load::{self, Loaded};
use super::prompts;
use super::record::{self, Taping};
use crate::engine::protocol::*;
use crate::engine::{Engine, Keeping, Kept};
use crate::error::{Context, Error, Result};
use crate::eval::part::{self, Part, Shard, Whole};
use crate::eval::{self, Table};
use crate::hub::DEFAULT_MODEL;
use crate::report::eval::{EvalReport, samples};
use crate::report::{Format, Source, json};
use crate::session::Start;
use crate::tasks;
use std::path::Path;
use std::time::Instant;

/// Runs the command.
///
/// # Errors
/// What the task, the items, the model or a part says; Interrupted on Ctrl-C (answers so far are kept).
pub fn run(args: &Eval) -> Result<()> {
    match (&args.merge[..], args.shard) {
        ([], None) => whole(args),
        ([], Some(shard)) => one_part(args, shard),
        (files, _) => merge(args, files),
    }
}

fn whole(args: &Eval) -> Result<()> {
    let mut console = Console::open_for(&args.output, &Format::ALL)?;
    let started = Instant::now();
    let plan = plan(args)?;
    let start = Start {
        model: args.model.model.clone().unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
        lang: plan.langs.first().map(|l| l.lang.clone()).unwrap_or_default(),
        style: args.style,
        protocol: args.protocol,
        ..Start::default()
    };
    let about = format!("An evaluation of {} over {} languages.", plan.task, plan.langs.len());
    let tape = console.record(args.record.as_deref(), false, || {
        record::header("eval", about, args.seed, Some(&args.task), start)
    })?;
    tape.close(evaluate(args, plan, started, console, &tape))
}

fn evaluate(
    args: &Eval,
    plan: EvalPlan,
    started: Instant,
    mut console: Console,
    tape: &Taping,
) -> Result<()> {
    let loaded = load::open(&args.model, &mut console)?;
    tape.ask(|job| Command::Eval {
        job,
        request: EvalRequest { plan: plan.clone(), runs: loaded.runs.clone() },
    });
    let asked = Instant::now();
    let sets = sets(&loaded.engine, &plan, &mut console)?;
    tape.event(|job| Event::EvalStarted { job, sets: sets.clone() });
    let queries = part::queries(&plan, &sets);
    let mut table = Table::new(plan.clone(), sets.clone(), loaded.runs.clone());
    let computed = compute(args, &loaded, (&plan, &sets), &queries, &mut console, &mut |record| {
        table.insert(record);
    })?;
    tape.event(|job| Event::EvalDone { job, elapsed_ms: asked.elapsed().as_secs_f64() * 1e3 });
    let adapters = load::adapters(&loaded.engine);
    let elapsed_ms = Some(started.elapsed().as_secs_f64() * 1e3);
    let source = Source { model: loaded.engine.info(), adapters: &adapters };
    finish(args, console, source, &table, args.seed, elapsed_ms, computed)
}

/// The summary, the samples, the result.
fn finish(
    args: &Eval,
    mut console: Console,
    source: Source,
    table: &Table,
    seed: u64,
    elapsed_ms: Option<f64>,
    computed: usize,
) -> Result<()> {
    let summary = eval::summarise(table, seed);
    let report = EvalReport { source, table, summary: &summary, seed, elapsed_ms, computed };
    if let Some(dir) = &args.samples {
        let files = samples::write(dir, &report)?;
        console.note(&format!("wrote {} files of samples under {}", files.len(), dir.display()));
    }
    console.finish(&report)
}

/// The prompts of all languages.
fn plan(args: &Eval) -> Result<EvalPlan> {
    let source = tasks::Source::find(&args.task)?;
    let task = &source.task;
    let langs = prompts::languages(task, args.lang.as_deref().unwrap_or(&args.langs))?;
    if let Some(template) = &args.items {
        tasks::items::check_template(template, langs.len())?;
    }
    let mut with_rows = Vec::with_capacity(langs.len());
    for language in langs {
        with_rows.push((language, source.rows(language, args.items.as_deref(), args.limit)?));
    }
    eval::plan(task, &with_rows, args.style, args.protocol, args.score)
}

/// The labels' token sets, said what is to be said about them.
fn sets(engine: &Engine, plan: &EvalPlan, console: &mut Console) -> Result<Vec<EvalSets>> {
    let sets = engine.eval_sets(plan)?;
    // With the same words in every language, a sentence is said once.
    let mut said: Vec<&str> = Vec::new();
    for (lang, sets) in plan.langs.iter().zip(&sets) {
        let refused = sets.refused.as_ref().map(|reason| (reason, "is left out: "));
        for (sentence, what) in sets.warnings.iter().map(|w| (w, "")).chain(refused) {
            if !said.contains(&sentence.as_str()) {
                console.note(&format!("{}: {what}{sentence}", lang.lang));
                said.push(sentence);
            }
        }
    }
    match sets.iter().map(|s| s.refused.as_ref()).collect::<Option<Vec<_>>>() {
        Some(reasons) if !reasons.is_empty() => Err(Error::failed(reasons[0])),
        _ => Ok(sets),
    }
}

/// Scores the queries under all runs. Returns how many answers were computed and not kept from before.
fn compute(
    args: &Eval,
    loaded: &Loaded,
    (plan, sets): (&EvalPlan, &[EvalSets]),
    queries: &[(usize, usize)],
    console: &mut Console,
    on: &mut (dyn FnMut(EvalRecord) + Send),
) -> Result<usize> {
    let (cancel, tape) = (console.cancel.clone(), console.tape.clone());
    let kept = if args.fresh { None } else { Kept::in_cache() };
    let (mut computed, mut found) = (0, 0);
    let mut notes: Vec<String> = Vec::new();
    let done = loaded.engine.evaluate_kept(
        plan,
        sets,
        (queries, &loaded.runs),
        Keeping { kept: kept.as_ref(), note: &mut |sentence| notes.push(sentence.to_owned()) },
        &cancel,
        &mut |stage, done, total, unit| {
            tape.progress(stage, done, total, unit);
            let stage = if unit == "bytes" { stage } else { "evaluating" };
            console.show(stage, done, total, unit);
        },
        &mut |records, kept| {
            let count = if kept { &mut found } else { &mut computed };
            *count += records.len();
            tape.event(|job| Event::EvalRecords { job, records: records.clone(), kept });
            records.into_iter().for_each(&mut *on);
        },
    );
    for sentence in &notes {
        console.note(sentence);
        tape.event(|job| Event::Note { job, sentence: sentence.clone() });
    }
    let total = queries.len() * loaded.runs.len();
    match done {
        Err(Error::Interrupted) => {
            if kept.is_some() && notes.is_empty() {
                let there = found + computed;
                console.note(&format!(
                    "{there} of {total} answers are kept; the same command goes on from there"
                ));
            }
            Err(Error::Interrupted)
        }
        Err(e) => Err(e),
        Ok(()) => {
            if found > 0 {
                console.note(&format!(
                    "{found} of {total} answers were there from before; --fresh computes them again"
                ));
            }
            Ok(computed)
        }
    }
}

fn one_part(args: &Eval, shard: Shard) -> Result<()> {
    let mut console = Console::open_for(&args.output, &[Format::Json])?;
    let plan = plan(args)?;
    let loaded = load::open(&args.model, &mut console)?;
    let sets = sets(&loaded.engine, &plan, &mut console)?;
    let queries = part::queries(&plan, &sets);
    let own = &queries[shard.range(queries.len())];
    let mut records = Vec::new();
    compute(args, &loaded, (&plan, &sets), own, &mut console, &mut |record| records.push(record))?;
    // Whether answers were computed or kept must not show in the order.
    records.sort_by_key(|r: &EvalRecord| (r.lang, r.slot, r.run));
    let mut print = String::new();
    for run in &loaded.runs {
        let of = loaded.engine.fingerprint(*run, &mut |_, _| console.cancel.check())?;
        print += &of.ok_or_else(|| {
            Error::failed("the model's files have changed since they were loaded: compute this part again")
        })?;
    }
    let model = loaded.engine.info().clone();
    let adapters = load::adapters(&loaded.engine);
    let decides = serde_json::to_string(&(&plan, &sets, args.seed)).context("the plan cannot be written")?;
    let key = crate::engine::fingerprint::text_hash(&(print + env!("CARGO_PKG_VERSION") + &decides));
    let part = Part {
        schema: part::SCHEMA.into(),
        shard,
        key,
        seed: args.seed,
        model,
        adapters,
        runs: loaded.runs,
        plan,
        sets,
        records,
    };
    console.finish_document(&json::document(&part)?, || {
        format!(
            "part {} of {}: {} answers; `polylens eval --merge` joins the parts",
            shard.index,
            shard.of,
            part.records.len()
        )
    })
}

fn merge(args: &Eval, files: &[std::path::PathBuf]) -> Result<()> {
    let console = Console::open_for(&args.output, &Format::ALL)?;
    let read = |file: &std::path::PathBuf| {
        let name = file.display().to_string();
        Ok((name.clone(), part::read(&text(file)?, &name)?))
    };
    let parts: Vec<(String, Part)> = files.iter().map(read).collect::<Result<_>>()?;
    let Whole { model, adapters, seed, table } = part::merge(&parts)?;
    let computed = table.progress(None).0;
    let source = Source { model: &model, adapters: &adapters };
    finish(args, console, source, &table, seed, None, computed)
}

/// A part's text; larger than any part that can be is refused unread.
fn text(file: &Path) -> Result<String> {
    const MOST: u64 = 2 << 30;
    let shown = file.display();
    let size = std::fs::metadata(file).with_context(|| format!("{shown} cannot be opened"))?.len();
    if size > MOST {
        crate::fail!("{shown} has {size} bytes, more than any part of an evaluation");
    }
    let bytes = std::fs::read(file).with_context(|| format!("{shown} cannot be read"))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::failed(format!("{shown} is not UTF-8: it is no part of an evaluation")))
}

/// `I/N`, from 1.
pub fn shard(text: &str) -> Result<Shard, String> {
    let wrong = || format!("\"{text}\" is no part; give I/N, as 1/8 for the first of eight");
    let (index, of) = text.split_once('/').ok_or_else(wrong)?;
    let shard = Shard { index: index.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
    if shard.of == 0 || shard.of > 100_000 {
        return Err(format!("{} parts cannot be made; give 1 to 100000", shard.of));
    }
    if shard.index == 0 || shard.index > shard.of {
        return Err(format!("parts count from 1 to {}; there is no part {}", shard.of, shard.index));
    }
    Ok(shard)
}

/// `--score`.
pub fn score() -> impl clap::builder::TypedValueParser<Value = Score> {
    super::values::named(&[("prefix-set", Score::PrefixSet), ("loglik", Score::Loglik)])
}
