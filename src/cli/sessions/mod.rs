//! `polylens sessions`: recordings of the explorer and of commands.

mod check;
mod export;

use crate::error::Result;
use clap::{Args, Subcommand};

/// `polylens sessions …`
#[derive(Args, Debug)]
pub struct Sessions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay files to their ends; fails on a damaged or foreign one with the line's number
    Check(check::Check),
    /// Turn a session into an asciicast, pictures, an animation, a transcript or tables
    Export(export::Export),
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, and what the file or the model says.
pub fn run(args: &Sessions) -> Result<()> {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Export(args) => export::run(args),
    }
}
