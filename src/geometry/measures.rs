//! Measures of alignment between two languages' states, x and y [n, d]: row i is the same item in both.
//!
//! Each is defined once here, plainly; `pairs` computes the same values together with intervals and controls.

use ndarray::{ArrayView2, Axis};

/// Pearson correlation of two equally long series; `None` for fewer than two values, unequal lengths or a
/// constant series.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.len() < 2 {
        return None;
    }
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        let (a, b) = (a - mx, b - my);
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    // what rounding leaves of a constant series is no variance
    let constant = |sum: f64, mean: f64| sum <= n * (mean * 1e-14).powi(2);
    if constant(xx, mx) || constant(yy, my) {
        return None;
    }
    finite((xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0))
}

/// Linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414):
/// |Xc' Yc|_F^2 / (|Xc' Xc|_F |Yc' Yc|_F), columns centred; through [n, n] or [d, d] products, whichever is smaller.
///
/// Not corrected for its bias: with fewer items than dimensions unrelated states also score high, which is what
/// the shuffled control is for. `None` for n < 2, unequal n, or a language without variance.
pub fn linear_cka(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Option<f64> {
    if x.nrows() != y.nrows() || x.nrows() < 2 {
        return None;
    }
    let (x, y) = (&x - &x.mean_axis(Axis(0))?, &y - &y.mean_axis(Axis(0))?);
    let squares = |m: ndarray::Array2<f64>| m.iter().map(|v| v * v).sum::<f64>();
    let (xy, xx, yy) = if x.nrows() < x.ncols().min(y.ncols()) {
        let (k, l) = (x.dot(&x.t()), y.dot(&y.t()));
        ((&k * &l).sum(), squares(k), squares(l))
    } else {
        (squares(x.t().dot(&y)), squares(x.t().dot(&x)), squares(y.t().dot(&y)))
    };
    if xx > 0.0 && yy > 0.0 { finite(xy / (xx.sqrt() * yy.sqrt())) } else { None }
}

/// Mean-centred cosine gap: with each language's own mean taken off its rows, the mean over i of cos(x_i, y_i)
/// minus the mean over all i != j of cos(x_i, y_j). A row that equals its mean has cosine 0 to everything.
/// `None` for n < 2 or unequal n.
pub fn cosine_gap(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Option<f64> {
    if x.dim() != y.dim() || x.nrows() < 2 {
        return None;
    }
    let (x, y) = (&x - &x.mean_axis(Axis(0))?, &y - &y.mean_axis(Axis(0))?);
    gap_of(cosines(x.view(), y.view()).view())
}

/// MEXA (Kargaran et al., arXiv 2410.05873, equation 1): the share of items i with
/// c_ii > max over j != i of {c_ij, c_ji}, where c_ij = cos(x_i, y_j) of the states as they are (not centred).
/// A tie does not count. `None` for n < 2 or unequal n.
pub fn mexa(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Option<f64> {
    if x.dim() != y.dim() || x.nrows() < 2 {
        return None;
    }
    let c = cosines(x, y);
    let best = mutual_best(c.view());
    let n = best.len();
    Some(best.iter().enumerate().filter(|(i, b)| **b == Some(*i)).count() as f64 / n as f64)
}

/// cos(x_i, y_j) for all i, j; 0 where a row is zero.
fn cosines(x: ArrayView2<f64>, y: ArrayView2<f64>) -> ndarray::Array2<f64> {
    let norms = |m: ArrayView2<f64>| m.rows().into_iter().map(|r| r.dot(&r).sqrt()).collect::<Vec<_>>();
    let (nx, ny) = (norms(x), norms(y));
    let mut c = x.dot(&y.t());
    for ((i, j), v) in c.indexed_iter_mut() {
        let size = nx[i] * ny[j];
        *v = if size > 0.0 { *v / size } else { 0.0 };
    }
    c
}

/// The mean of the diagonal minus the mean of all else.
fn gap_of(c: ArrayView2<f64>) -> Option<f64> {
    let n = c.nrows() as f64;
    let diagonal = c.diag().sum();
    finite(diagonal / n - (c.sum() - diagonal) / (n * (n - 1.0)))
}

/// For each row i the column j where c_ij is strictly the largest of both its row and its column.
pub(super) fn mutual_best(c: ArrayView2<f64>) -> Vec<Option<usize>> {
    let n = c.nrows();
    let mut column_best = vec![(f64::NEG_INFINITY, None); c.ncols()];
    let mut row_best = vec![(f64::NEG_INFINITY, None); n];
    for ((i, j), &v) in c.indexed_iter() {
        for (best, at) in [(&mut row_best[i], j), (&mut column_best[j], i)] {
            if v > best.0 {
                *best = (v, Some(at));
            } else if v == best.0 {
                best.1 = None;
            }
        }
    }
    (0..n).map(|i| row_best[i].1.filter(|&j| column_best[j].1 == Some(i))).collect()
}

/// The value unless it is NaN or infinite.
fn finite(v: f64) -> Option<f64> {
    v.is_finite().then_some(v)
}

#[cfg(test)]
mod tests;
