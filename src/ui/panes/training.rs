//! The training pane.

use crate::app::App;
use crate::ui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// What the frame's title says after the pane's name.
pub fn title(_app: &App) -> String {
    String::new()
}

/// Draws the inside of the pane.
pub fn render(_buf: &mut Buffer, _area: Rect, _app: &App, _focused: bool, _theme: &Theme) {}
