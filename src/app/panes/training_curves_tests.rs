use super::*;

fn record(step: f64, loss: f64) -> Update {
    Update::Record(LogRecord {
        step: Some(step),
        total_steps: Some(100.0),
        loss: Some(loss),
        elapsed_s: Some(step * 2.0),
        ..LogRecord::default()
    })
}

fn status(age_s: f64) -> Update {
    Update::Status { age_s, read: 10, size: 10 }
}

fn restarted() -> Update {
    Update::Restarted { path: "run/trainer_log.jsonl".into() }
}

fn fed(pane: &mut Curves, at: f64, updates: Vec<Update>) {
    pane.on_log(&Ok(updates), s(at));
}

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn from_waiting_to_finished() {
    let mut pane = Curves::default();
    assert_eq!(pane.state(s(0.0)), LogState::Waiting);
    fed(&mut pane, 1.0, vec![restarted(), record(10.0, 2.0), record(20.0, 1.0), status(3.0)]);
    assert_eq!((pane.state(s(1.0)), pane.age(s(6.0))), (LogState::Running, Some(8.0)));
    assert_eq!(pane.trace(Metric::Speed).last(), Some((20.0, 0.5)), "10 steps in 20 seconds");
    assert_eq!(pane.left(s(1.0)), Some(40.0 * 4.0 - 3.0), "four times what has passed, less the file's age");
    // 20 s between records: silent for 200 s before it is called stalled.
    assert_eq!(pane.state(s(190.0)), LogState::Running);
    assert_eq!(pane.state(s(300.0)), LogState::Stalled(302.0));
    fed(&mut pane, 301.0, vec![record(100.0, 0.5), status(0.0)]);
    assert_eq!((pane.state(s(9999.0)), pane.done()), (LogState::Finished, Some(1.0)));
    assert_eq!(pane.left(s(9999.0)), Some(0.0));
}

#[test]
fn a_replaced_file_forgets_the_old_run_but_keeps_the_view() {
    let mut pane = Curves { log_scale: true, ..Curves::default() };
    fed(
        &mut pane,
        1.0,
        vec![restarted(), record(50.0, 2.0), Update::Damaged { line: 2, reason: "x".into() }],
    );
    assert_eq!((pane.records, pane.damaged), (1, 1));
    fed(&mut pane, 2.0, vec![restarted(), record(10.0, 3.0)]);
    assert_eq!((pane.records, pane.damaged, pane.resumed, pane.log_scale), (1, 0, 0, true));
    assert_eq!(pane.trace(Metric::Loss).raw(false), [(10.0, 3.0)]);
}

#[test]
fn a_resumed_run_has_a_gap_and_nan_is_counted() {
    let mut pane = Curves::default();
    let updates = [(10.0, 2.0), (20.0, f64::NAN), (15.0, 1.8)].map(|(step, loss)| record(step, loss));
    fed(&mut pane, 1.0, std::iter::once(restarted()).chain(updates).collect());
    assert_eq!((pane.resumed, pane.not_finite), (1, 1));
    let raw = pane.trace(Metric::Loss).raw(false);
    assert_eq!(raw.len(), 4);
    assert!(raw[1].1.is_nan() && raw[2].1.is_nan());
}

#[test]
fn keys_switch_between_what_the_log_has() {
    let mut pane = Curves::default();
    for binding in crate::app::action::KEYS {
        pane.on_action(binding.action);
    }
    assert_eq!(pane.metric, Metric::Loss);
    pane = Curves::default();
    fed(&mut pane, 1.0, vec![restarted(), record(10.0, 2.0), record(20.0, 1.0), record(60.0, 0.5)]);
    {
        assert_eq!(pane.metrics(), [Metric::Loss, Metric::Speed]);
        pane.on_action(Action::NextMeasure);
        assert_eq!(pane.metric, Metric::Speed);
        pane.on_action(Action::NextMeasure);
        assert_eq!((pane.metric, pane.reading()), (Metric::Loss, None));
        pane.on_action(Action::LineStart);
        assert_eq!(pane.reading(), Some((10.0, 2.0)));
        (0..12).for_each(|_| _ = pane.on_action(Action::Right));
        assert_eq!(pane.reading(), Some((20.0, 1.0)));
        assert!(pane.back() && !pane.back());
        assert_eq!(pane.copy_text().as_deref(), Some("60\t0.5"));
    }
}

#[test]
fn an_error_stays_until_the_file_can_be_read_again() {
    let mut pane = Curves::default();
    pane.on_log(&Err("no permission".into()), s(0.0));
    assert_eq!(pane.error.as_deref(), Some("no permission"));
    fed(&mut pane, 1.0, vec![Update::Waiting { what: "x to appear".into() }]);
    assert_eq!((pane.error.as_deref(), pane.waiting.as_deref()), (None, Some("x to appear")));
    fed(&mut pane, 1.0, vec![restarted(), status(0.0)]);
    assert_eq!(pane.waiting, None);
}
