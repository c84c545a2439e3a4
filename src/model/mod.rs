//! The decoder with taps: configuration, weights, tokenizer, adapters.

pub mod gguf;
pub mod tokenizer;
