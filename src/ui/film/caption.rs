//! Captions: the notes of a session as they are shown over the screen.

use crate::app::replay::lane::lasts;
use crate::app::text as app_text;
use crate::session::{Note, SessionFile};
use crate::ui::text::{harmless, put};
use crate::ui::theme::Theme;
use crate::ui::view::border;
use ratatui::buffer::{Buffer, CellWidth};
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Widget;

/// Columns of a caption's text at most: longer lines are tiring to read.
const COLUMNS: u16 = 72;

/// A note and when it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// Milliseconds of the session; `to` is the first at which it is gone.
    pub from: u64,
    pub to: u64,
    pub text: String,
}

/// How long a note is shown when nothing comes after it, in milliseconds.
pub fn duration(note: &Note) -> u64 {
    lasts(note)
}

/// All captions of a session, in order. Each ends at the latest with the next. `stretch` makes them longer, for a
/// film that runs so many times faster than the session.
pub fn captions(file: &SessionFile, stretch: f64) -> Vec<Caption> {
    let notes = file.notes();
    let next = |i: usize| notes.get(i + 1).map_or(u64::MAX, |(t, _)| *t);
    let one = |(i, (from, note)): (usize, &(u64, Note))| {
        let long = (duration(note) as f64 * stretch).min(1e15) as u64;
        Caption { from: *from, to: from.saturating_add(long).min(next(i)), text: note.text.clone() }
    };
    notes.iter().enumerate().map(one).collect()
}

/// The caption that is shown at a time of the session.
pub fn at(captions: &[Caption], t: u64) -> Option<&Caption> {
    let after = captions.partition_point(|c| c.from <= t);
    captions[..after].last().filter(|c| t < c.to)
}

/// Draws a caption: a framed box above the bottom line of `area`, as wide as its text, wrapped. Text that would
/// take more than half of the height ends in an ellipsis.
pub fn caption(buf: &mut Buffer, area: Rect, text: &str, theme: &Theme) {
    let area = area.intersection(buf.area);
    let (room, rows) = (area.width.saturating_sub(6).min(COLUMNS), (area.height / 2).saturating_sub(2));
    if room < 8 || rows == 0 || text.trim().is_empty() {
        return;
    }
    let text: Vec<String> = text.trim().lines().map(harmless).collect();
    let text = text.join("\n");
    let mut lines: Vec<String> =
        app_text::rows(&text, usize::from(room)).into_iter().map(|r| text[r].trim_end().to_owned()).collect();
    if lines.len() > usize::from(rows) {
        lines.truncate(usize::from(rows));
        let ellipsis = theme.glyphs.ellipsis;
        if let Some(last) = lines.last_mut() {
            let kept = usize::from(room).saturating_sub(app_text::width(ellipsis));
            *last = format!("{}{ellipsis}", crate::ui::text::truncate(last, kept));
        }
    }
    let widest = lines.iter().map(|l| app_text::width(l)).max().unwrap_or(0) as u16;
    let (width, height) = (widest.min(room) + 4, lines.len() as u16 + 2);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.bottom().saturating_sub(2 + height),
        width,
        height,
    };
    let inside = window(buf, place, theme);
    for (i, line) in lines.iter().enumerate() {
        let style = theme.strong().patch(ground(theme));
        put(buf, inside, inside.x + 1, inside.y + i as u16, line, style);
    }
}

/// Clears a place, halves of wide glyphs beside it too, and frames it.
pub fn window(buf: &mut Buffer, place: Rect, theme: &Theme) -> Rect {
    for y in place.top()..place.bottom() {
        if place.x > buf.area.x && buf[(place.x - 1, y)].symbol().cell_width() > 1 {
            buf[(place.x - 1, y)].set_symbol(" ");
        }
        for x in place.left()..place.right() {
            buf[(x, y)].reset();
        }
    }
    buf.set_style(place, theme.raised());
    let block = border(theme).border_style(theme.accent().patch(ground(theme)));
    let inside = block.inner(place);
    block.render(place, buf);
    inside
}

/// The raised ground alone.
fn ground(theme: &Theme) -> Style {
    theme.raised().bg.map_or(Style::new(), |c| Style::new().bg(c))
}
