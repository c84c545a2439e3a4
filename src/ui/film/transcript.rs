//! A session as a text to be read: when, what the user did in words, what the engine answered in a line, notes.

use super::time::said;
use super::{Options, saying, stretch};
use crate::app::action::{self, Where};
use crate::app::keys::Key;
use crate::app::library::Library;
use crate::app::replay::{Input, Track, What, input::KeyName};
use crate::app::text::{rows, width};
use crate::app::{Action, App, MouseKind, PaneId};
use crate::engine::protocol::Event;
use crate::error::Result;
use crate::session::{Header, SessionFile};
use crate::ui::text::harmless;
use std::fmt::Write;
use std::sync::Arc;

/// Columns of the text.
const COLUMNS: usize = 100;
/// Columns before what is said: the time and who speaks.
const MARGIN: usize = 20;

/// The stretch of a session as a text; screens, speed and pauses are not looked at.
///
/// # Errors
/// The stretch makes no sense (usage), or a line of it is damaged.
pub fn transcript(file: &Arc<SessionFile>, library: Arc<dyn Library>, options: &Options) -> Result<String> {
    let to = stretch(options, file.end())?;
    let mut out = heading(&file.header, file.end());
    let mut track = Track::new(file.clone(), library);
    let mut page = Page { out: &mut out, waiting: None };
    while let Some(entry) = track.next().copied().filter(|e| e.t <= to) {
        let line: crate::app::replay::Line = file.line(&entry)?;
        let before = track.app().clone();
        track.step()?;
        let t = entry.t;
        if t < options.from {
            continue;
        }
        match &line.what {
            What::User(Input::Told { text, .. }) => page.say(t, "program", Said::Once(text.clone())),
            What::User(input) => {
                let words = did(input, &before);
                let led = led_to(&before, track.app());
                match (words, led) {
                    (Some(words), Some(led)) => page.say(t, "user", Said::Once(format!("{words}: {led}"))),
                    (Some(words), None) => page.say(t, "user", words),
                    (None, Some(led)) => page.say(t, "user", Said::Once(led)),
                    (None, None) => {}
                }
            }
            What::Event(Event::GridColumn { .. }) => {
                page.say(t, "engine", Said::Again("a column of the grid".into()));
            }
            What::Event(event) => {
                for words in saying::answer(event, track.app()) {
                    page.say(t, "engine", Said::Once(words));
                }
            }
            What::Note(note) => page.say(t, "note", Said::Once(note.text.clone())),
            What::Mark(name) => page.say(t, "mark", Said::Once(name.clone())),
            What::Ask(_) | What::Weights(_) => {}
        }
    }
    page.flush();
    Ok(out)
}

/// What was recorded, of which weights.
fn heading(header: &Header, length: u64) -> String {
    let mut out = String::new();
    let title = if header.title.is_empty() { "A session of polylens" } else { &header.title };
    let _ = writeln!(out, "{}\n{}", harmless(title), "=".repeat(width(&harmless(title)).max(3)));
    if !header.about.is_empty() {
        wrapped(&mut out, &header.about, 0, COLUMNS);
    }
    let from = match header.command.as_str() {
        "" => String::new(),
        command => format!(" by `polylens {command}`"),
    };
    let _ = writeln!(
        out,
        "\nRecorded {}{from}, polylens {}; {} long; seed {}.",
        header.started,
        header.version,
        said(length),
        header.seed
    );
    if let Some(m) = &header.model {
        let _ = write!(out, "Model {}: {}, {} layers, {}", m.name, m.architecture, m.layers, m.dtype);
        hash(&mut out, &m.sha256);
    }
    for a in &header.adapters {
        let _ = write!(out, "Adapter {}: rank {}", a.name, a.rank);
        hash(&mut out, &a.sha256);
    }
    out.push('\n');
    out
}

fn hash(out: &mut String, sha256: &str) {
    if sha256.is_empty() { out.push_str(".\n") } else { _ = writeln!(out, ", SHA-256 {sha256}.") }
}

/// What is said once, or counted when it comes again.
enum Said {
    Once(String),
    Again(String),
    /// Pieces that are put together between quotation marks.
    Typed(String),
}

/// The lines, of which the last may still grow.
struct Page<'a> {
    out: &'a mut String,
    waiting: Option<(u64, &'static str, Said, usize)>,
}

