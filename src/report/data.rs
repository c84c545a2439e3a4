//! What a training set holds: lengths a language, rows over the cut-off, repeated rows, leaks of evaluation items.

use super::Report;
use super::json::{self, Ordered};
use super::plot::axis::{Labels, Panel, range, ticks};
use super::plot::palette::{Marker, run_colour};
use super::plot::scene::{Anchor, Font, SOFT, Scene, Stroke};
use super::table::{Align, Table};
use super::text::{fit, wrap};
use crate::error::Result;
use crate::train::data::leaks::{Against, Side};
use crate::train::data::stats::{DataStats, Duplicate, LangStats, Lengths, Place};
use crate::train::data::{DataFile, Part};
use serde::Serialize;
use std::collections::BTreeMap;

/// `polylens data stats`.
pub struct DataReport<'a> {
    /// Whose tokens are counted.
    pub model: &'a str,
    pub parts: &'a [Part],
    pub stats: &'a DataStats,
    pub against: &'a [Against],
}

/// Rows of a list that are shown on a terminal; the JSON document has all of them.
const SHOWN: usize = 12;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    polylens: &'static str,
    model: &'a str,
    files: Vec<File<'a>>,
    #[serde(flatten)]
    stats: &'a DataStats,
    against: &'a [Against],
}

#[derive(Serialize)]
struct File<'a> {
    lang: &'a str,
    #[serde(flatten)]
    file: &'a DataFile,
}

/// The three lengths of a language, by name.
fn lengths(l: &LangStats) -> [(&'static str, &Lengths); 3] {
    [("input", &l.input), ("answer", &l.answer), ("total", &l.total)]
}

/// Items of a task's language that are among the training texts: how many items, how many rows.
type Leaked<'a> = BTreeMap<(&'a str, &'a str), (Vec<usize>, Vec<Place>)>;

impl DataReport<'_> {
    fn sizes(&self) -> Table {
        let right = ["tokens of", "min", "mean", "median", "95 %", "max", "over cut-off", "tokens cut"];
        let columns = [("lang", Align::Left), ("rows", Align::Right), (right[0], Align::Left)];
        let mut table = Table::new(columns.into_iter().chain(right[1..].iter().map(|n| (*n, Align::Right))));
        for l in &self.stats.languages {
            for (i, (what, n)) in lengths(l).into_iter().enumerate() {
                let (lang, rows) =
                    if i == 0 { (l.lang.as_str(), l.rows.to_string()) } else { ("", String::new()) };
                let mean = format!("{:.1}", n.mean);
                let mut row: Vec<String> = vec![lang.into(), rows, what.into(), n.min.to_string(), mean];
                row.extend([n.median, n.p95, n.max].map(|x| x.to_string()));
                if what == "total" {
                    row.extend([l.over_cutoff.to_string(), l.tokens_cut.to_string()]);
                }
                table.row(row);
            }
        }
        table
    }

    fn files(&self) -> Table {
        let columns =
            [("lang", Align::Left), ("rows", Align::Right), ("SHA-256", Align::Left), ("file", Align::Left)];
        let mut table = Table::new(columns);
        for Part { lang, file, .. } in self.parts {
            table.row([lang.clone(), file.rows.to_string(), file.sha256[..12].to_owned(), file.name.clone()]);
        }
        table
    }

    fn leaked(&self) -> Leaked<'_> {
        let mut out = Leaked::new();
        for leak in &self.stats.leaks {
            let (items, rows) = out.entry((&leak.task, &leak.lang)).or_default();
            if !items.contains(&leak.item) {
                items.push(leak.item);
            }
            if !rows.contains(&leak.at) {
                rows.push(leak.at);
            }
        }
        out
    }

    fn leaks(&self) -> Table {
        let columns = ["task", "lang", "items", "of", "rows", "such as"];
        let mut table = Table::new(
            columns
                .map(|c| (c, if matches!(c, "items" | "of" | "rows") { Align::Right } else { Align::Left })),
        );
        for ((task, lang), (items, rows)) in self.leaked() {
            let of = self.against.iter().find(|a| a.task == task && a.lang == lang).map_or(0, |a| a.items);
            let first = self.stats.leaks.iter().find(|l| l.task == task && l.lang == lang);
            let such = first.map_or(String::new(), |l| {
                let side = if l.side == Side::Input { "input" } else { "answer" };
                format!("item {} is the {side} of {}", l.item, self.place(l.at))
            });
            table.row([
                task.to_owned(),
                lang.to_owned(),
                items.len().to_string(),
                of.to_string(),
                rows.len().to_string(),
                such,
            ]);
        }
        table
    }

    fn place(&self, at: Place) -> String {
        format!("{}, row {}", self.parts[at.file].file.name, at.row)
    }

    fn duplicates(&self) -> String {
        let all = &self.stats.duplicates;
        if all.is_empty() {
            return String::new();
        }
        let line = |d: &Duplicate| format!("  {} is {}\n", self.place(d.at), self.place(d.first));
        let more = all.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!("  and {more} more\n") } else { String::new() };
        all.iter().take(SHOWN).map(line).collect::<String>() + &more
    }

    fn heading(&self) -> String {
        let s = self.stats;
        let epoch = format!("{} rows, {} tokens an epoch with {}", s.rows, s.tokens, self.model);
        match s.over_cutoff {
            0 => format!("{epoch}; none is longer than the cut-off of {}", s.cutoff),
            n => format!("{epoch}; {n} are longer than the cut-off of {}", s.cutoff),
        }
    }

    /// Repetitions and leaks, a sentence each.
    fn findings(&self) -> [String; 3] {
        let s = self.stats;
        let rows = match s.duplicates.len() {
            0 => "No row is there twice.".to_owned(),
            1 => "1 row is the same as an earlier one.".to_owned(),
            n => format!("{n} rows are the same as earlier ones."),
        };
        let answers = format!(
            "{} answers stand under several languages (as they do where sources share a target); {} rows have the answer \
             of an earlier row of their language for another input.",
            s.answers_shared, s.answers_repeated
        );
        let mut tasks: Vec<&str> = self.against.iter().map(|a| a.task.as_str()).collect();
        tasks.dedup();
        let items: usize = self.against.iter().map(|a| a.items).sum();
        let with = format!("{items} evaluation items of {}", tasks.join(", "));
        let leaks = match self.leaked().values().map(|(items, _)| items.len()).sum::<usize>() {
            _ if self.against.is_empty() => "Compared with no evaluation items.".to_owned(),
            0 => format!("None of {with} is among the training texts."),
            n => format!(
                "LEAK: {n} of {with} are among the training texts: an accuracy on them says little; take the rows or the \
                 items out."
            ),
        };
        [rows, answers, leaks]
    }
}

