//! A run of this program: what it is doing, its numbers, its curves, and how it ended.

use super::training::about;
use super::training_form::sentence;
use super::training_log::{Piece, body, numbers, pieces, progress};
use crate::app::App;
use crate::app::panes::training_run::{Ending, Phase, Run};
use crate::app::text::bytes;
use crate::engine::protocol::{TrainEnd, TrainOutcome};
use crate::ui::frame::spin;
use crate::ui::text::{self, duration};
use crate::ui::theme::Theme;
use crate::ui::widgets::notice::notice;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Draws the run's sheet.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, run: &Run, theme: &Theme) {
    if area.height < 3 {
        return;
    }
    let row = |i: u16| Rect { y: area.y + i, height: 1, ..area };
    state(buf, row(0), app, run, theme);
    let used = match &run.phase {
        Phase::Ended(ending) => 1 + end_rows(buf, below(area, 1), app, run, ending, theme),
        _ => {
            progress_row(buf, row(1), run, theme);
            2
        }
    };
    let rest = below(area, used);
    if app.training.live.records == 0 {
        return before_the_first_step(buf, rest, app, run, theme);
    }
    if matches!(run.phase, Phase::Ended(Ending::Done(_))) {
        // The result is said already.
        body(buf, rest, &app.training.live, theme);
    } else if rest.height > 1 {
        let used = numbers(buf, rest, &app.training.live, theme);
        body(buf, below(rest, used), &app.training.live, theme);
    }
}

fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}

/// The run's state in a word, with its sign.
fn word(app: &App, run: &Run, theme: &Theme) -> (String, Style) {
    let g = &theme.glyphs;
    let spinner = spin(app, theme);
    match &run.phase {
        Phase::Reading => (format!("{spinner} starting"), theme.accent()),
        Phase::Running if run.saving => (format!("{spinner} running, writing a checkpoint"), theme.good()),
        Phase::Running => (format!("{} running", g.live), theme.good()),
        Phase::Pausing => (format!("{spinner} pausing after this step"), theme.warn()),
        Phase::Paused => (if g.ascii { "= paused" } else { "‖ paused" }.to_owned(), theme.warn()),
        Phase::Stopping => (format!("{spinner} stopping, saving the adapter"), theme.warn()),
        Phase::Discarding => (format!("{spinner} discarding"), theme.warn()),
        Phase::Ended(Ending::Done(o)) => match o.end {
            TrainEnd::Finished => (format!("{} finished", g.check), theme.good()),
            TrainEnd::Early => {
                (format!("{} finished early: the validation loss rose", g.check), theme.good())
            }
            TrainEnd::Stopped => (format!("{} stopped and saved", g.check), theme.good()),
            TrainEnd::Discarded => (format!("{} discarded", g.cross), theme.warn()),
        },
        Phase::Ended(Ending::Failed(_)) => (format!("{} failed", g.cross), theme.error()),
        Phase::Ended(Ending::Cancelled) => (format!("{} stopped", g.cross), theme.warn()),
    }
}

fn state(buf: &mut Buffer, row: Rect, app: &App, run: &Run, theme: &Theme) {
    let (sign, style) = word(app, run, theme);
    let blank = (String::new(), theme.dim());
    let mut parts: Vec<Piece> = vec![[(sign, style), blank]];
    let mut add =
        |name: &str, value: String, style| parts.push([(format!("{name} "), theme.dim()), (value, style)]);
    match &run.phase {
        Phase::Ended(Ending::Done(o)) => {
            add("steps", format!("{} of {}", o.steps, o.total_steps), theme.text());
            // An imported run's log may not say all of it.
            if o.elapsed_s.is_finite() {
                add("in", duration(o.elapsed_s), theme.text());
            }
            if o.tokens_per_s.is_finite() {
                add("speed", format!("{} tokens/s", text::number(o.tokens_per_s)), theme.text());
            }
            if o.peak_memory_bytes > 0 {
                add("peak", bytes(o.peak_memory_bytes), theme.text());
            }
        }
        _ => {
            if let Some(step) = run.step.filter(|s| s.elapsed_s.is_finite()) {
                add("elapsed", duration(step.elapsed_s), theme.text());
            }
            if let Some(left) = run.left() {
                add("left", about(left), theme.strong());
            }
            if let Some(step) = run.step.filter(|s| s.memory_bytes > 0) {
                add("memory", bytes(step.memory_bytes), theme.text());
                add("peak", bytes(step.peak_memory_bytes), theme.text());
            }
            if let Some((step, _)) = &run.saved {
                add("checkpoint at", step.to_string(), theme.text());
            }
        }
    }
    pieces(buf, row, &parts);
}

