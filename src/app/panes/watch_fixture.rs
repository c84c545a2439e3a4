//! For tests: a run whose frames drift as alignment does. English comes earlier and stays longer in the lens, the
//! languages come together in the plane, and the measures of all pairs rise; all by formula, the same every time.

use super::fixtures::acted;
use super::watch::WatchState;
use crate::app::shared::{Jobs, Pane, Shared};
use crate::engine::protocol::*;

/// Layers of the model, besides the embeddings.
pub const LAYERS: usize = 26;
/// The run's job.
pub const JOB: JobId = 77;
const ITEMS: usize = 20;

/// A number in -1..=1 that looks random and is always the same.
fn noise(seed: usize) -> f64 {
    let x = (seed as f64 * 12.9898).sin() * 43_758.547;
    2.0 * (x - x.floor()) - 1.0
}

fn bump(depth: f64, at: f64, width: f64) -> f64 {
    (-((depth - at) / width).powi(2)).exp()
}

/// How far alignment is after a share of the steps.
fn aligned(share: f64) -> f64 {
    1.0 - (-3.2 * share).exp()
}

fn lens_layer(k: usize, a: f64) -> LensLayer {
    let depth = k as f64 / LAYERS as f64;
    let english =
        (0.16 + 0.46 * a) * bump(depth, 0.72 - 0.06 * a, 0.13 + 0.05 * a) + 0.12 * a * bump(depth, 0.95, 0.1);
    let target = (0.62 - 0.1 * a) * bump(depth, 1.02, 0.12 - 0.03 * a);
    let junk = ["ция", " the", "\u{0E01}\u{0E32}\u{0E23}", "的", " de", "\n", "ことが", " of", "ของ"];
    let other = (1.0 - english - target).max(0.05) * (0.08 + 0.1 * depth);
    let mut top =
        vec![(junk[(k * 5 + 2) % 9], other), (junk[(k * 7 + 4) % 9], other * 0.6), (" good", english * 0.3)];
    top.extend([(" positive", english * 0.9), ("บวก", target * 0.9)]);
    top.sort_by(|a, b| b.1.total_cmp(&a.1));
    let token =
        |(i, (text, p)): (usize, &(&str, f64))| TokenP { id: i as u32, text: (*text).into(), p: *p as f32 };
    let curves = Curves {
        en: english as f32,
        target: target as f32,
        all_possible_latent: (english * 1.25) as f32,
        all_possible_out: (target * 1.3) as f32,
    };
    LensLayer {
        layer: k,
        entropy_bits: (12.5 - 8.0 * depth.powi(2) - 2.0 * a * bump(depth, 0.7, 0.2)) as f32,
        kl_bits: Some((11.0 * (1.0 - depth)) as f32),
        top: top.iter().enumerate().map(token).collect(),
        curves: Some(curves),
        tracked: Vec::new(),
        gold_rank: Some(((1.0 - depth) * 9000.0) as u32),
        energy: None,
    }
}

fn pca_layer(langs: &[String], k: usize, a: f64) -> PcaLayer {
    let depth = k as f64 / LAYERS as f64;
    let meet = 1.0 - 0.75 * a * bump(depth, 0.62, 0.3);
    let apart = (3.4 * (depth - 0.6).powi(2) + 0.5) * meet;
    let scale = 1.0 + 20.0 * depth;
    let mut out = PcaLayer { layer: k, explained_variance_ratio: vec![0.38, 0.17], ..PcaLayer::default() };
    for (i, lang) in langs.iter().enumerate() {
        // A language turns a little on its way to the middle.
        let angle = i as f64 * 2.4 + 0.5 * a * (1.0 + 0.4 * noise(i));
        let point = |item: usize| {
            let own = 0.25 + 0.35 * meet;
            let x = 7.0 * apart * angle.cos() + 1.2 * noise(item) + own * noise(item * 31 + i * 7);
            let y = 4.5 * apart * angle.sin() + 0.7 * noise(item + 99) + own * noise(item * 17 + i * 3);
            [x * scale, y * scale]
        };
        out.points.insert(lang.clone(), (0..ITEMS).map(point).collect());
        for (j, other) in langs.iter().enumerate().skip(i + 1) {
            let pair = format!("{lang}-{other}");
            let far = 0.35 + 0.12 * noise(i * 13 + j * 5) + 0.04 * (j - i) as f64;
            let value = (1.0 - apart * far).clamp(-0.6, 0.995);
            out.pearson.insert(pair.clone(), value);
            let measure = |v: f64| Measure { value: v, low: v - 0.08, high: v + 0.05, shuffled: 0.11 };
            out.cka.insert(pair.clone(), measure(value * 0.85));
            out.cosine_gap.insert(pair.clone(), measure(value * 0.3));
            out.mexa.insert(pair, measure(value * 0.6 + 0.1));
        }
    }
    out
}

