//! The grid of positions and layers, and what is inside one of its cells.

use super::control::Cancel;
use super::core::Engine;
use super::lens::matrix;
use super::protocol::*;
use crate::error::{Error, Result};
use crate::lens::{Column, Readout, Wanted};
use crate::model::adapter::Adapter;
use crate::model::decoder::{Options, Point};
use crate::model::kernels::Mat;
use std::sync::Arc;

impl Engine {
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
            let options = Options { sublayers: true, ..Options::default() };
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
