//! A replay in front of the live explorer: what the terminal says goes to it, and what it wants is done.

use super::{bar, screen};
use crate::app::replay::player::{Player, Wish};
use crate::app::replay::{Line, Track, What};
use crate::app::{MouseKind, Msg, ThemeKind};
use crate::error::{Context, Result};
use crate::session::shipped::{self, SHIPPED};
use crate::session::{Note, SessionFile};
use ratatui::layout::Rect;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How a replay begins.
#[derive(Clone, Debug, Default)]
pub struct PlayOptions {
    /// Files or names of shipped recordings: one or two.
    pub sessions: Vec<String>,
    /// `None` chooses by the terminal.
    pub theme: Option<ThemeKind>,
    pub speed: Option<f64>,
    /// Where to begin: a time or a mark.
    pub at: Option<String>,
    pub paused: bool,
    pub looped: bool,
    /// Pauses keep their length.
    pub full: bool,
}

/// Lines that are indexed between two looks at whether it is still wanted.
const STRETCH: usize = 2000;
/// How often the index is handed over while it grows.
const HAND_OVER: Duration = Duration::from_millis(400);

/// A replay on the screen.
pub struct Front {
    pub player: Player,
    /// What threads remember of the sessions, for quick jumps: a session's number and its track.
    known: Receiver<(usize, Track)>,
    /// Nothing lies behind it: leaving it ends the program.
    pub alone: bool,
    /// The mouse draws along the time line.
    drawn_along: bool,
    /// Where it has come to, while the jump there is still to be made: one a frame is enough.
    aim: Option<u64>,
}

impl Front {
    /// Opens the sessions and begins to play.
    ///
    /// # Errors
    /// A file is no session, or the place to begin at is none.
    pub fn open(options: &PlayOptions, theme: ThemeKind, alone: bool, now: Duration) -> Result<Self> {
        let (mut tracks, mut notes) = (Vec::new(), Vec::<String>::new());
        for name in &options.sessions {
            let file = Arc::new(shipped::find(name)?);
            let (library, said) = crate::app::replay::library_for(&file.header)?;
            notes.extend(said);
            tracks.push(Track::new(file, library));
        }
        let mut player = Player::new(tracks, theme);
        if !notes.is_empty() {
            player.say(notes.join(" "), now);
        }
        if let Some(speed) = options.speed {
            player.clock.set_speed(speed);
        }
        player.clock.shorten = !options.full;
        player.clock.looped = options.looped;
        if let Some(at) = &options.at {
            player.jump(at).map_err(crate::Error::usage)?;
        }
        player.clock.playing = !options.paused;
        let (sender, known) = channel();
        for (i, lane) in player.lanes.iter().enumerate() {
            index(i, lane.track.clone(), sender.clone());
        }
        Ok(Self { player, known, alone, drawn_along: false, aim: None })
    }

    /// Size of the picture of the session that the keys mean.
    fn picture(&self, size: (u16, u16)) -> Rect {
        let places = screen::places(Rect::new(0, 0, size.0, size.1), self.player.lanes.len());
        places[self.player.active.min(places.len() - 1)]
    }

    /// What the terminal says.
    pub fn take(&mut self, msg: Msg, size: (u16, u16), now: Duration) -> Vec<Wish> {
        let picture = self.picture(size);
        let cells = (picture.width, picture.height);
        if let Msg::Mouse { x, y, kind } = msg
            && self.on_time_line(x, y, kind, size)
        {
            return Vec::new();
        }
        self.arrive();
        match msg {
            Msg::Key(key) => self.player.key(key, cells, now),
            Msg::Paste(text) => self.player.paste(text, cells, now),
            Msg::Mouse { x, y, kind } if picture.contains((x, y).into()) => {
                self.player.mouse(x - picture.x, y - picture.y, kind, cells, now)
            }
            _ => Vec::new(),
        }
    }

    /// The mouse pressed on the time line, and drawn along from there: true if it is.
    fn on_time_line(&mut self, x: u16, y: u16, kind: MouseKind, size: (u16, u16)) -> bool {
        let rows = screen::bar_rows(Rect::new(0, 0, size.0, size.1));
        let track = bar::track(rows, &self.player, self.player.theme == ThemeKind::Ascii);
        match kind {
            MouseKind::Click => self.drawn_along = track.contains((x, y).into()),
            MouseKind::Drag => {}
            _ => return false,
        }
        if self.drawn_along {
            self.aim = Some(bar::time_at(track, x, &self.player));
        }
        self.drawn_along
    }

    /// Makes the jump that the mouse asked for last; to be called before a frame is drawn.
    pub fn arrive(&mut self) {
        if let Some(t) = self.aim.take() {
            self.player.seek(t);
        }
    }

    /// Time passes.
    pub fn tick(&mut self, size: (u16, u16), now: Duration) {
        self.arrive();
        while let Ok((i, track)) = self.known.try_recv() {
            self.player.lanes[i].track.learn(&track);
        }
        let picture = self.picture(size);
        self.player.tick((picture.width, picture.height), now);
    }

