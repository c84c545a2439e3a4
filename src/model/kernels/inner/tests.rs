//! Both ways of multiplying, on processors that have the instructions.

use super::super::testing::{matrix, numbers};
use super::block::transposed;
use super::*;

/// Both ways of multiplying, where the processor has the instructions, and whether the bits must be the same for any number
/// of tokens: then vectors lie across these, where those of so few lie along the depth otherwise.
fn all() -> Vec<(&'static Kernels, bool)> {
    if simd() != Simd::Avx512 {
        println!("skipped: no AVX-512 here");
        return Vec::new();
    }
    vec![(&TRADING, false), (&TRADING, true), (&PLAIN, false)]
}

fn times(
    (kernels, same_bits): (&'static Kernels, bool),
    w: &CpuWeight,
    x: &Mat,
    (from, cols): (usize, usize),
    y: &mut Mat,
    add: bool,
) {
    let inner = Inner::new(kernels, x, (from, cols), w.size(), same_bits);
    let out = Output { y: SendPtr(y.flat_mut().as_mut_ptr()), row: y.stride(), add };
    // SAFETY: y is ours and large enough.
    unsafe { inner.rows_times(w, 0..w.out, out) }
}

#[test]
fn products_are_at_least_as_exact_as_one_long_sum() {
    for (out, depth, n) in [
        (1, 16, 1),
        (5, 48, 3),
        (67, 640, 19),
        (70, 768, 34),
        (130, 1296, 33),
        (6, 2048, 50),
        (23, 640, 70),
        (9, 656, 84),
    ] {
        let w =
            CpuWeight::floats(numbers(out * depth, 1).into_iter().map(|v| v * 0.03).collect(), out, depth);
        let mut x = matrix(depth, n + LINE, 2);
        // Tokens of very different sizes, with a few inputs that stand out.
        for c in 0..n + LINE {
            let token: Vec<f32> = x.column(c);
            let scale = 10f32.powi(c as i32 % 9 - 4);
            let loud = |(i, v): (usize, &f32)| v * scale * if i % 97 == 3 { 40.0 } else { 1.0 };
            x.set_column(c, &token.iter().enumerate().map(loud).collect::<Vec<f32>>());
        }
        let (mut usual, mut size) = (0f64, 0f64);
        let exact: Vec<Vec<f64>> = (0..out)
            .map(|r| {
                let row = w.row(r);
                let one = |c: usize| {
                    let token = x.column(LINE + c);
                    let products = || row.iter().zip(&token).map(|(a, b)| f64::from(*a) * f64::from(*b));
                    let (sum, terms) = (products().sum::<f64>(), products().map(|p| p * p).sum::<f64>());
                    let long = row.iter().zip(&token).fold(0f32, |s, (a, b)| a.mul_add(*b, s));
                    usual += (f64::from(long) - sum).powi(2) / terms;
                    size += 1.0;
                    sum / terms.sqrt()
                };
                (0..n).map(one).collect()
            })
            .collect();
        for way in all() {
            for add in [false, true] {
                let mut y = Mat::zeros(out, n);
                if add {
                    y.flat_mut().fill(0.5);
                }
                times(way, &w, &x, (LINE, n), &mut y, add);
                let mut error = 0f64;
                for (r, exact) in exact.iter().enumerate() {
                    let row = w.row(r);
                    for (c, want) in exact.iter().enumerate() {
                        let token = x.column(LINE + c);
                        let terms: f64 = row
                            .iter()
                            .zip(&token)
                            .map(|(a, b)| (f64::from(*a) * f64::from(*b)).powi(2))
                            .sum();
                        let before = if add { 0.5 } else { 0.0 };
                        let off = f64::from(y.row(r)[c]) - before - want * terms.sqrt();
                        // Adding to 0.5 rounds to its last bit.
                        let slack = if add { 1e-7 } else { 0.0 };
                        error += ((off.abs() - slack).max(0.0) / terms.sqrt()).powi(2);
                    }
                }
                let (ours, usual) = ((error / size).sqrt(), (usual / size).sqrt());
                let (trades, across) = (way.0.trades, way.0.across(n, way.1));
                println!(
                    "{out} x {depth} x {n}, trades {trades}, across {across}: {ours:.1e}, one sum {usual:.1e}"
                );
                assert!(ours <= usual + 2e-7, "{out} {depth} {n} {add}: {ours:e} against {usual:e}");
            }
        }
    }
}

#[test]
fn a_tokens_bits_do_not_depend_on_its_neighbours_nor_on_the_rows_taken_together() {
    let (out, depth, n) = (75, 1296, 35);
    let w = CpuWeight::floats(numbers(out * depth, 3), out, depth);
    let x = matrix(depth, n, 4);
    for way in all() {
        let mut together = Mat::zeros(out, n);
        times(way, &w, &x, (0, n), &mut together, false);
        for c in [0, 3, 17, 34] {
            let mut alone = Mat::zeros(out, 1);
            times(way, &w, &Mat::from_tokens(depth, 1, &x.column(c)), (0, 1), &mut alone, false);
            assert_eq!(alone.column(0), together.column(c));
        }
        let inner = Inner::new(way.0, &x, (0, n), w.size(), way.1);
        let mut y = Mat::zeros(7, n);
        let to = Output { y: SendPtr(y.flat_mut().as_mut_ptr()), row: y.stride(), add: false };
        // SAFETY: y is ours and has seven rows.
        unsafe {
            inner.rows_times(&w, 33..40, to);
        }
        (0..7).for_each(|r| assert_eq!(y.row(r), together.row(33 + r)));
    }
}

/// Through the weights' own format, and through rows that are floats already.
#[test]
fn columns_of_weights_are_rows_of_the_transposed_product() {
    let Some(kernels) = Kernels::chosen().filter(|k| k.trades()) else {
        return println!("skipped: products are not traded here");
    };
    let (depth, inp) = (832, 300);
    let w = CpuWeight::floats(numbers(depth * inp, 7), depth, inp);
    let rows: Vec<f32> = (0..depth).flat_map(|r| w.row(r)).collect();
    for n in [37, 64, 90] {
        let x = matrix(depth, n, 8);
        let exact = |c: usize, t: usize| -> f64 {
            (0..depth).map(|k| f64::from(rows[k * inp + c]) * f64::from(x.row(k)[t])).sum()
        };
        let inner = Inner::new(kernels, &x, (0, n), w.size(), true);
        let flat = &x.flat()[..depth * x.stride()];
        let loose = Inner::of_floats(flat, x.stride(), n, w.size());
        // More columns than a panel's rows, whole tiles of them and not.
        for columns in [0..64, 5..208, 290..300] {
            let mut y = Mat::zeros(columns.len(), n);
            y.flat_mut().fill(0.5);
            let out = Output { y: SendPtr(y.flat_mut().as_mut_ptr()), row: y.stride(), add: true };
            // SAFETY: y is ours and has a row for each column.
            unsafe { inner.columns_times(&w, columns.clone(), out) }
            for (r, c) in columns.enumerate() {
                for (t, y) in y.row(r).iter().enumerate() {
                    assert!((f64::from(*y) - 0.5 - exact(c, t)).abs() < 2e-4, "{n} tokens: {c}, {t}: {y}");
                }
            }
        }
        let loose = loose.expect("so many tokens fill their vectors");
        let mut y = Mat::zeros(inp, n);
        let out = Output { y: SendPtr(y.flat_mut().as_mut_ptr()), row: y.stride(), add: false };
        // SAFETY: as above.
        unsafe { loose.float_columns_times(&rows, inp, out) }
        for c in 0..inp {
            for (t, y) in y.row(c).iter().enumerate() {
                assert!((f64::from(*y) - exact(c, t)).abs() < 2e-4, "{n} tokens: {c}, {t}: {y}");
            }
        }
    }
}

#[test]
fn tokens_of_zeros_and_of_no_numbers_stay_what_they_are() {
    let (out, depth) = (8, 128);
    let w = CpuWeight::floats(numbers(out * depth, 5), out, depth);
    let mut x = matrix(depth, 5, 6);
    x.set_column(1, &vec![0.0; depth]);
    let mut token = x.column(2);
    token[70] = f32::NAN;
    x.set_column(2, &token);
    x.set_column(3, &x.column(0).iter().map(|v| v * 1e-30).collect::<Vec<f32>>());
    x.set_column(4, &x.column(0).iter().map(|v| v * 1e30).collect::<Vec<f32>>());
    for way in all() {
        let mut y = Mat::zeros(out, 5);
        times(way, &w, &x, (0, 5), &mut y, false);
        for r in 0..out {
            let y = y.row(r);
            assert!(y[1].abs() < 1e-5 && y[2].is_nan());
            for (c, scale) in [(3, 1e-30), (4, 1e30)] {
                assert!(
                    (f64::from(y[c]) / scale - f64::from(y[0])).abs() < 1e-5 * (1.0 + f64::from(y[0].abs()))
                );
            }
        }
    }
}

#[test]
fn rows_become_columns() {
    if simd() != Simd::Avx512 {
        return println!("skipped: no AVX-512 here");
    }
    let x: Vec<f32> = (0..256u16).map(f32::from).collect();
    // SAFETY: the instructions are there, and every vector lies in the numbers.
    let got: Vec<[f32; LINE]> = unsafe {
        let rows = std::array::from_fn(|r| _mm512_loadu_ps(x[r * LINE..].as_ptr()));
        transposed(rows).map(|v| std::mem::transmute::<__m512, [f32; LINE]>(v)).to_vec()
    };
    for (c, column) in got.iter().enumerate() {
        assert!(column.iter().enumerate().all(|(r, v)| *v == x[r * LINE + c]), "{c}: {column:?}");
    }
}
