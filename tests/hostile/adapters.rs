//! PEFT adapters: what cannot be applied faithfully is refused with the reason, never skipped.

use super::safetensors::write;
use super::{assert_sentence, fixture, guarded, load};
use polylens::engine::Engine;
use serde_json::{Map, Value, json};
use std::fs;
use tempfile::TempDir;

/// A copy of the mistral fixture's adapter and the model to load it on.
struct Bench {
    engine: Engine,
    dir: TempDir,
    config: Value,
    header: Map<String, Value>,
    data: Vec<u8>,
}

const A: &str = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight";
const B: &str = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight";

impl Bench {
    fn new() -> Self {
        let source = fixture("models/mistral/adapter_qv");
        let bytes = fs::read(source.join("adapter_model.safetensors")).unwrap();
        let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        Self {
            engine: load(&fixture("models/mistral"), "mistral").unwrap(),
            dir: tempfile::tempdir().unwrap(),
            config: serde_json::from_str(&fs::read_to_string(source.join("adapter_config.json")).unwrap())
                .unwrap(),
            header: serde_json::from_slice(&bytes[8..8 + size]).unwrap(),
            data: bytes[8 + size..].to_vec(),
        }
    }

    /// Loads what `config` and `header` say.
    fn add(
        &mut self,
        case: &str,
        config: &str,
        header: &Map<String, Value>,
        data: &[u8],
    ) -> polylens::Result<usize> {
        fs::write(self.dir.path().join("adapter_config.json"), config).unwrap();
        write(&self.dir.path().join("adapter_model.safetensors"), header, data);
        let path = self.dir.path().to_path_buf();
        guarded(case, || self.engine.add_adapter(&path, case))
    }

    fn refused(
        &mut self,
        case: &str,
        config: &str,
        header: &Map<String, Value>,
        data: &[u8],
        words: &[&str],
    ) {
        let Err(error) = self.add(case, config, header, data) else { panic!("{case}: was loaded") };
        assert_sentence(&error, self.dir.path(), case);
        for word in words {
            assert!(error.to_string().contains(word), "{case}: no {word:?} in: {error}");
        }
        assert_eq!(self.engine.adapters().len(), 0, "{case}: refused, but listed");
    }

    fn config(&mut self, key: &str, value: Value, words: &[&str]) {
        let mut config = self.config.clone();
        let case = format!("{key} = {value}");
        config[key] = value;
        let (header, data) = (self.header.clone(), self.data.clone());
        self.refused(&case, &config.to_string(), &header, &data, words);
    }

    fn tensors(
        &mut self,
        case: &str,
        words: &[&str],
        change: impl FnOnce(&mut Map<String, Value>, &mut Vec<u8>),
    ) {
        let (mut header, mut data) = (self.header.clone(), self.data.clone());
        change(&mut header, &mut data);
        let config = self.config.to_string();
        self.refused(case, &config, &header, &data, words);
    }
}

#[test]
fn the_adapter_itself_loads() {
    let mut bench = Bench::new();
    let (config, header, data) = (bench.config.to_string(), bench.header.clone(), bench.data.clone());
    assert_eq!(bench.add("unchanged", &config, &header, &data).unwrap(), 0);
    assert_eq!(bench.engine.adapters()[0].as_ref().unwrap().keys_matched, 12);
}

#[test]
fn what_cannot_be_applied_faithfully() {
    let mut bench = Bench::new();
    bench.config("use_dora", json!(true), &["DoRA"]);
    bench.config("modules_to_save", json!(["lm_head"]), &["modules_to_save"]);
    bench.config("bias", json!("all"), &["bias"]);
    bench.config("bias", json!("lora_only"), &["bias"]);
    bench.config("lora_bias", json!(true), &["lora_bias"]);
    bench.config("peft_type", json!("LOHA"), &["LOHA"]);
    bench.config("peft_type", json!("PROMPT_TUNING"), &["PROMPT_TUNING"]);
    bench.config("peft_type", Value::Null, &["peft_type"]);
    bench.config("layer_replication", json!([[0, 2], [1, 3]]), &["layer_replication"]);
    bench.config("target_parameters", json!(["mlp.experts.gate_up_proj"]), &["target_parameters"]);
    bench.config("trainable_token_indices", json!([1, 2]), &["trainable_token_indices"]);
    bench.config("alora_invocation_tokens", json!([5, 6]), &["alora_invocation_tokens"]);
    bench.config("use_qalora", json!(true), &["use_qalora"]);
}

