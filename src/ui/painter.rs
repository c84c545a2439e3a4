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

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Bytes that can still be read when a painter has them.
    #[derive(Clone, Default)]
    struct Sink(Rc<RefCell<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Made = (Painter<Sink>, Sink);

    fn made() -> Made {
        let sink = Sink::default();
        (Painter::new(sink.clone()), sink)
    }

    /// What a frame with this text writes.
    fn frame((painter, sink): &mut Made, size: (u16, u16), text: &str, cursor: Option<Position>) -> String {
        let render = |buf: &mut Buffer| {
            buf.set_string(0, 0, text, Style::new());
            cursor
        };
        painter.draw(size, render).unwrap();
        String::from_utf8(std::mem::take(&mut *sink.0.borrow_mut())).unwrap()
    }

    #[test]
    fn only_what_changed_is_written() {
        let mut painter = made();
        let size = (20, 2);
        assert!(frame(&mut painter, size, "onetwo", None).contains("onetwo"));
        let same = frame(&mut painter, size, "onetwo", None);
        assert!(!same.contains(['o', 't']), "{same:?}");
        let other = frame(&mut painter, size, "onesix", None);
        assert!(other.contains("six") && !other.contains("one"), "{other:?}");
        // The buffer of the frame before the last is used again: nothing of it may come back.
        let short = frame(&mut painter, size, "o", None);
        assert!(!short.contains("six") && !short.contains("two"), "{short:?}");
        assert!(frame(&mut painter, size, "onesix", None).contains("nesix"));
    }

    #[test]
    fn a_frame_is_whole_after_a_redraw_and_at_another_size() {
        let mut painter = made();
        frame(&mut painter, (20, 2), "one", None);
        painter.0.redraw();
        assert!(frame(&mut painter, (20, 2), "one", None).contains("one"));
        let larger = frame(&mut painter, (30, 3), "one", Some(Position::new(4, 2)));
        assert!(larger.contains("one") && larger.contains("\x1b[3;5H"), "{larger:?}");
        assert!(!frame(&mut painter, (30, 3), "one", None).contains("one"));
    }
}
