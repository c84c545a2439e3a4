//! The one linear layer type: weights on the CPU in their file's own format, or a candle tensor on any
//! device, with adapters applied beside them.

use super::act::{Act, Backend, RmsNorm, Vector, add_bias, device};
use super::kernels::matmul::{Job, matmul, matmul_columns, matmul_normed, without_tiles};
use super::kernels::strips::Normed;
use super::kernels::{CpuWeight, Mat};
use crate::error::{Error, Result};
use candle_core::{DType, Tensor};
use std::borrow::Cow;
use std::ops::Range;

/// Weights `[out, in]`.
#[derive(Clone)]
pub enum Weight {
    Cpu(CpuWeight),
    Device(Tensor),
}

impl Weight {
    /// Weights of f32 numbers on the backend.
    ///
    /// # Errors
    /// What the device says.
    pub fn from_floats(
        xs: Vec<f32>,
        out: usize,
        inp: usize,
        dtype: DType,
        backend: &Backend,
    ) -> Result<Self> {
        match backend {
            Backend::Cpu => Ok(Self::Cpu(CpuWeight::floats(xs, out, inp))),
            Backend::Device(d) => Tensor::from_vec(xs, (out, inp), &candle_core::Device::Cpu)
                .and_then(|t| t.to_dtype(dtype)?.to_device(d))
                .map(Self::Device)
                .map_err(device),
        }
    }

    /// Output and input features.
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Self::Cpu(w) => (w.out, w.inp),
            Self::Device(t) => t.dims2().unwrap_or((0, 0)),
        }
    }

    /// Bytes in memory (of a map: in the file).
    pub fn bytes(&self) -> usize {
        match self {
            Self::Cpu(w) => w.bytes().len(),
            Self::Device(t) => t.elem_count() * t.dtype().size_in_bytes(),
        }
    }
}

/// `w x` on a device, in f32 outside.
pub fn tensor_times(w: &Tensor, x: &Tensor) -> candle_core::Result<Tensor> {
    if w.dtype() == DType::F32 {
        w.matmul(x)
    } else {
        w.matmul(&x.to_dtype(w.dtype())?)?.to_dtype(DType::F32)
    }
}

/// A linear layer.
pub struct Linear {
    pub w: Weight,
    pub bias: Option<Vector>,
}

/// A low-rank update of one linear layer: `delta W = b a` (the scale is in `b`).
pub struct Lora {
    /// `[rank, in]`
    pub a: Weight,
    /// `[out, rank]`, times alpha / rank (or alpha / sqrt(rank)).
    pub b: Weight,
}

/// A run of token columns that an adapter applies to.
pub struct Group<'a> {
    pub cols: Range<usize>,
    /// The adapter's update for each of the layers, where it has one.
    pub loras: Vec<Option<&'a Lora>>,
}

/// What linear layers are given.
pub enum Input<'a> {
    /// `[in, tokens]`
    Plain(&'a Act),
    /// The norm of it.
    Normed(&'a RmsNorm, &'a Act),
}

impl Input<'_> {
    /// For kernels that compute it on their way.
    fn normed(&self) -> Option<Normed<'_>> {
        match self {
            Self::Normed(norm, Act::Cpu(x)) => {
                Some(Normed { x, w: &norm.w.xs, plus: norm.plus, eps: norm.eps })
            }
            _ => None,
        }
    }
}

/// Runs several linear layers on the same input: `[in, tokens]` to one `[out, tokens]` each, with each group's
/// low-rank updates added on its own columns.
///
/// # Errors
/// What the device says.
pub fn forward_many(layers: &[&Linear], input: Input, groups: &[Group]) -> Result<Vec<Act>> {
    // Low-rank products need the input as a whole.
    let adapted = groups.iter().any(|g| g.loras.iter().any(Option::is_some));
    let by_the_way = match input.normed().filter(|_| !adapted) {
        Some(normed) => on_cpu(layers, normed.x.cols(), |jobs| matmul_normed(&normed, jobs))?,
        None => None,
    };
    let mut outs = match by_the_way {
        Some(outs) => outs,
        None => {
            let x = match input {
                Input::Plain(x) => Cow::Borrowed(x),
                Input::Normed(norm, x) => Cow::Owned(norm.forward(x)?),
            };
            whole_input(layers, &x, groups)?
        }
    };
    for (layer, y) in layers.iter().zip(&mut outs) {
        if let Some(bias) = &layer.bias {
            add_bias(y, bias)?;
        }
    }
    Ok(outs)
}

/// The same without biases.
fn whole_input(layers: &[&Linear], x: &Act, groups: &[Group]) -> Result<Vec<Act>> {
    let mut outs = match x {
        Act::Cpu(m) => {
            let run = |jobs: &mut [Job]| {
                matmul(m, jobs);
                true
            };
            on_cpu(layers, m.cols(), run)?.unwrap_or_default()
        }
        Act::Device(t) => layers
            .iter()
            .map(|l| match &l.w {
                Weight::Device(w) => tensor_times(w, t).map(Act::Device).map_err(device),
                Weight::Cpu(_) => Err(mixed()),
            })
            .collect::<Result<Vec<_>>>()?,
    };
    for (i, y) in outs.iter_mut().enumerate() {
        for g in groups {
            if let Some(lora) = g.loras[i] {
                add_lora(lora, x, y, &g.cols)?;
            }
        }
    }
    Ok(outs)
}

fn mixed() -> Error {
    Error::failed("weights and activations lie on different devices")
}

/// Outputs for `cols` tokens that `run` computes; `None` where it does not.
fn on_cpu(layers: &[&Linear], cols: usize, run: impl FnOnce(&mut [Job]) -> bool) -> Result<Option<Vec<Act>>> {
    let mut outs: Vec<Mat> = Vec::with_capacity(layers.len());
    let mut weights = Vec::with_capacity(layers.len());
    for l in layers {
        let Weight::Cpu(w) = &l.w else { return Err(mixed()) };
        outs.push(Mat::to_fill(w.out, cols));
        weights.push(w);
    }
    let mut jobs: Vec<Job> =
        weights.into_iter().zip(outs.iter_mut()).map(|(w, y)| Job { w, y, add: false }).collect();
    let done = run(&mut jobs);
    Ok(done.then(|| outs.into_iter().map(Act::Cpu).collect()))
}

fn add_lora(lora: &Lora, x: &Act, y: &mut Act, cols: &Range<usize>) -> Result<()> {
    match (x, y, &lora.a, &lora.b) {
        (Act::Cpu(x), Act::Cpu(y), Weight::Cpu(a), Weight::Cpu(b)) => {
            let mut low = Mat::to_fill(a.out, cols.len());
            without_tiles(|| {
                matmul_columns(x, cols.start, &mut [Job { w: a, y: &mut low, add: false }], 0..cols.len());
                matmul_columns(&low, 0, &mut [Job { w: b, y, add: true }], cols.clone());
            });
            Ok(())
        }
        (Act::Device(x), Act::Device(y), Weight::Device(a), Weight::Device(b)) => {
            let run = || -> candle_core::Result<Tensor> {
                let xs = x.narrow(1, cols.start, cols.len())?.contiguous()?;
                let delta = b.matmul(&a.matmul(&xs)?)?;
                let left = y.narrow(1, 0, cols.start)?;
                let mid = (y.narrow(1, cols.start, cols.len())? + delta)?;
                let right = y.narrow(1, cols.end, y.dim(1)? - cols.end)?;
                Tensor::cat(&[left, mid, right], 1)
            };
            *y = run().map_err(device)?;
            Ok(())
        }
        _ => Err(mixed()),
    }
}
