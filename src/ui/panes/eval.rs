//! The evaluation pane.
//!
//! ```text
//!  th  312/1400  ███░░░  480 kept  24/s  40s left         what is going on
//!  lang  base          zh2en         Δ     n   AUC  answers
//!  en    ██████ .812   ███████ .875  +.063 32  …    ██░░ ██░░     a language a row
//!  mean  …                                                        under the list
//!  change +.045  95 % [-.010 +.098]  p .083
//!  a panel on the selected language: beside the list, or below it where there is room
//! ```

use super::eval_side::wrapped;
use super::{eval_card, eval_items, eval_table, pca_list};
use crate::app::library::EvalWish;
use crate::app::panes::eval::{End, EvalPane};
use crate::app::shared::Shared;
use crate::app::text::bytes;
use crate::app::{App, ThemeKind};
use crate::engine::protocol::{Protocol, Score};
use crate::ui::frame::style_name;
use crate::ui::text;
use crate::ui::theme::Theme;
use crate::ui::widgets::bar::bar;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::time::Duration;

/// What frame and drawing need to know.
pub struct Scene<'a> {
    pub pane: &'a EvalPane,
    pub shared: &'a Shared,
    pub now: Duration,
    pub theme: &'a Theme,
}

/// What the frame's title says after the pane's name.
pub fn title(app: &App) -> String {
    let separator = if app.theme == ThemeKind::Ascii { "|" } else { "·" };
    let Some(table) = &app.eval.table else { return String::new() };
    let items = table.plan.langs.iter().map(|l| l.items.len()).max().unwrap_or(0);
    described(&app.eval.asked.wish, items, separator)
}

/// What is evaluated, in a line.
fn described(wish: &EvalWish, items: usize, separator: &str) -> String {
    let languages = match wish.langs.as_slice() {
        [one] => one.clone(),
        langs => format!("{} languages", langs.len()),
    };
    let mut parts = vec![
        wish.task.clone(),
        format!("{languages} x {items} items"),
        format!("labels {}", style_name(wish.style)),
        score_name(wish.score).to_owned(),
    ];
    if wish.protocol == Protocol::Paper {
        parts.push("the paper's definitions".to_owned());
    }
    parts.join(&format!(" {separator} "))
}

/// A way of scoring, as on the command line.
pub fn score_name(score: Score) -> &'static str {
    match score {
        Score::PrefixSet => "prefix-set",
        Score::Loglik => "loglik",
    }
}

/// Draws the inside of the pane.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, focused: bool, theme: &Theme) {
    draw(buf, area, &Scene { pane: &app.eval, shared: &app.shared, now: app.now, theme }, focused);
}

/// Draws the pane from its state alone.
fn draw(buf: &mut Buffer, area: Rect, scene: &Scene, focused: bool) {
    let Scene { pane, shared, theme, .. } = scene;
    if pane.table.is_none() {
        eval_card::render(buf, area, scene);
    } else if pane.open {
        eval_items::render(buf, area, scene, focused);
    } else {
        eval_table::render(buf, area, scene, focused);
    }
    if let Some(list) = &pane.list {
        pca_list::render(buf, area, "Languages to evaluate", list, &pane.chosen, shared, theme);
    }
}

/// Puts parts one after the other, each whole or not at all; returns where the last one ends.
pub fn say(buf: &mut Buffer, row: Rect, parts: &[(String, Style)]) -> u16 {
    let mut x = row.x;
    for (part, style) in parts {
        let gap = if x > row.x { 2 } else { 0 };
        if x + gap + text::width(part) as u16 > row.right() {
            break;
        }
        x = text::put(buf, row, x + gap, row.y, part, *style);
    }
    x
}

/// The line on what is going on: progress, how it ended, what is chosen now. What went wrong may take all of `area`.
pub fn status(buf: &mut Buffer, area: Rect, scene: &Scene) {
    let Scene { pane, shared, theme, .. } = scene;
    let ascii = theme.glyphs.ascii;
    let row = Rect { height: area.height.min(1), ..area };
    if row.is_empty() {
        return;
    }
    if pane.running.is_some() {
        return progress(buf, row, scene);
    }
    if let Some(message) = &pane.error {
        let blank = " ".repeat(usize::from(area.width));
        let sentence = format!("{} {message}", theme.glyphs.cross);
        for y in area.y..area.y + wrapped(buf, area, &sentence, theme.error(), usize::MAX) {
            text::put(buf, area, area.x, y, &blank, theme.text());
        }
        wrapped(buf, area, &sentence, theme.error(), usize::MAX);
        return;
    }
    if pane.outdated {
        let items = eval_card::items(pane, shared);
        let chosen = described(&pane.settings(shared).wish, items, theme.glyphs.separator);
        let chosen = format!("c evaluates what is chosen now: {chosen}");
        let line = text::ellipsize(&chosen, usize::from(row.width), ascii);
        text::put(buf, row, row.x, row.y, &line, theme.warn());
        return;
    }
    let (there, total) = pane.progress();
    let mut parts = match pane.end {
        Some(End::Done { elapsed_ms }) => vec![
            (format!("{} {there} answers", theme.glyphs.check), theme.good()),
            (format!("{} {}", theme.glyphs.separator, text::duration(elapsed_ms / 1e3)), theme.dim()),
        ],
        _ => vec![
            (format!("stopped at {there} of {total}"), theme.warn()),
            ("c goes on".to_owned(), theme.key()),
        ],
    };
    if pane.kept > 0 {
        parts.push((format!("{} kept from before", pane.kept), theme.dim()));
    }
    let x = say(buf, row, &parts);
    measure(buf, Rect { x: x + 2, width: row.right().saturating_sub(x + 2), ..row }, scene);
}

