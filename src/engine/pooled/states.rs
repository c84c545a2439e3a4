//! Computing pooled states: several languages and runs at a time, what prompts share in the beginning once.

use super::found::Slot;
use super::{Pooled, PooledRun};
use crate::engine::control::Cancel;
use crate::engine::core::Engine;
use crate::engine::evaluate::fitting;
use crate::engine::protocol::*;
use crate::error::Result;
use crate::model::act::Act;
use crate::model::adapter::Adapter;
use crate::model::decoder::{KvCache, Options, Span, Tap};
use crate::model::tokenizer::common_prefix;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Tokens computed together, about.
const TOKENS: usize = 768;
/// Tokens of shared beginnings computed together, about.
const BEGINNINGS: usize = 1024;
/// A shorter beginning is not worth a pass of its own.
const SHORTEST: usize = 4;

/// Takes states as they come.
type Taker<'a> = &'a mut (dyn FnMut(Vec<(Slot, Pooled)>) -> Result<()> + Send);

/// An item under a run whose states are wanted.
struct Want {
    slot: Slot,
    tokens: Vec<u32>,
    /// Tokens that it may share with others.
    prefix: usize,
    /// Positions that are pooled.
    range: Range<usize>,
}

impl Want {
    fn shared(&self) -> &[u32] {
        &self.tokens[..self.prefix]
    }

    /// The first pooled position of what is shared.
    fn from(&self) -> usize {
        self.range.start.min(self.prefix)
    }
}

/// Keys, values and summed states of a beginning that items share.
struct Shared {
    run: usize,
    tokens: Vec<u32>,
    /// First position that is summed.
    from: usize,
    kv: Option<Arc<KvCache>>,
    /// `[L + 1][hidden]`, over `from..tokens.len()`.
    sums: Vec<Vec<f64>>,
}

impl Shared {
    fn is_of(&self, want: &Want) -> bool {
        self.run == want.slot.1 && self.from == want.from() && self.tokens == want.shared()
    }
}

/// Hears of a layer, its states, and every span's columns of them.
type OnStates<'a> = dyn FnMut(usize, &Act, &[Range<usize>]) -> Result<()> + Send + 'a;

impl Engine {
    /// Pooled states of the slots, in their order, handed out some at a time.
    pub(super) fn pool_states(
        &self,
        slots: &[Slot],
        request: &PcaRequest,
        runs: &[PooledRun],
        cancel: &Cancel,
        on: Taker,
    ) -> Result<()> {
        let want = |&slot: &Slot| self.want(slot, request);
        let mut wants: Vec<Want> = self.pool.install(|| slots.par_iter().map(want).collect::<Result<_>>())?;
        share_more(&mut wants);
        let adapter = |run: usize| runs[run].adapter.clone();
        let mut rest = wants.as_slice();
        while !rest.is_empty() {
            let (mut shared, n) = beginnings(rest);
            self.read_beginnings(&mut shared, &adapter, cancel)?;
            let (mut these, after) = rest.split_at(n);
            rest = after;
            while !these.is_empty() {
                let n = fitting(these, TOKENS, usize::MAX, |w| w.tokens.len() - w.prefix);
                let (batch, after) = these.split_at(n);
                these = after;
                cancel.check()?;
                let states = self.pool_batch(batch, &shared, &adapter, request.pooling, cancel)?;
                on(batch.iter().map(|w| w.slot).zip(states).collect())?;
            }
        }
        Ok(())
    }

    fn want(&self, slot: Slot, request: &PcaRequest) -> Result<Want> {
        let (tokens, own) = self.tokens_of(&request.items[slot.0].1[slot.2].query)?;
        let paper = request.protocol == Protocol::Paper;
        let bos = usize::from(self.tokenizer.adds_bos() && !paper);
        let n = tokens.len();
        let range = match request.pooling {
            Pooling::Mean => bos.min(n - 1)..n,
            Pooling::Last => n - 1..n,
            Pooling::Query => own.min(n - 1)..n,
        };
        Ok(Want { slot, prefix: if own < n { own } else { 0 }, tokens, range })
    }

    fn read_beginnings(
        &self,
        shared: &mut [Shared],
        adapter: &dyn Fn(usize) -> Option<Arc<Adapter>>,
        cancel: &Cancel,
    ) -> Result<()> {
        // Those of one run side by side.
        shared.sort_by_key(|s| s.run);
        let mut at = 0;
        while at < shared.len() {
            let n = fitting(&shared[at..], BEGINNINGS, usize::MAX, |s| s.tokens.len());
            let these = &mut shared[at..at + n];
            at += n;
            let spans: Vec<Span> =
                these.iter().map(|s| Span::new(s.tokens.clone(), adapter(s.run))).collect();
            let options = Options { keep_kv: true, ..Options::default() };
            let kvs = self.pool_pass(&spans, options, cancel, &mut |_, x, columns| {
                let own = |(s, c): (&Shared, &Range<usize>)| c.start + s.from..c.end;
                let sums = x.sums(&these.iter().zip(columns).map(own).collect::<Vec<_>>())?;
                these.iter_mut().zip(sums).for_each(|(s, sum)| s.sums.push(sum));
                Ok(())
            })?;
            for (s, kv) in these.iter_mut().zip(kvs) {
                s.kv = Some(Arc::new(kv));
            }
        }
        Ok(())
    }

