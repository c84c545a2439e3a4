//! What an evaluation's pane does: asks, takes answers in, moves, opens.

use super::eval::{End, EvalPane, Running, Settings};
use super::eval_view::Space;
use super::languages::{Chosen, LanguageList};
use crate::app::action::Action;
use crate::app::layout::scroll;
use crate::app::shared::{Cx, MouseKind, Pane, PaneMouse, Shared};
use crate::engine::protocol::*;
use crate::eval::{Summary, Table, outline, outline_after, summarise};
use std::sync::Arc;
use std::time::Duration;

/// How many items of each language may be asked for: all, or the first so many.
const LIMITS: [Option<usize>; 4] = [None, Some(8), Some(16), Some(32)];
/// A table that is filling is summarised at most so often.
const PAUSE: Duration = Duration::from_millis(100);
/// Decides the bootstrap's draws, as the command line's default does.
const SEED: u64 = 0;

impl EvalPane {
    /// Asks for what is chosen; what was answered before is not computed again.
    pub fn compute(&mut self, cx: &mut Cx) {
        self.error = None;
        if cx.shared.model.is_none() {
            self.error = Some("No model is loaded: press m to choose one.".into());
            return;
        }
        let settings = self.settings(cx.shared);
        if settings.wish.langs.is_empty() {
            self.error = Some("No language is chosen that the task has: press / and mark some.".into());
            return;
        }
        let plan = match cx.shared.library.eval_plan(&settings.wish) {
            Ok(plan) => plan,
            Err(message) => {
                self.error = Some(message);
                return;
            }
        };
        let job = cx.jobs.issue();
        let runs = settings.runs.clone();
        self.expect(job, plan.clone(), settings, cx.now);
        cx.send(Command::Eval { job, request: EvalRequest { plan, runs } });
    }

    /// Takes a question over as if it had been asked here.
    pub fn adopt(&mut self, job: JobId, request: &EvalRequest, cx: &Cx) {
        let plan = &request.plan;
        let codes: Vec<&str> = plan.langs.iter().map(|l| l.lang.as_str()).collect();
        (self.chosen, self.score) = (Chosen::of(&codes), plan.score);
        let most = plan.langs.iter().map(|l| l.items.len()).max().unwrap_or(0);
        let all = |l: &EvalLang| cx.shared.library.items(&plan.task, &l.lang).map_or(0, |items| items.len());
        let cut = plan.langs.first().is_some_and(|l| all(l) > most);
        self.limit = cut.then_some(most);
        let settings = self.settings(cx.shared);
        self.error = None;
        self.expect(job, plan.clone(), settings, cx.now);
    }

    /// Waits for a plan's answers, whoever asked for them.
    fn expect(&mut self, job: JobId, plan: EvalPlan, settings: Settings, now: Duration) {
        let same = self.table.as_ref().is_some_and(|t| t.plan == plan) && self.asked == settings;
        if !same {
            (self.table, self.summary) = (None, Summary::default());
            (self.open, self.item, self.selected) = (false, 0, 0);
            self.run = usize::from(settings.runs.len() > 1);
            self.aligned = self.run;
        }
        (self.kept, self.fresh, self.end, self.outdated) = (0, 0, None, false);
        self.running = Some(Running { job, since: now, ..Running::default() });
        self.plan = Some(plan);
        self.asked = settings;
    }

    /// The evaluation that needs a run, to be stopped when the run goes.
    pub fn job_with(&self, run: RunId) -> Option<JobId> {
        self.running.as_ref().filter(|_| self.asked.runs.contains(&run)).map(|r| r.job)
    }

    fn start(&mut self, sets: &[EvalSets]) {
        let Some(plan) = self.plan.take() else { return };
        match &mut self.table {
            // Going on: what is on screen stays there, and is confirmed as it comes from where it was kept.
            Some(table) => Arc::make_mut(table).sets = sets.to_vec(),
            None => self.table = Some(Arc::new(Table::new(plan, sets.to_vec(), self.asked.runs.clone()))),
        }
        self.dirty = true;
        // An outline has no intervals, in no language.
        self.touched = self.table.iter().flat_map(|t| 0..t.plan.langs.len()).collect();
    }

