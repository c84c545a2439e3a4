//! A film as a GIF that plays for ever: each picture holds the rectangle that differs from the one before, with its own
//! colours.

use super::raster::{Image, Raster};
use super::{END_PAUSE, Film, too_long};
use crate::error::{Context, Result};
use crate::ui::picture::colour::Rgb;
use gif::{DisposalMethod, Encoder, Repeat};
use std::borrow::Cow;
use std::collections::HashMap;

/// The film as a file, and the characters that no font has.
///
/// # Errors
/// A line of the session is damaged, the film has too many frames, its screen is too large for the format; what
/// `progress` returns.
pub fn gif(film: &mut Film, progress: &mut dyn FnMut(&Film) -> Result<()>) -> Result<(Vec<u8>, Vec<char>)> {
    let mut raster = Raster::new(1);
    let mut writer: Option<Writer> = None;
    let mut frames = 0;
    while let Some(frame) = film.frame()? {
        frames += 1;
        too_long(frames)?;
        let image = raster.image(&frame.picture())?;
        match &mut writer {
            None => writer = Some(Writer::new(image)?),
            Some(writer) => writer.next(image, frame.at)?,
        }
        progress(film)?;
    }
    let bytes = match writer {
        Some(writer) => writer.finish(film.length() + END_PAUSE)?,
        None => Vec::new(),
    };
    Ok((bytes, raster.missing()))
}

/// Writes a picture once it is known how long it is shown.
struct Writer {
    encoder: Encoder<Vec<u8>>,
    /// What a player shows, if anything yet.
    shown: Option<Image>,
    /// The picture to come, and when it begins, in hundredths of a second.
    pending: (Image, u64),
}

impl Writer {
    fn new(first: Image) -> Result<Self> {
        let side =
            |n: usize| u16::try_from(n).context("the screen is too large for a GIF; give a smaller --size");
        let (w, h) = (side(first.width)?, side(first.height)?);
        let mut encoder = Encoder::new(Vec::new(), w, h, &[]).context("the GIF cannot be made")?;
        encoder.set_repeat(Repeat::Infinite).context("the GIF cannot be made")?;
        Ok(Self { encoder, shown: None, pending: (first, 0) })
    }

    fn next(&mut self, image: Image, at: u64) -> Result<()> {
        self.write((at + 5000) / 10_000)?;
        self.pending.0 = image;
        Ok(())
    }

    /// Writes the pending picture, shown until `until`; the one after it begins then.
    fn write(&mut self, until: u64) -> Result<()> {
        let (image, at) = &self.pending;
        // Players take a shorter time for none at all.
        let delay = (until - (*at).min(until)).clamp(2, u64::from(u16::MAX)) as u16;
        let frame = difference(self.shown.as_ref(), image, delay);
        self.encoder.write_frame(&frame).context("the GIF cannot be made")?;
        self.shown = Some(self.pending.0.clone());
        self.pending.1 = at + u64::from(delay);
        Ok(())
    }

    fn finish(mut self, length: u64) -> Result<Vec<u8>> {
        self.write(length / 10_000)?;
        self.encoder.into_inner().context("the GIF cannot be made")
    }
}

/// The part of an image that differs; index 0 stands for pixels that stay as they are.
fn difference(shown: Option<&Image>, image: &Image, delay: u16) -> gif::Frame<'static> {
    let stays = |i: usize| shown.is_some_and(|s| s.pixels[i] == image.pixels[i]);
    let changed: Vec<usize> = (0..image.pixels.len()).filter(|i| !stays(*i)).collect();
    let (mut left, mut right) = (image.width, 0);
    for i in &changed {
        (left, right) = (left.min(i % image.width), right.max(i % image.width));
    }
    // A picture in which nothing differs is one pixel that stays.
    let (left, right) = if changed.is_empty() { (0, 0) } else { (left, right) };
    let (top, bottom) = match (changed.first(), changed.last()) {
        (Some(first), Some(last)) => (first / image.width, last / image.width),
        _ => (0, 0),
    };
    let colours = Colours::of(changed.iter().map(|i| image.pixels[*i]));
    let inside = (top..=bottom).flat_map(|y| (left..=right).map(move |x| y * image.width + x));
    let buffer: Vec<u8> = inside.map(|i| if stays(i) { 0 } else { colours.index(image.pixels[i]) }).collect();
    gif::Frame {
        delay,
        dispose: DisposalMethod::Keep,
        transparent: Some(0),
        left: left as u16,
        top: top as u16,
        width: (right - left + 1) as u16,
        height: (bottom - top + 1) as u16,
        palette: Some(colours.palette),
        buffer: Cow::Owned(buffer),
        ..gif::Frame::default()
    }
}

/// At most this many colours; one index of the 256 stands for pixels that stay.
const MOST: usize = 255;
/// So many of them are those that are used most; the others are those that lie farthest from all before.
const COMMON: usize = 176;

/// The colours of a picture: where there are too many, each of the rest is the nearest that is kept.
struct Colours {
    palette: Vec<u8>,
    index: HashMap<Rgb, u8>,
}

impl Colours {
    fn of(pixels: impl Iterator<Item = Rgb>) -> Self {
        let mut counts: HashMap<Rgb, usize> = HashMap::new();
        pixels.for_each(|p| *counts.entry(p).or_default() += 1);
        let mut used: Vec<(Rgb, usize)> = counts.into_iter().collect();
        used.sort_unstable_by_key(|(colour, n)| (std::cmp::Reverse(*n), *colour));
        let used: Vec<Rgb> = used.into_iter().map(|(colour, _)| colour).collect();
        // Each colour's nearest kept one, and how far that is.
        let mut nearest: Vec<(u32, u8)> = vec![(u32::MAX, 0); used.len()];
        let mut kept: Vec<Rgb> = Vec::new();
        let common = if used.len() <= MOST { used.len() } else { COMMON };
        while kept.len() < MOST.min(used.len()) {
            let farthest = || (0..used.len()).max_by_key(|i| (nearest[*i].0, std::cmp::Reverse(*i)));
            let next = if kept.len() < common { kept.len() } else { farthest().unwrap_or(0) };
            for (near, colour) in nearest.iter_mut().zip(&used) {
                let far = distance(*colour, used[next]);
                if far < near.0 {
                    *near = (far, kept.len() as u8 + 1);
                }
            }
            kept.push(used[next]);
        }
        let index = used.iter().copied().zip(nearest.iter().map(|n| n.1)).collect();
        let palette = std::iter::once((0, 0, 0)).chain(kept);
        Self { palette: palette.flat_map(|(r, g, b)| [r, g, b]).collect(), index }
    }

    fn index(&self, colour: Rgb) -> u8 {
        self.index.get(&colour).copied().unwrap_or(0)
    }
}

fn distance(a: Rgb, b: Rgb) -> u32 {
    let far = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    far(a.0, b.0) + far(a.1, b.1) + far(a.2, b.2)
}