/// The frame of a step out of `total`, or the base's.
pub fn frame(step: Option<u64>, total: u64, langs: &[String]) -> TrainFrame {
    let a = aligned(step.unwrap_or(0) as f64 / total as f64);
    let set = |word: &str| TokenSet { word: word.into(), ids: vec![1], removed: Vec::new() };
    let sets = TokenSets {
        labels: vec!["positive".into(), "negative".into()],
        latent: vec![set("positive"), set("negative")],
        target: vec![set("บวก"), set("ลบ")],
        ..TokenSets::default()
    };
    let run = step.map(|_| 0);
    let layers = (0..=LAYERS).map(|k| lens_layer(k, a)).collect();
    let lens = LensAnswer {
        tokens: vec![TokenText { id: 5, text: "หนัง".into() }],
        sets,
        runs: vec![LensRun { run, layers, first_final_top1: Some(22) }],
        ..LensAnswer::default()
    };
    let layers = (0..=LAYERS).map(|k| pca_layer(langs, k, a)).collect();
    let pca = PcaAnswer {
        langs: langs.to_vec(),
        fit_langs: langs.to_vec(),
        n: ITEMS,
        runs: vec![PcaRun { run, layers }],
        ..PcaAnswer::default()
    };
    TrainFrame {
        step: step.unwrap_or(0),
        base: step.is_none(),
        lens: Some(lens),
        pca: Some(pca),
        elapsed_ms: 2140.0,
    }
}

/// What a run of `total` steps, a frame every `every`, sends until `done` steps are done. Odd steps of 50 validate.
pub fn events(total: u64, every: u64, done: u64, langs: &[String]) -> Vec<Event> {
    let plan = TrainPlan { out: "runs/th2en".into(), total_steps: total, ..TrainPlan::default() };
    let mut events = vec![Event::TrainStarted { job: JOB, plan }];
    let framed = |step: Option<u64>| Event::TrainFrame { job: JOB, frame: frame(step, total, langs) };
    events.extend([framed(None), framed(Some(0))]);
    for step in 1..=done {
        let share = step as f64 / total as f64;
        let loss = (0.9 + 1.5 * (-share * 5.0).exp()) * (1.0 + 0.07 * noise(step as usize));
        events.push(Event::TrainStep { job: JOB, step: TrainStep { step, loss, ..TrainStep::default() } });
        if step % 50 == 0 {
            let eval_loss = 0.98 + 1.4 * (-share * 5.0).exp();
            events.push(Event::TrainValidated { job: JOB, step, eval_loss, best: true });
        }
        if step % every == 0 {
            events.push(framed(Some(step)));
        }
    }
    events
}

/// Languages of the fixture.
pub fn langs(n: usize) -> Vec<String> {
    ["en", "de", "fr", "hi", "th", "sw", "ms", "ja"].iter().take(n).map(|l| (*l).to_owned()).collect()
}

/// The view after these events.
pub fn watched(shared: &Shared, events: &[Event]) -> WatchState {
    let (mut watch, mut jobs) = (WatchState::default(), Jobs::default());
    watch.wish(10, shared);
    watch.begin(JOB);
    acted(shared, &mut jobs, 1.0, |cx| events.iter().for_each(|e| watch.on_event(e, cx)));
    watch
}
