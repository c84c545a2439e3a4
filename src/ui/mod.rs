//! The explorer on a terminal.

pub mod palette;
pub mod panes;
pub mod text;
pub mod theme;
pub mod widgets;

pub use theme::{Curve, Ladder, Theme};
