//! Text of every script in a grid of cells: width by grapheme, cutting between graphemes only, and
//! tokens made visible.

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

/// `text` cut to `cells`, ending in `ellipsis` where something was cut.
pub fn fit(text: &str, cells: usize, ellipsis: &str) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mark = width(ellipsis);
    if cells <= mark {
        return prefix(ellipsis, cells).0.to_owned();
    }
    format!("{}{ellipsis}", prefix(text, cells - mark).0)
}

/// `text` cut or filled with spaces on the right to exactly `cells`.
pub fn pad(text: &str, cells: usize, ellipsis: &str) -> String {
    let fitted = fit(text, cells, ellipsis);
    let fill = cells.saturating_sub(width(&fitted));
    fitted + &" ".repeat(fill)
}

/// `text` cut or filled with spaces on the left to exactly `cells`.
pub fn pad_left(text: &str, cells: usize, ellipsis: &str) -> String {
    let fitted = fit(text, cells, ellipsis);
    " ".repeat(cells.saturating_sub(width(&fitted))) + &fitted
}

/// A vocabulary entry made visible: leading and trailing spaces (and U+2581) as `space`, control
/// characters escaped, invisible and bidirectional characters named, a mark with nothing to stand on
/// put on a dotted circle.
pub fn visible_token(token: &str, space: &str) -> String {
    if token.is_empty() {
        return "<empty>".to_owned();
    }
    let core = token.trim_matches([' ', '\u{2581}']);
    let start = core.as_ptr() as usize - token.as_ptr() as usize;
    let (before, after) =
        if core.is_empty() { (token, "") } else { (&token[..start], &token[start + core.len()..]) };
    let spaces = |s: &str| space.repeat(s.chars().count());
    format!("{}{}{}", spaces(before), visible(core), spaces(after))
}

/// Running text made safe for one line of a terminal: as [`visible_token`] without marking spaces.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for g in text.graphemes(true) {
        let first = g.chars().next().unwrap_or(' ');
        if g.width() == 0 && !first.is_control() && !is_invisible(first) {
            out.push('\u{25cc}');
        }
        for c in g.chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '\u{2581}' => out.push(' '),
                '\u{200d}' | '\u{200c}' if g.chars().count() > 1 => out.push(c),
                c if c.is_control() || is_invisible(c) => out.push_str(&format!("<U+{:04X}>", c as u32)),
                c => out.push(c),
            }
        }
    }
    out
}

/// Format characters that show nothing or turn the writing direction around.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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
        assert_eq!(fit("积极的", 4, "…"), "积…");
        assert_eq!(fit("积极的", 5, "…"), "积极…");
        assert_eq!(pad("积极的", 4, "…"), "积… ");
        assert_eq!(prefix("กี่ก", 1).0, "กี่");
        for cells in 0..8 {
            for text in ["积极", "ที่นี่", "é", "a👩‍👩‍👧b", ""] {
                assert!(width(&fit(text, cells, "…")) <= cells);
                assert_eq!(width(&pad_left(text, cells, "…")), cells);
            }
        }
    }

    #[test]
    fn tokens_are_made_visible() {
        assert_eq!(visible_token("▁the", "␣"), "␣the");
        assert_eq!(visible_token("  ", "␣"), "␣␣");
        assert_eq!(visible_token("\n\n", "␣"), "\\n\\n");
        assert_eq!(visible_token("\u{e35}", "␣"), "\u{25cc}\u{e35}");
        assert_eq!(visible_token("<0xE3>", "␣"), "<0xE3>");
        assert_eq!(visible_token("\u{202e}x", "␣"), "<U+202E>x");
        assert_eq!(visible_token("a\u{1b}[31m", "␣"), "a<U+001B>[31m");
        assert_eq!(visible_token("", "␣"), "<empty>");
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
