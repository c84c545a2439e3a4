//! The mean of a measure over all pairs of languages: over the steps at one layer, and over the layers at one step.

use super::watch::{View, heading};
use crate::app::panes::watch::pca_layer;
use crate::ui::widgets::line_chart::{Line, LineChart};
use crate::ui::widgets::plot::PlotStyle;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// The mean over all pairs at each step, with every pair's curve behind it.
pub fn over_steps(buf: &mut Buffer, area: Rect, pairs: &[String], view: &View) {
    if area.height < 6 || area.width < 20 {
        return;
    }
    let (watch, theme, measure) = (view.watch, view.theme, view.watch.measure);
    let rest = heading(buf, area, "mean over the steps", "and every pair", theme);
    let means = watch.series(|k| k.digest.layer(view.layer)?.mean(measure));
    let each: Vec<Vec<(f64, f64)>> = pairs
        .iter()
        .take(40)
        .map(|p| watch.series(|k| measure.of(pca_layer(&k.frame, view.layer)?, p).map(|m| m.value)))
        .collect();
    let base = watch.scene().and_then(|s| s.digest.layer(view.layer)?.mean(measure));
    let dots = base.map_or(Vec::new(), |v| flat(v, watch.end(), rest.width));
    let line = |points, style, mark, weight| Line { points, style, mark, weight, connected: true };
    let mut lines: Vec<Line> = each.iter().map(|points| line(&points[..], theme.faint(), '.', 1)).collect();
    lines.push(Line { connected: false, ..line(&dots, theme.base(), '-', 2) });
    lines.push(line(&means, theme.aligned(), '*', 5));
    let chart = LineChart {
        lines,
        x_range: Some((0.0, watch.end())),
        names: ("step", ""),
        cursor: view.frame.map(|f| f.step as f64),
        style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii: theme.glyphs.ascii },
        ..LineChart::default()
    };
    chart.render(buf, rest);
}

/// The mean over all pairs at every layer, of the base and of the step: where the languages come together.
pub fn over_layers(buf: &mut Buffer, area: Rect, view: &View) {
    if area.height < 6 || area.width < 20 {
        return;
    }
    let (theme, measure) = (view.theme, view.watch.measure);
    let rest = heading(buf, area, "mean over the layers", "base and step", theme);
    let base = view.watch.scene().map_or(Vec::new(), |s| s.digest.over_layers(measure));
    let step = view.watch.current().map_or(Vec::new(), |(_, k)| k.digest.over_layers(measure));
    let line = |points, style, mark, weight| Line { points, style, mark, weight, connected: true };
    let chart = LineChart {
        lines: vec![line(&base[..], theme.base(), 'o', 1), line(&step[..], theme.aligned(), '*', 2)],
        names: ("layer", ""),
        cursor: Some(view.layer as f64),
        style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii: theme.glyphs.ascii },
        ..LineChart::default()
    };
    chart.render(buf, rest);
}

/// The base's value as a dotted line over the steps.
pub fn flat(value: f64, end: f64, columns: u16) -> Vec<(f64, f64)> {
    let n = usize::from(columns).max(2);
    (0..n).map(|i| (end * i as f64 / (n - 1) as f64, value)).collect()
}
