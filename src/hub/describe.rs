//! What a model's header says, without loading its weights.

use super::catalogue::Form;
use super::reference::local_model;
use crate::error::{Context, Result};
use crate::fail;
use crate::model::gguf::Gguf;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A configuration larger than this many bytes is not one.
const CONFIG_LIMIT: u64 = 16 << 20;

/// The shape of a model. Fields that the file does not state are `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Header {
    /// As the file names it: "gemma3", "llama", "qwen2", …
    pub architecture: Option<String>,
    /// L, the number of blocks.
    pub layers: Option<u64>,
    /// Width of the residual stream.
    pub hidden: Option<u64>,
    pub heads: Option<u64>,
    pub kv_heads: Option<u64>,
    /// Tokens that the model was made for.
    pub context: Option<u64>,
    pub vocabulary: Option<u64>,
    /// Number of weights; `None` for directories, whose configuration does not say.
    pub parameters: Option<u64>,
    /// Number format -> number of tensors in it (GGUF), or the configuration's one format.
    pub formats: BTreeMap<String, usize>,
    /// The kind of tokenizer: "gpt2" (byte-level BPE), "llama" (SentencePiece), …
    pub tokenizer: Option<String>,
}

/// Reads the header of a GGUF file or the config.json of a directory.
///
/// Errors: no model there, or one that cannot be read; the sentence names the file.
pub fn describe(path: &Path) -> Result<Header> {
    match local_model(path)? {
        Form::Gguf => Ok(gguf_header(&Gguf::open(path)?)),
        Form::Directory => directory_header(&path.join("config.json")),
    }
}

fn gguf_header(gguf: &Gguf) -> Header {
    let architecture = gguf.str("general.architecture").map(str::to_owned);
    let of = |key: &str| gguf.uint(&format!("{}.{key}", architecture.as_deref()?));
    let mut formats = BTreeMap::new();
    for tensor in gguf.tensors.values() {
        *formats.entry(tensor.format.name().to_owned()).or_insert(0) += 1;
    }
    let count = |shape: &[usize]| shape.iter().map(|n| *n as u64).product::<u64>();
    Header {
        layers: of("block_count"),
        hidden: of("embedding_length"),
        heads: of("attention.head_count"),
        kv_heads: of("attention.head_count_kv"),
        context: of("context_length"),
        vocabulary: gguf.strings("tokenizer.ggml.tokens").map(|t| t.len() as u64),
        parameters: Some(gguf.tensors.values().map(|t| count(&t.shape)).sum()),
        formats,
        tokenizer: gguf.str("tokenizer.ggml.model").map(str::to_owned),
        architecture,
    }
}

fn directory_header(config: &Path) -> Result<Header> {
    let shown = config.display();
    if fs::metadata(config).with_context(|| shown.to_string())?.len() > CONFIG_LIMIT {
        fail!("{shown}: the configuration is too large to be one");
    }
    let text = fs::read(config).with_context(|| shown.to_string())?;
    let whole: Value = serde_json::from_slice(&text).with_context(|| format!("{shown}: this is no JSON"))?;
    // Models with more than text keep the text part's shape one level down.
    let part = whole.get("text_config").unwrap_or(&whole);
    let number = |key: &str| part.get(key).and_then(Value::as_u64);
    let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let format = word(part, "torch_dtype").or(word(part, "dtype")).or(word(&whole, "torch_dtype"));
    Ok(Header {
        architecture: word(&whole, "model_type"),
        layers: number("num_hidden_layers"),
        hidden: number("hidden_size"),
        heads: number("num_attention_heads"),
        kv_heads: number("num_key_value_heads"),
        context: number("max_position_embeddings"),
        vocabulary: number("vocab_size"),
        parameters: None,
        formats: format.map(|f| (f, 0)).into_iter().collect(),
        tokenizer: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_described_by_its_configuration() {
        let tmp = tempfile::tempdir().unwrap();
        let config = tmp.path().join("config.json");
        fs::write(tmp.path().join("model.safetensors"), "").unwrap();
        let text = r#"{"model_type":"qwen2","num_hidden_layers":24,"hidden_size":1024,"num_attention_heads":16,
            "num_key_value_heads":16,"vocab_size":151936,"max_position_embeddings":32768,"torch_dtype":"bfloat16"}"#;
        fs::write(&config, text).unwrap();
        let header = describe(tmp.path()).unwrap();
        assert_eq!(header.architecture.as_deref(), Some("qwen2"));
        assert_eq!((header.layers, header.hidden, header.vocabulary), (Some(24), Some(1024), Some(151_936)));
        assert!(header.formats.contains_key("bfloat16"));
        fs::write(&config, "{not json").unwrap();
        let error = describe(tmp.path()).unwrap_err().to_string();
        assert!(error.contains("config.json") && error.contains("no JSON"), "{error}");
    }

    #[test]
    fn a_damaged_gguf_is_one_sentence() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("cut.gguf");
        fs::write(&path, b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x7f")
            .unwrap();
        let error = describe(&path).unwrap_err().to_string();
        assert!(error.contains("cut.gguf") && !error.contains('\n'), "{error}");
    }
}
