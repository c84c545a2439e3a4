use super::*;
use crate::geometry::measures;
use crate::geometry::testing::{fixture, pair, states};

fn both(x: &Array2<f64>, y: &Array2<f64>, seed: u64) -> PairMeasures {
    let mut out = Vec::new();
    compare(&[x.clone(), y.clone()], &Draws::new(x.nrows(), seed), |i, j, m| out.push((i, j, m)));
    assert_eq!((out.len(), out[0].0, out[0].1), (1, 0, 1));
    out[0].2
}

#[test]
fn values_are_those_of_the_plain_definitions() {
    for case in fixture()["pairs"].as_array().unwrap() {
        let (x, y) = pair(case);
        let m = both(&x, &y, 1);
        let close = |got: Measure, want: Option<f64>| {
            assert!((got.value - want.unwrap()).abs() < 1e-10, "{got:?} is not {want:?}");
            assert!(got.low <= got.high && [got.low, got.high, got.shuffled].iter().all(|v| v.is_finite()));
        };
        close(m.cka.unwrap(), measures::linear_cka(x.view(), y.view()));
        close(m.cosine_gap.unwrap(), measures::cosine_gap(x.view(), y.view()));
        close(m.mexa.unwrap(), measures::mexa(x.view(), y.view()));
    }
}

#[test]
fn a_large_common_mean_costs_no_precision() {
    let (x, y) = pair(&fixture()["pairs"][1]);
    let (far_x, far_y) = (&x + 1000.0, &y + 1000.0);
    let m = both(&far_x, &far_y, 1);
    let close =
        |got: Option<Measure>, want: Option<f64>| assert!((got.unwrap().value - want.unwrap()).abs() < 1e-9);
    close(m.cka, measures::linear_cka(x.view(), y.view()));
    close(m.cosine_gap, measures::cosine_gap(x.view(), y.view()));
    close(m.mexa, measures::mexa(far_x.view(), far_y.view()));
}

#[test]
fn intervals_hold_the_value_and_aligned_states_beat_their_control() {
    let x = states(31, 32, 64);
    let y = &x + &(states(32, 32, 64) * 0.5);
    let m = both(&x, &y, 5);
    for m in [m.cka.unwrap(), m.cosine_gap.unwrap(), m.mexa.unwrap()] {
        assert!(m.low <= m.value && m.value <= m.high, "{m:?}");
        assert!(m.shuffled < m.low - 0.2, "{m:?}");
        assert!(m.high - m.low < 0.3, "{m:?}");
    }
    let unrelated = both(&x, &states(99, 32, 64), 5);
    let (gap, cka) = (unrelated.cosine_gap.unwrap(), unrelated.cka.unwrap());
    assert!(gap.low < 0.0 && gap.high > 0.0, "{gap:?}");
    assert!((gap.shuffled).abs() < 0.05 && (cka.value - cka.shuffled).abs() < 0.1, "{gap:?} {cka:?}");
}

#[test]
fn intervals_are_about_as_wide_as_the_spread_of_fresh_samples() {
    // 60 fresh samples of 40 pairs: the middle 95 % of their values against the mean bootstrap interval
    let sample = |seed: u64| {
        let x = states(1000 + seed, 40, 12);
        let y = &x * 0.8 + &states(5000 + seed, 40, 12);
        both(&x, &y, seed)
    };
    let all: Vec<PairMeasures> = (0..60).map(sample).collect();
    for get in [|m: &PairMeasures| m.cka.unwrap(), |m: &PairMeasures| m.cosine_gap.unwrap()] {
        let mut values: Vec<f64> = all.iter().map(|m| get(m).value).collect();
        values.sort_by(f64::total_cmp);
        let spread = percentile(&values, 0.975).unwrap() - percentile(&values, 0.025).unwrap();
        let width = all.iter().map(|m| get(m).high - get(m).low).sum::<f64>() / 60.0;
        assert!((0.6..1.7).contains(&(width / spread)), "interval {width}, spread {spread}");
    }
}

#[test]
fn the_seed_decides_everything() {
    let (x, y) = pair(&fixture()["pairs"][1]);
    assert_eq!(both(&x, &y, 3), both(&x, &y, 3));
    assert_ne!(both(&x, &y, 3).cka, both(&x, &y, 4).cka);
}

#[test]
fn degenerate_pairs_are_absent_or_zero_never_nan() {
    let one = Array2::from_elem((1, 4), 1.0);
    assert_eq!(both(&one, &one, 0), PairMeasures::default());
    let flat = Array2::from_elem((5, 4), 0.1);
    let m = both(&flat, &states(1, 5, 4), 0);
    assert_eq!(m.cka, None);
    assert_eq!(m.cosine_gap.unwrap().value, 0.0);
    assert_eq!(m.mexa.unwrap().value, 0.0);
    let zero = both(&Array2::zeros((5, 4)), &Array2::zeros((5, 4)), 0);
    assert!(zero.cka.is_none() && zero.mexa.unwrap().value == 0.0);
    let two = both(&states(1, 2, 4), &states(2, 2, 4), 0);
    assert!(two.cka.unwrap().high.is_finite() && two.mexa.unwrap().high <= 1.0);
}

#[test]
fn a_pair_s_measures_do_not_depend_on_the_languages_beside_it() {
    let langs: Vec<Array2<f64>> = (0..10).map(|i| states(40 + i, 9, 6) * (1.0 + i as f64)).collect();
    let mut seen = Vec::new();
    compare(&langs, &Draws::new(9, 2), |i, j, m| seen.push((i, j, m)));
    let pairs: Vec<_> = (0..10).flat_map(|i| (i + 1..10).map(move |j| (i, j))).collect();
    assert_eq!(seen.iter().map(|s| (s.0, s.1)).collect::<Vec<_>>(), pairs);
    for (i, j, m) in seen {
        let alone = both(&langs[i], &langs[j], 2);
        for (a, b) in [(m.cka, alone.cka), (m.cosine_gap, alone.cosine_gap), (m.mexa, alone.mexa)] {
            let (a, b) = (a.unwrap(), b.unwrap());
            assert!(
                (a.value - b.value).abs() + (a.low - b.low).abs() + (a.shuffled - b.shuffled).abs() < 1e-9
            );
        }
    }
}
