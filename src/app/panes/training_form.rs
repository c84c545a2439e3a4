//! The form of a run: what is chosen and typed, and the request that it makes.

use super::languages::{Chosen, LanguageList};
use super::training_fields::{Field, MODULES, SCHEDULES, files, frames, pairs, rows};
use crate::app::editor::Editor;
use crate::app::library::Library;
use crate::app::shared::Shared;
use crate::engine::protocol::{Schedule, TrainData, TrainPlan, TrainRequest, TrainSettings};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where runs are put unless something else is typed.
pub const RUNS: &str = "runs/";
/// Frames of a run, about, where the form says nothing.
const FRAMES: u64 = 20;

/// A named set of settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Zhang et al. 2024.
    #[default]
    Paper,
    /// A few steps at a higher rate: what training looks like, in a minute or two.
    Quick,
}

impl Preset {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Paper, Self::Quick];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "the paper's",
            Self::Quick => "quick look",
        }
    }

    /// Its settings.
    pub fn settings(self) -> TrainSettings {
        match self {
            Self::Paper => TrainSettings::default(),
            Self::Quick => TrainSettings {
                max_steps: Some(30),
                lr: 2e-4,
                batch_size: 8,
                eval_steps: 10,
                logging_steps: 1,
                save_steps: 15,
                ..TrainSettings::default()
            },
        }
    }
}

/// What is typed into a line at the moment.
#[derive(Clone, Debug)]
pub struct Typing {
    pub field: Field,
    pub editor: Editor,
    /// What a path may become, after Tab.
    pub candidates: Vec<String>,
}

/// State of the form.
#[derive(Clone, Debug)]
pub struct Form {
    pub sources: Chosen,
    pub target: String,
    /// PEFT's names of the modules with an adapter.
    pub modules: Vec<String>,
    pub schedule: Schedule,
    texts: BTreeMap<Field, String>,
    /// What no line shows.
    base: TrainSettings,
    pub selected: Field,
    /// Among [`MODULES`]: where the selection stands.
    pub module: usize,
    pub typing: Option<Typing>,
    /// The list of source languages, or of the target, while it is open.
    pub list: Option<(Field, LanguageList)>,
    /// What lies in [`RUNS`].
    pub existing: Vec<String>,
    /// The form changed then, and has not been asked about.
    pub changed: Option<Duration>,
    /// The engine's last answer to what is chosen, or why there is none.
    pub plan: Option<Result<TrainPlan, String>>,
    /// The plan is of an interrupted run that lies in the output directory.
    pub resumes: bool,
    /// Steps that the last plan had, whatever has changed since.
    pub last_total: Option<u64>,
}

impl Default for Form {
    fn default() -> Self {
        let mut form = Self {
            sources: Chosen::of(&["zh", "es"]),
            target: "en".into(),
            modules: Vec::new(),
            schedule: Schedule::default(),
            texts: BTreeMap::new(),
            base: TrainSettings::default(),
            selected: Field::default(),
            module: 0,
            typing: None,
            list: None,
            existing: Vec::new(),
            changed: None,
            plan: None,
            resumes: false,
            last_total: None,
        };
        form.set(Preset::Paper);
        form
    }
}

impl Form {
    /// Takes a preset's settings; languages, data and output stay.
    pub fn set(&mut self, preset: Preset) {
        let settings = preset.settings();
        for field in rows().flatten().filter(|f| f.typed()) {
            if !matches!(field, Field::Data | Field::Pairs | Field::Out | Field::Frames) {
                self.texts.insert(*field, field.text(&settings));
            }
        }
        self.modules.clone_from(&settings.targets);
        self.schedule = settings.scheduler;
        self.base = settings;
    }

    /// The preset whose settings stand in the form, if they do.
    pub fn preset(&self) -> Option<Preset> {
        Preset::ALL.into_iter().find(|p| self.settings().is_ok_and(|s| s == p.settings()))
    }

    /// A line's text, as typed so far.
    pub fn text(&self, field: Field) -> &str {
        match &self.typing {
            Some(typing) if typing.field == field => typing.editor.text(),
            _ => self.texts.get(&field).map_or("", String::as_str),
        }
    }

    /// Puts a text into a line.
    pub fn put(&mut self, field: Field, text: &str) {
        self.texts.insert(field, text.trim().to_owned());
    }

