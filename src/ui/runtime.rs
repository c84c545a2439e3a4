//! The event loop: terminal, engine and timers are one stream; all of it is taken in, then drawn.
//!
//! A key is seen in the next frame, at most 60 times a second; what comes by itself is drawn half as often. However
//! many keys wait, and however slow the terminal is, all that came in goes into one frame: nothing lags behind.

mod front;
mod pace;
mod signals;

use super::player::{self, Front};
use super::recording::Recording;
use super::services::{self, Follow, Post};
use super::terminal::Terminal;
use super::theme::{Ladder, Theme};
use super::{input, log::Log, picture, view};
use crate::app::messages::Level;
use crate::app::overlay::Question;
use crate::app::{App, Effect, Msg, Tape};
use crate::engine::worker;
use crate::error::{Context, Error, Result};
use crate::session::Weights;
use pace::Pace;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event;
use ratatui::layout::Rect;
use signals::Signal;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::sleep_until;

/// Messages taken in at most before a frame is drawn, and for how long at most.
const BATCH: usize = 512;
const TAKING: Duration = Duration::from_millis(32);
const SECOND: Duration = Duration::from_secs(1);

struct Runtime {
    app: App,
    terminal: Terminal,
    ladder: Ladder,
    engine: worker::Handle,
    post: Post,
    follow: Option<Follow>,
    /// A replay, and the live explorer waits behind it.
    front: Option<Front>,
    log: Log,
    recording: Recording,
    /// Where the hashes of what was loaded go.
    weights: UnboundedSender<Weights>,
    /// When a note was asked for.
    asked_at: Duration,
    start: Instant,
    pace: Pace,
    /// The replay was left, and nothing lies behind it.
    left: bool,
}

/// What the terminal is taken for.
pub struct Begin {
    pub app: App,
    /// What the app wants done at once.
    pub effects: Vec<Effect>,
    /// A replay in front of it.
    pub front: Option<Front>,
    pub recording: Recording,
}

/// Runs the app on the terminal until it quits.
///
/// # Errors
/// The terminal fails; `Error::Interrupted` when a signal ended it.
pub fn run(begin: Begin, ladder: Ladder, log: Log) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the event loop cannot be started")?;
    let panics = log.clone();
    super::terminal::install_panic_hook(move |text| panics.line("panic", text));
    let result = runtime.block_on(serve(begin, ladder, log));
    // A reader that waits for the terminal must not keep the program from ending.
    runtime.shutdown_background();
    if let Some(words) = result? {
        // The terminal is as it was.
        println!("{words}");
    }
    Ok(())
}

async fn serve(begin: Begin, ladder: Ladder, log: Log) -> Result<Option<String>> {
    let Begin { mut app, effects, front, recording } = begin;
    let (sender, mut messages) = unbounded_channel::<Msg>();
    let (weights, mut hashes) = unbounded_channel::<Weights>();
    let mut signals = signals::signals()?;
    let (width, height) = Terminal::size();
    app.update(Msg::Resize { width, height }, Duration::ZERO);
    let terminal = Terminal::take()?;
    let post: Post = {
        let sender = sender.clone();
        Arc::new(move |msg| _ = sender.send(msg))
    };
    let engine = {
        let (post, log) = (post.clone(), log.clone());
        worker::spawn(move |event| {
            log.event(&event);
            post(Msg::Engine(event));
        })
    };
    let mut rt = Runtime {
        app,
        terminal,
        ladder,
        engine,
        post: post.clone(),
        follow: None,
        front,
        log,
        recording,
        weights,
        asked_at: Duration::ZERO,
        start: Instant::now(),
        pace: Pace::default(),
        left: false,
    };
    rt.draw()?;
    read_terminal(post);
    for effect in effects {
        rt.perform(effect)?;
    }
    loop {
        let wait = rt.deadline();
        tokio::select! {
            biased;
            Some(signal) = signals.recv() => match signal {
                Signal::End => return Err(Error::Interrupted),
                Signal::Stop => rt.suspend()?,
                Signal::Continued => rt.continued()?,
            },
            Some(msg) = messages.recv() => {
                rt.route(msg)?;
                let (mut taken, begun) = (1, Instant::now());
                while taken < BATCH && begun.elapsed() < TAKING && let Ok(msg) = messages.try_recv() {
                    rt.route(msg)?;
                    taken += 1;
                }
            }
            Some(weights) = hashes.recv() => {
                let now = rt.now();
                let written = rt.recording.weights(&weights, now);
                rt.taped(written)?;
            }
            () = sleep_until(wait.into()) => rt.tick()?,
        }
        if rt.app.quitting() || rt.left {
            return Ok(rt.recording.end(rt.now()));
        }
        if rt.pace.due().is_some_and(|at| at <= Instant::now()) {
            rt.draw()?;
        }
    }
}

