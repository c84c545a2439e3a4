//! A replay in front of the explorer: who hears the terminal, and what a replay wants done.

use super::Runtime;
use crate::app::Msg;
use crate::app::messages::Level;
use crate::app::replay::player::Wish;
use crate::error::Result;
use crate::ui::player::{Front, PlayOptions};

impl Runtime {
    /// A message to whoever it is for: what the terminal says is for a replay, if one is in front.
    pub(super) fn route(&mut self, msg: Msg) -> Result<()> {
        let (now, size) = (self.now(), self.app.size);
        let typed = matches!(msg, Msg::Key(_) | Msg::Paste(_) | Msg::Mouse { .. });
        if let (Some(front), Msg::Saved(saved)) = (&mut self.front, &msg) {
            let words = saved.as_ref().map_or_else(Clone::clone, |p| format!("Written to {}.", p.display()));
            front.player.say(words, now);
        }
        if typed {
            self.pace.touched();
        }
        let Some(front) = self.front.as_mut().filter(|_| typed) else { return self.take(msg) };
        for wish in front.take(msg, size, now) {
            self.grant(wish)?;
        }
        Ok(())
    }

    /// Does what a replay wants.
    fn grant(&mut self, wish: Wish) -> Result<()> {
        let now = self.now();
        match wish {
            Wish::Leave => {
                self.left = self.front.take().is_some_and(|f| f.alone);
                self.terminal.redraw();
            }
            Wish::Redraw => self.terminal.redraw(),
            Wish::Suspend => self.suspend()?,
            Wish::Annotate { lane, t, note } => {
                if let Some(front) = &mut self.front {
                    front.annotate(lane, t, note, now);
                }
            }
            Wish::App(effect) => self.perform(*effect)?,
        }
        Ok(())
    }

    /// Opens a recording in front of the explorer.
    pub(super) fn play(&mut self, name: String) -> Result<()> {
        let options = PlayOptions { sessions: vec![name], ..PlayOptions::default() };
        match Front::open(&options, self.app.theme, false, self.now()) {
            Ok(front) => self.front = Some(front),
            Err(e) => self.take(Msg::Told { level: Level::Error, text: e.to_string() })?,
        }
        self.terminal.redraw();
        Ok(())
    }
}
