//! The transition: each kind of message, and the query's life.

use super::confirm::Confirm;
use super::keys::{Key, KeyInput};
use super::model::Change;
use super::overlay::{Outcome, Overlay};
use super::panes::query::Source;
use super::*;

impl App {
    /// Takes in one message at time `now` (since the start) and says what is to be done.
    pub fn update(&mut self, msg: Msg, now: Duration) -> Vec<Effect> {
        self.now = now;
        let mut effects = Vec::new();
        self.messages.expire(now);
        match msg {
            Msg::Act(action) => self.act(action, &mut effects),
            Msg::Adopt(command) => self.adopt(command, &mut effects),
            Msg::Key(key) => self.on_key(key, &mut effects),
            Msg::Ask { what, text } => self.ask(what, &text),
            Msg::Told { level: Level::Info, text } => self.messages.info(text, now),
            Msg::Told { level: Level::Warning, text } => self.messages.warn(text),
            Msg::Told { level: Level::Error, text } => self.messages.error(text),
            Msg::Paste(text) => self.on_paste(&text, &mut effects),
            Msg::Mouse { x, y, kind } => self.on_mouse(x, y, kind, &mut effects),
            Msg::Resize { width, height } => self.size = (width, height),
            Msg::Engine(event) => self.on_engine(&event, &mut effects),
            Msg::Tick => {
                for pane in PaneId::ALL {
                    if self.pane(pane).animating() {
                        self.with_pane(pane, &mut effects, |p, cx| p.on_tick(cx));
                    }
                }
            }
            Msg::Log { path, updates } => {
                if self.training_log.as_ref() == Some(&path) {
                    self.with_pane(PaneId::Training, &mut effects, |p, cx| p.on_log(&updates, cx));
                }
            }
            Msg::ModelFound { name, found } => {
                self.model.found(&name, found, &mut self.jobs, &mut effects);
                self.explain_stage();
            }
            Msg::Catalogue(Ok(entries)) => {
                self.model.catalogue = entries;
                self.refresh_pickers();
            }
            Msg::Catalogue(Err(message)) => self.messages.error(message),
            Msg::Completions { typed, candidates } => {
                self.complete(&typed, candidates, &mut effects);
            }
            Msg::Saved(Ok(path)) => self.messages.info(format!("Written to {}.", path.display()), now),
            Msg::Saved(Err(message)) => self.messages.error(message),
        }
        self.training.coming = self.model.coming();
        if self.query.due(now) {
            self.requery(&mut effects);
        }
        self.fit_panes(&mut effects);
        effects
    }

    /// With a model in use there is no card to say it: an offer or a failure is a message.
    fn explain_stage(&mut self) {
        if self.shared.model.is_none() {
            return;
        }
        match &self.model.stage {
            model::Stage::Failed { message, .. } => {
                self.messages.error(message.clone());
                self.model.stage = model::Stage::Idle;
            }
            stage => {
                if let Some(offer) = stage.offer() {
                    self.messages.warn(offer);
                }
            }
        }
    }

    /// Tells the panes on screen how large they are; the prompt is wrapped at its pane's width.
    fn fit_panes(&mut self, effects: &mut Vec<Effect>) {
        let Some(layout) = self.layout() else { return };
        for (pane, area) in layout.panes {
            let inner = area.inner();
            if pane == PaneId::Query {
                self.query.columns = usize::from(inner.width.saturating_sub(2)).max(4);
            }
            if self.areas.insert(pane, (inner.width, inner.height)) != Some((inner.width, inner.height)) {
                self.with_pane(pane, effects, |p, cx| p.on_area(inner.width, inner.height, cx));
            }
        }
    }

    fn on_key(&mut self, key: KeyInput, effects: &mut Vec<Effect>) {
        if key == KeyInput::ctrl('c') {
            return self.force_quit(effects);
        }
        if key == KeyInput::ctrl('z') {
            return self.act(Action::Suspend, effects);
        }
        if self.layout().is_none() {
            // Nothing is to be seen, so nothing but leaving may happen.
            if key == KeyInput::char('q') {
                self.act(Action::Quit, effects);
            }
        } else if let Some(overlay) = &mut self.overlay {
            let outcome = overlay.key(key);
            self.on_overlay(outcome, effects);
        } else if self.query.editing && self.edit_key(key, effects) {
            // Taken by the prompt.
        } else if self.form_key(key, effects) {
            // Taken by a line of the training form.
        } else if let Some(binding) = action::lookup(key, self.focus) {
            self.act(binding.action, effects);
        }
    }

    /// A key while a line of the training form is typed; false if none is.
    fn form_key(&mut self, key: KeyInput, effects: &mut Vec<Effect>) -> bool {
        let mut cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
        self.focus == PaneId::Training && self.training.shows_form() && self.training.type_key(key, &mut cx)
    }

    /// A key while the prompt is edited; false if it means something else.
    fn edit_key(&mut self, key: KeyInput, effects: &mut Vec<Effect>) -> bool {
        match key.key {
            Key::Esc => self.end_edit(effects),
            Key::Tab => {
                self.end_edit(effects);
                return false;
            }
            _ => return self.query.type_key(key, self.now) || key.text().is_some(),
        }
        true
    }

    /// Ends editing; what was typed last is asked about at once.
    pub(super) fn end_edit(&mut self, effects: &mut Vec<Effect>) {
        self.query.end_edit(&self.shared);
        if self.query.typed_at.take().is_some() {
            self.requery(effects);
        }
    }

