//! Reductions of logits.
