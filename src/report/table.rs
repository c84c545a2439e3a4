//! One table, three dresses: aligned for a terminal, Markdown, CSV.

use super::text::{fit, width};
use crate::error::{Context, Result};

/// How a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Header and rows of text. Rows may be shorter than the header.
#[derive(Clone, Debug, Default)]
pub struct Table {
    header: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(columns: impl IntoIterator<Item = (impl Into<String>, Align)>) -> Self {
        Self { header: columns.into_iter().map(|(n, a)| (n.into(), a)).collect(), rows: Vec::new() }
    }

    /// Appends a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Columns that the whole table takes in a terminal.
    pub fn width(&self) -> usize {
        let columns = self.header.len();
        (0..columns).map(|c| self.column_width(c)).sum::<usize>() + 2 * columns.saturating_sub(1)
    }

    /// Aligned by display width, two spaces apart, a rule under the header. Columns on the right that do
    /// not fit `max_width` are left out, the last shown one is cut.
    pub fn text(&self, max_width: usize) -> String {
        let widths: Vec<usize> = (0..self.header.len()).map(|c| self.column_width(c)).collect();
        let (shown, last) = fitting(&widths, max_width);
        let mut out = String::new();
        let cells: Vec<&str> = self.header.iter().map(|(n, _)| n.as_str()).collect();
        self.line(&mut out, &cells, &widths[..shown], last);
        let rule: Vec<String> = (0..shown).map(|c| "─".repeat(cell_width(c, shown, &widths, last))).collect();
        out.push_str(&rule.join("  "));
        out.push('\n');
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            self.line(&mut out, &cells, &widths[..shown], last);
        }
        out
    }

    /// As [`Table::text`], but columns that do not fit follow in further blocks, each beginning with the
    /// first column again.
    pub fn text_blocks(&self, max_width: usize) -> String {
        let mut blocks = Vec::new();
        let mut from = 1;
        loop {
            let mut columns = vec![0];
            let mut used = self.column_width(0);
            while from < self.header.len() {
                used += 2 + self.column_width(from);
                if used > max_width && columns.len() > 1 {
                    break;
                }
                columns.push(from);
                from += 1;
            }
            blocks.push(self.only(&columns).text(usize::MAX));
            if from >= self.header.len() {
                return blocks.join("\n");
            }
        }
    }

    /// The same rows with these columns only.
    fn only(&self, columns: &[usize]) -> Self {
        let pick =
            |row: &Vec<String>| columns.iter().map(|&c| row.get(c).cloned().unwrap_or_default()).collect();
        Self {
            header: columns.iter().map(|&c| self.header[c].clone()).collect(),
            rows: self.rows.iter().map(pick).collect(),
        }
    }

    fn column_width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|r| r.get(column)).map(|s| width(s));
        cells.chain([width(&self.header[column].0)]).max().unwrap_or(0)
    }

    fn line(&self, out: &mut String, cells: &[&str], widths: &[usize], last: usize) {
        let shown = widths.len();
        let mut line = String::new();
        for c in 0..shown {
            let w = cell_width(c, shown, widths, last);
            let text = fit(cells.get(c).copied().unwrap_or(""), w);
            let pad = " ".repeat(w.saturating_sub(width(&text)));
            if c > 0 {
                line.push_str("  ");
            }
            match self.header[c].1 {
                Align::Left => line.extend([text, pad]),
                Align::Right => line.extend([pad, text]),
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }

    /// A Markdown table; pipes and line breaks in cells are escaped.
    pub fn markdown(&self) -> String {
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut out = row(self.header.iter().map(|(n, _)| markdown_cell(n)).collect());
        out += &row(self
            .header
            .iter()
            .map(|(_, a)| if *a == Align::Right { "---:".into() } else { "---".into() })
            .collect());
        for r in &self.rows {
            out += &row((0..self.header.len())
                .map(|c| markdown_cell(r.get(c).map_or("", String::as_str)))
                .collect());
        }
        out
    }

    /// RFC 4180 CSV with a header line.
    ///
    /// # Errors
    /// When the rows cannot be written (they are in memory: only on lack of it).
    pub fn csv(&self) -> Result<String> {
        let mut w = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        w.write_record(self.header.iter().map(|(n, _)| n)).context("cannot write CSV")?;
        for r in &self.rows {
            w.write_record(r).context("cannot write CSV")?;
        }
        String::from_utf8(w.into_inner().context("cannot write CSV")?).context("cannot write CSV")
    }
}

/// How many columns fit, and the width of the last of them.
fn fitting(widths: &[usize], max_width: usize) -> (usize, usize) {
    let mut used = 0;
    for (c, &w) in widths.iter().enumerate() {
        let gap = if c > 0 { 2 } else { 0 };
        if used + gap + w > max_width && c > 0 {
            let left = max_width.saturating_sub(used + gap);
            // A narrow rest of a column says nothing; leave it out.
            return if left >= 8 { (c + 1, left) } else { (c, widths[c - 1]) };
        }
        used += gap + w;
    }
    (widths.len(), widths.last().copied().unwrap_or(0))
}

fn cell_width(column: usize, shown: usize, widths: &[usize], last: usize) -> usize {
    if column + 1 == shown { last } else { widths[column] }
}

/// Text that stays in its Markdown table cell and is not read as mark-up.
pub fn markdown_cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '<' | '[' | '\\' => out.extend(['\\', c]),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut t = Table::new([("lang", Align::Left), ("p", Align::Right)]);
        t.row(["积极", "0.5"]);
        t.row(["a|b", "12.25"]);
        t
    }

    #[test]
    fn wide_scripts_line_up() {
        assert_eq!(sample().text(80), "lang      p\n────  ─────\n积极    0.5\na|b   12.25\n");
    }

    #[test]
    fn narrow_terminals_lose_right_columns_only() {
        let mut t = Table::new([("layer", Align::Right), ("tokens", Align::Left), ("more", Align::Left)]);
        t.row(["0", "a long list of tokens", "x"]);
        assert_eq!(t.text(16), "layer  tokens\n─────  ─────────\n    0  a long l…\n");
        assert_eq!(t.text(9), "layer\n─────\n    0\n");
        assert!(t.text(0).starts_with("layer\n"));
    }

    #[test]
    fn blocks_repeat_the_first_column() {
        let mut t = Table::new(["layer", "en-de", "en-fr"].map(|c| (c, Align::Right)));
        t.row(["0", "0.1", "0.2"]);
        assert_eq!(
            t.text_blocks(13),
            "layer  en-de\n─────  ─────\n    0    0.1\n\nlayer  en-fr\n─────  ─────\n    0    0.2\n"
        );
        assert_eq!(t.text_blocks(80), t.text(80));
    }

    #[test]
    fn markdown_and_csv_escape() {
        assert_eq!(sample().markdown(), "| lang | p |\n| --- | ---: |\n| 积极 | 0.5 |\n| a\\|b | 12.25 |\n");
        let mut t = Table::new([("t", Align::Left)]);
        t.row(["say \"hi\",\nyou"]);
        assert_eq!(t.csv().unwrap(), "t\n\"say \"\"hi\"\",\nyou\"\n");
    }
}
