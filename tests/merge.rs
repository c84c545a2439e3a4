//! Merging on tiny models of every architecture: the written directory alone gives what base + adapter give unmerged.

use polylens::engine::Cancel;
use polylens::engine::protocol::DType;
use polylens::lens::Readout;
use polylens::model::act::Backend;
use polylens::model::adapter::Adapter;
use polylens::model::config::Biases;
use polylens::model::decoder::{Decoder, Options, Span};
use polylens::model::format::Format;
use polylens::model::loader::Checkpoint;
use polylens::model::names::Proj;
use polylens::model::tokenizer::Tokenizer;
use polylens::model::weights::Store;
use polylens::train::merge::{Merged, Request, merge};
use safetensors::tensor::{Dtype, TensorView};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const GGUF: [&str; 4] = ["llama", "gemma3", "qwen2", "qwen3"];
/// Largest difference of a logit that rounding in f32 may make.
const CLOSE: f32 = 1e-4;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every fixture: (path, name).
fn all() -> Vec<(PathBuf, String)> {
    let dirs = std::fs::read_dir(fixtures().join("models")).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.path(), entry.file_name().into_string().unwrap())
    });
    let files = GGUF.iter().map(|g| (fixtures().join("gguf").join(format!("{g}.gguf")), format!("{g}.gguf")));
    let all: Vec<_> = dirs.chain(files).collect();
    assert_eq!(all.len(), 14);
    all
}

fn load(path: &Path, dtype: DType) -> Decoder {
    let open = Checkpoint::open(path).unwrap_or_else(|e| panic!("{e}"));
    open.build(dtype, &Backend::Cpu, &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}"))
}

/// A PEFT adapter of rank 3 on all seven layers of every block.
fn adapter(dir: &Path, decoder: &Decoder) {
    let mut state = 1u32;
    let mut noise = |n: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
        };
        (0..n).flat_map(|_| (next() * 0.2).to_le_bytes()).collect()
    };
    let mut tensors = Vec::new();
    for (layer, block) in decoder.blocks.iter().enumerate() {
        for p in Proj::ALL {
            let (out, inp) = block.linear(p).w.shape();
            for (half, shape) in [("A", [3, inp]), ("B", [out, 3])] {
                let name = format!(
                    "base_model.model.model.layers.{layer}.{}.{}.lora_{half}.weight",
                    p.parent(),
                    p.module()
                );
                tensors.push((name, shape, noise(shape[0] * shape[1])));
            }
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    let file = safetensors::serialize(views, None).unwrap();
    std::fs::write(dir.join("adapter_model.safetensors"), file).unwrap();
    let modules: Vec<&str> = Proj::ALL.iter().map(|p| p.module()).collect();
    let config = serde_json::json!({"peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": modules, "bias": "none"});
    std::fs::write(dir.join("adapter_config.json"), config.to_string()).unwrap();
}

fn logits(decoder: &Decoder, adapter: Option<Arc<Adapter>>) -> Vec<f32> {
    let ids: Vec<u32> = (3..23).map(|i| i * 7 % 200).collect();
    let mut out = Vec::new();
    decoder
        .forward(&[Span::new(ids, adapter)], Options::default(), &Cancel::new(), &mut |tap| {
            if tap.layer == decoder.blocks.len() {
                let x = tap.x.gather(&(0..tap.x.cols()).collect::<Vec<_>>())?;
                let read = Readout::new(decoder).logits(&x)?;
                out = (0..read.cols()).flat_map(|c| read.column(c)).collect();
            }
            Ok(())
        })
        .unwrap();
    out
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert!(!a.is_empty() && a.len() == b.len());
    a.iter()
        .zip(b)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, |m, d| if d.is_nan() { f32::INFINITY } else { m.max(d) })
}

fn request<'a>(model: &'a Path, adapter: &'a Path, out: &'a Path) -> Request<'a> {
    Request { model, adapter, out, dtype: Some(Format::F32), shard_bytes: u64::MAX, cache: None }
}

fn run(request: &Request) -> polylens::Result<Merged> {
    merge(request, &Cancel::new(), &mut |_, _, _, _| {})
}

