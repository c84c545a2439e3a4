//! A training run's curves.

use crate::app::shared::Pane;

/// State of the pane.
#[derive(Debug, Default)]
pub struct TrainingPane {}

impl Pane for TrainingPane {}