impl Page<'_> {
    fn say(&mut self, t: u64, who: &'static str, said: Said) {
        if let Some((_, speaker, last, times)) = &mut self.waiting
            && *speaker == who
        {
            match (last, &said) {
                (Said::Again(last), Said::Again(new)) if last == new => {
                    *times += 1;
                    return;
                }
                (Said::Typed(last), Said::Typed(new)) => {
                    last.push_str(new);
                    return;
                }
                _ => {}
            }
        }
        self.flush();
        self.waiting = Some((t, who, said, 1));
    }

    fn flush(&mut self) {
        let Some((t, who, words, times)) = self.waiting.take() else { return };
        let words = match words {
            Said::Once(words) => words,
            Said::Again(words) if times > 1 => format!("{words} ({times} times)"),
            Said::Again(words) => words,
            Said::Typed(words) => format!("typed \"{words}\""),
        };
        let _ = write!(self.out, "{:>10}  {who:<8}", said(t));
        let mut text = String::new();
        wrapped(&mut text, &words, MARGIN, COLUMNS);
        self.out.push_str(text.trim_start_matches(' '));
    }
}

/// Wraps text into lines that begin after `margin` columns.
fn wrapped(out: &mut String, text: &str, margin: usize, columns: usize) {
    let text = text.lines().map(harmless).collect::<Vec<_>>().join("\n");
    for row in rows(&text, columns.saturating_sub(margin)) {
        let _ = writeln!(out, "{:margin$}{}", "", text[row].trim_end());
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Once(words) | Self::Again(words) => f.write_str(words),
            Self::Typed(words) => write!(f, "typed \"{words}\""),
        }
    }
}

/// What the user did, in the words of the key table; `None` where nobody did anything.
fn did(input: &Input, app: &App) -> Option<Said> {
    Some(match input {
        Input::Act(action) => Said::Again(words(*action, app.focus)),
        Input::Key(KeyName(key)) => match key.text() {
            Some(c) => Said::Typed(c.to_string()),
            None if matches!(key.key, Key::Enter) => Said::Again("Enter".into()),
            None => Said::Again(format!("key {key}")),
        },
        Input::Paste(text) => Said::Once(format!("pasted \"{text}\"")),
        Input::Mouse { x, y, kind } => match kind {
            MouseKind::Move => return None,
            MouseKind::Click => Said::Once(format!("click at column {}, row {}", x + 1, y + 1)),
            _ => Said::Again("mouse wheel".into()),
        },
        Input::Resize(w, h) => Said::Once(format!("the screen is {w} x {h}")),
        Input::ModelFound { name, found: Err(why) } => Said::Once(format!("{name} was not found: {why}")),
        Input::Catalogue(Err(why)) => Said::Once(why.clone()),
        Input::Saved(Ok(path)) => Said::Once(format!("written to {}", path.display())),
        Input::Saved(Err(why)) => Said::Once(why.clone()),
        Input::Log { updates: Err(why), .. } => Said::Once(why.clone()),
        Input::Log { .. } => Said::Again("the training log went on".into()),
        Input::Told { .. }
        | Input::Tick
        | Input::ModelFound { .. }
        | Input::Catalogue(_)
        | Input::Completions { .. } => {
            return None;
        }
    })
}

/// An action as the key table describes it where the focus is.
fn words(action: Action, focus: PaneId) -> String {
    let row = |place| action::KEYS.iter().find(|b| b.action == action && b.place == place);
    let anywhere = || action::KEYS.iter().find(|b| b.action == action);
    let binding = row(Where::Pane(focus)).or_else(|| row(Where::Everywhere)).or_else(anywhere);
    let description = binding.map_or_else(|| format!("{action:?}"), |b| b.description.to_owned());
    format!("{}: {}", focus.name(), description)
}

/// What is asked about now, where that has changed.
fn led_to(before: &App, after: &App) -> Option<String> {
    let place = |app: &App| {
        let s = &app.shared;
        (s.task.clone(), s.lang.clone(), s.item, s.style, s.protocol, app.query.source)
    };
    if before.focus != after.focus && place(before) == place(after) {
        return Some(format!("{} has the focus", after.focus.name()));
    }
    if place(before) == place(after) {
        return None;
    }
    let s = &after.shared;
    if after.query.source == crate::app::panes::query::Source::Free {
        return Some("a free text".into());
    }
    Some(format!("{}, {}, item {}", s.task, s.lang, s.item + 1))
}
