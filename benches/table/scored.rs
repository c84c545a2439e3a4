//! Evaluations: every item's labels scored after its prompt.

use crate::common::setting;
use crate::scoring;
use crate::show::{Row, Table};
use crate::sides::{Found, Side};
use crate::turns::{self, Work};
use polylens::engine::protocol::{EvalPlan, EvalRecord, EvalSets};
use polylens::engine::{Cancel, Engine};
use serde_json::{Value, json};

/// A task's prompts, numbered through all languages.
pub struct Prompts {
    pub plan: EvalPlan,
    /// Language and slot of each.
    pub places: Vec<(usize, usize)>,
    pub lengths: Vec<usize>,
}

impl Prompts {
    pub fn of(engine: &Engine, task: &str) -> Result<Self, String> {
        let plan = scoring::plan(task, setting("POLYLENS_BENCH_ITEMS", 24))?;
        let slots = |l: usize| (0..plan.langs[l].items.len()).map(move |slot| (l, slot));
        let places: Vec<(usize, usize)> = (0..plan.langs.len()).flat_map(slots).collect();
        let mut prompts = Self { plan, places, lengths: Vec::new() };
        let tokens = |p| engine.tokenizer().encode(&prompts.text(p)).map(|ids| ids.len());
        let lengths = (0..prompts.places.len()).map(tokens).collect::<polylens::Result<Vec<_>>>();
        prompts.lengths = lengths.map_err(|e| e.to_string())?;
        Ok(prompts)
    }

    pub fn text(&self, prompt: usize) -> String {
        let (lang, slot) = self.places[prompt];
        let lang = &self.plan.langs[lang];
        lang.prefix.clone() + &lang.items[slot].text
    }

    pub fn texts(&self, prompts: &[usize]) -> Vec<String> {
        prompts.iter().map(|p| self.text(*p)).collect()
    }
}

pub struct Scored {
    pub prompts: Prompts,
    pub sets: Vec<EvalSets>,
}

impl Scored {
    pub fn of(engine: &Engine, task: &str) -> Result<Self, String> {
        let prompts = Prompts::of(engine, task)?;
        let sets = engine.eval_sets(&prompts.plan).map_err(|e| e.to_string())?;
        Ok(Self { prompts, sets })
    }

    /// Results by the prompts' numbers.
    fn found(&self, records: &[EvalRecord]) -> Found {
        let number = |r: &EvalRecord| self.prompts.places.iter().position(|p| *p == (r.lang, r.slot));
        let one = |r: &EvalRecord| Some((number(r)?, r.p.iter().map(|p| f64::from(*p)).collect()));
        records.iter().filter_map(one).collect()
    }
}

impl Work for Scored {
    fn lengths(&self) -> &[usize] {
        &self.prompts.lengths
    }

    fn languages(&self) -> usize {
        self.prompts.plan.langs.len()
    }

    fn ours(&self, engine: &Engine, lang: usize) -> Result<(f64, Found), String> {
        let (ms, records) = scoring::ours(engine, &self.prompts.plan, lang)?;
        Ok((ms, self.found(&records)))
    }

    fn request(&self, prompts: &[usize], batch: usize) -> Value {
        let sets = |p: &usize| -> Vec<&Vec<u32>> {
            self.sets[self.prompts.places[*p].0].sets.iter().map(|s| &s.ids).collect()
        };
        let sets: Vec<_> = prompts.iter().map(sets).collect();
        json!({"what": "eval", "texts": self.prompts.texts(prompts), "sets": sets, "batch": batch})
    }

    fn key(&self) -> &'static str {
        "p"
    }

    fn settle(&self, engine: &Engine, sample: &[usize], found: Found) -> Result<Found, String> {
        if !found.is_empty() {
            return Ok(found);
        }
        let mut units: Vec<_> =
            sample.iter().map(|p| (None, self.prompts.places[*p].0, self.prompts.places[*p].1)).collect();
        units.sort_unstable_by_key(|u| (u.1, u.2));
        let mut records = Vec::new();
        let on = &mut |more: Vec<EvalRecord>| {
            records.extend(more);
            Ok(())
        };
        engine
            .evaluate(&self.prompts.plan, &self.sets, &units, &Cancel::new(), on)
            .map_err(|e| e.to_string())?;
        Ok(self.found(&records))
    }

    fn settle_theirs(&self, _engine: &Engine, found: Found) -> Result<Found, String> {
        Ok(found)
    }
}

/// The rows of an evaluation.
pub fn rows(
    sides: &mut [Side],
    task: &str,
    name: &str,
    goals: [f64; 2],
    table: &mut Table,
) -> Result<Vec<Row>, String> {
    let work = Scored::of(&sides[0].engine, task)?;
    turns::rows(sides, &work, name, goals, table)
}
