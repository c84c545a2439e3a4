//! GGUF files: cut off, absurd counts, lengths, offsets, alignments, duplicates, foreign architectures.

use super::{fixture, refused};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A valid file's bytes and where to write changed ones.
struct Bench {
    bytes: Vec<u8>,
    dir: TempDir,
}

impl Bench {
    fn new(name: &str) -> Self {
        Self { bytes: fs::read(fixture(name)).unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    /// The place right after the string `text` with its length before it.
    fn after(&self, text: &str) -> usize {
        let mut key = (text.len() as u64).to_le_bytes().to_vec();
        key.extend(text.as_bytes());
        self.bytes.windows(key.len()).position(|w| w == key).unwrap_or_else(|| panic!("no {text}"))
            + key.len()
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join("changed.gguf");
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Refused with `new` written at `at`.
    fn patched(&self, case: &str, at: usize, new: &[u8], words: &[&str]) {
        let mut bytes = self.bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        assert_ne!(bytes, self.bytes, "{case}: nothing changed");
        refused(&self.write(&bytes), case, words);
    }

    /// Refused with additional metadata entries. Their bytes are filled up to a multiple of 32 by one more entry, so
    /// that the data stay where the header says.
    fn inserted(&self, case: &str, entries: &[Vec<u8>], words: &[&str]) {
        let mut new: Vec<u8> = entries.concat();
        let short = (32 - (new.len() + 8 + 4 + 1 + 1) % 32) % 32;
        new.extend(entry(&"f".repeat(short + 1), 0, &[7]));
        assert_eq!(new.len() % 32, 0);
        let mut bytes = self.bytes.clone();
        let count = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) + entries.len() as u64 + 1;
        bytes[16..24].copy_from_slice(&count.to_le_bytes());
        bytes.splice(24..24, new);
        refused(&self.write(&bytes), case, words);
    }
}

/// A metadata entry: key, kind, value.
fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    let mut out = (key.len() as u64).to_le_bytes().to_vec();
    out.extend(key.as_bytes());
    out.extend(kind.to_le_bytes());
    out.extend(value);
    out
}

fn huge() -> Vec<Vec<u8>> {
    [u64::MAX, u64::MAX / 2, 1 << 62, 1 << 40, 1 << 32].iter().map(|n| n.to_le_bytes().to_vec()).collect()
}

#[test]
fn truncated_anywhere() {
    for name in ["gguf/llama.gguf", "gguf/gemma3.gguf"] {
        let bench = Bench::new(name);
        let len = bench.bytes.len();
        let header = bench.after("output_norm.weight");
        let mut cuts: Vec<usize> =
            vec![0, 1, 3, 4, 7, 8, 15, 16, 23, 24, 25, 32, len / 2, len - 1, len - 4, len - 33];
        cuts.extend((24..header).step_by(97));
        for cut in cuts {
            refused(&bench.write(&bench.bytes[..cut]), &format!("{name} cut at {cut} of {len}"), &[]);
        }
    }
}

#[test]
fn wrong_magic_and_versions() {
    let bench = Bench::new("gguf/llama.gguf");
    bench.patched("magic GGML", 0, b"GGML", &["GGUF"]);
    bench.patched("magic zero", 0, &[0; 4], &["GGUF"]);
    for version in [0u32, 1, 4, 99, u32::MAX, 3u32.swap_bytes()] {
        bench.patched(&format!("version {version}"), 4, &version.to_le_bytes(), &["version"]);
    }
}

#[test]
fn absurd_counts_and_lengths() {
    let bench = Bench::new("gguf/llama.gguf");
    for n in huge() {
        bench.patched(&format!("tensor count {n:?}"), 8, &n, &[]);
        bench.patched(&format!("metadata count {n:?}"), 16, &n, &[]);
        bench.patched(&format!("first key's length {n:?}"), 24, &n, &[]);
        bench.patched(
            &format!("a string's length {n:?}"),
            bench.after("general.name") + 4,
            &n,
            &["general.name"],
        );
        bench.patched(
            &format!("an array's length {n:?}"),
            bench.after("tokenizer.ggml.tokens") + 8,
            &n,
            &["tokenizer.ggml.tokens"],
        );
        bench.patched(
            &format!("first token's length {n:?}"),
            bench.after("tokenizer.ggml.tokens") + 16,
            &n,
            &[],
        );
    }
    for n in [0u64, 1] {
        bench.patched(&format!("tensor count {n}"), 8, &n.to_le_bytes(), &[]);
        bench.patched(&format!("metadata count {n}"), 16, &n.to_le_bytes(), &[]);
    }
    for kind in [13u32, 77, u32::MAX] {
        bench.patched(
            &format!("value kind {kind}"),
            bench.after("general.name"),
            &kind.to_le_bytes(),
            &["general.name"],
        );
        bench.patched(
            &format!("array kind {kind}"),
            bench.after("tokenizer.ggml.tokens") + 4,
            &kind.to_le_bytes(),
            &[],
        );
    }
}

#[test]
fn recursive_arrays_and_bad_values() {
    let bench = Bench::new("gguf/llama.gguf");
    for depth in [1usize, 4, 5000, 100_000] {
        // an array of one array of one array …
        let mut value = Vec::new();
        for _ in 0..depth {
            value.extend(9u32.to_le_bytes());
            value.extend(1u64.to_le_bytes());
        }
        value.extend(4u32.to_le_bytes());
        value.extend(0u64.to_le_bytes());
        bench.inserted(&format!("arrays {depth} deep"), &[entry("deep", 9, &value)], &["deep"]);
    }
    bench.inserted(
        "a key twice",
        &[entry("general.architecture", 8, b"\x05\0\0\0\0\0\0\0llama")],
        &["general.architecture"],
    );
    for alignment in [0u32, 1, 3, 33, 1 << 31, u32::MAX] {
        let new = entry("general.alignment", 4, &alignment.to_le_bytes());
        bench.inserted(&format!("alignment {alignment}"), &[new], &["general.alignment"]);
    }
}

#[test]
fn tensors_outside_the_file_twice_or_of_other_shape() {
    let bench = Bench::new("gguf/llama.gguf");
    let tensor = "blk.0.attn_q.weight";
    let at = bench.after(tensor);
    // after the name: dimensions u32, each u64, type u32, offset u64
    for n in [0u32, 5, 1000, u32::MAX] {
        bench.patched(&format!("{n} dimensions"), at, &n.to_le_bytes(), &[]);
    }
    for n in huge().into_iter().chain([0u64.to_le_bytes().to_vec(), 63u64.to_le_bytes().to_vec()]) {
        bench.patched(&format!("inner dimension {n:?}"), at + 4, &n, &[tensor]);
        bench.patched(&format!("outer dimension {n:?}"), at + 12, &n, &[tensor]);
    }
    bench.patched("a smaller matrix than the configuration's", at + 12, &32u64.to_le_bytes(), &[tensor]);
    for kind in [4u32, 5, 16, 39, 1000, u32::MAX] {
        bench.patched(&format!("tensor type {kind}"), at + 20, &kind.to_le_bytes(), &[tensor]);
    }
    for offset in huge()
        .into_iter()
        .chain([(bench.bytes.len() as u64).to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()])
    {
        bench.patched(&format!("offset {offset:?}"), at + 24, &offset, &[tensor]);
    }
    let second = bench.after("blk.1.attn_q.weight");
    bench.patched("a tensor twice", second - 15, b"0", &["blk.0.attn_q.weight"]);
}

#[test]
fn missing_tensors_are_named() {
    for (file, names) in [
        ("gguf/llama.gguf", ["token_embd.weight", "output_norm.weight", "blk.2.ffn_down.weight"]),
        ("gguf/gemma3.gguf", ["token_embd.weight", "blk.0.attn_q_norm.weight", "blk.5.post_ffw_norm.weight"]),
        ("gguf/qwen3.gguf", ["output_norm.weight", "blk.0.attn_k_norm.weight", "blk.1.attn_norm.weight"]),
    ] {
        let bench = Bench::new(file);
        for name in names {
            bench.patched(&format!("{file} without {name}"), bench.after(name) - name.len(), b"X", &[name]);
        }
    }
}

#[test]
fn weights_that_are_not_numbers() {
    let bench = Bench::new("gguf/qwen2.gguf");
    // the data of an F32 norm are where its offset says, from the aligned end of the header
    let place = polylens::model::gguf::Gguf::open(&fixture("gguf/qwen2.gguf")).unwrap().tensors["blk.0.attn_norm.weight"].range.start;
    bench.patched("NaN in a norm", place, &f32::NAN.to_le_bytes(), &["blk.0.attn_norm.weight"]);
    bench.patched("infinity in a norm", place + 8, &f32::INFINITY.to_le_bytes(), &["blk.0.attn_norm.weight"]);
    let llama = Bench::new("gguf/llama.gguf");
    let open = polylens::model::gguf::Gguf::open(&fixture("gguf/llama.gguf")).unwrap();
    for name in ["token_embd.weight", "blk.1.ffn_up.weight", "output.weight"] {
        // the first two bytes of a Q8_0 or Q5_0 block are its f16 scale
        llama.patched(
            &format!("a scale of NaN in {name}"),
            open.tensors[name].range.start,
            &[0xff, 0x7f],
            &[name],
        );
    }
}

#[test]
fn absurd_metadata_of_the_model() {
    let bench = Bench::new("gguf/llama.gguf");
    let number = |case: &str, key: &str, value: u32, words: &[&str]| {
        bench.patched(case, bench.after(key) + 4, &value.to_le_bytes(), words)
    };
    for key in [
        "llama.block_count",
        "llama.embedding_length",
        "llama.attention.head_count",
        "llama.attention.head_count_kv",
        "llama.feed_forward_length",
    ] {
        for value in [0, u32::MAX, 1 << 30, 7] {
            number(&format!("{key} = {value}"), key, value, &[]);
        }
    }
    number("one block fewer than the file holds", "llama.block_count", 2, &["blk.2"]);
    for value in [f32::NAN, f32::INFINITY, -1.0] {
        number(&format!("eps {value}"), "llama.attention.layer_norm_rms_epsilon", value.to_bits(), &[]);
        number(&format!("rope base {value}"), "llama.rope.freq_base", value.to_bits(), &[]);
    }
    bench.patched(
        "a number where a text belongs",
        bench.after("general.architecture"),
        &4u32.to_le_bytes(),
        &[],
    );
    bench.patched(
        "an architecture nobody knows",
        bench.after("general.architecture") + 12,
        b"mamba",
        &["mamba"],
    );
    bench.patched("a tokenizer nobody knows", bench.after("tokenizer.ggml.model") + 12, b"bert", &["bert"]);
}
