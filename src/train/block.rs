//! One transformer block of a training pass, forward and back. The frozen weights get no gradients.

use super::lowrank::LowRanks;
use crate::error::{Error, Result};
use crate::model::act::RmsNorm;
use crate::model::decoder::{Block, Decoder};
use crate::model::kernels::attention::{Heads, Sequence, attention};
use crate::model::kernels::attention_backward::{Forward, attention_backward};
use crate::model::kernels::elementwise::{self, Angles};
use crate::model::kernels::elementwise_backward::{
    gated_backward, head_norm_backward, rms_norm_backward, rope_backward,
};
use crate::model::kernels::matmul::{Job, matmul};
use crate::model::kernels::norms::{self, NormOut};
use crate::model::kernels::transposed::matmul_transposed;
use crate::model::kernels::{CpuWeight, Mat};
use crate::model::linear::Weight;
use crate::model::names::Proj;

/// What all blocks of a pass share.
pub struct Pass<'a> {
    pub decoder: &'a Decoder,
    pub loras: &'a LowRanks<'a>,
    pub sequences: &'a [Sequence<'a>],
    /// Per set of rotary frequencies.
    pub angles: &'a [Angles],
}

/// A block's activations, all `[features, tokens]`, kept for the way back.
pub struct Kept {
    /// What came in.
    x: Mat,
    /// Projections before their norms and rotations.
    q: Mat,
    k: Mat,
    v: Mat,
    /// What attention gave, and what its output projection made of it (where a norm follows).
    mixed: Mat,
    attended: Option<Mat>,
    /// The residual stream between the halves.
    middle: Mat,
    gate: Mat,
    up: Mat,
    down: Option<Mat>,
    /// `A x` of every adapted layer.
    lows: Vec<(Proj, Mat)>,
}

/// The frozen weights as they lie in memory.
///
/// # Errors
/// Where they are on another device.
pub fn on_cpu(w: &Weight) -> Result<&CpuWeight> {
    match w {
        Weight::Cpu(w) => Ok(w),
        Weight::Device(_) => Err(Error::failed("training runs on the CPU; load the model with --device cpu")),
    }
}

fn normed(norm: &RmsNorm, x: &Mat) -> Mat {
    let mut out = Mat::to_fill(x.rows(), x.cols());
    norms::rms_norm(x, &norm.w.xs, norm.plus, norm.eps, NormOut::Write(&mut out));
    out
}

/// `to += out`, through a norm where there is one; gives `out` back if the way back needs it.
fn join(to: &mut Mat, out: Mat, norm: Option<&RmsNorm>) -> Option<Mat> {
    match norm {
        Some(n) => {
            norms::rms_norm(&out, &n.w.xs, n.plus, n.eps, NormOut::AddTo(to));
            Some(out)
        }
        None => {
            elementwise::add(to, &out);
            None
        }
    }
}

