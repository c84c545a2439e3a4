//! `polylens pca`: joint PCA and the alignment measures over a task's prompts.

use super::args::Pca;
use super::console::Console;
use super::load::{self, Loaded};
use super::prompts::{self, Prompts, Wanted};
use super::record::{self, Taping};
use crate::engine::protocol::{Command, Event, PcaRequest};
use crate::error::Result;
use crate::hub::DEFAULT_MODEL;
use crate::report::Source;
use crate::report::pca::PcaReport;
use crate::session::Start;

/// Runs the command.
///
/// # Errors
/// Wrong usage, what cannot be read, loaded or computed, and Interrupted.
pub fn run(args: &Pca) -> Result<()> {
    let mut console = Console::open(&args.output)?;
    let langs = args.lang.as_deref().unwrap_or(&args.langs);
    let wanted = Wanted { task: &args.task, langs: Some(langs), protocol: args.protocol, items: &args.items };
    let mut prompts = prompts::gather(&wanted)?;
    if let Some(note) = prompts.make_parallel() {
        console.note(&note);
    }
    let start = Start {
        model: args.model.model.clone().unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
        lang: prompts.langs.first().map(|(lang, _)| lang.clone()).unwrap_or_default(),
        style: args.items.style,
        protocol: args.protocol,
        ..Start::default()
    };
    let about = format!("{} languages in one plane, layer by layer.", prompts.langs.len());
    let tape = console.record(args.record.as_deref(), false, || {
        record::header("pca", about, args.seed, Some(&args.task), start)
    })?;
    tape.close(compute(args, prompts, console, &tape))
}

fn compute(args: &Pca, prompts: Prompts, mut console: Console, tape: &Taping) -> Result<()> {
    let Loaded { engine, runs } = load::open(&args.model, &mut console)?;
    let request = PcaRequest {
        items: prompts.langs,
        runs,
        layers: args.layers.resolve(engine.info().layers)?,
        pooling: args.pooling,
        protocol: args.protocol,
        shared_fit: args.shared_fit,
        seed: args.seed,
    };
    let cancel = console.cancel.clone();
    tape.ask(|job| Command::Pca { job, request: request.clone() });
    let on = &mut |s: &str, d, t, u: &str| console.progress(s, d, t, u);
    let answer = match tape.is_on() {
        true => engine.pca_live(&request, &cancel, on, &mut |answer| {
            tape.event(|job| Event::PcaReady { job, answer, complete: false });
        })?,
        false => engine.pca(&request, &cancel, on)?,
    };
    tape.event(|job| Event::PcaReady { job, answer: answer.clone(), complete: true });
    let adapters = load::adapters(&engine);
    console.finish(&PcaReport {
        source: Source { model: engine.info(), adapters: &adapters },
        task: &prompts.task,
        protocol: args.protocol,
        shared_fit: args.shared_fit,
        seed: args.seed,
        answer: &answer,
    })
}
