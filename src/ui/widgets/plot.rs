//! The frame of a plot: axes with round ticks around an inner area, and the way from data to dots.

use super::axis::{self, Ticks};
use crate::ui::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Looks of a plot's furniture.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlotStyle {
    /// Axis lines and zero lines.
    pub line: Style,
    /// Tick labels and names of axes.
    pub label: Style,
    pub ascii: bool,
}

/// A scale of one axis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    /// Logarithmic: both ends are positive.
    pub log: bool,
}

impl Scale {
    /// Where `value` lies between the ends, 0..=1; `None` where it cannot be placed.
    pub fn place(&self, value: f64) -> Option<f64> {
        let at = if self.log {
            (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        at.is_finite().then_some(at)
    }

    fn ticks(&self, most: usize) -> Ticks {
        if self.log {
            axis::logarithmic(self.low, self.high, most)
        } else {
            axis::linear(self.low, self.high, most)
        }
    }
}

/// A plot's inner area and scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    pub inner: Rect,
    pub x: Scale,
    pub y: Scale,
    y_ticks: Ticks,
}

/// Below this size there are no axes: all room goes to the data.
const AXES_FROM: (u16, u16) = (16, 5);

impl Plot {
    /// Divides `area` into axes and inner area; `equal` keeps the aspect (a braille dot is square) by
    /// widening one of the ranges around its middle.
    pub fn new(area: Rect, x: Scale, y: Scale, equal: bool) -> Self {
        if area.width < AXES_FROM.0 || area.height < AXES_FROM.1 {
            let mut plot = Self { inner: area, x, y, y_ticks: Ticks::default() };
            if equal {
                plot.equalise();
            }
            return plot;
        }
        let mut plot = Self { inner: area, x, y, y_ticks: Ticks::default() };
        plot.inner.height -= 2;
        // The gutter depends on the labels, they on the range, and that on the gutter: twice is enough.
        for _ in 0..2 {
            if equal {
                (plot.x, plot.y) = (x, y);
                plot.equalise();
            }
            plot.y_ticks = plot.y.ticks(usize::from(plot.inner.height / 3).clamp(2, 8));
            let gutter = plot.y_ticks.labels.iter().map(|l| l.len()).max().unwrap_or(0) as u16 + 1;
            let gutter = gutter.min(area.width / 3);
            plot.inner.x = area.x + gutter;
            plot.inner.width = area.width - gutter;
        }
        plot
    }

    fn equalise(&mut self) {
        let (columns, rows) = (f64::from(self.inner.width) * 2.0, f64::from(self.inner.height) * 4.0);
        let unit = ((self.x.high - self.x.low) / columns).max((self.y.high - self.y.low) / rows);
        if !(unit.is_finite() && unit > 0.0) {
            return;
        }
        for (scale, dots) in [(&mut self.x, columns), (&mut self.y, rows)] {
            let (middle, half) = ((scale.low + scale.high) / 2.0, unit * dots / 2.0);
            (scale.low, scale.high) = (middle - half, middle + half);
        }
    }

    /// The dot of a data point, counted from the inner area's top left; may lie outside.
    pub fn dot(&self, x: f64, y: f64) -> Option<(i64, i64)> {
        let (columns, rows) = (f64::from(self.inner.width) * 2.0, f64::from(self.inner.height) * 4.0);
        let (u, v) = (self.x.place(x)?, self.y.place(y)?);
        let limit = |v: f64| v.round().clamp(-1e6, 1e6) as i64;
        Some((limit(u * (columns - 1.0)), limit((1.0 - v) * (rows - 1.0))))
    }

    /// The cell of a data point, `None` outside the inner area.
    pub fn cell(&self, x: f64, y: f64) -> Option<(u16, u16)> {
        let (dx, dy) = self.dot(x, y)?;
        let (column, row) = (u16::try_from(dx.div_euclid(2)).ok()?, u16::try_from(dy.div_euclid(4)).ok()?);
        let inside = column < self.inner.width && row < self.inner.height;
        inside.then(|| (self.inner.x + column, self.inner.y + row))
    }

    /// Axis lines, ticks and labels. Zero lines cross the plot where both scales are linear and `zero`.
    pub fn axes(&self, buf: &mut Buffer, area: Rect, names: (&str, &str), zero: bool, style: PlotStyle) {
        if self.inner.is_empty() || self.inner.intersection(buf.area) != self.inner {
            return;
        }
        if zero {
            self.zero_lines(buf, style);
        }
        if self.inner.height + 2 > area.height {
            return;
        }
        let (vertical, corner, horizontal) =
            if style.ascii { ("|", "+", "-") } else { ("│", "└", "─") };
        let (left, bottom) = (self.inner.x.saturating_sub(1), self.inner.bottom());
        for y in self.inner.top()..bottom {
            text::put(buf, area, left, y, vertical, style.line);
        }
        text::put(buf, area, left, bottom, corner, style.line);
        for x in self.inner.left()..self.inner.right() {
            text::put(buf, area, x, bottom, horizontal, style.line);
        }
        let gutter = Rect { width: left - area.x, ..area };
        for (value, label) in self.y_ticks.at.iter().zip(&self.y_ticks.labels) {
            if let Some((_, y)) = self.cell(self.x.low, *value) {
                text::put_right(buf, gutter, y, label, style.label);
                text::put(buf, area, left, y, if style.ascii { "+" } else { "┤" }, style.line);
            }
        }
        self.x_axis(buf, area, names.0, style);
        if !names.1.is_empty() {
            text::put(buf, self.inner, self.inner.x, self.inner.y, names.1, style.label);
        }
    }

