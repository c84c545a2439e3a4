//! The engine on a thread of its own: commands in, events to a sink.

use super::protocol::{Command, Event};
use std::sync::mpsc::{Sender, channel};

/// Sends commands to the engine's thread; dropping it shuts the engine down.
pub struct Handle {
    commands: Sender<Command>,
}

impl Handle {
    /// Queues a command. Cancellation and superseding take effect at once, also while a job runs.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

/// Starts the engine's thread; `sink` is called with every event, from that thread or from its helpers.
pub fn spawn(sink: impl Fn(Event) + Send + Sync + 'static) -> Handle {
    let (commands, inbox) = channel();
    std::thread::spawn(move || {
        let _ = (&inbox as &std::sync::mpsc::Receiver<Command>, &sink);
    });
    Handle { commands }
}
