//! The terminal side of the explorer.

pub mod palette;
pub mod panes;
pub mod theme;
pub mod widgets;

pub use theme::{Curve, Ladder, Theme};
