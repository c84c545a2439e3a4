//! Activations on either backend, and the operations between linear layers.
//!
//! Everything is feature-major, `[features, tokens]` (see [`super::kernels`]). On a CPU the operations are our
//! kernels; on another device they are compositions of candle's differentiable operations in f32.

use super::config::Activation;
use super::kernels::Mat;
use super::kernels::attention::{self, Heads};
use super::kernels::elementwise::{self, Angles};
use super::kernels::norms::{self, NormOut};
use super::linear::Weight;
use crate::error::{Error, Result};
use candle_core::{D, DType, Device, Tensor};
use std::ops::Range;

/// `[features, tokens]` numbers.
#[derive(Clone)]
pub enum Act {
    Cpu(Mat),
    Device(Tensor),
}

/// A failure inside candle, in our words.
pub(crate) fn device(e: candle_core::Error) -> Error {
    Error::failed(format!("the device could not compute this ({e}); try --device cpu"))
}

impl Act {
    /// Tokens.
    pub fn cols(&self) -> usize {
        match self {
            Self::Cpu(m) => m.cols(),
            Self::Device(t) => t.dim(1).unwrap_or(0),
        }
    }

    /// Features.
    pub fn rows(&self) -> usize {
        match self {
            Self::Cpu(m) => m.rows(),
            Self::Device(t) => t.dim(0).unwrap_or(0),
        }
    }

    /// Token `c`'s vector.
    pub fn column(&self, c: usize) -> Result<Vec<f32>> {
        match self {
            Self::Cpu(m) => Ok(m.column(c)),
            Self::Device(t) => t.narrow(1, c, 1).and_then(|t| t.flatten_all()?.to_vec1()).map_err(device),
        }
    }

    /// The given tokens' vectors, as a matrix on the CPU.
    pub fn gather(&self, columns: &[usize]) -> Result<Mat> {
        let mut out = Mat::zeros(self.rows(), columns.len());
        match self {
            Self::Cpu(m) => {
                for r in 0..m.rows() {
                    let (src, dst) = (m.row(r), out.row_mut(r));
                    for (d, c) in dst.iter_mut().zip(columns) {
                        *d = src[*c];
                    }
                }
            }
            Self::Device(_) => {
                for (i, c) in columns.iter().enumerate() {
                    out.set_column(i, &self.column(*c)?);
                }
            }
        }
        Ok(out)
    }

    /// Sums over runs of tokens, `[runs][features]`, in f64.
    ///
    /// # Errors
    /// What the device says.
    pub fn sums(&self, runs: &[Range<usize>]) -> Result<Vec<Vec<f64>>> {
        let t = match self {
            Self::Cpu(m) => return Ok(elementwise::sums(m, runs)),
            Self::Device(t) => t,
        };
        let sum = |run: &Range<usize>| {
            let rows: Vec<Vec<f32>> =
                t.narrow(1, run.start, run.len()).and_then(|t| t.to_vec2()).map_err(device)?;
            Ok(rows.iter().map(|r| r.iter().map(|x| f64::from(*x)).sum()).collect())
        };
        runs.iter().map(sum).collect()
    }

    /// A copy of the tokens `from..to`, after `before` if given (whose first `keep` tokens are taken).
    pub fn slice_after(&self, before: Option<(&Self, usize)>, from: usize, to: usize) -> Result<Self> {
        match (self, before) {
            (Self::Cpu(m), None) => Ok(Self::Cpu(m.columns(from, to))),
            (Self::Cpu(m), Some((Self::Cpu(p), keep))) => {
                let mut out = Mat::to_fill(m.rows(), keep + to - from);
                for r in 0..m.rows() {
                    let row = out.row_mut(r);
                    row[..keep].copy_from_slice(&p.row(r)[..keep]);
                    row[keep..].copy_from_slice(&m.row(r)[from..to]);
                }
                Ok(Self::Cpu(out))
            }
            (Self::Device(t), None) => {
                t.narrow(1, from, to - from).and_then(|t| t.contiguous()).map(Self::Device).map_err(device)
            }
            (Self::Device(t), Some((Self::Device(p), keep))) => {
                let own = t.narrow(1, from, to - from).map_err(device)?;
                let past = p.narrow(1, 0, keep).map_err(device)?;
                Tensor::cat(&[past, own], 1).map(Self::Device).map_err(device)
            }
            _ => Err(Error::failed("activations of two devices cannot be joined")),
        }
    }

