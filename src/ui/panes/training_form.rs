//! The form of a run.
//!
//! ```text
//!  Align gemma-3-270m           P [the paper's] quick look
//!  from      zh 中文  es español
//!  into      en English          pairs     all
//!  ...
//!  what the selected line means, or what is wrong with it
//!  c starts: 274 samples, 14 held out; 51 steps; about 6 min; 1.4 GB; 3 samples are cut
//! ```

use super::{pca_list, training::about};
use crate::app::App;
use crate::app::action::{Action, PaneId, key_for};
use crate::app::library::language_index;
use crate::app::panes::languages::Chosen;
use crate::app::panes::training_fields::{Field, MODULES, SCHEDULES};
use crate::app::panes::training_form::{Form, Preset};
use crate::app::panes::training_place::{FormPlace, FormRow};
use crate::app::shared::Shared;
use crate::app::text::bytes;
use crate::engine::protocol::TrainPlan;
use crate::ui::text;
use crate::ui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};

/// What the lines need to know.
struct Scene<'a> {
    app: &'a App,
    form: &'a Form,
    shared: &'a Shared,
    theme: &'a Theme,
    focused: bool,
}

/// Draws the form; returns the cursor's place while something is typed.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, focused: bool, theme: &Theme) -> Option<Position> {
    let form = &app.training.form;
    let scene = Scene { app, form, shared: &app.shared, theme, focused };
    let place = FormPlace::new(area.width, area.height, form.selected);
    if place.width < 8 || area.height < 3 {
        return None;
    }
    let at = Rect { x: area.x + place.x, width: place.width, ..area };
    heading(buf, at, &place, &scene);
    let mut cursor = None;
    for (i, row) in place.rows.iter().enumerate() {
        let line = Rect { y: area.y + place.top + i as u16, height: 1, ..at };
        match row {
            FormRow::Blank => {}
            FormRow::Heading(name) => section(buf, line, name, theme),
            FormRow::Fields(fields) => cursor = fields_row(buf, line, fields, &place, &scene).or(cursor),
        }
    }
    scroll_marks(buf, at, &place, theme);
    foot(buf, at, &place, &scene);
    if let Some((field, list)) = &form.list {
        let target = Chosen::of(&[&form.target]);
        let (title, chosen) = match field {
            Field::Target => ("Into", &target),
            _ => ("From", &form.sources),
        };
        pca_list::render(buf, area, title, list, chosen, &app.shared, theme);
        return None;
    }
    cursor
}

fn heading(buf: &mut Buffer, at: Rect, place: &FormPlace, scene: &Scene) {
    if place.top == 0 {
        return;
    }
    let theme = scene.theme;
    let y = at.y + place.top - if place.roomy { 2 } else { 1 };
    let row = Rect { y, height: 1, ..at };
    let key = key_for(Action::NextPreset, PaneId::Training).unwrap_or("");
    let chosen = scene.form.preset();
    let names: Vec<String> = Preset::ALL
        .iter()
        .map(|p| if Some(*p) == chosen { format!("[{}]", p.name()) } else { format!(" {} ", p.name()) })
        .collect();
    let end = 3 + names.iter().map(|n| text::width(n)).sum::<usize>();
    let model = scene.shared.model.as_ref().map_or("a model", |m| m.name.as_str());
    let room = usize::from(row.width).saturating_sub(end + 2);
    let words = format!("Align {}", text::harmless(model));
    let words = if text::width(&words) <= room { words.as_str() } else { "Align" };
    text::put(buf, row, row.x, y, words, theme.accent());
    let mut x = row.right().saturating_sub(end as u16);
    x = text::put(buf, row, x, y, key, theme.key()) + 1;
    for (preset, name) in Preset::ALL.iter().zip(&names) {
        let style = if Some(*preset) == chosen { theme.strong() } else { theme.dim() };
        x = text::put(buf, row, x, y, name, style);
    }
}

fn section(buf: &mut Buffer, line: Rect, name: &str, theme: &Theme) {
    let x = text::put(buf, line, line.x, line.y, name, theme.dim());
    let rule = if theme.glyphs.ascii { "-" } else { "─" };
    let rest = usize::from(line.right().saturating_sub(x + 1));
    text::put(buf, line, x + 1, line.y, &rule.repeat(rest), theme.faint());
}

