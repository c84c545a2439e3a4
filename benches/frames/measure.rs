//! Times of updates and frames, drawn as the terminal gets them.

use super::busy::Busy;
use polylens::app::replay::Player;
use polylens::app::{KeyInput, Msg, ThemeKind, keys};
use polylens::ui::painter::Painter;
use polylens::ui::theme::{Ladder, Theme};
use polylens::ui::{player, view};
use ratatui::layout::Rect;
use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Frames of each measurement.
const FRAMES: usize = 200;
/// Frames before them.
const WARM: usize = 20;

/// Counts what the terminal would get.
#[derive(Clone, Default)]
struct Sink(Rc<Cell<usize>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is measured: something that hears keys and can be drawn.
pub trait Screen {
    fn key(&mut self, key: KeyInput);
    fn draw(&self, buf: &mut ratatui::buffer::Buffer, theme: &Theme) -> Option<ratatui::layout::Position>;
    fn size(&self) -> (u16, u16);
    fn theme(&self) -> ThemeKind;
}

impl Screen for Busy {
    fn key(&mut self, key: KeyInput) {
        self.now += Duration::from_millis(16);
        self.send(Msg::Key(key));
    }
    fn draw(&self, buf: &mut ratatui::buffer::Buffer, theme: &Theme) -> Option<ratatui::layout::Position> {
        view::render(buf, &self.app, theme)
    }
    fn size(&self) -> (u16, u16) {
        self.app.size
    }
    fn theme(&self) -> ThemeKind {
        self.app.theme
    }
}

/// A replay on a screen.
pub struct Replay {
    pub player: Player,
    pub size: (u16, u16),
    pub now: Duration,
}

impl Replay {
    fn picture(&self) -> (u16, u16) {
        let places = player::places(Rect::new(0, 0, self.size.0, self.size.1), self.player.lanes.len());
        (places[self.player.active].width, places[self.player.active].height)
    }
}

impl Screen for Replay {
    fn key(&mut self, key: KeyInput) {
        self.now += Duration::from_millis(16);
        let picture = self.picture();
        self.player.key(key, picture, self.now);
        self.player.tick(picture, self.now);
    }
    fn draw(&self, buf: &mut ratatui::buffer::Buffer, theme: &Theme) -> Option<ratatui::layout::Position> {
        player::render(buf, &self.player, theme, self.now)
    }
    fn size(&self) -> (u16, u16) {
        self.size
    }
    fn theme(&self) -> ThemeKind {
        self.player.theme
    }
}

/// What came of it: milliseconds, and bytes to the terminal.
pub struct Row {
    pub name: String,
    pub size: (u16, u16),
    pub update: Spread,
    pub draw: Spread,
    /// Update and drawing of one step.
    pub step: Spread,
    pub bytes: usize,
    /// A frame of which nothing is on the terminal yet.
    pub whole_ms: f64,
    pub whole_bytes: usize,
}

/// Median and 99th percentile in milliseconds.
#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub p99: f64,
}

impl Spread {
    pub fn of(mut ms: Vec<f64>) -> Self {
        ms.sort_by(f64::total_cmp);
        let at = |share: f64| ms[((ms.len() - 1) as f64 * share).round() as usize];
        Self { median: at(0.5), p99: at(0.99) }
    }
}

/// Presses `held` again and again and draws after each key.
pub fn frames(name: impl Into<String>, screen: &mut dyn Screen, held: &str, ladder: Ladder) -> Row {
    let sink = Sink::default();
    let mut painter = Painter::new(sink.clone());
    let keys = keys::parse_keys(held);
    let ms = |begun: Instant| begun.elapsed().as_secs_f64() * 1e3;
    let (mut update, mut draw, mut step, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for i in 0..WARM + FRAMES {
        let begun = Instant::now();
        if !keys.is_empty() {
            screen.key(keys[i % keys.len()]);
        }
        let updated = ms(begun);
        let before = sink.0.get();
        let theme = Theme::new(screen.theme(), ladder);
        painter.draw(screen.size(), |buf| screen.draw(buf, &theme)).expect("a sink takes everything");
        let all = ms(begun);
        if i >= WARM {
            update.push(updated);
            draw.push(all - updated);
            step.push(all);
            bytes.push(sink.0.get() - before);
        }
    }
    bytes.sort_unstable();
    let theme = Theme::new(screen.theme(), ladder);
    let (mut whole, before) = (Vec::new(), sink.0.get());
    for _ in 0..20 {
        painter.redraw();
        let begun = Instant::now();
        painter.draw(screen.size(), |buf| screen.draw(buf, &theme)).expect("a sink takes everything");
        whole.push(ms(begun));
    }
    Row {
        name: name.into(),
        size: screen.size(),
        update: Spread::of(update),
        draw: Spread::of(draw),
        step: Spread::of(step),
        bytes: bytes[bytes.len() / 2],
        whole_ms: Spread::of(whole).median,
        whole_bytes: (sink.0.get() - before) / 20,
    }
}
