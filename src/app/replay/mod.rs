//! Sessions as the app lives them: what is recorded of it, and how a recording drives it again.

mod clock;
pub mod input;
mod keyframes;
pub mod lane;
mod library;
pub mod place;
pub mod player;
mod recorded;
pub mod sane;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod track;

pub use clock::Clock;
pub use input::Input;
pub use library::library_for;
pub use player::Player;
pub use track::Track;

use super::{App, Msg};
use std::time::Duration;

/// The line that a message, about to be taken in by `app` at `now`, leaves in a recording; `None` where it leaves none.
pub fn line(msg: &Msg, app: &App, now: Duration) -> Option<Line> {
    let what = match msg {
        Msg::Engine(event) => What::Event(event.clone()),
        Msg::Adopt(command) => What::Ask(command.clone()),
        other => What::User(Input::of(other, app, now)?),
    };
    Some(Line { t: now.as_millis() as u64, what })
}

/// A line of a session of this app.
pub type Line = crate::session::Line<Input>;
/// What stands on it.
pub type What = crate::session::What<Input>;