/// Signs that there are lines beyond those in sight.
fn scroll_marks(buf: &mut Buffer, at: Rect, place: &FormPlace, theme: &Theme) {
    let (above, below) = place.hidden;
    let x = at.right().saturating_sub(1);
    if above > 0 {
        text::put(buf, at, x, at.y + place.top, theme.glyphs.arrow_up, theme.dim());
    }
    if below > 0 && place.foot > 0 {
        text::put(buf, at, x, at.y + place.foot - 1, theme.glyphs.arrow_down, theme.dim());
    }
}

fn fields_row(
    buf: &mut Buffer,
    line: Rect,
    fields: &[Field],
    place: &FormPlace,
    scene: &Scene,
) -> Option<Position> {
    let mut cursor = None;
    for (column, field) in fields.iter().enumerate() {
        let half = place.half();
        let cell = match (fields.len(), column) {
            (1, _) => line,
            (_, 0) => Rect { width: half.saturating_sub(1), ..line },
            _ => Rect { x: line.x + half, width: line.width - half, ..line },
        };
        cursor = field_cell(buf, cell, *field, columns(place.width), scene).or(cursor);
    }
    cursor
}

/// Columns before a field's name, and before its value, in a form of that width.
fn columns(width: u16) -> (u16, u16) {
    if width < 44 { (1, 10) } else { (2, 11) }
}

fn field_cell(
    buf: &mut Buffer,
    cell: Rect,
    field: Field,
    (indent, before): (u16, u16),
    scene: &Scene,
) -> Option<Position> {
    let theme = scene.theme;
    let selected = scene.form.selected == field;
    if selected {
        let style = if scene.focused { theme.selection() } else { theme.selection_idle() };
        buf.set_style(cell.intersection(buf.area), style);
    }
    let faulty = scene.form.fault(field, scene.shared).is_some();
    let (sign, sign_style) = match (faulty, selected) {
        (true, _) => (theme.glyphs.cross, theme.error()),
        (false, true) => (theme.glyphs.selected, theme.accent()),
        _ => (" ", theme.text()),
    };
    text::put(buf, cell, cell.x, cell.y, sign, sign_style);
    let name_style = if selected { theme.text() } else { theme.dim() };
    text::put(buf, cell, cell.x + indent, cell.y, field.name(), name_style);
    let from = cell.x + before;
    let value = Rect { x: from, width: cell.right().saturating_sub(from), ..cell };
    if let Some(typing) = scene.form.typing.as_ref().filter(|t| t.field == field) {
        let editor = &typing.editor;
        let room = usize::from(value.width).saturating_sub(1);
        let before = crate::ui::frame::tail(&editor.text()[..editor.cursor()], room, theme);
        let at = text::put(buf, value, value.x, value.y, &before, theme.strong());
        text::put(buf, value, at, value.y, &editor.text()[editor.cursor()..], theme.strong());
        return Some(Position::new(at.min(value.right().saturating_sub(1)), value.y));
    }
    match field {
        Field::Sources => languages(buf, value, &scene.form.from(&*scene.shared.library), scene),
        Field::Target => languages(buf, value, std::slice::from_ref(&scene.form.target), scene),
        Field::Modules => modules(buf, value, scene, selected && scene.focused),
        _ => {
            let (forms, plain) = shown(field, scene);
            let room = usize::from(value.width);
            let fitting = forms.iter().find(|f| text::width(f) <= room).or(forms.last());
            let words = fitting.map_or("", String::as_str);
            let style = match (faulty, plain) {
                (true, _) => theme.error(),
                (false, true) => theme.dim(),
                _ => theme.strong(),
            };
            let words = text::ellipsize(words, room, theme.glyphs.ascii).into_owned();
            text::put(buf, value, value.x, value.y, &words, style);
        }
    }
    None
}

