//! Leading eigenvectors of X'X without forming it, and exact eigenvectors of small symmetric matrices.

use super::random::SplitMix64;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// Eigenvalues (descending) and eigenvectors (columns) of a symmetric matrix by cyclic Jacobi rotations
/// (Golub & Van Loan, section 8.5). Meant for sizes up to about 100.
pub fn symmetric(matrix: ArrayView2<f64>) -> (Vec<f64>, Array2<f64>) {
    let n = matrix.nrows();
    let mut a = matrix.to_owned();
    let mut vectors = Array2::eye(n);
    let size = a.iter().map(|x| x * x).sum::<f64>();
    for _ in 0..60 {
        let off: f64 =
            (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[[i, j]] * a[[i, j]]).sum();
        if off <= size * 1e-32 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[[j, j]].total_cmp(&a[[i, i]]));
    (order.iter().map(|&i| a[[i, i]]).collect(), vectors.select(Axis(1), &order))
}

/// One Jacobi rotation that makes a[p, q] zero.
fn rotate(a: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    if a[[p, q]] == 0.0 {
        return;
    }
    let theta = (a[[q, q]] - a[[p, p]]) / (2.0 * a[[p, q]]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for k in 0..a.nrows() {
        let (x, y) = (a[[k, p]], a[[k, q]]);
        (a[[k, p]], a[[k, q]]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..a.nrows() {
        let (x, y) = (a[[p, k]], a[[q, k]]);
        (a[[p, k]], a[[q, k]]) = (c * x - s * y, s * x + c * y);
        let (x, y) = (vectors[[k, p]], vectors[[k, q]]);
        (vectors[[k, p]], vectors[[k, q]]) = (c * x - s * y, s * x + c * y);
    }
}

/// Sum of squares of all entries.
pub fn square(x: ArrayView2<f64>) -> f64 {
    x.rows().into_iter().map(|r| r.dot(&r)).sum()
}

/// Largest relative residual |X'X v - lambda v| / lambda_1 over the rows of `vectors` (k, d), or infinity where
/// they are not orthonormal.
pub fn residual(x: ArrayView2<f64>, vectors: ArrayView2<f64>) -> f64 {
    let gram = vectors.dot(&vectors.t());
    if gram.indexed_iter().any(|((i, j), g)| (g - f64::from(u8::from(i == j))).abs() > 1e-9 || g.is_nan()) {
        return f64::INFINITY;
    }
    let mut top = f64::MIN_POSITIVE;
    let mut worst = 0f64;
    for v in vectors.rows() {
        // X'(X v) row by row: a product with one column is bound by memory, packing for a matrix product doubles it
        let mut image = Array1::zeros(v.len());
        for (row, &along) in x.rows().into_iter().zip(&x.dot(&v)) {
            image.scaled_add(along, &row);
        }
        let lambda = image.dot(&v);
        top = top.max(lambda);
        image.scaled_add(-lambda, &v);
        worst = worst.max(image.dot(&image).sqrt());
    }
    worst / top
}

/// The `k` leading right singular vectors of `x` [n, d] as rows, by block power iteration with Rayleigh-Ritz
/// (Golub & Van Loan, section 8.2), from `start` rows where given. Directions beyond the rank are left out.
pub fn leading(x: ArrayView2<f64>, k: usize, start: Option<ArrayView2<f64>>, steps: usize) -> Array2<f64> {
    let (n, d) = x.dim();
    let width = (k + 6).min(n).min(d);
    let mut random = SplitMix64::new(0x9ca);
    let mut block = Array2::from_shape_simple_fn((width, d), || random.unit() - 0.5);
    if let Some(start) = start.filter(|s| s.iter().all(|v| v.is_finite())) {
        for (mut row, given) in block.rows_mut().into_iter().zip(start.rows()) {
            row.assign(&given);
        }
    }
    let mut kept = k.min(width);
    for _ in 0..steps {
        block = x.t().dot(&x.dot(&block.t())).reversed_axes().as_standard_layout().into_owned();
        orthonormalise(&mut block);
        let image = x.dot(&block.t());
        let (values, rotation) = symmetric(image.t().dot(&image).view());
        block = rotation.t().dot(&block);
        kept = values.iter().take(k).filter(|&&v| v > values[0].max(0.0) * 1e-20 && v > 0.0).count();
        if kept == 0 || residual(x, block.slice(ndarray::s![..kept, ..])) < 1e-11 {
            break;
        }
    }
    block.slice(ndarray::s![..kept, ..]).to_owned()
}

/// Gram-Schmidt on rows, twice for stability; a row that vanishes becomes zero.
fn orthonormalise(block: &mut Array2<f64>) {
    for i in 0..block.nrows() {
        let first = block.row(i).dot(&block.row(i)).sqrt();
        for _ in 0..2 {
            for j in 0..i {
                let along = block.row(i).dot(&block.row(j));
                let other: Array1<f64> = block.row(j).to_owned();
                block.row_mut(i).scaled_add(-along, &other);
            }
        }
        let norm = block.row(i).dot(&block.row(i)).sqrt();
        let keep = norm > first * 1e-12 && norm > 0.0;
        block.row_mut(i).mapv_inplace(|v| if keep { v / norm } else { 0.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    #[test]
    fn jacobi_diagonalises() {
        let a = array![[4.0, 1.0, -2.0], [1.0, 2.0, 0.0], [-2.0, 0.0, 3.0]];
        let (values, v) = symmetric(a.view());
        let back = v.dot(&Array2::from_diag(&Array1::from(values.clone()))).dot(&v.t());
        assert!((&back - &a).iter().all(|e| e.abs() < 1e-13));
        assert!(values[0] > values[1] && values[1] > values[2]);
        assert!((values.iter().sum::<f64>() - 9.0).abs() < 1e-13);
    }

    #[test]
    fn block_iteration_finds_the_exact_leading_vectors() {
        let mut random = SplitMix64::new(4);
        let x = Array2::from_shape_fn((30, 12), |(_, j)| (random.unit() - 0.5) * 3.0 / (j + 1) as f64);
        let (_, exact) = symmetric(x.t().dot(&x).view());
        let found = leading(x.view(), 2, None, 500);
        for i in 0..2 {
            assert!((found.row(i).dot(&exact.column(i)).abs() - 1.0).abs() < 1e-12);
        }
        assert!(residual(x.view(), found.view()) < 1e-10);
        assert!(residual(x.view(), exact.slice(s![..;-1, ..]).slice(s![..2, ..])) > 1e-3);
    }

    #[test]
    fn directions_beyond_the_rank_are_left_out() {
        let line = Array2::from_shape_fn((9, 5), |(i, j)| (i as f64 - 4.0) * (j as f64 + 1.0));
        assert_eq!(leading(line.view(), 2, None, 50).nrows(), 1);
        assert_eq!(leading(Array2::zeros((9, 5)).view(), 2, None, 50).nrows(), 0);
    }
}
