//! The lens pane's other view: mean curves over all items, a chart a run, the entropy below each.
//!
//! ```text
//!  ● en  ◆ target  ○ all latent  ◇ all out      dots: 95 % of the mean
//!  base                    │ +adapter
//!  (curves over the layers)│ (…)
//!  (entropy)               │ (…)
//!  layer 12   base: en .31±.04 …   H 5.2±.3 bit
//! ```

use crate::app::App;
use crate::app::panes::lens_means::{Means, Subject};
use crate::app::text::duration;
use crate::eval::means::{LayerMeans, Mean};
use crate::ui::text::{self, ellipsize, put};
use crate::ui::theme::{Curve, Theme};
use crate::ui::widgets::line_chart::{Line, LineChart};
use crate::ui::widgets::plot::PlotStyle;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Rows from which on the entropy has a chart of its own.
const ENTROPY_ROWS: u16 = 18;
/// Points of a band's edge between two layers: near enough to be read as a line of dots.
const DOTS: usize = 3;

/// What the frame's title says after the pane's name.
pub fn title(app: &App) -> String {
    let Some((means, _)) = app.lens.means.current(&app.shared) else { return "mean curves".into() };
    format!("mean curves: {} {}, n = {}", means.of.task, means.of.lang, means.n)
}

/// Draws the inside of the pane.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    let Some((means, _)) = app.lens.means.current(&app.shared) else {
        let (words, style) = state(app, theme);
        return super::centred(buf, area, &words, style);
    };
    if area.height < 6 || area.width < 24 {
        return;
    }
    legend(buf, Rect { height: 1, ..area }, theme);
    let inner = Rect { y: area.y + 1, height: area.height - 3, ..area };
    let n = (usize::from(area.width) / 28).clamp(1, means.runs.len().max(1)) as u16;
    let each = (area.width - (n - 1) * 2) / n;
    let top = ceiling(means);
    for (i, (run, layers)) in chosen(means, usize::from(n), app).into_iter().enumerate() {
        let place = Rect { x: area.x + i as u16 * (each + 2), width: each, ..inner };
        let name = match run {
            None => "base".to_owned(),
            Some(_) => format!("+{}", means.name(run)),
        };
        panel(buf, place, layers, top, &name, app, theme);
    }
    let row = |up: u16| Rect { y: area.bottom() - up, height: 1, x: area.x + 1, width: area.width - 2 };
    facts(buf, row(2), means, app, theme);
    let (words, style) = state(app, theme);
    let words = ellipsize(&words, usize::from(area.width - 2), theme.glyphs.ascii);
    put(buf, row(1), row(1).x, row(1).y, &words, style);
}

/// The runs that fit: the base, and of more adapters than fit the compared one.
fn chosen<'a>(means: &'a Means, n: usize, app: &App) -> Vec<(Option<usize>, &'a [LayerMeans])> {
    let all = means.runs.iter().map(|(run, layers)| (*run, layers.as_slice()));
    if n >= means.runs.len() {
        return all.collect();
    }
    let compared = app.lens.compared(&app.shared);
    let wanted = |run: &Option<usize>| (n > 1 && run.is_none()) || *run == compared;
    all.filter(|(run, _)| wanted(run)).collect()
}

/// What goes on, or what can be done.
fn state(app: &App, theme: &Theme) -> (String, Style) {
    let view = &app.lens.means;
    if let Some(running) = &view.running {
        let spent = duration(app.now.saturating_sub(running.since));
        let of = format!("{} {}", running.of.task, running.of.lang);
        let done = match running.total {
            0 => String::new(),
            total => format!(" {} of {total} items,", running.done),
        };
        return (format!("reading all items of {of}:{done} {spent}   X cancels"), theme.dim());
    }
    if let Some(error) = &view.error {
        return (format!("{}   Enter asks again", text::harmless(error)), theme.error());
    }
    let now = Subject::now(&app.shared);
    match view.current(&app.shared) {
        Some((_, true)) => ("c goes back to the layers   w writes the numbers".into(), theme.dim()),
        Some((_, false)) if app.shared.told => ("These are the curves that came last.".into(), theme.dim()),
        Some((means, false)) => (
            format!(
                "These are of {} {}: Enter computes {} {} with the runs on screen",
                means.of.task, means.of.lang, now.task, now.lang
            ),
            theme.warn(),
        ),
        None if app.shared.told => ("This recording holds no mean curves.".into(), theme.dim()),
        None => (format!("Enter reads all items of {} {}", now.task, now.lang), theme.dim()),
    }
}

