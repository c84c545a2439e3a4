//! What is done in the training pane: the form filled in, the run started and controlled.

use super::languages::{Chosen, LanguageList};
use super::training::{Sheet, TrainingPane};
use super::training_fields::Field;
use super::training_form::{Preset, Typing};
use super::training_place::FormPlace;
use super::training_run::{Phase, Run};
use crate::app::action::Action;
use crate::app::editor::{Edit, Editor};
use crate::app::keys::{Key, KeyInput};
use crate::app::shared::{Cx, Effect, MouseKind, PaneMouse, Shared};
use crate::engine::protocol::*;
use std::time::Duration;

impl TrainingPane {
    /// An action in the first view.
    pub(super) fn on_sheet(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::NextSheet => self.turn(),
            Action::SaveRun => self.save(cx),
            _ if self.sheet == Sheet::Form => return self.on_form(action, cx),
            Action::Play if self.sheet == Sheet::Run => self.play(cx),
            _ => return self.curves_mut().on_action(action),
        }
        true
    }

    fn on_form(&mut self, action: Action, cx: &mut Cx) -> bool {
        if self.on_list(action, cx) {
            return true;
        }
        let half = (self.area.1 / 4).max(1) as isize;
        match action {
            Action::Compute => self.start(cx),
            Action::Open | Action::Play => self.open(cx),
            Action::Up => self.form.step(-1),
            Action::Down => self.form.step(1),
            Action::HalfUp | Action::PageUp => self.form.step(-half),
            Action::HalfDown | Action::PageDown => self.form.step(half),
            Action::First => self.form.step(isize::MIN / 2),
            Action::Last => self.form.step(isize::MAX / 2),
            Action::Left => self.form.sideways(-1),
            Action::Right => self.form.sideways(1),
            Action::Faster | Action::Slower => {
                if self.form.change(action == Action::Faster, cx.shared) {
                    self.changed(cx);
                }
            }
            Action::NextPreset => {
                let next =
                    if self.form.preset() == Some(Preset::Paper) { Preset::Quick } else { Preset::Paper };
                self.form.set(next);
                self.changed(cx);
            }
            Action::ToggleLanguages => self.open_list(Field::Sources, cx),
            _ => return false,
        }
        true
    }

    /// Enter or Space on a line: it is typed into, switched, or its list opens.
    fn open(&mut self, cx: &mut Cx) {
        match self.form.selected {
            field @ (Field::Sources | Field::Target) => self.open_list(field, cx),
            Field::Modules => {
                self.form.toggle_module();
                self.changed(cx);
            }
            Field::Schedule => {
                self.form.change(true, cx.shared);
                self.changed(cx);
            }
            field => {
                let mut text = self.form.text(field).to_owned();
                if field == Field::Out && text.is_empty() {
                    text = self.form.out(&*cx.shared.library).display().to_string();
                }
                let editor = Editor::new(&text, false);
                self.form.typing = Some(Typing { field, editor, candidates: Vec::new() });
            }
        }
    }

    fn open_list(&mut self, field: Field, cx: &Cx) {
        let target = Chosen::of(&[&self.form.target]);
        let chosen = if field == Field::Target { &target } else { &self.form.sources };
        self.form.list = Some((field, LanguageList::new(chosen, &*cx.shared.library)));
    }

    fn on_list(&mut self, action: Action, cx: &mut Cx) -> bool {
        let library = cx.shared.library.clone();
        let Some((field, list)) = &mut self.form.list else { return false };
        let marks = matches!(action, Action::Open | Action::Play);
        let taken = if *field == Field::Target {
            let mut one = Chosen::of(&[]);
            let taken = list.on_action(action, &mut one, &*library);
            if let (true, [code]) = (marks, one.codes(&*library).as_slice()) {
                self.form.target.clone_from(code);
                list.open = false;
            }
            taken
        } else {
            list.on_action(action, &mut self.form.sources, &*library)
        };
        if !list.open {
            self.form.list = None;
        }
        if taken && marks {
            self.changed(cx);
        }
        taken
    }

    /// A key while something is typed into a line; false if it means something else.
    pub fn type_key(&mut self, key: KeyInput, cx: &mut Cx) -> bool {
        let Some(typing) = &mut self.form.typing else { return false };
        match key.key {
            Key::Esc => {
                self.form.typing = None;
                self.changed(cx);
            }
            Key::Enter => self.typed(cx),
            Key::Up | Key::Down => {
                self.typed(cx);
                self.form.step(if key.key == Key::Up { -1 } else { 1 });
            }
            Key::Tab if typing.field.takes_paths() => {
                let path = typing.editor.text()[path_at(typing.editor.text())..].to_owned();
                cx.effects.push(Effect::Complete(path));
            }
            Key::Tab => self.typed(cx),
            _ => {
                if typing.editor.key(key, usize::MAX) == Edit::Changed {
                    typing.candidates.clear();
                    self.changed(cx);
                }
            }
        }
        true
    }

    /// Pasted text, while something is typed.
    pub fn paste(&mut self, text: &str, cx: &mut Cx) {
        if let Some(typing) = &mut self.form.typing {
            typing.editor.insert(text.trim_end_matches(['\r', '\n']));
            self.changed(cx);
        }
    }

    fn typed(&mut self, cx: &mut Cx) {
        let Some(typing) = self.form.typing.take() else { return };
        self.form.selected = typing.field;
        let mut text = typing.editor.text().trim().to_owned();
        // The name that would have been chosen stays one that is chosen.
        if typing.field == Field::Out && text == self.form.free_name(&*cx.shared.library) {
            text.clear();
        }
        self.form.put(typing.field, &text);
        self.changed(cx);
    }

    /// Paths that begin as was typed; or what lies where runs are put.
    pub fn completed(&mut self, typed: &str, found: &[String], common: &str, cx: &mut Cx) {
        if typed == super::training_form::RUNS {
            self.form.existing = found.to_vec();
            self.form.existing.extend(self.run.as_ref().map(|r| r.out().display().to_string()));
            self.compare(cx);
        }
        let Some(typing) = &mut self.form.typing else { return };
        let text = typing.editor.text().to_owned();
        let at = path_at(&text);
        if !typing.field.takes_paths() || &text[at..] != typed {
            return;
        }
        if common.len() > typed.len() {
            typing.editor.set(&format!("{}{common}", &text[..at]));
        }
        typing.candidates = if found.len() > 1 { found.to_vec() } else { Vec::new() };
        self.changed(cx);
    }

    /// Why no run can start now, if none can: the line that is wrong, where one is, and a sentence.
    pub fn hindrance(&self, shared: &Shared) -> Option<(Option<Field>, String)> {
        if let Some(run) = self.active() {
            let out = run.out().display();
            return Some((None, format!("A run goes on in {out}: N shows it. One at a time.")));
        }
        if let Some(name) = &self.coming {
            return Some((None, format!("{name} is on its way: a run can start when it is loaded.")));
        }
        if shared.model.is_none() {
            return Some((None, "No model is loaded: m chooses the one to train.".into()));
        }
        match (self.form.request(shared), &self.form.plan) {
            (Err((field, words)), _) => Some((Some(field), words)),
            (_, Some(Err(words))) => Some((None, words.clone())),
            _ => None,
        }
    }

    /// Starts what stands in the form; where it cannot, goes to the line that is wrong.
    pub fn start(&mut self, cx: &mut Cx) {
        match (self.hindrance(cx.shared), self.form.request(cx.shared)) {
            (None, Ok(request)) => self.begin(request, cx),
            (Some((Some(field), _)), _) => self.form.selected = field,
            _ => {}
        }
    }

    /// Starts a run.
    fn begin(&mut self, mut request: TrainRequest, cx: &mut Cx) {
        let every = self.form.every();
        request.watch = if every > 0 { self.watch.wish(every, cx.shared) } else { None };
        let job = cx.jobs.issue();
        self.expect(job, request.clone(), cx.now);
        cx.send(Command::Train { job, request });
    }

    /// Takes a run over as if it had been asked for here.
    pub fn adopt(&mut self, job: JobId, request: TrainRequest, cx: &Cx) {
        self.watch.adopt(request.watch.as_ref(), cx.shared);
        self.expect(job, request, cx.now);
    }

    /// Waits for a run's events, whoever asked for it; one that is resumed keeps its curves.
    fn expect(&mut self, job: JobId, request: TrainRequest, now: Duration) {
        let goes_on = request.resume && self.run.as_ref().is_some_and(|r| r.out() == request.out);
        if !goes_on {
            self.live.restart(request.out.clone());
        }
        self.watch.begin(job);
        self.form.take_name(&request.out);
        self.run = Some(Run::new(job, request, now));
        (self.sheet, self.unseen, self.form.typing) = (Sheet::Run, false, None);
        (self.planning, self.form.changed) = (None, None);
    }

    /// Pause, go on; or resume what has stopped.
    fn play(&mut self, cx: &mut Cx) {
        let Some(run) = &self.run else { return };
        match run.phase {
            Phase::Running => self.control(TrainAction::Pause, cx),
            Phase::Pausing | Phase::Paused => self.control(TrainAction::Continue, cx),
            Phase::Ended(_) if run.resumable() && cx.shared.model.is_some() && self.coming.is_none() => {
                let request = TrainRequest { resume: true, out: run.out().to_owned(), ..run.request.clone() };
                self.begin(request, cx);
            }
            _ => {}
        }
    }

    fn save(&mut self, cx: &mut Cx) {
        if self
            .run
            .as_ref()
            .is_some_and(|r| matches!(r.phase, Phase::Running | Phase::Paused | Phase::Pausing))
        {
            self.control(TrainAction::Save, cx);
        }
    }

    /// Asks something of the run that goes on.
    pub fn control(&mut self, action: TrainAction, cx: &mut Cx) {
        let Some(run) = self.run.as_mut().filter(|r| r.active()) else { return };
        let job = run.job;
        self.expect_control(action);
        cx.send(Command::TrainControl { job, action });
    }

    /// Something was asked of the run that goes on.
    pub fn expect_control(&mut self, action: TrainAction) {
        let Some(run) = self.run.as_mut().filter(|r| r.active()) else { return };
        match action {
            TrainAction::Pause => run.phase = Phase::Pausing,
            TrainAction::Continue => run.phase = Phase::Running,
            TrainAction::Save => run.saving = true,
            TrainAction::StopAndSave => run.phase = Phase::Stopping,
            TrainAction::StopAndDiscard => run.phase = Phase::Discarding,
        }
    }

    /// A mouse event on the form.
    pub(super) fn form_mouse(&mut self, mouse: PaneMouse, cx: &mut Cx) -> bool {
        match mouse.kind {
            MouseKind::WheelUp if self.form.list.is_some() => _ = self.on_list(Action::Up, cx),
            MouseKind::WheelDown if self.form.list.is_some() => _ = self.on_list(Action::Down, cx),
            MouseKind::WheelUp => self.form.step(-1),
            MouseKind::WheelDown => self.form.step(1),
            MouseKind::Click if self.form.list.is_none() => {
                let place = FormPlace::new(mouse.width, mouse.height, self.form.selected);
                let Some(field) = place.field_at(mouse.x, mouse.y) else { return false };
                self.typed(cx);
                if field == self.form.selected && field != Field::Modules {
                    self.open(cx);
                } else {
                    self.form.selected = field;
                }
            }
            _ => return false,
        }
        true
    }
}

/// Where the path at the end of a typed line begins: after the last comma and a language's `=`.
fn path_at(text: &str) -> usize {
    let part = text.rfind(',').map_or(0, |i| i + 1);
    let blank = text[part..].len() - text[part..].trim_start().len();
    let part = part + blank;
    match text[part..].split_once('=') {
        Some((lang, _)) if !lang.is_empty() && !lang.contains('/') => part + lang.len() + 1,
        _ => part,
    }
}
