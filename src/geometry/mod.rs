//! The geometry of a model's states over languages: principal components and measures of alignment.
//!
//! Plain arrays in and out, f64 inside. Nothing here knows a model, a file or a terminal. What is
//! undefined (a correlation of one item, the direction of constant data) is absent or zero as the
//! function's documentation says, and never NaN.

pub mod align;
pub mod eigen;
pub mod measures;
pub mod pairs;
pub mod pca;
pub mod random;

#[cfg(test)]
mod testing;

pub use align::{Options, RunStates, analyse};
pub use measures::{cosine_gap, linear_cka, mexa, pearson};
pub use pca::Fit;
