//! Curves over many items: what a batch shares is computed once.

use super::control::Cancel;
use super::core::{Engine, Progress};
use super::lens::{Followed, matrix};
use super::protocol::*;
use crate::error::{Error, Result};
use crate::lens::{Readout, Wanted};
use crate::model::adapter::Adapter;
use crate::model::decoder::{Options, Span};
use std::sync::Arc;
use std::time::Instant;

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
        progress: Progress,
    ) -> Result<CurvesAnswer> {
        let started = Instant::now();
        let mut answer = CurvesAnswer { n: items.len(), ..Default::default() };
        let total = (items.len() * runs.len()) as u64;
        for run in runs {
            let adapter = self.adapter(*run)?;
            let mut out = Vec::with_capacity(items.len());
            for batch in items.chunks(per_batch(self.decoder.blocks.len() + 1)) {
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
            self.decoder.forward(
                &spans,
                Options { last_only: true, ..Options::default() },
                cancel,
                &mut |tap| {
                    for (s, cols) in states.iter_mut().zip(tap.columns) {
                        s.push(tap.x.column(cols.end - 1)?);
                    }
                    Ok(())
                },
            )
        })?;
        let flat: Vec<Vec<f32>> = states.into_iter().flatten().collect();
        let layers = self.decoder.blocks.len() + 1;
        let sets: Vec<&[u32]> =
            followed.iter().flat_map(|f| f.curves.iter().flatten().map(Vec::as_slice)).collect();
        let sets_of = (0..flat.len()).map(|state| state / layers * 4..(state / layers + 1) * 4).collect();
        let wanted = Wanted { sets, sets_of, ..Wanted::default() };
        let columns =
            self.pool.install(|| Readout::new(&self.decoder).read(&matrix(&flat), &wanted, cancel))?;
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
                        let s = &c.sets;
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
            let options = Options { keep_kv: true, last_only: true, ..Options::default() };
            self.decoder.forward(&[span], options, cancel, &mut |_| Ok(()))
        })?;
        for kv in kvs {
            self.kv.keep(kv, adapter);
        }
        Ok(())
    }
}

/// Fewest items of a forward pass.
const BATCH: usize = 8;

/// Items of a forward pass: as many as fill passes over the vocabulary with their layers.
fn per_batch(layers: usize) -> usize {
    let passes = (BATCH * layers).div_ceil(Readout::widest());
    (passes * Readout::widest() / layers).max(BATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fill_the_readout() {
        for layers in [3, 19, 27, 33, 49] {
            let (states, widest) = (per_batch(layers) * layers, Readout::widest());
            assert!(
                per_batch(layers) >= BATCH && states.next_multiple_of(widest) - states < layers,
                "{layers}"
            );
        }
    }
}
