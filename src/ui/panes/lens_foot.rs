//! Below the layers: the selected layer in one line, and where there is room, its top tokens and the
//! curves over the layers.

use super::lens_cells::curve_value;
use super::lens_detail::list;
use crate::app::App;
use crate::app::text::duration;
use crate::engine::protocol::RunId;
use crate::ui::text::{self, ellipsize, put};
use crate::ui::theme::{Curve, Theme};
use crate::ui::widgets::line_chart::{Line, LineChart};
use crate::ui::widgets::plot::PlotStyle;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Rows from which on the curves are drawn too.
const CHART_ROWS: u16 = 20;

/// Draws the foot for the selected (or hovered) layer.
pub fn render(buf: &mut Buffer, area: Rect, layer: usize, app: &App, theme: &Theme) {
    if area.height == 0 {
        return;
    }
    let line = Rect { y: area.bottom() - 1, height: 1, x: area.x + 1, width: area.width.saturating_sub(2) };
    facts(buf, line, layer, app, theme);
    let mut rest =
        Rect { y: area.y + 1, height: area.height.saturating_sub(2), x: line.x, width: line.width };
    // An opened layer's panel shows the same, and more.
    if app.lens.detail.is_some() || app.lens.done() == 0 {
        return;
    }
    if rest.height >= CHART_ROWS && app.shared.query.comparison.is_some() {
        let rows = (rest.height - 11).min(34);
        chart(buf, Rect { height: rows, ..rest }, layer, app, theme);
        rest = Rect { y: rest.y + rows + 1, height: rest.height - rows - 1, ..rest };
    }
    if rest.height >= 4 {
        top_tokens(buf, rest, layer, app, theme);
    }
}

/// One line on the layer.
fn facts(buf: &mut Buffer, row: Rect, layer: usize, app: &App, theme: &Theme) {
    if let Some(error) = &app.lens.error {
        let words = text::harmless(error);
        put(
            buf,
            row,
            row.x,
            row.y,
            &ellipsize(&words, usize::from(row.width), theme.glyphs.ascii),
            theme.error(),
        );
        return;
    }
    if app.lens.job.is_some() && app.lens.done() == 0 {
        let spent = duration(app.now.saturating_sub(app.lens.since));
        put(buf, row, row.x, row.y, &format!("asking the model, {spent}   X cancels"), theme.dim());
        return;
    }
    let run = if app.lens.difference { app.lens.compared(&app.shared) } else { None };
    let Some(rows) = app.lens.runs.get(&run) else { return };
    let mut facts = vec![format!("layer {layer}")];
    if let Some((l, _)) = rows.layer(layer) {
        facts.push(format!("H {:.2} bit", l.entropy_bits));
        facts.extend(l.kl_bits.map(|kl| format!("KL {kl:.2} bit")));
        facts.extend(l.gold_rank.map(|r| format!("gold rank {}", r + 1)));
        facts.extend(rows.first_final_top1.map(|k| format!("final top-1 from {k}")));
        facts.extend(l.energy.map(|e| format!("energy {e:.2}")));
    }
    let words = facts.join("  ");
    put(buf, row, row.x, row.y, &ellipsize(&words, usize::from(row.width), theme.glyphs.ascii), theme.dim());
}

/// The runs on screen: all, or the compared two where there are more than fit.
fn runs(width: u16, app: &App) -> Vec<RunId> {
    let runs = app.shared.runs();
    if runs.len() > 2 && usize::from(width) / runs.len() < 28 {
        return vec![None, app.lens.compared(&app.shared)];
    }
    runs
}

/// The layer's top tokens, a column a run.
fn top_tokens(buf: &mut Buffer, area: Rect, layer: usize, app: &App, theme: &Theme) {
    let runs = runs(area.width, app);
    let n = runs.len() as u16;
    let each = ((area.width - (n - 1) * 3) / n).min(64);
    for (i, run) in runs.into_iter().enumerate() {
        let place =
            Rect { x: area.x + i as u16 * (each + 3), width: each, height: area.height.min(11), ..area };
        let tokens = app.lens.runs.get(&run).and_then(|r| r.layer(layer)).map(|(l, _)| l.top.as_slice());
        let name = match n {
            1 => format!("layer {layer}: top tokens"),
            _ => format!("layer {layer}: top tokens of {}", app.shared.run_name(run)),
        };
        list(buf, place, &name, tokens, theme.run(run), theme);
    }
}

/// The four curves over the layers, a chart a run.
fn chart(buf: &mut Buffer, area: Rect, layer: usize, app: &App, theme: &Theme) {
    let runs = runs(area.width, app);
    let n = runs.len() as u16;
    let each = (area.width - (n - 1) * 2) / n;
    for (i, run) in runs.into_iter().enumerate() {
        let place = Rect { x: area.x + i as u16 * (each + 2), width: each, ..area };
        let Some(rows) = app.lens.runs.get(&run) else { continue };
        let points = |curve: Curve| -> Vec<(f64, f64)> {
            let values =
                rows.fresh.iter().filter_map(|l| Some((l.layer as f64, f64::from(curve_value(l, curve)?))));
            values.collect()
        };
        let curves: Vec<(Curve, Vec<(f64, f64)>)> = Curve::ALL.into_iter().map(|c| (c, points(c))).collect();
        let line =
            |(c, points): &(Curve, Vec<(f64, f64)>)| -> (Curve, Vec<(f64, f64)>) { (*c, points.clone()) };
        let curves: Vec<_> = curves.iter().map(line).collect();
        let lines = curves.iter().rev().map(|(c, points)| Line {
            points,
            style: theme.curve(*c),
            mark: theme.curve_mark(*c),
            // The gold answer's curves lie over the quieter ones.
            weight: if matches!(c, Curve::En | Curve::Target) { 2 } else { 1 },
            connected: true,
        });
        let last = app.lens.count(&app.shared).saturating_sub(1) as f64;
        let name = if n == 1 { "p" } else { app.shared.run_name(run) };
        let chart = LineChart {
            lines: lines.collect(),
            x_range: Some((0.0, last)),
            y_range: Some((0.0, 1.0)),
            log_y: false,
            names: ("layer", name),
            cursor: Some(layer as f64),
            zero_line: false,
            style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii: theme.glyphs.ascii },
        };
        chart.render(buf, place);
    }
}
