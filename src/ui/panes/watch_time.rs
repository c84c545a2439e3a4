//! The time line: loss over the steps, the frames on a track with the place that is looked at, and how it stands.

use super::watch::View;
use crate::app::panes::watch::{Part, track};
use crate::ui::text;
use crate::ui::theme::Curve;
use crate::ui::widgets::line_chart::{Line, LineChart};
use crate::ui::widgets::plot::PlotStyle;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Draws as many of its rows as `area` has: the track first, then the state below it, then the loss above it.
pub fn render(buf: &mut Buffer, area: Rect, view: &View) {
    let state = u16::from(area.height >= 2);
    let (from, width) = track(area.width);
    let line = Rect { y: area.bottom() - 1 - state, height: 1, ..area };
    rail(buf, line, (area.x + from, width), view);
    if state > 0 {
        state_row(buf, Rect { y: area.bottom() - 1, height: 1, ..area }, view);
    }
    let rows = area.height - 1 - state;
    if rows > 0 {
        let chart = Rect { x: area.x + from, width, y: area.y, height: rows };
        loss(buf, chart, Rect { height: rows, ..area }, view);
    }
}

/// The column of a step, counted from the track's first: as the loss's chart places it.
fn column(step: f64, end: f64, width: u16) -> u16 {
    let dots = f64::from(width) * 2.0 - 1.0;
    (((step / end).clamp(0.0, 1.0) * dots).round() as u16) / 2
}

/// The track: done and to come, frames, other scenes, the newest frame and the one looked at.
fn rail(buf: &mut Buffer, row: Rect, (from, width): (u16, u16), view: &View) {
    let (watch, theme) = (view.watch, view.theme);
    let (ascii, end) = (theme.glyphs.ascii, watch.end());
    let (line, tick, to_come, border) =
        if ascii { ("-", "+", ".", "|") } else { ("─", "┴", "┈", "│") };
    let at = |step: u64| from + column(step as f64, end, width);
    text::put_right(buf, Rect { width: from - row.x - 1, ..row }, row.y, "0", theme.dim());
    text::put(buf, row, from + width + 1, row.y, &format!("{end:.0}"), theme.dim());
    let done = at(watch.run.step.max(watch.run.frames.all().last().map_or(0, |k| k.frame.step)));
    for x in from..from + width {
        let (sign, style) = if x <= done { (line, theme.dim()) } else { (to_come, theme.faint()) };
        text::put(buf, row, x, row.y, sign, style);
    }
    let shown = watch.current().map(|(_, k)| k.scene);
    let mut before = None;
    for kept in watch.run.frames.all() {
        let style = if Some(kept.scene) == shown { theme.aligned() } else { theme.faint() };
        let begins = before.is_some_and(|b| b != kept.scene);
        text::put(buf, row, at(kept.frame.step), row.y, if begins { border } else { tick }, style);
        before = Some(kept.scene);
    }
    if let Some(last) = watch.run.frames.all().last().filter(|_| !watch.following()) {
        let style = if watch.run.live { theme.good() } else { theme.dim() };
        text::put(buf, row, at(last.frame.step), row.y, if ascii { "o" } else { "○" }, style);
    }
    if let Some(frame) = view.frame {
        let style = if watch.following() && watch.run.live { theme.good() } else { theme.accent() };
        text::put(buf, row, at(frame.step), row.y, if ascii { "O" } else { "●" }, style);
    }
}

