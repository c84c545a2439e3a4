//! "Watch it align": the frames of a run, and where among them one looks.

use crate::app::shared::{Cx, Pane, Shared};
use crate::engine::protocol::{Event, JobId, TrainFrame, Watch};

/// State of the second view of the training pane.
#[derive(Debug, Default)]
pub struct WatchState {
    /// The run whose frames these are.
    pub job: Option<JobId>,
    pub frames: Vec<TrainFrame>,
}

impl WatchState {
    /// What a run that begins now computes every so many steps.
    pub fn wish(&self, every: u64, shared: &Shared) -> Option<Watch> {
        let query = (!shared.query.text.is_empty()).then(|| shared.query.clone());
        Some(Watch { every, query, top: 10, pca: None })
    }

    /// A run begins: its frames take the place of those before.
    pub fn begin(&mut self, job: JobId) {
        (self.job, self.frames) = (Some(job), Vec::new());
    }
}

impl Pane for WatchState {
    fn on_event(&mut self, event: &Event, _cx: &mut Cx) {
        match event {
            Event::TrainFrame { job, frame } if Some(*job) == self.job => self.frames.push(frame.clone()),
            _ => {}
        }
    }
}
