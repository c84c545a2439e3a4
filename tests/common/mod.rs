//! What several test programs need: reference data and real models, where this machine has them.
//! With `CI=true` a missing file is a failure, elsewhere the test says `skipped` and passes.

use std::path::{Path, PathBuf};

mod model;

use model::missing;
pub use model::model_file;

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
