//! The training pane: the form of a run, the run with its curves, a followed log, and the watch.

use super::training_curves::Curves;
use super::training_form::{Form, RUNS};
use super::training_run::{Ending, Phase, Run, job_of};
use crate::app::action::Action;
use crate::app::messages::Level;
use crate::app::panes::watch::WatchState;
use crate::app::shared::{Cx, Effect, Pane, PaneMouse, Shared};
use crate::engine::protocol::*;
use crate::train::log::Update;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The form is asked about when it has not changed for so long.
const DEBOUNCE: Duration = Duration::from_millis(400);

/// Which view of the pane is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrainingView {
    /// The form, the run or the log: see [`Sheet`].
    #[default]
    Run,
    /// Lens and PCA as they were at each frame.
    Watch,
}

/// What the first view shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sheet {
    /// The form of a new run.
    #[default]
    Form,
    /// The run of this program, going on or ended.
    Run,
    /// The run whose files are followed.
    Log,
}

/// What the engine is asked about the form.
#[derive(Clone, Debug)]
pub struct Planning {
    job: JobId,
    request: TrainRequest,
    /// Why it cannot be a new run; it is asked whether it can be resumed.
    refused: Option<String>,
}

/// State of the pane.
#[derive(Clone, Debug, Default)]
pub struct TrainingPane {
    pub view: TrainingView,
    pub sheet: Sheet,
    pub watch: WatchState,
    pub form: Form,
    pub run: Option<Run>,
    /// The run's curves.
    pub live: Curves,
    /// The followed log's curves.
    pub log: Curves,
    pub planning: Option<Planning>,
    /// The request that the last plan was asked for with.
    planned: Option<TrainRequest>,
    /// A model that is on its way: a run would end when it comes.
    pub coming: Option<String>,
    /// It was on screen: before that nothing is asked.
    shown: bool,
    /// Something to tell, wherever the user looks.
    pub news: Option<(Level, String)>,
    /// The run's end was not seen yet.
    pub unseen: bool,
    pub(super) area: (u16, u16),
}

impl TrainingPane {
    /// The curves on screen.
    pub fn curves(&self) -> &Curves {
        if self.sheet == Sheet::Log { &self.log } else { &self.live }
    }

    pub(super) fn curves_mut(&mut self) -> &mut Curves {
        if self.sheet == Sheet::Log { &mut self.log } else { &mut self.live }
    }

    /// The run that goes on.
    pub fn active(&self) -> Option<&Run> {
        self.run.as_ref().filter(|r| r.active())
    }

    /// Whether an event is about a run or a plan of this pane.
    pub fn owns(&self, event: &Event) -> bool {
        let job = job_of(event);
        job.is_some()
            && (job == self.planning.as_ref().map(|p| p.job) || job == self.run.as_ref().map(|r| r.job))
    }

    /// Whether the form is the thing on screen.
    pub fn shows_form(&self) -> bool {
        self.view == TrainingView::Run && self.sheet == Sheet::Form
    }

    /// The adapter of a run that has ended, while its sheet is on screen.
    pub fn result(&self) -> Option<&Path> {
        let shown = self.view == TrainingView::Run && self.sheet == Sheet::Run;
        self.run.as_ref().filter(|_| shown)?.adapter()
    }

    /// Follows another log.
    pub fn follow(&mut self, path: PathBuf) {
        self.log.restart(path);
        (self.view, self.sheet) = (TrainingView::Run, Sheet::Log);
    }

    /// The sheets that there are.
    fn sheets(&self) -> Vec<Sheet> {
        let run = self.run.is_some().then_some(Sheet::Run);
        let log = self.log.path.is_some().then_some(Sheet::Log);
        [Some(Sheet::Form), run, log].into_iter().flatten().collect()
    }

    pub(super) fn turn(&mut self) {
        let sheets = self.sheets();
        let at = sheets.iter().position(|s| *s == self.sheet).map_or(0, |i| i + 1);
        self.sheet = sheets[at % sheets.len()];
    }

    /// The form has changed, or what it depends on.
    pub(super) fn changed(&mut self, cx: &Cx) {
        self.form.changed = self.shown.then_some(cx.now);
        (self.form.plan, self.form.resumes) = (None, false);
        (self.planning, self.planned) = (None, None);
    }

    /// Asks anew where the last plan is of something else.
    pub(super) fn compare(&mut self, cx: &Cx) {
        let now = self.form.request(cx.shared).ok().map(|r| TrainRequest { resume: false, ..r });
        if self.planned.is_some() && now != self.planned {
            self.changed(cx);
        }
    }

    /// Asks for a plan of what stands in the form, where one can be made.
    fn plan(&mut self, cx: &mut Cx) {
        self.form.changed = None;
        if cx.shared.model.is_none() || self.active().is_some() || cx.shared.told {
            return;
        }
        let Ok(request) = self.form.request(cx.shared) else { return };
        self.planned = Some(request.clone());
        self.ask(request, None, cx);
    }

    fn ask(&mut self, mut request: TrainRequest, refused: Option<String>, cx: &mut Cx) {
        let job = cx.jobs.issue();
        request.resume = refused.is_some();
        self.planning = Some(Planning { job, request: request.clone(), refused });
        cx.send(Command::TrainPlan { job, request });
    }

