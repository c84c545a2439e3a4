//! Whether a line's input can be; see [`crate::session::sane`] for the engine's part.

use super::{Input, What};
use crate::session::Note;
use crate::session::sane::{Known, Sane, count, size, text};
use crate::train::log::{LogRecord, Update};

/// Bytes that can be pasted.
const PASTE: usize = 1 << 20;
/// Numbers of a log beyond this are damaged.
const NUMBER: f64 = 1e15;

/// Whether a line can be taken in by an app that knows so much.
///
/// # Errors
/// What in it cannot be.
pub fn what(what: &What, known: Known) -> Sane {
    match what {
        What::User(input) => self::input(input),
        What::Ask(command) => known.command(command),
        What::Event(event) => known.event(event),
        What::Note(Note { text: t, .. }) => text("the note", t),
        What::Mark(name) => text("the mark", name),
        What::Weights(weights) => text("the name", &weights.name),
    }
}

fn input(input: &Input) -> Sane {
    match input {
        Input::Resize(width, height) => size(*width, *height),
        Input::Paste(pasted) if pasted.len() > PASTE => {
            Err(format!("{} kB of text were not pasted", pasted.len() >> 10))
        }
        Input::Log { updates: Ok(updates), .. } => updates.iter().try_for_each(update),
        Input::Log { updates: Err(message), .. }
        | Input::ModelFound { found: Err(message), .. }
        | Input::Catalogue(Err(message))
        | Input::Saved(Err(message)) => text("the sentence", message),
        Input::Catalogue(Ok(entries)) => entries.iter().try_for_each(|e| {
            count("bytes", e.download)
                .and_then(|()| text("the name", &e.name))
                .and_then(|()| text("it", &e.summary))
        }),
        Input::Completions { typed, candidates } => {
            text("a path", typed).and_then(|()| candidates.iter().try_for_each(|c| text("a path", c)))
        }
        _ => Ok(()),
    }
}

fn update(update: &Update) -> Sane {
    match update {
        Update::Record(record) => counts(record),
        Update::Damaged { line, reason } => count("line", *line).and_then(|()| text("the reason", reason)),
        Update::Waiting { what } => text("the sentence", what),
        Update::Status { age_s, read, size } => {
            number("age", Some(*age_s))?;
            count("bytes", *read).and_then(|()| count("bytes", *size))
        }
        Update::Restarted { .. } => Ok(()),
    }
}

fn number(what: &str, value: Option<f64>) -> Sane {
    match value {
        Some(v) if !v.is_nan() && !(0.0..=NUMBER).contains(&v) => Err(format!("{what} {v} is out of range")),
        _ => Ok(()),
    }
}

fn counts(r: &LogRecord) -> Sane {
    number("step", r.step)?;
    number("total", r.total_steps)?;
    number("time", r.elapsed_s)?;
    number("time", r.remaining_s)?;
    number("percentage", r.percentage)
}
