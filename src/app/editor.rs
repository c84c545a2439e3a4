//! A text field for every script: one string, a cursor between graphemes, wrapped rows.

use super::keys::{Key, KeyInput};
use super::text::{grapheme_width, rows, width};
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

/// Bytes that one field takes at most; what is pasted beyond is cut off at a grapheme.
pub const MAX_BYTES: usize = 256 * 1024;

/// What a key did to the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    Changed,
    Moved,
    /// The key means nothing to a text field.
    Ignored,
}

/// Text being edited. The cursor is a byte offset that always lies between two graphemes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Editor {
    text: String,
    cursor: usize,
    multiline: bool,
}

impl Editor {
    /// A field with the cursor at the end. Without `multiline`, line breaks become spaces.
    pub fn new(text: &str, multiline: bool) -> Self {
        let mut editor = Self { text: String::new(), cursor: 0, multiline };
        editor.insert(text);
        editor
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The cursor's byte offset.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Replaces everything; the cursor goes to the end.
    pub fn set(&mut self, text: &str) {
        self.text.clear();
        self.cursor = 0;
        self.insert(text);
    }

    /// Inserts typed or pasted text at the cursor: line ends made uniform, control characters left out.
    pub fn insert(&mut self, text: &str) {
        let line_end = if self.multiline { '\n' } else { ' ' };
        let unified = text.replace("\r\n", "\n").replace('\r', "\n");
        let clean: String = unified
            .chars()
            .filter_map(|c| match c {
                '\n' => Some(line_end),
                '\t' if !self.multiline => Some(' '),
                '\t' => Some('\t'),
                c if c.is_control() => None,
                c => Some(c),
            })
            .collect();
        let room = MAX_BYTES.saturating_sub(self.text.len());
        let end = clean.grapheme_indices(true).map(|(i, g)| i + g.len()).take_while(|e| *e <= room).last();
        let part = &clean[..end.unwrap_or(0)];
        self.text.insert_str(self.cursor, part);
        // What was inserted may have joined the grapheme before or after it.
        self.cursor = self.boundary_at_or_after(self.cursor + part.len());
    }

    /// What a key does while the field has the focus; Enter, Esc and Tab are its owner's.
    /// `cells` is the width that the field is wrapped at.
    pub fn key(&mut self, key: KeyInput, cells: usize) -> Edit {
        if let Some(c) = key.text() {
            self.insert(c.encode_utf8(&mut [0; 4]));
            return Edit::Changed;
        }
        let before = self.text.len();
        match (key.key, key.ctrl || key.alt) {
            (Key::Backspace, false) => self.delete_to(self.previous()),
            (Key::Backspace, true) | (Key::Char('w'), true) => self.delete_to(self.word_left()),
            (Key::Delete, _) | (Key::Char('d'), true) => self.delete_to(self.next()),
            (Key::Char('u'), true) => self.delete_to(self.line_start()),
            (Key::Char('k'), true) => self.delete_to(self.line_end()),
            (Key::Left, false) | (Key::Char('b'), true) => self.cursor = self.previous(),
            (Key::Right, false) | (Key::Char('f'), true) => self.cursor = self.next(),
            (Key::Left, true) => self.cursor = self.word_left(),
            (Key::Right, true) => self.cursor = self.word_right(),
            (Key::Home, true) => self.cursor = 0,
            (Key::End, true) => self.cursor = self.text.len(),
            (Key::Home, false) | (Key::Char('a'), true) => self.cursor = self.line_start(),
            (Key::End, false) | (Key::Char('e'), true) => self.cursor = self.line_end(),
            (Key::Up, _) if self.multiline => self.move_rows(-1, cells),
            (Key::Down, _) if self.multiline => self.move_rows(1, cells),
            _ => return Edit::Ignored,
        }
        if self.text.len() == before { Edit::Moved } else { Edit::Changed }
    }

    /// Row and column (in cells) of the cursor when wrapped at `cells`.
    pub fn position(&self, cells: usize) -> (usize, usize) {
        let rows = rows(&self.text, cells);
        // A cursor at a soft break stands at the start of the next row.
        let row = rows.iter().rposition(|r| r.start <= self.cursor).unwrap_or(0);
        (row, width(&self.text[rows[row].start..self.cursor]))
    }

    /// Puts the cursor at a row and column, or as near as there is text (for a click).
    pub fn place(&mut self, row: usize, column: usize, cells: usize) {
        let rows = rows(&self.text, cells);
        let range = rows[row.min(rows.len() - 1)].clone();
        let soft_end = rows.get(row + 1).is_some_and(|next| next.start == range.end);
        let (mut at, mut used) = (range.start, 0);
        for g in self.text[range.clone()].graphemes(true) {
            let w = grapheme_width(g);
            if used + w > column || (soft_end && at + g.len() == range.end) {
                break;
            }
            used += w;
            at += g.len();
        }
        self.cursor = at;
    }

    fn move_rows(&mut self, by: isize, cells: usize) {
        let (row, column) = self.position(cells);
        match row.checked_add_signed(by) {
            Some(to) if to < rows(&self.text, cells).len() => self.place(to, column, cells),
            Some(_) => self.cursor = self.text.len(),
            None => self.cursor = 0,
        }
    }

    fn delete_to(&mut self, to: usize) {
        let (a, b) = (to.min(self.cursor), to.max(self.cursor));
        self.text.replace_range(a..b, "");
        // The parts on both sides may have become one grapheme.
        self.cursor = self.boundary_at_or_after(a);
    }

    fn boundary_at_or_after(&self, at: usize) -> usize {
        let mut cursor = GraphemeCursor::new(at, self.text.len(), true);
        match cursor.is_boundary(&self.text, 0) {
            Ok(true) => at,
            _ => cursor.next_boundary(&self.text, 0).ok().flatten().unwrap_or(self.text.len()),
        }
    }

    fn previous(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(i, _)| i)
    }

