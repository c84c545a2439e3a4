use crate::app::messages::Level;
use crate::app::panes::eval::{End, EvalPane};
use crate::app::panes::eval_view::{EvalMeasure, ItemFilter};
use crate::app::panes::fixtures::{FakeLibrary, acted, shared};
use crate::app::shared::{Jobs, Pane};
use crate::app::testing::{Bench, eval_events};
use crate::app::{Action, MouseKind, Msg, PaneId, PaneMouse};
use crate::engine::protocol::*;
use std::time::Duration;

/// The evaluation pane of an app, with the first eight items asked for.
fn bench() -> Bench {
    let mut bench = Bench::with_adapter(120, 36);
    bench.keys("6N");
    bench
}

/// As [`bench`], its answers held back: EvalStarted, then a batch for each run and language, then EvalDone.
fn begun() -> Bench {
    let mut bench = bench();
    bench.hold = true;
    bench.keys("c");
    bench
}

fn job(pane: &EvalPane) -> JobId {
    pane.job().expect("an evaluation runs")
}

#[test]
fn the_table_fills_and_is_complete_with_intervals() {
    let mut bench = begun();
    assert!(bench.app.eval.table.is_none() && bench.app.eval.running.is_some());
    bench.release(1);
    assert_eq!(bench.app.eval.progress(), (0, 20 * 2 * 11));
    bench.wait(200);
    bench.release(2);
    bench.wait(200);
    let pane = &bench.app.eval;
    assert_eq!((pane.progress().0, pane.fresh, pane.summary.languages), (22, 22, 1));
    assert_eq!((pane.cell(0, 0).map(|c| c.n), pane.cell(1, 0).map(|c| c.n)), (Some(8), Some(8)));
    assert!(pane.cell(0, 1).is_none() && pane.summary.runs[1].change.unwrap().low.is_nan());
    bench.release(usize::MAX);
    let pane = &bench.app.eval;
    assert_eq!((pane.progress(), pane.running.is_some()), ((440, 440), false));
    assert!(matches!(pane.end, Some(End::Done { .. })));
    let change = pane.summary.runs[1].change.expect("a change");
    assert!(change.low <= change.accuracy && change.accuracy <= change.high && change.gained > change.lost);
    assert!(bench.app.model.works.is_empty() && !pane.animating());
}

#[test]
fn rate_and_time_left_count_computed_answers_only() {
    let mut bench = begun();
    bench.release(1);
    let job = job(&bench.app.eval);
    let progress =
        |unit: &str| Event::Progress { job, stage: "en".into(), done: 0, total: 440, unit: unit.into() };
    bench.send(Msg::Engine(progress("bytes")));
    assert!(!bench.app.eval.running.as_ref().unwrap().answers());
    bench.wait(5000);
    bench.send(Msg::Engine(progress("answers")));
    let Event::EvalRecords { records, .. } = bench.held[0].clone() else { panic!("{:?}", bench.held[0]) };
    bench.send(Msg::Engine(Event::EvalRecords { job, records, kept: true }));
    assert_eq!((bench.app.eval.kept, bench.app.eval.rate()), (11, None));
    bench.wait(1100);
    bench.held.remove(0);
    bench.release(1);
    assert_eq!((bench.app.eval.kept, bench.app.eval.fresh), (11, 11));
    assert!((bench.app.eval.rate().unwrap() - 10.0).abs() < 1e-9);
    // The status line counts on from language to language, too.
    let next = |done| Event::Progress { job, stage: "zh".into(), done, total: 440, unit: "answers".into() };
    bench.send(Msg::Engine(next(11)));
    bench.wait(1000);
    bench.send(Msg::Engine(next(33)));
    let work = bench.app.model.work().expect("work");
    let spent = (bench.clock - work.since).as_secs_f64();
    let left = work.left(bench.clock).expect("a guess").as_secs_f64();
    assert!((left - spent * (440.0 - 33.0) / 33.0).abs() < 1e-6 && spent > 2.0, "{left} after {spent}");
    let now = bench.clock + Duration::from_secs(1);
    assert!((bench.app.eval.left(now).unwrap() - (418.0 / 10.0 - 2.0)).abs() < 1e-9);
}

