//! What lies in the directory of a run that was made elsewhere: its log, its settings, its checkpoints.

use crate::engine::protocol::{TrainData, TrainOutcome, TrainSettings};
use crate::error::{Error, Result};
use crate::train::log::{LOG_FILE, LogFollower, LogRecord, STATE_FILE, Update};
use crate::train::record::Record;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Damaged lines that are told one by one.
const TOLD: usize = 5;
/// A larger JSON file is none of these.
const MOST: u64 = 64 << 20;

/// A run as it was found.
#[derive(Debug, Default)]
pub struct Found {
    pub dir: PathBuf,
    pub records: Vec<LogRecord>,
    pub settings: TrainSettings,
    pub data: Vec<TrainData>,
    /// Samples trained on, and held out, where that is known.
    pub samples: (usize, usize),
    /// The model's name, as the adapter or the run's own record has it.
    pub base: Option<String>,
    /// Step and directory of each adapter, by steps.
    pub checkpoints: Vec<(u64, PathBuf)>,
    /// As the run itself has noted it.
    pub outcome: Option<TrainOutcome>,
    /// Sentences for the user.
    pub notes: Vec<String>,
}

impl Found {
    /// The last step in the log.
    pub fn steps(&self) -> u64 {
        self.records.iter().filter_map(|r| r.step).fold(0.0, f64::max) as u64
    }
}

/// Reads a directory, or a log and the directory it lies in.
///
/// # Errors
/// There is no log, or nothing in it; it cannot be read.
pub fn read(path: &Path) -> Result<Found> {
    if !path.exists() {
        return Err(Error::failed(format!(
            "{} is not there; name a run's directory or its log",
            path.display()
        )));
    }
    let dir = match path.is_dir() {
        true => path.to_owned(),
        false => path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned(),
    };
    let mut found = Found { dir, ..Found::default() };
    log(path, &mut found)?;
    settings(&mut found)?;
    checkpoints(&mut found)?;
    Ok(found)
}

/// All that the log says.
fn log(path: &Path, found: &mut Found) -> Result<()> {
    let mut follower = LogFollower::new(path);
    let (mut file, mut damaged, mut still) = (path.to_owned(), Vec::new(), 0);
    // The follower is made for files that grow: it is at the end where two looks bring nothing.
    while still < 2 {
        still += 1;
        for update in follower.poll()? {
            match update {
                Update::Restarted { path } => {
                    (file, still) = (path, 0);
                    found.records.clear();
                }
                Update::Record(record) => {
                    found.records.push(record);
                    still = 0;
                }
                Update::Damaged { line, reason } => {
                    damaged.push((line, reason));
                    still = 0;
                }
                Update::Waiting { .. } => {
                    return Err(Error::failed(format!(
                        "{}: there is no log: neither {LOG_FILE} nor {STATE_FILE} lies in it or in its last \
                         checkpoint-N. Name the directory that the run was told to write into",
                        path.display()
                    )));
                }
                Update::Status { read, size, .. } if read < size => still = 0,
                Update::Status { .. } => {}
            }
        }
    }
    let shown = file.display();
    let what = if file.extension().is_some_and(|e| e == "json") { "entry" } else { "line" };
    for (line, reason) in damaged.iter().take(TOLD) {
        found.notes.push(format!("{shown}: {what} {line} is left out or not whole: {reason}"));
    }
    if damaged.len() > TOLD {
        found.notes.push(format!("{shown}: and so are {} more", damaged.len() - TOLD));
    }
    if !found.records.iter().any(|r| r.step.is_some() && (r.loss.is_some() || r.eval_loss.is_some())) {
        let why = damaged.first().map_or(String::new(), |(line, why)| format!(" ({what} {line}: {why})"));
        return Err(Error::failed(format!(
            "{shown}: no {what} of it has a step and a loss{why}: this is no log of a run"
        )));
    }
    Ok(())
}

