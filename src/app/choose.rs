//! What is done with an overlay's answer: a choice, a typed word, a completed path.

use super::confirm::Leaving;
use super::overlay::{Choice, Outcome, Question};
use super::picker::{Entry, Picked};
use super::*;

impl App {
    /// Brings the open picker up to date with the catalogue or the adapters.
    pub(super) fn refresh_pickers(&mut self) {
        let Some(Overlay::Picker(choice, picker)) = &mut self.overlay else { return };
        match choice {
            Choice::Model => {
                let current = self.shared.model.as_ref().map(|m| m.name.as_str());
                let entries = self.model.catalogue.iter().map(|m| Entry {
                    id: m.name.clone(),
                    label: m.name.clone(),
                    detail: model_detail(m),
                    marked: current == Some(m.name.as_str()),
                    ..Entry::default()
                });
                picker.set_entries(entries.collect());
            }
            Choice::Adapter => {
                let entries = self.shared.adapters.iter().enumerate().map(|(i, a)| Entry {
                    id: format!("#{i}"),
                    label: a.info.name.clone(),
                    detail: format!("rank {} · probe {:.3}", a.info.rank, a.info.probe_change),
                    marked: a.shown,
                    words: a.info.path.display().to_string(),
                    ..Entry::default()
                });
                picker.set_entries(entries.collect());
            }
            _ => {}
        }
    }

    /// What an overlay's key led to.
    pub(super) fn on_overlay(&mut self, outcome: Outcome, effects: &mut Vec<Effect>) {
        match outcome {
            Outcome::Stay | Outcome::Picked(_, Picked::Stay | Picked::Filtered) => {}
            Outcome::Close => self.overlay = None,
            Outcome::Picked(Choice::Model | Choice::Adapter | Choice::Recording, Picked::Complete(typed))
            | Outcome::Complete(typed) => {
                effects.push(Effect::Complete(typed));
            }
            Outcome::Picked(_, Picked::Complete(_)) => {}
            Outcome::Picked(Choice::Adapter, Picked::Removed(id)) => self.drop_adapter(&id, effects),
            Outcome::Picked(_, Picked::Removed(_)) => {}
            Outcome::Picked(choice, Picked::Chosen(id)) => self.chosen(choice, &id, effects),
            Outcome::Confirmed(asked, answer) => {
                self.overlay = None;
                self.confirmed(asked, answer, effects);
            }
            Outcome::Answered(what, text) => {
                self.overlay = None;
                self.answered(what, &text, effects);
            }
        }
    }

    fn chosen(&mut self, choice: Choice, id: &str, effects: &mut Vec<Effect>) {
        if choice == Choice::Adapter {
            return self.choose_adapter(id, effects);
        }
        self.overlay = None;
        match choice {
            Choice::Language => self.set_language(id, effects),
            Choice::Task => {
                self.set_task(id);
                self.return_to_items(effects);
            }
            Choice::Item => {
                self.shared.item = id.parse().unwrap_or(0);
                self.return_to_items(effects);
            }
            Choice::Recording => effects.push(Effect::Play(id.to_owned())),
            Choice::Model => self.leave(Leaving::Model(id.to_owned()), effects),
            Choice::Palette => {
                let Some(binding) = id.parse::<usize>().ok().and_then(|i| action::KEYS.get(i)) else {
                    return;
                };
                if let action::Where::Pane(pane) = binding.place {
                    self.show(pane, effects);
                }
                self.act(binding.action, effects);
            }
            Choice::Adapter => {}
        }
    }

    /// Another task, in the same language where it has that.
    fn set_task(&mut self, id: &str) {
        self.shared.task = id.to_owned();
        let library = self.shared.library.clone();
        let langs = library.tasks().iter().find(|t| t.id == id).map_or(&[][..], |t| &t.langs);
        if let Some(first) = langs.first()
            && !langs.contains(&self.shared.lang)
        {
            self.shared.lang.clone_from(first);
        }
        self.load_items();
    }