#[test]
fn a_stopped_evaluation_keeps_what_is_there_and_goes_on() {
    let mut bench = begun();
    bench.release(5);
    let before = bench.app.eval.progress().0;
    bench.held.clear();
    bench.hold = false;
    bench.keys("X");
    let pane = &bench.app.eval;
    assert_eq!((pane.progress().0, pane.end, pane.running.is_some()), (before, Some(End::Stopped), false));
    bench.hold = true;
    bench.keys("<space>");
    assert_eq!(bench.app.eval.progress().0, before, "what is on screen stays there");
    assert!(matches!(bench.held[0], Event::EvalStarted { .. }));
    let job = job(&bench.app.eval);
    bench.release(1);
    let Event::EvalRecords { records, .. } = bench.held.remove(0) else { panic!() };
    bench.send(Msg::Engine(Event::EvalRecords { job, records, kept: true }));
    assert_eq!((bench.app.eval.kept, bench.app.eval.progress().0), (11, before));
    bench.keys("<space>");
    assert!(matches!(bench.held.last(), Some(Event::Cancelled { job: j }) if *j == job), "space stops too");
}

#[test]
fn answers_of_an_older_evaluation_are_dropped() {
    let mut bench = begun();
    let old = std::mem::take(&mut bench.held);
    bench.keys("Nc");
    for event in old {
        bench.send(Msg::Engine(event));
    }
    assert!(bench.app.eval.table.is_none());
    bench.release(usize::MAX);
    assert_eq!(bench.app.eval.table.as_ref().unwrap().plan.langs[0].items.len(), 16);
}

#[test]
fn items_are_filtered_and_open_in_the_lens() {
    let mut bench = bench();
    bench.keys("scjj<enter>");
    let style = bench.app.shared.style;
    let pane = &bench.app.eval;
    assert_eq!((pane.open, pane.lang().unwrap().lang.as_str()), (true, "de"));
    assert_eq!(pane.shown_items(), (0..8).collect::<Vec<_>>());
    bench.keys("f");
    let wrong = bench.app.eval.shown_items();
    assert!(bench.app.eval.filter == ItemFilter::Wrong && !wrong.is_empty() && wrong.len() < 8);
    let gold = |i: usize| bench.app.eval.lang().unwrap().items[i].gold;
    assert!(wrong.iter().all(|i| bench.app.eval.verdict(1, *i).unwrap().label != gold(*i)));
    bench.keys("r");
    let wrong_by_base = bench.app.eval.shown_items();
    assert!(wrong_by_base.len() > wrong.len(), "the scripted base is wrong more often");
    bench.keys("f");
    let changed = bench.app.eval.shown_items();
    assert!(!changed.is_empty() && changed.iter().all(|i| wrong_by_base.contains(i) != wrong.contains(i)));
    bench.keys("G");
    let item = bench.app.eval.item;
    assert_eq!(Some(&item), changed.last());
    // Elsewhere everything is changed before the item is opened.
    bench.keys("2SL<C-u>zh<enter>6<enter>");
    let shared = &bench.app.shared;
    assert_eq!((bench.app.focus, shared.lang.as_str(), shared.item), (PaneId::Lens, "de", item));
    assert_eq!((shared.style, shared.task.as_str()), (style, "sentiment"));
    let asked = bench.app.shared.query.text.clone();
    assert_eq!(asked, bench.app.eval.lang().unwrap().items[item].text, "the lens reads the very prompt");
    assert!(!bench.app.eval.outdated && bench.app.lens.error.is_none());
    bench.keys("6<right>");
    assert_eq!(bench.app.eval.lang().unwrap().lang, "fr");
    bench.keys("<esc>");
    assert!(!bench.app.eval.open);
}

