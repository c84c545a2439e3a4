use super::*;
use crate::engine::protocol::{TrainPlan, TrainRequest, TrainSettings};
use crate::model::names::Proj;
use crate::train::data::Dataset;
use crate::train::job::{Gradient, NoHooks};
use crate::train::log::{LogFollower, Update};
use crate::train::lora::{LoraParams, Site};
use crate::train::plan::{Asked, Shape, plan};
use crate::train::record::{FILE, ModelId};
use crate::train::{checkpoint, peft};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// `nll = answer tokens * sum of (x - target)^2`, with a target that depends on the sample, and dropout that depends on
/// its seed.
struct Toy {
    /// The step's number of gradients after which the loss is not finite any more.
    lost_after: Option<usize>,
    calls: std::sync::atomic::AtomicUsize,
}

impl Toy {
    fn new(lost_after: Option<usize>) -> Self {
        Self { lost_after, calls: Default::default() }
    }
}

fn target(sample: &Sample, j: usize) -> f32 {
    (sample.ids[0] as f32 + j as f32).sin()
}

impl Gradient for Toy {
    fn gradient(
        &self,
        params: &LoraParams,
        samples: &[Sample],
        options: GradientOptions,
        cancel: &Cancel,
        grads: &mut [f32],
    ) -> Result<Sums> {
        let calls = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        for sample in samples {
            for (j, g) in grads.iter_mut().enumerate() {
                let seen = options.dropout.is_none_or(|(_, seed)| seed >> (j % 60) & 1 == 1);
                let weight = if seen { 2.0 * sample.answer_tokens() as f32 } else { 0.0 };
                *g += weight * (params.values[j] - target(sample, j));
            }
        }
        let mut sums = self.loss(params, samples, cancel)?;
        if self.lost_after.is_some_and(|n| calls >= n) {
            sums.nll = f64::NAN;
        }
        Ok(sums)
    }

    fn loss(&self, params: &LoraParams, samples: &[Sample], cancel: &Cancel) -> Result<Sums> {
        cancel.check()?;
        let mut sums = Sums::default();
        for sample in samples {
            let n = sample.answer_tokens() as u64;
            let off = |(j, x): (usize, &f32)| f64::from(x - target(sample, j)).powi(2);
            sums.nll += n as f64 * params.values.iter().enumerate().map(off).sum::<f64>();
            sums.answer_tokens += n;
            sums.tokens += sample.ids.len() as u64;
        }
        Ok(sums)
    }
}

fn dataset(samples: usize, held_out: usize) -> Dataset {
    let sample = |i: usize| Sample { ids: vec![i as u32; 3 + i % 4], answer: 1 + i % 2 };
    let file = crate::train::data::DataFile {
        name: "zh.json".into(),
        rows: samples,
        sha256: format!("{samples:064}"),
    };
    Dataset {
        train: (0..samples).map(sample).collect(),
        held_out: (100..100 + held_out).map(sample).collect(),
        sources: vec![("zh".into(), samples + held_out)],
        cut: 0,
        longest: 6,
        files: vec![file],
    }
}

fn settings(f: impl FnOnce(&mut TrainSettings)) -> TrainSettings {
    let mut s = TrainSettings {
        lr: 0.05,
        epochs: 3.0,
        batch_size: 4,
        micro_batch: 2,
        eval_steps: 4,
        logging_steps: 3,
        save_steps: 5,
        dropout: 0.5,
        ..TrainSettings::default()
    };
    f(&mut s);
    s
}

fn job<'a>(out: &Path, settings: &TrainSettings, data: &'a Dataset, resume: bool, toy: Toy) -> Job<'a> {
    let site = Site { layer: 0, proj: Proj::Q, out: 2, inp: 3, a: 0..3, b: 3..5 };
    let start = LoraParams { rank: 1, alpha: 2.0, sites: vec![site], values: vec![0.3, -0.2, 0.1, 0.0, 0.0] };
    let request =
        TrainRequest { settings: settings.clone(), out: out.to_owned(), resume, ..TrainRequest::default() };
    let asked = Asked {
        request: &request,
        dataset: data,
        shape: Shape::default(),
        parameters: 5,
        weight_bytes: 0,
        free_memory: None,
    };
    let plan = plan(&asked).unwrap();
    let model = ModelId {
        name: "toy".into(),
        reference: "/dir/toy".into(),
        base: "org/toy".into(),
        dtype: "f32".into(),
        ..ModelId::default()
    };
    Job { request, dataset: data, start, gradient: Box::new(toy), model, plan }
}

