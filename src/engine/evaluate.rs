//! Evaluation: labels scored after every prompt. What prompts share in the beginning is computed once a language and
//! run, several languages' beginnings together; the rest is packed, without padding, so that queries of any length,
//! language and run go together; and the last states of several such batches go through the unembedding together.

mod loglik;
mod states;

use super::control::Cancel;
use super::core::Engine;
use super::protocol::*;
use crate::error::{Error, Result};
use crate::lens::Readout;
use crate::model::adapter::Adapter;
use crate::model::decoder::{KvCache, Span};
use crate::model::tokenizer::common_prefix;
use crate::tasks::sets::label_sets;
use rayon::prelude::*;
use states::Waiting;
use std::sync::Arc;

/// Tokens computed together, about: enough that a pass over the weights is shared by many, few enough that others are
/// let in several times a second.
const TOKENS: usize = 768;
/// Queries computed together at most.
const QUERIES: usize = 64;
/// Tokens of beginnings computed together, about.
const BEGINNINGS: usize = 1024;

/// A query that is wanted: (run, language, slot).
pub type Unit = (RunId, usize, usize);

/// Takes answers as they come.
pub(super) type Taker<'a> = &'a mut (dyn FnMut(Vec<EvalRecord>) -> Result<()> + Send);

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

    /// Scores the wanted queries and hands out the answers, some at a time (now and then none, so that others can be
    /// let in), in the order wanted; the queries of one language should stand together. An answer does not depend on
    /// what else is wanted.
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
        let job = Job { engine: self, plan, sets, cancel };
        let mut waiting = Waiting::new();
        let mut rest = wanted;
        while !rest.is_empty() {
            let (cases, units) = match job.open(rest) {
                // What was computed before a query that cannot be is handed out.
                Err(e) if !cancel.is_cancelled() => {
                    waiting.read_out(&job, on)?;
                    return Err(e);
                }
                opened => opened?,
            };
            rest = &rest[units..];
            let mut cases = cases.as_slice();
            while !cases.is_empty() {
                let (batch, after) = cases.split_at(fitting(cases, TOKENS, QUERIES, Case::own));
                cases = after;
                cancel.check()?;
                job.batch(batch, &mut waiting, on)?;
            }
        }
        waiting.read_out(&job, on)
    }
}

/// How many of the first `xs` go together: at least one, at most `most`, of at most `tokens` tokens in all.
pub(super) fn fitting<T>(xs: &[T], tokens: usize, most: usize, of: impl Fn(&T) -> usize) -> usize {
    let mut total = 0;
    let fits = xs.iter().take(most).take_while(|x| {
        total += of(x);
        total <= tokens
    });
    fits.count().max(1)
}

/// An evaluation.
struct Job<'a> {
    engine: &'a Engine,
    plan: &'a EvalPlan,
    sets: &'a [EvalSets],
    cancel: &'a Cancel,
}

/// What the prompts of a language begin with, under one run: read once.
struct Beginning {
    lang: usize,
    run: RunId,
    adapter: Option<Arc<Adapter>>,
    tokens: Arc<Vec<u32>>,
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
    fn lang(&self, l: usize) -> Result<&EvalLang> {
        self.plan.langs.get(l).ok_or_else(|| Error::failed("a language that is not in the plan"))
    }

    /// An error of a language, with its name.
    fn named(&self, l: usize) -> impl Fn(Error) -> Error {
        let name = self.plan.langs.get(l).map(|lang| lang.lang.clone()).unwrap_or_default();
        move |e| e.context(&name)
    }

    /// Reads the beginnings of the first languages' prompts, and makes cases of these languages' units; how many units
    /// that are.
    fn open(&self, units: &[Unit]) -> Result<(Vec<Case>, usize)> {
        let mut beginnings: Vec<Beginning> = Vec::new();
        let (mut total, mut taken) = (0, 0);
        for same in units.chunk_by(|a, b| a.1 == b.1) {
            let new = self.beginnings(same).map_err(self.named(same[0].1));
            if taken > 0 && new.is_err() {
                break;
            }
            let new = new?;
            total += new.iter().map(|b| b.tokens.len()).sum::<usize>();
            if taken > 0 && total > BEGINNINGS {
                break;
            }
            beginnings.extend(new);
            taken += same.len();
        }
        let cases = self.cases(&units[..taken], &mut beginnings);
        // A language that fails must not take those before it along.
        match cases {
            Err(_) if beginnings.first().map(|b| b.lang) != beginnings.last().map(|b| b.lang) => {
                let first = units.iter().take_while(|u| u.1 == units[0].1).count();
                self.open(&units[..first])
            }
            cases => Ok((cases?, taken)),
        }
    }

