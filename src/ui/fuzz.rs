//! Random keys, mouse, pastes and events, each followed by a drawing: nothing may panic.

use super::screens::draw;
use super::theme::Ladder;
use crate::app::testing::{Bench, eval_events, layer, lens_events};
use crate::app::{App, MouseKind, Msg, action, keys, testing_train};
use crate::engine::protocol::*;
use std::time::Duration;

/// Events of every kind, with job numbers and indices right and wrong.
fn any_event(pick: usize, app: &App) -> Event {
    let job = [app.lens.job.unwrap_or(1), 0, 3, JobId::MAX][pick % 4];
    let run = [None, Some(0), Some(7)][pick % 3];
    let mut odd = layer(pick % 40, run, &app.shared.query, pick.is_multiple_of(2));
    odd.entropy_bits = [f32::NAN, f32::INFINITY, -1.0, 3.0][pick % 4];
    odd.top.truncate(pick % 3);
    if pick.is_multiple_of(5) {
        return any_eval(pick, app);
    }
    if pick.is_multiple_of(7) {
        return any_training(pick, app);
    }
    match pick / 7 % 9 {
        0 => Event::LensLayers { job, run, layers: vec![odd] },
        1 => Event::Failed { job, message: "An odd \u{1b}[31m failure.".into() },
        2 => Event::Cancelled { job },
        3 => Event::Progress {
            job,
            stage: "odd".into(),
            done: 9,
            total: (pick % 5) as u64,
            unit: "items".into(),
        },
        4 => Event::AdapterLoaded { job, index: pick % 9, info: AdapterInfo::default() },
        5 => Event::GridColumn { job, run, position: pick, cells: Vec::new() },
        6 => Event::CellReady { job, run, detail: CellDetail { layer: pick, ..CellDetail::default() } },
        7 => Event::PcaReady { job, answer: PcaAnswer::default(), complete: pick.is_multiple_of(2) },
        _ => lens_events(job, &app.shared.query, &[run]).swap_remove(pick % 8),
    }
}

/// Events of an evaluation, the running one's mostly, whole or damaged.
fn any_eval(pick: usize, app: &App) -> Event {
    let running = app.eval.running.as_ref().map_or(2, |r| r.job);
    let job = if pick.is_multiple_of(3) { 2 } else { running };
    let wish = app.eval.asked.wish.clone();
    let plan = app.shared.library.eval_plan(&wish).unwrap_or_default();
    let mut events = eval_events(job, &EvalRequest { plan, runs: app.eval.asked.runs.clone() });
    events.push(Event::EvalDone { job, elapsed_ms: f64::NAN });
    events.push(Event::Note { job, sentence: "An odd \u{1b}[31m note.".into() });
    let (stage, unit) = ("hi".to_owned(), ["bytes", "answers"][pick % 2].to_owned());
    events.push(Event::Progress { job, stage, done: pick as u64, total: (pick % 3 * 100) as u64, unit });
    let mut event = events.swap_remove(pick / 3 % events.len());
    match &mut event {
        Event::EvalRecords { records, .. } => {
            for record in records.iter_mut().filter(|_| pick.is_multiple_of(4)) {
                record.lang += pick % 30;
                record.p.iter_mut().for_each(|p| *p = [f32::NAN, 0.0, 1.0, f32::INFINITY][pick / 4 % 4]);
                record.p.truncate(1 + pick % 2);
            }
        }
        Event::EvalStarted { sets, .. } => {
            sets.truncate(pick % 25);
            if let Some(set) = sets.first_mut() {
                set.refused = Some("no token\u{7} is left".into());
            }
        }
        _ => {}
    }
    event
}

/// Events of a training run, the one that goes on mostly, with numbers sound and odd.
fn any_training(pick: usize, app: &App) -> Event {
    let job = app.training.run.as_ref().map_or(1, |r| r.job);
    let odd = [f64::NAN, f64::INFINITY, -1.0, 1e300, 0.0, 2.5][pick / 7 % 6];
    let n = [0, 7, 51, u64::MAX][pick / 42 % 4];
    let path = std::path::PathBuf::from("runs/\u{1b}[31m ภาษา");
    let plan = TrainPlan { total_steps: n, estimate_s: Some(odd), cut: pick, ..TrainPlan::default() };
    let step =
        TrainStep { step: n, loss: odd, remaining_s: odd, elapsed_s: odd, ..testing_train::step(5, 51) };
    match pick / 168 % 10 {
        0 => Event::TrainStarted { job, plan },
        1 => Event::TrainPlanned { job: app.jobs.clone().issue().saturating_sub(1), plan },
        2 => Event::TrainValidated { job, step: n, eval_loss: odd, best: pick.is_multiple_of(2) },
        3 => Event::TrainSaved { job, step: n, path },
        4 => Event::TrainPaused { job, paused: pick.is_multiple_of(2) },
        5 => Event::Progress { job, stage: "odd".into(), done: n, total: 3, unit: "bytes".into() },
        6 if pick.is_multiple_of(4) => {
            let end =
                [TrainEnd::Finished, TrainEnd::Early, TrainEnd::Stopped, TrainEnd::Discarded][pick / 4 % 4];
            let outcome =
                TrainOutcome { end, path, loss: Some(odd), elapsed_s: odd, ..TrainOutcome::default() };
            Event::TrainDone { job, outcome }
        }
        7 if pick.is_multiple_of(4) => Event::Failed { job, message: "An odd \u{7} end.".into() },
        _ => Event::TrainStep { job, step },
    }
}

#[test]
fn no_sequence_of_keys_and_events_panics_and_every_screen_can_be_drawn() {
    const SIZES: [(u16, u16); 8] =
        [(80, 24), (120, 40), (200, 60), (60, 16), (1, 1), (0, 0), (161, 25), (110, 17)];
    let all = action::KEYS.iter().flat_map(|b| b.keys).filter(|k| !["q", "C-c", "C-z"].contains(k));
    let bound: Vec<&str> = all.copied().collect();
    let typed = ["ก", "\u{e35}", "积", "👩", "a", " ", "/", "esc", "enter", "esc", "backspace", "up", "down"];
    for seed in 1..=12_u64 {
        let mut state = seed;
        let mut next = |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        let mut bench = if seed % 3 == 0 { Bench::new(80, 24) } else { Bench::with_adapter(120, 40) };
        for _ in 0..400 {
            bench.clock += Duration::from_millis(next(200) as u64);
            match next(10) {
                0 => {
                    let (width, height) = SIZES[next(SIZES.len())];
                    bench.send(Msg::Resize { width, height });
                }
                1 => {
                    let event = any_event(next(5000), &bench.app);
                    bench.send(Msg::Engine(event));
                }
                2 => {
                    let kinds = [MouseKind::Click, MouseKind::WheelUp, MouseKind::WheelDown, MouseKind::Move];
                    let (x, y, kind) = (next(210) as u16, next(65) as u16, kinds[next(4)]);
                    bench.send(Msg::Mouse { x, y, kind });
                }
                3 => bench.send(Msg::Paste("ภาษา\u{301}\u{200d}🇹🇭\n\t".repeat(next(9)))),
                4 => bench.wait(120),
                5 => bench.hold = next(2) == 0,
                6 => bench.release(next(9)),
                7 => {
                    let key = keys::KeyInput::parse(typed[next(typed.len())]).expect("a key");
                    bench.send(Msg::Key(key));
                }
                _ => {
                    let key = keys::KeyInput::parse(bound[next(bound.len())]).expect("a key");
                    bench.send(Msg::Key(key));
                }
            }
            draw(&bench.app, Ladder::Rgb);
        }
    }
}
