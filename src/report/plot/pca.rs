//! Scatter of the languages at chosen layers, one row a run (the manner of Figure 2 of Zhang et al., EMNLP
//! 2024), the Pearson correlations of the language pairs over all layers, and below them the other measures of alignment
//! (see [`super::measures`], [`super::maps`]).

use super::axis::{Labels, Panel, layer_ticks, range, ticks};
use super::maps::{self, Maps};
use super::measures;
use super::palette::series;
use super::scene::{Font, SOFT, Scene, Stroke, text_width};
use crate::engine::protocol::{PcaLayer, PcaRun};
use crate::report::pca::PcaReport;
use crate::report::text::{fit, wrap};

const LEFT: f64 = 66.0;
const TOP: f64 = 76.0;
const SIDE: f64 = 196.0;
const GAP_X: f64 = 58.0;
const GAP_Y: f64 = 66.0;
/// Scatter panels in a row; more layers than that are sampled evenly.
const MOST_PANELS: usize = 4;
const LEGEND_W: f64 = 96.0;
/// Right of the last map.
const RIGHT: f64 = 20.0;
const LEGEND_GAP: f64 = 22.0;
/// Languages that fit below each other beside one row of panels.
const LEGEND_ROWS: usize = 12;
const PEARSON_H: f64 = 230.0;
const FOOT_LINE: f64 = 13.0;

/// Draws the report.
pub fn draw(report: &PcaReport) -> Scene {
    let runs = &report.answer.runs;
    let chosen = spread(runs.first().map_or(0, |r| r.layers.len()), MOST_PANELS);
    let columns = chosen.len().max(2);
    let scatter_w = columns as f64 * (SIDE + GAP_X) - GAP_X;
    let maps = Maps::new(report, SIDE, columns == MOST_PANELS);
    let content = maps.as_ref().map_or(0.0, |m| m.width() + RIGHT - LEGEND_GAP - LEGEND_W).max(scatter_w);
    let curves_h = if measures::any(report) { measures::height(report, content) } else { 0.0 };
    let foot = foot(report, content + LEGEND_W, curves_h > 0.0, maps.is_some());
    let pearson_y = TOP + runs.len() as f64 * (SIDE + GAP_Y) + 18.0;
    let curves_y = pearson_y + if report.shown_pairs().is_empty() { 0.0 } else { PEARSON_H + 52.0 };
    let maps_y = curves_y + if curves_h > 0.0 { curves_h + 22.0 } else { 0.0 };
    let foot_y = maps_y + maps.as_ref().map_or(0.0, |m| m.height() + 12.0);
    let (width, height) =
        (LEFT + content + LEGEND_GAP + LEGEND_W, foot_y + foot.len() as f64 * FOOT_LINE + 6.0);
    let title = format!("Joint PCA of {} languages", report.answer.langs.len());
    let mut scene = Scene::new(width, height, &title);
    scene.text((LEFT, 24.0), &title, Font::new(15.0).bold());
    scene.text((LEFT, 41.0), &report.source.model_line(), Font::new(10.5).colour(SOFT));
    scatters(&mut scene, report, &chosen);
    let beside = chosen.len().max(1) as f64 * (SIDE + GAP_X) - GAP_X + LEGEND_GAP;
    languages(&mut scene, report, (LEFT + beside, TOP + 6.0));
    pearson_row(&mut scene, report, pearson_y, content);
    if curves_h > 0.0 {
        measures::draw(&mut scene, report, (LEFT, curves_y), content);
    }
    if let Some(maps) = &maps {
        maps.draw(&mut scene, (LEFT, maps_y));
    }
    for (i, line) in foot.iter().enumerate() {
        let at = (LEFT, foot_y + (i as f64 + 0.7) * FOOT_LINE);
        scene.text(at, line, Font::new(9.5).colour(SOFT));
    }
    scene
}