    /// The beginnings of one language's prompts under the runs of its units, not yet read.
    fn beginnings(&self, units: &[Unit]) -> Result<Vec<Beginning>> {
        let l = units[0].1;
        let lang = self.lang(l)?;
        if let Some(reason) = self.sets.get(l).and_then(|s| s.refused.as_ref()) {
            return Err(Error::failed(reason));
        }
        let text = [lang.prefix.as_str(), &lang.head].concat();
        let tokens = Arc::new(self.engine.tokenizer.encode(&text)?);
        let mut found: Vec<Beginning> = Vec::new();
        for (run, ..) in units {
            if !found.iter().any(|b| b.run == *run) {
                let adapter = self.engine.adapter(*run)?;
                found.push(Beginning { lang: l, run: *run, adapter, tokens: Arc::clone(&tokens), kv: None });
            }
        }
        Ok(found)
    }

    fn cases(&self, units: &[Unit], beginnings: &mut [Beginning]) -> Result<Vec<Case>> {
        self.read(beginnings)?;
        let mut queries: Vec<(usize, usize)> = units.iter().map(|u| (u.1, u.2)).collect();
        queries.sort_unstable();
        queries.dedup();
        let encode = |&(l, slot): &(usize, usize)| {
            let lang = self.lang(l)?;
            let text = lang.query(slot).ok_or_else(|| Error::failed("a query that is not in the plan"))?;
            let tokens = self.engine.tokenizer.encode(&[lang.prefix.as_str(), text].concat())?;
            let span = Span::new(tokens, None);
            self.engine.decoder.check(std::slice::from_ref(&span)).map_err(self.named(l))?;
            Ok(Arc::new(span.tokens))
        };
        let tokens: Vec<Arc<Vec<u32>>> =
            self.engine.pool.install(|| queries.par_iter().map(encode).collect::<Result<_>>())?;
        let case = |unit: &Unit| {
            let of = |b: &&Beginning| b.lang == unit.1 && b.run == unit.0;
            let begun = beginnings.iter().find(of).ok_or_else(|| Error::failed("no such run"))?;
            let tokens = &tokens[queries.binary_search(&(unit.1, unit.2)).unwrap_or_default()];
            // At least the last token is computed: its state is what is read.
            let shared = common_prefix(&begun.tokens, tokens).min(tokens.len().saturating_sub(1));
            let past = begun.kv.as_ref().filter(|_| shared > 0).map(|kv| (Arc::clone(kv), shared));
            Ok(Case { unit: *unit, adapter: begun.adapter.clone(), tokens: Arc::clone(tokens), past })
        };
        units.iter().map(case).collect()
    }

    /// Keys and values of what prompts begin with. Computed here from the first token, and not taken from the pool of
    /// lately read prompts: an answer shall not depend on what was read before.
    fn read(&self, beginnings: &mut [Beginning]) -> Result<()> {
        // Those of one run side by side; the same text in two languages is read once.
        let mut order: Vec<usize> = (0..beginnings.len()).collect();
        order.sort_by_key(|i| beginnings[*i].run);
        let same = |a: &Beginning, b: &Beginning| a.run == b.run && a.tokens == b.tokens;
        let (mut first, mut like): (Vec<usize>, Vec<(usize, usize)>) = Default::default();
        for i in order.into_iter().filter(|i| beginnings[*i].tokens.len() > 1) {
            match first.iter().find(|f| same(&beginnings[**f], &beginnings[i])) {
                Some(f) => like.push((i, *f)),
                None => first.push(i),
            }
        }
        let mut rest = first.as_slice();
        while !rest.is_empty() {
            let n = fitting(rest, BEGINNINGS, usize::MAX, |i| beginnings[*i].tokens.len());
            let spans: Vec<Span> = rest[..n]
                .iter()
                .map(|i| Span::new(beginnings[*i].tokens.to_vec(), beginnings[*i].adapter.clone()))
                .collect();
            let (_, kvs) = self.engine.final_states(&spans, &[], (true, true), self.cancel)?;
            for (i, kv) in rest[..n].iter().zip(kvs) {
                beginnings[*i].kv = Some(Arc::new(kv));
            }
            rest = &rest[n..];
        }
        for (i, f) in like {
            beginnings[i].kv = beginnings[f].kv.clone();
        }
        Ok(())
    }

    fn batch(&self, cases: &[Case], waiting: &mut Waiting, on: Taker) -> Result<()> {
        let spans: Vec<Span> = cases.iter().map(Case::span).collect();
        let ends: Vec<(usize, usize)> =
            spans.iter().enumerate().map(|(i, s)| (i, s.tokens.len() - 1)).collect();
        let loglik = self.plan.score == Score::Loglik;
        let (states, kvs) = self.engine.final_states(&spans, &ends, (loglik, true), self.cancel)?;
        if loglik {
            return on(self.logliks(cases, &spans, states, kvs)?);
        }
        waiting.add(cases.iter().map(|c| c.unit).zip(states));
        match waiting.due(Readout::widest()) {
            true => waiting.read_out(self, on),
            false => on(Vec::new()),
        }
    }
}
