//! What a run is asked to watch: the current query, and the PCA pane's languages.

use super::languages::Chosen;
use super::pca::PcaPane;
use crate::app::shared::Shared;
use crate::engine::protocol::{Item, PcaRequest, Pooling, Query, Watch};

/// Steps between two frames, unless chosen otherwise.
pub const EVERY: u64 = 10;
/// Length of the lens' top lists: a frame is kept for long, and shows the first few.
pub const TOP: usize = 5;
/// Most items of a language: a frame shall take seconds.
pub const ITEMS: usize = 20;

/// The languages that are watched, and how an item's positions become one vector: as the PCA pane has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LanguageSet {
    languages: Chosen,
    pub pooling: Pooling,
}

impl LanguageSet {
    /// As the PCA pane has them now.
    pub fn copy(&mut self, pca: &PcaPane) {
        if self.languages != pca.languages {
            self.languages.clone_from(&pca.languages);
        }
        self.pooling = pca.pooling;
    }

    /// Codes of those that the current task has.
    pub fn codes(&self, shared: &Shared) -> Vec<String> {
        let library = &*shared.library;
        let task = library.tasks().iter().find(|t| t.id == shared.task);
        let has = |code: &String| task.is_some_and(|t| t.langs.contains(code));
        self.languages.codes(library).into_iter().filter(has).collect()
    }
}

/// What to watch every `every` steps: the current query if there is one, and the chosen languages that the task has with
/// their first [`ITEMS`] items, all layers, projected with the base's fit so that what moves is the model. `None` where
/// there is neither a query nor two languages.
pub fn watch(shared: &Shared, set: &LanguageSet, every: u64) -> Option<Watch> {
    let query = Some(&shared.query).filter(|q| !(q.text.is_empty() && q.prefix.is_empty())).cloned();
    let items: Vec<(String, Vec<Item>)> = set
        .codes(shared)
        .into_iter()
        .filter_map(|lang| Some((items(shared, &lang)?, lang)))
        .map(|(i, l)| (l, i))
        .collect();
    let pca = (items.len() > 1).then(|| PcaRequest {
        items,
        runs: Vec::new(),
        layers: Vec::new(),
        pooling: set.pooling,
        protocol: shared.protocol,
        shared_fit: true,
        seed: 0,
    });
    let something = query.is_some() || pca.is_some();
    something.then(|| Watch { every: every.max(1), query, top: TOP, pca })
}

/// A language's first items; `None` where it has none.
fn items(shared: &Shared, lang: &str) -> Option<Vec<Item>> {
    let mut items = shared.library.prompts(&shared.task, lang, shared.style, shared.protocol).ok()?;
    items.truncate(ITEMS);
    (!items.is_empty()).then_some(items)
}

/// What is watched, in a few words: task, language and item, or the beginning of a free text; and the languages.
pub fn label(shared: &Shared, watch: &Watch) -> String {
    let of_query = |query: &Query| match query.comparison {
        Some(_) => format!("{} {} item {}", shared.task, shared.lang, shared.item + 1),
        None => query.text.chars().take(32).collect(),
    };
    watch.query.as_ref().map(of_query).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::panes::fixtures;

    #[test]
    fn the_current_query_and_the_chosen_languages_are_watched() {
        let shared = fixtures::shared(26, &[]);
        let watch = watch(&shared, &LanguageSet::default(), 0).unwrap();
        assert_eq!((watch.every, watch.top), (1, TOP));
        assert_eq!(watch.query, Some(shared.query.clone()));
        let pca = watch.pca.as_ref().unwrap();
        let langs: Vec<&str> = pca.items.iter().map(|(l, _)| l.as_str()).collect();
        assert_eq!(langs, ["en", "de", "fr", "hi"]);
        assert!(pca.items.iter().all(|(_, items)| items.len() == ITEMS));
        assert!(pca.shared_fit && pca.layers.is_empty() && pca.runs.is_empty());
        assert_eq!(label(&shared, &watch), "ภาพยนตร์");
    }

    #[test]
    fn without_anything_to_watch_nothing_is_asked() {
        let mut shared = fixtures::shared(26, &[]);
        shared.query = Query::default();
        let (mut pane, mut set) = (PcaPane::default(), LanguageSet::default());
        assert!(watch(&shared, &set, 10).unwrap().query.is_none());
        for code in ["en", "de", "fr"] {
            pane.languages.toggle(code);
        }
        set.copy(&pane);
        assert_eq!(set.codes(&shared), ["hi"]);
        assert_eq!(watch(&shared, &set, 10), None);
        shared.query.text = "x".into();
        assert!(watch(&shared, &set, 10).unwrap().pca.is_none());
    }

    #[test]
    fn languages_that_the_task_does_not_have_are_left_out() {
        let mut shared = fixtures::shared(26, &[]);
        shared.library = std::sync::Arc::new(fixtures::FakeLibrary::new(8, &["de"]));
        let watch = watch(&shared, &LanguageSet::default(), 5).unwrap();
        let langs: Vec<String> = watch.pca.unwrap().items.into_iter().map(|(l, _)| l).collect();
        assert_eq!(langs, ["en", "fr", "hi"]);
    }
}
