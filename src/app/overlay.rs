//! What can lie over the panes: help, pickers, the palette, a question.

use super::confirm::{Answer, Asked, Confirm};
use super::editor::{Edit, Editor};
use super::keys::{Key, KeyInput};
use super::layout::Area;
use super::picker::{Entry, Picked, Picker};
pub use super::question::Question;
use super::shared::Shared;
use super::{Action, PaneId, action};

/// What a picker chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Language,
    Task,
    Item,
    Model,
    Adapter,
    Recording,
    Palette,
}

/// The overlay on screen.
#[derive(Clone, Debug)]
pub enum Overlay {
    Help {
        scroll: usize,
    },
    Picker(Choice, Box<Picker>),
    Ask {
        what: Question,
        field: Editor,
        candidates: Vec<String>,
    },
    /// A decision about the training run that goes on.
    Confirm(Confirm),
}

/// What a key in an overlay leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Stay,
    Close,
    Picked(Choice, Picked),
    Answered(Question, String),
    Confirmed(Asked, Answer),
    Complete(String),
}

impl Overlay {
    /// A key while the overlay is on screen.
    pub fn key(&mut self, key: KeyInput) -> Outcome {
        match self {
            Self::Help { scroll } => {
                match (key.key, key.ctrl) {
                    (Key::Down | Key::Char('j'), false) => *scroll += 1,
                    (Key::Up | Key::Char('k'), false) => *scroll = scroll.saturating_sub(1),
                    (Key::PageDown | Key::Char(' '), _) | (Key::Char('d' | 'f'), true) => *scroll += 10,
                    (Key::PageUp, _) | (Key::Char('u' | 'b'), true) => *scroll = scroll.saturating_sub(10),
                    (Key::Home | Key::Char('g'), _) => *scroll = 0,
                    (Key::Esc | Key::Enter | Key::Char('?' | 'q'), _) => return Outcome::Close,
                    _ => {}
                }
                Outcome::Stay
            }
            Self::Picker(_, picker) if key.key == Key::Esc => {
                if picker.filter.text().is_empty() {
                    return Outcome::Close;
                }
                picker.set_filter("");
                Outcome::Stay
            }
            Self::Picker(choice, picker) => Outcome::Picked(*choice, picker.key(key)),
            Self::Confirm(confirm) => match confirm.key(key) {
                Some(answer) => Outcome::Confirmed(confirm.asked.clone(), answer),
                None => Outcome::Stay,
            },
            Self::Ask { what, field, candidates } => match key.key {
                Key::Esc => Outcome::Close,
                Key::Enter => Outcome::Answered(*what, field.text().trim().to_owned()),
                Key::Tab if what.takes_path() => Outcome::Complete(field.text().to_owned()),
                _ => {
                    if field.key(key, usize::MAX) == Edit::Changed {
                        candidates.clear();
                    }
                    Outcome::Stay
                }
            },
        }
    }

    /// Pasted text.
    pub fn paste(&mut self, text: &str) {
        match self {
            Self::Help { .. } | Self::Confirm(_) => {}
            Self::Picker(_, picker) => picker.paste(text),
            Self::Ask { field, .. } => field.insert(text.trim_end_matches(['\r', '\n'])),
        }
    }

    /// Where it lies on a screen of this size.
    pub fn area(&self, size: (u16, u16)) -> Area {
        let screen = Area::new(0, 0, size.0, size.1);
        let (width, height) = match self {
            Self::Help { .. } => (88, size.1.saturating_sub(4)),
            Self::Picker(_, picker) => (84, (picker.entries.len() as u16).clamp(6, 24) + 6),
            Self::Confirm(confirm) => (68, confirm.options.len() as u16 + 6),
            Self::Ask { candidates, .. } => (84, 6 + (candidates.len() as u16).min(8)),
        };
        screen.centred(width.min(size.0.saturating_sub(4)), height.min(size.1.saturating_sub(2)))
    }

    /// A picker's rows start this far below its top.
    pub const PICKER_HEAD: u16 = 3;

