//! The lens, base and step side by side: each layer's top token, the chosen layer's numbers, and both over the steps.

use super::lens_cells::{NOTHING, curve_value, probability, signed};
use super::watch::View;
use super::watch_film::{Strip, chart, followed};
use crate::app::panes::lens::visible_layers;
use crate::app::panes::watch::lens_layer;
use crate::engine::protocol::{LensLayer, TrainFrame};
use crate::ui::text::{self, fit, fit_right};
use crate::ui::theme::Curve;
use crate::ui::widgets::bar::bar;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Columns of the two sides together, with the layers' numbers: below the least, no strip is drawn beside them.
const SIDES: (u16, u16) = (44, 62);
/// Rows of the chosen layer's numbers, with their heading.
const NUMBERS: u16 = 6;

/// Draws the table of layers, the chosen layer's numbers and the film.
pub fn render(buf: &mut Buffer, area: Rect, view: &View) {
    if view.frame.or(view.base).is_none_or(|f| f.lens.is_none()) {
        let words = "No query in these frames: i chooses an item, Q watches it.";
        return super::centred(buf, area, words, view.theme.dim());
    }
    let layers = view.watch.last_layer().map_or(0, |l| l + 1);
    let all = layers as u16 + 1;
    if area.width >= 74 && area.height < 24 {
        // Flat: numbers and film beside the table.
        let table = Rect { width: SIDES.0, ..area };
        let side = Rect { x: table.right() + 2, width: area.width - table.width - 2, ..area };
        rows(buf, table, layers, view);
        let used = NUMBERS.min(side.height);
        numbers(buf, Rect { height: used, ..side }, view);
        let film = Rect { y: side.y + used + 1, height: side.height.saturating_sub(used + 1), ..side };
        return chart(buf, film, view);
    }
    let rest = area.height.saturating_sub(NUMBERS + 1);
    let film = match rest {
        0..14 => 0,
        _ => (rest - rest.min(all + 1)).clamp(8.min(rest / 3), 14),
    };
    let with_numbers = area.height >= 16;
    let table_rows = match (with_numbers, film) {
        (false, _) => area.height,
        (true, 0) => rest,
        (true, film) => rest - film - 1,
    };
    let table = Rect { height: table_rows.min(all), ..area };
    let strip = rows(buf, table, layers, view);
    if let Some((strip, film)) = strip {
        strip.foot(buf, Rect { y: table.bottom(), height: 1, ..film }.intersection(area), view);
    }
    if with_numbers {
        let at = Rect { y: table.bottom() + 1, height: NUMBERS, ..area };
        numbers(buf, at, view);
        let y = at.bottom() + 1;
        chart(buf, Rect { y, height: area.bottom().saturating_sub(y), ..area }, view);
    }
}

/// The layers, the output on top; returns the strip beside them with its area.
fn rows<'a>(buf: &mut Buffer, area: Rect, layers: usize, view: &View<'a>) -> Option<(Strip<'a>, Rect)> {
    if area.height < 2 || layers == 0 {
        return None;
    }
    let theme = view.theme;
    let spare = area.width.saturating_sub(SIDES.0 + 2);
    let strip = if spare >= 12 {
        Strip::new(view, area.width - SIDES.0.max(area.width * 55 / 100).min(SIDES.1) - 2)
    } else {
        None
    };
    let width = match &strip {
        Some(_) => SIDES.0.max(area.width * 55 / 100).min(SIDES.1),
        None => area.width,
    };
    let side = (width.saturating_sub(5)) / 2;
    let places = [area.x + 4, area.x + 4 + side + 1].map(|x| Rect { x, width: side, ..area });
    for ((name, style, _), place) in view.sides().into_iter().zip(places) {
        text::put(buf, place, place.x, area.y, &fit(&name, usize::from(side), theme.glyphs.ascii), style);
    }
    let film = Rect { x: area.x + width + 2, width: area.width.saturating_sub(width + 2), ..area };
    if let Some(strip) = &strip {
        strip.head(buf, film, theme);
    }
    let shown = visible_layers(layers, view.layer, usize::from(area.height - 1));
    for (i, layer) in shown.rev().enumerate() {
        let row = Rect { y: area.y + 1 + i as u16, height: 1, ..area };
        let selected = layer == view.layer;
        if selected {
            buf.set_style(Rect { width, ..row }, theme.selection());
            text::put(buf, row, row.x, row.y, theme.glyphs.selected, theme.accent());
        }
        let style = if selected { theme.strong() } else { theme.dim() };
        text::put(buf, row, row.x + 1, row.y, &format!("{layer:>2}"), style);
        let of = |f: Option<&'_ TrainFrame>| f.and_then(|f| lens_layer(f, layer)).cloned();
        let (base, step) = (of(view.base), of(view.frame));
        let token = |l: &Option<LensLayer>| l.as_ref().and_then(|l| Some(l.top.first()?.text.clone()));
        let changed = step.is_some() && token(&base) != token(&step);
        let looks = [
            (theme.text(), theme.base()),
            (if changed { theme.accent() } else { theme.dim() }, theme.aligned()),
        ];
        for ((l, place), looks) in [base, step].into_iter().zip(places).zip(looks) {
            if let Some(l) = l {
                top(buf, Rect { y: row.y, height: 1, ..place }, &l, looks, view);
            }
        }
        if let Some(strip) = &strip {
            strip.row(buf, Rect { y: row.y, height: 1, ..film }, layer, selected, theme);
        }
    }
    strip.map(|strip| (strip, film))
}

