use crate::app::Msg;
use crate::app::panes::training_fields::{Field, rows};
use crate::app::testing::Bench;
use crate::engine::protocol::{Event, TrainEnd};
use crate::ui::panes::shots;
use crate::ui::screens::draw;
use crate::ui::theme::Ladder;

/// The form with its plan.
fn form(width: u16, height: u16) -> Bench {
    let mut bench = Bench::ready(width, height);
    bench.keys("5");
    bench.settle();
    bench
}

fn running(width: u16, height: u16, steps: u64) -> Bench {
    let mut bench = form(width, height);
    bench.keys("c");
    bench.steps(1, steps);
    bench
}

/// A picture for the eye, the characters for the snapshot.
fn shot(name: &str, bench: &Bench) -> String {
    let buf = draw(&bench.app, Ladder::Rgb);
    shots::show(name, &buf);
    shots::lines(&buf)
}

fn kept(name: &str, bench: &Bench) {
    let text = shot(name, bench);
    insta::assert_snapshot!(name, text);
}

#[test]
fn the_form_at_every_size() {
    for (width, height) in [(80, 24), (120, 36), (160, 48), (200, 60)] {
        kept(&format!("form_{width}x{height}"), &form(width, height));
    }
    let mut bench = form(160, 48);
    bench.keys("z");
    kept("form_zoomed", &bench);
}

#[test]
fn the_form_in_other_themes() {
    let mut bench = form(80, 24);
    bench.keys("TT");
    let text = shot("form_ascii", &bench);
    let pane: Vec<&str> = text.lines().filter(|l| l.contains("modules") || l.contains("rank")).collect();
    assert!(pane.len() == 2 && pane.iter().all(|l| l.is_ascii()), "{pane:?}");
    let mut bench = form(120, 36);
    bench.keys("T");
    shot("form_light", &bench);
    let buf = draw(&bench.app, Ladder::None);
    assert!(buf.content().iter().all(|c| c.fg == c.bg), "a colour was emitted");
}

#[test]
fn tight_places_keep_the_line_and_the_start() {
    let tight = |name: &str, mut bench: Bench| {
        bench.app.training.form.selected = Field::Seed;
        let text = shot(name, &bench);
        for words in ["seed ", "validate ", "c starts", "Decides"] {
            assert!(text.contains(words), "{name}: no {words:?} in {text}");
        }
    };
    tight("form_60x16", form(60, 16));
    let mut bench = Bench::with_adapter(160, 48);
    bench.keys("5");
    bench.settle();
    tight("form_beside_two_runs", bench);
    let mut bench = form(80, 24);
    bench
        .app
        .messages
        .warn("The adapters belonged to the model before and are no longer loaded: a loads some.");
    bench.wait(1);
    tight("form_with_message", bench);
}

#[test]
fn a_run_at_every_size() {
    for (width, height) in [(80, 24), (120, 36), (160, 48), (200, 60)] {
        let mut bench = running(width, height, 30);
        if width >= 160 {
            bench.keys("z");
        }
        kept(&format!("run_{width}x{height}"), &bench);
    }
}

#[test]
fn what_the_form_says_of_wrong_values_and_while_typing() {
    let mut bench = form(80, 24);
    bench.keys("jjjjj<enter><backspace>5e-<enter>");
    let text = shot("form_wrong", &bench);
    assert!(text.contains("is not"), "{text}");
    bench.keys("<enter>7");
    shot("form_typing", &bench);
    let mut bench = form(120, 36);
    bench.keys("/");
    shot("form_list", &bench);
}

#[test]
fn states_of_a_run_are_said() {
    let mut bench = running(80, 24, 30);
    let first = |bench: &Bench| shot("run_state", bench);
    bench.keys(" ");
    assert!(first(&bench).contains("‖ paused"));
    assert!(first(&bench).contains("train 59 % paused"), "{}", first(&bench));
    bench.keys(" 2");
    let header = first(&bench);
    assert!(header.lines().next().is_some_and(|l| l.contains("train 59 % loss")), "{header}");
    bench.keys("5X");
    kept("run_stop_asked", &bench);
    bench.keys("<esc>q");
    kept("run_quit_asked", &bench);
    bench.keys("d");
    shot("run_discard_asked", &bench);
    bench.keys("<esc>");
    let job = bench.app.training.active().map(|r| r.job).expect("it goes on");
    let message = "The loss is not a number at step 31: a lower rate than 5e-5 may help.".to_owned();
    bench.send(Msg::Engine(Event::Failed { job, message }));
    let text = shot("run_failed", &bench);
    assert!(
        text.contains("✗ failed")
            && text.contains("is not a number at step 31")
            && text.contains("starts anew")
    );
}

#[test]
fn a_finished_run_says_what_came_of_it() {
    let mut bench = running(160, 48, 30);
    shot("run_beside_the_lens", &bench);
    bench.keys("o");
    shot("ask_log", &bench);
    for (width, height) in [(80, 24), (120, 36)] {
        let mut bench = running(width, height, 51);
        bench.finish(TrainEnd::Finished);
        kept(&format!("finished_{width}x{height}"), &bench);
    }
    let mut bench = running(120, 36, 51);
    bench.keys("3");
    bench.finish(TrainEnd::Finished);
    let text = shot("finished_elsewhere", &bench);
    assert!(
        text.contains("the adapter is in runs/zh+es-en-1") && text.contains("train finished: 5"),
        "{text}"
    );
}

#[test]
fn before_the_first_step_and_without_a_model() {
    let mut bench = form(80, 24);
    bench.hold = true;
    bench.keys("c");
    assert!(shot("run_reading", &bench).contains("Reading the data."));
    bench.release(1);
    assert!(shot("run_reading", &bench).contains("reading zh: 12 of 137 items"));
    bench.release(1);
    let text = shot("run_first_step", &bench);
    assert!(text.contains("The first step is being computed.") && text.contains("274 samples, 14 held out"));
    let mut bench = Bench::new(80, 24);
    bench.keys("5");
    assert!(shot("form_no_model", &bench).contains("on its way"));
}

#[test]
fn every_field_is_reachable_and_nothing_is_cut_mid_word() {
    let mut bench = form(80, 24);
    for field in rows().flatten() {
        bench.app.training.form.selected = *field;
        let text = shot("form_each", &bench);
        let flat = text.split_whitespace().filter(|w| *w != "│").collect::<Vec<_>>().join(" ");
        let meaning = field.meaning();
        assert!(flat.contains(meaning), "{field:?}: {text}");
        assert!(flat.contains("3 samples are cut"), "{field:?}: {text}");
    }
}
