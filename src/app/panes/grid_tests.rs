use super::*;
use crate::app::panes::fixtures::{acted, shared};
use crate::app::shared::Jobs;
use crate::engine::protocol::{TokenP, TokenText};

fn tokens(n: usize) -> Vec<TokenText> {
    (0..n).map(|i| TokenText { id: i as u32, text: format!("t{i}") }).collect()
}

fn started(n: usize) -> Event {
    Event::LensStarted { job: 1, tokens: tokens(n), sets: Default::default(), reused_tokens: 0 }
}

fn column(job: JobId, position: usize, layers: usize) -> Event {
    let cell = |k: usize| GridCell {
        token: TokenP { id: 0, text: format!("{position}/{k}"), p: 0.5 },
        entropy_bits: 1.0,
    };
    Event::GridColumn { job, run: None, position, cells: (0..=layers).map(cell).collect() }
}

/// A visible pane of 64 x 12 cells (10 rows of 6 positions) over 40 tokens and 18 layers.
fn ready(pane: &mut GridPane, shared: &Shared, jobs: &mut Jobs) -> Vec<Command> {
    acted(shared, jobs, 0.0, |cx| {
        pane.on_query(true, cx);
        pane.on_area(64, 12, cx);
        pane.on_event(&started(40), cx);
    })
}

