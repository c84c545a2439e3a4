//! Mean curves with their bands over the layers, an entropy strip below, one column a run and one row a
//! language: the manner of Figure 1 of Zhang et al. (EMNLP 2024) and of Wendler et al. (2024).

use super::axis::{self, Labels, Panel, layer_ticks, ticks};
use super::palette::{COLOURS, DASHES, MARKERS, Marker, PURPLES, shade};
use super::scene::{Anchor, Font, SOFT, Scene, Stroke, text_width};
use crate::report::curves::{CURVES, CurvesReport, LayerMeans, Section, means};

const PANEL_W: f64 = 330.0;
const PANEL_H: f64 = 200.0;
const LEFT: f64 = 58.0;
const GAP: f64 = 26.0;
const TOP: f64 = 88.0;
const STRIP_H: f64 = 13.0;
/// From one row of panels to the next: title, panel, strip, ticks, axis name.
const ROW: f64 = PANEL_H + STRIP_H + 82.0;
const RIGHT: f64 = 74.0;
const BOTTOM: f64 = 16.0;
/// Above this many layers the markers stand on every second, third, … one.
const MOST_MARKERS: usize = 20;

/// Colour, marker and dash of the four curves, in the order of [`CURVES`].
fn look(curve: usize) -> (&'static str, Marker, &'static str) {
    let (colour, dash) = [(0, 0), (1, 0), (5, 1), (4, 1)][curve];
    (COLOURS[colour], MARKERS[[0, 1, 2, 3][curve]], DASHES[dash])
}

/// Draws the report.
pub fn draw(report: &CurvesReport) -> Scene {
    let runs = report.sections.iter().map(|s| s.answer.runs.len()).max().unwrap_or(1).max(1);
    let width = (LEFT + runs as f64 * (PANEL_W + GAP) - GAP + RIGHT).max(560.0);
    let height = TOP + report.sections.len() as f64 * ROW + BOTTOM;
    let title = format!("Logit lens: {}", report.task);
    let mut scene = Scene::new(width, height, &title);
    scene.text((LEFT, 24.0), &title, Font::new(15.0).bold());
    scene.text((LEFT, 41.0), &report.source.model_line(), Font::new(10.5).colour(SOFT));
    legend(&mut scene, LEFT, 60.0);
    let computed: Vec<Vec<Vec<LayerMeans>>> =
        report.sections.iter().map(|s| s.answer.runs.iter().map(means).collect()).collect();
    let y_max = top_of(computed.iter().flatten().flatten());
    let bits = (report.source.model.vocabulary.max(2) as f64).log2();
    for (row, (section, runs)) in report.sections.iter().zip(&computed).enumerate() {
        let y = TOP + row as f64 * ROW + 18.0;
        for (column, layers) in runs.iter().enumerate() {
            let x = LEFT + column as f64 * (PANEL_W + GAP);
            let name = report.source.run_name(section.answer.runs[column].run);
            let heading = format!("{name} · {}, n = {}", section.lang, section.answer.n);
            panel(&mut scene, (x, y), layers, y_max, bits, &heading, column == 0);
        }
        match refusal(section) {
            Some(reason) => scene.text((LEFT, y + 20.0), &reason, Font::new(10.5).colour(SOFT)),
            None => colour_bar(&mut scene, LEFT + runs.len() as f64 * (PANEL_W + GAP) - 8.0, y, bits),
        }
    }
    let style = crate::report::curves::style_name(report.style);
    let note = format!("Mean over n items; bands ±1.96 sd/√n; answer style: {style}.");
    scene.text((LEFT, height - 12.0), &note, Font::new(9.5).colour(SOFT));
    scene
}

fn refusal(section: &Section) -> Option<String> {
    let reason = section.answer.sets.refused.as_ref()?;
    Some(format!("{}: not computed: {}", section.lang, crate::report::text::fit(reason, 90)))
}

/// A round top of the probability axis: the highest band's end, at most 1.
fn top_of<'a>(layers: impl Iterator<Item = &'a LayerMeans>) -> f64 {
    let high = layers
        .flat_map(|l| l.curves())
        .map(|m| f64::from(m.mean + m.ci95.unwrap_or(0.0)))
        .filter(|v| v.is_finite())
        .fold(0.0, f64::max);
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8].into_iter().find(|t| high <= *t).unwrap_or(1.0)
}

fn legend(scene: &mut Scene, x: f64, y: f64) {
    let mut at = x;
    for (i, (_, name)) in CURVES.iter().enumerate() {
        if i == 2 {
            at = x;
        }
        let y = y + if i < 2 { 0.0 } else { 15.0 };
        let (colour, marker, dash) = look(i);
        scene.line((at, y), (at + 26.0, y), Stroke { dash, ..Stroke::new(colour, 1.8) });
        scene.marker(marker, (at + 13.0, y), 3.4, colour, 1.0);
        scene.text((at + 32.0, y + 3.5), name, Font::new(10.5));
        at += 60.0 + text_width("gold answer, English word", 10.5);
    }
}