    fn next(&self) -> usize {
        self.cursor + self.text[self.cursor..].graphemes(true).next().map_or(0, str::len)
    }

    fn word_left(&self) -> usize {
        let mut words = self.text[..self.cursor].split_word_bound_indices();
        words.rfind(|(_, w)| !w.trim().is_empty()).map_or(0, |(i, _)| i)
    }

    fn word_right(&self) -> usize {
        let mut words = self.text[self.cursor..].split_word_bound_indices();
        words.find(|(_, w)| !w.trim().is_empty()).map_or(self.text.len(), |(i, w)| self.cursor + i + w.len())
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |i| i + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |i| self.cursor + i)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::parse_keys;
    use super::*;

    fn typed(text: &str, keys: &str) -> Editor {
        let mut editor = Editor::new(text, true);
        for key in parse_keys(keys) {
            editor.key(key, 20);
        }
        editor
    }

    #[test]
    fn edits_whole_graphemes() {
        let editor = typed("ที่นี่", "<backspace>");
        assert_eq!(editor.text(), "ที่");
        assert_eq!(typed("👩‍👩‍👧x", "<left><backspace>").text(), "x");
        assert_eq!(typed("积极", "<left>a").text(), "积a极");
        assert_eq!(typed("one two", "<C-w>").text(), "one ");
        assert_eq!(typed("one two", "<C-left><C-u>").text(), "two");
    }

    #[test]
    fn a_joining_mark_moves_the_cursor_behind_the_whole_grapheme() {
        let mut editor = Editor::new("กา", true);
        editor.place(0, 1, 20);
        editor.insert("\u{e35}");
        assert_eq!(editor.text(), "กีา");
        let boundary = editor.text().grapheme_indices(true).any(|(i, _)| i == editor.cursor());
        assert!(boundary || editor.cursor() == editor.text().len());
    }

    #[test]
    fn rows_and_columns() {
        let mut editor = Editor::new("这部电影很好看\nsecond", true);
        assert_eq!(editor.position(6), (3, 6));
        editor.place(0, 3, 6);
        assert_eq!(editor.position(6), (0, 2));
        editor.key(KeyInput::plain(Key::Down), 6);
        assert_eq!(editor.position(6), (1, 2));
        editor.place(99, 99, 6);
        assert_eq!(editor.cursor(), editor.text().len());
    }

    #[test]
    fn pastes_are_cleaned() {
        assert_eq!(Editor::new("a\r\nb\u{1b}[31m\rc", true).text(), "a\nb[31m\nc");
        assert_eq!(Editor::new("a\nb\tc", false).text(), "a b c");
        let huge = "ก".repeat(MAX_BYTES);
        assert!(Editor::new(&huge, true).text().len() <= MAX_BYTES);
    }

    #[test]
    fn random_keys_keep_the_cursor_on_a_boundary() {
        let keys =
            ["<left>", "<right>", "<up>", "<down>", "<backspace>", "<del>", "<C-w>", "<C-k>", "<home>"];
        let inserts = ["ที่", "\u{301}", "👩", "\u{200d}", "积", " ", "\n", "🇹", "🇭"];
        let mut editor = Editor::new("", true);
        let mut seed = 7_u64;
        for _ in 0..4000 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let pick = (seed >> 33) as usize;
            if pick.is_multiple_of(2) {
                editor.insert(inserts[pick / 2 % inserts.len()]);
            } else {
                editor.key(parse_keys(keys[pick / 2 % keys.len()])[0], 7);
            }
            let at = editor.cursor();
            let text = editor.text();
            assert!(at == text.len() || text.grapheme_indices(true).any(|(i, _)| i == at), "{text:?} {at}");
            let (row, column) = editor.position(7);
            assert!(row < rows(text, 7).len() && column <= 8);
        }
    }
}
