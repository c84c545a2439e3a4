//! A SentencePiece vocabulary of any size: bytes, characters, then ever longer runs of letters, in two spellings.

use serde_json::{Value, json};

/// The pieces, by id.
pub struct Vocabulary {
    pub pieces: Vec<String>,
}

/// Ids below are `<unk>`, `<s>`, `</s>` and the 256 byte tokens.
pub const FIRST: usize = 259;

impl Vocabulary {
    /// Of `size` pieces.
    pub fn new(size: usize) -> Self {
        let mut pieces: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).to_vec();
        pieces.extend((0..256).map(|b| format!("<0x{b:02X}>")));
        let characters = |from: char, to: char| (from..=to).map(String::from);
        pieces.push("▁".into());
        pieces.extend(characters('!', '~'));
        // Every piece is an earlier one and a letter, so that a merge leads to each.
        let mut stems: Vec<String> = characters('a', 'z').collect();
        stems.insert(0, "▁".into());
        while pieces.len() < size {
            let longer: Vec<String> = stems
                .iter()
                .flat_map(|stem| characters('a', 'z').map(move |c| format!("{stem}{c}")))
                .collect();
            pieces.extend(longer.iter().cloned());
            stems = longer;
        }
        pieces.truncate(size);
        Self { pieces }
    }

    /// Stem and letter of every piece of several characters, in the order of their ids.
    fn merges(&self) -> Vec<Value> {
        let several = self.pieces[FIRST..].iter().filter(|p| p.chars().count() > 1);
        several.map(|p| json!([&p[..p.len() - 1], &p[p.len() - 1..]])).collect()
    }

    /// As tokenizer.json and tokenizer_config.json.
    pub fn hugging_face(&self) -> [(&'static str, Value); 2] {
        let vocab: serde_json::Map<String, Value> =
            self.pieces.iter().enumerate().map(|(id, piece)| (piece.clone(), json!(id))).collect();
        let special = |id: usize| {
            json!({"id": id, "content": self.pieces[id], "special": true, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false})
        };
        let spaces =
            |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [special(0), special(1), special(2)],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"}, spaces(" ", "▁")]},
            "pre_tokenizer": null, "post_processor": null,
            "decoder": {"type": "Sequence", "decoders": [spaces("▁", " "), {"type": "ByteFallback"},
                {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
                "vocab": vocab, "merges": self.merges()},
        });
        let config = json!({"tokenizer_class": "LlamaTokenizer", "add_bos_token": true, "add_eos_token": false,
            "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"});
        [("tokenizer.json", tokenizer), ("tokenizer_config.json", config)]
    }

    /// Scores as in a GGUF file: merged in the order of the ids.
    pub fn scores(&self) -> impl Iterator<Item = f32> {
        (0..self.pieces.len()).map(|id| if id < FIRST { 0.0 } else { (FIRST as f32) - id as f32 })
    }

    /// GGUF's kinds of tokens: unknown, control, byte, normal.
    pub fn kinds(&self) -> impl Iterator<Item = i32> {
        (0..self.pieces.len()).map(|id| match id {
            0 => 2,
            1 | 2 => 3,
            3..FIRST => 6,
            _ => 1,
        })
    }
}
