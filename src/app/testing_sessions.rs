//! For tests: small recordings of the scripted explorer with every kind of line, and the numbers of real ones' shape.

use super::model::Found;
use super::panes::watch_fixture;
use super::replay::{Line, What};
use super::testing::{Bench, LAYERS};
use super::{MouseKind, Msg};
use crate::engine::protocol::*;
use crate::session::{Header, Note, Source, Start, Weights};
use std::sync::{Arc, Mutex};

/// A recording in memory.
pub struct Recording {
    pub name: &'static str,
    pub lines: Vec<String>,
}

impl Recording {
    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        (self.lines.join("\n") + "\n").into_bytes()
    }
}

/// A header as the explorer's at a size.
pub fn header(source: Source, size: (u16, u16)) -> Header {
    let start = Start {
        model: "gemma-3-270m".into(),
        task: "sentiment".into(),
        lang: "th".into(),
        size,
        ..Start::default()
    };
    Header { started: "2026-11-23T17:00:00Z".into(), ..Header::new(source, "explore", start) }
}

/// Plays on a bench and keeps the lines; answers are cut to a few entries of each list.
pub fn taped(name: &'static str, play: impl FnOnce(&mut Bench)) -> Recording {
    let lines =
        Arc::new(Mutex::new(vec![serde_json::to_string(&header(Source::Explorer, (100, 30))).unwrap()]));
    let mut bench = Bench::new(100, 30);
    let tape = lines.clone();
    bench.tap = Some(Box::new(move |line: &Line| {
        tape.lock().unwrap().push(serde_json::to_string(&shortened(line.clone())).unwrap());
    }));
    bench.found(Ok(Found::Here));
    play(&mut bench);
    bench.wait(500);
    let t = bench.clock.as_millis() as u64;
    drop(bench);
    let mut lines = std::mem::take(&mut *lines.lock().unwrap());
    let weights = Weights { adapter: None, name: "gemma-3-270m".into(), sha256: "0".repeat(64) };
    for what in [
        What::Mark("the end".into()),
        What::Weights(weights),
        What::Ask(Command::Cancel { job: 1 }),
        What::Note(Note { text: "Here it ends.".into(), for_ms: Some(2000), later: true }),
    ] {
        lines.push(serde_json::to_string(&Line { t, what }).unwrap());
    }
    Recording { name, lines }
}

fn shortened(mut line: Line) -> Line {
    let cut = |l: &mut LensLayer| l.top.truncate(2);
    match &mut line.what {
        What::Event(Event::LensLayers { layers, .. }) => layers.iter_mut().for_each(cut),
        What::Event(Event::LensDone { answer, .. }) => {
            answer.runs.iter_mut().flat_map(|r| &mut r.layers).for_each(cut);
        }
        What::Event(Event::CellReady { detail: d, .. }) => {
            [&mut d.residual, &mut d.after_attention, &mut d.mlp_output]
                .into_iter()
                .for_each(|l| l.truncate(2));
        }
        _ => {}
    }
    line
}

/// A frame of the fixture for the scripted model, of its first `layers` layers.
pub fn frame(step: Option<u64>, total: u64, langs: &[String], layers: usize) -> TrainFrame {
    let mut frame = watch_fixture::frame(step, total, langs);
    let layers = layers.min(LAYERS + 1);
    for run in frame.lens.iter_mut().flat_map(|l| &mut l.runs) {
        run.layers.truncate(layers);
        run.first_final_top1 = Some(layers - 1);
    }
    frame.pca.iter_mut().flat_map(|p| &mut p.runs).for_each(|r| r.layers.truncate(layers));
    frame
}

/// A PCA's answer for the scripted model.
pub fn pca(langs: &[String], layers: usize) -> PcaAnswer {
    frame(None, 10, langs, layers).pca.unwrap_or_default()
}

