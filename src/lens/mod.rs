//! The logit lens: hidden states through the model's own final norm and unembedding, reduced where the
//! logits are computed.

pub mod energy;
pub mod readout;
mod reduce;
mod totals;

pub use readout::{Column, Readout, Wanted};
