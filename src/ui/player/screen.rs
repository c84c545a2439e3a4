//! The whole screen of a replay.

use super::{bar, help};
use crate::app::replay::player::Player;
use crate::app::replay::track;
use crate::ui::film::caption;
use crate::ui::text::{ellipsize, put};
use crate::ui::theme::Theme;
use crate::ui::view;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use std::time::Duration;

/// Rows of the time line.
const BAR: u16 = 2;

/// Where each session's picture is on a screen: side by side where both fit, else one above the other.
pub fn places(screen: Rect, lanes: usize) -> Vec<Rect> {
    let all = Rect { height: screen.height.saturating_sub(BAR), ..screen };
    if lanes < 2 {
        return vec![all];
    }
    let (needed, _) = crate::app::layout::NEEDED;
    // A row above each says which it is.
    let named = |r: Rect| Rect { y: r.y + 1, height: r.height.saturating_sub(1), ..r };
    if all.width > 2 * needed {
        let left = (all.width - 1) / 2;
        let right = Rect { x: all.x + left + 1, width: all.width - left - 1, ..all };
        vec![named(Rect { width: left, ..all }), named(right)]
    } else {
        let upper = all.height / 2;
        let lower = Rect { y: all.y + upper, height: all.height - upper, ..all };
        vec![named(Rect { height: upper, ..all }), named(lower)]
    }
}

/// The rows of the time line.
pub fn bar_rows(screen: Rect) -> Rect {
    Rect { y: screen.bottom().saturating_sub(BAR), height: BAR.min(screen.height), ..screen }
}

/// Draws everything; returns where the cursor is. `now` is the viewer's time.
pub fn render(buf: &mut Buffer, player: &Player, theme: &Theme, now: Duration) -> Option<Position> {
    let screen = buf.area;
    buf.set_style(screen, theme.background());
    if screen.width < 20 || screen.height < 4 {
        put(buf, screen, screen.x, screen.y, "too small: q leaves", theme.text());
        return None;
    }
    let areas = places(screen, player.lanes.len());
    for (i, (lane, area)) in player.lanes.iter().zip(&areas).enumerate() {
        let app = track::view(lane.app(), (area.width, area.height), lane.track.time(player.now()));
        let mut picture = Buffer::empty(Rect::new(0, 0, area.width, area.height));
        view::render(&mut picture, &app, theme);
        if let Some(note) = player.caption(i, now) {
            let whole = picture.area;
            caption::caption(&mut picture, whole, &note.text, theme);
        }
        copy(buf, &picture, *area);
        if player.lanes.len() > 1 {
            name(buf, *area, player, i, theme);
        }
    }
    if player.lanes.len() > 1 && areas[0].y == areas[1].y {
        let x = areas[1].x.saturating_sub(1);
        for y in screen.top()..areas[0].bottom() {
            put(buf, screen, x, y, if theme.glyphs.ascii { "|" } else { "│" }, theme.faint());
        }
    }
    if player.help {
        let area = Rect { height: screen.height.saturating_sub(BAR), ..screen };
        help::render(buf, area, player, theme);
    }
    bar::render(buf, bar_rows(screen), player, theme, now)
}

/// The row above a session's picture, where there are two.
fn name(buf: &mut Buffer, area: Rect, player: &Player, lane: usize, theme: &Theme) {
    let row = Rect { y: area.y.saturating_sub(1), height: 1, ..area };
    let active = lane == player.active;
    buf.set_style(row, if active { theme.selection() } else { theme.raised() });
    let model = player.lanes[lane]
        .app()
        .shared
        .model
        .as_ref()
        .map_or(String::new(), |m| format!(" {} {}", theme.glyphs.separator, m.name));
    let words = format!(" {}{model}", bar::title(player.lanes[lane].file()));
    let room = usize::from(row.width);
    put(buf, row, row.x, row.y, &ellipsize(&words, room, theme.glyphs.ascii), theme.strong());
}

/// Puts a picture into its place on the screen.
fn copy(buf: &mut Buffer, picture: &Buffer, area: Rect) {
    for y in 0..area.height {
        for x in 0..area.width {
            if let Some(cell) = buf.cell_mut((area.x + x, area.y + y)) {
                *cell = picture[(x, y)].clone();
            }
        }
    }
}
