//! The low-rank updates of a pass: forward beside the frozen product, and back to their own gradients.

use super::lora::{LoraParams, Site};
use crate::geometry::random::SplitMix64;
use crate::model::kernels::matmul::{Job, matmul};
use crate::model::kernels::transposed::{matmul_transposed, outer};
use crate::model::kernels::{CpuWeight, Mat};
use crate::model::names::Proj;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;

/// The weights of a pass, ready for products.
pub struct LowRanks<'a> {
    params: &'a LoraParams,
    pairs: HashMap<(usize, Proj), Pair>,
    dropout: Option<(f64, u64)>,
}

struct Pair {
    /// Index into [`LoraParams::sites`].
    site: usize,
    /// `[rank, in]`
    a: CpuWeight,
    /// `[out, rank]`, times the scale.
    b: CpuWeight,
}

impl<'a> LowRanks<'a> {
    /// The weights as they are now. `dropout`: a share and the seed of the pass.
    pub fn new(params: &'a LoraParams, dropout: Option<(f64, u64)>) -> Self {
        let scale = params.scale();
        let pair = |(i, s): (usize, &Site)| {
            let a = CpuWeight::floats(params.values[s.a.clone()].to_vec(), params.rank, s.inp);
            let b = params.values[s.b.clone()].iter().map(|x| x * scale).collect();
            ((s.layer, s.proj), Pair { site: i, a, b: CpuWeight::floats(b, s.out, params.rank) })
        };
        let pairs = params.sites.iter().enumerate().map(pair).collect();
        Self { params, pairs, dropout: dropout.filter(|(share, _)| *share > 0.0) }
    }

    /// Whether a linear layer is adapted.
    pub fn has(&self, layer: usize, proj: Proj) -> bool {
        self.pairs.contains_key(&(layer, proj))
    }

    /// The lowest block that is adapted: no gradient is needed below it.
    pub fn lowest(&self) -> usize {
        self.params.sites.iter().map(|s| s.layer).min().unwrap_or(0)
    }

    /// `y += scale B A x` for the given layer; returns `A x [rank, tokens]` for the way back.
    pub fn forward(&self, layer: usize, proj: Proj, x: &Mat, y: &mut Mat) -> Option<Mat> {
        let pair = self.pairs.get(&(layer, proj))?;
        let x = self.dropped(pair.site, x);
        let mut low = Mat::to_fill(self.params.rank, x.cols());
        matmul(&x, &mut [Job { w: &pair.a, y: &mut low, add: false }]);
        matmul(&low, &mut [Job { w: &pair.b, y, add: true }]);
        Some(low)
    }

    /// Adds the way back to `dx` (`A^T scale B^T dy`) where it is given; returns `scale B^T dy [rank, tokens]`.
    pub fn back(&self, layer: usize, proj: Proj, dy: &Mat, dx: Option<&mut Mat>) -> Option<Mat> {
        let pair = self.pairs.get(&(layer, proj))?;
        let mut low = Mat::to_fill(self.params.rank, dy.cols());
        matmul_transposed(&pair.b, dy, &mut low, false);
        if let Some(dx) = dx {
            if self.dropout.is_some() {
                let mut part = Mat::to_fill(dx.rows(), dx.cols());
                matmul_transposed(&pair.a, &low, &mut part, false);
                self.drop(pair.site, &mut part);
                crate::model::kernels::elementwise::add(dx, &part);
            } else {
                matmul_transposed(&pair.a, &low, dx, true);
            }
        }
        Some(low)
    }

    /// Adds the layer's own gradients to `grads`: `x` went in, `low = A x`, `dy` comes back, `d_low` is what
    /// [`LowRanks::back`] gave.
    pub fn own(
        &self,
        (layer, proj): (usize, Proj),
        x: &Mat,
        low: &Mat,
        (dy, d_low): (&Mat, &Mat),
        grads: &mut [f32],
    ) {
        let Some(pair) = self.pairs.get(&(layer, proj)) else { return };
        let (site, rank) = (&self.params.sites[pair.site], self.params.rank);
        let x = self.dropped(pair.site, x);
        // d A = d_low x^T, as its transpose [in, rank]: the long side shares the threads.
        let mut turned = vec![0f32; site.inp * rank];
        outer(&x, d_low, &mut turned, false);
        let a = &mut grads[site.a.clone()];
        for (i, column) in turned.chunks_exact(rank).enumerate() {
            for (r, g) in column.iter().enumerate() {
                a[r * site.inp + i] += g;
            }
        }
        // d B = scale dy low^T
        let scale = self.params.scale();
        let mut b = vec![0f32; site.out * rank];
        outer(dy, low, &mut b, false);
        for (to, g) in grads[site.b.clone()].iter_mut().zip(&b) {
            *to += scale * g;
        }
    }

    fn dropped<'m>(&self, site: usize, x: &'m Mat) -> Cow<'m, Mat> {
        if self.dropout.is_none() {
            return Cow::Borrowed(x);
        }
        let mut x = x.clone();
        self.drop(site, &mut x);
        Cow::Owned(x)
    }

    /// Zeroes a share of the numbers and scales the others up (Srivastava et al. 2014): a fixed choice for seed,
    /// site and place, so that the way back makes the same one.
    fn drop(&self, site: usize, x: &mut Mat) {
        let Some((share, seed)) = self.dropout else { return };
        let (cols, stride, rows) = (x.cols(), x.stride(), x.rows());
        let keep = (1.0 / (1.0 - share)) as f32;
        x.flat_mut()[..rows * stride].par_chunks_mut(stride).enumerate().for_each(|(r, row)| {
            let mut random =
                SplitMix64::new(SplitMix64::new(seed ^ ((site as u64) << 32 | r as u64)).next_u64());
            for v in &mut row[..cols] {
                *v = if random.unit() < share { 0.0 } else { *v * keep };
            }
        });
    }
}
