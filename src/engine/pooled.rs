//! Pooled hidden states of many items, and the PCA over them.

pub(super) mod found;
mod states;

use super::control::Cancel;
use super::core::{Engine, Progress};
use super::protocol::*;
use crate::error::{Error, Result};
use crate::geometry::align::{self, RunStates};
use crate::model::adapter::Adapter;
use found::{Complete, Found};
use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One item's pooled states, `[L + 1][hidden]`.
type Pooled = Vec<Vec<f32>>;

/// One run's weights.
pub(super) struct PooledRun {
    pub id: RunId,
    pub adapter: Option<Arc<Adapter>>,
    /// Whether the weights stay what they are, so that their states may be kept.
    pub lasting: bool,
}

impl Engine {
    /// Joint PCA and alignment measures.
    ///
    /// # Errors
    /// Languages with different numbers of items, fewer than two items, cancellation.
    pub fn pca(&self, request: &PcaRequest, cancel: &Cancel, progress: Progress) -> Result<PcaAnswer> {
        self.pca_of(request, &self.lasting(&request.runs)?, cancel, progress, None)
    }

    /// As [`Engine::pca`], and `partial` gets the picture (without the slower measures) when further languages
    /// have become complete, if that does not cost more than a tenth of the time.
    ///
    /// # Errors
    /// As [`Engine::pca`].
    pub fn pca_live(
        &self,
        request: &PcaRequest,
        cancel: &Cancel,
        progress: Progress,
        partial: &mut (dyn FnMut(PcaAnswer) + Send),
    ) -> Result<PcaAnswer> {
        self.pca_of(request, &self.lasting(&request.runs)?, cancel, progress, Some(partial))
    }

    /// Loaded runs.
    fn lasting(&self, runs: &[RunId]) -> Result<Vec<PooledRun>> {
        runs.iter().map(|id| Ok(PooledRun { id: *id, adapter: self.adapter(*id)?, lasting: true })).collect()
    }

    /// As [`Engine::pca_live`], with the runs' weights given; the request's own runs are not looked at.
    pub(super) fn pca_of(
        &self,
        request: &PcaRequest,
        runs: &[PooledRun],
        cancel: &Cancel,
        progress: Progress,
        mut partial: Option<&mut (dyn FnMut(PcaAnswer) + Send)>,
    ) -> Result<PcaAnswer> {
        let started = Instant::now();
        let n = request.items.first().map_or(0, |(_, items)| items.len());
        for (lang, items) in &request.items {
            if items.len() != n {
                return Err(Error::usage(format!(
                    "{lang} has {} items where the first language has {n}; a joint analysis needs the same items",
                    items.len()
                )));
            }
        }
        if n * request.items.len() < 2 {
            return Err(Error::usage("a PCA needs at least two items"));
        }
        let total = (n * request.items.len() * runs.len()) as u64;
        let ids: Vec<RunId> = runs.iter().map(|r| r.id).collect();
        let mut found = Found::new(request, runs, &self.pooled);
        progress("states", found.done, total, "items");
        let missing = found.missing();
        let mut shown = 0;
        let mut spent = Duration::ZERO;
        self.pool_states(&missing, request, runs, cancel, &mut |states| {
            found.add(states, &self.pooled);
            progress("states", found.done, total, "items");
            let Some(partial) = partial.as_deref_mut() else { return Ok(()) };
            let complete = found.complete();
            // A picture is worth a tenth of the time, not more.
            let worth = complete.len() > shown.max(1) && complete.len() < request.items.len();
            if worth && started.elapsed() >= spent * 10 {
                let begun = Instant::now();
                partial(self.analyse(&complete, request, &ids, n, false, cancel)?);
                (shown, spent) = (complete.len(), spent + begun.elapsed());
            }
            Ok(())
        })?;
        progress("measures", 0, 0, "");
        let mut answer = self.analyse(&found.complete(), request, &ids, n, true, cancel)?;
        answer.elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(answer)
    }

    fn analyse(
        &self,
        complete: &[Complete],
        request: &PcaRequest,
        runs: &[RunId],
        n: usize,
        measures: bool,
        cancel: &Cancel,
    ) -> Result<PcaAnswer> {
        let langs: Vec<String> = complete.iter().map(|(l, _)| (*l).to_owned()).collect();
        let layers: Vec<usize> = if request.layers.is_empty() {
            (0..=self.decoder.blocks.len()).collect()
        } else {
            request.layers.clone()
        };
        let hidden = self.decoder.config.hidden;
        // [run][layer][language] -> [items, hidden]
        let one = |items: &[&Pooled], k: usize| {
            let mut all = Array2::zeros((items.len(), hidden));
            for (mut row, item) in all.rows_mut().into_iter().zip(items) {
                row.assign(&ArrayView1::from(&item[k]));
            }
            all
        };
        let of_layer = |r: usize, k: usize| complete.iter().map(|(_, runs)| one(&runs[r], k)).collect();
        let arrays: Vec<Vec<Vec<Array2<f32>>>> = self.pool.install(|| {
            (0..runs.len()).map(|r| layers.par_iter().map(|k| of_layer(r, *k)).collect()).collect()
        });
        let runs: Vec<RunStates> = runs
            .iter()
            .zip(&arrays)
            .map(|(run, by_layer)| RunStates {
                run: *run,
                layers: layers.iter().copied().zip(by_layer.iter().map(|l| views(l))).collect(),
            })
            .collect();
        let options = align::Options { shared_fit: request.shared_fit, measures, seed: request.seed };
        let runs = self.pool.install(|| align::analyse(&runs, &langs, &options, cancel))?;
        Ok(PcaAnswer {
            fit_langs: align::fit_langs(&langs),
            langs,
            n,
            pooling: request.pooling,
            runs,
            elapsed_ms: 0.0,
        })
    }
}

fn views(arrays: &[Array2<f32>]) -> Vec<ArrayView2<'_, f32>> {
    arrays.iter().map(Array2::view).collect()
}