/// Names of a directory, sorted.
fn listed(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn merged_models_of_every_architecture_give_the_logits_of_base_and_adapter() {
    for (model, name) in all() {
        let base = load(&model, DType::F32);
        let dir = tempfile::tempdir().unwrap();
        let lora = dir.path().join("lora");
        std::fs::create_dir(&lora).unwrap();
        adapter(&lora, &base);
        let loaded = Arc::new(Adapter::load(&lora, &base).unwrap());
        let want = logits(&base, Some(loaded));
        let change = apart(&want, &logits(&base, None));
        assert!(change > 0.1, "{name}: the adapter must matter ({change})");
        // Once in one file, once in shards of a few tensors.
        for (shard_bytes, out) in [(u64::MAX, "one"), (20_000, "many")] {
            let out = dir.path().join(out);
            let merged = run(&Request { shard_bytes, ..request(&model, &lora, &out) })
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(merged.changed, 7 * base.blocks.len(), "{name}");
            assert_eq!(merged.files > 1, shard_bytes == 20_000, "{name}");
            assert!(merged.probe_difference < CLOSE && merged.probe_change > 0.05, "{name}: {merged:?}");
            let own = load(&out, DType::F32);
            let difference = apart(&logits(&own, None), &want);
            assert!(difference < CLOSE, "{name}: {difference:e}");
        }
        assert_eq!(listed(dir.path()), ["lora", "many", "one"], "{name}: nothing else stays");
    }
}

#[test]
fn a_ggufs_directory_has_its_configuration_and_its_tokenizer() {
    for name in GGUF {
        let model = fixtures().join("gguf").join(format!("{name}.gguf"));
        let open = Checkpoint::open(&model).unwrap();
        let base = load(&model, DType::F32);
        let dir = tempfile::tempdir().unwrap();
        adapter(dir.path(), &base);
        let out = dir.path().join("merged");
        run(&request(&model, dir.path(), &out)).unwrap();
        let written = Checkpoint::open(&out).unwrap();
        let (mut a, mut b) = (open.config.clone(), written.config.clone());
        assert_eq!(b.norm_plus_one, b.post_norms, "Gemma's norms are stored without the 1");
        for c in [&mut a, &mut b] {
            c.title = None;
            c.norm_plus_one = false;
            (c.qkv_bias, c.o_bias, c.mlp_bias) = (Biases::AsFiled, Biases::AsFiled, Biases::AsFiled);
        }
        let frequencies = |c: &polylens::model::config::Config| -> Vec<f64> {
            c.ropes.iter().flat_map(|r| r.inverse_frequencies(c.head_dim)).collect()
        };
        for (x, y) in frequencies(&a).iter().zip(&frequencies(&b)) {
            assert!((x - y).abs() <= 1e-4 * x.abs(), "{name}");
        }
        a.ropes.clear();
        b.ropes.clear();
        assert_eq!(a, b, "{name}");
        // The rebuilt tokenizer and the written one agree on every text, BOS included.
        let theirs = Tokenizer::from_gguf(open.gguf.as_ref().unwrap(), None).unwrap();
        let ours = Tokenizer::from_dir(&out).unwrap();
        assert_eq!(
            (ours.bos(), ours.eos(), ours.adds_bos()),
            (theirs.bos(), theirs.eos(), theirs.adds_bos())
        );
        let texts =
            std::fs::read_to_string(fixtures().join("gguf").join(format!("{name}.tokens.json"))).unwrap();
        let texts: Vec<serde_json::Value> = serde_json::from_str(&texts).unwrap();
        assert!(texts.len() > 5);
        for text in texts.iter().map(|t| t["text"].as_str().unwrap()).chain(["<bos>x", "a <0x41> \t b"]) {
            assert_eq!(ours.encode(text).unwrap(), theirs.encode(text).unwrap(), "{name}: {text:?}");
            assert_eq!(
                ours.encode_plain(text).unwrap(),
                theirs.encode_plain(text).unwrap(),
                "{name}: {text:?}"
            );
        }
    }
}

#[test]
fn number_formats_are_the_bases_or_the_one_asked_for() {
    // Weights in bf16.
    let model = fixtures().join("models/qwen2");
    let base = load(&model, DType::Native);
    let dir = tempfile::tempdir().unwrap();
    adapter(dir.path(), &base);
    let of = |dtype, out: &str| {
        let out = dir.path().join(out);
        let merged = run(&Request { dtype, ..request(&model, dir.path(), &out) }).unwrap();
        let store = Store::from_dir(&out).unwrap();
        let formats: Vec<Format> = store.names().map(|n| store.find(n).unwrap().format).collect();
        let config: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(out.join("config.json")).unwrap()).unwrap();
        (merged, formats, config["dtype"].as_str().unwrap().to_owned())
    };
    let (merged, formats, dtype) = of(None, "same");
    assert!(formats.iter().all(|f| *f == Format::Bf16) && dtype == "bfloat16");
    assert_eq!(merged.dtypes, ["bf16"]);
    assert!(merged.probe_difference > 0.0, "rounding to bf16 shows");
    let (wide, formats, dtype) = of(Some(Format::F32), "wide");
    assert!(formats.iter().all(|f| *f == Format::F32) && dtype == "float32");
    assert_eq!(wide.bytes, 2 * merged.bytes);
    let (_, formats, dtype) = of(Some(Format::F16), "half");
    assert!(formats.iter().all(|f| *f == Format::F16) && dtype == "float16");
}

#[test]
fn what_is_there_is_never_written_over_and_nothing_half_written_stays() {
    let model = fixtures().join("models/gemma3");
    let lora = model.join("adapter_qv");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    run(&request(&model, &lora, &out)).expect("an empty directory is taken");
    let error = run(&request(&model, &lora, &out)).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = run(&request(&model, &lora, &file)).unwrap_err().to_string();
    assert!(error.contains("not a directory"), "{error}");
    let error = run(&request(&model, &lora, &dir.path().join("no/such"))).unwrap_err().to_string();
    assert!(error.contains("create it first"), "{error}");
    // An adapter of another model, and an interruption while writing.
    let other = fixtures().join("models/llama3/adapter_all");
    assert!(run(&request(&model, &other, &dir.path().join("wrong"))).is_err());
    let cancel = Cancel::new();
    let stopped =
        merge(&request(&model, &lora, &dir.path().join("stopped")), &cancel, &mut |stage, _, _, _| {
            if stage == "writing" {
                cancel.cancel();
            }
        });
    assert_eq!(stopped.unwrap_err(), polylens::Error::Interrupted);
    assert_eq!(listed(dir.path()), ["file", "out"]);
}
