//! Positions x layers: which cells are known, which are asked for, and where the cursor is.

use crate::app::action::Action;
use crate::app::shared::{Cx, MouseKind, Pane, PaneMouse, Shared};
use crate::engine::protocol::{CellDetail, Command, Event, GridCell, JobId, Query, RunId};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Columns of the terminal that the layer labels take.
pub const LABEL_WIDTH: u16 = 4;
/// Entries of a cell's lists.
const TOP: usize = 12;
/// Grids kept, so that going back to a query or a run shows it at once.
const KEPT: usize = 8;

/// What decides a grid's numbers.
#[derive(Clone, Debug, Default, PartialEq)]
struct Key {
    query: Query,
    run: RunId,
    model: String,
    adapter: String,
}

/// The columns received for one query and run.
#[derive(Clone, Debug, Default)]
struct Columns {
    key: Key,
    columns: Vec<Option<Arc<[GridCell]>>>,
}

/// What a cell's colour means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GridMeasure {
    /// The top token's probability.
    #[default]
    Probability,
    /// The distribution's entropy.
    Entropy,
}

/// Work under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pending {
    pub job: JobId,
    /// When it was asked for, since the start of the program.
    pub since: Duration,
}

/// The opened cell.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// The last answer; may belong to the cell before while `pending`.
    pub cell: Option<CellDetail>,
    pub pending: Option<Pending>,
    pub error: Option<String>,
}

/// State of the pane. Rows count from the top: row 0 is layer L, the last row layer 0.
#[derive(Clone, Debug, Default)]
pub struct GridPane {
    /// The current one is the last.
    grids: Vec<Columns>,
    pub run: RunId,
    pub measure: GridMeasure,
    /// Layer and position under the cursor.
    pub cursor: (usize, usize),
    /// Layer and position under the mouse.
    pub hover: Option<(usize, usize)>,
    /// First row and first position shown.
    pub first: (usize, usize),
    pub pending: Option<Pending>,
    /// Positions asked for by `pending`.
    asked: (usize, usize),
    pub error: Option<String>,
    pub detail: Option<Detail>,
    positions: usize,
    /// L of the loaded model.
    layers: usize,
    area: (u16, u16),
    /// The engine has said the tokens of the current query.
    known: bool,
    visible: bool,
}

impl GridPane {
    /// Positions of the current query; 0 while they are not known.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// L: there are L + 1 rows.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// True while the tokens of a new query are awaited: what is shown belongs to the old one.
    pub fn stale(&self) -> bool {
        !self.known
    }

    /// True where a recording made without the explorer holds no cell of the query, and none is on its way.
    pub fn is_untold(&self, shared: &Shared) -> bool {
        let none = self.grids.last().is_none_or(|g| g.columns.iter().all(Option::is_none));
        shared.told && none && self.pending.is_none()
    }

    /// The cell of a layer and a position, where it has arrived.
    pub fn cell(&self, layer: usize, position: usize) -> Option<&GridCell> {
        self.grids.last()?.columns.get(position)?.as_ref()?.get(layer)
    }

    /// Columns of the terminal for one cell at a width of `width`.
    pub fn cell_width(width: u16) -> u16 {
        match width {
            0..50 => 8,
            50..120 => 10,
            _ => 12,
        }
    }

    /// Rows that the opened cell's lists take of a pane `height` rows high.
    pub fn detail_height(&self, height: u16) -> u16 {
        if self.detail.is_some() { (TOP as u16 + 2).min(height / 2) } else { 0 }
    }

    /// How many (rows, positions) of cells are visible: the pane less a line for the input's tokens, one
    /// for the reading under it, and the opened cell.
    pub fn fitting(&self, width: u16, height: u16) -> (usize, usize) {
        let rows = height.saturating_sub(2 + self.detail_height(height));
        let columns = width.saturating_sub(LABEL_WIDTH) / Self::cell_width(width);
        (usize::from(rows).max(1), usize::from(columns).max(1))
    }