#[test]
fn choices_wait_for_the_key_that_evaluates() {
    let mut bench = bench();
    bench.keys("c");
    assert!(!bench.app.eval.outdated);
    for (key, back) in [("N", "NNN"), ("u", "u"), ("s", "ss"), ("x", "x"), ("A", "A")] {
        bench.keys(key);
        assert!(bench.app.eval.outdated && bench.app.eval.running.is_none(), "{key}");
        bench.keys(back);
        assert!(!bench.app.eval.outdated, "{key}");
    }
    bench.keys("/g<space>/");
    assert!(bench.app.eval.outdated && bench.app.eval.list.is_none());
    bench.keys("c");
    let table = bench.app.eval.table.as_ref().unwrap();
    let langs: Vec<&str> = table.plan.langs.iter().map(|l| l.lang.as_str()).collect();
    assert_eq!(langs, ["en", "de", "fr", "hi"]);
    bench.keys("n]");
    assert!(!bench.app.eval.outdated, "another item or language of the query is nothing to the table");
}

#[test]
fn languages_are_sorted_and_measures_switched() {
    let mut bench = bench();
    bench.keys("c");
    let pane = &bench.app.eval;
    assert_eq!(pane.order(), (0..20).collect::<Vec<_>>());
    bench.keys("d");
    let pane = &bench.app.eval;
    let gains: Vec<f64> = pane.order().into_iter().map(|l| pane.change(l).unwrap()).collect();
    assert!(gains.is_sorted_by(|a, b| a >= b) && gains[0] > gains[19], "{gains:?}");
    assert_eq!(pane.selected, 0, "the selection stays on its language");
    bench.keys("v");
    assert_eq!(bench.app.eval.measure, EvalMeasure::Calibrated);
    bench.keys("g");
    assert_eq!(bench.app.eval.selected, bench.app.eval.order()[0]);
    assert!(bench.app.eval.copy_text(&bench.app.shared).unwrap().contains("\tbase\taccuracy 0."));
    let data = bench.app.eval.export(&bench.app.shared).unwrap();
    assert_eq!(data["runs"][1]["languages"]["th"]["items"].as_array().map(Vec::len), Some(8));
    assert_eq!(data["runs"][0]["adapter"], serde_json::Value::Null);
    assert!(data["runs"][1]["change"]["ci95"][0].is_number());
}

#[test]
fn several_adapters_take_turns() {
    let mut bench = bench();
    bench.keys("a/tmp/second<enter>c");
    let pane = &bench.app.eval;
    assert_eq!((pane.asked.names.len(), pane.run, pane.other()), (3, 1, Some(1)));
    bench.keys("r");
    assert_eq!((bench.app.eval.run, bench.app.eval.other()), (2, Some(2)));
    bench.keys("r");
    assert_eq!((bench.app.eval.run, bench.app.eval.other()), (0, Some(2)), "the comparison stays");
    // A dropped adapter's number is never another's, and what needs it is stopped.
    bench.hold = true;
    bench.keys("Nc");
    let running = job(&bench.app.eval);
    bench.keys("a<C-x><esc>");
    assert!(
        matches!(bench.held.iter().rev().find(|e| matches!(e, Event::Cancelled { .. })), Some(Event::Cancelled { job }) if *job == running)
    );
    bench.held.clear();
    bench.hold = false;
    bench.keys("c");
    assert_eq!(bench.app.eval.asked.runs, [None, Some(1)]);
}

