//! `polylens merge`: base + adapter as a plain Hugging Face directory.

use super::args::Output;
use super::console::Console;
use super::values;
use crate::error::Result;
use crate::hub::{DEFAULT_MODEL, Hub};
use crate::model::format::Format;
use crate::report::json;
use crate::train::merge::{self, Merged, Request, SHARD_BYTES};
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Catalogue name, ORG/REPO of the hub, directory, or .gguf file [default: gemma-3-270m]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// PEFT LoRA adapter: directory or ORG/REPO
    #[arg(long, value_name = "ADAPTER")]
    adapter: String,
    /// Directory to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number format of all weights [default: as the model has them; quantised ones become f32]
    #[arg(long, value_name = "DTYPE", value_parser = values::named(&[("f32", Format::F32), ("f16", Format::F16), ("bf16", Format::Bf16)]))]
    dtype: Option<Format>,
    /// Threads for computing; 0 = one per core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::threads)]
    threads: usize,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
    /// No progress bar and no notes on stderr
    #[arg(long, short)]
    quiet: bool,
    /// Append what is done, with times, to FILE
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  polylens merge --adapter my-run --out merged
  polylens merge --model Qwen/Qwen2.5-0.5B --adapter my-run --out merged --dtype bf16";

/// Runs the command.
///
/// # Errors
/// What cannot be found, fetched, read, applied or written; Interrupted on Ctrl-C.
pub fn run(args: &Args) -> Result<()> {
    let output = Output { json: args.json, out: None, quiet: args.quiet, log: args.log.clone() };
    let mut console = Console::open(&output)?;
    let cancel = console.cancel.clone();
    let hub = Hub::from_env()?;
    let mut on = |s: &str, d, t, u: &str| console.progress(s, d, t, u);
    let model = hub.resolve(args.model.as_deref().unwrap_or(DEFAULT_MODEL), &mut on, &cancel, true)?;
    let adapter = hub.resolve_adapter(&args.adapter, &mut on, &cancel, true)?;
    let cache = crate::engine::load::cache_root().map(|root| root.join("tokenizers"));
    let request = Request {
        model: &model.path,
        adapter: &adapter.path,
        out: &args.out,
        dtype: args.dtype,
        shard_bytes: SHARD_BYTES,
        cache: cache.as_deref(),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build();
    let pool = pool.map_err(|e| {
        crate::Error::Failed(format!("{} threads cannot be started ({e}); try --threads 1", args.threads))
    })?;
    // The bar stays on this thread; the work goes on in the pool and reports here.
    let (send, receive) = std::sync::mpsc::channel::<(String, u64, u64, String)>();
    let merged = std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let send = send;
            pool.install(|| {
                merge::merge(&request, &cancel, &mut |stage, done, total, unit| {
                    // A bar that is gone needs no news.
                    let _ = send.send((stage.into(), done, total, unit.into()));
                })
            })
        });
        for (stage, done, total, unit) in receive {
            console.progress(&stage, done, total, &unit);
        }
        work.join().map_err(|_| crate::Error::failed("the merge ended unexpectedly"))
    })??;
    if merged.probe_difference >= merged.probe_change {
        console.note(&format!(
            "in {} rounding moves the logits by {:.1e}, more than the adapter itself ({:.1e}); --dtype f32 keeps them",
            merged.dtypes.join(", "),
            merged.probe_difference,
            merged.probe_change
        ));
    }
    console.finish_document(&said(args.json, &merged)?, String::new)
}

fn said(as_json: bool, merged: &Merged) -> Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        polylens: &'static str,
        #[serde(flatten)]
        merged: &'a Merged,
    }
    if as_json {
        let polylens = env!("CARGO_PKG_VERSION");
        return json::document(&Document { schema: "polylens.merge/1", polylens, merged });
    }
    let m = merged;
    let files = if m.files == 1 { "1 file".to_owned() } else { format!("{} files", m.files) };
    Ok(format!(
        "{}: {} tensors ({}) in {files}, {:.1} MB\n{} of them changed by the adapter\nlargest difference of a logit \
         from base + adapter unmerged: {:.1e} (the adapter itself: {:.1e})\n",
        m.path.display(),
        m.tensors,
        m.dtypes.join(", "),
        m.bytes as f64 / 1e6,
        m.changed,
        m.probe_difference,
        m.probe_change
    ))
}