/// A layer's top token with its probability.
fn top(buf: &mut Buffer, cell: Rect, layer: &LensLayer, (token_style, fill): (Style, Style), view: &View) {
    let Some(first) = layer.top.first() else { return };
    let (theme, ascii) = (view.theme, view.theme.glyphs.ascii);
    let bars = (cell.width / 3).clamp(3, 12);
    let room = cell.width.saturating_sub(bars + 6);
    let words = fit(&text::token(&first.text, ascii), usize::from(room), ascii);
    text::put(buf, cell, cell.x, cell.y, &words, token_style);
    let at = cell.x + room + 1;
    text::put(buf, cell, at, cell.y, &probability(first.p), theme.text());
    let track = Rect { x: at + 5, width: bars, height: 1, ..cell }.intersection(cell);
    bar(buf, track, f64::from(first.p), fill, Style::new(), ascii);
}

/// The chosen layer: each curve in the base and at the step, and how it moved.
fn numbers(buf: &mut Buffer, area: Rect, view: &View) {
    let (theme, ascii) = (view.theme, view.theme.glyphs.ascii);
    let layers = [view.base, view.frame].map(|f| f.and_then(|f| lens_layer(f, view.layer)));
    let cell = if area.width < 40 { 6 } else { 7 };
    let name = 14.min(area.width.saturating_sub(3 * cell));
    let places = [0, 1, 2].map(|i| Rect { x: area.x + name + i * cell, width: cell, ..area });
    let head = format!("layer {}", view.layer);
    text::put(buf, area, area.x, area.y, &head, theme.strong());
    let [base, step] = view.sides();
    for ((words, style), place) in [("base", base.1), (&view.step(), step.1)].into_iter().zip(places) {
        text::put_right(buf, place, area.y, &fit_right(words, usize::from(cell), ascii), style);
    }
    text::put_right(buf, places[2], area.y, theme.glyphs.delta, theme.dim());
    let mut lines: Vec<(String, Style, [Option<f32>; 2], bool)> = Vec::new();
    if layers.iter().flatten().any(|l| l.curves.is_some()) {
        for curve in Curve::ALL {
            let label = format!("{} {}", theme.curve_mark(curve), curve.name());
            lines.push((label, theme.curve(curve), layers.map(|l| curve_value(l?, curve)), true));
        }
    } else {
        for word in followed(view) {
            lines.push((
                format!("{} {}", word.mark, word.name),
                word.style,
                layers.map(|l| word.of(l?)),
                true,
            ));
        }
    }
    lines.push(("entropy, bits".into(), theme.entropy(), layers.map(|l| Some(l?.entropy_bits)), false));
    for (i, (label, style, values, share)) in lines.into_iter().enumerate() {
        let y = area.y + 1 + i as u16;
        if y >= area.bottom() {
            break;
        }
        text::put(buf, area, area.x, y, &fit(&label, usize::from(name), ascii), style);
        let shown = |v: f32| if share { probability(v).trim_start().to_owned() } else { format!("{v:.2}") };
        for (v, place) in values.iter().zip(places) {
            text::put_right(buf, place, y, &v.map_or("-".into(), shown), theme.text());
        }
        let Some(d) = values[1].zip(values[0]).map(|(b, a)| b - a) else { continue };
        let words = if share { signed(d) } else { format!("{d:+.2}") };
        text::put_right(buf, places[2], y, &words, theme.change(if d.abs() < 0.0005 { 0.0 } else { d }));
        let x = places[2].right() + 2;
        if share && x + 8 <= area.right() {
            bars(buf, Rect { x, y, width: area.right() - x, height: 1 }, values, style, view);
        }
    }
}

/// The step's probability as a bar, with the base's as a mark on it where that is another.
fn bars(buf: &mut Buffer, area: Rect, values: [Option<f32>; 2], style: Style, view: &View) {
    let theme = view.theme;
    let [base, Some(step)] = values else { return };
    let shown = |v: f32| if v < NOTHING { 0.0 } else { f64::from(v) };
    bar(buf, area, shown(step), style, theme.selection_idle(), theme.glyphs.ascii);
    let column = |v: f32| (v.clamp(0.0, 1.0) * f32::from(area.width - 1)).round() as u16;
    let Some(base) = base.filter(|b| b.is_finite() && column(*b) != column(step)) else { return };
    let at = (area.x + column(base), area.y);
    // On a full cell the mark's ground is the bar.
    let full = buf[at].symbol() == "█";
    let ground =
        style.fg.filter(|_| full).zip(theme.background().bg).map(|(bar, ink)| Style::new().fg(ink).bg(bar));
    text::put(buf, area, at.0, at.1, &theme.glyphs.axis.to_string(), ground.unwrap_or(theme.base()));
}
