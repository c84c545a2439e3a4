//! The PCA pane's numbers: the table of pairs, the curve over the layers, the matrix, all measures.

use crate::app::panes::alignment::PAPER_PAIRS;
use crate::app::panes::pca::PcaPane;
use crate::engine::protocol::{Alignment, Measure};
use crate::ui::text;
use crate::ui::theme::{Ladder, Theme};
use crate::ui::widgets::axis;
use crate::ui::widgets::heatmap::{HeatCell, Heatmap};
use crate::ui::widgets::line_chart::{Line, LineChart};
use crate::ui::widgets::plot::PlotStyle;
use crate::ui::widgets::table::{Cell, Column, Table, scroll_to};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use std::borrow::Cow;

/// The table of pairs, and below it, where there is room, the chosen pair's curve.
pub fn render(buf: &mut Buffer, area: Rect, pane: &PcaPane, theme: &Theme) {
    let pairs = pane.pairs().len() as u16;
    let curve_rows = if area.height >= 20 && !pane.curve { (area.height / 2).max(10) } else { 0 };
    let table = Rect { height: (area.height - curve_rows).min(pairs + 3), ..area };
    let x = text::put(buf, table, table.x, table.y, pane.measure.name(), theme.strong());
    if let (Alignment::Pearson, Some(answer)) = (pane.measure, &pane.answer) {
        let fit = format!("  of PC1 fitted on {}", answer.fit_langs.join(" "));
        let room = usize::from(table.right().saturating_sub(x));
        text::put(buf, table, x, table.y, &text::ellipsize(&fit, room, theme.glyphs.ascii), theme.dim());
    }
    let rows = Rect { y: table.y + 1, height: table.height.saturating_sub(1), ..table };
    pair_table(buf, rows, pane, theme);
    if curve_rows > 0 {
        curve(buf, Rect { y: area.bottom() - curve_rows, height: curve_rows, ..area }, pane, theme);
    }
}

/// A value of -1..=1 in five columns: ` .97`, `-.12`, `1.00`.
pub fn value(v: f64) -> String {
    match v {
        v if !v.is_finite() => "-".into(),
        v if v.abs() >= 0.9995 => format!("{v:.2}"),
        v => format!("{v:.3}").replacen("0.", ".", 1),
    }
}

fn interval(m: &Measure) -> String {
    match m.low.is_finite() && m.high.is_finite() {
        true => format!("[{} {}]", value(m.low), value(m.high)),
        false => String::new(),
    }
}

fn pair_table(buf: &mut Buffer, area: Rect, pane: &PcaPane, theme: &Theme) {
    let runs = pane.run_names.len();
    let with_interval = runs == 1 && pane.measure != Alignment::Pearson;
    let mut columns = vec![Column { title: "pair", right: false }];
    let names: Vec<Cow<str>> =
        pane.run_names.iter().map(|n| text::ellipsize(n, 9, theme.glyphs.ascii)).collect();
    columns.extend(names.iter().map(|n| Column { title: n, right: true }));
    if runs == 2 {
        columns.push(Column { title: theme.glyphs.delta, right: true });
    }
    if with_interval {
        columns.extend(["95 % interval", "shuffled"].map(|title| Column { title, right: true }));
    }
    let row = |pair: &String| {
        let measures: Vec<Option<Measure>> =
            (0..runs).map(|run| pane.measure.of(pane.layer(run)?, pair)).collect();
        let paper = PAPER_PAIRS.contains(&pair.as_str());
        let mut cells = vec![Cell::new(pair, if paper { theme.text() } else { theme.dim() })];
        cells.extend(
            measures.iter().map(|m| Cell::new(m.map_or("-".into(), |m| value(m.value)), theme.text())),
        );
        if let [Some(a), Some(b)] = measures[..] {
            let change = b.value - a.value;
            let sign = if change > 0.0005 { "+" } else { "" };
            cells.push(Cell::new(format!("{sign}{}", value(change)), theme.change(change as f32)));
        }
        if let ([Some(m)], true) = (&measures[..], with_interval) {
            cells.push(Cell::new(interval(m), theme.dim()));
            cells.push(Cell::new(value(m.shuffled), theme.dim()));
        }
        cells
    };
    let rows: Vec<Vec<Cell>> = pane.pairs().iter().map(row).collect();
    let table = Table {
        columns: &columns,
        rows: &rows,
        selected: Some(pane.pair),
        first: 0,
        title_style: theme.dim(),
        selected_style: theme.selection(),
        ascii: theme.glyphs.ascii,
    };
    table.render(buf, area);
}

