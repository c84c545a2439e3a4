//! train

pub mod log;
