//! An opened layer: top tokens of the residual stream, after attention, and of the MLP's output
//! alone, for the base and the compared adapter.

use super::lens_cells::probability;
use crate::app::App;
use crate::app::panes::lens::Detail;
use crate::engine::protocol::{RunId, TokenP};
use crate::ui::text::{self, ellipsize, fit, put, put_right};
use crate::ui::theme::Theme;
use crate::ui::widgets::bar::bar;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Draws the panel.
pub fn render(buf: &mut Buffer, area: Rect, detail: &Detail, app: &App, theme: &Theme) {
    if area.height < 4 || area.width < 24 {
        return;
    }
    let beside = area.height > area.width / 3;
    let line = if theme.glyphs.ascii { "-" } else { "─" };
    let layer = app.lens.layer(&app.shared);
    let head = Rect { height: 1, x: area.x + 1, width: area.width - 2, ..area };
    put(buf, head, head.x, head.y, &line.repeat(usize::from(head.width)), theme.faint());
    put(buf, head, head.x, head.y, &format!("Layer {layer} at the last position "), theme.accent());
    put_right(buf, head, head.y, " Up Down: layer   Esc: close", theme.dim());
    let body = Rect { y: area.y + 1, height: area.height - 1, ..head };
    if let Some(error) = &detail.error {
        return super::centred(buf, body, &text::harmless(error), theme.error());
    }
    let compared = app.lens.compared(&app.shared);
    let mut runs = vec![None];
    runs.extend(Some(compared).filter(Option::is_some));
    if beside {
        stacked(buf, body, layer, &runs, detail, app, theme)
    } else {
        columns(buf, body, layer, &runs, detail, app, theme)
    }
}

/// The lists of one run: name and tokens; those not yet computed are `None`.
fn lists<'a>(
    run: RunId,
    layer: usize,
    detail: &'a Detail,
    app: &'a App,
) -> Vec<(&'static str, Option<&'a [TokenP]>)> {
    let cell = detail.cells.get(&run).filter(|c| c.layer == layer);
    let known = app.lens.runs.get(&run).and_then(|r| r.layer(layer)).map(|(l, _)| l.top.as_slice());
    let mut lists = vec![("residual stream", cell.map(|c| c.residual.as_slice()).or(known))];
    if layer > 0 {
        lists.push(("after attention", cell.map(|c| c.after_attention.as_slice())));
        lists.push(("MLP output alone", cell.map(|c| c.mlp_output.as_slice())));
    }
    lists
}

/// Runs side by side, lists below each other: for a tall panel.
fn stacked(
    buf: &mut Buffer,
    area: Rect,
    layer: usize,
    runs: &[RunId],
    detail: &Detail,
    app: &App,
    theme: &Theme,
) {
    let each = (area.width - (runs.len() as u16 - 1) * 2) / runs.len() as u16;
    for (i, run) in runs.iter().enumerate() {
        let column = Rect { x: area.x + i as u16 * (each + 2), width: each, ..area };
        let facts = facts(buf, column, *run, layer, app, theme);
        let lists = lists(*run, layer, detail, app);
        let rest = Rect { y: column.y + facts, height: column.height.saturating_sub(facts), ..column };
        let first = if lists.len() == 1 { rest.height } else { rest.height / 2 };
        let other = (rest.height - first) / 2;
        let mut y = rest.y;
        for (k, (name, tokens)) in lists.into_iter().enumerate() {
            let height = if k == 0 { first } else { other };
            list(buf, Rect { y, height, ..rest }, name, tokens, theme.run(*run), theme);
            y += height;
        }
    }
}

/// Lists side by side, runs below each other: for a flat panel.
fn columns(
    buf: &mut Buffer,
    area: Rect,
    layer: usize,
    runs: &[RunId],
    detail: &Detail,
    app: &App,
    theme: &Theme,
) {
    let band = area.height / runs.len() as u16;
    for (i, run) in runs.iter().enumerate() {
        let row = Rect { y: area.y + i as u16 * band, height: band, ..area };
        let lists = lists(*run, layer, detail, app);
        let used = if band > 5 { facts(buf, row, *run, layer, app, theme) } else { 0 };
        let rest = Rect { y: row.y + used, height: row.height - used, ..row };
        let each = (rest.width - (lists.len() as u16 - 1) * 2) / lists.len() as u16;
        for (k, (name, tokens)) in lists.into_iter().enumerate() {
            let place = Rect { x: rest.x + k as u16 * (each + 2), width: each, ..rest };
            let run_name = if k == 0 && used == 0 {
                format!("{}: {name}", app.shared.run_name(*run))
            } else {
                name.to_owned()
            };
            list(buf, place, &run_name, tokens, theme.run(*run), theme);
        }
    }
}

/// The run's name and its numbers; returns the rows taken.
fn facts(buf: &mut Buffer, area: Rect, run: RunId, layer: usize, app: &App, theme: &Theme) -> u16 {
    let Some((l, _)) = app.lens.runs.get(&run).and_then(|r| r.layer(layer)) else { return 0 };
    let mut words = vec![format!("H {:.2}", l.entropy_bits)];
    words.extend(l.kl_bits.map(|kl| format!("KL {kl:.2}")));
    words.extend(l.gold_rank.map(|r| format!("gold rank {}", r + 1)));
    words.extend(l.energy.map(|e| format!("energy {e:.2}")));
    let row = Rect { height: 1, ..area };
    let x = put(buf, row, row.x, row.y, app.shared.run_name(run), theme.run(run));
    let room = usize::from(row.right().saturating_sub(x + 2));
    put(buf, row, x + 2, row.y, &ellipsize(&words.join("  "), room, theme.glyphs.ascii), theme.dim());
    1
}

/// A named list of tokens with their probabilities; `None` while it is not computed.
pub fn list(
    buf: &mut Buffer,
    area: Rect,
    name: &str,
    tokens: Option<&[TokenP]>,
    style: Style,
    theme: &Theme,
) {
    if area.height == 0 {
        return;
    }
    let ascii = theme.glyphs.ascii;
    put(buf, area, area.x, area.y, &ellipsize(name, usize::from(area.width), ascii), theme.dim());
    let Some(tokens) = tokens else {
        put(buf, area, area.x, area.y + 1, theme.glyphs.ellipsis, theme.faint());
        return;
    };
    let bars = (area.width / 3).clamp(3, 16);
    let room = usize::from(area.width.saturating_sub(bars + 6));
    for (i, t) in tokens.iter().take(usize::from(area.height - 1)).enumerate() {
        let row = Rect { y: area.y + 1 + i as u16, height: 1, ..area };
        let x = put(buf, row, row.x, row.y, &fit(&text::token(&t.text, ascii), room, ascii), theme.text());
        let shown = if t.p < 0.0005 { 0.0 } else { f64::from(t.p) };
        bar(buf, Rect { x: x + 1, width: bars, ..row }.intersection(row), shown, style, Style::new(), ascii);
        put_right(buf, row, row.y, &probability(t.p), theme.dim());
    }
}