fn range(commands: &[Command]) -> Option<(JobId, usize, usize)> {
    match commands {
        [Command::Grid { job, from, to, .. }] => Some((*job, *from, *to)),
        [] => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_visible_columns_and_a_margin_are_asked_for_and_once() {
    let (shared, mut jobs, mut pane) = (shared(18, &[]), Jobs::default(), GridPane::default());
    let (job, from, to) = range(&ready(&mut pane, &shared, &mut jobs)).unwrap();
    assert_eq!((from, to), (31, 40), "six visible at the end, three before");
    assert_eq!((pane.cursor, pane.first), ((18, 39), (0, 34)));
    let more = acted(&shared, &mut jobs, 0.1, |cx| {
        pane.on_event(&column(job, 39, 18), cx);
        pane.on_action(Action::Left, cx);
    });
    assert_eq!(range(&more), None, "the rest is under way");
    let more = acted(&shared, &mut jobs, 0.2, |cx| {
        (31..39).for_each(|p| pane.on_event(&column(job, p, 18), cx));
        assert!(pane.pending.is_none());
        (0..6).for_each(|_| _ = pane.on_action(Action::Left, cx));
    });
    assert!(more.is_empty(), "scrolled into the margin only: {more:?} {:?}", pane.first);
    let more = acted(&shared, &mut jobs, 0.3, |cx| _ = pane.on_action(Action::LineStart, cx));
    assert_eq!(range(&more).map(|r| (r.1, r.2)), Some((0, 9)));
    assert_eq!(pane.cell(18, 39).unwrap().token.text, "39/18");
}

#[test]
fn columns_are_kept_per_query_and_run() {
    let (mut shared, mut jobs, mut pane) = (shared(18, &["zh2en"]), Jobs::default(), GridPane::default());
    let (job, from, to) = range(&ready(&mut pane, &shared, &mut jobs)).unwrap();
    acted(&shared, &mut jobs, 0.0, |cx| (from..to).for_each(|p| pane.on_event(&column(job, p, 18), cx)));
    let asked = acted(&shared, &mut jobs, 0.0, |cx| _ = pane.on_action(Action::NextRun, cx));
    assert!(matches!(asked[..], [Command::Grid { run: Some(0), .. }]));
    assert!(pane.cell(3, 39).is_none());
    let asked = acted(&shared, &mut jobs, 0.0, |cx| _ = pane.on_action(Action::NextRun, cx));
    assert_eq!(asked, []);
    assert!(pane.cell(3, 39).is_some(), "back at the base, all is still there");
    let old = std::mem::replace(&mut shared.query.text, "other".into());
    assert!(range(&ready(&mut pane, &shared, &mut jobs)).is_some());
    assert!(pane.cell(3, 39).is_none());
    shared.query.text = old;
    assert_eq!(range(&ready(&mut pane, &shared, &mut jobs)), None, "the old query's columns were kept");
}

#[test]
fn answers_of_older_jobs_are_dropped_and_hidden_panes_ask_nothing() {
    let (shared, mut jobs, mut pane) = (shared(4, &[]), Jobs::default(), GridPane::default());
    let (job, ..) = range(&ready(&mut pane, &shared, &mut jobs)).unwrap();
    let asked = acted(&shared, &mut jobs, 0.0, |cx| {
        pane.on_query(false, cx);
        pane.on_event(&column(job, 39, 4), cx);
        pane.on_event(&started(7), cx);
    });
    assert_eq!((asked.len(), pane.positions()), (0, 7));
    assert!(pane.cell(0, 6).is_none());
    let asked = acted(&shared, &mut jobs, 0.0, |cx| pane.on_show(cx));
    assert_eq!(range(&asked).map(|r| (r.1, r.2)), Some((0, 7)));
}

#[test]
fn an_opened_cell_follows_the_cursor_and_esc_closes_it() {
    let (shared, mut jobs, mut pane) = (shared(18, &[]), Jobs::default(), GridPane::default());
    ready(&mut pane, &shared, &mut jobs);
    let asked = acted(&shared, &mut jobs, 0.0, |cx| _ = pane.on_action(Action::Open, cx));
    let Some(Command::Cell { job, layer: 18, position: 39, .. }) = asked.last() else { panic!("{asked:?}") };
    let detail = CellDetail { layer: 18, position: 39, entropy_bits: 2.0, ..CellDetail::default() };
    acted(&shared, &mut jobs, 0.0, |cx| {
        pane.on_event(&Event::CellReady { job: *job, run: None, detail: detail.clone() }, cx)
    });
    assert_eq!(pane.detail.as_ref().unwrap().cell, Some(detail));
    let asked = acted(&shared, &mut jobs, 0.0, |cx| _ = pane.on_action(Action::Down, cx));
    assert!(matches!(asked.last(), Some(Command::Cell { layer: 17, .. })));
    let older = Event::Failed { job: *job, message: "late".into() };
    acted(&shared, &mut jobs, 0.0, |cx| pane.on_event(&older, cx));
    assert!(pane.detail.as_ref().unwrap().error.is_none());
    assert!(pane.animating() && pane.job().is_some() && pane.back() && !pane.back());
}

#[test]
fn the_mouse_finds_cells() {
    let (shared, mut jobs, mut pane) = (shared(18, &[]), Jobs::default(), GridPane::default());
    ready(&mut pane, &shared, &mut jobs);
    let mouse = |x, y, kind| PaneMouse { x, y, width: 64, height: 12, kind };
    acted(&shared, &mut jobs, 0.0, |cx| {
        assert!(pane.on_mouse(mouse(4, 1, MouseKind::Move), cx));
        assert_eq!(pane.hover, Some((18, 34)));
        assert!(pane.on_mouse(mouse(63, 10, MouseKind::Click), cx));
        assert_eq!(pane.cursor, (9, 39));
        assert!(!pane.on_mouse(mouse(2, 5, MouseKind::Click), cx));
        assert!(!pane.on_mouse(mouse(30, 11, MouseKind::Click), cx), "the reading line is no cell");
        pane.on_mouse(mouse(30, 5, MouseKind::WheelDown), cx);
        assert_eq!((pane.cursor, pane.first.0), ((6, 39), 3));
    });
}

#[test]
fn failures_and_tiny_areas() {
    let (shared, mut jobs, mut pane) = (shared(18, &[]), Jobs::default(), GridPane::default());
    let (job, ..) = range(&ready(&mut pane, &shared, &mut jobs)).unwrap();
    acted(&shared, &mut jobs, 0.0, |cx| {
        pane.on_event(&Event::Failed { job, message: "out of memory".into() }, cx);
        assert_eq!(pane.error.as_deref(), Some("out of memory"));
        for (w, h) in [(0, 0), (1, 1), (5, 3)] {
            pane.on_area(w, h, cx);
            for a in [Action::Up, Action::Last, Action::LineStart, Action::Open, Action::PageDown] {
                pane.on_action(a, cx);
            }
        }
    });
    let mut empty = GridPane::default();
    acted(&shared, &mut jobs, 0.0, |cx| {
        for a in [Action::Up, Action::Open, Action::LineEnd, Action::NextRun] {
            empty.on_action(a, cx);
        }
        assert!(empty.copy_text(&shared).is_none() && empty.export(&shared).is_none());
    });
}
