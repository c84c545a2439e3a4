//! The lens pane: a row a layer, output on top, one block of columns a run.
//!
//! ```text
//!        base                               +adapter
//!  layer ● en      ◆ target   H    top      ● en   …
//!  18 out ███▌ .71  █▏  .20  1.2  ␣positive …
//! ```

use super::lens_columns::{Block, Column, columns};
use super::lens_detail;
use crate::app::App;
use crate::app::panes::lens::{FOOT_ROWS, HEAD_ROWS, detail_space, visible_layers};
use crate::app::text::duration;
use crate::engine::protocol::{LensLayer, RunId};
use crate::ui::card;
use crate::ui::text::{self, ellipsize, fit, fit_right, put, put_right};
use crate::ui::theme::{Curve, Theme};
use crate::ui::widgets::bar::{Diverging, bar, diverging};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Columns of the layer's number: " 18 out ".
const LAYER_CELLS: u16 = 7;

/// What the frame's title says after the pane's name.
pub fn title(app: &App) -> String {
    let sets = &app.shared.sets;
    let words = sets.latent.get(sets.gold).zip(sets.target.get(sets.gold));
    let gold = words
        .map(|(en, target)| format!("gold {} | {}", text::harmless(&en.word), text::harmless(&target.word)));
    let compared = app.lens.compared(&app.shared);
    let mode = match compared {
        Some(_) if app.lens.difference => format!("{} minus base", app.shared.run_name(compared)),
        _ => String::new(),
    };
    [mode, gold.unwrap_or_default()].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("  ")
}

/// Draws the inside of the pane.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, focused: bool, theme: &Theme) {
    let lens = &app.lens;
    if app.shared.model.is_none() {
        return card::render(buf, area, app, theme);
    }
    if lens.runs.is_empty() {
        return empty(buf, area, app, theme);
    }
    let (table, detail) = match &lens.detail {
        None => (area, None),
        Some(_) => {
            let (beside, cells) = detail_space(area.width, area.height);
            let (a, b) = split(area, beside, cells);
            (a, Some(b))
        }
    };
    if let (Some(space), Some(detail)) = (detail, &lens.detail) {
        lens_detail::render(buf, space, detail, app, theme);
    }
    if table.height < HEAD_ROWS + 1 || table.width < 20 {
        return;
    }
    let rows = table.height.saturating_sub(HEAD_ROWS + FOOT_ROWS);
    let selected = lens.layer(&app.shared);
    let shown = visible_layers(lens.count(&app.shared), selected, usize::from(rows));
    let body = Rect { y: table.y + HEAD_ROWS, height: rows, ..table };
    let blocks = blocks(table, app);
    for (block, space) in &blocks {
        head(buf, *space, block, app, theme);
    }
    let mut hovered = None;
    for (i, layer) in shown.rev().enumerate() {
        let row = Rect { y: body.y + i as u16, height: 1, ..table };
        if app.hover.is_some_and(|(x, y)| y == row.y && (row.left()..row.right()).contains(&x)) {
            hovered = Some(layer);
        }
        layer_row(buf, row, layer, layer == selected, focused, &blocks, app, theme);
    }
    let foot_row = Rect { y: table.bottom() - 1, height: 1, ..table };
    foot(buf, foot_row, hovered.unwrap_or(selected), app, theme);
}

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

fn empty(buf: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    let words = match &app.lens.error {
        Some(error) => error.as_str(),
        None => "Nothing was asked yet: e edits the prompt, i chooses an item.",
    };
    let style = if app.lens.error.is_some() { theme.error() } else { theme.dim() };
    super::centred(buf, area, words, style);
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
    let each = (space.width - (n - 1)) / n;
    let place = |i: u16| Rect { x: space.x + i * (each + 1), width: each, ..space };
    runs.into_iter().enumerate().map(|(i, run)| (make(run, false, each), place(i as u16))).collect()
}

