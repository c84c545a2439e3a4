//! A long session: how long it takes to open, to index, and to jump about in. `cargo bench --bench sessions`
//!
//! The recording is made here by the explorer's own update function with invented answers: two hours with a million
//! events, about what a watched training writes (steps, progress, keys, lens layers, a frame now and then).
//! `cargo bench --bench sessions -- 200000` makes another number of events.

use polylens::app::bundle::Bundle;
use polylens::app::library::Library;
use polylens::app::model::{Found, Settings};
use polylens::app::replay::{self, Track};
use polylens::app::{App, Effect, Msg, Setup, ThemeKind, keys};
use polylens::engine::protocol::*;
use polylens::session::{Header, Recorder, SessionFile, Source, Start};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LAYERS: usize = 18;
const HOURS: u64 = 2;

/// The explorer with invented answers, being recorded.
struct Made {
    app: App,
    now: Duration,
    recorder: Recorder,
}

impl Made {
    fn new(path: &Path, library: Arc<dyn Library>) -> Self {
        let start = Start {
            model: "gemma-3-270m".into(),
            task: "sentiment".into(),
            lang: "th".into(),
            size: (120, 36),
            ..Start::default()
        };
        let recorder =
            Recorder::create(path, &Header::new(Source::Explorer, "explore", start.clone())).unwrap();
        let (app, _) = App::new(Setup {
            library,
            model: start.model,
            adapters: Vec::new(),
            task: start.task,
            lang: start.lang,
            style: start.style,
            protocol: start.protocol,
            settings: Settings::default(),
            theme: ThemeKind::default(),
            training_log: None,
        });
        let mut made = Self { app, now: Duration::ZERO, recorder };
        made.send(Msg::Resize { width: 120, height: 36 });
        made.send(Msg::ModelFound { name: "gemma-3-270m".into(), found: Ok(Found::Here) });
        made
    }

    fn send(&mut self, msg: Msg) {
        if let Some(line) = replay::line(&msg, &self.app, self.now) {
            self.recorder.record(&line).unwrap();
        }
        for effect in self.app.update(msg, self.now) {
            if let Effect::Engine(command) = effect {
                answers(&command).into_iter().for_each(|e| self.send(Msg::Engine(e)));
            }
        }
    }

    fn keys(&mut self, text: &str) {
        for key in keys::parse_keys(text) {
            self.send(Msg::Key(key));
        }
    }
}

fn answers(command: &Command) -> Vec<Event> {
    match command {
        Command::LoadModel { job, model, .. } => {
            let info = ModelInfo { name: model.clone(), layers: LAYERS, hidden: 640, ..ModelInfo::default() };
            vec![Event::ModelLoaded { job: *job, info }]
        }
        Command::Lens { job, runs, .. } => lens(*job, runs),
        Command::TrainPlan { job, request } => {
            let plan = TrainPlan { out: request.out.clone(), total_steps: 400_000, ..TrainPlan::default() };
            vec![Event::TrainPlanned { job: *job, plan }]
        }
        Command::Train { job, request } => {
            let plan = TrainPlan { out: request.out.clone(), total_steps: 400_000, ..TrainPlan::default() };
            vec![Event::TrainStarted { job: *job, plan }]
        }
        _ => Vec::new(),
    }
}

fn layer(k: usize) -> LensLayer {
    let token =
        |i: usize| TokenP { id: (31 * i + k) as u32, text: " word".into(), p: 0.01 * (10 - i) as f32 };
    LensLayer {
        layer: k,
        entropy_bits: 12.345_678 - 0.4 * k as f32,
        kl_bits: Some(3.25),
        top: (0..10).map(token).collect(),
        curves: Some(Curves::default()),
        ..LensLayer::default()
    }
}

fn lens(job: JobId, runs: &[RunId]) -> Vec<Event> {
    let tokens: Vec<TokenText> = (0..60).map(|i| TokenText { id: i, text: format!(" token{i}") }).collect();
    let sets = TokenSets::default();
    let mut events =
        vec![Event::LensStarted { job, tokens: tokens.clone(), sets: sets.clone(), reused_tokens: 0 }];
    for from in (0..=LAYERS).step_by(3) {
        let layers = || (from..(from + 3).min(LAYERS + 1)).map(layer).collect();
        events.extend(runs.iter().map(|run| Event::LensLayers { job, run: *run, layers: layers() }));
    }
    let whole = |run: &RunId| LensRun {
        run: *run,
        layers: (0..=LAYERS).map(layer).collect(),
        first_final_top1: None,
    };
    let answer = LensAnswer { tokens, sets, runs: runs.iter().map(whole).collect(), ..LensAnswer::default() };
    events.push(Event::LensDone { job, answer });
    events
}

