//! Our numbers beside those of another implementation (`shared/golden`).

mod common;

use common::{golden, model_file, shared};
use polylens::engine::Engine;
use polylens::engine::control::Cancel;
use polylens::engine::protocol::*;

const TOLERANCE: f64 = 1e-3;

fn engine(model: &str, dtype: DType) -> Option<Engine> {
    let path = model_file(model)?;
    let spec = LoadSpec { path, name: model.into(), dtype, device: DeviceChoice::Cpu, threads: 0 };
    Some(Engine::load(&spec, &mut |_, _, _, _| {}).expect("the model loads"))
}

/// A golden record's four curves as a query: its own token sets are compared apart.
fn query(text: &str) -> Query {
    Query { text: text.into(), ..Query::default() }
}

fn check_lens(engine: &Engine, run: RunId, file: &str) {
    let Some(json) = golden(file) else { return };
    let mut worst = [0f64; 3];
    for item in json["items"].as_array().unwrap() {
        let q = query(item["text"].as_str().unwrap());
        let answer = engine.lens(&q, &[run], 12, &Cancel::new(), &mut |_| {}).unwrap();
        let ids: Vec<u64> = answer.tokens.iter().map(|t| u64::from(t.id)).collect();
        let want: Vec<u64> = item["ids"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
        assert_eq!(ids, want, "token ids of {}", item["lang"]);
        for (ours, theirs) in answer.runs[0].layers.iter().zip(item["layers"].as_array().unwrap()) {
            let entropy = theirs["entropy_bits"].as_f64().unwrap();
            worst[1] = worst[1].max((f64::from(ours.entropy_bits) - entropy).abs());
            worst[2] = worst[2].max((f64::from(ours.kl_bits.unwrap()) - theirs["kl_bits"].as_f64().unwrap()).abs());
            for pair in theirs["top"].as_array().unwrap() {
                let (id, p) = (pair[0].as_u64().unwrap() as u32, pair[1].as_f64().unwrap());
                // Among near-equal tokens the order may differ: what is missing must be below our last.
                let mine = ours.top.iter().find(|t| t.id == id).map(|t| f64::from(t.p));
                let mine = mine.unwrap_or_else(|| f64::from(ours.top.last().unwrap().p).min(p));
                worst[0] = worst[0].max((mine - p).abs());
            }
        }
    }
    println!("{file}: largest difference of a top-10 probability {:.2e}, entropy {:.2e} bits, KL {:.2e} bits", worst[0], worst[1], worst[2]);
    assert!(worst[0] < TOLERANCE && worst[1] < TOLERANCE, "{file}: {worst:?}");
}

#[test]
fn gemma_lens() {
    let Some(engine) = engine("gemma-3-270m", DType::F32) else { return };
    check_lens(&engine, None, "gemma-lens.json");
    let Some(adapter) = shared("golden/adapter") else { return };
    let index = engine.add_adapter(&adapter, "golden").unwrap();
    check_lens(&engine, Some(index), "gemma-lens-adapter.json");
}

#[test]
fn smollm2_lens() {
    let Some(engine) = engine("smollm2-135m", DType::F32) else { return };
    check_lens(&engine, None, "smollm2-lens.json");
}