    /// Moves the cursor by layers (up is towards L) and positions, the view following.
    fn go(&mut self, layers: isize, positions: isize, cx: &mut Cx) {
        let to = |at: usize, by: isize, last: usize| at.saturating_add_signed(by).min(last);
        self.cursor.0 = to(self.cursor.0, layers, self.layers);
        self.cursor.1 = to(self.cursor.1, positions, self.positions.saturating_sub(1));
        self.follow();
        self.ask(cx);
        self.ask_cell(cx);
    }

    /// Scrolls so that the cursor is visible.
    fn follow(&mut self) {
        let (rows, columns) = self.fitting(self.area.0, self.area.1);
        let row = self.layers - self.cursor.0.min(self.layers);
        let keep = |first: usize, at: usize, fit: usize, all: usize| {
            first.clamp((at + 1).saturating_sub(fit), at).min(all.saturating_sub(fit))
        };
        self.first.0 = keep(self.first.0, row, rows, self.layers + 1);
        self.first.1 = keep(self.first.1, self.cursor.1, columns, self.positions);
    }

    fn key(&self, shared: &Shared) -> Key {
        let adapter = self.run.map_or(String::new(), |_| shared.run_name(self.run).to_owned());
        let model = shared.model.as_ref().map_or(String::new(), |m| m.name.clone());
        Key { query: shared.query.clone(), run: self.run, model, adapter }
    }

    /// Makes the grid of the current query and run the last of the kept ones.
    fn select(&mut self, shared: &Shared) {
        let key = self.key(shared);
        let at = self.grids.iter().position(|g| g.key == key);
        let mut grid = at.map_or(Columns { key, columns: Vec::new() }, |i| self.grids.remove(i));
        grid.columns.resize(self.positions, None);
        self.grids.push(grid);
        if self.grids.len() > KEPT {
            self.grids.remove(0);
        }
    }

    /// The query's tokens are known: show its end, and ask for what is visible.
    fn start(&mut self, positions: usize, cx: &mut Cx) {
        let Some(model) = &cx.shared.model else { return };
        let fresh = self.positions == 0 || self.layers != model.layers;
        (self.positions, self.layers, self.known) = (positions, model.layers, true);
        if !cx.shared.runs().contains(&self.run) {
            self.run = None;
        }
        if fresh {
            self.cursor.0 = self.layers;
            self.first.0 = 0;
        }
        self.cursor = (self.cursor.0.min(self.layers), positions.saturating_sub(1));
        (self.hover, self.error) = (None, None);
        self.select(cx.shared);
        self.follow();
        self.ask(cx);
        self.ask_cell(cx);
    }

    /// Asks for the visible columns and half a screen beside them, as far as they have not arrived.
    fn ask(&mut self, cx: &mut Cx) {
        let told = cx.shared.told;
        if told || !self.visible || !self.known || self.area.0 == 0 || cx.shared.model.is_none() {
            return;
        }
        let Some(grid) = self.grids.last() else { return };
        let (_, columns) = self.fitting(self.area.0, self.area.1);
        let visible = self.first.1..(self.first.1 + columns).min(self.positions);
        let missing = |p: &usize| grid.columns.get(*p).is_some_and(Option::is_none);
        let under_way = |p: &usize| self.pending.is_some() && (self.asked.0..self.asked.1).contains(p);
        if !visible.clone().any(|p| missing(&p) && !under_way(&p)) {
            return;
        }
        let margin = columns / 2;
        let wide = visible.start.saturating_sub(margin)..(visible.end + margin).min(self.positions);
        let (Some(from), Some(last)) = (wide.clone().find(missing), wide.rev().find(missing)) else { return };
        let (job, to) = (cx.jobs.issue(), last + 1);
        self.pending = Some(Pending { job, since: cx.now });
        self.asked = (from, to);
        self.error = None;
        cx.send(Command::Grid { job, query: cx.shared.query.clone(), run: self.run, from, to });
    }

