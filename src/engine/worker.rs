//! The engine on threads of its own: commands in, events to a sink.
//!
//! ```text
//! Handle ──┬─ interactive ─ lens, grid, cell       at once; the latest of a kind wins
//!          ├─ background  ─ load, adapters, pca    pauses between batches while interactive work waits
//!          ├─ fetch       ─ pull
//!          ├─ long        ─ eval                  minutes; gives way like background work
//!          └─ training    ─ train                 hours; gives way between passes
//! ```

mod train;

use super::control::Cancel;
use super::core::{Engine, LensPart};
use super::kept::Kept;
use super::protocol::*;
use super::resume::Keeping;
use crate::error::{Error, Result};
use crate::hub::Hub;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// Jobs of one kind supersede each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Load,
    Adapter,
    Lens,
    Grid,
    Cell,
    Pca,
    Curves,
    Eval,
    Pull,
    TrainPlan,
    Train,
}

/// The thread that a kind runs on.
fn lane(kind: Kind) -> usize {
    match kind {
        Kind::Lens | Kind::Grid | Kind::Cell => 0,
        Kind::Load | Kind::Adapter | Kind::Pca | Kind::Curves | Kind::TrainPlan => 1,
        Kind::Pull => 2,
        Kind::Eval => 3,
        Kind::Train => 4,
    }
}

fn kind_of(command: &Command) -> Option<(Kind, JobId)> {
    Some(match command {
        Command::LoadModel { job, .. } => (Kind::Load, *job),
        Command::LoadAdapter { job, .. } => (Kind::Adapter, *job),
        Command::Lens { job, .. } => (Kind::Lens, *job),
        Command::Grid { job, .. } => (Kind::Grid, *job),
        Command::Cell { job, .. } => (Kind::Cell, *job),
        Command::Pca { job, .. } => (Kind::Pca, *job),
        Command::Curves { job, .. } => (Kind::Curves, *job),
        Command::Eval { job, .. } => (Kind::Eval, *job),
        Command::Pull { job, .. } => (Kind::Pull, *job),
        Command::TrainPlan { job, .. } => (Kind::TrainPlan, *job),
        Command::Train { job, .. } => (Kind::Train, *job),
        Command::DropAdapter { .. }
        | Command::Cancel { .. }
        | Command::Shutdown
        | Command::TrainControl { .. }
        | Command::TrainWatch { .. } => return None,
    })
}

/// Whether a newer job of this kind makes the older one pointless.
fn supersedes(kind: Kind) -> bool {
    // Every adapter that was asked for is wanted, the grid is asked for piece by piece, and a run is ended by name only.
    !matches!(kind, Kind::Adapter | Kind::Grid | Kind::Train)
}

/// The job number of what is done while idle.
const IDLE_JOB: JobId = JobId::MAX;

struct Shared {
    sink: Box<dyn Fn(Event) + Send + Sync>,
    engine: RwLock<Option<Arc<Engine>>>,
    /// Flags of the jobs that wait or run.
    jobs: Mutex<HashMap<JobId, (Kind, Cancel)>>,
    /// Interactive jobs that wait or run.
    interactive: Mutex<usize>,
    quiet: Condvar,
    /// What the model was asked for by.
    reference: Mutex<String>,
    /// The training run that waits or goes on; `idle` is told when it has ended.
    training: Mutex<Option<Arc<train::Steer>>>,
    idle: Condvar,
}

