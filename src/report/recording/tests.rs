use super::*;
use crate::engine::protocol::{EvalItem, EvalLang, EvalPlan, EvalRequest, LensLayer, LensRun, TokenP};
use crate::session::{Source, Start};
use std::sync::Arc;

fn file(lines: &[(u64, What<serde_json::Value>)]) -> SessionFile {
    let mut text =
        serde_json::to_string(&Header::new(Source::Explorer, "explore", Start::default())).unwrap() + "\n";
    for (t, what) in lines {
        text += &(serde_json::to_string(&Line { t: *t, what: what.clone() }).unwrap() + "\n");
    }
    SessionFile::from_bytes("s.jsonl", Arc::new(text.into_bytes())).unwrap()
}

fn lens(run: RunId) -> LensAnswer {
    let top = TokenP { id: 7, text: " ดี".into(), p: 0.25 };
    let layer = LensLayer { layer: 3, entropy_bits: 1.5, top: vec![top], ..LensLayer::default() };
    LensAnswer {
        runs: vec![LensRun { run, layers: vec![layer], first_final_top1: None }],
        ..LensAnswer::default()
    }
}

fn session() -> SessionFile {
    let item = |index| EvalItem { index, ..EvalItem::default() };
    let plan = EvalPlan {
        labels: vec!["positive".into(), "negative".into()],
        langs: vec![EvalLang {
            lang: "th".into(),
            items: vec![item(4), item(9)],
            free: vec!["".into()],
            ..EvalLang::default()
        }],
        ..EvalPlan::default()
    };
    let record =
        |slot, p| EvalRecord { run: Some(0), lang: 0, slot, p: vec![p, 1.0 - p], loglik: Vec::new() };
    let step = |step, loss| TrainStep { step, loss, ..TrainStep::default() };
    let info = AdapterInfo { name: "zh2en".into(), ..AdapterInfo::default() };
    let log = serde_json::json!({"log": {"path": "run", "updates": {"Ok": [
        {"Record": LogRecord { step: Some(10.0), loss: Some(2.5), ..LogRecord::default() }}
    ]}}});
    file(&[
        (0, What::Event(Event::AdapterLoaded { job: 1, index: 0, info })),
        (5, What::Ask(Command::Eval { job: 2, request: EvalRequest { plan, runs: vec![Some(0)] } })),
        (10, What::Event(Event::LensDone { job: 3, answer: lens(Some(0)) })),
        (20, What::Event(Event::EvalRecords { job: 2, records: vec![record(0, 0.5)], kept: false })),
        (30, What::Event(Event::EvalRecords { job: 2, records: vec![record(2, 0.75)], kept: false })),
        (30, What::Event(Event::EvalDone { job: 2, elapsed_ms: 9.0 })),
        // A job's number that comes again for something else mixes nothing up.
        (40, What::Event(Event::TrainStep { job: 2, step: step(1, 3.5) })),
        (50, What::Event(Event::TrainStep { job: 2, step: step(2, 3.25) })),
        (
            60,
            What::Event(Event::TrainFrame {
                job: 2,
                frame: TrainFrame { step: 2, lens: Some(lens(Some(0))), ..TrainFrame::default() },
            }),
        ),
        (70, What::User(log)),
    ])
}

#[test]
fn a_document_has_every_answer_with_its_question() {
    let document: serde_json::Value = serde_json::from_str(&json(&session(), 0, None).unwrap()).unwrap();
    assert_eq!(document["schema"], SCHEMA);
    assert_eq!(document["adapters"]["0"], "zh2en");
    let answers = document["answers"].as_array().unwrap();
    let kinds: Vec<&str> = answers.iter().map(|a| a["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["adapter", "lens", "eval", "train", "log"]);
    let eval = &answers[2];
    assert_eq!((&eval["t"], &eval["answer"]["complete"]), (&30.into(), &true.into()));
    assert_eq!(eval["command"]["request"]["plan"]["langs"][0]["lang"], "th");
    assert_eq!(eval["answer"]["records"].as_array().unwrap().len(), 2);
    assert_eq!(answers[3]["answer"]["steps"][1]["loss"], 3.25);
    assert_eq!(answers[1]["answer"]["runs"][0]["layers"][0]["top"][0]["token"], " ดี");
}

#[test]
fn the_table_has_one_number_a_line() {
    let text = csv(&session(), 0, None).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], rows::COLUMNS.join(","));
    for wanted in [
        "10,3,lens,zh2en,,,3,,,entropy_bits,,,1.5,,",
        "10,3,lens,zh2en,,,3,,,top, ดี,1,0.25,,",
        "30,2,eval,zh2en,th,free,,,,p,positive,,0.5,,",
        "30,2,eval,zh2en,th,9,,,,p,positive,,0.75,,",
        "60,2,train,,,,,,2,loss,,,3.25,,",
        "60,2,train,adapter,,,3,,2,entropy_bits,,,1.5,,",
        "70,0,log,,,,,,10,loss,,,2.5,,",
    ] {
        assert!(lines.contains(&wanted), "{wanted} is not in\n{text}");
    }
    assert!(lines.iter().all(|l| l.matches(',').count() == rows::COLUMNS.len() - 1));
}

#[test]
fn a_stretch_has_only_its_own() {
    let document: serde_json::Value = serde_json::from_str(&json(&session(), 15, Some(30)).unwrap()).unwrap();
    let answers = document["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 1);
    // The question was asked before, and the adapter is known.
    assert!(answers[0]["command"].is_object());
    assert_eq!(document["adapters"]["0"], "zh2en");
}
