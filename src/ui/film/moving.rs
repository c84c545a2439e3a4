//! A film as an SVG that moves by itself and begins again. Every row is in the file once, whatever its place and
//! however often it is shown; a row that does not change is not animated.

use super::{END_PAUSE, Film, too_long};
use crate::error::Result;
use crate::ui::picture;
use crate::ui::picture::colour::Ground;
use std::collections::HashMap;
use std::fmt::Write;

/// Rows as they come: which is shown where, from when on.
#[derive(Default)]
struct Rows {
    /// Drawn at the height 0.
    drawn: Vec<String>,
    number: HashMap<String, usize>,
    /// Per row of the screen: (microseconds, number), one entry a change.
    shown: Vec<Vec<(u64, usize)>>,
}

impl Rows {
    fn put(&mut self, y: usize, at: u64, drawn: String) {
        let number = match self.number.get(&drawn) {
            Some(number) => *number,
            None => {
                self.drawn.push(drawn.clone());
                self.number.insert(drawn, self.drawn.len() - 1);
                self.drawn.len() - 1
            }
        };
        if self.shown.len() <= y {
            self.shown.resize(y + 1, Vec::new());
        }
        let shown = &mut self.shown[y];
        if shown.last().is_none_or(|(_, n)| *n != number) {
            shown.push((at, number));
        }
    }
}

/// The film as a document.
///
/// # Errors
/// A line of the session is damaged, or the film has too many frames; what `progress` returns.
pub fn svg(film: &mut Film, title: &str, progress: &mut dyn FnMut(&Film) -> Result<()>) -> Result<String> {
    let mut rows = Rows::default();
    let mut out = String::new();
    let mut ground = None;
    let mut frames = 0;
    while let Some(frame) = film.frame()? {
        frames += 1;
        too_long(frames)?;
        let screen = frame.picture();
        let ground = *ground.get_or_insert_with(|| {
            let ground = Ground::of(&screen);
            out = picture::begin(&screen, ground, title);
            ground
        });
        for y in 0..screen.area.height {
            let mut drawn = String::new();
            picture::row(&screen, y, 0.0, ground, &mut drawn);
            rows.put(usize::from(y), frame.at, drawn);
        }
        progress(film)?;
    }
    let length = film.length() + END_PAUSE;
    out.push_str("<defs>\n");
    for (i, drawn) in rows.drawn.iter().enumerate().filter(|(_, d)| !d.is_empty()) {
        let _ = write!(out, "<g id=\"r{i}\">\n{drawn}</g>\n");
    }
    out.push_str("</defs>\n");
    for (y, shown) in rows.shown.iter().enumerate() {
        place(&rows, picture::corner(0, y as u16).1, shown, length, &mut out);
    }
    out.push_str("</svg>\n");
    Ok(out)
}

/// One row of the screen: each of its contents, visible at its times. Where nothing moves the last is seen.
fn place(rows: &Rows, top: f64, shown: &[(u64, usize)], length: u64, out: &mut String) {
    let Some((_, last)) = shown.last() else { return };
    let mut numbers: Vec<usize> = shown.iter().map(|(_, n)| *n).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers.iter().filter(|n| !rows.drawn[**n].is_empty()) {
        if shown.len() == 1 {
            let _ = writeln!(out, "<use href=\"#r{number}\" y=\"{top}\"/>");
            continue;
        }
        let (mut values, mut times) = (Vec::new(), Vec::new());
        for (at, n) in shown {
            let value = if n == number { "visible" } else { "hidden" };
            if values.last() != Some(&value) {
                values.push(value);
                times.push(share(*at, length));
            }
        }
        let still = if number == last { "" } else { " visibility=\"hidden\"" };
        let _ = writeln!(
            out,
            "<use href=\"#r{number}\" y=\"{top}\"{still}><animate attributeName=\"visibility\" values=\"{}\" keyTimes=\"{}\" \
             dur=\"{}\" calcMode=\"discrete\" repeatCount=\"indefinite\"/></use>",
            values.join(";"),
            times.join(";"),
            seconds(length)
        );
    }
}

/// A time as a share of the whole, with no more digits than are needed.
fn share(at: u64, length: u64) -> String {
    let text = format!("{:.6}", at as f64 / length.max(1) as f64);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn seconds(us: u64) -> String {
    format!("{}.{:03}s", us / 1_000_000, us / 1000 % 1000)
}
