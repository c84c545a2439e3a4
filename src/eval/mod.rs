//! Evaluation as arithmetic: from a task to a plan of prompts, and from scored prompts to accuracies and what must
//! stand beside them. Nothing here computes with a model.

pub mod means;
pub mod part;
mod plan;
pub mod stats;
mod summary;

pub use plan::{FREE_TEXTS, plan};
pub use summary::{
    Change, LangSummary, Prediction, RunSummary, Summary, Table, calibration, outline, outline_after,
    predict, summarise,
};
