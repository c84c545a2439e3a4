//! What each action does.

use super::confirm::Leaving;
use super::overlay::{Choice, Question};
use super::panes::eval::Opened;
use super::panes::query::{Source, next_style};
use super::picker::Picker;
use super::*;

impl App {
    /// Does an action of the key table.
    pub fn act(&mut self, action: Action, effects: &mut Vec<Effect>) {
        let action = match self.focus {
            PaneId::Query => self.query.field_action(action).unwrap_or(action),
            _ => action,
        };
        if self.act_program(action, effects)
            || self.act_query(action, effects)
            || self.act_model(action, effects)
        {
            return;
        }
        let pane = self.focus;
        self.with_pane(pane, effects, |p, cx| p.on_action(action, cx));
    }

    /// Actions of the program and the frame; true if it was one.
    fn act_program(&mut self, action: Action, effects: &mut Vec<Effect>) -> bool {
        match action {
            Action::Quit | Action::ForceQuit => self.leave(Leaving::Quit, effects),
            Action::Suspend => effects.push(Effect::Suspend),
            Action::Redraw => effects.push(Effect::Redraw),
            Action::Help => self.overlay = Some(Overlay::Help { scroll: 0 }),
            Action::Palette => self.pick(Choice::Palette, overlay::palette(self.focus)),
            Action::NextTheme => {
                let at = ThemeKind::ALL.iter().position(|t| *t == self.theme).unwrap_or(0);
                self.theme = ThemeKind::ALL[(at + 1) % ThemeKind::ALL.len()];
                effects.push(Effect::Redraw);
            }
            Action::Back => self.back(),
            Action::Dismiss => _ = self.messages.dismiss(),
            Action::CancelJob => self.cancel(effects),
            Action::Zoom => {
                self.zoomed = !self.zoomed;
                self.show(self.focus, effects);
            }
            Action::NextPane => self.cycle(1, effects),
            Action::PreviousPane => self.cycle(4, effects),
            Action::ShowQuery => self.show(PaneId::Query, effects),
            Action::ShowLens => self.show(PaneId::Lens, effects),
            Action::ShowGrid => self.show(PaneId::Grid, effects),
            Action::ShowPca => self.show(PaneId::Pca, effects),
            Action::ShowTraining => self.show(PaneId::Training, effects),
            Action::ShowEval => self.show(PaneId::Eval, effects),
            Action::StopRun => self.ask_to_stop(),
            Action::Record | Action::AddNote | Action::AddMark => {
                effects.extend(Tape::of(action).map(Effect::Tape));
            }
            Action::Copy => self.copy(effects),
            Action::Write => self.ask_file(),
            Action::OpenTrainingLog => {
                let path = self.training_log.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
                self.ask(Question::TrainingLog, &path);
            }
            _ => return false,
        }
        true
    }

    /// Actions that change the query; true if it was one.
    fn act_query(&mut self, action: Action, effects: &mut Vec<Effect>) -> bool {
        match action {
            Action::PickLanguage => self.pick(Choice::Language, overlay::languages(&self.shared)),
            Action::PickTask => self.pick(Choice::Task, overlay::tasks(&self.shared)),
            Action::PickItem => self.pick(Choice::Item, overlay::items(&self.shared)),
            Action::Filter if self.focus == PaneId::Query => {
                self.pick(Choice::Item, overlay::items(&self.shared));
            }
            Action::NextLanguage => self.step_language(true, effects),
            Action::PreviousLanguage => self.step_language(false, effects),
            Action::NextItem => self.step_item(true, effects),
            Action::PreviousItem => self.step_item(false, effects),
            Action::NextStyle | Action::PreviousStyle => {
                self.shared.style = next_style(self.shared.style, action == Action::NextStyle);
                self.return_to_items(effects);
            }
            Action::NextProtocol => {
                self.shared.protocol = match self.shared.protocol {
                    Protocol::Default => Protocol::Paper,
                    Protocol::Paper => Protocol::Default,
                };
                self.requery(effects);
            }
            Action::EditText => {
                self.show(PaneId::Query, effects);
                self.query.edit(&self.shared);
            }
            Action::ToggleSource => {
                self.query.source = match self.query.source {
                    Source::Item => Source::Free,
                    Source::Free => Source::Item,
                };
                self.query.scroll = 0;
                self.requery(effects);
                if self.query.source == Source::Free && self.query.free.text().is_empty() {
                    self.show(PaneId::Query, effects);
                    self.query.edit(&self.shared);
                }
            }
            Action::TrackWords => self.ask(Question::Track, &self.query.track.join(", ")),
            Action::Rerun => self.requery(effects),
            Action::Open if self.focus == PaneId::Eval => match self.eval.opened() {
                Some(opened) => self.look_at(opened, effects),
                None => return false,
            },
            _ => return false,
        }
        true
    }