/// A line's value as shown, the longest form first, and whether it is what an empty line means.
fn shown(field: Field, scene: &Scene) -> (Vec<String>, bool) {
    let Scene { form, shared, .. } = scene;
    let typed = text::harmless(form.text(field));
    let every = |n: u64| match n {
        0 => vec!["none".into()],
        1 => vec!["every step".into()],
        n => vec![format!("every {n} steps"), format!("{n} steps"), n.to_string()],
    };
    let forms = match (field, typed.is_empty()) {
        (Field::Schedule, _) => {
            let name = SCHEDULES.iter().find(|s| s.0 == form.schedule).map_or("", |s| s.1);
            return (vec![name.to_owned()], false);
        }
        (Field::Data, true) => {
            let limit = form.text(Field::Pairs).trim().parse().unwrap_or(usize::MAX);
            let (task, n) = (&shared.task, shared.items.len().min(limit));
            vec![
                format!("the task {task}: {n} questions in each language"),
                format!("{task}: {n} questions each"),
                task.clone(),
            ]
        }
        (Field::Pairs, true) => vec!["all".into()],
        (Field::Steps, true) => vec!["as the epochs say".into(), "by epochs".into(), "auto".into()],
        (Field::Out, true) => vec![text::harmless(&form.out(&*shared.library).display().to_string())],
        (Field::Frames, true) => every(form.every()),
        (Field::Check | Field::Save | Field::Frames, false) => match typed.trim().parse() {
            Ok(n) => every(n),
            Err(_) => vec![typed.clone()],
        },
        _ => vec![typed.clone()],
    };
    (forms, typed.is_empty() && field != Field::Out)
}

/// Codes with their names as far as there is room, then codes alone, then a number.
fn languages(buf: &mut Buffer, value: Rect, codes: &[String], scene: &Scene) {
    let Scene { theme, shared, .. } = scene;
    let library = &*shared.library;
    let own = |code: &str| library.languages().iter().find(|l| l.code == code).map_or("", |l| l.own.as_str());
    let long: usize = codes.iter().map(|c| text::width(c) + text::width(own(c)) + 3).sum();
    let short: usize = codes.iter().map(|c| text::width(c) + 1).sum();
    let room = usize::from(value.width);
    if codes.is_empty() {
        text::put(buf, value, value.x, value.y, "none", theme.error());
    }
    let mut x = value.x;
    if short > room + 1 {
        let words = format!("{}: ", codes.len());
        x = text::put(buf, value, x, value.y, &words, theme.strong());
        let rest = usize::from(value.right().saturating_sub(x));
        let words = text::ellipsize(&codes.join(" "), rest, theme.glyphs.ascii).into_owned();
        text::put(buf, value, x, value.y, &words, theme.text());
        return;
    }
    for code in codes {
        let style = theme.language(language_index(library, code)).add_modifier(Modifier::BOLD);
        x = text::put(buf, value, x, value.y, code, style) + 1;
        if long <= room + 2 {
            x = text::put(buf, value, x, value.y, own(code), theme.dim()) + 2;
        }
    }
}

/// The modules: a box each, checked where it gets an adapter.
fn modules(buf: &mut Buffer, value: Rect, scene: &Scene, cursor: bool) {
    let Scene { theme, form, .. } = scene;
    let ascii = theme.glyphs.ascii;
    let full: usize = MODULES.iter().map(|m| m.1.len() + 5).sum();
    let boxes = full <= usize::from(value.width) + 2;
    let mut x = value.x;
    for (i, (name, short)) in MODULES.iter().enumerate() {
        let on = form.modules.iter().any(|m| m == name);
        let mark = match (on, ascii) {
            (true, true) => "[x]",
            (true, false) => "[✓]",
            (false, _) => "[ ]",
        };
        let style = if on { theme.strong() } else { theme.dim() };
        let words = match (boxes, on) {
            (true, _) => format!("{mark}{short}"),
            (false, true) => format!("[{short}]"),
            (false, false) => (*short).to_owned(),
        };
        let end = text::put(buf, value, x, value.y, &words, style);
        if cursor && i == form.module {
            let here = Rect { x, width: end.saturating_sub(x), height: 1, ..value }.intersection(buf.area);
            buf.set_style(here, Style::new().add_modifier(Modifier::REVERSED));
        }
        x = end + if boxes { 2 } else { 1 };
    }
}

