//! Last states of queries on their way through the unembedding.

use super::{Job, Taker, Unit};
use crate::engine::control::Cancel;
use crate::engine::core::Engine;
use crate::engine::lens::matrix;
use crate::engine::protocol::EvalRecord;
use crate::error::Result;
use crate::lens::{Column, Readout, Wanted};
use crate::model::decoder::{KvCache, Options, Span};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Answers come about this often at least: each time costs a pass over the whole unembedding.
const PAUSE: Duration = Duration::from_millis(800);

/// Queries whose last states are computed, and whose answers are not.
pub(super) struct Waiting {
    states: Vec<(Unit, Vec<f32>)>,
    /// When answers were handed out last.
    last: Instant,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self { states: Vec::new(), last: Instant::now() }
    }

    pub(super) fn add(&mut self, states: impl Iterator<Item = (Unit, Vec<f32>)>) {
        self.states.extend(states);
    }

    /// Whether it is time for answers: `many` wait, or some have waited long.
    pub(super) fn due(&self, many: usize) -> bool {
        self.states.len() >= many || self.last.elapsed() >= PAUSE
    }

    /// Hands out the answers of all that wait.
    pub(super) fn read_out(&mut self, job: &Job, on: Taker) -> Result<()> {
        let (units, states): (Vec<Unit>, Vec<Vec<f32>>) =
            std::mem::take(&mut self.states).into_iter().unzip();
        if units.is_empty() {
            return Ok(());
        }
        // Each language's sets once.
        let mut sets: Vec<&[u32]> = Vec::new();
        let mut places: Vec<(usize, Range<usize>)> = Vec::new();
        let mut sets_of = Vec::with_capacity(units.len());
        for (_, lang, _) in &units {
            let known = places.iter().find(|p| p.0 == *lang).map(|p| p.1.clone());
            let place = known.unwrap_or_else(|| {
                let from = sets.len();
                sets.extend(job.sets.get(*lang).iter().flat_map(|s| &s.sets).map(|s| s.ids.as_slice()));
                places.push((*lang, from..sets.len()));
                from..sets.len()
            });
            sets_of.push(place);
        }
        let columns = job.engine.read_out(&states, sets, sets_of, job.cancel)?;
        let record = |((run, lang, slot), column): (Unit, Column)| {
            column.finite().map_err(job.named(lang))?;
            Ok(EvalRecord { run, lang, slot, p: column.sets, ..EvalRecord::default() })
        };
        on(units.into_iter().zip(columns).map(record).collect::<Result<_>>()?)?;
        self.last = Instant::now();
        Ok(())
    }
}

impl Engine {
    /// Final residual states of (span, position in its sequence), and the spans' keys and values if `keep_kv`. With
    /// `ends`, all of these positions are the last ones.
    pub(in crate::engine) fn final_states(
        &self,
        spans: &[Span],
        wanted: &[(usize, usize)],
        (keep_kv, ends): (bool, bool),
        cancel: &Cancel,
    ) -> Result<(Vec<Vec<f32>>, Vec<KvCache>)> {
        let last = self.decoder.blocks.len();
        let mut states = Vec::with_capacity(wanted.len());
        let options = Options { keep_kv, same_bits: true, last_only: ends, ..Options::default() };
        let kvs = self.pool.install(|| {
            self.decoder.forward(spans, options, cancel, &mut |tap| {
                if tap.layer == last {
                    for (span, position) in wanted {
                        let from_end = spans[*span].tokens.len() - position;
                        let column = tap.columns[*span].end - from_end;
                        states.push(tap.x.column(column)?);
                    }
                }
                Ok(())
            })
        })?;
        Ok((states, kvs))
    }

    /// Probabilities of every state's own sets.
    pub(super) fn read_out(
        &self,
        states: &[Vec<f32>],
        sets: Vec<&[u32]>,
        sets_of: Vec<Range<usize>>,
        cancel: &Cancel,
    ) -> Result<Vec<Column>> {
        let wanted = Wanted { sets, sets_of, ..Wanted::default() };
        self.pool.install(|| Readout::new(&self.decoder).read(&matrix(states), &wanted, cancel))
    }
}

impl Column {
    /// # Errors
    /// Where the model's output is not finite.
    pub(super) fn finite(&self) -> Result<()> {
        if !self.log_sum.is_finite() {
            crate::fail!("the model's output is not finite here; try --dtype f32, or fetch the model again");
        }
        Ok(())
    }
}
