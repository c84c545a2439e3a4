//! The lens pane: a row a layer, output on top, one block of columns a run; below the layers, where
//! there is room, the curves over the layers and the selected layer's top tokens.
//!
//! ```text
//!        base                               +adapter
//!  layer  ● en      ◆ target   H    top      ● en   …
//!  18 out ███▌ .71  █▏  .20  1.2  ␣positive …
//! ```

pub use super::lens_cells::probability;
use super::lens_cells::{Looks, column_style, curve_value, differences, values};
use super::lens_columns::{Block, Column, columns};
use super::{lens_detail, lens_foot, lens_means};
use crate::app::App;
use crate::app::panes::lens::{detail_space, visible_layers};
use crate::engine::protocol::RunId;
use crate::ui::card;
use crate::ui::text::{self, ellipsize, fit_right, put};
use crate::ui::theme::{Curve, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Columns of the layer's number: "▌18 out ".
const LAYER_CELLS: u16 = 8;

/// What the frame's title says after the pane's name.
pub fn title(app: &App) -> String {
    if app.lens.means.shown {
        return lens_means::title(app);
    }
    let sets = &app.shared.sets;
    let words = sets.latent.get(sets.gold).zip(sets.target.get(sets.gold));
    let compared = app.lens.compared(&app.shared);
    let mut parts = Vec::new();
    if app.lens.difference && compared.is_some() {
        parts.push(format!("{} minus base", app.shared.run_name(compared)));
    }
    if let Some(reason) = &sets.refused {
        parts.push(format!("no curves: {}", text::harmless(reason)));
    } else if app.shared.query.comparison.is_some() {
        parts.extend(words.map(|(en, target)| {
            format!("gold: en {}, target {}", text::harmless(&en.word), text::harmless(&target.word))
        }));
    }
    parts.join("   ")
}

/// Draws the inside of the pane.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, focused: bool, theme: &Theme) {
    let lens = &app.lens;
    if app.shared.model.is_none() {
        return card::render(buf, area, app, theme);
    }
    if lens.means.shown {
        return lens_means::render(buf, area, app, theme);
    }
    if lens.runs.is_empty() {
        let error = lens.error.as_deref().map(text::harmless);
        let style = if error.is_some() { theme.error() } else { theme.dim() };
        let words =
            error.unwrap_or_else(|| "Nothing was asked yet: e edits the prompt, i chooses an item.".into());
        return super::centred(buf, area, &words, style);
    }
    let (table, panel) = match &lens.detail {
        None => (area, None),
        Some(detail) => {
            let (beside, cells) = detail_space(area.width, area.height);
            let (table, panel) = split(area, beside, cells);
            (table, Some((panel, detail)))
        }
    };
    if let Some((panel, detail)) = panel {
        lens_detail::render(buf, panel, detail, app, theme);
    }
    let head_rows = lens.head_rows(&app.shared);
    if table.height <= head_rows + 1 || table.width < 20 {
        return;
    }
    let hovered = layers(buf, table, head_rows, app, focused, theme);
    let shown = (lens.count(&app.shared) as u16).min(table.height - head_rows - 1);
    let below = head_rows + shown;
    let spare = Rect { y: table.y + below, height: table.height - below, ..table };
    lens_foot::render(buf, spare, hovered.unwrap_or_else(|| lens.layer(&app.shared)), app, theme);
}

/// Divides the pane between the table and an opened layer.
fn split(area: Rect, beside: bool, cells: u16) -> (Rect, Rect) {
    if beside {
        let cells = cells.min(area.width);
        let left = Rect { width: area.width - cells, ..area };
        (left, Rect { x: left.right(), width: cells, ..area })
    } else {
        let cells = cells.min(area.height);
        let top = Rect { height: area.height - cells, ..area };
        (top, Rect { y: top.bottom(), height: cells, ..area })
    }
}

/// The table; returns the layer under the mouse.
fn layers(
    buf: &mut Buffer,
    table: Rect,
    head_rows: u16,
    app: &App,
    focused: bool,
    theme: &Theme,
) -> Option<usize> {
    let lens = &app.lens;
    let rows = table.height.saturating_sub(head_rows + 1);
    let selected = lens.layer(&app.shared);
    let last = lens.count(&app.shared).saturating_sub(1);
    let scale = difference_scale(app);
    let blocks = blocks(table, app);
    for (block, space) in &blocks {
        head(buf, *space, head_rows, block, scale, app, theme);
    }
    let mut hovered = None;
    for (i, layer) in visible_layers(last + 1, selected, usize::from(rows)).rev().enumerate() {
        let row = Rect { y: table.y + head_rows + i as u16, height: 1, ..table };
        if app.hover.is_some_and(|(x, y)| y == row.y && (row.left()..row.right()).contains(&x)) {
            hovered = Some(layer);
        }
        let look = if focused { theme.selection() } else { theme.selection_idle() };
        if layer == selected {
            buf.set_style(row, look);
            put(buf, row, row.x, row.y, theme.glyphs.selected, theme.accent());
        }
        let name = match layer {
            k if k == last => format!("{k:>2} out"),
            0 => " 0 emb".to_owned(),
            k => format!("{k:>2}"),
        };
        let style = if layer == selected { theme.strong() } else { theme.dim() };
        put(buf, row, row.x + 1, row.y, &name, style);
        for (block, space) in &blocks {
            let cells = Rect { y: row.y, height: 1, ..*space };
            layer_cells(buf, cells, block, layer, scale, app, theme);
        }
    }
    hovered
}

