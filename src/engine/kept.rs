//! Answers kept on disk as they come, so that an evaluation that was stopped, by whatever, goes on where it was.
//!
//! One JSON Lines file for everything that has the same key: a hash over weights, prompt opening, labels and settings.
//! A line that was cut off by a crash is no answer and is computed again.

use super::fingerprint::text_hash;
use super::protocol::{EvalRecord, LabelLoglik};
use crate::error::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A directory of kept answers.
#[derive(Clone, Debug)]
pub struct Kept {
    dir: PathBuf,
}

/// The answers of one key.
pub struct Answers {
    known: HashMap<String, Line>,
    file: File,
}

/// One answer, as a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    /// Hash of the query's text.
    query: String,
    p: Vec<f32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    loglik: Vec<LabelLoglik>,
}

fn query_hash(text: &str) -> String {
    let mut hash = text_hash(text);
    hash.truncate(32);
    hash
}

impl Kept {
    /// Answers kept in this directory (made when the first is kept).
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory in the program's cache; `None` where no cache can be named.
    pub fn in_cache() -> Option<Self> {
        super::load::cache_root().map(|root| Self::new(root.join("eval")))
    }

    /// Where they are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens the answers of a key, to be read and added to. A second process with the same key adds to a file of its own.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn open(&self, key: &str) -> Result<Answers> {
        let shown = self.dir.display();
        std::fs::create_dir_all(&self.dir).with_context(|| format!("{shown} cannot be made"))?;
        let mut known = HashMap::new();
        let main = self.dir.join(format!("{key}.jsonl"));
        for path in self.files(key) {
            read(&path, &mut known);
        }
        let open = |path: &Path| {
            let file = OpenOptions::new().read(true).append(true).create(true).open(path);
            file.with_context(|| format!("{} cannot be written", path.display()))
        };
        let mut file = open(&main)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            let moment = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos());
            file = open(&self.dir.join(format!("{key}.{}-{moment}.jsonl", std::process::id())))?;
        }
        end_line(&mut file).with_context(|| format!("{shown} cannot be written"))?;
        Ok(Answers { known, file })
    }

    fn files(&self, key: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        let own = |path: &PathBuf| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            name.starts_with(key) && name.ends_with(".jsonl")
        };
        let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(own).collect();
        files.sort();
        files
    }
}

impl Answers {
    /// The answer to a query, where it is kept and has `labels` labels.
    pub fn find(&self, text: &str, labels: usize, with_loglik: bool) -> Option<EvalRecord> {
        let line = self.known.get(&query_hash(text))?;
        let fits = line.p.len() == labels && line.loglik.len() == if with_loglik { labels } else { 0 };
        fits.then(|| EvalRecord { p: line.p.clone(), loglik: line.loglik.clone(), ..EvalRecord::default() })
    }

    /// Keeps answers, each with its query's text: in one write, so that a kill cuts at most the last line.
    ///
    /// # Errors
    /// A full disk, and the like.
    pub fn add<'a>(&mut self, answers: impl Iterator<Item = (&'a str, &'a EvalRecord)>) -> Result<()> {
        let mut text = String::new();
        for (query, record) in answers {
            let line = Line { query: query_hash(query), p: record.p.clone(), loglik: record.loglik.clone() };
            text += &serde_json::to_string(&line).context("an answer cannot be written")?;
            text.push('\n');
        }
        self.file.write_all(text.as_bytes()).context("answers cannot be kept")
    }
}

/// Reads what is whole.
fn read(path: &Path, known: &mut HashMap<String, Line>) {
    let Ok(file) = File::open(path) else { return };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        // A number cut short at the end of a line would still be a number: only what ends in a line break is whole.
        if line.ends_with(b"\n")
            && let Ok(answer) = serde_json::from_slice::<Line>(&line)
            && answer.p.iter().all(|p| p.is_finite())
        {
            known.insert(answer.query.clone(), answer);
        }
        line.clear();
    }
}

/// Ends a line that was cut off, so that the next one stands by itself.
fn end_line(file: &mut File) -> std::io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last != *b"\n" { file.write_all(b"\n") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(p: f32) -> EvalRecord {
        EvalRecord { p: vec![p, 1.0 - p], ..EvalRecord::default() }
    }

    #[test]
    fn answers_come_back_exactly_and_a_cut_line_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path().join("eval"));
        let mut answers = kept.open("k").unwrap();
        assert!(answers.find("a", 2, false).is_none());
        answers.add([("a", &record(0.1)), ("b", &record(1e-30))].into_iter()).unwrap();
        drop(answers);
        let path = kept.dir().join("k.jsonl");
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut answers = kept.open("k").unwrap();
            let a_there = cut > whole.iter().position(|b| *b == b'\n').unwrap();
            assert_eq!(answers.find("a", 2, false).is_some(), a_there, "{cut}");
            assert!(answers.find("b", 2, false).is_none(), "{cut}");
            answers.add([("b", &record(1e-30))].into_iter()).unwrap();
            drop(answers);
            assert_eq!(kept.open("k").unwrap().find("b", 2, false), Some(record(1e-30)), "{cut}");
        }
        let answers = kept.open("k").unwrap();
        assert!(answers.find("b", 3, false).is_none() && answers.find("b", 2, true).is_none());
        assert!(kept.open("l").unwrap().find("b", 2, false).is_none(), "another key");
    }

    #[test]
    fn a_second_writer_has_a_file_of_its_own_and_both_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path());
        let (mut one, mut two) = (kept.open("k").unwrap(), kept.open("k").unwrap());
        one.add([("a", &record(0.5))].into_iter()).unwrap();
        two.add([("b", &record(0.25))].into_iter()).unwrap();
        drop((one, two));
        let both = kept.open("k").unwrap();
        assert!(both.find("a", 2, false).is_some() && both.find("b", 2, false).is_some());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
