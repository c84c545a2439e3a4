//! The pairs of languages: a measure in the base and at a step, its change, and its mean over the steps.

use super::pca_side::value;
use super::watch::{View, heading};
use super::watch_curves;
use crate::app::panes::alignment::PAPER_PAIRS;
use crate::app::panes::watch::pca_layer;
use crate::app::panes::watch_digest::{mean, wider};
use crate::engine::protocol::PcaLayer;
use crate::ui::text::{self, fit_right};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Columns of the table without its bars.
const TABLE: u16 = 28;

/// Draws the table and, where there is room, the mean's curve beside or below it.
pub fn render(buf: &mut Buffer, area: Rect, view: &View) {
    if area.height < 3 {
        return;
    }
    let pairs = view.watch.pairs();
    if pairs.is_empty() {
        let words = "No language pairs in these frames: the PCA pane (4) chooses languages, Q watches them.";
        return super::centred(buf, area, words, view.theme.dim());
    }
    if area.width >= 72 {
        let table = Rect { width: (area.width * 56 / 100).clamp(TABLE, 60), ..area };
        let chart = Rect { x: table.right() + 2, width: area.width - table.width - 2, ..area };
        self::table(buf, table, &pairs, view);
        let free = table.height.saturating_sub(pairs.len() as u16 + 4);
        let below = Rect { y: table.bottom() - free, height: free, ..table };
        match (free >= 7, chart.height >= 16) {
            (true, _) => watch_curves::over_layers(buf, below, view),
            (false, true) => {
                let lower = chart.height / 2;
                let at = Rect { y: chart.bottom() - lower, height: lower, ..chart };
                watch_curves::over_layers(buf, at, view);
            }
            (false, false) => {}
        }
        let both = free < 7 && chart.height >= 16;
        let height = if both { chart.height - chart.height / 2 - 1 } else { chart.height };
        watch_curves::over_steps(buf, Rect { height, ..chart }, &pairs, view);
    } else {
        let rows = area.height.min(pairs.len() as u16 + 4);
        let rows = if area.height - rows < 6 { area.height } else { rows };
        table(buf, Rect { height: rows, ..area }, &pairs, view);
        let below = Rect { y: area.y + rows, height: area.height - rows, ..area };
        watch_curves::over_steps(buf, below, &pairs, view);
    }
}

/// A difference with its sign.
fn signed(d: f64) -> String {
    match d {
        0.0 => "0".into(),
        d => format!("{}{}", if d > 0.0 { "+" } else { "" }, value(d)),
    }
}

/// Base and step of every pair in numbers and, where there is room, as two points on one scale.
fn table(buf: &mut Buffer, area: Rect, pairs: &[String], view: &View) {
    let (theme, measure) = (view.theme, view.watch.measure);
    let layers = [view.base, view.frame].map(|f| f.and_then(|f| pca_layer(f, view.layer)));
    let means = layers.map(|l| l.and_then(|l| mean(l, measure)));
    let missing = if means.iter().all(Option::is_none) { "  not in these frames" } else { "" };
    let details = format!("layer {}{missing}", view.layer);
    let rest = heading(buf, area, measure.name(), &details, theme);
    let [base, step] = view.sides();
    for (x, words, style) in
        [(7, "base", base.1), (13, &view.step(), step.1), (20, theme.glyphs.delta, theme.dim())]
    {
        text::put_right(buf, Rect { x: rest.x + x, width: 6, height: 1, ..rest }, rest.y, words, style);
    }
    let track = Rect { x: rest.x + TABLE, width: rest.width.saturating_sub(TABLE), ..rest };
    let scale = scale(view).filter(|_| track.width >= 8);
    if let Some((low, high)) = scale {
        text::put(buf, track, track.x, rest.y, &value(low), theme.faint());
        text::put_right(buf, track, rest.y, &value(high), theme.faint());
    }
    let row = |buf: &mut Buffer, y: u16, name: &str, style: Style, values: [Option<f64>; 2]| {
        let at = Rect { y, height: 1, ..rest };
        text::put(buf, at, at.x, y, name, style);
        let number = |buf: &mut Buffer, x: u16, words: &str, style: Style| {
            text::put(buf, at, at.x + x, y, &fit_right(words, 6, theme.glyphs.ascii), style);
        };
        for (x, v) in [7, 13].into_iter().zip(values) {
            number(buf, x, &v.map_or("-".into(), value), theme.text());
        }
        if let [Some(a), Some(b)] = values {
            let d = if (b - a).abs() < 0.0005 { 0.0 } else { b - a };
            number(buf, 20, &signed(d), theme.change(d as f32));
        }
        if let Some(scale) = scale {
            points(buf, Rect { y, height: 1, ..track }, values, scale, view);
        }
    };
    row(buf, rest.y + 1, "mean", theme.strong(), means);
    let of = |layer: Option<&PcaLayer>, pair: &String| measure.of(layer?, pair).map(|m| m.value);
    let room = usize::from(rest.height.saturating_sub(2));
    let shown = if pairs.len() > room { room.saturating_sub(1) } else { pairs.len() };
    for (i, pair) in pairs.iter().take(shown).enumerate() {
        let style = if PAPER_PAIRS.contains(&pair.as_str()) { theme.text() } else { theme.dim() };
        row(buf, rest.y + 2 + i as u16, pair, style, layers.map(|l| of(l, pair)));
    }
    if shown < pairs.len() && rest.height > 2 {
        let more = format!("and {} more pairs", pairs.len() - shown);
        text::put(buf, rest, rest.x, rest.bottom() - 1, &more, theme.dim());
    }
}

/// The ends of the scale for all pairs and all frames at this layer, so that nothing jumps while one scrubs: round tenths.
fn scale(view: &View) -> Option<(f64, f64)> {
    let extents = view.watch.digests(view.layer).filter_map(|d| d.extent_of(view.watch.measure));
    let (low, high) = extents.reduce(wider)?;
    let (low, high) = ((low * 10.0).floor() / 10.0, (high * 10.0).ceil() / 10.0);
    (high > low).then_some((low, high))
}

/// The base's value and the step's on one track, and the way between them.
fn points(buf: &mut Buffer, track: Rect, values: [Option<f64>; 2], (low, high): (f64, f64), view: &View) {
    let theme = view.theme;
    let (line, from, to) = if theme.glyphs.ascii { ("=", "o", "*") } else { ("━", "○", "●") };
    let column = |v: f64| {
        let at = ((v - low) / (high - low)).clamp(0.0, 1.0) * f64::from(track.width - 1);
        track.x + at.round() as u16
    };
    for x in track.left()..track.right() {
        text::put(buf, track, x, track.y, if theme.glyphs.ascii { "." } else { "┈" }, theme.faint());
    }
    let [base, step] = values.map(|v| v.filter(|v| v.is_finite()).map(column));
    if let (Some(a), Some(b)) = (base, step) {
        let style = theme.change(if b >= a { 1.0 } else { -1.0 });
        for x in a.min(b)..=a.max(b) {
            text::put(buf, track, x, track.y, line, style);
        }
    }
    for (at, sign, style) in [(base, from, theme.base()), (step, to, theme.aligned())] {
        if let Some(x) = at {
            text::put(buf, track, x, track.y, sign, style);
        }
    }
}
