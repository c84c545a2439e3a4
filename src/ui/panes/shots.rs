//! Screens as text for the panes' snapshot tests: the characters, and below them which styles stand where.

use crate::app::ThemeKind;
use crate::ui::theme::{Ladder, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

/// Draws into a screen of that size and returns its characters.
pub fn screen(width: u16, height: u16, theme: &Theme, draw: impl FnOnce(&mut Buffer, Rect)) -> String {
    lines(&drawn(width, height, theme, draw))
}

/// Draws into a fresh buffer on the theme's ground.
pub fn drawn(width: u16, height: u16, theme: &Theme, draw: impl FnOnce(&mut Buffer, Rect)) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
    let area = buf.area;
    buf.set_style(area, theme.background());
    draw(&mut buf, area);
    buf
}

/// A buffer's rows, trailing spaces cut off. The hidden half of a wide glyph is left out.
pub fn lines(buf: &Buffer) -> String {
    let mut out = String::new();
    for row in buf.content.chunks(usize::from(buf.area.width).max(1)) {
        let mut line = String::new();
        let mut hidden = 0;
        for cell in row {
            if hidden > 0 {
                hidden -= 1;
                continue;
            }
            line.push_str(cell.symbol());
            hidden = crate::ui::text::width(cell.symbol()).saturating_sub(1);
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// The colours in use, as `count x colour`, most frequent first: changes of style show in a snapshot.
pub fn colours(buf: &Buffer) -> String {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for cell in &buf.content {
        *counts.entry(format!("{} on {} {:?}", cell.fg, cell.bg, cell.modifier)).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    counts.into_iter().take(12).map(|(style, n)| format!("{n} x {style}\n")).collect()
}

/// The themes of the snapshots: dark in full colour, ASCII, and no colour at all.
pub fn themes() -> [(&'static str, Theme); 3] {
    [
        ("dark", Theme::new(ThemeKind::Dark, Ladder::Rgb)),
        ("ascii", Theme::new(ThemeKind::Ascii, Ladder::Rgb)),
        ("nocolour", Theme::new(ThemeKind::Dark, Ladder::None)),
    ]
}

/// A picture of a buffer for the eye: `SHOW=DIR cargo test --lib NAME` writes DIR/name.png.
pub fn show(name: &str, buf: &Buffer) {
    let Some(directory) = std::env::var_os("SHOW") else { return };
    use std::fmt::Write;
    let hex = |c: Color, default: &str| match c {
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        _ => default.to_string(),
    };
    let (w, h) = (buf.area.width as usize, buf.area.height as usize);
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{}' height='{}' font-family='DejaVu Sans Mono' \
         font-size='16.6'><rect width='100%' height='100%' fill='#12151c'/>",
        w * 10,
        h * 20
    );
    for (i, cell) in buf.content.iter().enumerate() {
        let (x, y) = (i % w * 10, i / w * 20);
        let (mut fg, mut bg) = (hex(cell.fg, "#d5d9e2"), hex(cell.bg, "#12151c"));
        if cell.modifier.contains(Modifier::REVERSED) {
            std::mem::swap(&mut fg, &mut bg);
        }
        let width = 10 * crate::ui::text::width(cell.symbol()).max(1);
        if cell.bg != Color::Reset || cell.modifier.contains(Modifier::REVERSED) {
            _ = write!(svg, "<rect x='{x}' y='{y}' width='{width}' height='20.5' fill='{bg}'/>");
        }
        let weight = if cell.modifier.contains(Modifier::BOLD) { "bold" } else { "normal" };
        let line = if cell.modifier.contains(Modifier::UNDERLINED) { "underline" } else { "none" };
        let symbol = cell.symbol().replace('&', "&amp;").replace('<', "&lt;");
        if symbol != " " {
            _ = write!(
                svg,
                "<text x='{x}' y='{}' fill='{fg}' font-weight='{weight}' text-decoration='{line}'>{symbol}</text>",
                y + 15
            );
        }
    }
    svg += "</svg>";
    let mut options = resvg::usvg::Options::default();
    options.fontdb_mut().load_system_fonts();
    let tree = resvg::usvg::Tree::from_str(&svg, &options).expect("a sound picture");
    let mut pixmap = resvg::tiny_skia::Pixmap::new(w as u32 * 10, h as u32 * 20).expect("a size");
    resvg::render(&tree, resvg::tiny_skia::Transform::identity(), &mut pixmap.as_mut());
    pixmap
        .save_png(std::path::Path::new(&directory).join(format!("{name}.png")))
        .expect("a writable directory");
}
