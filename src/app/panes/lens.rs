//! The logit lens: layers as they arrive, base beside adapters, one layer opened.

use super::lens_means::MeanCurves;
use crate::app::shared::{Cx, MouseKind, Pane, PaneMouse, Shared};
use crate::app::{Action, layout};
use crate::engine::protocol::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// Tokens of each layer that the lens asks for.
pub const TOP: usize = 10;
/// Tokens of an opened layer.
pub const DETAIL_TOP: usize = 20;

/// Which columns the table shows where there is not room for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    #[default]
    All,
    Curves,
    Tokens,
}

/// One run's layers: those of the current query from layer 0 up, and what stood there before.
#[derive(Clone, Debug, Default)]
pub struct RunLayers {
    pub fresh: Vec<LensLayer>,
    pub stale: Vec<LensLayer>,
    pub first_final_top1: Option<usize>,
}

impl RunLayers {
    /// A layer, and whether it belongs to the current query.
    pub fn layer(&self, k: usize) -> Option<(&LensLayer, bool)> {
        match self.fresh.get(k) {
            Some(layer) => Some((layer, true)),
            None => self.stale.get(k).map(|layer| (layer, false)),
        }
    }
}

/// An opened layer.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// The running jobs, by run.
    pub jobs: BTreeMap<JobId, RunId>,
    pub cells: BTreeMap<RunId, CellDetail>,
    pub error: Option<String>,
}

/// State of the pane.
#[derive(Clone, Debug, Default)]
pub struct LensPane {
    pub job: Option<JobId>,
    /// When the running job was asked for.
    pub since: Duration,
    pub runs: BTreeMap<RunId, RunLayers>,
    pub error: Option<String>,
    /// The selected layer; `None` follows the output.
    pub selected: Option<usize>,
    pub difference: bool,
    pub columns: Columns,
    /// Which adapter is compared, where there are several.
    pub adapter: usize,
    pub detail: Option<Detail>,
    pub elapsed_ms: Option<f64>,
    pub reused_tokens: usize,
    /// Means over all items, in the table's place.
    pub means: MeanCurves,
}

impl LensPane {
    /// L + 1 once a model or an answer is there, else 0.
    pub fn count(&self, shared: &Shared) -> usize {
        let seen = self.runs.values().map(|r| r.fresh.len().max(r.stale.len())).max().unwrap_or(0);
        shared.model.as_ref().map_or(seen, |m| m.layers + 1)
    }

    /// Rows above the layers: the runs' names where there are several, and the columns' names.
    pub fn head_rows(&self, shared: &Shared) -> u16 {
        if shared.compares() { 2 } else { 1 }
    }

    /// The selected layer.
    pub fn layer(&self, shared: &Shared) -> usize {
        let last = self.count(shared).saturating_sub(1);
        self.selected.unwrap_or(last).min(last)
    }

    /// Layers computed so far in the slowest run.
    pub fn done(&self) -> usize {
        self.runs.values().map(|r| r.fresh.len()).min().unwrap_or(0)
    }

    /// Asks the engine about the current query, for all runs on screen.
    pub fn ask(&mut self, cx: &mut Cx) {
        let job = cx.jobs.issue();
        let runs = cx.shared.runs();
        self.expect(job, &runs, cx.now);
        cx.send(Command::Lens { job, query: cx.shared.query.clone(), runs, top: TOP });
    }

    /// Waits for the layers of the current query, whoever asked for them.
    pub fn expect(&mut self, job: JobId, runs: &[RunId], now: Duration) {
        let mut old = std::mem::take(&mut self.runs);
        for run in runs {
            let before = old.remove(run).unwrap_or_default();
            // A row that was not reached keeps what it showed before.
            let mut stale = before.stale;
            for (k, layer) in before.fresh.into_iter().enumerate() {
                if k < stale.len() { stale[k] = layer } else { stale.push(layer) }
            }
            self.runs.insert(*run, RunLayers { stale, ..RunLayers::default() });
        }
        (self.job, self.since, self.error, self.elapsed_ms) = (Some(job), now, None, None);
    }

    /// Forgets everything: another model.
    pub fn clear(&mut self) {
        let keep = (self.difference, self.columns);
        *self = Self { difference: keep.0, columns: keep.1, ..Self::default() };
    }

    /// The run that is compared with the base: one of those on screen.
    pub fn compared(&self, shared: &Shared) -> RunId {
        let aligned: Vec<RunId> = shared.runs().into_iter().skip(1).collect();
        if aligned.is_empty() { None } else { aligned[self.adapter % aligned.len()] }
    }

