//! Series and their lines: a table and a plot for the terminal, a picture for the documentation.

use super::fit::{Fit, Series};
use polylens::report::plot::axis::{Labels, Panel, ticks};
use polylens::report::plot::palette::{COLOURS, Marker};
use polylens::report::plot::scene::{Font, SOFT, Scene, Stroke};

/// Cells of a plot in the terminal.
const WIDE: usize = 64;
const HIGH: usize = 12;

/// Figures, line and plot as text.
pub fn text(s: &Series) -> String {
    let fit = Fit::of(&s.points);
    let mut out = format!("{}\n", s.title);
    for (x, y) in &s.points {
        out += &format!("  {x:>8.0} {:<8}{y:>10.3} {:<4} line {:>10.3}\n", s.x_name, s.y_name, fit.at(*x));
    }
    out += &format!("  {}\n", line(s, &fit));
    let (right, top) = ends(s);
    let mut cells = vec![vec![' '; WIDE + 1]; HIGH + 1];
    let mut set = |x: f64, y: f64, c: char| {
        let (column, row) = ((x / right * WIDE as f64).round(), (y / top * HIGH as f64).round());
        if (0.0..=WIDE as f64).contains(&column) && (0.0..=HIGH as f64).contains(&row) {
            cells[HIGH - row as usize][column as usize] = c;
        }
    };
    (0..=WIDE).map(|c| c as f64 / WIDE as f64 * right).for_each(|x| set(x, fit.at(x), '·'));
    s.points.iter().for_each(|(x, y)| set(*x, *y, '●'));
    for (i, row) in cells.iter().enumerate() {
        let label = if i == 0 { format!("{top:.2}") } else { String::new() };
        out += &format!("{label:>10} │{}\n", row.iter().collect::<String>().trim_end());
    }
    out + &format!("{:>10} └{}\n{:>12}{right:>WIDE$.0} {}\n", "0", "─".repeat(WIDE), "0", s.x_name)
}

fn line(s: &Series, fit: &Fit) -> String {
    format!(
        "{:.4} {} per {} + {:.3} {}, R² {:.4}, largest deviation {:.1} %",
        fit.slope,
        s.y_name,
        s.x_name.trim_end_matches('s'),
        fit.intercept,
        s.y_name,
        fit.r_squared,
        fit.largest_deviation * 100.0
    )
}

/// The axes' ends: both begin at zero.
fn ends(s: &Series) -> (f64, f64) {
    let most = |f: fn(&(f64, f64)) -> f64| s.points.iter().map(f).fold(0.0, f64::max);
    (most(|p| p.0) * 1.04, most(|p| p.1) * 1.08)
}

/// All series in one picture, two in a row.
pub fn svg(all: &[Series], about: &str) -> String {
    const W: f64 = 300.0;
    const H: f64 = 190.0;
    let place = |i: usize| (66.0 + (i % 2) as f64 * (W + 90.0), 78.0 + (i / 2) as f64 * (H + 96.0));
    let bottom = place(all.len().saturating_sub(1)).1 + H + 52.0;
    let title = "How cost grows";
    let mut scene = Scene::new(66.0 + 2.0 * W + 90.0 + 34.0, bottom, title);
    scene.text((30.0, 24.0), title, Font::new(15.0).bold());
    scene.text((30.0, 41.0), about, Font::new(10.5).colour(SOFT));
    for (i, s) in all.iter().enumerate() {
        let fit = Fit::of(&s.points);
        let ((x, y), (right, top)) = (place(i), ends(s));
        let panel = Panel { x, y, w: W, h: H, x_range: (0.0, right), y_range: (0.0, top) };
        let labels = Labels { title: &s.title, x: s.x_name, y: s.y_name, x_ticks: true, y_ticks: true };
        panel.draw(&mut scene, &ticks(0.0, right, 6), &ticks(0.0, top, 5), labels);
        let ends = [panel.at(0.0, fit.at(0.0).max(0.0)), panel.at(right, fit.at(right).min(top))];
        scene.polyline(&ends, Stroke { dash: "6 3", ..Stroke::new(COLOURS[1], 1.4) });
        for (px, py) in &s.points {
            scene.marker(Marker::Circle, panel.at(*px, *py), 3.4, COLOURS[0], 1.0);
        }
        scene.text((x, y + H + 43.0), &line(s, &fit), Font::new(9.0).colour(SOFT));
    }
    scene.svg()
}
