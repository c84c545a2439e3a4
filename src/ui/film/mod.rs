//! A session as a film: the explorer's screens as they follow each other, without a terminal and without a clock.
//!
//! ```text
//! SessionFile -> Track -> Film -> Frame (time, Buffer) -> cast | svg | png | gif | txt
//! ```
//!
//! Times of the session are milliseconds since the recording began; times of the film are microseconds since its
//! first frame: pauses are shortened and the speed is another.

pub mod ansi;
pub mod caption;
pub mod cast;
pub mod gif;
pub mod moving;
pub mod raster;
mod saying;
pub mod text;
pub mod time;
pub mod transcript;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use caption::{Caption, caption, captions};

use super::theme::{Ladder, Theme};
use super::view;
use crate::app::ThemeKind;
use crate::app::layout::NEEDED;
use crate::app::library::Library;
use crate::app::replay::{Track, track};
use crate::error::{Error, Result};
use crate::session::SessionFile;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use std::sync::Arc;

/// The largest screen of a film, in cells.
pub const LARGEST: (u16, u16) = (500, 200);

/// The screen of a recording that was made without one.
const USUAL: (u16, u16) = (120, 40);

/// How long the last screen stays at least, in milliseconds.
const LAST_MS: u64 = 1000;

/// How long an animation's last picture stays before it begins again, in microseconds.
const END_PAUSE: u64 = 2_000_000;

/// More pictures than this make an animation that nobody can load.
const MOST_FRAMES: usize = 3000;

/// What is filmed, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Cells; `None`: as recorded.
    pub size: Option<(u16, u16)>,
    /// `None`: as the user chose while recording.
    pub theme: Option<ThemeKind>,
    /// Where it begins, in milliseconds of the session.
    pub from: u64,
    /// Where it ends; `None`: with the session.
    pub to: Option<u64>,
    /// Milliseconds of the session a millisecond of the film.
    pub speed: f64,
    /// The longest pause that is kept, in milliseconds of the session.
    pub idle: u64,
    /// Most frames a second of the film.
    pub fps: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { size: None, theme: None, from: 0, to: None, speed: 1.0, idle: 2000, fps: 15 }
    }
}

/// One screen of a film.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When it is shown: microseconds since the film's first frame.
    pub at: u64,
    /// Milliseconds of the session.
    pub t: u64,
    pub screen: Buffer,
    /// Where the cursor is shown, if anywhere.
    pub cursor: Option<Position>,
    /// Marks and notes that were passed since the frame before.
    pub markers: Vec<String>,
}

impl Frame {
    /// The screen with the cursor drawn into it, for pictures.
    pub fn picture(&self) -> Buffer {
        let mut screen = self.screen.clone();
        if let Some(cell) = self.cursor.and_then(|at| screen.cell_mut(at)) {
            cell.modifier.toggle(ratatui::style::Modifier::REVERSED);
        }
        screen
    }
}

/// The frames of a stretch of a session, one after the other: see [`Film::frame`].
#[derive(Debug)]
pub struct Film {
    track: Track,
    options: Options,
    size: (u16, u16),
    captions: Vec<Caption>,
    /// Marks and notes with their times, those before the stretch left out.
    markers: std::vec::IntoIter<(u64, String)>,
    next_marker: Option<(u64, String)>,
    /// The last line taken in: its time in the session (ms) and in the film (µs).
    base: (u64, u64),
    /// The last frame: its time in the film (µs), what it showed, and when the app wanted to be drawn again (ms).
    last: Option<u64>,
    shown: Option<Drawn>,
    wake: Option<u64>,
    /// Where the stretch ends, in milliseconds of the session.
    to: u64,
}

/// A screen and the place of its cursor.
type Drawn = (Buffer, Option<Position>);

