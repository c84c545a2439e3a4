//! `polylens` and `polylens explore`.

use super::args::Explore;
use crate::error::Result;

/// Opens the explorer.
///
/// # Errors
/// No terminal, a task or language that is not there, and what ends the explorer.
pub fn run(args: Explore) -> Result<()> {
    let _ = args;
    Err(crate::error::Error::failed("explorer not merged yet"))
}