    /// Actions on the model and its adapters; true if it was one.
    fn act_model(&mut self, action: Action, effects: &mut Vec<Effect>) -> bool {
        match action {
            Action::PickModel => {
                let mut picker = Picker::new("Model", "type a name, ORG/REPO or a path", Vec::new());
                picker.free = Some("Load");
                picker.empty = "looking at the catalogue".to_owned();
                picker.footer = "Enter loads or fetches   Tab completes a path   Esc goes back".to_owned();
                self.pick(Choice::Model, picker);
                self.refresh_pickers();
                effects.push(Effect::ListModels);
            }
            Action::PickRecording => self.pick(Choice::Recording, overlay::recordings()),
            Action::PickAdapter => {
                let mut picker = Picker::new("Adapters", "type a directory or ORG/REPO", Vec::new());
                picker.free = Some("Load");
                picker.empty = "none loaded: type the path of a PEFT adapter directory".to_owned();
                picker.footer = "Enter loads, shows or hides   C-x drops   Tab completes a path".to_owned();
                self.pick(Choice::Adapter, picker);
                self.refresh_pickers();
            }
            Action::ToggleAdapter if self.shared.adapters.is_empty() => {
                self.act_model(Action::PickAdapter, effects);
            }
            Action::ToggleAdapter => {
                let on = !self.shared.compares();
                self.shared.adapters.iter_mut().for_each(|a| a.shown = on);
                self.requery(effects);
            }
            Action::Fetch if self.training.active().is_some() => self.leave(Leaving::Fetch, effects),
            Action::Fetch => {
                if !self.fetch(effects) {
                    self.messages.info("There is nothing to fetch: m chooses a model.", self.now);
                }
            }
            Action::Open | Action::Compute if self.focus == PaneId::Training => {
                return self.use_result(action == Action::Compute, effects);
            }
            Action::Open if self.shared.model.is_none() && self.focus == PaneId::Lens => {
                return self.fetch(effects);
            }
            _ => return false,
        }
        true
    }

    /// Fetches the offered model, or tries again; false if there is nothing to fetch.
    pub(super) fn fetch(&mut self, effects: &mut Vec<Effect>) -> bool {
        if let Some(offer) = self.model.stage.offer() {
            self.messages.retract(&offer);
        }
        self.model.fetch(&mut self.jobs, effects)
    }

    /// Brings a pane on screen and gives it the focus.
    pub(super) fn show(&mut self, pane: PaneId, effects: &mut Vec<Effect>) {
        let before: Vec<PaneId> = PaneId::ALL.into_iter().filter(|p| self.is_visible(*p)).collect();
        if pane != PaneId::Query {
            self.main = pane;
            if self.query.editing {
                self.end_edit(effects);
            }
        }
        if !matches!(pane, PaneId::Query | PaneId::Lens) {
            self.side = pane;
        }
        self.focus = pane;
        for shown in PaneId::ALL {
            if self.is_visible(shown) && (shown == pane || !before.contains(&shown)) {
                self.with_pane(shown, effects, |p, cx| p.on_show(cx));
            }
        }
    }

    fn cycle(&mut self, by: usize, effects: &mut Vec<Effect>) {
        // Where several panes are on screen, Tab goes round those first.
        let shown: Vec<PaneId> =
            self.layout().map(|l| l.panes.iter().map(|(p, _)| *p).collect()).unwrap_or_default();
        let ring: &[PaneId] = if shown.len() > 2 { &shown } else { &PaneId::ALL };
        let at = ring.iter().position(|p| *p == self.focus).unwrap_or(0);
        let next = ring[if by == 1 { at + 1 } else { at + ring.len() - 1 } % ring.len()];
        self.show(next, effects);
    }

