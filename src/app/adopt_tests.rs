use super::*;
use crate::app::replay::{self, What};
use crate::app::testing::Bench;
use crate::engine::protocol::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The job that an event is about.
fn job_of(event: &Event) -> JobId {
    serde_json::to_value(event).unwrap()["job"].as_u64().unwrap()
}

/// What the scripted explorer asked and was answered, given to an app that asks nothing itself.
fn told(keys: &str) -> (App, App) {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let taken = lines.clone();
    let mut bench = Bench::new(160, 48);
    bench.tap = Some(Box::new(move |line: &replay::Line| taken.borrow_mut().push(line.clone())));
    bench.found(Ok(crate::app::model::Found::Here));
    bench.keys(keys);
    bench.wait(500);
    let mut asked: BTreeMap<JobId, Command> = BTreeMap::new();
    for command in &bench.sent {
        let job = serde_json::to_value(command).unwrap()["job"].as_u64();
        asked.extend(job.map(|job| (job, command.clone())));
    }
    let mut app = Bench::new(160, 48).app;
    for line in lines.borrow().iter() {
        let What::Event(event) = &line.what else { continue };
        let now = Duration::from_millis(line.t);
        if let Some(command) = asked.remove(&job_of(event)) {
            app.update(Msg::Adopt(command), now);
        }
        let effects = app.update(Msg::Engine(event.clone()), now);
        let asks = effects.iter().any(|e| matches!(e, Effect::Engine(_)));
        assert!(!asks, "{keys}: an app that is told asks after a {:?}", event_name(event));
    }
    (bench.app, app)
}

fn event_name(event: &Event) -> String {
    serde_json::to_value(event).unwrap()["event"].to_string()
}

/// Says where two states differ, and not all that they hold.
fn same(a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug, what: &str) {
    let (a, b) = (format!("{a:?}"), format!("{b:?}"));
    let at = a.bytes().zip(b.bytes()).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    let near = |s: &str| {
        String::from_utf8_lossy(&s.as_bytes()[at.saturating_sub(90)..(at + 60).min(s.len())]).into_owned()
    };
    assert!(a == b, "{what}: {} != {}", near(&a), near(&b));
}

#[test]
fn being_told_leads_to_the_same_panes_as_asking() {
    for keys in ["", "a/tmp/zh-es-to-en<enter>2", "a/tmp/zh-es-to-en<enter>2c", "6c", "nn2"] {
        let (asked, told) = told(keys);
        let shared = |app: &App| Shared { told: false, ..app.shared.clone() };
        same(&shared(&asked), &shared(&told), &format!("{keys}: shared"));
        same(&asked.lens.runs, &told.lens.runs, &format!("{keys}: lens"));
        same(&asked.lens.means, &told.lens.means, &format!("{keys}: means"));
        same(&asked.lens.elapsed_ms, &told.lens.elapsed_ms, &format!("{keys}: time"));
        same(&asked.eval.table, &told.eval.table, &format!("{keys}: table"));
        same(&asked.eval.summary, &told.eval.summary, &format!("{keys}: summary"));
        same(&asked.eval.asked, &told.eval.asked, &format!("{keys}: asked"));
        same(&asked.jobs, &told.jobs, &format!("{keys}: jobs"));
        let cells =
            |app: &App| (0..app.grid.positions()).map(|p| app.grid.cell(3, p).cloned()).collect::<Vec<_>>();
        same(&cells(&asked), &cells(&told), &format!("{keys}: grid"));
        assert!(told.lens.job.is_none() && told.grid.pending.is_none() && told.eval.running.is_none());
    }
}

#[test]
fn the_question_comes_on_screen_and_other_texts_are_free() {
    let mut app = Bench::new(160, 48).app;
    let mut tell = |command| {
        app.update(Msg::Adopt(command), Duration::ZERO);
        app.clone()
    };
    let query = Query { prefix: "a ".into(), text: "b".into(), track: vec!["c".into()], ..Query::default() };
    let seen = tell(Command::Lens { job: 7, query: query.clone(), runs: vec![None], top: 10 });
    assert_eq!((seen.focus, seen.lens.job, seen.query.free.text()), (PaneId::Lens, Some(7), "a b"));
    assert_eq!((&seen.shared.query, &seen.query.track), (&query, &query.track));
    assert_eq!(seen.model.stage, Stage::Idle, "nobody looks for a model");
    let items = vec![("sw".to_owned(), Vec::new()), ("en".to_owned(), Vec::new())];
    let request = PcaRequest { items, pooling: Pooling::Last, shared_fit: true, ..PcaRequest::default() };
    let seen = tell(Command::Pca { job: 9, request });
    assert_eq!((seen.focus, seen.pca.running.as_ref().map(|r| r.job)), (PaneId::Pca, Some(9)));
    assert_eq!(seen.pca.languages.codes(&*seen.shared.library), ["en", "sw"]);
    assert_eq!((seen.pca.pooling, seen.pca.shared_fit), (Pooling::Last, true));
    let item = seen
        .shared
        .library
        .prompts("sentiment", "sw", Style::Same, Protocol::Default)
        .unwrap()
        .swap_remove(4);
    let watch = Watch { every: 5, query: Some(item.query), top: 5, pca: None };
    let request = TrainRequest { watch: Some(watch), out: "runs/x".into(), ..TrainRequest::default() };
    let seen = tell(Command::Train { job: 12, request });
    assert_eq!((seen.focus, seen.shared.lang.as_str(), seen.shared.item), (PaneId::Training, "sw", 4));
    assert!(seen.training.active().is_some() && seen.training.watch.job == Some(12));
    let mut later = tell(Command::TrainControl { job: 12, action: TrainAction::Pause });
    assert!(later.training.active().unwrap().waits());
    assert_eq!(later.jobs.issue(), 13, "numbers go on");
}