/// Counts, and stops the run in some way.
#[derive(Default)]
struct Watcher {
    cancel: Cancel,
    /// Raise the flag once this many steps are done.
    stop_at: Option<u64>,
    /// (question from 0, answer)
    control: Option<(usize, Control)>,
    asked: usize,
    plan: Option<TrainPlan>,
    steps: Vec<TrainStep>,
    validated: Vec<(u64, f64, bool)>,
    saved: Vec<u64>,
    notes: Vec<String>,
    watched: Vec<u64>,
}

impl Hooks for Watcher {
    fn planned(&mut self, plan: &TrainPlan) {
        self.plan = Some(plan.clone());
    }
    fn stepped(&mut self, step: &TrainStep) {
        self.steps.push(*step);
        if self.stop_at == Some(step.step) {
            self.cancel.cancel();
        }
    }
    fn validated(&mut self, step: u64, loss: f64, best: bool) {
        self.validated.push((step, loss, best));
    }
    fn saved(&mut self, step: u64, path: &Path) {
        assert!(path.is_dir());
        self.saved.push(step);
    }
    fn note(&mut self, sentence: &str) {
        self.notes.push(sentence.to_owned());
    }
    fn watch(&mut self, step: u64, params: &LoraParams) -> Result<()> {
        assert_eq!(params.values.len(), 5);
        self.watched.push(step);
        Ok(())
    }
    fn control(&mut self) -> Control {
        self.asked += 1;
        match self.control {
            Some((at, control)) if at + 1 == self.asked => control,
            _ => Control::Go,
        }
    }
}

fn go(job: &Job, watcher: &mut Watcher) -> Result<TrainOutcome> {
    let cancel = watcher.cancel.clone();
    run(job, &cancel, watcher)
}

