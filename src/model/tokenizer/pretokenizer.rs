//! How byte-level vocabularies cut a text before merging: the rules behind a GGUF file's
//! `tokenizer.ggml.pre`, as the model's own tokenizer.json states them.

use crate::error::{Error, Result};
use tokenizers::normalizers::{NFC, NormalizerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What a pre-tokenizer's name decides.
pub(super) struct Rules {
    pub normalizer: Option<NormalizerWrapper>,
    pub pre_tokenizer: PreTokenizerWrapper,
    pub ignore_merges: bool,
    /// Whether prompts begin with BOS where the file does not say.
    pub add_bos: bool,
}

/// The rules of a name; an unknown one is refused, since a guess would tokenise silently wrong.
pub(super) fn named(name: &str) -> Result<Rules> {
    let plain =
        |pre_tokenizer| Rules { normalizer: None, pre_tokenizer, ignore_merges: false, add_bos: false };
    Ok(match name {
        "default" | "gpt-2" | "gpt2" => plain(words()),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => {
            plain(sequence(vec![PreTokenizerWrapper::Digits(Digits::new(true)), words()]))
        }
        "qwen2" | "deepseek-r1-qwen" => {
            Rules { normalizer: Some(NormalizerWrapper::NFC(NFC)), ..plain(pattern(QWEN_2)?) }
        }
        "llama-bpe" | "llama3" | "llama-v3" => {
            Rules { ignore_merges: true, add_bos: true, ..plain(pattern(LLAMA_3)?) }
        }
        "tekken" => Rules { ignore_merges: true, add_bos: true, ..plain(pattern(TEKKEN)?) },
        other => {
            return Err(Error::failed(format!(
                "its text is cut by the pre-tokenizer {other:?} (tokenizer.ggml.pre), which is not known here (known: \
                 default, gpt-2, smollm, starcoder, refact, command-r, codeshell, qwen2, deepseek-r1-qwen, llama-bpe, \
                 tekken); use the model's Hugging Face directory (with tokenizer.json) instead"
            )));
        }
    })
}

/// GPT-2's own pattern, built into the byte-level step.
fn words() -> PreTokenizerWrapper {
    PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, true))
}

/// A pattern of its own, then bytes.
fn pattern(regex: &str) -> Result<PreTokenizerWrapper> {
    let pattern = SplitPattern::Regex(regex.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(Error::failed)?;
    let bytes = ByteLevel::new(false, true, false);
    Ok(sequence(vec![PreTokenizerWrapper::Split(split), PreTokenizerWrapper::ByteLevel(bytes)]))
}

fn sequence(steps: Vec<PreTokenizerWrapper>) -> PreTokenizerWrapper {
    PreTokenizerWrapper::Sequence(Sequence::new(steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::tokenizer::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    fn cut(name: &str, text: &str) -> Vec<String> {
        let mut pieces = PreTokenizedString::from(text);
        named(name).unwrap().pre_tokenizer.pre_tokenize(&mut pieces).unwrap();
        let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.iter().map(|(_, range, _)| text[range.0..range.1].to_owned()).collect()
    }

    #[test]
    fn names_cut_digits_as_their_models_do() {
        assert_eq!(cut("default", "in 2026!"), ["in", " 2026", "!"]);
        assert_eq!(cut("smollm", "in 2026!"), ["in", " ", "2", "0", "2", "6", "!"]);
        assert_eq!(cut("qwen2", "in 2026!\n\n x"), ["in", " ", "2", "0", "2", "6", "!\n\n", " x"]);
        assert_eq!(cut("llama-bpe", "in 20267"), ["in", " ", "202", "67"]);
        assert_eq!(cut("tekken", "inTheEnd/ 20"), ["in", "The", "End", "/", " ", "2", "0"]);
    }

    #[test]
    fn an_unknown_name_is_refused_by_name() {
        let error = named("viking").err().unwrap().to_string();
        assert!(error.contains("\"viking\"") && error.contains("tokenizer.json"), "{error}");
    }
}
