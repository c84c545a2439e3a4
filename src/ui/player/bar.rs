//! The two rows below a replay: where it is and how it runs; its keys, what is typed, what is said.

use crate::app::replay::place;
use crate::app::replay::player::{Asking, KEYS, Player};
use crate::ui::frame::tail;
use crate::ui::text::{ellipsize, harmless, put, put_right, width};
use crate::ui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Modifier;
use std::time::Duration;

/// Draws both rows; returns where the cursor is while something is typed.
pub fn render(
    buf: &mut Buffer,
    area: Rect,
    player: &Player,
    theme: &Theme,
    now: Duration,
) -> Option<Position> {
    buf.set_style(area, theme.raised());
    time_line(buf, Rect { height: area.height.min(1), ..area }, player, theme);
    if area.height < 2 {
        return None;
    }
    let row = Rect { y: area.y + 1, height: 1, ..area };
    buf.set_style(row, theme.background());
    words(buf, row, player, theme, now)
}

fn time_line(buf: &mut Buffer, row: Rect, player: &Player, theme: &Theme) {
    let ascii = theme.glyphs.ascii;
    let sign = theme.warn().add_modifier(Modifier::REVERSED | Modifier::BOLD);
    let mut x = put(buf, row, row.x, row.y, " REPLAY ", sign);
    let state = match (player.aside(), player.clock.playing, ascii) {
        (true, _, false) => "⤴ aside",
        (true, _, true) => "^ aside",
        (_, true, false) => "▸",
        (_, true, true) => ">",
        (_, false, false) => "‖",
        (_, false, true) => "||",
    };
    let style = if player.aside() { theme.warn() } else { theme.accent() };
    x = put(buf, row, x + 1, row.y, state, style);
    let (at, end) = (player.now().min(player.end()), player.end());
    let time = format!("{} / {}", place::clock(at), place::clock(end));
    x = put(buf, row, x + 1, row.y, &time, theme.strong());
    x = put(buf, row, x + 1, row.y, &speed(player.clock.speed()), theme.dim());
    let mut right = String::new();
    if row.width >= 90 {
        right.push_str(if player.clock.shorten { "pauses short" } else { "pauses full" });
        if player.clock.looped {
            right.push_str(if ascii { " | loop" } else { " · loop" });
        }
    } else if player.clock.looped {
        right.push_str("loop");
    }
    let right = if right.is_empty() { right } else { format!("{right} ") };
    let end_x = put_right(buf, row, row.y, &right, theme.dim());
    let track =
        Rect { x: x + 2, width: end_x.saturating_sub(x + 4), height: 1, ..row }.intersection(buf.area);
    line(buf, track, player, theme);
}

/// The line itself, with the marks on it.
fn line(buf: &mut Buffer, track: Rect, player: &Player, theme: &Theme) {
    if track.width < 4 {
        return;
    }
    let ascii = theme.glyphs.ascii;
    let cells = f64::from(track.width - 1);
    let end = player.end().max(1) as f64;
    let column = |t: u64| track.x + (t as f64 / end * cells).round().clamp(0.0, cells) as u16;
    let here = column(player.now());
    let (done, left, mark, head) = if ascii { ("=", "-", "+", "O") } else { ("━", "─", "┿", "●") };
    for x in track.left()..track.right() {
        let (sign, style) = if x <= here { (done, theme.accent()) } else { (left, theme.faint()) };
        put(buf, track, x, track.y, sign, style);
    }
    for (t, _) in player.marks() {
        let x = column(t);
        let style = if x <= here { theme.accent() } else { theme.dim() };
        put(buf, track, x, track.y, mark, style);
    }
    put(buf, track, here, track.y, head, theme.strong());
}

fn speed(speed: f64) -> String {
    if speed < 1.0 { format!("{speed}x") } else { format!("{speed:.0}x") }
}

fn words(buf: &mut Buffer, row: Rect, player: &Player, theme: &Theme, now: Duration) -> Option<Position> {
    let ascii = theme.glyphs.ascii;
    if let Some((what, field)) = &player.asking {
        let asks = match what {
            Asking::Jump => "Jump to (1:23, +10, 50 %, #line, a mark):",
            Asking::Note => "Note at this time:",
        };
        let x = put(buf, row, row.x + 1, row.y, asks, theme.key());
        let room = usize::from(row.right().saturating_sub(x + 3));
        let x =
            put(buf, row, x + 1, row.y, &tail(&field.text()[..field.cursor()], room, theme), theme.strong());
        put(buf, row, x, row.y, &field.text()[field.cursor()..], theme.strong());
        return Some(Position::new(x.min(row.right().saturating_sub(1)), row.y));
    }
    if let Some(error) = player.lanes.iter().find_map(|l| l.error.as_ref()) {
        let room = usize::from(row.width.saturating_sub(2));
        put(buf, row, row.x + 1, row.y, &ellipsize(&harmless(error), room, ascii), theme.error());
        return None;
    }
    if let Some(said) = player.said(now) {
        let room = usize::from(row.width.saturating_sub(2));
        put(buf, row, row.x + 1, row.y, &ellipsize(&harmless(said), room, ascii), theme.warn());
        return None;
    }
    let mut x = row.x + 1;
    for (keys, _, word) in KEYS.iter().filter(|k| !k.2.is_empty()) {
        let key = keys.split(' ').next().unwrap_or_default();
        let word = match key {
            "space" if player.aside() => "go on",
            "space" if !player.clock.playing => "play",
            _ => word,
        };
        let need = (width(key) + width(word) + 1) as u16;
        if x + need > row.right() {
            return None;
        }
        x = put(buf, row, x, row.y, key, theme.key());
        x = put(buf, row, x + 1, row.y, word, theme.dim()) + 2;
    }
    let titles: Vec<&str> = player.lanes.iter().map(|l| title(l.file())).collect();
    let room = usize::from(row.right().saturating_sub(x + 2));
    if room > 12 {
        put_right(buf, row, row.y, &format!("{} ", ellipsize(&titles.join(" | "), room, ascii)), theme.dim());
    }
    None
}

/// What a session is called: its title, or its file.
pub fn title(file: &crate::session::SessionFile) -> &str {
    if file.header.title.is_empty() { &file.name } else { &file.header.title }
}
