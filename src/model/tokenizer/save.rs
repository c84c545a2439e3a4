//! A tokenizer as the `tokenizer.json` that the reference library reads.

use super::Tokenizer;
use super::bpe::FlatBpe;
use crate::error::{Context, Result};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use serde_json::{Value, json};
use std::io::Write;

impl Tokenizer {
    /// Writes the text of a `tokenizer.json` that gives the same ids, BOS included.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, mut to: impl Write) -> Result<()> {
        serde_json::to_writer(&mut to, &File(self)).context("tokenizer.json cannot be written")?;
        to.flush().context("tokenizer.json cannot be written")
    }

    /// A token as the vocabulary spells it; empty for an id outside.
    pub fn piece(&self, id: u32) -> String {
        self.pipeline.id_to_token(id).unwrap_or_default()
    }

    /// What a `tokenizer_config.json` needs to say beside it.
    pub fn json_settings(&self) -> Value {
        let mut settings =
            json!({"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false});
        let unknown = self.pipeline.get_model().unknown;
        for (name, id) in [("bos_token", self.bos), ("eos_token", self.eos), ("unk_token", unknown)] {
            if let Some(id) = id {
                settings[name] = self.piece(id).into();
            }
        }
        settings
    }

    /// What comes before every text, as a template.
    fn template(&self) -> Value {
        if self.prefix.is_empty() {
            return Value::Null;
        }
        let (mut single, mut pair, mut tokens) = (Vec::new(), Vec::new(), serde_json::Map::new());
        for id in &self.prefix {
            let piece = self.piece(*id);
            single.push(json!({"SpecialToken": {"id": &piece, "type_id": 0}}));
            pair.push(json!({"SpecialToken": {"id": &piece, "type_id": 1}}));
            tokens.insert(piece.clone(), json!({"id": &piece, "ids": [id], "tokens": [&piece]}));
        }
        single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
        pair.push(json!({"Sequence": {"id": "B", "type_id": 1}}));
        let pair = [&single[..], &pair].concat();
        json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens})
    }
}

struct File<'a>(&'a Tokenizer);

impl Serialize for File<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pipeline = &self.0.pipeline;
        let mut file = serializer.serialize_struct("Tokenizer", 9)?;
        file.serialize_field("version", "1.0")?;
        file.serialize_field("truncation", &())?;
        file.serialize_field("padding", &())?;
        file.serialize_field("added_tokens", pipeline.get_added_vocabulary())?;
        file.serialize_field("normalizer", &pipeline.get_normalizer())?;
        file.serialize_field("pre_tokenizer", &pipeline.get_pre_tokenizer())?;
        file.serialize_field("post_processor", &self.0.template())?;
        file.serialize_field("decoder", &pipeline.get_decoder())?;
        file.serialize_field("model", pipeline.get_model())?;
        file.end()
    }
}

impl Serialize for FlatBpe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut model = serializer.serialize_struct("BPE", 10)?;
        model.serialize_field("type", "BPE")?;
        model.serialize_field("dropout", &())?;
        model.serialize_field("unk_token", &self.unknown.map(|id| self.pieces.get(id)))?;
        model.serialize_field("continuing_subword_prefix", &())?;
        model.serialize_field("end_of_word_suffix", &())?;
        model.serialize_field("fuse_unk", &self.fuse_unknown)?;
        model.serialize_field("byte_fallback", &self.bytes.is_some())?;
        model.serialize_field("ignore_merges", &self.ignore_merges)?;
        model.serialize_field("vocab", &Vocab(self))?;
        model.serialize_field("merges", &MergeList(self))?;
        model.end()
    }
}

/// Texts and ids, in the order of the ids.
struct Vocab<'a>(&'a FlatBpe);

impl Serialize for Vocab<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pieces = &self.0.pieces;
        let mut map = serializer.serialize_map(None)?;
        for id in 0..pieces.len() as u32 {
            let piece = pieces.get(id);
            // Of a text that occurs twice only the id that is found counts.
            if !piece.is_empty() && pieces.find(piece) == Some(id) {
                map.serialize_entry(piece, &id)?;
            }
        }
        map.end()
    }
}

/// Pairs of texts, in the order of their ranks.
struct MergeList<'a>(&'a FlatBpe);

impl Serialize for MergeList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let merges = self.0.merges.in_order();
        let mut list = serializer.serialize_seq(Some(merges.len()))?;
        for (left, right) in merges {
            list.serialize_element(&[self.0.pieces.get(left), self.0.pieces.get(right)])?;
        }
        list.end()
    }
}
