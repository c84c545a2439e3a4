//! Our numbers beside those of another implementation (`shared/golden`).

mod common;

use common::{golden, model_file, shared};
use polylens::engine::Engine;
use polylens::engine::control::Cancel;
use polylens::engine::protocol::*;
use polylens::tasks::task::Task;
use polylens::tasks::{items, prompt};

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
            worst[2] =
                worst[2].max((f64::from(ours.kl_bits.unwrap()) - theirs["kl_bits"].as_f64().unwrap()).abs());
            for pair in theirs["top"].as_array().unwrap() {
                let (id, p) = (pair[0].as_u64().unwrap() as u32, pair[1].as_f64().unwrap());
                // Among near-equal tokens the order may differ: what is missing must be below our last.
                let mine = ours.top.iter().find(|t| t.id == id).map(|t| f64::from(t.p));
                let mine = mine.unwrap_or_else(|| f64::from(ours.top.last().unwrap().p).min(p));
                worst[0] = worst[0].max((mine - p).abs());
            }
        }
    }
    println!(
        "{file}: largest difference of a top-10 probability {:.2e}, entropy {:.2e} bits, KL {:.2e} bits",
        worst[0], worst[1], worst[2]
    );
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

/// The token sets, the four curves under both protocols, and prompts from the golden task.
fn check_curves(engine: &Engine, run: RunId, file: &str) {
    let Some(json) = golden(file) else { return };
    let Some(path) = shared("golden/sentiment.toml") else { return };
    let task = Task::open(&path).unwrap();
    let names = ["en", "target", "all_possible_latent", "all_possible_out"];
    let mut worst = 0f64;
    for item in json["items"].as_array().unwrap() {
        let lang = item["lang"].as_str().unwrap();
        let Some(file) = shared(&format!("paper/sentiment/{lang}.json")) else { return };
        let language = task.language(lang).unwrap();
        let rows = items::load(&task, language, &file, Some(2)).unwrap();
        let index = item["index"].as_u64().unwrap() as usize;
        for (protocol, name) in [(Protocol::Paper, "paper"), (Protocol::Default, "default")] {
            let made = prompt::items(&task, language, Style::Same, protocol, &rows).unwrap();
            let query = made[index].query.clone();
            assert_eq!(query.prefix.clone() + &query.text, item["text"].as_str().unwrap());
            let answer = engine.lens(&query, &[run], 1, &Cancel::new(), &mut |_| {}).unwrap();
            for (ours, theirs) in answer.runs[0].layers.iter().zip(item["layers"].as_array().unwrap()) {
                let c = ours.curves.expect("a comparison that is not refused");
                for (n, p) in names.iter().zip([c.en, c.target, c.all_possible_latent, c.all_possible_out]) {
                    let want = theirs["sets"][format!("{name}.{n}")].as_f64().unwrap();
                    worst = worst.max((f64::from(p) - want).abs());
                }
            }
        }
    }
    println!("{file}: largest difference of a curve {worst:.2e}");
    assert!(worst < TOLERANCE, "{file}: {worst}");
}

#[test]
fn gemma_curves() {
    let Some(engine) = engine("gemma-3-270m", DType::F32) else { return };
    check_curves(&engine, None, "gemma-lens.json");
    let Some(adapter) = shared("golden/adapter") else { return };
    let index = engine.add_adapter(&adapter, "golden").unwrap();
    check_curves(&engine, Some(index), "gemma-lens-adapter.json");
}

#[test]
fn smollm2_curves() {
    let Some(engine) = engine("smollm2-135m", DType::F32) else { return };
    check_curves(&engine, None, "smollm2-lens.json");
}

fn check_pca(engine: &Engine, run: RunId, file: &str) {
    let Some(json) = golden(file) else { return };
    let Some(path) = shared("golden/sentiment.toml") else { return };
    let task = Task::open(&path).unwrap();
    let mut request = PcaRequest {
        runs: vec![run],
        pooling: Pooling::Mean,
        protocol: Protocol::Paper,
        ..PcaRequest::default()
    };
    for lang in json["langs"].as_array().unwrap() {
        let lang = lang.as_str().unwrap();
        let Some(file) = shared(&format!("paper/sentiment/{lang}.json")) else { return };
        let language = task.language(lang).unwrap();
        let rows = items::load(&task, language, &file, Some(json["n"].as_u64().unwrap() as usize)).unwrap();
        let made = prompt::items(&task, language, Style::Same, Protocol::Paper, &rows).unwrap();
        request.items.push((lang.to_owned(), made));
    }
    let answer = engine.pca(&request, &Cancel::new(), &mut |_, _, _, _| {}).unwrap();
    let mut worst = [0f64; 2];
    for (ours, theirs) in answer.runs[0].layers.iter().zip(json["layers"].as_array().unwrap()) {
        for (pair, r) in theirs["pearson"].as_object().unwrap() {
            worst[0] = worst[0].max((ours.pearson[pair] - r.as_f64().unwrap()).abs());
        }
        let want = theirs["explained_variance_ratio"].as_f64().unwrap();
        worst[1] = worst[1].max((ours.explained_variance_ratio_1d - want).abs());
    }
    println!(
        "{file}: largest difference of a Pearson value {:.2e}, of an explained variance {:.2e}",
        worst[0], worst[1]
    );
    assert!(worst[0] < TOLERANCE && worst[1] < TOLERANCE, "{worst:?}");
}

#[test]
fn gemma_pca() {
    let Some(engine) = engine("gemma-3-270m", DType::F32) else { return };
    check_pca(&engine, None, "gemma-pca.json");
    let Some(adapter) = shared("golden/adapter") else { return };
    let index = engine.add_adapter(&adapter, "golden").unwrap();
    check_pca(&engine, Some(index), "gemma-pca-adapter.json");
}
