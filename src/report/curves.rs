//! Mean curves over a task's items, in one language or several.

use super::json::{self, Head, Ordered};
use super::plot;
use super::table::{Align, Table};
use super::text::{probability, token};
use super::{Report, Source};
use crate::engine::protocol::{CurvesAnswer, CurvesItem, CurvesRun, Protocol, Style, TokenSets};
use crate::error::Result;
use crate::eval::means::Mean;
pub use crate::eval::means::{LayerMeans, means};
use serde::Serialize;

/// Name and reading of the four curves, in the order they are written everywhere.
pub const CURVES: [(&str, &str); 4] = [
    ("en", "gold answer, English word"),
    ("target", "gold answer, target word"),
    ("all_possible_latent", "all answers, English words"),
    ("all_possible_out", "all answers, target words"),
];

/// `polylens lens --task`: one section a language.
pub struct CurvesReport<'a> {
    pub source: Source<'a>,
    pub task: &'a str,
    pub style: Style,
    pub protocol: Protocol,
    pub sections: Vec<Section<'a>>,
}

/// One language's answer.
pub struct Section<'a> {
    pub lang: &'a str,
    pub answer: &'a CurvesAnswer,
}

/// `english`, `same` or `agnostic`.
pub fn style_name(style: Style) -> &'static str {
    match style {
        Style::English => "english",
        Style::Same => "same",
        Style::Agnostic => "agnostic",
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    task: &'a str,
    lang: &'a str,
    style: Style,
    protocol: Protocol,
    n: usize,
    token_sets: Sets<'a>,
    removed: Ordered<&'a str, Vec<u32>>,
    removed_from: RemovedFrom<'a>,
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a str>,
    runs: Vec<Run<'a>>,
    elapsed_ms: f64,
}

#[derive(Serialize)]
struct Sets<'a> {
    latent: Ordered<&'a str, &'a [u32]>,
    target: Ordered<&'a str, &'a [u32]>,
    words: Words<'a>,
}

#[derive(Serialize)]
struct Words<'a> {
    latent: Ordered<&'a str, &'a str>,
    target: Ordered<&'a str, &'a str>,
}

#[derive(Serialize)]
struct RemovedFrom<'a> {
    latent: Ordered<&'a str, &'a [crate::engine::protocol::TokenText]>,
    target: Ordered<&'a str, &'a [crate::engine::protocol::TokenText]>,
}

#[derive(Serialize)]
struct Run<'a> {
    adapter: Option<&'a str>,
    curves: Vec<LayerMeans>,
    items: &'a [CurvesItem],
}

/// label -> ids taken out of its English or its target set, each once, ascending.
fn removed_ids(sets: &TokenSets) -> Ordered<&str, Vec<u32>> {
    let per_label = sets.labels.iter().enumerate().map(|(i, label)| {
        let both = [sets.latent.get(i), sets.target.get(i)].into_iter().flatten();
        let mut ids: Vec<u32> = both.flat_map(|s| s.removed.iter().map(|t| t.id)).collect();
        ids.sort_unstable();
        ids.dedup();
        (label.as_str(), ids)
    });
    Ordered(per_label.collect())
}

