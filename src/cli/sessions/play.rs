//! `polylens sessions play`: a recording in the terminal.

use crate::app::ThemeKind;
use crate::cli::values;
use crate::error::Result;
use crate::ui::{self, PlayOptions};
use clap::Args;

#[derive(Args, Debug)]
pub struct Play {
    /// Session files, or names of `polylens sessions list`; with two they share one time line
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    sessions: Vec<String>,
    /// Begin at a time (1:23), a share (50%) or a mark's name
    #[arg(long, value_name = "PLACE")]
    at: Option<String>,
    /// 0.25 to 16
    #[arg(long, value_name = "N", value_parser = speed)]
    speed: Option<f64>,
    /// Begin paused
    #[arg(long)]
    paused: bool,
    /// Begin again at the end
    #[arg(long = "loop")]
    looped: bool,
    /// Long pauses keep their length
    #[arg(long)]
    full: bool,
    /// Look [default: by the terminal's background and locale]
    #[arg(long, value_name = "THEME", value_parser = values::theme())]
    theme: Option<ThemeKind>,
}

fn speed(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim_end_matches('x').parse().map_err(|_| format!("{text:?} is no number"))?;
    if (0.25..=16.0).contains(&value) { Ok(value) } else { Err("speeds go from 0.25 to 16".into()) }
}

/// Runs the command.
///
/// # Errors
/// No terminal; a file that is no session.
pub fn run(args: &Play) -> Result<()> {
    ui::play(&PlayOptions {
        sessions: args.sessions.clone(),
        theme: args.theme,
        speed: args.speed,
        at: args.at.clone(),
        paused: args.paused,
        looped: args.looped,
        full: args.full,
    })
}
