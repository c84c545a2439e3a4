//! Text of any script in terminal cells: measured by grapheme, never cut through one, made harmless.

use ratatui::buffer::{Buffer, CellWidth};
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::borrow::Cow;
use std::fmt::Write as _;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthChar;

/// Most characters of one grapheme that are shown: stacked marks beyond that only cost the terminal time.
const MAX_CLUSTER: usize = 12;

/// Columns that one grapheme takes, counted as ratatui's buffer counts them. Control characters take none.
fn cluster_width(grapheme: &str) -> usize {
    if grapheme.contains(char::is_control) { 0 } else { usize::from(grapheme.cell_width()) }
}

/// Whether every byte is a visible ASCII character or a space: each takes a column, and none joins another.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// Columns that `text` takes on the terminal.
pub fn width(text: &str) -> usize {
    if is_plain(text) {
        return text.len();
    }
    text.graphemes(true).map(cluster_width).sum()
}

/// The longest prefix of whole graphemes that takes at most `max` columns.
pub fn truncate(text: &str, max: usize) -> &str {
    if is_plain(text) {
        return &text[..max.min(text.len())];
    }
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += cluster_width(grapheme);
        if used > max {
            return &text[..at];
        }
    }
    text
}

/// `text` in at most `max` columns; where something had to go, it ends in an ellipsis (`~` in ASCII).
pub fn ellipsize(text: &str, max: usize, ascii: bool) -> Cow<'_, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    if max == 0 {
        return Cow::Borrowed("");
    }
    let mark = if ascii { '~' } else { '…' };
    Cow::Owned(format!("{}{mark}", truncate(text, max - 1)))
}

/// Exactly `columns` wide: shortened with an ellipsis, or filled with spaces on the right.
pub fn fit(text: &str, columns: usize, ascii: bool) -> String {
    let mut out = ellipsize(text, columns, ascii).into_owned();
    let missing = columns.saturating_sub(width(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// As [`fit`], filled on the left: for numbers.
pub fn fit_right(text: &str, columns: usize, ascii: bool) -> String {
    let out = ellipsize(text, columns, ascii);
    let missing = columns.saturating_sub(width(&out));
    format!("{:missing$}{out}", "")
}

/// Writes `text` at (x, y), clipped to `area`, blanking the other half of a wide glyph that it cuts.
/// Returns the column after the last one written.
pub fn put(buf: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
    let area = area.intersection(buf.area);
    if y < area.top() || y >= area.bottom() || x < area.left() || x >= area.right() || text.is_empty() {
        return x;
    }
    if x > buf.area.left() && buf[(x - 1, y)].symbol().cell_width() > 1 {
        buf[(x - 1, y)].set_symbol(" ");
    }
    let room = usize::from(area.right() - x);
    if !is_plain(text) {
        return buf.set_stringn(x, y, text, room, style).0;
    }
    let end = x + room.min(text.len()) as u16;
    let row = buf.index_of(x, y);
    for (cell, sign) in buf.content[row..].iter_mut().zip(text.bytes()).take(room) {
        cell.set_char(char::from(sign)).set_style(style);
    }
    end
}

/// As [`put`], ending at the right edge of `area`.
pub fn put_right(buf: &mut Buffer, area: Rect, y: u16, text: &str, style: Style) -> u16 {
    let text = truncate(text, usize::from(area.width));
    let x = area.right().saturating_sub(width(text) as u16);
    put(buf, area, x, y, text, style);
    x
}

/// A character that draws nothing by itself, or turns the direction of what follows.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00A0}' | '\u{00AD}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{2000}'..='\u{200F}' | '\u{2028}'..='\u{202F}' | '\u{205F}'..='\u{206F}' | '\u{3000}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// A combining mark (it attaches to the character before it).
fn is_mark(c: char) -> bool {
    if c.is_ascii() || c.is_control() || is_invisible(c) {
        return false;
    }
    let mut buffer = [0; 5];
    buffer[0] = b'a';
    let length = c.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..=length]).is_ok_and(|pair| pair.graphemes(true).nth(1).is_none())
}

/// A token's text as shown in a cell: spaces visible, control and invisible characters by name, a lone
/// combining mark on a dotted circle, parts of an emoji sequence side by side. Byte tokens (`<0xE3>`) stay.
/// With `ascii`, signs that this function adds are ASCII (the token's own script is kept).
pub fn token(text: &str, ascii: bool) -> String {
    if text.is_empty() {
        return if ascii { "''".into() } else { "∅".into() };
    }
    visible(text, if ascii { "_" } else { "␣" }, true)
}

/// Running text made harmless in the same way, its spaces left as they are; a tab becomes a space.
pub fn harmless(text: &str) -> String {
    visible(text, " ", false)
}

fn visible(text: &str, space: &str, escapes: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for cluster in text.graphemes(true) {
        let emoji = cluster.contains('\u{200D}') && cluster.chars().any(|c| c.width() == Some(2));
        let joined = cluster.chars().filter(|c| !is_invisible(*c) && !c.is_control()).count() > 1;
        for (i, c) in cluster.chars().enumerate() {
            match c {
                _ if i == MAX_CLUSTER => {
                    out.push('~');
                    break;
                }
                '\n' if escapes => out.push_str("\\n"),
                '\t' if escapes => out.push_str("\\t"),
                '\r' if escapes => out.push_str("\\r"),
                '\n' | '\t' | '\r' => out.push(' '),
                c if c.is_control() => _ = write!(out, "\\x{:02X}", u32::from(c)),
                '\u{200D}' if emoji => out.push('+'),
                // Joiners shape the letters of some scripts: between letters they are part of the text.
                '\u{200C}' | '\u{200D}' if joined => out.push(c),
                // A variation selector after its base changes the width on some terminals only.
                '\u{FE00}'..='\u{FE0F}' if i > 0 => {}
                c if is_invisible(c) => _ = write!(out, "<U+{:04X}>", u32::from(c)),
                ' ' => out.push_str(space),
                c if is_mark(c) => {
                    if i == 0 || cluster.starts_with(' ') && i == 1 {
                        out.push('\u{25CC}');
                    }
                    out.push(c);
                }
                c if c.width().unwrap_or(0) == 0 && i == 0 => _ = write!(out, "<U+{:04X}>", u32::from(c)),
                c => out.push(c),
            }
        }
    }
    out
}

/// A duration in whole seconds as `12s`, `3m04s`, `1h02m`, `2d03h`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "-".into();
    }
    let s = seconds as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3600),
    }
}