/// What the bars mean, at the right end where there is room.
fn measure(buf: &mut Buffer, row: Rect, scene: &Scene) {
    let words = format!("bars: {}", scene.pane.measure.name());
    if !scene.pane.open && text::width(&words) <= usize::from(row.width) {
        text::put_right(buf, row, row.y, &words, scene.theme.dim());
    }
}

fn progress(buf: &mut Buffer, row: Rect, scene: &Scene) {
    let Scene { pane, now, theme, .. } = scene;
    let Some(running) = &pane.running else { return };
    let (there, total) = pane.progress();
    let dim = theme.dim();
    if !running.answers() {
        let stage = if running.stage.is_empty() { "starting" } else { &running.stage };
        let amount = match (running.unit.as_str(), running.total) {
            (_, 0) => String::new(),
            ("bytes", total) => format!("{} of {}", bytes(running.done), bytes(total)),
            (unit, total) => format!("{} of {total} {unit}", running.done),
        };
        let spent = text::duration(now.saturating_sub(running.since).as_secs_f64());
        let parts = [(stage.to_owned(), theme.strong()), (amount, theme.text()), (spent, dim), stops(dim)];
        say(buf, row, &parts);
        return;
    }
    let x = say(
        buf,
        row,
        &[(format!("{:<2}", running.stage), theme.accent()), (format!("{there}/{total}"), theme.text())],
    );
    let width = (row.width / 6).clamp(4, 24);
    let track = Rect { x: x + 2, width, ..row }.intersection(row);
    let share = there as f64 / total.max(1) as f64;
    bar(buf, track, share, theme.accent(), theme.selection_idle(), theme.glyphs.ascii);
    let mut parts = Vec::new();
    if let Some(left) = pane.left(*now) {
        parts.push((format!("{} left", text::duration(left.ceil())), theme.strong()));
    }
    parts.push(stops(dim));
    if pane.kept > 0 {
        parts.push((format!("{} kept", pane.kept), theme.text()));
    }
    if let Some(rate) = pane.rate() {
        let rate = if rate < 9.95 { format!("{rate:.1}") } else { text::count(rate) };
        parts.push((format!("{rate} answers/s"), dim));
    }
    let from = track.right() + 2;
    let rest = Rect { x: from, width: row.right().saturating_sub(from), ..row };
    let x = say(buf, rest, &parts);
    measure(buf, Rect { x: x + 2, width: row.right().saturating_sub(x + 2), ..row }, scene);
}

fn stops(style: Style) -> (String, Style) {
    ("X stops".to_owned(), style)
}

/// A share of 0..=1 in four columns: `.719`, `1.00`; `-` where there is none.
pub fn share(v: Option<f64>) -> String {
    match v {
        Some(v) if v >= 0.9995 => format!("{v:.2}"),
        Some(v) if v.is_finite() => format!("{:.3}", v.max(0.0)).trim_start_matches('0').to_owned(),
        _ => "-".into(),
    }
}

/// A difference of shares in at most five columns: `+.063`, `-.031`, `0`.
pub fn gain(v: Option<f64>) -> String {
    match v {
        Some(v) if v.abs() < 0.0005 => "0".into(),
        Some(v) if v.abs() >= 0.9995 => format!("{v:+.2}"),
        Some(v) if v.is_finite() => {
            format!(
                "{}{}",
                if v > 0.0 { '+' } else { '-' },
                format!("{:.3}", v.abs()).trim_start_matches('0')
            )
        }
        _ => "-".into(),
    }
}

/// A p-value: `.083`, `2.1e-5`, `1`.
pub fn p_value(p: f64) -> String {
    match p {
        p if p >= 0.9995 => "1".into(),
        p if p < 0.001 => text::number(p),
        p => format!("{p:.3}").trim_start_matches('0').to_owned(),
    }
}

#[cfg(test)]
#[path = "eval_tests.rs"]
mod tests;
