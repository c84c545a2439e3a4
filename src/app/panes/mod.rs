//! The panes' states.

#[cfg(test)]
pub mod fixtures;
pub mod grid;
pub mod lens;
pub mod pca;
pub mod query;
pub mod training;
