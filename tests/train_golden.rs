//! A run beside the reference's (transformers + PEFT + torch, f32): the same initial adapter, the same batches.

mod common;

use polylens::engine::protocol::*;
use polylens::engine::{Cancel, Engine};
use polylens::train::data::Dataset;
use polylens::train::{self, Hooks};
use std::path::Path;

/// Stops after some steps.
struct Until {
    cancel: Cancel,
    last: u64,
    steps: Vec<TrainStep>,
}

impl Hooks for Until {
    fn stepped(&mut self, step: &TrainStep) {
        self.steps.push(*step);
        if step.step == self.last {
            self.cancel.cancel();
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

/// Five of the twenty steps, for time; POLYLENS_LONG=1 takes all.
#[test]
fn losses_norms_rates_and_weights_are_the_references() {
    let Some(reference) = common::golden("lora/losses.json") else { return };
    let (Some(data), Some(model)) =
        (common::shared("golden/lora/data.json"), common::model_file("gemma-3-270m"))
    else {
        return;
    };
    let long = std::env::var("POLYLENS_LONG").is_ok();
    let spec = LoadSpec {
        path: model,
        name: "gemma-3-270m".into(),
        dtype: DType::F32,
        device: DeviceChoice::Cpu,
        threads: 0,
    };
    let engine = Engine::load(&spec, &mut |_, _, _, _| {}).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let settings = TrainSettings {
        epochs: 1.0,
        val_size: 0.0,
        shuffle: false,
        save_steps: 1000,
        ..TrainSettings::default()
    };
    let request = TrainRequest {
        settings,
        data: vec![TrainData::File { lang: None, path: data }],
        out: dir.path().join("run"),
        init_adapter: common::shared("golden/lora/init"),
        ..TrainRequest::default()
    };
    let dataset = Dataset::read(&request.data, &request.settings, engine.tokenizer()).unwrap();
    let id = engine.model_id("gemma-3-270m", &mut |_, _| Ok(())).unwrap();
    let job = engine.training_job(request, &dataset, id).unwrap();
    assert_eq!(job.plan.total_steps, 20);
    let cancel = Cancel::new();
    let last = if long { 20 } else { 5 };
    let mut until = Until { cancel: cancel.clone(), last, steps: Vec::new() };
    // Stopped or, with all steps, interrupted before the end is written: a checkpoint is there either way.
    train::run(&job, &cancel, &mut until).unwrap_err();
    for (step, want) in until.steps.iter().zip(reference["steps"].as_array().unwrap()) {
        let number = |key: &str| want[key].as_f64().unwrap();
        assert!((step.loss - number("loss")).abs() < 1e-3, "{step:?} {want}");
        assert!((step.grad_norm - number("grad_norm_before_clip")).abs() < 1e-3, "{step:?} {want}");
        assert!((step.lr - number("lr")).abs() < 1e-18, "{step:?} {want}");
        assert_eq!(step.tokens as f64, number("tokens"));
    }
    let want = common::shared(if long {
        "golden/lora/final/adapter_model.safetensors"
    } else {
        "golden/lora/after-step5.safetensors"
    });
    let got = numbers(&dir.path().join(format!("run/checkpoint-{last}/adapter_model.safetensors")));
    let want = numbers(&want.unwrap());
    assert_eq!(got.len(), want.len());
    let mut largest = 0f32;
    for ((name, xs), (other, ys)) in got.iter().zip(&want) {
        assert_eq!((name, xs.len()), (other, ys.len()));
        largest = xs.iter().zip(ys).map(|(x, y)| (x - y).abs()).fold(largest, f32::max);
    }
    assert!(largest < 1e-4, "{largest}");
    println!("largest difference of the weights after {last} steps: {largest:e}");
}