    /// Asks for the opened layer's details.
    fn ask_detail(&mut self, cx: &mut Cx) {
        let layer = self.layer(cx.shared);
        let compared = self.compared(cx.shared);
        let Some(detail) = &mut self.detail else { return };
        let position = cx.shared.tokens.len().checked_sub(1).filter(|_| !cx.shared.told);
        let Some(position) = position else { return };
        for job in std::mem::take(&mut detail.jobs).into_keys() {
            cx.send(Command::Cancel { job });
        }
        detail.error = None;
        let mut runs = vec![None];
        runs.extend(Some(compared).filter(Option::is_some));
        // Only one cell job runs at a time; the next is asked for when one is answered.
        detail.cells.retain(|run, cell| runs.contains(run) && cell.layer == layer);
        if let Some(run) = runs.into_iter().find(|r| !detail.cells.contains_key(r)) {
            let job = cx.jobs.issue();
            detail.jobs.insert(job, run);
            let query = cx.shared.query.clone();
            cx.send(Command::Cell { job, query, run, layer, position, top: DETAIL_TOP });
        }
    }

    /// Waits for a layer's details that somebody else asked for.
    pub fn expect_detail(&mut self, job: JobId, run: RunId, layer: usize, shared: &Shared) {
        let last = self.count(shared).saturating_sub(1);
        self.selected = (layer < last).then_some(layer);
        let detail = self.detail.get_or_insert_default();
        detail.cells.retain(|_, cell| cell.layer == layer);
        detail.jobs.insert(job, run);
        detail.error = None;
    }

    fn select(&mut self, layer: usize, cx: &mut Cx) {
        let last = self.count(cx.shared).saturating_sub(1);
        let before = self.layer(cx.shared);
        self.selected = (layer < last).then_some(layer);
        if self.layer(cx.shared) != before {
            self.ask_detail(cx);
        }
    }

    fn step(&mut self, by: isize, cx: &mut Cx) {
        self.select(self.layer(cx.shared).saturating_add_signed(by), cx);
    }

    /// The layer under the mouse.
    fn layer_at(&self, mouse: PaneMouse, shared: &Shared) -> Option<usize> {
        let (beside, cells) = detail_space(mouse.width, mouse.height);
        let (width, height) = match (self.detail.is_some(), beside) {
            (false, _) => (mouse.width, mouse.height),
            (true, true) => (mouse.width - cells, mouse.height),
            (true, false) => (mouse.width, mouse.height - cells),
        };
        let head = self.head_rows(shared);
        let row = mouse.y.checked_sub(head)?;
        let rows = height.checked_sub(head + 1)?;
        if mouse.x >= width || row >= rows {
            return None;
        }
        visible_layers(self.count(shared), self.layer(shared), usize::from(rows)).rev().nth(usize::from(row))
    }

    fn take_layers(&mut self, run: RunId, layers: &[LensLayer]) {
        let rows = self.runs.entry(run).or_default();
        for layer in layers {
            // Out of order cannot be (the engine promises); if it is, the final answer fills the gap.
            if layer.layer < rows.fresh.len() {
                rows.fresh[layer.layer] = layer.clone();
            } else if layer.layer == rows.fresh.len() {
                rows.fresh.push(layer.clone());
            }
        }
    }

    fn finish(&mut self, answer: &LensAnswer) {
        for run in &answer.runs {
            let rows = self.runs.entry(run.run).or_default();
            rows.fresh = run.layers.clone();
            rows.stale.clear();
            rows.first_final_top1 = run.first_final_top1;
        }
        self.elapsed_ms = Some(answer.elapsed_ms);
        self.reused_tokens = answer.reused_tokens;
        self.job = None;
    }
}

/// Rows of the table for layers, top row first: the first of them and how many. Layer L is on top.
pub fn visible_layers(count: usize, selected: usize, rows: usize) -> std::ops::Range<usize> {
    let from_top = count.saturating_sub(1).saturating_sub(selected);
    let first = layout::scroll(from_top, count, rows);
    let shown = rows.min(count - first.min(count));
    let high = count - first.min(count);
    high - shown..high
}

/// Rows and columns of the opened layer's panel inside a pane of this size: (beside, cells). Beside
/// the table where there is room, else below it.
pub fn detail_space(width: u16, height: u16) -> (bool, u16) {
    if width >= 118 {
        (true, (width * 2 / 5).clamp(46, 72))
    } else {
        (false, (height * 3 / 5).max(height.min(8)))
    }
}

