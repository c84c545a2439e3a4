//! The query pane: what is asked, the prompt as the model reads it, and the token sets.
//!
//! ```text
//!  Task         sentiment   positive / negative
//!  Language     th ไทย   Thai
//!  ...
//!  Prompt ──────────────── 181 tokens, 150 reused
//!  (the few-shot prefix, quiet) the query's own text
//!  Token sets ──────────── 2 removed, x shows all
//! ```

use crate::app::App;
use crate::app::editor::Editor;
use crate::app::panes::query::{Field, Source};
use crate::app::text::rows;
use crate::engine::protocol::{Protocol, Style as Output, TokenSet};
use crate::ui::frame::style_name;
use crate::ui::text::{self, ellipsize, put, put_right, width};
use crate::ui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

/// What the frame's title says after the pane's name.
pub fn title(app: &App) -> String {
    match app.query.source {
        Source::Free => "free text".to_owned(),
        Source::Item if app.query.edited.is_some() => "edited item".to_owned(),
        Source::Item => String::new(),
    }
}

/// Draws the inside of the pane; returns the cursor's place while the prompt is edited.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, focused: bool, theme: &Theme) -> Option<Position> {
    if area.height < 4 || area.width < 12 {
        return None;
    }
    let pane = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    for (i, field) in Field::ALL.iter().take(usize::from(Field::ROWS)).enumerate() {
        let row = Rect { y: area.y + i as u16, height: 1, ..area }.intersection(area);
        selection(buf, row, *field, app, focused, theme);
        field_row(buf, Rect { x: pane.x, width: pane.width, ..row }, *field, app, theme);
    }
    let rest = Rect { y: pane.y + Field::ROWS, height: pane.height.saturating_sub(Field::ROWS), ..pane };
    let mut open = app.query.sets_open;
    let mut sets = set_lines(app, usize::from(pane.width), open, theme);
    let prompt_rows = app.query.columns.max(2);
    let prompt_rows =
        rows(&format!("{}{}", app.shared.query.prefix, app.shared.query.text), prompt_rows).len() as u16;
    if !open {
        // Where there is room for everything, everything is shown.
        let all = set_lines(app, usize::from(pane.width), true, theme);
        if prompt_rows + 2 + (all.len() as u16) < rest.height {
            (open, sets) = (true, all);
        }
    }
    let most = if open {
        rest.height.saturating_sub(5)
    } else {
        (rest.height / 3).max(6).min(rest.height.saturating_sub(5))
    };
    let sets_rows = (sets.len() as u16 + 1).min(most.max(1)).min(rest.height);
    let prompt = Rect { height: rest.height - sets_rows, ..rest };
    let below = Rect { y: rest.y + prompt.height, height: sets_rows, ..rest };
    let cursor = prompt_section(buf, prompt, app, focused, theme);
    sets_section(buf, below, &sets, open, app, focused, theme);
    cursor
}

fn selection(buf: &mut Buffer, row: Rect, field: Field, app: &App, focused: bool, theme: &Theme) {
    if app.query.field == field && focused {
        buf.set_style(row, theme.selection());
        put(buf, row, row.x, row.y, theme.glyphs.selected, theme.accent());
    }
}

/// "Name     value": what a line says.
fn field_row(buf: &mut Buffer, row: Rect, field: Field, app: &App, theme: &Theme) {
    let s = &app.shared;
    let name = match field {
        Field::Task => "Task",
        Field::Language => "Language",
        Field::Item => "Item",
        Field::Style => "Labels",
        _ => "Protocol",
    };
    put(buf, row, row.x, row.y, name, theme.dim());
    let mut x = row.x + 10;
    let free = app.query.source == Source::Free;
    let mut say = |words: &str, style: Style| x = put(buf, row, x, row.y, words, style);
    match field {
        Field::Task if free => say("free text (f: back to the items)", theme.text()),
        Field::Task => {
            let task = s.library.tasks().iter().find(|t| t.id == s.task);
            say(&s.task, theme.strong());
            say(&format!("  {}", task.map(|t| t.labels.join(" / ")).unwrap_or_default()), theme.dim());
        }
        Field::Language => {
            let language = s.library.languages().iter().find(|l| l.code == s.lang);
            say(&format!("{} ", s.lang), theme.key());
            say(language.map_or("", |l| &l.own), if free { theme.dim() } else { theme.strong() });
            say(&format!("  {}", language.map_or("", |l| &l.english)), theme.dim());
        }
        Field::Item if s.items.is_empty() => say("none", theme.dim()),
        Field::Item => {
            say(
                &format!("{} of {}", s.item + 1, s.items.len()),
                if free { theme.dim() } else { theme.strong() },
            );
            if let Some(item) = s.items.get(s.item) {
                say(&format!("  gold {}", item.gold), theme.dim());
            }
        }
        Field::Style => {
            for style in [Output::English, Output::Same, Output::Agnostic] {
                let chosen = s.style == style;
                let look = if chosen { theme.strong() } else { theme.faint() };
                say(if chosen { "[" } else { "" }, theme.accent());
                say(style_name(style), look);
                say(if chosen { "] " } else { " " }, theme.accent());
            }
        }
        _ => match s.protocol {
            Protocol::Default => say("default", theme.text()),
            Protocol::Paper => say("the paper's code", theme.warn()),
        },
    }
}

