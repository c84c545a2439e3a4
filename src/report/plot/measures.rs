//! CKA, cosine gap and MEXA over the layers: means over the pairs of languages with their bands and controls.

use super::axis::{Labels, Panel, layer_ticks, ticks};
use super::palette::{MARKERS, run_colour};
use super::scene::{Font, SOFT, Scene, Stroke, text_width};
use crate::engine::protocol::{Measure, PcaRun};
use crate::report::measures::Alignment;
use crate::report::pca::PcaReport;
use crate::report::text::fit;

const PANEL_H: f64 = 150.0;
/// Between two panels: the right one's numbers.
const GAP: f64 = 46.0;
const LINE: f64 = 16.0;
/// Above this many layers the markers stand on every second, third, … one.
const MOST_MARKERS: usize = 20;
const CONTROL: &str = "4 3";
const BAND: f64 = 0.15;

/// What the bands are, for the foot of the picture.
pub const NOTE: &str = "CKA, cosine gap and MEXA over the layers: means over all pairs; bands: the means of the \
                        pairs' 95 % bootstrap intervals (no intervals of the mean).";

/// Whether there is anything to draw.
pub fn any(report: &PcaReport) -> bool {
    report
        .answer
        .runs
        .iter()
        .any(|r| Alignment::WITH_INTERVALS.iter().any(|m| !over_layers(r, *m).is_empty()))
}

/// (layer, mean over the pairs) where there is one.
fn over_layers(run: &PcaRun, measure: Alignment) -> Vec<(usize, Measure)> {
    run.layers.iter().filter_map(|l| Some((l.layer, measure.mean(l)?))).collect()
}

/// Height of [`draw`] at that width.
pub fn height(report: &PcaReport, width: f64) -> f64 {
    let rows = legend(report, width).last().map_or(0.0, |e| e.at.1);
    rows + LINE + 28.0 + PANEL_H + 36.0
}

/// Legend and three panels side by side, from the top left corner, `width` wide.
pub fn draw(scene: &mut Scene, report: &PcaReport, (x, y): (f64, f64), width: f64) {
    let entries = legend(report, width);
    for entry in &entries {
        draw_entry(scene, entry, (x, y));
    }
    let y = y + entries.last().map_or(0.0, |e| e.at.1) + LINE + 28.0;
    let w = (width - 2.0 * GAP) / 3.0;
    for (i, measure) in Alignment::WITH_INTERVALS.into_iter().enumerate() {
        let curves: Vec<(usize, Curve)> = (report.answer.runs.iter())
            .map(|r| (r.run.map_or(0, |a| a + 1), over_layers(r, measure)))
            .filter(|(_, c)| !c.is_empty())
            .collect();
        let layers = report.answer.runs.iter().flat_map(|r| &r.layers);
        let title = match layers.map(|l| measure.pairs(l)).max().unwrap_or(0) {
            0 | 1 => measure.name().to_owned(),
            n => format!("{}, mean of {n} pairs", measure.name()),
        };
        let title = if text_width(&title, 11.5) > w { measure.name() } else { &title };
        panel(scene, (x + i as f64 * (w + GAP), y, w), title, &curves);
    }
}

type Curve = Vec<(usize, Measure)>;

fn panel(scene: &mut Scene, (x, y, w): (f64, f64, f64), title: &str, curves: &[(usize, Curve)]) {
    let points = || curves.iter().flat_map(|(_, c)| c);
    let (first, last) = (points().map(|p| p.0).min().unwrap_or(0), points().map(|p| p.0).max().unwrap_or(0));
    let y_range = bounds(points().flat_map(|(_, m)| [m.value, m.low, m.high, m.shuffled]));
    let panel = Panel { x, y, w, h: PANEL_H, x_range: (first as f64 - 0.5, last as f64 + 0.5), y_range };
    let labels = Labels { title, x: "layer", y: "", x_ticks: true, y_ticks: true };
    let marks = layer_ticks(first, last, (w / 28.0) as usize);
    panel.draw(scene, &marks, &ticks(y_range.0, y_range.1, 5), labels);
    if curves.is_empty() {
        scene.text((x + 10.0, y + 20.0), "not computed", Font::new(9.5).colour(SOFT));
    }
    // Runs at one layer alone would cover each other.
    let step = if first == last { 0.5 / curves.len().max(1) as f64 } else { 0.0 };
    let shift = |i: usize| (i as f64 - (curves.len() - 1) as f64 / 2.0) * step;
    for (i, (run, curve)) in curves.iter().enumerate() {
        band(scene, &panel, curve, run_colour(*run), shift(i));
    }
    for (i, (run, curve)) in curves.iter().enumerate() {
        lines(scene, &panel, curve, *run, shift(i));
    }
}

