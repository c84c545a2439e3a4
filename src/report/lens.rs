//! The readout of one text at every layer.

use super::json::{self, Head, Ordered};
use super::plot;
use super::table::{Align, Table};
use super::text::{probability, token, width};
use super::{Report, Source};
use crate::engine::protocol::{LensAnswer, LensLayer, LensRun, TokenP, TokenText};
use crate::error::Result;
use serde::Serialize;

/// `polylens lens --text`: top tokens, entropy, KL and tracked words per layer and run.
pub struct LensReport<'a> {
    pub source: Source<'a>,
    pub text: &'a str,
    pub answer: &'a LensAnswer,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    text: &'a str,
    tokens: &'a [TokenText],
    runs: Vec<Run<'a>>,
    elapsed_ms: f64,
}

#[derive(Serialize)]
struct Run<'a> {
    adapter: Option<&'a str>,
    layers: Vec<Layer<'a>>,
    first_final_top1: Option<usize>,
}

#[derive(Serialize)]
struct Layer<'a> {
    layer: usize,
    entropy_bits: f32,
    kl_bits: Option<f32>,
    energy: Option<f32>,
    top: &'a [TokenP],
    tracked: Ordered<&'a str, Tracked<'a>>,
}

#[derive(Serialize)]
struct Tracked<'a> {
    ids: &'a [u32],
    p: f32,
}

impl LensReport<'_> {
    /// The tracked words, in the order asked for.
    pub fn tracked_words(&self) -> Vec<&str> {
        self.answer.sets.tracked.iter().map(|s| s.word.as_str()).collect()
    }

    fn json_layer<'a>(&'a self, l: &'a LensLayer) -> Layer<'a> {
        let tracked = self.answer.sets.tracked.iter().zip(&l.tracked);
        Layer {
            layer: l.layer,
            entropy_bits: l.entropy_bits,
            kl_bits: l.kl_bits,
            energy: l.energy,
            top: &l.top,
            tracked: Ordered(tracked.map(|(s, &p)| (s.word.as_str(), Tracked { ids: &s.ids, p })).collect()),
        }
    }

    fn table(&self, run: &LensRun) -> Table {
        let top = run.layers.iter().map(|l| l.top.len()).max().unwrap_or(0);
        let mut columns = vec![
            ("layer".to_owned(), Align::Right),
            ("entropy".to_owned(), Align::Right),
            ("KL".to_owned(), Align::Right),
        ];
        columns.extend(self.tracked_words().into_iter().map(|w| (format!("p({})", token(w)), Align::Right)));
        columns.extend((1..=top).map(|k| (format!("top {k}"), Align::Left)));
        let mut table = Table::new(columns);
        for l in &run.layers {
            let mut cells = vec![l.layer.to_string(), format!("{:.2}", l.entropy_bits), bits(l.kl_bits)];
            cells.extend(l.tracked.iter().map(|&p| probability(p)));
            cells.extend(l.top.iter().map(|t| format!("{:>5} {}", probability(t.p), token(&t.text))));
            table.row(cells);
        }
        table
    }

    fn run_heading(&self, run: &LensRun) -> String {
        let first = run
            .first_final_top1
            .map_or(String::new(), |k| format!(", the final top token is first on top at layer {k}"));
        format!("{}{first}", self.source.run_name(run.run))
    }

    /// The prompt's tokens on lines of at most `cells` cells.
    fn token_lines(&self, cells: usize) -> String {
        let mut out = format!("{} tokens:", self.answer.tokens.len());
        let mut used = width(&out);
        for t in &self.answer.tokens {
            let shown = token(&t.text);
            let w = width(&shown) + 1;
            if used + w > cells && used > 2 {
                out.push_str("\n ");
                used = 1;
            }
            out.push(' ');
            out.push_str(&shown);
            used += w;
        }
        out
    }
}

fn bits(value: Option<f32>) -> String {
    value.map_or("n/a".into(), |v| format!("{v:.2}"))
}

impl Report for LensReport<'_> {
    fn json(&self) -> Result<String> {
        let run = |r| {
            let r: &LensRun = r;
            Run {
                adapter: self.source.adapter(r.run),
                layers: r.layers.iter().map(|l| self.json_layer(l)).collect(),
                first_final_top1: r.first_final_top1,
            }
        };
        json::document(&Document {
            head: Head::new("polylens.lens/1", &self.source),
            text: self.text,
            tokens: &self.answer.tokens,
            runs: self.answer.runs.iter().map(run).collect(),
            elapsed_ms: self.answer.elapsed_ms,
        })
    }

    fn csv(&self) -> Result<String> {
        let columns = ["run", "layer", "measure", "rank", "id", "text", "value"];
        let mut t = Table::new(columns.map(|c| (c, Align::Left)));
        for run in &self.answer.runs {
            let name = self.source.run_name(run.run);
            for l in &run.layers {
                let layer = l.layer.to_string();
                let mut row = |measure: &str, rank: &str, id: &str, text: &str, value: f32| {
                    t.row([name, &layer, measure, rank, id, text, &value.to_string()]);
                };
                row("entropy_bits", "", "", "", l.entropy_bits);
                if let Some(kl) = l.kl_bits {
                    row("kl_bits", "", "", "", kl);
                }
                if let Some(energy) = l.energy {
                    row("energy", "", "", "", energy);
                }
                for (rank, top) in l.top.iter().enumerate() {
                    row("top", &(rank + 1).to_string(), &top.id.to_string(), &top.text, top.p);
                }
                for (set, &p) in self.answer.sets.tracked.iter().zip(&l.tracked) {
                    row("tracked", "", "", &set.word, p);
                }
            }
        }
        t.csv()
    }

    fn markdown(&self) -> String {
        let mut out = format!("# Logit lens\n\nModel: {}\n\n", self.source.model_line());
        let quoted: Vec<String> = self.text.lines().map(|l| format!("    {l}\n")).collect();
        out += &format!("Text:\n\n{}\n", quoted.concat());
        for run in &self.answer.runs {
            out += &format!("## {}\n\n{}\n", self.run_heading(run), self.table(run).markdown());
        }
        out
    }

    fn text(&self, width: usize) -> String {
        let mut out = format!("{}\n{}\n", self.source.model_line(), self.token_lines(width));
        for run in &self.answer.runs {
            out += &format!("\n{}\n{}", self.run_heading(run), self.table(run).text(width));
        }
        out
    }

    fn picture(&self) -> plot::scene::Scene {
        plot::lens::draw(self)
    }
}
