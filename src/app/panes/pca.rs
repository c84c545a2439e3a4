//! The languages in a plane, layer by layer: what was asked for, what has arrived, what is shown.

use crate::app::action::Action;
use crate::app::library::Library;
use crate::app::panes::alignment;
use crate::app::panes::languages::{Chosen, LanguageList};
use crate::app::panes::speed::Speed;
use crate::app::shared::{Cx, MouseKind, Pane, PaneMouse, Shared};
use crate::engine::protocol::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What fills the pane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PcaView {
    #[default]
    Scatter,
    /// The measure of every pair of languages, as a heat map.
    Matrix,
    /// All measures of all pairs.
    Table,
}

/// A job under way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Running {
    pub job: JobId,
    pub since: Duration,
    pub stage: String,
    pub done: u64,
    pub total: u64,
}

/// What an answer depends on, besides the model.
#[derive(Clone, Debug, Default, PartialEq)]
struct Settings {
    task: String,
    style: Style,
    protocol: Protocol,
    langs: Vec<String>,
    runs: Vec<RunId>,
    adapters: Vec<String>,
    pooling: Pooling,
    shared_fit: bool,
}

/// State of the pane.
#[derive(Clone, Debug, Default)]
pub struct PcaPane {
    pub answer: Option<Arc<PcaAnswer>>,
    /// Names of the answer's runs, as they were when it was asked for.
    pub run_names: Vec<String>,
    /// All languages are in the answer.
    pub complete: bool,
    /// The answer's settings are no longer the current ones.
    pub outdated: bool,
    pub running: Option<Running>,
    pub error: Option<String>,
    pub languages: Chosen,
    /// The list for choosing languages, while it is open.
    pub list: Option<LanguageList>,
    pub pooling: Pooling,
    pub shared_fit: bool,
    /// Index into the answer's layers.
    pub at: usize,
    /// When the next layer is shown, while playing.
    pub playing: Option<Duration>,
    pub speed: Speed,
    pub measure: Alignment,
    pub view: PcaView,
    /// The curve over the layers takes the scatter's place.
    pub curve: bool,
    /// Row of the pair table.
    pub pair: usize,
    /// Where the mouse was last, in cells of the pane: the drawing finds the point there.
    pub mouse: Option<(u16, u16)>,
    /// One range for all layers, so that they can be compared; else each layer fills the plot.
    pub fixed_axes: bool,
    pub dots: bool,
    /// Show this run alone; `None`: all side by side.
    pub only: Option<usize>,
    /// The picked layer was chosen by hand: a new answer does not move it.
    touched: bool,
    asked: Settings,
    /// Columns of the pane.
    width: u16,
}

impl PcaPane {
    /// The layer indices there are.
    pub fn layers(&self) -> Vec<usize> {
        let run = self.answer.as_ref().and_then(|a| a.runs.first());
        run.map_or(Vec::new(), |r| r.layers.iter().map(|l| l.layer).collect())
    }

    /// The shown layer of the i-th run.
    pub fn layer(&self, run: usize) -> Option<&PcaLayer> {
        self.answer.as_ref()?.runs.get(run)?.layers.get(self.at)
    }

    /// Pairs that the answer has, the paper's first.
    pub fn pairs(&self) -> Vec<String> {
        self.answer.as_ref().map_or(Vec::new(), |a| alignment::pairs(a))
    }

    /// A pair's measure at every layer of a run, as (layer, measure).
    pub fn over_layers(&self, run: usize, pair: &str) -> Vec<(f64, Measure)> {
        let run = self.answer.as_ref().and_then(|a| a.runs.get(run));
        let layers = run.map_or(&[][..], |r| &r.layers);
        layers.iter().filter_map(|l| Some((l.layer as f64, self.measure.of(l, pair)?))).collect()
    }

    /// Positions of a run's points: every language's, at the shown layer.
    pub fn points(&self, run: usize) -> Option<&BTreeMap<String, Vec<[f64; 2]>>> {
        self.layer(run).map(|l| &l.points)
    }

