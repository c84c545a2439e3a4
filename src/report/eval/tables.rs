//! The tables: accuracies of runs x languages in blocks of ten, as in the paper, and every language's own figures.

use super::{EvalReport, significance};
use crate::engine::protocol::Score;
use crate::eval::{Change, LangSummary, RunSummary};
use crate::report::table::{Align, Table, markdown_cell};
use crate::report::text::{fit, width, wrap};

/// Languages side by side, as in the paper's tables.
pub const PER_BLOCK: usize = 10;

/// One number of the table of accuracies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Per cent, or points of change; `n/a` where nothing is there.
    pub number: String,
    /// Whether no run is better in this column. False with one run.
    pub best: bool,
    /// Of a change: `*` or `**`.
    pub mark: &'static str,
}

/// A run's accuracies, or its change against the first run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub change: bool,
    pub cells: Vec<Cell>,
}

/// Some languages side by side; the last block ends with the mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

/// `+4.2`, in points of a hundred; zero has no sign.
pub fn points(share: f64) -> String {
    let rounded = (share * 1000.0).round() / 10.0;
    if rounded == 0.0 { "0.0".into() } else { format!("{rounded:+.1}") }
}

/// `[-1.2, +3.4]`, in points.
pub fn interval(change: &Change) -> String {
    format!("[{}, {}]", points(change.low), points(change.high))
}

/// `= 0.031`, or `< 0.001`.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("= {p:.3}") }
}

fn percent(share: Option<f64>) -> String {
    share.filter(|s| s.is_finite()).map_or("n/a".into(), |s| format!("{:.1}", 100.0 * s))
}

/// One column: every run's accuracy, and its change.
type Column = Vec<(Option<f64>, Option<Change>)>;

/// The table of accuracies, `per_block` languages side by side.
pub fn blocks(report: &EvalReport, per_block: usize) -> Vec<Block> {
    let runs = report.summary.runs.len();
    let of = |l: usize| -> Column {
        (0..runs)
            .map(|r| (report.cell(r, l).map(LangSummary::accuracy), report.cell(r, l).and_then(|c| c.change)))
            .collect()
    };
    let langs = report.shown_langs();
    let mut columns: Vec<(String, Column)> =
        langs.iter().map(|l| (report.code(*l).to_owned(), of(*l))).collect();
    let mean = |r: &RunSummary| (r.mean, r.change);
    columns.push(("Avg".into(), report.summary.runs.iter().map(mean).collect()));
    let many = langs.len().div_ceil(per_block.max(1)).max(1);
    let cut = |i: usize| {
        let from = i * per_block;
        let to = if i + 1 == many { columns.len() } else { from + per_block };
        block(report, &columns[from..to])
    };
    (0..many).map(cut).collect()
}

fn block(report: &EvalReport, columns: &[(String, Column)]) -> Block {
    let runs = report.summary.runs.len();
    let mut rows = Vec::new();
    for r in 0..runs {
        let accuracy = |(_, column): &(String, Column)| Cell {
            number: percent(column[r].0),
            best: runs > 1 && is_best(column, r),
            mark: "",
        };
        let cells = columns.iter().map(accuracy).collect();
        rows.push(Row { name: report.run_name(r).to_owned(), change: false, cells });
        if r > 0 {
            let change = |(_, column): &(String, Column)| match &column[r].1 {
                Some(c) => Cell { number: points(c.accuracy), best: false, mark: significance(c) },
                None => Cell { number: "n/a".into(), ..Cell::default() },
            };
            rows.push(Row {
                name: "change".into(),
                change: true,
                cells: columns.iter().map(change).collect(),
            });
        }
    }
    Block { columns: columns.iter().map(|(name, _)| name.clone()).collect(), rows }
}

/// Equal shares of equal counts are equal as floating-point numbers; means are compared to a billionth.
fn is_best(column: &Column, run: usize) -> bool {
    let best = column.iter().filter_map(|c| c.0).fold(f64::NEG_INFINITY, f64::max);
    column[run].0.is_some_and(|own| own >= best - 1e-9)
}

