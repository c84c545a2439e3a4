//! The view "watch it align" of the training pane.

use crate::app::App;
use crate::ui::theme::Theme;
use crate::ui::widgets::notice::notice;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// What the frame's title says after the pane's name.
pub fn title(app: &App) -> String {
    format!("watch it align: {} frames", app.training.watch.frames.len())
}

/// Draws the inside of the pane.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, _focused: bool, theme: &Theme) {
    let frames = app.training.watch.frames.len();
    notice(buf, area, &[(format!("{frames} frames of this run."), theme.text())]);
}