/// Characters of the base's curve and of the others', where colour does not tell.
const MARKS: [&str; 2] = ["o", "*"];

/// The chosen pair's measure over the layers, every run a curve; interval and control where they exist.
pub fn curve(buf: &mut Buffer, area: Rect, pane: &PcaPane, theme: &Theme) {
    let pairs = pane.pairs();
    let Some(pair) = pairs.get(pane.pair) else { return };
    if area.height < 4 {
        return;
    }
    let series: Vec<Vec<(f64, Measure)>> =
        (0..pane.run_names.len()).map(|run| pane.over_layers(run, pair)).collect();
    let of = |run: usize, f: fn(&Measure) -> f64| -> Vec<(f64, f64)> {
        series[run].iter().map(|(layer, m)| (*layer, f(m))).collect()
    };
    // Without colour, characters tell the runs apart.
    let plain = theme.glyphs.ascii || theme.ladder == Ladder::None;
    let control = of(0, |m| m.shuffled);
    let curves: Vec<[Vec<(f64, f64)>; 3]> = (0..series.len())
        .map(|run| [of(run, |m| m.value), of(run, |m| m.low), of(run, |m| m.high)])
        .collect();
    let mut lines =
        vec![Line { points: &control, style: theme.faint(), mark: '.', weight: 1, connected: true }];
    for (run, [value, low, high]) in curves.iter().enumerate() {
        let id = pane.answer.as_ref().and_then(|a| a.runs.get(run)?.run);
        let mark = if run == 0 { 'o' } else { '*' };
        let style = theme.run(id);
        lines.push(Line { points: value, style, mark, weight: 4, connected: true });
        for bound in [low, high] {
            lines.push(Line {
                points: bound,
                style: theme.stale(style),
                mark: '.',
                weight: 1,
                connected: false,
            });
        }
    }
    let values = lines.iter().flat_map(|l| l.points).map(|p| p.1);
    let (low, high) = axis::extent(values).unwrap_or((0.0, 1.0));
    let chart = LineChart {
        y_range: Some((low.min(0.0), high.max(1.0))),
        names: ("layer", ""),
        cursor: pane.layers().get(pane.at).map(|l| *l as f64),
        style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii: plain },
        lines,
        ..LineChart::default()
    };
    let x = text::put(buf, area, area.x, area.y, pair, theme.strong());
    let mut x = text::put(buf, area, x + 1, area.y, pane.measure.name(), theme.dim()) + 2;
    for (run, name) in pane.run_names.iter().enumerate() {
        let id = pane.answer.as_ref().and_then(|a| a.runs.get(run)?.run);
        let mark = if !plain { "━" } else { MARKS[run.min(1)] };
        let name = text::ellipsize(name, 10, theme.glyphs.ascii);
        x = text::put(buf, area, x, area.y, &format!("{mark} {name}"), theme.run(id)) + 2;
    }
    if control.iter().any(|p| p.1.is_finite()) {
        let mark = if plain { "." } else { "━" };
        text::put(buf, area, x, area.y, &format!("{mark} shuffled"), theme.faint());
    }
    chart.render(buf, Rect { y: area.y + 1, height: area.height - 1, ..area });
}

/// Languages x languages, one matrix a run.
pub fn matrices(buf: &mut Buffer, area: Rect, pane: &PcaPane, theme: &Theme) {
    let langs = pane.answer.as_ref().map_or(&[][..], |a| &a.langs);
    let (width, height) = (5 + 5 * langs.len() as u16, 3 + langs.len() as u16);
    let runs = pane.run_names.len() as u16;
    let (across, down) = (area.width / width.max(1), area.height / height.max(1));
    let shown: Vec<usize> = match pane.only {
        Some(run) => vec![run],
        None => (0..runs.min(across.max(down).max(1))).map(usize::from).collect(),
    };
    let n = shown.len().max(1) as u16;
    for (i, run) in shown.iter().enumerate() {
        let i = i as u16;
        let at = match n <= across.max(1) {
            true => {
                Rect { x: area.x + i * (area.width / n), width: (area.width / n).saturating_sub(1), ..area }
            }
            false => Rect { y: area.y + i * (area.height / n), height: area.height / n, ..area },
        };
        matrix(buf, at, *run, langs, pane, theme);
    }
}