/// What the figures of [`figures`] are.
fn legend(report: &EvalReport) -> String {
    let mut out = String::from(
        "AUC: of the log-ratio of a label against the others (mean over labels; 0.5 is chance, whatever the label bias). \
         calibrated: accuracy in per cent after each label's score is divided by its mean over content-free queries. \
         ties: items for which two labels scored the same (the first counts). \u{2192} label: per cent of items for which \
         it was predicted. mass: mean probability in per cent on any label.",
    );
    if report.plan().score == Score::Loglik {
        out += " a token, a byte: accuracy in per cent of the log-likelihood divided by the label's length.";
    }
    out
}

/// A run's figures, a row a language and the means below.
fn figures(report: &EvalReport, run: usize) -> Table {
    let plan = report.plan();
    let loglik = plan.score == Score::Loglik;
    let mut columns: Vec<String> = ["lang", "n", "accuracy", "AUC", "calibrated"].map(String::from).into();
    if loglik {
        columns.extend(["a token", "a byte"].map(String::from));
    }
    columns.push("ties".into());
    columns.extend(plan.labels.iter().map(|label| format!("\u{2192} {label}")));
    columns.push("mass".into());
    let mut table = Table::new(columns.into_iter().enumerate().map(|(i, name)| {
        let align = if i == 0 { Align::Left } else { Align::Right };
        (name, align)
    }));
    let auc = |a: Option<f64>| a.map_or("n/a".into(), |a| format!("{a:.3}"));
    for l in report.shown_langs() {
        let Some(s) = report.cell(run, l) else { continue };
        let mut row = vec![report.code(l).to_owned(), s.n.to_string(), percent(Some(s.accuracy()))];
        row.extend([auc(s.auc), percent(s.calibrated)]);
        if loglik {
            row.extend([percent(s.per_token), percent(s.per_byte)]);
        }
        row.push(s.ties.to_string());
        row.extend((0..plan.labels.len()).map(|label| percent(Some(s.predicted_share(label)))));
        row.push(percent(Some(s.mass)));
        table.row(row);
    }
    if let Some(s) = report.summary.runs.get(run) {
        table.row([
            "Avg".into(),
            String::new(),
            percent(s.mean),
            auc(s.mean_auc),
            percent(s.mean_calibrated),
        ]);
    }
    table
}

fn marks(report: &EvalReport) -> &'static str {
    match report.summary.runs.len() {
        0 | 1 => "Accuracy in per cent; Avg is the plain mean over the languages.",
        _ => {
            "Accuracy in per cent, the best of a column marked; Avg is the plain mean over the languages. change: points \
             against the first run, * p < .05, ** p < .01 (exact McNemar test over the same items). Intervals: 95 %, \
             paired bootstrap over items."
        }
    }
}

/// For a terminal of `cells` columns.
pub(super) fn text(report: &EvalReport, cells: usize) -> String {
    let mut out = wrap(&report.source.model_line(), cells, "  ");
    out += &wrap(&report.caption(), cells, "  ");
    out += "\n";
    out += &fitting(report, cells);
    let changes = report.changes();
    if !changes.is_empty() {
        out += "\n";
    }
    for line in changes.iter().chain([&marks(report).to_owned()]).chain(&report.notes()) {
        out += &wrap(line, cells, "  ");
    }
    for run in 0..report.summary.runs.len() {
        out += &format!("\n{}\n{}", report.run_name(run), figures(report, run).text_blocks(cells));
    }
    out += &wrap(&legend(report), cells, "  ");
    out
}

