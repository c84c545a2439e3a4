//! Drawing of help, pickers and questions.

use super::frame::key_name;
use super::text::{self, ellipsize, fit, put, put_right, width};
use super::theme::Theme;
use super::view::{border, rect};
use crate::app::action::{self, Where};
use crate::app::confirm::Confirm;
use crate::app::layout::scroll;
use crate::app::overlay::{Overlay, Question, picker_rows};
use crate::app::picker::{Entry, Picker};
use crate::app::{App, editor::Editor};
use ratatui::buffer::{Buffer, CellWidth};
use ratatui::layout::{Position, Rect};
use ratatui::widgets::Widget;

/// Draws an overlay over the panes; returns where its cursor is.
pub fn render(buf: &mut Buffer, overlay: &Overlay, app: &App, theme: &Theme) -> Option<Position> {
    let area = rect(overlay.area(app.size)).intersection(buf.area);
    match overlay {
        Overlay::Help { scroll } => {
            let inner = window(buf, area, &format!("Help · {}", app.focus.name()), theme);
            help(buf, inner, *scroll, app, theme);
            None
        }
        Overlay::Picker(_, p) => {
            let inner = window(buf, area, &p.title, theme);
            let rows = usize::from(picker_rows(overlay.area(app.size)));
            Some(picker(buf, inner, p, rows, theme))
        }
        Overlay::Confirm(c) => {
            let inner = window(buf, area, &c.title, theme);
            confirm(buf, inner, c, theme);
            None
        }
        Overlay::Ask { what, field, candidates } => {
            let inner = window(buf, area, what.title(), theme);
            Some(ask(buf, inner, *what, field, candidates, theme))
        }
    }
}

