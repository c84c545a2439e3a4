//! One layer's cells: values of a run, or differences of a run from the base.

use super::lens_columns::{Block, Column, TOKEN_WITH_P};
use crate::engine::protocol::{LensLayer, RunId};
use crate::ui::text::{self, ellipsize, fit, fit_right, put, put_right};
use crate::ui::theme::{Curve, Theme};
use crate::ui::widgets::bar::{Diverging, bar, diverging};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Below this a probability (or a difference) is shown as 0, in its number and in its bar.
pub const NOTHING: f32 = 0.0005;

/// How a row looks: current, or of the query before.
pub struct Looks<'a> {
    pub theme: &'a Theme,
    pub fresh: bool,
    /// A difference of this size fills half of a diverging bar.
    pub scale: f32,
}

impl Looks<'_> {
    fn of(&self, style: Style) -> Style {
        if self.fresh { style } else { self.theme.stale(style) }
    }
}

/// A probability in four cells: ".412", "1.00", "0" below half a thousandth.
pub fn probability(p: f32) -> String {
    match p {
        p if !p.is_finite() => "   ?".into(),
        p if p >= 0.9995 => "1.00".into(),
        p if p < NOTHING => "   0".into(),
        p => format!("{p:.3}")[1..].to_owned(),
    }
}

/// A difference of probabilities in at most five cells: "+.123", "0".
pub fn signed(d: f32) -> String {
    match d {
        d if !d.is_finite() => "?".into(),
        d if d.abs() < NOTHING => "0".into(),
        d if d.abs() >= 0.9995 => format!("{d:+.2}"),
        d => format!("{}{}", if d > 0.0 { '+' } else { '-' }, &format!("{:.3}", d.abs())[1..]),
    }
}

/// A curve's value at a layer; `None` without curves.
pub fn curve_value(layer: &LensLayer, curve: Curve) -> Option<f32> {
    let c = layer.curves?;
    Some(match curve {
        Curve::En => c.en,
        Curve::Target => c.target,
        Curve::Latent => c.all_possible_latent,
        Curve::Out => c.all_possible_out,
    })
}

/// The probability that a column shows of a layer.
fn value(layer: &LensLayer, column: Column) -> Option<f32> {
    match column {
        Column::Curve(c, _) => curve_value(layer, c),
        Column::Tracked(i, _) => layer.tracked.get(i).copied(),
        Column::Top(_) => Some(layer.top.first().map_or(0.0, |t| t.p)),
        _ => None,
    }
}

fn bar_cells(column: Column) -> u16 {
    match column {
        Column::Curve(_, b) | Column::Tracked(_, b) | Column::Top(b) => b,
        _ => 0,
    }
}

/// The style of a column's bar and head.
pub fn column_style(column: Column, run: RunId, theme: &Theme) -> Style {
    match column {
        Column::Curve(c, _) => theme.curve(c),
        Column::Tracked(i, _) => theme.language(i),
        Column::Top(_) => theme.run(run),
        Column::Entropy => theme.entropy(),
        Column::Token | Column::Tokens => theme.text(),
    }
}

/// A run's values at one layer.
pub fn values(buf: &mut Buffer, space: Rect, block: &Block, l: &LensLayer, looks: &Looks) {
    let ascii = looks.theme.glyphs.ascii;
    for (column, x, width) in block.places(space.x) {
        let cell = Rect { x, width, ..space };
        match column {
            Column::Entropy => {
                let words = fit_right(&format!("{:.1}", l.entropy_bits), usize::from(width), ascii);
                put(buf, cell, x, cell.y, &words, looks.of(looks.theme.entropy()));
            }
            Column::Token => token(buf, cell, l, looks),
            Column::Tokens => tokens(buf, cell, l, looks),
            _ => {
                let Some(p) = value(l, column) else { continue };
                probability_cell(buf, cell, p, column, column_style(column, block.run, looks.theme), looks);
            }
        }
    }
}

fn token(buf: &mut Buffer, cell: Rect, l: &LensLayer, looks: &Looks) {
    let Some(top) = l.top.first() else { return };
    let ascii = looks.theme.glyphs.ascii;
    let with_p = cell.width >= TOKEN_WITH_P;
    let room = usize::from(cell.width).saturating_sub(if with_p { 5 } else { 0 });
    put(
        buf,
        cell,
        cell.x,
        cell.y,
        &fit(&text::token(&top.text, ascii), room, ascii),
        looks.of(looks.theme.text()),
    );
    if with_p {
        put_right(buf, cell, cell.y, &probability(top.p), looks.of(looks.theme.dim()));
    }
}

