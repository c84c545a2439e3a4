//! A few centred lines: what an empty, waiting or failed pane says.

use crate::ui::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

/// Draws paragraphs in the middle of `area`, wrapped at words; what does not fit at the bottom is left out.
pub fn notice(buf: &mut Buffer, area: Rect, paragraphs: &[(String, Style)]) {
    let area = area.intersection(buf.area);
    let width = usize::from(area.width.saturating_sub(4)).min(72);
    if width == 0 {
        return;
    }
    let lines: Vec<(String, Style)> = paragraphs
        .iter()
        .flat_map(|(content, style)| {
            wrap(&text::harmless(content), width).into_iter().map(move |l| (l, *style))
        })
        .collect();
    let top = area.y + area.height.saturating_sub(lines.len() as u16) / 2;
    for (i, (line, style)) in lines.iter().enumerate().take(usize::from(area.height)) {
        let x = area.x + (area.width - text::width(line) as u16) / 2;
        text::put(buf, area, x, top + i as u16, line, *style);
    }
}

/// Lines of at most `width` columns: broken at spaces, inside a longer piece (scripts without spaces) between
/// its words, and inside a longer word between graphemes.
fn wrap(content: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in content.split_inclusive(' ') {
        if text::width(piece.trim_end()) <= width {
            add(&mut lines, piece, width);
        } else {
            piece.split_word_bounds().for_each(|word| add(&mut lines, word, width));
        }
    }
    lines.iter().map(|l| l.trim_end().to_owned()).collect()
}

/// Appends a word to the last line, or to as many new ones as it needs. Its trailing space may hang over.
fn add(lines: &mut Vec<String>, word: &str, width: usize) {
    let used = lines.last().map_or(0, |l| text::width(l));
    if used > 0 && used + text::width(word.trim_end()) > width {
        lines.push(String::new());
    }
    let mut rest = word;
    while text::width(rest.trim_end()) > width {
        let part = text::truncate(rest, width);
        let part = if part.is_empty() { rest.graphemes(true).next().unwrap_or(rest) } else { part };
        rest = &rest[part.len()..];
        if let Some(line) = lines.last_mut() {
            line.push_str(part);
        }
        lines.push(String::new());
    }
    // A line does not begin with the space that it was broken at.
    if let Some(line) = lines.last_mut()
        && !(line.is_empty() && rest == " ")
    {
        line.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_at_words_and_inside_long_ones() {
        assert_eq!(wrap("press c to compute", 8), ["press c", "to", "compute"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("积极的", 4), ["积极", "的"]);
        assert_eq!(wrap("one two.", 7), ["one", "two."]);
        assert_eq!(wrap("", 4), [""]);
        for text in ["ภาษาไทยไม่มีช่องว่าง", "日本語のテキスト", "a bb ccc dddd"]
        {
            for width in 2..9 {
                assert!(wrap(text, width).iter().all(|l| text::width(l) <= width), "{text} {width}");
            }
        }
    }

    #[test]
    fn odd_sizes_are_harmless() {
        for (w, h) in [(0, 0), (1, 1), (5, 1), (6, 3)] {
            let mut buf = Buffer::empty(Rect::new(0, 0, w, h));
            let area = buf.area;
            notice(&mut buf, area, &[("No 模型 yet\x1b[0m".into(), Style::new())]);
        }
    }
}