    /// Columns by their numbers, where these activations lie.
    ///
    /// # Errors
    /// What the device says.
    pub fn pick(&self, columns: &[usize]) -> Result<Self> {
        let picked = self.gather(columns)?;
        match self {
            Self::Cpu(_) => Ok(Self::Cpu(picked)),
            Self::Device(t) => to_device(&picked, t.device()).map(Self::Device),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Cpu(m) => m.bytes(),
            Self::Device(t) => t.elem_count() * 4,
        }
    }
}

/// Where activations live.
#[derive(Clone, Debug)]
pub enum Backend {
    Cpu,
    Device(Device),
}

impl Backend {
    /// A vector of numbers on the device, `[n, 1]` for broadcasting over tokens.
    pub fn vector(&self, xs: Vec<f32>) -> Result<Vector> {
        let tensor = match self {
            Self::Cpu => None,
            Self::Device(d) => Some(Tensor::from_slice(&xs, (xs.len(), 1), d).map_err(device)?),
        };
        Ok(Vector { xs, tensor })
    }
}

/// A norm's weight or a bias, on the host and on the device.
pub struct Vector {
    pub xs: Vec<f32>,
    pub tensor: Option<Tensor>,
}

impl Vector {
    fn on_device(&self) -> Result<&Tensor> {
        self.tensor.as_ref().ok_or_else(|| Error::failed("a weight is missing on the device"))
    }
}

/// An RMSNorm.
pub struct RmsNorm {
    pub w: Vector,
    /// 1 where the checkpoint stores w and the norm multiplies by 1 + w.
    pub plus: f32,
    pub eps: f64,
}

impl RmsNorm {
    /// The factor per feature, `w` or `1 + w`.
    pub fn factors(&self) -> Vec<f32> {
        self.w.xs.iter().map(|w| w + self.plus).collect()
    }

    /// The normed activations.
    pub fn forward(&self, x: &Act) -> Result<Act> {
        match x {
            Act::Cpu(m) => {
                let mut out = Mat::to_fill(m.rows(), m.cols());
                norms::rms_norm(m, &self.w.xs, self.plus, self.eps, NormOut::Write(&mut out));
                Ok(Act::Cpu(out))
            }
            Act::Device(t) => self.on_tensor(t, 0).map(Act::Device),
        }
    }

    /// `to += norm(x)`.
    pub fn add_to(&self, x: &Act, to: &mut Act) -> Result<()> {
        match (x, to) {
            (Act::Cpu(m), Act::Cpu(to)) => {
                norms::rms_norm(m, &self.w.xs, self.plus, self.eps, NormOut::AddTo(to));
                Ok(())
            }
            (x, to) => {
                let normed = self.forward(x)?;
                add(to, &normed)
            }
        }
    }

    /// The norm of each head by itself, `x [heads * dim, tokens]`.
    pub fn heads(&self, x: Act, dim: usize) -> Result<Act> {
        match x {
            Act::Cpu(mut m) => {
                norms::head_norm(&mut m, dim, &self.w.xs, self.plus, self.eps);
                Ok(Act::Cpu(m))
            }
            Act::Device(t) => {
                let (rows, cols) = t.dims2().map_err(device)?;
                let heads = t.reshape((rows / dim, dim, cols)).map_err(device)?;
                self.on_tensor(&heads, 1)?.reshape((rows, cols)).map(Act::Device).map_err(device)
            }
        }
    }

    fn on_tensor(&self, t: &Tensor, dim: usize) -> Result<Tensor> {
        let w = self.w.on_device()?;
        let run = || -> candle_core::Result<Tensor> {
            let ms = t.sqr()?.mean_keepdim(dim)?;
            let normed = t.broadcast_div(&(ms + self.eps)?.sqrt()?)?;
            normed.broadcast_mul(&(w + f64::from(self.plus))?)
        };
        run().map_err(device)
    }
}

/// `x += y`.
pub fn add(x: &mut Act, y: &Act) -> Result<()> {
    match (x, y) {
        (Act::Cpu(x), Act::Cpu(y)) => elementwise::add(x, y),
        (Act::Device(x), Act::Device(y)) => *x = (&*x + y).map_err(device)?,
        _ => return Err(Error::failed("activations of two devices cannot be added")),
    }
    Ok(())
}

