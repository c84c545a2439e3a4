//! "Watch it align": lens and PCA of a training run step by step, beside the base, during the run and after it.

use super::alignment;
use super::speed::Speed;
use super::trace::Trace;
use super::watch_digest::LayerDigest;
use super::watch_export;
use super::watch_frames::{Frames, Kept, Scene};
use super::watch_request::{self, LanguageSet};
use crate::app::action::Action;
use crate::app::shared::{Cx, MouseKind, Pane, PaneMouse, Shared};
use crate::engine::protocol::*;
use std::path::PathBuf;
use std::time::Duration;

/// What a small pane shows one at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    #[default]
    Lens,
    /// The scatter.
    Plane,
    /// The table of language pairs.
    Pairs,
}

impl Part {
    /// All of them, in the order they are switched through.
    pub const ALL: [Self; 3] = [Self::Lens, Self::Plane, Self::Pairs];
}

/// The run that is watched.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// It goes on.
    pub live: bool,
    pub paused: bool,
    /// Steps done, and all steps.
    pub step: u64,
    pub total: u64,
    pub loss: Trace,
    pub eval_loss: Trace,
    pub frames: Frames,
    /// Its directory.
    pub out: PathBuf,
}

/// State of the view.
#[derive(Clone, Debug)]
pub struct WatchState {
    pub run: Run,
    /// The languages that the PCA pane shows: those that are watched.
    pub set: LanguageSet,
    /// What the run was last asked to watch, and its name.
    pub asked: Option<Watch>,
    label: String,
    /// What a run that begins next will be asked, and its name.
    wished: (Option<Watch>, String),
    /// What the run that has not started yet was asked.
    begun: Option<(Option<Watch>, String)>,
    /// The run's job, from when it is asked for.
    pub job: Option<JobId>,
    /// The frame looked at, by its number; `None` follows the newest.
    pinned: Option<u64>,
    /// When the next frame is shown, while playing.
    pub playing: Option<Duration>,
    pub speed: Speed,
    /// The layer chosen by hand; `None`: one that tells something.
    chosen: Option<usize>,
    pub measure: Alignment,
    pub part: Part,
    /// Paths of the languages' centroids since the base.
    pub trails: bool,
}

impl Default for WatchState {
    fn default() -> Self {
        let mut speed = Speed::default();
        speed.change(1);
        Self {
            run: Run::default(),
            set: LanguageSet::default(),
            asked: None,
            label: String::new(),
            wished: (None, String::new()),
            begun: None,
            job: None,
            pinned: None,
            playing: None,
            speed,
            chosen: None,
            measure: Alignment::default(),
            part: Part::default(),
            trails: true,
        }
    }
}

/// The one run's layers of a frame's lens.
pub fn lens_layer(frame: &TrainFrame, layer: usize) -> Option<&LensLayer> {
    let layers = &frame.lens.as_ref()?.runs.first()?.layers;
    layers.get(layer).filter(|l| l.layer == layer).or_else(|| layers.iter().find(|l| l.layer == layer))
}

/// The one run's layer of a frame's PCA.
pub fn pca_layer(frame: &TrainFrame, layer: usize) -> Option<&PcaLayer> {
    let layers = &frame.pca.as_ref()?.runs.first()?.layers;
    layers.get(layer).filter(|l| l.layer == layer).or_else(|| layers.iter().find(|l| l.layer == layer))
}

impl WatchState {
    /// What a run that begins now is to watch every so many steps: the current query and the PCA pane's languages;
    /// `None` where there is neither. [`WatchState::begin`] says that the run was asked for.
    pub fn wish(&mut self, every: u64, shared: &Shared) -> Option<Watch> {
        let watch = watch_request::watch(shared, &self.set, every);
        let label = watch.as_ref().map(|w| watch_request::label(shared, w)).unwrap_or_default();
        self.wished = (watch.clone(), label);
        watch
    }

    /// A run was asked for, with what was wished for last; its frames take the place of those before as soon as it
    /// starts.
    pub fn begin(&mut self, job: JobId) {
        self.job = Some(job);
        self.begun = Some(std::mem::take(&mut self.wished));
    }