/// The curves' marks and names.
fn legend(buf: &mut Buffer, row: Rect, theme: &Theme) {
    let mut x = row.x + 1;
    for curve in Curve::ALL {
        let words = format!("{} {}  ", theme.curve_mark(curve), curve.name());
        x = put(buf, row, x, row.y, &words, theme.curve(curve));
    }
    put(buf, row, x + 1, row.y, "dots: 95 % band of the mean", theme.dim());
}

/// One run: its curves, and below them the entropy.
fn panel(
    buf: &mut Buffer,
    area: Rect,
    layers: &[LayerMeans],
    top: f64,
    name: &str,
    app: &App,
    theme: &Theme,
) {
    let below = if area.height >= ENTROPY_ROWS { (area.height / 3).clamp(6, 12) } else { 0 };
    let upper = Rect { height: area.height - below, ..area };
    let curves: Vec<Vec<Mean>> = (0..4).map(|i| layers.iter().map(|l| l.curves()[i]).collect()).collect();
    let at: Vec<f64> = layers.iter().map(|l| l.layer as f64).collect();
    let drawn = Curve::ALL.into_iter().zip(&curves);
    let drawn: Vec<_> = drawn.map(|(c, means)| (middle(&at, means), band(&at, means), c)).collect();
    let mut lines = Vec::new();
    // The gold answer's curves lie over the quieter ones.
    for (mean, band, curve) in drawn.iter().rev() {
        let weight = if matches!(curve, Curve::En | Curve::Target) { 3 } else { 2 };
        let (style, mark) = (theme.curve(*curve), theme.curve_mark(*curve));
        lines.push(Line { points: band, style, mark: '.', weight: 1, connected: false });
        lines.push(Line { points: mean, style, mark, weight, connected: true });
    }
    chart(buf, upper, lines, (0.0, top), name, app, theme);
    if below == 0 {
        return;
    }
    let entropy: Vec<Mean> = layers.iter().map(|l| l.entropy_bits).collect();
    let (mean, band) = (middle(&at, &entropy), band(&at, &entropy));
    let high = band.iter().map(|p| p.1).fold(1.0, f64::max).ceil();
    let style = theme.text();
    let lines = vec![
        Line { points: &band, style, mark: '.', weight: 1, connected: false },
        Line { points: &mean, style, mark: '*', weight: 2, connected: true },
    ];
    let lower = Rect { y: upper.bottom(), height: below, ..area };
    chart(buf, lower, lines, (0.0, high), "entropy, bit", app, theme);
}

fn chart(
    buf: &mut Buffer,
    area: Rect,
    lines: Vec<Line>,
    y: (f64, f64),
    name: &str,
    app: &App,
    theme: &Theme,
) {
    let last = app.lens.count(&app.shared).saturating_sub(1) as f64;
    let chart = LineChart {
        lines,
        x_range: Some((0.0, last)),
        y_range: Some(y),
        log_y: false,
        names: ("layer", name),
        cursor: Some(app.lens.layer(&app.shared) as f64),
        zero_line: false,
        style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii: theme.glyphs.ascii },
    };
    chart.render(buf, area);
}

fn middle(at: &[f64], means: &[Mean]) -> Vec<(f64, f64)> {
    at.iter().zip(means).map(|(x, m)| (*x, f64::from(m.mean))).collect()
}

/// The band's two edges as dots, some between every two layers.
fn band(at: &[f64], means: &[Mean]) -> Vec<(f64, f64)> {
    let edge = |sign: f64| -> Vec<(f64, f64)> {
        let half = |m: &Mean| m.ci95.map(|c| (f64::from(m.mean) + sign * f64::from(c)).max(0.0));
        at.iter().zip(means).filter_map(|(x, m)| Some((*x, half(m)?))).collect()
    };
    let dots = |edge: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
        let between = |w: &[(f64, f64)]| {
            let ((a, from), (b, to)) = (w[0], w[1]);
            (0..DOTS)
                .map(move |i| i as f64 / DOTS as f64)
                .map(move |s| (a + s * (b - a), from + s * (to - from)))
        };
        edge.windows(2).flat_map(between).collect()
    };
    [1.0, -1.0].into_iter().flat_map(|sign| dots(edge(sign))).collect()
}

/// A round top of the probability axis, the same for all runs: no band ends above it.
fn ceiling(means: &Means) -> f64 {
    let ends = means.runs.iter().flat_map(|(_, layers)| layers).flat_map(|l| l.curves());
    let high = ends.map(|m| f64::from(m.mean + m.ci95.unwrap_or(0.0))).filter(|v| v.is_finite());
    let high = high.fold(0.0, f64::max);
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7].into_iter().find(|t| high <= *t).unwrap_or(1.0)
}

