//! safetensors files and their index: sizes that lie, headers that are none, wrong shapes, missing tensors, NaN.

use super::{copied, refused};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A copy of the mistral fixture (one file, f32) with its header as JSON.
pub struct Bench {
    pub dir: TempDir,
    pub header: Map<String, Value>,
    pub data: Vec<u8>,
}

impl Bench {
    pub fn new(name: &str) -> Self {
        let dir = copied(name);
        let bytes = fs::read(dir.path().join("model.safetensors")).unwrap();
        let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
        Self { dir, header, data: bytes[8 + size..].to_vec() }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("model.safetensors")
    }

    /// The file with `header` and the valid data.
    pub fn write(&self, header: &Map<String, Value>, data: &[u8]) {
        write(&self.path(), header, data);
    }

    fn raw(&self, case: &str, bytes: &[u8], words: &[&str]) {
        fs::write(self.path(), bytes).unwrap();
        named(self.dir.path(), case, words);
    }

    fn changed(&self, case: &str, words: &[&str], change: impl FnOnce(&mut Map<String, Value>)) {
        let mut header = self.header.clone();
        change(&mut header);
        self.write(&header, &self.data);
        named(self.dir.path(), case, words);
    }
}

/// Writes a safetensors file.
pub fn write(path: &Path, header: &Map<String, Value>, data: &[u8]) {
    let mut text = serde_json::to_vec(header).unwrap();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text);
    bytes.extend(data);
    fs::write(path, bytes).unwrap();
}

/// The directory is refused, and the sentence names it.
fn named(dir: &Path, case: &str, words: &[&str]) {
    refused(dir, case, words);
}

const FILE: &str = "model.safetensors";
const Q: &str = "model.layers.1.self_attn.q_proj.weight";

#[test]
fn truncated_anywhere_and_forty_bytes_that_claim_a_terabyte() {
    let bench = Bench::new("models/mistral");
    let bytes = fs::read(bench.path()).unwrap();
    let len = bytes.len();
    let header = len - bench.data.len();
    for cut in [
        0,
        1,
        7,
        8,
        9,
        40,
        header / 2,
        header - 1,
        header,
        header + 1,
        header + 4096,
        len / 2,
        len - 4,
        len - 1,
    ] {
        bench.raw(&format!("cut at {cut} of {len}"), &bytes[..cut], &[FILE]);
    }
    for size in [1u64 << 40, u64::MAX, u64::MAX - 7, 1 << 62, 33, 0, 100_000_001] {
        let mut forty = size.to_le_bytes().to_vec();
        forty.extend([b' '; 32]);
        bench.raw(&format!("a header of {size} bytes in 40"), &forty, &[FILE]);
    }
    let terabyte = json!({"model.embed_tokens.weight": {"dtype": "F32", "shape": [1u64 << 38], "data_offsets": [0, 1u64 << 40]}});
    bench.write(terabyte.as_object().unwrap(), b"");
    named(bench.dir.path(), "a tensor of a terabyte in a short file", &[FILE]);
    let longer = [&bytes[..], &[0; 64]].concat();
    bench.raw("bytes after the end", &longer, &[FILE]);
}

#[test]
fn headers_that_are_none() {
    let bench = Bench::new("models/mistral");
    let with = |text: &[u8]| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text);
        bytes
    };
    for text in ["", "{", "[]", "null", "42", "\"x\"", "{\"a\":1}", "{\"a\":{\"dtype\":\"F32\"}}", "{}"] {
        bench.raw(&format!("header {text:?}"), &with(text.as_bytes()), &[]);
    }
    bench.raw("a header that is not UTF-8", &with(&[b'{', 0xff, 0xfe, b'}']), &[FILE]);
    bench.raw("a header nested without end", &with("[".repeat(200_000).as_bytes()), &[FILE]);
    bench.raw("pickle", b"\x80\x02}q\x00(X\x06\x00\x00\x00tensorq\x01K\x01u.", &[FILE]);
    bench.raw(
        "a page about a missing file",
        b"<!DOCTYPE html><html><body>404 not found</body></html>",
        &[FILE],
    );
    bench.raw(
        "a pointer of git-lfs",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        &[FILE],
    );
}

