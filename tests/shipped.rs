//! The sessions that come with the program: small, whole, readable anywhere, and what the model really says.

#[path = "common/model.rs"]
mod model;

use model::model_file;
use polylens::app::ThemeKind;
use polylens::app::bundle::Bundle;
use polylens::app::replay::{Line, Track, What};
use polylens::engine::control::Cancel;
use polylens::engine::protocol::*;
use polylens::engine::{Engine, fingerprint::text_hash};
use polylens::session::shipped::{SHIPPED, Shipped};
use polylens::session::{Kind, SessionFile};
use polylens::ui::{Ladder, Theme, view};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::path::Path;
use std::sync::Arc;

/// Machines' kernels round differently.
const TOLERANCE: f32 = 1e-3;
const SIZES: [(u16, u16); 2] = [(80, 24), (200, 60)];

/// The file as it lies in the repository.
fn bytes(shipped: &Shipped) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sessions/{}.jsonl", shipped.name));
    std::fs::read(path).expect("sessions/ has it")
}

fn open(shipped: &Shipped) -> Arc<SessionFile> {
    Arc::new(SessionFile::from_bytes(shipped.name, Arc::new(bytes(shipped))).expect(shipped.name))
}

fn play(file: &Arc<SessionFile>) -> Track {
    let (library, _) = Bundle::with(None).expect("the bundled tasks");
    let mut track = Track::new(file.clone(), Arc::new(library));
    while track.step().expect("every line is sound") {}
    track
}

fn screen(track: &Track, size: (u16, u16)) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    view::render(&mut buf, &track.view(size), &Theme::new(ThemeKind::Dark, Ladder::Rgb));
    buf
}

#[test]
fn there_are_five_each_small_and_with_words_of_its_own() {
    let names: Vec<&str> = SHIPPED.iter().map(|s| s.name).collect();
    assert_eq!(names, ["tour", "six-scripts", "aligned", "alignment", "evaluation"]);
    for shipped in SHIPPED {
        let name = shipped.name;
        assert!(shipped.text == bytes(shipped), "{name} in the program is the file in sessions/");
        assert!(shipped.text.len() < 2_000_000, "{name}: {} bytes", shipped.text.len());
        let file = open(shipped);
        assert_eq!(file.cut, None, "{name} is whole");
        assert!(!file.header.title.is_empty() && file.header.title.len() <= 40, "{name}");
        assert!(file.header.about.chars().count() > 40 && file.header.about.chars().count() <= 130, "{name}");
        let seconds = file.end() / 1000;
        assert!((60..=180).contains(&seconds), "{name} takes {seconds} s");
        let notes = file.notes();
        assert!(notes.len() >= 8, "{name} tells its story");
        for (t, note) in notes {
            assert!(note.text.chars().count() <= 120, "{name} at {t}: {}", note.text);
        }
        assert!(file.marks().len() >= 2, "{name} has places to jump to");
    }
}

#[test]
fn none_has_a_path_of_the_machine_it_was_made_on() {
    for shipped in SHIPPED {
        let text = String::from_utf8(bytes(shipped)).expect("UTF-8");
        for place in ["\"/tmp", "/tmp/", "/root", "/home/", "\"/work", "/Users/", "Users\\\\"] {
            let at = text
                .find(place)
                .map(|at| text[at.saturating_sub(60)..].chars().take(120).collect::<String>());
            assert_eq!(at, None, "{}: {place}", shipped.name);
        }
    }
}

#[test]
fn each_replays_twice_to_the_same_end_on_small_and_large_screens() {
    for shipped in SHIPPED {
        let file = open(shipped);
        let (one, two) = (play(&file), play(&file));
        assert_eq!(one.taken(), file.entries().len());
        let same = format!("{:?}", one.app()) == format!("{:?}", two.app());
        assert!(same, "{}: two replays end in different states", shipped.name);
        for size in SIZES {
            assert!(screen(&one, size) == screen(&two, size), "{} at {size:?}", shipped.name);
        }
    }
}

