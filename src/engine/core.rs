//! The engine's synchronous face: one loaded model, its adapters, and the computations on them.

use super::cache::KvPool;
use super::control::Cancel;
use super::load;
use super::protocol::*;
use crate::error::{Error, Result};
use crate::lens::Readout;
use crate::lens::energy::EnergyTable;
use crate::model::adapter::Adapter;
use crate::model::decoder::{Decoder, Options, Point, Span};
use crate::model::kernels::Mat;
use crate::model::tokenizer::Tokenizer;
use std::path::Path;
use std::sync::{Arc, OnceLock, RwLock};

/// Called with (stage, done, total, unit); total 0 = unknown.
pub type Progress<'a> = &'a mut (dyn FnMut(&str, u64, u64, &str) + Send);

/// What a running lens hands out before it is complete.
pub enum LensPart {
    Started { tokens: Vec<TokenText>, sets: TokenSets, reused_tokens: usize },
    Layers { run: RunId, layers: Vec<LensLayer> },
}

impl LensPart {
    /// As the explorer and recordings have it.
    pub fn event(self, job: JobId) -> Event {
        match self {
            Self::Started { tokens, sets, reused_tokens } => {
                Event::LensStarted { job, tokens, sets, reused_tokens }
            }
            Self::Layers { run, layers } => Event::LensLayers { job, run, layers },
        }
    }
}

/// A loaded model with any number of adapters over one copy of the weights. All methods take `&self` and may
/// be called from several threads.
pub struct Engine {
    info: ModelInfo,
    pub(super) tokenizer: Tokenizer,
    pub(super) decoder: Decoder,
    pub(super) pool: rayon::ThreadPool,
    pub(super) kv: KvPool,
    pub(super) pooled: super::pooled::found::Cache,
    /// What was loaded, to be known again.
    pub(super) files: Option<super::fingerprint::ModelFiles>,
    pub(super) paces: super::training::Paces,
    adapters: RwLock<Vec<Option<Loaded>>>,
    energy: OnceLock<EnergyTable>,
    /// Token ids of the fixed probe that proves adapters and readout.
    probe: Vec<u32>,
}

#[derive(Clone)]
struct Loaded {
    adapter: Arc<Adapter>,
    info: AdapterInfo,
}

/// The fixed probe: short, in several scripts, so that an adapter for any language shows.
const PROBE: &str = "The review was: 很好。Das Buch ist gut. यह अच्छा है. Sentiment: \"";

impl Engine {
    /// Loads a Hugging Face directory or a GGUF file and checks the readout against the model's own logits.
    ///
    /// # Errors
    /// One sentence: what is wrong with which file or value.
    pub fn load(spec: &LoadSpec, progress: Progress) -> Result<Self> {
        Self::load_with(spec, false, progress)
    }

