//! An evaluation that goes on where an earlier one was stopped: answers are looked for before they are computed, and
//! kept as they come.

use super::control::Cancel;
use super::core::{Engine, Progress};
use super::fingerprint::text_hash;
use super::kept::{Answers, Kept};
use super::protocol::*;
use crate::error::{Error, Result};

/// What becomes of an evaluation's answers besides being handed out.
pub struct Keeping<'a> {
    /// Where answers are kept and looked for; `None`: nowhere.
    pub kept: Option<&'a Kept>,
    /// A sentence for the user on what could not be kept.
    pub note: &'a mut (dyn FnMut(&str) + Send),
}

impl Keeping<'_> {
    /// Keeps nothing from now on, and says why.
    fn give_up(&mut self, why: &str) {
        if self.kept.take().is_some() {
            (self.note)(&format!(
                "Answers cannot be kept ({why}): an evaluation that is stopped begins anew."
            ));
        }
    }

    /// The kept answers under a run's key.
    fn open(&mut self, key: Option<String>) -> Option<Answers> {
        match self.kept?.open(&key?) {
            Ok(answers) => Some(answers),
            Err(why) => {
                self.give_up(&why.to_string());
                None
            }
        }
    }
}

/// Queries whose runs stand together, so that base and adapters fill their tables side by side.
const TOGETHER: usize = 16;

impl Engine {
    /// As [`Engine::evaluate`] for every (language, slot) of `queries` under every run, and what is kept from before is
    /// not computed again. `on` gets the answers and whether they were kept; `progress` counts answers.
    ///
    /// # Errors
    /// As [`Engine::evaluate`]. Answers that cannot be kept are no error.
    pub fn evaluate_kept(
        &self,
        plan: &EvalPlan,
        sets: &[EvalSets],
        (queries, runs): (&[(usize, usize)], &[RunId]),
        mut keeping: Keeping,
        cancel: &Cancel,
        progress: Progress,
        on: &mut (dyn FnMut(Vec<EvalRecord>, bool) + Send),
    ) -> Result<()> {
        let prints = self.prints(runs, &mut keeping, cancel, progress)?;
        let total = (queries.len() * runs.len()) as u64;
        let mut done = 0;
        let mut missing = Vec::new();
        // What is kept, language by language; then everything that is not, since languages are computed together.
        let mut open: Vec<(usize, Vec<Option<Answers>>)> = Vec::new();
        for same in queries.chunk_by(|a, b| a.0 == b.0) {
            let l = same[0].0;
            let lang =
                plan.langs.get(l).ok_or_else(|| Error::failed("a language that is not in the plan"))?;
            let keys = prints.iter().map(|print| Some(key(print.as_ref()?, plan, lang, sets.get(l))));
            let answers: Vec<Option<Answers>> = keys.map(|key| keeping.open(key)).collect();
            let (found, more) = look_up(plan, l, same, runs, &answers);
            open.push((l, answers));
            missing.extend(more);
            done += found.len() as u64;
            if !found.is_empty() {
                on(found, true);
            }
            progress(&lang.lang, done, total, "answers");
        }
        let mut at = missing.first().map_or(0, |unit| unit.1);
        self.evaluate(plan, sets, &missing, cancel, &mut |records| {
            for same in records.chunk_by(|a, b| a.lang == b.lang) {
                at = same[0].lang;
                for (_, answers) in open.iter_mut().filter(|(l, _)| *l == at) {
                    keep(&plan.langs[at], same, runs, answers, &mut keeping);
                }
            }
            done += records.len() as u64;
            if !records.is_empty() {
                on(records, false);
            }
            progress(&plan.langs[at].lang, done, total, "answers");
            Ok(())
        })
    }

    /// Each run's fingerprint, where answers are to be kept and the model's files are still what was loaded.
    fn prints(
        &self,
        runs: &[RunId],
        keeping: &mut Keeping,
        cancel: &Cancel,
        progress: Progress,
    ) -> Result<Vec<Option<String>>> {
        let mut prints = vec![None; runs.len()];
        for (run, print) in runs.iter().zip(&mut prints) {
            if keeping.kept.is_none() {
                break;
            }
            *print = self.fingerprint(*run, &mut |done, total| {
                progress("hashing the model", done, total, "bytes");
                cancel.check()
            })?;
            if print.is_none() {
                keeping.give_up("the model's files have changed since they were loaded");
            }
        }
        Ok(prints)
    }
}

/// Keeps one language's answers, each run's in its own file.
fn keep(
    lang: &EvalLang,
    records: &[EvalRecord],
    runs: &[RunId],
    answers: &mut [Option<Answers>],
    keeping: &mut Keeping,
) {
    for (run, answers) in runs.iter().zip(answers) {
        let own = records.iter().filter(|r| r.run == *run);
        let with_text = own.map(|r| (lang.query(r.slot).unwrap_or_default(), r));
        if let Some(Err(why)) = answers.as_mut().map(|a| a.add(with_text)) {
            *answers = None;
            keeping.give_up(&why.to_string());
        }
    }
}

/// The answers of a language that are there, and what is still to be computed, runs side by side.
fn look_up(
    plan: &EvalPlan,
    l: usize,
    queries: &[(usize, usize)],
    runs: &[RunId],
    answers: &[Option<Answers>],
) -> (Vec<EvalRecord>, Vec<super::evaluate::Unit>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let loglik = plan.score == Score::Loglik;
    for slots in queries.chunks(TOGETHER) {
        for (run, answers) in runs.iter().zip(answers) {
            for (_, slot) in slots {
                let text = plan.langs[l].query(*slot).unwrap_or_default();
                match answers.as_ref().and_then(|a| a.find(text, plan.labels.len(), loglik)) {
                    Some(record) => found.push(EvalRecord { run: *run, lang: l, slot: *slot, ..record }),
                    None => missing.push((*run, l, *slot)),
                }
            }
        }
    }
    (found, missing)
}

/// Hash of everything that decides an answer, the query's own text aside.
fn key(print: &str, plan: &EvalPlan, lang: &EvalLang, sets: Option<&EvalSets>) -> String {
    let ids: Vec<&[u32]> = sets.iter().flat_map(|s| &s.sets).map(|s| s.ids.as_slice()).collect();
    let version = env!("CARGO_PKG_VERSION");
    text_hash(&format!(
        "{version} {print} {:?} {:?} {:?} {:?} {ids:?}",
        plan.score, lang.prefix, lang.head, lang.words
    ))
}
