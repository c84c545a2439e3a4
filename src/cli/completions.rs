//! `polylens completions SHELL`.

use super::args::Cli;
use super::console;
use crate::error::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the completion script of a shell.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "polylens", &mut script);
    console::print(&String::from_utf8(script).context("the completion script is no text")?)
}
