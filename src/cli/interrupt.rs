//! Ctrl-C and SIGTERM: the first asks the computation to stop, the second ends the process at once.

use crate::engine::Cancel;
use std::sync::OnceLock;

static CANCEL: OnceLock<Cancel> = OnceLock::new();

/// The flag that Ctrl-C raises. The first call installs the handlers.
pub fn cancel() -> Cancel {
    CANCEL
        .get_or_init(|| {
            install();
            Cancel::new()
        })
        .clone()
}

#[cfg(unix)]
fn install() {
    extern "C" fn raised(signal: libc::c_int) {
        // Only what is allowed in a signal handler: atomic loads and stores, and sigaction's front end.
        if let Some(cancel) = CANCEL.get() {
            cancel.cancel();
        }
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let handler = raised as extern "C" fn(libc::c_int) as libc::sighandler_t;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        unsafe {
            // A process started with the signal ignored (nohup, a script's background job) keeps it so.
            if libc::signal(signal, handler) == libc::SIG_IGN {
                libc::signal(signal, libc::SIG_IGN);
            }
        }
    }
}

/// Elsewhere Ctrl-C ends the process at once, as it does by default.
#[cfg(not(unix))]
fn install() {}

/// A file-size limit (`ulimit -f`) is a failed write with a sentence, as a full disk is, and no death by a signal.
pub fn full_files_are_errors() {
    #[cfg(unix)]
    // SAFETY: a plain system call that changes how this process takes one signal.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
