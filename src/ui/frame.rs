//! Around the panes: status line, tabs, the query in two lines, messages, keys.

use super::text::{self, ellipsize, put, put_right, width};
use super::theme::Theme;
use crate::app::App;
use crate::app::action::{self, Action, PaneId};
use crate::app::layout::tab_spans;
use crate::app::messages::Level;
use crate::app::model::{Stage, Work};
use crate::app::panes::query::Source;
use crate::app::text::{bytes, clock, duration};
use crate::engine::protocol::Style as Output;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::time::Duration;

/// The status line: program, model, adapters, device and dtype; on the right the running job, and
/// whether what is seen is live.
pub fn header(buf: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    if area.is_empty() {
        return;
    }
    buf.set_style(area, theme.raised());
    let (live, live_style) = live_sign(app, theme);
    let mut right = area.right().saturating_sub(1);
    right = put_before(buf, area, right, &live, live_style);
    if let Some(sign) = app.tape {
        let words = format!(
            "{} REC {} {}",
            theme.glyphs.live,
            clock(Duration::from_millis(sign.ms)),
            bytes(sign.bytes)
        );
        right = put_before(buf, area, right.saturating_sub(2), &words, theme.error());
    }
    if let Some(words) = super::panes::training::status(app) {
        right = put_before(buf, area, right.saturating_sub(2), &words, theme.good());
        if app.model.work().is_some() && area.width >= 110 {
            right = right.saturating_sub(1);
        }
    }
    let work = app.model.work().filter(|_| area.width >= 110 || app.training.active().is_none());
    if let Some(work) = work {
        right = job(buf, area, right.saturating_sub(2), work, app, theme);
    } else if app.training.active().is_some() {
        // The run's own words stand there.
    } else if app.lens.job.is_some() {
        let (done, count) = (app.lens.done(), app.lens.count(&app.shared));
        right = put_before(buf, area, right.saturating_sub(2), &format!("layer {done}/{count}"), theme.dim());
    } else if let Some(ms) = app.lens.elapsed_ms {
        right = put_before(buf, area, right.saturating_sub(2), &format!("{ms:.0} ms"), theme.dim());
    }
    let left = Rect { width: right.saturating_sub(area.x + 1), ..area };
    let mut x = put(buf, left, left.x, left.y, " polylens ", theme.accent());
    for (part, style) in identity(app, theme) {
        let room = usize::from(left.right().saturating_sub(x + 1));
        x = put(buf, left, x + 1, left.y, &ellipsize(&part, room, theme.glyphs.ascii), style);
    }
}

/// Writes `content` so that it ends at `right`; returns where it begins.
fn put_before(buf: &mut Buffer, area: Rect, right: u16, content: &str, style: Style) -> u16 {
    let x = right.saturating_sub(width(content) as u16).max(area.x);
    put(buf, area, x, area.y, content, style);
    x
}

fn live_sign(app: &App, theme: &Theme) -> (String, Style) {
    let g = &theme.glyphs;
    if app.replayed {
        return (format!("{} REPLAY", if g.ascii { ">" } else { "▸" }), theme.warn());
    }
    match (&app.shared.model, &app.model.stage) {
        (Some(_), _) if app.lens.job.is_some() => (format!("{} LIVE", spin(app, theme)), theme.accent()),
        (Some(_), _) => (format!("{} LIVE", g.live), theme.good()),
        (None, Stage::Failed { .. }) => (format!("{} no model", g.cross), theme.error()),
        (None, Stage::Loading { .. } | Stage::Fetching { .. } | Stage::Looking { .. }) => {
            (format!("{} starting", spin(app, theme)), theme.warn())
        }
        (None, _) => ("no model".to_owned(), theme.warn()),
    }
}

/// The spinner's current picture.
pub fn spin(app: &App, theme: &Theme) -> &'static str {
    let frames = theme.glyphs.spinner;
    frames[(app.now.as_millis() / 100) as usize % frames.len()]
}

