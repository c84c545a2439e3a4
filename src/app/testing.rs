//! For tests: the app with a scripted engine in place of a model. Its numbers are invented but have the
//! shape of real ones: English rises in the middle layers, the query's language near the output.

use super::bundle::Bundle;
use super::keys::parse_keys;
use super::model::{Found, Settings};
use super::*;
use crate::engine::protocol::*;
use unicode_segmentation::UnicodeSegmentation;

/// Blocks of the scripted model.
pub const LAYERS: usize = 18;

/// Takes the lines of a recording.
pub type Tap = Box<dyn FnMut(&replay::Line)>;

/// An app with a scripted engine and a clock of its own.
pub struct Bench {
    pub app: App,
    pub clock: Duration,
    /// Effects that the engine does not answer (copies, saves, quitting).
    pub effects: Vec<Effect>,
    /// Events to hold back: what the engine has answered but the app has not seen.
    pub held: Vec<Event>,
    /// What the engine was asked.
    pub sent: Vec<Command>,
    /// While true, answers go to `held`.
    pub hold: bool,
    /// Gets what a recording would have.
    pub tap: Option<Tap>,
    adapters: usize,
}

impl Bench {
    /// The explorer on a terminal of that size, before a model is found.
    pub fn new(width: u16, height: u16) -> Self {
        let (library, task) = Bundle::with(None).expect("the bundled tasks are sound");
        let (app, effects) = App::new(Setup {
            library: Arc::new(library),
            model: "gemma-3-270m".into(),
            adapters: Vec::new(),
            task,
            lang: "th".into(),
            style: Style::Same,
            protocol: Protocol::Default,
            settings: Settings::default(),
            theme: ThemeKind::Dark,
            training_log: None,
        });
        let mut bench = Self {
            app,
            clock: Duration::ZERO,
            effects: Vec::new(),
            held: Vec::new(),
            sent: Vec::new(),
            hold: false,
            tap: None,
            adapters: 0,
        };
        bench.send(Msg::Resize { width, height });
        bench.run(effects);
        bench
    }

    /// As `new`, with the model loaded and the first query answered.
    pub fn ready(width: u16, height: u16) -> Self {
        let mut bench = Self::new(width, height);
        bench.found(Ok(Found::Here));
        bench
    }

    /// As `ready`, with an adapter beside the base.
    pub fn with_adapter(width: u16, height: u16) -> Self {
        let mut bench = Self::ready(width, height);
        bench.keys("a/tmp/zh-es-to-en<enter>");
        bench
    }

    /// The answer to looking for the model.
    pub fn found(&mut self, found: Result<Found, String>) {
        self.send(Msg::ModelFound { name: "gemma-3-270m".into(), found });
    }

    /// Types keys, 10 ms apart.
    pub fn keys(&mut self, keys: &str) {
        for key in parse_keys(keys) {
            self.clock += Duration::from_millis(10);
            self.send(Msg::Key(key));
        }
    }

    /// Lets time pass, with a tick at its end.
    pub fn wait(&mut self, ms: u64) {
        self.clock += Duration::from_millis(ms);
        self.send(Msg::Tick);
    }

    /// Gives the app a message, and the engine's answers to what follows from it.
    pub fn send(&mut self, msg: Msg) {
        let effects = {
            let line = replay::line(&msg, &self.app, self.clock);
            if let (Some(tap), Some(line)) = (&mut self.tap, &line) {
                tap(line);
            }
            self.app.update(msg, self.clock)
        };
        self.run(effects);
    }

    /// Lets the app see the first `n` events that were held back.
    pub fn release(&mut self, n: usize) {
        let n = n.min(self.held.len());
        for event in self.held.drain(..n).collect::<Vec<_>>() {
            self.send(Msg::Engine(event));
        }
    }

