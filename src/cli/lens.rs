//! `polylens lens`: one text, or a task's items in one language or several.

use super::args::Lens;
use super::console::Console;
use super::load::{self, Loaded};
use super::prompts::{self, Prompts, Wanted};
use super::record::{self, Taping};
use super::values::Layers;
use crate::engine::core::LensPart;
use crate::engine::protocol::{Command, CurvesAnswer, CurvesRequest, Event, LensAnswer, Query, TokenSets};
use crate::error::{Context, Error, Result};
use crate::hub::DEFAULT_MODEL;
use crate::report::Source;
use crate::report::curves::{CurvesReport, Section};
use crate::report::lens::LensReport;
use crate::session::Start;
use std::io::Read;

/// Longer texts are surely a mistake (a whole book on stdin); no supported model reads as much.
const MOST_BYTES: u64 = 16 << 20;

/// Runs the command.
///
/// # Errors
/// Wrong usage, what cannot be read, loaded or computed, and Interrupted.
pub fn run(args: &Lens) -> Result<()> {
    match (&args.text, &args.task) {
        (Some(text), _) => one_text(args, text),
        (None, Some(task)) => whole_task(args, task),
        (None, None) => Err(Error::usage("give --text TEXT or --task ID")),
    }
}

fn one_text(args: &Lens, text: &str) -> Result<()> {
    if args.items.items.is_some() || args.items.limit.is_some() {
        return Err(Error::usage("--items and --limit belong to --task; with --text there is one prompt"));
    }
    // Before Ctrl-C is caught: while stdin is waited for it shall end the program.
    let text = if text == "-" { stdin_text()? } else { text.to_owned() };
    if text.is_empty() {
        return Err(Error::usage("--text is empty: there is no token whose successor could be read"));
    }
    let mut console = Console::open(&args.output)?;
    let about = "Every layer's readout of one text.".to_owned();
    let start = start(args);
    let tape = console
        .record(args.record.as_deref(), false, || record::header("lens", about, args.seed, None, start))?;
    tape.close(read_text(args, &text, console, &tape))
}

fn read_text(args: &Lens, text: &str, mut console: Console, tape: &Taping) -> Result<()> {
    let Loaded { engine, runs } = load::open(&args.model, &mut console)?;
    args.layers.resolve(engine.info().layers)?;
    let text = text.to_owned();
    let query = Query { text, track: args.track.clone(), ..Query::default() };
    let cancel = console.cancel.clone();
    tape.ask(|job| Command::Lens { job, query: query.clone(), runs: runs.clone(), top: args.top });
    console.progress("token energies", 0, 0, "");
    engine.prepare_energy(&cancel)?;
    console.progress("reading the layers", 0, 0, "layers");
    let mut answer = match tape.is_on() {
        true => {
            let on = &mut |part: LensPart| tape.event(|job| part.event(job));
            engine.lens_live(&query, &runs, args.top, &cancel, on)?
        }
        false => engine.lens(&query, &runs, args.top, &cancel, &mut |_| ())?,
    };
    tape.event(|job| Event::LensDone { job, answer: answer.clone() });
    warn(&mut console, &answer.sets, None);
    keep_layers(&mut answer, &args.layers);
    let adapters = load::adapters(&engine);
    let source = Source { model: engine.info(), adapters: &adapters };
    console.finish(&LensReport { source, text: &query.text, answer: &answer })
}

fn whole_task(args: &Lens, task: &str) -> Result<()> {
    let mut console = Console::open(&args.output)?;
    let langs = args.lang.as_deref().or(args.langs.as_deref());
    let wanted = Wanted { task, langs, protocol: args.protocol, items: &args.items };
    let prompts = prompts::gather(&wanted)?;
    let first = prompts.langs.first().map(|(lang, _)| lang.clone()).unwrap_or_default();
    let about = format!("Mean curves over the items of {}.", prompts.task);
    let start = Start { lang: first, ..start(args) };
    let tape = console.record(args.record.as_deref(), false, || {
        record::header("lens", about, args.seed, Some(task), start)
    })?;
    tape.close(follow_items(args, &prompts, console, &tape))
}

