//! Questions that the app has not asked itself: those of a recording made by a command, or of an import.

use super::model::Stage;
use super::panes::lens::DETAIL_TOP;
use super::panes::query::Source;
use super::*;
use crate::engine::protocol::{CurvesRequest, JobId, RunId};

impl App {
    /// Takes a question over as if it had been asked here: its answers are expected, and its pane comes on screen.
    /// From then on the app asks nothing itself: nobody would answer.
    pub(super) fn adopt(&mut self, command: Command, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.shared.told, true) {
            // What the start complained about (a task that is not here) is none of the recording's.
            (self.messages, self.query.error) = (Messages::default(), None);
        }
        if matches!(self.model.stage, Stage::Looking { .. }) {
            // Nobody looks for what the session was started with.
            self.model.stage = Stage::Idle;
        }
        match command {
            Command::LoadModel { job, model, .. } => {
                self.jobs.adopt(job);
                self.model.expect(job, &model);
            }
            Command::LoadAdapter { job, adapter } => {
                self.jobs.adopt(job);
                self.model.expect_adapter(job, &adapter);
            }
            Command::DropAdapter { index } => self.shared.adapters.retain(|a| a.number != index),
            Command::Lens { job, query, runs, .. } => self.adopt_lens(job, query, &runs, effects),
            Command::Grid { job, .. } => {
                self.jobs.adopt(job);
                self.show(PaneId::Grid, effects);
                let mut cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
                self.grid.adopt(&command, &mut cx);
            }
            Command::Cell { job, run, layer, top: DETAIL_TOP, .. } => {
                self.jobs.adopt(job);
                self.lens.expect_detail(job, run, layer, &self.shared);
                self.show(PaneId::Lens, effects);
            }
            Command::Cell { job, .. } => {
                self.jobs.adopt(job);
                self.show(PaneId::Grid, effects);
                let mut cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
                self.grid.adopt(&command, &mut cx);
            }
            Command::Pca { job, request } => {
                self.jobs.adopt(job);
                self.show_runs(&request.runs);
                self.shared.protocol = request.protocol;
                let cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
                self.pca.adopt(job, &request, &cx);
                self.show(PaneId::Pca, effects);
            }
            Command::Eval { job, request } => {
                self.jobs.adopt(job);
                self.show_runs(&request.runs);
                self.shared.task.clone_from(&request.plan.task);
                (self.shared.style, self.shared.protocol) = (request.plan.style, request.plan.protocol);
                let cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
                self.eval.adopt(job, &request, &cx);
                self.show(PaneId::Eval, effects);
            }
            Command::Train { job, request } => {
                self.jobs.adopt(job);
                if let Some(query) = request.watch.as_ref().and_then(|w| w.query.clone()) {
                    self.take_query(query);
                }
                let cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
                self.training.adopt(job, request, &cx);
                self.show(PaneId::Training, effects);
            }
            Command::TrainControl { action, .. } => self.training.expect_control(action),
            Command::TrainWatch { watch, .. } => {
                if let Some(query) = watch.as_ref().and_then(|w| w.query.clone()) {
                    self.take_query(query);
                }
                self.training.watch.expect(watch.as_ref(), &self.shared);
            }
            Command::Curves { job, request } => self.adopt_curves(job, request, effects),
            Command::Pull { .. } | Command::TrainPlan { .. } | Command::Cancel { .. } | Command::Shutdown => {
            }
        }
    }

    fn adopt_lens(&mut self, job: JobId, query: Query, runs: &[RunId], effects: &mut Vec<Effect>) {
        self.jobs.adopt(job);
        self.show_runs(runs);
        self.take_query(query);
        self.with_pane(PaneId::Lens, effects, |p, cx| p.on_query(true, cx));
        self.lens.expect(job, runs, self.now);
        for pane in PaneId::ALL.into_iter().filter(|p| *p != PaneId::Lens) {
            let visible = self.is_visible(pane);
            self.with_pane(pane, effects, |p, cx| p.on_query(visible, cx));
        }
        self.show(PaneId::Lens, effects);
    }

    fn adopt_curves(&mut self, job: JobId, request: CurvesRequest, effects: &mut Vec<Effect>) {
        self.jobs.adopt(job);
        self.show_runs(&request.runs);
        let (shared, asked) = (&mut self.shared, &request);
        (shared.task, shared.lang) = (asked.task.clone(), asked.lang.clone());
        shared.style = asked.style;
        self.load_items();
        if let Some(first) = request.items.first() {
            self.take_query(first.query.clone());
        }
        let cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
        self.lens.means.adopt(job, &request, &cx);
        self.show(PaneId::Lens, effects);
    }

    /// The adapters that a question is about are those on screen.
    fn show_runs(&mut self, runs: &[RunId]) {
        for adapter in &mut self.shared.adapters {
            adapter.shown = runs.contains(&Some(adapter.number));
        }
    }

    /// A query that is the task's item stands in the query pane as that; any other one as free text.
    fn take_query(&mut self, query: Query) {
        self.query.reset_text();
        match self.place_of(&query) {
            Some((lang, item)) => {
                self.query.source = Source::Item;
                if lang != self.shared.lang {
                    self.shared.lang = lang;
                    self.load_items();
                }
                self.shared.item = item;
                self.query.track = query.track.clone();
            }
            None => {
                self.query.source = Source::Free;
                self.query.free.set(&format!("{}{}", query.prefix, query.text));
                self.query.track.clone_from(&query.track);
            }
        }
        self.query.error = None;
        self.shared.query = query;
    }

    /// The language and the item of the current task that make a query, the current language first.
    fn place_of(&self, query: &Query) -> Option<(String, usize)> {
        query.comparison.as_ref()?;
        let (library, shared) = (&self.shared.library, &self.shared);
        let task = library.tasks().iter().find(|t| t.id == shared.task)?;
        let others = task.langs.iter().filter(|l| **l != shared.lang);
        std::iter::once(&shared.lang).chain(others).find_map(|lang| {
            let items = library.prompts(&shared.task, lang, shared.style, shared.protocol).ok()?;
            let same = |q: &Query| {
                (&q.prefix, &q.text, &q.comparison) == (&query.prefix, &query.text, &query.comparison)
            };
            Some((lang.clone(), items.iter().position(|i| same(&i.query))?))
        })
    }
}

#[cfg(test)]
#[path = "adopt_tests.rs"]
mod tests;
