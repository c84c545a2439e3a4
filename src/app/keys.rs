//! Keys as plain values, and the notation they are written in ("j", "C-d", "S-tab", "space").

use serde::{Deserialize, Serialize};
use std::fmt;

/// Which key, without its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Key {
    Char(char),
    Enter,
    Esc,
    Tab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

/// One key press. For characters, Shift is already in the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyInput {
    pub key: Key,
    pub ctrl: bool,
    pub alt: bool,
    pub shift: bool,
}

const NAMED: &[(&str, Key)] = &[
    ("enter", Key::Enter),
    ("esc", Key::Esc),
    ("tab", Key::Tab),
    ("backspace", Key::Backspace),
    ("del", Key::Delete),
    ("up", Key::Up),
    ("down", Key::Down),
    ("left", Key::Left),
    ("right", Key::Right),
    ("home", Key::Home),
    ("end", Key::End),
    ("pgup", Key::PageUp),
    ("pgdn", Key::PageDown),
    ("space", Key::Char(' ')),
];

impl KeyInput {
    /// A key without modifiers.
    pub fn plain(key: Key) -> Self {
        Self { key, ctrl: false, alt: false, shift: false }
    }

    /// A typed character.
    pub fn char(c: char) -> Self {
        Self::plain(Key::Char(c))
    }

    /// Ctrl and a character.
    pub fn ctrl(c: char) -> Self {
        Self { ctrl: true, ..Self::char(c) }
    }

    /// Reads the notation of the key table: modifiers `C-`, `A-`, `S-`, then a name or one character.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut input = Self::char(' ');
        loop {
            match rest.get(..2) {
                Some("C-") if rest.len() > 2 => input.ctrl = true,
                Some("A-") if rest.len() > 2 => input.alt = true,
                Some("S-") if rest.len() > 2 => input.shift = true,
                _ => break,
            }
            rest = &rest[2..];
        }
        input.key = match NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(rest)) {
            Some((_, key)) => *key,
            None => {
                let mut chars = rest.chars();
                let c = chars.next()?;
                chars.next().is_none().then_some(Key::Char(c))?
            }
        };
        Some(input)
    }

    /// The typed text, where the key is one that inserts something.
    pub fn text(&self) -> Option<char> {
        match self.key {
            Key::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }
}

impl fmt::Display for KeyInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (on, sign) in [(self.ctrl, "C-"), (self.alt, "A-"), (self.shift, "S-")] {
            if on {
                f.write_str(sign)?;
            }
        }
        match (NAMED.iter().find(|(_, key)| *key == self.key), self.key) {
            (Some((name, _)), _) => f.write_str(name),
            (None, Key::Char(c)) => write!(f, "{c}"),
            (None, key) => write!(f, "{key:?}"),
        }
    }
}

/// A run of keys as tests and documentation write it: `"3j<Tab>a<C-d><lt>"`.
pub fn parse_keys(text: &str) -> Vec<KeyInput> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let named = (c == '<').then(|| rest.find('>')).flatten().and_then(|end| {
            let name = &rest[1..end];
            let key = if name == "lt" { Some(KeyInput::char('<')) } else { KeyInput::parse(name) };
            key.map(|k| (k, end + 1))
        });
        let (key, used) = named.unwrap_or((KeyInput::char(c), c.len_utf8()));
        keys.push(key);
        rest = &rest[used..];
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation_round_trips() {
        for text in ["j", "C-d", "S-tab", "space", "enter", "-", "C-c", "?", "ก", "A-x"] {
            let key = KeyInput::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(key.to_string(), text);
        }
        assert_eq!(KeyInput::parse("nokey"), None);
        assert_eq!(KeyInput::parse(""), None);
    }

    #[test]
    fn runs_of_keys() {
        let keys = parse_keys("3j<Tab><C-d><lt><");
        let shown: Vec<String> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["3", "j", "tab", "C-d", "<", "<"]);
    }
}
