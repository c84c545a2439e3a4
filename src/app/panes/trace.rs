//! One metric over a run of any length: the whole of it thinned to what the eye can see, and its recent
//! part in full.

use std::collections::VecDeque;

/// Most buckets kept of the whole run; twice as many dots as the widest screen has.
const BUCKETS: usize = 4096;
/// Most points kept in full.
const RECENT: usize = 512;
/// Fewest points of the recent part, which is else the last fifth of the run.
const RECENT_LEAST: u64 = 50;

/// Neighbouring points of a run as one: their extremes stay visible.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    first: f64,
    last: f64,
    low: f64,
    high: f64,
    sum: f64,
    /// Finite values in it; 0 is a gap.
    n: u32,
}

impl Bucket {
    fn of(x: f64, y: f64) -> Self {
        let n = u32::from(y.is_finite());
        Self { first: x, last: x, low: y, high: y, sum: if n == 1 { y } else { 0.0 }, n }
    }

    fn join(self, other: Self) -> Self {
        if self.n == 0 || other.n == 0 {
            let full = if self.n == 0 { other } else { self };
            return Self { first: self.first, last: other.last, ..full };
        }
        Self {
            first: self.first,
            last: other.last,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            sum: self.sum + other.sum,
            n: self.n + other.n,
        }
    }

    fn mean(&self) -> f64 {
        self.sum / f64::from(self.n)
    }
}

/// A metric's points as they come in.
#[derive(Clone, Debug)]
pub struct Trace {
    buckets: Vec<Bucket>,
    /// Points a bucket holds.
    size: u32,
    /// Points in the last bucket.
    filled: u32,
    recent: VecDeque<(f64, f64)>,
    count: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self { buckets: Vec::new(), size: 1, filled: 0, recent: VecDeque::new(), count: 0 }
    }
}

impl Trace {
    /// Appends a point; a value that is not finite is a gap.
    pub fn push(&mut self, x: f64, y: f64) {
        self.count += 1;
        self.recent.push_back((x, y));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        match self.buckets.last_mut() {
            Some(last) if self.filled < self.size => {
                *last = last.join(Bucket::of(x, y));
                self.filled += 1;
            }
            _ => {
                if self.buckets.len() == BUCKETS {
                    self.halve();
                }
                self.buckets.push(Bucket::of(x, y));
                self.filled = 1;
            }
        }
    }

    fn halve(&mut self) {
        let pairs = self.buckets.chunks(2).map(|pair| pair.iter().copied().reduce(Bucket::join));
        self.buckets = pairs.flatten().collect();
        self.size *= 2;
    }

    /// Points taken in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last point with a finite value.
    pub fn last(&self) -> Option<(f64, f64)> {
        self.recent.iter().rev().find(|p| p.1.is_finite()).copied()
    }

    /// The curve: of the whole run each bucket's lowest and highest value, or the recent part in full.
    pub fn raw(&self, recent: bool) -> Vec<(f64, f64)> {
        if recent || self.size == 1 {
            return self.plain(recent);
        }
        let ends = |b: &Bucket| match b.n {
            0 => [(b.first, f64::NAN), (b.last, f64::NAN)],
            _ => [(b.first, b.low), (b.last, b.high)],
        };
        self.buckets.iter().flat_map(ends).collect()
    }

    fn plain(&self, recent: bool) -> Vec<(f64, f64)> {
        match recent {
            true => {
                let wanted = (self.count / 5).clamp(RECENT_LEAST, RECENT as u64) as usize;
                self.recent.iter().skip(self.recent.len().saturating_sub(wanted)).copied().collect()
            }
            false => {
                self.buckets.iter().map(|b| (b.first, if b.n == 0 { f64::NAN } else { b.mean() })).collect()
            }
        }
    }

    /// An exponential moving average over about a 25th of the points shown, without the bias towards its
    /// start (as TensorBoard's); gaps are
    /// bridged, but for a step backwards.
    pub fn smooth(&self, recent: bool) -> Vec<(f64, f64)> {
        let points = self.plain(recent);
        let keep = 1.0 - 1.0 / (points.len() as f64 / 25.0).max(1.5);
        let (mut sum, mut weight) = (0.0, 0.0);
        let mut out = Vec::with_capacity(points.len());
        for (x, y) in points.into_iter().filter(|p| p.1.is_finite()) {
            if out.last().is_some_and(|last: &(f64, f64)| x < last.0) {
                // The run was resumed from an earlier step: no line leads back.
                out.push((x, f64::NAN));
            }
            (sum, weight) = (keep * sum + y, keep * weight + 1.0);
            out.push((x, sum / weight));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_points_keep_their_extremes_in_bounded_memory() {
        let mut trace = Trace::default();
        for i in 0..1_000_000 {
            let y = if i == 123_456 { 99.0 } else { f64::from(i % 7) };
            trace.push(f64::from(i), y);
        }
        assert!(trace.buckets.len() <= BUCKETS && trace.recent.len() == RECENT);
        let raw = trace.raw(false);
        assert_eq!(raw.iter().map(|p| p.1).fold(0.0, f64::max), 99.0);
        assert_eq!((raw[0].0, raw[raw.len() - 1].0), (0.0, 999_999.0));
        assert!(raw.windows(2).all(|w| w[0].0 <= w[1].0));
        assert_eq!((trace.raw(true).len(), trace.count()), (RECENT, 1_000_000));
        let smooth = trace.smooth(false);
        assert!(smooth[100..].iter().all(|p| (2.5..4.5).contains(&p.1)), "the mean is 3");
        let n: u64 = trace.buckets.iter().map(|b| u64::from(b.n)).sum();
        assert_eq!(n, 1_000_000, "no point is lost or counted twice");
    }

    #[test]
    fn gaps_stay_gaps_and_do_not_spoil_the_average() {
        let mut trace = Trace::default();
        for (x, y) in [(0.0, 2.0), (1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 4.0)] {
            trace.push(x, y);
        }
        assert!(trace.raw(false)[1].1.is_nan() && trace.raw(false)[2].1.is_nan());
        assert_eq!(trace.last(), Some((3.0, 4.0)));
        let smooth = trace.smooth(false);
        assert_eq!(smooth.len(), 2);
        assert!(smooth[1].1 > 3.0 && smooth[1].1 < 4.0);
        trace.push(1.0, 4.0);
        assert!(trace.smooth(false)[2].1.is_nan(), "back to an earlier step");
        assert!(Trace::default().raw(false).is_empty() && Trace::default().smooth(true).is_empty());
    }

    #[test]
    fn a_constant_stays_constant_when_smoothed() {
        let mut trace = Trace::default();
        (0..300).for_each(|i| trace.push(f64::from(i), 1.5));
        assert!(trace.smooth(false).iter().all(|p| (p.1 - 1.5).abs() < 1e-12));
    }
}
