//! A screen as an SVG picture: every cell where the terminal puts it.
//!
//! Blocks, lines and braille are drawn as shapes, so that they join whatever font the viewer has; text is one
//! element a run of ASCII and one a cluster of anything else, placed by its cells, so that wide and combining scripts
//! do not shift what follows. A script whose letters know no cells is fitted into them.

pub mod colour;
mod shape;

use colour::{Ground, Rgb, colours, hex};
use ratatui::buffer::{Buffer, Cell, CellWidth};
use ratatui::style::Modifier;
use shape::shape;
use std::fmt::Write;

/// A cell in picture units.
pub const W: f64 = 9.0;
pub const H: f64 = 19.0;
/// Size of the text, of which a monospaced font's letters are as wide as a cell.
pub const SIZE: f64 = 15.0;
/// Families in the order in which they are tried.
pub const FONTS: &str = "'DejaVu Sans Mono','Noto Sans Mono','Menlo','Consolas','Noto Sans Thai','Noto Sans Devanagari',\
    'Noto Sans Bengali','Noto Sans CJK SC','Noto Sans CJK JP',monospace";

/// Width and height of a picture of a screen, in its units: half a row above and below, a column on each side.
pub fn extent(columns: u16, rows: u16) -> (f64, f64) {
    (f64::from(columns) * W + 2.0 * W, f64::from(rows) * H + H)
}

/// Where a cell begins.
pub fn corner(x: u16, y: u16) -> (f64, f64) {
    (f64::from(x) * W + W, f64::from(y) * H + H / 2.0)
}

/// The buffer as an SVG document. `title` is read out by viewers that cannot show pictures.
pub fn svg(buf: &Buffer, title: &str) -> String {
    let ground = Ground::of(buf);
    let mut out = begin(buf, ground, title);
    for y in 0..buf.area.height {
        row(buf, y, corner(0, y).1, ground, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

/// A document's beginning, with its ground.
pub fn begin(buf: &Buffer, ground: Ground, title: &str) -> String {
    let (width, height) = extent(buf.area.width, buf.area.height);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"{FONTS}\" font-size=\"{SIZE}\" role=\"img\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n",
        escape(title),
        hex(ground.background)
    )
}

/// A cell of a row, and the columns that its text takes.
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    pub x: u16,
    pub columns: u16,
    pub cell: &'a Cell,
}

/// The cells of a row that hold something of their own: those under a wide glyph are left out.
pub fn units(buf: &Buffer, y: u16) -> Vec<Unit<'_>> {
    let mut out = Vec::with_capacity(usize::from(buf.area.width));
    let mut x = 0;
    while x < buf.area.width {
        let cell = &buf[(buf.area.x + x, buf.area.y + y)];
        let columns = cell.cell_width().clamp(1, buf.area.width - x);
        out.push(Unit { x, columns, cell });
        x += columns;
    }
    out
}

/// Draws a row whose upper edge is at `top`. The ground of a wide glyph goes on under its second cell.
pub fn row(buf: &Buffer, y: u16, top: f64, ground: Ground, out: &mut String) {
    let units = units(buf, y);
    let look = |u: &Unit| colours(u.cell, ground);
    let mut from = 0;
    while from < units.len() {
        let bg = look(&units[from]).1;
        let end = (from..units.len()).find(|i| look(&units[*i]).1 != bg).unwrap_or(units.len());
        if bg != ground.background {
            let (at, columns) = (corner(units[from].x, 0).0, units[from..end].iter().map(|u| u.columns));
            let w = f64::from(columns.sum::<u16>()) * W;
            let fill = hex(bg);
            let _ =
                writeln!(out, "<rect x=\"{at}\" y=\"{top}\" width=\"{w}\" height=\"{H}\" fill=\"{fill}\"/>");
        }
        from = end;
    }
    let mut from = 0;
    while from < units.len() {
        let unit = &units[from];
        let fg = look(unit).0;
        // A run of ASCII in one style is one element; anything else stands alone in its cells.
        let same = |u: &Unit| plain(u.cell) && look(u).0 == fg && u.cell.modifier == unit.cell.modifier;
        let end = (from..units.len()).find(|i| !same(&units[*i])).unwrap_or(units.len());
        if end > from + 1 {
            let text: String = units[from..end].iter().map(|u| u.cell.symbol()).collect();
            let (x, length) = (corner(unit.x, 0).0, (end - from) as f64 * W);
            let fit = format!("x=\"{x}\" textLength=\"{length}\"");
            written(&text, &fit, top, fg, unit.cell.modifier, out);
        } else {
            glyph(unit.cell, unit.columns, (corner(unit.x, 0).0, top), fg, out);
        }
        from = end.max(from + 1);
    }
}

/// ASCII that is no blank.
fn plain(cell: &Cell) -> bool {
    cell.symbol().len() == 1 && cell.symbol() != " "
}

