//! Checkpoints: everything that a run needs to go on as if it had never stopped.

use super::durable::{self, Named};
use super::history::Progress;
use super::lora::LoraParams;
use super::optimiser::AdamW;
use super::peft;
use crate::error::{Context, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SCHEMA: &str = "polylens.checkpoint/1";
/// Counters, and the hashes of the other files.
const PROGRESS: &str = "progress.json";
/// Hugging Face's form of the counters and the history.
pub const STATE: &str = "trainer_state.json";
/// Checkpoints kept besides the best one.
const KEEP: usize = 2;

#[derive(Serialize, Deserialize)]
struct Sealed {
    schema: String,
    progress: Progress,
    /// SHA-256 of each other file.
    files: BTreeMap<String, String>,
}

/// `checkpoint-N`, as Hugging Face names it.
pub fn name(step: u64) -> String {
    format!("checkpoint-{step}")
}

/// A run's state after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub params: LoraParams,
    pub adam: AdamW,
    pub progress: Progress,
}

/// Writes `checkpoint-N` whole or not at all, then removes the ones that are no longer needed. `adapter` are PEFT's
/// files of the state's weights, `trainer_state` is Hugging Face's form of the counters.
///
/// # Errors
/// Names the directory; the older checkpoints are untouched then.
pub fn save(out: &Path, state: &State, adapter: Vec<Named>, trainer_state: &Value) -> Result<PathBuf> {
    let step = state.progress.step;
    let mut files = adapter;
    files.push((peft::OPTIMISER, peft::moments(&state.adam)?));
    files.push((STATE, peft::pretty(trainer_state)));
    let sealed = Sealed {
        schema: SCHEMA.into(),
        progress: state.progress.clone(),
        files: files.iter().map(|(name, bytes)| ((*name).to_owned(), durable::sha256(bytes))).collect(),
    };
    let text = serde_json::to_string_pretty(&sealed).context("the counters cannot be written")?;
    files.push((PROGRESS, (text + "\n").into_bytes()));
    durable::write_dir(out, &name(step), &files)?;
    let best = state.progress.best.map(|(step, _)| step);
    for (_, old) in list(out)?.into_iter().rev().skip(KEEP).filter(|(step, _)| Some(*step) != best) {
        durable::remove_dir(out, &old)?;
    }
    Ok(out.join(name(step)))
}

/// Step and name of every checkpoint of a run, by steps.
///
/// # Errors
/// Where the directory cannot be read.
pub fn list(out: &Path) -> Result<Vec<(u64, String)>> {
    let step = |path: &PathBuf| {
        let file = path.file_name()?.to_str()?;
        let step = file.strip_prefix("checkpoint-")?.parse().ok()?;
        (path.is_dir() && file == name(step)).then(|| (step, file.to_owned()))
    };
    let mut found: Vec<_> = durable::entries(out)?.iter().filter_map(step).collect();
    found.sort_unstable();
    Ok(found)
}

/// Reads a checkpoint. `like` has the run's layers.
///
/// # Errors
/// What is missing, damaged or of another run.
pub fn load(dir: &Path, like: &LoraParams) -> Result<State> {
    let (progress, files) = open(dir)?;
    let bytes = |name: &str| {
        files.get(name).ok_or_else(|| Error::failed(format!("{}: {name} is missing", dir.display())))
    };
    let shown = |name: &str| dir.join(name).display().to_string();
    let mut params = like.clone();
    peft::read_weights(bytes(peft::WEIGHTS)?, &shown(peft::WEIGHTS), &mut params)?;
    let adam = peft::read_moments(bytes(peft::OPTIMISER)?, &shown(peft::OPTIMISER), params.values.len())?;
    let state: Value = serde_json::from_slice(bytes(STATE)?).context(shown(STATE))?;
    let Some(history) = state["log_history"].as_array() else {
        crate::fail!("{}: has no log_history", shown(STATE))
    };
    Ok(State { params, adam, progress: Progress { history: history.clone(), ..progress } })
}

/// The counters of a checkpoint, once its files are seen to be whole.
///
/// # Errors
/// As [`load`].
pub fn progress(dir: &Path) -> Result<Progress> {
    Ok(open(dir)?.0)
}

