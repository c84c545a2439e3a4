//! What the program has to tell: full sentences that stay until dismissed (or, for small news, for a
//! while), in rows of their own so that they cover nothing.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Info,
    Warning,
    Error,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub level: Level,
    pub text: String,
    /// When it goes away by itself.
    until: Option<Duration>,
}

/// The messages, newest last.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    list: Vec<Message>,
}

/// How many are kept.
const MOST: usize = 50;
/// How long small news stays.
const NEWS: Duration = Duration::from_secs(6);

impl Messages {
    /// Small news: goes away by itself.
    pub fn info(&mut self, text: impl Into<String>, now: Duration) {
        self.add(Level::Info, text.into(), Some(now + NEWS));
    }

    /// Something to know: stays until dismissed.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.add(Level::Warning, text.into(), None);
    }

    /// Something failed: stays until dismissed.
    pub fn error(&mut self, text: impl Into<String>) {
        self.add(Level::Error, text.into(), None);
    }

    fn add(&mut self, level: Level, text: String, until: Option<Duration>) {
        // The same sentence twice says nothing more; a newer piece of small news replaces the last.
        self.list.retain(|m| m.text != text && !(level == Level::Info && m.level == Level::Info));
        if self.list.len() >= MOST {
            self.list.remove(0);
        }
        self.list.push(Message { level, text, until });
    }

    /// The message to show: the newest of the gravest.
    pub fn current(&self) -> Option<&Message> {
        self.index().map(|i| &self.list[i])
    }

    fn index(&self) -> Option<usize> {
        let top = self.list.iter().map(|m| m.level).max()?;
        self.list.iter().rposition(|m| m.level == top)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes away the one shown; false if there was none.
    pub fn dismiss(&mut self) -> bool {
        self.index().map(|i| self.list.remove(i)).is_some()
    }

    /// Takes away a sentence that no longer holds.
    pub fn retract(&mut self, text: &str) {
        self.list.retain(|m| m.text != text);
    }

    /// Takes away what has been there long enough.
    pub fn expire(&mut self, now: Duration) {
        self.list.retain(|m| m.until.is_none_or(|t| now < t));
    }

    /// When the next message goes away by itself.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.list.iter().filter_map(|m| m.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stay_and_news_goes() {
        let mut m = Messages::default();
        let s = Duration::from_secs;
        m.error("A file is damaged.");
        m.info("Copied.", s(1));
        assert_eq!(m.current().unwrap().level, Level::Error);
        m.expire(s(8));
        assert_eq!((m.len(), m.next_expiry()), (1, None));
        assert!(m.dismiss() && !m.dismiss());
    }

    #[test]
    fn repeated_sentences_are_one() {
        let mut m = Messages::default();
        for _ in 0..3 {
            m.warn("Two words share a token.");
        }
        assert_eq!(m.len(), 1);
    }
}
