//! The decoder with taps: configuration, weights, tokenizer, adapters.

pub mod format;
pub mod gguf;
pub mod tokenizer;