    fn pool_batch(
        &self,
        wants: &[Want],
        shared: &[Shared],
        adapter: &dyn Fn(usize) -> Option<Arc<Adapter>>,
        pooling: Pooling,
        cancel: &Cancel,
    ) -> Result<Vec<Pooled>> {
        let shared_by = |w: &Want| shared.iter().find(|s| w.prefix > 0 && s.is_of(w));
        let shared: Vec<Option<&Shared>> = wants.iter().map(shared_by).collect();
        let span = |(w, shared): (&Want, &Option<&Shared>)| {
            let past = shared.and_then(|s| Some((Arc::clone(s.kv.as_ref()?), s.tokens.len())));
            Span { tokens: w.tokens.clone(), past, adapter: adapter(w.slot.1) }
        };
        let spans: Vec<Span> = wants.iter().zip(&shared).map(span).collect();
        let mut out: Vec<Pooled> = vec![Vec::new(); wants.len()];
        let options = Options { last_only: pooling == Pooling::Last, ..Options::default() };
        self.pool_pass(&spans, options, cancel, &mut |layer, x, columns| {
            // Positions from the end: what was reused is in the shared sums.
            let own = |(w, c): (&Want, &Range<usize>)| c.end - w.range.len().min(c.len())..c.end;
            let runs: Vec<Range<usize>> = wants.iter().zip(columns).map(own).collect();
            for (i, mut sum) in x.sums(&runs)?.into_iter().enumerate() {
                let range = &wants[i].range;
                if let Some(s) = shared[i].filter(|s| range.start < s.tokens.len()) {
                    sum.iter_mut().zip(&s.sums[layer]).for_each(|(sum, before)| *sum += before);
                }
                out[i].push(sum.iter().map(|s| (s / range.len() as f64) as f32).collect());
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// A forward pass whose residual stream is normed at the last layer.
    fn pool_pass(
        &self,
        spans: &[Span],
        options: Options,
        cancel: &Cancel,
        on: &mut OnStates,
    ) -> Result<Vec<KvCache>> {
        let last = self.decoder.blocks.len();
        self.pool.install(|| {
            self.decoder.forward(spans, options, cancel, &mut |tap: Tap| {
                let normed =
                    if tap.layer == last { Some(self.decoder.final_norm.forward(tap.x)?) } else { None };
                on(tap.layer, normed.as_ref().unwrap_or(tap.x), tap.columns)
            })
        })
    }
}

/// Items of one language under one run share whatever all of them begin with, also what their templates put before their
/// own words.
fn share_more(wants: &mut [Want]) {
    for same in wants.chunk_by_mut(|a, b| (a.slot.0, a.slot.1) == (b.slot.0, b.slot.1)) {
        let [first, others @ ..] = &*same else { continue };
        let mut common = first.tokens.len();
        for other in others {
            common = common.min(common_prefix(&first.tokens, &other.tokens));
        }
        // At least the last token is computed: its state is wanted.
        let shortest = same.iter().map(|w| w.tokens.len()).min().unwrap_or_default();
        common = common.min(shortest.saturating_sub(1));
        if same.len() > 1 && common >= SHORTEST {
            same.iter_mut().for_each(|w| w.prefix = w.prefix.max(common));
        }
    }
}

/// The beginnings that the first wants share, not yet read, and how many wants these are.
fn beginnings(wants: &[Want]) -> (Vec<Shared>, usize) {
    let mut shared: Vec<Shared> = Vec::new();
    let mut total = 0;
    for (i, w) in wants.iter().enumerate() {
        if w.prefix == 0 || shared.iter().any(|s| s.is_of(w)) {
            continue;
        }
        total += w.prefix;
        if total > BEGINNINGS && !shared.is_empty() {
            return (shared, i);
        }
        let (tokens, from) = (w.shared().to_vec(), w.from());
        shared.push(Shared { run: w.slot.1, tokens, from, kv: None, sums: Vec::new() });
    }
    (shared, wants.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(all: &[(Slot, usize, &[u32])]) -> Vec<Want> {
        let want = |&(slot, prefix, tokens): &(Slot, usize, &[u32])| Want {
            slot,
            tokens: tokens.to_vec(),
            prefix,
            range: 0..tokens.len(),
        };
        all.iter().map(want).collect()
    }

    #[test]
    fn what_all_items_of_a_language_begin_with_is_shared() {
        let mut all = wants(&[
            ((0, 0, 0), 3, &[1, 2, 3, 4, 5, 9]),
            ((0, 0, 1), 3, &[1, 2, 3, 4, 5, 8, 7]),
            // The whole of one item: its last token is computed.
            ((0, 1, 0), 0, &[1, 2, 3, 4, 5, 6]),
            ((0, 1, 1), 0, &[1, 2, 3, 4, 5, 6, 7]),
            // Too little, declared or not, and one alone.
            ((1, 0, 0), 2, &[1, 2, 3, 4]),
            ((1, 0, 1), 2, &[1, 2, 3, 5]),
            ((2, 0, 0), 0, &[1, 2, 3, 4, 5, 6]),
            // Another declared prefix in the same language: each keeps its own.
            ((3, 0, 0), 5, &[1, 2, 3, 4, 5, 6]),
            ((3, 0, 1), 2, &[1, 2, 9, 4, 5, 6]),
        ]);
        share_more(&mut all);
        assert_eq!(all.iter().map(|w| w.prefix).collect::<Vec<_>>(), [5, 5, 5, 5, 2, 2, 0, 5, 2]);
    }
}
