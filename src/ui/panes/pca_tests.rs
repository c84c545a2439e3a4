use super::*;
use crate::app::Action;
use crate::app::panes::fixtures::{acted, shared};
use crate::app::panes::pca::PcaPane;
use crate::app::shared::{Jobs, Pane};
use crate::engine::protocol::{Command, Event, Measure, PcaAnswer, PcaLayer, RunId};
use crate::ui::panes::shots;

/// A number in -1..=1 that looks random and is always the same.
fn noise(seed: usize) -> f64 {
    let x = (seed as f64 * 12.9898).sin() * 43_758.547;
    2.0 * (x - x.floor()) - 1.0
}

/// Languages that come together towards the middle layers, more so with an adapter.
fn layer(langs: &[String], layer: usize, last: usize, aligned: bool) -> PcaLayer {
    let depth = layer as f64 / last as f64;
    let apart = 3.0 * (depth - 0.6).abs().powi(2) * if aligned { 0.5 } else { 1.0 } + 0.05;
    let scale = 1.0 + 20.0 * depth;
    let mut out =
        PcaLayer { layer, explained_variance_ratio: vec![0.41 - 0.1 * apart, 0.17], ..PcaLayer::default() };
    for (i, lang) in langs.iter().enumerate() {
        let angle = i as f64 * 2.4;
        let point = |item: usize| {
            let x = 8.0 * apart * angle.cos() + 1.6 * noise(item) + 0.3 * noise(item * 31 + i * 7);
            let y = 5.0 * apart * angle.sin() + 0.6 * noise(item + 99) + 0.3 * noise(item * 17 + i * 3);
            [x * scale, y * scale]
        };
        out.points.insert(lang.clone(), (0..32).map(point).collect());
        for (j, other) in langs.iter().enumerate().skip(i + 1) {
            let pair = format!("{lang}-{other}");
            let v = 1.0 - apart * (0.4 + 0.1 * (j - i) as f64);
            out.pearson.insert(pair.clone(), v);
            let m = Measure { value: v * 0.9, low: v * 0.9 - 0.08, high: v * 0.9 + 0.05, shuffled: 0.11 };
            for measures in [&mut out.cka, &mut out.cosine_gap, &mut out.mexa] {
                measures.insert(pair.clone(), m);
            }
        }
    }
    out
}

fn ready(shared: &Shared, all: bool, actions: &[Action]) -> PcaPane {
    let (mut pane, mut jobs) = (PcaPane::default(), Jobs::default());
    if all {
        pane.languages.preset(2, &*shared.library);
    }
    let asked = acted(shared, &mut jobs, 1.0, |cx| pane.compute(cx));
    let [Command::Pca { job, request }] = &asked[..] else { panic!("{asked:?}") };
    let langs: Vec<String> = request.items.iter().map(|(l, _)| l.clone()).collect();
    let run = |run: &RunId| PcaRun {
        run: *run,
        layers: (0..=26).map(|k| layer(&langs, k, 26, run.is_some())).collect(),
    };
    let runs = request.runs.iter().map(run).collect();
    let answer =
        PcaAnswer { fit_langs: langs.clone(), langs: langs.clone(), n: 32, runs, ..PcaAnswer::default() };
    acted(shared, &mut jobs, 2.0, |cx| {
        pane.on_event(&Event::PcaReady { job: *job, answer, complete: true }, cx);
        actions.iter().for_each(|a| _ = pane.on_action(*a, cx));
    });
    pane
}

fn shot(name: &str, w: u16, h: u16, theme: &Theme, pane: &PcaPane, shared: &Shared) -> Buffer {
    let now = Duration::from_secs(30);
    let buf = shots::drawn(w, h, theme, |buf, area| draw(buf, area, pane, shared, now, theme));
    shots::show(name, &buf);
    buf
}

#[test]
fn snapshots() {
    for (w, h) in [(80, 24), (160, 48)] {
        for (name, theme) in shots::themes() {
            let shared = shared(26, &["zh2en"]);
            let pane = ready(&shared, false, &[]);
            let name = format!("pca_{w}x{h}_{name}");
            let buf = shot(&name, w, h, &theme, &pane, &shared);
            if name.ends_with("nocolour") {
                assert!(buf.content.iter().all(|c| c.fg == c.bg), "a colour was emitted");
            }
            if name.ends_with("ascii") {
                assert!(shots::lines(&buf).is_ascii(), "{}", shots::lines(&buf));
            }
            insta::assert_snapshot!(name, shots::lines(&buf) + &shots::colours(&buf));
        }
    }
}

