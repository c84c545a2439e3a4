//! The pairs of languages that are looked at first.

/// The paper's language pairs, in its order.
pub const PAPER_PAIRS: [&str; 9] =
    ["en-de", "en-fr", "en-hi", "de-fr", "de-hi", "fr-hi", "en-th", "en-sw", "en-ms"];
