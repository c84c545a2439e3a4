//! Tasks that come with the program, and how a `--task` and its items are found.

use super::items::{self, Row};
use super::languages::distance;
use super::task::{Task, TaskLanguage};
use crate::error::{Error, Result};
use std::path::Path;

/// A task with its items, as embedded in the program.
pub struct Bundled {
    pub id: &'static str,
    /// The task file's text.
    pub toml: &'static str,
    /// Per language code: a JSON array of items.
    pub items: &'static [(&'static str, &'static str)],
}

/// A task with its items in all 20 languages, by its ID.
macro_rules! bundled {
    ($task:literal) => {
        bundled!($task: "en" "zh" "de" "fr" "es" "it" "nl" "ja" "ru" "sv" "sl" "pl" "bg" "no" "ms" "is" "hi" "th" "sw" "bn")
    };
    ($task:literal: $($code:literal)*) => {
        Bundled {
            id: $task,
            toml: include_str!(concat!("../../assets/tasks/", $task, ".toml")),
            items: &[$(($code, include_str!(concat!("../../assets/items/", $task, "/", $code, ".json")))),*],
        }
    };
}

/// All bundled tasks.
pub const BUNDLED: [Bundled; 3] = [bundled!("sentiment"), bundled!("nli"), bundled!("paraphrase")];

impl Bundled {
    /// The task itself.
    ///
    /// # Errors
    /// None for what is bundled (a test reads them all).
    pub fn task(&self) -> Result<Task> {
        Task::parse(self.toml, &format!("bundled:{}", self.id))
    }

    /// How many items there are in a language (the same number in all of them).
    ///
    /// # Errors
    /// None for what is bundled.
    pub fn count(&self) -> Result<usize> {
        let task = self.task()?;
        self.rows(&task, &task.languages[0], None).map(|rows| rows.len())
    }

    fn rows(&self, task: &Task, language: &TaskLanguage, limit: Option<usize>) -> Result<Vec<Row>> {
        let (text, origin) = self.text(language)?;
        items::parse(task, language, text, None, &origin, limit)
    }

    /// The items' text in a language, and how it is called in messages.
    fn text(&self, language: &TaskLanguage) -> Result<(&'static str, String)> {
        let Some((_, text)) = self.items.iter().find(|(code, _)| *code == language.code) else {
            return Err(Error::usage(format!(
                "the bundled items of {} are not there in {}: name a file with --items",
                self.id, language.code
            )));
        };
        Ok((text, format!("bundled:{}/{}", self.id, language.code)))
    }
}

/// A task as the user named it.
pub struct Source {
    pub task: Task,
    bundled: Option<&'static Bundled>,
}

