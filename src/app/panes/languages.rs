//! Which languages are shown, and the list they are chosen from.

use crate::app::action::Action;
use crate::app::library::Library;
use crate::tasks::LANGUAGES;

/// Named sets of languages; `None`: all there are.
pub const PRESETS: [(&str, Option<&[&str]>); 3] = [
    ("the paper's four: en de fr hi", Some(&["en", "de", "fr", "hi"])),
    ("the paper's seven: en de fr hi th sw ms", Some(&["en", "de", "fr", "hi", "th", "sw", "ms"])),
    ("all languages", None),
];

/// The chosen languages; the paper's four unless changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen(Vec<String>);

impl Default for Chosen {
    fn default() -> Self {
        Self(PRESETS[0].1.unwrap_or_default().iter().map(|c| (*c).to_owned()).collect())
    }
}

impl Chosen {
    /// Every language.
    pub fn all() -> Self {
        Self(LANGUAGES.iter().map(|l| l.code.to_owned()).collect())
    }

    /// These languages.
    pub fn of(codes: &[&str]) -> Self {
        Self(codes.iter().map(|c| (*c).to_owned()).collect())
    }

    /// Whether a language is chosen.
    pub fn has(&self, code: &str) -> bool {
        self.0.iter().any(|c| c == code)
    }

    /// Codes of the chosen languages, in the library's order.
    pub fn codes(&self, library: &dyn Library) -> Vec<String> {
        let languages = library.languages().iter().map(|l| l.code.clone());
        languages.filter(|c| self.has(c)).collect()
    }

    /// Chooses a language, or leaves it out.
    pub fn toggle(&mut self, code: &str) {
        match self.0.iter().position(|c| c == code) {
            Some(at) => _ = self.0.remove(at),
            None => self.0.push(code.to_owned()),
        }
    }

    /// Chooses one of [`PRESETS`].
    pub fn preset(&mut self, preset: usize, library: &dyn Library) {
        self.0 = match PRESETS.get(preset).and_then(|p| p.1) {
            Some(codes) => codes.iter().map(|c| (*c).to_owned()).collect(),
            None => library.languages().iter().map(|l| l.code.clone()).collect(),
        };
    }

    /// Whether the choice is exactly that preset.
    pub fn is_preset(&self, preset: usize, library: &dyn Library) -> bool {
        let mut other = self.clone();
        other.preset(preset, library);
        other.codes(library) == self.codes(library)
    }
}

/// The open list: the presets, then every language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageList {
    pub selected: usize,
    /// False once it is to be closed.
    pub open: bool,
}

impl LanguageList {
    /// A list on the first chosen language.
    pub fn new(chosen: &Chosen, library: &dyn Library) -> Self {
        let first = library.languages().iter().position(|l| chosen.has(&l.code)).unwrap_or(0);
        Self { selected: PRESETS.len() + first, open: true }
    }

    /// Moves and toggles; false where the action means nothing in a list.
    pub fn on_action(&mut self, action: Action, chosen: &mut Chosen, library: &dyn Library) -> bool {
        let last = PRESETS.len() + library.languages().len().saturating_sub(1);
        match action {
            Action::Up => self.selected = self.selected.saturating_sub(1),
            Action::Down => self.selected = (self.selected + 1).min(last),
            Action::HalfUp | Action::PageUp => self.selected = self.selected.saturating_sub(5),
            Action::HalfDown | Action::PageDown => self.selected = (self.selected + 5).min(last),
            Action::First => self.selected = 0,
            Action::Last => self.selected = last,
            Action::Play | Action::Open => match self.selected.checked_sub(PRESETS.len()) {
                None => chosen.preset(self.selected, library),
                Some(i) => {
                    if let Some(language) = library.languages().get(i) {
                        chosen.toggle(&language.code);
                    }
                }
            },
            Action::ToggleLanguages | Action::Compute | Action::Back => self.open = false,
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::panes::fixtures::FakeLibrary;

    #[test]
    fn presets_and_single_languages() {
        let library = FakeLibrary::new(2, &[]);
        let mut chosen = Chosen::default();
        assert!(chosen.is_preset(0, &library) && !chosen.is_preset(1, &library));
        let mut list = LanguageList::new(&chosen, &library);
        let press = |list: &mut LanguageList, chosen: &mut Chosen, actions: &[Action]| {
            actions.iter().for_each(|a| assert!(list.on_action(*a, chosen, &library)))
        };
        press(&mut list, &mut chosen, &[Action::Down, Action::Play]);
        assert_eq!(chosen.codes(&library), ["en", "zh", "de", "fr", "hi"]);
        press(&mut list, &mut chosen, &[Action::First, Action::Down, Action::Open]);
        assert!(chosen.is_preset(1, &library));
        press(&mut list, &mut chosen, &[Action::Down, Action::Open]);
        assert_eq!(chosen.codes(&library).len(), 20);
        press(&mut list, &mut chosen, &[Action::Last, Action::Open, Action::PageDown, Action::Back]);
        assert!(!chosen.has("bn") && !list.open);
        assert!(!list.on_action(Action::Left, &mut chosen, &library));
    }
}
