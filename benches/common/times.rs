//! Sums over several timings.

/// The middle one; NaN of none.
pub fn median(all: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.into_iter().collect();
    all.sort_by(f64::total_cmp);
    let half = all.len() / 2;
    match all.len() {
        0 => f64::NAN,
        n if n % 2 == 0 => (all[half - 1] + all[half]) / 2.0,
        _ => all[half],
    }
}

/// The largest; NaN where any is, 0 of none.
pub fn largest(all: impl IntoIterator<Item = f64>) -> f64 {
    all.into_iter().fold(0.0, |m: f64, x| if x.is_nan() || x > m { x } else { m })
}