/// What was asked with the first lens of a kind, and what was answered.
fn first_lens(file: &SessionFile, of_adapter: bool) -> Option<(Query, Vec<RunId>, usize, LensAnswer)> {
    let mut asked = None;
    for entry in file.entries() {
        if !matches!(entry.kind, Kind::Ask | Kind::Event) {
            continue;
        }
        let line: Line = file.line(entry).expect("a sound line");
        match line.what {
            What::Ask(Command::Lens { job, query, runs, top }) if (runs.len() > 1) == of_adapter => {
                asked = Some((job, query, runs, top));
            }
            What::Event(Event::LensDone { job, answer }) => {
                if let Some((_, query, runs, top)) = asked.take_if(|a| a.0 == job) {
                    return Some((query, runs, top, answer));
                }
            }
            _ => {}
        }
    }
    None
}

/// The largest difference of a probability between two answers.
fn difference(ours: &LensAnswer, theirs: &LensAnswer) -> f32 {
    assert_eq!(ours.tokens, theirs.tokens);
    assert_eq!(ours.sets, theirs.sets);
    let mut worst = 0_f32;
    for (a, b) in ours.runs.iter().zip(&theirs.runs) {
        assert_eq!((a.run, a.layers.len()), (b.run, b.layers.len()));
        for (a, b) in a.layers.iter().zip(&b.layers) {
            for token in &b.top {
                // Among near-equal tokens the order may differ: what is missing must be below our last.
                let mine = a.top.iter().find(|t| t.id == token.id).map(|t| t.p);
                let mine = mine.unwrap_or_else(|| a.top.last().map_or(0.0, |t| t.p).min(token.p));
                worst = worst.max((mine - token.p).abs());
            }
            if let (Some(a), Some(b)) = (&a.curves, &b.curves) {
                worst = worst.max((a.en - b.en).abs()).max((a.target - b.target).abs());
            }
        }
    }
    worst
}

#[test]
fn the_first_answers_of_each_are_what_the_model_says() {
    let Some(path) = model_file("gemma-3-270m") else { return };
    let spec = LoadSpec {
        path,
        name: "gemma-3-270m".into(),
        dtype: DType::F32,
        device: DeviceChoice::Cpu,
        threads: 0,
    };
    let engine = Engine::load(&spec, &mut |_, _, _, _| {}).expect("the model loads");
    let adapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/adapters/gemma-3-270m-zh-es-en");
    let index = engine.add_adapter(&adapter, "gemma-3-270m-zh-es-en").expect("the adapter loads");
    let hash = engine.weights_hash(Some(index), &mut |_, _| Ok(())).unwrap().unwrap();
    for shipped in SHIPPED {
        let file = open(shipped);
        let recorded = first_lens(&file, false).into_iter().chain(first_lens(&file, true));
        let mut n = 0;
        for (query, runs, top, theirs) in recorded {
            let ours = engine.lens(&query, &runs, top, &Cancel::new(), &mut |_| {}).unwrap();
            let worst = difference(&ours, &theirs);
            println!("{}: runs {runs:?}, largest difference of a probability {worst:.1e}", shipped.name);
            assert!(worst < TOLERANCE, "{}: {worst}", shipped.name);
            n += 1;
        }
        let compares = ["aligned", "evaluation"].contains(&shipped.name);
        assert!(n > 0, "{} has answers", shipped.name);
        if compares {
            let text = String::from_utf8(bytes(shipped)).expect("UTF-8");
            assert!(text.contains(&hash), "{} was made with the adapter in assets", shipped.name);
        }
    }
}

#[test]
fn their_tasks_are_those_that_come_with_the_program() {
    for shipped in SHIPPED {
        let file = open(shipped);
        for task in &polylens::tasks::BUNDLED {
            assert_eq!(file.header.tasks.get(task.id), Some(&text_hash(task.toml)), "{}", shipped.name);
        }
    }
}
