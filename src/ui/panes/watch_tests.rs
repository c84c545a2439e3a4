use super::*;
use crate::app::panes::fixtures::{acted, shared};
use crate::app::panes::watch_fixture::{JOB, LAYERS, events, langs, watched};
use crate::app::shared::{Jobs, Pane};
use crate::app::testing::Bench;
use crate::app::{Action, Msg};
use crate::engine::protocol::{Curves, Event, LensAnswer, PcaAnswer, TokenSet, TrainOutcome};
use crate::ui::panes::shots;
use crate::ui::screens;
use crate::ui::theme::Ladder;

/// A watched run of 400 steps with a frame every 10, `done` of them done, and these actions.
fn ready(done: u64, languages: usize, actions: &[Action]) -> (WatchState, Shared) {
    let shared = shared(LAYERS, &[]);
    let mut watch = watched(&shared, &events(400, 10, done, &langs(languages)));
    acted(&shared, &mut Jobs::default(), 2.0, |cx| actions.iter().for_each(|a| _ = watch.on_action(*a, cx)));
    (watch, shared)
}

fn shot(name: &str, (w, h): (u16, u16), theme: &Theme, state: &(WatchState, Shared)) -> Buffer {
    let buf = shots::drawn(w, h, theme, |buf, area| draw(buf, area, &state.0, &state.1, theme));
    if !buf.area.is_empty() {
        shots::show(name, &buf);
    }
    buf
}

/// The same run, its frames changed before they come.
fn changed(change: impl Fn(&mut TrainFrame), actions: &[Action]) -> (WatchState, Shared) {
    let shared = shared(LAYERS, &[]);
    let mut all = events(400, 10, 240, &langs(4));
    for event in &mut all {
        if let Event::TrainFrame { frame, .. } = event {
            change(frame);
        }
    }
    let mut watch = watched(&shared, &all);
    acted(&shared, &mut Jobs::default(), 2.0, |cx| actions.iter().for_each(|a| _ = watch.on_action(*a, cx)));
    (watch, shared)
}

fn text_of(name: &str, size: (u16, u16), state: &(WatchState, Shared)) -> String {
    shots::lines(&shot(name, size, &shots::themes()[0].1, state))
}

#[test]
fn snapshots() {
    for size in [(80, 24), (120, 36), (160, 48), (200, 60)] {
        for (name, theme) in shots::themes() {
            let state = ready(240, 7, &[]);
            let name = format!("watch_{}x{}_{name}", size.0, size.1);
            let buf = shot(&name, size, &theme, &state);
            if name.ends_with("nocolour") {
                assert!(buf.content.iter().all(|c| c.fg == c.bg), "a colour was emitted");
            }
            if name.ends_with("ascii") {
                // The model's own words keep their script.
                let own = ['บ', 'ว', 'ก', 'ข', 'อ', 'ง', 'า', 'ร', '的', 'こ', 'と', 'が', 'ц', 'и', 'я'];
                let lines = shots::lines(&buf);
                let odd: Vec<char> = lines.chars().filter(|c| !c.is_ascii() && !own.contains(c)).collect();
                assert!(odd.is_empty(), "{odd:?}\n{lines}");
            }
            if size != (200, 60) || name.ends_with("dark") {
                insta::assert_snapshot!(name, shots::lines(&buf) + &shots::colours(&buf));
            }
        }
    }
}

