//! A small table with aligned columns, a selected row, and scrolling.

use crate::ui::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// One cell's text and style.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub text: String,
    pub style: Style,
}

impl Cell {
    /// A cell.
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// A column: its title, and whether it holds numbers (aligned to the right).
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    pub title: &'a str,
    pub right: bool,
}

/// The table. Columns are as wide as their widest cell; what does not fit on the right is left out,
/// whole columns at a time, and the last shown is shortened only where it alone is too wide.
#[derive(Clone, Debug, Default)]
pub struct Table<'a> {
    pub columns: &'a [Column<'a>],
    pub rows: &'a [Vec<Cell>],
    pub selected: Option<usize>,
    /// First row wished at the top; moved so that the selected row is visible.
    pub first: usize,
    pub title_style: Style,
    pub selected_style: Style,
    pub ascii: bool,
}

/// The first row to show so that `selected` is inside a window of `height` rows of `rows`.
pub fn scroll_to(first: usize, selected: Option<usize>, height: usize, rows: usize) -> usize {
    let first = first.min(rows.saturating_sub(height));
    match selected {
        Some(s) if s < first => s,
        Some(s) if s < rows && height > 0 && s >= first + height => s + 1 - height,
        _ => first,
    }
}

impl Table<'_> {
    /// Draws titles and rows; returns the first row shown.
    pub fn render(&self, buf: &mut Buffer, area: Rect) -> usize {
        let area = area.intersection(buf.area);
        if area.is_empty() {
            return self.first;
        }
        let widths = self.widths(usize::from(area.width));
        let mut x = area.x;
        for (column, width) in self.columns.iter().zip(&widths) {
            text::put(
                buf,
                area,
                x,
                area.y,
                &aligned(column.title, *width, column.right, self.ascii),
                self.title_style,
            );
            x += *width as u16 + 1;
        }
        let height = usize::from(area.height - 1);
        let first = scroll_to(self.first, self.selected, height, self.rows.len());
        for (i, row) in self.rows.iter().enumerate().skip(first).take(height) {
            let y = area.y + 1 + (i - first) as u16;
            let mut x = area.x;
            for ((cell, column), width) in row.iter().zip(self.columns).zip(&widths) {
                text::put(
                    buf,
                    area,
                    x,
                    y,
                    &aligned(&cell.text, *width, column.right, self.ascii),
                    cell.style,
                );
                x += *width as u16 + 1;
            }
            if self.selected == Some(i) {
                buf.set_style(Rect { y, height: 1, ..area }, self.selected_style);
            }
        }
        first
    }

    fn widths(&self, room: usize) -> Vec<usize> {
        let mut widths = Vec::new();
        let mut used = 0;
        for (i, column) in self.columns.iter().enumerate() {
            let cells = self.rows.iter().filter_map(|r| r.get(i)).map(|c| text::width(&c.text));
            let width = cells.max().unwrap_or(0).max(text::width(column.title));
            if used + width > room {
                if i == 0 {
                    widths.push(room);
                }
                break;
            }
            widths.push(width);
            used += width + 1;
        }
        widths
    }
}

fn aligned(content: &str, width: usize, right: bool, ascii: bool) -> String {
    if right { text::fit_right(content, width, ascii) } else { text::fit(content, width, ascii) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[Vec<Cell>], w: u16, h: u16, selected: Option<usize>) -> Vec<String> {
        let columns = [Column { title: "pair", right: false }, Column { title: "r", right: true }];
        let mut buf = Buffer::empty(Rect::new(0, 0, w, h));
        let area = buf.area;
        Table { columns: &columns, rows, selected, ..Default::default() }.render(&mut buf, area);
        let rows = buf.content.chunks(usize::from(w).max(1));
        rows.map(|r| r.iter().map(|c| c.symbol()).collect()).collect()
    }

    #[test]
    fn columns_are_aligned_and_follow_the_selection() {
        let cell = |t: &str| Cell::new(t, Style::new());
        let rows: Vec<Vec<Cell>> =
            [("en-de", "0.98"), ("日本", "-0.1"), ("x", "1")].map(|(a, b)| vec![cell(a), cell(b)]).to_vec();
        let all = ["pair     r ", "en-de 0.98 ", "日 本   -0.1 ", "x        1 "];
        assert_eq!(table(&rows, 11, 4, None), all);
        assert_eq!(table(&rows, 11, 2, Some(2)), [all[0], all[3]]);
        assert_eq!(table(&rows, 7, 2, None), ["pair   ", "en-de  "]);
        assert_eq!(table(&rows, 3, 2, None), ["pa…", "en…"]);
    }

    #[test]
    fn odd_sizes_are_harmless() {
        for (w, h) in [(0, 0), (1, 1), (2, 9)] {
            table(&[], w, h, Some(4));
            table(&[vec![], vec![Cell::new("a", Style::new())]], w, h, Some(1));
        }
        assert_eq!(scroll_to(9, Some(0), 0, 3), 0);
        assert_eq!(scroll_to(0, Some(5), 2, 6), 4);
        assert_eq!(scroll_to(99, None, 2, 6), 4);
    }
}
