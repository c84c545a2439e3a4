//! The explorer with something in every pane: its own update function, answered by invented numbers of real shape.

use polylens::app::bundle::Bundle;
use polylens::app::model::{Found, Settings};
use polylens::app::{App, Effect, Msg, Setup, ThemeKind, keys};
use polylens::engine::protocol::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Blocks of the invented model.
const LAYERS: usize = 26;
/// Steps of the invented run, and steps between two of its frames.
const STEPS: u64 = 5000;
const EVERY: u64 = 50;

/// An app whose questions are answered at once.
pub struct Busy {
    pub app: App,
    pub now: Duration,
}

impl Busy {
    /// Every pane filled: a lens of two runs with its grid, the PCA of 20 languages, an evaluation of all items in all
    /// languages, a training run of thousands of steps with its frames, and a message.
    pub fn new(size: (u16, u16)) -> Self {
        let (library, task) = Bundle::with(None).expect("the bundled tasks are sound");
        let (app, _) = App::new(Setup {
            library: Arc::new(library),
            model: "gemma-3-1b".into(),
            adapters: Vec::new(),
            task,
            lang: "th".into(),
            style: Style::Same,
            protocol: Protocol::Default,
            settings: Settings::default(),
            theme: ThemeKind::Dark,
            training_log: None,
        });
        let mut busy = Self { app, now: Duration::ZERO };
        busy.resize(size);
        busy.send(Msg::ModelFound { name: "gemma-3-1b".into(), found: Ok(Found::Here) });
        busy.keys("a/tmp/zh-es-to-en<enter>");
        busy.keys("3lll2");
        busy.keys("4c");
        busy.keys("6c");
        busy.train();
        busy.keys("2");
        busy.app.messages.warn("The words share the token <0xE0>: it counts for none of them.");
        busy.settle();
        busy
    }

    /// Another terminal.
    pub fn resize(&mut self, (width, height): (u16, u16)) {
        self.send(Msg::Resize { width, height });
    }

    /// Types keys; a tick after each where the app waits for one.
    pub fn keys(&mut self, text: &str) {
        for key in keys::parse_keys(text) {
            self.send(Msg::Key(key));
        }
    }

    /// Time passes until nothing is waited for.
    pub fn settle(&mut self) {
        for _ in 0..20 {
            self.now += Duration::from_millis(500);
            self.send(Msg::Tick);
        }
    }

    /// A message, and the engine's answers to what follows from it.
    pub fn send(&mut self, msg: Msg) {
        for effect in self.app.update(msg, self.now) {
            let Effect::Engine(command) = effect else { continue };
            answers(&command).into_iter().for_each(|event| self.send(Msg::Engine(event)));
        }
    }

    fn train(&mut self) {
        self.keys("5");
        self.settle();
        self.keys("c");
        let job = self.app.training.active().expect("a run goes on").job;
        let langs = langs();
        self.send(Msg::Engine(Event::TrainFrame { job, frame: frame(None, &langs) }));
        for n in 1..=STEPS - 10 {
            self.send(Msg::Engine(Event::TrainStep { job, step: step(n) }));
            if n % EVERY == 0 {
                let (eval_loss, best) = (step(n).loss + 0.05, true);
                self.send(Msg::Engine(Event::TrainValidated { job, step: n, eval_loss, best }));
                self.send(Msg::Engine(Event::TrainFrame { job, frame: frame(Some(n), &langs) }));
            }
        }
    }
}

fn langs() -> Vec<String> {
    let (library, _) = Bundle::with(None).expect("the bundled tasks are sound");
    polylens::app::library::Library::languages(&library).iter().map(|l| l.code.clone()).collect()
}

/// A number in -1..=1 that looks random and is always the same.
fn noise(seed: usize) -> f64 {
    let x = (seed as f64 * 12.9898).sin() * 43_758.547;
    2.0 * (x - x.floor()) - 1.0
}

