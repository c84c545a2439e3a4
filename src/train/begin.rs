//! The run's directory when a run begins or goes on.

use super::history::{Progress, belongs};
use super::job::{Hooks, Job};
use super::log::LOG_FILE;
use super::optimiser::AdamW;
use super::record::{self, Record};
use super::{checkpoint, durable, peft};
use crate::error::{Context, Error, Result};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// The adapter with the best validation loss.
pub const BEST: &str = "best";
pub const CARD: &str = "README.md";

/// A run that may take its next step.
pub struct Begun {
    pub record: Record,
    pub state: checkpoint::State,
    /// The checkpoint that it goes on from.
    pub from: Option<PathBuf>,
    /// Keeps other processes out as long as it is open.
    pub lock: Option<File>,
}

/// Makes the directory of a new run, or reads that of the run that goes on.
///
/// # Errors
/// [`Error::Usage`] for a directory in which something else lies; [`Error::Failed`] for other data or another model than
/// the run's own, a second process, and what cannot be read or written.
pub fn begin(job: &Job, hooks: &mut dyn Hooks) -> Result<Begun> {
    let out = &job.request.out;
    let now = Record::new(&job.request, job.dataset, &job.start, &job.model)?;
    if job.request.resume { go_on(job, now, hooks) } else { fresh(job, now, out) }
}

fn fresh(job: &Job, record: Record, out: &Path) -> Result<Begun> {
    free(out)?;
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let lock = lock(out)?;
    free(out)?;
    durable::tidy(out)?;
    record.write(out)?;
    let state = at_start(job);
    Ok(Begun { record, state, from: None, lock })
}

/// Refuses a directory in which something lies.
///
/// # Errors
/// [`Error::Usage`], saying what to do.
pub fn free(out: &Path) -> Result<()> {
    let shown = out.display();
    if !out.exists() {
        return Ok(());
    }
    if !out.is_dir() {
        return Err(Error::usage(format!("--out {shown}: there is a file of this name; name a directory")));
    }
    if out.join(record::FILE).is_file() {
        return Err(Error::usage(format!(
            "--out {shown}: holds a run already ({} steps done); --resume {shown} goes on with it, or name another --out",
            done_steps(out)
        )));
    }
    let left = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(durable::UNFINISHED)
    };
    if durable::entries(out)?.iter().all(left) {
        return Ok(());
    }
    Err(Error::usage(format!("--out {shown}: is not empty; name a new directory for the run")))
}

fn at_start(job: &Job) -> checkpoint::State {
    let (params, progress) = (job.start.clone(), Progress::default());
    checkpoint::State { adam: AdamW::new(params.values.len()), params, progress }
}

fn go_on(job: &Job, now: Record, hooks: &mut dyn Hooks) -> Result<Begun> {
    let out = &job.request.out;
    let mut record = Record::read(out)?;
    let lock = lock(out)?;
    record.check(&now, out)?.iter().for_each(|note| hooks.note(note));
    durable::tidy(out)?;
    let mut found = None;
    for (_, name) in checkpoint::list(out)?.into_iter().rev() {
        match checkpoint::load(&out.join(&name), &job.start) {
            Ok(state) => {
                found = Some((state, out.join(name)));
                break;
            }
            Err(e) => {
                hooks.note(&format!("{name} is passed over and removed: {e}"));
                durable::remove_dir(out, &name)?;
            }
        }
    }
    let (state, from) = match found {
        Some((state, path)) => (state, Some(path)),
        None => (at_start(job), None),
    };
    if !record.is_finished() {
        cut_log(out, state.progress.step)?;
        if record.outcome.take().is_some() {
            record.write(out)?;
        }
    }
    Ok(Begun { record, state, from, lock })
}

/// Takes out of the log what was written after the checkpoint.
fn cut_log(out: &Path, step: u64) -> Result<()> {
    let path = out.join(LOG_FILE);
    let bytes = match fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.with_context(|| format!("{} cannot be read", path.display()))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let kept: String = text.split_inclusive('\n').filter(|l| l.ends_with('\n') && belongs(l, step)).collect();
    if kept.len() == bytes.len() { Ok(()) } else { durable::write(out, LOG_FILE, kept.as_bytes()) }
}

/// The steps that a run's last good checkpoint has done; 0 where there is none.
pub fn done_steps(out: &Path) -> u64 {
    let list = checkpoint::list(out).unwrap_or_default();
    let done = |(_, name): &(u64, String)| checkpoint::progress(&out.join(name)).ok();
    list.iter().rev().find_map(done).map_or(0, |p| p.step)
}

/// The system's own lock on the directory: it ends with the process, whatever ends that. File systems without locks
/// go without.
fn lock(out: &Path) -> Result<Option<File>> {
    let Ok(dir) = File::open(out) else { return Ok(None) };
    match dir.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::failed(format!(
            "{}: another process is training here; wait for it, or name another --out",
            out.display()
        ))),
        Err(TryLockError::Error(_)) => Ok(None),
        Ok(()) => Ok(Some(dir)),
    }
}

/// Removes what a run has written, and the directory where nothing else is in it.
///
/// # Errors
/// Where something cannot be removed.
pub fn discard(out: &Path) -> Result<()> {
    durable::tidy(out)?;
    let mut dirs: Vec<String> = checkpoint::list(out)?.into_iter().map(|(_, name)| name).collect();
    dirs.extend(out.join(BEST).is_dir().then(|| BEST.to_owned()));
    for name in dirs {
        durable::remove_dir(out, &name)?;
    }
    // The record last: as long as it is there the directory is a run's.
    for name in [peft::CONFIG, peft::WEIGHTS, checkpoint::STATE, CARD, LOG_FILE, record::FILE] {
        match fs::remove_file(out.join(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                crate::fail!("{} cannot be removed: {e}", out.join(name).display());
            }
            _ => {}
        }
    }
    // Where the user has put something beside it, it stays.
    let _ = fs::remove_dir(out);
    Ok(())
}