    fn back(&mut self) {
        let pane: &mut dyn Pane = match self.focus {
            PaneId::Query => &mut self.query,
            PaneId::Lens => &mut self.lens,
            PaneId::Grid => &mut self.grid,
            PaneId::Pca => &mut self.pca,
            PaneId::Training => &mut self.training,
            PaneId::Eval => &mut self.eval,
        };
        if !pane.back() && !self.messages.dismiss() {
            self.zoomed = false;
        }
    }

    fn cancel(&mut self, effects: &mut Vec<Effect>) {
        let panes = [self.focus].into_iter().chain(PaneId::ALL);
        let job = panes.filter_map(|p| self.pane(p).job()).next();
        match self.model.job().or(job).or_else(|| self.model.work().map(|w| w.job)) {
            Some(job) => effects.push(Effect::Engine(crate::engine::protocol::Command::Cancel { job })),
            None => self.messages.info("Nothing is being computed.", self.now),
        }
    }

    fn copy(&mut self, effects: &mut Vec<Effect>) {
        match self.pane(self.focus).copy_text(&self.shared) {
            Some(text) => {
                let first: String = text.lines().next().unwrap_or("").chars().take(40).collect();
                self.messages.info(format!("Copied: {first}"), self.now);
                effects.push(Effect::Copy(text));
            }
            None => self.messages.info("There is nothing to copy in this pane yet.", self.now),
        }
    }

    fn ask_file(&mut self) {
        // Without data there is still the picture.
        let end = if self.pane(self.focus).export(&self.shared).is_some() { "json" } else { "svg" };
        let pane = self.focus.name().to_lowercase();
        let name = format!("{pane}-{}-{}.{end}", self.shared.lang, self.shared.item + 1);
        self.ask(Question::WriteTo, &name);
    }

    pub(super) fn ask(&mut self, what: Question, text: &str) {
        let field = editor::Editor::new(text, false);
        self.overlay = Some(Overlay::Ask { what, field, candidates: Vec::new() });
    }

    fn pick(&mut self, choice: Choice, picker: Picker) {
        self.overlay = Some(Overlay::Picker(choice, Box::new(picker)));
    }

    /// Follows a training run's log.
    pub(super) fn follow_log(&mut self, path: PathBuf, effects: &mut Vec<Effect>) {
        self.training.follow(path.clone());
        self.training_log = Some(path.clone());
        effects.push(Effect::FollowLog(Some(path)));
    }

    fn step_language(&mut self, forwards: bool, effects: &mut Vec<Effect>) {
        let library = self.shared.library.clone();
        let task = library.tasks().iter().find(|t| t.id == self.shared.task);
        let codes: Vec<&String> = library.languages().iter().map(|l| &l.code).collect();
        let codes: Vec<&String> =
            codes.into_iter().filter(|c| task.is_none_or(|t| t.langs.contains(c))).collect();
        if codes.is_empty() {
            return;
        }
        let at = codes.iter().position(|c| **c == self.shared.lang).unwrap_or(0);
        let next = (at + if forwards { 1 } else { codes.len() - 1 }) % codes.len();
        self.set_language(codes[next], effects);
    }

    pub(super) fn set_language(&mut self, code: &str, effects: &mut Vec<Effect>) {
        self.shared.lang = code.to_owned();
        self.load_items();
        self.return_to_items(effects);
    }

    fn step_item(&mut self, forwards: bool, effects: &mut Vec<Effect>) {
        let n = self.shared.items.len();
        if n > 0 {
            self.shared.item = (self.shared.item + if forwards { 1 } else { n - 1 }) % n;
            self.return_to_items(effects);
        }
    }

    /// An evaluation's item becomes the query, and the lens shows it.
    fn look_at(&mut self, opened: Opened, effects: &mut Vec<Effect>) {
        let Opened { task, lang, item, style, protocol } = opened;
        (self.shared.task, self.shared.lang, self.shared.item) = (task, lang, item);
        (self.shared.style, self.shared.protocol) = (style, protocol);
        self.load_items();
        self.show(PaneId::Lens, effects);
        self.return_to_items(effects);
    }

    /// The query is the task's item again, and asked about.
    pub(super) fn return_to_items(&mut self, effects: &mut Vec<Effect>) {
        self.query.source = Source::Item;
        self.query.reset_text();
        self.requery(effects);
    }
}
