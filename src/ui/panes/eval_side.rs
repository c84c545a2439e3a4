//! The panel on the selected language: its numbers under each run, and the confusions.

use super::eval::{Scene, gain, p_value, say, share};
use crate::app::library::LanguageEntry;
use crate::app::panes::eval_view::EvalMeasure;
use crate::engine::protocol::{EvalLang, Score};
use crate::eval::{LangSummary, Table};
use crate::ui::text;
use crate::ui::theme::Ladder;
use crate::ui::widgets::table::{Cell, Column, Table as Grid};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// One under the other.
pub fn beside(buf: &mut Buffer, area: Rect, scene: &Scene) {
    let used = numbers(buf, area, scene);
    let mut y = area.y + used + 1;
    for run in runs(scene) {
        y += confusion(buf, rest(area, y), scene, run) + 1;
    }
    warnings(buf, rest(area, y), scene);
}

/// Side by side: the numbers, and the confusions of the run that is looked at.
pub fn below(buf: &mut Buffer, area: Rect, scene: &Scene) {
    let rule = if scene.theme.glyphs.ascii { "-" } else { "─" };
    text::put(buf, area, area.x, area.y, &rule.repeat(usize::from(area.width)), scene.theme.faint());
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let half = body.width * 9 / 20;
    numbers(buf, Rect { width: half, ..body }, scene);
    let right = Rect { x: body.x + half + 2, width: body.width.saturating_sub(half + 2), ..body };
    let mut y = right.y;
    for run in runs(scene) {
        y += match confusion(buf, rest(right, y), scene, run) {
            0 => 0,
            used => used + 1,
        };
    }
    warnings(buf, rest(right, y), scene);
}

fn rest(area: Rect, y: u16) -> Rect {
    Rect { y: y.min(area.bottom()), height: area.bottom().saturating_sub(y), ..area }
}

/// The run that is looked at, then the one that it is compared with.
fn runs(scene: &Scene) -> Vec<usize> {
    let other = scene.pane.other();
    let second = if scene.pane.run == 0 { other } else { Some(0) };
    std::iter::once(scene.pane.run).chain(second.filter(|_| other.is_some())).collect()
}

/// A language's names: "th ไทย Thai".
pub fn named(lang: &EvalLang, known: &[LanguageEntry]) -> String {
    let entry = known.iter().find(|l| l.code == lang.lang);
    entry.map_or_else(
        || lang.lang.clone(),
        |l| match l.own == l.english {
            true => format!("{} {}", l.code, l.english),
            false => format!("{} {} {}", l.code, l.own, l.english),
        },
    )
}

/// The numbers under each run; returns the rows used.
fn numbers(buf: &mut Buffer, area: Rect, scene: &Scene) -> u16 {
    let Scene { pane, shared, theme, .. } = scene;
    let (Some(table), Some(lang)) = (&pane.table, pane.lang()) else { return 0 };
    let name =
        text::fit(&named(lang, shared.library.languages()), usize::from(area.width), theme.glyphs.ascii);
    text::put(buf, area, area.x, area.y, &name, theme.strong());
    let words = text::harmless(&lang.words.join(" / "));
    let words = text::ellipsize(&words, usize::from(area.width.saturating_sub(7)), theme.glyphs.ascii);
    text::put(buf, area, area.x, area.y + 1, "words", theme.dim());
    text::put(buf, area, area.x + 7, area.y + 1, &words, theme.text());
    let mut used = 2;
    if let Some(reason) = table.sets.get(pane.selected).and_then(|s| s.refused.as_ref()) {
        return used + 1 + wrapped(buf, rest(area, area.y + used + 1), reason, theme.warn(), usize::MAX);
    }
    let shown: Vec<usize> = std::iter::once(0).chain(pane.other()).collect();
    let cells: Vec<Option<&LangSummary>> = shown.iter().map(|r| pane.cell(*r, pane.selected)).collect();
    let rows = lines(table, &cells, scene);
    let names: Vec<String> =
        shown.iter().map(|r| text::ellipsize(pane.name(*r), 12, theme.glyphs.ascii).into_owned()).collect();
    let mut columns = vec![Column { title: "", right: false }];
    columns.extend(names.iter().map(|n| Column { title: n, right: true }));
    if shown.len() > 1 {
        columns.push(Column { title: theme.glyphs.delta, right: true });
    }
    let grid = Grid {
        columns: &columns,
        rows: &rows,
        title_style: theme.dim(),
        ascii: theme.glyphs.ascii,
        ..Grid::default()
    };
    grid.render(buf, rest(area, area.y + used));
    used += 1 + rows.len() as u16;
    if let Some(c) = cells.get(1).and_then(|c| c.and_then(|c| c.change)) {
        let mut parts = vec![(format!("McNemar p {}", p_value(c.p)), theme.text())];
        if c.low.is_finite() {
            let interval = format!("95 % [{} {}]", gain(Some(c.low)), gain(Some(c.high)));
            parts.insert(0, (interval, theme.text()));
        }
        let counts = vec![(format!("{} gained, {} lost", c.gained, c.lost), theme.dim())];
        for parts in [parts, counts] {
            if area.y + used < area.bottom() {
                say(buf, Rect { y: area.y + used, height: 1, ..area }, &parts);
                used += 1;
            }
        }
    }
    used.min(area.height)
}

