//! How fast the layers are played.

use std::time::Duration;

/// Speeds of playing, in layers a second.
const SPEEDS: [f64; 6] = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0];

/// How fast the layers are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed(usize);

impl Default for Speed {
    fn default() -> Self {
        Self(2)
    }
}

impl Speed {
    /// The number behind it.
    pub fn layers_a_second(self) -> f64 {
        SPEEDS[self.0.min(SPEEDS.len() - 1)]
    }

    /// Faster or slower by so many notches; stops at the ends.
    pub fn change(&mut self, by: isize) {
        self.0 = self.0.saturating_add_signed(by).min(SPEEDS.len() - 1);
    }

    /// Time that one layer is shown.
    pub fn step(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.layers_a_second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_stop_at_their_ends() {
        let mut speed = Speed::default();
        assert_eq!((speed.layers_a_second(), speed.step()), (2.0, Duration::from_millis(500)));
        speed.change(99);
        assert_eq!(speed.layers_a_second(), 16.0);
        speed.change(-99);
        assert_eq!(speed.layers_a_second(), 0.5);
    }
}
