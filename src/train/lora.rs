//! The trained numbers: A and B of every adapted linear layer, in one flat vector.

use crate::error::{Error, Result};
use crate::model::decoder::Decoder;
use crate::model::names::Proj;
use std::ops::Range;

/// One adapted linear layer: where its A and B lie among all trained numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Block, from 0.
    pub layer: usize,
    pub proj: Proj,
    pub out: usize,
    pub inp: usize,
    /// `[rank, in]`, row-major.
    pub a: Range<usize>,
    /// `[out, rank]`, row-major, without the scale.
    pub b: Range<usize>,
}

/// LoRA weights in training (Hu et al. 2021): `delta W = alpha / rank * B A`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraParams {
    pub rank: usize,
    pub alpha: f64,
    /// In the order of blocks, then of [`Proj::ALL`].
    pub sites: Vec<Site>,
    /// All numbers: site by site, A then B.
    pub values: Vec<f32>,
}

impl LoraParams {
    /// All zeros, for the given layers of every block.
    ///
    /// # Errors
    /// No targets, or a rank of 0 or above 65 536.
    pub fn zeros(decoder: &Decoder, rank: usize, alpha: f64, targets: &[Proj]) -> Result<Self> {
        if targets.is_empty() {
            return Err(Error::usage(
                "no layers are to be adapted; name some, such as --targets q_proj,v_proj",
            ));
        }
        if !(1..=65_536).contains(&rank) {
            return Err(Error::usage(format!("a rank of {rank} is not possible; 1 to 65536 is")));
        }
        let (mut sites, mut at) = (Vec::new(), 0);
        for (layer, block) in decoder.blocks.iter().enumerate() {
            for proj in Proj::ALL.into_iter().filter(|p| targets.contains(p)) {
                let (out, inp) = block.linear(proj).w.shape();
                let a = at..at + rank * inp;
                let b = a.end..a.end + out * rank;
                at = b.end;
                sites.push(Site { layer, proj, out, inp, a, b });
            }
        }
        Ok(Self { rank, alpha, sites, values: vec![0.0; at] })
    }

    /// `alpha / rank`.
    pub fn scale(&self) -> f32 {
        (self.alpha / self.rank as f64) as f32
    }

    /// The site of a linear layer.
    pub fn site(&self, layer: usize, proj: Proj) -> Option<&Site> {
        self.sites.iter().find(|s| s.layer == layer && s.proj == proj)
    }
}
