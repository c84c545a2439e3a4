//! What other programs tell this one.

use crate::error::{Context, Result};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What may happen to the process from outside.
pub enum Signal {
    /// End: the terminal is gone or somebody asked.
    End,
    /// Stop until continued (SIGTSTP from outside).
    Stop,
    /// Somebody else stopped and continued us: the terminal's state is unknown.
    Continued,
}

/// Signals as they come.
///
/// # Errors
/// They cannot be received.
#[cfg(unix)]
pub fn signals() -> Result<UnboundedReceiver<Signal>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (tx, rx) = unbounded_channel();
    let kinds = [
        (SignalKind::terminate(), 0),
        (SignalKind::hangup(), 0),
        (SignalKind::interrupt(), 0),
        (SignalKind::quit(), 0),
        (SignalKind::from_raw(libc::SIGTSTP), 1),
        (SignalKind::from_raw(libc::SIGCONT), 2),
    ];
    for (kind, meaning) in kinds {
        let mut stream = signal(kind).context("signals cannot be received")?;
        let tx = tx.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                let meant = match meaning {
                    0 => Signal::End,
                    1 => Signal::Stop,
                    _ => Signal::Continued,
                };
                if tx.send(meant).is_err() {
                    return;
                }
            }
        });
    }
    Ok(rx)
}

/// Ctrl-C as it comes.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn signals() -> Result<UnboundedReceiver<Signal>> {
    let (tx, rx) = unbounded_channel();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = tx.send(Signal::End);
        }
    });
    Ok(rx)
}
