//! Lens, grid and cell: readouts of one query.

use super::control::Cancel;
use super::core::{Engine, LensPart};
use super::protocol::*;
use crate::error::{Error, Result};
use crate::lens::{Column, Readout, Wanted};
use crate::model::adapter::Adapter;
use crate::model::decoder::{Options, Point, Span, Tap};
use crate::model::kernels::Mat;
use crate::tasks::sets::token_sets;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A live lens shows what it has about this often while later layers compute, but spends at most a quarter of
/// its time on that.
const LIVE: Duration = Duration::from_millis(120);

/// What is followed through the layers of a query.
struct Followed {
    sets: TokenSets,
    /// Ids of the four curves' sets: gold english, gold target, all english, all target.
    curves: Option<[Vec<u32>; 4]>,
}

impl Followed {
    fn new(sets: TokenSets) -> Self {
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
        self.lens_with(query, runs, top, cancel, on, false)
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
        self.lens_with(query, runs, top, cancel, on, true)
    }

    fn lens_with(
        &self,
        query: &Query,
        runs: &[RunId],
        top: usize,
        cancel: &Cancel,
        on: &mut (dyn FnMut(LensPart) + Send),
        live: bool,
    ) -> Result<LensAnswer> {
        let started = Instant::now();
        let (tokens, _) = self.tokens_of(query)?;
        let followed = Followed::new(self.sets_of(query)?);
        let mut list = runs
            .iter()
            .map(|id| Ok(Run { id: *id, adapter: self.adapter(*id)?, states: Vec::new(), shown: 0 }))
            .collect::<Result<Vec<Run>>>()?;
        let spans: Vec<Span> = list.iter().map(|r| self.kv.span(tokens.clone(), r.adapter.clone())).collect();
        let reused_tokens = spans.iter().map(Span::reused).min().unwrap_or(0);
        let shown: Vec<TokenText> = tokens.iter().map(|id| self.token(*id)).collect();
        on(LensPart::Started { tokens: shown.clone(), sets: followed.sets.clone(), reused_tokens });
        let last = self.decoder.blocks.len();
        let mut spoke = Instant::now();
        let mut pause = LIVE;
        let kvs = self.pool.install(|| {
            let options = Options { keep_kv: true, sublayers: false };
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
        for (kv, run) in kvs.into_iter().zip(&list) {
            self.kv.keep(kv, run.adapter.as_ref());
        }
        let mut answers = Vec::with_capacity(list.len());
        for (run, layers) in list.iter().zip(self.read_runs(&list, &followed, top, cancel)?) {
            on(LensPart::Layers { run: run.id, layers: layers.clone() });
            let final_top = layers.last().and_then(|l| l.top.first()).map(|t| t.id);
            let first_final_top1 =
                layers.iter().position(|l| final_top.is_some() && l.top.first().map(|t| t.id) == final_top);
            answers.push(LensRun { run: run.id, layers, first_final_top1 });
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
        let columns = Readout::new(&self.decoder).read(&states, &followed.wanted(top), cancel)?;
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
        self.pool.install(|| Readout::new(&self.decoder).read(&states, &wanted, cancel))
    }

    /// The grid's columns for positions `from..to` of a query: `on(position, cells)` with a cell per layer.
    ///
    /// # Errors
    /// Positions outside the query, cancellation.
    pub fn grid(
        &self,
        query: &Query,
        run: RunId,
        from: usize,
        to: usize,
        cancel: &Cancel,
        on: &mut (dyn FnMut(usize, Vec<GridCell>) + Send),
    ) -> Result<()> {
        let (tokens, _) = self.tokens_of(query)?;
        if from >= to || to > tokens.len() {
            return Err(Error::usage(format!(
                "positions {from} to {to} are not in a text of {} tokens",
                tokens.len()
            )));
        }
        let adapter = self.adapter(run)?;
        let states = self.states_between(&tokens[..to], from, adapter, cancel)?;
        let layers = states.len();
        let per_pass = (Readout::widest() / layers).max(1);
        for first in (from..to).step_by(per_pass) {
            let positions = first..to.min(first + per_pass);
            let columns: Vec<Vec<f32>> =
                positions.clone().flat_map(|p| states.iter().map(move |m| m.column(p - from))).collect();
            let wanted = Wanted { top: 1, ..Wanted::default() };
            let read =
                self.pool.install(|| Readout::new(&self.decoder).read(&matrix(&columns), &wanted, cancel))?;
            for (position, cells) in positions.zip(read.chunks(layers)) {
                let cell = |c: &Column| GridCell {
                    token: self.top(&c.top).pop().unwrap_or_default(),
                    entropy_bits: c.entropy_bits,
                };
                on(position, cells.iter().map(cell).collect());
            }
        }
        Ok(())
    }

    /// Residual states `[hidden, tokens.len() - from]` of every layer; what lies before `from` comes from the
    /// cache where it can.
    fn states_between(
        &self,
        tokens: &[u32],
        from: usize,
        adapter: Option<Arc<Adapter>>,
        cancel: &Cancel,
    ) -> Result<Vec<Mat>> {
        let mut span = self.kv.span(tokens.to_vec(), adapter);
        if let Some((_, n)) = &mut span.past {
            *n = (*n).min(from);
        }
        if span.reused() == 0 {
            span.past = None;
        }
        let skip = from - span.reused();
        let mut states = Vec::with_capacity(self.decoder.blocks.len() + 1);
        self.pool.install(|| {
            self.decoder.forward(&[span], Options::default(), cancel, &mut |tap| {
                let cols: Vec<usize> = (tap.columns[0].start + skip..tap.columns[0].end).collect();
                states.push(tap.x.gather(&cols)?);
                Ok(())
            })
        })?;
        Ok(states)
    }

    /// Top-k of one cell, with the readouts inside its block.
    ///
    /// # Errors
    /// A layer or position that is not there, cancellation.
    pub fn cell(
        &self,
        query: &Query,
        run: RunId,
        layer: usize,
        position: usize,
        top: usize,
        cancel: &Cancel,
    ) -> Result<CellDetail> {
        let (tokens, _) = self.tokens_of(query)?;
        if position >= tokens.len() || layer > self.decoder.blocks.len() {
            return Err(Error::usage(format!("there is no cell at position {position}, layer {layer}")));
        }
        let span = self.kv.span(tokens[..=position].to_vec(), self.adapter(run)?);
        let (mut residual, mut attention, mut mlp) = (Vec::new(), Vec::new(), Vec::new());
        let stop = Cancel::new();
        let outcome = self.pool.install(|| {
            let options = Options { keep_kv: false, sublayers: true };
            self.decoder.forward(&[span], options, cancel, &mut |tap| {
                if tap.layer > layer {
                    stop.cancel();
                    return Err(Error::Interrupted);
                }
                if tap.layer == layer {
                    let column = tap.x.column(tap.columns[0].end - 1)?;
                    match tap.point {
                        Point::Residual => residual = column,
                        Point::AfterAttention => attention = column,
                        Point::MlpOutput => mlp = column,
                    }
                }
                Ok(())
            })
        });
        match outcome {
            Err(e) if !stop.is_cancelled() => return Err(e),
            _ => {}
        }
        let states: Vec<Vec<f32>> =
            [residual, attention, mlp].into_iter().filter(|s| !s.is_empty()).collect();
        let wanted = Wanted { top, ..Wanted::default() };
        let read =
            self.pool.install(|| Readout::new(&self.decoder).read(&matrix(&states), &wanted, cancel))?;
        let list = |i: usize| read.get(i).map(|c| self.top(&c.top)).unwrap_or_default();
        Ok(CellDetail {
            layer,
            position,
            residual: list(0),
            after_attention: list(1),
            mlp_output: list(2),
            entropy_bits: read.first().map_or(0.0, |c| c.entropy_bits),
        })
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

/// The four curves and the entropy of every item at every layer.
impl Engine {
    /// Follows the four curves through all layers of many items, several at a time; what they share in the
    /// beginning is computed once.
    ///
    /// # Errors
    /// A comparison that is refused (with the reason), items without one, cancellation.
    pub fn curves(
        &self,
        items: &[Item],
        runs: &[RunId],
        cancel: &Cancel,
        progress: super::core::Progress,
    ) -> Result<CurvesAnswer> {
        let started = Instant::now();
        let mut answer = CurvesAnswer { n: items.len(), ..Default::default() };
        let total = (items.len() * runs.len()) as u64;
        for run in runs {
            let adapter = self.adapter(*run)?;
            let mut out = Vec::with_capacity(items.len());
            for batch in items.chunks(BATCH) {
                self.warm_prefix(batch, adapter.as_ref(), cancel)?;
                let followed = batch
                    .iter()
                    .map(|i| {
                        let sets = self.sets_of(&i.query)?;
                        if let Some(reason) = &sets.refused {
                            return Err(Error::failed(reason));
                        }
                        if sets.latent.is_empty() {
                            return Err(Error::usage(format!(
                                "item {} has no label words to follow",
                                i.index
                            )));
                        }
                        Ok(Followed::new(sets))
                    })
                    .collect::<Result<Vec<_>>>()?;
                if answer.sets.labels.is_empty()
                    && let Some(f) = followed.first()
                {
                    answer.sets = f.sets.clone();
                }
                out.extend(self.curves_batch(batch, &followed, adapter.as_ref(), cancel)?);
                let done = (answer.runs.len() * items.len() + out.len()) as u64;
                progress("items", done, total, "items");
            }
            answer.runs.push(CurvesRun { run: *run, items: out });
        }
        answer.elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(answer)
    }

    fn curves_batch(
        &self,
        batch: &[Item],
        followed: &[Followed],
        adapter: Option<&Arc<Adapter>>,
        cancel: &Cancel,
    ) -> Result<Vec<CurvesItem>> {
        let spans = batch
            .iter()
            .map(|i| Ok(self.kv.span(self.tokens_of(&i.query)?.0, adapter.cloned())))
            .collect::<Result<Vec<Span>>>()?;
        let mut states: Vec<Vec<Vec<f32>>> = vec![Vec::new(); batch.len()];
        self.pool.install(|| {
            self.decoder.forward(&spans, Options::default(), cancel, &mut |tap| {
                for (s, cols) in states.iter_mut().zip(tap.columns) {
                    s.push(tap.x.column(cols.end - 1)?);
                }
                Ok(())
            })
        })?;
        let flat: Vec<Vec<f32>> = states.into_iter().flatten().collect();
        // The sets of a batch are read together: an item's own are picked out afterwards.
        let sets: Vec<&[u32]> =
            followed.iter().flat_map(|f| f.curves.iter().flatten().map(Vec::as_slice)).collect();
        let wanted = Wanted { sets, ..Wanted::default() };
        let columns =
            self.pool.install(|| Readout::new(&self.decoder).read(&matrix(&flat), &wanted, cancel))?;
        let layers = self.decoder.blocks.len() + 1;
        Ok(batch
            .iter()
            .enumerate()
            .map(|(i, item)| CurvesItem {
                index: item.index,
                gold: item.gold.clone(),
                layers: columns[i * layers..][..layers]
                    .iter()
                    .enumerate()
                    .map(|(layer, c)| {
                        let s = &c.sets[i * 4..][..4];
                        let curves = Curves {
                            en: s[0],
                            target: s[1],
                            all_possible_latent: s[2],
                            all_possible_out: s[3],
                        };
                        CurvesPoint { layer, curves, entropy_bits: c.entropy_bits }
                    })
                    .collect(),
            })
            .collect())
    }

    /// Computes what the items' prompts have in common, once, where the pool does not have it.
    pub(super) fn warm_prefix(
        &self,
        items: &[Item],
        adapter: Option<&Arc<Adapter>>,
        cancel: &Cancel,
    ) -> Result<()> {
        let Some(first) = items.first() else { return Ok(()) };
        if first.query.prefix.is_empty() {
            return Ok(());
        }
        let (tokens, own) = self.tokens_of(&first.query)?;
        let shared = tokens[..own.min(tokens.len())].to_vec();
        if shared.len() < 2 {
            return Ok(());
        }
        let span = self.kv.span(shared.clone(), adapter.cloned());
        if span.reused() + 1 >= shared.len() {
            return Ok(());
        }
        let kvs = self.pool.install(|| {
            let options = Options { keep_kv: true, sublayers: false };
            self.decoder.forward(&[span], options, cancel, &mut |_| Ok(()))
        })?;
        for kv in kvs {
            self.kv.keep(kv, adapter);
        }
        Ok(())
    }
}

/// Items per forward pass.
pub(super) const BATCH: usize = 8;
