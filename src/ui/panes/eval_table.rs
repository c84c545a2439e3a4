//! The table of languages: bars of base and aligned, and what tells accuracy from label bias.

use super::eval::{Scene, gain, p_value, say, share, status};
use super::eval_side;
use crate::app::layout::scroll;
use crate::app::panes::eval_view::EvalMeasure;
use crate::eval::{LangSummary, Table};
use crate::ui::text;
use crate::ui::theme::Theme;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::shares::{Part, shares};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// Columns that a language's code takes, with the space after it.
const CODE: u16 = 5;
/// Columns of a number after its bar, with the spaces around it.
const NUMBER: u16 = 6;
/// Of answers that are all but this many one label, the sign says so.
const ONE_SIDED: f64 = 0.95;

/// How wide what is; 0 leaves a part out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Widths {
    /// A run's bar, without its number.
    bar: u16,
    /// A run's shares of the labels, without the sign after them.
    shares: u16,
    /// The number of items.
    n: u16,
    /// The other measures that are shown as numbers.
    others: u16,
}

impl Widths {
    /// What fits into `width` columns for one run or two: the bars first, then the shares, the count, the others.
    pub fn new(width: u16, runs: u16, labels: u16) -> Self {
        let change = if runs > 1 { NUMBER } else { 0 };
        let least = if runs > 1 { 5 } else { (labels * 4).clamp(8, 16) };
        let tries = [(2, 6, least), (1, 6, least), (0, 6, least), (0, 0, least), (0, 0, 0)];
        for (others, n, shares) in tries {
            let block = if shares > 0 { (shares + 1) * runs } else { 0 };
            let used = CODE + change + n + others * (5 * runs + 1) + block + runs * NUMBER;
            if let Some(rest) = width.checked_sub(used + 5 * runs) {
                let more = if shares > 0 { (rest / 3 / runs).min(12) } else { 0 };
                let bar = 5 + ((rest - more * runs) / runs).min(30);
                return Self { bar, shares: if shares > 0 { shares + more } else { 0 }, n, others };
            }
        }
        Self { bar: width.saturating_sub(CODE + change + runs * NUMBER) / runs, ..Self::default() }
    }
}

/// What all rows need.
struct Rows<'a> {
    scene: &'a Scene<'a>,
    table: &'a Table,
    /// Indices into the table's runs: the base, and the one compared with it.
    runs: Vec<usize>,
    widths: Widths,
}

/// Draws the table and the panel on the selected language.
pub fn render(buf: &mut Buffer, area: Rect, scene: &Scene, focused: bool) {
    let pane = scene.pane;
    let Some(table) = &pane.table else { return };
    if area.height < 2 || area.width < 8 {
        return;
    }
    let space = pane.space(area.width, area.height);
    let gap = if space.side > 0 { 2 } else { 0 };
    let left = Rect { width: area.width - space.side - gap, ..area };
    let runs: Vec<usize> = std::iter::once(0).chain(pane.other()).collect();
    let widths = Widths::new(left.width, runs.len() as u16, table.plan.labels.len() as u16);
    let rows = Rows { scene, table, runs, widths };
    let order = pane.order();
    let at = order.iter().position(|l| *l == pane.selected).unwrap_or(0);
    let first = scroll(at, order.len(), usize::from(space.list));
    let hidden = (first, order.len().saturating_sub(first + usize::from(space.list)));
    head(buf, Rect { y: area.y + 1, height: 1, ..left }, &rows, hidden);
    status(buf, Rect { height: space.head, ..left }, scene);
    for (i, lang) in order.iter().enumerate().skip(first).take(usize::from(space.list)) {
        let row = Rect { y: area.y + space.head + (i - first) as u16, height: 1, ..left };
        language(buf, row, &rows, *lang);
        if *lang == pane.selected {
            let style = if focused { scene.theme.selection() } else { scene.theme.selection_idle() };
            buf.set_style(row.intersection(buf.area), style);
        }
    }
    let foot = Rect { y: area.y + space.head + space.list, height: space.foot, ..left };
    mean(buf, Rect { height: foot.height.min(1), ..foot }, &rows);
    if foot.height > 1 {
        change(buf, Rect { y: foot.y + 1, height: 1, ..foot }, &rows);
    }
    if space.side > 0 {
        eval_side::beside(buf, Rect { x: left.right() + gap, width: space.side, ..area }, scene);
    } else if space.below > 0 {
        eval_side::below(buf, Rect { y: foot.bottom(), height: space.below, ..area }, scene);
    }
}

