//! Drawing of the panes. Each draws the inside of its frame:
//! `render(buf, area, app, focused, theme)`, where `area` excludes border and title.

pub mod eval;
mod eval_card;
mod eval_items;
mod eval_side;
mod eval_table;
pub mod grid;
pub mod lens;
mod lens_cells;
mod lens_columns;
mod lens_detail;
mod lens_foot;
mod lens_means;
pub mod pca;
mod pca_list;
mod pca_side;
pub mod query;
#[cfg(test)]
pub mod shots;
pub mod training;
mod training_chart;
mod training_form;
mod training_log;
mod training_run;
pub mod watch;
mod watch_curves;
mod watch_film;
mod watch_lens;
mod watch_pairs;
mod watch_plane;
mod watch_time;

use super::text::{put, width};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// A paragraph in the middle of an area: what an empty or failed pane says.
pub fn centred(buf: &mut Buffer, area: Rect, words: &str, style: Style) {
    let cells = usize::from(area.width.saturating_sub(4)).min(72);
    if cells < 2 || area.height == 0 {
        return;
    }
    let rows = crate::app::text::rows(words, cells);
    let top = area.y + area.height.saturating_sub(rows.len() as u16) / 2;
    for (i, row) in rows.into_iter().enumerate() {
        let line = words[row].trim_end();
        let x = area.x + area.width.saturating_sub(width(line) as u16) / 2;
        put(buf, area, x, top + i as u16, line, style);
    }
}
