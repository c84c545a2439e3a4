//! What a recording leaves out: nothing that is a value, and nothing that an eye could see.

use crate::engine::protocol::*;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Milliseconds between two lines of a job's progress.
const PROGRESS: u64 = 100;
/// Frames of a run whose points are all kept; after twice as many every second, and so on.
const FRAMES: u64 = 200;
/// Significant digits of values, and of intervals, controls and points (of their range).
const VALUE: i32 = 7;
const PICTURE: i32 = 4;

/// Decides line by line what is written.
#[derive(Clone, Debug, Default)]
pub struct Thinner {
    progress: BTreeMap<JobId, Told>,
    runs: BTreeMap<JobId, Frames>,
    /// Time of the last line that was written.
    last: u64,
}

/// A job's progress as written, and what came after that.
#[derive(Clone, Debug)]
struct Told {
    t: u64,
    event: Event,
    held: Option<(u64, Event)>,
}

/// The frames of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    seen: u64,
    total: u64,
}

impl Thinner {
    /// What is written of an event, after what is owed from before: lines in their order.
    pub fn event<'a>(&mut self, t: u64, event: &'a Event) -> Vec<(u64, Cow<'a, Event>)> {
        let same = if let Event::Progress { job, .. } = event { Some(*job) } else { None };
        let mut out = self.owed(t, ended(event), same);
        if let Event::Progress { job, .. } = event {
            self.progress(t, *job, event, &mut out);
        } else {
            self.forget(event);
            out.push((t, self.frame(event)));
        }
        self.last = out.last().map_or(self.last, |(t, _)| *t);
        out
    }

    /// What is owed before a line of another kind at `t`.
    pub fn other(&mut self, t: u64) -> Vec<(u64, Cow<'static, Event>)> {
        let out = self.owed(t, None, None);
        self.last = t.max(self.last);
        out
    }

    /// Time of the last line that was written.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// All that is owed: the recording ends.
    pub fn end(&mut self) -> Vec<(u64, Event)> {
        let last = self.last;
        let held = self.progress.values_mut().filter_map(|told| told.held.take());
        let out: Vec<(u64, Event)> = held.map(|(t, event)| (t.max(last), event)).collect();
        // Those of several jobs were held in no order.
        let newest = out.iter().map(|(t, _)| *t).max().unwrap_or(last);
        self.last = newest;
        out.into_iter().map(|(_, event)| (newest, event)).collect()
    }

    /// Progress that was held back long enough, or whose job ends now; not that of the job that tells of more.
    fn owed<'a>(&mut self, t: u64, ends: Option<JobId>, but: Option<JobId>) -> Vec<(u64, Cow<'a, Event>)> {
        let mut out = Vec::new();
        for (job, told) in &mut self.progress {
            let due = (t >= told.t + PROGRESS && but != Some(*job)) || ends == Some(*job);
            let Some((at, event)) = told.held.take_if(|_| due) else { continue };
            // Times do not go back: other lines may have been written since.
            told.t = at.max(self.last);
            told.event = event.clone();
            out.push((told.t, Cow::Owned(event)));
            self.last = told.t;
        }
        if let Some(job) = ends {
            self.progress.remove(&job);
        }
        out
    }

    fn progress<'a>(&mut self, t: u64, job: JobId, event: &'a Event, out: &mut Vec<(u64, Cow<'a, Event>)>) {
        let Some(told) = self.progress.get_mut(&job) else {
            self.progress.insert(job, Told { t, event: event.clone(), held: None });
            out.push((t, Cow::Borrowed(event)));
            return;
        };
        if !same_work(&told.event, event) {
            // Another stage: where the one before had come to belongs to it.
            out.extend(told.held.take().map(|(at, held)| (at.max(self.last), Cow::Owned(held))));
        } else if *event == told.event {
            told.held = None;
            return;
        } else if t < told.t + PROGRESS {
            told.held = Some((t, event.clone()));
            return;
        }
        *told = Told { t, event: event.clone(), held: None };
        out.push((t, Cow::Borrowed(event)));
    }

    /// A step says more than the progress before it.
    fn forget(&mut self, event: &Event) {
        if let Event::TrainStep { job, .. } | Event::TrainStarted { job, .. } = event
            && let Some(told) = self.progress.get_mut(job)
        {
            told.held = None;
        }
    }

    /// A frame with the digits that are seen, and without points where there are many frames.
    fn frame<'a>(&mut self, event: &'a Event) -> Cow<'a, Event> {
        match event {
            Event::TrainStarted { job, plan } => {
                self.runs.entry(*job).or_default().total = plan.total_steps;
                Cow::Borrowed(event)
            }
            Event::TrainFrame { job, frame } => {
                let run = self.runs.entry(*job).or_default();
                let nth = if frame.base { 0 } else { run.seen };
                run.seen += u64::from(!frame.base);
                let last = run.total > 0 && frame.step >= run.total;
                let every = nth.checked_div(FRAMES).map_or(1, |n| (n + 1).next_power_of_two());
                let points = last || nth.is_multiple_of(every);
                let mut frame = frame.clone();
                frame.pca.iter_mut().flat_map(|p| &mut p.runs).flat_map(|r| &mut r.layers).for_each(|l| {
                    if !points {
                        l.points.clear();
                    }
                    round_layer(l);
                });
                Cow::Owned(Event::TrainFrame { job: *job, frame })
            }
            Event::TrainDone { job, .. } => {
                self.runs.remove(job);
                Cow::Borrowed(event)
            }
            _ => Cow::Borrowed(event),
        }
    }
}