#[test]
fn offsets_shapes_and_types_that_do_not_fit() {
    let bench = Bench::new("models/mistral");
    let (begin, end) = (
        bench.header[Q]["data_offsets"][0].as_u64().unwrap(),
        bench.header[Q]["data_offsets"][1].as_u64().unwrap(),
    );
    for (case, offsets) in [
        ("reversed", json!([end, begin])),
        ("beyond the end", json!([begin, end + 1_000_000_000])),
        ("overlapping its neighbour", json!([begin - 4, end - 4])),
        ("huge", json!([u64::MAX - 4, u64::MAX])),
        ("negative", json!([-4, 0])),
        ("one number", json!([4])),
    ] {
        bench.changed(&format!("offsets {case}"), &[FILE], |h| h[Q]["data_offsets"] = offsets);
    }
    for (case, shape) in [
        ("overflowing", json!([u64::MAX, u64::MAX])),
        ("overflowing to the right size", json!([1u64 << 33, 1u64 << 33])),
        ("with a zero", json!([0, 40])),
        ("negative", json!([-1, 40])),
        ("a fraction", json!([64.5, 40])),
        ("empty", json!([])),
    ] {
        bench.changed(&format!("shape {case}"), &[], |h| h[Q]["shape"] = shape);
    }
    for (case, shape) in [("swapped", json!([40, 64])), ("flat", json!([2560])), ("3-D", json!([1, 64, 40]))]
    {
        bench.changed(&format!("shape {case}"), &[Q], |h| h[Q]["shape"] = shape);
    }
    bench.changed("a type that does not exist", &[FILE], |h| h[Q]["dtype"] = json!("F33"));
    for dtype in ["F8_E4M3", "I8", "U8", "F16"] {
        // the bytes fit only f32
        bench.changed(&format!("type {dtype} over f32 bytes"), &[], |h| h[Q]["dtype"] = json!(dtype));
    }
    bench.changed("integers where weights belong", &[Q], |h| h[Q]["dtype"] = json!("I32"));
}

#[test]
fn missing_tensors_are_named() {
    for (model, names) in [
        (
            "models/mistral",
            vec!["model.embed_tokens.weight", "model.norm.weight", Q, "model.layers.2.mlp.down_proj.weight"],
        ),
        (
            "models/qwen2",
            vec!["model.layers.0.self_attn.q_proj.bias", "model.layers.2.input_layernorm.weight"],
        ),
        (
            "models/qwen3",
            vec!["model.layers.0.self_attn.q_norm.weight", "model.layers.1.self_attn.k_norm.weight"],
        ),
        (
            "models/gemma3",
            vec![
                "model.layers.3.pre_feedforward_layernorm.weight",
                "model.layers.5.post_feedforward_layernorm.weight",
            ],
        ),
        ("models/gemma3-multimodal", vec!["language_model.model.norm.weight"]),
    ] {
        let bench = Bench::new(model);
        for name in names {
            bench.changed(&format!("{model} without {name}"), &[name], |h| {
                let tensor = h.remove(name).unwrap_or_else(|| panic!("{model} has no {name}"));
                h.insert("elsewhere".to_owned(), tensor);
            });
        }
    }
}

#[test]
fn weights_that_are_not_numbers() {
    let bench = Bench::new("models/mistral");
    for name in [
        Q,
        "model.embed_tokens.weight",
        "lm_head.weight",
        "model.norm.weight",
        "model.layers.0.input_layernorm.weight",
    ] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut data = bench.data.clone();
            let last = bench.header[name]["data_offsets"][1].as_u64().unwrap() as usize - 4;
            data[last..last + 4].copy_from_slice(&value.to_le_bytes());
            bench.write(&bench.header, &data);
            named(bench.dir.path(), &format!("{value} in {name}"), &[name]);
        }
    }
}

#[test]
fn an_index_that_points_elsewhere() {
    let dir = copied("models/llama3");
    let path = dir.path().join("model.safetensors.index.json");
    let index: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let secret = tempfile::tempdir().unwrap();
    let outside = secret.path().join("model-00002-of-00002.safetensors");
    fs::copy(dir.path().join("model-00002-of-00002.safetensors"), &outside).unwrap();
    let up = format!(
        "../{}/model-00002-of-00002.safetensors",
        secret.path().file_name().unwrap().to_str().unwrap()
    );
    let absolute = outside.to_str().unwrap().to_owned();
    let change = |case: &str, shard: Value, words: &[&str]| {
        let mut new = index.clone();
        for value in new["weight_map"].as_object_mut().unwrap().values_mut() {
            if value == "model-00002-of-00002.safetensors" {
                *value = shard.clone();
            }
        }
        fs::write(&path, new.to_string()).unwrap();
        refused(dir.path(), case, words);
    };
    // both would load if they were followed
    change("one directory up", json!(up), &["outside"]);
    change("an absolute path", json!(absolute), &["outside"]);
    change("a way round", json!(format!("x/../../{up}")), &["outside"]);
    change("a missing shard", json!("model-00009.safetensors"), &["model-00009.safetensors"]);
    change("a number", json!(3), &["index.json"]);
    change("nothing", json!(""), &[]);
    change("the directory itself", json!("."), &[]);
    change("another file of the directory", json!("config.json"), &["config.json"]);
    for (case, text) in [
        ("empty", ""),
        ("a list", "[]"),
        ("no map", "{\"metadata\":{}}"),
        ("an empty map", "{\"weight_map\":{}}"),
        ("a text", "{\"weight_map\":\"x\"}"),
    ] {
        fs::write(&path, text).unwrap();
        refused(dir.path(), &format!("an index that is {case}"), &[]);
    }
    fs::write(&path, index.to_string()).unwrap();
    fs::remove_file(dir.path().join("model-00001-of-00002.safetensors")).unwrap();
    refused(dir.path(), "the first shard is gone", &["model-00001-of-00002.safetensors"]);
}