    /// As [`Engine::load`], with compute threads that give way to the explorer's own.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_giving_way(spec: &LoadSpec, progress: Progress) -> Result<Self> {
        Self::load_with(spec, true, progress)
    }

    fn load_with(spec: &LoadSpec, give_way: bool, progress: Progress) -> Result<Self> {
        let started = std::time::Instant::now();
        // Before anything is read: a file that changes while it is read must not pass for what was loaded.
        let files = super::fingerprint::ModelFiles::of(&spec.path).ok();
        let parts = load::load(spec, give_way, progress)?;
        let probe = parts.tokenizer.encode(PROBE)?;
        let kv_limit = 256 << 20;
        let mut engine = Self {
            info: parts.info,
            tokenizer: parts.tokenizer,
            decoder: parts.decoder,
            pool: parts.pool,
            kv: KvPool::new(kv_limit),
            pooled: Default::default(),
            files,
            paces: Default::default(),
            adapters: RwLock::new(Vec::new()),
            energy: OnceLock::new(),
            probe,
        };
        progress("checking", 0, 1, "");
        engine.info.logits_check =
            engine.check_readout(!parts.unread.is_empty()).map_err(|e| e.context(spec.path.display()))?;
        progress("checking", 1, 1, "");
        // Not before: what the check reads shall not wait for all the rest.
        load::begin_reading(parts.unread);
        engine.info.load_ms = started.elapsed().as_millis() as u64;
        Ok(engine)
    }

    /// What was loaded.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The loaded adapters, `None` where one was dropped (indices stay).
    pub fn adapters(&self) -> Vec<Option<AdapterInfo>> {
        self.read_adapters().iter().map(|a| a.as_ref().map(|l| l.info.clone())).collect()
    }

    /// An adapter's name for a run, `None` for the base.
    pub fn run_name(&self, run: RunId) -> Option<String> {
        self.read_adapters().get(run?)?.as_ref().map(|l| l.info.name.clone())
    }

    fn read_adapters(&self) -> std::sync::RwLockReadGuard<'_, Vec<Option<Loaded>>> {
        self.adapters.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write_adapters(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Option<Loaded>>> {
        self.adapters.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Loads a PEFT adapter directory and proves that it changes the model; the returned index is its position
    /// in `adapters()` from now on.
    ///
    /// # Errors
    /// What cannot be applied faithfully, or changes no logit of the probe.
    pub fn add_adapter(&self, path: &Path, name: &str) -> Result<usize> {
        let adapter = Arc::new(Adapter::load(path, &self.decoder)?);
        let none = Cancel::new();
        let base = self.probe_logits(None, &none)?;
        let changed = self.probe_logits(Some(Arc::clone(&adapter)), &none)?;
        let probe_change = base.iter().zip(&changed).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if probe_change == 0.0 {
            crate::fail!("{}: the adapter changes no logit of the probe; it has no effect", path.display());
        }
        if !probe_change.is_finite() {
            crate::fail!(
                "{}: with the adapter the model's output is not finite; it is damaged",
                path.display()
            );
        }
        let info = AdapterInfo {
            name: name.to_owned(),
            path: path.to_path_buf(),
            rank: adapter.rank,
            alpha: adapter.alpha,
            targets: adapter.targets.clone(),
            keys_matched: adapter.keys_matched,
            delta_norms: adapter.delta_norms.clone(),
            probe_change,
        };
        let mut adapters = self.write_adapters();
        adapters.push(Some(Loaded { adapter, info }));
        Ok(adapters.len() - 1)
    }

    /// Forgets an adapter; the others keep their indices.
    pub fn drop_adapter(&self, index: usize) {
        if let Some(slot) = self.write_adapters().get_mut(index)
            && let Some(loaded) = slot.take()
        {
            self.kv.forget(&loaded.adapter);
        }
    }

    /// The adapter of a run.
    ///
    /// # Errors
    /// Where no such adapter is loaded.
    pub(super) fn adapter(&self, run: RunId) -> Result<Option<Arc<Adapter>>> {
        let Some(i) = run else { return Ok(None) };
        match self.read_adapters().get(i) {
            Some(Some(l)) => Ok(Some(Arc::clone(&l.adapter))),
            _ => Err(Error::failed(format!("adapter {i} is not loaded"))),
        }
    }

    /// The table for token energies, once [`Engine::prepare_energy`] has made it.
    pub fn energy(&self) -> Option<&EnergyTable> {
        self.energy.get()
    }

    /// Makes the table for token energies (a pass over the whole unembedding); later readouts have them.
    ///
    /// # Errors
    /// Cancellation, or what the device says.
    pub fn prepare_energy(&self, cancel: &Cancel) -> Result<&EnergyTable> {
        if let Some(table) = self.energy.get() {
            return Ok(table);
        }
        let mut place = None;
        let table = self.pool.install(|| {
            EnergyTable::new(&self.decoder, cancel, |norms| {
                place = load::energy_file(norms);
                let text = std::fs::read_to_string(place.as_ref()?).ok()?;
                text.trim().parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0)
            })
        })?;
        if let Some(place) = place.filter(|p| !p.exists()) {
            load::keep_number(&place, table.between_tokens);
        }
        Ok(self.energy.get_or_init(|| table))
    }

    /// A token for display.
    pub(super) fn token(&self, id: u32) -> TokenText {
        TokenText { id, text: self.tokenizer.text(id) }
    }

    /// Tokens with probabilities, for display.
    pub(super) fn top(&self, top: &[(u32, f32)]) -> Vec<TokenP> {
        top.iter().map(|(id, p)| TokenP { id: *id, text: self.tokenizer.text(*id), p: *p }).collect()
    }

    /// The final residual state of the probe's last position, `[hidden]`.
    fn probe_state(&self, adapter: Option<Arc<Adapter>>, cancel: &Cancel) -> Result<Vec<f32>> {
        let span = Span::new(self.probe.clone(), adapter);
        let last = self.decoder.blocks.len();
        let mut state = Vec::new();
        self.pool.install(|| {
            self.decoder.forward(&[span], Options::default(), cancel, &mut |tap| {
                let column = tap.x.column(tap.columns[0].end - 1)?;
                if column.iter().any(|x| !x.is_finite()) {
                    let hint = "the weights are damaged or their format is too narrow, try --dtype f32";
                    crate::fail!("the residual stream is not finite after block {}; {hint}", tap.layer);
                }
                if tap.layer == last && tap.point == Point::Residual {
                    state = column;
                }
                Ok(())
            })
        })?;
        Ok(state)
    }

    fn probe_logits(&self, adapter: Option<Arc<Adapter>>, cancel: &Cancel) -> Result<Vec<f32>> {
        let state = self.probe_state(adapter, cancel)?;
        let states = Mat::from_tokens(state.len(), 1, &state);
        self.pool.install(|| Ok(Readout::new(&self.decoder).logits(&states)?.column(0)))
    }

    /// Largest difference between the readout at L and the model's own logits on the probe. The latter are
    /// computed apart, in f64 and one token at a time, for some hundred tokens over the whole vocabulary. Where blocks
    /// are not read yet, the readout is that of the last token's embedding.
    fn check_readout(&self, without_blocks: bool) -> Result<f32> {
        let d = &self.decoder;
        let state = match (without_blocks, self.probe.last()) {
            (true, Some(last)) => {
                let scale = d.config.embedding_scale.map_or(1.0, |s| s as f32);
                crate::model::act::weight_row(&d.embedding, *last)?.iter().map(|x| x * scale).collect()
            }
            _ => self.probe_state(None, &Cancel::new())?,
        };
        let states = Mat::from_tokens(state.len(), 1, &state);
        let read = self.pool.install(|| Readout::new(d).logits(&states))?.column(0);
        if read.iter().any(|x| !x.is_finite()) {
            crate::fail!("the model's logits are not finite; the weights are damaged, fetch the model again");
        }
        let mean_square = state.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / state.len() as f64;
        let norm = (mean_square + d.final_norm.eps).sqrt();
        let factors = d.final_norm.factors();
        let normed: Vec<f64> =
            state.iter().zip(&factors).map(|(x, f)| f64::from(*x) / norm * f64::from(*f)).collect();
        let step = (read.len() / 256).max(1);
        let mut largest = 0f64;
        for id in (0..read.len()).step_by(step) {
            let row = crate::model::act::weight_row(&d.unembedding, id as u32)?;
            let z: f64 = row.iter().zip(&normed).map(|(w, x)| f64::from(*w) * x).sum();
            let z = d.config.final_softcap.map_or(z, |c| c * (z / c).tanh());
            largest = largest.max((z - f64::from(read[id])).abs());
        }
        Ok(largest as f32)
    }
}
