//! The grid pane.
//!
//! ```text
//!       <bos>    ␣This    ␣film     tokens of the input
//!  18 │ cell │  cell  │  cell  │    layer L at the top, its top-1 token on a ground of its probability
//!  17 │
//!  residual   after attention   MLP output      (an opened cell)
//!  layer 17 · position 3 …   p 0 ░▒▓█ 1         reading and scale
//! ```

use super::lens::probability;
use crate::app::panes::grid::{GridMeasure, GridPane, LABEL_WIDTH};
use crate::app::shared::Shared;
use crate::app::{App, ThemeKind};
use crate::engine::protocol::{GridCell, TokenP};
use crate::ui::text;
use crate::ui::theme::{Ladder, Theme};
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::heatmap::{HeatCell, Heatmap};
use crate::ui::widgets::notice::notice;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use std::borrow::Cow;
use std::time::Duration;

/// What the frame's title says after the pane's name.
pub fn title(app: &App) -> String {
    let separator = if app.theme == ThemeKind::Ascii { "|" } else { "·" };
    title_of(&app.grid, &app.shared, app.now, separator)
}

/// Draws the inside of the pane.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, focused: bool, theme: &Theme) {
    draw(buf, area, &app.grid, &app.shared, focused, theme);
}

fn title_of(pane: &GridPane, shared: &Shared, now: Duration, separator: &str) -> String {
    let measure = match pane.measure {
        GridMeasure::Probability => "top-1 probability",
        GridMeasure::Entropy => "entropy",
    };
    let mut title = format!("{} {separator} {measure}", shared.run_name(pane.run));
    if let Some(p) = pane.pending {
        title +=
            &format!(" {separator} reading {}", text::duration((now.saturating_sub(p.since)).as_secs_f64()));
    }
    title
}

/// Draws the pane from its state alone.
fn draw(buf: &mut Buffer, area: Rect, pane: &GridPane, shared: &Shared, focused: bool, theme: &Theme) {
    if pane.positions() == 0 || pane.is_untold(shared) {
        return empty(buf, area, pane, shared, theme);
    }
    let detail = Rect { height: pane.detail_height(area.height), ..area };
    let grid = Rect { height: area.height.saturating_sub(1 + detail.height), ..area };
    let detail = Rect { y: grid.bottom(), ..detail };
    cells(buf, grid, pane, shared, focused, theme);
    if pane.stale() {
        buf.set_style(grid.intersection(buf.area), theme.stale(Style::new()));
    }
    if pane.detail.is_some() {
        lists(buf, detail, pane, theme);
    }
    let footer = Rect { y: area.bottom().saturating_sub(1), height: area.height.min(1), ..area };
    match &pane.error {
        Some(message) => {
            let message = format!("{} {message} {} R asks again", theme.glyphs.cross, theme.glyphs.separator);
            let message = text::fit(&text::harmless(&message), usize::from(area.width), theme.glyphs.ascii);
            text::put(buf, footer, footer.x, footer.y, &message, theme.error());
        }
        None => reading(buf, footer, pane, shared, theme),
    }
}

fn empty(buf: &mut Buffer, area: Rect, pane: &GridPane, shared: &Shared, theme: &Theme) {
    let lines = match (&pane.error, &shared.model) {
        (Some(message), _) => vec![
            (message.clone(), theme.error()),
            (String::new(), theme.text()),
            ("Press R to ask again.".into(), theme.dim()),
        ],
        (None, None) => vec![
            ("No model is loaded.".into(), theme.strong()),
            (
                "Press m to choose one: its top token at every position and layer appears here.".into(),
                theme.dim(),
            ),
        ],
        (None, Some(_)) if shared.told => vec![
            ("This recording holds no grid.".into(), theme.strong()),
            ("The command that made it did not ask for one.".into(), theme.dim()),
        ],
        (None, Some(_)) => vec![
            ("Waiting for a query.".into(), theme.strong()),
            ("Press n for the task's next item, or e to type a prompt.".into(), theme.dim()),
        ],
    };
    notice(buf, area, &lines);
}

fn cells(buf: &mut Buffer, area: Rect, pane: &GridPane, shared: &Shared, focused: bool, theme: &Theme) {
    let ascii = theme.glyphs.ascii;
    let layers = pane.layers();
    let most = shared.model.as_ref().map_or(1.0, |m| (m.vocabulary.max(2) as f64).log2());
    let cell = |row: usize, position: usize| {
        let cell = pane.cell(layers - row, position)?;
        Some(HeatCell {
            value: certainty(cell, pane.measure, most),
            text: text::token(&cell.token.text, ascii).into(),
        })
    };
    let label = |here: bool| match (here, focused) {
        (true, true) => theme.accent(),
        (true, false) => theme.strong(),
        (false, _) => theme.dim(),
    };
    let row_label = |row: usize| {
        let layer = layers - row;
        (Cow::Owned(layer.to_string()), label(layer == pane.cursor.0))
    };
    let column_label = |position: usize| {
        let token = shared.tokens.get(position).map_or(String::new(), |t| text::token(&t.text, ascii));
        (Cow::Owned(token), label(position == pane.cursor.1))
    };
    let cursor_style = match focused {
        true => Style::new().add_modifier(Modifier::REVERSED),
        false => Style::new().add_modifier(Modifier::UNDERLINED),
    };
    let heatmap = Heatmap {
        rows: layers + 1,
        columns: pane.positions(),
        first: pane.first,
        cell: &cell,
        row_label: &row_label,
        column_label: &column_label,
        label_width: LABEL_WIDTH,
        cell_width: GridPane::cell_width(area.width),
        heat: &|v| theme.heat(v as f32),
        digits: ascii || theme.ladder == Ladder::None,
        cursor: Some((layers - pane.cursor.0.min(layers), pane.cursor.1)),
        cursor_style,
        missing: theme.faint(),
        ascii,
    };
    heatmap.render(buf, area);
}