impl<'a> CurvesReport<'a> {
    fn document(&self, section: &Section<'a>) -> Document<'a> {
        let sets = &section.answer.sets;
        let run =
            |r: &'a CurvesRun| Run { adapter: self.source.adapter(r.run), curves: means(r), items: &r.items };
        Document {
            head: Head::new("polylens.curves/1", &self.source),
            task: self.task,
            lang: section.lang,
            style: self.style,
            protocol: self.protocol,
            n: section.answer.n,
            token_sets: Sets {
                latent: json::ids(&sets.labels, &sets.latent),
                target: json::ids(&sets.labels, &sets.target),
                words: Words {
                    latent: json::words(&sets.labels, &sets.latent),
                    target: json::words(&sets.labels, &sets.target),
                },
            },
            removed: removed_ids(sets),
            removed_from: RemovedFrom {
                latent: json::removed_tokens(&sets.labels, &sets.latent),
                target: json::removed_tokens(&sets.labels, &sets.target),
            },
            warnings: &sets.warnings,
            refused: sets.refused.as_deref(),
            runs: section.answer.runs.iter().map(run).collect(),
            elapsed_ms: section.answer.elapsed_ms,
        }
    }

    /// `task sentiment, lang zh, style same, n = 32`.
    pub fn caption(&self, section: &Section) -> String {
        let protocol = if self.protocol == Protocol::Paper { ", protocol paper" } else { "" };
        format!(
            "task {}, lang {}, style {}, n = {}{protocol}",
            self.task,
            section.lang,
            style_name(self.style),
            section.answer.n
        )
    }

    fn table(run: &CurvesRun) -> Table {
        let columns = ["layer", "en", "target", "all latent", "all out", "entropy (bits)"];
        let mut table = Table::new(columns.map(|c| (c, Align::Right)));
        for m in means(run) {
            let mut row = vec![m.layer.to_string()];
            row.extend(m.curves().iter().map(|c| with_band(c, probability)));
            row.push(with_band(&m.entropy_bits, |bits| format!("{bits:.2}")));
            table.row(row);
        }
        table
    }

    /// The words behind the curves and what their sets lost.
    fn words(section: &Section) -> String {
        let sets = &section.answer.sets;
        let mut out = String::new();
        for (name, list) in [("en", &sets.latent), ("target", &sets.target)] {
            let words: Vec<String> = sets
                .labels
                .iter()
                .zip(list)
                .map(|(label, s)| {
                    let tokens: Vec<String> = s.removed.iter().map(|t| token(&t.text)).collect();
                    let lost = match tokens.len() {
                        0 => String::new(),
                        _ => format!(", removed {}", tokens.join(" ")),
                    };
                    let n = s.ids.len();
                    let noun = if n == 1 { "token" } else { "tokens" };
                    format!("{label} = {} ({n} {noun}{lost})", s.word)
                })
                .collect();
            out += &format!("{name}: {}\n", words.join("; "));
        }
        out
    }
}

fn with_band(m: &Mean, shown: fn(f32) -> String) -> String {
    match m.ci95 {
        Some(ci) => format!("{} ±{}", shown(m.mean), shown(ci)),
        None => shown(m.mean),
    }
}

impl Report for CurvesReport<'_> {
    /// One object for one language, an array of such objects for several.
    fn json(&self) -> Result<String> {
        let documents: Vec<Document> = self.sections.iter().map(|s| self.document(s)).collect();
        match documents.as_slice() {
            [one] => json::document(one),
            many => json::document(&many),
        }
    }

    fn csv(&self) -> Result<String> {
        let columns = ["task", "lang", "style", "run", "layer", "measure", "mean", "ci95", "n"];
        let mut t = Table::new(columns.map(|c| (c, Align::Left)));
        for section in &self.sections {
            let n = section.answer.n.to_string();
            for run in &section.answer.runs {
                for m in means(run) {
                    let layer = m.layer.to_string();
                    let curves = CURVES.iter().map(|c| c.0).zip(m.curves());
                    for (name, value) in curves.chain([("entropy_bits", m.entropy_bits)]) {
                        let band = value.ci95.map_or(String::new(), |c| c.to_string());
                        let run = self.source.run_name(run.run);
                        let mean = value.mean.to_string();
                        let style = style_name(self.style);
                        t.row([self.task, section.lang, style, run, &layer, name, &mean, &band, &n]);
                    }
                }
            }
        }
        t.csv()
    }

    fn markdown(&self) -> String {
        let mut out = format!("# Logit lens: {}\n\nModel: {}\n\n", self.task, self.source.model_line());
        out += "Probabilities are means over the items ±95 % (1.96 sd / √n).\n";
        for section in &self.sections {
            out += &format!("\n## {}\n\n", self.caption(section));
            for line in
                Self::words(section).lines().chain(section.answer.sets.warnings.iter().map(|w| w.as_str()))
            {
                out += &format!("- {}\n", super::table::markdown_cell(line));
            }
            if let Some(reason) = &section.answer.sets.refused {
                out += &format!("\nNot computed: {reason}\n");
            }
            for run in &section.answer.runs {
                out += &format!("\n### {}\n\n{}", self.source.run_name(run.run), Self::table(run).markdown());
            }
        }
        out
    }

    fn text(&self, width: usize) -> String {
        let mut out = format!("{}\n", self.source.model_line());
        for section in &self.sections {
            out += &format!("\n{}\n{}", self.caption(section), Self::words(section));
            if let Some(reason) = &section.answer.sets.refused {
                out += &format!("not computed: {reason}\n");
            }
            for run in &section.answer.runs {
                out += &format!("\n{}\n{}", self.source.run_name(run.run), Self::table(run).text(width));
            }
        }
        out
    }

    fn picture(&self) -> plot::scene::Scene {
        plot::curves::draw(self)
    }
}
