use super::*;
use crate::app::PaneId;
use crate::app::panes::fixtures::{acted, shared};
use crate::app::shared::{Jobs, Pane};
use crate::app::testing::Bench;
use crate::app::{Action, Msg};
use crate::engine::protocol::{Command, EvalRecord, EvalRequest, EvalSets, Event, JobId};
use crate::ui::panes::shots;
use crate::ui::screens;
use crate::ui::theme::Ladder;

/// Answers that look like a small model's: the base says "negative" nearly always in some languages, the aligned run
/// less so; one language is refused.
fn answers(job: JobId, request: &EvalRequest) -> Vec<Event> {
    let plan = &request.plan;
    let labels = plan.labels.len();
    let mut sets = vec![EvalSets::default(); plan.langs.len()];
    if let Some(set) = sets.get_mut(3) {
        set.refused =
            Some("after removing shared tokens no token is left for \"bon\"; use --protocol paper".into());
    }
    if let Some(set) = sets.get_mut(1) {
        set.warnings = vec!["The words 好评 and 差评 share the token <0xE5>: it counts for neither.".into()];
    }
    let mut events = vec![Event::EvalStarted { job, sets }];
    for (l, lang) in plan.langs.iter().enumerate().filter(|(l, _)| *l != 3) {
        for (r, run) in request.runs.iter().enumerate() {
            let record = |slot: usize| {
                let gold = slot.checked_sub(lang.free.len()).map_or(0, |i| lang.items[i].gold);
                let noise = |k: usize| {
                    let x = ((slot * 31 + l * 7 + r * 3 + k * 17) as f32 * 12.9898).sin() * 43_758.547;
                    x - x.floor()
                };
                let bias = if r == 0 { [0.1, 0.9, 0.35][l % 3] } else { 0.2 };
                let p = (0..labels).map(|k| {
                    let right = if k == gold { 0.3 } else { 0.0 };
                    0.3 * (right + if k == labels - 1 { bias } else { 0.0 } + 0.6 * noise(k)) + 0.01
                });
                EvalRecord { run: *run, lang: l, slot, p: p.collect(), loglik: Vec::new() }
            };
            let records = (0..lang.slots()).map(record).collect();
            events.push(Event::EvalRecords { job, records, kept: l < 3 });
        }
    }
    events.push(Event::EvalDone { job, elapsed_ms: 61_234.0 });
    events
}

/// The explorer with an evaluation of which so many events have come.
fn evaluated(width: u16, height: u16, keys: &str, events: usize) -> Bench {
    let mut bench = Bench::with_adapter(width, height);
    bench.hold = true;
    bench.keys(&format!("6{keys}c"));
    bench.held.clear();
    bench.hold = false;
    let job = bench.app.eval.job().expect("asked");
    let library = bench.app.shared.library.clone();
    let asked = bench.app.eval.asked.clone();
    let request = EvalRequest { plan: library.eval_plan(&asked.wish).expect("a plan"), runs: asked.runs };
    for (i, event) in answers(job, &request).into_iter().take(events).enumerate() {
        if i == 1 {
            let (stage, unit) = ("en".to_owned(), "answers".to_owned());
            bench.send(Msg::Engine(Event::Progress { job, stage, done: 0, total: 100, unit }));
        }
        bench.clock += Duration::from_millis(700);
        bench.send(Msg::Engine(event));
    }
    bench.wait(200);
    bench
}

fn screen(bench: &Bench, name: &str) -> String {
    let buf = screens::draw(&bench.app, Ladder::Rgb);
    shots::show(name, &buf);
    screens::text(&buf)
}

#[test]
fn snapshots_of_the_table() {
    for (w, h) in [(80, 24), (120, 36), (160, 48), (200, 60)] {
        let name = format!("eval_{w}x{h}");
        insta::assert_snapshot!(name.clone(), screen(&evaluated(w, h, "", usize::MAX), &name));
    }
    for (name, keys) in [("ascii", "TT"), ("light", "T")] {
        let bench = evaluated(120, 36, keys, usize::MAX);
        let name = format!("eval_120x36_{name}");
        insta::assert_snapshot!(name.clone(), screen(&bench, &name));
    }
}

#[test]
fn snapshots_while_answers_come() {
    let mut bench = evaluated(80, 24, "", 12);
    insta::assert_snapshot!("eval_running", screen(&bench, "eval_running"));
    bench.keys("X");
    insta::assert_snapshot!("eval_stopped", screen(&bench, "eval_stopped"));
    let mut bench = evaluated(160, 48, "", 1);
    insta::assert_snapshot!("eval_card_again", screen(&bench, "eval_card_again"));
    bench.keys("X");
    bench.keys("N");
    insta::assert_snapshot!("eval_outdated", screen(&bench, "eval_outdated"));
    for (w, h) in [(80, 24), (120, 36)] {
        let mut bench = Bench::with_adapter(w, h);
        bench.keys("6");
        let name = format!("eval_card_{w}x{h}");
        insta::assert_snapshot!(name.clone(), screen(&bench, &name));
    }
}

