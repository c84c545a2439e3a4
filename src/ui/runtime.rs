//! The event loop: terminal, engine and timers are one stream; all of it is taken in, then drawn, at
//! most 30 times a second.

use super::player::{self, Front, PlayOptions};
use super::services::{self, Follow, Post};
use super::terminal::Terminal;
use super::theme::{Ladder, Theme};
use super::{input, log::Log, picture, view};
use crate::app::replay::player::Wish;
use crate::app::{App, Effect, Msg};
use crate::engine::worker;
use crate::error::{Context, Error, Result};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event;
use ratatui::layout::Rect;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep_until;

/// Shortest time between two frames.
const FRAME: Duration = Duration::from_millis(33);
/// Messages taken in at most before a frame is drawn.
const BATCH: usize = 512;

/// What may happen to the process from outside.
enum Signal {
    /// End: the terminal is gone or somebody asked.
    End,
    /// Stop until continued (SIGTSTP from outside).
    Stop,
    /// Somebody else stopped and continued us: the terminal's state is unknown.
    Continued,
}

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
    start: Instant,
    dirty: bool,
    /// The replay was left, and nothing lies behind it.
    left: bool,
    drawn: Option<Instant>,
}

/// Runs the app on the terminal until it quits.
///
/// # Errors
/// The terminal fails; `Error::Interrupted` when a signal ended it.
pub fn run(app: App, effects: Vec<Effect>, front: Option<Front>, ladder: Ladder, log: Log) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the event loop cannot be started")?;
    let panics = log.clone();
    super::terminal::install_panic_hook(move |text| panics.line("panic", text));
    let result = runtime.block_on(serve(app, effects, front, ladder, log));
    // A reader that waits for the terminal must not keep the program from ending.
    runtime.shutdown_background();
    result
}

async fn serve(
    mut app: App,
    effects: Vec<Effect>,
    front: Option<Front>,
    ladder: Ladder,
    log: Log,
) -> Result<()> {
    let (sender, mut messages) = unbounded_channel::<Msg>();
    let mut signals = signals()?;
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
        start: Instant::now(),
        dirty: true,
        left: false,
        drawn: None,
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
                let mut taken = 1;
                while taken < BATCH && let Ok(msg) = messages.try_recv() {
                    rt.route(msg)?;
                    taken += 1;
                }
            }
            () = sleep_until(wait.into()) => rt.tick()?,
        }
        if rt.app.quitting() || rt.left {
            return Ok(());
        }
        if rt.dirty && rt.drawn.is_none_or(|at| at.elapsed() >= FRAME) {
            rt.draw()?;
        }
    }
}

impl Runtime {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// When something is to be done without a message: the next frame or the app's next tick.
    fn deadline(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let tick = match &self.front {
            Some(front) => front.player.wake(self.now()),
            None => self.app.wake(),
        };
        let tick = tick.map_or(far, |at| self.start + at);
        let frame = self.drawn.filter(|_| self.dirty).map_or(far, |at| at + FRAME);
        tick.min(frame)
    }

    fn tick(&mut self) -> Result<()> {
        let (now, size) = (self.now(), self.app.size);
        if let Some(front) = &mut self.front {
            front.tick(size, now);
            self.dirty = true;
        } else if self.app.wake().is_some_and(|at| now >= at) {
            self.take(Msg::Tick)?;
        }
        Ok(())
    }

    /// A message to whoever it is for: what the terminal says is for a replay, if one is in front.
    fn route(&mut self, msg: Msg) -> Result<()> {
        let (now, size) = (self.now(), self.app.size);
        let typed = matches!(msg, Msg::Key(_) | Msg::Paste(_) | Msg::Mouse { .. });
        if let (Some(front), Msg::Saved(saved)) = (&mut self.front, &msg) {
            let words = saved.as_ref().map_or_else(Clone::clone, |p| format!("Written to {}.", p.display()));
            front.player.say(words, now);
        }
        let Some(front) = self.front.as_mut().filter(|_| typed) else { return self.take(msg) };
        self.dirty = true;
        for wish in front.take(msg, size, now) {
            self.grant(wish)?;
        }
        Ok(())
    }

    /// Does what a replay wants.
    fn grant(&mut self, wish: Wish) -> Result<()> {
        let now = self.now();
        match wish {
            Wish::Leave => {
                self.left = self.front.take().is_some_and(|f| f.alone);
                self.terminal.redraw();
            }
            Wish::Redraw => self.terminal.redraw(),
            Wish::Suspend => self.suspend()?,
            Wish::Annotate { lane, t, note } => {
                if let Some(front) = &mut self.front {
                    front.annotate(lane, t, note, now);
                }
            }
            Wish::App(effect) => self.perform(effect)?,
        }
        Ok(())
    }

    /// Opens a recording in front of the explorer.
    fn play(&mut self, name: String) -> Result<()> {
        let options = PlayOptions { sessions: vec![name], ..PlayOptions::default() };
        match Front::open(&options, self.app.theme, false) {
            Ok(front) => self.front = Some(front),
            Err(e) => self.take(Msg::Saved(Err(e.to_string())))?,
        }
        self.terminal.redraw();
        Ok(())
    }

    fn take(&mut self, msg: Msg) -> Result<()> {
        let now = self.now();
        let theme = self.app.theme;
        for effect in self.app.update(msg, now) {
            self.perform(effect)?;
        }
        if self.app.theme != theme {
            self.terminal.redraw();
        }
        self.dirty = true;
        Ok(())
    }

    fn perform(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Engine(command) => {
                self.log.command(&command);
                self.engine.send(command);
            }
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
        let (app, front, now) = (&self.app, &self.front, self.now());
        self.terminal.draw(app.size, |buf| match front {
            Some(front) => player::render(buf, &front.player, &theme, now),
            None => view::render(buf, app, &theme),
        })?;
        self.dirty = false;
        self.drawn = Some(Instant::now());
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

#[cfg(unix)]
fn signals() -> Result<UnboundedReceiver<Signal>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (tx, rx) = unbounded_channel();
    let kinds = [
        (SignalKind::terminate(), 0),
        (SignalKind::hangup(), 0),
        (SignalKind::interrupt(), 0),
        (SignalKind::quit(), 0),
        (SignalKind::from_raw(libc::SIGTSTP), 1),
        (SignalKind::from_raw(libc::SIGCONT), 2),
    ];
    for (kind, meaning) in kinds {
        let mut stream = signal(kind).context("signals cannot be received")?;
        let tx = tx.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                let meant = match meaning {
                    0 => Signal::End,
                    1 => Signal::Stop,
                    _ => Signal::Continued,
                };
                if tx.send(meant).is_err() {
                    return;
                }
            }
        });
    }
    Ok(rx)
}

#[cfg(not(unix))]
fn signals() -> Result<UnboundedReceiver<Signal>> {
    let (tx, rx) = unbounded_channel();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = tx.send(Signal::End);
        }
    });
    Ok(rx)
}