fn layer_cells(
    buf: &mut Buffer,
    cells: Rect,
    block: &Block,
    layer: usize,
    scale: f32,
    app: &App,
    theme: &Theme,
) {
    let of = |run: RunId| app.lens.runs.get(&run).and_then(|r| r.layer(layer));
    match (of(block.run), of(None)) {
        (Some((l, fresh)), Some((b, base_fresh))) if block.minus_base => {
            let looks = Looks { theme, fresh: fresh && base_fresh, scale };
            differences(buf, cells, block, l, b, &looks);
        }
        (Some((l, fresh)), _) if !block.minus_base => {
            values(buf, cells, block, l, &Looks { theme, fresh, scale });
        }
        _ => _ = put(buf, cells, cells.x, cells.y, theme.glyphs.ellipsis, theme.faint()),
    }
}

/// The round number that the largest difference of a curve stays below: what fills a bar.
fn difference_scale(app: &App) -> f32 {
    let compared = app.lens.compared(&app.shared);
    let (Some(run), Some(base)) = (app.lens.runs.get(&compared), app.lens.runs.get(&None)) else {
        return 1.0;
    };
    let mut most = 0.0_f32;
    for k in 0..app.lens.count(&app.shared) {
        let (Some((l, _)), Some((b, _))) = (run.layer(k), base.layer(k)) else { continue };
        let curves = Curve::ALL.into_iter().filter_map(|c| Some(curve_value(l, c)? - curve_value(b, c)?));
        let tracked = l.tracked.iter().zip(&b.tracked).map(|(p, q)| p - q);
        most = curves.chain(tracked).map(f32::abs).filter(|d| d.is_finite()).fold(most, f32::max);
    }
    [0.05, 0.1, 0.2, 0.5].into_iter().find(|s| most <= *s).unwrap_or(1.0)
}

/// Which blocks of columns there are, and where: one a run, as many as are legible side by side.
fn blocks(table: Rect, app: &App) -> Vec<(Block, Rect)> {
    let compared = app.lens.compared(&app.shared);
    let space = Rect { x: table.x + LAYER_CELLS, width: table.width.saturating_sub(LAYER_CELLS), ..table };
    let task = app.shared.query.comparison.is_some() && app.shared.sets.refused.is_none();
    let tracked = app.shared.sets.tracked.len();
    let make = |run: RunId, minus: bool, width: u16| Block {
        run,
        minus_base: minus,
        columns: columns(width, task, tracked, minus, app.lens.columns),
    };
    if app.lens.difference && compared.is_some() {
        return vec![(make(compared, true, space.width), space)];
    }
    let mut runs = app.shared.runs();
    if runs.len() > 2 && usize::from(space.width) / runs.len() < 34 {
        runs = vec![None, compared];
    }
    let n = runs.len() as u16;
    let each = (space.width - (n - 1).min(space.width)) / n;
    let place = |i: u16| Rect { x: space.x + i * (each + 1), width: each, ..space };
    runs.into_iter().enumerate().map(|(i, run)| (make(run, false, each), place(i as u16))).collect()
}

/// The run's name (where there are several), and the columns' names.
fn head(buf: &mut Buffer, space: Rect, rows: u16, block: &Block, scale: f32, app: &App, theme: &Theme) {
    let ascii = theme.glyphs.ascii;
    if rows > 1 {
        let name = match block.run {
            None => "base".to_owned(),
            Some(_) if block.minus_base => {
                format!("{} {}   a full bar is {scale}", theme.glyphs.delta, app.shared.run_name(block.run))
            }
            Some(_) => format!("+{}", app.shared.run_name(block.run)),
        };
        let style = theme.run(block.run).add_modifier(ratatui::style::Modifier::BOLD);
        put(buf, space, space.x, space.y, &ellipsize(&name, usize::from(space.width), ascii), style);
    }
    for (column, x, width) in block.places(space.x) {
        let cell = Rect { x, y: space.y + rows - 1, width, height: 1 };
        let words = column_head(column, width, app, theme);
        let words = match column {
            Column::Entropy => fit_right(&words, usize::from(width), ascii),
            _ => ellipsize(&words, usize::from(width), ascii).into_owned(),
        };
        put(buf, cell, cell.x, cell.y, &words, column_style(column, block.run, theme));
    }
}

fn column_head(column: Column, width: u16, app: &App, theme: &Theme) -> String {
    match column {
        Column::Curve(c, _) => {
            let name = match c {
                Curve::Latent if width < 12 => "all en",
                Curve::Target if width < 8 => "tgt",
                Curve::Out if width < 9 => "out",
                c => c.name(),
            };
            format!("{} {name}", theme.curve_mark(c))
        }
        Column::Entropy => "H".into(),
        Column::Top(_) => "p(top)".into(),
        Column::Token => "top token".into(),
        Column::Tokens => "top tokens".into(),
        Column::Tracked(i, _) => {
            text::harmless(app.shared.sets.tracked.get(i).map_or("", |s| s.word.as_str()))
        }
    }
}