#[test]
fn absurd_configurations() {
    let mut bench = Bench::new();
    for value in [json!(0), json!(-4), json!(1e18), json!("four"), json!(u64::MAX), json!(3), Value::Null] {
        bench.config("r", value, &[]);
    }
    for value in [json!("x"), json!([8]), json!(1e308), json!({}), json!(0)] {
        bench.config("lora_alpha", value, &[]);
    }
    for value in [
        json!(["fc1"]),
        json!(["k_proj"]),
        json!([]),
        json!(7),
        json!("("),
        json!("(a+)+$b{1000}{1000}{1000}"),
        json!(["q_proj"]),
    ] {
        bench.config("target_modules", value, &[]);
    }
    bench.config("layers_to_transform", json!([7]), &[]);
    bench.config("layers_to_transform", json!([-1]), &[]);
    bench.config("rank_pattern", json!({"q_proj": 9}), &[]);
    bench.config("rank_pattern", json!([1]), &[]);
    bench.config("alpha_pattern", json!({"q_proj": "x"}), &[]);
    let (header, data) = (bench.header.clone(), bench.data.clone());
    for text in ["", "{", "[]", "null", "{}", "{\"peft_type\":\"LORA\"}"] {
        bench.refused(
            &format!("adapter_config.json holds {text:?}"),
            text,
            &header,
            &data,
            &["adapter_config.json"],
        );
    }
}

#[test]
fn tensors_that_do_not_fit() {
    let mut bench = Bench::new();
    bench.tensors("B is missing", &["q_proj"], |h, _| {
        let tensor = h.remove(B).unwrap();
        h.insert("base_model.model.model.layers.1.self_attn.q_proj.lora_X.weight".to_owned(), tensor);
    });
    for other in [
        "base_model.model.model.layers.9.self_attn.q_proj.lora_B.weight",
        "base_model.model.transformer.h.1.attn.c_attn.lora_B.weight",
        "base_model.model.model.layers.1.self_attn.q_proj.lora_magnitude_vector",
        "base_model.model.model.layers.1.block_sparse_moe.gate.lora_B.weight",
        "base_model.model.lm_head.weight",
        "base_model.model.model.layers.99999999999999999999.self_attn.q_proj.lora_B.weight",
        "nonsense",
    ] {
        bench.tensors(&format!("{other} instead of B"), &[], |h, _| {
            let tensor = h.remove(B).unwrap();
            h.insert(other.to_owned(), tensor);
        });
    }
    bench.tensors("A has another rank", &["q_proj"], |h, _| h[A]["shape"] = json!([2, 80]));
    bench.tensors("B is transposed", &["q_proj"], |h, _| h[B]["shape"] = json!([4, 64]));
    bench.tensors("B is flat", &["q_proj"], |h, _| h[B]["shape"] = json!([256]));
    for (name, value) in [(A, f32::NAN), (B, f32::INFINITY)] {
        bench.tensors(&format!("{value} in {name}"), &[], |h, data| {
            let at = h[name]["data_offsets"][0].as_u64().unwrap() as usize;
            data[at..at + 4].copy_from_slice(&value.to_le_bytes());
        });
    }
    bench.tensors("an adapter that changes nothing", &[], |_, data| data.fill(0));
    bench.tensors("a file that is cut off", &["adapter_model.safetensors"], |_, data| data.truncate(100));
    bench.tensors("no tensors", &[], |h, data| {
        h.clear();
        data.clear();
    });
}

#[test]
fn directories_that_hold_no_adapter() {
    let bench = Bench::new();
    let root = tempfile::tempdir().unwrap();
    let source = fixture("models/mistral/adapter_qv");
    let check = |case: &str, files: &[(&str, &[u8])], words: &[&str]| {
        let dir = root.path().join(case.replace(' ', "-"));
        fs::create_dir(&dir).unwrap();
        for (name, bytes) in files {
            fs::write(dir.join(name), bytes).unwrap();
        }
        let error = guarded(case, || bench.engine.add_adapter(&dir, case)).map(|_| ()).unwrap_err();
        assert_sentence(&error, &dir, case);
        for word in words {
            assert!(error.to_string().contains(word), "{case}: no {word:?} in: {error}");
        }
    };
    let config = fs::read(source.join("adapter_config.json")).unwrap();
    check("an empty directory", &[], &["adapter_config.json"]);
    check("no weights", &[("adapter_config.json", &config)], &["adapter_model.safetensors"]);
    check(
        "pickled weights",
        &[("adapter_config.json", &config), ("adapter_model.bin", b"x")],
        &["adapter_model"],
    );
    check(
        "empty weights",
        &[("adapter_config.json", &config), ("adapter_model.safetensors", b"")],
        &["adapter_model.safetensors"],
    );
    check(
        "a page instead of weights",
        &[
            ("adapter_config.json", &config),
            ("adapter_model.safetensors", b"<html>404 not found here</html>"),
        ],
        &["adapter_model.safetensors"],
    );
    let missing = root.path().join("nowhere-at-all");
    let error = bench.engine.add_adapter(&missing, "missing").map(|_| ()).unwrap_err();
    assert_sentence(&error, &missing, "a missing directory");
    // another model's adapter: all names match, the shapes do not
    let foreign = fixture("models/qwen2-tied/adapter_qv");
    let error = guarded("foreign", || bench.engine.add_adapter(&foreign, "foreign")).map(|_| ()).unwrap_err();
    assert_sentence(&error, &foreign, "another model's adapter");
}
