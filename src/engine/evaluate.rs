//! Evaluation: labels scored after every prompt. What prompts share in the beginning is computed once a language and
//! run; the rest is packed, without padding, so that items of any length go together.

use super::control::Cancel;
use super::core::Engine;
use super::lens::matrix;
use super::protocol::*;
use crate::error::{Error, Result};
use crate::lens::{Readout, Wanted};
use crate::model::adapter::Adapter;
use crate::model::decoder::{KvCache, Options, Span};
use crate::model::tokenizer::common_prefix;
use crate::tasks::sets::label_sets;
use rayon::prelude::*;
use std::sync::Arc;

/// Tokens computed together, about: enough that a pass over the weights is shared by many, few enough that answers
/// come several times a second.
const TOKENS: usize = 768;
/// Queries computed together at most: one readout takes that many last positions at once.
const QUERIES: usize = 64;

/// A query that is wanted: (run, language, slot).
pub type Unit = (RunId, usize, usize);

impl Engine {
    /// The label token sets of every language of a plan under this model's vocabulary.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn eval_sets(&self, plan: &EvalPlan) -> Result<Vec<EvalSets>> {
        let of = |lang: &EvalLang| {
            // Whole labels are compared as strings: nothing is shared, nothing refused.
            if plan.score == Score::Loglik {
                return Ok(EvalSets::default());
            }
            let found = label_sets(&self.tokenizer, &lang.words, plan.protocol)?;
            Ok(EvalSets { sets: found.sets, warnings: found.warnings, refused: found.refused })
        };
        plan.langs.iter().map(of).collect()
    }

    /// Scores the wanted queries and hands out the answers, some at a time, in the order wanted (the queries of one
    /// language should stand together). An answer does not depend on what else is wanted.
    ///
    /// # Errors
    /// A language that is refused, a prompt longer than the model reads, cancellation, what `on` says.
    pub fn evaluate(
        &self,
        plan: &EvalPlan,
        sets: &[EvalSets],
        wanted: &[Unit],
        cancel: &Cancel,
        on: &mut (dyn FnMut(Vec<EvalRecord>) -> Result<()> + Send),
    ) -> Result<()> {
        let mut rest = wanted;
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|u| u.1 == first.1).count();
            let (units, after) = rest.split_at(same);
            rest = after;
            let lang =
                plan.langs.get(first.1).ok_or_else(|| Error::failed("a language that is not in the plan"))?;
            if let Some(reason) = sets.get(first.1).and_then(|s| s.refused.as_ref()) {
                return Err(Error::failed(reason).context(&lang.lang));
            }
            let empty = EvalSets::default();
            let job = Job { engine: self, plan, lang, sets: sets.get(first.1).unwrap_or(&empty), cancel };
            job.run(units, on).map_err(|e| e.context(&lang.lang))?;
        }
        Ok(())
    }
}

/// One language of an evaluation.
struct Job<'a> {
    engine: &'a Engine,
    plan: &'a EvalPlan,
    lang: &'a EvalLang,
    sets: &'a EvalSets,
    cancel: &'a Cancel,
}

/// A run whose prompts' common beginning has been read.
struct Opened {
    run: RunId,
    adapter: Option<Arc<Adapter>>,
    kv: Option<Arc<KvCache>>,
}

/// One query under one run.
struct Case {
    unit: Unit,
    adapter: Option<Arc<Adapter>>,
    tokens: Arc<Vec<u32>>,
    past: Option<(Arc<KvCache>, usize)>,
}

impl Case {
    fn span(&self) -> Span {
        Span { tokens: self.tokens.to_vec(), past: self.past.clone(), adapter: self.adapter.clone() }
    }

    fn own(&self) -> usize {
        self.tokens.len() - self.past.as_ref().map_or(0, |(_, n)| *n)
    }
}