fn weights(dir: &Path) -> Vec<u8> {
    fs::read(dir.join(peft::WEIGHTS)).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Step, loss, validation loss, gradient norm.
type Line = (u64, Option<f64>, Option<f64>, Option<f64>);

/// The log's lines without times.
fn log(dir: &Path) -> Vec<Line> {
    let text = fs::read_to_string(dir.join(LOG_FILE)).unwrap();
    let read = |line: &str| {
        let v: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |key: &str| v[key].as_f64();
        (v["current_steps"].as_u64().unwrap(), number("loss"), number("eval_loss"), number("grad_norm"))
    };
    text.lines().map(read).collect()
}

#[test]
fn a_whole_run_leaves_everything_it_should() {
    let dir = tempfile::tempdir().unwrap();
    let (out, data, s) = (dir.path().join("run"), dataset(22, 5), settings(|_| ()));
    let mut w = Watcher::default();
    let outcome = go(&job(&out, &s, &data, false, Toy::new(None)), &mut w).unwrap();
    assert_eq!((outcome.end, outcome.steps, outcome.total_steps), (TrainEnd::Finished, 18, 18));
    assert_eq!(w.steps.iter().map(|s| s.step).collect::<Vec<_>>(), (1..=18).collect::<Vec<_>>());
    assert_eq!(w.watched, (0..=18).collect::<Vec<_>>());
    assert_eq!(w.validated.iter().map(|v| v.0).collect::<Vec<_>>(), [4, 8, 12, 16, 18]);
    let epoch = |i: usize| w.steps[6 * i..][..6].iter().map(|s| s.loss).sum::<f64>();
    assert!(epoch(2) < epoch(0), "the same samples");
    assert_eq!(w.steps[0].lr, 0.0);
    assert_eq!(w.plan.unwrap().total_steps, 18);
    // Held-out samples come last in the log; the last mean is over what was left.
    let logged: Vec<u64> = log(&out).iter().filter(|l| l.1.is_some()).map(|l| l.0).collect();
    assert_eq!(logged, [3, 6, 9, 12, 15, 18]);
    let mean = w.steps[3..6].iter().map(|s| s.loss).sum::<f64>() / 3.0;
    assert_eq!(log(&out).iter().find(|l| l.0 == 6 && l.1.is_some()).unwrap().1, Some(mean));
    let best = w.validated.iter().rfind(|v| v.2).unwrap();
    assert_eq!(outcome.best, Some((best.0, best.1)));
    assert_eq!(weights(&out.join("best")), weights(&out.join(format!("checkpoint-{}", best.0))));
    let mut want = vec!["README.md", "adapter_config.json", "adapter_model.safetensors", "best"];
    want.extend(["checkpoint-16", "checkpoint-18", FILE, LOG_FILE, checkpoint::STATE]);
    want.sort_unstable();
    assert_eq!(names(&out), want);
    let state: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join(checkpoint::STATE)).unwrap()).unwrap();
    assert_eq!((state["global_step"].as_u64(), state["max_steps"].as_u64()), (Some(18), Some(18)));
    let history = state["log_history"].as_array().unwrap();
    assert_eq!(history.len(), 6 + 5 + 1);
    assert!(history[11]["train_runtime"].is_number());
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    for part in ["org/toy", "zh.json", &data.files[0].sha256, "| rank | 8 |", "| 18 |", "PeftModel"] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    // The follower of other programs' logs reads it.
    let updates = LogFollower::new(&out).poll().unwrap();
    assert!(!updates.iter().any(|u| matches!(u, Update::Damaged { .. })), "{updates:?}");
    let records = updates.iter().filter(|u| matches!(u, Update::Record(_))).count();
    assert_eq!(records, 12);
    // Again: it says that it is finished, and computes nothing.
    let again = go(&job(&out, &s, &data, true, Toy::new(Some(0))), &mut Watcher::default()).unwrap();
    assert_eq!(again, outcome);
}

#[test]
fn interrupted_at_every_step_and_resumed_the_weights_and_the_log_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(22, 5);
    let s = settings(|s| s.weight_decay = 0.01);
    let whole = dir.path().join("whole");
    go(&job(&whole, &s, &data, false, Toy::new(None)), &mut Watcher::default()).unwrap();
    let pieced = dir.path().join("pieced");
    for step in 1..=18 {
        let mut w = Watcher { stop_at: Some(step), ..Watcher::default() };
        let e = go(&job(&pieced, &s, &data, step > 1, Toy::new(None)), &mut w).unwrap_err();
        assert_eq!(e, Error::Interrupted);
        assert_eq!(w.steps.len(), 1, "it goes on from where it was");
    }
    let mut w = Watcher::default();
    go(&job(&pieced, &s, &data, true, Toy::new(None)), &mut w).unwrap();
    assert!(w.steps.is_empty() && w.validated.len() == 1, "only the last validation was left");
    assert_eq!(weights(&whole), weights(&pieced));
    assert_eq!(weights(&whole.join("best")), weights(&pieced.join("best")));
    assert_eq!(log(&whole), log(&pieced));
    // From the beginning, where no checkpoint was written; and from one that is older than the log.
    for lost in ["checkpoint-", "checkpoint-18"] {
        for name in names(&pieced).iter().filter(|n| n.starts_with(lost)) {
            fs::remove_dir_all(pieced.join(name)).unwrap();
        }
        let record = fs::read_to_string(pieced.join(FILE)).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
        record["outcome"] = serde_json::Value::Null;
        fs::write(pieced.join(FILE), record.to_string()).unwrap();
        fs::remove_file(pieced.join(peft::WEIGHTS)).unwrap();
        go(&job(&pieced, &s, &data, true, Toy::new(None)), &mut Watcher::default()).unwrap();
        assert_eq!((weights(&whole), log(&whole)), (weights(&pieced), log(&pieced)), "{lost}");
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (data, s) = (dataset(22, 5), settings(|_| ()));
    let (whole, out) = (dir.path().join("whole"), dir.path().join("run"));
    go(&job(&whole, &s, &data, false, Toy::new(None)), &mut Watcher::default()).unwrap();
    let mut w = Watcher { stop_at: Some(13), ..Watcher::default() };
    go(&job(&out, &s, &data, false, Toy::new(None)), &mut w).unwrap_err();
    assert_eq!(w.saved, [4, 5, 8, 10, 12, 13]);
    let file = out.join("checkpoint-13").join(peft::OPTIMISER);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    fs::create_dir(out.join(".tmp-checkpoint-14")).unwrap();
    let mut log_file = OpenOptions::new().append(true).open(out.join(LOG_FILE)).unwrap();
    log_file.write_all(b"{\"current_steps\": 14, \"lo").unwrap();
    let mut w = Watcher::default();
    go(&job(&out, &s, &data, true, Toy::new(None)), &mut w).unwrap();
    assert!(w.notes[0].contains("checkpoint-13") && w.notes[0].contains(peft::OPTIMISER), "{:?}", w.notes);
    assert_eq!((w.steps[0].step, w.plan.unwrap().done_steps), (13, 12));
    assert_eq!((weights(&whole), log(&whole)), (weights(&out), log(&out)));
    assert!(!names(&out).iter().any(|n| n.starts_with(".tmp")));
}

