//! A list to choose from, filtered by typing.

use super::editor::{Edit, Editor};
use super::fuzzy;
use super::keys::{Key, KeyInput};

/// One line of a picker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Comes back when it is chosen.
    pub id: String,
    /// Short column on the left: a code, a key, a gold label.
    pub tag: String,
    pub label: String,
    /// Quiet text on the right.
    pub detail: String,
    /// It is the current choice, or switched on.
    pub marked: bool,
    /// More words to find it by.
    pub words: String,
}

/// What a key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picked {
    /// Nothing to tell: the picker stays.
    Stay,
    /// The filter's text changed.
    Filtered,
    /// This entry, or what was typed where nothing matches and free text is allowed.
    Chosen(String),
    /// Remove this entry (C-x), where that means something.
    Removed(String),
    /// Tab: complete what was typed.
    Complete(String),
}

/// State of a picker.
#[derive(Clone, Debug)]
pub struct Picker {
    pub title: String,
    /// What typing does, said beside the empty field.
    pub prompt: String,
    /// One line at the bottom: its keys.
    pub footer: String,
    /// What is said when nothing is there.
    pub empty: String,
    pub filter: Editor,
    pub entries: Vec<Entry>,
    /// Offer what was typed itself, with this verb ("Load").
    pub free: Option<&'static str>,
    matches: Vec<usize>,
    selected: usize,
}

impl Picker {
    /// A picker over these entries, the marked one selected.
    pub fn new(title: &str, prompt: &str, entries: Vec<Entry>) -> Self {
        let selected = entries.iter().position(|e| e.marked).unwrap_or(0);
        let matches = (0..entries.len()).collect();
        Self {
            title: title.to_owned(),
            prompt: prompt.to_owned(),
            footer: String::new(),
            empty: "nothing matches".to_owned(),
            filter: Editor::new("", false),
            entries,
            free: None,
            matches,
            selected,
        }
    }

    /// The rows shown: matching entries, then (as `None`) what was typed itself.
    pub fn rows(&self) -> impl Iterator<Item = Option<&Entry>> {
        let typed = self.offers_typed().then_some(None);
        self.matches.iter().map(|i| self.entries.get(*i)).chain(typed)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.matches.len() + usize::from(self.offers_typed())
    }

    /// Whether no row is shown.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The selected row.
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// The selected entry.
    pub fn current(&self) -> Option<&Entry> {
        self.matches.get(self.selected).and_then(|i| self.entries.get(*i))
    }

    fn offers_typed(&self) -> bool {
        let typed = self.filter.text().trim();
        self.free.is_some() && !typed.is_empty() && !self.entries.iter().any(|e| e.id == typed)
    }

    /// Replaces the entries (they arrived, or one was switched), keeping filter and place.
    pub fn set_entries(&mut self, entries: Vec<Entry>) {
        self.entries = entries;
        self.refilter(self.selected);
    }

    /// Puts text into the filter.
    pub fn set_filter(&mut self, text: &str) {
        self.filter.set(text);
        self.refilter(0);
    }

    fn refilter(&mut self, selected: usize) {
        let texts: Vec<String> =
            self.entries.iter().map(|e| format!("{} {} {} {}", e.tag, e.label, e.words, e.id)).collect();
        self.matches = fuzzy::rank(self.filter.text(), texts.iter().map(String::as_str));
        self.selected = selected.min(self.len().saturating_sub(1));
    }

    /// What a key does; Esc is its owner's.
    pub fn key(&mut self, key: KeyInput) -> Picked {
        match (key.key, key.ctrl) {
            (Key::Enter, _) => return self.choose(),
            (Key::Up, _) | (Key::Char('p'), true) => self.step(-1),
            (Key::Down, _) | (Key::Char('n'), true) => self.step(1),
            (Key::PageUp, _) => self.step(-10),
            (Key::PageDown, _) => self.step(10),
            (Key::Tab, _) => return Picked::Complete(self.filter.text().to_owned()),
            (Key::Char('x'), true) => {
                return self.current().map_or(Picked::Stay, |e| Picked::Removed(e.id.clone()));
            }
            _ => {
                if self.filter.key(key, usize::MAX) == Edit::Changed {
                    self.refilter(0);
                    return Picked::Filtered;
                }
            }
        }
        Picked::Stay
    }

    /// Pasted text goes into the filter.
    pub fn paste(&mut self, text: &str) {
        self.filter.insert(text.trim());
        self.refilter(0);
    }

    /// Moves the selection, stopping at the ends.
    pub fn step(&mut self, by: isize) {
        let last = self.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }

    /// Selects a row, or the last where there are fewer.
    pub fn select(&mut self, row: usize) {
        self.selected = row.min(self.len().saturating_sub(1));
    }

    /// Enter.
    pub fn choose(&self) -> Picked {
        match self.current() {
            Some(e) => Picked::Chosen(e.id.clone()),
            None if self.offers_typed() => Picked::Chosen(self.filter.text().trim().to_owned()),
            None => Picked::Stay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::parse_keys;
    use super::*;

    fn picker() -> Picker {
        let entry = |id: &str, label: &str, marked| Entry {
            id: id.into(),
            tag: id.into(),
            label: label.into(),
            marked,
            ..Entry::default()
        };
        let entries =
            vec![entry("en", "English", false), entry("th", "ไทย", true), entry("zh", "中文", false)];
        Picker::new("Language", "type a code or a name", entries)
    }

    fn press(p: &mut Picker, keys: &str) -> Picked {
        parse_keys(keys).into_iter().map(|k| p.key(k)).last().unwrap_or(Picked::Stay)
    }

    #[test]
    fn starts_at_the_marked_entry_and_filters() {
        let mut p = picker();
        assert_eq!(p.current().unwrap().id, "th");
        assert_eq!(press(&mut p, "中<enter>"), Picked::Chosen("zh".into()));
        assert_eq!(press(&mut p, "<backspace>en<enter>"), Picked::Chosen("en".into()));
        assert_eq!(press(&mut p, "qqq<enter>"), Picked::Stay);
    }

    #[test]
    fn typed_text_can_be_chosen_where_allowed() {
        let mut p = picker();
        p.free = Some("Load");
        assert_eq!(press(&mut p, "/m/x.gguf<enter>"), Picked::Chosen("/m/x.gguf".into()));
        assert_eq!(p.len(), 1);
    }

    #[test]
    fn the_selection_stops_at_the_ends() {
        let mut p = picker();
        press(&mut p, "<up><up><up>");
        assert_eq!(p.selected(), 0);
        press(&mut p, "<pgdn>");
        assert_eq!(p.selected(), 2);
        p.select(9);
        assert_eq!(p.selected(), 2);
    }
}
