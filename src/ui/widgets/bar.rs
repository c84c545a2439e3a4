//! Horizontal bars with eighth blocks: one for a probability, one that diverges from a centre line.

use crate::ui::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

const EIGHTHS: [&str; 9] = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];

/// A bar of `value` in 0..=1 over the first row of `area`; the rest of the row keeps `track`'s background.
/// A value that is no number is shown as `?`, one outside the range is clamped. Whatever is above zero
/// shows at least its thinnest sign.
pub fn bar(buf: &mut Buffer, area: Rect, value: f64, style: Style, track: Style, ascii: bool) {
    let area = row(buf, area);
    if area.is_empty() {
        return;
    }
    buf.set_style(area, track);
    if value.is_nan() {
        text::put(buf, area, area.x, area.y, "?", style);
        return;
    }
    let eighths = to_eighths(value, area.width);
    for column in 0..area.width {
        let filled = eighths.saturating_sub(u32::from(column) * 8).min(8) as usize;
        if filled == 0 {
            break;
        }
        buf[(area.x + column, area.y)].set_symbol(growing_right(filled, ascii)).set_style(style);
    }
}

/// A bar of `value` in -1..=1 around a centre line: to the right where positive, to the left where negative.
pub fn diverging(buf: &mut Buffer, area: Rect, value: f64, styles: Diverging, ascii: bool) {
    let area = row(buf, area);
    if area.is_empty() {
        return;
    }
    let centre = area.x + area.width / 2;
    let line = if ascii { "|" } else { "│" };
    text::put(buf, area, centre, area.y, line, styles.centre);
    if value.is_nan() {
        text::put(buf, area, centre, area.y, "?", styles.centre);
        return;
    }
    let (left, right) = (centre - area.x, area.right() - centre - 1);
    let side = left.min(right);
    let eighths = to_eighths(value.abs(), side);
    for column in 0..side {
        let filled = eighths.saturating_sub(u32::from(column) * 8).min(8) as usize;
        if filled == 0 {
            break;
        }
        if value > 0.0 {
            let symbol = growing_right(filled, ascii);
            buf[(centre + 1 + column, area.y)].set_symbol(symbol).set_style(styles.more);
        } else {
            let cell = &mut buf[(centre - 1 - column, area.y)];
            if ascii || filled == 8 {
                cell.set_symbol(growing_right(filled, ascii)).set_style(styles.less);
            } else {
                // There are no right-hand eighth blocks: the left-hand one of the gap, reversed.
                let style = styles.less.add_modifier(Modifier::REVERSED);
                cell.set_symbol(EIGHTHS[8 - filled]).set_style(style);
            }
        }
    }
}

/// Styles of a [`diverging`] bar.
#[derive(Clone, Copy, Debug, Default)]
pub struct Diverging {
    pub more: Style,
    pub less: Style,
    pub centre: Style,
}

fn row(buf: &Buffer, area: Rect) -> Rect {
    Rect { height: area.height.min(1), ..area }.intersection(buf.area)
}

fn to_eighths(value: f64, columns: u16) -> u32 {
    let eighths = (value.clamp(0.0, 1.0) * f64::from(columns) * 8.0).round() as u32;
    if value > 0.0 { eighths.max(1) } else { eighths }
}

fn growing_right(filled: usize, ascii: bool) -> &'static str {
    match (ascii, filled) {
        (false, n) => EIGHTHS[n.min(8)],
        (true, 0) => " ",
        (true, 1..=3) => ".",
        (true, 4..=6) => "=",
        (true, _) => "#",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: u16, value: f64, ascii: bool) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, 1));
        let area = buf.area;
        bar(&mut buf, area, value, Style::default(), Style::default(), ascii);
        buf.content.iter().map(|c| c.symbol()).collect()
    }

    fn diverged(width: u16, value: f64, ascii: bool) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, 1));
        let area = buf.area;
        diverging(&mut buf, area, value, Diverging::default(), ascii);
        let mark = |c: &ratatui::buffer::Cell| {
            if c.modifier.contains(Modifier::REVERSED) {
                format!("~{}", c.symbol())
            } else {
                c.symbol().into()
            }
        };
        buf.content.iter().map(mark).collect()
    }

    #[test]
    fn lengths_are_right_to_an_eighth() {
        assert_eq!(drawn(4, 0.0, false), "    ");
        assert_eq!(drawn(4, 1.0, false), "████");
        assert_eq!(drawn(4, 0.5, false), "██  ");
        assert_eq!(drawn(4, 0.5 + 3.0 / 32.0, false), "██▍ ");
        assert_eq!(drawn(4, 1e-9, false), "▏   ");
        assert_eq!(drawn(4, 0.6, true), "##. ");
        assert_eq!(drawn(4, 0.65, true), "##= ");
    }

    #[test]
    fn odd_values_and_areas() {
        assert_eq!(drawn(3, f64::NAN, false), "?  ");
        assert_eq!(drawn(3, f64::INFINITY, false), "███");
        assert_eq!(drawn(3, -4.0, false), "   ");
        assert_eq!(drawn(1, 0.5, false), "▌");
        assert_eq!(diverged(1, 0.5, false), "│");
        assert_eq!(diverged(3, f64::NAN, false), " ? ");
        for area in [Rect::new(0, 0, 0, 0), Rect::new(5, 5, 10, 10)] {
            let mut buf = Buffer::empty(Rect::new(0, 0, 2, 2));
            bar(&mut buf, area, 0.5, Style::default(), Style::default(), false);
            diverging(&mut buf, area, 0.5, Diverging::default(), false);
            assert_eq!(buf, Buffer::empty(Rect::new(0, 0, 2, 2)));
        }
    }

    #[test]
    fn differences_go_both_ways_from_the_centre() {
        assert_eq!(diverged(5, 0.0, false), "  │  ");
        assert_eq!(diverged(5, 1.0, false), "  │██");
        assert_eq!(diverged(5, -1.0, false), "██│  ");
        assert_eq!(diverged(5, 0.25, false), "  │▌ ");
        assert_eq!(diverged(5, -0.125, false), " ~▊│  ");
        assert_eq!(diverged(5, -0.75, true), "=#|  ");
    }
}