impl Film {
    /// Before the first frame.
    ///
    /// # Errors
    /// The size or the stretch makes no sense (usage), or a line before the stretch is damaged.
    pub fn new(file: Arc<SessionFile>, library: Arc<dyn Library>, options: Options) -> Result<Self> {
        let end = file.end();
        let to = stretch(&options, end)?;
        check(&options)?;
        let captions = captions(&file, options.speed.max(1.0));
        let mut markers: Vec<(u64, String)> = file.marks();
        markers.extend(file.notes().into_iter().map(|(t, note)| (t, note.text)));
        markers.sort_by_key(|(t, _)| *t);
        markers.retain(|(t, _)| *t >= options.from && *t <= to);
        let mut markers = markers.into_iter();
        let next_marker = markers.next();
        let mut track = Track::new(file, library);
        track.seek(options.from)?;
        let size = options.size.unwrap_or(match track.app().size {
            (w, h) if w >= NEEDED.0 && h >= NEEDED.1 => (w.min(LARGEST.0), h.min(LARGEST.1)),
            _ => USUAL,
        });
        let base = (options.from, 0);
        Ok(Self {
            track,
            options,
            size,
            captions,
            markers,
            next_marker,
            base,
            last: None,
            shown: None,
            wake: None,
            to,
        })
    }

    /// Cells of every frame.
    pub fn size(&self) -> (u16, u16) {
        self.size
    }

    /// How far the film is, as lines taken in and lines in all.
    pub fn progress(&self) -> (u64, u64) {
        let all = self.track.file().entries();
        let end = all.partition_point(|e| e.t <= self.to);
        (self.track.taken() as u64, end as u64)
    }

    /// The next frame that differs from the one before or passes a marker; `None` at the end.
    ///
    /// # Errors
    /// A line is damaged.
    pub fn frame(&mut self) -> Result<Option<Frame>> {
        let period = 1_000_000 / u64::from(self.options.fps.max(1));
        loop {
            let at = match self.last {
                None => 0,
                Some(last) => match self.due() {
                    None => return Ok(None),
                    Some(due) => due.max(last + period),
                },
            };
            let now = self.advance(at)?;
            self.last = Some(at);
            let (screen, cursor) = self.draw(now);
            let markers = self.pass(now);
            let same = self.shown.as_ref().is_some_and(|s| s.0 == screen && s.1 == cursor);
            if same && markers.is_empty() {
                continue;
            }
            self.shown = Some((screen.clone(), cursor));
            return Ok(Some(Frame { at, t: now, screen, cursor, markers }));
        }
    }

    /// When the last screen has been shown long enough, in microseconds of the film; known at the end.
    pub fn length(&self) -> u64 {
        let tail = match self.options.to {
            Some(to) => (to - self.base.0.min(to)).min(self.pause()),
            None => self.reading().max(LAST_MS),
        };
        let end = self.base.1 + self.film(tail);
        end.max(self.last.unwrap_or(0) + 1_000_000 / u64::from(self.options.fps.max(1)))
    }

    /// Milliseconds of the session as microseconds of the film.
    fn film(&self, ms: u64) -> u64 {
        (ms as f64 * 1000.0 / self.options.speed).round() as u64
    }

    /// How long the caption that is shown at the last line has yet to stay, in milliseconds.
    fn reading(&self) -> u64 {
        caption::at(&self.captions, self.base.0).map_or(0, |c| c.to - self.base.0)
    }

    /// The longest pause that is kept after the last line, in milliseconds.
    fn pause(&self) -> u64 {
        self.options.idle.max(self.reading())
    }

    /// How long the pause after the last line is, in milliseconds of the session, shortened.
    fn gap(&self) -> u64 {
        match self.next_line() {
            Some(t) => (t - self.base.0.min(t)).min(self.pause()),
            None => match self.options.to {
                Some(to) => (to - self.base.0.min(to)).min(self.pause()),
                None => self.reading(),
            },
        }
    }

    /// Time of the next line of the stretch.
    fn next_line(&self) -> Option<u64> {
        self.track.next().map(|e| e.t).filter(|t| *t <= self.to)
    }

    /// When something may look different, in microseconds of the film.
    fn due(&self) -> Option<u64> {
        let gap = self.gap();
        let line = self.next_line().map(|_| gap);
        let within = |t: u64| t.checked_sub(self.base.0).filter(|d| *d <= gap);
        let seen = self.session(self.last.unwrap_or(0));
        let wake = self.wake.filter(|t| *t > seen).and_then(within);
        let read = caption::at(&self.captions, seen).map(|c| c.to).and_then(within);
        let ms = [line, wake, read].into_iter().flatten().min()?;
        Some(self.base.1 + self.film(ms))
    }

