//! The engine: commands in, events out. It knows no terminal; the explorer and every sub-command
//! drive the same [`protocol`].

pub mod control;
pub mod core;
pub mod protocol;
pub mod worker;

pub use control::Cancel;
pub use core::Engine;