    /// Asks for the opened cell's lists.
    fn ask_cell(&mut self, cx: &mut Cx) {
        let Some(detail) = &mut self.detail else { return };
        if !self.known || self.positions == 0 || cx.shared.told {
            return;
        }
        let (layer, position) = self.cursor;
        let job = cx.jobs.issue();
        detail.pending = Some(Pending { job, since: cx.now });
        detail.error = None;
        let query = cx.shared.query.clone();
        cx.send(Command::Cell { job, query, run: self.run, layer, position, top: TOP });
    }

    /// Takes a question over as if it had been asked here.
    pub fn adopt(&mut self, command: &Command, cx: &mut Cx) {
        match command {
            Command::Grid { job, run, from, to, .. } => {
                self.run = *run;
                self.select(cx.shared);
                self.pending = Some(Pending { job: *job, since: cx.now });
                (self.asked, self.error) = ((*from, *to), None);
            }
            Command::Cell { job, run, layer, position, .. } => {
                (self.run, self.cursor) = (*run, (*layer, *position));
                self.select(cx.shared);
                self.follow();
                let detail = self.detail.get_or_insert_default();
                detail.pending = Some(Pending { job: *job, since: cx.now });
                detail.error = None;
            }
            _ => {}
        }
    }

    fn next_run(&mut self, cx: &mut Cx) {
        let runs = cx.shared.runs();
        let at = runs.iter().position(|r| *r == self.run).map_or(0, |i| i + 1);
        self.run = runs[at % runs.len()];
        self.pending = None;
        if self.positions > 0 {
            self.select(cx.shared);
            self.ask(cx);
            self.ask_cell(cx);
        }
    }

    /// Layer and position of a screen cell of the pane.
    fn at(&self, mouse: PaneMouse) -> Option<(usize, usize)> {
        let (rows, columns) = self.fitting(mouse.width, mouse.height);
        let row = usize::from(mouse.y.checked_sub(1)?);
        let column = usize::from(mouse.x.checked_sub(LABEL_WIDTH)? / Self::cell_width(mouse.width));
        let (row, position) = (row + self.first.0, column + self.first.1);
        let inside = row < self.first.0 + rows && position < self.first.1 + columns;
        (inside && row <= self.layers && position < self.positions).then(|| (self.layers - row, position))
    }

    fn half(&self) -> isize {
        (self.fitting(self.area.0, self.area.1).0 / 2).max(1) as isize
    }
}

impl Pane for GridPane {
    fn on_action(&mut self, action: Action, cx: &mut Cx) -> bool {
        let half = self.half();
        let all = isize::MAX / 2;
        match action {
            Action::Up => self.go(1, 0, cx),
            Action::Down => self.go(-1, 0, cx),
            Action::Left => self.go(0, -1, cx),
            Action::Right => self.go(0, 1, cx),
            Action::HalfUp => self.go(half, 0, cx),
            Action::HalfDown => self.go(-half, 0, cx),
            Action::PageUp => self.go(2 * half, 0, cx),
            Action::PageDown => self.go(-2 * half, 0, cx),
            Action::First => self.go(all, 0, cx),
            Action::Last => self.go(-all, 0, cx),
            Action::LineStart => self.go(0, -all, cx),
            Action::LineEnd => self.go(0, all, cx),
            Action::Open if self.detail.is_some() => self.detail = None,
            Action::Open if self.positions > 0 => {
                self.detail = Some(Detail::default());
                self.go(0, 0, cx);
            }
            Action::NextRun => self.next_run(cx),
            Action::NextMeasure => {
                self.measure = match self.measure {
                    GridMeasure::Probability => GridMeasure::Entropy,
                    GridMeasure::Entropy => GridMeasure::Probability,
                };
            }
            _ => return false,
        }
        true
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx) {
        let mine = |job: &JobId| self.pending.is_some_and(|p| p.job == *job);
        let cells = |job: &JobId| self.detail.as_ref().and_then(|d| d.pending).is_some_and(|p| p.job == *job);
        match event {
            Event::LensStarted { tokens, .. } => self.start(tokens.len(), cx),
            Event::GridColumn { job, position, cells, .. } if mine(job) => {
                let slot = self.grids.last_mut().and_then(|g| g.columns.get_mut(*position));
                if let Some(slot) = slot {
                    *slot = Some(cells.as_slice().into());
                }
                let done = (self.asked.0..self.asked.1).all(|p| self.cell(0, p).is_some());
                if done {
                    self.pending = None;
                    self.ask(cx);
                }
            }
            Event::CellReady { job, detail, .. } if cells(job) => {
                self.detail = Some(Detail { cell: Some(detail.clone()), ..Detail::default() });
            }
            Event::Failed { job, message } if mine(job) => {
                (self.pending, self.error) = (None, Some(message.clone()));
            }
            Event::Cancelled { job } if mine(job) => {
                (self.pending, self.error) = (None, Some("cancelled".into()));
            }
            Event::Failed { job, message } if cells(job) => {
                self.detail = Some(Detail { error: Some(message.clone()), ..Detail::default() });
            }
            Event::Cancelled { job } if cells(job) => self.detail = None,
            Event::ModelLoaded { .. } => {
                let (area, visible, run) = (self.area, self.visible, None);
                *self = Self { area, visible, run, measure: self.measure, ..Self::default() };
            }
            _ => {}
        }
    }