/// Tenths that hold all finite values and zero, so that a gap's size can be read off its height.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.filter(|v| v.is_finite()).fold((0.0f64, 0.0f64), |(a, b), v| (a.min(v), b.max(v)));
    let low = (low * 10.0 + 1e-9).floor() / 10.0;
    (low, ((high * 10.0 - 1e-9).ceil() / 10.0).max(low + 0.2))
}

fn band(scene: &mut Scene, panel: &Panel, curve: &Curve, colour: &str, shift: f64) {
    let known: Vec<_> = curve.iter().filter(|(_, m)| m.low.is_finite() && m.high.is_finite()).collect();
    let at = |layer: usize, v: f64| panel.at(layer as f64 + shift, v);
    if let [(layer, m)] = known[..] {
        let (low, high) = (at(*layer, m.low), at(*layer, m.high));
        scene.line(low, high, Stroke { opacity: 0.6, ..Stroke::new(colour, 1.4) });
        for (x, y) in [low, high] {
            scene.line((x - 4.0, y), (x + 4.0, y), Stroke { opacity: 0.6, ..Stroke::new(colour, 1.4) });
        }
        return;
    }
    let lows = known.iter().map(|(l, m)| at(*l, m.low));
    let highs = known.iter().rev().map(|(l, m)| at(*l, m.high));
    scene.area(&lows.chain(highs).collect::<Vec<_>>(), colour, BAND);
}

fn lines(scene: &mut Scene, panel: &Panel, curve: &Curve, run: usize, shift: f64) {
    let colour = run_colour(run);
    let at = |layer: usize, v: f64| panel.at(layer as f64 + shift, v);
    let mut control: Vec<_> =
        curve.iter().filter(|(_, m)| m.shuffled.is_finite()).map(|(l, m)| at(*l, m.shuffled)).collect();
    if let [(x, y)] = control[..] {
        control = vec![(x - 9.0, y), (x + 9.0, y)];
    }
    scene.polyline(&control, Stroke { dash: CONTROL, ..Stroke::new(colour, 1.2) });
    let line: Vec<_> = curve.iter().map(|(l, m)| at(*l, m.value)).collect();
    scene.polyline(&line, Stroke::new(colour, 1.7));
    let every = line.len().div_ceil(MOST_MARKERS).max(1);
    for point in line.iter().rev().step_by(every) {
        scene.marker(MARKERS[run % MARKERS.len()], *point, 2.8, colour, 1.0);
    }
}

/// Something in the legend, placed relative to its corner.
struct Entry {
    what: What,
    name: String,
    at: (f64, f64),
}

#[derive(Clone, Copy)]
enum What {
    Run(usize),
    Control,
    Band,
}

fn legend(report: &PcaReport, width: f64) -> Vec<Entry> {
    let runs = report.answer.runs.iter();
    let runs = runs.map(|r| (What::Run(r.run.map_or(0, |a| a + 1)), fit(report.source.run_name(r.run), 40)));
    let rest =
        [(What::Band, "mean of the pairs' 95 % intervals"), (What::Control, "shuffled pairs (control)")];
    let mut at = (0.0, 0.0);
    let mut out = Vec::new();
    for (what, name) in runs.chain(rest.map(|(w, n)| (w, n.to_owned()))) {
        let w = 52.0 + text_width(&name, 10.5);
        if at.0 > 0.0 && at.0 + w > width + 20.0 {
            at = (0.0, at.1 + LINE);
        }
        out.push(Entry { what, name, at });
        at.0 += w;
    }
    out
}

fn draw_entry(scene: &mut Scene, entry: &Entry, corner: (f64, f64)) {
    let (x, y) = (corner.0 + entry.at.0, corner.1 + entry.at.1 + LINE / 2.0);
    let (from, to) = ((x, y), (x + 26.0, y));
    match entry.what {
        What::Run(run) => {
            scene.line(from, to, Stroke::new(run_colour(run), 1.8));
            scene.marker(MARKERS[run % MARKERS.len()], (x + 13.0, y), 3.4, run_colour(run), 1.0);
        }
        What::Control => scene.line(from, to, Stroke { dash: CONTROL, ..Stroke::new(SOFT, 1.4) }),
        What::Band => {
            let corners = [(x, y - 5.0), (x + 26.0, y - 5.0), (x + 26.0, y + 5.0), (x, y + 5.0)];
            scene.area(&corners, SOFT, 2.0 * BAND);
        }
    }
    scene.text((x + 32.0, y + 3.5), &entry.name, Font::new(10.5));
}

#[cfg(test)]
mod tests {
    use super::bounds;

    #[test]
    fn axes_hold_zero_and_all_values() {
        assert_eq!(bounds([0.31, 0.55, f64::NAN].into_iter()), (0.0, 0.6));
        assert_eq!(bounds([-0.02, 0.05].into_iter()), (-0.1, 0.1));
        assert_eq!(bounds([0.3, 1.0].into_iter()), (0.0, 1.0));
        assert_eq!(bounds(std::iter::empty()), (0.0, 0.2));
    }
}
