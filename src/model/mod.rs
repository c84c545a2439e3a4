//! The decoder with taps: configuration, weights, tokenizer, adapters.

pub mod act;
pub mod adapter;
pub mod config;
pub mod damage;
pub mod decoder;
pub mod format;
pub mod gguf;
pub mod kernels;
mod layout;
pub mod linear;
pub mod loader;
pub mod names;
pub mod peak;
pub mod product;
pub mod tokenizer;
pub mod weights;
mod widen;
