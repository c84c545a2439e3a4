//! Pooled states as they are found: kept from before, or computed.

use super::{Pooled, PooledRun};
use crate::engine::protocol::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// States already pooled, so that choosing another language or layer computes only what is new.
#[derive(Default)]
pub struct Cache(Mutex<HashMap<Key, Arc<Pooled>>>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    run: RunId,
    pooling: &'static str,
    paper: bool,
    prefix: String,
    text: String,
}

/// Pooled items kept at most; beyond it the cache starts anew.
const KEPT: usize = 8192;

impl Cache {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Pooled>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An item of a request: (language, run, item), by their numbers.
pub(super) type Slot = (usize, usize, usize);

/// A language with all of its items' states, by run.
pub(super) type Complete<'a> = (&'a str, Vec<Vec<&'a Pooled>>);

/// What a request has so far.
pub(super) struct Found<'a> {
    request: &'a PcaRequest,
    runs: &'a [PooledRun],
    /// By language, run, item.
    states: Vec<Vec<Vec<Option<Arc<Pooled>>>>>,
    pub done: u64,
}

impl<'a> Found<'a> {
    /// What was kept.
    pub fn new(request: &'a PcaRequest, runs: &'a [PooledRun], cache: &Cache) -> Self {
        let mut found = Self { request, runs, states: Vec::new(), done: 0 };
        let cache = cache.lock();
        let kept = |l: usize, r: usize, i: usize| {
            cache.get(&found.key((l, r, i))).filter(|_| runs[r].lasting).cloned()
        };
        let of = |(l, (_, items)): (usize, &(String, Vec<Item>))| {
            let run = |r: usize| (0..items.len()).map(|i| kept(l, r, i)).collect();
            (0..runs.len()).map(run).collect()
        };
        let states: Vec<Vec<Vec<Option<Arc<Pooled>>>>> = request.items.iter().enumerate().map(of).collect();
        found.done = states.iter().flatten().flatten().flatten().count() as u64;
        found.states = states;
        found
    }

    fn key(&self, (l, r, i): Slot) -> Key {
        let query = &self.request.items[l].1[i].query;
        Key {
            run: self.runs[r].id,
            pooling: match self.request.pooling {
                Pooling::Mean => "mean",
                Pooling::Last => "last",
                Pooling::Query => "query",
            },
            paper: self.request.protocol == Protocol::Paper,
            prefix: query.prefix.clone(),
            text: query.text.clone(),
        }
    }

    /// What is not there, language by language.
    pub fn missing(&self) -> Vec<Slot> {
        let mut missing = Vec::new();
        for (l, runs) in self.states.iter().enumerate() {
            for (r, items) in runs.iter().enumerate() {
                let gone = items.iter().enumerate().filter(|(_, state)| state.is_none());
                missing.extend(gone.map(|(i, _)| (l, r, i)));
            }
        }
        missing
    }

    /// Adds what was computed, here and to what is kept.
    pub fn add(&mut self, states: Vec<(Slot, Pooled)>, cache: &Cache) {
        let mut cache = cache.lock();
        if cache.len() > KEPT {
            cache.clear();
        }
        self.done += states.len() as u64;
        for ((l, r, i), state) in states {
            let state = Arc::new(state);
            if self.runs[r].lasting {
                cache.insert(self.key((l, r, i)), Arc::clone(&state));
            }
            self.states[l][r][i] = Some(state);
        }
    }

    /// The languages that have all of their states.
    pub fn complete(&self) -> Vec<Complete<'_>> {
        let mut complete = Vec::new();
        for (runs, (lang, _)) in self.states.iter().zip(&self.request.items) {
            if runs.iter().flatten().all(Option::is_some) {
                let states = runs.iter().map(|items| items.iter().flatten().map(Arc::as_ref).collect());
                complete.push((lang.as_str(), states.collect()));
            }
        }
        complete
    }
}