fn progress_row(buf: &mut Buffer, row: Rect, run: &Run, theme: &Theme) {
    let mut says = String::new();
    if let (Some(step), Some(total)) = (&run.step, run.total()) {
        says = format!("   step {}/{total}", step.step);
        if step.epoch.is_finite() {
            says += &format!("   epoch {:.2}", step.epoch);
        }
    }
    progress(buf, row, run.done(), &says, theme);
}

/// What is going on until there is a curve.
fn before_the_first_step(buf: &mut Buffer, area: Rect, app: &App, run: &Run, theme: &Theme) {
    if !run.active() {
        return;
    }
    let mut lines = Vec::new();
    match &run.reading {
        Some((stage, done, total, unit)) => {
            let amount = match (unit.as_str(), *total) {
                (_, 0) => String::new(),
                ("bytes", total) => format!(": {} of {}", bytes(*done), bytes(total)),
                (unit, total) => format!(": {done} of {total} {unit}"),
            };
            lines.push((format!("{stage}{amount}"), theme.strong()));
        }
        None if run.plan.is_some() => {
            lines.push(("The first step is being computed.".into(), theme.strong()))
        }
        None => lines.push(("Reading the data.".into(), theme.strong())),
    }
    if let Some(plan) = run.plan.as_ref().or(app.training.form.planned()) {
        lines.push((sentence(plan, false), theme.dim()));
    }
    lines.push((String::new(), theme.dim()));
    lines.push(("It goes on in the background: every other pane stays in use.".into(), theme.dim()));
    notice(buf, area, &lines);
}

/// The result, or what failed, and what can be done now; returns the rows used.
fn end_rows(buf: &mut Buffer, area: Rect, app: &App, run: &Run, ending: &Ending, theme: &Theme) -> u16 {
    let mut used = 0;
    let mut line = |buf: &mut Buffer, parts: &[Piece]| {
        if used < area.height {
            pieces(buf, Rect { y: area.y + used, height: 1, ..area }, parts);
            used += 1;
        }
    };
    match ending {
        Ending::Done(o) if o.end != TrainEnd::Discarded => {
            line(buf, &result(run, o, theme));
            if !o.path.as_os_str().is_empty() {
                let place = (text::harmless(&o.path.display().to_string()), theme.strong());
                line(buf, &[[("saved in ".into(), theme.dim()), place]]);
            }
        }
        Ending::Failed(message) => {
            let most = usize::from((area.height / 2).clamp(1, 5));
            used += super::eval_side::wrapped(buf, area, &text::harmless(message), theme.error(), most);
        }
        _ => {}
    }
    let at = below(area, used);
    if at.height > 0 {
        pieces(buf, Rect { height: 1, ..at }, &next_steps(app, run, theme));
        used += 1;
    }
    used + u16::from(area.height > used + 12)
}

/// Losses at the beginning and at the end.
fn result(run: &Run, o: &TrainOutcome, theme: &Theme) -> Vec<Piece> {
    let arrow = theme.glyphs.arrow_right;
    let change = |from: Option<f64>, to: f64| match from {
        Some(from) => format!("{} {arrow} {}", text::number(from), text::number(to)),
        None => text::number(to),
    };
    let mut parts: Vec<Piece> = Vec::new();
    if let Some(loss) = o.loss {
        parts.push([("loss ".into(), theme.dim()), (change(run.first_loss(), loss), theme.strong())]);
    }
    if let Some(eval) = o.eval_loss.or(run.last_eval.map(|e| e.1)) {
        let first = run.first_eval.filter(|f| Some(f.0) != run.last_eval.map(|l| l.0)).map(|f| f.1);
        parts.push([("validation ".into(), theme.dim()), (change(first, eval), theme.strong())]);
    }
    if let Some((step, loss)) = o.best.or(run.best) {
        let words = format!("{} at step {step}", text::number(loss));
        parts.push([("best ".into(), theme.dim()), (words, theme.text())]);
    }
    parts
}

/// Keys that matter now.
fn next_steps(app: &App, run: &Run, theme: &Theme) -> Vec<Piece> {
    let mut keys: Vec<(&str, &str)> = Vec::new();
    if run.adapter().is_some() && app.shared.model.is_some() {
        keys.extend([("Enter", "loads it beside the base"), ("c", "evaluates it")]);
    }
    if run.resumable() {
        keys.push(("Space", "goes on with the run"));
    }
    let failed = matches!(run.phase, Phase::Ended(Ending::Failed(_)));
    keys.push(("N", if failed { "changes the settings and starts anew" } else { "a new run" }));
    keys.into_iter()
        .map(|(key, words)| [(format!("{key} "), theme.key()), (words.into(), theme.text())])
        .collect()
}
