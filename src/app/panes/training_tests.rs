use super::*;
use crate::app::overlay::Overlay;
use crate::app::testing::Bench;
use crate::app::{Msg, PaneId};
use crate::engine::protocol::{Command, Event};

/// The training pane of a bench with a model, its plan answered.
fn form() -> Bench {
    let mut bench = Bench::ready(120, 36);
    bench.keys("5");
    bench.settle();
    bench
}

/// As [`form`], with a run that has made so many of its 51 steps.
fn running(steps: u64) -> Bench {
    let mut bench = form();
    bench.keys("c");
    bench.steps(1, steps);
    bench
}

/// Commands about training since the last look.
fn asked(bench: &mut Bench) -> Vec<Command> {
    let sent = std::mem::take(&mut bench.sent).into_iter();
    sent.filter(|c| {
        matches!(c, Command::TrainPlan { .. } | Command::Train { .. } | Command::TrainControl { .. })
    })
    .collect()
}

fn controls(bench: &mut Bench) -> Vec<TrainAction> {
    let asked = asked(bench).into_iter();
    asked
        .filter_map(|c| if let Command::TrainControl { action, .. } = c { Some(action) } else { None })
        .collect()
}

fn run(bench: &Bench) -> &Run {
    bench.app.training.run.as_ref().expect("a run")
}

#[test]
fn the_form_is_asked_about_when_it_rests_and_only_then() {
    let mut bench = form();
    let [Command::TrainPlan { request, .. }] = &asked(&mut bench)[..] else { panic!("one plan") };
    assert_eq!(request.settings, TrainSettings::default());
    assert_eq!(bench.app.training.form.planned().map(|p| p.total_steps), Some(51));
    assert_eq!(bench.app.training.form.every(), 3, "about 20 frames");
    // Down to the steps: typed digit by digit, asked about once.
    bench.app.training.form.selected = crate::app::panes::training_fields::Field::Steps;
    bench.keys("<enter>120");
    assert_eq!(asked(&mut bench), []);
    bench.keys("<enter>");
    bench.settle();
    let [Command::TrainPlan { request, .. }] = &asked(&mut bench)[..] else { panic!("one plan") };
    assert_eq!(request.settings.max_steps, Some(120));
    bench.settle();
    assert_eq!(asked(&mut bench), []);
    assert!(!bench.app.training.animating(), "nothing is waited for");
}

#[test]
fn a_wrong_value_keeps_the_run_from_starting() {
    let mut bench = form();
    bench.app.training.form.selected = crate::app::panes::training_fields::Field::Rank;
    bench.keys("<enter><backspace>x<enter><home>");
    bench.settle();
    asked(&mut bench);
    bench.app.training.form.selected = crate::app::panes::training_fields::Field::Seed;
    bench.keys("c");
    assert_eq!(asked(&mut bench), []);
    let pane = &bench.app.training;
    let why = pane.hindrance(&bench.app.shared);
    assert!(why.is_some_and(|(field, words)| field.is_some() && words.contains("is not a rank")));
    assert_eq!(pane.form.selected, crate::app::panes::training_fields::Field::Rank, "where it is wrong");
}

#[test]
fn a_run_starts_is_followed_paused_and_saved() {
    let mut bench = form();
    asked(&mut bench);
    bench.keys("c");
    let [Command::Train { job, request }] = &asked(&mut bench)[..] else { panic!("a run") };
    assert_eq!((Some(*job), request.resume), (bench.app.training.watch.job, false));
    assert_eq!(request.watch.as_ref().map(|w| w.every), Some(3));
    bench.keys("2");
    bench.steps(1, 20);
    let pane = &bench.app.training;
    use crate::app::panes::training_curves::Metric;
    for metric in Metric::ALL {
        assert_eq!(pane.live.trace(metric).count(), 20, "{metric:?}");
    }
    assert_eq!((pane.live.eval_loss().count(), run(&bench).best.map(|b| b.0)), (2, Some(20)));
    assert_eq!((run(&bench).done(), run(&bench).left()), (Some(20.0 / 51.0), Some(7.5 * 31.0)));
    bench.keys("5 ");
    assert_eq!((run(&bench).phase.clone(), controls(&mut bench)), (Phase::Paused, vec![TrainAction::Pause]));
    bench.keys(" <C-s>");
    assert_eq!(controls(&mut bench), [TrainAction::Continue, TrainAction::Save]);
    assert_eq!(
        (run(&bench).phase.clone(), run(&bench).saved.as_ref().map(|s| s.0)),
        (Phase::Running, Some(20))
    );
}

#[test]
fn events_of_another_job_are_not_taken_for_the_runs() {
    let mut bench = running(3);
    let step = crate::app::testing_train::step(40, 51);
    bench.send(Msg::Engine(Event::TrainStep { job: 999, step }));
    bench.send(Msg::Engine(Event::Failed { job: 999, message: "Something else.".into() }));
    assert_eq!((run(&bench).step.map(|s| s.step), run(&bench).active()), (Some(3), true));
}

