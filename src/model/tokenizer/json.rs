//! The vocabulary part of a tokenizer.json, read straight into the flat tables.
//!
//! The crate's own reader buffers every value and makes a million small strings (3 s for Gemma's file);
//! here the texts are borrowed from the file's bytes.

use super::table::{MAX_VOCABULARY, Merge, Pieces};
use crate::error::{Context, Error, Result};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use tokenizers::AddedToken;

/// A tokenizer.json, as far as it is used.
#[derive(Deserialize)]
pub(super) struct TokenizerFile<'a> {
    #[serde(borrow)]
    pub model: ModelPart<'a>,
    #[serde(default)]
    pub added_tokens: Vec<AddedEntry>,
    #[serde(default)]
    pub normalizer: Option<serde_json::Value>,
    #[serde(default)]
    pub pre_tokenizer: Option<serde_json::Value>,
    #[serde(default)]
    pub post_processor: Option<serde_json::Value>,
    #[serde(default)]
    pub decoder: Option<serde_json::Value>,
}

/// An added token with its id.
#[derive(Deserialize)]
pub(super) struct AddedEntry {
    pub id: u32,
    #[serde(flatten)]
    pub token: AddedToken,
}

#[derive(Deserialize)]
pub(super) struct ModelPart<'a> {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    #[serde(borrow, default)]
    pub vocab: Vocab<'a>,
    #[serde(borrow, default)]
    pub merges: Vec<MergeLine<'a>>,
    #[serde(default)]
    pub unk_token: Option<String>,
    #[serde(default)]
    pub dropout: Option<f32>,
    #[serde(default)]
    pub continuing_subword_prefix: Option<String>,
    #[serde(default)]
    pub end_of_word_suffix: Option<String>,
    #[serde(default)]
    pub fuse_unk: bool,
    #[serde(default)]
    pub byte_fallback: bool,
    #[serde(default)]
    pub ignore_merges: bool,
}

/// (text, id) in the file's order; empty for a vocabulary of another shape (Unigram's list).
#[derive(Default)]
pub(super) struct Vocab<'a>(pub Vec<(Cow<'a, str>, u32)>);

/// A merge: `"left right"` or `["left", "right"]`.
pub(super) struct MergeLine<'a>(pub Cow<'a, str>, pub Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Vocab<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vocab<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary: texts with their ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Text(text), id)) = map.next_entry()? {
                    entries.push((text, id));
                }
                Ok(Vocab(entries))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Vocab::default())
            }
        }
        deserializer.deserialize_any(Entries)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for MergeLine<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Line;
        impl<'de> Visitor<'de> for Line {
            type Value = MergeLine<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a merge: \"left right\" or [\"left\", \"right\"]")
            }

            fn visit_borrowed_str<E>(self, line: &'de str) -> std::result::Result<Self::Value, E> {
                Ok(MergeLine(Cow::Borrowed(line), None))
            }

            fn visit_str<E>(self, line: &str) -> std::result::Result<Self::Value, E> {
                Ok(MergeLine(Cow::Owned(line.to_owned()), None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Self::Value, A::Error> {
                let short = || serde::de::Error::custom("a merge must have two parts");
                let Text(left) = seq.next_element()?.ok_or_else(short)?;
                let Text(right) = seq.next_element()?.ok_or_else(short)?;
                if seq.next_element::<IgnoredAny>()?.is_some() {
                    return Err(short());
                }
                Ok(MergeLine(left, Some(right)))
            }
        }
        deserializer.deserialize_any(Line)
    }
}

/// A string, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Str;
        impl<'de> Visitor<'de> for Str {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> std::result::Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Str)
    }
}

