//! The explorer on a terminal.

pub mod text;
pub mod widgets;
