//! The way back through norms, rotary embeddings and gated activations.

use super::elementwise::{Angles, exp};
use super::mat::{LINE, Mat, SendPtr};
use super::norms::PIECE;
use crate::model::config::Activation;
use crate::multiversion;
use rayon::prelude::*;

const STRIP: usize = 2 * LINE;

multiversion! {
    /// One strip of up to `STRIP` tokens; see [`rms_norm_backward`].
    fn norm_strip(x: *const f32, dy: *const f32, row: usize, rows: usize, n: usize, w: &[f32], plus: f32, eps: f32,
                  dx: *mut f32, add: bool) {
        let (mut squares, mut dots) = ([0f64; STRIP], [0f64; STRIP]);
        for first in (0..rows).step_by(PIECE) {
            let (mut square, mut dot) = ([0f32; STRIP], [0f32; STRIP]);
            for (r, w) in w[..rows].iter().enumerate().skip(first).take(PIECE) {
                let factor = w + plus;
                // SAFETY: the caller gives a strip inside all three matrices and exclusive use of `dx`'s strip.
                let (xs, ds) = unsafe {
                    (std::slice::from_raw_parts(x.add(r * row), n), std::slice::from_raw_parts(dy.add(r * row), n))
                };
                for c in 0..n {
                    square[c] += xs[c] * xs[c];
                    dot[c] += xs[c] * ds[c] * factor;
                }
            }
            for c in 0..n {
                squares[c] += f64::from(square[c]);
                dots[c] += f64::from(dot[c]);
            }
        }
        let (mut inverses, mut shares) = ([0f32; STRIP], [0f32; STRIP]);
        for c in 0..n {
            let inverse = 1.0 / (squares[c] / rows as f64 + f64::from(eps)).sqrt();
            inverses[c] = inverse as f32;
            shares[c] = (dots[c] * inverse * inverse * inverse / rows as f64) as f32;
        }
        for (r, w) in w[..rows].iter().enumerate() {
            let factor = w + plus;
            for c in 0..n {
                // SAFETY: as above; where dy and dx are the same memory they are only used number by number.
                unsafe {
                    let at = r * row + c;
                    let d = *dy.add(at) * factor * inverses[c] - *x.add(at) * shares[c];
                    *dx.add(at) = if add { *dx.add(at) + d } else { d };
                }
            }
        }
    }
}

/// Gradient through RMSNorm `y = x s f`, `f = w + plus`, `s = 1 / sqrt(mean(x^2) + eps)`:
/// `dx = s f dy - x s^3 / n * sum(x f dy)`, written to `dx` or added to it. All `[rows, tokens]`, `w [rows]`.
pub fn rms_norm_backward(x: &Mat, dy: &Mat, w: &[f32], plus: f32, eps: f64, dx: &mut Mat, add: bool) {
    assert!(x.rows() == dx.rows() && x.stride() == dx.stride() && w.len() == x.rows());
    assert!(dy.rows() == x.rows() && dy.stride() == x.stride());
    let from = |m: &Mat| SendPtr(m.flat().as_ptr().cast_mut());
    let to = SendPtr(dx.flat_mut().as_mut_ptr());
    groups(from(x), from(dy), to, (x.stride(), x.rows(), 1, x.cols()), w, plus, eps, add);
}

/// The same for each head by itself, `dy` becoming the gradient in place: `x`, `dy [heads * dim, tokens]`, `w [dim]`.
pub fn head_norm_backward(x: &Mat, dy: &mut Mat, dim: usize, w: &[f32], plus: f32, eps: f64) {
    assert!(x.rows().is_multiple_of(dim) && w.len() == dim);
    assert!(dy.rows() == x.rows() && dy.stride() == x.stride());
    let from = SendPtr(x.flat().as_ptr().cast_mut());
    let to = SendPtr(dy.flat_mut().as_mut_ptr());
    groups(from, to, to, (x.stride(), dim, x.rows() / dim, x.cols()), w, plus, eps, false);
}

