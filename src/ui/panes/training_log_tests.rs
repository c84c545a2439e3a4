use super::*;
use crate::app::Action;
use crate::train::log::{LogRecord, Update};
use crate::ui::panes::shots;

/// A number in -1..=1 that looks random and is always the same.
fn noise(seed: u32) -> f64 {
    let x = (f64::from(seed) * 12.9898).sin() * 43_758.547;
    2.0 * (x - x.floor()) - 1.0
}

/// `done` of 178 logged records of a run like the paper's: warm-up, cosine, an evaluation every 50 steps.
fn run(done: u32) -> Vec<Update> {
    let mut updates = vec![Update::Restarted { path: "saves/zh2en/trainer_log.jsonl".into() }];
    for i in 1..=done {
        let step = f64::from(i) * 10.0;
        let share = step / 1780.0;
        let lr = if share < 0.1 {
            5e-5 * share / 0.1
        } else {
            2.5e-5 * (1.0 + ((share - 0.1) / 0.9 * std::f64::consts::PI).cos())
        };
        let trend = 0.9 + 1.4 * (-share * 5.0).exp();
        let record = LogRecord {
            step: Some(step),
            total_steps: Some(1780.0),
            loss: Some(trend * (1.0 + 0.08 * noise(i))),
            lr: Some(lr),
            epoch: Some(3.0 * share),
            percentage: Some(100.0 * share),
            elapsed_s: Some(step * 1.7),
            remaining_s: Some((1780.0 - step) * 1.7),
            throughput: Some(1850.0 + 120.0 * noise(i + 900)),
            total_tokens: Some(step * 3100.0),
            grad_norm: Some(0.8 + 0.5 * noise(i + 55).abs()),
            ..LogRecord::default()
        };
        updates.push(Update::Record(record));
        if i % 5 == 0 {
            let eval = LogRecord { step: Some(step), eval_loss: Some(trend + 0.03), ..LogRecord::default() };
            updates.push(Update::Record(eval));
        }
    }
    updates.push(Update::Status { age_s: 4.0, read: 100, size: 100 });
    updates
}

fn fed(updates: Vec<Update>, actions: &[Action]) -> Curves {
    let mut pane = Curves::default();
    pane.on_log(&Ok(updates), Duration::from_secs(10));
    actions.iter().for_each(|a| _ = pane.on_action(*a));
    pane
}

fn shot(name: &str, w: u16, h: u16, theme: &Theme, pane: &Curves, now: u64) -> Buffer {
    let path = Path::new("saves/zh2en");
    let buf = shots::drawn(w, h, theme, |buf, area| {
        draw(buf, area, pane, Some(path), Duration::from_secs(now), theme)
    });
    shots::show(name, &buf);
    buf
}

#[test]
fn snapshots() {
    for (w, h) in [(80, 24), (160, 48)] {
        for (name, theme) in shots::themes() {
            let pane = fed(run(120), &[]);
            let name = format!("training_{w}x{h}_{name}");
            let buf = shot(&name, w, h, &theme, &pane, 12);
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
fn what_the_run_does_is_said() {
    let theme = &shots::themes()[0].1;
    let first = |pane: &Curves, now: u64| {
        let text = shots::lines(&shot("training_state", 100, 24, theme, pane, now));
        text.lines().next().unwrap().to_owned()
    };
    let running = fed(run(120), &[]);
    assert_eq!(first(&running, 12), "● running   updated 6s ago   elapsed 34m00s   left 16m20s");
    assert!(first(&running, 900).starts_with("✗ stalled   nothing new for 14m54s: it ended early or hangs"));
    let finished = fed(run(178), &[]);
    assert!(first(&finished, 900).starts_with("✓ finished   14m54s ago   elapsed 50m26s"));
    let mut updates = run(30);
    updates.extend([
        Update::Damaged { line: 31, reason: "it is not JSON".into() },
        Update::Record(LogRecord { step: Some(310.0), loss: Some(f64::NAN), ..LogRecord::default() }),
        Update::Record(LogRecord { step: Some(250.0), loss: Some(1.0), ..LogRecord::default() }),
    ]);
    let pane = fed(updates, &[Action::Left, Action::ToggleLogScale, Action::ToggleRecent]);
    let text = shots::lines(&shot("training_notes", 130, 24, theme, &pane, 12));
    let last = text.lines().last().unwrap();
    for part in [
        "step 2",
        "NaN or infinite once",
        "1 damaged line left out (line 31: it is not JSON)",
        "resumed once",
    ] {
        assert!(last.contains(part), "{part}: {text}");
    }
    assert!(text.contains("log scale") && text.contains("recent"));
}

#[test]
fn empty_waiting_and_error_say_what_to_do() {
    let theme = &shots::themes()[0].1;
    let text = |pane: &Curves, path: Option<&str>| {
        let now = Duration::from_secs(3);
        let text = shots::screen(80, 24, theme, |b, a| draw(b, a, pane, path.map(Path::new), now, theme));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut pane = Curves::default();
    assert!(text(&pane, None).contains("Press o and give a run's directory"));
    assert!(text(&pane, None).contains("--train-log PATH"));
    assert!(text(&pane, Some("a/b.jsonl")).contains("first record of a/b.jsonl"));
    pane.waiting = Some("a/b.jsonl to appear".into());
    assert!(text(&pane, Some("a/b.jsonl")).contains("Waiting for a/b.jsonl to appear"));
    pane.error = Some("cannot read a/b.jsonl: permission denied".into());
    assert!(text(&pane, Some("a/b.jsonl")).contains("permission denied It is tried again by itself"));
}

#[test]
fn any_size_and_any_run_is_harmless() {
    let theme = &shots::themes()[0].1;
    let odd = |loss: f64| {
        let record =
            LogRecord { step: Some(1e15), loss: Some(loss), lr: Some(-loss), ..LogRecord::default() };
        vec![Update::Record(record), Update::Record(LogRecord { eval_loss: Some(loss), ..record })]
    };
    for updates in [run(1), run(120), odd(f64::NAN), odd(f64::INFINITY), odd(1e308), odd(-1.0)] {
        let pane = fed(updates, &[Action::ToggleLogScale, Action::Left]);
        for (w, h) in [(0, 0), (1, 1), (10, 4), (30, 9), (200, 7), (110, 60)] {
            shots::screen(w, h, theme, |b, a| draw(b, a, &pane, None, Duration::ZERO, theme));
        }
    }
}

#[test]
fn long_paths_show_their_end() {
    assert_eq!(tail(Path::new("a/b.jsonl"), 20, "…"), "a/b.jsonl");
    assert_eq!(
        tail(Path::new("/very/long/directory/run/trainer_log.jsonl"), 26, "…"),
        "…/run/trainer_log.jsonl"
    );
}
