//! A screen as an SVG picture: every cell where the terminal puts it.
//!
//! Blocks, lines and braille are drawn as shapes, so that they join whatever font the viewer has; text is one
//! element a run, placed by its cell, so that wide and combining scripts do not shift what follows.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// A cell in picture units.
const W: f64 = 9.0;
const H: f64 = 19.0;
const FONTS: &str = "'DejaVu Sans Mono','Noto Sans Mono','Menlo','Consolas','Noto Sans Thai','Noto Sans Devanagari',\
    'Noto Sans Bengali','Noto Sans CJK SC','Noto Sans CJK JP',monospace";

/// Colours where a cell names none.
#[derive(Clone, Copy)]
struct Ground {
    foreground: Rgb,
    background: Rgb,
}

impl Ground {
    /// The first cell's background is the screen's; text that names no colour stands out from it.
    fn of(buf: &Buffer) -> Self {
        let background = buf.content.first().and_then(|c| rgb(c.bg)).unwrap_or((18, 21, 28));
        let light = u16::from(background.0) + u16::from(background.1) + u16::from(background.2) > 384;
        Self { foreground: if light { (30, 34, 42) } else { (213, 217, 226) }, background }
    }
}

/// The buffer as an SVG document. `title` is read out by viewers that cannot show pictures.
pub fn svg(buf: &Buffer, title: &str) -> String {
    let ground = Ground::of(buf);
    let (cols, rows) = (f64::from(buf.area.width), f64::from(buf.area.height));
    let (width, height) = (cols * W + 2.0 * W, rows * H + H);
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"{FONTS}\" font-size=\"15\" role=\"img\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n",
        escape(title),
        hex(ground.background)
    );
    for y in 0..buf.area.height {
        row(buf, y, ground, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

fn row(buf: &Buffer, y: u16, ground: Ground, out: &mut String) {
    let top = f64::from(y) * H + H / 2.0;
    let left = |x: u16| f64::from(x) * W + W;
    let cells: Vec<&Cell> = (0..buf.area.width).map(|x| &buf[(buf.area.x + x, buf.area.y + y)]).collect();
    let look = |c: &Cell| colours(c, ground);
    // The second cell of a wide glyph has no style of its own: the glyph's ground goes on under it.
    let owner = |x: usize| if x > 0 && cells[x - 1].symbol().width() == 2 { x - 1 } else { x };
    let under = |x: usize| look(cells[owner(x)]).1;
    let mut x = 0;
    while x < cells.len() {
        let bg = under(x);
        let end = (x..cells.len()).find(|i| under(*i) != bg).unwrap_or(cells.len());
        if bg != ground.background {
            let (at, w) = (left(x as u16), (end - x) as f64 * W);
            let _ = writeln!(
                out,
                "<rect x=\"{at}\" y=\"{top}\" width=\"{w}\" height=\"{H}\" fill=\"{}\"/>",
                hex(bg)
            );
        }
        x = end;
    }
    let mut x = 0;
    while x < cells.len() {
        let cell = cells[x];
        let symbol = cell.symbol();
        let (fg, _) = look(cell);
        let at = left(x as u16);
        if symbol.trim().is_empty() {
            x += 1;
            continue;
        }
        if let Some(drawn) = shape(symbol, at, top, fg) {
            out.push_str(&drawn);
            x += 1;
            continue;
        }
        // A run of ASCII in one style is one element; anything else stands alone in its cell.
        let plain = |c: &Cell| {
            c.symbol().len() == 1 && c.symbol() != " " && shape(c.symbol(), 0.0, 0.0, fg).is_none()
        };
        let same = |c: &Cell| look(c).0 == fg && c.modifier == cell.modifier;
        let end = if plain(cell) {
            (x..cells.len()).find(|i| !(plain(cells[*i]) && same(cells[*i]))).unwrap_or(cells.len())
        } else {
            x + symbol.width().max(1)
        };
        let text: String =
            if plain(cell) { cells[x..end].iter().map(|c| c.symbol()).collect() } else { symbol.into() };
        let length = (end - x) as f64 * W;
        let fit = if plain(cell) { format!(" textLength=\"{length}\"") } else { String::new() };
        let _ = writeln!(
            out,
            "<text x=\"{at}\" y=\"{}\" fill=\"{}\"{fit}{}>{}</text>",
            top + H * 0.74,
            hex(fg),
            weight(cell),
            escape(&text)
        );
        x = end;
    }
}

fn weight(cell: &Cell) -> String {
    let mut out = String::new();
    if cell.modifier.contains(Modifier::BOLD) {
        out.push_str(" font-weight=\"bold\"");
    }
    if cell.modifier.contains(Modifier::ITALIC) {
        out.push_str(" font-style=\"italic\"");
    }
    if cell.modifier.contains(Modifier::UNDERLINED) {
        out.push_str(" text-decoration=\"underline\"");
    }
    if cell.modifier.contains(Modifier::DIM) {
        out.push_str(" opacity=\"0.6\"");
    }
    out
}

/// Blocks, lines and braille as shapes; `None` for anything that is text.
fn shape(symbol: &str, x: f64, y: f64, fg: (u8, u8, u8)) -> Option<String> {
    let mut chars = symbol.chars();
    let (c, None) = (chars.next()?, chars.next()) else { return None };
    let fill = hex(fg);
    let rect = |x: f64, y: f64, w: f64, h: f64, opacity: f64| {
        format!(
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" fill=\"{fill}\" opacity=\"{opacity}\"/>\n"
        )
    };
    let code = c as u32;
    Some(match c {
        // Lower eighths, the full block, left eighths.
        '\u{2581}'..='\u{2588}' => {
            let h = H * f64::from(code - 0x2580) / 8.0;
            rect(x, y + H - h, W, h, 1.0)
        }
        '\u{2589}'..='\u{258F}' => rect(x, y, W * f64::from(0x2590 - code) / 8.0, H, 1.0),
        '▀' => rect(x, y, W, H / 2.0, 1.0),
        '▐' => rect(x + W / 2.0, y, W / 2.0, H, 1.0),
        '░' => rect(x, y, W, H, 0.25),
        '▒' => rect(x, y, W, H, 0.5),
        '▓' => rect(x, y, W, H, 0.75),
        '\u{2801}'..='\u{28FF}' => braille(code - 0x2800, x, y, &fill),
        _ => lines(c, x, y, &fill)?,
    })
}

fn braille(bits: u32, x: f64, y: f64, fill: &str) -> String {
    // Dots 1 2 3 7 in the left column, 4 5 6 8 in the right one.
    const PLACES: [(f64, f64); 8] =
        [(0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (1.0, 0.0), (1.0, 1.0), (1.0, 2.0), (0.0, 3.0), (1.0, 3.0)];
    let mut out = String::new();
    for (i, (cx, cy)) in PLACES.iter().enumerate() {
        if bits >> i & 1 == 1 {
            let (cx, cy) = (x + W * (0.25 + 0.5 * cx), y + H * (0.125 + 0.25 * cy));
            let _ = writeln!(out, "<circle cx=\"{cx:.2}\" cy=\"{cy:.2}\" r=\"1.4\" fill=\"{fill}\"/>");
        }
    }
    out
}

/// Box-drawing characters: which of left, right, up, down leave the middle; rounded corners; dashes.
fn lines(c: char, x: f64, y: f64, stroke: &str) -> Option<String> {
    let (l, r, t, b) = (x, x + W, y, y + H);
    let (mx, my) = (x + W / 2.0, y + H / 2.0);
    let dash = matches!(c, '┈' | '┊' | '╌' | '╎');
    let path = match c {
        '─' | '┈' | '╌' => format!("M{l} {my}H{r}"),
        '│' | '┊' | '╎' => format!("M{mx} {t}V{b}"),
        '┌' => format!("M{mx} {b}V{my}H{r}"),
        '┐' => format!("M{l} {my}H{mx}V{b}"),
        '└' => format!("M{mx} {t}V{my}H{r}"),
        '┘' => format!("M{l} {my}H{mx}V{t}"),
        '╭' => format!("M{mx} {b}V{}Q{mx} {my} {r} {my}", my + W / 2.0),
        '╮' => format!("M{l} {my}Q{mx} {my} {mx} {}V{b}", my + W / 2.0),
        '╰' => format!("M{mx} {t}V{}Q{mx} {my} {r} {my}", my - W / 2.0),
        '╯' => format!("M{l} {my}Q{mx} {my} {mx} {}V{t}", my - W / 2.0),
        '├' => format!("M{mx} {t}V{b}M{mx} {my}H{r}"),
        '┤' => format!("M{mx} {t}V{b}M{l} {my}H{mx}"),
        '┬' => format!("M{l} {my}H{r}M{mx} {my}V{b}"),
        '┴' => format!("M{l} {my}H{r}M{mx} {t}V{my}"),
        '┼' => format!("M{l} {my}H{r}M{mx} {t}V{b}"),
        _ => return None,
    };
    let dashes = if dash { " stroke-dasharray=\"1.5 3\"" } else { "" };
    Some(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{stroke}\"{dashes}/>\n"))
}

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

fn colours(cell: &Cell, ground: Ground) -> (Rgb, Rgb) {
    let fg = rgb(cell.fg).unwrap_or(ground.foreground);
    let bg = rgb(cell.bg).unwrap_or(ground.background);
    if cell.modifier.contains(Modifier::REVERSED) { (bg, fg) } else { (fg, bg) }
}

fn rgb(color: Color) -> Option<Rgb> {
    Some(match color {
        Color::Reset => return None,
        Color::Rgb(r, g, b) => (r, g, b),
        Color::Indexed(i) => indexed(i),
        Color::Black => indexed(0),
        Color::Red => indexed(1),
        Color::Green => indexed(2),
        Color::Yellow => indexed(3),
        Color::Blue => indexed(4),
        Color::Magenta => indexed(5),
        Color::Cyan => indexed(6),
        Color::Gray => indexed(7),
        Color::DarkGray => indexed(8),
        Color::LightRed => indexed(9),
        Color::LightGreen => indexed(10),
        Color::LightYellow => indexed(11),
        Color::LightBlue => indexed(12),
        Color::LightMagenta => indexed(13),
        Color::LightCyan => indexed(14),
        Color::White => indexed(15),
    })
}

/// xterm's 256 colours: 16 named, a 6x6x6 cube, 24 greys.
pub fn indexed(i: u8) -> Rgb {
    const NAMED: [Rgb; 16] = [
        (0, 0, 0),
        (205, 49, 49),
        (13, 188, 121),
        (229, 229, 16),
        (36, 114, 200),
        (188, 63, 188),
        (17, 168, 205),
        (229, 229, 229),
        (102, 102, 102),
        (241, 76, 76),
        (35, 209, 139),
        (245, 245, 67),
        (59, 142, 234),
        (214, 112, 214),
        (41, 184, 219),
        (255, 255, 255),
    ];
    match i {
        0..=15 => NAMED[usize::from(i)],
        16..=231 => {
            let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let i = i - 16;
            (step(i / 36), step(i / 6 % 6), step(i % 6))
        }
        232..=255 => {
            let grey = 8 + 10 * (i - 232);
            (grey, grey, grey)
        }
    }
}

fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
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
    use ratatui::style::Style;

    #[test]
    fn wide_text_does_not_shift_what_follows() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 12, 1));
        buf.set_string(0, 0, "好ab", Style::new().fg(Color::Rgb(1, 2, 3)));
        let picture = svg(&buf, "t");
        assert!(picture.contains(&format!("<text x=\"{W}\"")), "the wide glyph in its cell");
        assert!(picture.contains(&format!("<text x=\"{}\"", W + 2.0 * W)), "ab two cells on");
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
