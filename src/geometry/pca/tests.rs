use super::*;
use crate::geometry::testing::{fixture, numbers, states};
use ndarray::{Array, array};

fn close(a: f64, b: f64, what: &str) {
    assert!((a - b).abs() < 1e-9, "{what}: {a} is not {b}");
}

#[test]
fn agrees_with_scikit_learn_in_both_shapes_small_and_through_linfa() {
    for case in fixture()["pca"].as_array().unwrap() {
        let get = |key: &str| case[key].as_u64().unwrap() as usize;
        let (n, d, k) = (get("n"), get("d"), get("k"));
        let rows = states(case["seed"].as_u64().unwrap(), n, d);
        let fit = Fit::new(rows.view(), k).unwrap();
        let points = fit.project(rows.view());
        for (i, want) in numbers(&case["explained_variance_ratio"]).into_iter().enumerate() {
            close(fit.explained_variance_ratio[i], want, "explained variance");
            close(fit.explained(rows.view())[i], want, "explained variance of the same rows");
        }
        for (i, want) in case["components"].as_array().unwrap().iter().enumerate() {
            numbers(want).iter().enumerate().for_each(|(j, &w)| close(fit.components[[i, j]], w, "loading"));
        }
        for (i, want) in case["points"].as_array().unwrap().iter().enumerate() {
            numbers(want).iter().enumerate().for_each(|(j, &w)| close(points[[i, j]], w, "point"));
        }
        numbers(&case["mean"]).iter().enumerate().for_each(|(j, &w)| close(fit.mean[j], w, "mean"));
    }
}

#[test]
fn states_of_a_model_s_scale_converge() {
    // performance.md: raw activations keep linfa's iteration from converging
    let rows = states(7, 200, 96) * 4e4 + 1e5;
    let fit = Fit::new(rows.view(), 2).unwrap();
    let same = Fit::new(states(7, 200, 96).view(), 2).unwrap();
    assert!((&fit.components - &same.components).iter().all(|e| e.abs() < 1e-7));
}

#[test]
fn the_largest_loading_is_positive_and_directions_are_orthonormal() {
    let rows = states(5, 90, 70);
    for data in [rows.clone(), -rows] {
        let fit = Fit::new(data.view(), 2).unwrap();
        for row in fit.components.rows() {
            let largest = row.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
            assert!(largest > 0.0);
        }
        let gram = fit.components.dot(&fit.components.t());
        assert!((gram - Array2::<f64>::eye(2)).iter().all(|e| e.abs() < 1e-9));
    }
}

#[test]
fn turning_the_data_does_not_change_variances_or_distances() {
    let rows = states(6, 80, 60);
    let turned = rows.dot(&rotation(60));
    let (a, b) = (Fit::new(rows.view(), 2).unwrap(), Fit::new(turned.view(), 2).unwrap());
    let (p, q) = (a.project(rows.view()), b.project(turned.view()));
    for i in 0..2 {
        close(a.explained_variance_ratio[i], b.explained_variance_ratio[i], "ratio");
        let sign = (p[[0, i]] * q[[0, i]]).signum();
        assert!(p.column(i).iter().zip(q.column(i)).all(|(x, y)| (x - sign * y).abs() < 1e-8));
    }
}

/// An orthogonal matrix: a product of plane rotations.
fn rotation(d: usize) -> Array2<f64> {
    let mut out = Array2::eye(d);
    for i in 0..d - 1 {
        let (s, c) = (i as f64 + 0.7).sin_cos();
        for k in 0..d {
            let (x, y) = (out[[k, i]], out[[k, i + 1]]);
            (out[[k, i]], out[[k, i + 1]]) = (c * x - s * y, s * x + c * y);
        }
    }
    out
}

#[test]
fn degenerate_data_give_zeros_or_a_sentence_never_nan() {
    for (n, d) in [(2, 1), (2, 3), (3, 3), (60, 70), (200, 64), (64, 200)] {
        let constant = Fit::new(Array::from_elem((n, d), 3.7).view(), 2).unwrap();
        assert!(constant.components.iter().all(|&v| v == 0.0), "{n}x{d}");
        assert_eq!(constant.explained_variance_ratio, [0.0, 0.0]);
        let line = Array2::from_shape_fn((n, d), |(i, j)| 2.0 + i as f64 * (1.0 + j as f64));
        let fit = Fit::new(line.view(), 2).unwrap();
        close(fit.explained_variance_ratio[0], 1.0, "a line is one direction");
        assert!(fit.explained_variance_ratio[1].abs() < 1e-9 && fit.components.iter().all(|v| v.is_finite()));
        assert!(fit.project(line.view()).column(1).iter().all(|v| v.abs() < 1e-4 * (n * d) as f64));
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let error = Fit::new(array![[1.0, 2.0], [bad, 1.0]].view(), 1).unwrap_err();
        assert!(error.to_string().contains("item 1"), "{error}");
    }
    for empty in [(0, 5), (1, 5), (5, 0)] {
        assert!(Fit::new(Array2::zeros(empty).view(), 2).is_err(), "{empty:?}");
    }
}

#[test]
fn equal_eigenvalues_still_give_an_orthonormal_pair() {
    let rows =
        Array2::from_shape_fn(
            (128, 64),
            |(i, j)| if i % 64 == j { if i < 64 { 1.0 } else { -1.0 } } else { 0.0 },
        );
    let fit = Fit::new(rows.view(), 2).unwrap();
    assert!(fit.components.iter().all(|v| v.is_finite()));
    close(fit.components.row(0).dot(&fit.components.row(1)), 0.0, "orthogonal");
    close(fit.explained_variance_ratio[0], 1.0 / 64.0, "share");
}

#[test]
fn the_leading_direction_is_the_one_dimensional_fit() {
    let rows = states(8, 90, 60);
    let (one, two) = (Fit::new(rows.view(), 1).unwrap(), Fit::new(rows.view(), 2).unwrap().leading());
    assert!((&one.components - &two.components).iter().all(|e| e.abs() < 1e-7));
    close(one.explained_variance_ratio[0], two.explained_variance_ratio[0], "ratio");
}
