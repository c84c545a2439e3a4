//! A command's own recording: what it asked, and what was answered, as the explorer would have had it.

use super::console::Voice;
use crate::app::replay::{Line, What};
use crate::engine::Engine;
use crate::engine::fingerprint::text_hash;
use crate::engine::protocol::{Command, Event, JobId};
use crate::error::{Context, Error, Result};
use crate::session::{AdapterStamp, Header, ModelStamp, Recorder, Reserved, Source, Start, TaskText};
use crate::tasks::{self, BUNDLED};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Cells of the screen that a command's recording is made for.
pub const SIZE: (u16, u16) = (160, 48);
/// Progress is recorded at most this often, besides the first of a stage.
const PROGRESS: Duration = Duration::from_millis(100);

/// The recording of a command that was asked for one; else nothing. Copies write into the same file.
#[derive(Clone, Default)]
pub struct Taping(Option<Arc<Mutex<Tape>>>);

struct Tape {
    file: File,
    header: Header,
    began: Instant,
    /// The last job's number.
    job: JobId,
    /// It has not ended.
    open: bool,
    /// Stage and time of the last progress.
    progress: (String, Option<Instant>),
    voice: Voice,
}

enum File {
    /// Lines wait for the header: what is loaded is not known yet.
    Reserved(Reserved, Vec<Line>),
    Open(Recorder),
    /// It could not be written any more, and that was said.
    Gone,
}

impl Taping {
    /// Makes the file; nothing without a path.
    ///
    /// # Errors
    /// The file is there already or cannot be written.
    pub fn begin(path: Option<&Path>, header: impl FnOnce() -> Result<Header>, voice: Voice) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let file = File::Reserved(Recorder::reserve(path)?, Vec::new());
        let progress = (String::new(), None);
        let tape =
            Tape { file, header: header()?, began: Instant::now(), job: 0, open: false, progress, voice };
        Ok(Self(Some(Arc::new(Mutex::new(tape)))))
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    fn tape(&self) -> Option<MutexGuard<'_, Tape>> {
        // A panic elsewhere does not make the lines wrong.
        self.0.as_ref().map(|t| t.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A question, under a new job number.
    pub fn ask(&self, make: impl FnOnce(JobId) -> Command) {
        let Some(mut tape) = self.tape() else { return };
        tape.job += 1;
        (tape.open, tape.progress) = (true, (String::new(), None));
        let command = make(tape.job);
        tape.write(What::Ask(command));
    }

    /// An answer to the last question.
    pub fn event(&self, make: impl FnOnce(JobId) -> Event) {
        let Some(mut tape) = self.tape() else { return };
        let event = make(tape.job);
        tape.open &= !ends(&event);
        tape.write(What::Event(event));
    }

    /// A place to jump to.
    pub fn mark(&self, name: &str) {
        if let Some(mut tape) = self.tape() {
            tape.write(What::Mark(name.to_owned()));
        }
    }

    /// How far the last question's job is, at most ten times a second.
    pub fn progress(&self, stage: &str, done: u64, total: u64, unit: &str) {
        let Some(mut tape) = self.tape().filter(|t| t.open) else { return };
        let soon = tape.progress.1.is_some_and(|at| at.elapsed() < PROGRESS);
        if soon && tape.progress.0 == stage {
            return;
        }
        tape.progress = (stage.to_owned(), Some(Instant::now()));
        let (job, stage, unit) = (tape.job, stage.to_owned(), unit.to_owned());
        tape.write(What::Event(Event::Progress { job, stage, done, total, unit }));
    }

    /// Takes note of what is loaded; with it the header is written, and the lines that waited for it.
    ///
    /// # Errors
    /// What hashing says; `on` gets the bytes read and all bytes.
    pub fn loaded(&self, engine: &Engine, on: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        let model = model_stamp(engine, on)?;
        let mut adapters = Vec::new();
        for (i, adapter) in super::load::adapters(engine).into_iter().enumerate() {
            let sha256 = engine.weights_hash(Some(i), on)?.unwrap_or_default();
            adapters.push(AdapterStamp { name: adapter.name, rank: adapter.rank, sha256 });
        }
        let Some(mut tape) = self.tape() else { return Ok(()) };
        (tape.header.model, tape.header.adapters) = (Some(model), adapters);
        tape.begin();
        Ok(())
    }

    /// Ends the recording with what became of the command: an error ends the job that goes on.
    pub fn close<T>(&self, result: Result<T>) -> Result<T> {
        let Some(mut tape) = self.tape() else { return result };
        let job = tape.job;
        match &result {
            Err(Error::Interrupted) => {
                // What was asked until then is kept, whatever was loaded.
                tape.open = false;
                tape.begin();
                tape.write(What::Event(Event::Cancelled { job }));
            }
            Err(e) if tape.open => {
                tape.open = false;
                let message = e.to_string();
                tape.write(What::Event(Event::Failed { job, message }));
            }
            _ => {}
        }
        result
    }
}

impl Tape {
    /// Writes the header, if that was not done.
    fn begin(&mut self) {
        let (reserved, lines) = match std::mem::replace(&mut self.file, File::Gone) {
            File::Reserved(reserved, lines) => (reserved, lines),
            other => return self.file = other,
        };
        match reserved.begin(&self.header) {
            Ok(recorder) => self.file = File::Open(recorder),
            Err(e) => return self.voice.warn(&format!("{e}; the command goes on without its recording")),
        }
        lines.iter().for_each(|line| self.put(line));
    }