/// Model, its facts, adapters: what the numbers belong to.
fn identity(app: &App, theme: &Theme) -> Vec<(String, Style)> {
    let mut parts = Vec::new();
    let sep = theme.glyphs.separator;
    if let Some(m) = &app.shared.model {
        parts.push((m.name.clone(), theme.strong()));
        for a in &app.shared.adapters {
            let (sign, style) = if a.shown { ("+", theme.aligned()) } else { ("-", theme.faint()) };
            parts.push((format!("{sign}{}", a.info.name), style));
        }
        let facts = match app.size.0 {
            0..100 => format!("{} {sep} {}", m.dtype, m.device),
            _ => format!("{} {sep} {} layers {sep} {} {sep} {}", m.architecture, m.layers, m.dtype, m.device),
        };
        parts.push((facts, theme.dim()));
    }
    match &app.model.stage {
        Stage::Looking { name } | Stage::Fetching { name, .. } | Stage::Loading { name, .. } => {
            parts.push((format!("{} {name}", theme.glyphs.arrow_right), theme.dim()));
        }
        Stage::Offer { name, .. } | Stage::Failed { name, .. } => parts.push((name.clone(), theme.dim())),
        Stage::Idle => {}
    }
    parts
}

/// The running job from `right` leftwards: its stage, a bar, how much, time left.
fn job(buf: &mut Buffer, area: Rect, right: u16, work: &Work, app: &App, theme: &Theme) -> u16 {
    let left = work.left(app.now).map(|d| format!(" {} left", duration(d))).unwrap_or_default();
    let wide = area.width >= 100;
    let words = if wide { format!("{}{left}", work.amount()) } else { left.trim_start().to_owned() };
    let mut x = put_before(buf, area, right, &words, theme.dim());
    if let Some(ratio) = work.ratio() {
        let cells = if wide { 12 } else { 8 };
        x = x.saturating_sub(cells + 1);
        let bar = Rect { x, width: cells, height: 1, ..area }.intersection(area);
        super::widgets::bar::bar(buf, bar, ratio, theme.accent(), theme.selection_idle(), theme.glyphs.ascii);
    }
    let room = usize::from(area.width) / 4;
    put_before(
        buf,
        area,
        x.saturating_sub(1),
        &ellipsize(&work.stage, room, theme.glyphs.ascii),
        theme.text(),
    )
}

/// The panes by number; those on screen are brighter.
pub fn tabs(buf: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    if area.is_empty() {
        return;
    }
    for (pane, from, to) in tab_spans() {
        let style = if pane == app.focus {
            theme.accent().patch(theme.selection())
        } else if app.is_visible(pane) {
            theme.text()
        } else {
            theme.dim()
        };
        let span = Rect { x: area.x + from, width: to - from, height: 1, ..area }.intersection(area);
        buf.set_style(span, style);
        put(buf, span, span.x, span.y, &format!(" {} {} ", pane.number(), pane.name()), style);
    }
    let end = tab_spans().last().map_or(0, |(_, _, to)| to);
    if app.zoomed && area.width > end + 8 {
        put_right(buf, Rect { width: area.width.saturating_sub(1), ..area }, area.y, "zoomed", theme.warn());
    }
}

/// The query in two lines, where its pane is not on screen.
pub fn strip(buf: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    if area.height < 2 {
        return;
    }
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let tokens = app.shared.tokens.len();
    let count = if tokens > 0 { format!("{tokens} tokens") } else { String::new() };
    let end = put_right(buf, Rect { height: 1, ..area }, area.y, &count, theme.dim());
    let left = Rect { width: end.saturating_sub(area.x + 1), height: 1, ..area };
    let mut x = area.x;
    for (part, style) in query_facts(app, theme) {
        x = put(buf, left, x, area.y, &part, style);
    }
    // The end of the prompt matters: there the model reads on.
    let line =
        text::harmless(&app.shared.query.text.replace('\n', if theme.glyphs.ascii { " / " } else { " ⏎ " }));
    put(buf, area, area.x, area.y + 1, &tail(&line, usize::from(area.width), theme), theme.text());
}

