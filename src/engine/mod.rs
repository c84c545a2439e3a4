//! The engine: commands in, events out. It knows no terminal; the explorer and every sub-command
//! drive the same [`protocol`].

mod cache;
pub mod control;
pub mod core;
mod curves;
pub mod evaluate;
pub mod fingerprint;
mod grid;
pub mod kept;
mod lens;
pub mod load;
mod pooled;
pub mod protocol;
pub mod resume;
pub mod training;
pub mod watching;
pub mod worker;

pub use control::Cancel;
pub use core::Engine;
pub use kept::Kept;
pub use resume::Keeping;