#[test]
fn failures_refusals_and_notes_are_told() {
    let mut bench = begun();
    let job = job(&bench.app.eval);
    bench.release(3);
    bench.held.clear();
    let sentence =
        "Answers cannot be kept (the disk is full): an evaluation that is stopped begins anew.".to_owned();
    bench.send(Msg::Engine(Event::Note { job, sentence: sentence.clone() }));
    assert_eq!(bench.app.messages.current().map(|m| m.text.clone()), Some(sentence));
    bench.send(Msg::Engine(Event::Failed { job, message: "zh: the prompt is too long".into() }));
    let pane = &bench.app.eval;
    assert_eq!(pane.error.as_deref(), Some("zh: the prompt is too long"));
    assert!(pane.progress().0 > 0 && pane.running.is_none());
    bench.keys("Nc");
    let Some(Event::EvalStarted { job, mut sets }) = bench.held.drain(..).next() else { panic!() };
    sets[1].refused = Some("no token is left for 好评".into());
    bench.send(Msg::Engine(Event::EvalStarted { job, sets }));
    let request = EvalRequest {
        plan: bench.app.eval.table.as_ref().unwrap().plan.clone(),
        runs: bench.app.eval.asked.runs.clone(),
    };
    for event in eval_events(job, &request).into_iter().skip(1) {
        let kept = |r: &EvalRecord| r.lang != 1;
        if matches!(&event, Event::EvalRecords { records, .. } if !records.iter().all(kept)) {
            continue;
        }
        bench.send(Msg::Engine(event));
    }
    let pane = &bench.app.eval;
    assert_eq!((pane.progress(), pane.summary.languages), ((19 * 2 * 19, 19 * 2 * 19), 19));
    assert!(pane.cell(0, 1).is_none() && pane.summary.runs[1].change.unwrap().low.is_finite());
}

#[test]
fn another_model_forgets_the_table_but_not_the_choices() {
    let mut bench = bench();
    bench.keys("uc");
    assert!(bench.app.eval.table.is_some());
    bench.keys("msmollm2-135m<enter>");
    bench.send(Msg::ModelFound { name: "smollm2-135m".into(), found: Ok(crate::app::model::Found::Here) });
    let pane = &bench.app.eval;
    assert!(pane.table.is_none() && pane.running.is_none());
    assert_eq!((pane.limit, pane.score), (Some(8), Score::Loglik));
}

#[test]
fn what_cannot_be_asked_is_said() {
    let (mut shared, mut jobs, mut pane) = (shared(3, &[]), Jobs::default(), EvalPane::default());
    shared.library = std::sync::Arc::new(FakeLibrary::new(4, &["hi"]));
    let asked = acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx));
    let [Command::Eval { request, .. }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(request.plan.langs.len(), 19, "a language that the task has not is left out");
    let mut pane = EvalPane::default();
    shared.library.languages().iter().filter(|l| l.code != "hi").for_each(|l| pane.chosen.toggle(&l.code));
    assert!(acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx)).is_empty());
    assert!(pane.error.as_ref().unwrap().contains("press /"));
    shared.model = None;
    acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx));
    assert!(pane.error.as_ref().unwrap().contains("press m"));
}

#[test]
fn every_action_and_click_is_harmless_at_any_time() {
    let (shared, mut jobs) = (shared(3, &["zh2en"]), Jobs::default());
    let mut pane = EvalPane::default();
    for round in 0..3 {
        let asked = acted(&shared, &mut jobs, 0.0, |cx| {
            for binding in crate::app::action::KEYS {
                pane.on_action(binding.action, cx);
                pane.on_tick(cx);
                for (w, h) in [(0, 0), (1, 1), (40, 20)] {
                    for kind in [MouseKind::Click, MouseKind::Move, MouseKind::WheelUp, MouseKind::Drag] {
                        pane.on_mouse(PaneMouse { x: w / 2, y: h / 2, width: w, height: h, kind }, cx);
                    }
                }
            }
            pane.back();
            pane.back();
            pane.compute(cx);
        });
        let Some(Command::Eval { job, request }) = asked.last() else { panic!("{asked:?}") };
        let events = eval_events(*job, request);
        let seen = if round == 0 { 4 } else { events.len() };
        acted(&shared, &mut jobs, 1.0, |cx| events[..seen].iter().for_each(|e| pane.on_event(e, cx)));
    }
    assert!(matches!(pane.end, Some(End::Done { .. })));
}