    fn on_plan(&mut self, event: &Event, cx: &mut Cx) {
        let Some(planning) = self.planning.take_if(|p| Some(p.job) == job_of(event)) else { return };
        match event {
            Event::TrainPlanned { plan, .. } => {
                self.form.last_total = Some(plan.total_steps).filter(|t| *t > 0);
                match planning.refused {
                    // A run that has ended is none to go on with.
                    Some(refused) if plan.done_steps >= plan.total_steps => {
                        self.form.plan = Some(Err(refused))
                    }
                    refused => {
                        self.form.resumes = refused.is_some();
                        self.form.plan = Some(Ok(plan.clone()));
                    }
                }
            }
            Event::Failed { message, .. } => match planning.refused {
                Some(refused) => self.form.plan = Some(Err(refused)),
                // The directory may hold a run that was interrupted.
                None => self.ask(planning.request, Some(message.clone()), cx),
            },
            Event::Cancelled { .. } => {}
            _ => self.planning = Some(planning),
        }
    }

    fn on_run(&mut self, event: &Event, cx: &mut Cx) {
        let Some(run) = self.run.as_mut().filter(|r| r.owns(event)) else { return };
        let was = run.active();
        if let Some(record) = run.on_event(event, cx.now) {
            self.live.take(&record);
        }
        if let Event::TrainStarted { plan, .. } = event {
            self.form.take_name(&plan.out);
        }
        if was && !run.active() {
            self.news = Some(news(run));
            self.unseen = true;
            self.changed(cx);
            list_runs(cx);
        }
    }
}

/// What a run's end is told as.
fn news(run: &Run) -> (Level, String) {
    let out = run.out().display();
    match &run.phase {
        Phase::Ended(Ending::Failed(message)) => (Level::Error, message.clone()),
        Phase::Ended(Ending::Done(o)) if o.end == TrainEnd::Discarded => {
            (Level::Info, "The run was discarded; what it had written is removed.".into())
        }
        Phase::Ended(Ending::Done(o)) => {
            let word = if o.end == TrainEnd::Stopped { "stopped" } else { "finished" };
            (Level::Info, format!("Training {word} after {} steps: the adapter is in {out}.", o.steps))
        }
        _ => (Level::Info, "The run was stopped.".into()),
    }
}

/// Asks what directories of runs there are, so that a new one gets a name of its own.
fn list_runs(cx: &mut Cx) {
    cx.effects.push(Effect::Complete(RUNS.to_owned()));
}

impl Pane for TrainingPane {
    fn on_action(&mut self, action: Action, cx: &mut Cx) -> bool {
        if action == Action::ToggleWatch {
            self.view = match self.view {
                TrainingView::Run => TrainingView::Watch,
                TrainingView::Watch => TrainingView::Run,
            };
            return true;
        }
        match self.view {
            TrainingView::Watch => self.watch.on_action(action, cx),
            TrainingView::Run => self.on_sheet(action, cx),
        }
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx) {
        self.on_plan(event, cx);
        self.on_run(event, cx);
        self.watch.on_event(event, cx);
        if matches!(event, Event::ModelLoaded { .. }) {
            self.changed(cx);
        }
    }

    fn on_query(&mut self, visible: bool, cx: &mut Cx) {
        self.watch.on_query(visible && self.view == TrainingView::Watch, cx);
        // Another task has other questions.
        if visible {
            self.compare(cx);
        }
    }

    fn on_log(&mut self, updates: &Result<Vec<Update>, String>, cx: &mut Cx) {
        self.log.on_log(updates, cx.now);
    }

    fn on_show(&mut self, cx: &mut Cx) {
        (self.shown, self.unseen) = (true, false);
        list_runs(cx);
        self.compare(cx);
        if self.form.plan.is_none() && self.planning.is_none() {
            self.form.changed = Some(cx.now);
        }
        self.watch.on_show(cx);
    }

    fn on_area(&mut self, width: u16, height: u16, cx: &mut Cx) {
        self.area = (width, height);
        self.watch.on_area(width, height, cx);
    }

    fn on_mouse(&mut self, mouse: PaneMouse, cx: &mut Cx) -> bool {
        match self.view {
            TrainingView::Watch => self.watch.on_mouse(mouse, cx),
            TrainingView::Run => self.sheet == Sheet::Form && self.form_mouse(mouse, cx),
        }
    }

    fn on_tick(&mut self, cx: &mut Cx) {
        if self.form.changed.is_some_and(|at| cx.now >= at + DEBOUNCE) {
            self.plan(cx);
        }
        if self.watch.animating() {
            self.watch.on_tick(cx);
        }
    }

    fn awaits_tick(&self, now: Duration) -> bool {
        self.form.changed.is_some_and(|at| now >= at + DEBOUNCE) || self.watch.awaits_tick(now)
    }

    fn animating(&self) -> bool {
        self.form.changed.is_some() || self.watch.animating()
    }

    fn back(&mut self) -> bool {
        match self.view {
            TrainingView::Watch => {
                if !self.watch.back() {
                    self.view = TrainingView::Run;
                }
                true
            }
            TrainingView::Run if self.sheet == Sheet::Form => self.form.list.take().is_some(),
            TrainingView::Run => self.curves_mut().back(),
        }
    }

    fn copy_text(&self, shared: &Shared) -> Option<String> {
        match (self.view, self.sheet) {
            (TrainingView::Watch, _) => self.watch.copy_text(shared),
            (_, Sheet::Form) => Some(self.form.out(&*shared.library).display().to_string()),
            _ => self.curves().copy_text(),
        }
    }

    fn export(&self, shared: &Shared) -> Option<serde_json::Value> {
        match (self.view, self.sheet) {
            (TrainingView::Watch, _) => self.watch.export(shared),
            (_, Sheet::Form) => {
                let request = self.form.request(shared).ok()?;
                Some(serde_json::json!({"schema": "polylens.train-request/1", "request": request}))
            }
            _ => self.curves().export(),
        }
    }
}

#[cfg(test)]
#[path = "training_tests.rs"]
mod tests;