/// The caption and what the lower panels show, in lines of at most `width` pixels.
fn foot(report: &PcaReport, width: f64, curves: bool, maps: bool) -> Vec<String> {
    let notes = [(curves, measures::NOTE), (maps, maps::NOTE)];
    let notes = notes.into_iter().filter(|n| n.0).map(|n| n.1.to_owned());
    let cells = (width / (9.5 * 0.53)) as usize;
    std::iter::once(report.caption())
        .chain(notes)
        .flat_map(|n| wrap(&n, cells, "").lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn scatters(scene: &mut Scene, report: &PcaReport, chosen: &[usize]) {
    for (row, run) in report.answer.runs.iter().enumerate() {
        let y = TOP + row as f64 * (SIDE + GAP_Y);
        for (column, &k) in chosen.iter().enumerate() {
            let Some(layer) = run.layers.get(k) else { continue };
            let x = LEFT + column as f64 * (SIDE + GAP_X);
            let name = format!("{} · layer {}", report.source.run_name(run.run), layer.layer);
            scatter(scene, report, layer, (x, y), &name);
        }
    }
}

/// At most `most` of `count` indices, evenly spread, first and last among them.
fn spread(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    (0..most).map(|i| (i * (count - 1) + (most - 1) / 2) / (most - 1)).collect()
}

fn scatter(scene: &mut Scene, report: &PcaReport, layer: &PcaLayer, (x, y): (f64, f64), name: &str) {
    let all = || layer.points.values().flatten();
    let (x_range, y_range) = (range(all().map(|p| p[0]), 0.06), range(all().map(|p| p[1]), 0.06));
    let panel = Panel { x, y, w: SIDE, h: SIDE, x_range, y_range };
    let axis = |k: usize| match layer.explained_variance_ratio.get(k) {
        Some(v) => format!("PC{} ({:.1} %)", k + 1, 100.0 * v),
        None => format!("PC{}", k + 1),
    };
    let (x_name, y_name) = (axis(0), axis(1));
    let labels = Labels { title: name, x: &x_name, y: &y_name, x_ticks: true, y_ticks: true };
    let (x_ticks, y_ticks) = (ticks(x_range.0, x_range.1, 4), ticks(y_range.0, y_range.1, 4));
    panel.draw(scene, &x_ticks, &y_ticks, labels);
    // Item by item, so that no language lies on top of all others.
    let n = layer.points.values().map(Vec::len).max().unwrap_or(0);
    for item in 0..n {
        for (i, lang) in report.answer.langs.iter().enumerate() {
            let Some(p) = layer.points.get(lang).and_then(|v| v.get(item)) else { continue };
            if p.iter().all(|v| v.is_finite()) {
                let (colour, marker, _) = series(i);
                scene.marker(marker, panel.at(p[0], p[1]), 2.9, colour, 0.85);
            }
        }
    }
}

/// The legend beside the scatter panels, in two columns where one is not high enough.
fn languages(scene: &mut Scene, report: &PcaReport, (x, y): (f64, f64)) {
    let rows = if report.answer.langs.len() <= LEGEND_ROWS {
        LEGEND_ROWS
    } else {
        report.answer.langs.len().div_ceil(2)
    };
    for (i, lang) in report.answer.langs.iter().enumerate() {
        let (colour, marker, _) = series(i);
        let (x, y) = (x + (i / rows) as f64 * 44.0, y + (i % rows) as f64 * 17.0);
        scene.marker(marker, (x + 5.0, y), 4.0, colour, 1.0);
        scene.text((x + 15.0, y + 3.8), lang, Font::new(11.0));
    }
}

/// One panel a run, side by side over the width of the scatter panels.
fn pearson_row(scene: &mut Scene, report: &PcaReport, y: f64, width: f64) {
    let pairs = report.shown_pairs();
    let runs = &report.answer.runs;
    if pairs.is_empty() || runs.is_empty() {
        return;
    }
    let gap = 30.0;
    let w = (width - gap * (runs.len() as f64 - 1.0)) / runs.len() as f64;
    let layers = runs.iter().flat_map(|r| &r.layers);
    let values = layers.flat_map(|l| pairs.iter().filter_map(|p| l.pearson.get(p).copied()));
    let low = range(values, 0.0).0.clamp(-1.0, 0.0);
    let y_range = ((low * 5.0).floor() / 5.0, 1.0);
    for (i, run) in runs.iter().enumerate() {
        let x = LEFT + i as f64 * (w + gap);
        pearson_panel(
            scene,
            report,
            run,
            &pairs,
            Panel { x, y, w, h: PEARSON_H, x_range: (0.0, 1.0), y_range },
        );
    }
    pair_names(scene, &pairs, (LEFT + width + LEGEND_GAP, y + 6.0));
}

fn pearson_panel(scene: &mut Scene, report: &PcaReport, run: &PcaRun, pairs: &[String], panel: Panel) {
    let (Some(first), Some(last)) = (run.layers.first(), run.layers.last()) else {
        return;
    };
    let (first, last) = (first.layer, last.layer);
    let panel = Panel { x_range: (first as f64 - 0.5, last as f64 + 0.5), ..panel };
    let name = report.source.run_name(run.run);
    let title = format!("{name} · Pearson r of the first joint component");
    let labels = Labels {
        title: if panel.w < text_width(&title, 11.5) { name } else { &title },
        x: "layer",
        y: if panel.x == LEFT { "Pearson r" } else { "" },
        x_ticks: true,
        y_ticks: panel.x == LEFT,
    };
    panel.draw(scene, &layer_ticks(first, last, 10), &ticks(panel.y_range.0, 1.0, 8), labels);
    for (i, pair) in pairs.iter().enumerate() {
        let (colour, marker, dash) = series(i);
        let points: Vec<_> = run
            .layers
            .iter()
            .filter_map(|l| {
                let r = *l.pearson.get(pair).filter(|r| r.is_finite())?;
                Some(panel.at(l.layer as f64, r.clamp(panel.y_range.0, 1.0)))
            })
            .collect();
        scene.polyline(&points, Stroke { dash, ..Stroke::new(colour, 1.5) });
        for at in points {
            scene.marker(marker, at, 2.6, colour, 1.0);
        }
    }
}

fn pair_names(scene: &mut Scene, pairs: &[String], (x, y): (f64, f64)) {
    for (i, pair) in pairs.iter().enumerate() {
        let (colour, marker, dash) = series(i);
        let y = y + i as f64 * 17.0;
        scene.line((x - 4.0, y), (x + 22.0, y), Stroke { dash, ..Stroke::new(colour, 1.6) });
        scene.marker(marker, (x + 9.0, y), 3.4, colour, 1.0);
        scene.text((x + 29.0, y + 3.8), &fit(pair, 12), Font::new(11.0));
    }
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn chosen_layers() {
        assert_eq!(spread(19, 4), [0, 6, 12, 18]);
        assert_eq!(spread(3, 4), [0, 1, 2]);
        assert_eq!(spread(33, 4), [0, 11, 21, 32]);
        assert!(spread(0, 4).is_empty());
    }
}