impl Job<'_> {
    fn run(&self, units: &[Unit], on: &mut (dyn FnMut(Vec<EvalRecord>) -> Result<()> + Send)) -> Result<()> {
        let engine = self.engine;
        let opening = engine.tokenizer.encode(&[self.lang.prefix.as_str(), &self.lang.head].concat())?;
        let mut runs: Vec<Opened> = Vec::new();
        for (run, ..) in units {
            if !runs.iter().any(|r| r.run == *run) {
                let adapter = engine.adapter(*run)?;
                let kv = self.opening(&opening, adapter.as_ref())?;
                runs.push(Opened { run: *run, adapter, kv });
            }
        }
        let mut slots: Vec<usize> = units.iter().map(|u| u.2).collect();
        slots.sort_unstable();
        slots.dedup();
        let encode = |slot: &usize| {
            let text =
                self.lang.query(*slot).ok_or_else(|| Error::failed("a query that is not in the plan"))?;
            engine.tokenizer.encode(&[self.lang.prefix.as_str(), text].concat()).map(Arc::new)
        };
        let tokens: Vec<Arc<Vec<u32>>> =
            engine.pool.install(|| slots.par_iter().map(encode).collect::<Result<_>>())?;
        let case = |unit: &Unit| {
            let opened = runs.iter().find(|r| r.run == unit.0).ok_or_else(|| Error::failed("no such run"))?;
            let (adapter, kv) = (&opened.adapter, &opened.kv);
            let tokens = &tokens[slots.binary_search(&unit.2).unwrap_or_default()];
            // At least the last token is computed: its state is what is read.
            let shared = common_prefix(&opening, tokens).min(tokens.len().saturating_sub(1));
            let past = kv.as_ref().filter(|_| shared > 0).map(|kv| (Arc::clone(kv), shared));
            Ok(Case { unit: *unit, adapter: adapter.clone(), tokens: Arc::clone(tokens), past })
        };
        let cases: Vec<Case> = units.iter().map(case).collect::<Result<_>>()?;
        let mut rest = cases.as_slice();
        while !rest.is_empty() {
            let mut total = 0;
            let fits = rest.iter().take(QUERIES).take_while(|c| {
                total += c.own();
                total <= TOKENS
            });
            let (batch, after) = rest.split_at(fits.count().max(1));
            rest = after;
            self.cancel.check()?;
            on(self.batch(batch)?)?;
        }
        Ok(())
    }

    /// Keys and values of what all prompts begin with. Computed here from its first token, and not taken from the
    /// pool of lately read prompts: an answer shall not depend on what was read before.
    fn opening(&self, tokens: &[u32], adapter: Option<&Arc<Adapter>>) -> Result<Option<Arc<KvCache>>> {
        if tokens.len() < 2 {
            return Ok(None);
        }
        let span = Span::new(tokens.to_vec(), adapter.cloned());
        let (_, kvs) = self.engine.final_states(&[span], &[], true, self.cancel)?;
        Ok(kvs.into_iter().next().map(Arc::new))
    }

    fn batch(&self, cases: &[Case]) -> Result<Vec<EvalRecord>> {
        let spans: Vec<Span> = cases.iter().map(Case::span).collect();
        let ends: Vec<(usize, usize)> =
            spans.iter().enumerate().map(|(i, s)| (i, s.tokens.len() - 1)).collect();
        let loglik = self.plan.score == Score::Loglik;
        let (states, kvs) = self.engine.final_states(&spans, &ends, loglik, self.cancel)?;
        let record = |case: &Case| EvalRecord {
            run: case.unit.0,
            lang: case.unit.1,
            slot: case.unit.2,
            ..EvalRecord::default()
        };
        if loglik {
            let labels = self.labels(cases)?;
            let found = self.logliks(cases, &spans, &labels, states, kvs)?;
            let with = |(case, loglik): (&Case, Vec<LabelLoglik>)| {
                let p = loglik.iter().map(|l| l.sum.exp() as f32).collect();
                EvalRecord { p, loglik, ..record(case) }
            };
            return Ok(cases.iter().zip(found).map(with).collect());
        }
        let sets: Vec<&[u32]> = self.sets.sets.iter().map(|s| s.ids.as_slice()).collect();
        let columns = self.engine.read_out(&states, sets, self.cancel)?;
        Ok(cases.iter().zip(columns).map(|(case, p)| EvalRecord { p, ..record(case) }).collect())
    }

    /// Token ids of every case's prompt followed by each label: encoded together, as one string.
    fn labels(&self, cases: &[Case]) -> Result<Vec<Vec<Vec<u32>>>> {
        let of = |case: &Case| {
            let text = self.lang.query(case.unit.2).unwrap_or_default();
            let whole = |word: &String| {
                let ids = self.engine.tokenizer.encode(&[self.lang.prefix.as_str(), text, word].concat())?;
                if ids.len() <= case.tokens.len() {
                    crate::fail!(
                        "the label {word:?} adds no token to the prompt: this tokenizer joins it with the prompt's end; \
                         use --score prefix-set, or end the item's template otherwise"
                    );
                }
                Ok(ids)
            };
            self.lang.words.iter().map(whole).collect()
        };
        self.engine.pool.install(|| cases.par_iter().map(of).collect())
    }

    /// Log-likelihoods of the labels. A label's first token is read from the prompt's own last state; what follows it
    /// (and what the joint encoding splits otherwise) continues the prompt's keys and values.
    fn logliks(
        &self,
        cases: &[Case],
        spans: &[Span],
        labels: &[Vec<Vec<u32>>],
        states: Vec<Vec<f32>>,
        kvs: Vec<KvCache>,
    ) -> Result<Vec<Vec<LabelLoglik>>> {
        let kvs: Vec<Arc<KvCache>> = kvs.into_iter().map(Arc::new).collect();
        let (mut further, mut wanted) = (Vec::new(), Vec::new());
        // (case, label, target token) of every state that is read, the prompts' own first.
        let mut targets: Vec<(usize, usize, u32)> = Vec::new();
        let mut sources = Vec::new();
        let mut later = Vec::new();
        for (c, (case, words)) in cases.iter().zip(labels).enumerate() {
            let n = case.tokens.len();
            for (w, whole) in words.iter().enumerate() {
                let shared = common_prefix(whole, &case.tokens);
                // The state before the label's first token, where it is the one that is there already.
                let from = if shared == n { n } else { n - 1 };
                if shared == n {
                    targets.push((c, w, whole[n]));
                    sources.push(c);
                }
                if whole.len() - 1 > from {
                    let past = Some((Arc::clone(&kvs[c]), shared.min(from)));
                    let tokens = whole[..whole.len() - 1].to_vec();
                    wanted.extend((from..tokens.len()).map(|position| (further.len(), position)));
                    later.extend((from..tokens.len()).map(|position| (c, w, whole[position + 1])));
                    further.push(Span { tokens, past, adapter: spans[c].adapter.clone() });
                }
            }
        }
        let mut read: Vec<Vec<f32>> = sources.iter().map(|c| states[*c].clone()).collect();
        if !further.is_empty() {
            read.extend(self.engine.final_states(&further, &wanted, false, self.cancel)?.0);
            targets.extend(later);
        }
        let mut ids: Vec<u32> = targets.iter().map(|t| t.2).collect();
        ids.sort_unstable();
        ids.dedup();
        let sets: Vec<&[u32]> = ids.iter().map(std::slice::from_ref).collect();
        let columns = self.engine.read_out(&read, sets, self.cancel)?;
        let word = |word: &String| LabelLoglik { bytes: word.len() as u32, ..LabelLoglik::default() };
        let mut out = vec![self.lang.words.iter().map(word).collect::<Vec<_>>(); cases.len()];
        for ((case, label, id), p) in targets.iter().zip(&columns) {
            let place = &mut out[*case][*label];
            let p = ids.binary_search(id).map_or(0.0, |at| p[at]);
            // Nothing is impossible for a softmax: a probability that f32 cannot hold is its smallest number.
            place.sum += f64::from(p.max(f32::from_bits(1))).ln();
            place.tokens += 1;
        }
        Ok(out)
    }
}

