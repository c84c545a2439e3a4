//! Screens as text.

use crate::ui::picture;
use ratatui::buffer::Buffer;

/// The characters of a screen, a line a row, without spaces at the ends of lines.
pub fn screen(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        let line: String = picture::units(buf, y).iter().map(|u| u.cell.symbol()).collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
