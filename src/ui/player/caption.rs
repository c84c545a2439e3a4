//! A note as a caption: a framed box at the bottom of a session's picture.

use crate::app::text::rows;
use crate::ui::text::{harmless, put};
use crate::ui::theme::Theme;
use crate::ui::view::border;
use ratatui::buffer::{Buffer, CellWidth};
use ratatui::layout::Rect;
use ratatui::widgets::Widget;

/// Columns of a caption's text at most.
const MOST: u16 = 84;

/// Draws a caption into `area`, above its last two rows; on an area too small for a frame nothing is drawn.
pub fn caption(buf: &mut Buffer, area: Rect, words: &str, theme: &Theme) {
    let words = harmless(words);
    let columns = MOST.min(area.width.saturating_sub(8));
    if columns < 16 || area.height < 8 {
        return;
    }
    let lines = rows(&words, usize::from(columns));
    let lines = &lines[..lines.len().min(usize::from(area.height / 3))];
    let longest =
        lines.iter().map(|r| crate::ui::text::width(words[r.clone()].trim_end())).max().unwrap_or(0) as u16;
    let (width, height) = (longest + 4, lines.len() as u16 + 2);
    let x = area.x + (area.width - width) / 2;
    let place = Rect { x, y: area.bottom().saturating_sub(height + 2), width, height }.intersection(buf.area);
    clear(buf, place);
    buf.set_style(place, theme.raised());
    let raised = theme.raised().bg.map_or_else(Default::default, |c| ratatui::style::Style::new().bg(c));
    border(theme).border_style(theme.accent().patch(raised)).render(place, buf);
    for (i, row) in lines.iter().enumerate() {
        put(buf, place, place.x + 2, place.y + 1 + i as u16, words[row.clone()].trim_end(), theme.strong());
    }
}

/// Empties an area; a wide glyph that begins left of it would reach into it, and goes too.
pub fn clear(buf: &mut Buffer, area: Rect) {
    for y in area.top()..area.bottom() {
        if area.x > buf.area.x && buf[(area.x - 1, y)].symbol().cell_width() > 1 {
            buf[(area.x - 1, y)].set_symbol(" ");
        }
        for x in area.left()..area.right() {
            buf[(x, y)].reset();
        }
    }
}
