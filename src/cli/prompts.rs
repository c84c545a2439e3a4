//! From `--task`, `--langs` and `--items` to prompts.

use super::args;
use crate::engine::protocol::{Item, Protocol};
use crate::error::{Error, Result};
use crate::tasks::{self, LANGUAGES, Source, Task, TaskLanguage};

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

/// Reads the task and the items of every language, and makes the prompts.
///
/// # Errors
/// Usage: unknown task or language, no items for a user's own task, one file for several languages. Failed: files
/// that cannot be read or have faults, with file and row.
pub fn gather(wanted: &Wanted) -> Result<Prompts> {
    let source = Source::find(wanted.task)?;
    let task = &source.task;
    let langs = match wanted.langs {
        Some(list) => languages(task, list)?,
        None => only_language(task)?,
    };
    if let Some(template) = &wanted.items.items {
        tasks::items::check_template(template, langs.len())?;
    }
    let of = |language: &&TaskLanguage| {
        let rows = source.rows(language, wanted.items.items.as_deref(), wanted.items.limit)?;
        let items = tasks::prompt::items(task, language, wanted.items.style, wanted.protocol, &rows)?;
        Ok((language.code.clone(), items))
    };
    Ok(Prompts { langs: langs.iter().map(of).collect::<Result<_>>()?, task: task.id.clone() })
}

/// `all` (in the order of the 20, then the task's own) or a list of languages of the task.
///
/// # Errors
/// Usage, naming what is not there and what is.
pub fn languages<'a>(task: &'a Task, list: &str) -> Result<Vec<&'a TaskLanguage>> {
    if list.trim().eq_ignore_ascii_case("all") {
        let place =
            |l: &&TaskLanguage| LANGUAGES.iter().position(|k| k.code == l.code).unwrap_or(LANGUAGES.len());
        let mut all: Vec<&TaskLanguage> = task.languages.iter().collect();
        all.sort_by_key(place);
        return Ok(all);
    }
    let mut found: Vec<&TaskLanguage> = Vec::new();
    for name in list.split(',').filter(|name| !name.trim().is_empty()) {
        let language = task.language(name)?;
        if !found.iter().any(|l| l.code == language.code) {
            found.push(language);
        }
    }
    if found.is_empty() {
        return Err(no_language(task));
    }
    Ok(found)
}

fn only_language(task: &Task) -> Result<Vec<&TaskLanguage>> {
    match task.languages.as_slice() {
        [one] => Ok(vec![one]),
        _ => Err(no_language(task)),
    }
}

fn no_language(task: &Task) -> Error {
    let codes: Vec<&str> = task.languages.iter().map(|l| l.code.as_str()).collect();
    Error::Usage(format!(
        "no language is named: give --lang CODE, or --langs CODE,CODE or all; the task {} has {}",
        task.id,
        codes.join(" ")
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::protocol::Style;

    fn gathered(langs: &str, limit: Option<usize>, items: Option<&str>) -> Result<Prompts> {
        let items = args::Items { style: Style::Same, limit, items: items.map(str::to_owned) };
        let protocol = Protocol::Default;
        gather(&Wanted { task: "sentiment", langs: Some(langs), protocol, items: &items })
    }

    #[test]
    fn bundled_prompts() {
        let prompts = gathered("th,English,th", Some(3), None).unwrap();
        let codes: Vec<&str> = prompts.langs.iter().map(|(l, _)| l.as_str()).collect();
        assert_eq!(codes, ["th", "en"]);
        assert_eq!(prompts.langs[0].1.len(), 3);
        let comparison = prompts.langs[0].1[0].query.comparison.clone().unwrap();
        assert_eq!(comparison.english, ["positive", "negative"]);
        assert!(prompts.langs[0].1[0].query.text.ends_with('"'), "the query ends in an open quote");
        assert_eq!(gathered("all", Some(1), None).unwrap().langs.len(), 20);
    }

    #[test]
    fn own_items_in_several_languages() {
        let dir = tempfile::tempdir().unwrap();
        for (lang, n) in [("de", 3), ("sw", 2)] {
            let rows: Vec<_> =
                (0..n).map(|i| format!("{{\"input\":\"x{i}\",\"answer\":\"negative\"}}")).collect();
            std::fs::write(dir.path().join(format!("i_{lang}.jsonl")), rows.join("\n")).unwrap();
        }
        let template = format!("{}/i_{{lang}}.jsonl", dir.path().display());
        let mut prompts = gathered("de,sw", None, Some(&template)).unwrap();
        assert!(prompts.make_parallel().unwrap().contains("sw has 2 items"));
        assert!(prompts.langs.iter().all(|(_, items)| items.len() == 2));
        assert_eq!(prompts.make_parallel(), None);
        let one = format!("{}/i_de.jsonl", dir.path().display());
        assert_eq!(gathered("de,sw", None, Some(&one)).err().unwrap().exit_code(), 2);
        assert_eq!(gathered("de", None, Some("/no/such.json")).err().unwrap().exit_code(), 1);
    }
}