#[test]
fn quitting_asks_and_saves_first() {
    let mut bench = running(5);
    bench.hold = true;
    asked(&mut bench);
    bench.keys("q");
    assert!(matches!(&bench.app.overlay, Some(Overlay::Confirm(_))) && !bench.app.quitting());
    bench.keys("<enter>");
    assert!(bench.app.overlay.is_none() && asked(&mut bench).is_empty(), "Enter alone goes on");
    bench.keys("qs");
    assert_eq!(controls(&mut bench), [TrainAction::StopAndSave]);
    assert!(!bench.app.quitting(), "not before the adapter is written");
    bench.release(1);
    assert!(bench.app.quitting());
}

#[test]
fn answers_and_lines_can_be_clicked() {
    let mut bench = running(5);
    bench.keys("X");
    let Some(overlay) = &bench.app.overlay else { panic!("asked") };
    let area = overlay.area(bench.app.size);
    asked(&mut bench);
    // Go on, checkpoint, save: the third.
    let click = |x, y| Msg::Mouse { x, y, kind: crate::app::MouseKind::Click };
    bench.send(click(area.x + 6, area.y + crate::app::confirm::Confirm::HEAD + 2));
    assert_eq!(controls(&mut bench), [TrainAction::StopAndSave]);
    bench.keys("N");
    let pane = bench.app.layout().and_then(|l| l.pane(PaneId::Training)).expect("on screen");
    use crate::app::panes::{training_fields::Field, training_place::FormPlace};
    let place = FormPlace::new(pane.width - 2, pane.height - 2, Field::Sources);
    let row = place
        .rows
        .iter()
        .position(|r| matches!(r, super::super::training_place::FormRow::Fields([Field::Rank, _])));
    let y = pane.y + 1 + place.top + row.expect("in sight") as u16;
    bench.send(click(pane.x + 4, y));
    assert_eq!(bench.app.training.form.selected, Field::Rank);
    bench.send(click(pane.x + 4, y));
    assert!(bench.app.training.form.typing.is_some());
}

#[test]
fn ctrl_c_asks_once() {
    let mut bench = running(5);
    bench.keys("<C-c>");
    assert!(!bench.app.quitting());
    bench.keys("<C-c>");
    assert!(bench.app.quitting());
}

#[test]
fn discarding_asks_twice() {
    let mut bench = running(5);
    asked(&mut bench);
    bench.keys("Xdk");
    assert_eq!(controls(&mut bench), []);
    bench.keys("Xdd");
    assert_eq!(controls(&mut bench), [TrainAction::StopAndDiscard]);
    assert!(!run(&bench).active() && run(&bench).adapter().is_none() && !bench.app.quitting());
}

#[test]
fn another_model_waits_for_the_decision() {
    let mut bench = running(5);
    bench.effects.clear();
    bench.keys("mother<enter>");
    assert!(matches!(&bench.app.overlay, Some(Overlay::Confirm(_))));
    assert!(!bench.effects.iter().any(|e| matches!(e, Effect::FindModel(_))));
    bench.keys("s");
    assert_eq!(bench.effects.iter().filter(|e| matches!(e, Effect::FindModel(n) if n == "other")).count(), 1);
    bench.keys("5N");
    assert!(bench.app.training.coming.is_some());
    asked(&mut bench);
    bench.keys("c");
    assert_eq!(asked(&mut bench), [], "no run begins while a model is on its way");
}

#[test]
fn what_cannot_be_saved_is_not_left_silently() {
    let mut bench = running(5);
    bench.hold = true;
    bench.keys("2qs");
    let job = run(&bench).job;
    bench.send(Msg::Engine(Event::Failed { job, message: "The disk is full: free some space.".into() }));
    assert!(!bench.app.quitting() && bench.app.focus == PaneId::Training);
    assert!(bench.app.messages.current().is_some_and(|m| m.text.contains("disk is full")));
    bench.keys("q");
    assert!(bench.app.quitting());
}

#[test]
fn the_adapter_of_a_finished_run_is_loaded_and_evaluated() {
    let mut bench = running(51);
    bench.finish(TrainEnd::Finished);
    bench.sent.clear();
    bench.keys("<enter>");
    let loads = |b: &Bench| b.sent.iter().filter(|c| matches!(c, Command::LoadAdapter { .. })).count();
    assert!(loads(&bench) == 1 && bench.app.shared.compares() && bench.app.focus == PaneId::Training);
    bench.keys("c");
    assert_eq!((loads(&bench), bench.app.focus), (1, PaneId::Eval), "it is loaded already");
    let evals = |b: &Bench| {
        let runs = b
            .sent
            .iter()
            .filter_map(|c| if let Command::Eval { request, .. } = c { Some(request) } else { None });
        runs.map(|r| r.runs.clone()).collect::<Vec<_>>()
    };
    assert_eq!(evals(&bench), [vec![None, Some(0)]]);
    // And at once, where it is not loaded yet.
    let mut bench = running(51);
    bench.finish(TrainEnd::Finished);
    bench.keys("c");
    assert_eq!((loads(&bench), bench.app.focus, evals(&bench)), (1, PaneId::Eval, vec![vec![None, Some(0)]]));
}

