//! Mean curves over all items of a task in a language: asked for on request, kept by what was asked.

use crate::app::shared::{Cx, Shared};
use crate::engine::protocol::*;
use crate::eval::means::{LayerMeans, means};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Answers kept, so that going back to a language shows its curves at once.
const KEPT: usize = 24;

/// What an answer depends on, besides the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    pub task: String,
    pub lang: String,
    pub style: Style,
    protocol: Protocol,
    runs: Vec<RunId>,
    /// Names of the runs.
    names: Vec<String>,
}

impl Subject {
    /// What is chosen now.
    pub fn now(shared: &Shared) -> Self {
        let runs = shared.runs();
        Self {
            task: shared.task.clone(),
            lang: shared.lang.clone(),
            style: shared.style,
            protocol: shared.protocol,
            names: runs.iter().map(|r| shared.run_name(*r).to_owned()).collect(),
            runs,
        }
    }
}

/// An answer, as means.
#[derive(Clone, Debug, Default)]
pub struct Means {
    pub of: Subject,
    /// Items.
    pub n: usize,
    /// Each run with its layers.
    pub runs: Vec<(RunId, Vec<LayerMeans>)>,
}

/// A job under way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Running {
    pub job: JobId,
    pub of: Subject,
    pub since: Duration,
    pub done: u64,
    pub total: u64,
}

/// State of the view.
#[derive(Clone, Debug, Default)]
pub struct MeanCurves {
    /// The curves are in the table's place.
    pub shown: bool,
    pub running: Option<Running>,
    pub error: Option<String>,
    /// The newest last.
    kept: Vec<Arc<Means>>,
}

impl MeanCurves {
    /// The curves of what is chosen now, else those that came last; and whether they are the former.
    pub fn current(&self, shared: &Shared) -> Option<(&Means, bool)> {
        let now = Subject::now(shared);
        match self.kept.iter().find(|m| m.of == now) {
            Some(means) => Some((means, true)),
            None => self.kept.last().map(|m| (&**m, false)),
        }
    }

    /// Curves or table; the curves are asked for where they are not there.
    pub fn toggle(&mut self, cx: &mut Cx) {
        self.shown = !self.shown;
        let there = self.current(cx.shared).is_some_and(|(_, fresh)| fresh);
        if self.shown && !there && self.running.is_none() {
            self.compute(cx);
        }
    }

    /// Asks for the curves of what is chosen now.
    pub fn compute(&mut self, cx: &mut Cx) {
        self.error = None;
        if cx.shared.model.is_none() || cx.shared.told {
            return;
        }
        let of = Subject::now(cx.shared);
        if self.running.as_ref().is_some_and(|r| r.of == of) {
            return;
        }
        let items = match cx.shared.library.prompts(&of.task, &of.lang, of.style, of.protocol) {
            Ok(items) => items,
            Err(message) => {
                self.error = Some(message);
                return;
            }
        };
        let job = cx.jobs.issue();
        let (task, lang, style, runs) = (of.task.clone(), of.lang.clone(), of.style, of.runs.clone());
        self.running = Some(Running { job, of, since: cx.now, ..Running::default() });
        cx.send(Command::Curves { job, request: CurvesRequest { task, lang, style, items, runs } });
    }

    /// Takes a question over as if it had been asked here; what is chosen is what it asks about.
    pub fn adopt(&mut self, job: JobId, request: &CurvesRequest, cx: &Cx) {
        let total = (request.items.len() * request.runs.len()) as u64;
        let of = Subject::now(cx.shared);
        (self.shown, self.error) = (true, None);
        self.running = Some(Running { job, of, since: cx.now, done: 0, total });
    }

    /// An event, if it is about the job that goes on.
    pub fn on_event(&mut self, event: &Event, _cx: &Cx) {
        if let Event::ModelLoaded { .. } = event {
            *self = Self { shown: self.shown, ..Self::default() };
            return;
        }
        let Some(running) = &mut self.running else { return };
        let mine = running.job;
        match event {
            Event::Progress { job, done, total, .. } if *job == mine => {
                (running.done, running.total) = (*done, *total);
            }
            Event::CurvesReady { job, answer, .. } if *job == mine => {
                let of = std::mem::take(&mut running.of);
                self.running = None;
                self.take(of, answer);
            }
            Event::Failed { job, message } if *job == mine => {
                (self.running, self.error) = (None, Some(message.clone()));
            }
            Event::Cancelled { job } if *job == mine => {
                (self.running, self.error) = (None, Some("The mean curves were cancelled.".to_owned()));
            }
            _ => {}
        }
    }

    fn take(&mut self, of: Subject, answer: &CurvesAnswer) {
        self.kept.retain(|m| m.of != of);
        if self.kept.len() >= KEPT {
            self.kept.remove(0);
        }
        let runs = answer.runs.iter().map(|r| (r.run, means(r))).collect();
        self.kept.push(Arc::new(Means { of, n: answer.n, runs }));
    }

    /// A layer's means as text.
    pub fn copy_text(&self, layer: usize, shared: &Shared) -> Option<String> {
        let (means, _) = self.current(shared)?;
        let line = |(run, layers): &(RunId, Vec<LayerMeans>)| {
            let l = layers.iter().find(|l| l.layer == layer)?;
            let values = l.curves().map(|m| m.mean.to_string()).join("\t");
            Some(format!("layer {layer}\t{}\t{values}\t{}", means.name(*run), l.entropy_bits.mean))
        };
        Some(means.runs.iter().filter_map(line).collect::<Vec<_>>().join("\n"))
    }

    /// The means as a document.
    pub fn export(&self, shared: &Shared) -> Option<serde_json::Value> {
        let (means, _) = self.current(shared)?;
        let run = |(run, layers): &(RunId, Vec<LayerMeans>)| json!({ "adapter": run.map(|_| means.name(*run)), "curves": layers });
        Some(json!({
            "schema": "polylens.explorer-curves/1",
            "model": shared.model, "task": means.of.task, "lang": means.of.lang, "style": means.of.style,
            "protocol": means.of.protocol, "n": means.n, "runs": means.runs.iter().map(run).collect::<Vec<_>>(),
        }))
    }
}

impl Means {
    /// A run's name as it was when the curves were asked for.
    pub fn name(&self, run: RunId) -> &str {
        let at = self.of.runs.iter().position(|r| *r == run);
        at.and_then(|i| self.of.names.get(i)).map_or("base", String::as_str)
    }
}
