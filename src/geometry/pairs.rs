//! All measures of a pair of languages at one layer, with bootstrap intervals and shuffled-pair controls.
//!
//! Each language is prepared once; a pair then costs one [n, n] product. The bootstrap draws items with
//! replacement, the same draws for all pairs and layers, and reweights what is already there: centring and the
//! set of candidate translations stay those of all items, and two copies of one item are not a pair of
//! different items (otherwise copies, which match themselves, would push CKA up and MEXA down). The control
//! pairs every item with another item's translation, averaged over several shuffles.

use super::measures::mutual_best;
use super::random;
use crate::engine::protocol::Measure;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// Draws of a bootstrap interval.
pub const RESAMPLES: usize = 200;
/// Shuffles of a control.
pub const SHUFFLES: usize = 16;

/// The random draws shared by all pairs and layers.
pub struct Draws {
    /// [B, n]: how often each item is drawn.
    weights: Array2<f64>,
    /// Permutations without fixed points.
    shuffles: Vec<Vec<usize>>,
}

impl Draws {
    /// Draws for `n` items.
    pub fn new(n: usize, seed: u64) -> Self {
        let rows = random::resamples(n, RESAMPLES, seed);
        let weights = Array2::from_shape_fn((rows.len(), n), |(b, i)| rows[b][i]);
        Self { weights, shuffles: random::derangements(n, SHUFFLES, seed) }
    }
}

/// One language at one layer, prepared for comparison with any other.
pub struct Prepared {
    /// States minus the common origin [n, d]. The origin takes out what all states share, for precision.
    shifted: Array2<f64>,
    /// Inner product of each shifted row with the origin, and the states' norms.
    along_origin: Array1<f64>,
    norms: Array1<f64>,
    /// Norms of the rows minus the language's own mean.
    centred_norms: Array1<f64>,
    /// Centred Gram matrix [n, n].
    gram: Array2<f64>,
    /// |gram|_F^2 and the same under each draw.
    square: f64,
    drawn_squares: Vec<f64>,
    origin_square: f64,
}

impl Prepared {
    /// Prepares `states` [n, d]; `origin` [d] must be the same for all languages that are compared.
    pub fn new(states: ArrayView2<f64>, origin: ArrayView1<f64>, draws: &Draws) -> Self {
        let shifted = &states - &origin;
        let mut gram = shifted.dot(&shifted.t());
        double_centre(&mut gram);
        let squares = &gram * &gram;
        Self {
            along_origin: shifted.dot(&origin),
            norms: states.rows().into_iter().map(|r| r.dot(&r).sqrt()).collect(),
            centred_norms: gram.diag().mapv(|v| v.max(0.0).sqrt()),
            square: squares.sum(),
            drawn_squares: drawn_sums(&squares, draws),
            origin_square: origin.dot(&origin),
            gram,
            shifted,
        }
    }
}

/// The measures of a pair; one that is undefined is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairMeasures {
    pub cka: Option<Measure>,
    pub cosine_gap: Option<Measure>,
    pub mexa: Option<Measure>,
}

impl PairMeasures {
    /// All measures of two prepared languages with the same n and origin. Nothing is defined for n < 2.
    pub fn new(x: &Prepared, y: &Prepared, draws: &Draws) -> Self {
        if x.norms.len() < 2 {
            return Self::default();
        }
        let products = x.shifted.dot(&y.shifted.t());
        let mut raw = products.clone();
        for ((i, j), v) in raw.indexed_iter_mut() {
            let size = x.norms[i] * y.norms[j];
            let whole = *v + x.along_origin[i] + y.along_origin[j] + x.origin_square;
            *v = if size > 0.0 { whole / size } else { 0.0 };
        }
        let mut centred = products;
        double_centre(&mut centred);
        // what centring leaves of a row that equals its mean is rounding
        let tiny = |p: &Prepared| 1e-13 * p.norms.iter().fold(0f64, |a, &b| a.max(b));
        let (tiny_x, tiny_y) = (tiny(x), tiny(y));
        for ((i, j), v) in centred.indexed_iter_mut() {
            let (a, b) = (x.centred_norms[i], y.centred_norms[j]);
            *v = if a > tiny_x && b > tiny_y { *v / (a * b) } else { 0.0 };
        }
        Self {
            cka: cka(x, y, draws),
            cosine_gap: cosine_gap(centred.view(), draws),
            mexa: Some(mexa(raw.view(), draws)),
        }
    }
}

