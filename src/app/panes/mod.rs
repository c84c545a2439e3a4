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
pub mod lens_means;
pub mod pca;
pub mod query;
pub mod speed;
pub mod trace;
pub mod training;
mod training_act;
pub mod training_curves;
pub mod training_fields;
pub mod training_form;
pub mod training_place;
pub mod training_run;
pub mod watch;
pub mod watch_digest;
pub mod watch_export;
#[cfg(test)]
pub mod watch_fixture;
pub mod watch_frames;
pub mod watch_request;
