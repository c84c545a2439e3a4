//! config.json and tokenizer.json: absurd numbers, wrong kinds, what is not supported.

use super::{copied, guarded, load, refused};
use polylens::engine::Cancel;
use polylens::engine::protocol::Query;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// A copy of a fixture with its config.json.
struct Bench {
    dir: TempDir,
    config: Value,
}

impl Bench {
    fn new(name: &str) -> Self {
        let dir = copied(name);
        let config =
            serde_json::from_str(&fs::read_to_string(dir.path().join("config.json")).unwrap()).unwrap();
        Self { dir, config }
    }

    fn raw(&self, case: &str, text: &str, words: &[&str]) {
        fs::write(self.dir.path().join("config.json"), text).unwrap();
        refused(self.dir.path(), case, words);
    }

    fn with(&self, key: &str, value: Value, words: &[&str]) {
        let mut config = self.config.clone();
        let shown: String = value.to_string().chars().take(60).collect();
        config[key] = value;
        self.raw(&format!("{key} = {shown}"), &config.to_string(), words);
    }
}

#[test]
fn texts_that_are_no_configuration() {
    let bench = Bench::new("models/llama-linear");
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        "\u{feff}{}",
        "{\"model_type\": 3}",
        "{\"model_type\": \"llama\"}",
        "{\"model_type\": null}",
    ] {
        bench.raw(&format!("config.json holds {text:?}"), text, &["config.json"]);
    }
    bench.raw("nested without end", &"[".repeat(500_000), &["config.json"]);
    bench.raw("objects without end", &"{\"a\":".repeat(200_000), &["config.json"]);
    fs::write(bench.dir.path().join("config.json"), [0xff, 0xfe, 0, 1]).unwrap();
    refused(bench.dir.path(), "not UTF-8", &["config.json"]);
    fs::remove_file(bench.dir.path().join("config.json")).unwrap();
    refused(bench.dir.path(), "missing", &["config.json"]);
}

#[test]
fn absurd_numbers() {
    for model in ["models/mistral", "models/qwen3", "models/gemma3"] {
        let bench = Bench::new(model);
        for key in [
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
        ] {
            for value in [
                json!(0),
                json!(-1),
                json!(1e18),
                json!(1u64 << 60),
                json!(u64::MAX),
                json!(1e300),
                json!("many"),
                json!([4]),
                json!(2.5),
                json!(true),
                json!(1_000_003),
            ] {
                bench.with(key, value, &[]);
            }
        }
        for key in ["rms_norm_eps", "rope_theta"] {
            for value in [json!(-1.0), json!("small"), json!([]), json!({}), json!(-1e300)] {
                bench.with(key, value, &[]);
            }
        }
        for value in [json!(0), json!(-4), json!("wide"), json!(1.5)] {
            bench.with("sliding_window", value.clone(), &[]);
        }
        bench.with("max_position_embeddings", json!(-1), &[]);
        bench.with("max_position_embeddings", json!("long"), &[]);
    }
    let gemma = Bench::new("models/gemma3");
    for value in [json!(0), json!(-24), json!("x")] {
        gemma.with("query_pre_attn_scalar", value, &[]);
    }
    for value in [json!(0.0), json!(-4.0), json!("x")] {
        gemma.with("final_logit_softcapping", value, &["soft"]);
    }
}

#[test]
fn numbers_that_do_not_fit_the_weights() {
    let bench = Bench::new("models/mistral");
    for (key, value) in [
        ("hidden_size", 41),
        ("hidden_size", 80),
        ("intermediate_size", 71),
        ("num_attention_heads", 2),
        ("num_attention_heads", 8),
        ("num_key_value_heads", 1),
        ("num_key_value_heads", 4),
        ("head_dim", 8),
        ("head_dim", 32),
        ("num_hidden_layers", 4),
    ] {
        bench.with(key, json!(value), &[]);
    }
    bench.with("num_hidden_layers", json!(2), &["layers.2"]);
    bench.with("head_dim", json!(15), &[]);
}

#[test]
fn what_is_not_supported_is_named() {
    let bench = Bench::new("models/llama-linear");
    for other in ["mamba2", "gpt2", "mixtral", "phi3", "gemma2", "t5", "deepseek_v3"] {
        bench.with("model_type", json!(other), &[other]);
    }
    for kind in ["yarn", "dynamic", "longrope", "su", "ntk"] {
        bench.with("rope_scaling", json!({"rope_type": kind, "factor": 2.0}), &[kind]);
    }
    bench.with("rope_scaling", json!({"rope_type": "linear"}), &["factor"]);
    bench.with("rope_scaling", json!({"rope_type": "linear", "factor": 0}), &["factor"]);
    bench.with("rope_scaling", json!({"rope_type": "linear", "factor": "x"}), &["factor"]);
    bench.with("rope_scaling", json!({"rope_type": "llama3", "factor": 8.0}), &["freq_factor"]);
    bench.with("hidden_act", json!("relu2"), &["relu2"]);
    bench.with("quantization_config", json!({"quant_method": "gptq", "bits": 4}), &["quant"]);
    let gemma = Bench::new("models/gemma3");
    gemma.with("layer_types", json!(["full_attention"]), &["layer_types"]);
    gemma.with(
        "layer_types",
        json!([
            "full_attention",
            "linear_attention",
            "full_attention",
            "full_attention",
            "full_attention",
            "full_attention"
        ]),
        &["linear_attention"],
    );
    gemma.with("layer_types", json!([1, 2, 3, 4, 5, 6]), &[]);
    gemma.with("use_bidirectional_attention", json!(true), &["bidirectional"]);
    gemma.with("num_local_experts", json!(8), &["expert"]);
}

#[test]
fn tokenizers_that_are_none() {
    let bench = Bench::new("models/qwen2");
    let path = bench.dir.path().join("tokenizer.json");
    let good = fs::read_to_string(&path).unwrap();
    for (case, text) in [
        ("empty", ""),
        ("cut", &good[..good.len() / 2]),
        ("a list", "[]"),
        ("an object", "{}"),
        ("no vocabulary", "{\"model\":{\"type\":\"BPE\"}}"),
    ] {
        fs::write(&path, text).unwrap();
        refused(bench.dir.path(), &format!("tokenizer.json is {case}"), &["tokenizer.json"]);
    }
    fs::write(&path, good.replacen("\"type\":\"BPE\"", "\"type\":\"Magic\"", 1)).unwrap();
    refused(bench.dir.path(), "an unknown kind of model", &["tokenizer.json"]);
    fs::remove_file(&path).unwrap();
    refused(bench.dir.path(), "no tokenizer", &["tokenizer.json"]);
}

#[test]
fn ids_beyond_the_vocabulary_are_an_error_not_a_panic() {
    let bench = Bench::new("models/qwen2");
    let path = bench.dir.path().join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    vocab.insert("a".to_owned(), json!(100_000));
    fs::write(&path, tokenizer.to_string()).unwrap();
    let case = "a token outside the embedding";
    if let Ok(engine) = load(bench.dir.path(), case) {
        let query = Query { text: "a".to_owned(), ..Query::default() };
        let answer = guarded(case, || engine.lens(&query, &[None], 3, &Cancel::new(), &mut |_| {}));
        let text = answer.map(|_| ()).unwrap_err().to_string();
        assert!(text.contains("100000"), "{text}");
    }
}