/// The columns' names.
fn head(buf: &mut Buffer, row: Rect, rows: &Rows, hidden: (usize, usize)) {
    let (theme, pane) = (rows.scene.theme, rows.scene.pane);
    let ascii = theme.glyphs.ascii;
    let g = &theme.glyphs;
    let more = match hidden {
        (0, 0) => "lang".to_owned(),
        (above, 0) => format!("{}{above}", g.arrow_up),
        (_, below) => format!("{}{below}", g.arrow_down),
    };
    text::put(buf, row, row.x, row.y, &more, theme.dim());
    let mut x = row.x + CODE;
    for run in &rows.runs {
        let width = usize::from(rows.widths.bar + NUMBER);
        let style = theme.run(rows.table.runs[*run]).add_modifier(Modifier::BOLD);
        let name = text::fit(&text::harmless(pane.name(*run)), width - 1, ascii);
        text::put(buf, row, x, row.y, &name, style);
        x += width as u16;
    }
    if rows.runs.len() > 1 {
        text::put(buf, row, x, row.y, &text::fit_right(g.delta, 5, ascii), theme.dim());
        x += NUMBER;
    }
    if rows.widths.n > 0 {
        text::put(buf, row, x, row.y, &text::fit_right("n", 5, ascii), theme.dim());
        x += rows.widths.n;
    }
    for other in others(pane.measure).take(usize::from(rows.widths.others)) {
        let width = 5 * rows.runs.len();
        let name = if width < 8 && other == EvalMeasure::Calibrated { "cal." } else { other.name() };
        text::put(buf, row, x, row.y, &text::fit(name, width, ascii), theme.dim());
        x += width as u16 + 1;
    }
    if rows.widths.shares > 0 {
        let width = (rows.widths.shares + 1) * rows.runs.len() as u16;
        label_key(buf, Rect { x, width: width - 1, ..row }, rows.table, theme);
    }
}

/// The labels' signs with as much of their names as fits.
fn label_key(buf: &mut Buffer, row: Rect, table: &Table, theme: &Theme) {
    let labels = &table.plan.labels;
    let each = (usize::from(row.width) + 1) / labels.len().max(1);
    let mut x = row.x;
    for (i, label) in labels.iter().enumerate() {
        let (sign, style) = theme.label(i);
        text::put(buf, row, x, row.y, &sign.to_string(), style);
        let name = text::truncate(label, each.saturating_sub(2));
        text::put(buf, row, x + 1, row.y, name, theme.dim());
        x += each as u16;
    }
}

/// The measures that the bars do not show.
fn others(shown: EvalMeasure) -> impl Iterator<Item = EvalMeasure> {
    [EvalMeasure::Auc, EvalMeasure::Calibrated, EvalMeasure::Accuracy]
        .into_iter()
        .filter(move |m| *m != shown)
}

/// Draws a run's bar and number; returns where the next part begins.
fn measured(buf: &mut Buffer, row: Rect, x: u16, value: Option<f64>, style: Style, rows: &Rows) -> u16 {
    let (theme, width) = (rows.scene.theme, rows.widths.bar);
    let place = Rect { x, width, ..row }.intersection(row);
    if let Some(value) = value {
        bar(buf, place, value, style, Style::new(), theme.glyphs.ascii);
    }
    let number = format!(" {} ", text::fit_right(&share(value), 4, true));
    let ink = if value.is_some() { theme.text() } else { theme.faint() };
    text::put(buf, row, x + width, row.y, &number, ink)
}

