//! The training pane: the form of a run, the run, a followed log, or the watch.

use super::{training_form, training_log, training_run, watch};
use crate::app::action::{Action, PaneId, key_for};
use crate::app::panes::training::{Sheet, TrainingView};
use crate::app::panes::training_run::{Ending, Phase, Run};
use crate::app::{App, ThemeKind};
use crate::engine::protocol::TrainEnd;
use crate::ui::frame::key_name;
use crate::ui::text;
use crate::ui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// What the frame's title says after the pane's name.
pub fn title(app: &App) -> String {
    let mark = if app.theme == ThemeKind::Ascii { "..." } else { "…" };
    let pane = &app.training;
    match (pane.view, pane.sheet, &pane.run) {
        (TrainingView::Watch, ..) => watch::title(app),
        (_, Sheet::Form, _) => "new run".into(),
        (_, Sheet::Run, Some(run)) => training_log::tail(run.out(), 48, mark),
        (_, Sheet::Run, None) => String::new(),
        (_, Sheet::Log, _) => {
            let path = pane.log.path.as_ref().or(app.training_log.as_ref());
            path.map_or(String::new(), |p| training_log::tail(p, 48, mark))
        }
    }
}

/// Draws the inside of the pane; returns where the cursor is, while something is typed.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, focused: bool, theme: &Theme) -> Option<Position> {
    let pane = &app.training;
    match (pane.view, pane.sheet, &pane.run) {
        (TrainingView::Watch, ..) => watch::render(buf, area, app, focused, theme),
        (_, Sheet::Form, _) => return training_form::render(buf, area, app, focused, theme),
        (_, Sheet::Run, Some(run)) => training_run::render(buf, area, app, run, theme),
        (_, Sheet::Run, None) => {}
        (_, Sheet::Log, _) => {
            training_log::draw(buf, area, &pane.log, app.training_log.as_deref(), app.now, theme);
        }
    }
    None
}

/// How a run is, in a few words for the status line, which every pane has.
pub fn status(app: &App) -> Option<String> {
    let run = app.training.run.as_ref()?;
    if !run.active() {
        return app.training.unseen.then(|| ended(run));
    }
    let share = run.done().map_or(String::new(), |d| format!(" {:.0} %", 100.0 * d));
    let word = match run.phase {
        Phase::Reading => " starting",
        Phase::Pausing | Phase::Paused => " paused",
        Phase::Stopping => " saving",
        Phase::Discarding => " discarding",
        Phase::Running | Phase::Ended(_) => "",
    };
    let mut words = format!("train{share}{word}");
    if word.is_empty() {
        if let Some(step) = run.step.filter(|s| s.loss.is_finite()) {
            words += &format!(" loss {:.2}", step.loss);
        }
        if let Some(left) = run.left() {
            words += &format!(" {} left", about(left));
        }
    }
    Some(words)
}

/// A key and what it does.
pub type Hint = (String, &'static str);

fn key(action: Action) -> String {
    key_for(action, PaneId::Training).map(key_name).unwrap_or_default()
}

fn of(pairs: &[(Action, &'static str)]) -> Vec<Hint> {
    pairs.iter().map(|(action, words)| (key(*action), *words)).collect()
}

/// The same for the frames.
fn watch_hints(app: &App) -> Vec<Hint> {
    let watch = &app.training.watch;
    let mut out =
        of(&[(Action::Play, "play"), (Action::NextMeasure, "measure"), (Action::ToggleTrails, "paths")]);
    if watch.outdated(&app.shared) || watch.run.live && watch.asked.is_none() {
        out.insert(0, (key(Action::WatchQuery), "watch this query"));
    }
    out.extend(of(&[(Action::ToggleWatch, "the run"), (Action::NextPart, "part")]));
    out
}

/// Keys and words for the bottom line, the most useful first.
pub fn hints(app: &App) -> Vec<Hint> {
    let pane = &app.training;
    let view = [
        (Action::NextMeasure, "curve"),
        (Action::ToggleRecent, "recent"),
        (Action::ToggleSmoothing, "smooth"),
        (Action::ToggleLogScale, "log scale"),
    ];
    let run = pane.run.as_ref();
    let mut out = match (pane.view, pane.sheet) {
        (TrainingView::Watch, _) => return watch_hints(app),
        (_, Sheet::Form) => return form_hints(app),
        (_, Sheet::Run) => match run.map(|r| &r.phase) {
            Some(Phase::Ended(_)) if pane.result().is_some() => of(&[
                (Action::Open, "load adapter"),
                (Action::Compute, "evaluate"),
                (Action::NextSheet, "new run"),
            ]),
            Some(Phase::Ended(_)) => of(&[(Action::NextSheet, "new run")]),
            Some(Phase::Paused | Phase::Pausing) => {
                of(&[(Action::Play, "go on"), (Action::StopRun, "stop"), (Action::SaveRun, "save")])
            }
            Some(Phase::Running) => {
                of(&[(Action::Play, "pause"), (Action::StopRun, "stop"), (Action::SaveRun, "save")])
            }
            _ => of(&[(Action::StopRun, "stop")]),
        },
        (_, Sheet::Log) => of(&[(Action::OpenTrainingLog, "another log"), (Action::NextSheet, "new run")]),
    };
    if run.is_some_and(|r| r.resumable()) && pane.sheet == Sheet::Run {
        out.push((key(Action::Play), "go on"));
    }
    if pane.sheet == Sheet::Run {
        out.push((key(Action::ToggleWatch), "watch"));
    }
    out.extend(of(&view));
    out
}

fn form_hints(app: &App) -> Vec<Hint> {
    let form = &app.training.form;
    if let Some(typing) = &form.typing {
        let mut out = vec![("Enter".to_owned(), "takes it"), ("Esc".to_owned(), "leaves it as it was")];
        out.extend(typing.field.takes_paths().then(|| ("Tab".to_owned(), "completes a path")));
        return out;
    }
    let mut out = Vec::new();
    if app.training.active().is_none() {
        out = of(&[(Action::Compute, "start")]);
    } else {
        out.extend(of(&[(Action::NextSheet, "the run")]));
    }
    let verb = if form.selected.typed() { "edit" } else { "choose" };
    out.extend(of(&[(Action::Open, verb), (Action::Faster, "more"), (Action::NextPreset, "preset")]));
    out.extend(of(&[(Action::OpenTrainingLog, "follow a log")]));
    out
}

fn ended(run: &Run) -> String {
    let word = match &run.phase {
        Phase::Ended(Ending::Failed(_)) => "failed",
        Phase::Ended(Ending::Done(o)) if o.end == TrainEnd::Finished || o.end == TrainEnd::Early => {
            "finished"
        }
        _ => "stopped",
    };
    format!("train {word}: 5")
}

/// A time left, no finer than it is known: `40s`, `3m`, `2h10m`.
pub fn about(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => "-".into(),
        s if s < 90.0 => format!("{:.0}s", s.max(0.0)),
        s if s < 5400.0 => format!("{:.0}m", s / 60.0),
        s => text::duration(s),
    }
}

#[cfg(test)]
#[path = "training_tests.rs"]
mod tests;
