//! Products with transposed weights, `y = w^T x`: the way back through a frozen linear layer.

#[cfg(target_arch = "x86_64")]
use super::amx;
#[cfg(target_arch = "x86_64")]
use super::inner::{Inner, Kernels};
use super::mat::{LINE, Mat, SendPtr};
use super::matmul::CpuWeight;
#[cfg(target_arch = "x86_64")]
use super::matmul::way;
use super::simd::simd;
use super::source::Output;
use super::tile::{Tile, Tiles};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Rows of the weights that are widened at a time.
const DEEP: usize = 176;
/// Columns of the weights (rows of the result) in one task, where the format's blocks are no longer.
const WIDE: usize = 64;
/// Most tokens in one pass, so that their slice stays in the L2 cache.
const TOKENS: usize = 512;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `y (+)= w^T x`: `w [out, in]`, `x [out, tokens]`, `y [in, tokens]`, on the current rayon pool. Whole vectors of
/// `y` are written, its padding included.
pub fn matmul_transposed(w: &CpuWeight, x: &Mat, y: &mut Mat, add: bool) {
    assert!(w.out == x.rows() && w.inp == y.rows() && x.cols() == y.cols());
    #[cfg(target_arch = "x86_64")]
    {
        let way = way();
        if amx::available() && (way.tiles || w.rounds) {
            return on_tiles(w, x, y, add);
        }
        if let Some(kernels) = Kernels::chosen().filter(|k| k.suits_columns(w, x.cols(), way.same_bits)) {
            let inner = Inner::new(kernels, x, (0, x.cols()), w.size(), way.same_bits);
            return in_columns(w, y, |columns, out| {
                // SAFETY: these columns' rows of `y` are this task's alone; they reach to whole vectors.
                unsafe { inner.columns_times(w, columns, Output { add, ..out }) }
            });
        }
    }
    in_columns(w, y, |columns, Output { y, row, .. }| {
        SCRATCH.with_borrow_mut(|scratch| columns_times(w, columns, x, y, row, add, scratch));
    });
}

/// Columns of the weights, and where their rows of `y` are, a task's at a time on the current rayon pool.
fn in_columns(w: &CpuWeight, y: &mut Mat, work: impl Fn(Range<usize>, Output) + Sync) {
    let wide = WIDE.max(w.format.block_len());
    let (row, to) = (y.stride(), SendPtr(y.flat_mut().as_mut_ptr()));
    let starts: Vec<usize> = (0..w.inp).step_by(wide).collect();
    starts.into_par_iter().for_each(|first| {
        let y = SendPtr(to.get().wrapping_add(first * row));
        work(first..w.inp.min(first + wide), Output { y, row, add: false });
    });
}

#[cfg(target_arch = "x86_64")]
fn on_tiles(w: &CpuWeight, x: &Mat, y: &mut Mat, add: bool) {
    let rows = amx::task_rows(w.inp, rayon::current_num_threads());
    let packed = amx::Packed::new(x, 0, x.cols(), if w.rounds { 1 } else { 3 });
    let (row, to) = (y.stride(), SendPtr(y.flat_mut().as_mut_ptr()));
    let starts: Vec<usize> = (0..w.inp).step_by(rows).collect();
    starts.into_par_iter().for_each(|first| {
        let y = SendPtr(to.get().wrapping_add(first * row));
        let rows = first..w.inp.min(first + rows);
        amx::rows_times(amx::Weights::filed(w, true), rows, &packed, Output { y, row, add });
    });
}

/// A task's columns of the weights against all tokens, on the calling thread.
fn columns_times(
    w: &CpuWeight,
    columns: Range<usize>,
    x: &Mat,
    y: SendPtr,
    y_row: usize,
    add: bool,
    scratch: &mut Vec<f32>,
) {
    let tiles = Tiles::of(simd());
    // A line apart from a power of two: rows must not share their cache sets.
    let pitch = columns.len() + LINE;
    scratch.resize(scratch.len().max(DEEP * pitch), 0.0);
    for deep in (0..w.out).step_by(DEEP) {
        let depth = DEEP.min(w.out - deep);
        for k in 0..depth {
            w.widen_row(deep + k, columns.start, &mut scratch[k * pitch..][..columns.len()]);
        }
        for tokens in (0..x.cols()).step_by(TOKENS) {
            let width = TOKENS.min(x.cols() - tokens);
            for (c, vectors) in tiles.column_blocks(width) {
                for r in (0..columns.len()).step_by(tiles.max_rows) {
                    let tile = Tile {
                        k: depth,
                        w: scratch[r..].as_ptr(),
                        w_row: 1,
                        w_k: pitch,
                        x: x.flat()[deep * x.stride() + tokens + c..].as_ptr(),
                        x_k: x.stride(),
                        out: y.get().wrapping_add(r * y_row + tokens + c),
                        out_row: y_row,
                        add: add || deep > 0,
                        prefetch: std::ptr::null(),
                    };
                    // SAFETY: rows of x and y reach to whole vectors; y's rows belong to this task alone; the scratch
                    // holds `depth` rows of the task's columns.
                    unsafe { tiles.run(tiles.max_rows.min(columns.len() - r), vectors, tile) };
                }
            }
        }
    }
}

