//! What several test programs need: reference data and real models, where this machine has them.
//! With `CI=true` a missing file is a failure, elsewhere the test says `skipped` and passes.

use std::path::{Path, PathBuf};

/// `None` after printing why, or a panic where nothing may be skipped.
fn missing(what: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{what} is missing, and CI=true lets no test be skipped"
    );
    println!("skipped: {what} is not on this machine");
}

/// A file of the reference folder: `$POLYLENS_SHARED`, else `shared/` beside or in the crate's directory.
pub fn shared(path: &str) -> Option<PathBuf> {
    let found = find(path);
    if found.is_none() {
        missing(&format!("the reference file {path}"));
    }
    found
}

fn find(path: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("POLYLENS_SHARED").map(PathBuf::from);
    let roots = named.into_iter().chain([here.join("../shared"), here.join("shared")]);
    roots.map(|root| root.join(path)).find(|file| file.exists())
}

/// A JSON file of the reference folder.
pub fn golden(path: &str) -> Option<serde_json::Value> {
    let file = shared(&format!("golden/{path}"))?;
    Some(serde_json::from_str(&std::fs::read_to_string(file).expect("readable")).expect("JSON"))
}

/// The GGUF file of a catalogue model: `$POLYLENS_GEMMA` or `$POLYLENS_SMOLLM2`, else the program's cache.
pub fn model_file(name: &str) -> Option<PathBuf> {
    let variable = match name {
        "gemma-3-270m" => "POLYLENS_GEMMA",
        "smollm2-135m" => "POLYLENS_SMOLLM2",
        other => panic!("no variable names {other}"),
    };
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    let found = named.or_else(|| {
        let folder = cache()?.join("models").join(name);
        let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
        files.into_iter().find(|path| path.extension().is_some_and(|e| e == "gguf"))
    });
    if found.is_none() {
        missing(&format!("the model {name} (set {variable}, or pull it)"));
    }
    found
}

/// Where the program keeps its models (see `hub::config`).
fn cache() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    variable("POLYLENS_CACHE").or_else(|| Some(variable("XDG_CACHE_HOME")?.join("polylens"))).or_else(|| {
        Some(
            variable("HOME")?
                .join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" })
                .join("polylens"),
        )
    })
}

/// Also uses every helper once, for the test programs that need only some of them.
#[test]
fn a_file_that_is_nowhere_is_not_found() {
    let helpers: [fn(&str) -> Option<PathBuf>; 3] = [find, shared, model_file];
    let _ = golden;
    assert_eq!(helpers[0]("no/such/file"), None);
}