fn frame(step: u64) -> TrainFrame {
    let point = |i: usize| [12.345_6 * i as f64, -3.2 * i as f64 / (step + 1) as f64];
    let langs: Vec<String> = ["en", "zh", "es"].iter().map(|l| (*l).to_owned()).collect();
    let one = |k: usize| PcaLayer {
        layer: k,
        points: langs.iter().map(|l| (l.clone(), (0..20).map(point).collect())).collect(),
        ..PcaLayer::default()
    };
    let run = PcaRun { run: Some(0), layers: (0..=LAYERS).map(one).collect() };
    let pca = PcaAnswer { langs: langs.clone(), n: 20, runs: vec![run], ..PcaAnswer::default() };
    TrainFrame { step, base: false, lens: None, pca: Some(pca), elapsed_ms: 900.0 }
}

fn step(n: u64) -> TrainStep {
    let x = n as f64;
    TrainStep {
        step: n,
        loss: 1.6 + 0.1 * (x * 12.9898).sin(),
        lr: 5e-5 * (1.0 - x / 400_001.0),
        grad_norm: 1.234_567_8 + 0.1 * (0.1 * x).cos(),
        epoch: x / 17.0,
        tokens: 3100,
        tokens_per_s: 412.345,
        total_tokens: 3100 * n,
        elapsed_s: x * 0.018,
        remaining_s: 7200.0,
        memory_bytes: 1_320_000_000,
        peak_memory_bytes: 1_480_000_000,
    }
}

/// Two hours in which so many things happen.
fn make(path: &Path, events: u64, library: Arc<dyn Library>) {
    let mut made = Made::new(path, library);
    made.keys("5");
    made.now = Duration::from_millis(500);
    made.send(Msg::Tick);
    made.keys("c");
    let job = made.app.training.active().expect("a run goes on").job;
    let (mut steps, mut i) = (0, 0_u64);
    while made.recorder.lines() < events {
        i += 1;
        let ms = 600 + HOURS * 3_600_000 * made.recorder.lines() / events;
        made.now = made.now.max(Duration::from_millis(ms));
        match i % 20 {
            0..=9 => {
                steps += 1;
                made.send(Msg::Engine(Event::TrainStep { job, step: step(steps) }));
            }
            10..=15 => {
                let (stage, unit) = ("step".to_owned(), "items".to_owned());
                made.send(Msg::Engine(Event::Progress { job, stage, done: i % 20, total: 16, unit }));
            }
            16 if i % 400 == 16 => made.keys("n"),
            17 if i % 8000 == 17 => made.send(Msg::Engine(Event::TrainFrame { job, frame: frame(steps) })),
            18 if i % 2000 == 18 => made.keys("25"),
            _ => made.keys(if i % 2 == 0 { "j" } else { "k" }),
        }
    }
}

fn main() {
    let events = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.jsonl");
    let library: Arc<dyn Library> = Arc::new(Bundle::with(None).unwrap().0);
    let begun = Instant::now();
    make(&path, events, library.clone());
    println!("made          {:8.1} s", begun.elapsed().as_secs_f64());

    let begun = Instant::now();
    let file = Arc::new(SessionFile::open(&path).unwrap());
    let lines = file.entries().len();
    println!(
        "opened        {:8.3} s  {lines} lines, {:.1} MB, {:.1} h",
        begun.elapsed().as_secs_f64(),
        file.size() as f64 / 1e6,
        file.end() as f64 / 3.6e6
    );

    let begun = Instant::now();
    for entry in file.entries() {
        file.line::<replay::Input>(entry).unwrap();
    }
    let parsed = begun.elapsed();
    println!(
        "parsed        {:8.3} s  {:.2} µs a line",
        parsed.as_secs_f64(),
        parsed.as_secs_f64() * 1e6 / lines as f64
    );

    let mut track = Track::new(file.clone(), library);
    let begun = Instant::now();
    while track.index_some(10_000) {}
    let indexed = begun.elapsed();
    println!(
        "indexed       {:8.3} s  {:.2} µs a line; memory {} MB",
        indexed.as_secs_f64(),
        indexed.as_secs_f64() * 1e6 / lines as f64,
        memory()
    );
    assert_eq!(track.taken(), 0);

    let mut times = Vec::new();
    let mut state = 7_u64;
    for _ in 0..200 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let to = (state >> 33) % file.end();
        let begun = Instant::now();
        track.seek(to).unwrap();
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("jumps         {:8.1} ms median, {:.1} ms worst of 200", times[100], times[199]);
    let copies = Instant::now();
    for _ in 0..100 {
        std::hint::black_box(track.view((200, 60)));
    }
    println!("view          {:8.3} ms a copy for another screen", copies.elapsed().as_secs_f64() * 10.0);
}

/// Memory of this process in MB, where the system says it.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}