    /// Asks the running job to watch the current query and languages from now on; false where nothing runs or there
    /// is nothing to watch.
    pub fn watch_current(&mut self, cx: &mut Cx) -> bool {
        let Some(job) = self.job.filter(|_| self.run.live) else { return false };
        let every = self.asked.as_ref().map_or(watch_request::EVERY, |w| w.every);
        let watch = self.wish(every, cx.shared);
        if watch.is_none() {
            return false;
        }
        (self.asked, self.label) = std::mem::take(&mut self.wished);
        self.follow();
        cx.send(Command::TrainWatch { job, watch });
        true
    }

    /// What a run that somebody else asks for watches; before [`WatchState::begin`].
    pub fn adopt(&mut self, watch: Option<&Watch>, shared: &Shared) {
        let label = watch.map(|w| watch_request::label(shared, w)).unwrap_or_default();
        self.wished = (watch.cloned(), label);
    }

    /// The running job watches something else from now on.
    pub fn expect(&mut self, watch: Option<&Watch>, shared: &Shared) {
        self.adopt(watch, shared);
        (self.asked, self.label) = std::mem::take(&mut self.wished);
        self.follow();
    }

    /// Whether the run watches another query than the current one.
    pub fn outdated(&self, shared: &Shared) -> bool {
        let Some(asked) = self.asked.as_ref().filter(|_| self.run.live) else { return false };
        let watched =
            asked.pca.as_ref().map(|p| (p.pooling, p.items.iter().map(|(lang, _)| lang).collect::<Vec<_>>()));
        let codes = self.set.codes(shared);
        let current =
            Some((self.set.pooling, codes.iter().collect::<Vec<_>>())).filter(|(_, codes)| codes.len() > 1);
        asked.query.as_ref().is_some_and(|q| *q != shared.query) || watched != current
    }

    /// The frame that is shown, with its index among the kept ones.
    pub fn current(&self) -> Option<(usize, &Kept)> {
        let kept = self.run.frames.all();
        let index = match self.pinned {
            Some(nth) => self.run.frames.find(nth).unwrap_or(0),
            None => kept.len().checked_sub(1)?,
        };
        Some((index, kept.get(index)?))
    }

    /// The scene that is shown: the current frame's, or that which has its base alone.
    pub fn scene(&self) -> Option<&Scene> {
        let index = self.current().map(|(_, k)| k.scene).or(self.run.frames.last_scene())?;
        self.run.frames.scene(index)
    }

    /// The base's frame for what is shown.
    pub fn base(&self) -> Option<&TrainFrame> {
        self.scene()?.base.as_deref()
    }

    /// The frame shown; before the first one the base's.
    pub fn frame(&self) -> Option<&TrainFrame> {
        self.current().map(|(_, k)| &*k.frame).or(self.base())
    }

    /// Frames of the scene that is shown, oldest first.
    pub fn of_scene(&self) -> impl Iterator<Item = &Kept> {
        let scene = self.current().map(|(_, k)| k.scene);
        self.run.frames.all().iter().filter(move |k| Some(k.scene) == scene)
    }

    /// A number of every frame of the scene, over the steps.
    pub fn series(&self, f: impl Fn(&Kept) -> Option<f64>) -> Vec<(f64, f64)> {
        self.of_scene().filter_map(|k| Some((k.frame.step as f64, f(k)?))).collect()
    }

    /// A layer's digests of the base's frame and of all frames of the scene that is shown.
    pub fn digests(&self, layer: usize) -> impl Iterator<Item = &LayerDigest> {
        let base = self.scene().map(|s| &s.digest);
        base.into_iter().chain(self.of_scene().map(|k| &k.digest)).filter_map(move |d| d.layer(layer))
    }

    /// Whether the newest frame is followed.
    pub fn following(&self) -> bool {
        self.pinned.is_none()
    }

    /// Index of the last layer, L; `None` before the first frame.
    pub fn last_layer(&self) -> Option<usize> {
        let frame = self.frame()?;
        let lens = frame.lens.as_ref().and_then(|a| a.runs.first()?.layers.last()).map(|l| l.layer);
        let pca = frame.pca.as_ref().and_then(|a| a.runs.first()?.layers.last()).map(|l| l.layer);
        lens.into_iter().chain(pca).max()
    }

