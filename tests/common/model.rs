//! Real models, where this machine has them or can fetch them.

use std::path::PathBuf;

/// `None` after printing why, or a panic where nothing may be skipped.
pub fn missing(what: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{what} is missing, and CI=true lets no test be skipped"
    );
    println!("skipped: {what} is not on this machine");
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