    /// To another layer; stops at the ends.
    pub fn go(&mut self, by: isize) {
        let last = self.layers().len().saturating_sub(1);
        self.at = self.at.saturating_add_signed(by).min(last);
        self.touched = true;
    }

    /// Starts or stops playing through the layers.
    pub fn toggle_play(&mut self, now: Duration) {
        self.playing = match self.playing {
            Some(_) => None,
            None if self.layers().len() > 1 => Some(now + self.step()),
            None => None,
        };
        self.touched = true;
    }

    /// The next layer, when its time has come; from the last to the first.
    pub fn tick(&mut self, now: Duration) {
        let Some(next) = self.playing else { return };
        let layers = self.layers().len();
        if now < next || layers == 0 {
            return;
        }
        self.at = (self.at + 1) % layers;
        // A late frame does not make the next ones hurry.
        self.playing = Some((next + self.step()).max(now));
    }

    fn step(&self) -> Duration {
        self.speed.step()
    }

    fn settings(&self, shared: &Shared) -> Settings {
        let runs = shared.runs();
        let names = runs.iter().map(|r| shared.run_name(*r).to_owned());
        Settings {
            task: shared.task.clone(),
            style: shared.style,
            protocol: shared.protocol,
            langs: self.languages.codes(&*shared.library),
            adapters: names.collect(),
            runs,
            pooling: self.pooling,
            shared_fit: self.shared_fit,
        }
    }

    /// Asks for the PCA with the current settings.
    pub fn compute(&mut self, cx: &mut Cx) {
        self.error = None;
        if cx.shared.model.is_none() {
            self.error = Some("No model is loaded: press m to choose one.".into());
            return;
        }
        let settings = self.settings(cx.shared);
        let items = match prompts(&*cx.shared.library, &settings) {
            Ok(items) => items,
            Err(message) => {
                self.error = Some(message);
                return;
            }
        };
        let job = cx.jobs.issue();
        let request = PcaRequest {
            items,
            runs: settings.runs.clone(),
            layers: Vec::new(),
            pooling: settings.pooling,
            protocol: settings.protocol,
            shared_fit: settings.shared_fit,
            seed: 0,
        };
        self.running = Some(Running { job, since: cx.now, ..Running::default() });
        self.asked = settings;
        cx.send(Command::Pca { job, request });
    }

    /// Takes a question over as if it had been asked here.
    pub fn adopt(&mut self, job: JobId, request: &PcaRequest, cx: &Cx) {
        let codes: Vec<&str> = request.items.iter().map(|(lang, _)| lang.as_str()).collect();
        self.languages = Chosen::of(&codes);
        (self.pooling, self.shared_fit) = (request.pooling, request.shared_fit);
        self.error = None;
        self.running = Some(Running { job, since: cx.now, ..Running::default() });
        self.asked = self.settings(cx.shared);
    }

    /// A setting of the pane was changed: where an answer is shown or awaited, ask again.
    fn changed(&mut self, cx: &mut Cx) {
        let same = self.settings(cx.shared) == self.asked;
        if (self.answer.is_some() || self.running.is_some()) && !(same && self.error.is_none()) {
            self.compute(cx);
        }
        self.outdated = self.answer.is_some() && self.running.is_none() && !same;
    }

    fn take(&mut self, answer: PcaAnswer, complete: bool) {
        let first = self.answer.is_none();
        self.run_names = answer.runs.iter().map(|r| self.name_of(r.run)).collect();
        self.answer = Some(Arc::new(answer));
        (self.complete, self.outdated) = (complete, false);
        let layers = self.layers().len();
        if first && !self.touched {
            // The middle layers are where the languages meet.
            self.at = layers * 2 / 3;
        }
        self.at = self.at.min(layers.saturating_sub(1));
        self.pair = self.pair.min(self.pairs().len().saturating_sub(1));
        self.only = self.only.filter(|i| *i < self.run_names.len());
        if complete {
            self.running = None;
        }
    }

