//! The recordings that come with the program.

use super::{Header, SessionFile};
use crate::error::{Error, Result};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A session inside the program.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name on the command line.
    pub name: &'static str,
    /// The file; its header has title and description.
    pub text: &'static [u8],
}

macro_rules! shipped {
    ($($name:literal)*) => {
        &[$(Shipped { name: $name, text: include_bytes!(concat!("../../sessions/", $name, ".jsonl")) }),*]
    };
}

/// All of them, in the order in which they are offered: made by `sessions/make.sh`, looked at by tests/shipped.rs.
pub static SHIPPED: &[Shipped] = shipped!("tour" "six-scripts" "aligned" "alignment" "evaluation");

/// A session by its file, or by the name of a shipped one.
///
/// # Errors
/// There is neither; or the file is no session.
pub fn find(name: &str) -> Result<SessionFile> {
    let path = Path::new(name);
    if path.exists() {
        return SessionFile::open(path);
    }
    match SHIPPED.iter().find(|s| s.name == name) {
        Some(own) => SessionFile::from_bytes(own.name, Arc::new(own.text)),
        None => {
            let names: Vec<&str> = SHIPPED.iter().map(|s| s.name).collect();
            Err(Error::failed(format!(
                "{name} is not there: name a session file, or one of those that come with the program: {}",
                names.join(", ")
            )))
        }
    }
}

/// A shipped recording as it is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub name: &'static str,
    pub title: String,
    /// A sentence on what it shows.
    pub about: String,
    /// Milliseconds from its beginning to its last line.
    pub lasts: u64,
}

/// The shipped recordings with their titles; read once.
pub fn offers() -> &'static [Offer] {
    static OFFERS: OnceLock<Vec<Offer>> = OnceLock::new();
    OFFERS.get_or_init(|| SHIPPED.iter().filter_map(offer).collect())
}

fn offer(own: &Shipped) -> Option<Offer> {
    #[derive(serde::Deserialize)]
    struct Time {
        t: u64,
    }
    let lines = || own.text.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    let header: Header = serde_json::from_slice(lines().next()?).ok()?;
    let last = lines().next_back().and_then(|l| serde_json::from_slice(l).ok()).map_or(0, |t: Time| t.t);
    Some(Offer {
        name: own.name,
        title: header.title,
        about: header.about,
        lasts: last.saturating_sub(header.begin),
    })
}
