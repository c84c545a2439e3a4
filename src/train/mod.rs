//! Question-translation alignment: data, LoRA training on a frozen decoder, merging, and following any run's log.

mod begin;
mod block;
mod card;
mod checkpoint;
mod clock;
pub mod data;
mod durable;
mod finish;
pub mod gradient;
mod history;
pub mod job;
pub mod log;
pub mod lora;
mod lowrank;
pub mod merge;
mod optimiser;
mod peft;
pub mod plan;
pub mod record;
mod run;
mod schedule;

pub use begin::free as check_out;
pub use history::clock;
pub use job::{Control, Hooks, Job, NoHooks};
pub use run::run;
pub use schedule::check as check_settings;