#[test]
fn snapshots_of_the_other_states() {
    use Action as A;
    let text = |name: &str, size, state: &(WatchState, Shared)| {
        insta::assert_snapshot!(format!("watch_{name}"), text_of(&format!("watch_{name}"), size, state));
    };
    text("plane_80x24", (80, 24), &ready(240, 4, &[A::NextPart]));
    text("pairs_80x24", (80, 24), &ready(240, 4, &[A::NextPart, A::NextPart, A::NextMeasure]));
    text(
        "held_160x48",
        (160, 48),
        &ready(240, 4, &[A::First, A::Right, A::Right, A::Right, A::ToggleTrails]),
    );
    text("playing_120x36", (120, 36), &ready(240, 20, &[A::First, A::Play, A::Up]));
    text("step0_120x36", (120, 36), &ready(5, 4, &[]));
    text("tall_60x54", (60, 54), &ready(240, 4, &[]));
    let no_words = |frame: &mut TrainFrame| {
        let lens = frame.lens.as_mut().expect("a lens");
        lens.runs[0].layers.iter_mut().for_each(|l| l.curves = None);
    };
    text("free_text_120x36", (120, 36), &changed(no_words, &[]));
    let words = |frame: &mut TrainFrame| {
        no_words(frame);
        let share = frame.step as f32 / 400.0;
        let lens = frame.lens.as_mut().expect("a lens");
        lens.sets.tracked =
            ["film", "หนัง"].map(|w| TokenSet { word: w.into(), ..TokenSet::default() }).into();
        for l in &mut lens.runs[0].layers {
            l.tracked = vec![share * l.layer as f32 / 30.0, (1.0 - share) * l.layer as f32 / 50.0];
        }
    };
    text("tracked_160x48", (160, 48), &changed(words, &[]));
}

#[test]
fn the_state_of_the_time_line_is_said() {
    let size = (160, 48);
    let last =
        |state: &(WatchState, Shared)| text_of("state", size, state).lines().last().unwrap().to_owned();
    let mut state = ready(240, 4, &[]);
    assert!(last(&state).contains("● live") && last(&state).contains("step 240"), "{}", last(&state));
    state.1.query.text = "another".into();
    assert!(last(&state).contains("Q watches it"));
    let held = last(&ready(240, 4, &[Action::First]));
    assert!(held.contains("240 steps behind; End: live"), "{held}");
    let playing = last(&ready(240, 4, &[Action::Play]));
    assert!(playing.contains("playing 4 frames/s"), "{playing}");
    let mut state = ready(400, 4, &[]);
    let done = Event::TrainDone { job: JOB, outcome: TrainOutcome::default() };
    acted(&state.1, &mut Jobs::default(), 9.0, |cx| state.0.on_event(&done, cx));
    assert!(last(&state).contains("the run's end") && last(&state).contains("frame 41 of 41"));
    let mut state = ready(0, 2, &[]);
    let many = events(9000, 10, 9000, &langs(2));
    acted(&state.1, &mut Jobs::default(), 9.0, |cx| many.iter().for_each(|e| state.0.on_event(e, cx)));
    let thinned = last(&state);
    assert!(thinned.contains("thinned: 1 of 4 frames kept") && thinned.contains("step 9000"), "{thinned}");
}

#[test]
fn what_frames_do_not_have_is_said_with_what_to_press() {
    let size = (120, 36);
    let no_lens = text_of("no_lens", size, &changed(|f| f.lens = None, &[]));
    assert!(no_lens.contains("No query in these frames") && no_lens.contains("Pearson r"), "{no_lens}");
    let no_pca = text_of("no_pca", size, &changed(|f| f.pca = None, &[]));
    assert!(no_pca.contains("No languages in these frames") && no_pca.contains("over the steps"), "{no_pca}");
    let mut state = (WatchState::default(), shared(LAYERS, &[]));
    let never = text_of("never", size, &state);
    assert!(never.contains("No run has been watched yet") && never.contains("en de fr hi"), "{never}");
    state.1.query.text.clear();
    assert!(text_of("no_query", size, &state).contains("no query: i chooses an item"));
    let start = &events(400, 10, 0, &langs(4))[..1];
    acted(&state.1, &mut Jobs::default(), 1.0, |cx| state.0.on_event(&start[0], cx));
    assert!(text_of("unasked", size, &state).contains("Press Q to watch the current query"));
    let asked = watched(&shared(LAYERS, &[]), start);
    let soon = text_of("soon", size, &(asked, shared(LAYERS, &[])));
    assert!(
        soon.contains("base model's frame is being computed") && soon.contains("every 10 steps"),
        "{soon}"
    );
    state.0 = WatchState::default();
    state.1.model = None;
    assert!(text_of("no_model", size, &state).contains("press m"));
    // The base alone: its numbers are shown, the step's side waits.
    let base = watched(&shared(LAYERS, &[]), &events(400, 10, 0, &langs(4))[..2]);
    let waiting = text_of("base_alone", size, &(base, shared(LAYERS, &[])));
    assert!(waiting.contains("the first step's frame") && waiting.contains("step 0 follows"), "{waiting}");
}