impl Report for DataReport<'_> {
    fn json(&self) -> Result<String> {
        let files = self.parts.iter().map(|p| File { lang: &p.lang, file: &p.file }).collect();
        json::document(&Document {
            schema: "polylens.data/1",
            polylens: env!("CARGO_PKG_VERSION"),
            model: self.model,
            files,
            stats: self.stats,
            against: self.against,
        })
    }

    fn csv(&self) -> Result<String> {
        let mut t = Table::new(["lang", "of", "measure", "value"].map(|c| (c, Align::Left)));
        for l in &self.stats.languages {
            let mut row =
                |of: &str, measure: &str, value: String| t.row([l.lang.as_str(), of, measure, &value]);
            row("rows", "count", l.rows.to_string());
            row("rows", "over_cutoff", l.over_cutoff.to_string());
            row("total", "tokens_cut", l.tokens_cut.to_string());
            for (of, n) in lengths(l) {
                row(of, "mean", n.mean.to_string());
                for (name, x) in [("min", n.min), ("median", n.median), ("p95", n.p95), ("max", n.max)] {
                    row(of, name, x.to_string());
                }
            }
        }
        let all = [
            ("duplicates", self.stats.duplicates.len()),
            ("answers_shared", self.stats.answers_shared),
            ("answers_repeated", self.stats.answers_repeated),
            ("leaks", self.stats.leaks.len()),
        ];
        for (name, n) in all {
            t.row(["", "rows", name, &n.to_string()]);
        }
        t.csv()
    }

    fn markdown(&self) -> String {
        let [rows, answers, leaks] = self.findings();
        let table = |t: Table| if t.is_empty() { String::new() } else { format!("\n{}", t.markdown()) };
        format!(
            "# Training data\n\n{}\n\n{}\n{}\n- {rows}\n- {answers}\n- {leaks}\n{}",
            self.heading(),
            self.files().markdown(),
            self.sizes().markdown(),
            table(self.leaks())
        )
    }

    fn text(&self, width: usize) -> String {
        let [rows, answers, leaks] = self.findings().map(|s| wrap(&s, width, ""));
        let found = self.leaks();
        let found = if found.is_empty() { String::new() } else { format!("\n{}", found.text(width)) };
        format!(
            "{}\n{}\n{}\n{rows}{}{answers}{leaks}{found}",
            wrap(&self.heading(), width, ""),
            self.files().text(width),
            self.sizes().text(width),
            self.duplicates()
        )
    }

    /// A line from the shortest to the longest row a language, thick up to 95 %, a mark at the median.
    fn picture(&self) -> Scene {
        const LEFT: f64 = 90.0;
        const WIDTH: f64 = 470.0;
        const STEP: f64 = 46.0;
        let languages = &self.stats.languages;
        let height = STEP * languages.len().max(1) as f64;
        let mut scene = Scene::new(LEFT + WIDTH + 24.0, height + 146.0, "Training data");
        scene.text((20.0, 24.0), "Training data: tokens of a row", Font::new(15.0).bold());
        for (i, line) in wrap(&self.heading(), 100, "").lines().take(2).enumerate() {
            scene.text((20.0, 42.0 + 14.0 * i as f64), line, Font::new(10.5).colour(SOFT));
        }
        let longest = languages.iter().flat_map(lengths).map(|(_, n)| n.max as f64);
        let (_, most) = range(longest.chain([0.0, 1.0]), 0.04);
        let panel = Panel {
            x: LEFT,
            y: 74.0,
            w: WIDTH,
            h: height,
            x_range: (0.0, most),
            y_range: (0.0, languages.len().max(1) as f64),
        };
        let marks: Vec<f64> = ticks(0.0, most, 6);
        panel.draw(&mut scene, &marks, &[], Labels { x: "tokens", x_ticks: true, ..Labels::default() });
        for (row, l) in languages.iter().enumerate() {
            let at = |x: f64, k: usize| panel.at(x, (languages.len() - row) as f64 - 0.25 - 0.25 * k as f64);
            let name = (LEFT - 8.0, at(0.0, 1).1 + 4.0);
            scene.text(name, &fit(&l.lang, 12), Font::new(11.0).anchor(Anchor::End));
            for (k, (_, n)) in lengths(l).into_iter().enumerate() {
                let colour = run_colour(k);
                let x = |x: usize| at(x as f64, k);
                scene.line(x(n.min), x(n.max), Stroke::new(colour, 1.2));
                scene.line(x(n.min), x(n.p95), Stroke::new(colour, 4.0));
                scene.marker(Marker::Diamond, x(n.median), 4.0, colour, 1.0);
            }
        }
        let y = panel.y + height + 48.0;
        for (k, name) in ["input", "answer", "total"].into_iter().enumerate() {
            let x = LEFT + 90.0 * k as f64;
            scene.rect(x, y - 9.0, 11.0, 11.0, run_colour(k));
            scene.text((x + 16.0, y), name, Font::new(10.5));
        }
        let note = "Thick: up to 95 % of the rows. Diamonds: medians.";
        scene.text((LEFT, y + 18.0), note, Font::new(9.5).colour(SOFT));
        scene
    }
}