impl Pass<'_> {
    fn block(&self, layer: usize) -> &Block {
        &self.decoder.blocks[layer]
    }

    /// Several linear layers on one input, their low-rank updates and biases included.
    fn linears<const N: usize>(
        &self,
        layer: usize,
        projs: [Proj; N],
        x: &Mat,
        lows: &mut Vec<(Proj, Mat)>,
    ) -> Result<[Mat; N]> {
        let mut weights = Vec::with_capacity(N);
        for p in projs {
            weights.push(on_cpu(&self.block(layer).linear(p).w)?);
        }
        let mut outs: [Mat; N] = std::array::from_fn(|i| Mat::to_fill(weights[i].out, x.cols()));
        let mut jobs: Vec<Job> =
            weights.iter().zip(&mut outs).map(|(w, y)| Job { w, y, add: false }).collect();
        matmul(x, &mut jobs);
        for (proj, y) in projs.iter().zip(&mut outs) {
            lows.extend(self.loras.forward(layer, *proj, x, y).map(|low| (*proj, low)));
            if let Some(bias) = &self.block(layer).linear(*proj).bias {
                elementwise::add_bias(y, &bias.xs);
            }
        }
        Ok(outs)
    }

    /// Queries and keys as attention takes them.
    fn rotated(&self, layer: usize, kept_q: &Mat, kept_k: &Mat) -> (Mat, Mat) {
        let (config, block) = (&self.decoder.config, self.block(layer));
        let (dim, angles) = (config.head_dim, &self.angles[config.layers[layer].rope]);
        let turn = |x: &Mat, norm: Option<&RmsNorm>, scale: f32| {
            let mut x = x.clone();
            if let Some(n) = norm {
                norms::head_norm(&mut x, dim, &n.w.xs, n.plus, n.eps);
            }
            elementwise::rope(&mut x, dim, angles, scale);
            x
        };
        (
            turn(kept_q, block.q_norm.as_ref(), config.attention_scale as f32),
            turn(kept_k, block.k_norm.as_ref(), 1.0),
        )
    }

    fn heads(&self, layer: usize) -> Heads {
        let config = &self.decoder.config;
        Heads {
            heads: config.heads,
            kv_heads: config.kv_heads,
            dim: config.head_dim,
            window: config.layers[layer].window,
            softcap: config.attention_softcap.map(|c| c as f32),
            // The way back takes the numbers as they are.
            rounds: false,
        }
    }

    /// The residual stream after the block, and what the way back needs.
    ///
    /// # Errors
    /// Weights on another device.
    pub fn forward(&self, layer: usize, x: Mat) -> Result<(Mat, Kept)> {
        let block = self.block(layer);
        let mut lows = Vec::new();
        let [q, k, v] =
            self.linears(layer, [Proj::Q, Proj::K, Proj::V], &normed(&block.attention_norm, &x), &mut lows)?;
        let (turned_q, turned_k) = self.rotated(layer, &q, &k);
        let mut mixed = Mat::zeros(q.rows(), q.cols());
        attention(&turned_q, &turned_k, &v, self.sequences, self.heads(layer), &mut mixed);
        let [out] = self.linears(layer, [Proj::O], &mixed, &mut lows)?;
        let mut middle = x.clone();
        let attended = join(&mut middle, out, block.post_attention_norm.as_ref());
        let [gate, up] =
            self.linears(layer, [Proj::Gate, Proj::Up], &normed(&block.mlp_norm, &middle), &mut lows)?;
        let mut hidden = gate.clone();
        elementwise::gated(self.decoder.config.activation, &mut hidden, &up);
        let [out] = self.linears(layer, [Proj::Down], &hidden, &mut lows)?;
        let mut after = middle.clone();
        let down = join(&mut after, out, block.post_mlp_norm.as_ref());
        Ok((after, Kept { x, q, k, v, mixed, attended, middle, gate, up, down, lows }))
    }

    /// From the gradient of the residual stream after the block to that before it (wanted unless `last`), with the
    /// low-rank layers' own added to `grads`.
    ///
    /// # Errors
    /// Weights on another device.
    pub fn back(
        &self,
        layer: usize,
        kept: Kept,
        mut d: Mat,
        last: bool,
        grads: &mut [f32],
    ) -> Result<Option<Mat>> {
        let Kept { x, q, k, v, mixed, attended, middle, gate, up, down, lows } = kept;
        let mut own = Own { pass: self, layer, lows, grads };
        self.mlp_back(layer, &middle, (gate, up, down), &mut d, &mut own)?;
        let attention = [Proj::Q, Proj::K, Proj::V, Proj::O];
        if last && !attention.iter().any(|p| self.loras.has(layer, *p)) {
            return Ok(None);
        }
        let block = self.block(layer);
        let through = through_norm(attended.as_ref(), &d, block.post_attention_norm.as_ref());
        let d_out = through.as_ref().unwrap_or(&d);
        let d_mixed = own.back([(Proj::O, d_out)], Some(&mixed), true)?;
        drop((through, mixed));
        let (turned_q, turned_k) = self.rotated(layer, &q, &k);
        let forward = Forward { q: &turned_q, k: &turned_k, v: &v };
        let Some(d_mixed) = d_mixed else { return Ok(None) };
        let (mut dq, mut dk, dv) = attention_backward(&forward, &d_mixed, self.sequences, self.heads(layer));
        let config = &self.decoder.config;
        let angles = &self.angles[config.layers[layer].rope];
        rope_backward(&mut dq, config.head_dim, angles, config.attention_scale as f32);
        rope_backward(&mut dk, config.head_dim, angles, 1.0);
        for (norm, before, d) in [(&block.q_norm, &q, &mut dq), (&block.k_norm, &k, &mut dk)] {
            if let Some(n) = norm {
                head_norm_backward(before, d, config.head_dim, &n.w.xs, n.plus, n.eps);
            }
        }
        let input = own.needs(&attention[..3]).then(|| normed(&block.attention_norm, &x));
        let parts = [(Proj::Q, &dq), (Proj::K, &dk), (Proj::V, &dv)];
        let Some(d_normed) = own.back(parts, input.as_ref(), !last)? else { return Ok(None) };
        let n = &block.attention_norm;
        rms_norm_backward(&x, &d_normed, &n.w.xs, n.plus, n.eps, &mut d, true);
        Ok(Some(d))
    }

    /// The MLP's half: `d` becomes the gradient of the residual stream between the halves.
    fn mlp_back(
        &self,
        layer: usize,
        middle: &Mat,
        (mut gate, mut up, down): (Mat, Mat, Option<Mat>),
        d: &mut Mat,
        own: &mut Own,
    ) -> Result<()> {
        let block = self.block(layer);
        let through = through_norm(down.as_ref(), d, block.post_mlp_norm.as_ref());
        let d_down = through.as_ref().unwrap_or(d);
        // The input of `down` is only there after the way back through the activation.
        let Some(mut hidden) = own.back([(Proj::Down, d_down)], None, true)? else { return Ok(()) };
        gated_backward(self.decoder.config.activation, &mut gate, &mut up, &mut hidden);
        own.late(Proj::Down, &hidden, d_down);
        drop((through, hidden));
        let input = own.needs(&[Proj::Gate, Proj::Up]).then(|| normed(&block.mlp_norm, middle));
        let d_normed = own.back([(Proj::Gate, &gate), (Proj::Up, &up)], input.as_ref(), true)?;
        if let Some(d_normed) = d_normed {
            let n = &block.mlp_norm;
            rms_norm_backward(middle, &d_normed, &n.w.xs, n.plus, n.eps, d, true);
        }
        Ok(())
    }
}

