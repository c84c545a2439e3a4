//! Random damage to valid files: thousands of seeded changes, none may panic, every refusal is a sentence.

use super::{assert_sentence, copied, fixture, guarded, load};
use polylens::geometry::random::SplitMix64;
use std::fs;
use std::path::Path;

/// POLYLENS_MUTATIONS changes a kind of file (a thousand unless told).
fn rounds() -> u64 {
    std::env::var("POLYLENS_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000)
}

/// One to four random changes, mostly within the first `head` bytes, where structure lies.
fn mutate(bytes: &[u8], head: usize, random: &mut SplitMix64) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..1 + random.below(4) {
        if out.is_empty() {
            break;
        }
        let span = if random.below(8) == 0 { out.len() } else { head.min(out.len()) };
        let at = random.below(span);
        match random.below(8) {
            0 => out[at] = random.next_u64() as u8,
            1 => out[at] ^= 1 << random.below(8),
            2 => out.truncate(at),
            3 => out.insert(at, random.next_u64() as u8),
            4 => {
                out.remove(at);
            }
            5 => {
                // a number that overflows something
                let number = [u64::MAX, 1 << 63, 1 << 32, 0, 1 << 40, u64::from(u32::MAX)][random.below(6)];
                let end = (at + 8).min(out.len());
                out[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            }
            6 => {
                // a piece of itself somewhere else
                let from = random.below(out.len());
                let len = (1 + random.below(64)).min(out.len() - from.max(at));
                out.copy_within(from..from + len, at);
            }
            _ => {
                // a digit, quote, brace or letter where text lies
                out[at] = b"0123456789-.eE\"{}[],:nulltrue\\\0"[random.below(30)];
            }
        }
    }
    out
}

/// Loads the damaged file; returns whether it loaded.
fn survives(path: &Path, case: &str) -> bool {
    match load(path, case) {
        Ok(_) => true,
        Err(error) => {
            assert_sentence(&error, path, case);
            false
        }
    }
}

/// Damages `file` of the fixture directory `model`, the rest left as it is.
fn damage(model: &str, file: &str, head: usize, seed: u64) {
    let dir = copied(model);
    let path = dir.path().join(file);
    let good = fs::read(&path).unwrap();
    let mut random = SplitMix64::new(seed);
    let mut loaded = 0;
    for round in 0..rounds() {
        fs::write(&path, mutate(&good, head, &mut random)).unwrap();
        loaded += u64::from(survives(dir.path(), &format!("{model}/{file}, seed {seed}, round {round}")));
    }
    assert!(loaded < rounds(), "{model}/{file}: nothing was ever refused");
}

#[test]
fn damaged_gguf_files() {
    for (name, head, seed) in [("gguf/llama.gguf", 14_000, 1), ("gguf/gemma3.gguf", 14_000, 2)] {
        let good = fs::read(fixture(name)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("damaged.gguf");
        let mut random = SplitMix64::new(seed);
        for round in 0..rounds() {
            fs::write(&path, mutate(&good, head, &mut random)).unwrap();
            survives(&path, &format!("{name}, seed {seed}, round {round}"));
        }
    }
}

#[test]
fn damaged_safetensors_files() {
    damage("models/mistral", "model.safetensors", 3000, 3);
    damage("models/gemma3-softcap", "model.safetensors", 5000, 4);
}

#[test]
fn damaged_configurations() {
    damage("models/qwen3", "config.json", usize::MAX, 5);
    damage("models/gemma3", "config.json", usize::MAX, 6);
    damage("models/llama3", "model.safetensors.index.json", usize::MAX, 7);
}

#[test]
fn damaged_tokenizers() {
    damage("models/qwen2-tied", "tokenizer.json", usize::MAX, 8);
    damage("models/gemma3-multimodal", "tokenizer.json", usize::MAX, 9);
    damage("models/llama-linear", "tokenizer_config.json", usize::MAX, 10);
}

#[test]
fn damaged_adapters() {
    let engine = load(&fixture("models/qwen3"), "qwen3").unwrap();
    let source = fixture("models/qwen3/adapter_all");
    for (file, head, seed) in
        [("adapter_config.json", usize::MAX, 11), ("adapter_model.safetensors", 5000, 12)]
    {
        let dir = tempfile::tempdir().unwrap();
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            fs::copy(source.join(name), dir.path().join(name)).unwrap();
        }
        let path = dir.path().join(file);
        let good = fs::read(&path).unwrap();
        let mut random = SplitMix64::new(seed);
        for round in 0..rounds() {
            fs::write(&path, mutate(&good, head, &mut random)).unwrap();
            let case = format!("{file}, seed {seed}, round {round}");
            if let Err(error) = guarded(&case, || engine.add_adapter(dir.path(), "damaged")) {
                assert_sentence(&error, dir.path(), &case);
            }
        }
    }
}
