//! Log-likelihoods of whole labels.

use super::{Case, Job};
use crate::engine::protocol::{EvalRecord, LabelLoglik};
use crate::error::Result;
use crate::model::decoder::{KvCache, Span};
use crate::model::tokenizer::common_prefix;
use rayon::prelude::*;
use std::sync::Arc;

/// A label's token that is read from a state.
struct Target {
    case: usize,
    label: usize,
    id: u32,
    /// Number of the state: the cases' own last ones first, then further ones.
    state: usize,
}

impl Job<'_> {
    /// Token ids of every case's prompt followed by each label: encoded together, as one string.
    fn labels(&self, cases: &[Case]) -> Result<Vec<Vec<Vec<u32>>>> {
        let of = |case: &Case| {
            let (_, l, slot) = case.unit;
            let lang = self.lang(l)?;
            let text = lang.query(slot).unwrap_or_default();
            let whole = |word: &String| {
                let ids = self.engine.tokenizer.encode(&[lang.prefix.as_str(), text, word].concat())?;
                if ids.len() <= case.tokens.len() {
                    crate::fail!(
                        "the label {word:?} adds no token to the prompt: this tokenizer joins it with the prompt's end; \
                         use --score prefix-set, or end the item's template otherwise"
                    );
                }
                Ok(ids)
            };
            lang.words.iter().map(whole).collect::<Result<_>>().map_err(self.named(l))
        };
        self.engine.pool.install(|| cases.par_iter().map(of).collect())
    }

    /// The cases' answers. A label's first token is read from the prompt's own last state; what follows it (and what
    /// the joint encoding splits otherwise) continues the prompt's keys and values.
    pub(super) fn logliks(
        &self,
        cases: &[Case],
        spans: &[Span],
        mut states: Vec<Vec<f32>>,
        kvs: Vec<KvCache>,
    ) -> Result<Vec<EvalRecord>> {
        let labels = self.labels(cases)?;
        let kvs: Vec<Arc<KvCache>> = kvs.into_iter().map(Arc::new).collect();
        let (mut further, mut wanted) = (Vec::new(), Vec::new());
        let mut targets: Vec<Target> = Vec::new();
        for (c, (case, words)) in cases.iter().zip(&labels).enumerate() {
            let n = case.tokens.len();
            for (label, whole) in words.iter().enumerate() {
                let shared = common_prefix(whole, &case.tokens);
                // The state before the label's first token, where it is the one that is there already.
                let from = if shared == n { n } else { n - 1 };
                if shared == n {
                    targets.push(Target { case: c, label, id: whole[n], state: c });
                }
                if whole.len() - 1 > from {
                    let past = Some((Arc::clone(&kvs[c]), shared.min(from)));
                    let tokens = whole[..whole.len() - 1].to_vec();
                    for position in from..tokens.len() {
                        let state = states.len() + wanted.len();
                        targets.push(Target { case: c, label, id: whole[position + 1], state });
                        wanted.push((further.len(), position));
                    }
                    further.push(Span { tokens, past, adapter: spans[c].adapter.clone() });
                }
            }
        }
        if !further.is_empty() {
            states.extend(self.engine.final_states(&further, &wanted, (false, false), self.cancel)?.0);
        }
        let probabilities = self.probabilities(&states, &mut targets, cases)?;
        let empty = |case: &Case| -> Result<EvalRecord> {
            let (run, lang, slot) = case.unit;
            let word = |w: &String| LabelLoglik { bytes: w.len() as u32, ..LabelLoglik::default() };
            let loglik = self.lang(lang)?.words.iter().map(word).collect();
            Ok(EvalRecord { run, lang, slot, loglik, ..EvalRecord::default() })
        };
        let mut out = cases.iter().map(empty).collect::<Result<Vec<_>>>()?;
        for (t, p) in targets.iter().zip(probabilities) {
            let place = &mut out[t.case].loglik[t.label];
            // Nothing is impossible for a softmax: a probability that f32 cannot hold is its smallest number.
            place.sum += f64::from(p.max(f32::from_bits(1))).ln();
            place.tokens += 1;
        }
        for record in &mut out {
            record.p = record.loglik.iter().map(|l| l.sum.exp() as f32).collect();
        }
        Ok(out)
    }

    /// Probability of every target, which are brought into the order of their states.
    fn probabilities(&self, states: &[Vec<f32>], targets: &mut [Target], cases: &[Case]) -> Result<Vec<f32>> {
        targets.sort_by_key(|t| t.state);
        let ids: Vec<u32> = targets.iter().map(|t| t.id).collect();
        let sets: Vec<&[u32]> = ids.iter().map(std::slice::from_ref).collect();
        let first = |state: usize| targets.partition_point(|t| t.state < state);
        let sets_of = (0..states.len()).map(|state| first(state)..first(state + 1)).collect();
        let columns = self.engine.read_out(states, sets, sets_of, self.cancel)?;
        for t in targets.iter() {
            columns[t.state].finite().map_err(self.named(cases[t.case].unit.1))?;
        }
        Ok(columns.into_iter().flat_map(|c| c.sets).collect())
    }
}
