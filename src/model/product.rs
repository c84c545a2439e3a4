//! Timing one product with weights of any format, without a model.

use super::format::{Format, bytes_of};
use super::kernels::matmul::{Job, matmul};
use super::kernels::{CpuWeight, Mat};
use candle_core::quantized::k_quants::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0,
    GgmlType,
};
use half::{bf16, f16};
use rayon::ThreadPool;
use std::fmt;
use std::time::Instant;

/// A product's shape: `[out, inp]` weights with `[inp, tokens]` activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub tokens: usize,
    pub inp: usize,
    pub out: usize,
}

impl Shape {
    /// Multiplications and additions.
    pub fn flops(self) -> f64 {
        2.0 * self.tokens as f64 * self.inp as f64 * self.out as f64
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} x {}", self.tokens, self.inp, self.out)
    }
}

/// Numbers between -1 and 1, always the same.
pub fn numbers(count: usize) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Rows that differ; the others repeat them, since quantising hundreds of millions of numbers takes seconds and the
/// time of a product does not depend on them.
const DISTINCT: usize = 8;

/// Weights `[out, inp]` of a format; `None` where its blocks do not divide `inp`.
pub fn weight(format: Format, out: usize, inp: usize) -> Option<CpuWeight> {
    format.bytes_for(inp)?;
    let distinct = out.clamp(1, DISTINCT);
    let xs = numbers(distinct * inp);
    if format == Format::F32 {
        return Some(CpuWeight::floats(repeated(&xs, out * inp), out, inp));
    }
    let some: Vec<u8> = match format {
        Format::F32 => bytes_of(&xs).to_vec(),
        Format::F16 => xs.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
        Format::Bf16 => xs.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
        Format::Q4_0 => blocks::<BlockQ4_0>(&xs),
        Format::Q4_1 => blocks::<BlockQ4_1>(&xs),
        Format::Q5_0 => blocks::<BlockQ5_0>(&xs),
        Format::Q5_1 => blocks::<BlockQ5_1>(&xs),
        Format::Q8_0 => blocks::<BlockQ8_0>(&xs),
        Format::Q2K => blocks::<BlockQ2K>(&xs),
        Format::Q3K => blocks::<BlockQ3K>(&xs),
        Format::Q4K => blocks::<BlockQ4K>(&xs),
        Format::Q5K => blocks::<BlockQ5K>(&xs),
        Format::Q6K => blocks::<BlockQ6K>(&xs),
    };
    let all = repeated(&some, some.len() / distinct * out);
    Some(CpuWeight::copied(&all, format, out, inp))
}

/// `len` elements that repeat `some`.
fn repeated<T: Copy>(some: &[T], len: usize) -> Vec<T> {
    let mut all = Vec::with_capacity(len);
    while all.len() < len {
        all.extend_from_slice(&some[..some.len().min(len - all.len())]);
    }
    all
}

/// Numbers in the blocks of a quantised format.
fn blocks<B: GgmlType>(xs: &[f32]) -> Vec<u8> {
    let mut all = vec![B::zeros(); xs.len() / B::BLCK_SIZE];
    B::from_float(xs, &mut all);
    let len = size_of_val(all.as_slice());
    // SAFETY: ggml's blocks are plain data without padding (format.rs tests their sizes).
    unsafe { std::slice::from_raw_parts(all.as_ptr().cast::<u8>(), len) }.to_vec()
}

/// A product that is computed again and again.
pub struct Product<'a> {
    w: &'a CpuWeight,
    x: &'a Mat,
    y: Mat,
}

impl<'a> Product<'a> {
    /// `w [out, inp]` with `x [inp, tokens]`.
    pub fn new(w: &'a CpuWeight, x: &'a Mat) -> Self {
        Self { w, x, y: Mat::zeros(w.out, x.cols()) }
    }

    /// Computes it once on the pool: the time in seconds.
    pub fn seconds(&mut self, pool: &ThreadPool) -> f64 {
        let Self { w, x, y } = self;
        pool.install(|| {
            let start = Instant::now();
            matmul(x, &mut [Job { w, y, add: false }]);
            start.elapsed().as_secs_f64().max(1e-9)
        })
    }

    /// The outputs of the last time, `[out, tokens]`.
    pub fn outputs(&self) -> &Mat {
        &self.y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_every_format_are_about_the_same() {
        let want = weight(Format::F32, 19, 256).unwrap();
        for format in Format::ALL {
            let w = weight(format, 19, 256).unwrap();
            assert_eq!((w.out, w.inp, w.format), (19, 256, format));
            for r in [0, 7, 18] {
                let apart = w.row(r).iter().zip(want.row(r)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 0.5, "{}: row {r}, {apart}", format.name());
            }
        }
    }

    #[test]
    fn blocks_that_do_not_divide_a_row() {
        assert!(weight(Format::Q4K, 4, 640).is_none() && weight(Format::Q5_0, 4, 640).is_some());
    }

    #[test]
    fn a_product_is_computed_and_timed() {
        let shape = Shape { tokens: 3, inp: 256, out: 5 };
        assert_eq!((shape.flops(), shape.to_string()), (7680.0, "3 x 256 x 5".to_owned()));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let (w, xs) = (weight(Format::F32, 5, 256).unwrap(), numbers(3 * 256));
        let x = Mat::from_tokens(256, 3, &xs);
        let mut product = Product::new(&w, &x);
        assert!(product.seconds(&pool) > 0.0);
        let want: f64 = w.row(4).iter().zip(&xs[..256]).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!((f64::from(product.outputs().row(4)[0]) - want).abs() < 1e-4);
    }
}
