//! Scripted recordings: the explorer without a terminal, its keys typed from a small text file, its session recorded
//! as it would be from the keyboard. docs/scripts.md describes the lines.

mod run;
mod step;
mod until;

pub use run::{Make, make};
pub use step::{Script, Step, size};
pub use until::Until;

#[cfg(test)]
mod tests;
