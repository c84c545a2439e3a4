//! A replay on the screen: the explorer's own panes, a time line below them, captions over them.

mod bar;
mod front;
mod help;
pub mod screen;
#[cfg(test)]
mod tests;

pub use front::{Front, PlayOptions};
pub use screen::{places, render};
