use super::*;
use crate::app::panes::fixtures::{acted, shared};
use crate::app::shared::Jobs;

fn answer(langs: &[&str], layers: usize, runs: &[RunId]) -> PcaAnswer {
    let layer = |layer: usize| {
        let mut l = PcaLayer { layer, ..PcaLayer::default() };
        for (i, a) in langs.iter().enumerate() {
            l.points.insert((*a).into(), vec![[i as f64, layer as f64]]);
            for b in &langs[i + 1..] {
                l.pearson.insert(format!("{a}-{b}"), layer as f64 / 10.0);
            }
        }
        l
    };
    let run = |run: &RunId| PcaRun { run: *run, layers: (0..layers).map(layer).collect() };
    PcaAnswer {
        langs: langs.iter().map(|l| (*l).into()).collect(),
        n: 32,
        runs: runs.iter().map(run).collect(),
        ..PcaAnswer::default()
    }
}

fn job_of(commands: &[Command]) -> JobId {
    match commands {
        [Command::Pca { job, .. }] => *job,
        other => panic!("{other:?}"),
    }
}

fn ready(job: JobId, answer: PcaAnswer, complete: bool) -> Event {
    Event::PcaReady { job, answer, complete }
}

#[test]
fn asks_for_the_chosen_languages_and_shows_answers_as_they_come() {
    let (shared, mut jobs, mut pane) = (shared(18, &["zh2en"]), Jobs::default(), PcaPane::default());
    let asked = acted(&shared, &mut jobs, 1.0, |cx| _ = pane.on_action(Action::Compute, cx));
    let [Command::Pca { job, request }] = &asked[..] else { panic!("{asked:?}") };
    let langs: Vec<&str> = request.items.iter().map(|(l, _)| l.as_str()).collect();
    assert_eq!((langs, request.items[0].1.len()), (vec!["en", "de", "fr", "hi"], 32));
    assert_eq!(request.runs, [None, Some(0)]);
    assert!(pane.animating() && pane.job() == Some(*job));
    acted(&shared, &mut jobs, 2.0, |cx| {
        let progress =
            Event::Progress { job: *job, stage: "de".into(), done: 40, total: 128, unit: "items".into() };
        pane.on_event(&progress, cx);
        assert_eq!(pane.running.as_ref().unwrap().done, 40);
        pane.on_event(&ready(*job, answer(&["en", "de"], 19, &[None, Some(0)]), false), cx);
        assert!(pane.running.is_some() && !pane.complete);
        assert_eq!((pane.at, pane.pairs()), (12, vec!["en-de".to_string()]));
        pane.on_action(Action::Right, cx);
        pane.on_event(&ready(*job, answer(&["en", "de", "fr", "hi"], 19, &[None, Some(0)]), true), cx);
        assert!(pane.running.is_none() && pane.complete);
        assert_eq!((pane.at, pane.pairs().len()), (13, 6), "the layer chosen by hand stays");
        assert_eq!(pane.pairs()[..3], ["en-de", "en-fr", "en-hi"]);
        assert_eq!(pane.run_names, ["base", "zh2en"]);
        pane.on_event(&ready(job + 9, answer(&["en", "de"], 3, &[None]), true), cx);
        assert_eq!(pane.pairs().len(), 6, "an answer of another job is not ours");
    });
}

#[test]
fn playing_follows_the_clock_and_wraps() {
    let (shared, mut jobs, mut pane) = (shared(3, &[]), Jobs::default(), PcaPane::default());
    let job = job_of(&acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx)));
    acted(&shared, &mut jobs, 0.0, |cx| {
        pane.on_event(&ready(job, answer(&["en", "de"], 4, &[None]), true), cx)
    });
    pane.go(-9);
    pane.speed.change(-1);
    let at = |s: f64| Duration::from_secs_f64(s);
    pane.toggle_play(at(10.0));
    let shown: Vec<usize> = [10.5, 11.0, 11.2, 12.0, 13.0, 14.0]
        .map(|s| {
            pane.tick(at(s));
            pane.at
        })
        .to_vec();
    assert_eq!(shown, [0, 1, 1, 2, 3, 0]);
    pane.tick(at(60.0));
    pane.tick(at(60.0));
    assert_eq!(pane.at, 2, "after a pause it goes on at its pace: two due ticks, no rush");
    pane.toggle_play(at(60.0));
    assert!(!pane.animating());
    pane.tick(at(99.0));
    assert_eq!(pane.at, 2);
}

