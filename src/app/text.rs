//! Text of every script in a grid of cells, as far as the state needs it: width by grapheme, wrapping
//! between graphemes only, and quantities as people read them.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Cells that a string takes on a terminal (graphemes measured whole).
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(grapheme_width).sum()
}

/// Cells of one grapheme: at most 2, whatever its parts add up to.
pub fn grapheme_width(grapheme: &str) -> usize {
    grapheme.width().min(2)
}

/// The longest prefix of whole graphemes within `cells`, and the cells that it takes.
pub fn prefix(text: &str, cells: usize) -> (&str, usize) {
    let (mut end, mut used) = (0, 0);
    for (at, g) in text.grapheme_indices(true) {
        let w = grapheme_width(g);
        if used + w > cells {
            break;
        }
        used += w;
        end = at + g.len();
    }
    (&text[..end], used)
}

/// `text` broken into lines of at most `cells`, at spaces where there are any, else between
/// graphemes; line breaks in the text are kept. Never empty.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(2);
    text.split('\n').flat_map(|line| wrap_line(line, cells)).collect()
}

fn wrap_line(line: &str, cells: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut current, mut used) = (String::new(), 0);
    for word in line.split_word_bounds() {
        let w = width(word);
        if used + w <= cells {
            current.push_str(word);
            used += w;
            continue;
        }
        if used > 0 {
            lines.push(std::mem::take(&mut current));
            used = 0;
        }
        if word.trim().is_empty() {
            continue;
        }
        let mut rest = word;
        while width(rest) > cells {
            let (part, _) = prefix(rest, cells);
            lines.push(part.to_owned());
            rest = &rest[part.len()..];
        }
        current.push_str(rest);
        used = width(rest);
    }
    lines.push(current);
    lines
}

/// Bytes as people read them: "242 MB" (decimal units).
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 999.5 && unit < 4 {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.5 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A duration as people read it: "850 ms", "12 s", "3 min 05 s", "2 h 10 min".
pub fn duration(d: std::time::Duration) -> String {
    let s = d.as_secs();
    match s {
        0 => format!("{} ms", d.as_millis()),
        1..=9 => format!("{:.1} s", d.as_secs_f64()),
        10..=59 => format!("{s} s"),
        60..=3599 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn widths_of_many_scripts() {
        assert_eq!(width("positive"), 8);
        assert_eq!(width("积极"), 4);
        assert_eq!(width("ที่"), 1);
        assert_eq!(width("👩‍👩‍👧"), 2);
        assert_eq!(width("हिन्दी"), "हिन्दी".graphemes(true).map(|g| g.width().min(2)).sum::<usize>());
    }

    #[test]
    fn cutting_never_splits_a_grapheme() {
        assert_eq!(prefix("กี่ก", 1).0, "กี่");
    }

    #[test]
    fn wrapping_keeps_everything_within_the_width() {
        let text = "The film was a joy.\nภาพยนตร์เรื่องนี้สนุกมาก 这部电影很好看，我喜欢它。";
        for cells in [2, 5, 9, 40] {
            let lines = wrap(text, cells);
            assert!(lines.iter().all(|l| width(l) <= cells), "{cells}: {lines:?}");
        }
        assert_eq!(wrap("a b c", 3), ["a b", "c"]);
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn units() {
        assert_eq!(bytes(241_410_000), "241 MB");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(29_000_000_000), "29.0 GB");
        assert_eq!(duration(Duration::from_millis(850)), "850 ms");
        assert_eq!(duration(Duration::from_secs(185)), "3 min 05 s");
    }
}
