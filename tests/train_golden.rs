//! A run beside the reference's (transformers + PEFT + torch, f32): the same initial adapter, the same batches.

mod common;

use polylens::engine::protocol::*;
use polylens::engine::{Cancel, Engine};
use polylens::train::data::Dataset;
use polylens::train::{self, Hooks};
use std::path::{Path, PathBuf};

const ADAPTER: &str = "adapter_model.safetensors";

/// Notes steps and checkpoints, reads the one after step 5 (only the last two stay), and ends the run after some steps.
struct Watched {
    cancel: Cancel,
    last: u64,
    steps: Vec<TrainStep>,
    fifth: Vec<(String, Vec<f32>)>,
}

impl Hooks for Watched {
    fn stepped(&mut self, step: &TrainStep) {
        self.steps.push(*step);
        if step.step == self.last {
            self.cancel.cancel();
        }
    }

    fn saved(&mut self, step: u64, path: &Path) {
        if step == 5 {
            self.fifth = numbers(&path.join(ADAPTER));
        }
    }
}

/// All numbers of a safetensors file, by name.
fn numbers(path: &Path) -> Vec<(String, Vec<f32>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats =
        |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let mut all: Vec<_> = file.tensors().into_iter().map(|(name, t)| (name, floats(t.data()))).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Every tensor is there, and no number is further than 1e-4 from the reference's.
fn compare(got: &[(String, Vec<f32>)], want: &Path) {
    let want = numbers(want);
    assert_eq!(got.len(), want.len());
    let mut largest = 0f32;
    for ((name, xs), (other, ys)) in got.iter().zip(&want) {
        assert_eq!((name, xs.len()), (other, ys.len()));
        for (x, y) in xs.iter().zip(ys) {
            assert!((x - y).abs() < 1e-4, "{name}: {x} {y}");
            largest = largest.max((x - y).abs());
        }
    }
    println!("largest difference of the weights: {largest:e}");
}

/// As `polylens train --no-shuffle --init-adapter INIT --val-size 0 --max-steps 20` does it, ended after `last` steps.
fn run(dtype: DType, last: u64, (data, init): (PathBuf, PathBuf), out: &Path) -> Option<Watched> {
    let path = common::model_file("gemma-3-270m")?;
    let name = "gemma-3-270m".to_owned();
    let spec = LoadSpec { path, name: name.clone(), dtype, device: DeviceChoice::Cpu, threads: 0 };
    let engine = Engine::load(&spec, &mut |_, _, _, _| {}).unwrap();
    let settings = TrainSettings {
        val_size: 0.0,
        shuffle: false,
        max_steps: Some(20),
        save_steps: 5,
        ..TrainSettings::default()
    };
    let request = TrainRequest {
        settings,
        data: vec![TrainData::File { lang: None, path: data }],
        out: out.to_owned(),
        init_adapter: Some(init),
        ..TrainRequest::default()
    };
    let dataset = Dataset::read(&request.data, &request.settings, engine.tokenizer()).unwrap();
    let id = engine.model_id(&name, &mut |_, _| Ok(())).unwrap();
    let job = engine.training_job(request, &dataset, id).unwrap();
    assert_eq!((job.plan.total_steps, job.plan.samples), (20, 320));
    let cancel = Cancel::new();
    // The flag is not raised where the run ends by itself.
    let until = if last < 20 { last } else { u64::MAX };
    let mut watched = Watched { cancel: cancel.clone(), last: until, steps: Vec::new(), fifth: Vec::new() };
    match train::run(&job, &cancel, &mut watched) {
        Ok(outcome) => assert_eq!((outcome.end, outcome.steps), (TrainEnd::Finished, 20)),
        Err(e) => assert!(matches!(e, polylens::Error::Interrupted) && last < 20, "{e}"),
    }
    assert_eq!(watched.steps.len() as u64, last);
    Some(watched)
}

#[test]
fn twenty_steps_are_the_references_and_quantised_weights_begin_with_the_same_loss() {
    let Some(reference) = common::golden("lora/losses.json") else { return };
    let shared = |path: &str| common::shared(&format!("golden/lora/{path}")).expect("beside the losses");
    let from = (shared("data.json"), shared("init"));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("f32");
    let Some(whole) = run(DType::F32, 20, from.clone(), &out) else { return };
    for (step, want) in whole.steps.iter().zip(reference["steps"].as_array().unwrap()) {
        let number = |key: &str| want[key].as_f64().unwrap();
        assert!((step.loss - number("loss")).abs() < 1e-3, "{step:?} {want}");
        let norm = number("grad_norm_before_clip");
        assert!((step.grad_norm / norm - 1.0).abs() < 1e-3, "{step:?} {want}");
        assert!((step.lr - number("lr")).abs() < 1e-18, "{step:?} {want}");
        assert_eq!(step.tokens as f64, number("tokens"));
    }
    compare(&whole.fifth, &shared("after-step5.safetensors"));
    compare(&numbers(&out.join(ADAPTER)), &shared("final").join(ADAPTER));
    // The file's own blocks hold the same numbers as their f32 copies.
    let first = run(DType::Native, 1, from, &dir.path().join("native")).unwrap().steps[0];
    assert!((first.loss - whole.steps[0].loss).abs() < 1e-4, "{first:?} {:?}", whole.steps[0]);
    println!("quantised weights: loss {} beside {}", first.loss, whole.steps[0].loss);
}