/// The gradient before a half's post-norm, where there is one.
fn through_norm(before: Option<&Mat>, d: &Mat, norm: Option<&RmsNorm>) -> Option<Mat> {
    let (before, n) = (before?, norm?);
    let mut out = Mat::to_fill(d.rows(), d.cols());
    rms_norm_backward(before, d, &n.w.xs, n.plus, n.eps, &mut out, false);
    Some(out)
}

/// The way back through a block's linear layers.
struct Own<'a, 'p> {
    pass: &'a Pass<'p>,
    layer: usize,
    lows: Vec<(Proj, Mat)>,
    grads: &'a mut [f32],
}

impl Own<'_, '_> {
    fn needs(&self, projs: &[Proj]) -> bool {
        projs.iter().any(|p| self.pass.loras.has(self.layer, *p))
    }

    /// Back through layers that share their input: their own gradients, if `input` is given, and the sum of the
    /// input's gradients, if `onwards`.
    fn back<const N: usize>(
        &mut self,
        parts: [(Proj, &Mat); N],
        input: Option<&Mat>,
        onwards: bool,
    ) -> Result<Option<Mat>> {
        let mut dx: Option<Mat> = None;
        for (proj, dy) in parts {
            if onwards {
                let w = on_cpu(&self.pass.block(self.layer).linear(proj).w)?;
                let add = dx.is_some();
                let sum = dx.get_or_insert_with(|| Mat::to_fill(w.inp, dy.cols()));
                matmul_transposed(w, dy, sum, add);
            }
            let d_low = self.pass.loras.back(self.layer, proj, dy, dx.as_mut());
            if let (Some(d_low), Some(x)) = (d_low, input) {
                self.add(proj, x, dy, &d_low);
            }
        }
        Ok(dx)
    }

    /// A layer's own gradients, once its input is known.
    fn late(&mut self, proj: Proj, x: &Mat, dy: &Mat) {
        if let Some(d_low) = self.pass.loras.back(self.layer, proj, dy, None) {
            self.add(proj, x, dy, &d_low);
        }
    }

    fn add(&mut self, proj: Proj, x: &Mat, dy: &Mat, d_low: &Mat) {
        if let Some((_, low)) = self.lows.iter().find(|(p, _)| *p == proj) {
            self.pass.loras.own((self.layer, proj), x, low, (dy, d_low), self.grads);
        }
    }
}
