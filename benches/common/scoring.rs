//! Our side of an evaluation.

use polylens::engine::protocol::{EvalPlan, EvalRecord, Protocol, Score, Style};
use polylens::engine::{Cancel, Engine};
use polylens::{eval, tasks};
use std::time::Instant;

/// `TASK` or `TASK=ITEMS`.
pub fn plan(named: &str, items: usize) -> Result<EvalPlan, String> {
    let (task, own) = named.split_once('=').map_or((named, None), |(task, own)| (task, Some(own)));
    let source = tasks::Source::find(task).map_err(|e| e.to_string())?;
    let with_rows = |l| Ok((l, source.rows(l, own, Some(items))?));
    let langs = source.task.languages.iter().map(with_rows).collect::<polylens::Result<Vec<_>>>();
    let langs = langs.map_err(|e| e.to_string())?;
    let mut plan = eval::plan(&source.task, &langs, Style::English, Protocol::Paper, Score::PrefixSet)
        .map_err(|e| e.to_string())?;
    // Content-free queries are extra work that the reference is not asked for.
    plan.langs.iter_mut().for_each(|l| l.free.clear());
    Ok(plan)
}

/// Milliseconds for one language, and its answers.
pub fn ours(engine: &Engine, plan: &EvalPlan, lang: usize) -> Result<(f64, Vec<EvalRecord>), String> {
    let start = Instant::now();
    let sets = engine.eval_sets(plan).map_err(|e| e.to_string())?;
    let units: Vec<_> = (0..plan.langs[lang].slots()).map(|slot| (None, lang, slot)).collect();
    let mut records = Vec::new();
    let on = &mut |more: Vec<EvalRecord>| {
        records.extend(more);
        Ok(())
    };
    engine.evaluate(plan, &sets, &units, &Cancel::new(), on).map_err(|e| e.to_string())?;
    Ok((start.elapsed().as_secs_f64() * 1e3, records))
}