#[test]
fn what_is_not_finite_stops_and_the_last_good_checkpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (out, data, s) = (dir.path().join("run"), dataset(22, 0), settings(|_| ()));
    // Two passes a step, but one for the last of an epoch (22 = 5 * 4 + 2).
    let e = go(&job(&out, &s, &data, false, Toy::new(Some(12))), &mut Watcher::default()).unwrap_err();
    let text = e.to_string();
    for part in ["step 7", "loss is NaN", "--lr", "checkpoint-5", "--init-adapter"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    checkpoint::load(&out.join("checkpoint-5"), &job(&out, &s, &data, true, Toy::new(None)).start).unwrap();
    let other = dir.path().join("other");
    let e = go(&job(&other, &s, &data, false, Toy::new(Some(0))), &mut Watcher::default()).unwrap_err();
    assert!(e.to_string().contains("step 1") && e.to_string().contains("No checkpoint"), "{e}");
    let huge = settings(|s| (s.lr, s.warmup_ratio) = (1e300, 0.0));
    let third = dir.path().join("third");
    let e = go(&job(&third, &huge, &data, false, Toy::new(None)), &mut Watcher::default()).unwrap_err();
    assert!(e.to_string().contains("weight"), "{e}");
}

#[test]
fn asked_to_save_to_stop_and_to_discard() {
    let dir = tempfile::tempdir().unwrap();
    let (data, s) = (dataset(22, 5), settings(|_| ()));
    let (whole, out) = (dir.path().join("whole"), dir.path().join("run"));
    go(&job(&whole, &s, &data, false, Toy::new(None)), &mut Watcher::default()).unwrap();
    let mut w = Watcher { control: Some((4, Control::Save)), ..Watcher::default() };
    w.stop_at = Some(4);
    go(&job(&out, &s, &data, false, Toy::new(None)), &mut w).unwrap_err();
    assert_eq!(w.saved, [3, 4]);
    let mut w = Watcher { control: Some((2, Control::StopAndSave)), ..Watcher::default() };
    // (The first questions are those of the validation that was interrupted at step 4.)
    let outcome = go(&job(&out, &s, &data, true, Toy::new(None)), &mut w).unwrap();
    assert_eq!((outcome.end, outcome.steps), (TrainEnd::Stopped, 4), "asked while step 4 was validated");
    assert!(out.join(peft::WEIGHTS).is_file() && out.join("best").is_dir());
    go(&job(&out, &s, &data, true, Toy::new(None)), &mut Watcher::default()).unwrap();
    assert_eq!(weights(&whole), weights(&out), "a stopped run may go on");
    fs::write(out.join("mine.txt"), "x").unwrap();
    let record = fs::read_to_string(out.join(FILE)).unwrap().replace("\"finished\"", "\"stopped\"");
    fs::write(out.join(FILE), record).unwrap();
    begin::discard(&out).unwrap();
    assert_eq!(names(&out), ["mine.txt"]);
    let gone = dir.path().join("gone");
    let mut w = Watcher { control: Some((15, Control::StopAndDiscard)), ..Watcher::default() };
    let outcome = go(&job(&gone, &s, &data, false, Toy::new(None)), &mut w).unwrap();
    assert_eq!(outcome.end, TrainEnd::Discarded);
    assert!(!gone.exists() && !w.saved.is_empty());
}