/// Two rows: the run's name, and the columns' names.
fn head(buf: &mut Buffer, space: Rect, block: &Block, app: &App, theme: &Theme) {
    let first = Rect { height: 1, ..space };
    let name = if block.minus_base {
        format!("{} {}", theme.glyphs.delta, app.shared.run_name(block.run))
    } else if block.run.is_some() {
        format!("+{}", app.shared.run_name(block.run))
    } else if app.shared.compares() {
        "base".to_owned()
    } else {
        String::new()
    };
    let style = theme.run(block.run).add_modifier(ratatui::style::Modifier::BOLD);
    put(buf, first, first.x, first.y, &ellipsize(&name, usize::from(first.width), theme.glyphs.ascii), style);
    for (column, x, width) in block.places(space.x) {
        let cell = Rect { x, y: space.y + 1, width, height: 1 };
        let (words, style, right) = column_head(column, app, theme);
        let words = if right {
            fit_right(&words, usize::from(width), theme.glyphs.ascii)
        } else {
            ellipsize(&words, usize::from(width), theme.glyphs.ascii).into_owned()
        };
        put(buf, cell, cell.x, cell.y, &words, style);
    }
}

fn column_head(column: Column, app: &App, theme: &Theme) -> (String, Style, bool) {
    match column {
        Column::Curve(c, bar) => {
            let name = match c {
                Curve::Latent if bar < 7 => "lat",
                Curve::Out if bar < 7 => "out",
                Curve::Latent if bar < 9 => "all lat",
                Curve::Target if bar < 4 => "tgt",
                c => c.name(),
            };
            (format!("{} {name}", theme.curve_mark(c)), theme.curve(c), false)
        }
        Column::Entropy => ("H bit".into(), theme.entropy(), true),
        Column::Top(_) => ("p(top)".into(), theme.text(), false),
        Column::Token => ("top token".into(), theme.text(), false),
        Column::Tokens => ("top tokens".into(), theme.text(), false),
        Column::Tracked(i, _) => {
            let word = app.shared.sets.tracked.get(i).map_or("", |s| s.word.as_str());
            (text::harmless(word), theme.language(i), false)
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "a row needs its place, its state and the looks")]
fn layer_row(
    buf: &mut Buffer,
    row: Rect,
    layer: usize,
    selected: bool,
    focused: bool,
    blocks: &[(Block, Rect)],
    app: &App,
    theme: &Theme,
) {
    if selected {
        buf.set_style(row, if focused { theme.selection() } else { theme.selection_idle() });
        put(buf, row, row.x, row.y, theme.glyphs.selected, theme.accent());
    }
    let last = app.lens.count(&app.shared).saturating_sub(1);
    let style = if selected { theme.strong() } else { theme.dim() };
    let name = match layer {
        k if k == last => format!("{k:>3} out"),
        0 => "  0 emb".to_owned(),
        k => format!("{k:>3}"),
    };
    put(buf, row, row.x, row.y, &name, style);
    if selected {
        put(buf, row, row.x, row.y, theme.glyphs.selected, theme.accent());
    }
    for (block, space) in blocks {
        let cells = Rect { y: row.y, height: 1, ..*space };
        let here = app.lens.runs.get(&block.run).and_then(|r| r.layer(layer));
        let base = app.lens.runs.get(&None).and_then(|r| r.layer(layer));
        match (here, base) {
            (Some((l, fresh)), Some((b, base_fresh))) if block.minus_base => {
                difference_cells(buf, cells, block, l, b, fresh && base_fresh, theme);
            }
            (Some((l, fresh)), _) if !block.minus_base => value_cells(buf, cells, block, l, fresh, theme),
            _ => _ = put(buf, cells, cells.x, cells.y, theme.glyphs.ellipsis, theme.faint()),
        }
    }
}

/// A probability in four cells: ".412", "1.00", "0" below half a thousandth.
pub fn probability(p: f32) -> String {
    match p {
        p if !p.is_finite() => "   ?".into(),
        p if p >= 0.9995 => "1.00".into(),
        p if p < 0.0005 => "   0".into(),
        p => format!("{p:.3}")[1..].to_owned(),
    }
}

fn curve_value(layer: &LensLayer, curve: Curve) -> Option<f32> {
    let c = layer.curves?;
    Some(match curve {
        Curve::En => c.en,
        Curve::Target => c.target,
        Curve::Latent => c.all_possible_latent,
        Curve::Out => c.all_possible_out,
    })
}

fn value_cells(buf: &mut Buffer, space: Rect, block: &Block, l: &LensLayer, fresh: bool, theme: &Theme) {
    let look = |style: Style| if fresh { style } else { theme.stale(style) };
    let ascii = theme.glyphs.ascii;
    for (column, x, width) in block.places(space.x) {
        let cell = Rect { x, width, ..space };
        match column {
            Column::Curve(c, bars) => {
                let Some(p) = curve_value(l, c) else { continue };
                probability_cell(buf, cell, p, bars, look(theme.curve(c)), look(theme.text()), theme);
            }
            Column::Tracked(i, bars) => {
                let Some(p) = l.tracked.get(i) else { continue };
                probability_cell(buf, cell, *p, bars, look(theme.language(i)), look(theme.text()), theme);
            }
            Column::Top(bars) => {
                let p = l.top.first().map_or(0.0, |t| t.p);
                probability_cell(buf, cell, p, bars, look(theme.run(block.run)), look(theme.text()), theme);
            }
            Column::Entropy => {
                let words = format!("{:.1}", l.entropy_bits);
                put(
                    buf,
                    cell,
                    x,
                    cell.y,
                    &fit_right(&words, usize::from(width), ascii),
                    look(theme.entropy()),
                );
            }
            Column::Token => {
                let Some(top) = l.top.first() else { continue };
                let room = usize::from(width).saturating_sub(5);
                let words = fit(&text::token(&top.text, ascii), room, ascii);
                let at = put(buf, cell, x, cell.y, &words, look(theme.text()));
                put(buf, cell, at + 1, cell.y, &probability(top.p), look(theme.dim()));
            }
            Column::Tokens => {
                let mut at = x;
                for top in &l.top {
                    let words = text::token(&top.text, ascii);
                    if usize::from(cell.right().saturating_sub(at)) < text::width(&words) + 6 {
                        break;
                    }
                    at = put(buf, cell, at, cell.y, &words, look(theme.text()));
                    at = put(buf, cell, at + 1, cell.y, probability(top.p).trim_start(), look(theme.dim()))
                        + 2;
                }
            }
        }
    }
}

/// A bar with its number; without room for a bar the number alone.
fn probability_cell(
    buf: &mut Buffer,
    cell: Rect,
    p: f32,
    bars: u16,
    fill: Style,
    words: Style,
    theme: &Theme,
) {
    if bars > 0 {
        let place = Rect { width: bars, ..cell };
        // Below half a thousandth the number says 0, and so does the bar.
        let shown = if p < 0.0005 { 0.0 } else { p };
        let track = if theme.glyphs.ascii { theme.faint() } else { Style::new() };
        bar(buf, place, f64::from(shown), fill, track, theme.glyphs.ascii);
    }
    let number = Rect { x: cell.x + bars, width: cell.width.saturating_sub(bars), ..cell };
    let style = if p < 0.0005 { theme.faint() } else { words };
    put_right(buf, number, cell.y, &probability(p), style);
}

fn difference_cells(
    buf: &mut Buffer,
    space: Rect,
    block: &Block,
    l: &LensLayer,
    b: &LensLayer,
    fresh: bool,
    theme: &Theme,
) {
    let look = |style: Style| if fresh { style } else { theme.stale(style) };
    let ascii = theme.glyphs.ascii;
    let change = |buf: &mut Buffer, cell: Rect, d: f32, bars: u16| {
        let styles = Diverging {
            more: look(theme.change(1.0)),
            less: look(theme.change(-1.0)),
            centre: theme.faint(),
        };
        let shown = if d.abs() < 0.0005 { 0.0 } else { d };
        if bars > 2 {
            diverging(buf, Rect { width: bars, ..cell }, f64::from(shown), styles, ascii);
        }
        let style = if shown == 0.0 { theme.faint() } else { look(theme.change(shown)) };
        put_right(buf, cell, cell.y, &signed(d), style);
    };
    for (column, x, width) in block.places(space.x) {
        let cell = Rect { x, width, ..space };
        match column {
            Column::Curve(c, bars) => {
                if let (Some(p), Some(q)) = (curve_value(l, c), curve_value(b, c)) {
                    change(buf, cell, p - q, bars);
                }
            }
            Column::Tracked(i, bars) => {
                if let (Some(p), Some(q)) = (l.tracked.get(i), b.tracked.get(i)) {
                    change(buf, cell, p - q, bars);
                }
            }
            Column::Top(bars) => {
                let p = |l: &LensLayer| l.top.first().map_or(0.0, |t| t.p);
                change(buf, cell, p(l) - p(b), bars);
            }
            Column::Entropy => {
                let words = format!("{:+.1}", l.entropy_bits - b.entropy_bits);
                put(
                    buf,
                    cell,
                    x,
                    cell.y,
                    &fit_right(&words, usize::from(width), ascii),
                    look(theme.entropy()),
                );
            }
            Column::Token | Column::Tokens => {
                let name =
                    |l: &LensLayer| l.top.first().map_or_else(String::new, |t| text::token(&t.text, ascii));
                let (was, is) = (name(b), name(l));
                if was == is {
                    put(buf, cell, x, cell.y, &ellipsize(&is, usize::from(width), ascii), look(theme.dim()));
                } else {
                    let half = usize::from(width).saturating_sub(3) / 2;
                    let at = put(buf, cell, x, cell.y, &ellipsize(&was, half, ascii), look(theme.base()));
                    let at = put(buf, cell, at, cell.y, if ascii { ">" } else { " → " }, theme.faint());
                    put(buf, cell, at, cell.y, &is, look(theme.aligned()));
                }
            }
        }
    }
}

/// A difference of probabilities in five cells: "+.123", "0".
fn signed(d: f32) -> String {
    match d {
        d if !d.is_finite() => "?".into(),
        d if d.abs() < 0.0005 => "0".into(),
        d if d.abs() >= 0.9995 => format!("{d:+.2}"),
        d => format!("{}{}", if d > 0.0 { '+' } else { '-' }, &format!("{:.3}", d.abs())[1..]),
    }
}

/// One line on the selected (or hovered) layer.
fn foot(buf: &mut Buffer, row: Rect, layer: usize, app: &App, theme: &Theme) {
    let row = Rect { x: row.x + 1, width: row.width.saturating_sub(2), ..row };
    if let Some(error) = &app.lens.error {
        put(buf, row, row.x, row.y, &text::harmless(error), theme.error());
        return;
    }
    if app.lens.job.is_some() && app.lens.done() == 0 {
        let spent = duration(app.now.saturating_sub(app.lens.since));
        put(buf, row, row.x, row.y, &format!("asking the model, {spent}   X cancels"), theme.dim());
        return;
    }
    let run = if app.lens.difference { app.lens.compared(&app.shared) } else { None };
    let Some(rows) = app.lens.runs.get(&run) else { return };
    let mut facts = vec![format!("layer {layer}")];
    if let Some((l, _)) = rows.layer(layer) {
        facts.push(format!("H {:.2} bit", l.entropy_bits));
        facts.extend(l.kl_bits.map(|kl| format!("KL {kl:.2} bit")));
        facts.extend(l.gold_rank.map(|r| format!("gold rank {}", r + 1)));
        facts.push(format!("energy {:.2}", l.energy));
    }
    facts.extend(rows.first_final_top1.map(|k| format!("final top-1 from layer {k}")));
    put(buf, row, row.x, row.y, &facts.join("   "), theme.dim());
}