    /// Writes a note into a lane's file; a recording that comes with the program is copied first.
    pub fn annotate(&mut self, lane: usize, t: u64, note: Note, now: Duration) {
        match write_note(self.player.lanes[lane].file(), t, &note) {
            Ok(path) => {
                self.player.say(format!("The note is in {}.", path.display()), now);
                self.player.annotated(lane, t, note);
            }
            Err(e) => self.player.say(e.to_string(), now),
        }
    }
}

/// Goes through a session on a thread of its own, so that jumps are quick wherever they lead. It ends when nobody
/// listens any more.
fn index(lane: usize, mut track: Track, to: Sender<(usize, Track)>) {
    std::thread::spawn(move || {
        let mut handed = Instant::now();
        loop {
            let more = track.index_some(STRETCH);
            if (!more || handed.elapsed() >= HAND_OVER) && to.send((lane, track.clone())).is_err() {
                return;
            }
            if !more {
                return;
            }
            if handed.elapsed() >= HAND_OVER {
                handed = Instant::now();
            }
        }
    });
}

fn write_note(file: &SessionFile, t: u64, note: &Note) -> Result<PathBuf> {
    if let Some(line) = file.cut {
        crate::fail!(
            "{} ends in the middle of line {line}: take that line out before a note is added",
            file.name
        );
    }
    let path = match SHIPPED.iter().find(|s| s.name == file.name) {
        Some(own) => copy_of(own)?,
        None => PathBuf::from(&file.name),
    };
    append(&path, file.header.begin.saturating_add(t), note)
        .with_context(|| format!("the note cannot be written to {}", path.display()))?;
    Ok(path)
}

/// A copy of a shipped recording in the current directory; one that is there already is used.
fn copy_of(own: &shipped::Shipped) -> Result<PathBuf> {
    let path = PathBuf::from(format!("{}.jsonl", own.name));
    match File::options().write(true).create_new(true).open(&path) {
        Ok(mut file) => {
            file.write_all(own.text).with_context(|| format!("{} cannot be written", path.display()))?
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e).with_context(|| format!("{} cannot be written", path.display())),
    }
    Ok(path)
}

fn append(path: &Path, t: u64, note: &Note) -> std::io::Result<()> {
    let line = Line { t, what: What::Note(note.clone()) };
    let mut text = serde_json::to_string(&line)?;
    text.push('\n');
    let bytes = std::fs::read(path)?;
    if bytes.last().is_some_and(|b| *b != b'\n') {
        text.insert(0, '\n');
    }
    File::options().append(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mouse_draws_along_the_time_line_and_jumps_once_a_frame() {
        let options = PlayOptions { sessions: vec!["tour".into()], paused: true, ..PlayOptions::default() };
        let mut front = Front::open(&options, ThemeKind::Dark, true, Duration::ZERO).unwrap();
        let size = (120, 40);
        let track = bar::track(screen::bar_rows(Rect::new(0, 0, 120, 40)), &front.player, false);
        let mut mouse = |x: u16, y: u16, kind| {
            front.take(Msg::Mouse { x, y, kind }, size, Duration::ZERO);
            let before = front.player.now();
            front.arrive();
            (before, front.player.now(), front.player.aside())
        };
        let end = mouse(track.right() - 1, 38, MouseKind::Click).1;
        assert_eq!(mouse(track.x, 38, MouseKind::Click), (end, 0, false), "nothing is done before the frame");
        // Off the line it still follows the column; beyond its ends it stays there.
        let (_, half, _) = mouse(track.x + track.width / 2, 3, MouseKind::Drag);
        assert!(half.abs_diff(end / 2) <= end / u64::from(track.width), "{half} of {end}");
        assert_eq!(mouse(0, 38, MouseKind::Drag).1, 0);
        assert_eq!(mouse(119, 0, MouseKind::Drag).1, end);
        assert!(!mouse(track.x, 39, MouseKind::Click).2, "the row below is no line");
        assert_eq!(mouse(track.x, 38, MouseKind::Drag).1, end, "what began elsewhere does not draw");
        assert_eq!(front.player.end(), end);
    }

    #[test]
    fn a_note_is_appended_and_read_at_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.jsonl");
        let file = crate::app::replay::testing::recorded("jj");
        let mut text = serde_json::to_string(&file.header).unwrap();
        for e in file.entries() {
            text += "\n";
            text += std::str::from_utf8(file.text(e)).unwrap();
        }
        // No line break at the end, as an editor may leave it.
        std::fs::write(&path, text).unwrap();
        let read = SessionFile::open(&path).unwrap();
        let note = Note { text: "ดู".into(), for_ms: None, later: true };
        assert_eq!(write_note(&read, 5, &note).unwrap(), path);
        write_note(&SessionFile::open(&path).unwrap(), 3, &Note { text: "first".into(), ..note.clone() })
            .unwrap();
        let notes = SessionFile::open(&path).unwrap().notes();
        assert_eq!(
            notes.iter().map(|n| (n.0, n.1.text.as_str())).collect::<Vec<_>>(),
            [(3, "first"), (5, "ดู")]
        );
    }
}
