//! An answer computed anew, and compared with the recorded one.

use super::Walk;
use super::tally::{Compare, Tally};
use crate::engine::protocol::*;
use crate::engine::{Cancel, Engine};
use crate::error::Result;
use std::collections::BTreeMap;

/// What computes; a grid's columns are computed together.
pub struct Again<'a> {
    pub engine: &'a Engine,
    pub cancel: &'a Cancel,
    grid: Option<(JobId, BTreeMap<usize, Vec<GridCell>>)>,
    frame: Option<(Watch, TrainFrame)>,
}

impl<'a> Again<'a> {
    pub fn new(engine: &'a Engine, cancel: &'a Cancel) -> Self {
        Self { engine, cancel, grid: None, frame: None }
    }

    /// A column of a grid as it was asked for.
    fn column(&mut self, ask: &Command, run: RunId, position: usize) -> Result<Option<&Vec<GridCell>>> {
        let Command::Grid { job, query, from, to, .. } = ask else { return Ok(None) };
        if self.grid.as_ref().is_none_or(|(j, _)| j != job) {
            let mut columns = BTreeMap::new();
            self.engine.grid(query, run, *from, *to, self.cancel, &mut |position, cells| {
                columns.insert(position, cells);
            })?;
            self.grid = Some((*job, columns));
        }
        Ok(self.grid.as_ref().and_then(|(_, columns)| columns.get(&position)))
    }

    /// The base's frame of a watch.
    fn base_frame(&mut self, watch: &Watch) -> Result<TrainFrame> {
        if let Some((_, frame)) = self.frame.as_ref().filter(|(w, _)| w == watch) {
            return Ok(frame.clone());
        }
        let frame = self.engine.base_frame(watch, self.cancel, &mut |_, _, _, _| {})?;
        self.frame = Some((watch.clone(), frame.clone()));
        Ok(frame)
    }

    /// Whether a frame can be an answer to a watch.
    fn answers(&self, watch: &Watch, frame: &TrainFrame) -> Result<bool> {
        let lens = match (&watch.query, &frame.lens) {
            (Some(query), Some(lens)) => {
                let (ids, _) = self.engine.tokens_of(query)?;
                ids.iter().eq(lens.tokens.iter().map(|t| &t.id))
            }
            (a, b) => a.is_none() == b.is_none(),
        };
        let pca = match (&watch.pca, &frame.pca) {
            (Some(request), Some(pca)) => request.items.iter().map(|(l, _)| l).eq(&pca.langs),
            (a, b) => a.is_none() == b.is_none(),
        };
        Ok(lens && pca)
    }
}

