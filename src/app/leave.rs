//! A training run and the rest of the program: what it keeps from happening, and what follows its end.

use super::confirm::{Answer, Asked, Confirm, Leaving};
use super::messages::Level;
use super::text::duration;
use super::*;
use crate::engine::protocol::TrainAction;

impl App {
    /// Quits or loads another model; asks first while a run goes on.
    pub(super) fn leave(&mut self, leaving: Leaving, effects: &mut Vec<Effect>) {
        if self.training.active().is_none() {
            self.go(leaving, effects);
        } else if self.leaving.is_some() {
            self.messages.info("The run is being ended first; Ctrl-C quits at once.", self.now);
        } else {
            self.confirm(Asked::Leave(leaving));
        }
    }

    /// Ctrl-C: asks like quitting, and is believed when it is pressed again.
    pub(super) fn force_quit(&mut self, effects: &mut Vec<Effect>) {
        let asked = matches!(&self.overlay, Some(Overlay::Confirm(_)));
        if asked || self.leaving.is_some() || self.training.active().is_none() {
            self.go(Leaving::Quit, effects);
        } else {
            self.confirm(Asked::Leave(Leaving::Quit));
        }
    }

    /// What becomes of the run.
    pub(super) fn ask_to_stop(&mut self) {
        match self.training.active() {
            Some(_) => self.confirm(Asked::Stop),
            None => self.messages.info("No run goes on.", self.now),
        }
    }

    fn confirm(&mut self, asked: Asked) {
        let Some(run) = self.training.active() else { return };
        let mut fact = match (run.done(), run.step) {
            (Some(done), Some(step)) => format!("Step {} is done, {:.0} %", step.step, 100.0 * done),
            _ => "It has not made a step yet".to_owned(),
        };
        if let Some(left) = run.left() {
            let left = Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(Duration::MAX);
            fact += &format!("; about {} left", duration(left));
        }
        fact += &format!(". It writes to {}.", run.out().display());
        self.overlay = Some(Overlay::Confirm(Confirm::new(asked, fact)));
    }

    /// What was decided about the run.
    pub(super) fn confirmed(&mut self, asked: Asked, answer: Answer, effects: &mut Vec<Effect>) {
        if self.training.active().is_none() {
            // It has ended meanwhile.
            if let (Asked::Leave(leaving) | Asked::Discard(Some(leaving)), true) =
                (asked, answer != Answer::GoOn)
            {
                self.go(leaving, effects);
            }
            return;
        }
        let action = match (answer, asked) {
            (Answer::GoOn, _) => return,
            (Answer::Checkpoint, _) => TrainAction::Save,
            (Answer::Discard, Asked::Leave(leaving)) => return self.confirm(Asked::Discard(Some(leaving))),
            (Answer::Discard, Asked::Stop) => return self.confirm(Asked::Discard(None)),
            (Answer::Discard, Asked::Discard(then)) => {
                self.leaving = then;
                TrainAction::StopAndDiscard
            }
            (Answer::Save, Asked::Leave(leaving)) => {
                self.leaving = Some(leaving);
                TrainAction::StopAndSave
            }
            (Answer::Save, _) => TrainAction::StopAndSave,
        };
        let mut cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
        self.training.control(action, &mut cx);
    }

    fn go(&mut self, leaving: Leaving, effects: &mut Vec<Effect>) {
        match leaving {
            Leaving::Quit => {
                self.quitting = true;
                effects.push(Effect::Quit);
            }
            Leaving::Model(name) => self.model.choose(&name, effects),
            Leaving::Fetch => _ = self.fetch(effects),
        }
    }

    /// The run may have ended: tells it, and does what waited for it.
    pub(super) fn after_run(&mut self, effects: &mut Vec<Effect>) {
        let Some((level, words)) = self.training.news.take() else { return };
        if self.is_visible(PaneId::Training) {
            self.training.unseen = false;
        }
        let failed = level == Level::Error;
        match level {
            // On screen the pane says it itself.
            _ if self.is_visible(PaneId::Training)
                && self.training.view == panes::training::TrainingView::Run => {}
            Level::Error => self.messages.error(words),
            _ => self.messages.info(words, self.now),
        }
        match self.leaving.take() {
            // What could not be saved is not left without a word.
            Some(_) if failed => self.show(PaneId::Training, effects),
            Some(leaving) => self.go(leaving, effects),
            None => {}
        }
    }

    /// A run that has ended: loads its adapter, or evaluates with it; false if there is none.
    pub(super) fn use_result(&mut self, evaluate: bool, effects: &mut Vec<Effect>) -> bool {
        let Some(path) = self.training.result().map(PathBuf::from) else { return false };
        let loaded = self.shared.adapters.iter_mut().find(|a| same_place(&a.info.path, &path));
        match loaded {
            Some(adapter) => {
                adapter.shown = true;
                self.requery(effects);
                if evaluate {
                    self.evaluate_now(effects);
                } else {
                    self.messages
                        .info("Its adapter is loaded: every pane shows it beside the base.", self.now);
                }
            }
            None if self.shared.model.is_none() => {
                self.messages.warn("No model is loaded that the adapter could stand beside: m chooses one.");
            }
            None => {
                self.evaluate = evaluate.then(|| path.clone());
                let path = path.display().to_string();
                self.model.add_adapter(&path, true, &mut self.jobs, effects);
            }
        }
        true
    }

    /// An adapter that was loaded to be evaluated is there now, or cannot be loaded.
    pub(super) fn after_adapter(&mut self, event: &Event, effects: &mut Vec<Effect>) {
        match event {
            Event::AdapterLoaded { info, .. }
                if self.evaluate.as_ref().is_some_and(|p| same_place(&info.path, p)) =>
            {
                self.evaluate = None;
                self.evaluate_now(effects);
            }
            Event::Failed { .. } | Event::ModelLoaded { .. } if !self.model.awaits_adapters() => {
                self.evaluate = None;
            }
            _ => {}
        }
    }

    fn evaluate_now(&mut self, effects: &mut Vec<Effect>) {
        self.show(PaneId::Eval, effects);
        self.with_pane(PaneId::Eval, effects, |p, cx| p.on_action(Action::Compute, cx));
    }
}

/// Whether two paths mean the same directory, one of them perhaps relative.
fn same_place(a: &std::path::Path, b: &std::path::Path) -> bool {
    let plain = |p: &std::path::Path| p.components().collect::<PathBuf>();
    let (a, b) = (plain(a), plain(b));
    let b = b.strip_prefix(".").unwrap_or(&b);
    a.ends_with(b) || b.ends_with(&a)
}