/// PEFT's two files of a checkpoint.
///
/// # Errors
/// As [`load`].
pub fn adapter(dir: &Path) -> Result<Vec<Named>> {
    let (_, mut files) = open(dir)?;
    let mut take = |name: &'static str| {
        let bytes = files.remove(name);
        bytes.map(|b| (name, b)).ok_or_else(|| Error::failed(format!("{}: {name} is missing", dir.display())))
    };
    Ok(vec![take(peft::CONFIG)?, take(peft::WEIGHTS)?])
}

fn open(dir: &Path) -> Result<(Progress, BTreeMap<String, Vec<u8>>)> {
    let path = dir.join(PROGRESS);
    let shown = path.display();
    let text = std::fs::read_to_string(&path).with_context(|| format!("{shown} cannot be read"))?;
    let sealed: Sealed =
        serde_json::from_str(&text).map_err(|e| Error::failed(format!("{shown} is damaged ({e})")))?;
    if sealed.schema != SCHEMA {
        crate::fail!("{shown} has schema {:?}, {SCHEMA} is read; another version wrote it", sealed.schema);
    }
    if dir.file_name() != Some(name(sealed.progress.step).as_ref()) {
        crate::fail!("{shown} is of step {}: the directory was renamed", sealed.progress.step);
    }
    let mut files = BTreeMap::new();
    for (file, hash) in sealed.files {
        let path = dir.join(&file);
        let bytes = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        if durable::sha256(&bytes) != hash {
            crate::fail!(
                "{} is damaged or cut off: its SHA-256 is not the one it was written with",
                path.display()
            );
        }
        files.insert(file, bytes);
    }
    Ok((sealed.progress, files))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::Proj;
    use crate::train::lora::Site;

    fn state(step: u64) -> State {
        let site = Site { layer: 0, proj: Proj::Q, out: 3, inp: 2, a: 0..2, b: 2..5 };
        let values = vec![0.1, -1e-30, 3.5, f32::MIN_POSITIVE, step as f32 / 3.0];
        let params = LoraParams { rank: 1, alpha: 2.0, sites: vec![site], values };
        let adam = AdamW { m: vec![1e-9; 5], v: vec![1e-20, 0.3, 0.0, 1.0, step as f32] };
        let mut progress =
            Progress { step, elapsed_s: 0.1 + 0.2, loss_sum: 1.0 / 3.0, ..Progress::default() };
        progress.history.push(serde_json::json!({"loss": 0.1, "step": 1}));
        State { params, adam, progress }
    }

    fn write(out: &Path, state: &State) -> PathBuf {
        let adapter = peft::files(&state.params, "base", 0.0).unwrap();
        let history = serde_json::json!({ "log_history": state.progress.history });
        save(out, state, adapter, &history).unwrap()
    }

    #[test]
    fn what_is_saved_comes_back_to_the_bit_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        for step in [5, 10, 15, 100] {
            let mut s = state(step);
            s.progress.best = (step >= 10).then_some((10, 1.5));
            assert_eq!(load(&write(dir.path(), &s), &s.params).unwrap(), s);
        }
        let steps: Vec<u64> = list(dir.path()).unwrap().into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [10, 15, 100], "the last two and the best");
    }

    #[test]
    fn every_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let s = state(7);
        let path = write(dir.path(), &s);
        for entry in durable::entries(&path).unwrap() {
            let whole = std::fs::read(&entry).unwrap();
            let name = entry.file_name().unwrap().to_str().unwrap();
            for cut in [0, whole.len() / 2, whole.len() - 2] {
                std::fs::write(&entry, &whole[..cut]).unwrap();
                let e = load(&path, &s.params).unwrap_err().to_string();
                assert!(e.contains(name), "{e}");
            }
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 1;
            std::fs::write(&entry, &flipped).unwrap();
            assert!(load(&path, &s.params).is_err() || name == PROGRESS, "{name}");
            std::fs::remove_file(&entry).unwrap();
            assert!(load(&path, &s.params).unwrap_err().to_string().contains(name));
            std::fs::write(&entry, &whole).unwrap();
        }
        let mut other = s.params.clone();
        other.sites[0].proj = Proj::K;
        assert!(load(&path, &other).unwrap_err().to_string().contains("k_proj"));
        std::fs::rename(&path, dir.path().join("checkpoint-8")).unwrap();
        assert!(load(&dir.path().join("checkpoint-8"), &s.params).is_err());
    }
}
