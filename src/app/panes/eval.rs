//! An evaluation: what is chosen, how far it is, the table as it fills, and the items behind it.

use crate::app::library::EvalWish;
use crate::app::panes::eval_view::{EvalMeasure, ItemFilter, Space};
use crate::app::panes::languages::{Chosen, LanguageList};
use crate::app::shared::Shared;
use crate::engine::protocol::*;
use crate::eval::{LangSummary, Prediction, Summary, Table, predict};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What an evaluation depends on, besides the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pub wish: EvalWish,
    pub runs: Vec<RunId>,
    /// The runs' names.
    pub names: Vec<String>,
}

/// An evaluation under way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Running {
    pub job: JobId,
    pub since: Duration,
    /// What the engine is at: a language's code, once it answers.
    pub stage: String,
    pub done: u64,
    pub total: u64,
    pub unit: String,
    /// When the first query was begun, and when the last answer came.
    pub(super) begun: Option<Duration>,
    pub(super) last: Duration,
}

/// How the last evaluation ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// All answers are there, after so many milliseconds.
    Done { elapsed_ms: f64 },
    /// Stopped by the user: what is there stays.
    Stopped,
}

/// An item to be looked at through the lens.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    pub task: String,
    pub lang: String,
    /// Place among the language's items, from 0.
    pub item: usize,
    pub style: Style,
    pub protocol: Protocol,
}

/// State of the pane.
#[derive(Clone, Debug)]
pub struct EvalPane {
    pub table: Option<Arc<Table>>,
    /// Of the table, as it was a moment ago.
    pub summary: Summary,
    /// What the table was asked for with.
    pub asked: Settings,
    pub running: Option<Running>,
    pub end: Option<End>,
    pub error: Option<String>,
    /// Answers of this evaluation that were there before, and that were computed.
    pub kept: usize,
    pub fresh: usize,
    /// What is chosen now is not what the table was asked for with.
    pub outdated: bool,
    pub chosen: Chosen,
    /// The list for choosing languages, while it is open.
    pub list: Option<LanguageList>,
    pub score: Score,
    pub limit: Option<usize>,
    pub measure: EvalMeasure,
    /// Languages with the largest gain first, instead of in their order.
    pub by_change: bool,
    /// Index into the table's runs: whose confusions and wrong answers are shown.
    pub run: usize,
    /// Index into the table's runs: which is compared with the base.
    pub(super) aligned: usize,
    /// Index into the table's languages.
    pub selected: usize,
    /// The selected language's items are shown.
    pub open: bool,
    /// Index into the selected language's items.
    pub item: usize,
    pub filter: ItemFilter,
    /// The plan of an evaluation that has not started to answer.
    pub(super) plan: Option<EvalPlan>,
    pub(super) dirty: bool,
    /// Languages whose answers are not in the summary yet.
    pub(super) touched: BTreeSet<usize>,
    pub(super) summarised: Duration,
    pub(super) area: (u16, u16),
}

impl Default for EvalPane {
    fn default() -> Self {
        Self {
            table: None,
            summary: Summary::default(),
            asked: Settings::default(),
            running: None,
            end: None,
            error: None,
            kept: 0,
            fresh: 0,
            outdated: false,
            chosen: Chosen::all(),
            list: None,
            score: Score::default(),
            limit: None,
            measure: EvalMeasure::default(),
            by_change: false,
            run: 0,
            aligned: 0,
            selected: 0,
            open: false,
            item: 0,
            filter: ItemFilter::default(),
            plan: None,
            dirty: false,
            touched: BTreeSet::new(),
            summarised: Duration::ZERO,
            area: (0, 0),
        }
    }
}

impl Running {
    /// Whether queries are being answered (before that, files are read).
    pub fn answers(&self) -> bool {
        self.begun.is_some()
    }
}

impl EvalPane {
    /// What is chosen at the moment.
    pub fn settings(&self, shared: &Shared) -> Settings {
        let task = shared.library.tasks().iter().find(|t| t.id == shared.task);
        let mut langs = self.chosen.codes(&*shared.library);
        langs.retain(|code| task.is_none_or(|t| t.langs.contains(code)));
        let wish = EvalWish {
            task: shared.task.clone(),
            langs,
            style: shared.style,
            protocol: shared.protocol,
            score: self.score,
            limit: self.limit,
        };
        let runs = shared.runs();
        let names = runs.iter().map(|r| shared.run_name(*r).to_owned()).collect();
        Settings { wish, runs, names }
    }