/// Below the form: what the selected line means or what is wrong, then what the run would be.
fn foot(buf: &mut Buffer, at: Rect, place: &FormPlace, scene: &Scene) {
    let Scene { theme, form, app, .. } = scene;
    let area = Rect {
        y: at.y + place.foot,
        height: place.foot_rows.min(at.bottom() - (at.y + place.foot).min(at.bottom())),
        ..at
    };
    if area.height == 0 {
        return;
    }
    let airy = place.roomy || area.height >= 7;
    let above = u16::from(airy && !place.roomy);
    let area = Rect { y: area.y + above, height: area.height - above, ..area };
    let candidates = form.typing.as_ref().map(|t| t.candidates.join("  ")).unwrap_or_default();
    let field = form.typing.as_ref().map_or(form.selected, |t| t.field);
    let (words, style) = match form.fault(field, scene.shared) {
        Some(fault) => (fault, theme.error()),
        None if !candidates.is_empty() => (candidates, theme.dim()),
        None => (field.meaning().to_owned(), theme.dim()),
    };
    let most = if airy { 3 } else { (area.height / 2).max(1) };
    let used = paragraph(buf, Rect { height: area.height.min(most), ..area }, &words, style);
    let gap = u16::from(airy);
    let y = area.y + used + gap;
    let rest = Rect { y: y.min(area.bottom()), height: area.bottom().saturating_sub(y), ..area };
    let (words, style, key) = outlook(app, scene);
    if key && rest.height > 0 {
        let x = text::put(buf, rest, rest.x, rest.y, "c", theme.key());
        let colon = if words.is_empty() { "" } else { ":" };
        text::put(buf, rest, x + 1, rest.y, &format!("starts{colon}"), theme.key());
        let sentence = format!("          {words}");
        hanging(buf, rest, &sentence, style);
    } else {
        paragraph(buf, rest, &words, style);
    }
}

/// Text whose first row has something written before it already.
fn hanging(buf: &mut Buffer, area: Rect, words: &str, style: Style) {
    let rows = crate::app::text::rows(words, usize::from(area.width));
    for (i, row) in rows.into_iter().take(usize::from(area.height)).enumerate() {
        let line = words[row].trim_end();
        let blank = line.len() - line.trim_start().len();
        text::put(buf, area, area.x + blank as u16, area.y + i as u16, &line[blank..], style);
    }
}

fn paragraph(buf: &mut Buffer, area: Rect, words: &str, style: Style) -> u16 {
    super::eval_side::wrapped(buf, area, &text::harmless(words), style, usize::MAX)
}

/// What the run would be, or what is in its way; and whether it can be started.
fn outlook(app: &App, scene: &Scene) -> (String, Style, bool) {
    let Scene { form, theme, shared, .. } = scene;
    let pane = &app.training;
    match pane.hindrance(shared) {
        Some((Some(field), _)) if field == form.selected => {
            return ("It cannot start yet.".into(), theme.error(), false);
        }
        Some((Some(field), words)) => {
            return (format!("It cannot start yet. {}: {words}", field.name()), theme.error(), false);
        }
        Some((None, words)) => {
            let style = if form.plan.is_some() { theme.error() } else { theme.warn() };
            return (words, style, false);
        }
        None => {}
    }
    match &form.plan {
        Some(Ok(plan)) => (sentence(plan, form.resumes), theme.strong(), true),
        None if pane.planning.is_some() => {
            let sign = crate::ui::frame::spin(app, theme);
            (format!("{sign} reading the data and estimating"), theme.dim(), true)
        }
        // Nothing was asked yet: it is being typed, or has just changed.
        _ => (String::new(), theme.dim(), form.typing.is_none()),
    }
}

/// A plan in one sentence.
pub fn sentence(plan: &TrainPlan, resumes: bool) -> String {
    let count = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let mut parts = vec![count(plan.samples, "sample")];
    if plan.held_out > 0 {
        parts[0] += &format!(", {} held out", plan.held_out);
    }
    if resumes || plan.done_steps > 0 {
        let (done, total) = (plan.done_steps, plan.total_steps);
        parts
            .insert(0, format!("goes on after step {done} of {total} of the run that was interrupted there"));
    } else {
        parts.push(count(plan.total_steps as usize, "step"));
    }
    if let Some(seconds) = plan.estimate_s {
        parts.push(format!("about {}", rough(seconds)));
    }
    if plan.memory_bytes > 0 {
        parts.push(bytes(plan.memory_bytes));
    }
    match plan.cut {
        0 => {}
        1 => parts.push("1 sample is cut".into()),
        n => parts.push(format!("{n} samples are cut")),
    }
    parts.join("; ")
}

/// A time as an estimate is told: `40 s`, `6 min`, `2 h 10 min`.
fn rough(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => about(s),
        s if s < 90.0 => format!("{:.0} s", s.max(1.0)),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h {:.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}