    /// The settings that the form means.
    ///
    /// # Errors
    /// The first wrong line, and a sentence on it.
    pub fn settings(&self) -> Result<TrainSettings, (Field, String)> {
        let mut settings =
            TrainSettings { targets: self.modules.clone(), scheduler: self.schedule, ..self.base.clone() };
        for field in rows().flatten() {
            field.read(self.text(*field), &mut settings).map_err(|e| (*field, e))?;
        }
        if settings.targets.is_empty() {
            return Err((
                Field::Modules,
                "No module is chosen: Space chooses the one under the cursor.".into(),
            ));
        }
        if settings.micro_batch > settings.batch_size {
            let (most, at_once) = (settings.batch_size, settings.micro_batch);
            let words = format!("{at_once} at once are more than a batch of {most}: type at most {most}.");
            return Err((Field::Micro, words));
        }
        Ok(settings)
    }

    /// The source languages: those chosen, but for the target.
    pub fn from(&self, library: &dyn Library) -> Vec<String> {
        self.sources.codes(library).into_iter().filter(|c| *c != self.target).collect()
    }

    /// The rows that the form names: files, or pairs of the task's own questions.
    fn data(&self, shared: &Shared) -> Result<Vec<TrainData>, (Field, String)> {
        let files = files(self.text(Field::Data)).map_err(|e| (Field::Data, e))?;
        if !files.is_empty() {
            return Ok(files);
        }
        let limit = pairs(self.text(Field::Pairs)).map_err(|e| (Field::Pairs, e))?;
        let task = shared.library.tasks().iter().find(|t| t.id == shared.task);
        let has = |code: &String| task.is_none_or(|t| t.langs.contains(code));
        let sources = self.from(&*shared.library);
        let target = self.target.clone();
        if sources.is_empty() {
            let words = format!("No language is chosen that is put into {target}: Enter opens the list.");
            return Err((Field::Sources, words));
        }
        if let Some(missing) = sources.iter().chain([&target]).find(|c| !has(c)) {
            let field = if *missing == target { Field::Target } else { Field::Sources };
            return Err((field, format!("The task {} has no questions in {missing}.", shared.task)));
        }
        let of = |source: String| TrainData::Task {
            task: shared.task.clone(),
            source,
            target: target.clone(),
            limit,
        };
        Ok(sources.into_iter().map(of).collect())
    }

    /// What the form asks for, its watch left out.
    ///
    /// # Errors
    /// The first wrong line, and a sentence on it.
    pub fn request(&self, shared: &Shared) -> Result<TrainRequest, (Field, String)> {
        let settings = self.settings()?;
        let data = self.data(shared)?;
        let out = self.out(&*shared.library);
        Ok(TrainRequest { settings, data, out, resume: self.resumes, ..TrainRequest::default() })
    }

    /// A sentence on what is wrong with a line.
    pub fn fault(&self, field: Field, shared: &Shared) -> Option<String> {
        let own = field.read(self.text(field), &mut TrainSettings::default()).err();
        own.or_else(|| self.request(shared).err().filter(|(f, _)| *f == field).map(|(_, words)| words))
    }

    /// The run's directory: as typed, else a name that is free as far as is known.
    pub fn out(&self, library: &dyn Library) -> PathBuf {
        match self.text(Field::Out).trim() {
            "" => PathBuf::from(self.free_name(library)),
            typed => PathBuf::from(typed),
        }
    }

    /// A name for the run that is free as far as is known.
    pub fn free_name(&self, library: &dyn Library) -> String {
        let sources = self.from(library);
        let languages = match sources.len() {
            0..=3 => sources.join("+"),
            n => format!("{}+{}", sources[..2].join("+"), n - 2),
        };
        let stem = match self.text(Field::Data).trim() {
            "" => format!("{RUNS}{languages}-{}", self.target),
            _ => format!("{RUNS}files"),
        };
        let taken = |name: &str| self.existing.iter().any(|e| e.trim_end_matches('/') == name);
        let names = (1..).map(|n: u32| format!("{stem}-{n}"));
        names.into_iter().find(|n| !taken(n)).unwrap_or(stem)
    }

    /// Notes that a directory is taken now.
    pub fn take_name(&mut self, out: &Path) {
        self.existing.push(out.display().to_string());
    }

    /// Steps between two frames; 0 without any.
    pub fn every(&self) -> u64 {
        let typed = frames(self.text(Field::Frames)).ok().flatten();
        typed.unwrap_or_else(|| self.last_total.map_or(10, |total| total.div_ceil(FRAMES).max(1)))
    }

