//! `polylens sessions check`: is this a session, and does it replay to its end?

use crate::app::bundle::Bundle;
use crate::app::replay::Track;
use crate::error::Result;
use crate::session::SessionFile;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Args, Debug)]
pub struct Check {
    /// Session files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// The first file that is damaged or foreign, with the line's number.
pub fn run(args: &Check) -> Result<()> {
    for path in &args.files {
        let file = Arc::new(SessionFile::open(path)?);
        let (library, _) = Bundle::with(None)?;
        let mut track = Track::new(file.clone(), Arc::new(library));
        while track.step()? {}
        let cut = file.cut.map_or(String::new(), |line| format!("; it ends in the middle of line {line}"));
        println!("{}: {} lines{cut}", path.display(), track.taken());
    }
    Ok(())
}
