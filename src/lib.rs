//! polylens: see what language a language model thinks in.
//!
//! Dependencies point one way: `model`, `lens`, `geometry`, `tasks`, `eval` <- `train` <- `engine` <- `session` <- `app` <-
//! `ui`;
//! `report` and `cli` stand on top. `app` sees the engine's commands and events, never a tensor.

pub mod engine;
pub mod error;
pub mod eval;
pub mod geometry;
pub mod hub;
pub mod lens;
pub mod model;
pub mod report;
pub mod session;
pub mod tasks;
pub mod train;

#[cfg(feature = "tui")]
pub mod app;
#[cfg(feature = "tui")]
pub mod cli;
#[cfg(feature = "tui")]
pub mod ui;

pub use error::{Error, Result};
