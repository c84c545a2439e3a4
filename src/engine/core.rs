//! The engine's synchronous face: one loaded model, its adapters, and the computations on them.

use super::control::Cancel;
use super::protocol::*;
use crate::error::{Error, Result};
use crate::model::tokenizer::Tokenizer;
use std::path::Path;

/// Called with (stage, done, total, unit); total 0 = unknown.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, u64, &str);

/// What a running lens hands out before it is complete.
pub enum LensPart {
    Started { tokens: Vec<TokenText>, sets: TokenSets, reused_tokens: usize },
    Layers { run: RunId, layers: Vec<LensLayer> },
}

/// A loaded model with any number of adapters over one copy of the weights.
pub struct Engine {
    info: ModelInfo,
    tokenizer: Tokenizer,
    adapters: Vec<AdapterInfo>,
}

impl Engine {
    /// Loads a Hugging Face directory or a GGUF file.
    pub fn load(spec: &LoadSpec, _progress: Progress) -> Result<Self> {
        Err(Error::failed(format!("{}: not loadable yet", spec.path.display())))
    }
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
    pub fn adapters(&self) -> &[AdapterInfo] {
        &self.adapters
    }
    /// Loads a PEFT adapter directory; the returned index is its position in `adapters()`.
    pub fn add_adapter(&mut self, _path: &Path, _name: &str) -> Result<usize> {
        Err(Error::failed(""))
    }
    /// Lens at the last position of `query` for every run.
    pub fn lens(
        &self,
        _query: &Query,
        _runs: &[RunId],
        _top: usize,
        _cancel: &Cancel,
        _on: &mut dyn FnMut(LensPart),
    ) -> Result<LensAnswer> {
        Err(Error::failed(""))
    }
    /// The four curves and the entropy of every item at every layer.
    pub fn curves(
        &self,
        _items: &[Item],
        _runs: &[RunId],
        _cancel: &Cancel,
        _progress: Progress,
    ) -> Result<CurvesAnswer> {
        Err(Error::failed(""))
    }
    /// Joint PCA and alignment measures.
    pub fn pca(&self, _request: &PcaRequest, _cancel: &Cancel, _progress: Progress) -> Result<PcaAnswer> {
        Err(Error::failed(""))
    }
}