/// `out[r][c] (+)= sum over tokens of a[r][token] * b[c][token]`: `a [rows, tokens]`, `b [few, tokens]`, `out`
/// row-major `[rows, few]`; the gradient of a low-rank factor. On the current rayon pool.
pub fn outer(a: &Mat, b: &Mat, out: &mut [f32], add: bool) {
    let (rows, few, tokens) = (a.rows(), b.rows(), a.cols());
    assert!(b.cols() == tokens && out.len() == rows * few);
    let width = few.next_multiple_of(LINE);
    // Token-major, so that the few lie side by side.
    let mut turned = vec![0f32; tokens * width + LINE];
    for c in 0..few {
        for (t, v) in b.row(c).iter().enumerate() {
            turned[t * width + c] = *v;
        }
    }
    let tiles = Tiles::of(simd());
    let chunk = tiles.max_rows;
    out.par_chunks_mut(chunk * few).enumerate().for_each(|(i, out)| {
        let (first, there) = (i * chunk, out.len() / few);
        let mut sums = vec![0f32; there * width];
        for (c, vectors) in tiles.column_blocks(few) {
            let tile = Tile {
                k: tokens,
                w: a.flat()[first * a.stride()..].as_ptr(),
                w_row: a.stride(),
                w_k: 1,
                x: turned[c..].as_ptr(),
                x_k: width,
                out: sums[c..].as_mut_ptr(),
                out_row: width,
                add: false,
                prefetch: std::ptr::null(),
            };
            // SAFETY: `there` rows of `tokens` numbers, `turned` and `sums` have rows of whole vectors.
            unsafe { tiles.run(there, vectors, tile) };
        }
        for (o, s) in out.chunks_exact_mut(few).zip(sums.chunks_exact(width)) {
            for (o, s) in o.iter_mut().zip(s) {
                *o = if add { *o + s } else { *s };
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::matmul::with_kernel;
    use super::super::testing::numbers;
    use super::*;
    use crate::model::format::Format;

    #[test]
    fn the_transposed_product_equals_the_plain_sum() {
        for (out, inp, tokens) in
            [(1, 1, 1), (5, 3, 17), (67, 640, 49), (700, 130, 33), (33, 100, 530), (848, 150, 70)]
        {
            let w = CpuWeight::floats(numbers(out * inp, 1), out, inp);
            let xs = numbers(out * tokens, 2);
            let x = Mat::from_tokens(out, tokens, &xs);
            for (same_bits, add) in [(false, false), (false, true), (true, false), (true, true)] {
                let mut y = Mat::zeros(inp, tokens);
                y.flat_mut().fill(0.5);
                with_kernel(0, same_bits, || matmul_transposed(&w, &x, &mut y, add));
                for r in (0..inp).step_by(7) {
                    for t in 0..tokens {
                        let sum: f64 =
                            (0..out).map(|o| f64::from(w.row(o)[r]) * f64::from(xs[t * out + o])).sum();
                        let want = if add { sum + 0.5 } else { sum };
                        let got = f64::from(y.row(r)[t]);
                        assert!((got - want).abs() < 1e-4, "{out} {inp} {tokens}: {r},{t}: {got} {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn half_weights_equal_their_widened_f32() {
        let (out, inp, tokens) = (70, 300, 21);
        let halves: Vec<u8> =
            numbers(out * inp, 4).iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
        let w = CpuWeight::copied(&halves, Format::Bf16, out, inp);
        let wide = CpuWeight::floats(Format::Bf16.widen_all(&halves, out * inp).unwrap(), out, inp);
        let x = Mat::from_tokens(out, tokens, &numbers(out * tokens, 3));
        for same_bits in [false, true] {
            let (mut a, mut b) = (Mat::zeros(inp, tokens), Mat::zeros(inp, tokens));
            with_kernel(0, same_bits, || matmul_transposed(&w, &x, &mut a, false));
            with_kernel(0, same_bits, || matmul_transposed(&wide, &x, &mut b, false));
            for r in 0..inp {
                for (a, b) in a.row(r).iter().zip(b.row(r)) {
                    assert!((a - b).abs() < 1e-5, "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn outer_products_equal_the_plain_sum() {
        for (rows, few, tokens) in [(1, 1, 1), (19, 8, 37), (64, 50, 5)] {
            let (xa, xb) = (numbers(rows * tokens, 7), numbers(few * tokens, 8));
            let (a, b) = (Mat::from_tokens(rows, tokens, &xa), Mat::from_tokens(few, tokens, &xb));
            let mut out = vec![1.0; rows * few];
            outer(&a, &b, &mut out, true);
            for r in 0..rows {
                for c in 0..few {
                    let sum: f32 = (0..tokens).map(|t| xa[t * rows + r] * xb[t * few + c]).sum();
                    assert!((out[r * few + c] - sum - 1.0).abs() < 1e-4);
                }
            }
        }
    }
}
