//! Before there is a table: what would be evaluated, with the keys that change it; and the waiting for the first answer.

use super::eval::{Scene, score_name};
use crate::app::action::{Action, PaneId, key_for};
use crate::app::panes::eval::EvalPane;
use crate::app::shared::Shared;
use crate::app::text::bytes;
use crate::engine::protocol::{Protocol, Score};
use crate::eval::FREE_TEXTS;
use crate::ui::frame::{key_name, style_name};
use crate::ui::text;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::notice::notice;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Items of each language that are chosen.
pub fn items(pane: &EvalPane, shared: &Shared) -> usize {
    shared.items.len().min(pane.limit.unwrap_or(usize::MAX))
}

/// Draws the pane without a table.
pub fn render(buf: &mut Buffer, area: Rect, scene: &Scene) {
    let Scene { pane, shared, theme, .. } = scene;
    if pane.running.is_some() {
        waiting(buf, area, scene);
    } else if shared.model.is_none() {
        let lines = [
            ("No model is loaded.".into(), theme.strong()),
            (
                "Press m to choose one: here it answers a task in 20 languages, with and without adapters."
                    .into(),
                theme.dim(),
            ),
        ];
        notice(buf, area, &lines);
    } else {
        card(buf, area, scene);
    }
}

fn waiting(buf: &mut Buffer, area: Rect, scene: &Scene) {
    let Scene { pane, now, theme, .. } = scene;
    let Some(running) = &pane.running else { return };
    let stage = if running.stage.is_empty() { "reading the token sets" } else { &running.stage };
    let amount = match (running.unit.as_str(), running.total) {
        ("bytes", total) if total > 0 => format!(": {} of {}", bytes(running.done), bytes(total)),
        _ => String::new(),
    };
    let spent = text::duration(now.saturating_sub(running.since).as_secs_f64());
    let lines = [
        (format!("Preparing: {stage}{amount}"), theme.strong()),
        (format!("{spent} so far; X stops"), theme.dim()),
    ];
    notice(buf, area, &lines);
    let row = Rect {
        y: area.y + area.height / 2 + 3,
        height: 1,
        x: area.x + area.width / 4,
        width: area.width / 2,
    };
    if running.total > 0 && row.y < area.bottom() {
        let share = running.done as f64 / running.total as f64;
        bar(buf, row, share, theme.accent(), theme.selection_idle(), theme.glyphs.ascii);
    }
}

/// The lines that can be changed: action, name, value.
fn choices(scene: &Scene) -> Vec<(Action, &'static str, String)> {
    let Scene { pane, shared, .. } = scene;
    let settings = pane.settings(shared);
    let task = shared.library.tasks().iter().find(|t| t.id == shared.task);
    let labels = task.map_or(String::new(), |t| t.labels.join(" / "));
    let runs = match settings.names.as_slice() {
        [base] if shared.adapters.is_empty() => format!("{base} alone; an adapter would stand beside it"),
        names => names.join(", "),
    };
    let langs = &settings.wish.langs;
    let all = task.is_some_and(|t| t.langs.len() == langs.len());
    let number = if all { format!("all {}", langs.len()) } else { langs.len().to_string() };
    let count = items(pane, shared);
    let limit = if pane.limit.is_none() { format!("all {count}") } else { format!("the first {count}") };
    let score = match pane.score {
        Score::PrefixSet => "probability of all tokens that can begin a label",
        Score::Loglik => "log-likelihood of the whole label",
    };
    let protocol = match shared.protocol {
        Protocol::Default => "default: a token that two labels share counts for neither",
        Protocol::Paper => "paper: shared tokens count for each label",
    };
    vec![
        (Action::PickTask, "task", format!("{}: {labels}", shared.task)),
        (Action::PickAdapter, "runs", runs),
        (Action::ToggleLanguages, "languages", format!("{number}: {}", langs.join(" "))),
        (Action::NextLimit, "items", format!("{limit} of each language")),
        (Action::NextStyle, "labels", style_name(shared.style).to_owned()),
        (Action::NextScore, "score", format!("{}: {score}", score_name(pane.score))),
        (Action::NextProtocol, "definitions", protocol.to_owned()),
    ]
}

fn card(buf: &mut Buffer, area: Rect, scene: &Scene) {
    let Scene { pane, shared, theme, .. } = scene;
    let choices = choices(scene);
    let settings = pane.settings(shared);
    let queries = items(pane, shared) + FREE_TEXTS.len();
    let answers = settings.runs.len() * settings.wish.langs.len() * queries;
    let model = shared.model.as_ref().map_or("", |m| m.name.as_str());
    let width = area.width.saturating_sub(2).min(84);
    let foot = match &pane.error {
        Some(message) => vec![(text::harmless(message), theme.error())],
        None => vec![
            (format!("{answers} answers: Enter starts."), theme.strong()),
            (
                "They are kept as they come: what is stopped goes on where it was, also another day."
                    .to_owned(),
                theme.dim(),
            ),
        ],
    };
    let rows = choices.len() as u16 + 3 + foot.len() as u16;
    let at = Rect {
        x: area.x + (area.width - width) / 2,
        width,
        y: area.y + area.height.saturating_sub(rows) / 2,
        height: area.height.min(rows),
    };
    let heading = format!("Evaluate {}", text::harmless(model));
    text::put(buf, at, at.x, at.y, &heading, theme.accent());
    let mut y = at.y + 2;
    for (action, name, value) in choices {
        if y >= at.bottom() {
            return;
        }
        let key = key_for(action, PaneId::Eval).map(key_name).unwrap_or_default();
        text::put(buf, at, at.x, y, &key, theme.key());
        text::put(buf, at, at.x + 3, y, name, theme.dim());
        let room = usize::from(at.width.saturating_sub(16));
        let value = text::ellipsize(&value, room, theme.glyphs.ascii).into_owned();
        text::put(buf, at, at.x + 16, y, &value, theme.text());
        y += 1;
    }
    y += 1;
    for (words, style) in foot {
        for row in crate::app::text::rows(&words, usize::from(at.width)) {
            if y < area.bottom() {
                text::put(buf, area, at.x, y, words[row].trim_end(), style);
            }
            y += 1;
        }
    }
}
