//! Runs a script: the app, the engine and the recording, on the clock of the wall.

use super::{Script, Step};
use crate::app::bundle::Bundle;
use crate::app::keys::KeyInput;
use crate::app::model::Settings;
use crate::app::{App, Effect, Msg, Setup, ThemeKind};
use crate::engine::protocol::Event;
use crate::engine::worker;
use crate::error::{Error, Result};
use crate::hub::DEFAULT_MODEL;
use crate::session::{Start, Weights};
use crate::ui::recording::{Origin, Recording};
use crate::ui::services::{self, Follow, Post};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The size of a recording whose script says nothing.
const SIZE: (u16, u16) = (160, 48);
/// Between two looks at the clock, at most.
const NAP: Duration = Duration::from_millis(20);

/// What the command line says beside the script.
pub struct Make<'a> {
    pub model: Option<String>,
    pub size: Option<(u16, u16)>,
    pub settings: Settings,
    /// The recording, which is not there yet.
    pub out: &'a Path,
    /// Gets the number of a line that is being done, and how far the recording is.
    pub on: &'a mut dyn FnMut(usize, Duration),
}

/// Runs a script and writes its recording; says where that is.
///
/// # Errors
/// The script's line on which the engine failed or was waited for in vain; a file that cannot be written.
pub fn make(name: &str, script: Script, options: Make) -> Result<String> {
    let (mut stage, effects) = Stage::new(&script, &options)?;
    let begins_later = script.steps.iter().any(|(_, s)| *s == Step::Record);
    if !begins_later {
        stage.recording.begin(options.out, Duration::ZERO)?;
    }
    let done = stage.play(script, effects, options.on, options.out);
    if let Err((line, e)) = done {
        if stage.recording.goes_on() {
            let _ = std::fs::remove_file(options.out);
        }
        return Err(match line {
            Some(line) => Error::Failed(format!("{name}: line {line}: {e}")),
            None => e,
        });
    }
    let now = stage.now();
    stage
        .recording
        .end(now)
        .ok_or_else(|| Error::failed(format!("{name}: the recording ended before the script")))
}

/// What comes from other threads.
#[expect(clippy::large_enum_variant, reason = "few at a time, each moved once")]
enum Incoming {
    Msg(Msg),
    Weights(Weights),
}

struct Stage {
    app: App,
    engine: worker::Handle,
    recording: Recording,
    post: Post,
    sender: Sender<Incoming>,
    incoming: Receiver<Incoming>,
    follow: Option<Follow>,
    /// When the wall's clock and the recording's were last brought together.
    since: (Instant, Duration),
    speed: f64,
    pace: Duration,
    /// What the engine could not do.
    failed: Option<String>,
}

impl Stage {
    fn new(script: &Script, options: &Make) -> Result<(Self, Vec<Effect>)> {
        let (library, task) = Bundle::with(script.task.as_deref())?;
        let lang = library.find_language(&task, script.lang.as_deref())?;
        let model = options.model.clone().or_else(|| script.model.clone());
        let start = Start {
            model: model.unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
            adapters: script.adapters.clone(),
            task,
            lang,
            style: script.style,
            protocol: script.protocol,
            size: options.size.or(script.size).unwrap_or(SIZE),
            training_log: None,
        };
        let (mut app, effects) = App::new(Setup {
            library: Arc::new(library),
            model: start.model.clone(),
            adapters: start.adapters.clone(),
            task: start.task.clone(),
            lang: start.lang.clone(),
            style: start.style,
            protocol: start.protocol,
            settings: options.settings.clone(),
            theme: ThemeKind::default(),
            training_log: None,
        });
        let (width, height) = start.size;
        app.update(Msg::Resize { width, height }, Duration::ZERO);
        let own_task = crate::ui::recording::own_task(script.task.as_deref(), &start.task);
        let (title, about) = (script.title.clone(), script.about.clone());
        let recording = Recording::new(Origin { start, title, about, own_task });
        let (sender, incoming) = channel();
        let post: Post = {
            let sender = sender.clone();
            Arc::new(move |msg| _ = sender.send(Incoming::Msg(msg)))
        };
        let events = post.clone();
        let engine = worker::spawn(move |event| events(Msg::Engine(event)));
        let since = (Instant::now(), Duration::ZERO);
        let stage = Self {
            app,
            engine,
            recording,
            post,
            sender,
            incoming,
            follow: None,
            since,
            speed: 1.0,
            pace: Duration::from_millis(350),
            failed: None,
        };
        Ok((stage, effects))
    }

    /// Whole milliseconds of the recording's clock.
    fn now(&self) -> Duration {
        let (wall, at) = self.since;
        let now = at + wall.elapsed().div_f64(self.speed);
        Duration::from_millis(now.as_millis() as u64)
    }

