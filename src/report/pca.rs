//! Joint PCA and the alignment measures.

use super::json::{self, Head, Ordered};
use super::measures::{Alignment, intervals};
use super::plot;
use super::table::{Align, Table};
use super::{Report, Source};
use crate::engine::protocol::{Measure, PcaAnswer, PcaLayer, PcaRun, Pooling, Protocol};
use crate::error::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// The pairs that the paper's table shows, in its order.
pub const PAPER_PAIRS: [&str; 9] =
    ["en-de", "en-fr", "en-hi", "de-fr", "de-hi", "fr-hi", "en-th", "en-sw", "en-ms"];

/// More pairs than this are not put side by side in tables and pictures (JSON and CSV hold all).
const MOST_PAIRS: usize = 12;

/// `polylens pca`.
pub struct PcaReport<'a> {
    pub source: Source<'a>,
    pub task: &'a str,
    pub protocol: Protocol,
    pub shared_fit: bool,
    pub seed: u64,
    pub answer: &'a PcaAnswer,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    task: &'a str,
    langs: &'a [String],
    n: usize,
    pooling: Pooling,
    protocol: Protocol,
    fit_langs: &'a [String],
    shared_fit: bool,
    seed: u64,
    runs: Vec<Run<'a>>,
    elapsed_ms: f64,
}

#[derive(Serialize)]
struct Run<'a> {
    adapter: Option<&'a str>,
    layers: Vec<Layer<'a>>,
}

#[derive(Serialize)]
struct Layer<'a> {
    layer: usize,
    explained_variance_ratio: &'a [f64],
    explained_variance_ratio_1d: f64,
    points: &'a BTreeMap<String, Vec<[f64; 2]>>,
    pearson: &'a BTreeMap<String, f64>,
    cka: Ordered<&'a str, f64>,
    cosine_gap: Ordered<&'a str, f64>,
    mexa: Ordered<&'a str, f64>,
    /// Bootstrap 95 % intervals of the three measures.
    ci95: Details<'a, [f64; 2]>,
    /// The same measures with the pairing of items shuffled.
    shuffled: Details<'a, f64>,
}

#[derive(Serialize)]
struct Details<'a, T: Serialize> {
    cka: Ordered<&'a str, T>,
    cosine_gap: Ordered<&'a str, T>,
    mexa: Ordered<&'a str, T>,
}

fn map<T>(measures: &BTreeMap<String, Measure>, f: fn(&Measure) -> T) -> Ordered<&str, T> {
    Ordered(measures.iter().map(|(pair, m)| (pair.as_str(), f(m))).collect())
}

fn details<T: Serialize>(l: &PcaLayer, f: fn(&Measure) -> T) -> Details<'_, T> {
    Details { cka: map(&l.cka, f), cosine_gap: map(&l.cosine_gap, f), mexa: map(&l.mexa, f) }
}

impl<'a> From<&'a PcaLayer> for Layer<'a> {
    fn from(l: &'a PcaLayer) -> Self {
        Self {
            layer: l.layer,
            explained_variance_ratio: &l.explained_variance_ratio,
            explained_variance_ratio_1d: l.explained_variance_ratio_1d,
            points: &l.points,
            pearson: &l.pearson,
            cka: map(&l.cka, |m| m.value),
            cosine_gap: map(&l.cosine_gap, |m| m.value),
            mexa: map(&l.mexa, |m| m.value),
            ci95: details(l, |m| [m.low, m.high]),
            shuffled: details(l, |m| m.shuffled),
        }
    }
}

/// `mean`, `last` or `query`.
pub fn pooling_name(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Mean => "mean",
        Pooling::Last => "last",
        Pooling::Query => "query",
    }
}

impl PcaReport<'_> {
    /// The pairs shown side by side: all if they are few, else the paper's nine that are there, else those
    /// with the first language.
    pub fn shown_pairs(&self) -> Vec<String> {
        let Some(layer) = self.answer.runs.first().and_then(|r| r.layers.first()) else {
            return Vec::new();
        };
        let paper: Vec<String> =
            PAPER_PAIRS.iter().filter(|p| layer.pearson.contains_key(**p)).map(|p| (*p).to_owned()).collect();
        if layer.pearson.len() <= MOST_PAIRS {
            let rest = layer.pearson.keys().filter(|p| !paper.contains(p)).cloned();
            return paper.iter().cloned().chain(rest).collect();
        }
        if paper.len() >= 3 {
            return paper;
        }
        let first = format!("{}-", self.answer.langs[0]);
        layer.pearson.keys().filter(|p| p.starts_with(&first)).take(MOST_PAIRS).cloned().collect()
    }

    /// `task sentiment, 4 languages, n = 32 items each, mean pooling`.
    pub fn caption(&self) -> String {
        let fit = if self.shared_fit { ", base fit shared" } else { "" };
        let protocol = if self.protocol == Protocol::Paper { ", protocol paper" } else { "" };
        format!(
            "task {}, languages {}, n = {} items each, {} pooling{fit}{protocol}",
            self.task,
            self.answer.langs.join(" "),
            self.answer.n,
            pooling_name(self.answer.pooling)
        )
    }

    fn table(&self, run: &PcaRun) -> Table {
        let pairs = self.shown_pairs();
        let fixed =
            ["layer", "PC1", "PC2"].into_iter().chain(Alignment::WITH_INTERVALS.map(Alignment::short));
        let columns = fixed.map(str::to_owned).chain(pairs.iter().map(|p| format!("r {p}")));
        let mut table = Table::new(columns.map(|c| (c, Align::Right)));
        for l in &run.layers {
            let variance = |k: usize| {
                l.explained_variance_ratio.get(k).map_or("n/a".into(), |v| format!("{:.1}%", 100.0 * v))
            };
            let mut row = vec![l.layer.to_string(), variance(0), variance(1)];
            let mean = |m: Alignment| m.mean(l).map_or("n/a".into(), |m| format!("{:.3}", m.value));
            row.extend(Alignment::WITH_INTERVALS.map(mean));
            row.extend(pairs.iter().map(|p| l.pearson.get(p).map_or("n/a".into(), |r| format!("{r:.3}"))));
            table.row(row);
        }
        table
    }
}

