//! The layers.

use crate::app::shared::Pane;

/// State of the pane.
#[derive(Debug, Default)]
pub struct LensPane {}

impl Pane for LensPane {}
