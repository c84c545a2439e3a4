//! The lines of a script.

use super::Until;
use crate::app::KeyInput;
use crate::app::keys::parse_keys;
use crate::engine::protocol::{Protocol, Style};
use crate::error::{Error, Result};
use std::time::Duration;

/// What the explorer begins with, and what is done then.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    pub title: String,
    pub about: String,
    pub model: Option<String>,
    pub adapters: Vec<String>,
    pub task: Option<String>,
    pub lang: Option<String>,
    pub style: Style,
    pub protocol: Protocol,
    pub size: Option<(u16, u16)>,
    /// With the numbers of their lines.
    pub steps: Vec<(usize, Step)>,
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Keys, one a pace.
    Keys(Vec<KeyInput>),
    /// Characters typed into a field, four a pace.
    Type(String),
    Paste(String),
    Wait(Duration),
    /// Waits for the engine, at most so long.
    Until(Until, Duration),
    /// A caption; with `true` the script goes on when it has been read.
    Note(String, Duration, bool),
    Mark(String),
    /// Time between two keys.
    Pace(Duration),
    /// So many seconds pass in one of the recording.
    Speed(f64),
    /// The recording begins here: what was before is there when it begins.
    Record,
}

/// How long `until` waits where its line says nothing.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest caption, in characters.
pub const CAPTION: usize = 120;

impl Script {
    /// Reads a script; `name` is for messages.
    ///
    /// # Errors
    /// A line that means nothing: the sentence names it.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut script = Self::default();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let number = i + 1;
            let at = |why: String| Error::usage(format!("{name}: line {number}: {why}"));
            if script.setting(word, rest.trim()).map_err(at)? {
                if !script.steps.is_empty() {
                    let why =
                        format!("{word} says what the session begins with; it stands above the first step");
                    return Err(Error::usage(format!("{name}: line {number}: {why}")));
                }
            } else {
                script.steps.push((number, step(word, rest.trim()).map_err(at)?));
            }
        }
        match script.steps.is_empty() {
            true => Err(Error::usage(format!("{name}: nothing is done in this script: it has no steps"))),
            false => Ok(script),
        }
    }

    /// Takes a setting; false for a step.
    fn setting(&mut self, word: &str, rest: &str) -> Result<bool, String> {
        let text = || some(word, rest).map(str::to_owned);
        match word {
            "title" => self.title = text()?,
            "about" => self.about = text()?,
            "model" => self.model = Some(text()?),
            "adapter" => self.adapters.push(text()?),
            "task" => self.task = Some(text()?),
            "lang" => self.lang = Some(text()?),
            "style" => self.style = named(word, rest)?,
            "protocol" => self.protocol = named(word, rest)?,
            "size" => self.size = Some(size(rest)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A width and a height that a terminal may have, as in `160 48` or `160x48`.
///
/// # Errors
/// A sentence.
pub fn size(text: &str) -> Result<(u16, u16), String> {
    let mut parts = text.split([' ', 'x']).filter(|p| !p.is_empty()).map(str::parse::<u16>);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(w @ 20..=500)), Some(Ok(h @ 5..=200)), None) => Ok((w, h)),
        _ => Err(format!("{text:?} is no size: columns (20 to 500) and rows (5 to 200), as in 160x48")),
    }
}

fn some<'a>(word: &str, rest: &'a str) -> Result<&'a str, String> {
    if rest.is_empty() { Err(format!("{word} needs something after it")) } else { Ok(rest) }
}

/// One of an enum's names.
fn named<T: serde::de::DeserializeOwned>(word: &str, rest: &str) -> Result<T, String> {
    serde_json::from_value(rest.into()).map_err(|e| format!("{word} {rest}: {e}"))
}

fn seconds(text: &str, most: f64) -> Result<Duration, String> {
    let number = text.parse::<f64>().ok().filter(|s| (0.0..=most).contains(s));
    number
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{text:?} is no time: seconds from 0 to {most}"))
}

fn step(word: &str, rest: &str) -> Result<Step, String> {
    Ok(match word {
        "keys" => Step::Keys(keys(some(word, rest)?)?),
        "type" => Step::Type(some(word, rest)?.to_owned()),
        "paste" => Step::Paste(some(word, rest)?.replace("\\n", "\n")),
        "wait" => Step::Wait(seconds(rest, 3600.0)?),
        "until" => until(some(word, rest)?)?,
        "note" | "say" => {
            let (long, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let long = seconds(long, 600.0)?;
            let text = some("a caption", text.trim())?;
            let n = text.chars().count();
            if n > CAPTION {
                return Err(format!("a caption has at most {CAPTION} characters, this one {n}"));
            }
            Step::Note(text.to_owned(), long, word == "say")
        }
        "mark" => Step::Mark(some(word, rest)?.to_owned()),
        "pace" => Step::Pace(seconds(rest, 60.0)?),
        "speed" => {
            let speed = rest.parse::<f64>().ok().filter(|s| (0.1..=100.0).contains(s));
            Step::Speed(speed.ok_or_else(|| format!("{rest:?} is no speed: a number from 0.1 to 100"))?)
        }
        "record" => Step::Record,
        other => {
            return Err(format!(
                "there is no {other:?}; a step is one of keys, type, paste, wait, until, say, note, mark, pace, \
                 speed, record"
            ));
        }
    })
}

fn keys(text: &str) -> Result<Vec<KeyInput>, String> {
    // A name that is none would be typed letter by letter.
    for part in text.split('<').skip(1) {
        if let Some((name, _)) = part.split_once('>')
            && name != "lt"
            && KeyInput::parse(name).is_none()
        {
            return Err(format!("there is no key <{name}>; < itself is written <lt>"));
        }
    }
    Ok(parse_keys(&text.replace(' ', "")))
}

fn until(rest: &str) -> Result<Step, String> {
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    let within = match words.iter().position(|w| *w == "within") {
        Some(at) => {
            let text = words.get(at + 1).copied().unwrap_or_default();
            words.truncate(at);
            seconds(text, 7200.0)?
        }
        None => PATIENCE,
    };
    Ok(Step::Until(Until::parse(&words)?, within))
}
