//! The decoder with taps: configuration, weights, tokenizer, adapters.

pub mod config;
pub mod format;
pub mod gguf;
pub mod kernels;
pub mod tokenizer;
