//! What the viewer's keys, words and mouse mean to the player.

use super::super::lane::{LookInput, Looked};
use super::{Asking, Player, Wish};
use crate::app::editor::{Edit, Editor};
use crate::app::{Effect, Key, KeyInput, MouseKind, ThemeKind};
use crate::session::Note;
use std::time::Duration;

/// The player's own keys: name, what it does, and its word in the bottom line.
pub const KEYS: &[(&str, &str, &str)] = &[
    ("space", "play, pause; from beside the path: back to it and on", "pause"),
    (". ,", "one step on, one back", "step"),
    ("} {", "to the next mark or caption, to the one before", "next mark"),
    ("+ -", "faster, slower: 0.25x to 16x", "faster"),
    ("@", "jump: 1:23, +10, 50 %, #line, a mark's name, end", "jump"),
    ("m", "add a note here", "note"),
    ("#", "pauses at full length, or shortened", ""),
    ("%", "begin again at the end, or stop there", ""),
    ("C-w", "to the other session", ""),
    ("backspace", "back to the recorded path", ""),
    ("T", "next theme: dark, light, ascii", ""),
    ("?", "this help", "help"),
    ("q", "leave the replay", "leave"),
];

impl Player {
    /// A key of the viewer; `size` is that of a session's picture.
    pub fn key(&mut self, key: KeyInput, size: (u16, u16), now: Duration) -> Vec<Wish> {
        if key == KeyInput::ctrl('c') {
            return vec![Wish::Leave];
        }
        if self.asking.is_some() {
            return self.typed(key, now);
        }
        if self.help {
            self.help = false;
            return Vec::new();
        }
        // What is typed into a list or a question of the explorer is the explorer's.
        let typing = self.lane().aside.as_ref().is_some_and(|a| a.overlay.is_some() || a.query.editing);
        match typing {
            false => self.own_key(key, now).unwrap_or_else(|| self.look(LookInput::Key(key), size, now)),
            true => self.look(LookInput::Key(key), size, now),
        }
    }

    /// A key of the player; `None` where it is the explorer's.
    fn own_key(&mut self, key: KeyInput, now: Duration) -> Option<Vec<Wish>> {
        let plain = !key.ctrl && !key.alt;
        match key.key {
            Key::Char(' ') if plain => self.toggle(now),
            Key::Char('.') if plain => self.step(true),
            Key::Char(',') if plain => self.step(false),
            Key::Char('}') if plain => self.jump_mark(true, now),
            Key::Char('{') if plain => self.jump_mark(false, now),
            Key::Char('+' | '=') if plain => self.clock.change_speed(1),
            Key::Char('-') if plain => self.clock.change_speed(-1),
            Key::Char('@') if plain => self.asking = Some((Asking::Jump, Editor::new("", false))),
            Key::Char('m') if plain => {
                self.clock.playing = false;
                self.asking = Some((Asking::Note, Editor::new("", false)));
            }
            Key::Char('#') if plain => {
                self.clock.shorten = !self.clock.shorten;
                let words = if self.clock.shorten {
                    "Long pauses are shortened."
                } else {
                    "Pauses have their full length."
                };
                self.say(words, now);
            }
            Key::Char('%') if plain => {
                self.clock.looped = !self.clock.looped;
                self.say(
                    if self.clock.looped { "Begins again at the end." } else { "Stops at the end." },
                    now,
                );
            }
            Key::Char('T') if plain => {
                let at = ThemeKind::ALL.iter().position(|t| *t == self.theme).unwrap_or(0);
                self.theme = ThemeKind::ALL[(at + 1) % ThemeKind::ALL.len()];
                return Some(vec![Wish::Redraw]);
            }
            Key::Char('?') if plain => self.help = true,
            Key::Char('q') if plain => return Some(vec![Wish::Leave]),
            Key::Char('z') if key.ctrl => return Some(vec![Wish::Suspend]),
            Key::Char('l') if key.ctrl => return Some(vec![Wish::Redraw]),
            Key::Char('w') if key.ctrl && self.lanes.len() > 1 => {
                self.active = (self.active + 1) % self.lanes.len()
            }
            Key::Backspace => self.rejoin(),
            _ => return None,
        }
        Some(Vec::new())
    }

    /// A key while something is typed into the bottom line.
    fn typed(&mut self, key: KeyInput, now: Duration) -> Vec<Wish> {
        let Some((what, field)) = &mut self.asking else { return Vec::new() };
        match key.key {
            Key::Esc => self.asking = None,
            Key::Enter => {
                let (what, text) = (*what, field.text().trim().to_owned());
                self.asking = None;
                return self.answered(what, &text, now);
            }
            _ => {
                let _: Edit = field.key(key, usize::MAX);
            }
        }
        Vec::new()
    }

    fn answered(&mut self, what: Asking, text: &str, now: Duration) -> Vec<Wish> {
        if text.is_empty() {
            return Vec::new();
        }
        match what {
            Asking::Jump => {
                if let Err(words) = self.jump(text) {
                    self.say(words, now);
                }
            }
            Asking::Note => {
                let note = Note { text: text.to_owned(), for_ms: None, later: true };
                return vec![Wish::Annotate { lane: self.active, t: self.now(), note }];
            }
        }
        Vec::new()
    }

    /// Pasted text.
    pub fn paste(&mut self, text: String, size: (u16, u16), now: Duration) -> Vec<Wish> {
        match &mut self.asking {
            Some((_, field)) => {
                field.insert(text.trim_end_matches(['\r', '\n']));
                Vec::new()
            }
            None => self.look(LookInput::Paste(text), size, now),
        }
    }

    /// The mouse inside the active session's picture.
    pub fn mouse(&mut self, x: u16, y: u16, kind: MouseKind, size: (u16, u16), now: Duration) -> Vec<Wish> {
        // Moving alone does not leave the path.
        if kind == MouseKind::Move && self.lane().aside.is_none() {
            return Vec::new();
        }
        self.look(LookInput::Mouse { x, y, kind }, size, now)
    }

    fn look(&mut self, input: LookInput, size: (u16, u16), now: Duration) -> Vec<Wish> {
        let t = self.now();
        let left = self.lane().aside.is_none();
        let lane = &mut self.lanes[self.active];
        let Looked { effects, refused } = lane.look(input, size, t);
        self.clock.playing = false;
        let mut refused = refused;
        let mut wishes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Quit => wishes.push(Wish::Leave),
                Effect::Redraw => wishes.push(Wish::Redraw),
                Effect::Suspend => wishes.push(Wish::Suspend),
                Effect::Copy(_) | Effect::Save { .. } | Effect::Picture(_) => {
                    wishes.push(Wish::App(Box::new(effect)))
                }
                Effect::FindModel(_) | Effect::FollowLog(Some(_)) => refused = true,
                _ => {}
            }
        }
        if refused {
            self.say("That was not asked in this recording: it would need the model.", now);
        } else if left {
            self.say("Beside the recorded path: space goes on with it, backspace only goes back.", now);
        }
        wishes
    }
}
