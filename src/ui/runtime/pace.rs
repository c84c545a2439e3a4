//! When the next frame is due.

use std::time::{Duration, Instant};

/// Shortest time between two frames while the user does something: 60 a second, with some room for a late timer.
const TOUCHED: Duration = Duration::from_millis(15);
/// The same for what comes by itself: answers, progress, time.
const CHANGED: Duration = Duration::from_millis(33);

/// How often frames are drawn.
#[derive(Debug)]
pub struct Pace {
    /// When the last frame was drawn.
    pub drawn: Option<Instant>,
    /// How long after it the next one may be; `None` while nothing has changed.
    next: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { drawn: None, next: Some(Duration::ZERO) }
    }
}

impl Pace {
    /// The user did something: it is to be seen at once.
    pub fn touched(&mut self) {
        self.next = Some(self.next.map_or(TOUCHED, |n| n.min(TOUCHED)));
    }

    /// Something else changed.
    pub fn changed(&mut self) {
        self.next = Some(self.next.map_or(CHANGED, |n| n.min(CHANGED)));
    }

    /// From when on a frame is to be drawn; `None` if nothing has changed since the last one.
    pub fn due(&self) -> Option<Instant> {
        let next = self.next?;
        Some(self.drawn.map_or_else(Instant::now, |at| at + next))
    }

    /// A frame was drawn.
    pub fn drew(&mut self) {
        (self.drawn, self.next) = (Some(Instant::now()), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_while_nothing_changes() {
        let mut pace = Pace::default();
        assert!(pace.due().is_some(), "the first frame");
        pace.drew();
        assert_eq!(pace.due(), None);
    }

    #[test]
    fn many_messages_are_one_frame_and_keys_come_first() {
        let mut pace = Pace::default();
        pace.drew();
        let drawn = pace.drawn.unwrap();
        (0..1000).for_each(|_| pace.changed());
        assert_eq!(pace.due(), Some(drawn + CHANGED));
        (0..1000).for_each(|_| pace.touched());
        assert_eq!(pace.due(), Some(drawn + TOUCHED));
        pace.changed();
        assert_eq!(pace.due(), Some(drawn + TOUCHED), "an answer does not put a key off");
        pace.drew();
        assert_eq!(pace.due(), None, "one frame has them all");
    }
}
