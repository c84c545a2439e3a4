//! Question-translation alignment: LoRA training on a frozen decoder, and following any run's log.

mod block;
mod checkpoint;
pub mod data;
mod durable;
pub mod gradient;
mod history;
pub mod log;
pub mod lora;
mod lowrank;
mod optimiser;
mod peft;
pub mod plan;
pub mod record;
mod schedule;
