//! `polylens sessions make`: a recording whose keys stand in a script, so that it can be made again.

use crate::app::model::Settings;
use crate::cli::values;
use crate::engine::protocol::{DType, DeviceChoice};
use crate::error::{Context, Result};
use crate::ui::script::{Make, Script};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct MakeArgs {
    /// Script: what the session begins with, then a step a line (docs/scripts.md)
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,
    /// File to record into
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write over FILE if it is there
    #[arg(long)]
    force: bool,
    /// Size of the explorer, in cells [default: the script's, else 160x48]
    #[arg(long, value_name = "WxH", value_parser = values::screen)]
    size: Option<(u16, u16)>,
    /// Catalogue name, ORG/REPO of the hub, directory, or .gguf file [default: the script's]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = values::device)]
    device: DeviceChoice,
    /// Number format of the weights in memory
    #[arg(long, value_name = "DTYPE", default_value = "auto", value_parser = values::dtype())]
    dtype: DType,
    /// Threads for computing; 0 = one per core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::threads)]
    threads: usize,
    /// Do not say on stderr how far it is
    #[arg(long, short)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  polylens sessions make sessions/tour.script --out tour.jsonl
  polylens sessions play tour.jsonl";

/// Runs the command.
///
/// # Errors
/// The script's line that means nothing, on which the engine failed or was waited for in vain; a file that is there.
pub fn run(args: &MakeArgs) -> Result<()> {
    let name = args.script.display().to_string();
    let text = std::fs::read_to_string(&args.script);
    let script = Script::parse(&name, &text.with_context(|| format!("the script {name} cannot be read"))?)?;
    let steps = script.steps.len();
    if args.force && args.out.is_file() {
        std::fs::remove_file(&args.out)
            .with_context(|| format!("{} cannot be written over", args.out.display()))?;
    }
    let mut done = 0;
    let quiet = args.quiet;
    let mut on = |line: usize, now: Duration| {
        done += 1;
        if !quiet {
            eprintln!("{:7.1} s  step {done} of {steps}, line {line}", now.as_secs_f64());
        }
    };
    let settings = Settings { dtype: args.dtype, device: args.device.clone(), threads: args.threads };
    let options = Make { model: args.model.clone(), size: args.size, settings, out: &args.out, on: &mut on };
    println!("{}", crate::ui::script::make(&name, script, options)?);
    Ok(())
}