impl Runtime {
    /// Whole milliseconds: a replay sees the very same times.
    fn now(&self) -> Duration {
        Duration::from_millis(self.start.elapsed().as_millis() as u64)
    }

    /// When something is to be done without a message: the next frame or the app's next tick.
    fn deadline(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let tick = match &self.front {
            Some(front) => front.player.wake(self.now()),
            None => self.app.wake(),
        };
        let tick = tick.map_or(far, |at| self.start + at);
        let frame = self.pace.due().unwrap_or(far);
        // The recording's clock moves on.
        let clock = self.pace.drawn.filter(|_| self.recording.goes_on()).map_or(far, |at| at + SECOND);
        tick.min(frame).min(clock)
    }

    fn tick(&mut self) -> Result<()> {
        let (now, size) = (self.now(), self.app.size);
        if let Some(front) = &mut self.front {
            front.tick(size, now);
            self.pace.changed();
        } else if self.app.wake().is_some_and(|at| now >= at) {
            self.take(Msg::Tick)?;
        }
        if self.recording.goes_on() && self.pace.drawn.is_some_and(|at| at.elapsed() >= SECOND) {
            self.pace.changed();
        }
        Ok(())
    }

    fn take(&mut self, msg: Msg) -> Result<()> {
        let now = self.now();
        if !self.app.about_tape(&msg) {
            let written = self.recording.message(&msg, &self.app, now);
            self.update(msg, now)?;
            return self.taped(written);
        }
        // It leaves no line: what is due by now must not be done by it.
        if self.app.tick_matters(now) {
            let written = self.recording.message(&Msg::Tick, &self.app, now);
            self.update(Msg::Tick, now)?;
            self.taped(written)?;
        }
        self.update(msg, now)
    }

    fn update(&mut self, msg: Msg, now: Duration) -> Result<()> {
        if let Msg::Engine(event) = &msg {
            let sender = self.weights.clone();
            self.recording.loaded(event, &self.engine, move |weights| _ = sender.send(weights));
        }
        let theme = self.app.theme;
        for effect in self.app.update(msg, now) {
            self.perform(effect)?;
        }
        if self.app.theme != theme {
            self.terminal.redraw();
        }
        self.pace.changed();
        Ok(())
    }

