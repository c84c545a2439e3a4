//! Text as it is shown: tokens made visible, and widths in terminal cells.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// A token on one line: spaces as U+2581 (as SentencePiece writes them), control characters escaped, a lone
/// combining mark on a dotted circle. Byte tokens come as `<0xE3>` from the tokenizer already.
pub fn token(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 3);
    for (i, c) in text.chars().enumerate() {
        match c {
            ' ' => out.push('\u{2581}'),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || is_invisible(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => {
                if i == 0 && is_combining(c) {
                    out.push('\u{25cc}');
                }
                out.push(c);
            }
        }
    }
    if out.is_empty() { "\u{2205}".into() } else { out }
}

/// Format characters that would be invisible or reorder the line (zero-width, bidirectional controls).
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c), 0xad | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff)
}

/// Whether the character joins onto the one before it (it has no width of its own, or it extends a cluster).
fn is_combining(c: char) -> bool {
    let mut pair = String::from("a");
    pair.push(c);
    pair.graphemes(true).count() == 1
}

/// Width in terminal cells.
pub fn width(text: &str) -> usize {
    text.width()
}

/// At most `cells` wide: cut between grapheme clusters, with `…` where something is missing.
pub fn fit(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for cluster in text.graphemes(true) {
        let w = width(cluster);
        if used + w + 1 > cells {
            break;
        }
        out.push_str(cluster);
        used += w;
    }
    if cells > 0 {
        out.push('…');
    }
    out
}

/// The words on lines of at most `cells` cells (a longer word has a line of its own); lines after the first begin with
/// `indent`. With a final newline.
pub fn wrap(text: &str, cells: usize, indent: &str) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let w = width(word);
        if used > 0 && used + 1 + w > cells {
            out.push('\n');
            out.push_str(indent);
            used = width(indent);
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += w;
    }
    out.push('\n');
    out
}

/// A probability in five characters, so that small ones stay readable: `0.873`, `4e-05`.
pub fn probability(p: f32) -> String {
    if !p.is_finite() {
        "n/a".into()
    } else if p == 0.0 || p >= 0.0005 {
        format!("{p:.3}")
    } else {
        let e = format!("{p:.0e}");
        let (mantissa, exponent) = e.split_once("e-").unwrap_or((&e, "0"));
        format!("{mantissa}e-{exponent:0>2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_visible() {
        assert_eq!(token(" the"), "\u{2581}the");
        assert_eq!(token("\n\t"), "\\n\\t");
        assert_eq!(token("\u{e31}"), "\u{25cc}\u{e31}");
        assert_eq!(token("\u{202e}x"), "\\u{202e}x");
        assert_eq!(token(""), "\u{2205}");
        assert_eq!(token("<0xE3>"), "<0xE3>");
    }

    #[test]
    fn cut_between_clusters() {
        assert_eq!(fit("积极的", 4), "积…");
        assert_eq!(fit("积极", 4), "积极");
        assert_eq!(fit("ที่นี่มี", 2), "ที่…");
        assert_eq!(fit("abc", 0), "");
    }

    #[test]
    fn words_are_wrapped_by_cells() {
        assert_eq!(wrap("a 积极 bc d", 6, "  "), "a 积极\n  bc d\n");
        assert_eq!(wrap("longer than", 3, ""), "longer\nthan\n");
        assert_eq!(wrap("", 10, ""), "\n");
    }

    #[test]
    fn small_probabilities() {
        assert_eq!(probability(0.8731), "0.873");
        assert_eq!(probability(0.0), "0.000");
        assert_eq!(probability(0.000_043), "4e-05");
        assert_eq!(probability(f32::NAN), "n/a");
    }
}
