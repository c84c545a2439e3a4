//! The one place that touches the terminal: raw mode, the alternate screen, and putting everything
//! back however the program ends.

use super::painter::Painter;
use crate::error::{Context, Result};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use ratatui::crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use ratatui::crossterm::{cursor, execute};
use ratatui::layout::Position;
use std::io::{self, BufWriter, Stdout, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the terminal: raw, alternate screen, mouse, bracketed paste.
fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(
        stdout(),
        EnterAlternateScreen,
        DisableLineWrap,
        EnableMouseCapture,
        EnableBracketedPaste,
        cursor::Hide,
        Clear(ClearType::All)
    )
}

/// Puts everything back; does nothing if it is already. Goes on where a step fails: a terminal that is
/// gone (SIGHUP) takes none of it.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = stdout();
        let _ = execute!(out, EndSynchronizedUpdate);
        let _ = execute!(out, DisableBracketedPaste, DisableMouseCapture);
        let _ = execute!(out, EnableLineWrap, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

/// Makes a panic of the UI's thread restore the terminal before it is reported. Panics of other
/// threads become failed jobs: their text goes to `log` and not over the screen.
pub fn install_panic_hook(log: impl Fn(&str) + Send + Sync + 'static) {
    static ONCE: Once = Once::new();
    let ui = std::thread::current().id();
    ONCE.call_once(move || {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if on_panic(ui, &|| restore()) || !TAKEN.load(Ordering::SeqCst) {
                before(info);
            } else {
                log(&info.to_string());
            }
        }));
    });
}

/// What the hook does first: on the UI's thread the terminal is restored. True if it was that thread.
fn on_panic(ui: ThreadId, restore: &dyn Fn()) -> bool {
    let ours = std::thread::current().id() == ui;
    if ours {
        restore();
    }
    ours
}

/// The taken terminal with what is on it. Dropping it restores.
pub struct Terminal {
    painter: Painter<BufWriter<Stdout>>,
    /// We stopped ourselves: the SIGCONT that follows needs no answer any more.
    stopped: bool,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be put into raw mode or written to.
    pub fn take() -> Result<Self> {
        let taken = take().context("the terminal cannot be taken over");
        if taken.is_err() {
            restore();
        }
        taken?;
        let painter = Painter::new(BufWriter::with_capacity(1 << 18, stdout()));
        Ok(Self { painter, stopped: false })
    }

    /// The terminal's size; 80 x 24 where it does not say.
    pub fn size() -> (u16, u16) {
        size().unwrap_or((80, 24))
    }

    /// Draws the next frame whole.
    pub fn redraw(&mut self) {
        self.painter.redraw();
    }

    /// Draws one frame of this size: see [`Painter::draw`].
    ///
    /// # Errors
    /// The terminal cannot be written to.
    pub fn draw(
        &mut self,
        size: (u16, u16),
        render: impl FnOnce(&mut Buffer) -> Option<Position>,
    ) -> Result<()> {
        self.painter.draw(size, render).context("the terminal cannot be written to")
    }

    /// Puts text on the clipboard of the user's own terminal (OSC 52).
    ///
    /// # Errors
    /// The terminal cannot be written to.
    pub fn copy(&mut self, text: &str) -> Result<()> {
        let sequence = format!("\x1b]52;c;{}\x07", base64(text.as_bytes()));
        self.painter.write(sequence.as_bytes()).context("the terminal cannot be written to")
    }

    /// Gives the terminal back, stops the process as Ctrl-Z does, and takes it again when continued.
    ///
    /// # Errors
    /// The terminal cannot be taken again.
    #[cfg(unix)]
    pub fn suspend(&mut self) -> Result<()> {
        restore();
        // SAFETY: raising a signal for the own process touches no memory. SIGSTOP and not SIGTSTP: the
        // latter has a handler of ours, and is ignored in an orphaned process group.
        unsafe { libc::raise(libc::SIGSTOP) };
        self.stopped = true;
        self.take_again()
    }

    /// After a SIGCONT: where somebody else had stopped us, the shell has changed the terminal since.
    ///
    /// # Errors
    /// The terminal cannot be taken again.
    pub fn continued(&mut self) -> Result<()> {
        if std::mem::take(&mut self.stopped) {
            return Ok(());
        }
        restore();
        self.take_again()
    }

    fn take_again(&mut self) -> Result<()> {
        self.painter.redraw();
        take().context("the terminal cannot be taken over again")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Base64 with padding (RFC 4648), as OSC 52 wants it.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sign = if i <= chunk.len() { SIGNS[(n >> (18 - 6 * i)) as usize & 63] } else { b'=' };
            out.push(char::from(sign));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn base64_of_known_texts() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"), ("ก", "4LiB")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn only_a_panic_of_the_ui_thread_restores() {
        let restored = Cell::new(0);
        let here = std::thread::current().id();
        assert!(on_panic(here, &|| restored.set(restored.get() + 1)));
        let elsewhere = std::thread::spawn(|| std::thread::current().id()).join().unwrap();
        assert!(!on_panic(elsewhere, &|| restored.set(restored.get() + 1)));
        assert_eq!(restored.get(), 1);
    }

    #[test]
    fn restoring_what_was_not_taken_writes_nothing() {
        assert!(!TAKEN.load(Ordering::SeqCst));
        restore();
        assert!(!TAKEN.load(Ordering::SeqCst));
    }
}