/// Adds a bias to every token.
pub fn add_bias(x: &mut Act, bias: &Vector) -> Result<()> {
    match x {
        Act::Cpu(m) => elementwise::add_bias(m, &bias.xs),
        Act::Device(t) => *t = t.broadcast_add(bias.on_device()?).map_err(device)?,
    }
    Ok(())
}

/// `act(gate) * up`.
pub fn gated(kind: Activation, gate: Act, up: &Act) -> Result<Act> {
    match (gate, up) {
        (Act::Cpu(mut g), Act::Cpu(u)) => {
            elementwise::gated(kind, &mut g, u);
            Ok(Act::Cpu(g))
        }
        (Act::Device(g), Act::Device(u)) => {
            let a = match kind {
                Activation::Silu => g.silu(),
                Activation::GeluTanh => g.gelu(),
            };
            a.and_then(|a| a * u).map(Act::Device).map_err(device)
        }
        _ => Err(Error::failed("activations of two devices cannot be joined")),
    }
}

/// Rotary embedding in the half-split layout, times `scale`.
pub fn rope(x: Act, dim: usize, angles: &Angles, scale: f32) -> Result<Act> {
    match x {
        Act::Cpu(mut m) => {
            elementwise::rope(&mut m, dim, angles, scale);
            Ok(Act::Cpu(m))
        }
        Act::Device(t) => rope_tensor(&t, dim, angles, scale).map(Act::Device).map_err(device),
    }
}

fn rope_tensor(t: &Tensor, dim: usize, angles: &Angles, scale: f32) -> candle_core::Result<Tensor> {
    let (rows, cols) = t.dims2()?;
    let table = |m: &Mat| -> candle_core::Result<Tensor> {
        let flat: Vec<f32> = (0..m.rows()).flat_map(|r| m.row(r).iter().copied()).collect();
        Tensor::from_vec(flat, (1, m.rows(), m.cols()), t.device())
    };
    let (cos, sin) = (table(&angles.cos)?, table(&angles.sin)?);
    let heads = t.reshape((rows / dim, dim, cols))?;
    let (a, b) = (heads.narrow(1, 0, dim / 2)?, heads.narrow(1, dim / 2, dim / 2)?);
    let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    Tensor::cat(&[first, second], 1)?.reshape((rows, cols))? * f64::from(scale)
}

/// One sequence of a packed batch: its own tokens are columns `start..start + len`, after `past` tokens.
#[derive(Clone, Copy)]
pub struct Sequence<'a> {
    pub start: usize,
    pub len: usize,
    /// Keys, values and how many of their tokens come before.
    pub past: Option<(&'a Act, &'a Act, usize)>,
}

/// Causal attention (see [`attention::attention`]).
pub fn attend(q: &Act, k: &Act, v: &Act, sequences: &[Sequence], heads: Heads) -> Result<Act> {
    match (q, k, v) {
        (Act::Cpu(q), Act::Cpu(k), Act::Cpu(v)) => {
            let mut packed = Vec::with_capacity(sequences.len());
            for s in sequences {
                let past = match s.past {
                    None => None,
                    Some((Act::Cpu(k), Act::Cpu(v), len)) => Some(attention::Past { k, v, len }),
                    Some(_) => return Err(Error::failed("a cached prefix lies on another device")),
                };
                packed.push(attention::Sequence { start: s.start, len: s.len, past });
            }
            let mut out = Mat::to_fill(q.rows(), q.cols());
            attention::attention(q, k, v, &packed, heads, &mut out);
            Ok(Act::Cpu(out))
        }
        (Act::Device(q), Act::Device(k), Act::Device(v)) => {
            attend_tensors(q, k, v, sequences, heads).map(Act::Device).map_err(device)
        }
        _ => Err(Error::failed("activations of two devices cannot be joined")),
    }
}

