//! Question-translation alignment: data, LoRA training on a frozen decoder, merging, and following any run's log.

mod block;
pub mod data;
pub mod gradient;
pub mod log;
pub mod lora;
mod lowrank;
pub mod merge;
