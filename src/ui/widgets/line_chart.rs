//! Curves in braille: several series, linear or logarithmic, with gaps where a value is missing.

use super::axis;
use super::braille::Braille;
use super::plot::{Plot, PlotStyle, Scale};
use crate::ui::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// One curve.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// (x, y) with x ascending. A value that is no number (on a logarithmic axis: none above zero) is a gap.
    pub points: &'a [(f64, f64)],
    pub style: Style,
    /// Mark in ASCII.
    pub mark: char,
    /// Weight when a cell's colour is chosen: a smoothed curve over its raw one takes a larger weight.
    pub weight: u16,
    /// False draws single points instead of a curve.
    pub connected: bool,
}

/// Several curves on common axes.
#[derive(Clone, Debug, Default)]
pub struct LineChart<'a> {
    pub lines: Vec<Line<'a>>,
    /// `None`: from the data.
    pub x_range: Option<(f64, f64)>,
    pub y_range: Option<(f64, f64)>,
    pub log_y: bool,
    /// Names of the axes (x right below the axis, y at its top).
    pub names: (&'a str, &'a str),
    /// A vertical line at this x.
    pub cursor: Option<f64>,
    pub zero_line: bool,
    pub style: PlotStyle,
}

impl LineChart<'_> {
    /// Scales and inner area for `area`, `None` where no point can be drawn.
    pub fn plot(&self, area: Rect) -> Option<Plot> {
        let shown = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && (!self.log_y || y > 0.0);
        let points = || self.lines.iter().flat_map(|l| l.points.iter().copied().filter(shown));
        let x = self.x_range.or_else(|| axis::extent(points().map(|p| p.0)))?;
        let y = self.y_range.or_else(|| axis::extent(points().map(|p| p.1)))?;
        let x = if x.0 < x.1 { x } else { axis::widen(x, 0.0) };
        let y = match y {
            y if self.y_range.is_some() && y.0 < y.1 => y,
            (low, high) if self.log_y => (low / 1.1, high * 1.1),
            y => axis::widen(y, 0.04),
        };
        let finite = [x.0, x.1, y.0, y.1].iter().all(|v| v.is_finite());
        let x = Scale { low: x.0, high: x.1, log: false };
        let y = Scale { low: y.0, high: y.1, log: self.log_y };
        (finite && !area.is_empty()).then(|| Plot::new(area, x, y, false))
    }

    /// Draws axes and curves; nothing where there is no point to draw.
    pub fn render(&self, buf: &mut Buffer, area: Rect) {
        let area = area.intersection(buf.area);
        let Some(plot) = self.plot(area) else { return };
        plot.axes(buf, area, (self.names.0, ""), self.zero_line, self.style);
        if let Some((x, _)) = self.cursor.and_then(|x| plot.cell(x, plot.y.low)) {
            for y in plot.inner.top()..plot.inner.bottom() {
                text::put(buf, plot.inner, x, y, if self.style.ascii { ":" } else { "┊" }, self.style.label);
            }
        }
        let mut canvas = Braille::new(plot.inner.width, plot.inner.height, self.lines.len());
        for (class, line) in self.lines.iter().enumerate() {
            trace(&mut canvas, &plot, line, class);
        }
        let styles: Vec<Style> = self.lines.iter().map(|l| l.style).collect();
        let marks: Vec<char> = self.lines.iter().map(|l| l.mark).collect();
        canvas.render(buf, plot.inner, &styles, &marks, self.style.ascii);
        text::put(buf, plot.inner, plot.inner.x + 1, plot.inner.y, self.names.1, self.style.label);
    }
}

fn trace(canvas: &mut Braille, plot: &Plot, line: &Line, class: usize) {
    let mut last = None;
    for (x, y) in line.points {
        let dot = plot.dot(*x, *y);
        match (last, dot) {
            // Many points in one dot cost one vote.
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) if line.connected => canvas.line(a, b, class, line.weight),
            (_, Some((x, y))) => canvas.vote(x, y, class, line.weight),
            (_, None) => {}
        }
        last = dot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Line<'_> {
        Line { points, style: Style::new(), mark: '*', weight: 1, connected: true }
    }

    fn drawn(chart: &LineChart, width: u16, height: u16) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
        let area = buf.area;
        chart.render(&mut buf, area);
        let rows = buf.content.chunks(usize::from(width).max(1));
        rows.map(|row| row.iter().map(|c| c.symbol()).collect::<String>() + "\n").collect()
    }

    #[test]
    fn a_falling_line_falls() {
        let points = [(0.0, 1.0), (10.0, 0.0)];
        let chart = LineChart { lines: vec![line(&points)], names: ("step", ""), ..Default::default() };
        insta::assert_snapshot!(drawn(&chart, 30, 8));
        let ascii = PlotStyle { ascii: true, ..Default::default() };
        let text = drawn(&LineChart { style: ascii, ..chart }, 30, 8);
        assert!(text.is_ascii() && text.contains('*'));
    }

    #[test]
    fn missing_values_are_gaps() {
        let whole = [(0.0, 0.5), (1.0, 0.5), (2.0, 0.5), (3.0, 0.5)];
        let gap = [(0.0, 0.5), (1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 0.5)];
        let filled = |points: &[(f64, f64)]| {
            let chart =
                LineChart { lines: vec![line(points)], y_range: Some((0.0, 1.0)), ..Default::default() };
            drawn(&chart, 10, 4).chars().filter(|c| ('\u{2801}'..='\u{28FF}').contains(c)).count()
        };
        assert_eq!(filled(&whole), 10);
        assert_eq!(filled(&gap), 2);
    }

    #[test]
    fn odd_data_and_sizes_are_harmless() {
        let sets: [&[(f64, f64)]; 6] = [
            &[],
            &[(f64::NAN, f64::NAN)],
            &[(1.0, 2.0)],
            &[(0.0, -1e308), (1.0, 1e308)],
            &[(5.0, 0.0), (5.0, 0.0)],
            &[(f64::NEG_INFINITY, 1.0), (1.0, f64::INFINITY)],
        ];
        for points in sets {
            for log_y in [false, true] {
                for (w, h) in [(0, 0), (1, 1), (5, 2), (40, 10)] {
                    let lines = vec![line(points), line(&[])];
                    let chart =
                        LineChart { lines, log_y, cursor: Some(1.0), zero_line: true, ..Default::default() };
                    drawn(&chart, w, h);
                }
            }
        }
    }

    #[test]
    fn a_logarithmic_axis_leaves_out_what_is_not_positive() {
        let points = [(0.0, 100.0), (1.0, 0.0), (2.0, 1.0)];
        let chart = LineChart { lines: vec![line(&points)], log_y: true, ..Default::default() };
        let plot = chart.plot(Rect::new(0, 0, 40, 12)).unwrap();
        assert!(plot.y.low > 0.5 && plot.y.low < 1.0 && plot.y.high > 100.0);
        let text = drawn(&chart, 40, 12);
        assert!(text.contains("100┤") && text.contains("10┤"), "{text}");
    }
}
