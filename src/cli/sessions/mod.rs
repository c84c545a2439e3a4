//! `polylens sessions`: recordings of the explorer and of commands.

mod check;
mod export;
mod import;
mod list;
mod make;
mod play;

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
    /// Recordings that come with the program, and those in the given directories
    List(list::List),
    /// Replay a recording in the terminal, or two side by side; no model is needed
    Play(play::Play),
    /// Replay files to their ends; fails on a damaged or foreign one with the line's number
    Check(check::Check),
    /// Record a session from a script of keys, without a terminal
    Make(Box<make::MakeArgs>),
    /// Turn a session into an asciicast, pictures, an animation, a transcript or tables
    Export(export::Export),
    /// Make a session of a training run's log and checkpoints
    Import(import::Import),
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, and what the file or the model says.
pub fn run(args: &Sessions) -> Result<()> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Play(args) => play::run(args),
        Command::Check(args) => check::run(args),
        Command::Make(args) => make::run(args),
        Command::Export(args) => export::run(args),
        Command::Import(args) => import::run(args),
    }
}
