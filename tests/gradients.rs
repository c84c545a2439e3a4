//! Training's loss and gradients: against numeric slopes on tiny models of every architecture, and against the
//! reference library's first step on Gemma 3.

mod common;

use polylens::engine::Cancel;
use polylens::engine::protocol::DType;
use polylens::model::act::Backend;
use polylens::model::decoder::Decoder;
use polylens::model::loader::Checkpoint;
use polylens::model::names::Proj;
use polylens::train::gradient::{GradientOptions, Sample, gradient, loss};
use polylens::train::lora::LoraParams;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn load(path: &Path, dtype: DType) -> Decoder {
    let open = Checkpoint::open(path).unwrap_or_else(|e| panic!("{e}"));
    open.build(dtype, &Backend::Cpu, &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}"))
}

/// Small numbers, the same ones every time.
fn fill(values: &mut [f32], seed: u64) {
    let mut s = seed;
    for v in values {
        s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *v = ((s >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 0.4;
    }
}

fn samples(vocabulary: usize) -> Vec<Sample> {
    let ids =
        |n: usize, seed: usize| (0..n).map(|i| ((i * 37 + seed * 11 + 3) % vocabulary) as u32).collect();
    vec![
        Sample { ids: ids(9, 1), answer: 4 },
        Sample { ids: ids(23, 2), answer: 1 },
        Sample { ids: ids(14, 3), answer: 13 },
    ]
}

/// The slope of the loss along the gradient, in one site's A or B alone, must be the gradient's length there.
fn check(name: &str, decoder: &Decoder) {
    let none = Cancel::new();
    let mut params = LoraParams::zeros(decoder, 3, 6.0, &Proj::ALL).unwrap();
    fill(&mut params.values, 5);
    let samples = samples(decoder.vocabulary());
    let mut grads = vec![0f32; params.values.len()];
    let kept = gradient(decoder, &params, &samples, GradientOptions::default(), &none, &mut grads).unwrap();
    let mut again = vec![0f32; grads.len()];
    let options = GradientOptions { recompute: true, dropout: None };
    let recomputed = gradient(decoder, &params, &samples, options, &none, &mut again).unwrap();
    assert_eq!(kept, recomputed);
    assert_eq!(grads, again, "{name}: computing activations anew changes the gradient");
    assert_eq!(kept.nll, loss(decoder, &params, &samples, &none).unwrap().nll);
    assert_eq!((kept.answer_tokens, kept.tokens), (5 + 22 + 1, 46));
    let places: Vec<_> = params.sites.iter().flat_map(|s| [(s, s.a.clone()), (s, s.b.clone())]).collect();
    for (site, range) in places {
        let length = grads[range.clone()].iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        assert!(length > 1e-7, "{name}: no gradient reaches {site:?}");
        let h = (0.02 / length).min(0.05);
        let at = |by: f64| {
            let mut moved = params.clone();
            for i in range.clone() {
                moved.values[i] += (by * f64::from(grads[i]) / length) as f32;
            }
            loss(decoder, &moved, &samples, &none).unwrap().nll
        };
        // Four points: the error is of the fourth order.
        let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        // The loss is a sum of f32 numbers around 100: its noise limits what a step of h can show.
        let noise = 4e-5 / h;
        assert!(
            (slope - length).abs() < 4e-3 * length + noise,
            "{name}: block {} {}: slope {slope}, gradient {length}",
            site.layer,
            site.proj.module()
        );
    }
}

#[test]
fn gradients_are_numeric_slopes_on_every_architecture() {
    let models = [
        "mistral",
        "qwen2",
        "qwen2-tied",
        "qwen2-window",
        "qwen3",
        "llama3",
        "llama-linear",
        "gemma3",
        "gemma3-softcap",
        "gemma3-multimodal",
    ];
    for m in models {
        check(m, &load(&fixture("models").join(m), DType::F32));
    }
    for g in ["llama", "gemma3", "qwen2", "qwen3"] {
        check(g, &load(&fixture("gguf").join(format!("{g}.gguf")), DType::Native));
    }
}

/// Dropout must drop the same numbers forward and back: then the gradient is that of the dropped network.
#[test]
fn dropout_is_the_same_forward_and_back() {
    let decoder = load(&fixture("models/gemma3"), DType::F32);
    let none = Cancel::new();
    let mut params = LoraParams::zeros(&decoder, 4, 8.0, &Proj::ALL).unwrap();
    fill(&mut params.values, 9);
    let samples = samples(decoder.vocabulary());
    let at = |params: &LoraParams, seed: u64| {
        let mut grads = vec![0f32; params.values.len()];
        let options = GradientOptions { recompute: true, dropout: Some((0.3, seed)) };
        let sums = gradient(&decoder, params, &samples, options, &none, &mut grads).unwrap();
        (sums.nll, grads)
    };
    let (nll, grads) = at(&params, 1);
    assert_eq!(at(&params, 1).1, grads);
    assert_ne!(at(&params, 2).0, nll);
    let length = grads.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let h = 0.02 / length;
    let moved = |by: f64| {
        let mut p = params.clone();
        for (v, g) in p.values.iter_mut().zip(&grads) {
            *v += (by * f64::from(*g) / length) as f32;
        }
        at(&p, 1).0
    };
    let slope = (8.0 * (moved(h) - moved(-h)) - (moved(2.0 * h) - moved(-2.0 * h))) / (12.0 * h);
    assert!((slope / length - 1.0).abs() < 4e-3, "slope {slope}, gradient {length}");
}

#[test]
fn what_cannot_be_trained_on_is_refused() {
    let decoder = load(&fixture("models/llama3"), DType::F32);
    let params = LoraParams::zeros(&decoder, 2, 4.0, &[Proj::Q]).unwrap();
    let none = Cancel::new();
    let refused = |ids: Vec<u32>, answer: usize| {
        loss(&decoder, &params, &[Sample { ids, answer }], &none).unwrap_err().to_string()
    };
    assert!(refused(vec![1, 2], 2).contains("no answer"));
    assert!(refused(vec![1, 2], 0).contains("no question"));
    assert!(refused(vec![1, 9_999_999], 1).contains("9999999"));
    assert!(LoraParams::zeros(&decoder, 0, 4.0, &[Proj::Q]).is_err());
    assert!(LoraParams::zeros(&decoder, 2, 4.0, &[]).is_err());
    let stop = Cancel::new();
    stop.cancel();
    let sample = Sample { ids: vec![1, 2], answer: 1 };
    assert!(matches!(loss(&decoder, &params, &[sample], &stop), Err(polylens::Error::Interrupted)));
}

/// The numbers of a safetensors file under PEFT's names, laid out as the parameters are.
fn read(file: &Path, params: &LoraParams) -> Vec<f32> {
    let bytes = std::fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut out = vec![f32::NAN; params.values.len()];
    for s in &params.sites {
        let path =
            format!("base_model.model.model.layers.{}.{}.{}", s.layer, s.proj.parent(), s.proj.module());
        for (half, range) in [("A", s.a.clone()), ("B", s.b.clone())] {
            let names = [format!("{path}.lora_{half}.weight"), format!("{path}.lora_{half}.default.weight")];
            let view = names.iter().find_map(|n| tensors.tensor(n).ok()).unwrap();
            let xs = view.data().chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap()));
            assert_eq!(view.data().len(), range.len() * 4);
            for (to, x) in out[range].iter_mut().zip(xs) {
                *to = x;
            }
        }
    }
    out
}

