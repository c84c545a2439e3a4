//! The tokenizer that a GGUF file's own vocabulary describes.

use super::bpe::FlatBpe;
use super::scores::Kind;
use super::table::{Merges, Pieces};
use super::{Setup, Tokenizer, VocabularyKind, cache, json, pretokenizer, scores};
use crate::error::{Error, Result};
use crate::model::gguf::Gguf;
use std::borrow::Cow;
use std::path::Path;
use tokenizers::AddedToken;
use tokenizers::decoders::{
    DecoderWrapper, byte_fallback::ByteFallback, byte_level::ByteLevel, fuse::Fuse, sequence::Sequence,
    strip::Strip,
};
use tokenizers::normalizers::{self, NormalizerWrapper, Prepend, Replace};

/// See [`Tokenizer::from_gguf`].
pub(super) fn load(file: &Gguf, cache: Option<&Path>) -> Result<Tokenizer> {
    let model = file.str("tokenizer.ggml.model").ok_or_else(|| {
        Error::failed("it holds no vocabulary (tokenizer.ggml.model is missing); use a complete GGUF file")
    })?;
    let vocabulary = Vocabulary::read(file)?;
    match model {
        "llama" => sentence_piece(file, &vocabulary, cache),
        name if name.starts_with("gemma") => sentence_piece(file, &vocabulary, cache),
        "gpt2" => byte_level(file, &vocabulary),
        other => Err(Error::failed(format!(
            "its vocabulary is of the kind {other:?} (tokenizer.ggml.model), and only llama, gemma and gpt2 vocabularies \
             are read; use the model's Hugging Face directory (with tokenizer.json) instead"
        ))),
    }
}

/// The parts that both families have.
struct Vocabulary<'a> {
    tokens: &'a [String],
    kinds: Vec<Kind>,
}

impl<'a> Vocabulary<'a> {
    fn read(file: &'a Gguf) -> Result<Self> {
        let tokens = file.strings("tokenizer.ggml.tokens").unwrap_or_default();
        if tokens.is_empty() {
            return Err(Error::failed(
                "its vocabulary is empty (tokenizer.ggml.tokens); the file is damaged or holds weights alone: use a \
                 complete GGUF file",
            ));
        }
        let kinds = file.ints("tokenizer.ggml.token_type").ok_or_else(|| {
            Error::failed(
                "tokenizer.ggml.token_type is missing, so that special tokens cannot be told from words; use a GGUF \
                 file made by a newer converter",
            )
        })?;
        same_length("tokenizer.ggml.token_type", kinds.len(), tokens.len())?;
        Ok(Self { tokens, kinds: kinds.iter().copied().map(Kind::from_number).collect() })
    }

    /// The id under a metadata key, checked against the vocabulary.
    fn id(&self, file: &Gguf, key: &str) -> Result<Option<u32>> {
        let Some(id) = file.uint(key) else { return Ok(None) };
        if id >= self.tokens.len() as u64 {
            return Err(Error::failed(format!(
                "{key} is {id}, but the vocabulary has only {} entries; the file is damaged: fetch it again",
                self.tokens.len()
            )));
        }
        Ok(Some(id as u32))
    }

    /// The tokens that are found in a text before anything else, spelled as in the file.
    fn added(&self) -> Vec<AddedToken> {
        let token = |(text, kind): (&String, &Kind)| match kind {
            // Runs of spaces are merged like words.
            Kind::User if text.chars().all(|c| c == ' ' || c == '▁') => None,
            Kind::User => Some(AddedToken::from(text.as_str(), false).normalized(false)),
            Kind::Control | Kind::Unknown => Some(AddedToken::from(text.as_str(), true)),
            Kind::Normal | Kind::Other => None,
        };
        self.tokens.iter().zip(&self.kinds).filter_map(token).collect()
    }

    /// BOS, EOS and what comes before a model input. `add` is the rule where the file states none.
    fn setup(&self, file: &Gguf, kind: VocabularyKind, add: bool) -> Result<Setup> {
        let bos = self.id(file, "tokenizer.ggml.bos_token_id")?;
        let eos = self.id(file, "tokenizer.ggml.eos_token_id")?;
        let add = file.bool("tokenizer.ggml.add_bos_token").unwrap_or(add);
        let prefix = match (add, bos) {
            (false, _) => Vec::new(),
            (true, Some(bos)) => vec![bos],
            (true, None) => {
                return Err(Error::failed(
                    "its prompts begin with a BOS token, but tokenizer.ggml.bos_token_id is missing; the file is damaged: \
                     fetch it again",
                ));
            }
        };
        Ok(Setup {
            normalizer: None,
            pre_tokenizer: None,
            decoder: None,
            added: self.added(),
            prefix,
            bos,
            eos,
            kind,
        })
    }
}

