//! From `--task`, `--langs` and `--items` to prompts.

use super::args;
use crate::engine::protocol::{Item, Protocol};
use crate::error::Result;

/// What is asked for.
pub struct Wanted<'a> {
    /// ID or file.
    pub task: &'a str,
    /// `--lang` or `--langs` as typed.
    pub langs: Option<&'a str>,
    pub protocol: Protocol,
    pub items: &'a args::Items,
}

/// A task's prompts by language.
pub struct Prompts {
    /// The task's ID.
    pub task: String,
    /// Language code and items, in the order asked for.
    pub langs: Vec<(String, Vec<Item>)>,
}

pub fn gather(wanted: &Wanted) -> Result<Prompts> {
    let _ = (wanted.task, wanted.langs, wanted.protocol, wanted.items);
    Err(crate::error::Error::failed("tasks not merged yet"))
}

impl Prompts {
    /// Cuts all languages to the items that every one of them has, so that item i is the same everywhere.
    /// The sentence to say if something was cut.
    pub fn make_parallel(&mut self) -> Option<String> {
        let counts = self.langs.iter().map(|(_, items)| items.len());
        let (least, most) = (counts.clone().min()?, counts.max()?);
        if least == most {
            return None;
        }
        let short: Vec<&str> =
            self.langs.iter().filter(|(_, items)| items.len() == least).map(|(l, _)| l.as_str()).collect();
        let sentence = format!(
            "{} has {least} items, other languages have up to {most}: the first {least} of each are compared",
            short.join(", ")
        );
        for (_, items) in &mut self.langs {
            items.truncate(least);
        }
        Some(sentence)
    }
}
