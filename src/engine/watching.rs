//! The frames of a watched run: which are due, and what becomes of one that cannot be computed.

use super::control::Cancel;
use super::core::{Engine, Progress};
use super::fingerprint::adapter_hash;
use super::protocol::{TrainFrame, Watch};
use crate::error::{Error, Result};
use crate::model::adapter::Adapter;
use crate::train::lora::LoraParams;
use std::path::Path;
use std::sync::Arc;

/// What a run is watched for.
#[derive(Clone, Debug, Default)]
pub struct Watching {
    watch: Option<Watch>,
    every: u64,
    /// All steps of the run: the last one has a frame.
    total: u64,
    /// Whether the base's frame of this watch was computed.
    based: bool,
}

impl Watching {
    /// A run of `total` steps.
    pub fn new(watch: Option<Watch>, total: u64) -> Self {
        let mut new = Self { every: 1, total, ..Self::default() };
        new.change(watch);
        new
    }

    /// Something else, or nothing; its base comes with the next frame.
    pub fn change(&mut self, watch: Option<Watch>) {
        self.every = watch.as_ref().map_or(self.every, |w| w.every.max(1));
        self.watch = watch.filter(|w| w.query.is_some() || w.pca.is_some());
        self.based = false;
    }

    /// Computes what is due after `step` with the weights as they are, before the first frame the base's. `Some`: a
    /// sentence on why nothing is watched any more, since a frame that cannot be computed (a text too long, say) is no
    /// reason to lose a run.
    ///
    /// # Errors
    /// Interrupted.
    pub fn step(
        &mut self,
        engine: &Engine,
        (step, params): (u64, &LoraParams),
        cancel: &Cancel,
        progress: Progress,
        on: &mut dyn FnMut(TrainFrame),
    ) -> Result<Option<String>> {
        let Some(watch) = &self.watch else { return Ok(None) };
        if self.based && !step.is_multiple_of(self.every) && step != self.total {
            return Ok(None);
        }
        let mut frames = || {
            if !self.based {
                on(engine.frame(watch, 0, None, cancel, progress)?);
            }
            let adapter = engine.snapshot(params)?;
            on(engine.frame(watch, step, Some(adapter), cancel, progress)?);
            Ok(())
        };
        match frames() {
            Ok(()) => self.based = true,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(e) => {
                self.watch = None;
                return Ok(Some(format!("Nothing is watched any more: {e}")));
            }
        }
        Ok(None)
    }
}

impl Engine {
    /// A frame of the base, or with the adapter in a directory, which is not loaded beyond that; and the adapter's rank
    /// and hash.
    ///
    /// # Errors
    /// As `Adapter::load`, [`Engine::lens`] and [`Engine::pca`].
    pub fn checkpoint_frame(
        &self,
        watch: &Watch,
        step: u64,
        dir: Option<&Path>,
        cancel: &Cancel,
    ) -> Result<(TrainFrame, Option<(usize, String)>)> {
        let adapter = dir.map(|dir| Adapter::load(dir, &self.decoder).map(Arc::new)).transpose()?;
        let named = |a: &Arc<Adapter>| Ok((a.rank, adapter_hash(a, self.decoder.blocks.len())?));
        let stamp = adapter.as_ref().map(named).transpose()?;
        let frame = self.frame(watch, step, adapter, cancel, &mut |_, _, _, _| {})?;
        Ok((frame, stamp))
    }
}
