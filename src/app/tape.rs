//! Recording, as the app sees it: what it asks for, what is shown of it.

use super::action::Action;
use super::question::Question;
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