/// A count in at most five characters: `999`, `1.2k`, `45k`, `3.4M`.
pub fn count(n: f64) -> String {
    let a = n.abs();
    match a {
        _ if !n.is_finite() => "-".into(),
        _ if a < 999.5 => format!("{n:.0}"),
        _ if a < 9_950.0 => format!("{:.1}k", n / 1e3),
        _ if a < 999_500.0 => format!("{:.0}k", n / 1e3),
        _ if a < 9.95e6 => format!("{:.1}M", n / 1e6),
        _ if a < 999.5e6 => format!("{:.0}M", n / 1e6),
        _ => format!("{:.1}G", n / 1e9),
    }
}

/// A number in the field's usual short form: `0.123`, `12.3`, `3.2e-5`; `-` where it is not finite.
pub fn number(v: f64) -> String {
    let a = v.abs();
    match a {
        _ if !v.is_finite() => "-".into(),
        0.0 => "0".into(),
        _ if !(1e-3..1e5).contains(&a) => {
            let text = format!("{v:.1e}");
            text.replace(".0e", "e")
        }
        _ if a < 10.0 => format!("{v:.3}"),
        _ if a < 100.0 => format!("{v:.2}"),
        _ if a < 1000.0 => format!("{v:.1}"),
        _ => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [&str; 8] = [
        "积极的情感分析",
        "ポジティブな感想です",
        "ภาษาไทยไม่มีช่องว่าง ที่สุด",
        "सकारात्मक भावना क्षत्रिय",
        "ইতিবাচক অনুভূতি প্রশ্ন",
        "👩‍👩‍👧‍👦 family 🇹🇭 flag ❤️",
        "e\u{301}\u{302}a plain",
        "半角ｶﾞｷﾞ",
    ];

    #[test]
    fn prefixes_are_whole_graphemes_and_fit() {
        for text in SAMPLES {
            let boundaries: Vec<usize> =
                text.grapheme_indices(true).map(|(i, _)| i).chain([text.len()]).collect();
            for max in 0..=width(text) + 2 {
                let cut = truncate(text, max);
                assert!(width(cut) <= max && boundaries.contains(&cut.len()), "{text:?} at {max}");
                // One more grapheme would not have fitted.
                if let Some(next) = boundaries.iter().find(|b| **b > cut.len()) {
                    assert!(width(&text[..*next]) > max, "{text:?} at {max} gave {cut:?}");
                }
                assert_eq!(width(&fit(text, max, false)), max);
                assert_eq!(width(&fit_right(text, max, true)), max);
                assert!(width(&ellipsize(text, max, false)) <= max);
            }
        }
    }

    #[test]
    fn width_is_what_the_buffer_uses() {
        for text in SAMPLES {
            let mut buf = Buffer::empty(Rect::new(0, 0, 80, 1));
            let (end, _) = buf.set_stringn(0, 0, text, 80, Style::default());
            assert_eq!(usize::from(end), width(text), "{text:?}");
            let shown = token(text, false);
            let (end, _) = buf.set_stringn(0, 0, &shown, 80, Style::default());
            assert_eq!(usize::from(end), width(&shown), "{shown:?}");
        }
    }

    #[test]
    fn plain_text_is_put_as_any_other() {
        let style = Style::new().fg(ratatui::style::Color::Red);
        for text in ["", " ", "plain ~ text", "with\ttab", "積 and", "\u{301}x"] {
            for (x, room) in [(0, 20), (3, 4), (19, 1), (20, 5)] {
                let mut ours = Buffer::with_lines(["積積積積積積積積積積"; 2]);
                let mut theirs = ours.clone();
                let area = Rect::new(0, 0, (x + room).min(20), 2);
                let end = put(&mut ours, area, x, 1, text, style);
                if x < 20 && !text.is_empty() {
                    if x > 0 && theirs[(x - 1, 1)].symbol().cell_width() > 1 {
                        theirs[(x - 1, 1)].set_symbol(" ");
                    }
                    let room = usize::from(area.right() - x);
                    assert_eq!(end, theirs.set_stringn(x, 1, text, room, style).0, "{text:?}");
                }
                assert_eq!(ours, theirs, "{text:?} at {x}");
            }
        }
    }

    #[test]
    fn wide_glyphs_are_not_halved() {
        assert_eq!(truncate("积极", 3), "积");
        assert_eq!(fit("积极", 3, false), "积…");
        assert_eq!(fit("积极", 4, false), "积极");
        assert_eq!(fit("积极", 2, true), "~ ");
        let mut buf = Buffer::empty(Rect::new(0, 0, 6, 1));
        let area = buf.area;
        put(&mut buf, area, 0, 0, "积极积", Style::default());
        put(&mut buf, area, 3, 0, "x", Style::default());
        assert_eq!(buf[(2, 0)].symbol(), " ");
        assert_eq!(buf[(3, 0)].symbol(), "x");
        // The third glyph would need columns 4 and 5; at 5 there is one column only.
        assert_eq!(put(&mut buf, area, 5, 0, "极", Style::default()), 5);
        assert_eq!(put(&mut buf, area, 9, 9, "x", Style::default()), 9);
    }

    #[test]
    fn tokens_show_what_is_in_them() {
        for (text, shown) in [
            (" positive", "␣positive"),
            ("  ", "␣␣"),
            ("\n\n", "\\n\\n"),
            ("\r\n", "\\r\\n"),
            ("\x1b[31m", "\\x1B[31m"),
            ("\u{85}", "\\x85"),
            ("<0xE3>", "<0xE3>"),
            ("\u{0E49}", "\u{25CC}\u{0E49}"),
            ("\u{093F}", "\u{25CC}\u{093F}"),
            ("\u{09CD}", "\u{25CC}\u{09CD}"),
            (" \u{0E49}", "␣\u{25CC}\u{0E49}"),
            ("\u{200D}", "<U+200D>"),
            ("\u{202E}abc", "<U+202E>abc"),
            ("\u{FEFF}", "<U+FEFF>"),
            ("\u{3000}", "<U+3000>"),
            ("👩\u{200D}👧", "👩+👧"),
            ("❤\u{FE0F}", "❤"),
            ("क्\u{200D}ष", "क्\u{200D}ष"),
            ("", "∅"),
            ("ที่", "ที่"),
        ] {
            assert_eq!(token(text, false), shown, "{text:?}");
        }
        assert_eq!(token(" a", true), "_a");
        assert_eq!(harmless("a b\tc\x07"), "a b c\\x07");
        let zalgo: String = std::iter::once('a').chain(std::iter::repeat_n('\u{301}', 5000)).collect();
        assert!(token(&zalgo, false).chars().count() <= MAX_CLUSTER + 1);
    }

    #[test]
    fn no_token_can_reach_the_terminal_as_control() {
        for code in 0..0x11_0000_u32 {
            let Some(c) = char::from_u32(code) else { continue };
            let shown = token(&c.to_string(), false);
            assert!(!shown.contains(char::is_control), "U+{code:04X}");
            assert!(width(&shown) > 0, "U+{code:04X} shows nothing");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!((duration(754.0).as_str(), duration(f64::NAN).as_str()), ("12m34s", "-"));
        assert_eq!((duration(3720.0).as_str(), duration(100_000.0).as_str()), ("1h02m", "1d03h"));
        assert_eq!((count(999.0).as_str(), count(1234.0).as_str()), ("999", "1.2k"));
        assert_eq!((count(45_300.0).as_str(), count(3.44e6).as_str()), ("45k", "3.4M"));
        assert_eq!((number(5e-5).as_str(), number(0.1234).as_str()), ("5e-5", "0.123"));
        assert_eq!((number(f64::INFINITY).as_str(), number(12.345).as_str()), ("-", "12.35"));
    }
}
