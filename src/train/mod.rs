//! Question-translation alignment: LoRA training on a frozen decoder, and following any run's log.

mod block;
pub mod data;
pub mod gradient;
pub mod log;
pub mod lora;
mod lowrank;
