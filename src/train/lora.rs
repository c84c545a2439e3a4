//! The trained numbers: A and B of every adapted linear layer, in one flat vector.

use crate::error::{Error, Result};
use crate::geometry::random::SplitMix64;
use crate::model::adapter::{Adapter, Filed, Pair};
use crate::model::decoder::Decoder;
use crate::model::names::Proj;
use std::ops::Range;
use std::path::Path;

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

    /// PEFT's start: A uniform in (-1/sqrt(in), 1/sqrt(in)), which is kaiming_uniform with a = sqrt(5); B zero. The
    /// numbers are drawn by SplitMix64 from the seed, site by site.
    ///
    /// # Errors
    /// As [`LoraParams::zeros`].
    pub fn fresh(decoder: &Decoder, rank: usize, alpha: f64, targets: &[Proj], seed: u64) -> Result<Self> {
        let mut params = Self::zeros(decoder, rank, alpha, targets)?;
        let mut random = SplitMix64::new(seed ^ 0x10_7a_00_01);
        for site in &params.sites {
            let bound = 1.0 / (site.inp as f64).sqrt();
            for x in &mut params.values[site.a.clone()] {
                *x = ((2.0 * random.unit() - 1.0) * bound) as f32;
            }
        }
        Ok(params)
    }

    /// The exact weights of a PEFT directory, to go on from. They may be as before any training (B zero).
    ///
    /// # Errors
    /// What [`Filed::read`] refuses; ranks, scales or blocks that one rank and alpha cannot say.
    pub fn load(dir: &Path, decoder: &Decoder) -> Result<Self> {
        let Filed { rank, alpha, pairs } = Filed::read(dir, decoder)?;
        let targets: Vec<Proj> =
            Proj::ALL.into_iter().filter(|p| pairs.iter().any(|pair| pair.proj == *p)).collect();
        let mut params = Self::zeros(decoder, rank, alpha, &targets)?;
        let shown = dir.display();
        if pairs.len() != params.sites.len() {
            crate::fail!(
                "{shown}: adapts only some of the blocks; training goes on from adapters of the same layers in every block"
            );
        }
        let scale = alpha / rank as f64;
        for pair in pairs {
            if pair.rank != rank || pair.scale != scale {
                crate::fail!(
                    "{shown}: has rank {} and scale {} in block {}, {}; training goes on from adapters whose every \
                     layer has rank r and scale alpha / r ({rank} and {scale} here)",
                    pair.rank,
                    pair.scale,
                    pair.layer,
                    pair.proj.module()
                );
            }
            let site = params.site(pair.layer, pair.proj).cloned();
            let site = site.ok_or_else(|| Error::failed(format!("{shown}: adapts an unknown layer")))?;
            params.values[site.a].copy_from_slice(&pair.a);
            params.values[site.b].copy_from_slice(&pair.b);
        }
        Ok(params)
    }

    /// A copy to compute with, as a loaded adapter is.
    ///
    /// # Errors
    /// What the device says.
    pub fn adapter(&self, decoder: &Decoder) -> Result<Adapter> {
        let pair = |s: &Site| Pair {
            layer: s.layer,
            proj: s.proj,
            rank: self.rank,
            scale: self.alpha / self.rank as f64,
            a: self.values[s.a.clone()].to_vec(),
            b: self.values[s.b.clone()].to_vec(),
        };
        let pairs = self.sites.iter().map(pair).collect();
        Adapter::new(Filed { rank: self.rank, alpha: self.alpha, pairs }, decoder)
    }

    /// The adapted kinds of layers.
    pub fn targets(&self) -> Vec<Proj> {
        Proj::ALL.into_iter().filter(|p| self.sites.iter().any(|s| s.proj == *p)).collect()
    }
}

