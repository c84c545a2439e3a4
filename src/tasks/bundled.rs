//! The tasks that come with the program: their files and items, compiled in.

use super::{Row, Task, TaskLanguage, items};
use crate::error::{Error, Result};
use std::path::Path;

/// A bundled task as text.
struct Bundled {
    id: &'static str,
    toml: &'static str,
    /// Language code and its items.
    items: &'static [(&'static str, &'static str)],
}

macro_rules! bundled {
    ($id:literal: $($lang:literal)*) => {
        Bundled {
            id: $id,
            toml: include_str!(concat!("../../assets/tasks/", $id, ".toml")),
            items: &[$(
                ($lang, include_str!(concat!("../../assets/items/", $id, "/", $lang, ".json")))
            ),*],
        }
    };
}

const TASKS: [Bundled; 1] =
    [bundled!("sentiment": "en" "zh" "de" "fr" "es" "it" "nl" "ja" "ru" "sv" "sl" "pl" "bg"
    "no" "ms" "is" "hi" "th" "sw" "bn")];

/// The IDs of the bundled tasks.
pub fn ids() -> impl Iterator<Item = &'static str> {
    TASKS.iter().map(|t| t.id)
}

/// Whether a task of that name is bundled.
pub fn is_bundled(id: &str) -> bool {
    ids().any(|known| known == id)
}

/// A bundled task by its ID, or the task in a file.
///
/// # Errors
/// [`Error::Usage`] where it is neither, naming the bundled ones; what [`Task::open`] says of a file.
pub fn find(id_or_file: &str) -> Result<Task> {
    if let Some(task) = TASKS.iter().find(|t| t.id == id_or_file) {
        return Task::parse(task.toml, task.id);
    }
    let path = Path::new(id_or_file);
    if path.exists() {
        return Task::open(path);
    }
    let known: Vec<&str> = ids().collect();
    Err(Error::Usage(format!(
        "{id_or_file} is neither a bundled task ({}) nor a file; name one, or write a task file and pass its path",
        known.join(", ")
    )))
}

/// The bundled items of a task in a language, at most `limit`.
///
/// # Errors
/// [`Error::Usage`] where the task is the user's own: its items come from `--items`.
pub fn rows(task: &Task, language: &TaskLanguage, limit: Option<usize>) -> Result<Vec<Row>> {
    let found = TASKS.iter().find(|t| t.id == task.id);
    let text = found.and_then(|t| t.items.iter().find(|(code, _)| *code == language.code));
    let Some((code, text)) = text else {
        return Err(Error::Usage(format!(
            "the task {} brings no items in {}: pass --items FILE (or with {{lang}} in the name)",
            task.id, language.code
        )));
    };
    items::parse(task, language, text, None, &format!("bundled {} items ({code})", task.id), limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::LANGUAGES;

    #[test]
    fn all_languages_are_there_and_parallel() {
        for id in ids() {
            let task = find(id).unwrap();
            let mut gold: Option<Vec<usize>> = None;
            for language in LANGUAGES.iter().map(|l| task.language(l.code).unwrap()) {
                let rows = rows(&task, language, None).unwrap();
                assert_eq!(rows.len(), 32, "{id} {}", language.code);
                let labels: Vec<usize> = rows.iter().map(|r| r.label).collect();
                assert_eq!(labels.iter().filter(|l| **l == 0).count(), 16, "{id} {}", language.code);
                assert_eq!(gold.get_or_insert_with(|| labels.clone()), &labels, "{id} {}", language.code);
            }
        }
    }

    #[test]
    fn unknown_tasks_name_the_known() {
        let e = find("sentimant").unwrap_err();
        assert_eq!(e.exit_code(), 2);
        assert!(e.to_string().contains("sentiment"), "{e}");
    }
}
