//! When what happened in a run whose log has times, or not.

use crate::train::log::LogRecord;

/// Milliseconds of a record where nothing tells the pace.
const STEADY: f64 = 1000.0;

/// The times of a log's records, and of the steps between.
#[derive(Debug)]
pub struct Timeline {
    /// Milliseconds of each record.
    pub of: Vec<u64>,
    /// Steps and their milliseconds, ascending in both.
    places: Vec<(f64, f64)>,
}

impl Timeline {
    /// By the log's own clock where it has one, else by a steady pace: that of the whole run's time if it is known.
    pub fn new(records: &[LogRecord]) -> Self {
        let known = records.iter().any(|r| r.elapsed_s.is_some());
        let last = records.iter().filter_map(|r| r.step).fold(0.0, f64::max);
        let whole = records.iter().find_map(|r| r.train_runtime_s).filter(|s| s.is_finite() && *s > 0.0);
        let a_step = whole.filter(|_| last > 0.0).map(|s| 1000.0 * s / last);
        let (mut of, mut places) = (Vec::new(), vec![(0.0, 0.0)]);
        // A resumed run's clock begins again, and its steps may go back: time goes on all the same.
        let (mut now, mut offset) = (0.0_f64, 0.0);
        for (i, record) in records.iter().enumerate() {
            let at = match (known, record.elapsed_s, record.step, a_step) {
                (true, Some(s), ..) => {
                    if offset + 1000.0 * s < now {
                        offset = now;
                    }
                    offset + 1000.0 * s
                }
                (true, None, ..) => now,
                (false, _, Some(step), Some(pace)) => step * pace,
                (false, _, Some(_), None) => (i + 1) as f64 * STEADY,
                (false, _, None, _) => now,
            };
            now = now.max(at);
            of.push(now as u64);
            if let Some(step) = record.step.filter(|s| places.last().is_some_and(|(last, _)| s > last)) {
                places.push((step, now));
            }
        }
        Self { of, places }
    }

    /// When a step was done: between the records around it.
    pub fn at(&self, step: u64) -> u64 {
        let step = step as f64;
        let after = self.places.partition_point(|(s, _)| *s < step);
        match (after.checked_sub(1).and_then(|i| self.places.get(i)), self.places.get(after)) {
            (Some((a, from)), Some((b, to))) => (from + (to - from) * (step - a) / (b - a)) as u64,
            (None, Some((_, t))) | (Some((_, t)), None) => *t as u64,
            (None, None) => 0,
        }
    }

    /// The last time.
    pub fn end(&self) -> u64 {
        self.of.last().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: f64, elapsed_s: Option<f64>) -> LogRecord {
        LogRecord { step: Some(step), elapsed_s, ..LogRecord::default() }
    }

    #[test]
    fn the_logs_clock_counts_and_a_resumed_one_goes_on() {
        let log = [
            record(10.0, Some(5.0)),
            record(20.0, Some(11.0)),
            record(15.0, Some(2.0)),
            record(30.0, Some(9.0)),
        ];
        let line = Timeline::new(&log);
        assert_eq!(line.of, [5000, 11_000, 13_000, 20_000]);
        assert_eq!((line.at(0), line.at(5), line.at(10), line.at(15)), (0, 2500, 5000, 8000));
        assert_eq!((line.at(25), line.at(30), line.at(99), line.end()), (15_500, 20_000, 20_000, 20_000));
    }

    #[test]
    fn without_a_clock_the_pace_is_steady() {
        let mut log = vec![record(10.0, None), record(20.0, None), record(30.0, None)];
        assert_eq!(Timeline::new(&log).of, [1000, 2000, 3000]);
        log.push(LogRecord { train_runtime_s: Some(60.0), ..record(30.0, None) });
        assert_eq!(Timeline::new(&log).of, [20_000, 40_000, 60_000, 60_000]);
        assert_eq!(Timeline::new(&[]).at(7), 0);
    }
}