fn matrix(buf: &mut Buffer, area: Rect, run: usize, langs: &[String], pane: &PcaPane, theme: &Theme) {
    let Some(layer) = pane.layer(run) else { return };
    let name = pane.run_names.get(run).map_or("", String::as_str);
    let id = pane.answer.as_ref().and_then(|a| a.runs.get(run)?.run);
    let x = text::put(buf, area, area.x, area.y, name, theme.run(id).add_modifier(Modifier::BOLD));
    let measure = format!("  {} at layer {}", pane.measure.name(), layer.layer);
    text::put(buf, area, x, area.y, &measure, theme.dim());
    let digits = theme.ladder == Ladder::None;
    let cell = |a: usize, b: usize| {
        if a == b {
            return Some(HeatCell { value: f64::NAN, text: "".into() });
        }
        let pair = format!("{}-{}", langs[a.min(b)], langs[a.max(b)]);
        let measure = pane.measure.of(layer, &pair)?;
        let text = format!("{:.2}", measure.value).replacen("0.", ".", 1);
        Some(HeatCell { value: measure.value.max(0.0), text: format!("{text:>4}").into() })
    };
    let chosen = pane.pairs().get(pane.pair).cloned().unwrap_or_default();
    let label = |i: usize| {
        let here = chosen.split('-').any(|c| c == langs[i]);
        (Cow::Borrowed(langs[i].as_str()), if here { theme.accent() } else { theme.dim() })
    };
    let at = |code: Option<&str>| langs.iter().position(|l| Some(l.as_str()) == code);
    let mut codes = chosen.split('-');
    let cursor = at(codes.next()).zip(at(codes.next()));
    let rows = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let first =
        scroll_to(0, cursor.map(|c| c.0.max(c.1)), usize::from(rows.height.saturating_sub(1)), langs.len());
    let cell_width = (rows.width.saturating_sub(4) / langs.len().max(1) as u16).clamp(5, 8);
    let fit = usize::from(rows.width.saturating_sub(4) / cell_width);
    let heatmap = Heatmap {
        rows: langs.len(),
        columns: langs.len(),
        first: (first, scroll_to(0, cursor.map(|c| c.1), fit, langs.len())),
        cell: &cell,
        row_label: &label,
        column_label: &label,
        label_width: 4,
        cell_width,
        heat: &|v| if digits { Style::new() } else { theme.heat(v as f32) },
        digits: false,
        cursor,
        cursor_style: Style::new().add_modifier(Modifier::REVERSED),
        missing: theme.faint(),
        ascii: theme.glyphs.ascii,
    };
    heatmap.render(buf, rows);
}

/// All measures of all pairs at the shown layer, every run a row.
pub fn table(buf: &mut Buffer, area: Rect, pane: &PcaPane, theme: &Theme) {
    let mut columns = vec![Column { title: "pair", right: false }, Column { title: "run", right: false }];
    columns.push(Column { title: "Pearson r", right: true });
    for measure in &Alignment::ALL[1..] {
        columns.push(Column { title: measure.name(), right: true });
        columns.extend(["95 %", "shuffled"].map(|title| Column { title, right: true }));
    }
    let runs = pane.run_names.len();
    let mut rows = Vec::new();
    for pair in pane.pairs() {
        for run in 0..runs {
            let Some(layer) = pane.layer(run) else { continue };
            let id = pane.answer.as_ref().and_then(|a| a.runs.get(run)?.run);
            let first = if run == 0 { pair.as_str() } else { "" };
            let name = text::ellipsize(&pane.run_names[run], 10, theme.glyphs.ascii);
            let mut cells = vec![Cell::new(first, theme.text()), Cell::new(name, theme.run(id))];
            for measure in Alignment::ALL {
                let m = measure.of(layer, &pair);
                cells.push(Cell::new(m.map_or("-".into(), |m| value(m.value)), theme.text()));
                if measure != Alignment::Pearson {
                    cells.push(Cell::new(m.map_or(String::new(), |m| interval(&m)), theme.dim()));
                    cells.push(Cell::new(m.map_or(String::new(), |m| value(m.shuffled)), theme.dim()));
                }
            }
            rows.push(cells);
        }
    }
    let table = Table {
        columns: &columns,
        rows: &rows,
        selected: Some(pane.pair * runs),
        first: 0,
        title_style: theme.strong(),
        selected_style: theme.selection(),
        ascii: theme.glyphs.ascii,
    };
    table.render(buf, area);
}