#[test]
fn a_stopped_run_goes_on() {
    let mut bench = running(20);
    bench.keys("Xs");
    assert!(run(&bench).resumable());
    asked(&mut bench);
    bench.keys(" ");
    let [Command::Train { request, .. }] = &asked(&mut bench)[..] else { panic!("a run") };
    assert!(request.resume && request.out == Path::new("runs/zh+es-en-1"));
    assert_eq!(bench.app.training.live.records, 22, "its curves are kept");
    bench.steps(21, 30);
    assert_eq!(bench.app.training.live.resumed, 0);
}

#[test]
fn a_directory_with_an_interrupted_run_is_offered_to_go_on() {
    let mut bench = form();
    bench.hold = true;
    bench.app.training.form.put(crate::app::panes::training_fields::Field::Out, "runs/old");
    bench.app.training.form.selected = crate::app::panes::training_fields::Field::Out;
    bench.keys("<enter><enter>");
    bench.settle();
    let [Command::TrainPlan { job, .. }] = asked(&mut bench)[1..] else { panic!("a plan") };
    bench.held.clear();
    bench.send(Msg::Engine(Event::Failed { job, message: "runs/old holds a run already.".into() }));
    let [Command::TrainPlan { request, .. }] = &asked(&mut bench)[..] else { panic!("a second plan") };
    assert!(request.resume);
    bench.release(9);
    assert!(bench.app.training.form.resumes);
    bench.keys("c");
    let [Command::Train { request, .. }] = &asked(&mut bench)[..] else { panic!("a run") };
    assert!(request.resume && request.out == Path::new("runs/old"));
}

#[test]
fn a_directory_that_is_in_the_way_says_why() {
    let mut bench = form();
    bench.hold = true;
    bench.keys("P");
    bench.settle();
    for message in ["runs/x is a file: name another.", "There is no run in runs/x."] {
        bench.held.clear();
        let Some(Command::TrainPlan { job, .. }) = asked(&mut bench).pop() else { panic!("a plan") };
        bench.send(Msg::Engine(Event::Failed { job, message: message.into() }));
    }
    assert_eq!(bench.app.training.form.plan, Some(Err("runs/x is a file: name another.".into())));
    bench.keys("c");
    assert!(asked(&mut bench).is_empty() && bench.app.training.hindrance(&bench.app.shared).is_some());
}

#[test]
fn names_that_are_taken_are_seen() {
    let mut bench = form();
    let candidates = vec!["runs/zh+es-en-1/".to_owned(), "runs/zh+es-en-2/".to_owned()];
    bench.send(Msg::Completions { typed: RUNS.into(), candidates });
    bench.settle();
    let last = asked(&mut bench).pop();
    assert!(
        matches!(last, Some(Command::TrainPlan { request, .. }) if request.out == Path::new("runs/zh+es-en-3"))
    );
}

#[test]
fn paths_are_completed_behind_their_language() {
    let mut bench = form();
    bench.effects.clear();
    bench.app.training.form.selected = crate::app::panes::training_fields::Field::Data;
    bench.keys("<enter>zh=/d/zh.json, es=/d/e<tab>");
    assert!(bench.effects.contains(&Effect::Complete("/d/e".into())));
    bench.send(Msg::Completions { typed: "/d/e".into(), candidates: vec!["/d/es.json".into()] });
    bench.keys("<enter>");
    bench.settle();
    let last = asked(&mut bench).pop();
    let file =
        |lang: &str| TrainData::File { lang: Some(lang.into()), path: format!("/d/{lang}.json").into() };
    assert!(
        matches!(last, Some(Command::TrainPlan { request, .. }) if request.data == [file("zh"), file("es")])
    );
}

#[test]
fn languages_are_chosen_from_lists() {
    let mut bench = form();
    bench.keys("/<home><down><down><enter><esc>");
    assert_eq!(bench.app.training.form.from(&*bench.app.shared.library).len(), 19, "all but the target");
    bench.keys("j<enter>j<enter>");
    assert_eq!(bench.app.training.form.target, "zh");
    assert!(bench.app.training.form.list.is_none());
}

#[test]
fn a_log_can_be_followed_beside_a_run() {
    let mut bench = running(4);
    bench.keys("o");
    bench.keys("other/run<enter>");
    assert_eq!(bench.app.training.sheet, Sheet::Log);
    assert_eq!(bench.app.training.log.path.as_deref(), Some(Path::new("other/run")));
    bench.steps(5, 9);
    assert_eq!((bench.app.training.log.records, bench.app.training.live.records), (0, 9));
    bench.keys("NN");
    assert_eq!(bench.app.training.sheet, Sheet::Run);
}

#[test]
fn without_a_model_nothing_is_asked() {
    let mut bench = Bench::new(120, 36);
    bench.keys("5");
    bench.settle();
    bench.keys("c");
    assert!(asked(&mut bench).is_empty() && bench.app.training.hindrance(&bench.app.shared).is_some());
    bench.found(Ok(crate::app::model::Found::Here));
    bench.settle();
    assert_eq!(asked(&mut bench).len(), 1, "once it is there");
}