impl<'a> TokenizerFile<'a> {
    /// Reads the file's text and refuses what is not byte-pair encoding as it is done here.
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        let file: Self = serde_json::from_str(text)
            .with_context(|| "it is not a tokenizer.json that can be read (fetch it again)")?;
        let model = &file.model;
        let bpe = model.kind.as_deref().map_or(!model.merges.is_empty(), |kind| kind == "BPE");
        let refuse = |what: String| {
            Err(Error::failed(format!("{what}; only plain byte-pair encoding is read: use another model")))
        };
        if !bpe {
            return refuse(format!(
                "its model is of the type {:?}",
                model.kind.as_deref().unwrap_or("unknown")
            ));
        }
        if model.dropout.is_some_and(|d| d != 0.0) {
            return refuse("it drops merges at random (dropout)".into());
        }
        for (name, mark) in [
            ("continuing_subword_prefix", &model.continuing_subword_prefix),
            ("end_of_word_suffix", &model.end_of_word_suffix),
        ] {
            if mark.as_deref().is_some_and(|m| !m.is_empty()) {
                return refuse(format!("it marks parts of words ({name})"));
            }
        }
        Ok(file)
    }

    /// The vocabulary by ids, added tokens included.
    pub(super) fn pieces(&self) -> Result<Pieces> {
        let vocab = self.model.vocab.0.iter().map(|(text, id)| (text.as_ref(), *id));
        let entries: std::collections::HashSet<&str> = vocab.clone().map(|(text, _)| text).collect();
        let added = self.added_tokens.iter().map(|entry| (entry.token.content.as_str(), entry.id));
        let all: Vec<(&str, u32)> = vocab.chain(added.filter(|(text, _)| !entries.contains(text))).collect();
        by_id(&all)
    }

    /// The merges as ids.
    pub(super) fn merges(&self, pieces: &Pieces) -> Result<Vec<Merge>> {
        let parts = self.model.merges.iter().map(|MergeLine(first, second)| match second {
            Some(second) => (first.as_ref(), second.as_ref()),
            None => cut(first),
        });
        merges_of_parts(pieces, parts)
    }
}

/// A merge's two sides from one line; the right one is empty (and so never found) where there is no space.
fn cut(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

/// Merges written as "left right", in the order of their ranks.
pub(super) fn merges_of_lines<'l>(
    pieces: &Pieces,
    lines: impl Iterator<Item = &'l str>,
) -> Result<Vec<Merge>> {
    merges_of_parts(pieces, lines.map(cut))
}

fn merges_of_parts<'l>(
    pieces: &Pieces,
    parts: impl Iterator<Item = (&'l str, &'l str)>,
) -> Result<Vec<Merge>> {
    let mut joined = String::new();
    let mut merge = |left: &str, right: &str| {
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        Some(Merge { left: pieces.find(left)?, right: pieces.find(right)?, whole: pieces.find(&joined)? })
    };
    let number = |(rank, (left, right))| {
        merge(left, right).ok_or_else(|| {
            Error::failed(format!(
                "merge {rank} ({left:?} + {right:?}) is not two vocabulary entries that together make a third; the file \
                 is damaged: fetch it again"
            ))
        })
    };
    parts.enumerate().map(number).collect()
}

/// Texts in the order of their ids.
pub(super) fn by_id(entries: &[(&str, u32)]) -> Result<Pieces> {
    let count = entries.iter().map(|(_, id)| *id as usize + 1).max().unwrap_or(0);
    if count == 0 || count > MAX_VOCABULARY {
        return Err(Error::failed(match count {
            0 => "its vocabulary is empty; the file is damaged: fetch it again".to_owned(),
            _ => format!("it has an id of {}, more than any model has; the file is damaged", count - 1),
        }));
    }
    let mut pieces = vec![""; count];
    for (text, id) in entries {
        let slot = &mut pieces[*id as usize];
        if !slot.is_empty() && slot != text {
            return Err(Error::failed(format!(
                "the vocabulary entries {slot:?} and {text:?} share the id {id}; the file is damaged: fetch it again"
            )));
        }
        *slot = text;
    }
    Pieces::new(pieces.into_iter())
}