impl Source {
    /// Finds `--task ID|FILE.toml`. A file with the id and the fields of a bundled task may use that one's items.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown id, and what [`Task::open`] says of a file.
    pub fn find(name: &str) -> Result<Self> {
        if let Some(bundled) = BUNDLED.iter().find(|bundled| bundled.id == name) {
            return Ok(Self { task: bundled.task()?, bundled: Some(bundled) });
        }
        let path = Path::new(name);
        let file =
            path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) || path.components().count() > 1;
        if !file && !path.is_file() {
            let near = BUNDLED.iter().find(|bundled| distance(bundled.id, &name.to_lowercase()) <= 2);
            let hint = near.map_or(String::new(), |near| format!("did you mean {}? ", near.id));
            let ids: Vec<&str> = BUNDLED.iter().map(|bundled| bundled.id).collect();
            return Err(Error::usage(format!(
                "there is no task {name:?}: {hint}bundled are {}; a task of your own is named by its file, as in my.toml",
                ids.join(", ")
            )));
        }
        Ok(Self::of(Task::open(path)?))
    }

    /// A task from its file's text; `origin` is shown in errors.
    ///
    /// # Errors
    /// As [`Task::parse`].
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        Task::parse(text, origin).map(Self::of)
    }

    fn of(task: Task) -> Self {
        let same = |bundled: &&Bundled| {
            bundled.id == task.id && bundled.task().is_ok_and(|t| t.fields == task.fields)
        };
        let bundled = BUNDLED.iter().find(same);
        Self { task, bundled }
    }

    /// The items in a language: from `--items`, else the bundled ones; at most `limit`.
    ///
    /// # Errors
    /// As [`items::load`]; [`Error::Usage`] where the task has no items of its own.
    pub fn rows(
        &self,
        language: &TaskLanguage,
        items: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Vec<Row>> {
        match (items, self.bundled) {
            (Some(template), _) => {
                items::load(&self.task, language, &items::path_of(template, &language.code), limit)
            }
            (None, Some(bundled)) => bundled.rows(&self.task, language, limit),
            (None, None) => Err(self.no_items()),
        }
    }

    /// The texts of all items in a language, parallel to the task's fields, and where they are from. No answer is
    /// looked at: what is made of them cannot hold one.
    ///
    /// # Errors
    /// As [`Source::rows`].
    pub fn questions(
        &self,
        language: &TaskLanguage,
        items: Option<&str>,
    ) -> Result<(Vec<Vec<String>>, String)> {
        match (items, self.bundled) {
            (Some(template), _) => {
                let path = items::path_of(template, &language.code);
                Ok((items::questions(&self.task, &path)?, path.display().to_string()))
            }
            (None, Some(bundled)) => {
                let (text, origin) = bundled.text(language)?;
                Ok((items::parse_questions(&self.task, text, None, &origin)?, origin))
            }
            (None, None) => Err(self.no_items()),
        }
    }

    fn no_items(&self) -> Error {
        Error::usage(format!(
            "the task {} comes without items: name a file with --items, with {{lang}} where the language's code \
             stands, as in items_{{lang}}.json",
            self.task.id
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::languages::LANGUAGES;
    use super::*;

    #[test]
    fn every_bundled_task_is_without_fault_and_parallel_in_all_languages() {
        for bundled in &BUNDLED {
            let task = bundled.task().unwrap();
            assert_eq!((task.id.as_str(), task.agnostic.is_some()), (bundled.id, true));
            let codes: Vec<&str> = task.languages.iter().map(|l| l.code.as_str()).collect();
            assert_eq!(codes, LANGUAGES.map(|l| l.code));
            assert_eq!(bundled.items.iter().map(|(code, _)| *code).collect::<Vec<_>>(), codes);
            let source = Source::find(bundled.id).unwrap();
            let golds = |language: &TaskLanguage| -> Vec<usize> {
                source.rows(language, None, None).unwrap().iter().map(|row| row.label).collect()
            };
            let first = golds(&task.languages[0]);
            assert!(first.len() >= 20 && first.len() == bundled.count().unwrap());
            for language in &task.languages {
                assert_eq!(golds(language), first, "{}", language.code);
                assert_eq!(source.rows(language, None, Some(3)).unwrap().len(), 3);
                assert!(!language.shots.is_empty(), "{}", language.code);
            }
        }
    }

    #[test]
    fn a_task_is_found_by_its_id_or_its_file() {
        let error = Source::find("sentimnt").err().unwrap();
        assert!(error.exit_code() == 2 && error.to_string().contains("did you mean sentiment?"), "{error}");
        let error = Source::find("no/such.toml").err().unwrap();
        assert!(
            error.exit_code() == 1 && error.to_string().contains("no/such.toml cannot be opened"),
            "{error}"
        );

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        std::fs::write(&path, BUNDLED[0].toml).unwrap();
        let mine = Source::find(path.to_str().unwrap()).unwrap();
        let language = mine.task.language("zh").unwrap();
        assert_eq!(mine.rows(language, None, Some(2)).unwrap().len(), 2);
        std::fs::write(&path, BUNDLED[0].toml.replace("id = \"sentiment\"", "id = \"mine\"")).unwrap();
        let mine = Source::find(path.to_str().unwrap()).unwrap();
        let error = mine.rows(mine.task.language("zh").unwrap(), None, None).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("--items"), "{error}");
        std::fs::write(dir.path().join("i_zh.json"), "[{\"input\": \"x\", \"answer\": \"好评\"}]").unwrap();
        let template = dir.path().join("i_{lang}.json");
        let rows = mine.rows(mine.task.language("zh").unwrap(), template.to_str(), None).unwrap();
        assert_eq!((rows.len(), rows[0].label), (1, 0));
    }
}
