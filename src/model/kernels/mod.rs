//! CPU kernels: matrix products over weights in their file's own format, attention, and what lies between.
//!
//! Activations are **feature-major**: `[features, tokens]`, the token index contiguous. Then one register
//! tile serves everything: a product with weights `[out, in]` broadcasts weights (rows as they lie in the
//! file, widened a panel at a time) against vectors of tokens and stores its tile where it belongs, with no
//! packing and no transposing; scores and attention outputs are the same tile with other strides; norms and
//! softmax run along vectors of tokens. On AVX-512 large f32 products lay their tokens out first (`inner`), and on
//! AMX the tiles do (`amx`).

#[cfg(target_arch = "x86_64")]
pub mod amx;
pub mod attention;
pub mod attention_backward;
pub mod cross_entropy;
pub mod elementwise;
pub mod elementwise_backward;
#[cfg(target_arch = "x86_64")]
pub mod inner;
pub mod mat;
pub mod matmul;
pub mod norms;
mod pairs;
pub mod rest;
pub mod simd;
pub mod source;
pub mod strips;
pub mod team;
#[cfg(test)]
mod testing;
pub mod tile;
pub mod transposed;

pub use mat::Mat;
pub use matmul::CpuWeight;

/// Whether products in bf16 arithmetic differ from those in f32 here.
pub fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    if amx::available() {
        return true;
    }
    tile::Tiles::of_pairs().is_some()
}

/// Raised with every change that gives other numbers, so that answers computed before are not mixed with new ones.
pub const REVISION: u32 = 3;

/// The kernels in use, for people: the vector instructions, and the tiles where the processor has them.
pub fn name() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if amx::available() {
        return "AVX-512 and AMX tiles";
    }
    #[cfg(target_arch = "x86_64")]
    if inner::Kernels::chosen().is_some() {
        return if trades() { "AVX-512, traded products" } else { "AVX-512, inner products" };
    }
    simd::simd().name()
}

/// Whether large f32 products on vectors trade multiplications for additions (see `inner`), here.
pub fn trades() -> bool {
    #[cfg(target_arch = "x86_64")]
    return inner::Kernels::chosen().is_some_and(inner::Kernels::trades);
    #[cfg(not(target_arch = "x86_64"))]
    false
}