fn panel(
    scene: &mut Scene,
    (x, y): (f64, f64),
    layers: &[LayerMeans],
    y_max: f64,
    bits: f64,
    heading: &str,
    first: bool,
) {
    let (Some(low), Some(high)) = (layers.first(), layers.last()) else {
        return;
    };
    let (low, high) = (low.layer, high.layer);
    let x_range = (low as f64 - 0.5, high as f64 + 0.5);
    let panel = Panel { x, y, w: PANEL_W, h: PANEL_H, x_range, y_range: (0.0, y_max) };
    let labels = Labels {
        title: heading,
        y: if first { "probability" } else { "" },
        y_ticks: first,
        ..Labels::default()
    };
    let marks = layer_ticks(low, high, 10);
    panel.draw(scene, &marks, &ticks(0.0, y_max, 5), labels);
    for i in [3, 2, 1, 0] {
        curve(scene, &panel, layers, i);
    }
    strip(scene, &panel, layers, bits, first);
    for t in marks {
        let (px, _) = panel.at(t, 0.0);
        let font = Font::new(9.5).anchor(Anchor::Middle).colour(SOFT);
        scene.text((px, y + PANEL_H + STRIP_H + 19.0), &axis::label(t, 1.0), font);
    }
    let name = Font::new(10.5).anchor(Anchor::Middle);
    scene.text((x + PANEL_W / 2.0, y + PANEL_H + STRIP_H + 34.0), "layer", name);
}

fn curve(scene: &mut Scene, panel: &Panel, layers: &[LayerMeans], i: usize) {
    let (colour, marker, dash) = look(i);
    let inside = |v: f64| v.clamp(panel.y_range.0, panel.y_range.1);
    let edge = |sign: f64| {
        layers.iter().map(move |l| {
            let m = l.curves()[i];
            let v = inside(f64::from(m.mean) + sign * f64::from(m.ci95.unwrap_or(0.0)));
            panel.at(l.layer as f64, v)
        })
    };
    let band: Vec<_> = edge(1.0).chain(edge(-1.0).rev()).collect();
    if layers.len() > 1 {
        scene.area(&band, colour, 0.16);
    }
    let line: Vec<_> =
        layers.iter().map(|l| panel.at(l.layer as f64, inside(f64::from(l.curves()[i].mean)))).collect();
    scene.polyline(&line, Stroke { dash, ..Stroke::new(colour, 1.7) });
    let every = layers.len().div_ceil(MOST_MARKERS).max(1);
    for at in line.iter().rev().step_by(every) {
        scene.marker(marker, *at, 2.7, colour, 1.0);
    }
}

fn strip(scene: &mut Scene, panel: &Panel, layers: &[LayerMeans], bits: f64, first: bool) {
    let y = panel.y + panel.h + 4.0;
    for l in layers {
        let (from, _) = panel.at(l.layer as f64 - 0.5, 0.0);
        let (to, _) = panel.at(l.layer as f64 + 0.5, 0.0);
        let part = f64::from(l.entropy_bits.mean) / bits;
        // A hair wider than the cell, so that no seam shows between neighbours.
        scene.rect(from, y, (to - from + 0.3).min(panel.x + panel.w - from), STRIP_H, &shade(&PURPLES, part));
    }
    scene.frame(panel.x, y, panel.w, STRIP_H, Stroke::new("#9aa0a6", 0.8));
    if first {
        let font = Font::new(9.5).anchor(Anchor::End).colour(SOFT);
        scene.text((panel.x - 5.0, y + STRIP_H - 3.0), "entropy", font);
    }
}

/// The scale of the entropy strip, from 0 bits to that of a uniform guess over the vocabulary.
fn colour_bar(scene: &mut Scene, x: f64, y: f64, bits: f64) {
    let (h, steps) = (PANEL_H * 0.6, 40);
    let top = y + PANEL_H - h;
    for i in 0..steps {
        let part = (i as f64 + 0.5) / f64::from(steps);
        let step = h / f64::from(steps);
        scene.rect(x, top + h - step * f64::from(i + 1), 9.0, step + 0.3, &shade(&PURPLES, part));
    }
    scene.frame(x, top, 9.0, h, Stroke::new("#9aa0a6", 0.8));
    for t in ticks(0.0, bits, 4) {
        let ty = top + h - t / bits * h;
        scene.text((x + 14.0, ty + 3.3), &axis::label(t, 5.0), Font::new(9.5).colour(SOFT));
    }
    let font = Font::new(9.5).anchor(Anchor::Middle).colour(SOFT);
    scene.text((x + 44.0, top + h / 2.0), "entropy (bits)", font.turned(90.0));
}
