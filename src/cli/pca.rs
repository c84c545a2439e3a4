//! `polylens pca`: joint PCA and the alignment measures over a task's prompts.

use super::args::Pca;
use super::console::Console;
use super::load::{self, Loaded};
use super::prompts::{self, Wanted};
use crate::engine::protocol::PcaRequest;
use crate::error::Result;
use crate::report::Source;
use crate::report::pca::PcaReport;

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
    let answer = engine.pca(&request, &cancel, &mut |s, d, t, u| console.progress(s, d, t, u))?;
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
