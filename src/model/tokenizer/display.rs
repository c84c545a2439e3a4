//! Byte-level pieces as readable text.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// GPT-2's table: printable Latin-1 characters stand for their own byte, the other 68 bytes are
/// spelled U+0100 onwards in ascending order.
static BYTES: LazyLock<HashMap<char, u8>> = LazyLock::new(|| {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let others = (0..=255).filter(|b| !printable(*b)).zip('\u{100}'..);
    (0..=255u8)
        .filter(|b| printable(*b))
        .map(|b| (char::from(b), b))
        .chain(others.map(|(b, c)| (c, b)))
        .collect()
});

/// A byte-level piece as text; bytes that are no whole character are shown as <0xE3>.
pub(super) fn byte_level(piece: &str) -> String {
    let Some(bytes) = piece.chars().map(|c| BYTES.get(&c).copied()).collect::<Option<Vec<u8>>>() else {
        // Not spelled in bytes at all: an added token, shown as it is.
        return piece.to_owned();
    };
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "<0x{byte:02X}>");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_characters_or_are_named() {
        assert_eq!(BYTES.len(), 256);
        assert_eq!(byte_level("Ġpositive"), " positive");
        assert_eq!(byte_level("Ċ"), "\n");
        assert_eq!(byte_level("ç§¯"), "积");
        assert_eq!(byte_level("ç§"), "<0xE7><0xA7>");
        assert_eq!(byte_level("a¯Ġb"), "a<0xAF> b");
        assert_eq!(byte_level("日本"), "日本");
    }
}
