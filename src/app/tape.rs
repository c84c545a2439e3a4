//! Recording, as the app sees it: what it asks for, what is shown of it, and what is left out of it.

use super::overlay::{Overlay, Question};
use super::{Action, App, Msg};
use std::path::PathBuf;

/// What the user wants of a recording. The app keeps no state of it: a replay must not differ by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tape {
    /// Begin one, or end the one that goes on.
    Toggle,
    /// Ask for a note's text.
    AskNote,
    /// Ask for a mark's name.
    AskMark,
    /// Begin, into this file.
    Begin(PathBuf),
    Note(String),
    Mark(String),
}

/// What the status line says of a recording that goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapeSign {
    /// Milliseconds that were recorded.
    pub ms: u64,
    /// The file's size.
    pub bytes: u64,
}

impl Tape {
    /// What an action asks of a recording.
    pub fn of(action: Action) -> Option<Self> {
        match action {
            Action::Record => Some(Self::Toggle),
            Action::AddNote => Some(Self::AskNote),
            Action::AddMark => Some(Self::AskMark),
            _ => None,
        }
    }

    /// What an answered question asks of a recording; an empty answer asks for nothing.
    pub fn answer(question: Question, text: &str) -> Option<Self> {
        let text = text.to_owned();
        match question {
            _ if text.is_empty() => None,
            Question::RecordTo => Some(Self::Begin(PathBuf::from(text))),
            Question::NoteText => Some(Self::Note(text)),
            Question::MarkName => Some(Self::Mark(text)),
            Question::WriteTo | Question::Track | Question::TrainingLog => None,
        }
    }
}

impl App {
    /// Whether a message is about the recording itself: it changes nothing but what lies over the panes, and whoever
    /// watches a replay shall not see a note being typed.
    pub fn about_tape(&self, msg: &Msg) -> bool {
        let asked = matches!(&self.overlay, Some(Overlay::Ask { what, .. }) if what.about_tape());
        match msg {
            Msg::Ask { .. } => true,
            Msg::Key(key) => asked || self.meaning(*key).and_then(Tape::of).is_some(),
            Msg::Act(action) => Tape::of(*action).is_some(),
            Msg::Paste(_) | Msg::Mouse { .. } => asked,
            _ => false,
        }
    }
}
