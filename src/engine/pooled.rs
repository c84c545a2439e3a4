//! Pooled hidden states of many items, and the PCA over them.

use super::control::Cancel;
use super::core::{Engine, Progress};
use super::curves::BATCH;
use super::protocol::*;
use crate::error::{Error, Result};
use crate::geometry::align::{self, RunStates};
use crate::model::act::Act;
use crate::model::adapter::Adapter;
use crate::model::decoder::{Options, Span, Tap};
use ndarray::{Array2, ArrayView2};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// States already pooled, so that choosing another language or layer computes only what is new.
#[derive(Default)]
pub struct Cache(Mutex<HashMap<Key, Arc<Pooled>>>);

/// One item's pooled states, `[L + 1][hidden]`.
type Pooled = Vec<Vec<f32>>;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    run: RunId,
    pooling: &'static str,
    paper: bool,
    prefix: String,
    text: String,
}

/// Pooled items kept at most; beyond it the cache starts anew.
const KEPT: usize = 8192;

/// One run's weights.
pub(super) struct PooledRun {
    pub id: RunId,
    pub adapter: Option<Arc<Adapter>>,
    /// Whether the weights stay what they are, so that their states may be kept.
    pub lasting: bool,
}

/// Languages that are complete so far.
type Complete = Vec<(String, Vec<Vec<Arc<Pooled>>>)>;

impl Engine {
    /// Joint PCA and alignment measures.
    ///
    /// # Errors
    /// Languages with different numbers of items, fewer than two items, cancellation.
    pub fn pca(&self, request: &PcaRequest, cancel: &Cancel, progress: Progress) -> Result<PcaAnswer> {
        self.pca_live(request, cancel, progress, &mut |_| {})
    }