    fn write(&mut self, what: What) {
        let line = Line { t: self.began.elapsed().as_millis() as u64, what };
        match &mut self.file {
            File::Reserved(_, waiting) => waiting.push(line),
            _ => self.put(&line),
        }
    }

    fn put(&mut self, line: &Line) {
        let File::Open(recorder) = &mut self.file else { return };
        if let Err(e) = recorder.record(line) {
            self.file = File::Gone;
            self.voice.warn(&format!("{e}; the command goes on without its recording"));
        }
    }
}

/// What is loaded, with the hash of its files; empty where they have changed since.
///
/// # Errors
/// What hashing says; `on` gets the bytes read and all bytes.
pub fn model_stamp(engine: &Engine, on: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<ModelStamp> {
    Ok(ModelStamp::of(engine.info(), engine.weights_hash(None, on)?.unwrap_or_default()))
}

/// Whether nothing more comes of the event's job.
fn ends(event: &Event) -> bool {
    matches!(
        event,
        Event::ModelLoaded { .. }
            | Event::AdapterLoaded { .. }
            | Event::LensDone { .. }
            | Event::CurvesReady { .. }
            | Event::PcaReady { complete: true, .. }
            | Event::EvalDone { .. }
            | Event::TrainDone { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
    )
}

/// The header of a command's recording. `task` is the task as it was named, for its text; `about` a sentence.
///
/// # Errors
/// As `tasks::Source::find`.
pub fn header(command: &str, about: String, seed: u64, task: Option<&str>, start: Start) -> Result<Header> {
    let mut header = Header::new(Source::Command, command, Start { size: SIZE, ..start });
    (header.title, header.about, header.seed) = (format!("polylens {command}"), about, seed);
    let Some(name) = task else {
        // The explorer cannot be without a task.
        header.start.task = BUNDLED[0].id.to_owned();
        header.start.lang = "en".to_owned();
        return Ok(header);
    };
    let id = tasks::Source::find(name)?.task.id;
    let toml = match BUNDLED.iter().find(|b| b.id == name) {
        Some(bundled) => bundled.toml.to_owned(),
        None => {
            let toml = std::fs::read_to_string(name).with_context(|| format!("{name} cannot be read"))?;
            header.own_tasks.push(TaskText { id: id.clone(), toml: toml.clone() });
            toml
        }
    };
    header.tasks.insert(id.clone(), text_hash(&toml));
    header.start.task = id;
    Ok(header)
}