/// A rule with a name on the left and a note on the right.
fn rule(buf: &mut Buffer, row: Rect, name: &str, note: &str, note_style: Style, theme: &Theme) {
    let line = if theme.glyphs.ascii { "-" } else { "─" };
    put(buf, row, row.x, row.y, &line.repeat(usize::from(row.width)), theme.faint());
    put(buf, row, row.x, row.y, &format!("{name} "), theme.dim());
    let room = usize::from(row.width).saturating_sub(width(name) + 3);
    if !note.is_empty() {
        let note = format!(" {}", ellipsize(note, room, theme.glyphs.ascii));
        put_right(buf, row, row.y, &note, note_style);
    }
}

/// The prompt: its few-shot prefix quiet, its own text bright; the end is in sight unless scrolled.
fn prompt_section(buf: &mut Buffer, area: Rect, app: &App, focused: bool, theme: &Theme) -> Option<Position> {
    if area.height == 0 {
        return None;
    }
    let head = Rect { height: 1, ..area };
    selection(buf, Rect { x: area.x - 1, width: area.width + 2, ..head }, Field::Prompt, app, focused, theme);
    let (note, style) = prompt_note(app, theme);
    rule(buf, head, "Prompt", &note, style, theme);
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let (prefix, own, cursor) = prompt_parts(app);
    let cells = app.query.columns.min(usize::from(area.width)).max(2);
    let full = format!("{prefix}{own}");
    let lines = rows(&full, cells);
    let height = usize::from(body.height);
    let at = cursor.map(|c| prefix.len() + c);
    let first = match at {
        Some(at) => {
            let row = lines.iter().rposition(|r| r.start <= at).unwrap_or(0);
            (row + 2).saturating_sub(height).min(lines.len().saturating_sub(height))
        }
        None => lines.len().saturating_sub(height).saturating_sub(app.query.scroll),
    };
    for (i, line) in lines.iter().enumerate().skip(first).take(height) {
        let y = body.y + (i - first) as u16;
        let split = prefix.len().clamp(line.start, line.end);
        let x = put(buf, body, body.x, y, &text::harmless(&full[line.start..split]), theme.dim());
        put(buf, body, x, y, &text::harmless(&full[split..line.end]), theme.strong());
    }
    if full.is_empty() && !app.query.editing {
        put(buf, body, body.x, body.y, "e: type a prompt, or paste one", theme.dim());
    }
    let at = at?;
    let row = lines.iter().rposition(|r| r.start <= at)?;
    let x = body.x + width(&text::harmless(&full[lines[row].start..at])) as u16;
    let y = body.y + row.checked_sub(first)? as u16;
    (y < body.bottom()).then(|| Position::new(x.min(body.right()), y))
}

/// Prefix, own text, and the cursor's offset in the own text while it is edited.
fn prompt_parts(app: &App) -> (&str, &str, Option<usize>) {
    let editing = app.query.editing.then_some(());
    match (app.query.source, app.query.editor()) {
        (Source::Free, _) => ("", app.query.free.text(), editing.map(|_| app.query.free.cursor())),
        (Source::Item, Some(edited)) => {
            (&app.shared.query.prefix, edited.text(), editing.map(|_| Editor::cursor(edited)))
        }
        (Source::Item, None) => (&app.shared.query.prefix, &app.shared.query.text, None),
    }
}

