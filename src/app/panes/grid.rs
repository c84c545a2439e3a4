//! Positions x layers.

use crate::app::shared::Pane;

/// State of the pane.
#[derive(Debug, Default)]
pub struct GridPane {}

impl Pane for GridPane {}