    fn choose_adapter(&mut self, id: &str, effects: &mut Vec<Effect>) {
        match self.adapter_index(id) {
            Some(i) => {
                self.shared.adapters[i].shown = !self.shared.adapters[i].shown;
                self.requery(effects);
                self.refresh_pickers();
            }
            None => {
                let ready = self.shared.model.is_some();
                self.model.add_adapter(id, ready, &mut self.jobs, effects);
                self.overlay = None;
            }
        }
    }

    fn adapter_index(&self, id: &str) -> Option<usize> {
        id.strip_prefix('#')?.parse().ok().filter(|i| *i < self.shared.adapters.len())
    }

    fn drop_adapter(&mut self, id: &str, effects: &mut Vec<Effect>) {
        let Some(index) = self.adapter_index(id) else { return };
        let index = self.shared.adapters.remove(index).number;
        if let Some(job) = self.eval.job_with(Some(index)) {
            effects.push(Effect::Engine(crate::engine::protocol::Command::Cancel { job }));
        }
        effects.push(Effect::Engine(crate::engine::protocol::Command::DropAdapter { index }));
        self.requery(effects);
        self.refresh_pickers();
    }

    fn answered(&mut self, what: Question, text: &str, effects: &mut Vec<Effect>) {
        match what {
            Question::Track => {
                let words = text.split([',', '，', '、', ';']).map(str::trim).filter(|w| !w.is_empty());
                self.query.track = words.map(str::to_owned).collect();
                self.requery(effects);
            }
            Question::TrainingLog if !text.is_empty() => self.follow_log(PathBuf::from(text), effects),
            Question::WriteTo if text.to_lowercase().ends_with(".svg") => {
                effects.push(Effect::Picture(PathBuf::from(text)));
            }
            Question::WriteTo if !text.is_empty() => {
                let text_form = text.ends_with(".txt");
                let pane = self.pane(self.focus);
                let data = match text_form {
                    true => pane.copy_text(&self.shared),
                    false => pane.export(&self.shared).map(|v| format!("{v:#}\n")),
                };
                match data {
                    Some(data) => effects.push(Effect::Save { path: PathBuf::from(text), text: data }),
                    None => self.messages.info("There is nothing to write in this pane yet.", self.now),
                }
            }
            Question::RecordTo | Question::NoteText | Question::MarkName => {
                effects.extend(Tape::answer(what, text).map(Effect::Tape));
            }
            Question::TrainingLog | Question::WriteTo => {}
        }
    }

    /// Completions arrived for what was typed.
    pub(super) fn complete(&mut self, typed: &str, found: Vec<String>, effects: &mut Vec<Effect>) {
        let common = common_prefix(&found);
        let mut cx = Cx { shared: &self.shared, now: self.now, jobs: &mut self.jobs, effects };
        self.training.completed(typed, &found, &common, &mut cx);
        match &mut self.overlay {
            Some(Overlay::Picker(_, picker))
                if picker.filter.text() == typed && common.len() > typed.len() =>
            {
                picker.set_filter(&common);
            }
            Some(Overlay::Ask { field, candidates, .. }) if field.text() == typed => {
                if common.len() > typed.len() {
                    field.set(&common);
                }
                *candidates = if found.len() > 1 { found } else { Vec::new() };
            }
            _ => {}
        }
    }
}

fn model_detail(m: &CatalogueEntry) -> String {
    let size = match (m.cached, m.download) {
        (true, _) => "in the cache".to_owned(),
        (false, 0) => "to be fetched".to_owned(),
        (false, n) => format!("fetches {}", text::bytes(n)),
    };
    format!("{size} · {}", m.summary)
}

fn common_prefix(candidates: &[String]) -> String {
    let Some(first) = candidates.first() else { return String::new() };
    let mut end = first.len();
    for other in &candidates[1..] {
        end = first
            .char_indices()
            .find(|(i, c)| *i >= end || !other[*i..].starts_with(*c))
            .map_or(end, |(i, _)| i.min(end));
    }
    first[..end].to_owned()
}
