//! The command line: one file a sub-command. Raw arguments become typed values here, once; what computes gets
//! no strings to parse.

mod args;
mod completions;
mod console;
mod data;
mod doctor;
mod doctor_bench;
mod eval;
mod explore;
mod interrupt;
mod lens;
mod load;
mod merge;
pub mod models;
mod pca;
mod prompts;
mod record;
mod sessions;
mod tasks;
mod train;
mod train_args;
mod train_said;
mod train_watch;
mod values;

use crate::error::{Error, Result};
use args::{Cli, Command};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

/// Parses the process's arguments, runs the command, says what went wrong.
///
/// Status: 0 done, 1 it could not be done, 2 wrong usage, 130 interrupted.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version come this way too, with status 0; a closed pipe is no error.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let text = match &e {
                Error::Usage(m) => format!("error: {m}\n\nFor more information, try '--help'.\n"),
                Error::Failed(m) => format!("error: {m}\n"),
                Error::Interrupted => "interrupted\n".to_owned(),
            };
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(e.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    match cli.command {
        None => explore::run(cli.explore),
        Some(Command::Explore(args)) => explore::run(*args),
        Some(Command::Lens(args)) => lens::run(&args),
        Some(Command::Pca(args)) => pca::run(&args),
        Some(Command::Eval(args)) => eval::run(&args),
        Some(Command::Data(args)) => data::run(&args),
        Some(Command::Merge(args)) => merge::run(&args),
        Some(Command::Train(args)) => train::run(&args),
        Some(Command::Models(args)) => {
            models::run(&args, &interrupt::cancel(), &mut std::io::stdout().lock())
        }
        Some(Command::Sessions(args)) => sessions::run(&args),
        Some(Command::Tasks(args)) => tasks::run(args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Completions { shell }) => completions::run(shell),
    }
}