    /// Does the steps; an error comes with its line.
    fn play(
        &mut self,
        script: Script,
        effects: Vec<Effect>,
        on: &mut dyn FnMut(usize, Duration),
        out: &Path,
    ) -> Result<(), (Option<usize>, Error)> {
        for effect in effects {
            self.perform(effect).map_err(|e| (None, e))?;
        }
        for (line, step) in script.steps {
            on(line, self.now());
            self.step(step, out).map_err(|e| (Some(line), e))?;
        }
        Ok(())
    }

    fn step(&mut self, step: Step, out: &Path) -> Result<()> {
        match step {
            Step::Keys(keys) => {
                for key in keys {
                    self.key(key, self.pace)?;
                }
            }
            Step::Type(text) => {
                for c in text.chars() {
                    self.key(KeyInput::char(c), self.pace / 4)?;
                }
            }
            Step::Paste(text) => self.take(Msg::Paste(text))?,
            Step::Wait(long) => self.wait(long)?,
            Step::Until(until, within) => {
                let begun = Instant::now();
                while !until.holds(&self.app) {
                    if begun.elapsed() >= within {
                        let seconds = within.as_secs_f64();
                        crate::fail!(
                            "waited {seconds} s in vain for it; `within SECONDS` after it gives it more time"
                        );
                    }
                    self.look(NAP)?;
                }
            }
            Step::Note(text, long, waits) => {
                let now = self.now();
                self.recording.note(&text, Some(long.as_millis() as u64), now)?;
                if waits {
                    self.wait(long)?;
                }
            }
            Step::Mark(name) => {
                let now = self.now();
                self.recording.mark(&name, now)?;
            }
            Step::Pace(pace) => self.pace = pace,
            Step::Speed(speed) => {
                self.since = (Instant::now(), self.now());
                self.speed = speed;
            }
            Step::Record => {
                let now = self.now();
                self.recording.begin(out, now)?;
            }
        }
        Ok(())
    }

    fn key(&mut self, key: KeyInput, pace: Duration) -> Result<()> {
        self.take(Msg::Key(key))?;
        self.wait(pace)
    }

    /// Lets so much of the recording's time pass.
    fn wait(&mut self, long: Duration) -> Result<()> {
        let end = self.now() + long;
        while let Some(left) = end.checked_sub(self.now()).filter(|left| !left.is_zero()) {
            self.look(left.mul_f64(self.speed).min(NAP))?;
        }
        Ok(())
    }

    /// Takes in what comes within `long`, and ticks where the app wants it.
    fn look(&mut self, long: Duration) -> Result<()> {
        match self.incoming.recv_timeout(long) {
            Ok(Incoming::Msg(msg)) => self.take(msg)?,
            Ok(Incoming::Weights(weights)) => {
                let now = self.now();
                self.recording.weights(&weights, now)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => crate::fail!("the engine is gone"),
        }
        if self.app.wake().is_some_and(|at| self.now() >= at) {
            self.take(Msg::Tick)?;
        }
        match self.failed.take() {
            Some(why) => Err(Error::Failed(why)),
            None => Ok(()),
        }
    }

    fn take(&mut self, msg: Msg) -> Result<()> {
        let now = self.now();
        if self.app.about_tape(&msg) {
            crate::fail!("a script records by itself: this key has no place in it");
        }
        self.recording.message(&msg, &self.app, now)?;
        if let Msg::Engine(event) = &msg {
            let sender = self.sender.clone();
            let then = move |weights| _ = sender.send(Incoming::Weights(weights));
            self.recording.loaded(event, &self.engine, then);
            if let Event::Failed { message, .. } = event {
                self.failed = Some(message.clone());
            }
        }
        for effect in self.app.update(msg, now) {
            self.perform(effect)?;
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Engine(command) => {
                let now = self.now();
                self.recording.ask(&command, now)?;
                self.engine.send(command);
            }
            Effect::Save { path, text } => services::save(path, text, &self.post),
            Effect::FollowLog(path) => self.follow = path.map(|p| Follow::start(p, &self.post)),
            Effect::FindModel(name) => services::find_model(name, &self.post),
            Effect::ListModels => services::list_models(&self.post),
            Effect::Complete(typed) => services::complete(typed, &self.post),
            Effect::Picture(_) => crate::fail!("a script writes no pictures"),
            Effect::Play(_) => crate::fail!("a script replays nothing"),
            Effect::Quit => crate::fail!("a script ends where its lines end: no key quits in it"),
            // There is no terminal.
            Effect::Copy(_) | Effect::Tape(_) | Effect::Redraw | Effect::Suspend => {}
        }
        Ok(())
    }
}
