//! The panes' states.

pub mod grid;
pub mod lens;
pub mod pca;
pub mod query;
pub mod training;
