use super::*;
use crate::app::Action;
use crate::app::panes::fixtures::{acted, shared};
use crate::app::shared::{Jobs, Pane};
use crate::engine::protocol::{CellDetail, Command, Event, TokenText};
use crate::ui::panes::shots;

const INPUT: [&str; 22] = [
    "<bos>",
    "รี",
    "วิว",
    ":",
    " ",
    "ภาพยนตร์",
    "เรื่อง",
    "นี้",
    "ส",
    "นุก",
    "มาก",
    "\n",
    "ความ",
    "รู้สึก",
    ":",
    " \"",
    "บวก",
    "\"",
    "\n",
    "รี",
    "วิว",
    " \"",
];
const GUESSES: [&str; 12] = [
    " positive",
    "positive",
    "บวก",
    "<0xE0>",
    " good",
    "\n\n",
    "积极",
    "\u{0E49}",
    " ",
    "सकारात्मक",
    "the",
    "👩\u{200D}👧",
];

fn entry(i: usize, p: f32) -> TokenP {
    TokenP { id: i as u32, text: GUESSES[i % GUESSES.len()].into(), p }
}

fn cell(layer: usize, position: usize) -> GridCell {
    let wave = ((layer * 7 + position * 13) % 17) as f32 / 17.0;
    let p = (layer as f32 / 18.0).powi(2) * (0.35 + 0.65 * wave);
    GridCell { token: entry(layer * 5 + position * 3, p), entropy_bits: 18.0 * (1.0 - p).powi(2) }
}

/// A pane over 22 Thai tokens of an 18-layer model, with all asked columns but the last.
fn ready(shared: &mut Shared, width: u16, height: u16, open: bool) -> GridPane {
    let mut pane = GridPane::default();
    let mut jobs = Jobs::default();
    shared.tokens = INPUT.iter().map(|t| TokenText { id: 0, text: (*t).into() }).collect();
    let started = Event::LensStarted {
        job: 1,
        tokens: shared.tokens.clone(),
        sets: Default::default(),
        reused_tokens: 0,
    };
    let shared = &*shared;
    let mut commands = acted(shared, &mut jobs, 1.0, |cx| {
        pane.on_query(true, cx);
        pane.on_area(width, height, cx);
        pane.on_event(&started, cx);
        if open {
            pane.on_action(Action::Open, cx);
        }
    });
    while let Some(command) = commands.pop() {
        let answers: Vec<Event> = match command {
            Command::Grid { job, run, from, to, .. } => (from..to - 1)
                .map(|p| Event::GridColumn {
                    job,
                    run,
                    position: p,
                    cells: (0..=18).map(|k| cell(k, p)).collect(),
                })
                .collect(),
            Command::Cell { job, run, layer, position, .. } => {
                let list =
                    |shift: usize| (0..12).map(|i| entry(i + shift, 0.6 * 0.55f32.powi(i as i32))).collect();
                let (residual, after_attention, mlp_output) = (list(0), list(2), list(5));
                let detail =
                    CellDetail { layer, position, residual, after_attention, mlp_output, entropy_bits: 2.0 };
                vec![Event::CellReady { job, run, detail }]
            }
            other => panic!("{other:?}"),
        };
        commands
            .extend(acted(shared, &mut jobs, 1.5, |cx| answers.iter().for_each(|e| pane.on_event(e, cx))));
    }
    pane
}

#[test]
fn snapshots() {
    for (w, h, open) in [(80, 24, false), (80, 24, true), (160, 48, true)] {
        for (name, theme) in shots::themes() {
            let mut shared = shared(18, &[]);
            let pane = ready(&mut shared, w, h, open);
            let buf = shots::drawn(w, h, &theme, |buf, area| draw(buf, area, &pane, &shared, true, &theme));
            let shot = format!("grid_{w}x{h}{}_{name}", if open { "_open" } else { "" });
            shots::show(&shot, &buf);
            if name == "ascii" {
                let furniture = shots::lines(&buf).replace(|c: char| c > '\u{2FF}' && c < '\u{2100}', "");
                assert!(!furniture.contains(['─', '│', '█', '·', '…', '␣']), "{furniture}");
            }
            if name == "nocolour" {
                assert!(buf.content.iter().all(|c| c.fg == c.bg), "a colour was emitted");
            }
            let text = shots::lines(&buf) + &shots::colours(&buf);
            insta::assert_snapshot!(shot, text);
        }
    }
}

#[test]
fn empty_loading_and_error_say_what_to_do() {
    let theme = &shots::themes()[0].1;
    let mut shared = shared(18, &[]);
    let mut pane = GridPane::default();
    let screen = |pane: &GridPane, shared: &Shared| {
        shots::screen(80, 24, theme, |buf, area| draw(buf, area, pane, shared, true, theme))
    };
    assert!(screen(&pane, &shared).contains("e to type a prompt"));
    shared.model = None;
    assert!(screen(&pane, &shared).contains("Press m"));
    shared.model = crate::app::panes::fixtures::shared(18, &[]).model;
    pane = ready(&mut shared, 80, 24, false);
    pane.error = Some("out of memory at layer 3\x1b[2J".into());
    let text = screen(&pane, &shared);
    assert!(text.contains("out of memory at layer 3\\x1B[2J · R asks again"), "{text}");
    let mut jobs = Jobs::default();
    acted(&shared, &mut jobs, 3.0, |cx| pane.on_query(true, cx));
    let buf = shots::drawn(80, 24, theme, |buf, area| draw(buf, area, &pane, &shared, true, theme));
    assert_eq!(buf[(10, 3)].style().fg, theme.stale(Style::new()).fg, "old data is dimmed");
    assert_eq!(title_of(&pane, &shared, Duration::from_secs(4), "·"), "base · top-1 probability");
}

#[test]
fn any_size_is_harmless() {
    let theme = &shots::themes()[0].1;
    for (w, h) in [(0, 0), (1, 1), (3, 2), (7, 4), (20, 3)] {
        for open in [false, true] {
            let mut shared = shared(18, &[]);
            let pane = ready(&mut shared, w, h, open);
            shots::screen(w, h, theme, |buf, area| draw(buf, area, &pane, &shared, true, theme));
        }
    }
}
