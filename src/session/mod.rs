//! Sessions: what a user did and what the engine answered, as timed data in a JSON Lines file.
//!
//! The first line is a [`Header`]; every other line is a [`Line`]: a time in milliseconds and one thing that
//! happened. What the interface was told besides the engine's events (keys, actions, sizes) is the type parameter
//! `U`: this module moves it without knowing what it means.

mod bytes;
pub mod file;
pub mod header;
pub mod line;
pub mod recorder;
pub mod sane;
mod scan;
pub mod shipped;
pub mod thin;
mod utc;
pub mod verify;

pub use file::{Entry, Kind, SessionFile};
pub use header::{AdapterStamp, Header, ModelStamp, SCHEMA, Source, Start, TaskText};
pub use line::{Line, Note, Weights, What};
pub use recorder::{Recorder, Reserved};
pub use utc::utc;

/// SHA-256 of a task file's text, as it stands in [`Header::tasks`].
pub fn task_hash(toml: &str) -> String {
    crate::engine::fingerprint::text_hash(toml)
}
