//! Tasks: languages, task files, items, prompts and token sets. Plain data in and out; what goes to the engine is
//! `engine::protocol`'s.

mod bundled;
pub mod items;
pub mod languages;
pub mod prompt;
mod read;
pub(crate) mod records;
pub mod sets;
mod task;
mod template;

pub use bundled::{BUNDLED, Bundled, Source};
pub use items::Row;
pub use languages::{LANGUAGES, Language};
pub use read::Fault;
pub use task::{Shot, Task, TaskLanguage};
pub use template::Template;

/// Everything that is wrong with a task file's text, in its order; empty where it can be used.
/// `origin` is the file's name as it is to be shown.
pub fn check(text: &str, origin: &str) -> Vec<Fault> {
    read::task(text, origin).err().unwrap_or_default()
}

/// A user's text in quotes for a message: control characters escaped, everything else (combining marks too) as it is.
pub(crate) fn quoted(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() || c == '"' { c.escape_default().to_string() } else { c.to_string() })
        .collect();
    format!("\"{plain}\"")
}
