//! The first line of a session: what it is, and what the explorer began with.

use crate::engine::protocol::{ModelInfo, Protocol, Style};
use serde::{Deserialize, Serialize};

/// Name and version of the format.
pub const SCHEMA: &str = "polylens.session/1";

/// What made a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The explorer: its user's actions lead to every question to the engine.
    #[default]
    Explorer,
    /// A command without the explorer, or an import: the questions stand in the file and are taken over.
    Command,
}

/// A model as it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelStamp {
    pub name: String,
    pub architecture: String,
    pub layers: usize,
    pub hidden: usize,
    pub vocabulary: usize,
    pub dtype: String,
    /// Over the files' names and contents; empty where it was not known yet: then a `weights` line says it.
    pub sha256: String,
}

impl ModelStamp {
    /// A loaded model, with its hash.
    pub fn of(info: &ModelInfo, sha256: String) -> Self {
        Self {
            name: info.name.clone(),
            architecture: info.architecture.clone(),
            layers: info.layers,
            hidden: info.hidden,
            vocabulary: info.vocabulary,
            dtype: info.dtype.clone(),
            sha256,
        }
    }
}

/// An adapter as it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdapterStamp {
    pub name: String,
    pub rank: usize,
    /// Over its weights; see [`ModelStamp::sha256`].
    pub sha256: String,
}

/// What the explorer was started with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Start {
    pub model: String,
    pub adapters: Vec<String>,
    pub task: String,
    pub lang: String,
    pub style: Style,
    pub protocol: Protocol,
    /// The terminal's size, in cells, before the first line says another.
    pub size: (u16, u16),
    /// The followed training log, as named.
    pub training_log: Option<String>,
}

/// A task of the user's own, so that a replay elsewhere has its prompts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskText {
    pub id: String,
    /// The task file.
    pub toml: String,
}

/// The header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// The program's version.
    pub version: String,
    pub source: Source,
    /// The command that made it, as a name: "explore", "lens", "train", "import".
    pub command: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// A sentence on what it shows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// When it began: UTC, as in 2026-11-23T17:00:00Z.
    pub started: String,
    pub seed: u64,
    /// Lines before this time (milliseconds) led to the beginning of the recording: a replay has taken them in when it
    /// begins, and counts its time from here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub begin: u64,
    pub model: Option<ModelStamp>,
    pub adapters: Vec<AdapterStamp>,
    pub start: Start,
    /// SHA-256 of each task's definition: a task that has changed since is noticed.
    #[serde(default)]
    pub tasks: std::collections::BTreeMap<String, String>,
    /// Tasks that do not come with the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_tasks: Vec<TaskText>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Header {
    /// A header of this program's version.
    pub fn new(source: Source, command: &str, start: Start) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source,
            command: command.to_owned(),
            started: crate::session::utc(std::time::SystemTime::now()),
            start,
            ..Self::default()
        }
    }
}
