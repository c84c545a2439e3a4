//! A language's items: what each run answered, and the chosen item in full.

use super::eval::{Scene, share, status};
use super::eval_side::{named, wrapped};
use crate::app::layout::scroll;
use crate::app::panes::eval_view::ItemFilter;
use crate::engine::protocol::{EvalItem, EvalLang};
use crate::eval::{Prediction, Table};
use crate::ui::text;
use crate::ui::theme::Theme;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::notice::notice;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// Draws the list and the chosen item.
pub fn render(buf: &mut Buffer, area: Rect, scene: &Scene, focused: bool) {
    let pane = scene.pane;
    let (Some(table), Some(lang)) = (&pane.table, pane.lang()) else { return };
    if area.height < 2 || area.width < 8 {
        return;
    }
    heading(buf, Rect { height: 1, ..area }, scene, lang);
    let space = pane.space(area.width, area.height);
    let gap = if space.side > 0 { 2 } else { 0 };
    let left = Rect { width: area.width - space.side - gap, ..area };
    if let Some(reason) = table.sets.get(pane.selected).and_then(|s| s.refused.as_ref()) {
        let lines = [
            ("This language is left out.".into(), scene.theme.strong()),
            (reason.clone(), scene.theme.warn()),
        ];
        return notice(buf, Rect { y: area.y + 1, height: area.height - 1, ..area }, &lines);
    }
    let shown = pane.shown_items();
    if shown.is_empty() {
        let what = match pane.filter {
            ItemFilter::All => "There are no items.",
            ItemFilter::Wrong => "No item is answered wrongly so far: f shows others.",
            ItemFilter::Changed => "No answer is another one so far: f shows others.",
        };
        return notice(
            buf,
            Rect { y: area.y + 1, height: area.height - 1, ..area },
            &[(what.into(), scene.theme.dim())],
        );
    }
    let runs: Vec<usize> = std::iter::once(0).chain(pane.other()).collect();
    let columns = Columns::new(left.width, runs, table);
    head(buf, Rect { y: area.y + 1, height: 1, ..left }, scene, table, &columns);
    let at = shown.iter().position(|i| *i == pane.item).unwrap_or(0);
    let first = scroll(at, shown.len(), usize::from(space.list));
    for (i, item) in shown.iter().enumerate().skip(first).take(usize::from(space.list)) {
        let row = Rect { y: area.y + space.head + (i - first) as u16, height: 1, ..left };
        line(buf, row, scene, *item, &columns);
        if *item == pane.item {
            let style = if focused { scene.theme.selection() } else { scene.theme.selection_idle() };
            buf.set_style(row.intersection(buf.area), style);
        }
    }
    let Some(item) = lang.items.get(pane.item) else { return };
    if space.side > 0 {
        let side = Rect { x: left.right() + gap, width: space.side, y: area.y + 1, height: area.height - 1 };
        detail(buf, side, scene, item);
    } else if space.below > 0 {
        let below = Rect { y: area.y + space.head + space.list, height: space.below, ..area };
        let rule = if scene.theme.glyphs.ascii { "-" } else { "─" };
        text::put(buf, below, below.x, below.y, &rule.repeat(usize::from(below.width)), scene.theme.faint());
        detail(buf, Rect { y: below.y + 1, height: below.height - 1, ..below }, scene, item);
    }
}

/// Whose items these are, which of them, and the keys that matter; while answers come, how far they are.
fn heading(buf: &mut Buffer, row: Rect, scene: &Scene, lang: &EvalLang) {
    let Scene { pane, shared, theme, .. } = scene;
    let name = named(lang, shared.library.languages());
    let mut x = text::put(buf, row, row.x, row.y, &name, theme.strong());
    let (shown, all) = (pane.shown_items().len(), lang.items.len());
    let what = match pane.filter {
        ItemFilter::All => format!("  all {all} items"),
        ItemFilter::Wrong => format!("  {shown} of {all} answered wrongly by {}", pane.name(pane.run)),
        ItemFilter::Changed => format!("  {shown} of {all} answers changed"),
    };
    let room = usize::from(row.right().saturating_sub(x));
    x = text::put(buf, row, x, row.y, &text::ellipsize(&what, room, theme.glyphs.ascii), theme.accent());
    let rest = Rect { x: x + 3, width: row.right().saturating_sub(x + 3), ..row };
    if pane.running.is_some() && rest.width > 40 {
        return status(buf, rest, scene);
    }
    let keys = ["Enter lens   f filter   Esc back", "Enter lens   Esc back", "Esc back"];
    if let Some(keys) = keys.iter().find(|k| text::width(k) <= usize::from(rest.width)) {
        text::put_right(buf, rest, row.y, keys, theme.dim());
    }
}