#[test]
fn it_ends_early_when_nothing_gets_better() {
    let dir = tempfile::tempdir().unwrap();
    let (out, data) = (dir.path().join("run"), dataset(22, 5));
    // A rate that throws the weights about.
    let s = settings(|s| {
        (s.lr, s.epochs, s.eval_steps, s.patience) = (3.0, 40.0, 1, Some(3));
        s.dropout = 0.0;
    });
    let mut w = Watcher::default();
    let outcome = go(&job(&out, &s, &data, false, Toy::new(None)), &mut w).unwrap();
    let best = w.validated.iter().rposition(|v| v.2).unwrap();
    assert_eq!((outcome.end, w.validated.len() - 1 - best), (TrainEnd::Early, 3));
    let again = go(&job(&out, &s, &data, true, Toy::new(Some(0))), &mut Watcher::default()).unwrap();
    assert_eq!(again, outcome);
}

#[test]
fn another_run_data_or_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (out, data, s) = (dir.path().join("run"), dataset(22, 5), settings(|_| ()));
    let fails = |job: &Job, what: &str, code: u8| {
        let e = run(job, &Cancel::new(), &mut NoHooks).unwrap_err();
        assert!(e.to_string().contains(what) && e.exit_code() == code, "{what}: {e}");
    };
    fails(&job(&out, &s, &data, true, Toy::new(None)), "holds no run", 2);
    let mut w = Watcher { stop_at: Some(6), ..Watcher::default() };
    go(&job(&out, &s, &data, false, Toy::new(None)), &mut w).unwrap_err();
    fails(&job(&out, &s, &data, false, Toy::new(None)), "holds a run already (6 steps done)", 2);
    let other = dataset(23, 5);
    fails(&job(&out, &s, &other, true, Toy::new(None)), "zh.json is not the file", 1);
    let mut fewer = data.clone();
    fewer.held_out.pop();
    fails(&job(&out, &s, &fewer, true, Toy::new(None)), "5 held out", 1);
    let mut model = job(&out, &s, &data, true, Toy::new(None));
    model.model.dtype = "bf16".into();
    fails(&model, "another number format", 1);
    let mut weights = job(&out, &s, &data, true, Toy::new(None));
    weights.model.sha256 = "0".into();
    fails(&weights, "other weights", 1);
    let mut start = job(&out, &s, &data, true, Toy::new(None));
    start.start.values[0] = 9.0;
    fails(&start, "began from", 1);
    let lock = File::open(&out).unwrap();
    lock.try_lock().unwrap();
    fails(&job(&out, &s, &data, true, Toy::new(None)), "another process", 1);
    drop(lock);
    let mut threads = job(&out, &s, &data, true, Toy::new(None));
    threads.model.threads = 7;
    let mut w = Watcher::default();
    go(&threads, &mut w).unwrap();
    assert!(w.notes[0].contains("7"), "{:?}", w.notes);
    let full = dir.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("x"), "y").unwrap();
    fails(&job(&full, &s, &data, false, Toy::new(None)), "is not empty", 2);
    fails(&job(&full.join("x"), &s, &data, false, Toy::new(None)), "a file of this name", 2);
    fs::write(out.join(FILE), "{\"schema\": \"poly").unwrap();
    fails(&job(&out, &s, &data, true, Toy::new(None)), "training.json is damaged", 1);
}
