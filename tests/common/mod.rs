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

/// The GGUF file of a catalogue model: `$POLYLENS_GEMMA` or `$POLYLENS_SMOLLM2`, else the program's cache, filled
/// on first need as `polylens models pull` does it.
pub fn model_file(name: &str) -> Option<PathBuf> {
    let variable = match name {
        "gemma-3-270m" => "POLYLENS_GEMMA",
        "smollm2-135m" => "POLYLENS_SMOLLM2",
        other => panic!("no variable names {other}"),
    };
    if let Some(path) = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists()) {
        return Some(path);
    }
    // One fetch at a time in this process; other processes are kept apart by the hub's own lock.
    static FETCH: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = FETCH.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let cancel = polylens::engine::Cancel::new();
    match polylens::hub::resolve(name, &mut |_, _, _, _| {}, &cancel, true) {
        Ok(found) => Some(found.path),
        Err(e) => {
            missing(&format!("the model {name} ({e})"));
            None
        }
    }
}