    /// The picker's row under the cell, given that it lies in `area`.
    pub fn picker_row(&self, area: Area, x: u16, y: u16) -> Option<usize> {
        let Self::Picker(_, picker) = self else { return None };
        let rows = picker_rows(area);
        let inner = area.inner();
        let row = y.checked_sub(area.y + Self::PICKER_HEAD)?;
        if !inner.contains(x, y) || row >= rows {
            return None;
        }
        let first = super::layout::scroll(picker.selected(), picker.len(), rows as usize);
        Some(first + row as usize).filter(|r| *r < picker.len())
    }
}

/// How many rows a picker in `area` shows.
pub fn picker_rows(area: Area) -> u16 {
    area.height.saturating_sub(Overlay::PICKER_HEAD + 2)
}

/// The language picker.
pub fn languages(shared: &Shared) -> Picker {
    let known = shared.library.tasks().iter().find(|t| t.id == shared.task);
    let entries = shared.library.languages().iter();
    let entries = entries.filter(|l| known.is_none_or(|t| t.langs.contains(&l.code))).map(|l| Entry {
        id: l.code.clone(),
        tag: l.code.clone(),
        label: l.own.clone(),
        detail: format!("{} · {}", l.english, l.script),
        marked: l.code == shared.lang,
        words: format!("{} {}", l.english, l.script),
    });
    Picker::new("Language", "type a code or a name", entries.collect())
}

/// The task picker.
pub fn tasks(shared: &Shared) -> Picker {
    let entries = shared.library.tasks().iter().map(|t| Entry {
        id: t.id.clone(),
        label: t.id.clone(),
        detail: format!("{} · {} languages", t.labels.join(" / "), t.langs.len()),
        marked: t.id == shared.task,
        ..Entry::default()
    });
    Picker::new("Task", "type a name", entries.collect())
}

/// The item browser.
pub fn items(shared: &Shared) -> Picker {
    let entries = shared.items.iter().enumerate().map(|(i, item)| Entry {
        id: i.to_string(),
        tag: format!("{:>2}", i + 1),
        label: item.text.clone(),
        detail: item.gold.clone(),
        marked: i == shared.item,
        words: item.gold.clone(),
    });
    let title = format!("Items · {} · {}", shared.task, shared.lang);
    Picker::new(&title, "type part of a text or a label", entries.collect())
}

/// The recordings that come with the program; a file's name may be typed.
pub fn recordings() -> Picker {
    let entries = crate::session::shipped::offers().iter().map(|o| Entry {
        id: o.name.to_owned(),
        label: o.title.clone(),
        detail: super::replay::place::clock(o.lasts),
        words: format!("{} {}", o.name, o.about),
        ..Entry::default()
    });
    let mut picker =
        Picker::new("Replay a recording", "type a name, or the path of a session file", entries.collect());
    picker.free = Some("Replay");
    picker.empty = "type the path of a session file".to_owned();
    picker.footer = "Enter replays it, without a model   Tab completes a path   Esc goes back".to_owned();
    picker
}

/// The palette: every action, with its key.
pub fn palette(pane: PaneId) -> Picker {
    let mut seen = std::collections::HashSet::new();
    let own = action::bindings(pane);
    // Actions of other panes are found too: choosing one goes there.
    let rest = action::KEYS.iter();
    let entries = own.chain(rest).filter(|b| seen.insert(b.description)).map(|b| {
        let place = match b.place {
            action::Where::Pane(p) if p != pane => p.name(),
            _ => "",
        };
        Entry {
            id: action::KEYS.iter().position(|k| std::ptr::eq(k, b)).unwrap_or(0).to_string(),
            tag: b.keys.first().copied().unwrap_or("").to_owned(),
            label: b.description.to_owned(),
            detail: place.to_owned(),
            marked: false,
            words: format!("{:?} {}", b.action, b.hint),
        }
    });
    let entries: Vec<Entry> =
        entries.filter(|e| !is_movement(action::KEYS[e.id.parse::<usize>().unwrap_or(0)].action)).collect();
    Picker::new("Commands", "type a few letters of what you want to do", entries)
}

/// Movements are for keys, not for a list of commands.
fn is_movement(a: Action) -> bool {
    use Action as A;
    matches!(
        a,
        A::Up
            | A::Down
            | A::Left
            | A::Right
            | A::PageUp
            | A::PageDown
            | A::HalfUp
            | A::HalfDown
            | A::First
            | A::Last
            | A::LineStart
            | A::LineEnd
            | A::Back
            | A::Palette
    )
}
