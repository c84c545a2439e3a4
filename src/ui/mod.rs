//! The explorer on a terminal.

mod card;
pub mod frame;
mod overlays;
pub mod palette;
pub mod panes;
pub mod text;
pub mod theme;
pub mod view;
pub mod widgets;

pub use theme::{Curve, Ladder, Theme};