/// Following, held, playing or ended; where among the frames; what else is to be known.
fn state_row(buf: &mut Buffer, row: Rect, view: &View) {
    let (watch, theme) = (view.watch, view.theme);
    let g = &theme.glyphs;
    let run = &watch.run;
    let (hollow, play) = if g.ascii { ("o", ">") } else { ("○", "▸") };
    let all = run.frames.all();
    let newest = all.last().map_or(0, |k| k.frame.step);
    let mut parts: Vec<(String, Style)> = Vec::new();
    match view.frame {
        None => parts.push((format!("{} the base model's frame; step 0 follows", g.live), theme.base())),
        Some(_) if watch.playing.is_some() => {
            parts
                .push((format!("{play} playing {} frames/s", watch.speed.layers_a_second()), theme.accent()));
        }
        Some(_) if watch.following() && run.paused => {
            parts.push((format!("{} paused", g.live), theme.warn()))
        }
        Some(_) if watch.following() && run.live => parts.push((format!("{} live", g.live), theme.good())),
        Some(_) if watch.following() => parts.push((format!("{} the run's end", g.check), theme.good())),
        Some(f) if run.live => {
            let behind = newest.saturating_sub(f.step);
            parts.push((format!("{hollow} {behind} steps behind; End: live"), theme.warn()));
        }
        Some(_) => parts.push((format!("{hollow} held; End: last step"), theme.dim())),
    }
    if let (Some((index, _)), Some(frame)) = (watch.current(), view.frame) {
        parts.push((format!("step {}", frame.step), theme.strong()));
        if view.alone {
            let next = match watch.part {
                Part::Lens => "scatter",
                Part::Plane => "pairs",
                Part::Pairs => "lens",
            };
            parts.push((format!("d: {next}"), theme.key()));
        }
        parts.push((format!("frame {} of {}", index + 1, all.len()), theme.dim()));
    }
    if watch.outdated(view.shared) {
        parts.push(("another query or language set is chosen: Q watches it".into(), theme.accent()));
    }
    if run.frames.stride() > 1 {
        parts.push((format!("thinned: 1 of {} frames kept", run.frames.stride()), theme.warn()));
    }
    let every = watch.asked.as_ref().map(|w| format!("every {} steps", w.every));
    let seconds = watch.seconds_a_frame().map(|s| format!("{s:.1} s a frame"));
    parts.extend(every.into_iter().chain(seconds).map(|words| (words, theme.dim())));
    let arrows = if g.ascii { "left/right frame  up/down layer" } else { "←→ frame  ↑↓ layer" };
    parts.push((format!("{arrows}  space plays  v measure"), theme.faint()));
    let mut x = row.x + 1;
    for (words, style) in parts {
        if x + text::width(&words) as u16 > row.right() {
            continue;
        }
        x = text::put(buf, row, x, row.y, &words, style) + 3;
    }
}

/// The loss along the track, and the validation losses.
fn loss(buf: &mut Buffer, area: Rect, rows: Rect, view: &View) {
    let (watch, theme) = (view.watch, view.theme);
    let run = &watch.run;
    let label = Rect { width: area.x - rows.x - 1, ..rows };
    let raw = run.loss.raw(false);
    let smooth = if raw.len() > 8 { run.loss.smooth(false) } else { raw.clone() };
    let eval = run.eval_loss.raw(false);
    let ascii = theme.glyphs.ascii;
    let style = theme.curve(Curve::En);
    let line = |points, style, mark, weight| Line { points, style, mark, weight, connected: true };
    let chart = LineChart {
        lines: vec![
            line(&raw[..], theme.faint(), '.', 1),
            line(&smooth[..], style, '*', 4),
            Line { connected: false, ..line(&eval[..], theme.curve(Curve::Target), 'o', 6) },
        ],
        x_range: Some((0.0, watch.end())),
        cursor: view.frame.map(|f| f.step as f64),
        style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii },
        ..LineChart::default()
    };
    // Five rows and more would get axes: the track below is the axis.
    let marks: &[(usize, char)] = if rows.height > 1 { &[(2, if ascii { 'o' } else { '◆' })] } else { &[] };
    chart.render_marked(buf, Rect { height: area.height.min(4), ..area }, marks);
    let value =
        |points: &[(f64, f64)]| points.iter().rev().find(|p| p.1.is_finite()).map(|p| text::number(p.1));
    let mut y = rows.y;
    for (name, points, style) in [("loss", &smooth, style), ("eval", &eval, theme.curve(Curve::Target))] {
        if let Some(value) = value(points).filter(|_| y < rows.bottom()) {
            text::put_right(buf, label, y, name, style);
            text::put(buf, rows, area.right() + 1, y, &value, style);
            y += 1;
        }
    }
}