fn tokens(buf: &mut Buffer, cell: Rect, l: &LensLayer, looks: &Looks) {
    let mut at = cell.x;
    for top in &l.top {
        let words = text::token(&top.text, looks.theme.glyphs.ascii);
        if usize::from(cell.right().saturating_sub(at)) < text::width(&words) + 6 {
            break;
        }
        at = put(buf, cell, at, cell.y, &words, looks.of(looks.theme.text()));
        let p = probability(top.p);
        at = put(buf, cell, at + 1, cell.y, p.trim_start(), looks.of(looks.theme.dim())) + 2;
    }
}

/// A bar with its number; without room for a bar the number alone.
fn probability_cell(buf: &mut Buffer, cell: Rect, p: f32, column: Column, fill: Style, looks: &Looks) {
    let theme = looks.theme;
    let bars = bar_cells(column);
    if bars > 0 {
        let shown = if p < NOTHING { 0.0 } else { f64::from(p) };
        bar(buf, Rect { width: bars, ..cell }, shown, looks.of(fill), Style::new(), theme.glyphs.ascii);
    }
    let number = Rect { x: cell.x + bars, width: cell.width.saturating_sub(bars), ..cell };
    let style = if p < NOTHING { theme.faint() } else { looks.of(theme.text()) };
    put_right(buf, number, cell.y, &probability(p), style);
}

/// What run `l` has more or less than the base `b` at one layer.
pub fn differences(
    buf: &mut Buffer,
    space: Rect,
    block: &Block,
    l: &LensLayer,
    b: &LensLayer,
    looks: &Looks,
) {
    let (theme, ascii) = (looks.theme, looks.theme.glyphs.ascii);
    for (column, x, width) in block.places(space.x) {
        let cell = Rect { x, width, ..space };
        match column {
            Column::Entropy => {
                let words =
                    fit_right(&format!("{:+.1}", l.entropy_bits - b.entropy_bits), usize::from(width), ascii);
                put(buf, cell, x, cell.y, &words, looks.of(theme.entropy()));
            }
            Column::Token | Column::Tokens => changed_token(buf, cell, l, b, looks),
            _ => {
                if let (Some(p), Some(q)) = (value(l, column), value(b, column)) {
                    change(buf, cell, p - q, bar_cells(column), looks);
                }
            }
        }
    }
}

fn change(buf: &mut Buffer, cell: Rect, d: f32, bars: u16, looks: &Looks) {
    let theme = looks.theme;
    let shown = if d.abs() < NOTHING { 0.0 } else { d };
    if bars > 2 {
        let styles = Diverging {
            more: looks.of(theme.change(1.0)),
            less: looks.of(theme.change(-1.0)),
            centre: theme.faint(),
        };
        let place = Rect { width: bars, ..cell };
        diverging(buf, place, f64::from(shown / looks.scale), styles, theme.glyphs.ascii);
    }
    let style = if shown == 0.0 { theme.faint() } else { looks.of(theme.change(shown)) };
    put_right(buf, cell, cell.y, &signed(d), style);
}

/// The top token, or what it was and what it became.
fn changed_token(buf: &mut Buffer, cell: Rect, l: &LensLayer, b: &LensLayer, looks: &Looks) {
    let (theme, ascii) = (looks.theme, looks.theme.glyphs.ascii);
    let name = |l: &LensLayer| l.top.first().map_or_else(String::new, |t| text::token(&t.text, ascii));
    let (was, is) = (name(b), name(l));
    if was == is {
        let words = ellipsize(&is, usize::from(cell.width), ascii).into_owned();
        put(buf, cell, cell.x, cell.y, &words, looks.of(theme.dim()));
        return;
    }
    let arrow = if ascii { ">" } else { "→" };
    let half = usize::from(cell.width).saturating_sub(1) / 2;
    let x = put(buf, cell, cell.x, cell.y, &ellipsize(&was, half, ascii), looks.of(theme.base()));
    let x = put(buf, cell, x, cell.y, arrow, theme.faint());
    let room = usize::from(cell.right().saturating_sub(x));
    put(buf, cell, x, cell.y, &ellipsize(&is, room, ascii), looks.of(theme.aligned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_their_cells() {
        for p in [0.0, 0.0004, 0.0005, 0.4124, 0.99949, 0.9995, 1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(probability(p).len(), 4, "{p}");
        }
        assert_eq!((probability(0.4124).as_str(), probability(0.9996).as_str()), (".412", "1.00"));
        assert_eq!(
            (signed(0.25).as_str(), signed(-0.0421).as_str(), signed(1e-5).as_str()),
            ("+.250", "-.042", "0")
        );
        assert!([1.0, -1.0, f32::NAN].iter().all(|d| signed(*d).len() <= 5));
    }
}