impl Pane for LensPane {
    fn on_action(&mut self, action: Action, cx: &mut Cx) -> bool {
        let last = self.count(cx.shared).saturating_sub(1);
        match action {
            Action::ToggleCurve => self.means.toggle(cx),
            Action::Open if self.means.shown => self.means.compute(cx),
            Action::ToggleDifference | Action::NextMeasure if self.means.shown => return false,
            Action::Up => self.step(1, cx),
            Action::Down => self.step(-1, cx),
            Action::HalfUp | Action::PageUp => self.step(6, cx),
            Action::HalfDown | Action::PageDown => self.step(-6, cx),
            Action::First => self.select(last, cx),
            Action::Last => self.select(0, cx),
            Action::ToggleDifference => self.difference = !self.difference,
            Action::NextMeasure => {
                self.columns = match self.columns {
                    Columns::All => Columns::Curves,
                    Columns::Curves => Columns::Tokens,
                    Columns::Tokens => Columns::All,
                }
            }
            Action::NextRun => {
                self.adapter += 1;
                self.ask_detail(cx);
            }
            Action::Open if self.detail.is_some() => self.detail = None,
            Action::Open if self.done() > 0 => {
                self.detail = Some(Detail::default());
                self.ask_detail(cx);
            }
            _ => return false,
        }
        true
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx) {
        self.means.on_event(event, cx);
        match event {
            Event::LensStarted { job, reused_tokens, .. } if Some(*job) == self.job => {
                self.reused_tokens = *reused_tokens;
            }
            Event::LensLayers { job, run, layers } if Some(*job) == self.job => {
                self.take_layers(*run, layers)
            }
            Event::LensDone { job, answer } if Some(*job) == self.job => {
                self.finish(answer);
                self.ask_detail(cx);
            }
            Event::Failed { job, message } if Some(*job) == self.job => {
                (self.job, self.error) = (None, Some(message.clone()));
            }
            Event::Cancelled { job } if Some(*job) == self.job => {
                self.job = None;
                self.error = Some("The query was cancelled.".to_owned());
            }
            Event::CellReady { job, run, detail: cell } => {
                let layer = self.layer(cx.shared);
                let Some(detail) = &mut self.detail else { return };
                if detail.jobs.remove(job).is_some() && cell.layer == layer {
                    detail.cells.insert(*run, cell.clone());
                    self.ask_detail(cx);
                }
            }
            Event::Failed { job, message } => {
                if let Some(detail) = &mut self.detail
                    && detail.jobs.remove(job).is_some()
                {
                    detail.error = Some(message.clone());
                }
            }
            _ => {}
        }
    }

    fn on_query(&mut self, _visible: bool, _cx: &mut Cx) {
        // The cells belong to the old query; they are asked for again when the lens is done.
        if let Some(detail) = &mut self.detail {
            *detail = Detail::default();
        }
    }

    fn on_mouse(&mut self, mouse: PaneMouse, cx: &mut Cx) -> bool {
        match mouse.kind {
            MouseKind::WheelUp => self.step(1, cx),
            MouseKind::WheelDown => self.step(-1, cx),
            MouseKind::Click if !self.means.shown => {
                if let Some(layer) = self.layer_at(mouse, cx.shared) {
                    self.select(layer, cx);
                }
            }
            _ => return false,
        }
        true
    }

    fn animating(&self) -> bool {
        self.job.is_some() || self.means.running.is_some()
    }

    fn back(&mut self) -> bool {
        let open = std::mem::take(&mut self.means.shown) || self.detail.take().is_some();
        open || std::mem::take(&mut self.difference)
    }

    fn job(&self) -> Option<JobId> {
        self.job.or(self.means.running.as_ref().map(|r| r.job))
    }

    fn copy_text(&self, shared: &Shared) -> Option<String> {
        let layer = self.layer(shared);
        if self.means.shown {
            return self.means.copy_text(layer, shared);
        }
        let lines = self.runs.iter().filter_map(|(run, rows)| {
            let (l, _) = rows.layer(layer)?;
            let top: Vec<String> = l.top.iter().map(|t| format!("{} {:.4}", t.text, t.p)).collect();
            Some(format!("layer {layer}\t{}\t{}", shared.run_name(*run), top.join("\t")))
        });
        let lines: Vec<String> = lines.collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn export(&self, shared: &Shared) -> Option<serde_json::Value> {
        if self.means.shown {
            return self.means.export(shared);
        }
        let runs: Vec<_> = self
            .runs
            .iter()
            .filter(|(_, rows)| !rows.fresh.is_empty())
            .map(|(run, rows)| {
                let name = run.map(|_| shared.run_name(*run));
                serde_json::json!({ "adapter": name, "layers": rows.fresh })
            })
            .collect();
        if runs.is_empty() {
            return None;
        }
        Some(serde_json::json!({
            "schema": "polylens.explorer-lens/1",
            "model": shared.model, "task": shared.task, "lang": shared.lang, "item": shared.item,
            "query": shared.query, "tokens": shared.tokens, "token_sets": shared.sets, "runs": runs,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_on_top_and_the_selection_in_sight() {
        assert_eq!(visible_layers(19, 18, 30), 0..19);
        assert_eq!(visible_layers(19, 18, 5), 14..19);
        assert_eq!(visible_layers(19, 0, 5), 0..5);
        for count in 0..40 {
            for rows in 0..40 {
                for selected in 0..count {
                    let shown = visible_layers(count, selected, rows);
                    assert!(shown.len() == rows.min(count) && (rows == 0 || shown.contains(&selected)));
                }
            }
        }
    }
}