    fn perform(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Engine(command) => {
                self.log.command(&command);
                let now = self.now();
                let written = self.recording.ask(&command, now);
                self.engine.send(command);
                self.taped(written)?;
            }
            Effect::Tape(tape) => self.tape(tape)?,
            Effect::Copy(text) => self.terminal.copy(&text)?,
            Effect::Picture(path) => services::save(path, self.picture(), &self.post),
            Effect::Save { path, text } => services::save(path, text, &self.post),
            Effect::FollowLog(path) => self.follow = path.map(|p| Follow::start(p, &self.post)),
            Effect::FindModel(name) => services::find_model(name, &self.post),
            Effect::ListModels => services::list_models(&self.post),
            Effect::Complete(typed) => services::complete(typed, &self.post),
            Effect::Redraw => self.terminal.redraw(),
            Effect::Play(name) => self.play(name)?,
            Effect::Suspend => self.suspend()?,
            Effect::Quit => {}
        }
        Ok(())
    }

    /// What the user wants of the recording.
    fn tape(&mut self, tape: Tape) -> Result<()> {
        let now = self.now();
        let ask = |what, text: String| Msg::Ask { what, text };
        let info = |text: String| Msg::Told { level: Level::Info, text };
        match tape {
            Tape::Toggle => match self.recording.end(now) {
                Some(words) => self.take(info(words)),
                None => self.take(ask(Question::RecordTo, super::recording::free_name())),
            },
            Tape::AskNote | Tape::AskMark if !self.recording.goes_on() => {
                self.take(info("Nothing is being recorded: Ctrl-r begins a recording.".to_owned()))
            }
            Tape::AskNote => {
                // The caption is shown from where it was thought of, not from where it was written to its end.
                self.asked_at = now;
                self.take(ask(Question::NoteText, String::new()))
            }
            Tape::AskMark => {
                self.asked_at = now;
                self.take(ask(Question::MarkName, String::new()))
            }
            Tape::Begin(path) => {
                let begun = self.recording.begin(&services::expand(&path), now);
                self.taped(begun)
            }
            Tape::Note(text) => {
                let written = self.recording.note(&text, None, self.asked_at);
                self.taped(written)
            }
            Tape::Mark(name) => {
                let written = self.recording.mark(&name, now);
                self.taped(written)
            }
        }
    }

    /// Tells the user why a recording could not begin or go on.
    fn taped(&mut self, written: Result<()>) -> Result<()> {
        self.pace.changed();
        match written {
            Ok(()) => Ok(()),
            Err(e) => self.take(Msg::Told { level: Level::Error, text: e.to_string() }),
        }
    }

    /// The screen as it is, in full colour whatever this terminal can show.
    fn picture(&self) -> String {
        let (width, height) = self.app.size;
        let theme = Theme::new(self.theme(), Ladder::Rgb);
        let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
        match &self.front {
            Some(front) => _ = player::render(&mut buf, &front.player, &theme, self.now()),
            None => _ = view::render(&mut buf, &self.app, &theme),
        }
        picture::svg(&buf, &format!("polylens {width} x {height}"))
    }

    /// The look of whoever is in front.
    fn theme(&self) -> crate::app::ThemeKind {
        self.front.as_ref().map_or(self.app.theme, |f| f.player.theme)
    }

    fn suspend(&mut self) -> Result<()> {
        #[cfg(unix)]
        self.terminal.suspend()?;
        let (width, height) = Terminal::size();
        self.take(Msg::Resize { width, height })
    }

    /// Somebody continued the process: the terminal and its size may be others.
    fn continued(&mut self) -> Result<()> {
        self.terminal.continued()?;
        let (width, height) = Terminal::size();
        self.take(Msg::Resize { width, height })
    }

    fn draw(&mut self) -> Result<()> {
        let theme = Theme::new(self.theme(), self.ladder);
        self.app.tape = self.recording.sign(self.now());
        if let Some(front) = &mut self.front {
            front.arrive();
        }
        let (app, front, now) = (&self.app, &self.front, self.now());
        self.terminal.draw(app.size, |buf| match front {
            Some(front) => player::render(buf, &front.player, &theme, now),
            None => view::render(buf, app, &theme),
        })?;
        self.pace.drew();
        Ok(())
    }
}

/// Reads the terminal on a thread of its own: its events are few, and waiting for them blocks.
fn read_terminal(post: Post) {
    std::thread::spawn(move || {
        loop {
            match event::read() {
                Ok(event) => {
                    if let Some(msg) = input::message(event) {
                        post(msg);
                    }
                }
                // The terminal is gone: SIGHUP says the same to the loop.
                Err(_) => return,
            }
        }
    });
}