#[test]
fn snapshots_of_the_other_views() {
    let theme = &shots::themes()[0].1;
    let shared = shared(26, &["zh2en"]);
    use Action as A;
    let views: [(&str, u16, u16, bool, &[Action]); 6] = [
        ("all_languages", 160, 48, true, &[A::First]),
        ("dots", 110, 36, true, &[A::NextRun, A::ToggleMarks, A::ToggleAxes]),
        ("matrix", 160, 48, true, &[A::Open, A::NextRun]),
        ("table", 130, 30, false, &[A::Open, A::Open, A::Down]),
        ("curve", 100, 30, false, &[A::ToggleCurve, A::NextMeasure, A::Play]),
        ("list", 80, 24, false, &[A::ToggleLanguages]),
    ];
    for (name, w, h, all, actions) in views {
        let pane = ready(&shared, all, actions);
        let name = format!("pca_{name}");
        let buf = shot(&name, w, h, theme, &pane, &shared);
        insta::assert_snapshot!(name, shots::lines(&buf));
    }
}

#[test]
fn empty_loading_and_error_say_what_to_do() {
    let theme = &shots::themes()[0].1;
    let mut shared = shared(26, &[]);
    let (mut pane, mut jobs) = (PcaPane::default(), Jobs::default());
    let text = |pane: &PcaPane, shared: &Shared| {
        let now = Duration::from_secs(14);
        shots::screen(80, 24, theme, |buf, area| draw(buf, area, pane, shared, now, theme))
    };
    assert!(text(&pane, &shared).contains("Press c to compute the PCA of en de fr hi."));
    let asked = acted(&shared, &mut jobs, 2.0, |cx| pane.compute(cx));
    let [Command::Pca { job, .. }] = &asked[..] else { panic!("{asked:?}") };
    let progress =
        Event::Progress { job: *job, stage: "hi".into(), done: 64, total: 128, unit: "items".into() };
    acted(&shared, &mut jobs, 2.0, |cx| pane.on_event(&progress, cx));
    let loading = text(&pane, &shared);
    assert!(loading.contains("hi 64/128") && loading.contains("12s so far; X cancels"), "{loading}");
    let failed = Event::Failed { job: *job, message: "hi: the prompt is longer than the context".into() };
    acted(&shared, &mut jobs, 2.0, |cx| pane.on_event(&failed, cx));
    let error = text(&pane, &shared);
    assert!(error.contains("longer than the context") && error.contains("Press c to try again"), "{error}");
    shared.model = None;
    assert!(text(&PcaPane::default(), &shared).contains("Press m"));
    let shared = crate::app::panes::fixtures::shared(26, &[]);
    let mut pane = ready(&shared, false, &[]);
    pane.outdated = true;
    assert!(text(&pane, &shared).contains("c computes again"));
}

#[test]
fn the_mouse_reads_a_point() {
    let theme = &shots::themes()[0].1;
    let shared = shared(26, &[]);
    let mut pane = ready(&shared, false, &[]);
    let screen = |pane: &PcaPane| {
        shots::screen(80, 24, theme, |buf, area| draw(buf, area, pane, &shared, Duration::ZERO, theme))
    };
    assert!(screen(&pane).lines().next().unwrap().contains("item 1"));
    let found = (0..24).flat_map(|y| (0..40).map(move |x| (x, y))).any(|at| {
        pane.mouse = Some(at);
        let text = screen(&pane);
        let first = text.lines().next().unwrap();
        first.contains(" in hi") && !first.contains("item 1 ")
    });
    assert!(found, "no point of hi was found under the mouse");
}

#[test]
fn any_size_is_harmless() {
    let theme = &shots::themes()[0].1;
    let shared = shared(26, &["zh2en"]);
    use Action as A;
    let sets: [&[Action]; 5] =
        [&[], &[A::Open], &[A::Open, A::Open], &[A::ToggleCurve], &[A::ToggleLanguages]];
    for actions in sets {
        let mut pane = ready(&shared, false, actions);
        pane.mouse = Some((3, 3));
        for (w, h) in [(0, 0), (1, 1), (8, 3), (20, 4), (70, 5), (24, 40)] {
            shot("tiny", w.max(1), h.max(1), theme, &pane, &shared);
            shots::screen(w, h, theme, |buf, area| draw(buf, area, &pane, &shared, Duration::ZERO, theme));
        }
    }
}
