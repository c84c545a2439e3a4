//! The app as it was at places along a session, so that going back to one of them need not begin at the beginning.

use crate::app::App;
use std::fmt;
use std::sync::Arc;

/// Keyframes that are kept; then every second one is left out.
const MOST: usize = 128;
/// What lies between two keyframes at first, in bytes of lines and [`LINE`] for each.
const FIRST: u64 = 256 << 10;
/// What a line costs besides its bytes: taking it in takes about as long as parsing so many.
pub const LINE: u64 = 256;

/// The app after so many lines.
#[derive(Clone)]
struct Keyframe {
    taken: usize,
    /// What the lines before it cost.
    cost: u64,
    now: u64,
    app: Arc<App>,
}

/// Places to go on from, oldest first.
#[derive(Clone)]
pub struct Keyframes {
    kept: Vec<Keyframe>,
    /// What lies between two at least.
    interval: u64,
    most: usize,
}

impl Default for Keyframes {
    fn default() -> Self {
        Self { kept: Vec::new(), interval: FIRST, most: MOST }
    }
}

impl fmt::Debug for Keyframes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken: Vec<usize> = self.kept.iter().map(|k| k.taken).collect();
        f.debug_struct("Keyframes").field("taken", &taken).field("interval", &self.interval).finish()
    }
}

impl Keyframes {
    /// As the default, with other bounds.
    #[cfg(test)]
    pub fn with(most: usize, interval: u64) -> Self {
        Self { kept: Vec::new(), interval, most }
    }

    /// Takes a place in, where it lies far enough from the last one.
    pub fn offer(&mut self, taken: usize, cost: u64, now: u64, app: &App) {
        let last = self.kept.last().map_or(0, |k| k.cost);
        if cost < last.saturating_add(self.interval) {
            return;
        }
        self.kept.push(Keyframe { taken, cost, now, app: Arc::new(app.clone()) });
        while self.kept.len() > self.most {
            self.interval *= 2;
            let mut at = 0;
            self.kept.retain(|k| {
                let stays = k.cost >= at + self.interval;
                at = if stays { k.cost } else { at };
                stays
            });
        }
    }

    /// The last place at or before a number of lines: lines, cost, time and app.
    pub fn before(&self, taken: usize) -> Option<(usize, u64, u64, App)> {
        let at = self.kept.partition_point(|k| k.taken <= taken).checked_sub(1)?;
        let k = &self.kept[at];
        Some((k.taken, k.cost, k.now, (*k.app).clone()))
    }

    /// Lines before the last place.
    pub fn reach(&self) -> usize {
        self.kept.last().map_or(0, |k| k.taken)
    }

    /// After how many lines they are.
    #[cfg(test)]
    pub fn places(&self) -> Vec<usize> {
        self.kept.iter().map(|k| k.taken).collect()
    }
}