fn groups(
    x: SendPtr,
    dy: SendPtr,
    dx: SendPtr,
    (stride, rows, groups, cols): (usize, usize, usize, usize),
    w: &[f32],
    plus: f32,
    eps: f64,
    add: bool,
) {
    let strips = cols.div_ceil(STRIP);
    (0..groups * strips).into_par_iter().for_each(|i| {
        let (group, from) = (i / strips, (i % strips) * STRIP);
        let at = group * rows * stride + from;
        let n = STRIP.min(cols - from);
        let [x, dy, dx] = [x, dy, dx].map(|p| p.get().wrapping_add(at));
        // Strips are disjoint columns of disjoint groups of rows.
        norm_strip(x.cast_const(), dy.cast_const(), stride, rows, n, w, plus, eps as f32, dx, add);
    });
}

multiversion! {
    /// The rotation the other way round, times `scale`.
    fn rotate_back(a: &mut [f32], b: &mut [f32], cos: &[f32], sin: &[f32], scale: f32) {
        for i in 0..a.len() {
            let (x, y) = (a[i], b[i]);
            a[i] = (x * cos[i] + y * sin[i]) * scale;
            b[i] = (y * cos[i] - x * sin[i]) * scale;
        }
    }
}

/// Gradient through [`super::elementwise::rope`], in place.
pub fn rope_backward(dx: &mut Mat, dim: usize, angles: &Angles, scale: f32) {
    let (half, stride, cols) = (dim / 2, dx.stride(), dx.cols());
    assert!(dx.rows().is_multiple_of(dim) && angles.cos.rows() == half && angles.cos.cols() == cols);
    dx.flat_mut().par_chunks_mut(dim * stride).filter(|head| head.len() == dim * stride).for_each(|head| {
        let (first, second) = head.split_at_mut(half * stride);
        for i in 0..half {
            let (a, b) = (&mut first[i * stride..][..cols], &mut second[i * stride..][..cols]);
            rotate_back(a, b, angles.cos.row(i), angles.sin.row(i), scale);
        }
    });
}

/// An activation and its slope.
#[inline(always)]
fn slope(kind: Activation, x: f32) -> (f32, f32) {
    match kind {
        // x s, s + x s (1 - s)
        Activation::Silu => {
            let s = 1.0 / (1.0 + exp(-x));
            (x * s, s + x * s * (1.0 - s))
        }
        // x s(2 u) with u = sqrt(2/pi) (x + 0.044715 x^3): as in the forward kernel
        Activation::GeluTanh => {
            let s = 1.0 / (1.0 + exp(-1.595_769 * (x + 0.044_715 * x * x * x)));
            (x * s, s + x * s * (1.0 - s) * 1.595_769 * (1.0 + 3.0 * 0.044_715 * x * x))
        }
    }
}

multiversion! {
    fn gated_slice(kind: Activation, gate: &mut [f32], up: &mut [f32], d: &mut [f32]) {
        for ((g, u), d) in gate.iter_mut().zip(up).zip(d) {
            let (a, slope) = match kind {
                Activation::Silu => slope(Activation::Silu, *g),
                Activation::GeluTanh => slope(Activation::GeluTanh, *g),
            };
            let (dy, before) = (*d, *u);
            *d = a * before;
            *u = dy * a;
            *g = dy * before * slope;
        }
    }
}

/// Gradient through `y = act(gate) up`, all in place and all `[intermediate, tokens]`: `gate` and `up` become their
/// gradients, and `d`, the gradient of `y`, becomes `y` itself (which an adapter on the next layer needs).
pub fn gated_backward(kind: Activation, gate: &mut Mat, up: &mut Mat, d: &mut Mat) {
    assert!(gate.rows() == up.rows() && gate.stride() == up.stride());
    assert!(gate.rows() == d.rows() && gate.stride() == d.stride());
    let piece = (gate.flat().len() / (rayon::current_num_threads() * 4)).next_multiple_of(LINE).max(4096);
    gate.flat_mut()
        .par_chunks_mut(piece)
        .zip(up.flat_mut().par_chunks_mut(piece))
        .zip(d.flat_mut().par_chunks_mut(piece))
        .for_each(|((g, u), d)| gated_slice(kind, g, u, d));
}

