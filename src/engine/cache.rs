//! Keys and values of what was read lately, so that a shared few-shot prefix, or the unchanged beginning of an
//! edited prompt, is computed once.

use crate::model::adapter::Adapter;
use crate::model::decoder::{KvCache, Span};
use crate::model::kernels::Mat;
use crate::model::tokenizer::common_prefix;
use std::sync::{Arc, Mutex};

/// A small pool of caches, least recently used first.
pub struct KvPool {
    entries: Mutex<Vec<Entry>>,
    limit: usize,
}

struct Entry {
    kv: Arc<KvCache>,
    /// Held, not only named: while an entry lives, no other adapter can take this one's place in memory.
    adapter: Option<Arc<Adapter>>,
}

/// Caches kept at most, whatever their size.
const ENTRIES: usize = 48;
/// Shorter matches are not worth carrying.
const SHORTEST: usize = 4;
/// Tokens by which the next prompt may be longer than the last and still find memory made ready.
const LONGER: usize = 32;

impl KvPool {
    /// A pool that holds at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { entries: Mutex::new(Vec::new()), limit }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A span over `tokens` that continues the longest cached beginning; at least the last token is computed.
    pub fn span(&self, tokens: Vec<u32>, adapter: Option<Arc<Adapter>>) -> Span {
        let mut entries = self.lock();
        let best = entries
            .iter()
            .enumerate()
            .filter(|(_, e)| Adapter::same(e.adapter.as_ref(), adapter.as_ref()))
            .map(|(i, e)| (common_prefix(&e.kv.tokens, &tokens).min(tokens.len().saturating_sub(1)), i))
            .max();
        let past = match best {
            Some((n, i)) if n >= SHORTEST => {
                let entry = entries.remove(i);
                let kv = Arc::clone(&entry.kv);
                entries.push(entry);
                Some((kv, n))
            }
            _ => None,
        };
        Span { tokens, past, adapter }
    }

    /// Remembers a cache, dropping what it makes superfluous and the least recently used beyond the limits.
    pub fn keep(&self, kv: KvCache, adapter: Option<&Arc<Adapter>>) -> Arc<KvCache> {
        let kv = Arc::new(kv);
        let mut entries = self.lock();
        entries
            .retain(|e| !Adapter::same(e.adapter.as_ref(), adapter) || !kv.tokens.starts_with(&e.kv.tokens));
        entries.push(Entry { kv: Arc::clone(&kv), adapter: adapter.cloned() });
        let mut bytes: usize = entries.iter().map(|e| e.kv.bytes()).sum();
        while entries.len() > ENTRIES || (bytes > self.limit && entries.len() > 1) {
            bytes -= entries.remove(0).kv.bytes();
        }
        kv
    }

    /// Has memory for another prompt like this one made ready in the background, while its answer is looked at. `runs`:
    /// caches a prompt.
    pub fn prepare(like: &KvCache, runs: usize) {
        let Some((matrices, rows)) = like.matrices() else { return };
        let cols = like.tokens.len() + LONGER;
        let missing = Mat::missing(runs * matrices, rows, cols);
        if missing == 0 {
            return;
        }
        let make = move || {
            super::load::lower_priority();
            Mat::make_ready(missing, rows, cols);
        };
        // Without a thread the memory is found when it is needed.
        let _ = std::thread::Builder::new().name("memory".into()).spawn(make);
    }

    /// Forgets what belongs to an adapter that is being dropped.
    pub fn forget(&self, adapter: &Arc<Adapter>) {
        self.lock().retain(|e| !Adapter::same(e.adapter.as_ref(), Some(adapter)));
    }
}