/// Linear layers by PEFT's names, as in `target_modules`.
///
/// # Errors
/// [`Error::Usage`] for a name that is none, or for no name.
pub fn targets(names: &[String]) -> Result<Vec<Proj>> {
    let one = |name: &String| {
        let proj = Proj::ALL.into_iter().find(|p| p.module() == name.trim());
        proj.ok_or_else(|| {
            let all: Vec<&str> = Proj::ALL.iter().map(|p| p.module()).collect();
            Error::usage(format!("--targets: {name:?} is no linear layer; there are {}", all.join(", ")))
        })
    };
    let found: Vec<Proj> = names.iter().map(one).collect::<Result<_>>()?;
    if found.is_empty() {
        return Err(Error::usage("--targets names no layer; give some, such as q_proj,v_proj"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::adapter::Adapter;
    use crate::model::loader::Checkpoint;
    use crate::train::peft;

    fn decoder() -> Decoder {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/gemma3");
        let on = &mut |_, _| ();
        Checkpoint::open(&path)
            .unwrap()
            .build(crate::engine::protocol::DType::F32, &crate::model::act::Backend::Cpu, on)
            .unwrap()
    }

    #[test]
    fn a_fresh_adapter_is_pefts_and_decided_by_its_seed() {
        let d = decoder();
        let p = LoraParams::fresh(&d, 4, 8.0, &[Proj::Q, Proj::Down], 7).unwrap();
        assert_eq!(p, LoraParams::fresh(&d, 4, 8.0, &[Proj::Q, Proj::Down], 7).unwrap());
        assert_ne!(p, LoraParams::fresh(&d, 4, 8.0, &[Proj::Q, Proj::Down], 8).unwrap());
        for site in &p.sites {
            let a = &p.values[site.a.clone()];
            let bound = 1.0 / (site.inp as f32).sqrt();
            let largest = a.iter().fold(0f32, |m, x| m.max(x.abs()));
            assert!(0.9 * bound < largest && largest <= bound, "{largest} {bound}");
            let mean = a.iter().sum::<f32>() / a.len() as f32;
            assert!(mean.abs() < 0.2 * bound);
            assert!(p.values[site.b.clone()].iter().all(|x| *x == 0.0));
        }
    }

    #[test]
    fn what_is_written_is_read_back_to_the_bit() {
        let d = decoder();
        let mut p = LoraParams::fresh(&d, 3, 6.5, &[Proj::V, Proj::O, Proj::Gate], 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in peft::files(&p, "base", 0.25).unwrap() {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        assert_eq!(LoraParams::load(dir.path(), &d).unwrap(), p, "B may be zero here");
        assert!(Adapter::load(dir.path(), &d).is_err(), "but nothing can be seen with it");
        for (i, x) in p.values.iter_mut().enumerate() {
            *x += (i % 17) as f32 * 1e-3;
        }
        for (name, bytes) in peft::files(&p, "base", 0.25).unwrap() {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        assert_eq!(LoraParams::load(dir.path(), &d).unwrap(), p);
        let (loaded, made) = (Adapter::load(dir.path(), &d).unwrap(), p.adapter(&d).unwrap());
        assert_eq!(loaded.delta_norms, made.delta_norms);
        assert_eq!((loaded.targets, loaded.keys_matched), (made.targets, made.keys_matched));
        for name in ["q_proj", "x"] {
            assert_eq!(targets(&[name.to_owned()]).is_ok(), name == "q_proj");
        }
    }

    #[test]
    fn adapters_that_one_rank_cannot_say_are_refused() {
        let d = decoder();
        let p = LoraParams::fresh(&d, 4, 8.0, &[Proj::Q], 7).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let files = peft::files(&p, "base", 0.0).unwrap();
        std::fs::write(dir.path().join(files[1].0), &files[1].1).unwrap();
        let config = String::from_utf8(files[0].1.clone()).unwrap();
        for (from, to, what) in [
            ("\"use_rslora\": false", "\"use_rslora\": true", "scale 4 in block 0"),
            ("\"r\": 8", "\"r\": 8", ""),
            ("\"use_dora\": false", "\"use_dora\": true", "DoRA"),
        ] {
            std::fs::write(dir.path().join(files[0].0), config.replace(from, to)).unwrap();
            match LoraParams::load(dir.path(), &d) {
                Ok(_) => assert!(what.is_empty()),
                Err(e) => assert!(!what.is_empty() && e.to_string().contains(what), "{e}"),
            }
        }
    }
}