fn answers(command: &Command) -> Vec<Event> {
    match command {
        Command::LoadModel { job, model, .. } => {
            let info = ModelInfo {
                name: model.clone(),
                architecture: "gemma3".into(),
                layers: LAYERS,
                hidden: 1152,
                vocabulary: 262_144,
                dtype: "f32".into(),
                device: "cpu".into(),
                ..ModelInfo::default()
            };
            vec![Event::ModelLoaded { job: *job, info }]
        }
        Command::LoadAdapter { job, adapter } => {
            let info = AdapterInfo { name: "zh-es-to-en".into(), path: adapter.into(), ..Default::default() };
            vec![Event::AdapterLoaded { job: *job, index: 0, info }]
        }
        Command::Lens { job, query, runs, .. } => lens(*job, query, runs),
        Command::Grid { job, query, run, from, to } => {
            let column = |position| {
                let cell = |k| {
                    let layer = layer(k + position, *run, query);
                    GridCell { token: layer.top[0].clone(), entropy_bits: layer.entropy_bits }
                };
                let cells = (0..=LAYERS).map(cell).collect();
                Event::GridColumn { job: *job, run: *run, position, cells }
            };
            (*from..*to).map(column).collect()
        }
        Command::Cell { job, run, layer: k, position, .. } => {
            let list = |shift| layer(k + shift, *run, &Query::default()).top;
            let detail = CellDetail {
                layer: *k,
                position: *position,
                residual: list(0),
                after_attention: list(2),
                mlp_output: list(5),
                entropy_bits: 7.5,
            };
            vec![Event::CellReady { job: *job, run: *run, detail }]
        }
        Command::Curves { job, request } => vec![curves(*job, request)],
        Command::Pca { job, request } => {
            let langs: Vec<String> = request.items.iter().map(|(lang, _)| lang.clone()).collect();
            let n = request.items.first().map_or(0, |(_, items)| items.len());
            let run = |(shift, run): (usize, &RunId)| PcaRun {
                run: *run,
                layers: (0..=LAYERS).map(|k| pca_layer(&langs, k, n, 0.5 * shift as f64)).collect(),
            };
            let runs = request.runs.iter().enumerate().map(run).collect();
            let answer =
                PcaAnswer { langs: langs.clone(), fit_langs: langs.clone(), n, runs, ..Default::default() };
            vec![Event::PcaReady { job: *job, answer, complete: true }]
        }
        Command::Eval { job, request } => evaluation(*job, request),
        Command::TrainPlan { job, request } => vec![Event::TrainPlanned { job: *job, plan: plan(request) }],
        Command::Train { job, request } => vec![Event::TrainStarted { job: *job, plan: plan(request) }],
        _ => Vec::new(),
    }
}

fn plan(request: &TrainRequest) -> TrainPlan {
    TrainPlan {
        out: request.out.clone(),
        samples: 5200,
        held_out: 274,
        sources: vec![("zh".into(), 2600), ("es".into(), 2600)],
        steps_per_epoch: 1667,
        total_steps: STEPS,
        warmup_steps: STEPS / 10,
        settings: request.settings.clone(),
        ..TrainPlan::default()
    }
}

fn step(step: u64) -> TrainStep {
    let share = step as f64 / STEPS as f64;
    TrainStep {
        step,
        loss: 1.6 + 1.9 * (-4.0 * share).exp() + 0.1 * noise(step as usize),
        lr: 5e-5 * (share / 0.1).min(1.0) * (1.0 - share),
        grad_norm: 1.2 + 0.4 * noise(step as usize + 1),
        epoch: 3.0 * share,
        tokens: 3100,
        tokens_per_s: 412.0,
        total_tokens: 3100 * step,
        elapsed_s: 7.5 * step as f64,
        remaining_s: 7.5 * (STEPS - step) as f64,
        memory_bytes: 1_320_000_000,
        peak_memory_bytes: 1_480_000_000,
    }
}