    fn take(&mut self, records: &[EvalRecord], kept: bool, now: Duration) {
        let Some(table) = self.table.as_mut().map(Arc::make_mut) else { return };
        let taken = records.iter().filter(|r| table.insert((*r).clone())).count();
        self.touched.extend(records.iter().map(|r| r.lang));
        if kept {
            self.kept += taken;
        } else {
            self.fresh += taken;
        }
        if let Some(running) = &mut self.running {
            running.last = now;
        }
        self.dirty = true;
        self.refresh(now);
    }

    /// Summarises anew where something came in, and not too often.
    fn refresh(&mut self, now: Duration) {
        if !self.dirty || now < self.summarised + PAUSE {
            return;
        }
        if let Some(table) = &self.table {
            self.summary = outline_after(table, &self.summary, &self.touched);
        }
        self.touched.clear();
        (self.dirty, self.summarised) = (false, now);
    }

    fn finish(&mut self, end: End) {
        (self.running, self.end, self.dirty) = (None, Some(end), false);
        if let Some(table) = &self.table {
            // Intervals are drawn for a whole table only: they take a moment.
            let (there, total) = table.progress(None);
            self.summary = if there == total { summarise(table, SEED) } else { outline(table) };
        }
    }

    fn changed(&mut self, shared: &Shared) {
        self.outdated = self.table.is_some() && self.settings(shared) != self.asked;
    }

    fn next_run(&mut self) {
        let runs = self.table.as_ref().map_or(0, |t| t.runs.len());
        self.run = (self.run + 1) % runs.max(1);
        if self.run > 0 {
            self.aligned = self.run;
        }
        self.settle_item();
    }

    /// Puts the selection on an item that the filter lets through.
    fn settle_item(&mut self) {
        let shown = self.shown_items();
        let next = shown.iter().find(|i| **i >= self.item).or(shown.last());
        self.item = next.copied().unwrap_or(self.item);
    }

    fn step(&mut self, by: isize) {
        let rows = if self.open { self.shown_items() } else { self.order() };
        let place = if self.open { &mut self.item } else { &mut self.selected };
        let at = rows.iter().position(|r| r == place).unwrap_or(0);
        let to = at.saturating_add_signed(by).min(rows.len().saturating_sub(1));
        *place = rows.get(to).copied().unwrap_or(0);
    }

    /// Another language's items.
    fn step_language(&mut self, by: isize) {
        self.open = false;
        self.step(by);
        self.open = true;
        self.settle_item();
    }

    fn on_list(&mut self, action: Action, cx: &mut Cx) -> bool {
        let library = cx.shared.library.clone();
        let Some(list) = &mut self.list else { return false };
        if !list.on_action(action, &mut self.chosen, &*library) {
            return false;
        }
        if !list.open {
            self.list = None;
        }
        self.changed(cx.shared);
        true
    }

    /// What changes what would be evaluated; false where the action is another.
    fn choose(&mut self, action: Action, shared: &Shared) -> bool {
        match action {
            Action::ToggleLanguages => self.list = Some(LanguageList::new(&self.chosen, &*shared.library)),
            Action::NextLimit => {
                let at = LIMITS.iter().position(|l| *l == self.limit).map_or(0, |i| i + 1);
                self.limit = LIMITS[at % LIMITS.len()];
            }
            Action::NextScore => {
                self.score = match self.score {
                    Score::PrefixSet => Score::Loglik,
                    Score::Loglik => Score::PrefixSet,
                }
            }
            _ => return false,
        }
        self.changed(shared);
        true
    }
}