/// Where what stands in a line of the list.
struct Columns {
    runs: Vec<usize>,
    /// Columns of a label's name; 0: the marks alone.
    label: usize,
    gold: usize,
}

impl Columns {
    fn new(width: u16, runs: Vec<usize>, table: &Table) -> Self {
        let longest = table.plan.labels.iter().map(|l| text::width(l)).max().unwrap_or(0).clamp(4, 13);
        let room = usize::from(width).saturating_sub(4);
        let full = (longest + 1) + runs.len() * (longest + 3);
        let (label, gold) = match room {
            r if r >= full + 16 => (longest, longest),
            r if r >= 30 + runs.len() * 10 => (7, 7),
            _ => (0, longest.min(room / 4)),
        };
        Self { runs, label, gold }
    }

    /// Columns of a run's answer: its mark, a sign of a tie, the label, a space.
    fn answer(&self) -> u16 {
        self.label as u16 + 3
    }
}

fn head(buf: &mut Buffer, row: Rect, scene: &Scene, table: &Table, columns: &Columns) {
    let Scene { pane, theme, .. } = scene;
    let ascii = theme.glyphs.ascii;
    let mut x = row.x + 4;
    text::put(buf, row, x, row.y, &text::fit("gold", columns.gold, ascii), theme.dim());
    x += columns.gold as u16 + 1;
    for run in &columns.runs {
        let room = usize::from(columns.answer() - 1);
        let style = theme.run(table.runs[*run]).add_modifier(Modifier::BOLD);
        text::put(buf, row, x, row.y, &text::fit(pane.name(*run), room, ascii), style);
        x += columns.answer();
    }
    text::put(buf, row, x, row.y, &table.plan.fields.join(", "), theme.dim());
}

fn line(buf: &mut Buffer, row: Rect, scene: &Scene, item: usize, columns: &Columns) {
    let Scene { pane, theme, .. } = scene;
    let (Some(table), Some(lang)) = (&pane.table, pane.lang()) else { return };
    let (labels, ascii) = (&table.plan.labels, theme.glyphs.ascii);
    let Some(entry) = lang.items.get(item) else { return };
    text::put(buf, row, row.x, row.y, &text::fit_right(&(entry.index + 1).to_string(), 3, true), theme.dim());
    let mut x = row.x + 4;
    text::put(buf, row, x, row.y, &text::fit(&labels[entry.gold], columns.gold, ascii), theme.text());
    x += columns.gold as u16 + 1;
    for run in &columns.runs {
        match pane.verdict(*run, item) {
            Some(v) => {
                let (mark, style) = judged(v, entry.gold, theme);
                let at = text::put(buf, row, x, row.y, mark, style);
                let at = text::put(buf, row, at, row.y, if v.tie { "=" } else { " " }, theme.warn());
                text::put(buf, row, at, row.y, &text::fit(&labels[v.label], columns.label, ascii), style);
            }
            None => _ = text::put(buf, row, x, row.y, theme.glyphs.separator, theme.faint()),
        }
        x += columns.answer();
    }
    let words = text::harmless(&entry.values.join("  "));
    let room = usize::from(row.right().saturating_sub(x));
    text::put(buf, row, x, row.y, &text::ellipsize(&words, room, ascii), theme.text());
}

/// The sign and style of an answer: right or wrong.
fn judged(v: Prediction, gold: usize, theme: &Theme) -> (&'static str, Style) {
    match v.label == gold {
        true => (theme.glyphs.check, theme.good()),
        false => (theme.glyphs.cross, theme.error()),
    }
}