    fn x_axis(&self, buf: &mut Buffer, area: Rect, name: &str, style: PlotStyle) {
        let y = self.inner.bottom();
        let name_at = text::put_right(buf, area, y + 1, name, style.label);
        let ticks = self.x.ticks(usize::from(self.inner.width / 9).clamp(2, 10));
        let mut free = area.x;
        for (value, label) in ticks.at.iter().zip(&ticks.labels) {
            let Some((x, _)) = self.cell(*value, self.y.low) else { continue };
            let start = x.saturating_sub(label.len() as u16 / 2).min(area.right() - label.len() as u16);
            let end = start + label.len() as u16;
            text::put(buf, area, x, y, if style.ascii { "+" } else { "┴" }, style.line);
            if start >= free && (name.is_empty() || end < name_at) {
                text::put(buf, area, start, y + 1, label, style.label);
                free = end + 1;
            }
        }
    }

    fn zero_lines(&self, buf: &mut Buffer, style: PlotStyle) {
        let (vertical, horizontal) = if style.ascii { (":", ".") } else { ("┊", "┈") };
        let middle = |s: &Scale| (s.low + s.high) / 2.0;
        let outside = |s: &Scale| s.log || s.low > 0.0 || s.high < 0.0;
        if !outside(&self.y)
            && let Some((_, y)) = self.cell(middle(&self.x), 0.0)
        {
            for x in self.inner.left()..self.inner.right() {
                text::put(buf, self.inner, x, y, horizontal, style.line);
            }
        }
        if !outside(&self.x)
            && let Some((x, _)) = self.cell(0.0, middle(&self.y))
        {
            for y in self.inner.top()..self.inner.bottom() {
                text::put(buf, self.inner, x, y, vertical, style.line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(low: f64, high: f64) -> Scale {
        Scale { low, high, log: false }
    }

    #[test]
    fn corners_land_in_the_corners() {
        let area = Rect::new(2, 1, 40, 12);
        let plot = Plot::new(area, linear(0.0, 10.0), linear(-1.0, 1.0), false);
        let inner = plot.inner;
        assert_eq!(plot.cell(0.0, -1.0), Some((inner.left(), inner.bottom() - 1)));
        assert_eq!(plot.cell(10.0, 1.0), Some((inner.right() - 1, inner.top())));
        assert_eq!(plot.cell(11.0, 0.0), None);
        assert_eq!(plot.cell(f64::NAN, 0.0), None);
    }

    #[test]
    fn equal_aspect_makes_units_square() {
        for (w, h) in [(60, 20), (20, 40), (10, 3)] {
            let plot = Plot::new(Rect::new(0, 0, w, h), linear(-5.0, 5.0), linear(-1.0, 1.0), true);
            let per_dot = |s: Scale, dots: u16| (s.high - s.low) / f64::from(dots);
            let x = per_dot(plot.x, plot.inner.width * 2);
            let y = per_dot(plot.y, plot.inner.height * 4);
            assert!((x - y).abs() < 1e-9, "{w}x{h}: {x} {y}");
            assert!(plot.x.low <= -5.0 && plot.x.high >= 5.0 && plot.y.low <= -1.0);
        }
    }

    #[test]
    fn any_size_draws_inside_its_area() {
        for (w, h) in [(0, 0), (1, 1), (3, 9), (16, 5), (17, 6), (80, 24)] {
            for scale in [linear(0.0, 0.0), linear(f64::NAN, 1.0), linear(-1e300, 1e300), linear(1.0, 2.0)] {
                let mut buf = Buffer::empty(Rect::new(0, 0, w + 2, h + 2));
                let area = Rect::new(1, 1, w, h);
                let plot = Plot::new(area, scale, scale, true);
                plot.axes(&mut buf, area, ("step", "loss"), true, PlotStyle::default());
                for p in buf.area.positions().filter(|p| !area.contains(*p)) {
                    assert_eq!(buf[p].symbol(), " ", "{w}x{h} {scale:?} at {p}");
                }
            }
        }
    }

    #[test]
    fn logarithmic_scale() {
        let scale = Scale { low: 0.01, high: 100.0, log: true };
        assert!((scale.place(1.0).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(scale.place(0.0), None);
        assert_eq!(scale.place(-1.0), None);
    }
}
