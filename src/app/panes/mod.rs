//! The panes' states.

pub mod alignment;
pub mod eval;
mod eval_act;
mod eval_export;
pub mod eval_view;
#[cfg(test)]
pub mod fixtures;
pub mod grid;
pub mod languages;
pub mod lens;
pub mod pca;
pub mod query;
pub mod speed;
pub mod trace;
pub mod training;
pub mod watch;