/// The measure on a scale of 0 (uncertain) to 1 (certain); `most` is the largest possible entropy in bits.
fn certainty(cell: &GridCell, measure: GridMeasure, most: f64) -> f64 {
    match measure {
        GridMeasure::Probability => f64::from(cell.token.p),
        GridMeasure::Entropy => 1.0 - f64::from(cell.entropy_bits) / most,
    }
}

/// The line under the grid: what the cell under the mouse, else under the cursor, says; and the scale.
fn reading(buf: &mut Buffer, area: Rect, pane: &GridPane, shared: &Shared, theme: &Theme) {
    let ascii = theme.glyphs.ascii;
    let (layer, position) = pane.hover.unwrap_or(pane.cursor);
    let separator = theme.glyphs.separator;
    let input = shared.tokens.get(position).map_or(String::new(), |t| text::token(&t.text, ascii));
    let mut x = area.x;
    let mut say = |content: &str, style: Style| x = text::put(buf, area, x, area.y, content, style);
    say(&format!("layer {layer} {separator} "), theme.text());
    say(&format!("{}/{} ", position + 1, pane.positions()), theme.dim());
    say(&text::ellipsize(&input, 16, ascii), theme.text());
    say(&format!(" {} ", theme.glyphs.arrow_right), theme.dim());
    match pane.cell(layer, position) {
        Some(cell) => {
            say(&text::ellipsize(&text::token(&cell.token.text, ascii), 20, ascii), theme.strong());
            say(&format!("  p {}", probability(cell.token.p)), theme.text());
            say(&format!("  {:.2} bits", cell.entropy_bits), theme.dim());
        }
        None => say("not read yet", theme.dim()),
    }
    scale(buf, Rect { x: x.min(area.right()), width: area.right().saturating_sub(x), ..area }, pane, theme);
}

/// The colours from uncertain to certain, at the right edge where there is room.
fn scale(buf: &mut Buffer, area: Rect, pane: &GridPane, theme: &Theme) {
    let (low, high) = match pane.measure {
        GridMeasure::Probability => ("p 0 ", " 1"),
        GridMeasure::Entropy => ("uncertain ", " certain"),
    };
    let steps = 10;
    let needed = (low.len() + high.len()) as u16 + steps;
    if area.width < needed + 2 {
        return;
    }
    let mut x = area.right() - needed;
    x = text::put(buf, area, x, area.y, low, theme.dim());
    for i in 0..steps {
        let p = f32::from(i) / f32::from(steps - 1);
        let digits = theme.glyphs.ascii || theme.ladder == Ladder::None;
        let sign = if digits { i.to_string() } else { " ".into() };
        x = text::put(buf, area, x, area.y, &sign, theme.heat(p));
    }
    text::put(buf, area, x, area.y, high, theme.dim());
}

/// The opened cell: three lists side by side.
fn lists(buf: &mut Buffer, area: Rect, pane: &GridPane, theme: &Theme) {
    let Some(detail) = &pane.detail else { return };
    let line = if theme.glyphs.ascii { "-" } else { "─" };
    let rule = line.repeat(usize::from(area.width));
    text::put(buf, area, area.x, area.y, &rule, theme.faint());
    let (layer, position) = pane.cursor;
    let heading = format!(" layer {layer}, position {} ", position + 1);
    text::put(buf, area, area.x + 2, area.y, &heading, theme.accent());
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let Some(cell) = &detail.cell else {
        let message = match &detail.error {
            Some(message) => (message.clone(), theme.error()),
            None => ("Reading the cell…".into(), theme.dim()),
        };
        return notice(buf, body, &[message]);
    };
    let columns = [
        ("residual stream", &cell.residual),
        ("after attention", &cell.after_attention),
        ("MLP output alone", &cell.mlp_output),
    ];
    let width = body.width / 3;
    for (i, (name, entries)) in columns.into_iter().enumerate() {
        let column = Rect { x: body.x + i as u16 * width, width: width.saturating_sub(2), ..body };
        text::put(
            buf,
            column,
            column.x,
            column.y,
            &text::fit(name, usize::from(column.width), true),
            theme.strong(),
        );
        list(
            buf,
            Rect { y: column.y + 1, height: column.height.saturating_sub(1), ..column },
            entries,
            theme,
        );
    }
    if detail.pending.is_some() {
        buf.set_style(body.intersection(buf.area), theme.stale(Style::new()));
    }
}

fn list(buf: &mut Buffer, area: Rect, entries: &[TokenP], theme: &Theme) {
    let ascii = theme.glyphs.ascii;
    if entries.is_empty() {
        text::put(buf, area, area.x, area.y, "(none: layer 0 has no block)", theme.dim());
    }
    let name = (usize::from(area.width.saturating_sub(7)) * 3 / 5).min(20);
    for (i, entry) in entries.iter().take(usize::from(area.height)).enumerate() {
        let y = area.y + i as u16;
        text::put(
            buf,
            area,
            area.x,
            y,
            &text::fit(&text::token(&entry.text, ascii), name, ascii),
            theme.text(),
        );
        let x = text::put(buf, area, area.x + name as u16 + 1, y, &probability(entry.p), theme.dim()) + 1;
        let rest = Rect { x, y, width: area.right().saturating_sub(x), height: 1 };
        bar(buf, rest, f64::from(entry.p), theme.accent(), Style::new(), ascii);
    }
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
