//! Token sets of words: what counts as "the model begins to say w" (science.md, "Token sets of a word").

use super::quoted;
use crate::engine::protocol::{Comparison, Protocol, TokenSet, TokenSets, TokenText};
use crate::error::Result;
use crate::model::tokenizer::{Tokenizer, VocabularyKind};
use std::collections::BTreeSet;

/// The paper's set of one word, ascending. SentencePiece vocabularies: all prefixes of the word, with and without
/// U+2581, that are whole entries, and the byte token of a first character of several bytes. Byte-level: the first
/// token of every prefix, with and without a space before it.
///
/// # Errors
/// As [`Tokenizer::encode_plain`].
pub fn token_set(tokenizer: &Tokenizer, word: &str) -> Result<Vec<u32>> {
    let heads = word.char_indices().map(|(at, c)| &word[..at + c.len_utf8()]);
    let mut ids = BTreeSet::new();
    match tokenizer.kind() {
        VocabularyKind::ByteLevel => {
            for head in heads {
                ids.extend(tokenizer.encode_plain(head)?.first());
                ids.extend(tokenizer.encode_plain(&format!(" {head}"))?.first());
            }
        }
        VocabularyKind::SentencePiece => {
            for head in heads {
                ids.extend(tokenizer.id_of(head));
                ids.extend(tokenizer.id_of(&format!("▁{head}")));
            }
            if let Some(first) = word.bytes().next().filter(|byte| *byte >= 0x80) {
                ids.extend(tokenizer.id_of(&format!("<0x{first:02X}>")));
            }
        }
    }
    Ok(ids.into_iter().collect())
}

/// The sets of label words that are compared with each other alone (evaluation), parallel to `words`.
///
/// # Errors
/// As [`token_set`].
pub fn label_sets(tokenizer: &Tokenizer, words: &[String], protocol: Protocol) -> Result<LabelSets> {
    let full = full_sets(tokenizer, words)?;
    let mut report = Report::default();
    let sets = match protocol {
        Protocol::Paper => keep(tokenizer, words, &full, |_| BTreeSet::new()),
        Protocol::Default => {
            report.labels(tokenizer, words, &full);
            keep(tokenizer, words, &full, |label| others(&full, label))
        }
    };
    report.empty(&sets, &full);
    Ok(LabelSets { sets, warnings: report.warnings, refused: report.refused })
}

/// Answer of [`label_sets`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSets {
    pub sets: Vec<TokenSet>,
    /// Full sentences on tokens that were shared and left out.
    pub warnings: Vec<String>,
    /// Why the labels cannot be compared, where a set became empty.
    pub refused: Option<String>,
}

/// All sets of a comparison, and of the tracked words (each kept whole: they are not compared).
///
/// Under [`Protocol::Default`] whatever another label of the comparison holds is taken out of a set, and what English
/// and target words share out of both, unless they are the same comparison. Under [`Protocol::Paper`] nothing is.
///
/// # Errors
/// As [`token_set`].
pub fn token_sets(
    tokenizer: &Tokenizer,
    comparison: Option<&Comparison>,
    track: &[String],
) -> Result<TokenSets> {
    let whole = |word: &String| {
        Ok(TokenSet { word: word.clone(), ids: token_set(tokenizer, word)?, removed: vec![] })
    };
    let tracked: Vec<TokenSet> = track.iter().map(whole).collect::<Result<_>>()?;
    let mut report = Report::default();
    for set in tracked.iter().filter(|set| set.ids.is_empty()) {
        report
            .warnings
            .push(format!("No token of this vocabulary begins {}: its curve stays at 0.", quoted(&set.word)));
    }
    let Some(comparison) = comparison else {
        return Ok(TokenSets { tracked, warnings: report.warnings, ..TokenSets::default() });
    };
    let Comparison { labels, gold, english, target, same_language, protocol } = comparison;
    let (latent, out) = (full_sets(tokenizer, english)?, full_sets(tokenizer, target)?);
    let between = *protocol == Protocol::Default && !same_language;
    let clash = |own: &[Vec<u32>], other: &[Vec<u32>], label: usize| {
        let mut gone = if *protocol == Protocol::Default { others(own, label) } else { BTreeSet::new() };
        gone.extend(other.iter().flatten().filter(|_| between));
        gone
    };
    let latent_kept = keep(tokenizer, english, &latent, |label| clash(&latent, &out, label));
    let target_kept = keep(tokenizer, target, &out, |label| clash(&out, &latent, label));
    if *protocol == Protocol::Default {
        report.labels(tokenizer, english, &latent);
        if !same_language || english != target {
            report.labels(tokenizer, target, &out);
        }
    }
    if between {
        report.languages(tokenizer, (english, &latent), (target, &out));
    }
    report.empty(&latent_kept, &latent);
    report.empty(&target_kept, &out);
    Ok(TokenSets {
        labels: labels.clone(),
        gold: *gold,
        latent: latent_kept,
        target: target_kept,
        tracked,
        warnings: report.warnings,
        refused: report.refused,
    })
}

