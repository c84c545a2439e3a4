//! Damaged session files: whatever was done to one, it is replayed and drawn up to its damage, and the damage is
//! named with its line.

use super::theme::{Ladder, Theme};
use super::view;
use crate::app::ThemeKind;
use crate::app::bundle::Bundle;
use crate::app::library::Library;
use crate::app::replay::Track;
use crate::app::testing_sessions::{Recording, recordings};
use crate::session::SessionFile;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const FILES: u64 = 10_000;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

/// What a number becomes.
const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "1000000000000000000",
    "9223372036854775808",
    "18446744073709551615",
    "65535",
    "1e308",
    "-1e308",
    "1e999",
    "0.5",
    "null",
    "4294967296",
    "1000000000000",
    "NaN",
    "\"7\"",
    "2147483648",
];

/// Changes one of a text's numbers.
fn change_number(text: &mut Vec<u8>, random: &mut Random) {
    let digit = |b: u8| b.is_ascii_digit();
    let starts: Vec<usize> =
        (1..text.len()).filter(|i| digit(text[*i]) && !digit(text[*i - 1]) && text[*i - 1] != b'.').collect();
    if starts.is_empty() {
        return;
    }
    let from = starts[random.below(starts.len())];
    let end = (from..text.len()).find(|i| !(digit(text[*i]) || text[*i] == b'.')).unwrap_or(text.len());
    text.splice(from..end, NUMBERS[random.below(NUMBERS.len())].bytes());
}

/// A file with one to three faults.
fn damaged(of: &[Recording], random: &mut Random) -> Vec<u8> {
    let recording = &of[random.below(of.len())];
    let mut lines: Vec<Vec<u8>> = recording.lines.iter().map(|l| l.clone().into_bytes()).collect();
    for _ in 0..=random.below(3) {
        let at = random.below(lines.len());
        let place = random.below(lines[at].len());
        match random.below(12) {
            0 if !lines[at].is_empty() => lines[at][place] ^= 1 << random.below(8),
            1 if !lines[at].is_empty() => {
                let end = (place + 1 + random.below(40)).min(lines[at].len());
                lines[at].drain(place..end);
            }
            2 => {
                let junk: Vec<u8> = (0..1 + random.below(20)).map(|_| random.below(256) as u8).collect();
                lines[at].splice(place..place, junk);
            }
            3..=6 => change_number(&mut lines[at], random),
            7 => lines[at].truncate(place),
            8 => {
                let other = random.below(lines.len());
                lines.swap(at, other);
            }
            9 => {
                let copy = lines[at].clone();
                lines.insert(random.below(lines.len()), copy);
            }
            10 => {
                let other = &of[random.below(of.len())].lines;
                let line = other[random.below(other.len())].clone().into_bytes();
                lines.insert(at, line);
            }
            _ => _ = lines.remove(at),
        }
        if lines.is_empty() {
            break;
        }
    }
    let mut bytes = lines.join(&b'\n');
    if random.below(8) == 0 {
        bytes.truncate(random.below(bytes.len()));
    } else {
        bytes.push(b'\n');
    }
    bytes
}

fn draw(track: &Track, theme: &Theme) {
    for size in [(80, 24), (200, 60)] {
        let app = track.view(size);
        let mut buf = Buffer::empty(Rect::new(0, 0, size.0, size.1));
        view::render(&mut buf, &app, theme);
    }
}

/// Opens, replays and draws; the error if there is one.
fn replay(bytes: Vec<u8>, library: &Arc<dyn Library>) -> Result<(), String> {
    let theme = Theme::new(ThemeKind::default(), Ladder::Rgb);
    let file = SessionFile::from_bytes("mutated.jsonl", Arc::new(bytes)).map_err(|e| e.to_string())?;
    let half = file.entries().len() / 2;
    let mut track = Track::new(Arc::new(file), library.clone());
    let outcome = track.seek_line(half).and_then(|()| {
        draw(&track, &theme);
        track.seek_line(usize::MAX)
    });
    draw(&track, &theme);
    outcome.map_err(|e| e.to_string())
}

/// How the damaged files were taken.
#[derive(Default)]
struct Taken {
    faults: Vec<String>,
    refused: u64,
}

/// What is wrong with how a damaged file was taken.
fn fault(seed: u64, of: &[Recording], library: &Arc<dyn Library>, refused: &mut u64) -> Option<String> {
    let bytes = damaged(of, &mut Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    let lines = bytes.split(|b| *b == b'\n').count();
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| replay(bytes, library)));
    let took = begun.elapsed();
    if took > Duration::from_secs(2) {
        return Some(format!("file {seed} took {took:?}"));
    }
    let said = match outcome {
        Err(_) => return Some(format!("file {seed} panics (see above)")),
        Ok(Ok(())) => return None,
        Ok(Err(said)) => said,
    };
    *refused += 1;
    let number = said.split("line ").nth(1).and_then(|rest| {
        rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse::<usize>().ok())
    });
    let sound =
        said.starts_with("mutated.jsonl: line ") && said.len() < 700 && !said.chars().any(char::is_control);
    (!sound || number.is_none_or(|n| n == 0 || n > lines)).then(|| format!("file {seed}: {said}"))
}

#[test]
fn mutated_files_never_panic_or_hang_and_name_their_line() {
    let (library, _) = Bundle::with(None).unwrap();
    let library: Arc<dyn Library> = Arc::new(library);
    let recordings = recordings();
    for recording in &recordings {
        replay(recording.bytes(), &library).unwrap_or_else(|e| panic!("{}: {e}", recording.name));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut taken = Taken::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed) as u64;
            if seed >= FILES {
                return taken;
            }
            let fault = fault(seed, &recordings, &library, &mut taken.refused);
            taken.faults.extend(fault);
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let results: Vec<Taken> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        all.into_iter().map(|t| t.join().expect("a thread of the test")).collect()
    });
    let faults: Vec<String> = results.iter().flat_map(|r| r.faults.iter().cloned()).collect();
    assert!(faults.is_empty(), "{} of {FILES}: {:#?}", faults.len(), &faults[..faults.len().min(10)]);
    // Neither are all of them refused, nor is everything let through.
    let refused: u64 = results.iter().map(|r| r.refused).sum();
    assert!((FILES * 2 / 5..FILES * 19 / 20).contains(&refused), "{refused} of {FILES} were refused");
}
