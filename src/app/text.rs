//! Text of every script in a grid of cells, as far as the state needs it: width by grapheme, wrapping
//! between graphemes only, and quantities as people read them.

use std::ops::Range;
use std::time::Duration;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Cells that a string takes on a terminal (graphemes measured whole).
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(grapheme_width).sum()
}

/// Cells of one grapheme: at most 2, whatever its parts add up to.
pub fn grapheme_width(grapheme: &str) -> usize {
    match grapheme {
        "\t" => 1,
        g => g.width().min(2),
    }
}

/// The rows that `text` takes at a width of `cells`, as byte ranges: broken after spaces where there
/// are any, else between graphemes. A line break in the text ends its row and belongs to no row.
/// Never empty.
pub fn rows(text: &str, cells: usize) -> Vec<Range<usize>> {
    let cells = cells.max(2);
    let mut out = Vec::new();
    let mut at = 0;
    for line in text.split('\n') {
        wrap_line(line, at, cells, &mut out);
        at += line.len() + 1;
    }
    out
}

fn wrap_line(line: &str, offset: usize, cells: usize, out: &mut Vec<Range<usize>>) {
    // `start` of the row, the last place where it may break, and the cells up to there.
    let (mut start, mut used) = (0, 0);
    let (mut break_at, mut used_at_break) = (0, 0);
    for (at, g) in line.grapheme_indices(true) {
        let w = grapheme_width(g);
        // A space may hang over the edge: it ends the row that it follows.
        if used + w > cells && g != " " {
            let cut = if break_at > start { break_at } else { at };
            let kept = if break_at > start { used - used_at_break } else { 0 };
            out.push(offset + start..offset + cut);
            (start, used) = (cut, kept);
        }
        used += w;
        if g == " " {
            (break_at, used_at_break) = (at + 1, used);
        }
    }
    out.push(offset + start..offset + line.len());
}

/// Bytes as people read them: "242 MB" (decimal units).
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 999.5 && unit < 4 {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 99.95);
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// A duration as people read it: "850 ms", "2.5 s", "12 s", "3 min 05 s", "2 h 10 min".
pub fn duration(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0 => format!("{} ms", d.as_millis()),
        1..=9 => format!("{:.1} s", d.as_secs_f64()),
        10..=59 => format!("{s} s"),
        60..=3599 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

/// A time on a clock: "1:23", "1:02:03".
pub fn clock(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..=3599 => format!("{}:{:02}", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, cells: usize) -> Vec<&str> {
        rows(text, cells).into_iter().map(|r| &text[r]).collect()
    }

    #[test]
    fn widths_of_many_scripts() {
        assert_eq!(width("positive"), 8);
        assert_eq!(width("积极"), 4);
        assert_eq!(width("ที่"), 1);
        assert_eq!(width("👩‍👩‍👧"), 2);
    }

    #[test]
    fn rows_keep_every_byte_and_every_grapheme_whole() {
        let text = "The film was a joy.\n\nภาพยนตร์เรื่องนี้สนุกมาก 这部电影很好看，我喜欢它。\n";
        for cells in [2, 5, 9, 40] {
            let rows = rows(text, cells);
            let mut at = 0;
            for row in &rows {
                assert!(row.start == at || &text[at..row.start] == "\n", "{cells}: {row:?} after {at}");
                assert!(width(text[row.clone()].trim_end()) <= cells, "{cells}: {row:?}");
                at = row.end;
            }
            assert_eq!(at, text.len());
        }
    }

    #[test]
    fn breaks_fall_after_spaces() {
        assert_eq!(lines("a b c", 3), ["a b ", "c"]);
        assert_eq!(lines("ab cdefgh", 4), ["ab ", "cdef", "gh"]);
        assert_eq!(lines("", 10), [""]);
        assert_eq!(lines("积极的", 4), ["积极", "的"]);
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