impl Engine {
    /// Final residual states of (span, position in its sequence), and the spans' keys and values if `keep_kv`.
    pub(super) fn final_states(
        &self,
        spans: &[Span],
        wanted: &[(usize, usize)],
        keep_kv: bool,
        cancel: &Cancel,
    ) -> Result<(Vec<Vec<f32>>, Vec<KvCache>)> {
        let last = self.decoder.blocks.len();
        let mut states = Vec::with_capacity(wanted.len());
        let ends_only = !keep_kv && wanted.iter().all(|(s, p)| p + 1 == spans[*s].tokens.len());
        let options = Options { keep_kv, same_bits: true, last_only: ends_only, ..Options::default() };
        let kvs = self.pool.install(|| {
            self.decoder.forward(spans, options, cancel, &mut |tap| {
                if tap.layer == last {
                    for (span, position) in wanted {
                        let from_end = spans[*span].tokens.len() - position;
                        let column = tap.columns[*span].end - from_end;
                        states.push(tap.x.column(column)?);
                    }
                }
                Ok(())
            })
        })?;
        Ok((states, kvs))
    }

    /// Summed probability of every token set for every state: `[states][sets]`.
    fn read_out(&self, states: &[Vec<f32>], sets: Vec<&[u32]>, cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        let wanted = Wanted { sets, ..Wanted::default() };
        let columns =
            self.pool.install(|| Readout::new(&self.decoder).read(&matrix(states), &wanted, cancel))?;
        if columns.iter().any(|c| !c.log_sum.is_finite()) {
            crate::fail!("the model's output is not finite here; try --dtype f32, or fetch the model again");
        }
        Ok(columns.into_iter().map(|c| c.sets).collect())
    }
}