    fn on_paste(&mut self, text: &str, effects: &mut Vec<Effect>) {
        let form = self.focus == PaneId::Training && self.training.form.typing.is_some();
        match &mut self.overlay {
            Some(overlay) => overlay.paste(text),
            None if form && self.training.shows_form() => {
                let mut cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
                self.training.paste(text, &mut cx);
            }
            None => {
                self.query.paste(text, self.now);
                if !self.query.editing {
                    self.messages.info("Pasted as a free text; f goes back to the task's items.", self.now);
                }
            }
        }
    }

    fn on_mouse(&mut self, x: u16, y: u16, kind: MouseKind, effects: &mut Vec<Effect>) {
        self.hover = Some((x, y));
        if kind == MouseKind::Move {
            return;
        }
        if self.overlay.is_some() {
            return self.mouse_on_overlay(x, y, kind, effects);
        }
        let Some(layout) = self.layout() else { return };
        if kind == MouseKind::Click {
            if let Some(pane) = layout.tab_at(x, y) {
                return self.show(pane, effects);
            }
            if layout.strip.contains(x, y) {
                return self.show(PaneId::Query, effects);
            }
            if layout.message.contains(x, y) {
                self.messages.dismiss();
                return;
            }
        }
        let Some((pane, area)) = layout.pane_at(x, y) else { return };
        if kind == MouseKind::Click && pane != self.focus {
            self.end_edit(effects);
            self.show(pane, effects);
        }
        let inner = area.inner();
        if inner.contains(x, y) {
            let (width, height) = (inner.width, inner.height);
            let mouse = PaneMouse { x: x - inner.x, y: y - inner.y, width, height, kind };
            self.with_pane(pane, effects, |p, cx| p.on_mouse(mouse, cx));
        }
    }

    fn mouse_on_overlay(&mut self, x: u16, y: u16, kind: MouseKind, effects: &mut Vec<Effect>) {
        let size = self.size;
        let Some(overlay) = &mut self.overlay else { return };
        let area = overlay.area(size);
        let row = overlay.picker_row(area, x, y);
        match (overlay, kind) {
            (_, MouseKind::Click) if !area.contains(x, y) => self.overlay = None,
            (Overlay::Picker(choice, picker), MouseKind::Click) => {
                let Some(row) = row else { return };
                picker.select(row);
                let outcome = Outcome::Picked(*choice, picker.choose());
                self.on_overlay(outcome, effects);
            }
            (Overlay::Confirm(confirm), MouseKind::Click) => {
                let row = y.checked_sub(area.y + Confirm::HEAD).map(usize::from);
                let answer = row.and_then(|r| confirm.options.get(r)).map(|o| o.answer);
                if let Some(answer) = answer {
                    let outcome = Outcome::Confirmed(confirm.asked.clone(), answer);
                    self.on_overlay(outcome, effects);
                }
            }
            (Overlay::Picker(_, picker), MouseKind::WheelUp) => picker.step(-3),
            (Overlay::Picker(_, picker), MouseKind::WheelDown) => picker.step(3),
            (Overlay::Help { scroll }, MouseKind::WheelUp) => *scroll = scroll.saturating_sub(3),
            (Overlay::Help { scroll }, MouseKind::WheelDown) => *scroll += 3,
            _ => {}
        }
    }

    fn on_engine(&mut self, event: &Event, effects: &mut Vec<Effect>) {
        if let Event::LensStarted { job, tokens, sets, .. } = event
            && Some(*job) == self.lens.job
        {
            self.shared.tokens.clone_from(tokens);
            self.shared.sets = sets.clone();
        }
        if let Event::Note { sentence, .. } = event {
            self.messages.warn(sentence.clone());
        }
        let change = match self.training.owns(event) {
            // The training pane shows its own progress.
            true => Change::Nothing,
            false => self.model.on_event(
                event,
                self.now,
                &mut self.shared,
                &mut self.jobs,
                &mut self.messages,
                effects,
            ),
        };
        if change == Change::Model {
            self.lens.clear();
        }
        for pane in PaneId::ALL {
            self.with_pane(pane, effects, |p, cx| p.on_event(event, cx));
        }
        // While more adapters are on their way, one query for all of them is enough.
        if change != Change::Nothing && !(change == Change::Adapters && self.model.awaits_adapters()) {
            self.requery(effects);
        }
        self.after_run(effects);
        self.after_adapter(event, effects);
        self.refresh_pickers();
    }

    /// The items of the current task and language.
    pub(super) fn load_items(&mut self) {
        match self.shared.library.items(&self.shared.task, &self.shared.lang) {
            Ok(items) => self.shared.items = items,
            Err(message) => {
                self.shared.items.clear();
                // A recording's task may be one that is not here: what was asked of it is in the file.
                if !self.shared.told {
                    self.messages.error(message);
                }
            }
        }
        self.shared.item = self.shared.item.min(self.shared.items.len().saturating_sub(1));
    }

    /// Composes the query and asks the engine; a running question is superseded.
    pub(super) fn requery(&mut self, effects: &mut Vec<Effect>) {
        if self.shared.told {
            return;
        }
        match self.query.compose(&self.shared) {
            Ok(query) => {
                self.shared.query = query;
                self.query.error = None;
            }
            Err(message) => {
                self.query.error = Some(message);
                return;
            }
        }
        let blank = self.query.source == Source::Free && self.shared.query.text.is_empty();
        if self.shared.model.is_none() || blank {
            return;
        }
        self.with_pane(PaneId::Lens, effects, |p, cx| p.on_query(true, cx));
        let mut cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
        self.lens.ask(&mut cx);
        for pane in PaneId::ALL.into_iter().filter(|p| *p != PaneId::Lens) {
            let visible = self.is_visible(pane);
            self.with_pane(pane, effects, |p, cx| p.on_query(visible, cx));
        }
    }
}
