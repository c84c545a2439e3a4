//! A heat map: a matrix of cells whose ground shows a value, with labels, a cursor and scrolling.

use crate::ui::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use std::borrow::Cow;

/// One cell.
#[derive(Clone, Debug, Default)]
pub struct HeatCell<'a> {
    /// 0..=1 (the caller's scale).
    pub value: f64,
    pub text: Cow<'a, str>,
}

/// The matrix. Only the cells that fit are asked for.
pub struct Heatmap<'a> {
    pub rows: usize,
    pub columns: usize,
    /// First row and column shown.
    pub first: (usize, usize),
    /// `None`: not known yet.
    pub cell: &'a dyn Fn(usize, usize) -> Option<HeatCell<'a>>,
    pub row_label: &'a dyn Fn(usize) -> (Cow<'a, str>, Style),
    pub column_label: &'a dyn Fn(usize) -> (Cow<'a, str>, Style),
    /// Columns of the terminal for the row labels and for one cell.
    pub label_width: u16,
    pub cell_width: u16,
    /// Style of a value.
    pub heat: &'a dyn Fn(f64) -> Style,
    /// Adds the value's first decimal (0-9) as a digit at the cell's end: the sign that needs no colour.
    pub digits: bool,
    pub cursor: Option<(usize, usize)>,
    /// Style of the mark around the cursor.
    pub cursor_style: Style,
    /// Style of cells that are not known yet.
    pub missing: Style,
    pub ascii: bool,
}

/// How many rows and columns of cells fit into `area` beside the labels.
pub fn capacity(area: Rect, label_width: u16, cell_width: u16) -> (usize, usize) {
    let columns = area.width.saturating_sub(label_width) / cell_width.max(1);
    (usize::from(area.height.saturating_sub(1)), usize::from(columns))
}

impl Heatmap<'_> {
    /// Draws column labels, row labels and cells.
    pub fn render(&self, buf: &mut Buffer, area: Rect) {
        let area = area.intersection(buf.area);
        let (fit_rows, fit_columns) = capacity(area, self.label_width, self.cell_width);
        let rows = self.first.0..self.rows.min(self.first.0.saturating_add(fit_rows));
        let columns = self.first.1..self.columns.min(self.first.1.saturating_add(fit_columns));
        let labels = Rect { width: self.label_width.min(area.width), ..area };
        let width = usize::from(self.cell_width);
        for (i, column) in columns.clone().enumerate() {
            let (label, style) = (self.column_label)(column);
            let x = area.x + self.label_width + (i * width) as u16;
            text::put(buf, area, x, area.y, &centre(&label, width, self.ascii), style);
        }
        for (j, row) in rows.enumerate() {
            let y = area.y + 1 + j as u16;
            let (label, style) = (self.row_label)(row);
            let label = text::fit_right(&label, usize::from(labels.width.saturating_sub(1)), self.ascii);
            text::put(buf, labels, area.x, y, &label, style);
            for (i, column) in columns.clone().enumerate() {
                let x = area.x + self.label_width + (i * width) as u16;
                self.draw(buf, Rect { x, y, width: self.cell_width, height: 1 }, row, column);
            }
        }
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, row: usize, column: usize) {
        let width = usize::from(area.width);
        let marked = self.cursor == Some((row, column));
        let (content, mut style) = match (self.cell)(row, column) {
            None => (centre(if self.ascii { "." } else { "·" }, width, self.ascii), self.missing),
            Some(cell) if cell.value.is_nan() => (centre("-", width, self.ascii), self.missing),
            Some(cell) => {
                let room = width.saturating_sub(if self.digits { 3 } else { 1 });
                let digit = if self.digits { format!(" {}", digit(cell.value)) } else { String::new() };
                (text::fit(&cell.text, room, self.ascii) + &digit + " ", (self.heat)(cell.value))
            }
        };
        if marked {
            style = style.patch(self.cursor_style).add_modifier(Modifier::BOLD);
        }
        text::put(buf, area, area.x, area.y, &content, style);
        if marked && self.ascii && width > 1 {
            text::put(buf, area, area.right() - 1, area.y, "<", style);
        }
    }
}

/// The first decimal of a value in 0..=1, as a digit 0-9.
pub fn digit(value: f64) -> char {
    char::from(b'0' + (value.clamp(0.0, 1.0) * 10.0).min(9.0) as u8)
}

fn centre(label: &str, width: usize, ascii: bool) -> String {
    let label = text::ellipsize(label, width.saturating_sub(1), ascii);
    let left = (width - text::width(&label)) / 2;
    text::fit(&format!("{:left$}{label}", ""), width, ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(w: u16, h: u16, digits: bool, values: &[Vec<f64>], first: (usize, usize)) -> Buffer {
        let mut buf = Buffer::empty(Rect::new(0, 0, w, h));
        let area = buf.area;
        let cell = |r: usize, c: usize| {
            values.get(r)?.get(c).map(|v| HeatCell { value: *v, text: format!("{v:.2}").into() })
        };
        let label = |i: usize| (Cow::Owned(format!("L{i}")), Style::new());
        let heat =
            |v: f64| if v >= 0.5 { Style::new().add_modifier(Modifier::UNDERLINED) } else { Style::new() };
        Heatmap {
            rows: values.len(),
            columns: values.first().map_or(0, Vec::len) + 1,
            first,
            cell: &cell,
            row_label: &label,
            column_label: &label,
            label_width: 4,
            cell_width: 6,
            heat: &heat,
            digits,
            cursor: Some((0, 0)),
            cursor_style: Style::new().add_modifier(Modifier::REVERSED),
            missing: Style::new(),
            ascii: digits,
        }
        .render(&mut buf, area);
        buf
    }

    fn lines(buf: &Buffer) -> Vec<String> {
        let rows = buf.content.chunks(usize::from(buf.area.width).max(1));
        rows.map(|r| r.iter().map(|c| c.symbol()).collect::<String>().trim_end().to_string()).collect()
    }

    #[test]
    fn labels_values_and_digits() {
        let values = vec![vec![0.25, 1.0], vec![f64::NAN, 0.5]];
        let buf = render(24, 3, false, &values, (0, 0));
        assert_eq!(lines(&buf), ["      L0    L1    L2", " L0 0.25  1.00    ·", " L1   -   0.50    ·"]);
        assert!(buf[(4, 1)].modifier.contains(Modifier::REVERSED));
        assert!(buf[(10, 1)].modifier.contains(Modifier::UNDERLINED));
        let buf = render(24, 3, true, &values, (0, 0));
        assert_eq!(lines(&buf)[1], " L0 0.~ 2<1.~ 9   .");
        let buf = render(24, 3, false, &values, (1, 1));
        assert_eq!(lines(&buf), ["      L1    L2", " L1 0.50    ·", ""]);
    }

    #[test]
    fn odd_sizes_are_harmless() {
        for (w, h) in [(0, 0), (1, 1), (3, 1), (5, 5), (9, 2)] {
            render(w, h, true, &[vec![f64::INFINITY, -3.0]], (0, 0));
            render(w, h, false, &[], (7, usize::MAX));
        }
        assert_eq!([digit(0.0), digit(0.99), digit(7.0), digit(-1.0)], ['0', '9', '9', '0']);
    }
}
