//! `polylens` and `polylens explore`.

use super::args::Explore;
use crate::error::Result;
use crate::ui::{self, ExploreOptions};

/// Opens the explorer; it returns when the user leaves it.
///
/// # Errors
/// No terminal, a task or language that is not there, and what ends the explorer.
pub fn run(args: Explore) -> Result<()> {
    ui::run(ExploreOptions {
        model: args.model.model,
        adapters: args.model.adapters,
        task: args.task,
        lang: args.lang,
        style: args.style,
        protocol: args.protocol,
        dtype: args.model.dtype,
        device: args.model.device,
        threads: args.model.threads,
        theme: args.theme,
        log: args.log,
        train_log: args.train_log,
        record: args.record,
    })
}
