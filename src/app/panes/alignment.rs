//! The pairs of languages that are looked at first.

use crate::engine::protocol::PcaAnswer;

/// The paper's language pairs, in its order.
pub const PAPER_PAIRS: [&str; 9] =
    ["en-de", "en-fr", "en-hi", "de-fr", "de-hi", "fr-hi", "en-th", "en-sw", "en-ms"];

/// The pairs that an answer has values of, the paper's first.
pub fn pairs(answer: &PcaAnswer) -> Vec<String> {
    let Some(layer) = answer.runs.first().and_then(|r| r.layers.first()) else { return Vec::new() };
    let has = |pair: &str| layer.pearson.contains_key(pair);
    let paper = PAPER_PAIRS.iter().filter(|p| has(p)).map(|p| (*p).to_owned());
    let langs = &answer.langs;
    let all =
        langs.iter().enumerate().flat_map(|(i, a)| langs[i + 1..].iter().map(move |b| format!("{a}-{b}")));
    let others = all.filter(|p| has(p) && !PAPER_PAIRS.contains(&p.as_str()));
    paper.chain(others).collect()
}