    /// The layer that all parts show: the chosen one, else that of the upper middle at which the base thinks in
    /// English most, else two thirds up, where the languages meet.
    pub fn layer(&self) -> usize {
        let last = self.last_layer().unwrap_or(0);
        let telling = || {
            let base = self.base()?;
            let english = |k: usize| Some((lens_layer(base, k)?.curves?.en, k));
            let most = (last / 2..=last * 5 / 6).filter_map(english).filter(|(p, _)| *p > 0.02);
            most.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
        };
        self.chosen.or_else(telling).unwrap_or(last * 2 / 3).min(last)
    }

    /// Pairs of languages, the paper's first.
    pub fn pairs(&self) -> Vec<String> {
        self.frame().and_then(|f| f.pca.as_ref()).map_or(Vec::new(), alignment::pairs)
    }

    /// Seconds that a frame takes, of the newest one.
    pub fn seconds_a_frame(&self) -> Option<f64> {
        let last = self.run.frames.all().last()?;
        (last.frame.elapsed_ms > 0.0).then_some(last.frame.elapsed_ms / 1000.0)
    }

    /// To another frame; at the newest one it follows the run again.
    pub fn go(&mut self, by: isize) {
        let Some((index, _)) = self.current() else { return };
        let last = self.run.frames.all().len() - 1;
        let to = index.saturating_add_signed(by).min(last);
        self.pinned = (to < last).then(|| self.run.frames.all()[to].nth);
        self.playing = None;
    }

    /// To the newest frame, and on with the run.
    pub fn follow(&mut self) {
        (self.pinned, self.playing) = (None, None);
    }

    /// To the frame nearest to a step.
    pub fn go_to_step(&mut self, step: f64) {
        let distance = |k: &Kept| (k.frame.step as f64 - step).abs();
        let all = self.run.frames.all().iter().enumerate();
        let nearest = all.min_by(|a, b| distance(a.1).total_cmp(&distance(b.1))).map(|(i, _)| i);
        if let (Some(to), Some((from, _))) = (nearest, self.current()) {
            self.go(to as isize - from as isize);
        }
    }

    /// Plays from here on, from the first frame where this is the last; or pauses.
    fn toggle_play(&mut self, now: Duration) {
        if self.playing.take().is_some() || self.run.frames.all().len() < 2 {
            return;
        }
        if self.pinned.is_none() {
            self.pinned = self.run.frames.all().first().map(|k| k.nth);
        }
        self.playing = Some(now + self.speed.step());
    }

    fn move_layer(&mut self, by: isize) {
        if let Some(last) = self.last_layer() {
            self.chosen = Some(self.layer().saturating_add_signed(by).min(last));
        }
    }

    /// A run begins; one that goes on with the run shown keeps its frames up to there.
    fn start(&mut self, job: JobId, plan: &TrainPlan) {
        (self.asked, self.label) = self.begun.take().unwrap_or_default();
        if plan.done_steps == 0 || plan.out != self.run.out {
            self.run = Run { out: plan.out.clone(), ..Run::default() };
            self.chosen = None;
        } else {
            self.run.frames.cut(plan.done_steps);
            self.run.loss.push(plan.done_steps as f64, f64::NAN);
        }
        self.job = Some(job);
        let run = &mut self.run;
        (run.live, run.paused) = (true, false);
        (run.step, run.total) = (plan.done_steps, plan.total_steps);
        self.follow();
    }

    /// The last step of the time line: all steps, or those done where that is more.
    pub fn end(&self) -> f64 {
        let shown = self.run.frames.all().last().map_or(0, |k| k.frame.step);
        self.run.total.max(self.run.step).max(shown).max(1) as f64
    }
}

