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

/// What stands before the line: the sign, what it does, where it is, how fast.
fn before(player: &Player, ascii: bool) -> [String; 4] {
    let state = match (player.aside(), player.clock.playing, ascii) {
        (true, _, false) => "⤴ aside",
        (true, _, true) => "^ aside",
        (_, true, false) => "▸",
        (_, true, true) => ">",
        (_, false, false) => "‖",
        (_, false, true) => "||",
    };
    let (at, end) = (player.now().min(player.end()), player.end());
    let time = format!("{} / {}", place::clock(at), place::clock(end));
    [" REPLAY ".to_owned(), state.to_owned(), time, speed(player.clock.speed())]
}

/// What stands behind the line.
fn behind(player: &Player, columns: u16, ascii: bool) -> String {
    let looped = player.clock.looped;
    match (columns >= 90, player.clock.shorten) {
        (true, shorten) => {
            let pauses = if shorten { "pauses short" } else { "pauses full" };
            let more = if ascii { " | loop" } else { " · loop" };
            format!("{pauses}{} ", if looped { more } else { "" })
        }
        (false, _) if looped => "loop ".to_owned(),
        (false, _) => String::new(),
    }
}

/// Where the line itself is, in the first of the two rows.
pub fn track(row: Rect, player: &Player, ascii: bool) -> Rect {
    let left: u16 = before(player, ascii).iter().map(|part| width(part) as u16 + 1).sum();
    let right = width(&behind(player, row.width, ascii)) as u16;
    Rect { x: row.x + left + 1, width: row.width.saturating_sub(left + 3 + right), height: 1, ..row }
}

/// The time that a column of the line stands for.
pub fn time_at(track: Rect, x: u16, player: &Player) -> u64 {
    let cells = f64::from(track.width.max(2) - 1);
    let share = f64::from(x.saturating_sub(track.x)) / cells;
    (share.min(1.0) * player.end() as f64).round() as u64
}

fn time_line(buf: &mut Buffer, row: Rect, player: &Player, theme: &Theme) {
    let ascii = theme.glyphs.ascii;
    let sign = theme.warn().add_modifier(Modifier::REVERSED | Modifier::BOLD);
    let state = if player.aside() { theme.warn() } else { theme.accent() };
    let mut x = row.x;
    for (part, style) in before(player, ascii).iter().zip([sign, state, theme.strong(), theme.dim()]) {
        x = put(buf, row, x, row.y, part, style) + 1;
    }
    put_right(buf, row, row.y, &behind(player, row.width, ascii), theme.dim());
    line(buf, track(row, player, ascii).intersection(buf.area), player, theme);
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
