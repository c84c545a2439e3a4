use super::super::fixtures::{acted, shared};
use super::super::watch_fixture::{JOB, LAYERS, events, langs, watched};
use super::*;
use crate::app::shared::Jobs;

fn act(watch: &mut WatchState, now: f64, actions: &[Action]) -> Vec<Command> {
    let shared = shared(LAYERS, &[]);
    let mut jobs = Jobs::default();
    acted(&shared, &mut jobs, now, |cx| actions.iter().for_each(|a| _ = watch.on_action(*a, cx)))
}

fn tick(watch: &mut WatchState, now: f64) {
    let shared = shared(LAYERS, &[]);
    acted(&shared, &mut Jobs::default(), now, |cx| watch.on_tick(cx));
}

fn step(watch: &WatchState) -> u64 {
    watch.current().expect("a frame").1.frame.step
}

fn after(done: u64) -> WatchState {
    watched(&shared(LAYERS, &[]), &events(400, 10, done, &langs(4)))
}

#[test]
fn the_newest_frame_is_followed_until_one_looks_back() {
    let all = events(400, 10, 200, &langs(4));
    let shared = shared(LAYERS, &[]);
    let half = all.len() / 2;
    let mut watch = watched(&shared, &all[..half]);
    let before = step(&watch);
    assert!(watch.following());
    act(&mut watch, 2.0, &[Action::Left]);
    assert_eq!((step(&watch), watch.following()), (before - 10, false));
    acted(&shared, &mut Jobs::default(), 3.0, |cx| all[half..].iter().for_each(|e| watch.on_event(e, cx)));
    assert_eq!(step(&watch), before - 10, "what is looked at stays while new frames come");
    act(&mut watch, 4.0, &[Action::First]);
    assert_eq!(step(&watch), 0);
    act(&mut watch, 4.0, &[Action::Left, Action::Right, Action::Right]);
    assert_eq!(step(&watch), 20);
    act(&mut watch, 4.0, &[Action::Last]);
    assert_eq!((step(&watch), watch.following()), (200, true));
    act(&mut watch, 4.0, &[Action::Left, Action::Right]);
    assert!(watch.following(), "stepping onto the newest frame follows again");
    act(&mut watch, 4.0, &[Action::First]);
    assert!(watch.back() && watch.following() && !watch.back());
}

#[test]
fn playing_shows_four_frames_a_second_and_ends_at_the_newest() {
    let mut watch = after(50);
    act(&mut watch, 10.0, &[Action::Play]);
    assert!(watch.animating());
    let mut shown = vec![step(&watch)];
    for i in 1..=30 {
        tick(&mut watch, 10.0 + f64::from(i) * 0.05);
        shown.push(step(&watch));
    }
    shown.dedup();
    assert_eq!(shown, [0, 10, 20, 30, 40, 50]);
    assert!(!watch.animating() && watch.following());
    act(&mut watch, 20.0, &[Action::First, Action::Play, Action::Faster]);
    tick(&mut watch, 20.3);
    tick(&mut watch, 20.43);
    assert_eq!(step(&watch), 20);
    act(&mut watch, 21.0, &[Action::Play]);
    assert!(!watch.animating() && step(&watch) == 20);
}

#[test]
fn thinned_frames_do_not_move_what_is_looked_at() {
    let shared = shared(LAYERS, &[]);
    let mut watch = watched(&shared, &events(40, 10, 40, &langs(2)));
    watch.run.frames = Frames::with_limits(6, usize::MAX);
    let all = events(400, 10, 400, &langs(2));
    let (first, rest) = all.split_at(150);
    acted(&shared, &mut Jobs::default(), 1.0, |cx| first.iter().skip(1).for_each(|e| watch.on_event(e, cx)));
    act(&mut watch, 2.0, &[Action::Left, Action::Left]);
    let looked_at = step(&watch);
    acted(&shared, &mut Jobs::default(), 3.0, |cx| rest.iter().for_each(|e| watch.on_event(e, cx)));
    assert!(step(&watch) <= looked_at && looked_at - step(&watch) < watch.run.frames.stride() * 10);
    assert!(!watch.following() && watch.run.frames.stride() > 1);
}

#[test]
fn every_part_shows_the_same_layer_and_it_tells_something() {
    let mut watch = after(100);
    let layer = watch.layer();
    assert!((LAYERS / 2..=LAYERS * 5 / 6).contains(&layer), "{layer}");
    act(&mut watch, 1.0, &[Action::Up]);
    assert_eq!(watch.layer(), layer + 1);
    act(&mut watch, 1.0, &[Action::PageUp; 9]);
    assert_eq!(watch.layer(), LAYERS);
    act(&mut watch, 1.0, &[Action::PageDown; 9]);
    assert_eq!(watch.layer(), 0);
    let mut only_pca = after(20);
    for kept in only_pca.run.frames.all() {
        assert!(kept.frame.lens.is_some());
    }
    only_pca = {
        let mut events = events(40, 10, 20, &langs(4));
        for event in &mut events {
            if let Event::TrainFrame { frame, .. } = event {
                frame.lens = None;
            }
        }
        watched(&shared(LAYERS, &[]), &events)
    };
    assert_eq!(only_pca.layer(), LAYERS * 2 / 3);
}

