//! Axes: round ticks, scales from values to pixels, and the frame of one panel.

use super::scene::{Anchor, Font, GRID, INK, SOFT, Scene, Stroke};

/// Round numbers from `min` to `max`, about `count` of them.
pub fn ticks(min: f64, max: f64, count: usize) -> Vec<f64> {
    if !min.is_finite() || !max.is_finite() || max <= min || count == 0 {
        return vec![min];
    }
    let step = round_step((max - min) / count as f64);
    let first = (min / step - 1e-9).ceil() as i64;
    let last = (max / step + 1e-9).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

/// The next of 1, 2, 5 times a power of ten.
fn round_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| raw <= f * power * 1.0001).unwrap_or(10.0);
    factor * power
}

/// A tick's label: as many decimals as the step needs, a real minus sign.
pub fn label(value: f64, step: f64) -> String {
    let decimals = if step > 0.0 { (-step.log10().floor()).clamp(0.0, 6.0) as usize } else { 2 };
    let text = format!("{:.decimals$}", value.abs());
    let zero = text.bytes().all(|b| b == b'0' || b == b'.');
    if value < 0.0 && !zero { format!("\u{2212}{text}") } else { text }
}

/// Smallest and largest of the finite values, widened a little; (0, 1) where there are none.
pub fn range(values: impl Iterator<Item = f64>, margin: f64) -> (f64, f64) {
    let (min, max) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if min > max {
        return (0.0, 1.0);
    }
    let spread = if max > min { max - min } else { max.abs().max(1.0) };
    (min - margin * spread, max + margin * spread)
}

/// A panel: its place in pixels and the values at its edges.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
    pub x_range: (f64, f64),
    pub y_range: (f64, f64),
}

impl Panel {
    /// Pixels of a point.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let part = |v: f64, (a, b): (f64, f64)| if b > a { (v - a) / (b - a) } else { 0.5 };
        (self.x + part(x, self.x_range) * self.w, self.y + self.h - part(y, self.y_range) * self.h)
    }

    /// Frame, grid, ticks and labels. `ticks` are the wanted counts; 0 leaves an axis without labels.
    pub fn draw(&self, scene: &mut Scene, x_ticks: &[f64], y_ticks: &[f64], labels: Labels) {
        scene.rect(self.x, self.y, self.w, self.h, "#ffffff");
        let step = |t: &[f64]| t.windows(2).map(|w| w[1] - w[0]).fold(f64::INFINITY, f64::min);
        let (x_step, y_step) = (finite(step(x_ticks)), finite(step(y_ticks)));
        for &t in x_ticks {
            let (x, _) = self.at(t, self.y_range.0);
            scene.line((x, self.y), (x, self.y + self.h), Stroke::new(GRID, 0.7));
            if labels.x_ticks {
                let font = Font::new(9.5).anchor(Anchor::Middle).colour(SOFT);
                scene.text((x, self.y + self.h + 13.0), &label(t, x_step), font);
            }
        }
        for &t in y_ticks {
            let (_, y) = self.at(self.x_range.0, t);
            scene.line((self.x, y), (self.x + self.w, y), Stroke::new(GRID, 0.7));
            if labels.y_ticks {
                let font = Font::new(9.5).anchor(Anchor::End).colour(SOFT);
                scene.text((self.x - 5.0, y + 3.3), &label(t, y_step), font);
            }
        }
        scene.frame(self.x, self.y, self.w, self.h, Stroke::new("#9aa0a6", 0.8));
        let middle = (self.x + self.w / 2.0, self.y + self.h / 2.0);
        let font = Font::new(10.5).anchor(Anchor::Middle).colour(INK);
        if !labels.x.is_empty() {
            let below = if labels.x_ticks { 28.0 } else { 15.0 };
            scene.text((middle.0, self.y + self.h + below), labels.x, font);
        }
        if !labels.y.is_empty() {
            let left = if labels.y_ticks { 36.0 } else { 8.0 };
            scene.text((self.x - left, middle.1), labels.y, font.turned(90.0));
        }
        let heading = Font::new(11.5).bold();
        scene.text((self.x, self.y - 7.0), labels.title, heading);
    }
}

fn finite(step: f64) -> f64 {
    if step.is_finite() { step } else { 1.0 }
}

/// What stands around a panel; empty texts are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Labels<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
    pub x_ticks: bool,
    pub y_ticks: bool,
}

/// Ticks for layers: whole numbers, the last layer always among them.
pub fn layer_ticks(first: usize, last: usize, count: usize) -> Vec<f64> {
    let span = last.saturating_sub(first);
    let step = [1, 2, 3, 4, 5, 6, 8, 10, 20, 50].into_iter().find(|s| span / s <= count).unwrap_or(100);
    let mut all: Vec<f64> = (first..=last).step_by(step).map(|k| k as f64).collect();
    if let Some(&end) = all.last()
        && end < last as f64
    {
        // A tick too close to the last layer would overlap its label.
        if last as f64 - end < step as f64 * 0.6 && all.len() > 1 {
            all.pop();
        }
        all.push(last as f64);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(-3.0, 12.0, 4), [0.0, 5.0, 10.0]);
        assert_eq!(ticks(2.0, 2.0, 4), [2.0]);
        assert_eq!(ticks(f64::NAN, 2.0, 4).len(), 1);
    }

    #[test]
    fn labels_use_a_minus_sign() {
        assert_eq!(label(-0.25, 0.05), "\u{2212}0.25");
        assert_eq!(label(-0.0, 0.5), "0.0");
        assert_eq!(label(20.0, 10.0), "20");
    }

    #[test]
    fn layers_end_at_the_last() {
        assert_eq!(layer_ticks(0, 18, 9), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0]);
        assert_eq!(layer_ticks(0, 31, 8), [0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0, 31.0]);
        assert_eq!(layer_ticks(5, 5, 8), [5.0]);
    }

    #[test]
    fn ranges_ignore_what_is_not_finite() {
        assert_eq!(range([f64::NAN, 1.0, 3.0].into_iter(), 0.0), (1.0, 3.0));
        assert_eq!(range([2.0].into_iter(), 0.5), (1.0, 3.0));
        assert_eq!(range(std::iter::empty(), 0.1), (0.0, 1.0));
    }
}