    fn name_of(&self, run: RunId) -> String {
        let at = self.asked.runs.iter().position(|r| *r == run);
        at.and_then(|i| self.asked.adapters.get(i).cloned()).unwrap_or_else(|| "base".into())
    }

    /// How many scatters stand side by side in the pane.
    pub fn fitting(&self) -> usize {
        usize::from((self.width - side_width(self.width)) / 30).max(1)
    }

    /// Side by side, then each run alone; where only one fits, one after the other.
    fn next_run(&mut self) {
        let runs = self.run_names.len();
        self.only = match self.only {
            None if runs > 1 && self.fitting() == 1 => Some(1),
            None if runs > 1 => Some(0),
            Some(i) if i + 1 < runs => Some(i + 1),
            _ => None,
        };
    }

    fn move_pair(&mut self, by: isize) {
        let last = self.pairs().len().saturating_sub(1);
        self.pair = self.pair.saturating_add_signed(by).min(last);
    }

    /// An action while the list of languages is open.
    fn on_list(&mut self, action: Action, cx: &mut Cx) -> bool {
        let library = cx.shared.library.clone();
        let Some(list) = &mut self.list else { return false };
        if !list.on_action(action, &mut self.languages, &*library) {
            return false;
        }
        if !list.open {
            self.list = None;
            self.changed(cx);
        }
        true
    }
}

/// All languages' prompts for a request.
fn prompts(library: &dyn Library, settings: &Settings) -> Result<Vec<(String, Vec<Item>)>, String> {
    if settings.langs.len() < 2 {
        return Err("Choose at least two languages: press / and mark them.".into());
    }
    let prompts = |lang: &String| {
        let items = library.prompts(&settings.task, lang, settings.style, settings.protocol)?;
        Ok((lang.clone(), items))
    };
    settings.langs.iter().map(prompts).collect()
}

impl Pane for PcaPane {
    fn on_action(&mut self, action: Action, cx: &mut Cx) -> bool {
        if self.on_list(action, cx) {
            return true;
        }
        let half = 5;
        match action {
            Action::Compute => self.compute(cx),
            Action::Play => self.toggle_play(cx.now),
            Action::Left => self.go(-1),
            Action::Right => self.go(1),
            Action::First | Action::LineStart => self.go(isize::MIN / 2),
            Action::Last | Action::LineEnd => self.go(isize::MAX / 2),
            Action::Up => self.move_pair(-1),
            Action::Down => self.move_pair(1),
            Action::HalfUp | Action::PageUp => self.move_pair(-half),
            Action::HalfDown | Action::PageDown => self.move_pair(half),
            Action::Faster => self.speed.change(1),
            Action::Slower => self.speed.change(-1),
            Action::ToggleLanguages => {
                self.list = Some(LanguageList::new(&self.languages, &*cx.shared.library))
            }
            Action::ToggleAxes => self.fixed_axes = !self.fixed_axes,
            Action::ToggleMarks => self.dots = !self.dots,
            Action::ToggleCurve => self.curve = !self.curve,
            Action::NextRun => self.next_run(),
            Action::NextMeasure => {
                let at = Alignment::ALL.iter().position(|m| *m == self.measure).map_or(0, |i| i + 1);
                self.measure = Alignment::ALL[at % Alignment::ALL.len()];
            }
            Action::Open => {
                self.view = match self.view {
                    PcaView::Scatter => PcaView::Matrix,
                    PcaView::Matrix => PcaView::Table,
                    PcaView::Table => PcaView::Scatter,
                };
            }
            Action::NextPooling => {
                self.pooling = match self.pooling {
                    Pooling::Mean => Pooling::Last,
                    Pooling::Last => Pooling::Query,
                    Pooling::Query => Pooling::Mean,
                };
                self.changed(cx);
            }
            Action::ToggleSharedFit => {
                self.shared_fit = !self.shared_fit;
                self.changed(cx);
            }
            _ => return false,
        }
        true
    }