fn layer(k: usize, run: RunId, query: &Query) -> LensLayer {
    const WORDS: [&str; 16] = [
        " positive",
        "เชิงบวก",
        "\u{e35}",
        " good",
        "积极的",
        "<0xE0>",
        "\n",
        " the",
        "सकारात्मक",
        "ポジティブ",
        "ция",
        " négatif",
        "ইতিবাচক",
        " of",
        "👍",
        "ที่",
    ];
    let depth = (k % (LAYERS + 1)) as f32 / LAYERS as f32;
    let more = if run.is_some() { 0.2 } else { 0.0 };
    let english = (0.4 + more) * (-((depth - 0.7) / 0.2).powi(2)).exp();
    let target = (0.7 + more) * (-((depth - 1.0) / 0.12).powi(2)).exp();
    let token = |i: usize| TokenP {
        id: (31 * i + k) as u32,
        text: WORDS[(i * 5 + k) % WORDS.len()].into(),
        p: (0.1 + 0.5 * depth) * 0.6_f32.powi(i as i32),
    };
    LensLayer {
        layer: k,
        entropy_bits: 17.5 * (1.0 - depth) + 1.2,
        kl_bits: Some(22.0 * (1.0 - depth)),
        top: (0..10).map(token).collect(),
        curves: query.comparison.as_ref().map(|_| Curves {
            en: english,
            target,
            all_possible_latent: english * 1.4,
            all_possible_out: (target * 1.3).min(1.0),
        }),
        gold_rank: query.comparison.as_ref().map(|_| ((1.0 - depth) * 9000.0) as u32),
        energy: Some(0.4 + 0.4 * depth),
        ..LensLayer::default()
    }
}

/// A piece of the prompt for each four bytes or so, never within a character.
fn tokens(query: &Query) -> Vec<TokenText> {
    let text = format!("{}{}", query.prefix, query.text);
    let mut out: Vec<TokenText> = Vec::new();
    for c in text.chars() {
        match out.last_mut() {
            Some(last) if last.text.len() < 4 && c != ' ' => last.text.push(c),
            _ => out.push(TokenText { id: 100 + out.len() as u32, text: c.to_string() }),
        }
    }
    out
}

fn sets(query: &Query) -> TokenSets {
    let set = |word: &String| TokenSet {
        word: word.clone(),
        ids: (0..14).map(|i| 1000 + 17 * i).collect(),
        removed: Vec::new(),
    };
    let mut sets = TokenSets::default();
    if let Some(c) = &query.comparison {
        (sets.labels, sets.gold) = (c.labels.clone(), c.gold);
        sets.latent = c.english.iter().map(set).collect();
        sets.target = c.target.iter().map(set).collect();
    }
    sets
}

fn lens(job: JobId, query: &Query, runs: &[RunId]) -> Vec<Event> {
    let (tokens, sets) = (tokens(query), sets(query));
    let run = |run: &RunId| LensRun {
        run: *run,
        layers: (0..=LAYERS).map(|k| layer(k, *run, query)).collect(),
        first_final_top1: Some(22),
    };
    let answer = LensAnswer {
        tokens: tokens.clone(),
        sets: sets.clone(),
        runs: runs.iter().map(run).collect(),
        elapsed_ms: 184.0,
        reused_tokens: 0,
    };
    vec![Event::LensStarted { job, tokens, sets, reused_tokens: 0 }, Event::LensDone { job, answer }]
}

fn curves(job: JobId, request: &CurvesRequest) -> Event {
    let run = |run: &RunId| {
        let item = |item: &Item| {
            let points = (0..=LAYERS).filter_map(|k| {
                let l = layer(k, *run, &item.query);
                Some(CurvesPoint { layer: k, curves: l.curves?, entropy_bits: l.entropy_bits })
            });
            CurvesItem { index: item.index, gold: item.gold.clone(), layers: points.collect() }
        };
        CurvesRun { run: *run, items: request.items.iter().map(item).collect() }
    };
    let (n, runs) = (request.items.len(), request.runs.iter().map(run).collect());
    let answer = CurvesAnswer { n, runs, elapsed_ms: 900.0, ..CurvesAnswer::default() };
    let CurvesRequest { task, lang, style, .. } = request.clone();
    Event::CurvesReady { job, task, lang, style, answer }
}