    /// The session's time at a time of the film after the last line.
    fn session(&self, at: u64) -> u64 {
        let ms = (at.saturating_sub(self.base.1) as f64 * self.options.speed / 1000.0).round() as u64;
        self.base.0 + ms.min(self.gap())
    }

    /// Takes in what has happened until then; returns the session's time.
    fn advance(&mut self, at: u64) -> Result<u64> {
        while let Some(t) = self.next_line() {
            let shown = self.base.1 + self.film(self.gap());
            if shown > at {
                break;
            }
            self.track.step()?;
            self.base = (t.max(self.base.0), shown);
        }
        Ok(self.session(at))
    }

    /// Marks and notes up to a time of the session.
    fn pass(&mut self, now: u64) -> Vec<String> {
        let mut passed = Vec::new();
        while let Some((_, label)) = self.next_marker.take_if(|(t, _)| *t <= now) {
            passed.push(label);
            self.next_marker = self.markers.next();
        }
        passed
    }

    fn draw(&mut self, now: u64) -> Drawn {
        let mut app = track::view(self.track.app(), self.size, self.track.time(now));
        // The film shows the explorer as it was.
        app.replayed = false;
        let began = self.track.time(0);
        self.wake = app.wake().map(|w| w.saturating_sub(began).as_millis() as u64);
        let theme = Theme::new(self.options.theme.unwrap_or(app.theme), Ladder::Rgb);
        let mut screen = Buffer::empty(Rect::new(0, 0, self.size.0, self.size.1));
        let cursor = view::render(&mut screen, &app, &theme);
        if let Some(words) = caption::at(&self.captions, now) {
            let area = screen.area;
            caption(&mut screen, area, &words.text, &theme);
        }
        (screen, cursor)
    }
}

/// The one frame at a time of the session.
///
/// # Errors
/// As [`Film::new`].
pub fn still(file: Arc<SessionFile>, library: Arc<dyn Library>, options: &Options, t: u64) -> Result<Frame> {
    let options = Options { from: t, to: Some(t), ..options.clone() };
    let mut film = Film::new(file, library, options)?;
    film.frame()?.ok_or_else(|| Error::failed("this moment of the session has no picture"))
}

/// Refuses an animation of too many pictures.
fn too_long(frames: usize) -> Result<()> {
    if frames > MOST_FRAMES {
        crate::fail!(
            "the animation would have more than {MOST_FRAMES} pictures: choose a shorter stretch (--from, --until), a \
             higher --speed or a lower --fps"
        );
    }
    Ok(())
}

/// Sizes and speeds that make sense.
fn check(options: &Options) -> Result<()> {
    if let Some((w, h)) = options.size {
        let (least, most) = (NEEDED, LARGEST);
        if w < least.0 || h < least.1 || w > most.0 || h > most.1 {
            return Err(Error::Usage(format!(
                "--size {w}x{h}: the explorer can be drawn from {}x{} to {}x{} cells",
                least.0, least.1, most.0, most.1
            )));
        }
    }
    if !(options.speed.is_finite() && options.speed > 0.0) {
        return Err(Error::Usage(format!("--speed {}: give a number above 0, such as 2", options.speed)));
    }
    Ok(())
}

/// Where the stretch ends, in a session that is `end` milliseconds long.
fn stretch(options: &Options, end: u64) -> Result<u64> {
    let said = time::said;
    if options.from > end {
        return Err(Error::Usage(format!(
            "{} is after the end of the session, which is {} long",
            said(options.from),
            said(end)
        )));
    }
    if let Some(to) = options.to.filter(|to| *to < options.from) {
        return Err(Error::Usage(format!(
            "the stretch from {} to {} is empty: its end is before its beginning",
            said(options.from),
            said(to)
        )));
    }
    Ok(options.to.unwrap_or(end))
}
