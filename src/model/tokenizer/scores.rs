//! SentencePiece's scores as byte-pair merges.
//!
//! A SentencePiece BPE vocabulary lists pieces with scores and no merges. Every split of a normal piece
//! into two known pieces is a merge; the piece with the highest score merges first, ties by the ids of
//! the two halves. Runs of spaces carry no usable score: they merge first, and longest first.

use super::table::{Merge, Pieces};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// A piece's kind, as `tokenizer.ggml.token_type` numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    User,
    /// Unused and byte pieces: in the vocabulary, but never built from others.
    Other,
}

impl Kind {
    pub(super) fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::User,
            _ => Self::Other,
        }
    }
}

/// Longer pieces cannot be split here: the work grows with the square of the length.
const MAX_PIECE: usize = 1024;

/// True for U+2581 repeated (a run of spaces).
pub(super) fn is_run(piece: &str) -> bool {
    !piece.is_empty() && piece.chars().all(|c| c == '▁')
}

/// A merge with the key that orders it: runs before scores, longest run first; then the score
/// (descending), the left and the right id (ascending).
type Found = (u64, u64, Merge);

/// The merges of a vocabulary in the order of their ranks. `kinds` and `scores` are parallel to the pieces.
///
/// Fails on a score that is not a number and on a piece too long to be one.
pub(super) fn merges(pieces: &Pieces, kinds: &[Kind], scores: &[f32]) -> Result<Vec<Merge>> {
    let mut found: Vec<Found> = (0..pieces.len() as u32)
        .into_par_iter()
        .with_min_len(1024)
        .map(|id| splits(pieces, kinds, scores, id))
        .try_fold(Vec::new, |mut all, some| {
            all.extend(some?);
            Ok(all)
        })
        .try_reduce(Vec::new, |mut all, mut some| {
            all.append(&mut some);
            Ok(all)
        })?;
    found.par_sort_unstable_by_key(|&(first, second, merge)| (first, second, merge.whole));
    Ok(found.into_iter().map(|(_, _, merge)| merge).collect())
}

/// All splits of one piece into two known pieces.
fn splits(pieces: &Pieces, kinds: &[Kind], scores: &[f32], id: u32) -> Result<Vec<Found>> {
    let (piece, kind) = (pieces.get(id), kinds[id as usize]);
    let run = kind == Kind::User && is_run(piece);
    if kind != Kind::Normal && !run {
        return Ok(Vec::new());
    }
    let score = scores[id as usize];
    if score.is_nan() {
        return Err(Error::failed(format!(
            "the score of vocabulary entry {id} ({piece:?}) is not a number; the file is damaged: fetch it again"
        )));
    }
    if piece.len() > MAX_PIECE {
        return Err(Error::failed(format!(
            "vocabulary entry {id} is {} bytes long, more than any real one ({MAX_PIECE}); the file is damaged: \
             fetch it again",
            piece.len()
        )));
    }
    let part = |text: &str| {
        let id = pieces.find(text)?;
        matches!(kinds[id as usize], Kind::Normal | Kind::User).then_some(id)
    };
    let mut found = Vec::new();
    for (cut, _) in piece.char_indices().skip(1) {
        let (Some(left), Some(right)) = (part(&piece[..cut]), part(&piece[cut..])) else { continue };
        let (first, second) = if run {
            (!(cut as u64) & 0xFFFF_FFFF, !((piece.len() - cut) as u64))
        } else {
            (1 << 32 | u64::from(descending(score)), u64::from(left) << 32 | u64::from(right))
        };
        found.push((first, second, Merge { left, right, whole: id }));
    }
    Ok(found)
}

/// An integer that orders like the float, reversed.
fn descending(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    // Positive floats order like their bits; negative ones the other way round, below them.
    let ascending = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    !ascending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_order_descending() {
        let scores = [f32::INFINITY, 3.5, 1e-30, 0.0, -1e-30, -2.0, -262_143.0, f32::NEG_INFINITY];
        assert!(scores.windows(2).all(|w| descending(w[0]) < descending(w[1])));
        assert_eq!(descending(0.0), descending(-0.0));
    }

    #[test]
    fn runs_merge_first_and_longest_first_then_scores() {
        let pieces = Pieces::new(["▁", "▁▁", "▁▁▁", "a", "b", "ab", "▁a", "▁ab", "<x>"].into_iter()).unwrap();
        let mut kinds = [Kind::Normal; 9];
        kinds[1] = Kind::User;
        kinds[2] = Kind::User;
        kinds[8] = Kind::Control;
        let scores = [-1.0, 0.0, 0.0, -2.0, -3.0, -5.0, -4.0, -4.0, 0.0];
        let found = merges(&pieces, &kinds, &scores).unwrap();
        let named: Vec<(&str, &str)> =
            found.iter().map(|m| (pieces.get(m.left), pieces.get(m.right))).collect();
        assert_eq!(
            named,
            [("▁▁", "▁"), ("▁", "▁▁"), ("▁", "▁"), ("▁", "a"), ("▁", "ab"), ("▁a", "b"), ("a", "b")]
        );
        let error = merges(&pieces, &kinds, &[f32::NAN; 9]).unwrap_err().to_string();
        assert!(error.contains("is not a number"), "{error}");
    }
}