/// A training of so many steps with a frame every `every`, as the bench's engine tells it; the frames have the
/// first `layers` layers.
pub fn train(bench: &mut Bench, steps: u64, every: u64, layers: usize) {
    let langs = watch_fixture::langs(3);
    bench.keys("5");
    bench.wait(500);
    bench.keys("c");
    let job = bench.app.training.active().expect("a run goes on").job;
    bench.send(Msg::Engine(Event::TrainFrame { job, frame: frame(None, steps, &langs, layers) }));
    for n in 1..=steps {
        bench.clock += std::time::Duration::from_millis(300);
        bench.steps(n, n);
        if n % every == 0 {
            bench.send(Msg::Engine(Event::TrainFrame { job, frame: frame(Some(n), steps, &langs, layers) }));
        }
    }
}

/// One recording for each part of the explorer, and one of commands.
pub fn recordings() -> Vec<Recording> {
    let tour = taped("tour", |b| {
        b.keys("jj<enter>k?j<esc>]n");
        b.send(Msg::Resize { width: 60, height: 20 });
        b.send(Msg::Mouse { x: 20, y: 9, kind: MouseKind::Click });
        b.send(Msg::Paste("กข 好".into()));
        b.keys("fhi<esc>:ada<esc>");
    });
    let grid = taped("grid", |b| b.keys("3hhk<enter>jv<enter>z"));
    let pca = taped("pca", |b| {
        b.keys("4c");
        let Some(job) = b.app.pca.running.as_ref().map(|r| r.job) else { return };
        let answer = self::pca(&watch_fixture::langs(3), 4);
        b.send(Msg::Engine(Event::PcaReady { job, answer, complete: true }));
        b.keys("hv<enter><enter>d");
    });
    let eval = taped("eval", |b| {
        b.keys("a/tmp/second<enter>6Nc");
        b.keys("<enter>jfr<esc>d");
    });
    let training = taped("training", |b| {
        train(b, 8, 4, 3);
        b.keys("bh<space>");
        b.wait(700);
        b.finish(TrainEnd::Finished);
        b.keys("b");
    });
    let command = command(&eval);
    vec![tour, grid, pca, eval, training, command]
}

/// As a command records: the questions stand in the file and are taken over.
fn command(explorer: &Recording) -> Recording {
    let (library, _) = super::bundle::Bundle::with(None).expect("the bundled tasks are sound");
    use super::library::Library;
    let query = library.query("sentiment", "th", 0, Style::Same, Protocol::Default).unwrap();
    let wish = super::library::EvalWish {
        task: "sentiment".into(),
        langs: vec!["en".into(), "th".into()],
        limit: Some(2),
        ..Default::default()
    };
    let request = EvalRequest { plan: library.eval_plan(&wish).unwrap(), runs: vec![None] };
    let loaded = explorer.lines.iter().find(|l| l.contains("model_loaded")).expect("a model was loaded");
    let mut lines = vec![serde_json::to_string(&header(Source::Command, (80, 24))).unwrap()];
    let load = Command::LoadModel {
        job: 1,
        model: "gemma-3-270m".into(),
        dtype: DType::Auto,
        device: DeviceChoice::Auto,
        threads: 0,
    };
    lines.push(serde_json::to_string(&Line { t: 0, what: What::Ask(load) }).unwrap());
    let at = loaded.find(',').expect("a time");
    lines.push(format!("{{\"t\":5{}", &loaded[at..]));
    let ask = |what: Command| serde_json::to_string(&Line { t: 9, what: What::Ask(what) }).unwrap();
    let told =
        |event: Event| serde_json::to_string(&shortened(Line { t: 9, what: What::Event(event) })).unwrap();
    lines.push(ask(Command::Lens { job: 2, query: query.clone(), runs: vec![None], top: 5 }));
    lines.extend(super::testing::lens_events(2, &query, &[None]).into_iter().map(told));
    lines.push(ask(Command::Eval { job: 3, request: request.clone() }));
    lines.extend(super::testing::eval_events(3, &request).into_iter().map(told));
    Recording { name: "command", lines }
}
