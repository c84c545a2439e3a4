//! Numbers for the kernels' tests.

use super::Mat;

/// `n` numbers in [-1, 1), the same ones for the same seed (the generator of Numerical Recipes).
pub fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut s = seed;
    (0..n)
        .map(|_| {
            s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (s >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// A matrix of [`numbers`].
pub fn matrix(rows: usize, cols: usize, seed: u32) -> Mat {
    Mat::from_tokens(rows, cols, &numbers(rows * cols, seed))
}