/// Draws what stands in one cell, or over several columns, at a corner; nothing for a blank.
pub fn glyph(cell: &Cell, columns: u16, at: (f64, f64), fg: Rgb, out: &mut String) {
    let symbol = cell.symbol();
    if symbol.trim().is_empty() {
        return;
    }
    if let Some(drawn) = shape(symbol, at.0, at.1, fg) {
        out.push_str(&drawn);
        return;
    }
    let width = f64::from(columns) * W;
    let fit = if fitted(symbol) {
        format!("x=\"{}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\"", at.0)
    } else {
        format!("x=\"{}\" text-anchor=\"middle\"", at.0 + width / 2.0)
    };
    written(symbol, &fit, at.1, fg, cell.modifier, out);
}

/// Text at a place, as wide as it is.
pub fn unfitted(cell: &Cell, at: (f64, f64), fg: Rgb, out: &mut String) {
    written(cell.symbol(), &format!("x=\"{}\"", at.0), at.1, fg, cell.modifier, out);
}

/// Whether a cluster is of a script that has no monospaced letters: those are made as wide as their cells.
pub fn fitted(cluster: &str) -> bool {
    let first = cluster.chars().next().map_or(0, u32::from);
    let letters = matches!(first, 0x0590..=0x10FF | 0x1200..=0x1CFF | 0xA800..=0xABFF);
    // Strokes are not to be made blocks: the danda, Thai and Lao vowels that stand before their consonant.
    letters && !matches!(first, 0x0964 | 0x0965 | 0x0E40..=0x0E44 | 0x0EC0..=0x0EC4)
}

fn written(text: &str, fit: &str, top: f64, fg: Rgb, modifier: Modifier, out: &mut String) {
    let (y, fill, weight) = (top + H * 0.74, hex(fg), weight(modifier));
    let _ = writeln!(out, "<text {fit} y=\"{y}\" fill=\"{fill}\"{weight}>{}</text>", escape(text));
}

fn weight(modifier: Modifier) -> String {
    let mut out = String::new();
    if modifier.contains(Modifier::BOLD) {
        out.push_str(" font-weight=\"bold\"");
    }
    if modifier.contains(Modifier::ITALIC) {
        out.push_str(" font-style=\"italic\"");
    }
    if modifier.contains(Modifier::UNDERLINED) {
        out.push_str(" text-decoration=\"underline\"");
    }
    if modifier.contains(Modifier::DIM) {
        out.push_str(" opacity=\"0.6\"");
    }
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::{Color, Style};

    #[test]
    fn wide_text_does_not_shift_what_follows() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 12, 1));
        buf.set_string(0, 0, "好ab", Style::new().fg(Color::Rgb(1, 2, 3)));
        let picture = svg(&buf, "t");
        let middle = format!("<text x=\"{}\" text-anchor=\"middle\"", 2.0 * W);
        assert!(picture.contains(&middle), "the wide glyph in the middle of its cells");
        assert!(picture.contains(&format!("<text x=\"{}\"", W + 2.0 * W)), "ab two cells on");
    }

    #[test]
    fn letters_that_know_no_cells_are_fitted_into_theirs() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 12, 1));
        buf.set_string(0, 0, "ที่ก।", Style::new());
        let picture = svg(&buf, "t");
        for (i, text) in ["ที่", "ก"].iter().enumerate() {
            let x = W + W * i as f64;
            let fit = format!("x=\"{x}\" textLength=\"{W}\" lengthAdjust=\"spacingAndGlyphs\"");
            assert!(picture.contains(&fit) && picture.contains(&format!(">{text}</text>")), "{text}");
        }
        assert_eq!(picture.matches("spacingAndGlyphs").count(), 2);
        assert!(!fitted("เ") && !fitted("a") && !fitted("好") && fitted("हि"));
    }

    #[test]
    fn the_ground_of_a_wide_glyph_covers_both_cells() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 6, 1));
        buf[(0, 0)].set_bg(Color::Rgb(1, 1, 1));
        buf.set_string(2, 0, "好", Style::new().bg(Color::Rgb(9, 9, 9)));
        buf[(3, 0)].reset();
        let ground = format!("width=\"{}\" height=\"{H}\" fill=\"#090909\"", 2.0 * W);
        assert!(svg(&buf, "t").contains(&ground));
    }

    #[test]
    fn hostile_text_stays_text() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 30, 1));
        buf.set_string(0, 0, "</text><script>&\"", Style::new());
        let picture = svg(&buf, "<b>");
        assert!(!picture.contains("<script>") && !picture.contains("<b>"));
        assert!(picture.contains("&lt;script&gt;"));
    }

    #[test]
    fn bars_are_rectangles_of_their_eighths_and_empty_screens_are_fine() {
        let bar = shape("▌", 0.0, 0.0, (0, 0, 0)).unwrap();
        assert!(bar.contains(&format!("width=\"{:.2}\"", W / 2.0)));
        assert!(shape("⣿", 0.0, 0.0, (0, 0, 0)).unwrap().matches("circle").count() == 8);
        assert!(shape("字", 0.0, 0.0, (0, 0, 0)).is_none());
        assert!(svg(&Buffer::empty(Rect::new(0, 0, 0, 0)), "").starts_with("<svg"));
    }
}
