//! Time and memory of a run.

use super::history::Pace;
use std::time::{Duration, Instant};

/// What has taken how long since this process began the run.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    /// Seconds of the processes before.
    before: f64,
    /// Pauses.
    idle: Duration,
    /// Steps alone: no validation, no frames, no pauses.
    work: Duration,
    tokens: u64,
    steps: u64,
}

impl Clock {
    /// Starts; the run has taken `before` seconds already.
    pub fn start(before: f64) -> Self {
        let zero = Duration::ZERO;
        Self { began: Instant::now(), before, idle: zero, work: zero, tokens: 0, steps: 0 }
    }

    /// A pause.
    pub fn paused(&mut self, time: Duration) {
        self.idle += time;
    }

    /// A part of a step.
    pub fn worked(&mut self, time: Duration, tokens: u64) {
        self.work += time;
        self.tokens += tokens;
    }

    /// A whole step.
    pub fn stepped(&mut self) {
        self.steps += 1;
    }

    fn here(&self) -> f64 {
        self.began.elapsed().saturating_sub(self.idle).as_secs_f64()
    }

    /// Seconds of the whole run, pauses left out.
    pub fn elapsed(&self) -> f64 {
        self.before + self.here()
    }

    /// The pace so far, with `left` steps to go.
    pub fn pace(&self, left: u64) -> Pace {
        let remaining_s = if self.steps == 0 { 0.0 } else { self.here() / self.steps as f64 * left as f64 };
        let work = self.work.as_secs_f64();
        let tokens_per_s = if work > 0.0 { self.tokens as f64 / work } else { 0.0 };
        Pace { elapsed_s: self.elapsed(), remaining_s, tokens_per_s }
    }
}

/// Bytes of memory that the process has now, and has had at most; 0 where the system does not say.
pub fn memory() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |key: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(key));
        let kib = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok());
        kib.map_or(0, |n| n * 1024)
    };
    (of("VmRSS:"), of("VmHWM:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_leaves_pauses_and_other_work_out() {
        let mut clock = Clock::start(100.0);
        assert_eq!(clock.pace(5).remaining_s, 0.0);
        clock.worked(Duration::from_secs(2), 500);
        clock.worked(Duration::from_secs(2), 500);
        clock.stepped();
        let pace = clock.pace(0);
        assert_eq!((pace.tokens_per_s, pace.remaining_s), (250.0, 0.0));
        assert!((100.0..101.0).contains(&pace.elapsed_s));
        clock.paused(Duration::from_secs(3600));
        assert_eq!(clock.elapsed(), 100.0, "more pause than time");
        if cfg!(target_os = "linux") {
            let (now, peak) = memory();
            assert!(now > 1 << 20 && peak >= now);
        }
    }
}
