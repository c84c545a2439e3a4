//! The lens of one query: every layer at the last position, for any number of runs.

use super::cache::KvPool;
use super::control::Cancel;
use super::core::{Engine, LensPart};
use super::protocol::*;
use crate::error::{Error, Result};
use crate::lens::{Column, Readout, Wanted};
use crate::model::adapter::Adapter;
use crate::model::decoder::{Options, Span, Tap};
use crate::model::kernels::Mat;
use crate::tasks::sets::token_sets;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A live lens shows what it has about this often while later layers compute, but spends at most a quarter of
/// its time on that.
const LIVE: Duration = Duration::from_millis(120);

/// What is followed through the layers of a query.
pub(super) struct Followed {
    pub(super) sets: TokenSets,
    /// Ids of the four curves' sets: gold english, gold target, all english, all target.
    pub(super) curves: Option<[Vec<u32>; 4]>,
}

impl Followed {
    pub(super) fn new(sets: TokenSets) -> Self {
        let shown = !sets.latent.is_empty() && sets.refused.is_none();
        let all = |list: &[TokenSet]| {
            let mut ids: Vec<u32> = list.iter().flat_map(|s| s.ids.iter().copied()).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let curves = shown.then(|| {
            let gold = sets.gold;
            [
                sets.latent[gold].ids.clone(),
                sets.target[gold].ids.clone(),
                all(&sets.latent),
                all(&sets.target),
            ]
        });
        Self { sets, curves }
    }

    fn wanted(&self, top: usize) -> Wanted<'_> {
        let mut sets: Vec<&[u32]> = self.curves.iter().flatten().map(Vec::as_slice).collect();
        sets.extend(self.sets.tracked.iter().map(|s| s.ids.as_slice()));
        let gold = match &self.curves {
            Some(c) => &c[1],
            None => &[][..],
        };
        Wanted { top, sets, gold, ..Wanted::default() }
    }

    fn layer(&self, engine: &Engine, layer: usize, c: &Column) -> LensLayer {
        let (curves, tracked) = match &self.curves {
            Some(_) => {
                let s = &c.sets;
                let curves =
                    Curves { en: s[0], target: s[1], all_possible_latent: s[2], all_possible_out: s[3] };
                (Some(curves), s[4..].to_vec())
            }
            None => (None, c.sets.clone()),
        };
        LensLayer {
            layer,
            entropy_bits: c.entropy_bits,
            kl_bits: c.kl_bits,
            top: engine.top(&c.top),
            curves,
            tracked,
            gold_rank: c.gold_rank,
            energy: c.mean_square_cosine.and_then(|m| Some(engine.energy()?.energy(m))),
        }
    }
}

/// One run of a query: its states, layer by layer.
struct Run {
    id: RunId,
    adapter: Option<Arc<Adapter>>,
    states: Vec<Vec<f32>>,
    shown: usize,
}

impl Engine {
    /// Token ids of a query, and the first position that is the query's own.
    ///
    /// # Errors
    /// An empty text.
    pub fn tokens_of(&self, query: &Query) -> Result<(Vec<u32>, usize)> {
        let (ids, own) = self.tokenizer.encode_query(&query.prefix, &query.text)?;
        if ids.is_empty() {
            return Err(Error::usage("the text is empty: there is no position to read out"));
        }
        Ok((ids, own))
    }