/// The rows of numbers: a name, each run's value, the difference.
fn lines(table: &Table, cells: &[Option<&LangSummary>], scene: &Scene) -> Vec<Vec<Cell>> {
    let theme = scene.theme;
    let row = |name: &str, values: Vec<Option<f64>>| {
        let mut row = vec![Cell::new(name, theme.dim())];
        row.extend(values.iter().map(|v| Cell::new(share(*v), theme.text())));
        if let [a, b] = values[..] {
            let change = a.zip(b).map(|(a, b)| b - a);
            row.push(Cell::new(gain(change), theme.change(change.unwrap_or(0.0) as f32)));
        }
        row
    };
    let each = |f: &dyn Fn(&LangSummary) -> Option<f64>| cells.iter().map(|c| c.and_then(f)).collect();
    let mut rows: Vec<Vec<Cell>> =
        EvalMeasure::ALL.iter().map(|m| row(m.name(), each(&|c| m.of(c)))).collect();
    if table.plan.score == Score::Loglik {
        rows.push(row("per token", each(&|c| c.per_token)));
        rows.push(row("per byte", each(&|c| c.per_byte)));
    }
    rows.push(row("p of labels", each(&|c| Some(c.mass))));
    if cells.iter().flatten().any(|c| c.ties > 0) {
        let mut ties = vec![Cell::new("ties", theme.dim())];
        ties.extend(
            cells.iter().map(|c| Cell::new(c.map_or("-".into(), |c| c.ties.to_string()), theme.text())),
        );
        rows.push(ties);
    }
    rows
}

/// Gold labels down, answers across; returns the rows used.
fn confusion(buf: &mut Buffer, area: Rect, scene: &Scene, run: usize) -> u16 {
    let Scene { pane, theme, .. } = scene;
    let (Some(table), Some(cell)) = (&pane.table, pane.cell(run, pane.selected)) else { return 0 };
    let labels = &table.plan.labels;
    let ascii = theme.glyphs.ascii;
    if usize::from(area.height) < labels.len() + 2 || area.width < 16 {
        return 0;
    }
    let style = theme.run(table.runs[run]).add_modifier(Modifier::BOLD);
    let name = text::ellipsize(pane.name(run), usize::from(area.width / 3), ascii).into_owned();
    let x = text::put(buf, area, area.x, area.y, &name, style);
    let words =
        text::ellipsize("  gold down, answers across", usize::from(area.right().saturating_sub(x)), ascii)
            .into_owned();
    text::put(buf, area, x, area.y, &words, theme.dim());
    let first =
        labels.iter().map(|l| text::width(l)).max().unwrap_or(0).min(usize::from(area.width) / 3).min(13);
    let each = (usize::from(area.width) - first) / labels.len().max(1);
    let width = each.saturating_sub(1).clamp(3, 13);
    let place = |column: usize| area.x + (first + 1 + column * (width + 1)) as u16;
    for (column, label) in labels.iter().enumerate() {
        text::put(buf, area, place(column), area.y + 1, &text::fit_right(label, width, ascii), theme.dim());
    }
    for (gold, counts) in cell.confusion.iter().enumerate() {
        let y = area.y + 2 + gold as u16;
        text::put(buf, area, area.x, y, &text::fit(&labels[gold], first, ascii), theme.dim());
        let all: usize = counts.iter().sum();
        for (column, count) in counts.iter().enumerate() {
            let heat = match theme.ladder {
                Ladder::None => Style::new(),
                _ => theme.heat(*count as f32 / all.max(1) as f32),
            };
            let right = if gold == column { Modifier::BOLD } else { Modifier::empty() };
            let words = format!("{} ", text::fit_right(&count.to_string(), width - 1, true));
            text::put(buf, area, place(column), y, &words, heat.add_modifier(right));
        }
    }
    (2 + labels.len() as u16).min(area.height)
}

/// What was left out of the label's token sets.
fn warnings(buf: &mut Buffer, area: Rect, scene: &Scene) {
    let pane = scene.pane;
    let Some(sets) = pane.table.as_ref().and_then(|t| t.sets.get(pane.selected)) else { return };
    let mut y = area.y;
    for warning in &sets.warnings {
        y += wrapped(buf, rest(area, y), warning, scene.theme.warn(), 4);
    }
}

/// A text over as many rows as it needs, at most `most`; returns the rows used.
pub fn wrapped(buf: &mut Buffer, area: Rect, words: &str, style: Style, most: usize) -> u16 {
    let rows = crate::app::text::rows(words, usize::from(area.width));
    let shown = rows.len().min(most).min(usize::from(area.height));
    for (i, row) in rows.into_iter().take(shown).enumerate() {
        let line = text::harmless(words[row].trim_end());
        text::put(buf, area, area.x, area.y + i as u16, &line, style);
    }
    shown as u16
}
