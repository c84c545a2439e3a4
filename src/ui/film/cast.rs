//! asciicast: a film as the text that a terminal was sent, for asciinema players. The same session and options give
//! the same bytes: no clock and no environment is looked at.

use super::ansi::Encoder;
use super::time::seconds;
use super::{Film, Frame};
use crate::app::ThemeKind;
use crate::error::{Context, Result};
use crate::session::Header;
use crate::ui::palette::{DARK, LIGHT};
use serde::Serialize;

/// Versions of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Read by every player; times count from the beginning.
    #[default]
    Two,
    /// Read by asciinema 3 and players since 2025; times count from the event before.
    Three,
}

#[derive(Serialize)]
struct Colours {
    fg: String,
    bg: String,
    palette: String,
}

#[derive(Serialize)]
struct Head2<'a> {
    version: u8,
    width: u16,
    height: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    title: &'a str,
    theme: Colours,
}

#[derive(Serialize)]
struct Term {
    cols: u16,
    rows: u16,
    theme: Colours,
}

#[derive(Serialize)]
struct Head3<'a> {
    version: u8,
    term: Term,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    title: &'a str,
}

/// Writes an asciicast, event by event.
pub struct Writer {
    version: Version,
    encoder: Encoder,
    out: String,
    /// The last event's time, in milliseconds.
    last: u64,
}

impl Writer {
    /// Begins with the header of a screen of `size` cells.
    ///
    /// # Errors
    /// The title cannot be written as JSON (it can).
    pub fn new(version: Version, header: &Header, size: (u16, u16), theme: ThemeKind) -> Result<Self> {
        let (cols, rows) = size;
        let timestamp = seconds(&header.started);
        let title = header.title.as_str();
        let theme = colours(theme);
        let mut out = match version {
            Version::Two => json(&Head2 { version: 2, width: cols, height: rows, timestamp, title, theme })?,
            Version::Three => {
                json(&Head3 { version: 3, term: Term { cols, rows, theme }, timestamp, title })?
            }
        };
        out.push('\n');
        Ok(Self { version, encoder: Encoder::new(), out, last: 0 })
    }

    /// Adds a frame: what changes on the screen, and its markers.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn frame(&mut self, frame: &Frame) -> Result<()> {
        let ms = frame.at / 1000;
        let bytes = self.encoder.encode(&frame.screen, frame.cursor);
        if !bytes.is_empty() {
            self.event(ms, "o", &bytes)?;
        }
        for marker in &frame.markers {
            self.event(ms, "m", &marker.split_whitespace().collect::<Vec<_>>().join(" "))?;
        }
        Ok(())
    }

    /// Ends `length` microseconds after the first frame: the last screen stays so long, and a cursor is there again.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn finish(mut self, length: u64) -> Result<String> {
        self.event(length / 1000, "o", "\x1b[0m\x1b[?25h")?;
        Ok(self.out)
    }

    fn event(&mut self, ms: u64, code: &str, data: &str) -> Result<()> {
        let ms = ms.max(self.last);
        let time = match self.version {
            Version::Two => ms,
            Version::Three => ms - self.last,
        };
        self.last = ms;
        self.out.push_str(&format!(
            "[{}.{:03}, {}, {}]\n",
            time / 1000,
            time % 1000,
            json(code)?,
            json(data)?
        ));
        Ok(())
    }
}

/// A whole film. `progress` is told how far it is.
///
/// # Errors
/// A line of the session is damaged; what `progress` returns.
pub fn cast(
    film: &mut Film,
    version: Version,
    theme: ThemeKind,
    progress: &mut dyn FnMut(&Film) -> Result<()>,
) -> Result<String> {
    let mut writer = Writer::new(version, &film.track.file().header, film.size(), theme)?;
    while let Some(frame) = film.frame()? {
        writer.frame(&frame)?;
        progress(film)?;
    }
    writer.finish(film.length())
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).context("a line of the asciicast cannot be made")
}

/// The colours around and under the explorer.
fn colours(theme: ThemeKind) -> Colours {
    let palette = if theme == ThemeKind::Light { &LIGHT } else { &DARK };
    let hex = |rgb: u32| format!("#{rgb:06x}");
    let sixteen = (0..16).map(|i| {
        let (r, g, b) = crate::ui::picture::colour::indexed(i);
        format!("#{r:02x}{g:02x}{b:02x}")
    });
    Colours { fg: hex(palette.text), bg: hex(palette.ground), palette: sixteen.collect::<Vec<_>>().join(":") }
}