    /// The token sets of a query's comparison and tracked words under this model's vocabulary.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn sets_of(&self, query: &Query) -> Result<TokenSets> {
        token_sets(&self.tokenizer, query.comparison.as_ref(), &query.track)
    }

    /// Lens at the last position of `query` for every run. `on` hears of tokens and sets before anything is
    /// computed, and of each run's layers when they are complete.
    ///
    /// # Errors
    /// An empty or too long text, an adapter that is not loaded, cancellation.
    pub fn lens(
        &self,
        query: &Query,
        runs: &[RunId],
        top: usize,
        cancel: &Cancel,
        on: &mut (dyn FnMut(LensPart) + Send),
    ) -> Result<LensAnswer> {
        self.lens_with(query, self.with_adapters(runs)?, top, cancel, on, false)
    }

    /// As [`Engine::lens`], and layers are handed out while later ones still compute (their divergence from
    /// the final layer comes with the answer).
    ///
    /// # Errors
    /// As [`Engine::lens`].
    pub fn lens_live(
        &self,
        query: &Query,
        runs: &[RunId],
        top: usize,
        cancel: &Cancel,
        on: &mut (dyn FnMut(LensPart) + Send),
    ) -> Result<LensAnswer> {
        self.lens_with(query, self.with_adapters(runs)?, top, cancel, on, true)
    }

    /// The runs with their adapters.
    fn with_adapters(&self, runs: &[RunId]) -> Result<Vec<(RunId, Option<Arc<Adapter>>)>> {
        runs.iter().map(|id| Ok((*id, self.adapter(*id)?))).collect()
    }

    pub(super) fn lens_with(
        &self,
        query: &Query,
        runs: Vec<(RunId, Option<Arc<Adapter>>)>,
        top: usize,
        cancel: &Cancel,
        on: &mut (dyn FnMut(LensPart) + Send),
        live: bool,
    ) -> Result<LensAnswer> {
        let started = Instant::now();
        let (tokens, _) = self.tokens_of(query)?;
        let followed = Followed::new(self.sets_of(query)?);
        let mut list: Vec<Run> =
            runs.into_iter().map(|(id, adapter)| Run { id, adapter, states: Vec::new(), shown: 0 }).collect();
        let spans: Vec<Span> = list.iter().map(|r| self.kv.span(tokens.clone(), r.adapter.clone())).collect();
        let reused_tokens = spans.iter().map(Span::reused).min().unwrap_or(0);
        let shown: Vec<TokenText> = tokens.iter().map(|id| self.token(*id)).collect();
        on(LensPart::Started { tokens: shown.clone(), sets: followed.sets.clone(), reused_tokens });
        let last = self.decoder.blocks.len();
        let mut spoke = Instant::now();
        let mut pause = LIVE;
        let kvs = self.pool.install(|| {
            let options = Options { keep_kv: true, last_only: true, ..Options::default() };
            self.decoder.forward(&spans, options, cancel, &mut |tap: Tap| {
                for (run, cols) in list.iter_mut().zip(tap.columns) {
                    run.states.push(tap.x.column(cols.end - 1)?);
                }
                if live && tap.layer < last && spoke.elapsed() > pause {
                    let begun = Instant::now();
                    for run in &mut list {
                        self.show_pending(run, &followed, top, cancel, on)?;
                    }
                    pause = LIVE.max(begun.elapsed() * 3);
                    spoke = Instant::now();
                }
                Ok(())
            })
        })?;
        let kept = kvs.into_iter().zip(&list).map(|(kv, run)| self.kv.keep(kv, run.adapter.as_ref())).last();
        let mut answers = Vec::with_capacity(list.len());
        for (run, layers) in list.iter().zip(self.read_runs(&list, &followed, top, cancel)?) {
            on(LensPart::Layers { run: run.id, layers: layers.clone() });
            let final_top = layers.last().and_then(|l| l.top.first()).map(|t| t.id);
            let first_final_top1 =
                layers.iter().position(|l| final_top.is_some() && l.top.first().map(|t| t.id) == final_top);
            answers.push(LensRun { run: run.id, layers, first_final_top1 });
        }
        if let Some(kv) = kept {
            KvPool::prepare(&kv, list.len());
        }
        Ok(LensAnswer {
            tokens: shown,
            sets: followed.sets,
            runs: answers,
            elapsed_ms: started.elapsed().as_secs_f64() * 1e3,
            reused_tokens,
        })
    }

    /// Reads out the layers of a run that have not been shown yet.
    fn show_pending(
        &self,
        run: &mut Run,
        followed: &Followed,
        top: usize,
        cancel: &Cancel,
        on: &mut (dyn FnMut(LensPart) + Send),
    ) -> Result<()> {
        let states = matrix(&run.states[run.shown..]);
        let columns = Readout::in_any_order(&self.decoder).read(&states, &followed.wanted(top), cancel)?;
        let layers =
            columns.iter().enumerate().map(|(i, c)| followed.layer(self, run.shown + i, c)).collect();
        run.shown = run.states.len();
        on(LensPart::Layers { run: run.id, layers });
        Ok(())
    }

    /// The complete readouts of all runs, divergences included, in as few products as the readout allows.
    fn read_runs(
        &self,
        runs: &[Run],
        followed: &Followed,
        top: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<LensLayer>>> {
        let widest = Readout::widest();
        let total: usize = runs.iter().map(|r| r.states.len()).sum();
        // All runs in one product where they fit, else each run's layers in pieces, each with its final layer.
        if total <= widest {
            let states: Vec<Vec<f32>> = runs.iter().flat_map(|r| r.states.iter().cloned()).collect();
            let mut finals = Vec::new();
            let mut at = 0;
            for r in runs {
                finals.push((at..at + r.states.len(), at + r.states.len() - 1));
                at += r.states.len();
            }
            let mut columns = self.read_states(&states, finals, followed, top, cancel)?.into_iter();
            return Ok(runs
                .iter()
                .map(|r| {
                    (0..r.states.len())
                        .zip(columns.by_ref())
                        .map(|(k, c)| followed.layer(self, k, &c))
                        .collect()
                })
                .collect());
        }
        runs.iter()
            .map(|r| {
                let mut layers = Vec::with_capacity(r.states.len());
                let last = r.states.len() - 1;
                for piece in (0..r.states.len()).collect::<Vec<_>>().chunks(widest - 1) {
                    let mut states: Vec<Vec<f32>> = piece.iter().map(|k| r.states[*k].clone()).collect();
                    states.push(r.states[last].clone());
                    let finals = vec![(0..states.len(), states.len() - 1)];
                    let columns = self.read_states(&states, finals, followed, top, cancel)?;
                    layers.extend(piece.iter().zip(&columns).map(|(k, c)| followed.layer(self, *k, c)));
                }
                Ok(layers)
            })
            .collect()
    }

    fn read_states(
        &self,
        states: &[Vec<f32>],
        finals: Vec<(std::ops::Range<usize>, usize)>,
        followed: &Followed,
        top: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Column>> {
        let mut wanted = followed.wanted(top);
        wanted.finals = finals;
        wanted.inverse_norms = self.energy().map(|t| t.inverse_norms.as_slice());
        let states = matrix(states);
        self.pool.install(|| Readout::in_any_order(&self.decoder).read(&states, &wanted, cancel))
    }
}

/// States side by side, `[hidden, n]`.
pub(super) fn matrix(states: &[Vec<f32>]) -> Mat {
    let hidden = states.first().map_or(0, Vec::len);
    let mut m = Mat::zeros(hidden, states.len());
    for (c, s) in states.iter().enumerate() {
        m.set_column(c, s);
    }
    m
}