    /// As [`Engine::pca`], and `partial` gets the picture (without the slower measures) whenever a language has
    /// become complete.
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
        let runs: Vec<PooledRun> = request
            .runs
            .iter()
            .map(|id| Ok(PooledRun { id: *id, adapter: self.adapter(*id)?, lasting: true }))
            .collect::<Result<_>>()?;
        self.pca_of(request, &runs, cancel, progress, partial)
    }

    /// As [`Engine::pca_live`], with the runs' weights given; the request's own runs are not looked at.
    pub(super) fn pca_of(
        &self,
        request: &PcaRequest,
        runs: &[PooledRun],
        cancel: &Cancel,
        progress: Progress,
        partial: &mut (dyn FnMut(PcaAnswer) + Send),
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
        let mut done = 0;
        let mut complete: Complete = Vec::new();
        for (lang, items) in &request.items {
            let mut per_run = Vec::with_capacity(runs.len());
            for run in runs {
                per_run.push(self.pool_items(items, run, request, cancel, &mut |k| {
                    done += k as u64;
                    progress("states", done, total, "items");
                })?);
            }
            complete.push((lang.clone(), per_run));
            if complete.len() > 1 && complete.len() < request.items.len() {
                partial(self.analyse(&complete, request, &ids, n, false, cancel)?);
            }
        }
        progress("measures", 0, 0, "");
        let mut answer = self.analyse(&complete, request, &ids, n, true, cancel)?;
        answer.elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(answer)
    }

    fn analyse(
        &self,
        complete: &Complete,
        request: &PcaRequest,
        runs: &[RunId],
        n: usize,
        measures: bool,
        cancel: &Cancel,
    ) -> Result<PcaAnswer> {
        let langs: Vec<String> = complete.iter().map(|(l, _)| l.clone()).collect();
        let layers: Vec<usize> = if request.layers.is_empty() {
            (0..=self.decoder.blocks.len()).collect()
        } else {
            request.layers.clone()
        };
        let hidden = self.decoder.config.hidden;
        // [run][layer][language] -> [items, hidden]
        let arrays: Vec<Vec<Vec<Array2<f32>>>> = (0..runs.len())
            .map(|r| {
                layers
                    .iter()
                    .map(|k| {
                        let one = |items: &[Arc<Pooled>]| {
                            Array2::from_shape_fn((items.len(), hidden), |(i, d)| items[i][*k][d])
                        };
                        complete.iter().map(|(_, runs)| one(&runs[r])).collect()
                    })
                    .collect()
            })
            .collect();
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

    /// Pooled states of a language's items, from the cache or computed.
    fn pool_items(
        &self,
        items: &[Item],
        run: &PooledRun,
        request: &PcaRequest,
        cancel: &Cancel,
        on: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Vec<Arc<Pooled>>> {
        let pooling = match request.pooling {
            Pooling::Mean => "mean",
            Pooling::Last => "last",
            Pooling::Query => "query",
        };
        let paper = request.protocol == Protocol::Paper;
        let key = |i: &Item| Key {
            run: run.id,
            pooling,
            paper,
            prefix: i.query.prefix.clone(),
            text: i.query.text.clone(),
        };
        let mut found: Vec<Option<Arc<Pooled>>> = {
            let cache = self.pooled.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            items.iter().map(|i| cache.get(&key(i)).filter(|_| run.lasting).cloned()).collect()
        };
        let missing: Vec<usize> = (0..items.len()).filter(|i| found[*i].is_none()).collect();
        on(items.len() - missing.len());
        let mut shared = SharedSums::default();
        for batch in missing.chunks(BATCH) {
            let these: Vec<&Item> = batch.iter().map(|i| &items[*i]).collect();
            let states =
                self.pool_batch(&these, run.adapter.as_ref(), request.pooling, paper, &mut shared, cancel)?;
            let mut cache = self.pooled.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if cache.len() > KEPT {
                cache.clear();
            }
            for (i, s) in batch.iter().zip(states) {
                let s = Arc::new(s);
                if run.lasting {
                    cache.insert(key(&items[*i]), Arc::clone(&s));
                }
                found[*i] = Some(s);
            }
            on(batch.len());
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn pool_batch(
        &self,
        items: &[&Item],
        adapter: Option<&Arc<Adapter>>,
        pooling: Pooling,
        paper: bool,
        shared: &mut SharedSums,
        cancel: &Cancel,
    ) -> Result<Vec<Pooled>> {
        let mut spans = Vec::with_capacity(items.len());
        let mut wanted = Vec::with_capacity(items.len());
        let bos = usize::from(self.tokenizer.adds_bos() && !paper);
        for item in items {
            let (tokens, own) = self.tokens_of(&item.query)?;
            let range = match pooling {
                Pooling::Mean => bos.min(tokens.len() - 1)..tokens.len(),
                Pooling::Last => tokens.len() - 1..tokens.len(),
                Pooling::Query => own.min(tokens.len() - 1)..tokens.len(),
            };
            let prefix = if own < tokens.len() { own } else { 0 };
            shared.prepare(self, &tokens[..prefix], range.start, adapter, cancel)?;
            let past = shared.past(&tokens);
            spans.push(Span { tokens, past, adapter: adapter.cloned() });
            wanted.push(range);
        }
        let mut out: Vec<Pooled> = vec![Vec::new(); items.len()];
        let last = self.decoder.blocks.len();
        self.pool.install(|| {
            self.decoder.forward(&spans, Options::default(), cancel, &mut |tap: Tap| {
                let normed =
                    if tap.layer == last { Some(self.decoder.final_norm.forward(tap.x)?) } else { None };
                let x: &Act = normed.as_ref().unwrap_or(tap.x);
                for (i, span) in spans.iter().enumerate() {
                    // Positions of the sequence to columns of the batch: what was reused is in the shared sums.
                    let (range, reused) = (&wanted[i], span.reused());
                    let shift = tap.columns[i].start;
                    let own = range.start.max(reused) - reused + shift..range.end - reused + shift;
                    let mut sum = x.sum(own.start, own.end)?;
                    if range.start < reused {
                        for (s, p) in sum.iter_mut().zip(shared.layer(tap.layer)) {
                            *s += p;
                        }
                    }
                    out[i].push(sum.iter().map(|s| (s / range.len() as f64) as f32).collect());
                }
                Ok(())
            })
        })?;
        Ok(out)
    }
}

/// Keys, values and summed states of the prefix that a language's items share.
#[derive(Default)]
struct SharedSums {
    tokens: Vec<u32>,
    /// First position that is summed.
    from: usize,
    kv: Option<Arc<crate::model::decoder::KvCache>>,
    /// `[L + 1][hidden]`, over `from..tokens.len()`.
    sums: Vec<Vec<f64>>,
}

impl SharedSums {
    /// Computes the prefix, if it is another one than before.
    fn prepare(
        &mut self,
        engine: &Engine,
        prefix: &[u32],
        from: usize,
        adapter: Option<&Arc<Adapter>>,
        cancel: &Cancel,
    ) -> Result<()> {
        if prefix.is_empty() || (self.tokens == prefix && (self.from == from || from >= prefix.len())) {
            return Ok(());
        }
        *self = Self { tokens: prefix.to_vec(), from: from.min(prefix.len()), ..Self::default() };
        let span = Span::new(prefix.to_vec(), adapter.cloned());
        let last = engine.decoder.blocks.len();
        let summed: Range<usize> = self.from..prefix.len();
        let sums = &mut self.sums;
        let kvs = engine.pool.install(|| {
            let options = Options { keep_kv: true, ..Options::default() };
            engine.decoder.forward(&[span], options, cancel, &mut |tap: Tap| {
                let normed =
                    if tap.layer == last { Some(engine.decoder.final_norm.forward(tap.x)?) } else { None };
                sums.push(normed.as_ref().unwrap_or(tap.x).sum(summed.start, summed.end)?);
                Ok(())
            })
        })?;
        self.kv = kvs.into_iter().next().map(Arc::new);
        Ok(())
    }

    /// The prefix as a span's past, where `tokens` continue it.
    fn past(&self, tokens: &[u32]) -> Option<(Arc<crate::model::decoder::KvCache>, usize)> {
        let kv = self.kv.as_ref()?;
        (tokens.len() > self.tokens.len() && tokens.starts_with(&self.tokens))
            .then(|| (Arc::clone(kv), self.tokens.len()))
    }

    fn layer(&self, k: usize) -> &[f64] {
        &self.sums[k]
    }
}

fn views(arrays: &[Array2<f32>]) -> Vec<ArrayView2<'_, f32>> {
    arrays.iter().map(Array2::view).collect()
}
