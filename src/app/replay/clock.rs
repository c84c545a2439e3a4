//! The time of a replay: how fast, whether pauses are shortened, whether it begins again.

use std::time::Duration;

/// Recorded seconds a second.
pub const SPEEDS: [f64; 7] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];
/// A longer pause between two lines is played in this time, in milliseconds.
pub const PAUSE: f64 = 2000.0;

/// How a replay runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    pub playing: bool,
    speed: usize,
    /// Pauses are shortened to two seconds.
    pub shorten: bool,
    /// Begins again at the end.
    pub looped: bool,
    /// Milliseconds since the recording began.
    pub at: f64,
    /// The viewer's time when it was last moved on.
    real: Option<Duration>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { playing: true, speed: 2, shorten: true, looped: false, at: 0.0, real: None }
    }
}

impl Clock {
    /// Recorded seconds a second.
    pub fn speed(&self) -> f64 {
        SPEEDS[self.speed]
    }

    /// The speed that is nearest to `wanted`.
    pub fn set_speed(&mut self, wanted: f64) {
        let distance = |i: &usize| (SPEEDS[*i].ln() - wanted.max(1e-3).ln()).abs();
        self.speed = (0..SPEEDS.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(2);
    }

    /// One speed up or down.
    pub fn change_speed(&mut self, by: isize) {
        self.speed = self.speed.saturating_add_signed(by).min(SPEEDS.len() - 1);
    }

    /// Milliseconds of playing that have passed in the viewer's time, at the speed; 0 while paused.
    pub fn passed(&mut self, now: Duration) -> f64 {
        let before = self.real.replace(now).unwrap_or(now);
        // After a long stop (a suspended program) it goes on where it was.
        let passed = now.saturating_sub(before).as_secs_f64().min(0.5) * 1000.0;
        if self.playing { passed * self.speed() } else { 0.0 }
    }

    /// Moves on by `budget` milliseconds towards a line at `next`, after one at `last`; a pause longer than `limit`
    /// is hurried through. Returns what is left of the budget when the line is reached, `None` if it is not.
    pub fn towards(&mut self, last: f64, next: f64, limit: f64, budget: f64) -> Option<f64> {
        let gap = next - last;
        let rate = if self.shorten && gap > limit { gap / limit } else { 1.0 };
        let need = (next - self.at).max(0.0) / rate;
        if need <= budget {
            self.at = self.at.max(next);
            return Some(budget - need);
        }
        self.at += budget * rate;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_pauses_are_hurried_through() {
        let mut clock = Clock::default();
        assert_eq!(clock.towards(0.0, 1000.0, PAUSE, 400.0), None);
        assert_eq!(clock.at, 400.0);
        assert_eq!(clock.towards(0.0, 1000.0, PAUSE, 700.0), Some(100.0));
        // A minute is played in two seconds: half of it after one.
        assert_eq!(clock.towards(1000.0, 61_000.0, PAUSE, 1000.0), None);
        assert_eq!(clock.at, 31_000.0);
        clock.shorten = false;
        assert_eq!(clock.towards(1000.0, 61_000.0, PAUSE, 1000.0), None);
        assert_eq!(clock.at, 32_000.0);
    }

    #[test]
    fn speeds_stop_at_their_ends() {
        let mut clock = Clock::default();
        clock.change_speed(-9);
        assert_eq!(clock.speed(), 0.25);
        clock.change_speed(99);
        assert_eq!(clock.speed(), 16.0);
        for (wanted, given) in [(1.0, 1.0), (3.0, 4.0), (0.0, 0.25), (1e9, 16.0)] {
            clock.set_speed(wanted);
            assert_eq!(clock.speed(), given);
        }
    }

    #[test]
    fn time_passes_while_it_plays() {
        let mut clock = Clock::default();
        let at = Duration::from_millis;
        assert_eq!(clock.passed(at(5000)), 0.0);
        assert_eq!(clock.passed(at(5100)), 100.0);
        clock.change_speed(1);
        assert_eq!(clock.passed(at(5200)), 200.0);
        assert_eq!(clock.passed(at(99_000)), 1000.0);
        clock.playing = false;
        assert_eq!(clock.passed(at(99_100)), 0.0);
    }
}
