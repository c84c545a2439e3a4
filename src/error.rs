//! The one error type. Its text is written for the person who must act: what failed, on which
//! file or value, why, and what to do.

use std::fmt;

/// Result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done. `Display` is one readable sentence (or two: what, then what to do).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The request itself is wrong (unknown language, bad flag value): exit status 2.
    Usage(String),
    /// It could not be done (missing file, damaged weights, no network): exit status 1.
    Failed(String),
    /// Cancelled by the user (Ctrl-C, Esc): exit status 130.
    Interrupted,
}

impl Error {
    /// An [`Error::Failed`] from anything that prints.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// An [`Error::Usage`] from anything that prints.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// The process exit status that belongs to this error (see the contract: 1, 2, 130).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
        }
    }

    /// The same kind of error with `context: ` put in front.
    pub fn context(self, context: impl fmt::Display) -> Self {
        match self {
            Self::Usage(m) => Self::Usage(format!("{context}: {m}")),
            Self::Failed(m) => Self::Failed(format!("{context}: {m}")),
            Self::Interrupted => Self::Interrupted,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(m) | Self::Failed(m) => f.write_str(m),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}

/// Adds a sentence of context to a foreign error and makes it an [`Error::Failed`].
pub trait Context<T> {
    /// `Err(e)` becomes `"{what}: {e}"`.
    fn context(self, what: impl fmt::Display) -> Result<T>;
    /// As `context`, with the text made only on failure.
    fn with_context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error::Failed(format!("{what}: {e}")))
    }

    fn with_context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| Error::Failed(format!("{}: {e}", what())))
    }
}

/// `fail!("… {x}")` is `Err(Error::Failed(format!(…)))`, for an early return.
#[macro_export]
macro_rules! fail {
    ($($arg:tt)*) => { return Err($crate::error::Error::Failed(format!($($arg)*))) };
}