impl Pane for WatchState {
    fn on_action(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::Left => self.go(-1),
            Action::Right => self.go(1),
            Action::First | Action::LineStart => self.go(isize::MIN / 2),
            Action::Last | Action::LineEnd => self.follow(),
            Action::Up => self.move_layer(1),
            Action::Down => self.move_layer(-1),
            Action::HalfUp | Action::PageUp => self.move_layer(5),
            Action::HalfDown | Action::PageDown => self.move_layer(-5),
            Action::Play => self.toggle_play(cx.now),
            Action::Faster => self.speed.change(1),
            Action::Slower => self.speed.change(-1),
            Action::ToggleTrails => self.trails = !self.trails,
            Action::WatchQuery => return self.watch_current(cx),
            Action::NextMeasure => {
                let at = Alignment::ALL.iter().position(|m| *m == self.measure).map_or(0, |i| i + 1);
                self.measure = Alignment::ALL[at % Alignment::ALL.len()];
            }
            Action::NextPart => {
                let at = Part::ALL.iter().position(|p| *p == self.part).map_or(0, |i| i + 1);
                self.part = Part::ALL[at % Part::ALL.len()];
            }
            _ => return false,
        }
        true
    }

    /// Only one run goes on at a time: a new one takes the place of the one before.
    fn on_event(&mut self, event: &Event, _cx: &mut Cx) {
        match event {
            Event::TrainStarted { job, plan } => return self.start(*job, plan),
            Event::TrainFrame { job, frame } if Some(*job) == self.job => {
                return self.run.frames.push(frame.clone(), &self.label);
            }
            _ => {}
        }
        let run = &mut self.run;
        match event {
            Event::TrainStep { job, step } if Some(*job) == self.job => {
                run.step = step.step;
                run.total = run.total.max(step.step);
                run.loss.push(step.step as f64, step.loss);
            }
            Event::TrainValidated { job, step, eval_loss, .. } if Some(*job) == self.job => {
                run.eval_loss.push(*step as f64, *eval_loss);
            }
            Event::TrainPaused { job, paused } if Some(*job) == self.job => run.paused = *paused,
            Event::TrainDone { job, .. } | Event::Failed { job, .. } | Event::Cancelled { job }
                if Some(*job) == self.job =>
            {
                (run.live, run.paused) = (false, false);
            }
            _ => {}
        }
    }

    /// The time line at the bottom is a slider; the wheel moves through the layers.
    fn on_mouse(&mut self, mouse: PaneMouse, _cx: &mut Cx) -> bool {
        match mouse.kind {
            MouseKind::WheelUp => self.move_layer(1),
            MouseKind::WheelDown => self.move_layer(-1),
            MouseKind::Click | MouseKind::Drag => {
                let (from, width) = track(mouse.width);
                if mouse.y + timeline_rows(mouse.height) < mouse.height || width < 2 {
                    return false;
                }
                let x = mouse.x.saturating_sub(from).min(width - 1);
                self.go_to_step(f64::from(x) / f64::from(width - 1) * self.end());
            }
            MouseKind::Move => return false,
        }
        true
    }

    /// The next frame, when its time has come; stops at the newest one and follows it.
    fn on_tick(&mut self, cx: &mut Cx) {
        let Some(next) = self.playing.filter(|next| cx.now >= *next) else { return };
        self.go(1);
        if self.pinned.is_some() {
            // A late tick does not make the next ones hurry.
            self.playing = Some((next + self.speed.step()).max(cx.now));
        }
    }

    fn awaits_tick(&self, now: Duration) -> bool {
        self.playing.is_some_and(|next| now >= next)
    }

    fn animating(&self) -> bool {
        self.playing.is_some()
    }

    /// Back to the newest frame; false where it is shown already.
    fn back(&mut self) -> bool {
        let away = !self.following() || self.playing.is_some();
        self.follow();
        away
    }

    fn copy_text(&self, _shared: &Shared) -> Option<String> {
        watch_export::text(self)
    }

    fn export(&self, _shared: &Shared) -> Option<serde_json::Value> {
        watch_export::document(self)
    }
}

/// Rows of the time line at the bottom of a pane of this size.
pub fn timeline_rows(height: u16) -> u16 {
    match height {
        0..10 => 1,
        10..20 => 2,
        20..30 => 3,
        30..44 => 4,
        _ => 6,
    }
}

/// First column and width of the time line's track in a pane `width` columns wide.
pub fn track(width: u16) -> (u16, u16) {
    let from = 8.min(width / 4);
    (from, width.saturating_sub(from + 8.min(width / 4)).max(1))
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
