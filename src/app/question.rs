//! What the explorer asks its user to type.

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    WriteTo,
    Track,
    TrainingLog,
    /// The file of a recording.
    RecordTo,
    /// A note in the recording.
    NoteText,
    /// The name of a place in the recording.
    MarkName,
}

impl Question {
    /// Whether it is about the recording, and left out of it.
    pub fn about_tape(self) -> bool {
        matches!(self, Self::RecordTo | Self::NoteText | Self::MarkName)
    }

    /// Whether a path is asked for.
    pub fn takes_path(self) -> bool {
        matches!(self, Self::WriteTo | Self::TrainingLog | Self::RecordTo)
    }

    /// What is asked.
    pub fn title(self) -> &'static str {
        match self {
            Self::WriteTo => "Write to the file",
            Self::Track => "Words to follow through the layers",
            Self::TrainingLog => "Training log to follow",
            Self::RecordTo => "Record this session to the file",
            Self::NoteText => "A note, shown as a caption from now on",
            Self::MarkName => "Name this place of the recording",
        }
    }

    /// What may be typed.
    pub fn help(self) -> &'static str {
        match self {
            Self::WriteTo => {
                "a file name; .json for data, .txt for text, .svg for a picture of the screen. Enter writes, Esc goes back"
            }
            Self::Track => "words separated by commas, in any language. Enter follows them, Esc goes back",
            Self::TrainingLog => {
                "trainer_log.jsonl, trainer_state.json or a run's directory. Tab completes, Enter opens"
            }
            Self::RecordTo => {
                "a new file; what led here is at its beginning. Enter records, Ctrl-r ends it, Esc goes back"
            }
            Self::NoteText => {
                "a short sentence; it is seen in the replay alone. Enter adds it, Esc goes back"
            }
            Self::MarkName => "a few words; a replay can jump there. Enter adds it, Esc goes back",
        }
    }
}
