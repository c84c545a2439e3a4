//! Axis ticks at round numbers, and their labels.

/// Ticks of one axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ticks {
    /// Positions in data units, ascending, all inside the asked range.
    pub at: Vec<f64>,
    /// One label a position.
    pub labels: Vec<String>,
}

/// Round ticks (1, 2 or 5 times a power of ten apart) inside `low..=high`, at most `most` of them.
/// Empty where the range is empty or not finite.
pub fn linear(low: f64, high: f64, most: usize) -> Ticks {
    let span = high - low;
    if most == 0 || !span.is_finite() || span <= 0.0 {
        return Ticks::default();
    }
    let mut step = round_step(span / most as f64);
    let ticks = |step: f64| {
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        (first, last - first + 1.0)
    };
    let (mut first, mut n) = ticks(step);
    while n > most as f64 {
        step = round_step(step * 1.5);
        (first, n) = ticks(step);
    }
    if n < 1.0 || step <= 0.0 || first.abs() > 1e15 {
        return Ticks::default();
    }
    let at: Vec<f64> = (0..n as usize).map(|i| (first + i as f64) * step).collect();
    let labels = at.iter().map(|v| label(*v, step)).collect();
    Ticks { at, labels }
}

/// Ticks at powers of ten inside `low..=high` (both positive), thinned to `most`; falls back to 2 and 5
/// times powers of ten where fewer than two powers are inside.
pub fn logarithmic(low: f64, high: f64, most: usize) -> Ticks {
    if most == 0 || !(low > 0.0 && high > low && high.is_finite()) {
        return Ticks::default();
    }
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let inside = |v: &f64| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(v);
    let mut at: Vec<f64> = (first..=last).map(|e| 10f64.powi(e)).filter(inside).collect();
    if at.len() < 2 {
        let steps = (first..=last).flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(e)));
        at = steps.filter(inside).collect();
    }
    let every = at.len().div_ceil(most).max(1);
    let at: Vec<f64> = at.into_iter().step_by(every).collect();
    let labels = at.iter().map(|v| label(*v, *v)).collect();
    Ticks { at, labels }
}

/// The smallest of 1, 2, 5 x 10^n that is at least `x`.
fn round_step(x: f64) -> f64 {
    let power = 10f64.powf(x.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= x * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// `value` with as many decimals as ticks `step` apart need.
fn label(value: f64, step: f64) -> String {
    let largest = value.abs().max(step.abs());
    if !(1e-4..1e6).contains(&largest) {
        let digits = (largest.log10().floor() - step.abs().log10().floor()).clamp(0.0, 6.0) as usize;
        return if value == 0.0 { "0".into() } else { format!("{value:.digits$e}") };
    }
    let decimals = (-step.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.trim_start_matches(['-', '0', '.']).is_empty() { "0".into() } else { text }
}

/// Smallest and largest finite value, `None` without any.
pub fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|v| v.is_finite()).fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

/// `range` widened by `share` of itself on both sides; a single value (but for rounding) gets room around it.
pub fn widen((low, high): (f64, f64), share: f64) -> (f64, f64) {
    let span = high - low;
    let rounding = 1e-9 * low.abs().max(high.abs());
    if span > rounding && span.is_finite() {
        return (low - span * share, high + span * share);
    }
    let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
    (low - room, high + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_inside_and_few() {
        assert_eq!(linear(0.0, 1.0, 5).labels, ["0", "0.5", "1.0"]);
        assert_eq!(linear(0.0, 1.0, 6).labels, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(linear(-1.3, 1.2, 4).labels, ["-1", "0", "1"]);
        assert_eq!(linear(0.0, 12_345.0, 4).labels, ["0", "5000", "10000"]);
        assert_eq!(linear(2.0, 2.001, 3).labels.len(), 3);
        assert_eq!(linear(4.6e-5, 5.4e-5, 5).labels, ["4.6e-5", "4.8e-5", "5.0e-5", "5.2e-5", "5.4e-5"]);
        assert_eq!(linear(0.0, 6e-5, 4).labels, ["0", "2e-5", "4e-5", "6e-5"]);
        for (low, high) in [(0.0, 1e-8), (-1e12, 1e12), (3.0, 3.0000001), (1e-300, 1e300)] {
            for most in 1..9 {
                let ticks = linear(low, high, most);
                assert!(ticks.at.len() <= most && ticks.at.len() == ticks.labels.len());
                let slack = (high - low) * 1e-6;
                assert!(ticks.at.iter().all(|v| (low - slack..=high + slack).contains(v)));
            }
        }
    }

    #[test]
    fn empty_ranges_have_no_ticks() {
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            assert_eq!(linear(low, high, 5), Ticks::default());
            assert!(logarithmic(low.abs(), high, 5).at.is_empty() || low == 0.0);
        }
        assert_eq!(logarithmic(0.0, 1.0, 5), Ticks::default());
        assert_eq!(linear(0.0, 1.0, 0), Ticks::default());
    }

    #[test]
    fn powers_of_ten() {
        assert_eq!(logarithmic(0.01, 10.0, 9).labels, ["0.01", "0.1", "1", "10"]);
        assert_eq!(logarithmic(1.5, 8.0, 9).labels, ["2", "5"]);
        assert_eq!(logarithmic(1e-8, 1e8, 6).at.len(), 6);
    }

    #[test]
    fn extent_ignores_what_is_not_finite() {
        assert_eq!(extent([f64::NAN, 2.0, f64::INFINITY, -1.0]), Some((-1.0, 2.0)));
        assert_eq!(extent([f64::NAN]), None);
        assert_eq!(widen((2.0, 2.0), 0.1), (1.8, 2.2));
        assert_eq!(widen((0.0, 0.0), 0.1), (-1.0, 1.0));
        assert_eq!(widen((1850.5, 1850.500000001), 0.0), (1850.5 * 0.9, 1850.500000001 + 185.05));
        assert_eq!(widen((0.0, 10.0), 0.1), (-1.0, 11.0));
    }
}