/// The last part of a line that fits.
pub fn tail(line: &str, cells: usize, theme: &Theme) -> String {
    use unicode_segmentation::UnicodeSegmentation;
    if width(line) <= cells {
        return line.to_owned();
    }
    let mark = theme.glyphs.ellipsis;
    let mut used = width(mark);
    let mut start = line.len();
    for (at, g) in line.grapheme_indices(true).rev() {
        used += width(g);
        if used > cells {
            break;
        }
        start = at;
    }
    format!("{mark}{}", &line[start..])
}

fn query_facts(app: &App, theme: &Theme) -> Vec<(String, Style)> {
    let s = &app.shared;
    let sep = format!(" {} ", theme.glyphs.separator);
    let mut parts = Vec::new();
    if app.query.source == Source::Free {
        return vec![("free text".to_owned(), theme.strong())];
    }
    let own = s.library.languages().iter().find(|l| l.code == s.lang).map_or("", |l| l.own.as_str());
    parts.push((s.task.clone(), theme.text()));
    parts.push((sep.clone(), theme.faint()));
    parts.push((format!("{} {own}", s.lang), theme.strong()));
    parts.push((sep.clone(), theme.faint()));
    parts.push((format!("item {}/{} ", s.item + 1, s.items.len()), theme.text()));
    if let Some(item) = s.items.get(s.item) {
        parts.push((item.gold.clone(), theme.dim()));
    }
    parts.push((sep, theme.faint()));
    parts.push((format!("labels {}", style_name(s.style)), theme.dim()));
    if app.query.edited.is_some() {
        parts.push((" edited".to_owned(), theme.warn()));
    }
    parts
}

/// An output style's name, as on the command line.
pub fn style_name(style: Output) -> &'static str {
    match style {
        Output::English => "english",
        Output::Same => "same",
        Output::Agnostic => "agnostic",
    }
}

/// The current message, wrapped, with how to dismiss it.
pub fn message(buf: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    let Some(message) = app.messages.current().filter(|_| !area.is_empty()) else { return };
    let g = &theme.glyphs;
    let (sign, style) = match message.level {
        Level::Info => (g.check, theme.good()),
        Level::Warning => ("!", theme.warn()),
        Level::Error => (g.cross, theme.error()),
    };
    buf.set_style(area, theme.raised());
    put(buf, area, area.x + 1, area.y, sign, style);
    let words = text::harmless(&message.text);
    let rows = crate::app::text::rows(&words, app.message_columns());
    for (i, row) in rows.into_iter().take(usize::from(area.height)).enumerate() {
        put(buf, area, area.x + 3, area.y + i as u16, words[row].trim_end(), theme.text());
    }
    let more = app.messages.len() - 1;
    let note = if more > 0 { format!("D dismiss ({more} more) ") } else { "D dismiss ".to_owned() };
    let note = if message.level == Level::Info { String::new() } else { note };
    put_right(buf, Rect { height: 1, ..area }, area.y, &note, theme.dim());
}

/// The bottom line: the keys that matter here, from the key table.
pub fn hints(buf: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    if area.is_empty() {
        return;
    }
    let mut x = area.x + 1;
    for (key, word) in hint_list(app) {
        let need = (width(&key) + width(word) + 1) as u16;
        if x + need > area.right() {
            break;
        }
        x = put(buf, area, x, area.y, &key, theme.key());
        x = put(buf, area, x + 1, area.y, word, theme.dim()) + 2;
    }
}

