//! From `--model` and `--adapter` to a loaded engine.

use super::args;
use super::console::Console;
use crate::engine::Engine;
use crate::engine::protocol::{AdapterInfo, Command, Event, LoadSpec, RunId};
use crate::error::Result;
use crate::hub::{DEFAULT_MODEL, Hub, Resolved, Status};

/// An engine and the runs that the command is for: the base, then one for each adapter.
pub struct Loaded {
    pub engine: Engine,
    pub runs: Vec<RunId>,
}

/// Resolves (fetching what is not in the cache), loads the model, and the adapters over it.
///
/// # Errors
/// What cannot be found, fetched, read or applied, each with its name; Interrupted on Ctrl-C.
pub fn open(args: &args::Model, console: &mut Console) -> Result<Loaded> {
    let (cancel, tape) = (console.cancel.clone(), console.tape.clone());
    let hub = Hub::from_env()?;
    let reference = args.model.as_deref().unwrap_or(DEFAULT_MODEL);
    tape.ask(|job| Command::LoadModel {
        job,
        model: reference.to_owned(),
        dtype: args.dtype,
        device: args.device.clone(),
        threads: args.threads,
    });
    if let status @ Status::Missing { .. } = hub.status(reference)? {
        console.note(&format!("{reference} is {}; fetching it", status.sentence()));
    }
    let model = hub.resolve(reference, &mut |s, d, t, u| console.progress(s, d, t, u), &cancel, true)?;
    let mut adapters = Vec::new();
    for text in &args.adapters {
        let on = &mut |s: &str, d, t, u: &str| console.progress(s, d, t, u);
        adapters.push((text, hub.resolve_adapter(text, on, &cancel, true)?));
    }
    let spec = LoadSpec {
        path: model.path,
        name: model.name,
        dtype: args.dtype,
        device: args.device.clone(),
        threads: args.threads,
    };
    let engine = Engine::load(&spec, &mut |s, d, t, u| console.progress(s, d, t, u))?;
    cancel.check()?;
    tape.event(|job| Event::ModelLoaded { job, info: engine.info().clone() });
    for note in engine.info().notes.clone() {
        console.note(&note);
    }
    for (i, (typed, adapter)) in adapters.iter().enumerate() {
        tape.ask(|job| Command::LoadAdapter { job, adapter: (*typed).clone() });
        console.progress(
            &format!("loading adapter {}", adapter.name),
            i as u64,
            adapters.len() as u64,
            "adapters",
        );
        let index = engine.add_adapter(&adapter.path, &distinct_name(&adapters, i))?;
        cancel.check()?;
        let info = engine.adapters().swap_remove(index).unwrap_or_default();
        tape.event(|job| Event::AdapterLoaded { job, index, info });
    }
    tape.loaded(&engine, &mut |done, total| {
        console.show("hashing the model's files", done, total, "bytes");
        cancel.check()
    })?;
    let runs = std::iter::once(None).chain((0..adapters.len()).map(Some)).collect();
    Ok(Loaded { engine, runs })
}

/// The loaded adapters; a command drops none, so that run `Some(i)` is the i-th.
pub fn adapters(engine: &Engine) -> Vec<AdapterInfo> {
    engine.adapters().into_iter().flatten().collect()
}

/// The adapter's name, or as it was typed where another adapter has the same name.
fn distinct_name(adapters: &[(&String, Resolved)], i: usize) -> String {
    let name = &adapters[i].1.name;
    let same = adapters.iter().filter(|(_, a)| a.name == *name).count();
    if same > 1 { adapters[i].0.clone() } else { name.clone() }
}
