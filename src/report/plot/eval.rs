//! Accuracies as bars, the runs side by side in every language and in the mean, with the AUC as a mark on them; below,
//! how often each label was predicted, so that a shift of label bias is not read as a gain.

use super::axis::{Labels, Panel};
use super::palette::{Marker, run_colour};
use super::scene::{Anchor, Font, INK, SOFT, Scene, Stroke, text_width};
use crate::eval::LangSummary;
use crate::report::eval::{EvalReport, significance};
use crate::report::text::{fit, wrap};

const LEFT: f64 = 58.0;
const RIGHT: f64 = 20.0;
const BARS_H: f64 = 220.0;
const SHARES_H: f64 = 130.0;
/// Between the groups of two languages.
const GAP: f64 = 9.0;
/// Before the group of the mean.
const MEAN_GAP: f64 = 18.0;
const LINE: f64 = 16.0;
/// Width that few languages are stretched to.
const FEW: f64 = 470.0;
/// Widest bar, and the least that a number fits into.
const WIDEST: f64 = 34.0;
const NUMBERED: f64 = 24.0;
/// Labels' colours: none of them is a run's.
const LABELS: [&str; 6] = ["#e69f00", "#56b4e9", "#882255", "#cc79a7", "#999933", "#44aa99"];

/// Where the bars stand.
struct Grid {
    langs: Vec<usize>,
    runs: usize,
    /// Width of one bar.
    bar: f64,
    /// Width of the panel of accuracies, and of the languages' part of it.
    width: f64,
    langs_width: f64,
}

impl Grid {
    fn new(report: &EvalReport) -> Self {
        let langs = report.shown_langs();
        let runs = report.summary.runs.len().max(1);
        // One language is its own mean.
        let mean = if langs.len() == 1 { 0.0 } else { 1.0 };
        let groups = langs.len() as f64 + mean;
        let least = [16.0, 12.0, 10.0, 8.0].get(runs - 1).copied().unwrap_or(7.0);
        let bar = ((FEW - MEAN_GAP - GAP) / groups - GAP) / runs as f64;
        let bar = bar.clamp(least, WIDEST);
        let group = bar * runs as f64 + GAP;
        let width = (groups * group + GAP + MEAN_GAP).max(FEW);
        Self { langs, runs, bar, width, langs_width: width - mean * (group + MEAN_GAP / 2.0) }
    }

    fn group(&self) -> f64 {
        self.bar * self.runs as f64
    }

    fn has_mean(&self) -> bool {
        self.langs_width < self.width
    }

    /// Left edge of the mean's group, measured from the panel's.
    fn mean(&self) -> f64 {
        self.width - self.group() - GAP
    }

    /// Left edge of the i-th language's group; few languages spread over the width.
    fn left(&self, group: usize) -> f64 {
        let step = (self.langs_width - GAP) / self.langs.len().max(1) as f64;
        step * group as f64 + (step - self.group()) / 2.0 + GAP / 2.0
    }
}

