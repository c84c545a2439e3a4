//! Damaged, foreign and hostile files: each gives one sentence that names the file, and none a panic.
//!
//! Every case starts from a small valid fixture that loads, so a refusal is due to the one thing changed.

mod adapters;
mod config;
mod gguf;
mod mutations;
mod safetensors;

use polylens::engine::Engine;
use polylens::engine::protocol::{DType, DeviceChoice, LoadSpec};
use polylens::{Error, Result};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use tempfile::TempDir;

/// tests/fixtures/NAME.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A writable copy of a fixture directory's own files.
fn copied(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() && !file.starts_with("expected") {
            fs::copy(&path, dir.path().join(file)).unwrap();
        }
    }
    dir
}

/// A file that claims a terabyte must not get a terabyte: with this limit an attempt ends the test.
fn limit_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(target_os = "linux")]
        {
            let six = libc::rlimit { rlim_cur: 6 << 30, rlim_max: libc::RLIM_INFINITY };
            // SAFETY: a plain call with a valid pointer.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &six) }, 0);
        }
    });
}

/// Loads `path` on the CPU in f32; a panic fails the test with the case's name.
fn load(path: &Path, case: &str) -> Result<Engine> {
    limit_memory();
    let spec = LoadSpec {
        path: path.to_path_buf(),
        name: "hostile".to_owned(),
        dtype: DType::F32,
        device: DeviceChoice::Cpu,
        threads: 1,
    };
    guarded(case, || Engine::load(&spec, &mut |_, _, _, _| {}))
}

/// Runs `f`; a panic becomes a failure that names the case.
fn guarded<T>(case: &str, f: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| panic!("{case}: panicked"))
}

/// An error for the person who must act: status 1, one line of readable length, no debris of a library's own
/// error types, and a name of the thing that is wrong.
fn assert_sentence(error: &Error, file: &Path, case: &str) {
    let text = error.to_string();
    assert_eq!(error.exit_code(), 1, "{case}: {text}");
    assert!((20..600).contains(&text.chars().count()), "{case}: too short or long: {text}");
    assert!(!text.contains('\n') && !text.chars().any(|c| c.is_control()), "{case}: not one line: {text:?}");
    for debris in ["Err(", "Some(", "Os {", "unwrap", "panicked", "Error {", "SafetensorError", "backtrace"] {
        assert!(!text.contains(debris), "{case}: {debris} in: {text}");
    }
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(text.contains(name), "{case}: {name} is not named in: {text}");
}

/// `path` is refused with a sentence that names the file and holds every word of `words`.
fn refused(path: &Path, case: &str, words: &[&str]) {
    match load(path, case) {
        Ok(_) => panic!("{case}: was loaded"),
        Err(error) => {
            assert_sentence(&error, path, case);
            for word in words {
                assert!(error.to_string().contains(word), "{case}: no {word:?} in: {error}");
            }
        }
    }
}

#[test]
fn the_fixtures_themselves_load() {
    for name in [
        "models/mistral",
        "models/qwen2",
        "models/qwen3",
        "models/llama3",
        "models/gemma3",
        "models/gemma3-multimodal",
    ] {
        load(copied(name).path(), name).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    for name in ["gguf/llama.gguf", "gguf/gemma3.gguf", "gguf/qwen2.gguf", "gguf/qwen3.gguf"] {
        load(&fixture(name), name).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn a_path_that_holds_no_model() {
    let dir = tempfile::tempdir().unwrap();
    refused(&dir.path().join("nowhere"), "a missing path", &[]);
    refused(dir.path(), "an empty directory", &["config.json"]);
    let file = dir.path().join("notes.txt");
    fs::write(&file, "no model at all, only text").unwrap();
    refused(&file, "a text file", &[]);
    fs::write(&file, "").unwrap();
    refused(&file, "an empty file", &[]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        let link = dir.path().join("loop.gguf");
        symlink(&link, &link).unwrap();
        refused(&link, "a link to itself", &[]);
    }
}