/// What the explorer of a recording begins with.
fn start(args: &Lens) -> Start {
    let model = args.model.model.clone().unwrap_or_else(|| DEFAULT_MODEL.to_owned());
    Start { model, style: args.items.style, protocol: args.protocol, ..Start::default() }
}

fn follow_items(args: &Lens, prompts: &Prompts, mut console: Console, tape: &Taping) -> Result<()> {
    let Loaded { engine, runs } = load::open(&args.model, &mut console)?;
    args.layers.resolve(engine.info().layers)?;
    let cancel = console.cancel.clone();
    let mut answers = Vec::new();
    for (lang, items) in &prompts.langs {
        tape.mark(lang);
        tape.ask(|job| {
            let (task, lang, style) = (prompts.task.clone(), lang.clone(), args.items.style);
            let request = CurvesRequest { task, lang, style, items: items.clone(), runs: runs.clone() };
            Command::Curves { job, request }
        });
        let sets = engine.sets_of(&items[0].query)?;
        warn(&mut console, &sets, Some(lang));
        if let Some(reason) = &sets.refused {
            tape.event(|job| Event::Failed { job, message: reason.clone() });
            // Of one language alone this is the command's error.
            if prompts.langs.len() > 1 {
                console.note(&format!("{lang}: {reason}"));
            }
            answers.push(CurvesAnswer { n: items.len(), sets, ..CurvesAnswer::default() });
            continue;
        }
        let on = &mut |s: &str, d, t, u: &str| console.progress(&format!("{lang}: {s}"), d, t, u);
        let mut answer = engine.curves(items, &runs, &cancel, on).map_err(|e| e.context(lang))?;
        tape.event(|job| {
            let (task, lang, style) = (prompts.task.clone(), lang.clone(), args.items.style);
            Event::CurvesReady { job, task, lang, style, answer: answer.clone() }
        });
        keep_curves(&mut answer, &args.layers);
        answers.push(answer);
    }
    if let Some(reason) = all_refused(&answers) {
        return Err(Error::Failed(reason));
    }
    let sections = prompts.langs.iter().zip(&answers);
    let adapters = load::adapters(&engine);
    console.finish(&CurvesReport {
        source: Source { model: engine.info(), adapters: &adapters },
        task: &prompts.task,
        style: args.items.style,
        protocol: args.protocol,
        sections: sections.map(|((lang, _), answer)| Section { lang, answer }).collect(),
    })
}

/// All of stdin, without the line break that an editor or `echo` leaves at its end.
fn stdin_text() -> Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes).context("cannot read stdin")?;
    if bytes.len() as u64 > MOST_BYTES {
        crate::fail!("the text on stdin has more than {} MiB; give a shorter one", MOST_BYTES >> 20);
    }
    let mut text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::Failed(format!(
            "the text on stdin is not UTF-8 (byte {at}); convert it, e.g. with iconv -t UTF-8"
        ))
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Says what was removed from the token sets, once.
fn warn(console: &mut Console, sets: &TokenSets, lang: Option<&str>) {
    let of = lang.map_or(String::new(), |l| format!("{l}: "));
    for warning in &sets.warnings {
        console.note(&format!("{of}{warning}"));
    }
}

fn keep_layers(answer: &mut LensAnswer, layers: &Layers) {
    for run in &mut answer.runs {
        run.layers.retain(|l| layers.holds(l.layer));
    }
}

fn keep_curves(answer: &mut CurvesAnswer, layers: &Layers) {
    for item in answer.runs.iter_mut().flat_map(|r| &mut r.items) {
        item.layers.retain(|l| layers.holds(l.layer));
    }
}

/// The first reason, if no language could be compared.
fn all_refused(answers: &[CurvesAnswer]) -> Option<String> {
    let mut reasons = answers.iter().map(|a| a.sets.refused.as_ref());
    let first = reasons.next()??;
    reasons.all(|r| r.is_some()).then(|| first.clone())
}
