//! The measures of alignment between two languages, and the pairs that are looked at first.

use crate::engine::protocol::{Measure, PcaLayer};

/// The paper's language pairs, in its order.
pub const PAPER_PAIRS: [&str; 9] =
    ["en-de", "en-fr", "en-hi", "de-fr", "de-hi", "fr-hi", "en-th", "en-sw", "en-ms"];

/// A measure of alignment between two languages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alignment {
    #[default]
    Pearson,
    Cka,
    CosineGap,
    Mexa,
}

impl Alignment {
    /// All of them, in the order they are switched through.
    pub const ALL: [Self; 4] = [Self::Pearson, Self::Cka, Self::CosineGap, Self::Mexa];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pearson => "Pearson r",
            Self::Cka => "linear CKA",
            Self::CosineGap => "cosine gap",
            Self::Mexa => "MEXA",
        }
    }

    /// A pair's value at a layer. Pearson comes without interval and control: those are NaN then.
    pub fn of(self, layer: &PcaLayer, pair: &str) -> Option<Measure> {
        let measures = match self {
            Self::Pearson => {
                let value = *layer.pearson.get(pair)?;
                return Some(Measure { value, low: f64::NAN, high: f64::NAN, shuffled: f64::NAN });
            }
            Self::Cka => &layer.cka,
            Self::CosineGap => &layer.cosine_gap,
            Self::Mexa => &layer.mexa,
        };
        measures.get(pair).copied()
    }
}
