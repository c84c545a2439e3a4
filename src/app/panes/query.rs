//! The query.

use crate::app::shared::Pane;

/// State of the pane.
#[derive(Debug, Default)]
pub struct QueryPane {}

impl Pane for QueryPane {}
