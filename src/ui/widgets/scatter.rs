//! A scatter of classes: each has a shape and a colour, and its name at its centroid.

use super::axis;
use super::braille::Braille;
use super::plot::{Plot, PlotStyle, Scale};
use crate::app::panes::watch_digest::centroid;
use crate::ui::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// One class of points.
#[derive(Clone, Debug)]
pub struct Class<'a> {
    pub name: &'a str,
    pub mark: char,
    pub style: Style,
    pub points: &'a [[f64; 2]],
}

/// A path through the plane, drawn over the points, with a mark where it begins.
#[derive(Clone, Debug)]
pub struct Trail<'a> {
    pub points: &'a [[f64; 2]],
    pub style: Style,
}

/// How points are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marks {
    /// One shape a cell: the class with most points in it.
    #[default]
    Shapes,
    /// Braille dots: eight times as fine, told apart by colour and by the names at the centroids.
    Dots,
}

/// A square range of both axes: (low, high) of x, then of y.
pub type Ranges = ((f64, f64), (f64, f64));

/// The scatter.
#[derive(Clone, Debug, Default)]
pub struct Scatter<'a> {
    pub classes: Vec<Class<'a>>,
    pub trails: Vec<Trail<'a>>,
    /// Fixed ranges; `None`: from the data.
    pub ranges: Option<Ranges>,
    /// One unit is as long on both axes.
    pub equal: bool,
    pub marks: Marks,
    /// This item is marked in every class (the same item in all languages).
    pub item: Option<usize>,
    /// Names stand on the centroids, over the points, as long as they do not cover each other.
    pub names_at_centroids: bool,
    /// Names of the axes.
    pub names: (&'a str, &'a str),
    pub style: PlotStyle,
}

/// Ranges that hold all finite points, `None` without any.
pub fn ranges<'a>(points: impl Iterator<Item = &'a [f64; 2]> + Clone) -> Option<Ranges> {
    let finite = points.filter(|p| p[0].is_finite() && p[1].is_finite());
    let x = axis::extent(finite.clone().map(|p| p[0]))?;
    let y = axis::extent(finite.map(|p| p[1]))?;
    Some(around([x, y]))
}

/// Ranges with some room around what they hold.
pub fn around([x, y]: [(f64, f64); 2]) -> Ranges {
    (axis::widen(x, 0.06), axis::widen(y, 0.06))
}

