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
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate, s};

/// Draws of a bootstrap interval.
pub const RESAMPLES: usize = 200;
/// Shuffles of a control.
pub const SHUFFLES: usize = 8;
/// Languages whose products with all others are computed at once.
const GROUP: usize = 8;

/// The random draws shared by all pairs and layers.
pub struct Draws {
    /// [B, n]: how often each item is drawn.
    weights: Array2<f64>,
    /// [B, n]: w - w^2 of each of them.
    own: Array2<f64>,
    /// Permutations without fixed points.
    shuffles: Vec<Vec<usize>>,
}

impl Draws {
    /// Draws for `n` items.
    pub fn new(n: usize, seed: u64) -> Self {
        let rows = random::resamples(n, RESAMPLES, seed);
        let weights = Array2::from_shape_fn((rows.len(), n), |(b, i)| rows[b][i]);
        let own = weights.mapv(|w| w - w * w);
        Self { weights, own, shuffles: random::derangements(n, SHUFFLES, seed) }
    }
}

/// What one language brings to all its pairs at one layer.
struct Prepared {
    /// Norms of the states, and inner product of each shifted state with the origin.
    norms: Array1<f64>,
    along_origin: Array1<f64>,
    /// 1 / norm of the states minus the language's own mean; 0 where that is rounding only.
    centred_scale: Array1<f64>,
    /// Centred Gram matrix [n, n].
    gram: Array2<f64>,
    /// |gram|_F^2 and the same under each draw.
    square: f64,
    drawn_squares: Vec<f64>,
}

impl Prepared {
    /// `states` and `shifted` = `states` minus `origin`, both [n, d].
    fn new(
        states: ArrayView2<f64>,
        shifted: ArrayView2<f64>,
        origin: ArrayView1<f64>,
        draws: &Draws,
    ) -> Self {
        let mut gram = shifted.dot(&shifted.t());
        double_centre(&mut gram);
        let squares = &gram * &gram;
        let norms: Array1<f64> = states.rows().into_iter().map(|r| r.dot(&r).sqrt()).collect();
        let rounding = 1e-13 * norms.iter().fold(0f64, |a, &b| a.max(b));
        let scale = |v: &f64| if v.max(0.0).sqrt() > rounding { 1.0 / v.sqrt() } else { 0.0 };
        Self {
            along_origin: shifted.dot(&origin),
            centred_scale: gram.diag().iter().map(scale).collect(),
            square: squares.sum(),
            drawn_squares: drawn_sums(&squares, draws),
            norms,
            gram,
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

/// Calls `each(i, j, measures)` for every pair i < j of `states`, one [n, d] array a language; all must have the
/// shape that `draws` was made for. With fewer than two items nothing is defined.
pub fn compare(states: &[Array2<f64>], draws: &Draws, mut each: impl FnMut(usize, usize, PairMeasures)) {
    let views: Vec<_> = states.iter().map(|s| s.view()).collect();
    let Ok(mut shifted) = concatenate(Axis(0), &views) else { return };
    let n = views[0].nrows();
    // what all states share is taken out first, for precision, and put back where a definition wants it
    let Some(origin) = shifted.mean_axis(Axis(0)).filter(|_| n >= 2) else {
        (0..states.len())
            .for_each(|i| (i + 1..states.len()).for_each(|j| each(i, j, PairMeasures::default())));
        return;
    };
    shifted -= &origin;
    let rows = |i: usize| shifted.slice(s![i * n..(i + 1) * n, ..]);
    let prepared: Vec<Prepared> =
        views.iter().enumerate().map(|(i, v)| Prepared::new(*v, rows(i), origin.view(), draws)).collect();
    let origin_square = origin.dot(&origin);
    // a few languages against all that follow: large products are fast, and memory stays small
    for start in (0..states.len()).step_by(GROUP) {
        let end = (start + GROUP).min(states.len());
        let products = shifted.slice(s![start * n..end * n, ..]).dot(&shifted.slice(s![start * n.., ..]).t());
        for i in start..end {
            for j in i + 1..states.len() {
                let (row, column) = ((i - start) * n, (j - start) * n);
                let block = products.slice(s![row..row + n, column..column + n]);
                each(i, j, measure_pair(block, &prepared[i], &prepared[j], origin_square, draws));
            }
        }
    }
}

/// All measures from the inner products [n, n] of two languages' shifted states.
fn measure_pair(
    products: ArrayView2<f64>,
    x: &Prepared,
    y: &Prepared,
    origin_square: f64,
    draws: &Draws,
) -> PairMeasures {
    let mut raw = products.to_owned();
    for ((i, j), v) in raw.indexed_iter_mut() {
        let size = x.norms[i] * y.norms[j];
        let whole = *v + x.along_origin[i] + y.along_origin[j] + origin_square;
        *v = if size > 0.0 { whole / size } else { 0.0 };
    }
    let mut centred = products.to_owned();
    double_centre(&mut centred);
    for (mut row, &scale) in centred.rows_mut().into_iter().zip(&x.centred_scale) {
        row.zip_mut_with(&y.centred_scale, |v, other| *v *= scale * other);
    }
    PairMeasures {
        cka: cka(x, y, draws),
        cosine_gap: cosine_gap(centred.view(), draws),
        mexa: Some(mexa(raw.view(), draws)),
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
    let images = draws.weights.dot(p);
    let own = draws.own.dot(&p.diag());
    let rows = draws.weights.rows().into_iter().zip(images.rows());
    rows.zip(own).map(|((w, image), own)| w.dot(&image) + own).collect()
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