#[cfg(test)]
mod tests {
    use super::super::elementwise::{gated, rope};
    use super::super::norms::{NormOut, head_norm, rms_norm};
    use super::super::testing::matrix as numbers;
    use super::*;

    /// Sum of `weight * f(x)`.
    fn total(y: &Mat, weight: &Mat) -> f64 {
        (0..y.rows())
            .flat_map(|r| y.row(r).iter().zip(weight.row(r)).map(|(a, b)| f64::from(*a) * f64::from(*b)))
            .sum()
    }

    /// Compares `got` with the numeric slopes of `f` at `x`, in f32 with a wide step.
    fn check(x: &Mat, weight: &Mat, got: &Mat, f: &dyn Fn(&Mat) -> Mat) {
        let h = 2e-3f32;
        for r in (0..x.rows()).step_by(3) {
            for c in (0..x.cols()).step_by(5) {
                let (mut plus, mut minus) = (x.clone(), x.clone());
                plus.row_mut(r)[c] += h;
                minus.row_mut(r)[c] -= h;
                let want = (total(&f(&plus), weight) - total(&f(&minus), weight)) / f64::from(2.0 * h);
                let got = f64::from(got.row(r)[c]);
                assert!((want - got).abs() < 2e-3 * (1.0 + want.abs()), "{r},{c}: {got} for {want}");
            }
        }
    }

    #[test]
    fn norms_have_their_numeric_slopes() {
        let (x, dy) = (numbers(24, 37, 1), numbers(24, 37, 2));
        let w: Vec<f32> = (0..24).map(|i| i as f32 * 0.05 - 0.3).collect();
        let mut dx = Mat::zeros(24, 37);
        rms_norm_backward(&x, &dy, &w, 1.0, 1e-6, &mut dx, false);
        check(&x, &dy, &dx, &|x| {
            let mut y = Mat::zeros(24, 37);
            rms_norm(x, &w, 1.0, 1e-6, NormOut::Write(&mut y));
            y
        });
        let mut twice = dx.clone();
        rms_norm_backward(&x, &dy, &w, 1.0, 1e-6, &mut twice, true);
        assert!((twice.row(3)[4] - 2.0 * dx.row(3)[4]).abs() < 1e-6);
        let mut heads = dy.clone();
        head_norm_backward(&x, &mut heads, 8, &w[..8], 0.0, 1e-6);
        check(&x, &dy, &heads, &|x| {
            let mut y = x.clone();
            head_norm(&mut y, 8, &w[..8], 0.0, 1e-6);
            y
        });
    }

    #[test]
    fn rotations_and_activations_have_their_numeric_slopes() {
        let (x, dy) = (numbers(16, 21, 3), numbers(16, 21, 4));
        let positions: Vec<usize> = (0..21).collect();
        let angles = Angles::new(&[1.0, 0.5, 0.1, 0.01], &positions);
        let mut dx = dy.clone();
        rope_backward(&mut dx, 8, &angles, 0.7);
        check(&x, &dy, &dx, &|x| {
            let mut y = x.clone();
            rope(&mut y, 8, &angles, 0.7);
            y
        });
        for kind in [Activation::Silu, Activation::GeluTanh] {
            let (gate, up) = (numbers(16, 21, 5), numbers(16, 21, 6));
            let (mut dg, mut du, mut y) = (gate.clone(), up.clone(), dy.clone());
            gated_backward(kind, &mut dg, &mut du, &mut y);
            let forward = |g: &Mat, u: &Mat| {
                let mut y = g.clone();
                gated(kind, &mut y, u);
                y
            };
            check(&gate, &dy, &dg, &|g| forward(g, &up));
            check(&up, &dy, &du, &|u| forward(&gate, u));
            assert!((forward(&gate, &up).row(2)[3] - y.row(2)[3]).abs() < 1e-6);
        }
    }
}