/// Whether both are about the same piece of work.
fn same_work(a: &Event, b: &Event) -> bool {
    let of = |e: &Event| match e {
        Event::Progress { stage, total, unit, .. } => Some((stage.clone(), *total, unit.clone())),
        _ => None,
    };
    of(a) == of(b)
}

/// The job that ends with an event.
fn ended(event: &Event) -> Option<JobId> {
    match event {
        Event::ModelLoaded { job, .. }
        | Event::AdapterLoaded { job, .. }
        | Event::LensDone { job, .. }
        | Event::CurvesReady { job, .. }
        | Event::PcaReady { job, complete: true, .. }
        | Event::EvalDone { job, .. }
        | Event::PullDone { job, .. }
        | Event::TrainPlanned { job, .. }
        | Event::TrainDone { job, .. }
        | Event::Failed { job, .. }
        | Event::Cancelled { job } => Some(*job),
        _ => None,
    }
}

/// Values to 7 significant digits, their intervals and controls to 4, points to 4 of the layer's range.
fn round_layer(l: &mut PcaLayer) {
    let all = || l.points.values().flatten().flatten().copied().filter(|v| v.is_finite());
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let range = high - low;
    if range > 0.0 {
        let decimals = decimals(range, PICTURE);
        l.points.values_mut().flatten().flatten().for_each(|v| *v = round(*v, decimals));
    }
    l.pearson.values_mut().for_each(|v| *v = digits(*v, VALUE));
    l.explained_variance_ratio.iter_mut().for_each(|v| *v = digits(*v, VALUE));
    l.explained_variance_ratio_1d = digits(l.explained_variance_ratio_1d, VALUE);
    for m in l.cka.values_mut().chain(l.cosine_gap.values_mut()).chain(l.mexa.values_mut()) {
        m.value = digits(m.value, VALUE);
        [&mut m.low, &mut m.high, &mut m.shuffled].into_iter().for_each(|v| *v = digits(*v, PICTURE));
    }
}

/// Decimals at which a number of this size has so many significant digits.
fn decimals(size: f64, digits: i32) -> i32 {
    digits - 1 - size.abs().log10().floor() as i32
}

/// A number with so many significant digits.
fn digits(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() { value } else { round(value, decimals(value, digits)) }
}

fn round(value: f64, decimals: i32) -> f64 {
    // A whole number over a power of ten is the double that its short decimal text means.
    match decimals {
        0..=15 => (value * 10_f64.powi(decimals)).round() / 10_f64.powi(decimals),
        -15..0 => (value / 10_f64.powi(-decimals)).round() * 10_f64.powi(-decimals),
        _ => value,
    }
}

#[cfg(test)]
#[path = "thin_tests.rs"]
mod tests;