#[test]
fn snapshots_of_the_items() {
    for (w, h, keys) in [(80, 24, "jjjjj"), (120, 36, "G"), (160, 48, "kG"), (200, 60, "j")] {
        let mut bench = evaluated(w, h, "", usize::MAX);
        bench.keys(&format!("{keys}<enter>fjj"));
        let name = format!("eval_items_{w}x{h}");
        insta::assert_snapshot!(name.clone(), screen(&bench, &name));
    }
    let mut bench = evaluated(80, 24, "", usize::MAX);
    bench.keys("jjj<enter>");
    assert!(screen(&bench, "eval_refused").contains("no token is left for"), "the reason is given in full");
    let mut bench = evaluated(200, 60, "", usize::MAX);
    bench.keys("<enter><enter>");
    insta::assert_snapshot!("eval_beside_the_lens", screen(&bench, "eval_beside_the_lens"));
}

#[test]
fn one_run_alone_and_three_labels() {
    let mut bench = evaluated(80, 24, "A", usize::MAX);
    insta::assert_snapshot!("eval_alone", screen(&bench, "eval_alone"));
    bench.keys("vvd");
    assert!(screen(&bench, "eval_alone_auc").contains("bars: AUC"));
    for (w, h) in [(80, 24), (160, 48)] {
        let mut bench = evaluated(w, h, "tnli<enter>", usize::MAX);
        let text = screen(&bench, &format!("eval_nli_{w}x{h}"));
        assert!(text.contains("█en ░ne ▓co") && text.contains("▓▓▓▓▓!█░▓▓▓"), "{text}");
        bench.keys("j<enter>j");
        let text = screen(&bench, &format!("eval_nli_items_{w}x{h}"));
        for part in ["premise, hypothesis", "→ entailment 蕴含", "  contradiction 矛盾"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn a_model_that_always_answers_the_same_is_seen_without_colour() {
    let bench = evaluated(80, 24, "", usize::MAX);
    let buf = screens::draw(&bench.app, Ladder::None);
    use ratatui::style::Color::Reset;
    assert!(buf.content().iter().all(|c| c.fg == Reset && c.bg == Reset));
    let text = screens::text(&buf);
    let zh = text.lines().find(|l| l.contains("│zh ")).expect("a row");
    assert!(zh.contains("░░░░░!"), "{zh}");
    let en = text.lines().find(|l| l.contains("│en ")).expect("a row");
    assert!(!en.contains('!') && en.contains("█░"), "{en}");
}

#[test]
fn the_state_is_said_in_words() {
    let mut bench = evaluated(80, 24, "", 9);
    let job = bench.app.eval.job().expect("it runs");
    bench.send(Msg::Engine(Event::Failed {
        job,
        message: "es: the prompt has 9000 tokens, more than the model reads".into(),
    }));
    let text = screen(&bench, "eval_failed");
    assert!(text.contains("es: the prompt has 9000 tokens") && text.contains("zh "), "{text}");
    let mut bench = Bench::new(80, 24);
    bench.keys("6");
    assert!(screen(&bench, "eval_no_model").contains("Press m to choose one"));
    let mut bench = evaluated(120, 36, "", 0);
    let job = bench.app.eval.job().expect("it runs");
    let (stage, unit) = ("hashing the model".to_owned(), "bytes".to_owned());
    let progress = Event::Progress { job, stage, done: 120_000_000, total: 241_000_000, unit };
    bench.send(Msg::Engine(progress));
    let text = screen(&bench, "eval_hashing");
    assert!(text.contains("Preparing: hashing the model: 120 MB of 241 MB"), "{text}");
}

#[test]
fn any_size_and_any_state_is_harmless() {
    let theme = &shots::themes()[0].1;
    for (runs, events, keys) in
        [(1, 0, ""), (1, 3, ""), (2, usize::MAX, ""), (2, usize::MAX, "o"), (2, 5, "o"), (3, usize::MAX, "l")]
    {
        let names = ["one", "two"];
        let shared = shared(3, &names[..runs - 1]);
        let (mut pane, mut jobs) = (EvalPane::default(), Jobs::default());
        let asked = acted(&shared, &mut jobs, 1.0, |cx| pane.compute(cx));
        let [Command::Eval { job, request }] = &asked[..] else { panic!("{asked:?}") };
        acted(&shared, &mut jobs, 2.0, |cx| {
            answers(*job, request).iter().take(events).for_each(|e| pane.on_event(e, cx));
            match keys {
                "o" => _ = pane.on_action(Action::Open, cx),
                "l" => _ = pane.on_action(Action::ToggleLanguages, cx),
                _ => {}
            }
        });
        for (w, h) in [(0, 0), (1, 1), (8, 3), (20, 4), (70, 5), (24, 40), (38, 20), (107, 9), (300, 100)] {
            let scene = Scene { pane: &pane, shared: &shared, now: Duration::from_secs(9), theme };
            shots::screen(w, h, theme, |buf, area| draw(buf, area, &scene, true));
        }
    }
}

#[test]
fn numbers_are_short_and_keep_their_signs() {
    assert_eq!(
        (share(Some(0.71875)), share(Some(1.0)), share(None)),
        (".719".into(), "1.00".into(), "-".into())
    );
    assert_eq!((share(Some(0.0)), share(Some(f64::NAN))), (".000".into(), "-".into()));
    assert_eq!(
        (gain(Some(0.0625)), gain(Some(-0.0312)), gain(Some(-1.0))),
        ("+.062".into(), "-.031".into(), "-1.00".into())
    );
    assert_eq!((gain(Some(1e-9)), gain(None)), ("0".into(), "-".into()));
    assert_eq!(
        (p_value(1.0), p_value(0.0834), p_value(2.1e-5)),
        ("1".into(), ".083".into(), "2.1e-5".into())
    );
    assert_eq!(PaneId::Eval.number(), 6);
}
