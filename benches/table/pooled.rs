//! Mean-pooled states of every layer, for a PCA. Compared are the points of the PCA over those that both sides computed,
//! relative to the layer's largest coordinate.

use crate::scored::Prompts;
use crate::show::{Row, Table};
use crate::sides::{Found, Side};
use crate::times::largest;
use crate::turns::{self, Work};
use ndarray::Array2;
use polylens::engine::protocol::{Item, PcaRequest, PcaRun, Pooling, Protocol, Query};
use polylens::engine::{Cancel, Engine};
use polylens::geometry::{Options, RunStates, analyse};
use serde_json::{Value, json};
use std::time::Instant;

struct Pooled(Prompts);

/// All of one language, for the comparison.
const TOGETHER: &str = "all";

impl Pooled {
    fn request_of(&self, lang: &str, prompts: impl Iterator<Item = usize>) -> PcaRequest {
        let item = |p: usize| {
            let (lang, slot) = self.0.places[p];
            let lang = &self.0.plan.langs[lang];
            let (prefix, text) = (lang.prefix.clone(), lang.items[slot].text.clone());
            Item { query: Query { prefix, text, ..Query::default() }, ..Item::default() }
        };
        PcaRequest {
            items: vec![(lang.to_owned(), prompts.map(item).collect())],
            runs: vec![None],
            pooling: Pooling::Mean,
            protocol: Protocol::Default,
            ..PcaRequest::default()
        }
    }
}

/// Points by prompt: two numbers a layer.
fn points(run: &PcaRun, sample: &[usize]) -> Found {
    let mut found: Found = sample.iter().map(|p| (*p, Vec::new())).collect();
    for layer in &run.layers {
        let points = layer.points.get(TOGETHER).map_or(&[][..], Vec::as_slice);
        let scale = largest(points.iter().flatten().map(|x| x.abs())).max(f64::MIN_POSITIVE);
        for (prompt, point) in sample.iter().zip(points) {
            found.entry(*prompt).or_default().extend(point.iter().map(|x| x / scale));
        }
    }
    found
}

impl Work for Pooled {
    fn lengths(&self) -> &[usize] {
        &self.0.lengths
    }

    fn languages(&self) -> usize {
        self.0.plan.langs.len()
    }

    /// Until the states are there: the measures over them are no part of the comparison.
    fn ours(&self, engine: &Engine, lang: usize) -> Result<(f64, Found), String> {
        let these = (0..self.0.places.len()).filter(|p| self.0.places[*p].0 == lang);
        let request = self.request_of(&self.0.plan.langs[lang].lang, these);
        let (start, mut took) = (Instant::now(), f64::NAN);
        let progress = &mut |stage: &str, _: u64, _: u64, _: &str| {
            if stage == "measures" {
                took = start.elapsed().as_secs_f64() * 1e3;
            }
        };
        engine.pca(&request, &Cancel::new(), progress).map_err(|e| e.to_string())?;
        Ok((took, Found::new()))
    }

    fn request(&self, prompts: &[usize], batch: usize) -> Value {
        json!({"what": "pool", "texts": self.0.texts(prompts), "batch": batch})
    }

    fn key(&self) -> &'static str {
        "states"
    }

    /// What the engine has computed already it does not compute again.
    fn settle(&self, engine: &Engine, sample: &[usize], _found: Found) -> Result<Found, String> {
        let request = self.request_of(TOGETHER, sample.iter().copied());
        let answer = engine.pca(&request, &Cancel::new(), &mut |_, _, _, _| {}).map_err(|e| e.to_string())?;
        Ok(points(&answer.runs[0], sample))
    }

    fn settle_theirs(&self, engine: &Engine, found: Found) -> Result<Found, String> {
        if found.is_empty() {
            return Ok(found);
        }
        let (hidden, layers) = (engine.info().hidden, engine.info().layers + 1);
        let sample: Vec<usize> = found.keys().copied().collect();
        if found.values().any(|states| states.len() != layers * hidden) {
            return Err(format!("the reference's states are not {layers} x {hidden}"));
        }
        let layer = |k: usize| {
            let at = |(i, d): (usize, usize)| found[&sample[i]][k * hidden + d] as f32;
            Array2::from_shape_fn((sample.len(), hidden), at)
        };
        let arrays: Vec<Array2<f32>> = (0..layers).map(layer).collect();
        let states = arrays.iter().enumerate().map(|(k, a)| (k, vec![a.view()])).collect();
        let run = [RunStates { run: None, layers: states }];
        let options = Options { measures: false, ..Options::default() };
        let runs =
            analyse(&run, &[TOGETHER.to_owned()], &options, &Cancel::new()).map_err(|e| e.to_string())?;
        Ok(points(&runs[0], &sample))
    }
}

pub fn rows(sides: &mut [Side], table: &mut Table) -> Result<Vec<Row>, String> {
    let work = Pooled(Prompts::of(&sides[0].engine, "sentiment")?);
    let name = "mean-pooled states for PCA";
    turns::rows(sides, &work, name, [4.0, 3.0], table)
}
