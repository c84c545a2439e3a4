//! The explorer on a terminal.

mod card;
pub mod film;
pub mod frame;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod fuzz_sessions;
mod input;
mod log;
mod overlays;
pub mod painter;
pub mod palette;
pub mod panes;
pub mod picture;
pub mod player;
mod recording;
mod runtime;
#[cfg(test)]
mod screens;
pub mod script;
mod services;
mod start;
mod terminal;
pub mod text;
pub mod theme;
pub mod view;
pub mod widgets;

pub use player::PlayOptions;
pub use start::{ExploreOptions, play, run};
pub use theme::{Curve, Ladder, Theme};