/// The selected layer's numbers, a run after the other.
fn facts(buf: &mut Buffer, row: Rect, means: &Means, app: &App, theme: &Theme) {
    let layer = app.lens.layer(&app.shared);
    let mut x = put(buf, row, row.x, row.y, &format!("layer {layer}  "), theme.dim());
    for (run, layers) in &means.runs {
        let Some(l) = layers.iter().find(|l| l.layer == layer) else { continue };
        let name = text::harmless(means.name(*run));
        x = put(buf, row, x, row.y, &format!("{name} "), theme.run(*run));
        for (curve, mean) in Curve::ALL.into_iter().zip(l.curves()) {
            x = put(
                buf,
                row,
                x,
                row.y,
                &format!("{} {}  ", theme.curve_mark(curve), with_band(mean, 3, theme)),
                theme.curve(curve),
            );
        }
        x = put(
            buf,
            row,
            x,
            row.y,
            &format!("H {} bit   ", with_band(l.entropy_bits, 2, theme)),
            theme.text(),
        );
    }
}

fn with_band(mean: Mean, digits: usize, theme: &Theme) -> String {
    let sign = if theme.glyphs.ascii { "+-" } else { "±" };
    match mean.ci95 {
        Some(half) => format!("{:.digits$}{sign}{half:.digits$}", mean.mean),
        None => format!("{:.digits$}", mean.mean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::testing::Bench;
    use crate::engine::protocol::Command;
    use crate::ui::panes::shots;

    fn shot(name: &str, bench: &Bench, width: u16, height: u16, theme: &Theme) -> Buffer {
        let buf = shots::drawn(width, height, theme, |buf, area| render(buf, area, &bench.app, theme));
        shots::show(name, &buf);
        buf
    }

    #[test]
    fn snapshots() {
        for (w, h) in [(78, 20), (110, 40)] {
            for (name, theme) in shots::themes() {
                let mut bench = Bench::with_adapter(160, 48);
                bench.keys("2c");
                let name = format!("means_{w}x{h}_{name}");
                let buf = shot(&name, &bench, w, h, &theme);
                insta::assert_snapshot!(name, format!("{}\n{}", shots::lines(&buf), shots::colours(&buf)));
            }
        }
    }

    #[test]
    fn the_base_alone_and_what_is_going_on() {
        let theme = &shots::themes()[0].1;
        let mut bench = Bench::ready(120, 40);
        bench.hold = true;
        bench.keys("2c");
        let words = shots::lines(&shot("means_waiting", &bench, 60, 20, theme));
        assert!(words.contains("reading all items of sentiment th"), "{words}");
        bench.release(1);
        let words = shots::lines(&shot("means_progress", &bench, 90, 20, theme));
        assert!(words.contains("8 of 32 items") && words.contains("X cancels"), "{words}");
        bench.hold = false;
        bench.release(9);
        let words = shots::lines(&shot("means_base", &bench, 60, 20, theme));
        assert!(words.contains("layer 18") && words.contains("±"), "{words}");
        assert_eq!(title(&bench.app), "mean curves: sentiment th, n = 32");
        // Another language: its curves are offered, and those of before come back at once.
        bench.keys("]");
        let words = shots::lines(&shot("means_other", &bench, 90, 20, theme));
        assert!(words.contains("These are of sentiment th: Enter computes sentiment sw"), "{words}");
        bench.keys("<enter>");
        assert_eq!(title(&bench.app), "mean curves: sentiment sw, n = 32");
        bench.keys("[");
        assert_eq!(title(&bench.app), "mean curves: sentiment th, n = 32");
        let asked = |b: &Bench| b.sent.iter().filter(|c| matches!(c, Command::Curves { .. })).count();
        assert_eq!(asked(&bench), 2);
        bench.keys("c");
        assert!(!bench.app.lens.means.shown);
        bench.keys("c");
        assert_eq!(asked(&bench), 2, "what is there is not asked for again");
        for (w, h) in [(1, 1), (24, 6), (30, 9), (200, 60)] {
            shot("means_small", &bench, w, h, theme);
        }
    }

    #[test]
    fn bands_are_around_the_means() {
        let means = |m: f32| Mean { mean: m, ci95: Some(0.1) };
        let dots = band(&[0.0, 1.0, 2.0], &[means(0.05), means(0.5), means(0.2)]);
        assert_eq!(dots.len(), 2 * 2 * DOTS);
        let near = |x: f64, y: f64| dots.iter().any(|p| (p.0 - x).abs() < 1e-6 && (p.1 - y).abs() < 1e-6);
        assert!(near(1.0, 0.6) && near(1.0, 0.4) && near(0.0, 0.0), "{dots:?}");
        assert!(band(&[0.0, 1.0], &[Mean { mean: 0.5, ci95: None }; 2]).is_empty(), "one item has no band");
    }
}
