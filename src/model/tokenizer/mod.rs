//! Text to token ids and back, exactly as the model's authors do it.
//!
//! Normalisation, pre-tokenisation, added tokens and decoding are the `tokenizers` crate's; the
//! vocabulary and its merges lie in flat tables of our own, for load time and memory.

mod bpe;
mod cache;
mod dir;
mod display;
mod gguf;
mod json;
mod pretokenizer;
mod save;
mod scores;
mod table;

use crate::error::{Error, Result};
use crate::model::gguf::Gguf;
use bpe::FlatBpe;
use std::ops::Range;
use std::path::Path;
use tokenizers::{
    AddedToken, DecoderWrapper, Model, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    TokenizerImpl,
};

/// The `tokenizers` crate's pipeline around our model.
type Pipeline =
    TokenizerImpl<FlatBpe, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Which family of vocabulary: decides how the token set of a word is built (science.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabularyKind {
    /// Pieces with U+2581 for a space and <0xNN> byte tokens.
    SentencePiece,
    /// Byte-level BPE (Qwen, SmolLM2, Llama 3).
    ByteLevel,
}

/// A model's tokenizer with its BOS rule.
pub struct Tokenizer {
    pipeline: Pipeline,
    /// What comes before every model input: BOS or nothing.
    prefix: Vec<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
    kind: VocabularyKind,
}

/// Everything about a tokenizer but its vocabulary.
struct Setup {
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    decoder: Option<DecoderWrapper>,
    added: Vec<AddedToken>,
    prefix: Vec<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
    kind: VocabularyKind,
}

/// How many ids two token sequences have in common from the start.
pub fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

impl Tokenizer {
    /// Rebuilds the tokenizer from a GGUF file's own vocabulary; `cache` is a directory for the quick form.
    ///
    /// # Errors
    /// A vocabulary that is missing, damaged, or of a kind that is not known here.
    pub fn from_gguf(file: &Gguf, cache: Option<&Path>) -> Result<Self> {
        let shown = file.path.display();
        gguf::load(file, cache)
            .map_err(|e| if file.path.as_os_str().is_empty() { e } else { e.context(shown) })
    }

    /// Reads tokenizer.json (and tokenizer_config.json / config.json for the BOS rule) of a Hugging Face directory.
    ///
    /// # Errors
    /// A missing or damaged file, or a tokenizer that is not byte-pair encoding.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        dir::load(dir)
    }

    fn assemble(model: FlatBpe, setup: Setup) -> Result<Self> {
        let mut pipeline = Pipeline::new(model);
        pipeline.with_normalizer(setup.normalizer).map_err(Error::failed)?;
        pipeline.with_pre_tokenizer(setup.pre_tokenizer).with_decoder(setup.decoder);
        pipeline.add_tokens(setup.added).map_err(|e| {
            Error::failed(format!(
                "the vocabulary's special tokens cannot be used ({e}); the file is damaged"
            ))
        })?;
        Ok(Self { pipeline, prefix: setup.prefix, bos: setup.bos, eos: setup.eos, kind: setup.kind })
    }

    /// Token ids of a model input: with BOS where the model wants it.
    ///
    /// # Errors
    /// None on any text with the tokenizers seen so far; the pipeline's own otherwise.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.prefix.clone();
        ids.extend(self.encode_plain(text)?);
        Ok(ids)
    }

    /// Token ids without special tokens added. Special tokens spelled out in the text are still
    /// recognised, as in the reference library.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.pipeline.encode_fast(text, false).map_err(unencodable)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of [`Tokenizer::encode`], each with the bytes of `text` it stands for (empty at 0 for BOS).
    /// Tokens that are a part of one character all carry that character's bytes.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_spans(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>> {
        let encoding = self.pipeline.encode(text, false).map_err(unencodable)?;
        let plain = encoding.get_ids().iter().zip(encoding.get_offsets());
        let prefix = self.prefix.iter().map(|&id| (id, 0..0));
        Ok(prefix.chain(plain.map(|(&id, &(start, end))| (id, start..end))).collect())
    }

    /// The ids of `prefix + text`, tokenised as one string, and the first position that is `text`'s own
    /// (its token begins at or after the prefix's end; a token across the border belongs to the prefix).
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_query(&self, prefix: &str, text: &str) -> Result<(Vec<u32>, usize)> {
        let spans = self.encode_spans(&[prefix, text].concat())?;
        let own = spans
            .iter()
            .enumerate()
            .position(|(i, (_, span))| i >= self.prefix.len() && span.start >= prefix.len());
        let own = own.unwrap_or(spans.len());
        Ok((spans.into_iter().map(|(id, _)| id).collect(), own))
    }

    /// The id of a whole vocabulary entry, spelled as the vocabulary spells it (U+2581 for a space in SentencePiece).
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        self.pipeline.token_to_id(piece)
    }

    /// A token's text for display: spaces kept as spaces, byte tokens as <0xE3>, never invalid UTF-8.
    /// Empty for an id outside the vocabulary.
    pub fn text(&self, id: u32) -> String {
        let added = self.pipeline.get_added_vocabulary();
        if let Some(token) = added.get_added_tokens_decoder().get(&id) {
            return token.content.clone();
        }
        let piece = self.pipeline.get_model().pieces.get(id);
        match self.kind {
            VocabularyKind::SentencePiece => piece.replace('▁', " "),
            VocabularyKind::ByteLevel => display::byte_level(piece),
        }
    }

    /// Ids back to text; special tokens are spelled out.
    ///
    /// # Errors
    /// An id outside the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        if let Some(id) = ids.iter().find(|id| self.pipeline.id_to_token(**id).is_none()) {
            return Err(Error::failed(format!(
                "token {id} is not in the vocabulary of {} entries; use ids of this model",
                self.vocabulary()
            )));
        }
        self.pipeline
            .decode(ids, false)
            .map_err(|e| Error::failed(format!("the tokens cannot be made text: {e}")))
    }

    /// The token that begins a text, where the vocabulary has one (whether or not it is added).
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// True where model inputs begin with BOS.
    pub fn adds_bos(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The family of the vocabulary.
    pub fn kind(&self) -> VocabularyKind {
        self.kind
    }

    /// How many entries the vocabulary has, added tokens included (a model's matrix may have more rows).
    pub fn vocabulary(&self) -> usize {
        let added = self.pipeline.get_added_vocabulary().get_added_tokens_decoder();
        let beyond = added.keys().max().map_or(0, |id| *id as usize + 1);
        self.pipeline.get_model().get_vocab_size().max(beyond)
    }
}

fn unencodable(error: tokenizers::Error) -> Error {
    Error::failed(format!("the text cannot be tokenised: {error}"))
}

/// The engine's worker owns one while other threads tokenise with it.
const _: fn() = || {
    fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Tokenizer>();
};