fn prompt_note(app: &App, theme: &Theme) -> (String, Style) {
    if let Some(error) = &app.query.error {
        return (error.clone(), theme.error());
    }
    let tokens = app.shared.tokens.len();
    if tokens == 0 {
        return (String::new(), theme.dim());
    }
    let reused = app.lens.reused_tokens;
    let note =
        if reused > 0 { format!("{tokens} tokens, {reused} reused") } else { format!("{tokens} tokens") };
    (note, theme.text())
}

/// The token sets as lines; collapsed to one a word unless opened.
fn set_lines(app: &App, cells: usize, open: bool, theme: &Theme) -> Vec<(String, Style)> {
    let sets = &app.shared.sets;
    let mut lines = Vec::new();
    if let Some(reason) = &sets.refused {
        lines.extend(wrapped(reason, cells, theme.error()));
    }
    let groups = [("en", &sets.latent), ("target", &sets.target), ("track", &sets.tracked)];
    for (name, group) in groups {
        for (i, set) in group.iter().enumerate() {
            let gold = name != "track" && i == sets.gold;
            lines.extend(set_line(name, set, gold, cells, open, theme));
        }
    }
    if open {
        for warning in &sets.warnings {
            lines.extend(wrapped(warning, cells, theme.warn()));
        }
    }
    lines
}

fn wrapped(words: &str, cells: usize, style: Style) -> impl Iterator<Item = (String, Style)> {
    let words = text::harmless(words);
    let lines: Vec<_> =
        rows(&words, cells).into_iter().map(|r| (words[r].trim_end().to_owned(), style)).collect();
    lines.into_iter()
}

fn set_line(
    name: &str,
    set: &TokenSet,
    gold: bool,
    cells: usize,
    open: bool,
    theme: &Theme,
) -> Vec<(String, Style)> {
    let style = if gold { theme.strong() } else { theme.text() };
    let mut line =
        format!("{name:<7}{}  {} token{}", text::harmless(&set.word), set.ids.len(), plural(set.ids.len()));
    if !set.removed.is_empty() {
        line += &format!(", {} removed", set.removed.len());
    }
    if !open {
        return vec![(line, style)];
    }
    let mut lines = vec![(line, style)];
    let ids: Vec<String> = set.ids.iter().map(u32::to_string).collect();
    lines.extend(wrapped(&format!("ids {}", ids.join(" ")), cells, theme.dim()));
    if !set.removed.is_empty() {
        let ascii = theme.glyphs.ascii;
        let gone: Vec<String> =
            set.removed.iter().map(|t| format!("{} {}", text::token(&t.text, ascii), t.id)).collect();
        lines.extend(wrapped(&format!("removed {}", gone.join(", ")), cells, theme.warn()));
    }
    lines
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn sets_section(
    buf: &mut Buffer,
    area: Rect,
    lines: &[(String, Style)],
    open: bool,
    app: &App,
    focused: bool,
    theme: &Theme,
) {
    if area.height == 0 {
        return;
    }
    let head = Rect { height: 1, ..area };
    selection(buf, Rect { x: area.x - 1, width: area.width + 2, ..head }, Field::Sets, app, focused, theme);
    let sets = &app.shared.sets;
    let removed: usize =
        sets.latent.iter().chain(&sets.target).chain(&sets.tracked).map(|s| s.removed.len()).sum();
    let shown = if app.query.sets_open { ", x: less" } else { "" };
    let note = match (removed, open) {
        _ if lines.is_empty() => "none yet".to_owned(),
        (0, false) => "x: all".to_owned(),
        (n, false) => format!("{n} removed, x: all"),
        (0, true) => shown.trim_start_matches(", ").to_owned(),
        (n, true) => format!("{n} removed{shown}"),
    };
    let style = if sets.refused.is_some() {
        theme.error()
    } else if removed > 0 {
        theme.warn()
    } else {
        theme.dim()
    };
    rule(buf, head, "Token sets", &note, style, theme);
    let height = usize::from(area.height - 1);
    for (i, (line, style)) in lines.iter().take(height).enumerate() {
        let cut = i + 1 == height && lines.len() > height;
        let line = if cut {
            format!("{} {} more lines", theme.glyphs.ellipsis, lines.len() - i)
        } else {
            line.clone()
        };
        let y = area.y + 1 + i as u16;
        put(
            buf,
            area,
            area.x,
            y,
            &ellipsize(&line, usize::from(area.width), theme.glyphs.ascii),
            if cut { theme.dim() } else { *style },
        );
    }
}
