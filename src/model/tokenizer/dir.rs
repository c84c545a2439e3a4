//! The tokenizer of a Hugging Face directory, with the BOS rule of the reference library.

use super::bpe::FlatBpe;
use super::json::{self, AddedEntry, TokenizerFile};
use super::table::{Merges, Pieces};
use super::{Setup, Tokenizer, VocabularyKind, pretokenizer};
use crate::error::{Context, Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::decoders::{DecoderWrapper, byte_level::ByteLevel};
use tokenizers::{AddedToken, Encoding, PostProcessor, PostProcessorWrapper, Token};

/// Larger than any tokenizer.json (Gemma 3's is 33 MB).
const MAX_BYTES: u64 = 512 << 20;

/// See [`Tokenizer::from_dir`].
pub(super) fn load(dir: &Path) -> Result<Tokenizer> {
    let config = Config::read(dir)?;
    let path = dir.join("tokenizer.json");
    if path.is_file() {
        let text = read(&path)?;
        return from_json(&text, &config).map_err(|e| e.context(path.display()));
    }
    if dir.join("vocab.json").is_file() && dir.join("merges.txt").is_file() {
        return from_vocab_and_merges(dir, &config).map_err(|e| e.context(dir.display()));
    }
    let (found, todo) = if dir.join("tokenizer.model").is_file() {
        (
            "only tokenizer.model, which is not read here",
            "make a tokenizer.json with transformers (AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)), or take \
             a repository that has one",
        )
    } else {
        ("no tokenizer.json", "copy it from where the model came from")
    };
    Err(Error::failed(format!("{} holds {found}: {todo}", dir.display())))
}

/// A text file of bounded size.
fn read(path: &Path) -> Result<String> {
    let size = std::fs::metadata(path).with_context(|| path.display())?.len();
    if size > MAX_BYTES {
        return Err(Error::failed(format!(
            "{} has {size} bytes, more than any tokenizer; use the model's own file",
            path.display()
        )));
    }
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// What the small files beside tokenizer.json say.
struct Config {
    tokenizer: Value,
    special: Value,
    model: Value,
    generation: Value,
}

impl Config {
    fn read(dir: &Path) -> Result<Self> {
        let json = |name: &str| {
            let path = dir.join(name);
            if !path.is_file() {
                return Ok(Value::Null);
            }
            serde_json::from_str(&read(&path)?)
                .with_context(|| format!("{} is not JSON (fetch it again)", path.display()))
        };
        Ok(Self {
            tokenizer: json("tokenizer_config.json")?,
            special: json("special_tokens_map.json")?,
            model: json("config.json")?,
            generation: json("generation_config.json")?,
        })
    }

    /// A special token's text: a plain string, or an object with its content.
    fn token(&self, name: &str) -> Option<&str> {
        [&self.tokenizer, &self.special].into_iter().find_map(|file| content(file.get(name)?))
    }

    /// The id of a special token: by its text, else by config.json, else by generation_config.json.
    fn id(&self, pieces: &Pieces, name: &str) -> Option<u32> {
        let by_text = self.token(name).and_then(|text| pieces.find(text));
        by_text.or_else(|| {
            let text_config = self.model.get("text_config").unwrap_or(&Value::Null);
            let files = [&self.model, text_config, &self.generation];
            let named = |file: &&Value| file.get(format!("{name}_id")).filter(|id| !id.is_null()).cloned();
            let value = files.iter().find_map(named)?;
            let id = value.as_u64().or_else(|| value.get(0)?.as_u64())?;
            u32::try_from(id).ok().filter(|id| !pieces.get(*id).is_empty())
        })
    }

    /// True for the classes that set their own BOS rule from `add_bos_token` (default: yes), whatever
    /// tokenizer.json says.
    fn sets_bos(&self) -> bool {
        let class = self.tokenizer.get("tokenizer_class").and_then(Value::as_str);
        let by_model = || match self.model.get("model_type").and_then(Value::as_str)? {
            "llama" | "mistral" => Some("LlamaTokenizer"),
            name if name.starts_with("gemma") => Some("GemmaTokenizer"),
            _ => None,
        };
        let class = class.or_else(by_model).unwrap_or_default();
        ["LlamaTokenizer", "GemmaTokenizer", "CodeLlamaTokenizer"].contains(&class.trim_end_matches("Fast"))
    }

    /// Special tokens that the configuration names and tokenizer.json does not list as added.
    fn added(&self, pieces: &Pieces, listed: &[AddedEntry]) -> Result<Vec<AddedToken>> {
        let known = |text: &str| listed.iter().any(|entry| entry.token.content == text);
        let mut tokens = Vec::new();
        let decoder: BTreeMap<String, AddedToken> = match self.tokenizer.get("added_tokens_decoder") {
            Some(value) => parse("added_tokens_decoder", value)?,
            None => BTreeMap::new(),
        };
        tokens.extend(decoder.into_values());
        let names =
            ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
        let more = self.tokenizer.get("additional_special_tokens").and_then(Value::as_array);
        let texts = names.into_iter().filter_map(|name| self.token(name));
        for text in texts.chain(more.into_iter().flatten().filter_map(content)) {
            if !known(text) && !tokens.iter().any(|token: &AddedToken| token.content == text) {
                tokens.push(AddedToken::from(text, true));
            }
        }
        tokens.retain(|token| pieces.find(&token.content).is_some());
        Ok(tokens)
    }
}

/// A special token's text: a plain string, or an object with its content.
fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn parse<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T> {
    serde_json::from_value(value.clone()).with_context(|| format!("its {what} cannot be used"))
}

fn parse_part<T: DeserializeOwned>(what: &str, value: &Option<Value>) -> Result<Option<T>> {
    value.as_ref().map(|value| parse(what, value)).transpose()
}

/// True where a part is, or holds, a step of this type.
fn has_step(part: &Value, name: &str) -> bool {
    match part {
        Value::Object(map) => {
            map.get("type").is_some_and(|t| t == name) || map.values().any(|value| has_step(value, name))
        }
        Value::Array(list) => list.iter().any(|value| has_step(value, name)),
        _ => false,
    }
}

fn from_json(text: &str, config: &Config) -> Result<Tokenizer> {
    let mut file = TokenizerFile::parse(text)?;
    let pieces = file.pieces()?;
    let merges = Merges::new(&file.merges(&pieces)?);
    let model = &file.model;
    let unknown = match &model.unk_token {
        Some(text) => Some(pieces.find(text).ok_or_else(|| {
            Error::failed(format!("its unknown token {text:?} is not in the vocabulary; the file is damaged"))
        })?),
        None => None,
    };
    // A top-level step that puts a space before the text follows the configuration, as in the reference library.
    if let Some(slot) = file.pre_tokenizer.as_mut().and_then(|step| step.get_mut("add_prefix_space")) {
        *slot =
            Value::Bool(config.tokenizer.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(false));
    }
    let parts = [&file.decoder, &file.pre_tokenizer];
    let byte_level = parts.into_iter().flatten().any(|part| has_step(part, "ByteLevel"));
    let mut added: Vec<AddedToken> = file.added_tokens.iter().map(|entry| entry.token.clone()).collect();
    added.extend(config.added(&pieces, &file.added_tokens)?);
    let bos = config.id(&pieces, "bos_token");
    let setup = Setup {
        normalizer: parse_part("normalizer", &file.normalizer)?,
        pre_tokenizer: parse_part("pre_tokenizer", &file.pre_tokenizer)?,
        decoder: parse_part("decoder", &file.decoder)?,
        added,
        prefix: prefix(config, &pieces, bos, parse_part("post_processor", &file.post_processor)?)?,
        bos,
        eos: config.id(&pieces, "eos_token"),
        kind: if byte_level { VocabularyKind::ByteLevel } else { VocabularyKind::SentencePiece },
    };
    let bytes = model.byte_fallback.then(|| FlatBpe::byte_ids(&pieces));
    let bpe = FlatBpe {
        pieces,
        merges,
        unknown,
        fuse_unknown: model.fuse_unk,
        bytes,
        ignore_merges: model.ignore_merges,
    };
    Tokenizer::assemble(bpe, setup)
}

/// What comes before a model input. Llama's and Gemma's classes decide it by `add_bos_token`; elsewhere it is
/// what the post-processor puts before the text. (What it puts after, an EOS at most, is left out: the readout is
/// of the text's own last token.)
fn prefix(
    config: &Config,
    pieces: &Pieces,
    bos: Option<u32>,
    processor: Option<PostProcessorWrapper>,
) -> Result<Vec<u32>> {
    if config.sets_bos() {
        let add = config.tokenizer.get("add_bos_token").and_then(Value::as_bool).unwrap_or(true);
        let default = || ["<s>", "<bos>"].into_iter().find_map(|text| pieces.find(text));
        return match (add, bos.or_else(default)) {
            (false, _) => Ok(Vec::new()),
            (true, Some(bos)) => Ok(vec![bos]),
            (true, None) => Err(Error::failed(
                "its prompts begin with BOS, but tokenizer_config.json names no bos_token that the vocabulary has; fetch \
                 tokenizer_config.json again",
            )),
        };
    }
    let Some(processor) = processor else { return Ok(Vec::new()) };
    let marker = Encoding::from_tokens(vec![Token::new(u32::MAX, "x".into(), (0, 1))], 0);
    let framed = processor.process(marker, None, true).map_err(|e| {
        Error::failed(format!("its post_processor cannot be used ({e}); fetch tokenizer.json again"))
    })?;
    let before: Vec<u32> = framed.get_ids().iter().copied().take_while(|id| *id != u32::MAX).collect();
    match before.iter().find(|id| pieces.get(**id).is_empty()) {
        Some(id) => Err(Error::failed(format!(
            "its post_processor begins texts with token {id}, which is not in the vocabulary; the file is damaged"
        ))),
        None => Ok(before),
    }
}

/// The older form of byte-level tokenizers (Qwen 2, GPT-2).
fn from_vocab_and_merges(dir: &Path, config: &Config) -> Result<Tokenizer> {
    let model_type = config.model.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let rules = match model_type {
        "qwen2" | "qwen3" => pretokenizer::named("qwen2")?,
        "gpt2" => pretokenizer::named("gpt-2")?,
        other => {
            return Err(Error::failed(format!(
                "vocab.json and merges.txt do not say how a {other:?} model cuts its text; use a repository with \
                 tokenizer.json"
            )));
        }
    };
    let (vocab, lines) = (read(&dir.join("vocab.json"))?, read(&dir.join("merges.txt"))?);
    let vocab: BTreeMap<String, u32> = serde_json::from_str(&vocab).context("vocab.json")?;
    let listed: BTreeMap<u32, AddedToken> = match config.tokenizer.get("added_tokens_decoder") {
        Some(value) => parse("added_tokens_decoder", value)?,
        None => BTreeMap::new(),
    };
    let mut entries: Vec<(&str, u32)> = vocab.iter().map(|(text, id)| (text.as_str(), *id)).collect();
    entries.extend(
        listed.iter().map(|(id, t)| (t.content.as_str(), *id)).filter(|(t, _)| !vocab.contains_key(*t)),
    );
    let pieces = json::by_id(&entries)?;
    let merges = lines.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
    let merges = Merges::new(&json::merges_of_lines(&pieces, merges)?);
    let setup = Setup {
        normalizer: rules.normalizer,
        pre_tokenizer: Some(rules.pre_tokenizer),
        decoder: Some(DecoderWrapper::ByteLevel(ByteLevel::new(false, false, false))),
        added: config.added(&pieces, &[])?,
        prefix: Vec::new(),
        bos: config.id(&pieces, "bos_token"),
        eos: config.id(&pieces, "eos_token"),
        kind: VocabularyKind::ByteLevel,
    };
    let model = FlatBpe {
        pieces,
        merges,
        unknown: None,
        fuse_unknown: false,
        bytes: None,
        ignore_merges: rules.ignore_merges,
    };
    Tokenizer::assemble(model, setup)
}