fn attend_tensors(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    sequences: &[Sequence],
    h: Heads,
) -> candle_core::Result<Tensor> {
    let mut outs = Vec::with_capacity(sequences.len());
    let mut at = 0;
    for s in sequences {
        if s.start > at {
            // Columns between groups of sequences belong to nobody.
            outs.push(Tensor::zeros((q.dim(0)?, s.start - at), q.dtype(), q.device())?);
        }
        let own = |t: &Tensor| t.narrow(1, s.start, s.len);
        let (keys, values, past) = match s.past {
            Some((Act::Device(pk), Act::Device(pv), n)) => (
                Tensor::cat(&[pk.narrow(1, 0, n)?, own(k)?], 1)?,
                Tensor::cat(&[pv.narrow(1, 0, n)?, own(v)?], 1)?,
                n,
            ),
            _ => (own(k)?.contiguous()?, own(v)?.contiguous()?, 0),
        };
        let total = past + s.len;
        let split = |t: &Tensor, n: usize, len: usize| t.reshape((n, h.dim, len));
        let group = h.heads / h.kv_heads;
        let repeat = |t: Tensor| -> candle_core::Result<Tensor> {
            t.unsqueeze(1)?.broadcast_as((h.kv_heads, group, h.dim, total))?.reshape((h.heads, h.dim, total))
        };
        let queries = split(&own(q)?.contiguous()?, h.heads, s.len)?;
        let (keys, values) =
            (repeat(split(&keys, h.kv_heads, total)?)?, repeat(split(&values, h.kv_heads, total)?)?);
        let mut scores = queries.transpose(1, 2)?.contiguous()?.matmul(&keys)?;
        if let Some(cap) = h.softcap {
            scores = ((scores / f64::from(cap))?.tanh()? * f64::from(cap))?;
        }
        let scores = scores.broadcast_add(&mask(past, s.len, h.window, q.device())?)?;
        let top = scores.max_keepdim(D::Minus1)?;
        let e = scores.broadcast_sub(&top)?.exp()?;
        let p = e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?;
        let mixed = values.contiguous()?.matmul(&p.transpose(1, 2)?.contiguous()?)?;
        outs.push(mixed.reshape((h.heads * h.dim, s.len))?);
        at = s.start + s.len;
    }
    if at < q.dim(1)? {
        outs.push(Tensor::zeros((q.dim(0)?, q.dim(1)? - at), DType::F32, q.device())?);
    }
    Tensor::cat(&outs, 1)
}

/// 0 where a query may see a key, -inf elsewhere: `[1, len, past + len]`.
fn mask(past: usize, len: usize, window: Option<usize>, at: &Device) -> candle_core::Result<Tensor> {
    let total = past + len;
    let mut m = vec![0f32; len * total];
    for i in 0..len {
        let me = past + i;
        for (j, x) in m[i * total..][..total].iter_mut().enumerate() {
            if j > me || window.is_some_and(|w| j + w <= me) {
                *x = f32::NEG_INFINITY;
            }
        }
    }
    Tensor::from_vec(m, (1, len, total), at)
}

/// One row of a table, `[in]`.
pub fn weight_row(table: &Weight, id: u32) -> Result<Vec<f32>> {
    match table {
        Weight::Cpu(w) => Ok(w.row(id as usize)),
        Weight::Device(t) => t
            .narrow(0, id as usize, 1)
            .and_then(|t| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>())
            .map_err(device),
    }
}

/// Token vectors of an embedding table, `[hidden, ids.len()]`, times `scale`. Columns where `ids` is `None`
/// are zero.
pub fn embed(table: &Weight, ids: &[Option<u32>], hidden: usize, scale: Option<f64>) -> Result<Act> {
    // Gemma's scale is rounded to the weights' format in its own code; for f32 that is f32.
    let scale = scale.map_or(1.0, |s| s as f32);
    let mut out = Mat::zeros(hidden, ids.len());
    for (c, id) in ids.iter().enumerate() {
        let Some(id) = id else { continue };
        let mut v = weight_row(table, *id)?;
        for x in &mut v {
            *x *= scale;
        }
        out.set_column(c, &v);
    }
    match table {
        Weight::Cpu(_) => Ok(Act::Cpu(out)),
        Weight::Device(t) => to_device(&out, t.device()).map(Act::Device),
    }
}

/// A matrix as a tensor on a device.
pub fn to_device(m: &Mat, on: &Device) -> Result<Tensor> {
    let flat: Vec<f32> = (0..m.rows()).flat_map(|r| m.row(r).iter().copied()).collect();
    Tensor::from_vec(flat, (m.rows(), m.cols()), on).map_err(device)
}
