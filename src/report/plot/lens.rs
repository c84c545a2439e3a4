//! The readout of one text: rows are layers (the output on top), cells the top tokens shaded by
//! probability, entropy as bars beside them; tracked words as curves below.

use super::axis::{Labels, Panel, layer_ticks, ticks};
use super::palette::{BLUES, ink_on, series, shade};
use super::scene::{Anchor, Font, GRID, SOFT, Scene, Stroke, text_width};
use crate::engine::protocol::{LensLayer, LensRun};
use crate::report::lens::LensReport;
use crate::report::text::{fit, probability, token};

const LEFT: f64 = 46.0;
const TOP: f64 = 84.0;
const CELL_W: f64 = 98.0;
const CELL_H: f64 = 19.0;
const BAR_W: f64 = 64.0;
/// Room for the entropy's number, right of its bar.
const NUMBER_W: f64 = 24.0;
const GAP: f64 = 48.0;
/// Columns of top tokens that are drawn.
const MOST_TOP: usize = 5;
const CURVE_H: f64 = 170.0;

/// Draws the report.
pub fn draw(report: &LensReport) -> Scene {
    let runs = &report.answer.runs;
    let layers = runs.iter().map(|r| r.layers.len()).max().unwrap_or(0);
    let top = runs.iter().flat_map(|r| &r.layers).map(|l| l.top.len()).max().unwrap_or(0).min(MOST_TOP);
    let panel_w = top as f64 * CELL_W + 12.0 + BAR_W + NUMBER_W;
    let grid_h = layers as f64 * CELL_H;
    let tracked = !report.answer.sets.tracked.is_empty();
    let width = (LEFT + runs.len() as f64 * (panel_w + GAP)).max(520.0);
    let height = TOP + grid_h + 44.0 + if tracked { CURVE_H + 84.0 } else { 0.0 };
    let mut scene = Scene::new(width, height, "Logit lens of one text");
    scene.text((LEFT, 24.0), "Logit lens: next token after the text, at each layer", Font::new(15.0).bold());
    scene.text((LEFT, 41.0), &report.source.model_line(), Font::new(10.5).colour(SOFT));
    let room = ((width - LEFT - 20.0) / (10.5 * 0.56)) as usize;
    let shown = crate::report::text::token(report.text).replace('\u{2581}', " ");
    scene.text((LEFT, 57.0), &end_of(&shown, room), Font::new(10.5).colour(SOFT));
    let bits = (report.source.model.vocabulary.max(2) as f64).log2();
    for (i, run) in runs.iter().enumerate() {
        let x = LEFT + i as f64 * (panel_w + GAP);
        heat(&mut scene, (x, TOP), run, top, bits, report.source.run_name(run.run));
        if tracked {
            let y = TOP + grid_h + 66.0;
            curves(&mut scene, report, run, (x, y, panel_w), i == 0);
        }
    }
    if tracked {
        legend(&mut scene, report, height - 14.0);
    }
    scene
}