#[test]
fn changed_settings_are_computed_again_or_called_outdated() {
    let (mut shared, mut jobs, mut pane) = (shared(3, &[]), Jobs::default(), PcaPane::default());
    let silent = acted(&shared, &mut jobs, 0.0, |cx| _ = pane.on_action(Action::NextPooling, cx));
    assert!(silent.is_empty(), "nothing was asked for yet");
    let job = job_of(&acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx)));
    acted(&shared, &mut jobs, 0.0, |cx| {
        pane.on_event(&ready(job, answer(&["en", "de"], 4, &[None]), true), cx)
    });
    let again = acted(&shared, &mut jobs, 0.0, |cx| _ = pane.on_action(Action::ToggleSharedFit, cx));
    assert!(
        matches!(&again[..], [Command::Pca { request, .. }] if request.shared_fit && request.pooling == Pooling::Last)
    );
    let job = job_of(&again);
    acted(&shared, &mut jobs, 0.0, |cx| pane.on_event(&Event::Cancelled { job }, cx));
    assert!(pane.outdated && pane.answer.is_some() && !pane.animating());
    let job = job_of(&acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx)));
    acted(&shared, &mut jobs, 0.0, |cx| {
        pane.on_event(&ready(job, answer(&["en", "de"], 4, &[None]), true), cx)
    });
    shared.item = 7;
    acted(&shared, &mut jobs, 0.0, |cx| pane.on_query(true, cx));
    assert!(!pane.outdated, "another item changes nothing");
    shared.style = Style::English;
    acted(&shared, &mut jobs, 0.0, |cx| pane.on_query(true, cx));
    assert!(pane.outdated);
}

#[test]
fn the_list_of_languages_asks_again_when_closed() {
    let (shared, mut jobs, mut pane) = (shared(3, &[]), Jobs::default(), PcaPane::default());
    job_of(&acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx)));
    let asked = acted(&shared, &mut jobs, 0.0, |cx| {
        for a in [Action::ToggleLanguages, Action::Down, Action::Play, Action::ToggleLanguages] {
            assert!(pane.on_action(a, cx));
        }
    });
    assert!(matches!(&asked[..], [Command::Pca { request, .. }] if request.items.len() == 5));
    assert!(pane.list.is_none() && pane.playing.is_none());
}

#[test]
fn what_cannot_be_asked_is_said() {
    let (mut shared, mut jobs, mut pane) = (shared(3, &[]), Jobs::default(), PcaPane::default());
    shared.library = std::sync::Arc::new(crate::app::panes::fixtures::FakeLibrary::new(4, &["hi"]));
    assert!(acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx)).is_empty());
    assert!(pane.error.as_ref().unwrap().contains("no language hi"));
    ["en", "de", "fr"].into_iter().for_each(|c| pane.languages.toggle(c));
    acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx));
    assert!(pane.error.as_ref().unwrap().contains("at least two"));
    shared.model = None;
    acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx));
    assert!(pane.error.as_ref().unwrap().contains("press m"));
}

#[test]
fn every_action_is_harmless_without_an_answer() {
    let (shared, mut jobs, mut pane) = (shared(3, &[]), Jobs::default(), PcaPane::default());
    acted(&shared, &mut jobs, 0.0, |cx| {
        for binding in crate::app::action::KEYS {
            pane.on_action(binding.action, cx);
            pane.on_tick(cx);
        }
        for (w, h) in [(0, 0), (1, 1), (40, 20)] {
            for kind in [MouseKind::Click, MouseKind::Move, MouseKind::WheelUp, MouseKind::Drag] {
                pane.on_mouse(PaneMouse { x: w / 2, y: h.max(1) - 1, width: w, height: h, kind }, cx);
            }
        }
        assert!(pane.copy_text(&shared).is_none());
    });
}

#[test]
fn the_slider_reaches_both_ends() {
    let (shared, mut jobs, mut pane) = (shared(26, &[]), Jobs::default(), PcaPane::default());
    let job = job_of(&acted(&shared, &mut jobs, 0.0, |cx| pane.compute(cx)));
    acted(&shared, &mut jobs, 0.0, |cx| {
        pane.on_event(&ready(job, answer(&["en", "de"], 27, &[None]), true), cx);
        let mut click = |x| {
            pane.on_mouse(PaneMouse { x, y: 19, width: 80, height: 20, kind: MouseKind::Click }, cx);
            pane.at
        };
        let (from, width) = slider_track(80);
        assert_eq!((click(0), click(79)), (0, 26));
        assert_eq!(click(from + width / 2), 13);
    });
}
