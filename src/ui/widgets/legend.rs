//! A legend: marks and names, wrapped over as many rows as there are.

use crate::ui::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// One entry of a legend.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub mark: char,
    pub mark_style: Style,
    pub name: &'a str,
    pub name_style: Style,
}

/// Draws the entries left to right from the top of `area`, wrapping; ends in an ellipsis where they do
/// not fit. Returns how many rows were used.
pub fn legend(buf: &mut Buffer, area: Rect, entries: &[Entry], ascii: bool) -> u16 {
    let area = area.intersection(buf.area);
    if area.is_empty() || entries.is_empty() {
        return 0;
    }
    let (mut x, mut y) = (area.x, area.y);
    for (i, entry) in entries.iter().enumerate() {
        let needed = 2 + text::width(entry.name) as u16;
        if x > area.x && x + needed > area.right() {
            if y + 1 == area.bottom() {
                let more = format!("+{}", entries.len() - i);
                let at = x.min(area.right().saturating_sub(more.len() as u16));
                text::put(buf, area, at, y, &more, entry.name_style);
                break;
            }
            (x, y) = (area.x, y + 1);
        }
        let mut mark = [0; 4];
        x = text::put(buf, area, x, y, entry.mark.encode_utf8(&mut mark), entry.mark_style);
        let room = usize::from(area.right().saturating_sub(x + 1));
        let name = text::ellipsize(entry.name, room, ascii);
        x = text::put(buf, area, x + 1, y, &name, entry.name_style) + 2;
    }
    y - area.y + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry<'_> {
        Entry { mark: '*', mark_style: Style::new(), name, name_style: Style::new() }
    }

    #[test]
    fn wraps_and_says_how_many_are_left_out() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 12, 2));
        let area = buf.area;
        let names = ["loss", "eval", "rate", "speed", "time"];
        let entries: Vec<Entry> = names.into_iter().map(entry).collect();
        assert_eq!(legend(&mut buf, area, &entries, false), 2);
        assert_eq!(buf, Buffer::with_lines(["* loss      ", "* eval  +3  "]));
    }

    #[test]
    fn small_areas_and_wide_names() {
        let entries = [entry("日本語"), entry("ไทย")];
        for (w, h) in [(0, 0), (1, 1), (3, 1), (4, 3)] {
            let mut buf = Buffer::empty(Rect::new(0, 0, w, h));
            let area = buf.area;
            assert!(legend(&mut buf, area, &entries, false) <= h);
        }
        let mut buf = Buffer::empty(Rect::new(0, 0, 6, 1));
        let area = buf.area;
        legend(&mut buf, area, &entries[..1], false);
        assert_eq!(buf, Buffer::with_lines(["* 日… "]));
    }
}