/// The end of a long text, which is what the readout follows.
fn end_of(text: &str, cells: usize) -> String {
    use unicode_segmentation::UnicodeSegmentation;
    if crate::report::text::width(text) <= cells {
        return text.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut used = 1;
    for cluster in text.graphemes(true).rev() {
        used += crate::report::text::width(cluster);
        if used > cells {
            break;
        }
        kept.push(cluster);
    }
    kept.push("…");
    kept.reverse();
    kept.concat()
}

fn heat(scene: &mut Scene, (x, y): (f64, f64), run: &LensRun, top: usize, bits: f64, name: &str) {
    scene.text((x, y - 8.0), name, Font::new(11.5).bold());
    let bars = x + top as f64 * CELL_W + 12.0;
    scene.text((bars, y - 8.0), "entropy (bits)", Font::new(9.5).colour(SOFT));
    for (row, l) in run.layers.iter().rev().enumerate() {
        let cy = y + row as f64 * CELL_H;
        let font = Font::new(9.5).anchor(Anchor::End).colour(SOFT);
        scene.text((x - 6.0, cy + 13.0), &l.layer.to_string(), font);
        cells(scene, (x, cy), l, top);
        let share = (f64::from(l.entropy_bits) / bits).clamp(0.0, 1.0);
        scene.rect(bars, cy + 4.0, BAR_W, CELL_H - 8.0, GRID);
        scene.rect(bars, cy + 4.0, BAR_W * share, CELL_H - 8.0, "#807dba");
        let label = Font::new(8.5).anchor(Anchor::End).colour(SOFT);
        scene.text((bars + BAR_W + NUMBER_W, cy + 12.8), &format!("{:.1}", l.entropy_bits), label);
    }
    let h = run.layers.len() as f64 * CELL_H;
    scene.frame(x, y, top as f64 * CELL_W, h, Stroke::new("#9aa0a6", 0.8));
    let axis = Font::new(10.5).anchor(Anchor::Middle);
    scene.text((x - 30.0, y + h / 2.0), "layer", axis.turned(90.0));
    for k in 0..top {
        let font = Font::new(9.5).anchor(Anchor::Middle).colour(SOFT);
        scene.text((x + (k as f64 + 0.5) * CELL_W, y + h + 14.0), &format!("top {}", k + 1), font);
    }
}

fn cells(scene: &mut Scene, (x, y): (f64, f64), layer: &LensLayer, top: usize) {
    for (k, t) in layer.top.iter().take(top).enumerate() {
        let p = f64::from(t.p);
        let cx = x + k as f64 * CELL_W;
        scene.rect(cx, y, CELL_W, CELL_H, &shade(&BLUES, p));
        let ink = ink_on(&BLUES, p);
        scene.text((cx + 4.0, y + 13.2), &fit(&token(&t.text), 11), Font::new(10.5).colour(ink));
        let font = Font::new(8.5).anchor(Anchor::End).colour(ink);
        scene.text((cx + CELL_W - 3.0, y + 13.0), &probability(t.p), font);
    }
}

fn curves(scene: &mut Scene, report: &LensReport, run: &LensRun, (x, y, w): (f64, f64, f64), first: bool) {
    let (Some(low), Some(high)) = (run.layers.first(), run.layers.last()) else {
        return;
    };
    let (low, high) = (low.layer, high.layer);
    let x_range = (low as f64 - 0.5, high as f64 + 0.5);
    let panel = Panel { x, y, w, h: CURVE_H, x_range, y_range: (0.0, 1.0) };
    let labels = Labels {
        title: report.source.run_name(run.run),
        x: "layer",
        y: if first { "p" } else { "" },
        x_ticks: true,
        y_ticks: true,
    };
    panel.draw(scene, &layer_ticks(low, high, 10), &ticks(0.0, 1.0, 5), labels);
    for i in 0..report.answer.sets.tracked.len() {
        let (colour, marker, dash) = series(i);
        let points: Vec<_> = run
            .layers
            .iter()
            .filter_map(|l| Some(panel.at(l.layer as f64, f64::from(*l.tracked.get(i)?).clamp(0.0, 1.0))))
            .collect();
        scene.polyline(&points, Stroke { dash, ..Stroke::new(colour, 1.7) });
        for at in points {
            scene.marker(marker, at, 2.6, colour, 1.0);
        }
    }
}

fn legend(scene: &mut Scene, report: &LensReport, y: f64) {
    let mut x = LEFT;
    for (i, word) in report.tracked_words().into_iter().enumerate() {
        let (colour, marker, dash) = series(i);
        scene.line((x, y - 3.5), (x + 24.0, y - 3.5), Stroke { dash, ..Stroke::new(colour, 1.8) });
        scene.marker(marker, (x + 12.0, y - 3.5), 3.2, colour, 1.0);
        scene.text((x + 29.0, y), word, Font::new(10.5));
        x += 48.0 + text_width(word, 10.5);
    }
}