fn pca_layer(langs: &[String], k: usize, items: usize, aligned: f64) -> PcaLayer {
    let depth = k as f64 / LAYERS as f64;
    let apart = (3.4 * (depth - 0.6).powi(2) + 0.5) * (1.0 - 0.6 * aligned);
    let mut out = PcaLayer { layer: k, explained_variance_ratio: vec![0.38, 0.17], ..PcaLayer::default() };
    for (i, lang) in langs.iter().enumerate() {
        let angle = i as f64 * 2.4;
        let point = |item: usize| {
            let x = 7.0 * apart * angle.cos() + 1.2 * noise(item) + noise(item * 31 + i * 7);
            let y = 4.5 * apart * angle.sin() + 0.7 * noise(item + 99) + noise(item * 17 + i * 3);
            [x, y]
        };
        out.points.insert(lang.clone(), (0..items).map(point).collect());
        for (j, other) in langs.iter().enumerate().skip(i + 1) {
            let pair = format!("{lang}-{other}");
            let value = (1.0 - apart * (0.35 + 0.12 * noise(i * 13 + j * 5))).clamp(-0.6, 0.995);
            out.pearson.insert(pair.clone(), value);
            let measure = |v: f64| Measure { value: v, low: v - 0.08, high: v + 0.05, shuffled: 0.11 };
            let all: [(&mut BTreeMap<_, _>, f64); 3] =
                [(&mut out.cka, 0.85), (&mut out.cosine_gap, 0.3), (&mut out.mexa, 0.6)];
            for (map, share) in all {
                map.insert(pair.clone(), measure(value * share));
            }
        }
    }
    out
}

fn evaluation(job: JobId, request: &EvalRequest) -> Vec<Event> {
    let EvalRequest { plan, runs } = request;
    let mut events = vec![Event::EvalStarted { job, sets: vec![EvalSets::default(); plan.langs.len()] }];
    let labels = plan.labels.len();
    for (l, lang) in plan.langs.iter().enumerate() {
        for (r, run) in runs.iter().enumerate() {
            let record = |slot: usize| {
                let gold = slot.checked_sub(lang.free.len()).map_or(0, |i| lang.items[i].gold);
                let right = (slot * 7 + l * 3) % 10 < 6 + r;
                let best = if right { gold } else { (gold + 1) % labels };
                let p = (0..labels).map(|k| if k == best { 0.4 } else { 0.2 - 0.01 * k as f32 }).collect();
                EvalRecord { run: *run, lang: l, slot, p, loglik: Vec::new() }
            };
            let records = (0..lang.slots()).map(record).collect();
            events.push(Event::EvalRecords { job, records, kept: false });
        }
    }
    events.push(Event::EvalDone { job, elapsed_ms: 1234.0 });
    events
}

/// What a watched run shows after a step, or of the base model.
fn frame(at: Option<u64>, langs: &[String]) -> TrainFrame {
    let aligned = at.map_or(0.0, |n| n as f64 / STEPS as f64);
    let run = at.map(|_| 0);
    let query = Query { comparison: Some(Comparison::default()), ..Query::default() };
    let layers = (0..=LAYERS).map(|k| layer(k, run, &query)).collect();
    let lens = LensAnswer {
        tokens: vec![TokenText { id: 5, text: "หนัง".into() }],
        runs: vec![LensRun { run, layers, first_final_top1: Some(22) }],
        ..LensAnswer::default()
    };
    let layers = (0..=LAYERS).map(|k| pca_layer(langs, k, 20, aligned)).collect();
    let pca = PcaAnswer {
        langs: langs.to_vec(),
        fit_langs: langs.to_vec(),
        n: 20,
        runs: vec![PcaRun { run, layers }],
        ..PcaAnswer::default()
    };
    TrainFrame {
        step: at.unwrap_or(0),
        base: at.is_none(),
        lens: Some(lens),
        pca: Some(pca),
        elapsed_ms: 2140.0,
    }
}
