//! A decision that must not happen by accident: what becomes of a training run that goes on.

use super::keys::{Key, KeyInput};

/// What is done once the run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaving {
    Quit,
    /// Another model is loaded.
    Model(String),
    /// The model on offer is fetched, and loaded then.
    Fetch,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The run is in the way.
    Leave(Leaving),
    /// The run is to be stopped.
    Stop,
    /// Whether it is really to be discarded, and what follows then.
    Discard(Option<Leaving>),
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The run goes on, nothing else happens.
    GoOn,
    /// A checkpoint is written and the run goes on.
    Checkpoint,
    /// The run stops and its adapter is saved.
    Save,
    /// The run stops and what it has written is removed.
    Discard,
}

/// A line to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmOption {
    /// The letter that chooses it at once.
    pub key: char,
    pub words: String,
    pub answer: Answer,
}

/// The question with its answers; the first one is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    pub asked: Asked,
    pub title: String,
    /// What is at stake.
    pub fact: String,
    pub options: Vec<ConfirmOption>,
    pub selected: usize,
}

impl Confirm {
    /// The options begin this far below the top of the frame.
    pub const HEAD: u16 = 4;

    /// The question about a run of which `fact` says how far it is.
    pub fn new(asked: Asked, fact: String) -> Self {
        let option = |key, words: &str, answer| ConfirmOption { key, words: words.to_owned(), answer };
        let on = option('g', "go on training", Answer::GoOn);
        let (title, options) = match &asked {
            Asked::Leave(leaving) => {
                let (title, then) = match leaving {
                    Leaving::Quit => ("Quit while a run goes on?".to_owned(), "quit".to_owned()),
                    Leaving::Model(name) => {
                        (format!("Load {name} while a run goes on?"), format!("load {name}"))
                    }
                    Leaving::Fetch => ("Fetch and load another model?".to_owned(), "fetch".to_owned()),
                };
                let save = option('s', &format!("stop, save the adapter, then {then}"), Answer::Save);
                let discard = option('d', &format!("discard the run, then {then}"), Answer::Discard);
                (title, vec![on, save, discard])
            }
            Asked::Stop => {
                let checkpoint = option('c', "write a checkpoint and go on", Answer::Checkpoint);
                let save = option('s', "stop and save the adapter as it is", Answer::Save);
                let discard = option('d', "stop and discard the run", Answer::Discard);
                ("Stop the run?".to_owned(), vec![on, checkpoint, save, discard])
            }
            Asked::Discard(_) => {
                let keep = ConfirmOption { key: 'k', words: "keep it and go on training".into(), ..on };
                let discard = option('d', "discard it: its directory is removed", Answer::Discard);
                ("Discard the run for good?".to_owned(), vec![keep, discard])
            }
        };
        Self { asked, title, fact, options, selected: 0 }
    }

    /// A key; the answer, if it gave one.
    pub fn key(&mut self, key: KeyInput) -> Option<Answer> {
        let last = self.options.len().saturating_sub(1);
        match key.key {
            Key::Esc => return Some(Answer::GoOn),
            Key::Enter => return self.options.get(self.selected).map(|o| o.answer),
            Key::Down | Key::Tab | Key::Char('j') => self.selected = (self.selected + 1).min(last),
            Key::Up => self.selected = self.selected.saturating_sub(1),
            _ => {
                let letter = key.text()?;
                return self.options.iter().find(|o| o.key == letter).map(|o| o.answer);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::parse_keys;
    use super::*;

    fn answer(asked: Asked, keys: &str) -> Option<Answer> {
        let mut confirm = Confirm::new(asked, String::new());
        parse_keys(keys).into_iter().find_map(|k| confirm.key(k))
    }

    #[test]
    fn enter_alone_is_harmless() {
        let all = [Asked::Leave(Leaving::Quit), Asked::Stop, Asked::Discard(None)];
        for asked in all {
            assert_eq!(answer(asked.clone(), "<enter>"), Some(Answer::GoOn));
            assert_eq!(answer(asked.clone(), "<esc>"), Some(Answer::GoOn));
            assert_eq!(answer(asked, "z<up>"), None);
        }
    }

    #[test]
    fn letters_and_arrows_choose() {
        assert_eq!(answer(Asked::Stop, "s"), Some(Answer::Save));
        assert_eq!(answer(Asked::Stop, "<down><enter>"), Some(Answer::Checkpoint));
        assert_eq!(answer(Asked::Leave(Leaving::Quit), "<down><down><down><enter>"), Some(Answer::Discard));
        assert_eq!(answer(Asked::Discard(None), "k"), Some(Answer::GoOn));
        assert_eq!(answer(Asked::Discard(None), "d"), Some(Answer::Discard));
    }
}