/// `polylens data pairs`: what was written.
pub struct PairsReport<'a> {
    pub file: &'a DataFile,
    pub task: &'a str,
    pub target: &'a str,
    pub seed: u64,
    /// Source language and its rows.
    pub sources: &'a [(String, usize)],
}

impl PairsReport<'_> {
    /// One JSON document.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn json(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Pairs<'a> {
            schema: &'static str,
            polylens: &'static str,
            task: &'a str,
            to: &'a str,
            seed: u64,
            sources: Ordered<&'a str, usize>,
            file: &'a DataFile,
        }
        json::document(&Pairs {
            schema: "polylens.pairs/1",
            polylens: env!("CARGO_PKG_VERSION"),
            task: self.task,
            to: self.target,
            seed: self.seed,
            sources: Ordered(self.sources.iter().map(|(l, n)| (l.as_str(), *n)).collect()),
            file: self.file,
        })
    }

    /// For a terminal.
    pub fn text(&self, width: usize) -> String {
        let mut table = Table::new([("from", Align::Left), ("to", Align::Left), ("pairs", Align::Right)]);
        for (lang, n) in self.sources {
            table.row([lang.as_str(), self.target, &n.to_string()]);
        }
        format!(
            "{} pairs of {} in {}\nSHA-256 {}\n\n{}",
            self.file.rows,
            self.task,
            self.file.name,
            self.file.sha256,
            table.text(width)
        )
    }
}
