//! A braille canvas: 2 x 4 dots a cell, one colour a cell by majority.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Dots of several classes. A cell shows all dots in it, in the style of the class that has most of them
/// (weighted; ties go to the lower class), so that no class hides another merely by being drawn later.
#[derive(Clone, Debug)]
pub struct Braille {
    width: usize,
    height: usize,
    classes: usize,
    dots: Vec<u8>,
    votes: Vec<u16>,
}

/// Bit of the dot at column x, row y of a cell (Unicode's braille numbering).
const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

impl Braille {
    /// An empty canvas of `width` x `height` cells for `classes` classes.
    pub fn new(width: u16, height: u16, classes: usize) -> Self {
        let (width, height) = (usize::from(width), usize::from(height));
        let cells = width * height;
        Self { width, height, classes, dots: vec![0; cells], votes: vec![0; cells * classes] }
    }

    /// Columns of dots: 2 a cell.
    pub fn dot_columns(&self) -> usize {
        self.width * 2
    }

    /// Rows of dots: 4 a cell.
    pub fn dot_rows(&self) -> usize {
        self.height * 4
    }

    /// Sets the dot at (x, y), y downwards; outside the canvas nothing happens.
    pub fn set(&mut self, x: i64, y: i64, class: usize) {
        self.vote(x, y, class, 1);
    }

    /// As [`Braille::set`], counting `weight` times when the cell's colour is chosen.
    pub fn vote(&mut self, x: i64, y: i64, class: usize, weight: u16) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x >= self.dot_columns() || y >= self.dot_rows() || class >= self.classes {
            return;
        }
        let cell = y / 4 * self.width + x / 2;
        self.dots[cell] |= BITS[x % 2][y % 4];
        let votes = &mut self.votes[cell * self.classes + class];
        *votes = votes.saturating_add(weight);
    }

    /// A straight line between two dots (Bresenham). Ends are clamped to a band around the canvas, so that
    /// far outliers cost no time.
    pub fn line(&mut self, from: (i64, i64), to: (i64, i64), class: usize, weight: u16) {
        let (w, h) = (self.dot_columns() as i64, self.dot_rows() as i64);
        let clamp = |(x, y): (i64, i64)| (x.clamp(-w, 2 * w), y.clamp(-h, 2 * h));
        let ((mut x, mut y), (x1, y1)) = (clamp(from), clamp(to));
        let (dx, dy) = ((x1 - x).abs(), -(y1 - y).abs());
        let (sx, sy) = ((x1 - x).signum(), (y1 - y).signum());
        let mut error = dx + dy;
        loop {
            self.vote(x, y, class, weight);
            if (x, y) == (x1, y1) {
                return;
            }
            let twice = 2 * error;
            if twice >= dy {
                error += dy;
                x += sx;
            }
            if twice <= dx {
                error += dx;
                y += sy;
            }
        }
    }

    /// The class that a cell is shown in, `None` where the cell has no dot.
    pub fn class_at(&self, column: u16, row: u16) -> Option<usize> {
        let (column, row) = (usize::from(column), usize::from(row));
        if column >= self.width || row >= self.height {
            return None;
        }
        let cell = row * self.width + column;
        let votes = &self.votes[cell * self.classes..(cell + 1) * self.classes];
        let most = *votes.iter().max()?;
        if most == 0 { None } else { votes.iter().position(|v| *v == most) }
    }

    /// Draws the dots into `area`, class i in `styles[i]`; in ASCII as `.`, `:`, `#` or the class's own
    /// mark from `marks`.
    pub fn render(&self, buf: &mut Buffer, area: Rect, styles: &[Style], marks: &[char], ascii: bool) {
        let area = area.intersection(buf.area);
        for row in 0..area.height.min(self.height as u16) {
            for column in 0..area.width.min(self.width as u16) {
                let Some(class) = self.class_at(column, row) else { continue };
                let dots = self.dots[usize::from(row) * self.width + usize::from(column)];
                let symbol = match ascii {
                    false => char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' '),
                    true => marks.get(class).copied().unwrap_or(match dots.count_ones() {
                        0..=2 => '.',
                        3..=5 => ':',
                        _ => '#',
                    }),
                };
                let cell = &mut buf[(area.x + column, area.y + row)];
                cell.set_char(symbol).set_style(styles.get(class).copied().unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Color;

    fn shown(canvas: &Braille, width: u16, height: u16, ascii: bool) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
        let area = buf.area;
        canvas.render(&mut buf, area, &[], &[], ascii);
        buf.content.iter().map(|c| c.symbol()).collect()
    }

    #[test]
    fn every_dot_has_its_bit() {
        for x in 0..2 {
            for y in 0..4 {
                let mut canvas = Braille::new(1, 1, 1);
                canvas.set(x, y, 0);
                let expected = char::from_u32(0x2800 + u32::from(BITS[x as usize][y as usize])).unwrap();
                assert_eq!(shown(&canvas, 1, 1, false), expected.to_string());
            }
        }
        let mut canvas = Braille::new(2, 1, 1);
        canvas.line((0, 0), (3, 3), 0, 1);
        assert_eq!(shown(&canvas, 2, 1, false), "⠑⢄");
        assert_eq!(shown(&canvas, 2, 1, true), "..");
    }

    #[test]
    fn the_majority_gives_the_colour_whoever_drew_last() {
        let mut canvas = Braille::new(1, 1, 2);
        canvas.set(0, 0, 0);
        canvas.set(0, 1, 0);
        canvas.set(1, 1, 1);
        assert_eq!(canvas.class_at(0, 0), Some(0));
        let mut buf = Buffer::empty(Rect::new(0, 0, 1, 1));
        let area = buf.area;
        let styles = [Style::new().fg(Color::Red), Style::new().fg(Color::Blue)];
        canvas.render(&mut buf, area, &styles, &[], false);
        assert_eq!(buf[(0, 0)].fg, Color::Red);
        canvas.set(1, 2, 1);
        assert_eq!(canvas.class_at(0, 0), Some(0), "a tie goes to the lower class");
        canvas.vote(1, 2, 1, 3);
        assert_eq!(canvas.class_at(0, 0), Some(1));
    }

    #[test]
    fn outside_and_empty_are_harmless() {
        let mut canvas = Braille::new(0, 0, 0);
        canvas.set(0, 0, 0);
        canvas.line((i64::MIN / 4, 0), (i64::MAX / 4, 5), 0, 1);
        assert_eq!(canvas.class_at(0, 0), None);
        let mut canvas = Braille::new(2, 2, 1);
        canvas.set(-1, 0, 0);
        canvas.set(4, 0, 0);
        canvas.set(0, 0, 7);
        assert_eq!(canvas.class_at(0, 0), None);
        canvas.line((-1000, 3), (1000, 3), 0, 1);
        assert_eq!(canvas.class_at(1, 0), Some(0));
        assert_eq!(shown(&canvas, 1, 1, false), "⣀");
    }
}