    /// Answers that are there, and answers that there will be.
    pub fn progress(&self) -> (usize, usize) {
        self.table.as_ref().map_or((0, 0), |t| t.progress(None))
    }

    /// Answers computed in a second, so far.
    pub fn rate(&self) -> Option<f64> {
        let running = self.running.as_ref()?;
        let seconds = running.last.checked_sub(running.begun?)?.as_secs_f64();
        (self.fresh > 0 && seconds > 0.05).then(|| self.fresh as f64 / seconds)
    }

    /// Seconds left at `now`, by the rate so far; less where answers are kept.
    pub fn left(&self, now: Duration) -> Option<f64> {
        let (there, total) = self.progress();
        let since = now.saturating_sub(self.running.as_ref()?.last).as_secs_f64();
        Some(((total - there) as f64 / self.rate()? - since).max(0.0))
    }

    /// The run that is compared with the base, as an index into the table's runs.
    pub fn other(&self) -> Option<usize> {
        let runs = self.table.as_ref().map_or(0, |t| t.runs.len());
        (runs > 1).then(|| self.aligned.clamp(1, runs - 1))
    }

    /// A run's name.
    pub fn name(&self, run: usize) -> &str {
        self.asked.names.get(run).map_or("", String::as_str)
    }

    /// A language's numbers under a run.
    pub fn cell(&self, run: usize, lang: usize) -> Option<&LangSummary> {
        self.summary.runs.get(run)?.languages.get(lang)?.as_ref()
    }

    /// What the compared run has more of the measure than the base.
    pub fn change(&self, lang: usize) -> Option<f64> {
        let of = |run| self.measure.of(self.cell(run, lang)?);
        Some(of(self.other()?)? - of(0)?)
    }

    /// The languages in the order they are shown, as indices into the plan's.
    pub fn order(&self) -> Vec<usize> {
        let langs = self.table.as_ref().map_or(0, |t| t.plan.langs.len());
        let mut order: Vec<usize> = (0..langs).collect();
        if self.by_change {
            let key = |l: &usize| match self.other() {
                Some(_) => self.change(*l),
                None => self.cell(0, *l).and_then(|c| self.measure.of(c)),
            };
            order.sort_by(|a, b| key(b).unwrap_or(f64::MIN).total_cmp(&key(a).unwrap_or(f64::MIN)));
        }
        order
    }

    /// What a run answered to an item of the selected language.
    pub fn verdict(&self, run: usize, item: usize) -> Option<Prediction> {
        self.table.as_ref()?.item(run, self.selected, item).map(predict)
    }

    /// The selected language's plan.
    pub fn lang(&self) -> Option<&EvalLang> {
        self.table.as_ref()?.plan.langs.get(self.selected)
    }

    /// The items that the filter lets through, as indices into the language's.
    pub fn shown_items(&self) -> Vec<usize> {
        let Some(lang) = self.lang() else { return Vec::new() };
        let passes = |i: &usize| match self.filter {
            ItemFilter::All => true,
            ItemFilter::Wrong => self.verdict(self.run, *i).is_some_and(|v| v.label != lang.items[*i].gold),
            ItemFilter::Changed => {
                let label = |run| self.verdict(run, *i).map(|v| v.label);
                self.other().is_some_and(|o| label(0).zip(label(o)).is_some_and(|(a, b)| a != b))
            }
        };
        (0..lang.items.len()).filter(passes).collect()
    }

    /// The item that Enter would open in the lens.
    pub fn opened(&self) -> Option<Opened> {
        let (table, lang) = (self.table.as_ref()?, self.lang()?);
        if !self.open || self.list.is_some() || !self.shown_items().contains(&self.item) {
            return None;
        }
        Some(Opened {
            task: table.plan.task.clone(),
            lang: lang.lang.clone(),
            item: lang.items.get(self.item)?.index,
            style: table.plan.style,
            protocol: table.plan.protocol,
        })
    }

    /// Rows and columns of what is shown.
    pub fn space(&self, width: u16, height: u16) -> Space {
        match self.open {
            true => Space::items(width, height),
            false => Space::table(width, height, self.order().len(), self.other().is_some()),
        }
    }
}