fn full_sets(tokenizer: &Tokenizer, words: &[String]) -> Result<Vec<Vec<u32>>> {
    words.iter().map(|word| token_set(tokenizer, word)).collect()
}

/// What the sets of all labels but one hold.
fn others(sets: &[Vec<u32>], label: usize) -> BTreeSet<u32> {
    sets.iter()
        .enumerate()
        .filter(|(other, _)| *other != label)
        .flat_map(|(_, set)| set.iter().copied())
        .collect()
}

/// Each set without what `gone` names for it.
fn keep(
    tokenizer: &Tokenizer,
    words: &[String],
    full: &[Vec<u32>],
    gone: impl Fn(usize) -> BTreeSet<u32>,
) -> Vec<TokenSet> {
    let set = |(label, (word, ids)): (usize, (&String, &Vec<u32>))| {
        let gone = gone(label);
        let (removed, ids): (Vec<u32>, Vec<u32>) = ids.iter().partition(|id| gone.contains(id));
        let removed = removed.into_iter().map(|id| TokenText { id, text: tokenizer.text(id) }).collect();
        TokenSet { word: word.clone(), ids, removed }
    };
    words.iter().zip(full).enumerate().map(set).collect()
}

/// Collects the sentences.
#[derive(Default)]
struct Report {
    warnings: Vec<String>,
    refused: Option<String>,
}

impl Report {
    /// Tokens that two labels of one side share.
    fn labels(&mut self, tokenizer: &Tokenizer, words: &[String], sets: &[Vec<u32>]) {
        for (i, first) in words.iter().enumerate() {
            for (j, second) in words.iter().enumerate().skip(i + 1) {
                self.pair(
                    tokenizer,
                    (first, &sets[i]),
                    (second, &sets[j]),
                    "a label's score would count the other's",
                );
            }
        }
    }

    /// Tokens that an English and a target word share.
    fn languages(
        &mut self,
        tokenizer: &Tokenizer,
        (english, latent): (&[String], &[Vec<u32>]),
        (target, out): (&[String], &[Vec<u32>]),
    ) {
        for (first, left) in english.iter().zip(latent) {
            for (second, right) in target.iter().zip(out) {
                self.pair(
                    tokenizer,
                    (first, left),
                    (second, right),
                    "they cannot tell English from the language",
                );
            }
        }
    }

    fn pair(&mut self, tokenizer: &Tokenizer, first: (&str, &[u32]), second: (&str, &[u32]), why: &str) {
        let shared: Vec<u32> = first.1.iter().copied().filter(|id| second.1.contains(id)).collect();
        if shared.is_empty() {
            return;
        }
        let shown: Vec<String> = shared.iter().take(4).map(|id| quoted(&tokenizer.text(*id))).collect();
        let more = if shared.len() > 4 { ", …" } else { "" };
        let (tokens, them) = match shared.len() {
            1 => ("1 token".to_owned(), "it is"),
            n => (format!("{n} tokens"), "they are"),
        };
        self.warnings.push(format!(
            "{} and {} share {tokens} ({}{more}); {them} left out of both, since {why}.",
            quoted(first.0),
            quoted(second.0),
            shown.join(", ")
        ));
    }

    /// Refuses where a set has nothing left; the first reason is kept.
    fn empty(&mut self, sets: &[TokenSet], full: &[Vec<u32>]) {
        let Some((set, full)) = sets.iter().zip(full).find(|(set, _)| set.ids.is_empty()) else { return };
        self.refused.get_or_insert_with(|| match full.len() {
            0 => format!("No token of this vocabulary begins {}: this model cannot be asked for it.", quoted(&set.word)),
            n => format!(
                "Every token that begins {} ({n} of them) also begins another word of the comparison, so that none \
                 is left to tell them apart. Use --protocol paper to keep shared tokens, or another style or language.",
                quoted(&set.word)
            ),
        });
    }
}