#[test]
fn the_first_step_of_the_golden_run() {
    let Some(dir) = common::shared("golden/lora") else { return };
    let Some(model) = common::model_file("gemma-3-270m") else { return };
    let tokenizer = polylens::engine::load::tokenizer(&model).unwrap();
    let decoder = load(&model, DType::F32);
    let mut params = LoraParams::zeros(&decoder, 8, 16.0, &[Proj::Q, Proj::V]).unwrap();
    params.values = read(&dir.join("init/adapter_model.safetensors"), &params);
    let Some(rows) = common::golden("lora/data.json") else { return };
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    let samples: Vec<Sample> = rows.as_array().unwrap()[..16]
        .iter()
        .map(|row| {
            let mut ids = tokenizer.encode(&text(row, "input")).unwrap();
            let answer = ids.len();
            ids.extend(tokenizer.encode_plain(&text(row, "answer")).unwrap());
            ids.push(1);
            Sample { ids, answer }
        })
        .collect();
    let want = read(&dir.join("grads_step0.safetensors"), &params);
    let none = Cancel::new();
    let (mut nll, mut tokens) = (0.0, 0);
    let mut grads = vec![0f32; params.values.len()];
    for pass in samples.chunks(4) {
        let options = GradientOptions::default();
        let sums = gradient(&decoder, &params, pass, options, &none, &mut grads).unwrap();
        nll += sums.nll;
        tokens += sums.answer_tokens;
    }
    let loss = nll / tokens as f64;
    assert_eq!(tokens, 636);
    assert!((loss - 1.718_456_69).abs() < 1e-4, "loss {loss}");
    let mut worst = 0f64;
    for s in &params.sites {
        // lora_A has no gradient while lora_B is zero.
        assert!(grads[s.a.clone()].iter().all(|g| *g == 0.0));
        let difference =
            s.b.clone().map(|i| (f64::from(grads[i]) / tokens as f64 - f64::from(want[i])).powi(2));
        let length = s.b.clone().map(|i| f64::from(want[i]).powi(2)).sum::<f64>().sqrt();
        let d = difference.sum::<f64>().sqrt();
        worst = worst.max(d / length);
    }
    println!("loss {loss}, largest relative difference of a gradient {worst:e}");
    assert!(worst < 1e-3, "gradients differ by {worst:e}");
}