/// Clears the area and draws its frame; returns the inside.
fn window(buf: &mut Buffer, area: Rect, title: &str, theme: &Theme) -> Rect {
    if area.is_empty() {
        return area;
    }
    for y in area.top()..area.bottom() {
        // A wide glyph that begins left of the window would reach into it.
        if area.x > buf.area.x && buf[(area.x - 1, y)].symbol().cell_width() > 1 {
            buf[(area.x - 1, y)].set_symbol(" ");
        }
        for x in area.left()..area.right() {
            buf[(x, y)].reset();
        }
    }
    buf.set_style(area, theme.raised());
    let block = border(theme).border_style(
        theme
            .border(true)
            .patch(theme.raised().bg.map_or_else(Default::default, |c| ratatui::style::Style::new().bg(c))),
    );
    let inner = block.inner(area);
    block.render(area, buf);
    let top = Rect { x: area.x + 2, width: area.width.saturating_sub(4), height: 1, ..area };
    put(
        buf,
        top,
        top.x,
        top.y,
        &format!(" {} ", ellipsize(title, usize::from(top.width).saturating_sub(2), theme.glyphs.ascii)),
        theme.accent(),
    );
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

/// One line of a field, scrolled so that the cursor is in sight; returns the cursor's place.
fn field(buf: &mut Buffer, area: Rect, editor: &Editor, placeholder: &str, theme: &Theme) -> Position {
    let cells = usize::from(area.width).saturating_sub(3);
    let x = put(buf, area, area.x, area.y, if theme.glyphs.ascii { "> " } else { "› " }, theme.accent());
    if editor.text().is_empty() {
        put(buf, area, x + 1, area.y, placeholder, theme.faint());
        return Position::new(x, area.y);
    }
    let before = super::frame::tail(&editor.text()[..editor.cursor()], cells.saturating_sub(4), theme);
    let at = put(buf, area, x, area.y, &before, theme.strong());
    put(buf, area, at, area.y, &editor.text()[editor.cursor()..], theme.strong());
    Position::new(at.min(area.right().saturating_sub(1)), area.y)
}

fn picker(buf: &mut Buffer, area: Rect, p: &Picker, rows: usize, theme: &Theme) -> Position {
    let cursor = field(buf, Rect { height: area.height.min(1), ..area }, &p.filter, &p.prompt, theme);
    if !p.entries.is_empty() {
        let total = format!("{}/{}", p.rows().flatten().count(), p.entries.len());
        put_right(buf, area, area.y, &total, theme.faint());
    }
    let first = scroll(p.selected(), p.len(), rows);
    let tag_width = p.entries.iter().map(|e| width(&e.tag)).max().unwrap_or(0);
    for (i, entry) in p.rows().enumerate().skip(first).take(rows) {
        let row = Rect { y: area.y + 2 + (i - first) as u16, height: 1, ..area };
        if row.y >= area.bottom() {
            break;
        }
        if i == p.selected() {
            buf.set_style(row, theme.selection());
        }
        match entry {
            Some(e) => entry_row(buf, row, e, tag_width, theme),
            None => {
                let line = format!("{} {}", p.free.unwrap_or(""), p.filter.text().trim());
                put(buf, row, row.x + 2, row.y, &line, theme.accent());
            }
        }
    }
    if p.is_empty() {
        put(buf, area, area.x + 2, area.y + 2, &p.empty, theme.dim());
    }
    let footer = if p.footer.is_empty() { "Enter chooses   Esc goes back" } else { &p.footer };
    put(buf, area, area.x, area.bottom().saturating_sub(1), footer, theme.dim());
    cursor
}

fn entry_row(buf: &mut Buffer, row: Rect, e: &Entry, tag_width: usize, theme: &Theme) {
    let ascii = theme.glyphs.ascii;
    let mark = if e.marked { theme.glyphs.check } else { " " };
    let mut x = put(buf, row, row.x, row.y, mark, theme.good()) + 1;
    if tag_width > 0 {
        x = put(buf, row, x, row.y, &fit(&key_name(&e.tag), tag_width.max(2), ascii), theme.key()) + 2;
    }
    let room = usize::from(row.right().saturating_sub(x));
    // The label may need little: then the detail gets the rest, else half each.
    let spare = room.saturating_sub(width(&text::harmless(&e.label)) + 2);
    let detail = ellipsize(&e.detail, spare.max(room / 2), ascii).into_owned();
    let label_room = room.saturating_sub(width(&detail) + 2);
    put(buf, row, x, row.y, &ellipsize(&text::harmless(&e.label), label_room, ascii), theme.text());
    put_right(buf, row, row.y, &detail, theme.dim());
}

fn ask(
    buf: &mut Buffer,
    area: Rect,
    what: Question,
    editor: &Editor,
    candidates: &[String],
    theme: &Theme,
) -> Position {
    let cursor = field(buf, Rect { height: area.height.min(1), ..area }, editor, "", theme);
    for (i, candidate) in candidates.iter().enumerate() {
        let y = area.y + 1 + i as u16;
        if y + 1 < area.bottom() {
            put(buf, area, area.x + 2, y, &text::harmless(candidate), theme.dim());
        }
    }
    let help = ellipsize(what.help(), usize::from(area.width), theme.glyphs.ascii);
    put(buf, area, area.x, area.bottom().saturating_sub(1), &help, theme.dim());
    cursor
}

fn confirm(buf: &mut Buffer, area: Rect, c: &Confirm, theme: &Theme) {
    let cells = usize::from(area.width);
    let fact = text::harmless(&c.fact);
    for (i, row) in crate::app::text::rows(&fact, cells).into_iter().take(2).enumerate() {
        put(buf, area, area.x, area.y + i as u16, fact[row].trim_end(), theme.dim());
    }
    for (i, option) in c.options.iter().enumerate() {
        let row = Rect { y: area.y + Confirm::HEAD - 1 + i as u16, height: 1, ..area }.intersection(area);
        if row.is_empty() {
            return;
        }
        let chosen = i == c.selected;
        if chosen {
            buf.set_style(row, theme.selection());
        }
        put(buf, row, row.x, row.y, if chosen { theme.glyphs.selected } else { " " }, theme.accent());
        let x = put(buf, row, row.x + 2, row.y, &option.key.to_string(), theme.key());
        let words = ellipsize(&option.words, cells.saturating_sub(6), theme.glyphs.ascii);
        put(buf, row, x + 2, row.y, &text::harmless(&words), theme.text());
    }
}

/// The help for the focused pane: what it shows, its own keys, then the general ones in two columns.
fn help(buf: &mut Buffer, area: Rect, scroll: usize, app: &App, theme: &Theme) {
    let mut lines: Vec<(String, String)> = Vec::new();
    let cells = usize::from(area.width);
    lines.extend(
        crate::app::text::rows(about(app), cells)
            .into_iter()
            .map(|r| (String::new(), about(app)[r].to_owned())),
    );
    let pane = app.focus;
    for place in [Where::Pane(pane), Where::Everywhere] {
        let name =
            if place == Where::Everywhere { "Everywhere".to_owned() } else { format!("In {}", pane.name()) };
        lines.push((String::new(), String::new()));
        lines.push((name, String::new()));
        for b in action::bindings(pane).filter(|b| b.place == place && !b.keys.is_empty()) {
            let keys: Vec<String> = b.keys.iter().map(|k| key_name(k)).collect();
            lines.push((keys.join(" ").to_owned(), b.description.to_owned()));
        }
    }
    lines.push((String::new(), String::new()));
    lines.push((
        String::new(),
        "In a list: type to filter, Enter chooses, Esc goes back. The mouse works too.".into(),
    ));
    let height = usize::from(area.height.saturating_sub(1));
    let first = scroll.min(lines.len().saturating_sub(height));
    for (i, (key, words)) in lines.iter().skip(first).take(height).enumerate() {
        let y = area.y + i as u16;
        if words.is_empty() {
            put(buf, area, area.x, y, key, theme.accent());
        } else if key.is_empty() {
            put(buf, area, area.x, y, words, theme.text());
        } else {
            put(buf, area, area.x + 2, y, key, theme.key());
            put(buf, area, area.x + 15, y, words, theme.text());
        }
    }
    let bottom = area.bottom().saturating_sub(1);
    put(buf, area, area.x, bottom, "Esc closes   Up Down scroll", theme.dim());
    if lines.len() > height {
        let place = format!("{}-{} of {}", first + 1, (first + height).min(lines.len()), lines.len());
        put_right(buf, area, bottom, &place, theme.dim());
    }
}

/// What the focused pane shows, in a few lines.
fn about(app: &App) -> &'static str {
    use crate::app::PaneId as P;
    match app.focus {
        P::Query => {
            "What the model is asked: a task's item in one of 20 languages, or any text. Everything else on \
             screen follows at once when a line is changed here."
        }
        P::Lens => {
            "What each layer would say next: its residual stream at the last position, read through the final \
             norm and the unembedding. Layer 0 is the embedding, the top row is the model's output. en: the gold \
             answer's English word; target: its word in the query's language; all latent (all en), all out: the \
             same summed over all labels' words. H: entropy in bits. KL: of the output's distribution from the \
             layer's, in bits."
        }
        P::Grid => "Every position and layer of the prompt with its most probable next token.",
        P::Pca => {
            "The items' mean states in several languages, projected together on two axes: where the languages \
             lie on each other, the model represents their meaning alike."
        }
        P::Training => {
            "Question-translation alignment: the model learns to put the task's questions from the source languages \
             into the target, by a LoRA adapter; it never sees an answer. A run goes on in the background while every \
             other pane stays in use. The followed log may be any run's, also of LLaMA-Factory or Hugging Face."
        }
        P::Eval => {
            "How many of the task's items each run answers rightly, language by language. calibrated: the accuracy \
             after each label's scores are divided by their mean over queries without content; AUC: of the \
             log-ratio of the labels. Neither moves when a model merely says one label more often, and the answers \
             column shows whether it does (! where nearly all answers are one label)."
        }
    }
}