    fn on_event(&mut self, event: &Event, _cx: &mut Cx) {
        if let Event::ModelLoaded { .. } = event {
            (self.answer, self.error, self.running, self.playing) = (None, None, None, None);
            return;
        }
        let Some(running) = &mut self.running else { return };
        let mine = running.job;
        match event {
            Event::Progress { job, stage, done, total, .. } if *job == mine => {
                (running.stage, running.done, running.total) = (stage.clone(), *done, *total);
            }
            Event::PcaReady { job, answer, complete } if *job == mine => self.take(answer.clone(), *complete),
            Event::Failed { job, message } if *job == mine => {
                (self.running, self.error) = (None, Some(message.clone()));
            }
            Event::Cancelled { job } if *job == mine => {
                self.running = None;
                self.outdated = self.answer.is_some();
            }
            _ => {}
        }
    }

    fn on_query(&mut self, _visible: bool, cx: &mut Cx) {
        // A new item is in the plane already; another task, style or adapter is not.
        self.outdated = self.answer.is_some() && self.settings(cx.shared) != self.asked;
    }

    fn on_area(&mut self, width: u16, _height: u16, _cx: &mut Cx) {
        self.width = width;
        self.mouse = None;
    }

    fn on_mouse(&mut self, mouse: PaneMouse, _cx: &mut Cx) -> bool {
        let slider = mouse.height.checked_sub(1) == Some(mouse.y);
        match mouse.kind {
            MouseKind::Click | MouseKind::Drag if slider && mouse.width > 1 => {
                let layers = self.layers().len();
                let (from, width) = slider_track(mouse.width);
                let x = usize::from(mouse.x.saturating_sub(from).min(width - 1));
                self.at = (x * layers.saturating_sub(1) + usize::from(width - 1) / 2)
                    / usize::from(width - 1).max(1);
                (self.touched, self.playing) = (true, None);
            }
            MouseKind::Move => self.mouse = Some((mouse.x, mouse.y)),
            MouseKind::WheelUp => self.go(1),
            MouseKind::WheelDown => self.go(-1),
            _ => return false,
        }
        true
    }

    fn on_tick(&mut self, cx: &mut Cx) {
        self.tick(cx.now);
    }

    fn awaits_tick(&self, now: Duration) -> bool {
        self.playing.is_some_and(|next| now >= next)
    }

    fn animating(&self) -> bool {
        self.playing.is_some() || self.running.is_some()
    }

    fn back(&mut self) -> bool {
        let open = self.list.take().is_some() || self.view != PcaView::Scatter || self.curve;
        (self.view, self.curve) = (PcaView::Scatter, false);
        open || self.playing.take().is_some()
    }

    fn job(&self) -> Option<JobId> {
        self.running.as_ref().map(|r| r.job)
    }

    fn copy_text(&self, _shared: &Shared) -> Option<String> {
        let pair = self.pairs().get(self.pair)?.clone();
        let values = (0..self.run_names.len()).filter_map(|run| {
            let m = self.measure.of(self.layer(run)?, &pair)?;
            Some(format!("{pair}\t{}\t{}\t{}", self.run_names[run], self.measure.name(), m.value))
        });
        Some(values.collect::<Vec<_>>().join("\n"))
    }

    fn export(&self, _shared: &Shared) -> Option<serde_json::Value> {
        serde_json::to_value(self.answer.as_deref()?).ok()
    }
}

/// Columns of the table of pairs beside the scatter, in a pane `width` columns wide; 0 where it has none.
pub fn side_width(width: u16) -> u16 {
    if width >= 64 { (width * 2 / 5).clamp(24, 46) } else { 0 }
}

/// First column and width of the layer slider in a pane `width` columns wide.
pub fn slider_track(width: u16) -> (u16, u16) {
    let from = 12.min(width / 3);
    (from, width.saturating_sub(from + 14).max(1))
}

#[cfg(test)]
#[path = "pca_tests.rs"]
mod tests;
