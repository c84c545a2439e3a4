//! Colours of cells as a picture needs them: each a red, green and blue.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

/// Colours where a cell names none.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    pub foreground: Rgb,
    pub background: Rgb,
}

impl Ground {
    /// The first cell's background is the screen's; text that names no colour stands out from it.
    pub fn of(buf: &Buffer) -> Self {
        let background = buf.content.first().and_then(|c| rgb(c.bg)).unwrap_or((18, 21, 28));
        let light = u16::from(background.0) + u16::from(background.1) + u16::from(background.2) > 384;
        Self { foreground: if light { (30, 34, 42) } else { (213, 217, 226) }, background }
    }
}

/// A cell's text and ground.
pub fn colours(cell: &Cell, ground: Ground) -> (Rgb, Rgb) {
    let fg = rgb(cell.fg).unwrap_or(ground.foreground);
    let bg = rgb(cell.bg).unwrap_or(ground.background);
    if cell.modifier.contains(Modifier::REVERSED) { (bg, fg) } else { (fg, bg) }
}

/// `None` where the cell leaves it to the screen.
pub fn rgb(color: Color) -> Option<Rgb> {
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

/// As `#1A2B3C`.
pub fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}
