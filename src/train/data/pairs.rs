//! Question-translation pairs from a task's parallel items (Zhang et al. 2024): questions only, never answers.
//!
//! The items are read by [`Source::questions`], which looks at no answer: what is made here cannot depend on one.

use super::order::{ITEMS, MIXTURE, permutation};
use super::rows::DataRow;
use crate::error::{Error, Result};
use crate::tasks::{Language, Source, TaskLanguage, items};

/// Which pairs.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// Source languages.
    pub from: &'a [String],
    /// The one target language.
    pub to: &'a str,
    /// Own items instead of the task's; `{lang}` stands for the language.
    pub items: Option<&'a str>,
    /// Pairs a source; `None`: one of every item.
    pub n: Option<usize>,
    pub seed: u64,
}

/// One pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Source language.
    pub lang: String,
    /// The item's place in its file, from 0.
    pub index: usize,
    pub row: DataRow,
}

/// The pairs of all sources, in a random order decided by the seed. The same items are drawn for every source.
///
/// # Errors
/// [`Error::Usage`] for unknown languages, the target among the sources, more pairs than items, or one item file for
/// several languages; [`Error::Failed`] for items that cannot be read or are not parallel (naming the file).
pub fn pairs(source: &Source, spec: &Spec) -> Result<Vec<Pair>> {
    let task = &source.task;
    let target = task.language(spec.to)?;
    let mut sources: Vec<&TaskLanguage> = Vec::new();
    for name in spec.from {
        let language = task.language(name)?;
        if language.code == target.code {
            return Err(Error::usage(format!(
                "{} is both a source and the target: a text is not translated into its own language",
                target.code
            )));
        }
        if !sources.contains(&language) {
            sources.push(language);
        }
    }
    if sources.is_empty() {
        return Err(Error::usage("no source language is named: write codes, as in zh,es"));
    }
    if let Some(template) = spec.items {
        items::check_template(template, sources.len() + 1)?;
    }
    let (answers, target_file) = source.questions(target, spec.items)?;
    let chosen = chosen(answers.len(), spec)?;
    let mut all = Vec::with_capacity(sources.len() * chosen.len());
    for language in sources {
        let (questions, file) = source.questions(language, spec.items)?;
        if questions.len() != answers.len() {
            crate::fail!(
                "{file} has {} items and {target_file} {}: they are not parallel, and pairs need the same items in the \
                 same order in all languages",
                questions.len(),
                answers.len()
            );
        }
        let order = format!("\nTranslate the input from {} to {}:\n", name(language)?, name(target)?);
        all.extend(chosen.iter().map(|&index| Pair {
            lang: language.code.clone(),
            index,
            row: DataRow {
                input: language.item.query(&questions[index]) + &order,
                answer: target.item.query(&answers[index]),
            },
        }));
    }
    let mixed = permutation(all.len(), spec.seed, MIXTURE);
    Ok(mixed.into_iter().map(|i| all[i].clone()).collect())
}

/// The items that are used.
fn chosen(items: usize, spec: &Spec) -> Result<Vec<usize>> {
    match spec.n {
        None => Ok((0..items).collect()),
        Some(n) if n > 0 && n <= items => {
            let mut drawn = permutation(items, spec.seed, ITEMS);
            drawn.truncate(n);
            Ok(drawn)
        }
        Some(n) => {
            Err(Error::usage(format!("{n} pairs a source are asked for, and there are {items} items")))
        }
    }
}

/// The English name, as the paper's rows have it.
fn name(language: &TaskLanguage) -> Result<&'static str> {
    Language::of_code(&language.code).map(|known| known.name).ok_or_else(|| {
        Error::usage(format!(
            "the English name of the language {:?} is not known here, and the rows name their languages; use one of \
             the 20 languages",
            language.code
        ))
    })
}
