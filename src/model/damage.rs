//! Weights that are no numbers, reported by name and never computed with in silence.
//!
//! A checkpoint of usual size is read through when it is loaded. One so large that this would take longer than a person
//! waits is checked by what it computes: NaN or infinity in any weight of a block leaves nothing finite of the text
//! that passes it, so that a look at a few numbers after each block finds it.

use super::act::Act;
use super::decoder::{Decoder, Point, Tap};
use super::kernels::CpuWeight;
use super::linear::Weight;
use super::names::Proj;
use crate::error::{Error, Result};
use rayon::prelude::*;

/// The error for a tensor with numbers that are none.
pub fn not_finite(name: &str) -> Error {
    Error::failed(format!(
        "tensor {name:?} holds NaN or infinity; the weights are damaged, fetch the model again"
    ))
}

/// The numbers, if all are finite.
///
/// # Errors
/// Names the tensor.
pub fn finite(name: &str, xs: Vec<f32>) -> Result<Vec<f32>> {
    if xs.iter().all(|x| x.is_finite()) { Ok(xs) } else { Err(not_finite(name)) }
}

/// Reads a weight through.
///
/// # Errors
/// Names the tensor where it holds NaN or infinity.
pub fn scan(name: &str, w: &CpuWeight) -> Result<()> {
    if is_finite(w) { Ok(()) } else { Err(not_finite(name)) }
}

fn is_finite(w: &CpuWeight) -> bool {
    let rows = w.bytes().len() / w.out.max(1) * 64;
    w.bytes().par_chunks(rows.max(1)).all(|part| w.format.finite(part))
}

/// Looks at the residual stream after a block: at one number of each sequence's last token, which a block before would
/// have spoiled, and after the last block at all of them.
///
/// # Errors
/// NaN or infinity, with the weight that they come from.
pub fn check(decoder: &Decoder, tap: &Tap) -> Result<()> {
    let Act::Cpu(x) = tap.x else { return Ok(()) };
    if tap.point != Point::Residual {
        return Ok(());
    }
    let looked_at = if tap.layer == decoder.blocks.len() { x.rows() } else { 1 };
    let spoiled = |r: usize| {
        let row = x.row(r);
        tap.columns.iter().any(|c| !row[c.end - 1].is_finite())
    };
    if (0..looked_at).any(spoiled) { Err(source(decoder, tap.layer)) } else { Ok(()) }
}

/// Why the residual stream is not finite after block `layer`.
fn source(decoder: &Decoder, layer: usize) -> Error {
    let damaged = |w: &Weight| matches!(w, Weight::Cpu(w) if !is_finite(w));
    let again = "the weights are damaged, fetch the model again";
    if damaged(&decoder.embedding) {
        return Error::failed(format!("the token embedding holds NaN or infinity; {again}"));
    }
    for (i, block) in decoder.blocks[..layer].iter().enumerate() {
        if let Some(proj) = Proj::ALL.into_iter().find(|p| damaged(&block.linear(*p).w)) {
            let module = proj.module();
            return Error::failed(format!("block {i}'s {module} holds NaN or infinity; {again}"));
        }
    }
    Error::failed(format!(
        "the residual stream is not finite after block {layer}; an adapter is damaged, or the weights' format is too \
         narrow: try --dtype f32"
    ))
}
