//! One chart of the training pane: a metric raw and smoothed, with the evaluation loss in the loss's plot.

use crate::app::panes::training_curves::{Curves, Metric};
use crate::ui::text;
use crate::ui::theme::{Curve, Theme};
use crate::ui::widgets::legend::{Entry, legend};
use crate::ui::widgets::line_chart::{Line, LineChart};
use crate::ui::widgets::plot::PlotStyle;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Which chart.
#[derive(Clone, Copy, Debug)]
pub struct Chart {
    pub metric: Metric,
    /// The recent part instead of the whole run.
    pub recent: bool,
    /// The chosen metric: logarithmic on request, with the reading cursor.
    pub main: bool,
}

/// A metric's name.
pub fn name(metric: Metric, pane: &Curves) -> &'static str {
    match metric {
        Metric::Loss => "loss",
        Metric::LearningRate => "learning rate",
        Metric::Speed if pane.in_tokens() => "tokens a second",
        Metric::Speed => "steps a second",
        Metric::GradNorm => "gradient norm",
    }
}

fn colour(metric: Metric, theme: &Theme) -> Style {
    match metric {
        Metric::Loss => theme.curve(Curve::En),
        Metric::LearningRate => theme.entropy(),
        Metric::Speed => theme.good(),
        Metric::GradNorm => theme.accent(),
    }
}

/// Draws a title with its legend, and below it the curves.
pub fn chart(buf: &mut Buffer, area: Rect, pane: &Curves, which: Chart, theme: &Theme) {
    if area.height < 3 {
        return;
    }
    let Chart { metric, recent, main } = which;
    let ascii = theme.glyphs.ascii;
    let trace = pane.trace(metric);
    let smoothed = !pane.raw_only && metric != Metric::LearningRate && trace.count() > 8;
    let (raw, smooth) = (trace.raw(recent), if smoothed { trace.smooth(recent) } else { Vec::new() });
    let first = raw.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
    let mut eval = if metric == Metric::Loss { pane.eval_loss().raw(false) } else { Vec::new() };
    eval.retain(|p| !recent || p.0 >= first);
    let style = colour(metric, theme);
    let raw_style = if smoothed { theme.faint() } else { style };
    let eval_style = theme.curve(Curve::Target);
    let point = if ascii { 'o' } else { '◆' };
    let line = |points, style, mark, weight| Line { points, style, mark, weight, connected: true };
    let lines = vec![
        line(&raw[..], raw_style, '.', 1),
        line(&smooth[..], style, '*', 4),
        Line { connected: false, ..line(&eval[..], eval_style, 'o', 6) },
    ];
    let log_y = main && pane.log_scale;
    title(buf, area, pane, which, (smoothed, !eval.is_empty(), log_y), theme);
    let cursor = pane.cursor.filter(|_| main && recent == pane.recent);
    let chart = LineChart {
        lines,
        log_y,
        names: ("step", ""),
        cursor: cursor.and_then(|_| pane.reading()).map(|p| p.0),
        style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii },
        ..LineChart::default()
    };
    chart.render_marked(buf, Rect { y: area.y + 1, height: area.height - 1, ..area }, &[(2, point)]);
}

/// The metric's name, what part is shown, and the legend of its curves.
fn title(
    buf: &mut Buffer,
    area: Rect,
    pane: &Curves,
    which: Chart,
    (smoothed, eval, log): (bool, bool, bool),
    theme: &Theme,
) {
    let ascii = theme.glyphs.ascii;
    let style = colour(which.metric, theme);
    let mut x = text::put(buf, area, area.x, area.y, name(which.metric, pane), theme.strong());
    let part = if which.recent { "  recent" } else { "  whole run" };
    if usize::from(area.right().saturating_sub(x)) >= part.len() {
        x = text::put(buf, area, x, area.y, part, theme.dim());
    }
    if log {
        x = text::put(buf, area, x, area.y, "  log scale", theme.dim());
    }
    let dash = |plain: char| if ascii { plain } else { '━' };
    let entry = |mark, mark_style, name| Entry { mark, mark_style, name, name_style: theme.dim() };
    let mut entries = Vec::new();
    if smoothed {
        entries.push(entry(dash('.'), theme.faint(), "raw"));
        entries.push(entry(dash('*'), style, "smoothed"));
    }
    if eval {
        entries.push(entry(if ascii { 'o' } else { '◆' }, theme.curve(Curve::Target), "eval"));
    }
    let needed: usize = entries.iter().map(|e| e.name.len() + 4).sum();
    if usize::from(area.right().saturating_sub(x)) > needed + 2 {
        let at = Rect { x: x + 3, width: area.right() - x - 3, height: 1, ..area };
        legend(buf, at, &entries, ascii);
    }
}