/// Sends commands to the engine's threads; dropping it cancels what runs and ends them.
pub struct Handle {
    shared: Arc<Shared>,
    lanes: Vec<Sender<(Command, Cancel)>>,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    /// Queues a command. Cancellation and superseding take effect at once, also while a job runs.
    pub fn send(&self, command: Command) {
        match &command {
            Command::Cancel { job } => self.cancel_where(|j, _| j == *job),
            Command::Shutdown => self.cancel_where(|_, _| true),
            Command::DropAdapter { index } => {
                if let Some(engine) = self.shared.engine() {
                    engine.drop_adapter(*index);
                }
            }
            Command::TrainControl { job, action } => {
                if let Some(steer) = self.shared.steer(*job) {
                    steer.act(*action);
                }
            }
            Command::TrainWatch { job, watch } => {
                if let Some(steer) = self.shared.steer(*job) {
                    steer.watch(watch.clone());
                }
            }
            _ => {
                let Some((kind, job)) = kind_of(&command) else { return };
                if kind == Kind::Train && !self.begin_training(job) {
                    return;
                }
                if supersedes(kind) {
                    self.cancel_where(|_, k| k == kind);
                }
                if kind == Kind::Load {
                    // They would hold the old model's memory to their end. A run writes a checkpoint before it ends.
                    self.cancel_where(|_, k| {
                        matches!(k, Kind::Eval | Kind::Curves | Kind::Train | Kind::TrainPlan)
                    });
                }
                if kind == Kind::Lens {
                    // Pieces of another query's grid are of no use any more.
                    self.cancel_where(|_, k| matches!(k, Kind::Grid | Kind::Cell));
                }
                let cancel = Cancel::new();
                lock(&self.shared.jobs).insert(job, (kind, cancel.clone()));
                if lane(kind) == 0 || kind == Kind::Load {
                    self.cancel_where(|j, _| j == IDLE_JOB);
                }
                if lane(kind) == 0 {
                    *lock(&self.shared.interactive) += 1;
                }
                let _ = self.lanes[lane(kind)].send((command, cancel));
            }
        }
    }

    /// Says what a run's weights are (see [`Engine::weights_hash`]), from a thread of its own; says nothing where they
    /// cannot be read any more.
    pub fn identify(&self, run: RunId, then: impl FnOnce(String) + Send + 'static) {
        let Some(engine) = self.shared.engine() else { return };
        std::thread::spawn(move || {
            if let Ok(Some(hash)) = engine.weights_hash(run, &mut |_, _| Ok(())) {
                then(hash);
            }
        });
    }

    /// Takes note of a run that is asked for; one goes on at a time.
    fn begin_training(&self, job: JobId) -> bool {
        let mut training = lock(&self.shared.training);
        if training.is_some() {
            let message = "A training run goes on already; stop it, or wait for its end.".into();
            (self.shared.sink)(Event::Failed { job, message });
            return false;
        }
        *training = Some(Arc::new(train::Steer::new(job)));
        true
    }

