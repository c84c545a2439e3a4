//! One line of a session after its header.

use crate::engine::protocol::{Command, Event};
use serde::de::{self, DeserializeOwned, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// A caption: shown from its time on, for [`Note::for_ms`] or as long as it takes to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    pub text: String,
    /// How long it is shown, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Written after the recording: its line stands at the end of the file, whatever its time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub later: bool,
}

/// A model or adapter that came into use: what it is, so that a replay can be verified against the same weights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// `None`: the model; `Some(i)`: the i-th adapter.
    pub adapter: Option<usize>,
    pub name: String,
    /// SHA-256 over the files' names and contents, or over an adapter's weights, in hexadecimal.
    pub sha256: String,
}

/// What happened. `U` is what the interface was told besides the engine's events.
#[derive(Clone, Debug, PartialEq)]
pub enum What<U> {
    /// The user did something, or the world answered the interface.
    User(U),
    /// The engine was asked.
    Ask(Command),
    /// The engine answered.
    Event(Event),
    Note(Note),
    /// A place to jump to, by its name.
    Mark(String),
    Weights(Weights),
}

/// A line: what happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<U> {
    /// Milliseconds since the recording began.
    pub t: u64,
    pub what: What<U>,
}

impl<U: Serialize> Serialize for Line<U> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        // The time first: a reader finds it without parsing the rest.
        map.serialize_entry("t", &self.t)?;
        match &self.what {
            What::User(user) => map.serialize_entry("user", user)?,
            What::Ask(command) => map.serialize_entry("ask", command)?,
            What::Event(event) => map.serialize_entry("event", event)?,
            What::Note(note) => map.serialize_entry("note", note)?,
            What::Mark(name) => map.serialize_entry("mark", name)?,
            What::Weights(weights) => map.serialize_entry("weights", weights)?,
        }
        map.end()
    }
}

const FIELDS: &[&str] = &["t", "user", "ask", "event", "note", "mark", "weights"];

struct LineVisitor<U>(PhantomData<U>);

impl<'de, U: DeserializeOwned> Visitor<'de> for LineVisitor<U> {
    type Value = Line<U>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object with a time t and one of user, ask, event, note, mark, weights")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line<U>, A::Error> {
        let (mut t, mut what) = (None, None);
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if (key == "t" && t.is_some()) || (key != "t" && what.is_some()) {
                return Err(de::Error::custom(format_args!(
                    "{key} is one too many: a line has a time and one thing"
                )));
            }
            match &*key {
                "t" => t = Some(map.next_value()?),
                "user" => what = Some(What::User(map.next_value()?)),
                "ask" => what = Some(What::Ask(map.next_value()?)),
                "event" => what = Some(What::Event(map.next_value()?)),
                "note" => what = Some(What::Note(map.next_value()?)),
                "mark" => what = Some(What::Mark(map.next_value()?)),
                "weights" => what = Some(What::Weights(map.next_value()?)),
                other => return Err(de::Error::unknown_field(other, FIELDS)),
            }
        }
        let t = t.ok_or_else(|| de::Error::missing_field("t"))?;
        let what = what.ok_or_else(|| de::Error::custom("nothing stands beside the time"))?;
        Ok(Line { t, what })
    }
}

impl<'de, U: DeserializeOwned> Deserialize<'de> for Line<U> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor(PhantomData))
    }
}