/// Draws the report.
pub fn draw(report: &EvalReport) -> Scene {
    let grid = Grid::new(report);
    let width = LEFT + grid.width + RIGHT;
    let lines = |text: &str, size: f64| {
        let cells = (grid.width / (size * 0.53)) as usize;
        wrap(text, cells, "").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let head: Vec<String> =
        [lines(&report.source.model_line(), 10.5), lines(&report.caption(), 10.5)].concat();
    let foot: Vec<String> = notes(report).iter().flat_map(|n| lines(n, 9.5)).collect();
    let legend = run_legend(report, grid.width);
    let bars_y = 44.0 + (head.len() + legend.len()) as f64 * LINE + 26.0;
    let label_rows = label_legend(report, grid.width);
    let shares_y = bars_y + BARS_H + 52.0 + label_rows.len() as f64 * LINE;
    let height = shares_y + SHARES_H + 40.0 + foot.len() as f64 * 13.0;
    let title = format!("Evaluation: {}", report.plan().task);
    let mut scene = Scene::new(width, height, &title);
    scene.text((LEFT, 24.0), &title, Font::new(15.0).bold());
    let mut y = 41.0;
    for line in &head {
        scene.text((LEFT, y), line, Font::new(10.5).colour(SOFT));
        y += LINE - 1.0;
    }
    entries(&mut scene, &legend, y + 6.0);
    bars(&mut scene, report, &grid, bars_y);
    entries(&mut scene, &label_rows, bars_y + BARS_H + 52.0);
    shares(&mut scene, report, &grid, shares_y);
    for (i, line) in foot.iter().enumerate() {
        let at = (LEFT, shares_y + SHARES_H + 40.0 + i as f64 * 13.0);
        scene.text(at, line, Font::new(9.5).colour(SOFT));
    }
    scene
}

fn notes(report: &EvalReport) -> Vec<String> {
    let mut out = String::from(
        "Diamonds: AUC of the labels' log-ratio (50 % is chance, whatever the label bias). Dashes, above: share of \
         the most frequent gold label; below: shares of the gold labels.",
    );
    if report.summary.runs.len() > 1 {
        out += " Stars: * p < .05, ** p < .01 against the first run (exact McNemar test).";
        if report.shown_langs().len() != 1 {
            out += " Whiskers: 95 % interval of the mean's change.";
        }
    }
    let (done, of) = report.progress();
    if done < of {
        out += &format!(" Unfinished: {done} of {of} answers.");
    }
    let refused = report.refused().into_iter();
    let refused = refused.map(|(lang, reason)| format!("Not evaluated: {lang}: {}", fit(reason, 160)));
    std::iter::once(out).chain(refused).collect()
}

/// Something in a legend: its colour and name.
type Entry = (&'static str, String);

/// Entries in lines of at most `width` pixels.
fn rows(all: Vec<Entry>, width: f64) -> Vec<Vec<Entry>> {
    let mut out: Vec<Vec<Entry>> = vec![Vec::new()];
    let mut used = 0.0;
    for entry in all {
        let w = entry_width(&entry.1);
        if used > 0.0 && used + w > width {
            out.push(Vec::new());
            used = 0.0;
        }
        used += w;
        if let Some(row) = out.last_mut() {
            row.push(entry);
        }
    }
    out
}

fn entry_width(name: &str) -> f64 {
    34.0 + text_width(name, 10.5)
}

fn run_legend(report: &EvalReport, width: f64) -> Vec<Vec<Entry>> {
    let name = |(r, run): (usize, &crate::eval::RunSummary)| {
        let what = if report.summary.languages == 1 { "" } else { "mean " };
        let mean = run.mean.map_or(String::new(), |m| format!(" ({what}{:.1} %)", 100.0 * m));
        (run_colour(r), format!("{}{mean}", fit(report.run_name(r), 40)))
    };
    rows(report.summary.runs.iter().enumerate().map(name).collect(), width)
}

fn label_legend(report: &EvalReport, width: f64) -> Vec<Vec<Entry>> {
    let name = |(i, label): (usize, &String)| (LABELS[i % LABELS.len()], fit(label, 30));
    rows(report.plan().labels.iter().enumerate().map(name).collect(), width)
}

fn entries(scene: &mut Scene, rows: &[Vec<Entry>], y: f64) {
    for (i, row) in rows.iter().enumerate() {
        let y = y + i as f64 * LINE;
        let mut x = LEFT;
        for (colour, name) in row {
            scene.rect(x, y - 8.5, 11.0, 11.0, colour);
            scene.text((x + 16.0, y + 0.5), name, Font::new(10.5));
            x += entry_width(name);
        }
    }
}

fn panel(w: f64, y: f64, h: f64) -> Panel {
    Panel { x: LEFT, y, w, h, x_range: (0.0, w), y_range: (0.0, 100.0) }
}

fn group_names(scene: &mut Scene, report: &EvalReport, grid: &Grid, y: f64) {
    for (g, lang) in grid.langs.iter().enumerate() {
        let x = LEFT + grid.left(g) + grid.group() / 2.0;
        scene.text((x, y), &fit(report.code(*lang), 8), Font::new(10.5).anchor(Anchor::Middle));
    }
}

fn bars(scene: &mut Scene, report: &EvalReport, grid: &Grid, y: f64) {
    let panel = panel(grid.width, y, BARS_H);
    let labels = Labels { title: "Accuracy", y: "per cent", y_ticks: true, ..Labels::default() };
    panel.draw(scene, &[], &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0], labels);
    for (g, lang) in grid.langs.iter().enumerate() {
        for r in 0..grid.runs {
            if let Some(cell) = report.cell(r, *lang) {
                lang_bar(scene, grid, &panel, grid.left(g) + r as f64 * grid.bar, (r, cell));
            }
        }
        if let Some(cell) = (0..grid.runs).find_map(|r| report.cell(r, *lang)) {
            let most = gold_shares(cell).into_iter().fold(0.0, f64::max);
            across(scene, grid, &panel, g, 100.0 * most);
        }
    }
    group_names(scene, report, grid, y + BARS_H + 15.0);
    if grid.has_mean() {
        let x = grid.langs_width;
        let stroke = Stroke { dash: "2 2.5", ..Stroke::new("#9aa0a6", 0.8) };
        scene.line(panel.at(x, 100.0), panel.at(x, 0.0), stroke);
        mean_bars(scene, report, grid, &panel);
        let at = (LEFT + grid.mean() + grid.group() / 2.0, y + BARS_H + 15.0);
        scene.text(at, "mean", Font::new(10.5).anchor(Anchor::Middle).bold());
    }
}

fn bar(scene: &mut Scene, grid: &Grid, panel: &Panel, x: f64, (run, share): (usize, f64)) {
    let (left, top) = panel.at(x, 100.0 * share);
    // A hair of white between neighbours.
    scene.rect(left + 0.5, top, grid.bar - 1.0, panel.y + panel.h - top, run_colour(run));
    if grid.bar >= NUMBERED && share > 0.15 {
        let font = Font::new(9.0).anchor(Anchor::Middle).colour("#ffffff");
        // Above the stars; whiskers and diamonds are at the top.
        scene.text((left + grid.bar / 2.0, panel.y + panel.h - 21.0), &format!("{:.1}", 100.0 * share), font);
    }
}

fn lang_bar(scene: &mut Scene, grid: &Grid, panel: &Panel, x: f64, (run, cell): (usize, &LangSummary)) {
    bar(scene, grid, panel, x, (run, cell.accuracy()));
    let middle = x + grid.bar / 2.0;
    if let Some(auc) = cell.auc {
        diamond(scene, grid, panel.at(middle, 100.0 * auc));
    }
    // At the bar's foot, one above the other, where nothing else is.
    let stars = cell.change.as_ref().map_or(0, |c| significance(c).len());
    let colour = if cell.accuracy() > 0.1 { "#ffffff" } else { INK };
    for i in 0..stars {
        let (x, y) = panel.at(middle, 0.0);
        let font = Font::new(12.0).anchor(Anchor::Middle).bold().colour(colour);
        scene.text((x, y + 1.0 - 8.0 * i as f64), "*", font);
    }
}

fn diamond(scene: &mut Scene, grid: &Grid, at: (f64, f64)) {
    scene.marker(Marker::Diamond, at, (grid.bar * 0.32).clamp(2.2, 3.6), INK, 1.0);
}

fn mean_bars(scene: &mut Scene, report: &EvalReport, grid: &Grid, panel: &Panel) {
    let first = report.summary.runs.first().and_then(|r| r.mean);
    for (r, run) in report.summary.runs.iter().enumerate() {
        let x = grid.mean() + r as f64 * grid.bar;
        let Some(mean) = run.mean else { continue };
        bar(scene, grid, panel, x, (r, mean));
        if let (Some(change), Some(first)) = (&run.change, first) {
            let end = |by: f64| panel.at(x + grid.bar * 0.28, 100.0 * (first + by).clamp(0.0, 1.0));
            let (low, high) = (end(change.low), end(change.high));
            let stroke = Stroke::new(INK, 1.1);
            scene.line(low, high, stroke);
            for (x, y) in [low, high] {
                scene.line((x - 2.5, y), (x + 2.5, y), stroke);
            }
        }
        if let Some(auc) = run.mean_auc {
            diamond(scene, grid, panel.at(x + grid.bar * if r > 0 { 0.7 } else { 0.5 }, 100.0 * auc));
        }
    }
}

/// A dashed line across a language's group.
fn across(scene: &mut Scene, grid: &Grid, panel: &Panel, group: usize, value: f64) {
    let x = grid.left(group);
    let (from, to) = (panel.at(x - 2.5, value), panel.at(x + grid.group() + 2.5, value));
    scene.line(from, to, Stroke::new("#ffffff", 1.2));
    scene.line(from, to, Stroke { dash: "3 2", ..Stroke::new(INK, 1.2) });
}

/// Share of each gold label.
fn gold_shares(cell: &LangSummary) -> Vec<f64> {
    let share = |row: &Vec<usize>| row.iter().sum::<usize>() as f64 / cell.n.max(1) as f64;
    cell.confusion.iter().map(share).collect()
}

fn shares(scene: &mut Scene, report: &EvalReport, grid: &Grid, y: f64) {
    let panel = panel(grid.langs_width, y, SHARES_H);
    let labels = Labels { y: "per cent", y_ticks: true, ..Labels::default() };
    panel.draw(scene, &[], &[0.0, 25.0, 50.0, 75.0, 100.0], labels);
    let above = y - 8.0 - label_legend(report, grid.width).len() as f64 * LINE - 8.0;
    scene.text((LEFT, above), "Predicted labels", Font::new(11.5).bold());
    for (g, lang) in grid.langs.iter().enumerate() {
        for r in 0..grid.runs {
            let Some(cell) = report.cell(r, *lang) else { continue };
            let x = grid.left(g) + r as f64 * grid.bar;
            let mut below = 0.0;
            for label in 0..report.plan().labels.len() {
                let share = cell.predicted_share(label);
                let (left, top) = panel.at(x, 100.0 * (below + share));
                let h = share * panel.h;
                scene.rect(left + 0.5, top, grid.bar - 1.0, h, LABELS[label % LABELS.len()]);
                below += share;
            }
            if grid.runs > 1 {
                scene.rect(panel.x + x + 0.5, y + SHARES_H + 2.0, grid.bar - 1.0, 3.5, run_colour(r));
            }
        }
        let Some(cell) = (0..grid.runs).find_map(|r| report.cell(r, *lang)) else { continue };
        let mut below = 0.0;
        for share in gold_shares(cell).iter().take(report.plan().labels.len() - 1) {
            below += share;
            across(scene, grid, &panel, g, 100.0 * below);
        }
    }
    group_names(scene, report, grid, y + SHARES_H + 19.0);
}