    fn cancel_where(&self, which: impl Fn(JobId, Kind) -> bool) {
        for (job, (kind, cancel)) in lock(&self.shared.jobs).iter() {
            if which(*job, *kind) {
                cancel.cancel();
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.cancel_where(|_, _| true);
        self.shared.wait_for_training();
    }
}

/// Starts the engine's threads; `sink` is called with every event, from those threads.
pub fn spawn(sink: impl Fn(Event) + Send + Sync + 'static) -> Handle {
    let shared = Arc::new(Shared {
        sink: Box::new(sink),
        engine: RwLock::new(None),
        jobs: Mutex::new(HashMap::new()),
        interactive: Mutex::new(0),
        quiet: Condvar::new(),
        reference: Mutex::default(),
        training: Mutex::new(None),
        idle: Condvar::new(),
    });
    let lanes = ["interactive", "background", "fetch", "long", "training"]
        .iter()
        .enumerate()
        .map(|(lane, name)| {
            let (tx, rx) = channel();
            let shared = Arc::clone(&shared);
            let started =
                std::thread::Builder::new().name((*name).into()).spawn(move || shared.serve(lane, &rx));
            debug_assert!(started.is_ok(), "a thread at start-up");
            tx
        })
        .collect();
    Handle { shared, lanes }
}

/// How long the interactive lane stays idle before it prepares the token energies.
const IDLE: Duration = Duration::from_millis(1500);

impl Shared {
    fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn serve(&self, lane: usize, inbox: &Receiver<(Command, Cancel)>) {
        loop {
            let (command, cancel) = match inbox.recv_timeout(IDLE) {
                Ok(next) => next,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if lane == 0 {
                        self.prepare_energy();
                    }
                    continue;
                }
            };
            let Some((_, job)) = kind_of(&command) else { continue };
            // A panic in a computation is that job's failure, not the explorer's end.
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                cancel.check()?;
                self.run(command, &cancel)
            }));
            let event = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(Error::Interrupted)) => Some(Event::Cancelled { job }),
                Ok(Err(e)) => Some(Event::Failed { job, message: e.to_string() }),
                Err(panic) => Some(Event::Failed { job, message: panic_text(&*panic) }),
            };
            lock(&self.jobs).remove(&job);
            self.train_ended(job);
            if lane == 0 {
                *lock(&self.interactive) -= 1;
                self.quiet.notify_all();
            }
            if let Some(event) = event {
                (self.sink)(event);
            }
        }
    }

    /// Makes the table for token energies while nothing else is asked for; a new job stops it.
    fn prepare_energy(&self) {
        let Some(engine) = self.engine().filter(|e| e.energy().is_none()) else { return };
        if lock(&self.jobs)
            .values()
            .any(|(k, _)| matches!(k, Kind::Load | Kind::Pca | Kind::Curves | Kind::Adapter))
        {
            return;
        }
        let cancel = Cancel::new();
        lock(&self.jobs).insert(IDLE_JOB, (Kind::Cell, cancel.clone()));
        // Whether it was stopped or failed: readouts without energies are complete without it.
        let _ = engine.prepare_energy(&cancel);
        lock(&self.jobs).remove(&IDLE_JOB);
    }

    /// Waits until no interactive job waits or runs.
    fn give_way(&self) {
        let mut n = lock(&self.interactive);
        while *n > 0 {
            n = self.quiet.wait(n).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn need(&self) -> Result<Arc<Engine>> {
        self.engine().ok_or_else(|| Error::failed("no model is loaded; choose one first"))
    }

    fn run(&self, command: Command, cancel: &Cancel) -> Result<()> {
        match command {
            Command::LoadModel { job, model, dtype, device, threads } => {
                self.load(job, &model, dtype, device, threads, cancel)
            }
            Command::LoadAdapter { job, adapter } => {
                let engine = self.need()?;
                let mut progress = self.progress(job);
                let found = Hub::from_env()?.resolve_adapter(&adapter, &mut progress, cancel, true)?;
                let index = engine.add_adapter(&found.path, &found.name)?;
                let info = engine.adapters().swap_remove(index).unwrap_or_default();
                (self.sink)(Event::AdapterLoaded { job, index, info });
                Ok(())
            }
            Command::Lens { job, query, runs, top } => {
                let engine = self.need()?;
                let mut on = |part: LensPart| (self.sink)(part.event(job));
                let answer = engine.lens_live(&query, &runs, top, cancel, &mut on)?;
                (self.sink)(Event::LensDone { job, answer });
                Ok(())
            }
            Command::Grid { job, query, run, from, to } => {
                self.need()?.grid(&query, run, from, to, cancel, &mut |position, cells| {
                    (self.sink)(Event::GridColumn { job, run, position, cells });
                })
            }
            Command::Cell { job, query, run, layer, position, top } => {
                let detail = self.need()?.cell(&query, run, layer, position, top, cancel)?;
                (self.sink)(Event::CellReady { job, run, detail });
                Ok(())
            }
            Command::Curves { job, request } => self.curves(job, request, cancel),
            Command::Pca { job, request } => self.pca(job, &request, cancel),
            Command::Eval { job, request } => self.eval(job, &request, cancel),
            Command::Pull { job, name } => {
                let mut progress = self.progress(job);
                let pulled = Hub::from_env()?.pull(&name, None, &mut progress, cancel)?;
                (self.sink)(Event::PullDone { job, name, path: pulled.path });
                Ok(())
            }
            Command::TrainPlan { job, request } => self.train_plan(job, request, cancel),
            Command::Train { job, request } => self.train(job, request, cancel),
            Command::DropAdapter { .. }
            | Command::Cancel { .. }
            | Command::Shutdown
            | Command::TrainControl { .. }
            | Command::TrainWatch { .. } => Ok(()),
        }
    }

    fn load(
        &self,
        job: JobId,
        model: &str,
        dtype: DType,
        device: DeviceChoice,
        threads: usize,
        cancel: &Cancel,
    ) -> Result<()> {
        let mut progress = self.progress(job);
        let found = Hub::from_env()?.resolve(model, &mut progress, cancel, false)?;
        cancel.check()?;
        // The old model's memory is given back before the new one's is taken.
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = None;
        let spec = LoadSpec { path: found.path, name: found.name, dtype, device, threads };
        let engine = Engine::load_giving_way(&spec, &mut progress)?;
        let info = engine.info().clone();
        model.clone_into(&mut lock(&self.reference));
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(engine));
        (self.sink)(Event::ModelLoaded { job, info });
        Ok(())
    }

    fn curves(&self, job: JobId, request: CurvesRequest, cancel: &Cancel) -> Result<()> {
        let mut report = self.progress(job);
        let mut progress = |stage: &str, done: u64, total: u64, unit: &str| {
            report(stage, done, total, unit);
            self.give_way();
        };
        let answer = self.need()?.curves(&request.items, &request.runs, cancel, &mut progress)?;
        let CurvesRequest { task, lang, style, .. } = request;
        (self.sink)(Event::CurvesReady { job, task, lang, style, answer });
        Ok(())
    }

    fn pca(&self, job: JobId, request: &PcaRequest, cancel: &Cancel) -> Result<()> {
        let engine = self.need()?;
        let mut report = self.progress(job);
        let mut progress = |stage: &str, done: u64, total: u64, unit: &str| {
            report(stage, done, total, unit);
            self.give_way();
        };
        let answer = engine.pca_live(request, cancel, &mut progress, &mut |answer| {
            (self.sink)(Event::PcaReady { job, answer, complete: false });
        })?;
        (self.sink)(Event::PcaReady { job, answer, complete: true });
        Ok(())
    }

    fn eval(&self, job: JobId, request: &EvalRequest, cancel: &Cancel) -> Result<()> {
        let started = std::time::Instant::now();
        let engine = self.need()?;
        let EvalRequest { plan, runs } = request;
        let sets = engine.eval_sets(plan)?;
        let queries = crate::eval::part::queries(plan, &sets);
        (self.sink)(Event::EvalStarted { job, sets: sets.clone() });
        let mut report = self.progress(job);
        let mut progress = |stage: &str, done: u64, total: u64, unit: &str| {
            report(stage, done, total, unit);
            self.give_way();
        };
        let kept = Kept::in_cache();
        let mut note = |sentence: &str| {
            (self.sink)(Event::Note { job, sentence: sentence.into() });
        };
        let keeping = Keeping { kept: kept.as_ref(), note: &mut note };
        let on = &mut |records, kept| (self.sink)(Event::EvalRecords { job, records, kept });
        engine.evaluate_kept(plan, &sets, (&queries, runs), keeping, cancel, &mut progress, on)?;
        (self.sink)(Event::EvalDone { job, elapsed_ms: started.elapsed().as_secs_f64() * 1e3 });
        Ok(())
    }

    fn progress(&self, job: JobId) -> impl FnMut(&str, u64, u64, &str) + Send {
        move |stage, done, total, unit| {
            (self.sink)(Event::Progress { job, stage: stage.into(), done, total, unit: unit.into() });
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!(
        "The computation stopped on an internal error ({}); please report it.",
        text.unwrap_or("no message")
    )
}
