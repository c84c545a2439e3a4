//! Frames as bytes for a terminal: only cells that changed, as one synchronized update.

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use ratatui::crossterm::{cursor, queue};
use ratatui::layout::{Position, Rect};
use std::io::{self, Write};

/// Draws frames onto whatever takes a terminal's bytes, and knows what is on it.
pub struct Painter<W: Write> {
    backend: CrosstermBackend<W>,
    shown: Buffer,
    /// The frame before the shown one: its memory is used again.
    spare: Buffer,
    /// The next frame draws every cell.
    whole: bool,
}

impl<W: Write> Painter<W> {
    /// A terminal of which nothing is known.
    pub fn new(out: W) -> Self {
        let empty = || Buffer::empty(Rect::ZERO);
        Self { backend: CrosstermBackend::new(out), shown: empty(), spare: empty(), whole: true }
    }

    /// Draws the next frame whole.
    pub fn redraw(&mut self) {
        self.whole = true;
    }

    /// Draws one frame of this size in columns and rows; `render` says where the cursor is to be shown, if anywhere.
    ///
    /// # Errors
    /// The terminal cannot be written to.
    pub fn draw(
        &mut self,
        (width, height): (u16, u16),
        render: impl FnOnce(&mut Buffer) -> Option<Position>,
    ) -> io::Result<()> {
        let mut next = std::mem::take(&mut self.spare);
        next.resize(Rect::new(0, 0, width, height));
        next.reset();
        let cursor_at = render(&mut next);
        queue!(self.backend, BeginSynchronizedUpdate, cursor::Hide)?;
        if self.whole || self.shown.area != next.area {
            self.shown.resize(next.area);
            self.shown.reset();
            self.whole = false;
            queue!(self.backend, Clear(ClearType::All))?;
        }
        self.backend.draw(self.shown.diff(&next).into_iter())?;
        if let Some(at) = cursor_at {
            queue!(self.backend, cursor::MoveTo(at.x, at.y), cursor::Show)?;
        }
        queue!(self.backend, EndSynchronizedUpdate)?;
        self.spare = std::mem::replace(&mut self.shown, next);
        Write::flush(&mut self.backend)
    }

    /// Writes bytes that are no frame.
    ///
    /// # Errors
    /// The terminal cannot be written to.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.backend.write_all(bytes)?;
        Write::flush(&mut self.backend)
    }
}
