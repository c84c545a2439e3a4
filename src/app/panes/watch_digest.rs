//! What is drawn of all frames of a run at once, worked out when a frame comes in: a screen shows a number or two of
//! each of hundreds of frames, and would else go through all their points and pairs again and again.

use crate::engine::protocol::{Alignment, PcaLayer, TrainFrame};
use std::sync::Arc;

/// A frame's PCA in a few numbers a layer; a copy is shared.
#[derive(Clone, Debug, Default)]
pub struct Digest(Arc<Vec<LayerDigest>>);

/// One layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerDigest {
    layer: usize,
    /// Smallest and largest x, and y, of the points that are finite.
    pub extent: Option<[(f64, f64); 2]>,
    /// Of each language, in the answer's order.
    pub centroids: Vec<Option<[f64; 2]>>,
    means: [Option<f64>; 4],
    extents: [Option<(f64, f64)>; 4],
}

impl Digest {
    /// The digest of a frame; empty where it has no PCA.
    pub fn of(frame: &TrainFrame) -> Self {
        let Some(answer) = &frame.pca else { return Self::default() };
        let layers = answer.runs.first().map_or(&[][..], |r| &r.layers);
        Self(Arc::new(layers.iter().map(|l| LayerDigest::of(l, &answer.langs)).collect()))
    }

    /// A layer by its number.
    pub fn layer(&self, layer: usize) -> Option<&LayerDigest> {
        self.0.get(layer).filter(|l| l.layer == layer).or_else(|| self.0.iter().find(|l| l.layer == layer))
    }

    /// A measure's mean at every layer that has it.
    pub fn over_layers(&self, measure: Alignment) -> Vec<(f64, f64)> {
        self.0.iter().filter_map(|l| Some((l.layer as f64, l.mean(measure)?))).collect()
    }
}

impl LayerDigest {
    fn of(layer: &PcaLayer, langs: &[String]) -> Self {
        let points = layer.points.values().flatten().filter(|p| p[0].is_finite() && p[1].is_finite());
        Self {
            layer: layer.layer,
            extent: points.fold(None, |range, p| {
                let [x, y] = range.unwrap_or([(p[0], p[0]), (p[1], p[1])]);
                Some([wider(x, (p[0], p[0])), wider(y, (p[1], p[1]))])
            }),
            centroids: langs.iter().map(|code| centroid(layer.points.get(code)?)).collect(),
            means: Alignment::ALL.map(|m| mean(layer, m)),
            extents: Alignment::ALL.map(|m| {
                values(layer, m).fold(None, |range, v| Some(range.map_or((v, v), |r| wider(r, (v, v)))))
            }),
        }
    }

    /// Mean of a measure over all pairs of languages that have it.
    pub fn mean(&self, measure: Alignment) -> Option<f64> {
        self.means[measure as usize]
    }

    /// Smallest and largest value of a measure.
    pub fn extent_of(&self, measure: Alignment) -> Option<(f64, f64)> {
        self.extents[measure as usize]
    }
}

/// The range that holds both.
pub fn wider(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0.min(b.0), a.1.max(b.1))
}

/// Mean of the finite points.
pub fn centroid(points: &[[f64; 2]]) -> Option<[f64; 2]> {
    let finite = points.iter().filter(|p| p[0].is_finite() && p[1].is_finite());
    let (n, x, y) = finite.fold((0.0, 0.0, 0.0), |(n, x, y), p| (n + 1.0, x + p[0], y + p[1]));
    (n > 0.0).then(|| [x / n, y / n])
}

/// A measure's finite values at a layer, of all pairs of languages.
fn values(layer: &PcaLayer, measure: Alignment) -> impl Iterator<Item = f64> + '_ {
    let with_intervals = measure.measures(layer);
    let plain = if with_intervals.is_none() { Some(&layer.pearson) } else { None };
    let all = with_intervals.into_iter().flat_map(|m| m.values().map(|m| m.value));
    all.chain(plain.into_iter().flat_map(|p| p.values().copied())).filter(|v| v.is_finite())
}

/// Mean of a measure over all pairs of languages that have it.
pub fn mean(layer: &PcaLayer, measure: Alignment) -> Option<f64> {
    let (sum, n) = values(layer, measure).fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
    (n > 0.0).then(|| sum / n)
}

#[cfg(test)]
mod tests {
    use super::super::watch::pca_layer;
    use super::super::watch_fixture::{frame, langs};
    use super::*;

    #[test]
    fn a_digest_is_what_the_frame_says() {
        let mut frame = frame(Some(10), 100, &langs(4));
        let layer = &mut frame.pca.as_mut().unwrap().runs[0].layers[3];
        layer.points.get_mut("en").unwrap()[0] = [f64::NAN, 1e9];
        layer.points.get_mut("de").unwrap()[1] = [-500.0, 700.0];
        layer.pearson.insert("en-de".into(), f64::NAN);
        layer.pearson.insert("en-fr".into(), -0.75);
        let digest = Digest::of(&frame);
        let (of, layer) = (digest.layer(3).unwrap(), pca_layer(&frame, 3).unwrap());
        let [x, y] = of.extent.unwrap();
        assert_eq!((x.0, y.1), (-500.0, 700.0), "what is not finite is left out");
        assert_eq!(of.centroids.len(), 4);
        assert_eq!(of.centroids[1], centroid(&layer.points["de"]));
        assert_eq!(of.extent_of(Alignment::Pearson).unwrap().0, -0.75);
        for measure in Alignment::ALL {
            assert_eq!(of.mean(measure), mean(layer, measure));
        }
        assert_eq!(digest.over_layers(Alignment::Cka).len(), frame.pca.unwrap().runs[0].layers.len());
        assert!(Digest::of(&TrainFrame::default()).layer(0).is_none());
    }
}