/// Keys and words for the bottom line, the most useful first: the pane's own, then the general ones.
fn hint_list(app: &App) -> Vec<(String, &'static str)> {
    let own = |k: &str, w: &'static str| (k.to_owned(), w);
    if app.query.editing {
        return vec![
            own("type or paste", "any script"),
            own("Enter", "new line"),
            own("Esc", "done"),
            own("Tab", "next pane"),
        ];
    }
    let pane = app.focus;
    let bound = action::bindings(pane).filter(|b| !b.hint.is_empty() && matters(app, b));
    let (mut mine, rest): (Vec<&action::Binding>, Vec<&action::Binding>) =
        bound.partition(|b| b.place == action::Where::Pane(pane));
    let mut now = Vec::new();
    if pane == PaneId::Training {
        // What its keys do depends on what it shows.
        now = super::panes::training::hints(app);
        mine.clear();
    }
    if app.training.form.typing.is_some() && app.training.shows_form() && !now.is_empty() {
        return now;
    }
    let always = [Action::Help, Action::Palette, Action::NextPane, Action::Quit];
    let general = [
        Action::PickModel,
        Action::PickLanguage,
        Action::NextItem,
        Action::PickAdapter,
        Action::Zoom,
        Action::EditText,
    ];
    let shown = |a: &Action| rest.iter().find(|b| b.action == *a).copied();
    let card = pane == PaneId::Lens && app.shared.model.is_none();
    let fetch = if card { "Enter" } else { "F" };
    // Before a model is there, the one key that matters is the one that fetches it.
    let first = match app.model.stage {
        Stage::Offer { .. } => Some(own(fetch, "fetch the model")),
        Stage::Failed { .. } if app.shared.model.is_none() => Some(own(fetch, "try again")),
        _ => None,
    };
    let most = match pane {
        PaneId::Query => 5,
        PaneId::Training => 4,
        _ => 3,
    };
    let later = now.split_off(now.len().min(most));
    let rows = mine.iter().take(most).copied().chain(always.iter().filter_map(shown));
    let rows = rows.chain(general.iter().filter_map(shown)).chain(mine.iter().skip(most).copied());
    let rows = rows.map(|b| (key_name(b.keys[0]), b.hint));
    first.into_iter().chain(now).chain(rows).chain(later).collect()
}

/// Whether an action can do anything at the moment.
fn matters(app: &App, b: &action::Binding) -> bool {
    let model = app.shared.model.is_some();
    match (b.place, b.action) {
        (action::Where::Pane(PaneId::Lens), Action::ToggleDifference) => app.shared.compares(),
        (action::Where::Pane(PaneId::Lens), Action::NextRun) => app.shared.runs().len() > 2,
        (action::Where::Pane(PaneId::Eval), action) => model && eval_matters(app, action),
        (action::Where::Pane(PaneId::Lens | PaneId::Grid | PaneId::Pca), _) => model,
        (_, Action::Zoom) => app.layout().is_some_and(|l| l.panes.len() > 1) || app.zoomed,
        _ => true,
    }
}

/// The same in the evaluation: what its table or its items can do.
fn eval_matters(app: &App, action: Action) -> bool {
    let (table, open) = (app.eval.table.is_some(), app.eval.open);
    match action {
        Action::Compute => app.eval.running.is_none() && !open,
        Action::Play => app.eval.running.is_some(),
        Action::Open => table,
        Action::NextFilter => open,
        Action::NextRun => app.eval.other().is_some(),
        Action::NextMeasure | Action::ToggleOrder => table && !open,
        _ => !open,
    }
}

/// A key of the table as people read it.
pub fn key_name(key: &str) -> String {
    let key = key.replace("C-", "Ctrl-").replace("S-", "Shift-").replace("A-", "Alt-");
    match key.as_str() {
        "enter" => "Enter".into(),
        "esc" => "Esc".into(),
        "tab" => "Tab".into(),
        "Shift-tab" => "Shift-Tab".into(),
        "space" => "Space".into(),
        "up" => "Up".into(),
        "down" => "Down".into(),
        "left" => "Left".into(),
        "right" => "Right".into(),
        "home" => "Home".into(),
        "end" => "End".into(),
        "pgup" => "PgUp".into(),
        "pgdn" => "PgDn".into(),
        _ => key,
    }
}