fn same_length(key: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{key} has {found} entries, but the vocabulary {expected}; the file is damaged: fetch it again"
    )))
}

/// SentencePiece BPE: merges from scores, U+2581 for a space, bytes for unknown characters.
fn sentence_piece(file: &Gguf, vocabulary: &Vocabulary<'_>, cache: Option<&Path>) -> Result<Tokenizer> {
    let scores = file.floats("tokenizer.ggml.scores").ok_or_else(|| {
        Error::failed(
            "tokenizer.ggml.scores is missing: a llama vocabulary cannot be used without its scores; the file is \
             damaged: fetch it again",
        )
    })?;
    same_length("tokenizer.ggml.scores", scores.len(), vocabulary.tokens.len())?;
    // Runs of spaces are stored raw in the file and as U+2581 in the normalised text.
    let spelled: Vec<Cow<'_, str>> = vocabulary
        .tokens
        .iter()
        .map(|piece| match piece.bytes().all(|b| b == b' ') {
            true => Cow::Owned("▁".repeat(piece.len())),
            false => Cow::Borrowed(piece.as_str()),
        })
        .collect();
    let pieces = Pieces::new(spelled.iter().map(AsRef::as_ref))?;
    let merges = cache::merges(cache, &pieces, &vocabulary.kinds, scores, || {
        scores::merges(&pieces, &vocabulary.kinds, scores)
    })?;
    let unknown = vocabulary
        .id(file, "tokenizer.ggml.unknown_token_id")?
        .or_else(|| vocabulary.kinds.iter().position(|k| *k == Kind::Unknown).map(|i| i as u32));

    let gemma = [file.str("general.architecture"), file.str("tokenizer.ggml.model")]
        .iter()
        .any(|name| name.is_some_and(|n| n.starts_with("gemma")));
    let prepend = file.bool("tokenizer.ggml.add_space_prefix").unwrap_or(!gemma);
    let mut setup = vocabulary.setup(file, VocabularyKind::SentencePiece, true)?;
    let spaces = Replace::new(" ", "▁").map_err(Error::failed)?;
    setup.normalizer = Some(if prepend {
        NormalizerWrapper::Sequence(normalizers::Sequence::new(vec![
            NormalizerWrapper::Prepend(Prepend::new("▁".into())),
            NormalizerWrapper::Replace(spaces),
        ]))
    } else {
        NormalizerWrapper::Replace(spaces)
    });
    let mut decoders = vec![
        DecoderWrapper::Replace(Replace::new("▁", " ").map_err(Error::failed)?),
        DecoderWrapper::ByteFallback(ByteFallback::new()),
        DecoderWrapper::Fuse(Fuse::new()),
    ];
    if prepend {
        decoders.push(DecoderWrapper::Strip(Strip::new(' ', 1, 0)));
    }
    setup.decoder = Some(DecoderWrapper::Sequence(Sequence::new(decoders)));
    let bytes = FlatBpe::byte_ids(&pieces);
    let model = FlatBpe {
        merges: Merges::new(&merges),
        pieces,
        unknown,
        fuse_unknown: true,
        bytes: Some(bytes),
        ignore_merges: false,
    };
    Tokenizer::assemble(model, setup)
}

/// Byte-level BPE: the file lists its merges and names its pre-tokenizer.
fn byte_level(file: &Gguf, vocabulary: &Vocabulary<'_>) -> Result<Tokenizer> {
    let rules = pretokenizer::named(file.str("tokenizer.ggml.pre").unwrap_or("default"))?;
    let pieces = Pieces::new(vocabulary.tokens.iter().map(String::as_str))?;
    let lines = file.strings("tokenizer.ggml.merges").ok_or_else(|| {
        Error::failed(
            "tokenizer.ggml.merges is missing: a gpt2 vocabulary cannot be used without its merges; the \
                       file is damaged: fetch it again",
        )
    })?;
    let merges = json::merges_of_lines(&pieces, lines.iter().map(String::as_str))?;

    let mut setup = vocabulary.setup(file, VocabularyKind::ByteLevel, rules.add_bos)?;
    setup.normalizer = rules.normalizer;
    setup.pre_tokenizer = Some(rules.pre_tokenizer);
    setup.decoder = Some(DecoderWrapper::ByteLevel(ByteLevel::new(false, false, false)));
    let model = FlatBpe {
        merges: Merges::new(&merges),
        pieces,
        unknown: None,
        fuse_unknown: false,
        bytes: None,
        ignore_merges: rules.ignore_merges,
    };
    Tokenizer::assemble(model, setup)
}
