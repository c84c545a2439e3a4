//! A followed run: its state, its numbers, its curves; and the parts that every run's sheet has.
//!
//! ```text
//!  ● running   updated 3s ago   elapsed 12m34s   left 24m10s        …/trainer_log.jsonl
//!  ████████████▍                    34 %   step 340/1000   epoch 1.02
//!  loss 1.92  smooth 1.95   eval 1.88 at 300   lr 2.8e-5   1234 tokens/s
//!  loss: the whole run               │ learning rate
//!                                    │ speed
//!  loss: the recent part             │ gradient norm
//!  notes: damaged lines, resumed, NaN; or the reading under the cursor
//! ```

use super::training_chart::{Chart, chart, name};
use crate::app::panes::training_curves::{Curves, LogState, Metric};
use crate::ui::text::{self, duration};
use crate::ui::theme::Theme;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::notice::notice;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::path::Path;
use std::time::Duration;

/// The end of a path, which tells more than its beginning.
pub fn tail(path: &Path, columns: usize, mark: &str) -> String {
    let shown = text::harmless(&path.display().to_string());
    if text::width(&shown) <= columns {
        return shown;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in shown.rsplit('/') {
        let used: usize = parts.iter().map(|p| text::width(p) + 1).sum();
        if !parts.is_empty() && used + text::width(part) + 2 > columns {
            break;
        }
        parts.insert(0, part);
    }
    format!("{mark}/{}", parts.join("/"))
}

/// Draws the sheet; `followed` is what the user asked for.
pub fn draw(
    buf: &mut Buffer,
    area: Rect,
    pane: &Curves,
    followed: Option<&Path>,
    now: Duration,
    theme: &Theme,
) {
    if pane.records == 0 {
        return nothing_yet(buf, area, pane, followed, theme);
    }
    if area.height < 3 {
        return;
    }
    let row = |i: u16| Rect { y: area.y + i, height: 1, ..area };
    state_row(buf, row(0), pane, now, theme);
    progress_row(buf, row(1), pane, theme);
    let rest = Rect { y: area.y + 2, height: area.height - 2, ..area };
    let used = numbers(buf, rest, pane, theme);
    body(buf, Rect { y: rest.y + used, height: rest.height - used, ..area }, pane, theme);
}

/// The curves, and below them what is to be known about them.
pub fn body(buf: &mut Buffer, area: Rect, pane: &Curves, theme: &Theme) {
    let notes = notes(pane);
    let footer = u16::from(pane.cursor.is_some() || !notes.is_empty() || pane.error.is_some());
    charts(buf, Rect { height: area.height.saturating_sub(footer), ..area }, pane, theme);
    if footer > 0 && area.height > 1 {
        footer_row(buf, Rect { y: area.bottom() - 1, height: 1, ..area }, pane, &notes, theme);
    }
}

fn nothing_yet(buf: &mut Buffer, area: Rect, pane: &Curves, followed: Option<&Path>, theme: &Theme) {
    let blank = (String::new(), theme.text());
    let lines = match (&pane.error, &pane.waiting, followed) {
        (Some(message), _, _) => vec![
            (message.clone(), theme.error()),
            blank,
            ("It is tried again by itself; o chooses another file.".into(), theme.dim()),
        ],
        (None, Some(what), _) => vec![
            (format!("Waiting for {what}"), theme.strong()),
            ("It is shown as soon as it is there; o chooses another file.".into(), theme.dim()),
        ],
        (None, None, Some(path)) => {
            let damaged = match &pane.damage {
                Some((line, reason)) => {
                    format!("{} damaged lines so far; line {line}: {reason}", pane.damaged)
                }
                None => "Its first line has not been written yet.".into(),
            };
            vec![
                (format!("Waiting for the first record of {}", path.display()), theme.strong()),
                (damaged, if pane.damaged > 0 { theme.warn() } else { theme.dim() }),
            ]
        }
        (None, None, None) => vec![
            ("No training run is followed.".into(), theme.strong()),
            blank.clone(),
            ("Press o and give a run's directory, its trainer_log.jsonl or its trainer_state.json; or start \
              with --train-log PATH.".into(), theme.dim()),
            blank,
            ("Runs of polylens train, LLaMA-Factory and Hugging Face's Trainer are read, also while they are \
              being written.".into(), theme.dim()),
        ],
    };
    notice(buf, area, &lines);
}

/// A name and a value that belong together.
pub type Piece = [(String, Style); 2];

/// Pieces over at most `most` rows, each whole or not at all; returns the rows used.
pub fn wrapped_pieces(buf: &mut Buffer, area: Rect, all: &[Piece], most: u16) -> u16 {
    let length = |p: &Piece| (text::width(&p[0].0) + text::width(&p[1].0)) as u16;
    let (mut from, mut used) = (0, 0);
    while from < all.len() && used < most.min(area.height) {
        let mut room = area.width + 3;
        let fitting = all[from..].iter().take_while(|p| {
            let need = length(p) + 3;
            room.checked_sub(need).map(|left| room = left).is_some()
        });
        let n = fitting.count().max(1);
        pieces(buf, Rect { y: area.y + used, height: 1, ..area }, &all[from..from + n]);
        (from, used) = (from + n, used + 1);
    }
    used
}

/// Pieces one after the other, each whole or not at all.
pub fn pieces(buf: &mut Buffer, area: Rect, pieces: &[Piece]) {
    let mut x = area.x;
    for [a, b] in pieces {
        let gap = if x > area.x { 3 } else { 0 };
        if x + gap + (text::width(&a.0) + text::width(&b.0)) as u16 > area.right() {
            break;
        }
        x = text::put(buf, area, x + gap, area.y, &a.0, a.1);
        x = text::put(buf, area, x, area.y, &b.0, b.1);
    }
}

fn state_row(buf: &mut Buffer, area: Rect, pane: &Curves, now: Duration, theme: &Theme) {
    let g = &theme.glyphs;
    let age = duration(pane.age(now).unwrap_or(0.0));
    let state = pane.state(now);
    let (sign, style, news) = match state {
        LogState::Waiting => (format!("{} waiting", g.live), theme.dim(), String::new()),
        LogState::Running => (format!("{} running", g.live), theme.good(), format!("   updated {age} ago")),
        LogState::Finished => (format!("{} finished", g.check), theme.good(), format!("   {age} ago")),
        LogState::Stalled(_) => (
            format!("{} stalled", g.cross),
            theme.warn(),
            format!("   nothing new for {age}: it ended early or hangs"),
        ),
    };
    let news_style = if matches!(state, LogState::Stalled(_)) { theme.warn() } else { theme.dim() };
    let mut row = vec![[(sign, style), (news, news_style)]];
    if let Some(elapsed) = pane.last.train_runtime_s.or(pane.last.elapsed_s) {
        row.push([("elapsed ".into(), theme.dim()), (duration(elapsed), theme.text())]);
    }
    if let (Some(left), LogState::Running) = (pane.left(now), state) {
        row.push([("left ".into(), theme.dim()), (duration(left), theme.strong())]);
    }
    let (read, size) = pane.progress;
    if read < size {
        let share = format!("{:.0} %", 100.0 * read as f64 / size as f64);
        row.push([("reading the file ".into(), theme.dim()), (share, theme.accent())]);
    }
    pieces(buf, area, &row);
}

fn progress_row(buf: &mut Buffer, area: Rect, pane: &Curves, theme: &Theme) {
    let last = &pane.last;
    let mut says = String::new();
    match (last.step, last.total_steps) {
        (Some(step), Some(total)) => says += &format!("   step {step:.0}/{total:.0}"),
        (Some(step), None) => says += &format!("   step {step:.0}"),
        _ => {}
    }
    if let Some(epoch) = last.epoch {
        says += &format!("   epoch {epoch:.2}");
    }
    progress(buf, area, pane.done(), &says, theme);
}

/// A bar over the row, the share in percent, and what else is said.
pub fn progress(buf: &mut Buffer, area: Rect, done: Option<f64>, says: &str, theme: &Theme) {
    let share = done.map_or(String::new(), |done| format!(" {:3.0} %", 100.0 * done));
    let says = format!("{share}{says}");
    let width = area.width.saturating_sub(text::width(&says) as u16);
    if let Some(done) = done {
        let track = Rect { width, ..area };
        bar(buf, track, done, theme.good(), theme.selection_idle(), theme.glyphs.ascii);
    }
    text::put_right(buf, area, area.y, &says, theme.text());
}

/// The newest values, over two rows where one is too short; returns the rows used.
pub fn numbers(buf: &mut Buffer, area: Rect, pane: &Curves, theme: &Theme) -> u16 {
    let last = &pane.last;
    let mut row: Vec<Piece> = Vec::new();
    let mut add = |name: &str, value: String, style: Style| {
        row.push([(format!("{name} "), theme.dim()), (value, style)]);
    };
    if let Some(loss) = last.loss {
        let style = if loss.is_finite() { theme.strong() } else { theme.error() };
        add("loss", if loss.is_finite() { text::number(loss) } else { loss.to_string() }, style);
    }
    if let Some((_, smooth)) = pane.trace(Metric::Loss).smooth(false).last() {
        add("smoothed", text::number(*smooth), theme.text());
    }
    if let Some((step, eval)) = pane.eval_loss().last() {
        add("eval", format!("{} at {step:.0}", text::number(eval)), theme.strong());
    }
    if let Some(lr) = last.lr {
        add("lr", text::number(lr), theme.text());
    }
    if let Some((_, speed)) = pane.trace(Metric::Speed).last() {
        let unit = if pane.in_tokens() { "tokens/s" } else { "steps/s" };
        add("speed", format!("{} {unit}", text::number(speed)), theme.text());
    }
    if let Some(norm) = last.grad_norm {
        add("grad norm", text::number(norm), theme.text());
    }
    if let Some(tokens) = last.total_tokens {
        add("seen", format!("{} tokens", text::count(tokens)), theme.text());
    }
    wrapped_pieces(buf, area, &row, if area.height < 12 { 1 } else { 2 })
}

/// The chosen metric large, the others beside or below it, its recent part below: as far as there is room.
fn charts(buf: &mut Buffer, area: Rect, pane: &Curves, theme: &Theme) {
    let there = pane.metrics();
    let metric =
        if there.contains(&pane.metric) { pane.metric } else { there.first().copied().unwrap_or_default() };
    let others: Vec<Metric> = there.into_iter().filter(|m| *m != metric).collect();
    let beside = area.width >= 100 && area.height >= 12 && !others.is_empty();
    let below = !beside && area.height >= 22 && !others.is_empty();
    let whole = Chart { metric, recent: pane.recent, main: true };
    let main_width = if beside { area.width * 3 / 5 } else { area.width };
    let mut main = Rect { width: main_width, ..area };
    if below {
        let height = area.height * 2 / 5;
        main.height -= height;
        let columns = others.len().min(usize::from(area.width / 24).max(1));
        let width = area.width / columns as u16;
        for (i, metric) in others.iter().take(columns).enumerate() {
            let x = area.x + i as u16 * width;
            let at = Rect { x, y: main.bottom(), width: width.saturating_sub(2), height };
            chart(buf, at, pane, Chart { metric: *metric, recent: pane.recent, main: false }, theme);
        }
    }
    if beside && area.height >= 26 && pane.has_recent_part() {
        let upper = Rect { height: area.height * 11 / 20, ..main };
        let lower = Rect { y: upper.bottom(), height: area.height - upper.height, ..main };
        chart(buf, upper, pane, whole, theme);
        chart(buf, lower, pane, Chart { recent: !pane.recent, ..whole }, theme);
    } else {
        chart(buf, main, pane, whole, theme);
    }
    if beside {
        let side = Rect { x: area.x + main_width + 2, width: area.width - main_width - 2, ..area };
        let fitting = others.len().min(usize::from(side.height / 7).max(1));
        let height = side.height / fitting as u16;
        for (i, metric) in others.into_iter().take(fitting).enumerate() {
            let at = Rect { y: side.y + i as u16 * height, height, ..side };
            chart(buf, at, pane, Chart { metric, recent: pane.recent, main: false }, theme);
        }
    }
}

/// What the reader should know about the log.
fn notes(pane: &Curves) -> Vec<String> {
    let mut notes = Vec::new();
    if pane.not_finite > 0 {
        notes.push(format!("the loss was NaN or infinite {}", times(pane.not_finite)));
    }
    if let Some((line, reason)) = &pane.damage {
        let lines = if pane.damaged == 1 { "line" } else { "lines" };
        notes.push(format!("{} damaged {lines} left out (line {line}: {reason})", pane.damaged));
    }
    if pane.resumed > 0 {
        notes.push(format!("resumed {}", times(u64::from(pane.resumed))));
    }
    notes
}

fn times(n: u64) -> String {
    if n == 1 { "once".into() } else { format!("{n} times") }
}

fn footer_row(buf: &mut Buffer, area: Rect, pane: &Curves, notes: &[String], theme: &Theme) {
    let ascii = theme.glyphs.ascii;
    let width = usize::from(area.width);
    if let Some(message) = &pane.error {
        let line = text::fit(&format!("{} {}", theme.glyphs.cross, text::harmless(message)), width, ascii);
        text::put(buf, area, area.x, area.y, &line, theme.error());
        return;
    }
    let mut x = area.x;
    if let Some((step, value)) = pane.reading() {
        let reading = format!("step {step:.0}: {} {}   ", name(pane.metric, pane), text::number(value));
        x = text::put(buf, area, x, area.y, &reading, theme.accent());
    }
    let line = text::harmless(&notes.join("; "));
    let room = usize::from(area.right().saturating_sub(x));
    text::put(buf, area, x, area.y, &text::ellipsize(&line, room, ascii), theme.warn());
}

#[cfg(test)]
#[path = "training_log_tests.rs"]
mod tests;
