//! PCA and alignment of all shown languages, layer by layer and run by run.

use super::measures::pearson;
use super::pairs::{Draws, compare};
use super::pca::Fit;
use crate::engine::control::Cancel;
use crate::engine::protocol::{PcaLayer, PcaRun, RunId};
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;

/// The languages of the paper's 1-D fit (science.md).
pub const FIT_LANGS: [&str; 7] = ["en", "de", "fr", "hi", "th", "sw", "ms"];

/// What decides an analysis beside the states.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Project every run with the first run's fits instead of each with its own.
    pub shared_fit: bool,
    /// CKA, cosine gap and MEXA too (else their maps stay empty).
    pub measures: bool,
    /// Decides bootstrap draws and shuffles.
    pub seed: u64,
}

/// The pooled states of one run: the base or one adapter.
pub struct RunStates<'a> {
    pub run: RunId,
    /// (layer index, states [n, d] of each language in the order of `langs`).
    pub layers: Vec<(usize, Vec<ArrayView2<'a, f32>>)>,
}

/// The languages of `langs` that the 1-D fit is made on: the paper's seven as far as they are shown, or all of
/// `langs` where fewer than two of them are.
pub fn fit_langs(langs: &[String]) -> Vec<String> {
    let known: Vec<String> = langs.iter().filter(|l| FIT_LANGS.contains(&l.as_str())).cloned().collect();
    if known.len() < 2 { langs.to_vec() } else { known }
}

/// PCA, Pearson and alignment measures for every run and layer. `langs` are codes in the order to show; row i of
/// every array is the same item. Layers are computed in parallel; `cancel` is looked at before each.
///
/// Pairs whose value is undefined (one item, no variance) are absent from the maps.
///
/// # Errors
/// No languages, different item counts or widths, fewer than two rows in all, values that are not finite,
/// `shared_fit` with runs of different layers, and cancellation.
pub fn analyse(
    runs: &[RunStates],
    langs: &[String],
    options: &Options,
    cancel: &Cancel,
) -> Result<Vec<PcaRun>> {
    let Some(first) = runs.first() else { return Ok(Vec::new()) };
    for run in runs {
        check(run, langs)?;
        if options.shared_fit && !run.layers.iter().map(|l| l.0).eq(first.layers.iter().map(|l| l.0)) {
            return Err(Error::failed("a shared fit needs the same layers in all runs"));
        }
    }
    let items = first.layers.first().and_then(|l| l.1.first()).map_or(0, |s| s.nrows());
    let draws = Draws::new(items, options.seed);
    let jobs: Vec<(usize, usize)> =
        (0..runs.len()).flat_map(|r| (0..runs[r].layers.len()).map(move |l| (r, l))).collect();
    let done: Result<Vec<PcaLayer>> = jobs
        .par_iter()
        .map(|&(r, l)| {
            cancel.check()?;
            let (layer, states) = &runs[r].layers[l];
            let states = Layer::new(langs, states);
            let own = r == 0 || !options.shared_fit;
            let fits = if own { states.fits() } else { Layer::new(langs, &first.layers[l].1).fits() };
            let fits = fits.map_err(|e| e.context(format!("layer {layer}")))?;
            Ok(states.describe(*layer, &fits, own, options.measures.then_some(&draws)))
        })
        .collect();
    let mut done = done?.into_iter();
    Ok(runs
        .iter()
        .map(|r| PcaRun { run: r.run, layers: done.by_ref().take(r.layers.len()).collect() })
        .collect())
}

/// Everything that `analyse` relies on, said in a sentence where it does not hold.
fn check(run: &RunStates, langs: &[String]) -> Result<()> {
    if langs.is_empty() {
        return Err(Error::usage("no language is shown: choose at least one"));
    }
    let Some(shape) = run.layers.first().and_then(|l| l.1.first()).map(|s| s.dim()) else {
        return Err(Error::failed("no layer to analyse"));
    };
    for (layer, states) in &run.layers {
        if states.len() != langs.len() {
            return Err(Error::failed(format!(
                "layer {layer} has states of {} languages, not {}",
                states.len(),
                langs.len()
            )));
        }
        for (lang, state) in langs.iter().zip(states) {
            if state.dim() != shape {
                return Err(Error::failed(format!(
                    "{lang} has {} items of {} values at layer {layer}, {} has {} of {}: every language needs the same items",
                    state.nrows(),
                    state.ncols(),
                    langs[0],
                    shape.0,
                    shape.1
                )));
            }
            if let Some(((item, _), _)) = state.indexed_iter().find(|(_, v)| !v.is_finite()) {
                return Err(Error::failed(format!(
                    "the state of {lang} item {item} at layer {layer} is not a finite number: the weights may be damaged or overflow in this number format"
                )));
            }
        }
    }
    Ok(())
}

/// The two fits of a layer: 2-D on all shown languages, 1-D on the fit languages.
struct Fits {
    two: Fit,
    one: Fit,
}

/// One layer's states in f64.
struct Layer<'a> {
    langs: &'a [String],
    states: Vec<Array2<f64>>,
}

impl<'a> Layer<'a> {
    fn new(langs: &'a [String], states: &[ArrayView2<f32>]) -> Self {
        Self { langs, states: states.iter().map(|s| s.mapv(f64::from)).collect() }
    }

    /// The rows of the languages that `keep` names, one under the other.
    fn joined(&self, keep: &[String]) -> Array2<f64> {
        let views: Vec<_> = self
            .langs
            .iter()
            .zip(&self.states)
            .filter(|(l, _)| keep.contains(l))
            .map(|(_, s)| s.view())
            .collect();
        // shapes were checked; no view means no language
        concatenate(Axis(0), &views).unwrap_or_else(|_| Array2::zeros((0, 0)))
    }

    fn fits(&self) -> Result<Fits> {
        let fitted = fit_langs(self.langs);
        Ok(Fits {
            two: Fit::new(self.joined(self.langs).view(), 2)?,
            one: Fit::new(self.joined(&fitted).view(), 1)?,
        })
    }

    /// `own`: the fits are this layer's and not another run's.
    fn describe(&self, layer: usize, fits: &Fits, own: bool, draws: Option<&Draws>) -> PcaLayer {
        let share = |fit: &Fit, langs: &[String]| match own {
            true => fit.explained_variance_ratio.clone(),
            false => fit.explained(self.joined(langs).view()),
        };
        let mut out = PcaLayer {
            layer,
            explained_variance_ratio: share(&fits.two, self.langs),
            explained_variance_ratio_1d: share(&fits.one, &fit_langs(self.langs))[0],
            ..PcaLayer::default()
        };
        let mut lines = Vec::new();
        for (lang, state) in self.langs.iter().zip(&self.states) {
            let points = fits.two.project(state.view());
            out.points.insert(lang.clone(), points.rows().into_iter().map(|p| [p[0], p[1]]).collect());
            lines.push(fits.one.project(state.view()).column(0).to_vec());
        }
        let name = |i: usize, j: usize| format!("{}-{}", self.langs[i], self.langs[j]);
        for i in 0..lines.len() {
            for j in i + 1..lines.len() {
                out.pearson.extend(pearson(&lines[i], &lines[j]).map(|r| (name(i, j), r)));
            }
        }
        if let Some(draws) = draws {
            compare(&self.states, draws, |i, j, m| {
                out.cka.extend(m.cka.map(|m| (name(i, j), m)));
                out.cosine_gap.extend(m.cosine_gap.map(|m| (name(i, j), m)));
                out.mexa.extend(m.mexa.map(|m| (name(i, j), m)));
            });
        }
        out
    }
}

#[cfg(test)]
mod tests;