#[test]
fn frames_of_other_jobs_are_not_taken_and_the_end_is_known() {
    let mut watch = after(30);
    let shared = shared(LAYERS, &[]);
    let strange = Event::TrainFrame { job: JOB + 1, frame: TrainFrame { step: 99, ..TrainFrame::default() } };
    let done = Event::TrainDone { job: JOB, outcome: TrainOutcome::default() };
    acted(&shared, &mut Jobs::default(), 3.0, |cx| {
        watch.on_event(&strange, cx);
        assert!(watch.run.live);
        watch.on_event(&done, cx);
    });
    assert_eq!((step(&watch), watch.run.live), (30, false));
    assert!(watch.run.loss.count() == 30, "frames and curves stay after the run");
}

#[test]
fn a_resumed_run_goes_on_with_its_frames_and_another_one_begins_anew() {
    let shared = shared(LAYERS, &[]);
    let mut watch = after(100);
    let start = |job, out: &str, done_steps| Event::TrainStarted {
        job,
        plan: TrainPlan { out: out.into(), done_steps, total_steps: 400, ..TrainPlan::default() },
    };
    acted(&shared, &mut Jobs::default(), 3.0, |cx| watch.on_event(&start(JOB + 1, "runs/th2en", 60), cx));
    assert_eq!((step(&watch), watch.job), (60, Some(JOB + 1)));
    acted(&shared, &mut Jobs::default(), 3.0, |cx| watch.on_event(&start(JOB + 2, "runs/other", 60), cx));
    assert!(watch.current().is_none() && watch.base().is_none());
    assert!(watch.asked.is_none(), "nobody asked that run for frames");
}

#[test]
fn another_query_is_watched_only_when_asked() {
    let mut shared = shared(LAYERS, &[]);
    let mut watch = watched(&shared, &events(400, 10, 30, &langs(4)));
    assert!(!watch.outdated(&shared));
    shared.query.text = "another".into();
    assert!(watch.outdated(&shared));
    let mut jobs = Jobs::default();
    let sent = acted(&shared, &mut jobs, 4.0, |cx| assert!(watch.on_action(Action::WatchQuery, cx)));
    let [Command::TrainWatch { job: JOB, watch: Some(asked) }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((asked.query.as_ref().unwrap().text.as_str(), asked.every), ("another", 10));
    assert!(!watch.outdated(&shared));
    let done = Event::TrainDone { job: JOB, outcome: TrainOutcome::default() };
    let sent = acted(&shared, &mut jobs, 5.0, |cx| {
        watch.on_event(&done, cx);
        assert!(!watch.on_action(Action::WatchQuery, cx), "nothing runs");
    });
    assert!(sent.is_empty());
}

#[test]
fn the_time_line_is_a_slider() {
    let mut watch = after(200);
    let shared = shared(LAYERS, &[]);
    let (from, width) = track(100);
    let mouse = |x, y, kind| PaneMouse { x, y, width: 100, height: 40, kind };
    acted(&shared, &mut Jobs::default(), 1.0, |cx| {
        assert!(watch.on_mouse(mouse(from + (width - 1) / 4, 39, MouseKind::Click), cx));
        assert_eq!(step(&watch), 100);
        assert!(watch.on_mouse(mouse(99, 39, MouseKind::Drag), cx));
        assert!(watch.following(), "beyond the newest frame is the newest frame");
        assert!(watch.on_mouse(mouse(0, 38, MouseKind::Click), cx));
        assert_eq!(step(&watch), 0);
        assert!(!watch.on_mouse(mouse(50, 5, MouseKind::Click), cx));
        let layer = watch.layer();
        assert!(watch.on_mouse(mouse(50, 5, MouseKind::WheelUp), cx) && watch.layer() == layer + 1);
    });
}

#[test]
fn numbers_are_copied_and_written() {
    let mut watch = after(100);
    act(&mut watch, 1.0, &[Action::Left]);
    let shared = shared(LAYERS, &[]);
    let text = watch.copy_text(&shared).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("base\tlayer") && lines[1].starts_with("step 90\tlayer"), "{text}");
    let document = watch.export(&shared).unwrap();
    let scene = &document["scenes"][0];
    assert_eq!(scene["base"]["base"], true);
    assert_eq!(scene["frames"].as_array().unwrap().len(), 11);
    assert_eq!(document["loss"].as_array().unwrap().len(), 100);
    assert!(
        WatchState::default().export(&shared).is_none() && WatchState::default().copy_text(&shared).is_none()
    );
}
