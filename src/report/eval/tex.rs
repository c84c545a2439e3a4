//! The table of accuracies for a paper: a LaTeX `table` with booktabs rules.

use super::tables::{Block, Cell, PER_BLOCK, blocks, p_value, points};
use super::{EvalReport, protocol_name, score_name};
use crate::report::curves::style_name;
use crate::report::text::width;

/// Text that LaTeX sets as it is, also at the beginning of a row (where `\\` would read `*` and `[` as its own
/// arguments) and in a comment. Line breaks and control characters become spaces.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '_' | '%' | '&' | '#' | '{' | '}' | '$' => out.extend(['\\', c]),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("\\char34{}"),
            '`' => out.push_str("\\char96{}"),
            '[' | ']' | '*' => out.extend(['{', c, '}']),
            // Two or three of them are drawn as a dash or quotation marks.
            '-' | '\'' | ',' | '!' | '?' if before == c => out.extend(['{', '}', c]),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => out.push(' '),
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// Letters and digits with single hyphens between, for `\label`.
fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

/// The whole table environment, ending in a line break.
pub(super) fn table(report: &EvalReport) -> String {
    let blocks = blocks(report, PER_BLOCK);
    let columns = blocks.iter().map(|b| b.columns.len()).max().unwrap_or(1);
    let plan = report.plan();
    let mut out = String::from("% Needs \\usepackage{booktabs} in the preamble");
    out += if all_text(report).is_ascii() {
        ".\n"
    } else {
        "; names beyond ASCII need XeLaTeX or LuaLaTeX with a font that has them.\n"
    };
    out += "% In two columns, use table* in place of table.\n";
    for (lang, reason) in report.refused() {
        out += &format!("% Not evaluated: {}: {}\n", escape(lang), escape(reason));
    }
    out += "\\begin{table}[t]\n\\centering\n\\small\n\\setlength{\\tabcolsep}{4pt}\n";
    out += &format!("\\begin{{tabular}}{{l*{{{columns}}}{{r}}}}\n\\toprule\n");
    let rows: Vec<String> = blocks.iter().map(block).collect();
    out += &rows.join("\\midrule\n");
    out += "\\bottomrule\n\\end{tabular}\n";
    out += &format!("\\caption{{{}}}\n", caption(report));
    let label = slug(&format!(
        "{} {} {} {}",
        report.source.model.name,
        plan.task,
        style_name(plan.style),
        score_name(plan.score)
    ));
    out += &format!("\\label{{tab:{label}}}\n\\end{{table}}\n");
    out
}

fn all_text(report: &EvalReport) -> String {
    let names = (0..report.table.runs.len()).map(|r| report.run_name(r));
    let langs = report.plan().langs.iter().map(|l| l.lang.as_str());
    names.chain(langs).chain([report.source.model.name.as_str(), &report.plan().task]).collect()
}

fn block(block: &Block) -> String {
    let heads: Vec<String> = block.columns.iter().map(|c| escape(c)).collect();
    let mut out = format!(" & {} \\\\\n\\midrule\n", heads.join(" & "));
    let name = |row: &super::Row| if row.change { "\\quad change".to_owned() } else { escape(&row.name) };
    let widest = block.rows.iter().map(|r| width(&name(r))).max().unwrap_or(0);
    for row in &block.rows {
        let cells: Vec<String> = row.cells.iter().map(|c| cell(c, row.change)).collect();
        let name = name(row);
        let pad = " ".repeat(widest - width(&name));
        out += &format!("{name}{pad} & {} \\\\\n", cells.join(" & "));
    }
    out
}

fn cell(cell: &Cell, change: bool) -> String {
    match (change && cell.number != "n/a", cell.best) {
        // \rlap: the marks hang into the gap, and the numbers stay under each other.
        (true, _) if !cell.mark.is_empty() => format!("${}\\rlap{{$^{{{}}}$}}$", cell.number, cell.mark),
        (true, _) => format!("${}$", cell.number),
        (_, true) => format!("\\textbf{{{}}}", cell.number),
        _ => cell.number.clone(),
    }
}

fn caption(report: &EvalReport) -> String {
    let plan = report.plan();
    let runs = report.summary.runs.len();
    let best = if runs > 1 { ", the best of each column in bold" } else { "" };
    let mut out = format!(
        "Accuracy (\\%) of {} on task {}, {}{best}; answer style {}, score {}, protocol {}. Avg is the plain mean over \
         the languages.",
        escape(&report.source.model.name),
        escape(&plan.task),
        escape(&report.size()),
        style_name(plan.style),
        score_name(plan.score),
        protocol_name(plan.protocol),
    );
    if runs > 1 {
        out += &format!(
            " Changes are in points against {}; $^{{*}}$ $p < .05$, $^{{**}}$ $p < .01$ (exact McNemar test).",
            escape(report.run_name(0))
        );
    }
    for (r, run) in report.summary.runs.iter().enumerate().skip(1) {
        let Some(c) = run.change else { continue };
        out += &format!(
            " Mean change of {}: ${}$, 95\\,\\% paired bootstrap interval $[{}, {}]$, $p {}$.",
            escape(report.run_name(r)),
            points(c.accuracy),
            points(c.low),
            points(c.high),
            p_value(c.p)
        );
    }
    let refused: Vec<String> = report.refused().iter().map(|(lang, _)| escape(lang)).collect();
    if !refused.is_empty() {
        out += &format!(" Not evaluated: {}.", refused.join(", "));
    }
    let (done, of) = report.progress();
    if done < of {
        out += &format!(" Unfinished: {done} of {of} answers.");
    }
    out
}