/// The item in full: the query as the model reads it, and each run's probabilities: side by side, or one below the
/// other where that leaves little for the bars.
fn detail(buf: &mut Buffer, area: Rect, scene: &Scene, item: &EvalItem) {
    let Scene { pane, theme, .. } = scene;
    let (Some(table), Some(lang)) = (&pane.table, pane.lang()) else { return };
    let rows = table.plan.labels.len() as u16 + 1;
    let shown: Vec<usize> = std::iter::once(0).chain(pane.other()).collect();
    let names: Vec<String> =
        lang.words.iter().zip(&table.plan.labels).map(|(word, label)| full(word, label)).collect();
    let longest =
        names.iter().map(|n| text::width(n)).max().unwrap_or(0).min(usize::from(area.width) * 2 / 5);
    let left = longest as u16 + 3;
    let each = area.width.saturating_sub(left) / shown.len() as u16;
    let stacked = each < 30 && area.height > 8 + shown.len() as u16 * (rows + 1);
    let blocks = if stacked { shown.len() as u16 } else { 1 };
    let gap = u16::from(area.height > 12);
    let most = area.height.saturating_sub(blocks * (rows + gap)).max(1);
    let used = wrapped(buf, area, &item.text, theme.text(), usize::from(most));
    let mut body = Rect { y: area.y + used + gap, height: area.height.saturating_sub(used + gap), ..area };
    let width = if stacked { area.width - left } else { each }.min(56);
    for (i, run) in shown.iter().enumerate() {
        if i == 0 || stacked {
            labels(buf, Rect { width: left, ..body }, &names, item.gold, theme);
        }
        let x = if stacked { 0 } else { i as u16 * width };
        answer(buf, Rect { x: body.x + left + x, width: width.saturating_sub(1), ..body }, scene, *run, item);
        if stacked {
            let used = (rows + 1).min(body.height);
            body = Rect { y: body.y + used, height: body.height - used, ..body };
        }
    }
}

/// The labels' names, the right one marked.
fn labels(buf: &mut Buffer, area: Rect, names: &[String], gold: usize, theme: &Theme) {
    text::put(buf, area, area.x, area.y, "gold", theme.dim());
    let room = usize::from(area.width.saturating_sub(3));
    for (label, name) in names.iter().enumerate() {
        let y = area.y + 1 + label as u16;
        if y >= area.bottom() {
            return;
        }
        let (sign, style) = match label == gold {
            true => (theme.glyphs.arrow_right, theme.strong()),
            false => (" ", theme.text()),
        };
        text::put(buf, area, area.x, y, sign, theme.accent());
        let name = text::fit(&text::harmless(name), room, theme.glyphs.ascii);
        text::put(buf, area, area.x + 2, y, &name, style);
    }
}

/// A label with the word that stands for it, where that is another one.
fn full(word: &str, label: &str) -> String {
    if word == label { label.to_owned() } else { format!("{label} {word}") }
}

/// One run's probabilities of the labels, its answer marked. A bar is the share of what all labels have together.
fn answer(buf: &mut Buffer, area: Rect, scene: &Scene, run: usize, item: &EvalItem) {
    let Scene { pane, theme, .. } = scene;
    let (Some(table), ascii) = (&pane.table, theme.glyphs.ascii) else { return };
    let style = theme.run(table.runs[run]);
    let name = text::ellipsize(pane.name(run), usize::from(area.width), ascii);
    text::put(buf, area, area.x, area.y, &name, style.add_modifier(Modifier::BOLD));
    let Some(record) = table.item(run, pane.selected, pane.item) else {
        text::put(buf, area, area.x, area.y + 1, "no answer yet", theme.dim());
        return;
    };
    let v = pane.verdict(run, pane.item);
    let all: f32 = record.p.iter().sum();
    let verdict = if area.width >= 28 { 8 } else { 2 };
    let bar_width = area.width.saturating_sub(verdict + 8).min(30);
    for (label, p) in record.p.iter().enumerate() {
        let row = Rect { y: area.y + 1 + label as u16, height: 1, ..area };
        if row.y >= area.bottom() {
            break;
        }
        bar(buf, Rect { width: bar_width, ..row }, f64::from(p / all), style, Style::new(), ascii);
        let number =
            if *p >= 0.0005 || *p == 0.0 { share(Some(f64::from(*p))) } else { text::number(f64::from(*p)) };
        let x = text::put(
            buf,
            row,
            row.x + bar_width + 1,
            row.y,
            &text::fit_right(&number, 6, true),
            theme.text(),
        );
        if let Some(v) = v.filter(|v| v.label == label) {
            let (mark, style) = judged(v, item.gold, theme);
            let words = match (v.label == item.gold, v.tie) {
                (_, true) => "tie",
                (true, false) => "right",
                (false, false) => "wrong",
            };
            let words = if verdict > 2 { format!("{mark} {words}") } else { mark.to_owned() };
            text::put(buf, row, x + 1, row.y, &words, style);
        }
    }
}