const LEGEND: &str = "PC1, PC2: explained variance of the joint 2-D fit. CKA, cos gap, MEXA: means over all pairs. \
                      r: Pearson correlation of the pair on the joint first component.";

/// Below [`LEGEND`] where the text has the tables of intervals.
const INTERVALS: &str =
    "[95 %]: means of the pairs' bootstrap intervals. shuf.: the same means with shuffled pairs.";

impl PcaReport<'_> {
    /// One table of languages x languages a measure, at the last layer.
    fn matrices(&self, run: &PcaRun) -> String {
        let Some(layer) = run.layers.last().filter(|_| self.answer.langs.len() > 1) else {
            return String::new();
        };
        let tables = Alignment::ALL.map(|m| {
            let table = m.matrix(layer, &self.answer.langs).markdown();
            format!("\n### {}, layer {}\n\n{table}", m.name(), layer.layer)
        });
        tables.concat()
    }
}

impl Report for PcaReport<'_> {
    fn json(&self) -> Result<String> {
        let run = |r| {
            let r: &PcaRun = r;
            Run { adapter: self.source.adapter(r.run), layers: r.layers.iter().map(Layer::from).collect() }
        };
        json::document(&Document {
            head: Head::new("polylens.pca/1", &self.source),
            task: self.task,
            langs: &self.answer.langs,
            n: self.answer.n,
            pooling: self.answer.pooling,
            protocol: self.protocol,
            fit_langs: &self.answer.fit_langs,
            shared_fit: self.shared_fit,
            seed: self.seed,
            runs: self.answer.runs.iter().map(run).collect(),
            elapsed_ms: self.answer.elapsed_ms,
        })
    }

    fn csv(&self) -> Result<String> {
        let columns = ["run", "layer", "measure", "lang_or_pair", "item", "value", "low", "high", "shuffled"];
        let mut t = Table::new(columns.map(|c| (c, Align::Left)));
        for run in &self.answer.runs {
            let name = self.source.run_name(run.run);
            for l in &run.layers {
                csv_layer(&mut t, name, l);
            }
        }
        t.csv()
    }

    fn markdown(&self) -> String {
        let mut out = format!("# Joint PCA and alignment\n\nModel: {}\n\n", self.source.model_line());
        out += &format!("{}\n\n{LEGEND}\n", self.caption());
        for run in &self.answer.runs {
            out += &format!("\n## {}\n\n{}", self.source.run_name(run.run), self.table(run).markdown());
            out += &self.matrices(run);
        }
        out
    }

    fn text(&self, width: usize) -> String {
        let mut out = format!("{}\n{}\n{LEGEND}\n", self.source.model_line(), self.caption());
        let details: Option<Vec<Table>> =
            self.answer.runs.iter().map(|r| intervals(r).filter(|t| t.width() <= width)).collect();
        if details.is_some() {
            out += &format!("{INTERVALS}\n");
        }
        for (i, run) in self.answer.runs.iter().enumerate() {
            out += &format!("\n{}\n{}", self.source.run_name(run.run), self.table(run).text_blocks(width));
            if let Some(tables) = &details {
                out += &format!("\n{}", tables[i].text(width));
            }
        }
        out
    }

    fn picture(&self) -> plot::scene::Scene {
        plot::pca::draw(self)
    }
}

fn csv_layer(t: &mut Table, run: &str, l: &PcaLayer) {
    let layer = l.layer.to_string();
    for (k, ratio) in l.explained_variance_ratio.iter().enumerate() {
        let measure = format!("explained_variance_ratio_pc{}", k + 1);
        t.row([run, &layer, &measure, "", "", &ratio.to_string(), "", "", ""]);
    }
    for (lang, points) in &l.points {
        for (i, point) in points.iter().enumerate() {
            for (measure, value) in ["pc1", "pc2"].iter().zip(point) {
                t.row([run, &layer, measure, lang, &i.to_string(), &value.to_string(), "", "", ""]);
            }
        }
    }
    for (pair, r) in &l.pearson {
        t.row([run, &layer, "pearson", pair, "", &r.to_string(), "", "", ""]);
    }
    for (measure, values) in [("cka", &l.cka), ("cosine_gap", &l.cosine_gap), ("mexa", &l.mexa)] {
        for (pair, m) in values {
            let [value, low, high, shuffled] = [m.value, m.low, m.high, m.shuffled].map(|v| v.to_string());
            t.row([run, &layer, measure, pair, "", &value, &low, &high, &shuffled]);
        }
    }
}
