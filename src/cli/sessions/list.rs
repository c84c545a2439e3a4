//! `polylens sessions list`: which recordings there are.

use crate::app::replay::place::clock;
use crate::app::text::bytes;
use crate::error::Result;
use crate::session::SessionFile;
use crate::session::shipped::{self, SHIPPED};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
pub struct List {
    /// Directories to look in besides
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A directory cannot be read.
pub fn run(args: &List) -> Result<()> {
    let mut found: Vec<(String, Result<SessionFile>)> =
        SHIPPED.iter().map(|s| (s.name.to_owned(), shipped::find(s.name))).collect();
    for dir in &args.dirs {
        found.extend(in_dir(dir)?);
    }
    if args.json {
        let all: Vec<_> = found.iter().map(|(name, file)| document(name, file)).collect();
        println!("{:#}", json!({ "schema": "polylens.sessions/1", "sessions": all }));
        return Ok(());
    }
    for (name, file) in &found {
        match file {
            Ok(file) => {
                let header = &file.header;
                let title = if header.title.is_empty() { &header.command } else { &header.title };
                let (length, size) = (clock(file.end()), bytes(file.size() as u64));
                println!("{name}  {title} ({length}, {size})");
                if !header.about.is_empty() {
                    println!("    {}", header.about);
                }
            }
            Err(e) => println!("{name}  {e}"),
        }
    }
    if found.is_empty() {
        println!("There are no recordings here.");
    }
    Ok(())
}

fn document(name: &str, file: &Result<SessionFile>) -> serde_json::Value {
    match file {
        Ok(f) => json!({
            "name": name, "title": f.header.title, "about": f.header.about, "command": f.header.command,
            "started": f.header.started, "model": f.header.model, "adapters": f.header.adapters,
            "duration_ms": f.end(), "bytes": f.size(), "lines": f.entries().len() + 1,
        }),
        Err(e) => json!({ "name": name, "error": e.to_string() }),
    }
}

/// The sessions among a directory's files: those that begin as one.
fn in_dir(dir: &Path) -> Result<Vec<(String, Result<SessionFile>)>> {
    use crate::error::Context;
    let entries = std::fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    let named = |p: &PathBuf| p.extension().is_some_and(|e| e == "jsonl") && p.is_file() && begins(p);
    Ok(paths.iter().filter(|p| named(p)).map(|p| (p.display().to_string(), SessionFile::open(p))).collect())
}

fn begins(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 64];
    let read = std::fs::File::open(path).and_then(|mut f| f.read(&mut start)).unwrap_or(0);
    String::from_utf8_lossy(&start[..read]).contains("polylens.session/")
}
