//! Principal component analysis through linfa-reduction, with the total variance and fixed signs.

use super::eigen;
use crate::error::{Error, Result};
use linfa::DatasetBase;
use linfa::traits::Fit as _;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use std::panic::AssertUnwindSafe;

/// Sizes up to which the Gram matrix is solved exactly: the iteration of linfa needs room.
const SMALL: usize = 48;

/// A fitted PCA.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Mean of the fitted rows, `[d]`.
    pub mean: Array1<f64>,
    /// Orthonormal directions [k, d], most variance first, each signed so that its loading of largest magnitude
    /// is positive. A direction that the data do not have (rank below k, constant data) is a row of zeros.
    pub components: Array2<f64>,
    /// Share of the total variance along each direction, `[k]`; zeros for constant data.
    pub explained_variance_ratio: Vec<f64>,
}

impl Fit {
    /// Fits `k` directions to `rows` [n, d].
    ///
    /// # Errors
    /// Fewer than two rows, no columns, k = 0, and values that are not finite.
    pub fn new(rows: ArrayView2<f64>, k: usize) -> Result<Self> {
        let (n, d) = rows.dim();
        if n < 2 || d == 0 || k == 0 {
            return Err(Error::failed(format!(
                "principal components need at least two items, not {n} of {d} values: show more items or languages"
            )));
        }
        if let Some((row, column)) = rows.indexed_iter().find(|(_, v)| !v.is_finite()).map(|(at, _)| at) {
            return Err(Error::failed(format!(
                "the state of item {row} holds a value that is not a number (dimension {column}): no principal components"
            )));
        }
        let mean = rows.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(d));
        let mut scaled = rows.to_owned();
        let size = eigen::square(scaled.view());
        scaled -= &mean;
        let total = eigen::square(scaled.view());
        let mut components = Array2::zeros((k, d));
        let mut ratios = vec![0.0; k];
        // what rounding alone leaves of constant rows is no variance
        if total > size * 1e-28 {
            // linfa's iteration converges only near unit scale
            scaled /= total.sqrt();
            for (i, direction) in directions(scaled.view(), k).rows().into_iter().enumerate() {
                let along = scaled.dot(&direction);
                components.row_mut(i).assign(&(&direction * sign(direction.iter())));
                ratios[i] = along.dot(&along).min(1.0);
            }
        }
        Ok(Self { mean, components, explained_variance_ratio: ratios })
    }

    /// The fit with its first direction alone: what `new` gives for k = 1.
    pub fn leading(&self) -> Self {
        Self {
            mean: self.mean.clone(),
            components: self.components.slice(s![..1, ..]).to_owned(),
            explained_variance_ratio: self.explained_variance_ratio[..1].to_vec(),
        }
    }

    /// Coordinates [n, k] of `rows` [n, d] along the directions, relative to the fit's mean.
    pub fn project(&self, rows: ArrayView2<f64>) -> Array2<f64> {
        let mut out = Array2::zeros((rows.nrows(), self.components.nrows()));
        for (mut column, direction) in out.columns_mut().into_iter().zip(self.components.rows()) {
            column.assign(&(rows.dot(&direction) - self.mean.dot(&direction)));
        }
        out
    }

    /// Share of the total variance of `rows` [n, d] (about their own mean) that lies along each direction: what
    /// `explained_variance_ratio` says, for rows that the fit has not seen.
    pub fn explained(&self, rows: ArrayView2<f64>) -> Vec<f64> {
        let mean = rows.mean_axis(Axis(0)).unwrap_or_else(|| self.mean.clone());
        let total = eigen::square((&rows - &mean).view());
        let share = |points: ArrayView1<f64>| {
            let mean = points.mean().unwrap_or(0.0);
            points.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / total
        };
        self.project(rows).columns().into_iter().map(|c| if total > 0.0 { share(c) } else { 0.0 }).collect()
    }
}

/// +1 or -1, so that the loading of largest magnitude (the first of equals) becomes positive.
fn sign<'a>(loadings: impl Iterator<Item = &'a f64>) -> f64 {
    let mut largest = 0f64;
    for &v in loadings {
        // a hair's margin: loadings that are equal but for rounding must not flip between machines
        if v.abs() > largest.abs() * (1.0 + 1e-9) {
            largest = v;
        }
    }
    if largest < 0.0 { -1.0 } else { 1.0 }
}

/// Up to `k` leading directions (rows) of centred data of Frobenius norm 1.
fn directions(x: ArrayView2<f64>, k: usize) -> Array2<f64> {
    let (n, d) = x.dim();
    if n.min(d) <= SMALL {
        return exact(x, k);
    }
    let found = linfa(x, k);
    match &found {
        Some(found) if found.nrows() == k && eigen::residual(x, found.view()) < 1e-8 => found.clone(),
        _ => eigen::leading(x, k, found.as_ref().map(|f| f.view()), 300),
    }
}

/// linfa-reduction's PCA; `None` where it gives up.
fn linfa(x: ArrayView2<f64>, k: usize) -> Option<Array2<f64>> {
    let data = DatasetBase::from(x.to_owned());
    // its sorting of eigenvalues panics on a breakdown of the iteration
    let fitted =
        std::panic::catch_unwind(AssertUnwindSafe(|| linfa_reduction::Pca::params(k).fit(&data).ok()))
            .ok()??;
    Some(fitted.components().to_owned())
}

/// Exact directions from the Gram matrix in the smaller dimension.
fn exact(x: ArrayView2<f64>, k: usize) -> Array2<f64> {
    let (n, d) = x.dim();
    if d <= n {
        let (values, vectors) = eigen::symmetric(x.t().dot(&x).view());
        let kept = rank(&values).min(k);
        return vectors.slice(s![.., ..kept]).t().to_owned();
    }
    let (values, vectors) = eigen::symmetric(x.dot(&x.t()).view());
    let kept = rank(&values).min(k);
    let mut out = vectors.slice(s![.., ..kept]).t().dot(&x);
    for mut row in out.rows_mut() {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    out
}

/// How many eigenvalues (descending) stand above rounding.
fn rank(values: &[f64]) -> usize {
    values.iter().take_while(|&&v| v > values[0] * 1e-14 && v > 0.0).count()
}

#[cfg(test)]
mod tests;