#[test]
fn every_task_is_evaluated_and_every_pane_follows_it() {
    let mut bench = bench();
    let tasks: Vec<_> = bench.app.shared.library.tasks().to_vec();
    for task in tasks {
        bench.keys(&format!("t<C-u>{}<enter>", task.id));
        let shared = &bench.app.shared;
        assert_eq!((shared.task.as_str(), shared.items.is_empty()), (task.id.as_str(), false));
        assert_eq!(shared.query.comparison.as_ref().map(|c| c.labels.len()), Some(task.labels.len()));
        bench.keys("c");
        let pane = &bench.app.eval;
        let table = pane.table.as_ref().unwrap();
        assert_eq!((table.plan.labels.clone(), pane.error.clone()), (task.labels.clone(), None));
        assert_eq!(pane.cell(1, 19).unwrap().confusion.len(), task.labels.len());
        bench.keys("G<enter>G<enter>");
        assert_eq!((bench.app.focus, bench.app.shared.item), (PaneId::Lens, 7));
        assert_eq!(bench.app.shared.query.text, table_text(&bench.app.eval));
        bench.keys("4c");
        assert!(bench.app.pca.error.is_none() && bench.app.pca.running.is_some());
        bench.keys("X6");
    }
}

fn table_text(pane: &EvalPane) -> String {
    pane.lang().unwrap().items[pane.item].text.clone()
}

#[test]
fn a_task_without_the_language_shown_begins_with_its_own_first() {
    let mut bench = bench();
    let mut library = FakeLibrary::new(4, &["th", "en"]);
    library.add_task("other");
    bench.app.shared.library = std::sync::Arc::new(library);
    bench.keys("tother<enter>");
    let news = bench.app.messages.current().map(|m| m.level);
    assert_eq!((bench.app.shared.lang.as_str(), news), ("zh", Some(Level::Info)));
    assert_eq!(bench.app.shared.query.text, "zh 0");
}

#[test]
fn the_mouse_selects_and_opens_a_language() {
    let mut bench = bench();
    bench.keys("c");
    let inner = bench.app.layout().unwrap().pane(PaneId::Eval).unwrap().inner();
    let click = Msg::Mouse { x: inner.x + 5, y: inner.y + 2 + 17, kind: MouseKind::Click };
    bench.send(click.clone());
    assert_eq!((bench.app.eval.lang().unwrap().lang.as_str(), bench.app.eval.open), ("th", false));
    bench.send(click);
    assert!(bench.app.eval.open);
}

#[test]
fn the_pane_has_the_width_beside_the_query_and_gives_it_back_to_the_lens() {
    let mut bench = Bench::with_adapter(200, 60);
    bench.keys("6");
    assert!(bench.app.is_visible(PaneId::Eval) && !bench.app.is_visible(PaneId::Lens));
    bench.keys("c<enter><enter>");
    let shown = [PaneId::Query, PaneId::Lens, PaneId::Eval, PaneId::Pca];
    assert!(shown.iter().all(|p| bench.app.is_visible(*p)) && bench.app.focus == PaneId::Lens);
    bench.app.act(Action::ShowEval, &mut Vec::new());
    assert!(!bench.app.is_visible(PaneId::Lens));
}

/// Only the languages that were answered in are summarised anew: what is shown is what the whole table says.
#[test]
fn the_outline_that_grows_is_that_of_the_whole_table() {
    let mut bench = begun();
    bench.release(1);
    for _ in 0..12 {
        bench.release(1);
        bench.wait(200);
        let pane = &bench.app.eval;
        let whole = crate::eval::outline(pane.table.as_ref().expect("a table"));
        assert_eq!(format!("{:?}", pane.summary), format!("{whole:?}"));
    }
    // Asked for again, the finished table has no intervals until it is confirmed, in no language.
    bench.release(usize::MAX);
    assert!(bench.app.eval.cell(1, 3).and_then(|c| c.change).is_some_and(|c| c.low.is_finite()));
    bench.keys("c");
    bench.release(1);
    bench.wait(200);
    bench.release(1);
    bench.wait(200);
    let pane = &bench.app.eval;
    let whole = crate::eval::outline(pane.table.as_ref().expect("a table"));
    assert_eq!(format!("{:?}", pane.summary), format!("{whole:?}"));
}
