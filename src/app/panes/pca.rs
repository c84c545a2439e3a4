//! The scatter of the languages.

use crate::app::shared::Pane;

/// State of the pane.
#[derive(Debug, Default)]
pub struct PcaPane {}

impl Pane for PcaPane {}
