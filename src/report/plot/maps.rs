//! The measures of alignment as heat maps of languages x languages, one row a run.

use super::palette::{BLUES, ink_on, shade};
use super::scene::{Anchor, Font, SOFT, Scene, Stroke, text_width};
use crate::engine::protocol::PcaLayer;
use crate::report::measures::Alignment;
use crate::report::pca::PcaReport;
use crate::report::text::{fit, width};

/// Cells of few languages are no larger, those of many no smaller, than these.
const LARGEST: f64 = 44.0;
const SMALLEST: f64 = 15.0;
/// Above this many languages the cells shrink further.
const MANY: usize = 26;
const GAP: f64 = 58.0;
/// Above a map: the run's name and the measure's.
const HEAD: f64 = 36.0;
/// Below the last row: scale and its numbers.
const SCALE_H: f64 = 42.0;
/// Smallest print in a cell; a PNG has two pixels for each of these.
const SMALLEST_PRINT: f64 = 5.4;
/// The lightest shade, so that no value looks like an empty cell.
const LIGHTEST: f64 = 0.12;
const FRAME: &str = "#9aa0a6";

/// What the maps are, for the foot of the picture.
pub const NOTE: &str = "Maps: each pair of languages at the last shown layer, all runs on one scale. Intervals and \
                        controls of each pair: JSON and CSV.";

/// Places and scales of all maps.
pub struct Maps<'a> {
    report: &'a PcaReport<'a>,
    cell: f64,
    /// From one map to the next.
    step: f64,
    /// Room for the names below a map.
    names: f64,
    /// Lowest and highest value of each measure's scale.
    scales: [(f64, f64); 4],
}

impl<'a> Maps<'a> {
    /// Maps of `side` pixels where the number of languages allows it, aligned to panels of that side where `aligned`.
    /// `None` without any pair of languages.
    pub fn new(report: &'a PcaReport<'a>, side: f64, aligned: bool) -> Option<Self> {
        let langs = &report.answer.langs;
        let mut layers = report.answer.runs.iter().filter_map(|r| r.layers.last());
        if langs.len() < 2
            || !layers.any(|l| Alignment::ALL.iter().any(|m| values(report, l, *m).next().is_some()))
        {
            return None;
        }
        let n = langs.len() as f64;
        let least = if langs.len() > MANY { (SMALLEST * MANY as f64 / n).max(7.0) } else { SMALLEST };
        let cell = (side / n).clamp(least, LARGEST);
        let font = name_size(cell);
        let widest = langs.iter().map(|l| text_width(&code(l), font)).fold(0.0, f64::max);
        let gap = GAP.max(widest + 24.0);
        Some(Self {
            report,
            cell,
            step: if aligned { (cell * n).max(side) } else { cell * n } + gap,
            names: if widest + 1.0 > cell { widest + 8.0 } else { font + 6.0 },
            scales: Alignment::ALL.map(|m| scale(report, m)),
        })
    }

    fn side(&self) -> f64 {
        self.cell * self.report.answer.langs.len() as f64
    }

    /// Width from the first map's left edge to the last one's right edge.
    pub fn width(&self) -> f64 {
        3.0 * self.step + self.side().max(110.0)
    }

    fn row(&self) -> f64 {
        HEAD + self.side() + self.names + 16.0
    }

    pub fn height(&self) -> f64 {
        self.report.answer.runs.len() as f64 * self.row() + SCALE_H
    }

    /// All rows and the scales below them, from the top left corner.
    pub fn draw(&self, scene: &mut Scene, (x, y): (f64, f64)) {
        for (r, run) in self.report.answer.runs.iter().enumerate() {
            let Some(layer) = run.layers.last() else { continue };
            let y = y + r as f64 * self.row();
            let name = fit(self.report.source.run_name(run.run), 60);
            scene.text((x, y + 10.0), &format!("{name} · layer {}", layer.layer), Font::new(11.5).bold());
            for (i, measure) in Alignment::ALL.into_iter().enumerate() {
                let corner = (x + i as f64 * self.step, y + HEAD);
                scene.text((corner.0, corner.1 - 7.0), measure.name(), Font::new(10.5));
                self.map(scene, corner, layer, i);
            }
        }
        let y = y + self.report.answer.runs.len() as f64 * self.row();
        for (i, range) in self.scales.iter().enumerate() {
            self.scale_bar(scene, (x + i as f64 * self.step, y), *range);
        }
    }

    fn map(&self, scene: &mut Scene, (x, y): (f64, f64), layer: &PcaLayer, measure: usize) {
        let (langs, c) = (&self.report.answer.langs, self.cell);
        let all = values(self.report, layer, Alignment::ALL[measure]);
        let widest = all.map(|v| ems(&short(v))).fold(0.0, f64::max);
        let print = ((c - 3.0) / widest).min(10.5);
        for (row, a) in langs.iter().enumerate() {
            for (column, b) in langs.iter().enumerate() {
                let (x, y) = (x + column as f64 * c, y + row as f64 * c);
                if a == b {
                    scene.line((x, y), (x + c, y + c), Stroke::new("#c9cdd2", 0.8));
                    continue;
                }
                let Some(value) = Alignment::ALL[measure].value(layer, a, b) else {
                    let font = Font::new(print.clamp(6.0, 9.0)).anchor(Anchor::Middle).colour(SOFT);
                    scene.text((x + c / 2.0, y + c / 2.0 + 3.0), "?", font);
                    continue;
                };
                let part = lightness(value, self.scales[measure]);
                // A hair wider than the cell, so that no seam shows between neighbours.
                scene.rect(x, y, c + 0.2, c + 0.2, &shade(&BLUES, part));
                if print >= SMALLEST_PRINT {
                    let font = Font::new(print).anchor(Anchor::Middle).colour(ink_on(&BLUES, part));
                    scene.text((x + c / 2.0, y + c / 2.0 + print * 0.36), &short(value), font);
                }
            }
        }
        scene.frame(x, y, self.side(), self.side(), Stroke::new(FRAME, 0.8));
        self.names(scene, (x, y));
    }

