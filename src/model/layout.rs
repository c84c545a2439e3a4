//! Where the tokens of a batch lie.

use super::adapter::Adapter;
use super::decoder::Span;
use super::kernels::mat::LINE;
use std::ops::Range;
use std::sync::Arc;

/// Where each span's columns lie: spans with different adapters begin on vector boundaries.
pub(super) struct Layout {
    pub columns: Vec<Range<usize>>,
    pub groups: Vec<(Range<usize>, Option<Arc<Adapter>>)>,
    pub total: usize,
}

impl Layout {
    pub fn of(spans: &[Span]) -> Self {
        Self::with(spans, |s| s.own().len())
    }

    pub fn with(spans: &[Span], len: impl Fn(&Span) -> usize) -> Self {
        let mut columns = Vec::with_capacity(spans.len());
        let mut groups: Vec<(Range<usize>, Option<Arc<Adapter>>)> = Vec::new();
        let mut at = 0usize;
        for s in spans {
            let n = len(s);
            match groups.last_mut() {
                Some((range, adapter)) if Adapter::same(adapter.as_ref(), s.adapter.as_ref()) => {
                    range.end = at + n
                }
                _ => {
                    at = at.next_multiple_of(LINE);
                    groups.push((at..at + n, s.adapter.clone()));
                }
            }
            columns.push(at..at + n);
            at += n;
        }
        Self { columns, groups, total: at }
    }
}
