use super::*;
use crate::geometry::testing::{fixture, pair};
use ndarray::{Array2, array};

#[test]
fn agree_with_numpy_and_scikit_learn() {
    for case in fixture()["pairs"].as_array().unwrap() {
        let (x, y) = pair(case);
        let close = |value: Option<f64>, key: &str| {
            let want = case[key].as_f64().unwrap();
            assert!((value.unwrap() - want).abs() < 1e-10, "{key}: {value:?} is not {want}");
        };
        close(linear_cka(x.view(), y.view()), "cka");
        close(cosine_gap(x.view(), y.view()), "cosine_gap");
        close(mexa(x.view(), y.view()), "mexa");
        close(pearson(&x.column(0).to_vec(), &y.column(0).to_vec()), "pearson");
    }
}

#[test]
fn cka_does_not_see_rotation_scale_or_shift_and_is_one_for_a_copy() {
    let case = &fixture()["pairs"][1];
    let (x, y) = pair(case);
    let value = linear_cka(x.view(), y.view()).unwrap();
    let mut turned = y.clone();
    turned.invert_axis(Axis(1)); // a permutation of dimensions is a rotation
    let (s, c) = 0.4f64.sin_cos();
    for mut row in turned.rows_mut() {
        (row[0], row[1]) = (c * row[0] - s * row[1], s * row[0] + c * row[1]);
    }
    let moved = &turned * 3.0 - 7.0;
    assert!((linear_cka(x.view(), moved.view()).unwrap() - value).abs() < 1e-10);
    assert!((linear_cka(x.view(), x.view()).unwrap() - 1.0).abs() < 1e-12);
    assert!(value > 0.0 && value < 1.0);
}

#[test]
fn both_ways_of_computing_cka_agree() {
    let (x, y) = pair(&fixture()["pairs"][1]);
    // 10 items of 40 dimensions go through [n, n]; ten copies of each item, 100 of 40, through [d, d]: the same value
    let many = |m: &Array2<f64>| ndarray::concatenate(Axis(0), &vec![m.view(); 10]).unwrap();
    let (a, b) =
        (linear_cka(x.view(), y.view()).unwrap(), linear_cka(many(&x).view(), many(&y).view()).unwrap());
    assert!((a - b).abs() < 1e-12);
}

#[test]
fn mexa_counts_strict_mutual_neighbours() {
    let x = array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
    assert_eq!(mexa(x.view(), x.view()), Some(1.0));
    let swapped = array![[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    assert_eq!(mexa(x.view(), swapped.view()), Some(1.0 / 3.0));
    let ties = array![[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]];
    assert_eq!(
        mexa(ties.view(), ties.view()),
        Some(1.0 / 3.0),
        "items that cannot be told apart do not count"
    );
}

#[test]
fn what_is_undefined_is_none() {
    let one = array![[1.0, 2.0]];
    assert_eq!((linear_cka(one.view(), one.view()), mexa(one.view(), one.view())), (None, None));
    assert_eq!(cosine_gap(one.view(), one.view()), None);
    let flat = Array2::from_elem((4, 3), 2.0);
    assert_eq!(linear_cka(flat.view(), flat.view()), None);
    assert_eq!(cosine_gap(flat.view(), flat.view()), Some(0.0));
    assert_eq!(mexa(flat.view(), flat.view()), Some(0.0));
    assert_eq!((pearson(&[1.0], &[2.0]), pearson(&[1.0, 1.0], &[2.0, 3.0])), (None, None));
    assert_eq!((pearson(&[1.0, 2.0], &[2.0]), pearson(&[0.1; 9], &[0.3; 9])), (None, None));
    assert!((pearson(&[1.0, 2.0, 3.0], &[-1.0, -2.0, -3.0]).unwrap() + 1.0).abs() < 1e-14);
    assert_eq!(pearson(&[f64::NAN, 2.0], &[1.0, 2.0]), None);
}
