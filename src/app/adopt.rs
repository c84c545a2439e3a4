//! Questions that the app has not asked itself: those of a recording made by a command, or of an import.

use super::model::Stage;
use super::*;

impl App {
    /// Takes a question over as if it had been asked here: its answers are expected, and its pane comes on screen.
    pub(super) fn adopt(&mut self, command: Command, effects: &mut Vec<Effect>) {
        match command {
            Command::LoadModel { job, model, .. } => {
                self.jobs.adopt(job);
                self.model.stage = Stage::Loading { job, name: model };
            }
            _ => {
                let _ = effects;
            }
        }
    }
}
