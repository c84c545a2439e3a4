//! Models by name: the catalogue, where models come from, the caches, and what a `--model` value means.
//!
//! ```text
//! reference ── resolve ──> a local path (directory or GGUF file), ready for the engine
//!                │
//!                └ pull ──> Source (pip: packages, hub: transfer) ──> partial/NAME ── rename ──> models/NAME
//! ```
//!
//! Single GGUF files live in polylens's own cache (`store`), whole repositories in the hub's cache, which other
//! programs share (`remote`). Nothing here loads a model.

pub mod catalogue;
pub mod config;
pub mod describe;
mod http;
pub mod job;
mod lock;
mod packages;
mod pip;
mod pull;
pub mod reference;
mod remote;
mod resolve;
pub mod store;
mod transfer;
mod wheel;

pub use catalogue::{DEFAULT_MODEL, Entry, Form};
pub use config::HubConfig;
pub use describe::{Header, describe};
pub use job::{Progress, human_bytes};
pub use pull::Pulled;
pub use resolve::{Listed, Removed, Resolved, Status};

use crate::engine::control::Cancel;
use crate::error::Result;
use store::Store;

/// The models of one configuration.
#[derive(Clone, Debug)]
pub struct Hub {
    config: HubConfig,
    store: Store,
}

impl Hub {
    /// Models as the configuration says.
    pub fn new(config: HubConfig) -> Self {
        let store = Store::new(config.cache.clone());
        Self { config, store }
    }

    /// Models as the environment says, see [`HubConfig::from_env`].
    pub fn from_env() -> Result<Self> {
        Ok(Self::new(HubConfig::from_env()?))
    }

    /// Where a cached single-file model came from.
    pub fn manifest(&self, name: &str) -> Option<store::Manifest> {
        self.store.manifest(name)
    }

    /// The configuration in use.
    pub fn config(&self) -> &HubConfig {
        &self.config
    }
}

/// [`Hub::resolve`] with the environment's configuration.
pub fn resolve(reference: &str, progress: Progress, cancel: &Cancel, may_fetch: bool) -> Result<Resolved> {
    Hub::from_env()?.resolve(reference, progress, cancel, may_fetch)
}

/// [`Hub::resolve_adapter`] with the environment's configuration.
pub fn resolve_adapter(
    reference: &str,
    progress: Progress,
    cancel: &Cancel,
    may_fetch: bool,
) -> Result<Resolved> {
    Hub::from_env()?.resolve_adapter(reference, progress, cancel, may_fetch)
}

/// [`Hub::status`] with the environment's configuration.
pub fn status(reference: &str) -> Result<Status> {
    Hub::from_env()?.status(reference)
}
