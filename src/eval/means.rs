//! Means over a task's items, and their bands.

use crate::engine::protocol::{CurvesPoint, CurvesRun};
use serde::Serialize;

/// A mean over items with the half-width of its 95 % band.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    pub mean: f32,
    /// 1.96 sd / sqrt(n) with the sample standard deviation (n - 1); `None` (JSON null) for one item,
    /// whose spread is unknown.
    pub ci95: Option<f32>,
}

/// Mean and band of `values`; zero for no values. Sums are taken in f64.
pub fn mean_ci(values: impl Iterator<Item = f32> + Clone) -> Mean {
    let n = values.clone().count();
    if n == 0 {
        return Mean { mean: 0.0, ci95: None };
    }
    let mean = values.clone().map(f64::from).sum::<f64>() / n as f64;
    let ci95 = (n > 1).then(|| {
        let variance = values.map(|v| (f64::from(v) - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        (1.96 * variance.sqrt() / (n as f64).sqrt()) as f32
    });
    Mean { mean: mean as f32, ci95 }
}

/// Means over the items at one layer.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LayerMeans {
    pub layer: usize,
    pub en: Mean,
    pub target: Mean,
    pub all_possible_latent: Mean,
    pub all_possible_out: Mean,
    pub entropy_bits: Mean,
}

impl LayerMeans {
    /// The four curves in the order in which they are written everywhere.
    pub fn curves(&self) -> [Mean; 4] {
        [self.en, self.target, self.all_possible_latent, self.all_possible_out]
    }
}

/// Means and bands of every layer of a run. Items have the same layers (the engine's promise).
pub fn means(run: &CurvesRun) -> Vec<LayerMeans> {
    let layers = run.items.first().map_or(0, |i| i.layers.len());
    let over = |k: usize, f: fn(&CurvesPoint) -> f32| {
        mean_ci(run.items.iter().filter_map(move |i| i.layers.get(k)).map(f))
    };
    (0..layers)
        .map(|k| LayerMeans {
            layer: run.items[0].layers[k].layer,
            en: over(k, |p| p.curves.en),
            target: over(k, |p| p.curves.target),
            all_possible_latent: over(k, |p| p.curves.all_possible_latent),
            all_possible_out: over(k, |p| p.curves.all_possible_out),
            entropy_bits: over(k, |p| p.entropy_bits),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn band_of_known_values() {
        let m = mean_ci([1.0f32, 2.0, 3.0, 4.0].into_iter());
        assert_eq!(m.mean, 2.5);
        // sd = sqrt(5 / 3) = 1.2909944, / sqrt 4, * 1.96
        assert!((m.ci95.unwrap() - 1.265_174_5).abs() < 1e-6, "{m:?}");
    }

    #[test]
    fn one_item_has_no_band() {
        assert_eq!(mean_ci([0.5f32].into_iter()), Mean { mean: 0.5, ci95: None });
        assert_eq!(mean_ci(std::iter::empty()), Mean { mean: 0.0, ci95: None });
    }
}