impl Pane for EvalPane {
    fn on_action(&mut self, action: Action, cx: &mut Cx) -> bool {
        if self.on_list(action, cx) || self.choose(action, cx.shared) {
            return true;
        }
        let half =
            isize::from(i16::try_from(self.space(self.area.0, self.area.1).list / 2).unwrap_or(1).max(1));
        match action {
            Action::Compute => self.compute(cx),
            Action::Play => match self.running.as_ref().map(|r| r.job) {
                Some(job) => cx.send(Command::Cancel { job }),
                None => self.compute(cx),
            },
            Action::Open if self.table.is_none() && self.running.is_none() => self.compute(cx),
            Action::Open if self.table.is_some() && !self.open => {
                self.open = true;
                self.settle_item();
            }
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::HalfUp => self.step(-half),
            Action::HalfDown => self.step(half),
            Action::PageUp => self.step(-2 * half),
            Action::PageDown => self.step(2 * half),
            Action::First => self.step(isize::MIN / 2),
            Action::Last => self.step(isize::MAX / 2),
            Action::Left if self.open => self.step_language(-1),
            Action::Right if self.open => self.step_language(1),
            Action::NextMeasure => self.measure = self.measure.next(),
            Action::ToggleOrder => self.by_change = !self.by_change,
            Action::NextRun => self.next_run(),
            Action::NextFilter if self.open => {
                self.filter = self.filter.next(self.other().is_some());
                self.settle_item();
            }
            _ => return false,
        }
        true
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx) {
        if let Event::ModelLoaded { .. } = event {
            *self = Self {
                chosen: self.chosen.clone(),
                score: self.score,
                limit: self.limit,
                measure: self.measure,
                area: self.area,
                ..Self::default()
            };
            return;
        }
        let Some(running) = &mut self.running else { return };
        let mine = running.job;
        match event {
            Event::Progress { job, stage, done, total, unit } if *job == mine => {
                (running.stage, running.unit) = (stage.clone(), unit.clone());
                (running.done, running.total) = (*done, *total);
                if unit == "answers" {
                    running.begun.get_or_insert(cx.now);
                }
            }
            Event::EvalStarted { job, sets } if *job == mine => self.start(sets),
            Event::EvalRecords { job, records, kept } if *job == mine => self.take(records, *kept, cx.now),
            Event::EvalDone { job, elapsed_ms } if *job == mine => {
                self.finish(End::Done { elapsed_ms: *elapsed_ms })
            }
            Event::Failed { job, message } if *job == mine => {
                self.finish(End::Stopped);
                self.error = Some(message.clone());
            }
            Event::Cancelled { job } if *job == mine => self.finish(End::Stopped),
            _ => {}
        }
    }

    fn on_query(&mut self, _visible: bool, cx: &mut Cx) {
        // Another item or language of the query is nothing to the table; a task, style or adapter is.
        self.changed(cx.shared);
    }

    fn on_area(&mut self, width: u16, height: u16, _cx: &mut Cx) {
        self.area = (width, height);
    }

    fn on_mouse(&mut self, mouse: PaneMouse, _cx: &mut Cx) -> bool {
        match mouse.kind {
            MouseKind::WheelUp => self.step(-3),
            MouseKind::WheelDown => self.step(3),
            MouseKind::Click if self.list.is_none() => {
                let rows = if self.open { self.shown_items() } else { self.order() };
                let place = if self.open { &mut self.item } else { &mut self.selected };
                let at = rows.iter().position(|r| r == place).unwrap_or(0);
                let space = match self.open {
                    true => Space::items(mouse.width, mouse.height),
                    false => Space::table(mouse.width, mouse.height, rows.len(), self.asked.runs.len() > 1),
                };
                let Some(row) = space.row_at(mouse.x, mouse.y, mouse.width) else { return false };
                let clicked = rows.get(scroll(at, rows.len(), usize::from(space.list)) + row);
                let Some(clicked) = clicked.copied() else { return false };
                if clicked == *place && !self.open {
                    self.open = true;
                    self.settle_item();
                } else {
                    *place = clicked;
                }
            }
            _ => return false,
        }
        true
    }

    fn on_tick(&mut self, cx: &mut Cx) {
        self.refresh(cx.now);
    }

    fn awaits_tick(&self, now: Duration) -> bool {
        self.dirty && now >= self.summarised + PAUSE
    }

    fn animating(&self) -> bool {
        self.dirty
    }

    fn back(&mut self) -> bool {
        self.list.take().is_some() || std::mem::take(&mut self.open)
    }

    fn job(&self) -> Option<JobId> {
        self.running.as_ref().map(|r| r.job)
    }

    fn copy_text(&self, _shared: &Shared) -> Option<String> {
        crate::app::panes::eval_export::copied(self)
    }

    fn export(&self, shared: &Shared) -> Option<serde_json::Value> {
        crate::app::panes::eval_export::document(self, shared)
    }
}

#[cfg(test)]
#[path = "eval_tests.rs"]
mod tests;
