//! Evaluation: our numbers beside another implementation's, and answers that depend on nothing but their query.

mod common;

use common::{golden, model_file, shared};
use polylens::engine::protocol::*;
use polylens::engine::{Cancel, Engine};
use polylens::eval::{self, Summary, Table};
use polylens::tasks::{Row, Task, TaskLanguage, items};
use std::path::Path;

fn load(path: &Path, threads: usize) -> Engine {
    let spec = LoadSpec {
        path: path.into(),
        name: "m".into(),
        dtype: DType::F32,
        device: DeviceChoice::Cpu,
        threads,
    };
    Engine::load(&spec, &mut |_, _, _, _| {}).expect("the model loads")
}

fn gemma() -> Option<Engine> {
    Some(load(&model_file("gemma-3-270m")?, 0))
}

fn tiny(name: &str, threads: usize) -> Engine {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name), threads)
}

/// All answers of a plan under the runs.
fn answer(engine: &Engine, plan: &EvalPlan, runs: &[RunId]) -> Table {
    let sets = engine.eval_sets(plan).unwrap();
    let queries = eval::part::queries(plan, &sets);
    let units: Vec<_> = runs.iter().flat_map(|r| queries.iter().map(|(l, s)| (*r, *l, *s))).collect();
    let mut units = units;
    units.sort_by_key(|u| u.1);
    let mut table = Table::new(plan.clone(), sets.clone(), runs.to_vec());
    let on = &mut |records: Vec<EvalRecord>| {
        for record in records {
            assert!(table.insert(record));
        }
        Ok(())
    };
    engine.evaluate(plan, &sets, &units, &Cancel::new(), on).unwrap();
    let (done, total) = table.progress(None);
    assert_eq!(done, total);
    table
}

/// The first items of the reference's data in every language of a task.
fn golden_plan(task: &str, folder: &str, n: usize) -> Option<EvalPlan> {
    let task = Task::open(&shared(&format!("golden/{task}"))?).unwrap();
    let mut langs: Vec<(&TaskLanguage, Vec<Row>)> = Vec::new();
    for language in &task.languages {
        let file = shared(&format!("paper/{folder}/{}.json", language.code))?;
        langs.push((language, items::load(&task, language, &file, Some(n)).unwrap()));
    }
    Some(eval::plan(&task, &langs, Style::English, Protocol::Paper, Score::PrefixSet).unwrap())
}

/// Every item's probabilities and prediction, and the accuracies, as the reference has them.
fn check_golden(engine: &Engine, plan: &EvalPlan, run: RunId, file: &str) {
    let Some(json) = golden(file) else { return };
    let table = answer(engine, plan, &[run]);
    let summary: Summary = eval::summarise(&table, 0);
    let (mut worst, mut items) = (0f64, 0);
    for (l, lang) in plan.langs.iter().enumerate() {
        let theirs = &json["languages"][lang.lang.as_str()];
        for (i, item) in theirs["items"].as_array().unwrap().iter().enumerate() {
            let record = table.item(0, l, i).unwrap();
            for (p, label) in record.p.iter().zip(&plan.labels) {
                worst = worst.max((f64::from(*p) - item["p"][label.as_str()].as_f64().unwrap()).abs());
            }
            let predicted = &plan.labels[eval::predict(record).label];
            assert_eq!(predicted, item["predicted"].as_str().unwrap(), "{file} {} item {i}", lang.lang);
            items += 1;
        }
        let ours = summary.runs[0].languages[l].as_ref().unwrap();
        assert_eq!(ours.correct as u64, theirs["correct"].as_u64().unwrap(), "{file} {}", lang.lang);
        assert_eq!(ours.n as u64, theirs["n"].as_u64().unwrap());
    }
    let run = &summary.runs[0];
    println!(
        "{file}: {items} items, largest difference of a label's probability {worst:.2e}; accuracy {:.4}, AUC {:.4}, calibrated {:.4}",
        run.mean.unwrap(),
        run.mean_auc.unwrap(),
        run.mean_calibrated.unwrap()
    );
    assert!(worst < 1e-3, "{file}: {worst:e}");
}

#[test]
fn sentiment_in_twenty_languages_and_nli_are_the_references() {
    let Some(engine) = gemma() else { return };
    let Some(plan) = golden_plan("sentiment.toml", "sentiment", 24) else { return };
    check_golden(&engine, &plan, None, "gemma-sentiment.json");
    let Some(adapter) = shared("golden/adapter") else { return };
    let index = engine.add_adapter(&adapter, "golden").unwrap();
    check_golden(&engine, &plan, Some(index), "gemma-sentiment-adapter.json");
    let Some(plan) = golden_plan("nli.toml", "nli", 24) else { return };
    check_golden(&engine, &plan, None, "gemma-nli.json");
}

/// A plan of short made-up prompts of very different lengths.
fn small_plan(score: Score) -> EvalPlan {
    let words = ["good", "bad", "so", "many", "words", "hier", "und", "da", "好", "на", "street"];
    let text = |i: usize| {
        (0..1 + i * 7 % 13).map(|k| words[(i * 5 + k * 3) % words.len()]).collect::<Vec<_>>().join(" ")
    };
    let lang = |code: &str, n: usize| EvalLang {
        lang: code.into(),
        prefix: format!("{code}: one \"good\"\n{code}: two \"bad\"\n"),
        head: format!("{code}: "),
        words: vec!["good".into(), "bad".into(), "so so".into()],
        items: (0..n)
            .map(|i| EvalItem {
                index: i,
                text: format!("{code}: {} \"", text(i)),
                gold: i % 3,
                values: vec![text(i)],
            })
            .collect(),
        free: vec![format!("{code}: N/A \""), format!("{code}:  \"")],
    };
    EvalPlan {
        task: "small".into(),
        labels: ["a", "b", "c"].map(String::from).to_vec(),
        fields: vec!["input".into()],
        style: Style::Same,
        protocol: Protocol::Paper,
        score,
        langs: vec![lang("en", 45), lang("de", 7)],
    }
}

#[test]
fn an_answer_depends_on_its_query_alone() {
    for (model, adapter) in [("gemma3", "adapter_all"), ("llama3", "adapter_all"), ("qwen3", "adapter_all")] {
        let engine = tiny(model, 2);
        let dir =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(model).join(adapter);
        let run = Some(engine.add_adapter(&dir, "a").unwrap());
        let single = tiny(model, 1);
        single.add_adapter(&dir, "a").unwrap();
        for score in [Score::PrefixSet, Score::Loglik] {
            let plan = small_plan(score);
            let together = answer(&engine, &plan, &[None, run]);
            let sets = engine.eval_sets(&plan).unwrap();
            for (lang, slot) in eval::part::queries(&plan, &sets) {
                for r in [None, run] {
                    let mut alone = Vec::new();
                    let on = &mut |records: Vec<EvalRecord>| {
                        alone.extend(records);
                        Ok(())
                    };
                    single.evaluate(&plan, &sets, &[(r, lang, slot)], &Cancel::new(), on).unwrap();
                    let with = together.record(usize::from(r.is_some()), lang, slot).unwrap();
                    // To the last bit: what a stopped run goes on with, or another job of an array computes, is the same.
                    assert_eq!(alone, std::slice::from_ref(with), "{model} {score:?}");
                }
            }
        }
    }
}