/// What is known of the settings: from the run's own record, else from the adapter and the trainer's state. (What lies
/// in training_args.bin is a pickle, which could do anything when it is read.)
fn settings(found: &mut Found) -> Result<()> {
    if found.dir.join(crate::train::record::FILE).is_file() {
        let record = Record::read(&found.dir)?;
        (found.settings, found.data, found.outcome) = (record.settings, record.data, record.outcome);
        (found.samples, found.base) = ((record.samples, record.held_out), Some(record.model.reference));
        return Ok(());
    }
    let last = found.records.iter().rev().find_map(|r| r.total_steps).map(|t| t as u64);
    let rate = found.records.iter().filter_map(|r| r.lr).filter(|r| r.is_finite()).fold(0.0, f64::max);
    let settings = &mut found.settings;
    settings.max_steps = last.filter(|t| *t > 0);
    if rate > 0.0 {
        settings.lr = rate;
    }
    let mut dirs = vec![found.dir.clone()];
    dirs.extend(numbered(&found.dir)?.into_iter().rev().map(|(_, dir)| dir));
    if let Some(state) = dirs.iter().find_map(|d| json(&d.join(STATE_FILE))) {
        let count = |key: &str| state.get(key).and_then(Value::as_u64).filter(|n| *n > 0);
        settings.epochs = state.get("num_train_epochs").and_then(Value::as_f64).unwrap_or(settings.epochs);
        settings.eval_steps = count("eval_steps").unwrap_or(settings.eval_steps);
        settings.logging_steps = count("logging_steps").unwrap_or(settings.logging_steps);
        settings.save_steps = count("save_steps").unwrap_or(settings.save_steps);
        settings.micro_batch = count("train_batch_size").map_or(settings.micro_batch, |n| n as usize);
    }
    if let Some(config) = dirs.iter().find_map(|d| json(&d.join("adapter_config.json"))) {
        settings.rank = config["r"].as_u64().map_or(settings.rank, |r| r as usize);
        settings.alpha = config["lora_alpha"].as_f64().unwrap_or(settings.alpha);
        settings.dropout = config["lora_dropout"].as_f64().unwrap_or(settings.dropout);
        let targets = config["target_modules"].as_array().into_iter().flatten();
        let targets: Vec<String> = targets.filter_map(|t| t.as_str().map(str::to_owned)).collect();
        if !targets.is_empty() {
            settings.targets = targets;
        }
        found.base = config["base_model_name_or_path"].as_str().map(str::to_owned);
    }
    Ok(())
}

/// Adapters: of each `checkpoint-N`, and the directory's own as that of the last step.
fn checkpoints(found: &mut Found) -> Result<()> {
    let has = |dir: &Path, name: &str| dir.join(name).is_file();
    let mut pickled = 0;
    for (step, dir) in numbered(&found.dir)? {
        if has(&dir, "adapter_model.safetensors") && has(&dir, "adapter_config.json") {
            found.checkpoints.push((step, dir));
        } else if has(&dir, "adapter_model.bin") {
            pickled += 1;
        }
    }
    if pickled > 0 {
        found.notes.push(format!(
            "{pickled} checkpoints hold adapter_model.bin, a pickled file that is not read: save them as safetensors"
        ));
    }
    let last = found.steps();
    let own = has(&found.dir, "adapter_model.safetensors") && has(&found.dir, "adapter_config.json");
    if own && found.checkpoints.last().is_none_or(|(step, _)| *step < last) {
        found.checkpoints.push((last, found.dir.clone()));
    }
    Ok(())
}

/// `checkpoint-N` directories, by N.
fn numbered(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = std::fs::read_dir(dir)
        .map_err(|e| Error::failed(format!("{} cannot be listed ({e})", dir.display())))?;
    let step = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("checkpoint-")?.parse().ok();
    let mut all: Vec<(u64, PathBuf)> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.is_dir())
        .filter_map(|p| Some((step(&p)?, p)))
        .collect();
    all.sort();
    Ok(all)
}

/// A JSON file of reasonable size; what is wrong with one that matters is said by whoever needs it.
fn json(path: &Path) -> Option<Value> {
    let size = std::fs::metadata(path).ok()?.len();
    let text = (size <= MOST).then(|| std::fs::read_to_string(path).ok())??;
    serde_json::from_str(&text).ok()
}