    fn names(&self, scene: &mut Scene, (x, y): (f64, f64)) {
        let size = name_size(self.cell);
        let turned = self.names > size + 6.0;
        let below = y + self.side();
        for (i, lang) in self.report.answer.langs.iter().enumerate() {
            let middle = (i as f64 + 0.5) * self.cell;
            let font = Font::new(size).anchor(Anchor::End);
            scene.text((x - 5.0, y + middle + size * 0.35), &code(lang), font);
            if turned {
                scene.text((x + middle + size * 0.35, below + 5.0), &code(lang), font.turned(90.0));
            } else {
                let font = Font::new(size).anchor(Anchor::Middle);
                scene.text((x + middle, below + size + 3.0), &code(lang), font);
            }
        }
    }

    fn scale_bar(&self, scene: &mut Scene, (x, y): (f64, f64), (low, high): (f64, f64)) {
        let (w, h, steps) = (self.side().clamp(80.0, 196.0), 9.0, 48);
        for i in 0..steps {
            let step = w / f64::from(steps);
            let part = LIGHTEST + (1.0 - LIGHTEST) * (f64::from(i) + 0.5) / f64::from(steps);
            let at = step * f64::from(i);
            scene.rect(x + at, y, (step + 0.3).min(w - at), h, &shade(&BLUES, part));
        }
        scene.frame(x, y, w, h, Stroke::new(FRAME, 0.8));
        let font = Font::new(9.5).anchor(Anchor::Middle).colour(SOFT);
        let middle = 5.0 * (low + high);
        let step = if (middle - middle.round()).abs() < 1e-6 { 0.1 } else { 0.01 };
        for part in [0.0, 0.5, 1.0] {
            let label = super::axis::label(low + part * (high - low), step);
            scene.line((x + part * w, y + h), (x + part * w, y + h + 3.0), Stroke::new(FRAME, 0.8));
            scene.text((x + part * w, y + h + 14.0), &label, font);
        }
    }
}

/// A language's code as it stands beside a map.
fn code(lang: &str) -> String {
    fit(lang, 8)
}

fn name_size(cell: f64) -> f64 {
    (cell * 0.68).clamp(6.0, 10.5)
}

/// The pairs' values, each pair once.
fn values<'a>(
    report: &'a PcaReport,
    layer: &'a PcaLayer,
    measure: Alignment,
) -> impl Iterator<Item = f64> + 'a {
    let langs = &report.answer.langs;
    let pairs = langs.iter().enumerate().flat_map(|(i, a)| langs[i + 1..].iter().map(move |b| (a, b)));
    pairs.filter_map(move |(a, b)| measure.value(layer, a, b))
}

/// Tenths around all values of all runs, two of them apart at least, so that noise is not stretched to contrast.
fn scale(report: &PcaReport, measure: Alignment) -> (f64, f64) {
    let layers = report.answer.runs.iter().filter_map(|r| r.layers.last());
    let (low, high) = layers
        .flat_map(|l| values(report, l, measure))
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    let (low, high) = ((low * 10.0 + 1e-9).floor() / 10.0, (high * 10.0 - 1e-9).ceil() / 10.0);
    if high - low >= 0.2 - 1e-9 {
        (low, high)
    } else if high >= 0.2 {
        (high - 0.2, high)
    } else {
        (low, low + 0.2)
    }
}

fn lightness(value: f64, (low, high): (f64, f64)) -> f64 {
    LIGHTEST + (1.0 - LIGHTEST) * ((value - low) / (high - low)).clamp(0.0, 1.0)
}

/// A value in at most four characters: `.87`, `−.04`, `1.0`.
fn short(value: f64) -> String {
    let text = format!("{:.2}", value.abs());
    let text = match text.strip_prefix('0') {
        Some(rest) => rest.to_owned(),
        None => format!("{:.1}", value.abs()),
    };
    if value < 0.0 && text != ".00" { format!("\u{2212}{text}") } else { text }
}

/// Width of such a number in units of its size.
fn ems(number: &str) -> f64 {
    0.575 * width(number) as f64 - if number.contains('.') { 0.28 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let all = [0.874, -0.04, -0.001, 0.998, 1.0, -1.0, 0.0].map(short);
        assert_eq!(all, [".87", "\u{2212}.04", ".00", "1.0", "1.0", "\u{2212}1.0", ".00"]);
    }

    #[test]
    fn shades_rise_with_the_value() {
        assert_eq!(lightness(0.3, (0.3, 0.9)), LIGHTEST);
        assert!((lightness(0.9, (0.3, 0.9)) - 1.0).abs() < 1e-12);
        assert!(lightness(0.5, (0.0, 1.0)) < lightness(0.6, (0.0, 1.0)));
    }
}
