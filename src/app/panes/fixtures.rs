//! Hand-made state for the panes' tests: a library of 20 languages, a model, an adapter.

use crate::app::library::{EvalWish, ItemEntry, LanguageEntry, Library, TaskEntry};
use crate::app::shared::{Adapter, Cx, Effect, Jobs, Shared};
use crate::engine::protocol::*;
use std::sync::Arc;
use std::time::Duration;

const LANGUAGES: [(&str, &str, &str); 20] = [
    ("en", "English", "English"),
    ("zh", "中文", "Chinese"),
    ("de", "Deutsch", "German"),
    ("fr", "français", "French"),
    ("es", "español", "Spanish"),
    ("it", "italiano", "Italian"),
    ("nl", "Nederlands", "Dutch"),
    ("ja", "日本語", "Japanese"),
    ("ru", "русский", "Russian"),
    ("sv", "svenska", "Swedish"),
    ("sl", "slovenščina", "Slovenian"),
    ("pl", "polski", "Polish"),
    ("bg", "български", "Bulgarian"),
    ("no", "norsk", "Norwegian"),
    ("ms", "Bahasa Melayu", "Malay"),
    ("is", "íslenska", "Icelandic"),
    ("hi", "हिन्दी", "Hindi"),
    ("th", "ไทย", "Thai"),
    ("sw", "Kiswahili", "Swahili"),
    ("bn", "বাংলা", "Bengali"),
];

/// A library with one task of `n` items, in all languages but those in `without`.
#[derive(Debug)]
pub struct FakeLibrary {
    languages: Vec<LanguageEntry>,
    tasks: Vec<TaskEntry>,
    n: usize,
}

impl FakeLibrary {
    /// The library.
    pub fn new(n: usize, without: &[&str]) -> Self {
        let entry = |(code, own, english): &(&str, &str, &str)| LanguageEntry {
            code: (*code).into(),
            own: (*own).into(),
            english: (*english).into(),
            script: "Latin".into(),
        };
        let languages: Vec<LanguageEntry> = LANGUAGES.iter().map(entry).collect();
        let codes = languages.iter().map(|l| l.code.clone()).filter(|c| !without.contains(&c.as_str()));
        let labels = vec!["positive".into(), "negative".into()];
        let tasks = vec![TaskEntry { id: "sentiment".into(), labels, langs: codes.collect() }];
        Self { languages, tasks, n }
    }

    /// Another task that is like the first.
    pub fn add_task(&mut self, id: &str) {
        self.tasks.push(TaskEntry { id: id.into(), ..self.tasks[0].clone() });
    }
}

impl Library for FakeLibrary {
    fn languages(&self) -> &[LanguageEntry] {
        &self.languages
    }
    fn tasks(&self) -> &[TaskEntry] {
        &self.tasks
    }
    fn items(&self, _task: &str, lang: &str) -> Result<Vec<ItemEntry>, String> {
        Ok((0..self.n).map(|i| ItemEntry { text: format!("{lang} {i}"), gold: "positive".into() }).collect())
    }
    fn query(&self, _: &str, lang: &str, item: usize, _: Style, _: Protocol) -> Result<Query, String> {
        Ok(Query { text: format!("{lang} {item}"), ..Query::default() })
    }
    fn prompts(&self, task: &str, lang: &str, style: Style, protocol: Protocol) -> Result<Vec<Item>, String> {
        if !self.tasks[0].langs.iter().any(|l| l == lang) {
            return Err(format!("the task {task} has no language {lang}"));
        }
        let item = |index| {
            Ok(Item {
                index,
                query: self.query(task, lang, index, style, protocol)?,
                gold: "positive".into(),
            })
        };
        (0..self.n).map(item).collect()
    }
    fn eval_plan(&self, wish: &EvalWish) -> Result<EvalPlan, String> {
        if let Some(lang) = wish.langs.iter().find(|l| !self.tasks[0].langs.contains(l)) {
            return Err(format!("the task {} has no language {lang}", wish.task));
        }
        let n = self.n.min(wish.limit.unwrap_or(usize::MAX));
        let item = |lang: &str, i: usize| EvalItem {
            index: i,
            text: format!("{lang}: a film of no weight but great charm, number {i}. It is \""),
            gold: i % 2,
            values: vec![format!("{lang} {i}")],
        };
        let lang = |code: &String| EvalLang {
            lang: code.clone(),
            words: self.tasks[0].labels.clone(),
            items: (0..n).map(|i| item(code, i)).collect(),
            free: vec!["N/A".into(), "".into()],
            ..EvalLang::default()
        };
        Ok(EvalPlan {
            task: wish.task.clone(),
            labels: self.tasks[0].labels.clone(),
            fields: vec!["input".into()],
            style: wish.style,
            protocol: wish.protocol,
            score: wish.score,
            langs: wish.langs.iter().map(lang).collect(),
        })
    }
}

/// Shared state with a loaded model of `layers` layers and as many adapters as named.
pub fn shared(layers: usize, adapters: &[&str]) -> Shared {
    let adapter = |(number, name): (usize, &&str)| Adapter {
        number,
        info: AdapterInfo { name: (*name).into(), ..AdapterInfo::default() },
        shown: true,
    };
    let model = ModelInfo {
        name: "gemma-3-270m".into(),
        architecture: "gemma3".into(),
        layers,
        hidden: 640,
        vocabulary: 262_144,
        ..ModelInfo::default()
    };
    Shared {
        library: Arc::new(FakeLibrary::new(32, &[])),
        model: Some(model),
        adapters: adapters.iter().enumerate().map(adapter).collect(),
        task: "sentiment".into(),
        lang: "th".into(),
        item: 0,
        style: Style::Same,
        protocol: Protocol::Default,
        items: Vec::new(),
        query: Query { text: "ภาพยนตร์".into(), ..Query::default() },
        tokens: Vec::new(),
        sets: TokenSets::default(),
        told: false,
    }
}

/// Calls `act` with a context at `now` seconds and returns the commands it sent.
pub fn acted(shared: &Shared, jobs: &mut Jobs, now: f64, act: impl FnOnce(&mut Cx)) -> Vec<Command> {
    let mut effects = Vec::new();
    act(&mut Cx { shared, now: Duration::from_secs_f64(now), jobs, effects: &mut effects });
    let command = |e| if let Effect::Engine(c) = e { Some(c) } else { None };
    effects.into_iter().filter_map(command).collect()
}
