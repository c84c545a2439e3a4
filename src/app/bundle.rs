//! The tasks that come with the program, and one of the user's own, as a [`Library`].

use super::library::{EvalWish, ItemEntry, LanguageEntry, Library, TaskEntry};
use crate::engine::protocol::{EvalPlan, Item, Protocol, Query, Style};
use crate::error::Result;
use crate::tasks::{BUNDLED, Source};
use crate::tasks::{LANGUAGES, Row, TaskLanguage, prompt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Languages, tasks and items, each read once.
pub struct Bundle {
    languages: Vec<LanguageEntry>,
    entries: Vec<TaskEntry>,
    sources: Vec<Source>,
    rows: Mutex<HashMap<TaskAndLanguage, Arc<Vec<Row>>>>,
}

/// Task id and language code.
type TaskAndLanguage = (String, String);

impl Bundle {
    /// The bundled tasks, and `task` (an id or a file); returns the id to begin with.
    ///
    /// # Errors
    /// The task is not there or its file has faults.
    pub fn with(task: Option<&str>) -> Result<(Self, String)> {
        let chosen = match task {
            Some(name) => Source::find(name)?,
            None => Source::find(BUNDLED[0].id)?,
        };
        let id = chosen.task.id.clone();
        Ok((Self::of(vec![chosen])?, id))
    }

    /// The bundled tasks and these; one with a bundled task's id stands in its place.
    ///
    /// # Errors
    /// None for what is bundled.
    pub fn of(own: Vec<Source>) -> Result<Self> {
        let mut sources: Vec<Source> = BUNDLED.iter().map(|b| Source::find(b.id)).collect::<Result<_>>()?;
        for task in own {
            match sources.iter_mut().find(|s| s.task.id == task.task.id) {
                Some(place) => *place = task,
                None => sources.push(task),
            }
        }
        let entries = sources.iter().map(|s| TaskEntry {
            id: s.task.id.clone(),
            labels: s.task.labels.clone(),
            langs: s.task.languages.iter().map(|l| l.code.clone()).collect(),
        });
        let languages = LANGUAGES.iter().map(|l| LanguageEntry {
            code: l.code.to_owned(),
            own: l.own.to_owned(),
            english: l.name.to_owned(),
            script: l.script.to_owned(),
        });
        let (entries, languages) = (entries.collect(), languages.collect());
        Ok(Self { languages, entries, sources, rows: Mutex::default() })
    }

    /// The code of a language as the user named it; the task's first language without a name.
    ///
    /// # Errors
    /// There is no such language, or the task does not have it.
    pub fn find_language(&self, task: &str, name: Option<&str>) -> Result<String> {
        let source = self.source(task).map_err(crate::Error::usage)?;
        match name {
            Some(name) => source.task.language(name).map(|l| l.code.clone()),
            None => Ok(source.task.languages.first().map(|l| l.code.clone()).unwrap_or_default()),
        }
    }

    fn source(&self, task: &str) -> Result<&Source, String> {
        self.sources.iter().find(|s| s.task.id == task).ok_or_else(|| format!("There is no task {task}."))
    }

    fn rows(&self, task: &str, lang: &str) -> Result<(&Source, &TaskLanguage, Arc<Vec<Row>>), String> {
        let source = self.source(task)?;
        let language = source.task.language(lang).map_err(|e| e.to_string())?;
        let key = (task.to_owned(), lang.to_owned());
        let mut read = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = read.get(&key) {
            return Ok((source, language, rows.clone()));
        }
        let rows = Arc::new(source.rows(language, None, None).map_err(|e| e.to_string())?);
        read.insert(key, rows.clone());
        Ok((source, language, rows))
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|e| &e.id)).finish()
    }
}

impl Library for Bundle {
    fn languages(&self) -> &[LanguageEntry] {
        &self.languages
    }

    fn tasks(&self) -> &[TaskEntry] {
        &self.entries
    }

    fn items(&self, task: &str, lang: &str) -> Result<Vec<ItemEntry>, String> {
        let (source, _, rows) = self.rows(task, lang)?;
        let entries = rows.iter().map(|row| ItemEntry {
            text: row.values.join(" · "),
            gold: source.task.labels.get(row.label).cloned().unwrap_or_default(),
        });
        Ok(entries.collect())
    }

    fn query(
        &self,
        task: &str,
        lang: &str,
        item: usize,
        style: Style,
        protocol: Protocol,
    ) -> Result<Query, String> {
        let (source, language, rows) = self.rows(task, lang)?;
        let row = rows.get(item..=item).ok_or_else(|| format!("There is no item {} in {lang}.", item + 1))?;
        let items = prompt::items(&source.task, language, style, protocol, row).map_err(|e| e.to_string())?;
        items.into_iter().next().map(|i| i.query).ok_or_else(|| "There are no items.".to_owned())
    }

    fn prompts(&self, task: &str, lang: &str, style: Style, protocol: Protocol) -> Result<Vec<Item>, String> {
        let (source, language, rows) = self.rows(task, lang)?;
        prompt::items(&source.task, language, style, protocol, &rows).map_err(|e| e.to_string())
    }

    fn eval_plan(&self, wish: &EvalWish) -> Result<EvalPlan, String> {
        let task = &self.source(&wish.task)?.task;
        let of = |lang: &String| {
            let (_, language, rows) = self.rows(&wish.task, lang)?;
            Ok((language, rows.iter().take(wish.limit.unwrap_or(usize::MAX)).cloned().collect()))
        };
        let langs: Vec<_> = wish.langs.iter().map(of).collect::<Result<_, String>>()?;
        crate::eval::plan(task, &langs, wish.style, wish.protocol, wish.score).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundled_item_makes_a_prompt() {
        let (bundle, task) = Bundle::with(None).unwrap();
        assert_eq!(bundle.languages().len(), 20);
        for lang in bundle.languages().iter().map(|l| l.code.clone()) {
            let items = bundle.items(&task, &lang).unwrap();
            let prompts = bundle.prompts(&task, &lang, Style::Same, Protocol::Default).unwrap();
            assert_eq!((items.len(), prompts.len()), (32, 32), "{lang}");
            let one = bundle.query(&task, &lang, 3, Style::Same, Protocol::Default).unwrap();
            assert_eq!(one, prompts[3].query);
            assert!(!one.prefix.is_empty() && one.text.contains(&items[3].text));
            let langs = vec![lang.clone()];
            let wish = EvalWish { task: task.clone(), langs, limit: Some(8), ..EvalWish::default() };
            let plan = bundle.eval_plan(&EvalWish { style: Style::Same, ..wish }).unwrap();
            let asked: Vec<&str> = plan.langs[0].items.iter().map(|i| i.text.as_str()).collect();
            assert_eq!(asked, prompts[..8].iter().map(|p| p.query.text.as_str()).collect::<Vec<_>>());
        }
        assert!(bundle.query(&task, "th", 99, Style::Same, Protocol::Default).is_err());
        assert_eq!(bundle.find_language(&task, Some("ไทย")).unwrap(), "th");
        assert_eq!(bundle.find_language(&task, Some("tlh")).unwrap_err().exit_code(), 2);
    }
}