/// CKA from the centred Gram matrices.
fn cka(x: &Prepared, y: &Prepared, draws: &Draws) -> Option<Measure> {
    let size = (x.square * y.square).sqrt();
    let spread = |p: &Prepared| p.square.sqrt() > 1e-26 * p.norms.dot(&p.norms);
    if size <= 0.0 || !size.is_finite() || !spread(x) || !spread(y) {
        return None;
    }
    let products = &x.gram * &y.gram;
    let value = products.sum() / size;
    let drawn = drawn_sums(&products, draws);
    let drawn = drawn
        .iter()
        .zip(x.drawn_squares.iter().zip(&y.drawn_squares))
        .map(|(xy, (xx, yy))| xy / (xx * yy).sqrt());
    let shuffled = draws.shuffles.iter().map(|order| {
        let mut sum = 0.0;
        for (i, &a) in order.iter().enumerate() {
            let (k, l) = (x.gram.row(i), y.gram.row(a));
            sum += order.iter().zip(k).map(|(&b, k)| k * l[b]).sum::<f64>();
        }
        sum / size
    });
    Some(measure(value, drawn, shuffled))
}

/// The gap from centred cosines c [n, n]. Its bootstrap averages h_i = c_ii - 2 m_i + t, with m_i the mean over
/// j != i of (c_ij + c_ji) / 2 and t the mean of the m_i: the first-order contribution of item i, whose mean is
/// the gap itself.
fn cosine_gap(c: ArrayView2<f64>, draws: &Draws) -> Option<Measure> {
    let n = c.nrows() as f64;
    let (rows, columns, diagonal) = (c.sum_axis(Axis(1)), c.sum_axis(Axis(0)), c.diag());
    let others = (&rows + &columns) / 2.0 - diagonal;
    let total = others.sum();
    let mean_other = total / (n * (n - 1.0));
    let value = diagonal.sum() / n - mean_other;
    let items = &diagonal - &(&others * (2.0 / (n - 1.0))) + mean_other;
    let drawn = draws.weights.dot(&items) / n;
    let everything = c.sum();
    let shuffled = draws.shuffles.iter().map(|order| {
        let paired: f64 = order.iter().enumerate().map(|(i, &j)| c[[i, j]]).sum();
        paired / n - (everything - paired) / (n * (n - 1.0))
    });
    value.is_finite().then(|| measure(value, drawn.iter().copied(), shuffled))
}

/// MEXA from raw cosines c [n, n]; the bootstrap draws items, the candidates stay.
fn mexa(c: ArrayView2<f64>, draws: &Draws) -> Measure {
    let n = c.nrows() as f64;
    let best = mutual_best(c);
    let hits: Array1<f64> =
        best.iter().enumerate().map(|(i, &b)| f64::from(u8::from(b == Some(i)))).collect();
    let drawn = draws.weights.dot(&hits) / n;
    let shuffled = draws
        .shuffles
        .iter()
        .map(|order| order.iter().zip(&best).filter(|(j, b)| **b == Some(**j)).count() as f64 / n);
    measure(hits.sum() / n, drawn.iter().copied(), shuffled)
}

/// Value, 2.5 and 97.5 percentile of the draws (linear interpolation), mean of the shuffles.
fn measure(value: f64, drawn: impl Iterator<Item = f64>, shuffled: impl Iterator<Item = f64>) -> Measure {
    let mut drawn: Vec<f64> = drawn.filter(|v| v.is_finite()).collect();
    drawn.sort_by(f64::total_cmp);
    let (sum, count) = shuffled.fold((0.0, 0usize), |(s, n), v| (s + v, n + 1));
    let control = if count > 0 { sum / count as f64 } else { 0.0 };
    Measure {
        value,
        low: percentile(&drawn, 0.025).unwrap_or(value),
        high: percentile(&drawn, 0.975).unwrap_or(value),
        shuffled: control,
    }
}

/// The q-quantile of ascending values, interpolated linearly.
fn percentile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q * sorted.len().checked_sub(1)? as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    Some(sorted[low] * (1.0 - part) + sorted[high] * part)
}

/// Under each draw w the sum over i != j of w_i w_j p_ij plus the sum over i of w_i p_ii.
fn drawn_sums(p: &Array2<f64>, draws: &Draws) -> Vec<f64> {
    let weights = &draws.weights;
    let images = weights.dot(p);
    let diagonal = p.diag();
    let rows = weights.rows().into_iter().zip(images.rows());
    rows.map(|(w, image)| {
        let own: f64 = w.iter().zip(diagonal).map(|(&w, &p)| (w - w * w) * p).sum();
        w.dot(&image) + own
    })
    .collect()
}

/// Takes row means and column means off (H m H with H = I - 11'/n).
fn double_centre(m: &mut Array2<f64>) {
    for axis in [Axis(0), Axis(1)] {
        if let Some(mean) = m.mean_axis(axis) {
            *m -= &mean.insert_axis(axis);
        }
    }
}

#[cfg(test)]
mod tests;