impl Scatter<'_> {
    /// Scales and inner area for `area`, `None` where no point can be drawn.
    pub fn plot(&self, area: Rect) -> Option<Plot> {
        let (x, y) = self.ranges.or_else(|| ranges(self.classes.iter().flat_map(|c| c.points)))?;
        let scale = |(low, high): (f64, f64)| Scale { low, high, log: false };
        let sound = [x, y].iter().all(|(low, high)| (high - low).is_finite() && high > low);
        (sound && !area.is_empty()).then(|| Plot::new(area, scale(x), scale(y), self.equal))
    }

    /// Draws axes, points, the marked item and the names.
    pub fn render(&self, buf: &mut Buffer, area: Rect) {
        let area = area.intersection(buf.area);
        let Some(plot) = self.plot(area) else { return };
        plot.axes(buf, area, self.names, true, self.style);
        let mut canvas = Braille::new(plot.inner.width, plot.inner.height, self.classes.len());
        for (class, points) in self.classes.iter().map(|c| c.points).enumerate() {
            for (x, y) in points.iter().filter_map(|p| plot.dot(p[0], p[1])) {
                canvas.set(x, y, class);
            }
        }
        let styles: Vec<Style> = self.classes.iter().map(|c| c.style).collect();
        let marks: Vec<char> = self.classes.iter().map(|c| c.mark).collect();
        if self.marks == Marks::Dots && !self.style.ascii {
            canvas.render(buf, plot.inner, &styles, &marks, false);
        } else {
            for row in 0..plot.inner.height {
                for column in 0..plot.inner.width {
                    let Some(class) = canvas.class_at(column, row) else { continue };
                    let cell = &mut buf[(plot.inner.x + column, plot.inner.y + row)];
                    cell.set_char(marks[class]).set_style(styles[class]);
                }
            }
        }
        self.draw_trails(buf, &plot);
        let mut taken = self.mark_item(buf, &plot);
        self.name_classes(buf, &plot, &canvas, &mut taken);
    }

    fn draw_trails(&self, buf: &mut Buffer, plot: &Plot) {
        let mut canvas = Braille::new(plot.inner.width, plot.inner.height, self.trails.len()).exclusive();
        for (class, trail) in self.trails.iter().enumerate() {
            let dots: Vec<(i64, i64)> = trail.points.iter().filter_map(|p| plot.dot(p[0], p[1])).collect();
            dots.windows(2).for_each(|w| canvas.line(w[0], w[1], class, 1));
        }
        let styles: Vec<Style> = self.trails.iter().map(|t| t.style).collect();
        canvas.render(buf, plot.inner, &styles, &[], self.style.ascii);
        for trail in self.trails.iter().filter(|t| t.points.len() > 1) {
            if let Some(at) = trail.points.first().and_then(|p| plot.cell(p[0], p[1])) {
                buf[at].set_char(if self.style.ascii { '@' } else { '◎' }).set_style(trail.style);
            }
        }
    }

    /// The point nearest to a screen cell, as (class, item), within three cells of it.
    pub fn nearest(&self, area: Rect, column: u16, row: u16) -> Option<(usize, usize)> {
        let plot = self.plot(area)?;
        let at = |(x, y): (i64, i64)| {
            let (dx, dy) =
                (i64::from(column) - i64::from(plot.inner.x), i64::from(row) - i64::from(plot.inner.y));
            (x - dx * 2).pow(2) + (y - dy * 4 - 1).pow(2)
        };
        let points = self.classes.iter().enumerate().flat_map(|(class, c)| {
            c.points
                .iter()
                .enumerate()
                .filter_map(move |(item, p)| Some(((class, item), *p)).filter(|_| p[0].is_finite()))
        });
        let distances = points.filter_map(|(which, p)| Some((at(plot.dot(p[0], p[1])?), which)));
        distances.min().filter(|(d, _)| *d <= 12 * 12).map(|(_, which)| which)
    }

    fn mark_item(&self, buf: &mut Buffer, plot: &Plot) -> Vec<(u16, u16)> {
        let Some(item) = self.item else { return Vec::new() };
        let mut taken = Vec::new();
        for class in &self.classes {
            let Some((x, y)) = class.points.get(item).and_then(|p| plot.cell(p[0], p[1])) else { continue };
            let style = class.style.add_modifier(Modifier::BOLD | Modifier::REVERSED);
            buf[(x, y)].set_char(class.mark).set_style(style);
            taken.push((x, y));
        }
        taken
    }

    /// Each class's name near its centroid: where it covers no point if there is such a place, else where it
    /// covers no other name.
    fn name_classes(&self, buf: &mut Buffer, plot: &Plot, canvas: &Braille, taken: &mut Vec<(u16, u16)>) {
        let empty = |x: u16, y: u16| canvas.class_at(x - plot.inner.x, y - plot.inner.y).is_none();
        for class in &self.classes {
            let Some((x, y)) = centroid(class.points).and_then(|c| plot.cell(c[0], c[1])) else { continue };
            let width = text::width(class.name) as u16;
            let places = OFFSETS.iter().filter_map(|(dx, dy)| {
                let x = x.checked_add_signed(*dx)?.checked_sub(width / 2)?;
                let y = y.checked_add_signed(*dy)?;
                let inside = x >= plot.inner.x && x + width <= plot.inner.right();
                (inside && y >= plot.inner.y && y < plot.inner.bottom()).then_some((x, y))
            });
            let free = |&(x, y): &(u16, u16)| {
                !taken.iter().any(|(tx, ty)| *ty == y && *tx + 1 >= x && *tx <= x + width)
            };
            let places: Vec<(u16, u16)> = places.filter(free).collect();
            let clear =
                |(x, y): &&(u16, u16)| self.names_at_centroids || (*x..x + width).all(|x| empty(x, *y));
            let clear = places.iter().find(clear);
            let Some((x, y)) = clear.or(places.first()).copied() else { continue };
            let style = class.style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
            text::put(buf, plot.inner, x, y, class.name, style);
            taken.extend((x..x + width).map(|x| (x, y)));
        }
    }
}