fn language(buf: &mut Buffer, row: Rect, rows: &Rows, lang: usize) {
    let Scene { pane, theme, .. } = rows.scene;
    let (table, ascii) = (rows.table, theme.glyphs.ascii);
    let busy = pane.running.as_ref().is_some_and(|r| r.stage == table.plan.langs[lang].lang);
    let name = text::fit(&table.plan.langs[lang].lang, 3, ascii);
    text::put(buf, row, row.x, row.y, &name, if busy { theme.accent() } else { theme.text() });
    if let Some(reason) = table.sets.get(lang).and_then(|s| s.refused.as_ref()) {
        let words = format!("{} left out: {}", theme.glyphs.cross, text::harmless(reason));
        let rest = Rect { x: row.x + CODE, width: row.width.saturating_sub(CODE), ..row };
        text::put(
            buf,
            rest,
            rest.x,
            rest.y,
            &text::ellipsize(&words, usize::from(rest.width), ascii),
            theme.warn(),
        );
        return;
    }
    let cells: Vec<Option<&LangSummary>> = rows.runs.iter().map(|run| pane.cell(*run, lang)).collect();
    if cells.iter().all(Option::is_none) {
        text::put(buf, row, row.x + CODE, row.y, theme.glyphs.separator, theme.faint());
        return;
    }
    let mut x = row.x + CODE;
    for (run, cell) in rows.runs.iter().zip(&cells) {
        let value = cell.and_then(|c| pane.measure.of(c));
        x = measured(buf, row, x, value, theme.run(table.runs[*run]), rows);
    }
    if rows.runs.len() > 1 {
        let change = pane.change(lang);
        let style = theme.change(change.unwrap_or(0.0) as f32);
        text::put(buf, row, x, row.y, &text::fit_right(&gain(change), 5, ascii), style);
        x += NUMBER;
    }
    if rows.widths.n > 0 {
        let answered = cells.iter().map(|c| c.map_or(0, |c| c.n)).min().unwrap_or(0);
        let all = table.plan.langs[lang].items.len();
        let n = if answered < all { format!("{answered}/{all}") } else { all.to_string() };
        text::put(buf, row, x, row.y, &text::fit_right(&n, 5, ascii), theme.dim());
        x += rows.widths.n;
    }
    for other in others(pane.measure).take(usize::from(rows.widths.others)) {
        for (run, cell) in rows.runs.iter().zip(&cells) {
            let number = text::fit_right(&share(cell.and_then(|c| other.of(c))), 4, true);
            x = text::put(buf, row, x, row.y, &number, theme.run(table.runs[*run])) + 1;
        }
        x += 1;
    }
    for cell in cells {
        if let (Some(cell), true) = (cell, rows.widths.shares > 0) {
            answers(buf, Rect { x, width: rows.widths.shares + 1, ..row }, cell, theme);
        }
        x += rows.widths.shares + 1;
    }
}

/// How the answers are divided among the labels, and a sign where nearly all are one label.
fn answers(buf: &mut Buffer, row: Rect, cell: &LangSummary, theme: &Theme) {
    let parts: Vec<Part> = (0..cell.confusion.len())
        .map(|label| {
            let (sign, style) = theme.label(label);
            (cell.predicted_share(label), sign, style)
        })
        .collect();
    shares(buf, Rect { width: row.width - 1, ..row }, &parts);
    if parts.iter().any(|p| p.0 >= ONE_SIDED) {
        text::put(buf, row, row.right() - 1, row.y, "!", theme.error());
    }
}