    fn on_query(&mut self, visible: bool, _cx: &mut Cx) {
        (self.visible, self.known) = (visible, false);
        (self.pending, self.hover, self.error) = (None, None, None);
    }

    fn on_show(&mut self, cx: &mut Cx) {
        self.visible = true;
        if self.known {
            self.ask(cx);
        } else if !cx.shared.tokens.is_empty() {
            self.start(cx.shared.tokens.len(), cx);
        }
    }

    fn on_area(&mut self, width: u16, height: u16, cx: &mut Cx) {
        self.area = (width, height);
        self.follow();
        self.ask(cx);
    }

    fn on_mouse(&mut self, mouse: PaneMouse, cx: &mut Cx) -> bool {
        let at = self.at(mouse);
        match (mouse.kind, at) {
            (MouseKind::Move | MouseKind::Drag, at) => self.hover = at,
            (MouseKind::WheelUp, _) => self.go(3, 0, cx),
            (MouseKind::WheelDown, _) => self.go(-3, 0, cx),
            (MouseKind::Click, Some(cell)) if cell == self.cursor => _ = self.on_action(Action::Open, cx),
            (MouseKind::Click, Some(cell)) => {
                self.cursor = cell;
                self.go(0, 0, cx);
            }
            _ => return false,
        }
        true
    }

    fn animating(&self) -> bool {
        self.pending.is_some() || self.detail.as_ref().is_some_and(|d| d.pending.is_some())
    }

    fn back(&mut self) -> bool {
        self.detail.take().is_some()
    }

    fn job(&self) -> Option<JobId> {
        self.pending.or(self.detail.as_ref().and_then(|d| d.pending)).map(|p| p.job)
    }

    fn copy_text(&self, _shared: &Shared) -> Option<String> {
        let (layer, position) = self.cursor;
        let cell = self.cell(layer, position)?;
        Some(format!("{}\t{}", cell.token.text, cell.token.p))
    }

    fn export(&self, shared: &Shared) -> Option<serde_json::Value> {
        let grid = self.grids.last().filter(|g| g.columns.iter().any(Option::is_some))?;
        let columns = grid.columns.iter().enumerate().filter_map(|(position, cells)| {
            Some(
                json!({"position": position, "token": shared.tokens.get(position), "cells": cells.as_deref()?}),
            )
        });
        let columns: Vec<_> = columns.collect();
        let adapter = self.run.map(|_| shared.run_name(self.run));
        Some(
            json!({"schema": "polylens.grid/1", "model": shared.model, "adapter": adapter, "columns": columns}),
        )
    }
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