/// Where a name may go, nearest first.
const OFFSETS: [(i16, i16); 15] = [
    (0, 0),
    (0, -1),
    (0, 1),
    (4, 0),
    (-4, 0),
    (4, -1),
    (-4, -1),
    (4, 1),
    (-4, 1),
    (0, -2),
    (0, 2),
    (8, 0),
    (-8, 0),
    (6, 2),
    (-6, -2),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn class<'a>(name: &'a str, mark: char, points: &'a [[f64; 2]]) -> Class<'a> {
        Class { name, mark, style: Style::new(), points }
    }

    fn drawn(scatter: &Scatter, width: u16, height: u16) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
        let area = buf.area;
        scatter.render(&mut buf, area);
        let rows = buf.content.chunks(usize::from(width).max(1));
        rows.map(|row| row.iter().map(|c| c.symbol()).collect::<String>() + "\n").collect()
    }

    #[test]
    fn shapes_names_and_axes() {
        let en = [[-2.0, 0.0], [-1.8, 0.4], [-2.2, -0.4], [-1.2, 0.1]];
        let th = [[2.0, 0.3], [1.6, -0.4], [2.4, 0.6], [1.0, 0.0]];
        let classes = vec![class("en", 'e', &en), class("th", 't', &th)];
        let scatter = Scatter { classes, equal: true, names: ("PC1", "PC2"), ..Default::default() };
        insta::assert_snapshot!(drawn(&scatter, 44, 12));
        let dots = Scatter { marks: Marks::Dots, ..scatter };
        assert!(drawn(&dots, 44, 12).chars().any(|c| ('\u{2801}'..='\u{28FF}').contains(&c)));
    }

    #[test]
    fn the_nearest_point_is_found_and_marked() {
        let en = [[0.0, 0.0], [1.0, 1.0], [f64::NAN, 0.0]];
        let de = [[0.0, 1.0], [1.0, 0.0]];
        let classes = vec![class("en", 'e', &en), class("de", 'd', &de)];
        let scatter = Scatter { classes, item: Some(1), ..Default::default() };
        let area = Rect::new(0, 0, 40, 16);
        let plot = scatter.plot(area).unwrap();
        for (class, points) in [&en[..2], &de[..]].into_iter().enumerate() {
            for (item, p) in points.iter().enumerate() {
                let (x, y) = plot.cell(p[0], p[1]).unwrap();
                assert_eq!(scatter.nearest(area, x, y), Some((class, item)));
            }
        }
        assert_eq!(scatter.nearest(area, plot.inner.x + plot.inner.width / 2, plot.inner.y + 6), None);
        let mut buf = Buffer::empty(area);
        scatter.render(&mut buf, area);
        let reversed = buf.content.iter().filter(|c| c.modifier.contains(Modifier::REVERSED)).count();
        assert_eq!(reversed, 2);
    }

    #[test]
    fn the_class_with_most_points_shows_in_a_shared_cell() {
        let far = [[0.0, 0.0], [100.0, 100.0]];
        let many = [[0.0, 0.0], [0.5, 0.0], [0.0, 0.9], [100.0, 0.0]];
        let classes = vec![class("", 'f', &far), class("", 'm', &many)];
        let scatter = Scatter { classes, ranges: Some(((0.0, 100.0), (0.0, 100.0))), ..Default::default() };
        assert_eq!(drawn(&scatter, 10, 4).lines().last().unwrap().chars().next(), Some('m'));
    }

    #[test]
    fn a_trail_lies_over_the_points_and_marks_its_beginning() {
        let path = [[0.0, 0.0], [5.0, 5.0], [10.0, 10.0]];
        let point = [[0.0, 10.0]];
        let trails = vec![Trail { points: &path, style: Style::new() }];
        let scatter = Scatter { classes: vec![class("", 'e', &point)], trails, ..Default::default() };
        let scatter = Scatter { ranges: Some(((0.0, 10.0), (0.0, 10.0))), ..scatter };
        let text = drawn(&scatter, 12, 4);
        let dots = text.chars().filter(|c| ('\u{2801}'..='\u{28FF}').contains(c)).count();
        assert!(
            dots > 4 && text.contains('e') && text.trim_end().lines().last().unwrap().starts_with('◎'),
            "{text}"
        );
        let standing = Scatter { trails: vec![Trail { points: &path[..1], style: Style::new() }], ..scatter };
        assert!(!drawn(&standing, 12, 4).contains('◎'), "what has not moved has no trail");
    }

    #[test]
    fn odd_data_and_sizes_are_harmless() {
        let sets: [&[[f64; 2]]; 5] = [
            &[],
            &[[f64::NAN, 1.0]],
            &[[1.0, 1.0]],
            &[[-1e308, 0.0], [1e308, f64::INFINITY]],
            &[[-1e308, 0.0], [1e308, 1.0]],
        ];
        for points in sets {
            for (w, h) in [(0, 0), (1, 1), (4, 2), (50, 15)] {
                for equal in [true, false] {
                    let classes = vec![class("en", 'e', points), class("日本", 'j', points)];
                    let trails = vec![Trail { points, style: Style::new() }];
                    let scatter = Scatter { classes, trails, equal, item: Some(0), ..Default::default() };
                    drawn(&scatter, w, h);
                    scatter.nearest(Rect::new(0, 0, w, h), 0, 0);
                }
            }
        }
    }
}