/// The means over the languages.
fn mean(buf: &mut Buffer, row: Rect, rows: &Rows) {
    if row.is_empty() {
        return;
    }
    let Scene { pane, theme, .. } = rows.scene;
    let ascii = theme.glyphs.ascii;
    let summaries: Vec<_> = rows.runs.iter().map(|run| pane.summary.runs.get(*run)).collect();
    text::put(buf, row, row.x, row.y, "mean", theme.strong());
    let mut x = row.x + CODE;
    let values: Vec<Option<f64>> = summaries.iter().map(|s| s.and_then(|s| pane.measure.mean(s))).collect();
    for (run, value) in rows.runs.iter().zip(&values) {
        let style = theme.run(rows.table.runs[*run]).add_modifier(Modifier::BOLD);
        x = measured(buf, row, x, *value, style, rows);
    }
    if let [Some(a), Some(b)] = values[..] {
        // While answers come, the runs' means may be over different items; the change is over the same.
        let same = summaries[1].and_then(|s| s.change).filter(|_| pane.measure == EvalMeasure::Accuracy);
        let change = same.map_or(b - a, |c| c.accuracy);
        let style = theme.change(change as f32).add_modifier(Modifier::BOLD);
        text::put(buf, row, x, row.y, &text::fit_right(&gain(Some(change)), 5, ascii), style);
    }
    x += if rows.runs.len() > 1 { NUMBER } else { 0 };
    x += rows.widths.n;
    for other in others(pane.measure).take(usize::from(rows.widths.others)) {
        for (run, summary) in rows.runs.iter().zip(&summaries) {
            let number = share(summary.and_then(|s| other.mean(s)));
            let style = theme.run(rows.table.runs[*run]).add_modifier(Modifier::BOLD);
            x = text::put(buf, row, x, row.y, &text::fit_right(&number, 4, true), style) + 1;
        }
        x += 1;
    }
    let (there, all) = (pane.summary.languages, rows.table.plan.langs.len());
    let part = Rect { x, width: row.right().saturating_sub(x), ..row };
    let words = if there < all { format!("of {there}/{all}") } else { format!("of {all}") };
    say(buf, part, &[(words, theme.dim())]);
}

/// What the compared run changed on the whole, with its interval and test once all answers are there.
fn change(buf: &mut Buffer, row: Rect, rows: &Rows) {
    let Scene { pane, theme, .. } = rows.scene;
    let Some(other) = pane.other() else { return };
    let Some(c) = pane.summary.runs.get(other).and_then(|r| r.change) else { return };
    let mut parts = vec![(format!("accuracy {}", gain(Some(c.accuracy))), theme.change(c.accuracy as f32))];
    if c.low.is_finite() {
        let interval = format!("95 % [{} {}]", gain(Some(c.low)), gain(Some(c.high)));
        parts.push((interval, theme.text()));
        parts.push((format!("McNemar p {}", p_value(c.p)), theme.text()));
    } else {
        parts.insert(0, ("so far:".to_owned(), theme.dim()));
    }
    parts.push((format!("{} gained, {} lost", c.gained, c.lost), theme.dim()));
    say(buf, row, &parts);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_fits_and_grows_with_the_room() {
        let parts = |w: Widths| [w.bar > 0, w.shares > 0, w.n > 0, w.others > 0, w.others > 1];
        assert_eq!(parts(Widths::new(38, 2, 2)), [true, false, false, false, false]);
        assert_eq!(parts(Widths::new(58, 2, 3)), [true, true, true, false, false]);
        assert_eq!(parts(Widths::new(78, 2, 2)), [true, true, true, true, true]);
        for labels in [2, 3, 5] {
            for runs in [1, 2] {
                for width in 8..200 {
                    let w = Widths::new(width, runs, labels);
                    let change = if runs > 1 { NUMBER } else { 0 };
                    let block = if w.shares > 0 { (w.shares + 1) * runs } else { 0 };
                    let all =
                        CODE + change + runs * (w.bar + NUMBER) + w.n + w.others * (5 * runs + 1) + block;
                    assert!(all <= width.max(CODE + change + runs * NUMBER), "{width} {runs}: {w:?}");
                }
            }
        }
    }
}
