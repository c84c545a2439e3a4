//! Training texts that are evaluation items, in whatever language.
//!
//! Two texts are the same here where they have the same characters once white space is made single blanks and
//! capitals small. A training text leaks an item where it is the item's query, or where every field of the item
//! stands in it as a line of its own (with or without a heading such as `Premise:`): templates may differ.

use super::rows::DataRow;
use super::stats::Place;
use crate::error::Result;
use crate::tasks::{Source, TaskLanguage};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// Which side of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Input,
    Answer,
}

/// A training text that is an evaluation item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leak {
    pub at: Place,
    pub side: Side,
    pub task: String,
    pub lang: String,
    /// Of the evaluation items, from 0.
    pub item: usize,
}

/// What the training texts are compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Against {
    pub task: String,
    pub lang: String,
    pub items: usize,
    /// The file, or the bundled items' name.
    pub from: String,
}

/// Evaluation items, ready to be looked up.
#[derive(Debug, Default)]
pub struct Index {
    pub against: Vec<Against>,
    /// Item number -> (index into `against`, item, fields).
    items: Vec<(usize, usize, usize)>,
    /// Normalised query -> item numbers.
    queries: HashMap<String, Vec<usize>>,
    /// Normalised text of a field -> (item number, field).
    fields: HashMap<String, Vec<(usize, usize)>>,
}

impl Index {
    /// Adds a task's items in a language.
    ///
    /// # Errors
    /// As [`Source::questions`].
    pub fn add(&mut self, source: &Source, language: &TaskLanguage, items: Option<&str>) -> Result<()> {
        let (questions, from) = source.questions(language, items)?;
        let at = self.against.len();
        for (item, values) in questions.iter().enumerate() {
            let number = self.items.len();
            self.items.push((at, item, values.len()));
            self.queries.entry(normal(&language.item.query(values))).or_default().push(number);
            for (field, value) in values.iter().enumerate() {
                self.fields.entry(normal(value)).or_default().push((number, field));
            }
        }
        self.against.push(Against {
            task: source.task.id.clone(),
            lang: language.code.clone(),
            items: questions.len(),
            from,
        });
        Ok(())
    }

    /// The evaluation items that a row's input (without the order to translate) or answer is.
    pub(super) fn leaks(&self, row: &DataRow, at: Place) -> Vec<Leak> {
        let input =
            row.input.rfind("\nTranslate the input from ").map_or(&*row.input, |end| &row.input[..end]);
        let mut out = Vec::new();
        for (side, text) in [(Side::Input, input), (Side::Answer, &row.answer)] {
            for number in self.found(text) {
                let (place, item, _) = self.items[number];
                let Against { task, lang, .. } = &self.against[place];
                out.push(Leak { at, side, task: task.clone(), lang: lang.clone(), item });
            }
        }
        out
    }

    /// Item numbers, ascending.
    fn found(&self, text: &str) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> =
            self.queries.get(&normal(text)).into_iter().flatten().copied().collect();
        let mut seen: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        for part in parts(text) {
            for (number, field) in self.fields.get(&part).into_iter().flatten() {
                seen.entry(*number).or_default().insert(*field);
            }
        }
        found.extend(seen.into_iter().filter(|(n, fields)| fields.len() == self.items[*n].2).map(|(n, _)| n));
        found
    }
}

/// What may be a field in a text: the whole, the whole without its last line, every line; each as it is and without a
/// heading before a colon.
fn parts(text: &str) -> BTreeSet<String> {
    let before_last = text.rsplit_once('\n').map(|(before, _)| before);
    let mut out = BTreeSet::new();
    for part in [Some(text), before_last].into_iter().flatten().chain(text.lines()) {
        out.insert(normal(part));
        let after = part.char_indices().find(|(_, c)| matches!(c, ':' | '：'));
        if let Some((at, colon)) = after {
            out.insert(normal(&part[at + colon.len_utf8()..]));
        }
    }
    out.remove("");
    out
}

/// White space made single blanks, capitals small.
fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_found_in_any_language_template_and_spelling() {
        let nli = Source::find("nli").unwrap();
        let mut index = Index::default();
        for lang in ["en", "zh"] {
            index.add(&nli, nli.task.language(lang).unwrap(), None).unwrap();
        }
        let values = |lang: &str, item: usize| {
            nli.questions(nli.task.language(lang).unwrap(), None).unwrap().0[item].clone()
        };
        let (zh, en) = (values("zh", 3), values("en", 7));
        let row = DataRow {
            input: format!(
                "A: {}\nB：{}\nC: \"\nTranslate the input from Chinese to English:\n",
                zh[0], zh[1]
            ),
            answer: format!("{}\n{}\nAnswer: \"", en[0].to_uppercase().replace(' ', "  "), en[1]),
        };
        let at = Place { file: 0, row: 5 };
        let found = index.leaks(&row, at);
        let want = |side, lang: &str, item| Leak { at, side, task: "nli".into(), lang: lang.into(), item };
        assert_eq!(found, [want(Side::Input, "zh", 3), want(Side::Answer, "en", 7)]);
        // One field of two is not the item.
        let half = DataRow { input: format!("A: {}\nB: other", zh[0]), answer: "x".into() };
        assert_eq!(index.leaks(&half, at), []);
        assert_eq!(index.against.len(), 2);
    }
}