/// The blocks with as many languages side by side as fit: ten, five, or fewer.
fn fitting(report: &EvalReport, cells: usize) -> String {
    let name = cells / 4;
    let tried = [PER_BLOCK, 5, 4, 3, 2, 1].into_iter().flat_map(|n| [(n, 2), (n, 1)]);
    let mut last = String::new();
    for (per_block, gap) in tried {
        let all = blocks(report, per_block);
        let shown: Vec<String> = all.iter().map(|b| block_text(b, name.max(12), gap)).collect();
        last = shown.join("\n");
        if last.lines().all(|line| width(line) <= cells) {
            break;
        }
    }
    last
}

/// Numbers stand under each other, their marks to the right of them.
fn block_text(block: &Block, most: usize, gap: usize) -> String {
    let shown = |row: &Row| if row.change { format!("  {}", row.name) } else { fit(&row.name, most) };
    let names: Vec<String> = block.rows.iter().map(shown).collect();
    let name = names.iter().map(|n| width(n)).max().unwrap_or(0);
    let mark = |cell: &Cell| if cell.best { "*" } else { cell.mark };
    let of = |c: usize| block.rows.iter().map(move |row| &row.cells[c]);
    let widths: Vec<(usize, usize)> = (0..block.columns.len())
        .map(|c| {
            let numbers = of(c).map(|cell| cell.number.len()).chain([width(&block.columns[c])]);
            (numbers.max().unwrap_or(0), of(c).map(|cell| mark(cell).len()).max().unwrap_or(0))
        })
        .collect();
    let line = |first: &str, cells: &mut dyn Iterator<Item = (String, &str)>| {
        let mut out = format!("{first}{}", " ".repeat(name - width(first)));
        for ((number, mark), (w, m)) in cells.zip(&widths) {
            let pad = " ".repeat(gap + w - width(&number));
            out += &format!("{pad}{number}{mark:m$}");
        }
        format!("{}\n", out.trim_end())
    };
    let mut out = line("", &mut block.columns.iter().map(|c| (c.clone(), "")));
    out += &line(&"─".repeat(name), &mut widths.iter().map(|(w, _)| ("─".repeat(*w), "")));
    for (row, name) in block.rows.iter().zip(&names) {
        out += &line(name, &mut row.cells.iter().map(|c| (c.number.clone(), mark(c))));
    }
    out
}

pub(super) fn markdown(report: &EvalReport) -> String {
    let title = markdown_cell(&format!("Evaluation: {}", report.plan().task));
    let mut out = format!("# {title}\n\nModel: {}\n\n", markdown_cell(&report.source.model_line()));
    out += &format!("{}\n", markdown_cell(&report.caption()));
    for block in blocks(report, PER_BLOCK) {
        out += &format!("\n{}", block_markdown(&block));
    }
    out += "\n";
    for line in report.changes().iter().chain([&marks(report).to_owned()]).chain(&report.notes()) {
        out += &format!("- {}\n", markdown_cell(line));
    }
    let warnings = report.plan().langs.iter().zip(&report.table.sets);
    for (lang, warning) in warnings.flat_map(|(l, s)| s.warnings.iter().map(|w| (&l.lang, w))) {
        out += &format!("- {}: {}\n", markdown_cell(lang), markdown_cell(warning));
    }
    for run in 0..report.summary.runs.len() {
        let name = markdown_cell(report.run_name(run));
        out += &format!("\n## {name}\n\n{}", figures(report, run).markdown());
    }
    out += &format!("\n{}\n", legend(report));
    out
}

fn block_markdown(block: &Block) -> String {
    let row = |first: &str, cells: Vec<String>| format!("| {first} | {} |\n", cells.join(" | "));
    let mut out = row("", block.columns.iter().map(|c| markdown_cell(c)).collect());
    out += &row("---", vec!["---:".into(); block.columns.len()]);
    for r in &block.rows {
        let cell = |c: &Cell| match c.best {
            true => format!("**{}**", c.number),
            false => format!("{}{}", c.number, c.mark.replace('*', "\\*")),
        };
        let name = if r.change { format!("*{}*", r.name) } else { markdown_cell(&r.name) };
        out += &row(&name, r.cells.iter().map(cell).collect());
    }
    out
}