    /// The plan that was answered, if it was one.
    pub fn planned(&self) -> Option<&TrainPlan> {
        self.plan.as_ref()?.as_ref().ok()
    }

    /// The row of the selected line, and whether it is the second of two.
    fn place(&self) -> (usize, usize) {
        let found = rows()
            .enumerate()
            .find_map(|(i, row)| row.iter().position(|f| *f == self.selected).map(|column| (i, column)));
        found.unwrap_or_default()
    }

    /// Up and down, in the same column where there are two.
    pub fn step(&mut self, by: isize) {
        let (row, column) = self.place();
        let last = rows().count() - 1;
        let to = row.saturating_add_signed(by).min(last);
        if let Some(fields) = rows().nth(to) {
            self.selected = fields[column.min(fields.len() - 1)];
        }
    }

    /// Left and right: to the other field of the row, along the modules, or to another value.
    pub fn sideways(&mut self, by: isize) {
        if self.selected == Field::Modules {
            self.module = self.module.saturating_add_signed(by).min(MODULES.len() - 1);
            return;
        }
        let (row, column) = self.place();
        if let Some(fields) = rows().nth(row) {
            self.selected = fields[column.saturating_add_signed(by).min(fields.len() - 1)];
        }
    }

    /// Switches the module under the cursor on or off.
    pub fn toggle_module(&mut self) {
        let name = MODULES[self.module.min(MODULES.len() - 1)].0;
        match self.modules.iter().position(|m| m == name) {
            Some(at) => _ = self.modules.remove(at),
            None => self.modules.push(name.to_owned()),
        }
        // In the decoder's order, so that the same choice is the same request.
        self.modules.sort_by_key(|m| MODULES.iter().position(|k| k.0 == m));
    }

    /// A larger or smaller value of the selected line; false where it has no next value.
    pub fn change(&mut self, up: bool, shared: &Shared) -> bool {
        match self.selected {
            Field::Schedule => {
                let at = SCHEDULES.iter().position(|s| s.0 == self.schedule).unwrap_or(0);
                let by = if up { 1 } else { SCHEDULES.len() - 1 };
                self.schedule = SCHEDULES[(at + by) % SCHEDULES.len()].0;
            }
            Field::Target => {
                let codes: Vec<&String> = shared.library.languages().iter().map(|l| &l.code).collect();
                let at = codes.iter().position(|c| **c == self.target).unwrap_or(0);
                let to = if up { at + 1 } else { at + codes.len().saturating_sub(1) };
                self.target = codes.get(to % codes.len().max(1)).map_or("en".into(), |c| (*c).clone());
            }
            field if field.typed() && !field.takes_paths() => {
                let Some(text) = stepped(self.text(field), up) else { return false };
                if field.read(&text, &mut TrainSettings::default()).is_err() {
                    return false;
                }
                self.put(field, &text);
            }
            _ => return false,
        }
        true
    }
}

/// The next round value: 8 becomes 16 or 4, 5e-5 becomes 1e-4 or 2e-5, 10 % becomes 15 % or 5 %.
fn stepped(text: &str, up: bool) -> Option<String> {
    let (plain, unit) = match text.trim().strip_suffix('%') {
        Some(share) => (share.trim(), " %"),
        None => (text.trim(), ""),
    };
    let value: f64 = plain.parse().ok().filter(|v: &f64| v.is_finite())?;
    if unit == " %" {
        return Some(format!("{}{unit}", (value + if up { 5.0 } else { -5.0 }).max(0.0)));
    }
    let next = match (value, up) {
        (0.0, true) => 1.0,
        (v, _) if v < 1.0 => decade(v, up),
        (1.0, false) => 0.0,
        (v, true) => v * 2.0,
        (v, false) => (v / 2.0).ceil(),
    };
    Some(if next < 0.01 && next > 0.0 { format!("{next:e}") } else { next.to_string() })
}

/// The next of 1, 2, 5 times a power of ten.
fn decade(v: f64, up: bool) -> f64 {
    let power = v.log10().floor() as i32;
    let steps = (power - 1..=power + 1).flat_map(|p| [1, 2, 5].map(|m| format!("{m}e{p}")));
    let steps: Vec<f64> = steps.filter_map(|s| s.parse().ok()).collect();
    let near = 1e-6 * v;
    let found = match up {
        true => steps.iter().find(|s| **s > v + near),
        false => steps.iter().rev().find(|s| **s < v - near),
    };
    found.copied().unwrap_or(v)
}

#[cfg(test)]
#[path = "training_form_tests.rs"]
mod tests;
