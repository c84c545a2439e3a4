//! Scatter of the languages at chosen layers, one row a run (the manner of Figure 2 of Zhang et al., EMNLP
//! 2024), and the Pearson correlations of the language pairs over all layers.

use super::axis::{Labels, Panel, layer_ticks, range, ticks};
use super::palette::series;
use super::scene::{Font, SOFT, Scene, Stroke, text_width};
use crate::engine::protocol::{PcaLayer, PcaRun};
use crate::report::pca::PcaReport;

const LEFT: f64 = 66.0;
const TOP: f64 = 76.0;
const SIDE: f64 = 196.0;
const GAP_X: f64 = 58.0;
const GAP_Y: f64 = 66.0;
/// Scatter panels in a row; more layers than that are sampled evenly.
const MOST_PANELS: usize = 4;
const LEGEND_W: f64 = 96.0;
/// Languages that fit below each other beside one row of panels.
const LEGEND_ROWS: usize = 12;
const PEARSON_H: f64 = 230.0;

/// Draws the report.
pub fn draw(report: &PcaReport) -> Scene {
    let runs = &report.answer.runs;
    let layers = runs.first().map_or(0, |r| r.layers.len());
    let chosen = spread(layers, MOST_PANELS);
    let columns = chosen.len().max(2) as f64;
    let scatter_w = columns * (SIDE + GAP_X) - GAP_X;
    let width = LEFT + scatter_w + 22.0 + LEGEND_W;
    let scatter_h = runs.len() as f64 * (SIDE + GAP_Y);
    let height = TOP + scatter_h + PEARSON_H + 92.0;
    let title = format!("Joint PCA of {} languages", report.answer.langs.len());
    let mut scene = Scene::new(width, height, &title);
    scene.text((LEFT, 24.0), &title, Font::new(15.0).bold());
    scene.text((LEFT, 41.0), &report.source.model_line(), Font::new(10.5).colour(SOFT));
    for (row, run) in runs.iter().enumerate() {
        let y = TOP + row as f64 * (SIDE + GAP_Y);
        for (column, &k) in chosen.iter().enumerate() {
            let Some(layer) = run.layers.get(k) else { continue };
            let x = LEFT + column as f64 * (SIDE + GAP_X);
            let name = format!("{} · layer {}", report.source.run_name(run.run), layer.layer);
            scatter(&mut scene, report, layer, (x, y), &name);
        }
    }
    languages(&mut scene, report, (LEFT + scatter_w + 22.0, TOP + 6.0));
    pearson_row(&mut scene, report, TOP + scatter_h + 18.0, scatter_w);
    scene.text((LEFT, height - 12.0), &report.caption(), Font::new(9.5).colour(SOFT));
    scene
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
    pair_names(scene, &pairs, (LEFT + width + 22.0, y + 6.0));
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
        scene.text((x + 29.0, y + 3.8), pair, Font::new(11.0));
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