#[test]
fn axes_stay_while_one_scrubs() {
    let axes = |actions: &[Action]| {
        let (watch, shared) = ready(240, 4, actions);
        let theme = &shots::themes()[0].1;
        let buf = shots::drawn(160, 48, theme, |buf, area| draw(buf, area, &watch, &shared, theme));
        // The rows under the scatters hold the labels of their axes.
        let labels = |l: &str| l.contains("PC1").then(|| l[l.len() - 60..].to_owned());
        shots::lines(&buf).lines().skip(1).filter_map(labels).collect::<Vec<_>>().join("\n")
    };
    assert!(axes(&[]).contains("PC1"));
    assert_eq!(axes(&[]), axes(&[Action::First]));
}

#[test]
fn the_view_is_reached_by_a_key_and_scrubbed_in_the_app() {
    for (w, h) in [(80, 24), (120, 36), (160, 48), (200, 60)] {
        let mut bench = Bench::ready(w, h);
        bench.keys("5b");
        let codes = bench.app.training.watch.set.codes(&bench.app.shared);
        assert_eq!(codes, ["en", "de", "fr", "hi"], "the PCA pane's languages are known");
        bench.app.training.watch.wish(10, &bench.app.shared);
        bench.app.training.watch.begin(JOB);
        events(400, 10, 100, &langs(4)).into_iter().for_each(|e| bench.send(Msg::Engine(e)));
        bench.keys("z<left><left>");
        let buf = screens::draw(&bench.app, Ladder::Rgb);
        shots::show(&format!("watch_app_{w}x{h}"), &buf);
        let text = screens::text(&buf);
        assert!(text.contains("watch it align") && text.contains("step 80"), "{text}");
        assert!(text.contains("sentiment th item 1"), "{text}");
        bench.keys("<home> ");
        bench.wait(260);
        bench.wait(260);
        assert_eq!(bench.app.training.watch.current().map(|(_, k)| k.frame.step), Some(20));
        assert!(bench.app.wake().is_some(), "playing wants ticks");
        bench.keys("<end>");
        assert!(bench.app.training.watch.following() && !bench.app.training.watch.animating());
    }
}

#[test]
fn any_size_is_harmless() {
    let theme = &shots::themes()[0].1;
    for parts in [0, 1, 2] {
        let state = ready(60, 20, &vec![Action::NextPart; parts]);
        for (w, h) in
            [(0, 0), (1, 1), (8, 3), (12, 2), (20, 4), (70, 5), (24, 40), (44, 34), (100, 18), (101, 70)]
        {
            shot("tiny", (w, h), theme, &state);
        }
    }
    // Numbers that are none, and an empty answer.
    let odd = |frame: &mut TrainFrame| {
        for l in &mut frame.pca.as_mut().expect("a plane").runs[0].layers {
            l.pearson.values_mut().for_each(|v| *v = f64::NAN);
            l.points.values_mut().flatten().for_each(|p| *p = [f64::INFINITY, f64::NAN]);
            l.explained_variance_ratio.clear();
        }
        for l in &mut frame.lens.as_mut().expect("a lens").runs[0].layers {
            (l.entropy_bits, l.curves) = (f32::NAN, l.curves.map(|c| Curves { en: f32::NAN, ..c }));
            l.top.clear();
        }
    };
    shot("odd", (160, 48), theme, &changed(odd, &[]));
    let empty = |frame: &mut TrainFrame| {
        (frame.lens, frame.pca) = (Some(LensAnswer::default()), Some(PcaAnswer::default()));
    };
    shot("empty", (160, 48), theme, &changed(empty, &[]));
}