    fn run(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let Effect::Engine(command) = effect else {
                self.effects.push(effect);
                continue;
            };
            if let Some(tap) = &mut self.tap {
                tap(&replay::Line {
                    t: self.clock.as_millis() as u64,
                    what: replay::What::Ask(command.clone()),
                });
            }
            let events = self.answer(&command);
            self.sent.push(command);
            if self.hold {
                self.held.extend(events);
            } else {
                events.into_iter().for_each(|e| self.send(Msg::Engine(e)));
            }
        }
    }

    fn answer(&mut self, command: &Command) -> Vec<Event> {
        match command {
            Command::LoadModel { job, model, .. } => vec![
                Event::Progress {
                    job: *job,
                    stage: "reading weights".into(),
                    done: 120_000_000,
                    total: 241_000_000,
                    unit: "bytes".into(),
                },
                Event::ModelLoaded { job: *job, info: model_info(model) },
            ],
            Command::LoadAdapter { job, adapter } => {
                self.adapters += 1;
                let name = adapter.rsplit('/').next().unwrap_or(adapter).to_owned();
                vec![Event::AdapterLoaded {
                    job: *job,
                    index: self.adapters - 1,
                    info: adapter_info(name, adapter),
                }]
            }
            Command::Eval { job, request } => eval_events(*job, request),
            Command::Lens { job, query, runs, .. } => lens_events(*job, query, runs),
            Command::Cell { job, run, layer, position, top, .. } => {
                vec![Event::CellReady { job: *job, run: *run, detail: cell(*run, *layer, *position, *top) }]
            }
            Command::Grid { job, query, run, from, to } => (*from..*to)
                .map(|position| Event::GridColumn {
                    job: *job,
                    run: *run,
                    position,
                    cells: column(query, position),
                })
                .collect(),
            Command::Pull { job, name } => vec![
                Event::Progress {
                    job: *job,
                    stage: "fetching".into(),
                    done: 0,
                    total: 241_000_000,
                    unit: "bytes".into(),
                },
                Event::Progress {
                    job: *job,
                    stage: "fetching".into(),
                    done: 85_000_000,
                    total: 241_000_000,
                    unit: "bytes".into(),
                },
                Event::PullDone { job: *job, name: name.clone(), path: "/cache/model.gguf".into() },
            ],
            Command::Cancel { job } => vec![Event::Cancelled { job: *job }],
            // The engine never gives a dropped adapter's number to another.
            Command::Pca { .. } | Command::DropAdapter { .. } | Command::Shutdown => Vec::new(),
            Command::Curves { job, request } => curves_events(*job, request),
            Command::TrainPlan { .. }
            | Command::Train { .. }
            | Command::TrainControl { .. }
            | Command::TrainWatch { .. } => {
                let done = self.app.training.run.as_ref().and_then(|r| r.step).map_or(0, |s| s.step);
                super::testing_train::answer(command, done)
            }
        }
    }
}

fn model_info(name: &str) -> ModelInfo {
    ModelInfo {
        name: name.to_owned(),
        architecture: "gemma3".into(),
        layers: LAYERS,
        hidden: 640,
        vocabulary: 262_144,
        dtype: "f32".into(),
        device: "cpu".into(),
        threads: 2,
        weight_bytes: 1_072_000_000,
        logits_check: 0.0,
        load_ms: 1200,
        notes: Vec::new(),
    }
}

fn adapter_info(name: String, path: &str) -> AdapterInfo {
    AdapterInfo {
        name,
        path: path.into(),
        rank: 8,
        alpha: 16.0,
        targets: vec!["q_proj".into(), "v_proj".into()],
        keys_matched: 72,
        delta_norms: (0..LAYERS).map(|k| 0.1 + 0.01 * k as f32).collect(),
        probe_change: 1.25,
    }
}

/// Words and the spaces before them, as a stand-in for tokens.
pub fn tokens(query: &Query) -> Vec<TokenText> {
    let text = format!("{}{}", query.prefix, query.text);
    let mut out = vec![TokenText { id: 2, text: "<bos>".into() }];
    for word in text.split_word_bounds() {
        match out.last_mut() {
            Some(last) if last.text == " " => last.text = format!(" {word}"),
            _ => out.push(TokenText { id: 100 + out.len() as u32, text: word.to_owned() }),
        }
    }
    out
}

fn sets(query: &Query) -> TokenSets {
    let set = |word: &String, n: u32, removed: &[&str]| TokenSet {
        word: word.clone(),
        ids: (0..n).map(|i| 1000 + 17 * i + word.len() as u32).collect(),
        removed: removed.iter().map(|t| TokenText { id: 258, text: (*t).to_owned() }).collect(),
    };
    let mut sets = TokenSets::default();
    if let Some(c) = &query.comparison {
        sets.labels.clone_from(&c.labels);
        sets.gold = c.gold;
        sets.latent = c.english.iter().map(|w| set(w, 14, &[])).collect();
        sets.target = c.target.iter().map(|w| set(w, 3, &["<0xE0>"])).collect();
        sets.warnings = vec!["The words share the token <0xE0>: it counts for none of them.".into()];
    }
    sets.tracked = query.track.iter().map(|w| set(w, 6, &[])).collect();
    sets
}

fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// One layer's invented readout.
pub fn layer(k: usize, run: RunId, query: &Query, complete: bool) -> LensLayer {
    let depth = k as f32 / LAYERS as f32;
    let aligned = if run.is_some() { 0.25 } else { 0.0 };
    let english =
        logistic((depth - 0.55) * 14.0) * (1.0 - logistic((depth - 0.88) * 20.0)) * (0.35 + aligned);
    let target = logistic((depth - 0.92) * 30.0) * (0.62 + aligned);
    let word = |i: usize| {
        const WORDS: [&str; 8] = [" positive", "เชิง", "\u{e35}", " good", "正", "<0xE0>", "\n", " the"];
        WORDS[(i + k) % WORDS.len()].to_owned()
    };
    let top = (0..10).map(|i| TokenP {
        id: (i * 31 + k) as u32,
        text: word(i),
        p: (0.1 + 0.5 * depth) * 0.5_f32.powi(i as i32),
    });
    LensLayer {
        layer: k,
        entropy_bits: 17.5 * (1.0 - depth) + 1.2,
        kl_bits: complete.then_some(22.0 * (1.0 - depth)),
        top: top.collect(),
        curves: query.comparison.as_ref().map(|_| Curves {
            en: english,
            target,
            all_possible_latent: english * 1.4,
            all_possible_out: (target * 1.3).min(1.0),
        }),
        tracked: query.track.iter().map(|w| logistic((depth - 0.7) * 12.0) / w.len() as f32).collect(),
        gold_rank: query.comparison.as_ref().map(|_| ((1.0 - depth) * 9000.0) as u32),
        energy: Some(0.4 + 0.4 * depth),
    }
}

/// A lens job's events: started, layers of each run three at a time, done.
pub fn lens_events(job: JobId, query: &Query, runs: &[RunId]) -> Vec<Event> {
    let (tokens, sets) = (tokens(query), sets(query));
    let mut events =
        vec![Event::LensStarted { job, tokens: tokens.clone(), sets: sets.clone(), reused_tokens: 0 }];
    for from in (0..=LAYERS).step_by(3) {
        for run in runs {
            let layers = (from..(from + 3).min(LAYERS + 1)).map(|k| layer(k, *run, query, false)).collect();
            events.push(Event::LensLayers { job, run: *run, layers });
        }
    }
    let whole = |run: &RunId| LensRun {
        run: *run,
        layers: (0..=LAYERS).map(|k| layer(k, *run, query, true)).collect(),
        first_final_top1: Some(15),
    };
    let runs = runs.iter().map(whole).collect();
    let answer = LensAnswer { tokens, sets, runs, elapsed_ms: 184.0, reused_tokens: 0 };
    events.push(Event::LensDone { job, answer });
    events
}

fn cell(run: RunId, k: usize, position: usize, top: usize) -> CellDetail {
    let list = |shift: usize| -> Vec<TokenP> {
        let l = layer((k + shift) % (LAYERS + 1), run, &Query::default(), true);
        l.top.iter().cycle().take(top).cloned().collect()
    };
    let below = |shift| if k == 0 { Vec::new() } else { list(shift) };
    CellDetail {
        layer: k,
        position,
        residual: list(0),
        after_attention: below(2),
        mlp_output: below(5),
        entropy_bits: 7.5,
    }
}

fn column(query: &Query, position: usize) -> Vec<GridCell> {
    (0..=LAYERS)
        .map(|k| {
            let l = layer(k, None, query, true);
            GridCell { token: l.top[position % 4].clone(), entropy_bits: l.entropy_bits }
        })
        .collect()
}

/// Made-up curves: those of the lens, some items a little higher than others.
pub fn curves_events(job: JobId, request: &CurvesRequest) -> Vec<Event> {
    let n = request.items.len();
    let item = |run: &RunId, i: usize| {
        let of = &request.items[i];
        let points = (0..=LAYERS).filter_map(|k| {
            let l = layer(k, *run, &of.query, true);
            let scale = 0.7 + 0.6 * ((i * 7) % n) as f32 / n as f32;
            let c = l.curves?;
            let curves = Curves {
                en: c.en * scale,
                target: (c.target * scale).min(1.0),
                all_possible_latent: c.all_possible_latent * scale,
                all_possible_out: (c.all_possible_out * scale).min(1.0),
            };
            Some(CurvesPoint { layer: k, curves, entropy_bits: l.entropy_bits * scale })
        });
        CurvesItem { index: of.index, gold: of.gold.clone(), layers: points.collect() }
    };
    let run = |run: &RunId| CurvesRun { run: *run, items: (0..n).map(|i| item(run, i)).collect() };
    let runs = request.runs.iter().map(run).collect();
    let answer = CurvesAnswer { n, runs, elapsed_ms: 900.0, ..CurvesAnswer::default() };
    let (done, total) = (8, (n * request.runs.len()) as u64);
    let (stage, unit) = ("items".to_owned(), "items".to_owned());
    let CurvesRequest { task, lang, style, .. } = request.clone();
    vec![
        Event::Progress { job, stage, done, total, unit },
        Event::CurvesReady { job, task, lang, style, answer },
    ]
}

/// Made-up answers: the second run is right a little more often than the first.
pub fn eval_events(job: JobId, request: &EvalRequest) -> Vec<Event> {
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
