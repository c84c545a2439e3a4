//! The log file: what was asked and answered, for whoever looks for a fault. Never the screen.

use crate::engine::protocol::{Command, Event};
use crate::error::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Appends to a file, or to nothing.
#[derive(Clone)]
pub struct Log {
    file: Option<Arc<Mutex<File>>>,
    start: Instant,
}

/// Characters of a line at most: token lists are long and say little.
const LINE: usize = 400;

impl Log {
    /// Opens the file for appending; without a path nothing is logged.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let open = |p: &Path| {
            let file = File::options().create(true).append(true).open(p);
            file.with_context(|| format!("the log {} cannot be opened", p.display()))
        };
        let file = path.map(open).transpose()?.map(|f| Arc::new(Mutex::new(f)));
        Ok(Self { file, start: Instant::now() })
    }

    /// One line: seconds since the start, what kind, what.
    pub fn line(&self, kind: &str, text: &str) {
        let Some(file) = &self.file else { return };
        let text: String = text.chars().take(LINE).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if let Ok(mut file) = file.lock() {
            let _ = writeln!(file, "{:10.3} {kind:8} {text}", self.start.elapsed().as_secs_f64());
        }
    }

    /// A command to the engine.
    pub fn command(&self, command: &Command) {
        if self.file.is_some() {
            self.line("command", &serde_json::to_string(command).unwrap_or_default());
        }
    }

    /// An answer of the engine.
    pub fn event(&self, event: &Event) {
        if self.file.is_some() {
            self.line("event", &serde_json::to_string(event).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_single_and_short() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(Some(&path)).unwrap();
        log.line("panic", &format!("a\nb{}", "x".repeat(1000)));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("panic    a b") && text.len() < LINE + 40);
        assert!(Log::open(Some(Path::new("/no/such/dir/log"))).is_err());
    }
}