impl Walk<'_> {
    fn tally(&mut self, what: &str) -> &mut Tally {
        let at = self.out.kinds.iter().position(|(name, _)| name == what).unwrap_or_else(|| {
            self.out.kinds.push((what.to_owned(), Tally::default()));
            self.out.kinds.len() - 1
        });
        &mut self.out.kinds[at].1
    }

    /// Counts an answer, and compares it.
    pub(super) fn with(&mut self, what: &str, line: u32, f: impl FnOnce(&mut Compare)) -> Result<()> {
        self.answers += 1;
        let tolerance = self.options.tolerance;
        let tally = self.tally(what);
        tally.answers += 1;
        f(&mut Compare { tally, tolerance, line });
        Ok(())
    }

    /// The runs of the recording that can be computed here: theirs, ours.
    fn runs(&mut self, runs: &[RunId]) -> Vec<(RunId, RunId)> {
        runs.iter().filter_map(|r| Some((*r, self.run(*r)?))).collect()
    }

    /// The recording's names of its runs.
    fn names(&self) -> impl Fn(RunId) -> String + use<> {
        let stamps = self.stamps.clone();
        move |run| {
            run.map_or("base".into(), |i| stamps.get(&i).map_or(format!("adapter {i}"), |s| s.0.clone()))
        }
    }

    pub(super) fn compare(&mut self, line: u32, what: &str, ask: &Command, event: &Event) -> Result<()> {
        let (engine, cancel) = (self.again.engine, self.again.cancel);
        let names = self.names();
        match (ask, event) {
            (Command::Lens { query, runs, top, .. }, Event::LensDone { answer, .. }) => {
                let runs = self.runs(runs);
                let ours: Vec<RunId> = runs.iter().map(|r| r.1).collect();
                if ours.is_empty() {
                    return self.missing(what);
                }
                let is = engine.lens(query, &ours, *top, cancel, &mut |_| {})?;
                let mut was = answer.clone();
                was.runs.retain(|r| runs.iter().any(|(theirs, _)| *theirs == r.run));
                self.with(what, line, |c| c.lens(&names, &was, &is))
            }
            (Command::Grid { .. }, Event::GridColumn { run, position, cells, .. }) => {
                let Some(ours) = self.run(*run) else { return self.missing(what) };
                let is = self.again.column(ask, ours, *position)?.cloned().unwrap_or_default();
                self.with(what, line, |c| {
                    let place = |k: usize| format!("{}, position {position}, layer {k}", names(*run));
                    if !c
                        .same(cells.len() == is.len(), || format!("position {position} is not in the prompt"))
                    {
                        return;
                    }
                    for (k, (a, b)) in cells.iter().zip(&is).enumerate() {
                        c.value(&|| place(k), f64::from(a.entropy_bits), f64::from(b.entropy_bits));
                        // Where two tokens are all but equal, either may be the first.
                        c.p(&|| format!("{}, token {:?}", place(k), a.token.text), a.token.p, b.token.p);
                    }
                })
            }
            (Command::Cell { query, layer, position, top, .. }, Event::CellReady { run, detail, .. }) => {
                let Some(ours) = self.run(*run) else { return self.missing(what) };
                let is = engine.cell(query, ours, *layer, *position, *top, cancel)?;
                self.with(what, line, |c| {
                    let at = |list: &str| format!("{}, layer {layer}, {list}", names(*run));
                    c.value(&|| at("entropy"), f64::from(detail.entropy_bits), f64::from(is.entropy_bits));
                    c.top(&|| at("residual"), &detail.residual, &is.residual);
                    c.top(&|| at("after attention"), &detail.after_attention, &is.after_attention);
                    c.top(&|| at("MLP"), &detail.mlp_output, &is.mlp_output);
                })
            }
            (Command::Pca { request, .. }, Event::PcaReady { answer, .. }) => {
                let runs = self.runs(&request.runs);
                if runs.is_empty() {
                    return self.missing(what);
                }
                let ours = PcaRequest { runs: runs.iter().map(|r| r.1).collect(), ..request.clone() };
                let is = engine.pca(&ours, cancel, &mut |_, _, _, _| {})?;
                let mut was = answer.clone();
                was.runs.retain(|r| runs.iter().any(|(theirs, _)| *theirs == r.run));
                self.with(what, line, |c| c.pca(&names, &was, &is))
            }
            (Command::Curves { request, .. }, Event::CurvesReady { answer, .. }) => {
                let runs = self.runs(&request.runs);
                if runs.is_empty() {
                    return self.missing(what);
                }
                let ours: Vec<RunId> = runs.iter().map(|r| r.1).collect();
                let is = engine.curves(&request.items, &ours, cancel, &mut |_, _, _, _| {})?;
                let mut was = answer.clone();
                was.runs.retain(|r| runs.iter().any(|(theirs, _)| *theirs == r.run));
                self.with(what, line, |c| c.means(&names, &was, &is))
            }
            (Command::Eval { request, .. }, Event::EvalRecords { records, .. }) => {
                self.records(line, what, &request.plan, records)
            }
            (Command::Train { job, .. }, Event::TrainFrame { frame, .. }) => {
                self.step_zero(line, what, *job, frame)
            }
            _ => {
                self.out.skip(format!("{what}: it answers another question"));
                Ok(())
            }
        }
    }

    fn missing(&mut self, what: &str) -> Result<()> {
        self.out.skip(format!("{what}: its adapter was not given"));
        Ok(())
    }

    fn records(&mut self, line: u32, what: &str, plan: &EvalPlan, records: &[EvalRecord]) -> Result<()> {
        let mut there = Vec::new();
        for record in records {
            match self.run(record.run) {
                Some(ours) => there.push((record, (ours, record.lang, record.slot))),
                None => self.missing(what)?,
            }
        }
        let slots = |l: usize| plan.langs.get(l).map_or(0, EvalLang::slots);
        if let Some((r, _)) = there.iter().find(|(r, _)| r.slot >= slots(r.lang)) {
            let (lang, slot) = (r.lang, r.slot);
            return self.with(what, line, |c| {
                c.same(false, || format!("there is no query {slot} of language {lang} in the plan"));
            });
        }
        if there.is_empty() {
            return Ok(());
        }
        let (engine, names) = (self.again.engine, self.names());
        let sets = engine.eval_sets(plan)?;
        let wanted: Vec<_> = there.iter().map(|(_, unit)| *unit).collect();
        let mut found = BTreeMap::new();
        engine.evaluate(plan, &sets, &wanted, self.again.cancel, &mut |records| {
            found.extend(records.into_iter().map(|r| ((r.run, r.lang, r.slot), r)));
            Ok(())
        })?;
        self.with(what, line, |c| {
            for (was, unit) in &there {
                let lang = &plan.langs[was.lang].lang;
                let place = |label: usize| {
                    let label = plan.labels.get(label).map_or("", String::as_str);
                    format!("{}, {lang}, query {}, {label}", names(was.run), was.slot + 1)
                };
                let none = EvalRecord::default();
                let is = found.get(unit).unwrap_or(&none);
                if !c.same(was.p.len() == is.p.len(), || place(0)) {
                    continue;
                }
                was.p.iter().zip(&is.p).enumerate().for_each(|(i, (a, b))| c.p(&|| place(i), *a, *b));
                let logs = was.loglik.iter().zip(&is.loglik).enumerate();
                logs.for_each(|(i, (a, b))| c.value(&|| place(i), a.sum, b.sum));
            }
        })
    }

    /// A frame before the first step: the base's, or that of an adapter that changes nothing yet.
    fn step_zero(&mut self, line: u32, what: &str, job: JobId, frame: &TrainFrame) -> Result<()> {
        let fresh = matches!(self.asks.get(&job), Some(Command::Train { request, .. })
            if request.init_adapter.is_none() && !request.resume);
        if !frame.base && !fresh {
            self.out.skip("frame of step 0: it begins with another adapter's weights");
            return Ok(());
        }
        let watches = self.watches.get(&job).cloned().unwrap_or_default();
        for watch in watches.iter().rev() {
            if self.again.answers(watch, frame)? {
                let is = self.again.base_frame(watch)?;
                return self.with(what, line, |c| {
                    c.frame(&|_| "step 0".to_owned(), frame, &is);
                });
            }
        }
        self.out.skip("frame of step 0: what it watches is not in the file");
        Ok(())
    }
}
