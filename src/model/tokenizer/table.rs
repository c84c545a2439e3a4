//! A vocabulary and its merges as flat arrays: one block of text, one hash index, one hash table.
//!
//! The `tokenizers` crate keeps every piece as two heap strings and every merge as two more while it
//! builds; for Gemma's 262 144 pieces and half a million merges that is hundreds of megabytes and
//! seconds. Flat arrays hold the same in 25 MB and are filled in a fraction of a second.

use crate::error::{Error, Result};

/// More entries than any real vocabulary has: a larger number means a damaged or hostile file.
pub(super) const MAX_VOCABULARY: usize = 4 << 20;
const FREE: u32 = u32::MAX;
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Multiply and fold: mixes all input bits into all output bits.
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// A quick hash of a byte string (not for untrusted multi-user use; the tables are bounded in size).
pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut state = fold(bytes.len() as u64 ^ ODD, ODD);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("8 bytes"));
        state = fold(state ^ word, ODD);
    }
    let mut tail = [0u8; 8];
    tail[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    fold(state ^ u64::from_le_bytes(tail), 0xA076_1D64_78BD_642F)
}

/// The pieces of a vocabulary: id -> text and text -> id. Where a text occurs twice, its last id
/// is the one found (as in the reference library and in llama.cpp); ids that name no piece have the
/// empty text and are never found.
pub(super) struct Pieces {
    text: String,
    /// Piece `i` is `text[ends[i - 1]..ends[i]]`.
    ends: Vec<u32>,
    /// Open addressing: the upper half of the hash beside the id, so that a miss seldom reads the text.
    slots: Vec<(u32, u32)>,
}

impl Pieces {
    /// Takes the pieces in the order of their ids.
    pub(super) fn new<'a>(pieces: impl ExactSizeIterator<Item = &'a str>) -> Result<Self> {
        let count = pieces.len();
        if count > MAX_VOCABULARY {
            return Err(Error::failed(format!(
                "the vocabulary claims {count} entries, more than any model has ({MAX_VOCABULARY} at most); \
                 the file is damaged: fetch it again"
            )));
        }
        let mut this = Self {
            text: String::new(),
            ends: Vec::with_capacity(count),
            slots: vec![(0, FREE); (count * 2).next_power_of_two().max(16)],
        };
        for (id, piece) in pieces.enumerate() {
            this.text.push_str(piece);
            let end = u32::try_from(this.text.len()).map_err(|_| {
                Error::failed(
                    "the vocabulary holds more than 4 GiB of text; the file is damaged: fetch it again",
                )
            })?;
            this.ends.push(end);
            if !piece.is_empty() {
                this.insert(id as u32, hash_bytes(piece.as_bytes()));
            }
        }
        this.text.shrink_to_fit();
        Ok(this)
    }

    fn insert(&mut self, id: u32, hash: u64) {
        let (mask, tag) = (self.slots.len() - 1, (hash >> 32) as u32);
        let mut at = hash as usize & mask;
        while self.slots[at].1 != FREE {
            if self.slots[at].0 == tag && self.get(self.slots[at].1) == self.get(id) {
                break;
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = (tag, id);
    }

    /// How many ids there are (including those without a piece).
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All texts in one, and where each ends.
    pub(super) fn raw(&self) -> (&str, &[u32]) {
        (&self.text, &self.ends)
    }

    /// The text of an id; empty for one that is not there.
    pub(super) fn get(&self, id: u32) -> &str {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return "" };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.text[start as usize..end as usize]
    }

    /// The id of a text.
    pub(super) fn find(&self, piece: &str) -> Option<u32> {
        let hash = hash_bytes(piece.as_bytes());
        let (mask, tag) = (self.slots.len() - 1, (hash >> 32) as u32);
        let mut at = hash as usize & mask;
        loop {
            let (found, id) = self.slots[at];
            if id == FREE {
                return None;
            }
            if found == tag && self.get(id) == piece {
                return Some(id);
            }
            at = (at + 1) & mask;
        }
    }
}

/// A merge as a triple of ids: `left` and `right` become `whole`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merge {
    pub left: u32,
    pub right: u32,
    pub whole: u32,
}

/// The merges: pair of ids -> (rank, id of the whole). A lower rank merges first.
pub(super) struct Merges {
    slots: Vec<MergeSlot>,
}

#[derive(Clone, Copy)]
struct MergeSlot {
    pair: u64,
    rank: u32,
    whole: u32,
}

impl Merges {
    /// Takes the merges in the order of their ranks; of a pair that occurs twice the later rank holds,
    /// as in the `tokenizers` crate.
    pub(super) fn new(merges: &[Merge]) -> Self {
        let empty = MergeSlot { pair: 0, rank: 0, whole: FREE };
        let mut this = Self { slots: vec![empty; (merges.len() * 2).next_power_of_two().max(16)] };
        let mask = this.slots.len() - 1;
        for (rank, merge) in merges.iter().enumerate() {
            let pair = pair(merge.left, merge.right);
            let mut at = fold(pair ^ ODD, ODD) as usize & mask;
            while this.slots[at].whole != FREE && this.slots[at].pair != pair {
                at = (at + 1) & mask;
            }
            this.slots[at] = MergeSlot { pair, rank: rank as u32, whole: merge.whole };
        }
        this
    }

    /// All pairs, lowest rank first.
    pub(super) fn in_order(&self) -> Vec<(u32, u32)> {
        let mut used: Vec<&MergeSlot> = self.slots.iter().filter(|slot| slot.whole != FREE).collect();
        used.sort_unstable_by_key(|slot| slot.rank);
        used.into_iter().map(|slot| ((slot.pair >> 32) as u32, slot.pair as u32)).collect()
    }

    /// (rank, id of the whole) of two neighbouring ids that merge.
    pub(super) fn get(&self, left: u32, right: u32) -> Option<(u32, u32)> {
        let (mask, pair) = (self.slots.len() - 1, pair(left, right));
        let mut at = fold(pair ^ ODD, ODD) as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.whole == FREE {
                return None;
            }
            if slot.pair == pair {
                return Some((slot.rank, slot.whole));
            }
            at = (at + 1) & mask;
        }
    }
}

fn pair(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_by_text_and_by_id_and_the_last_of_two_equal_ones_counts() {
        let words: Vec<String> = (0..5000).map(|i| format!("w{i}")).collect();
        let all: Vec<&str> = words.iter().map(String::as_str).chain(["", "w7", "日本"]).collect();
        let pieces = Pieces::new(all.iter().copied()).unwrap();
        assert_eq!(pieces.len(), 5003);
        for (id, word) in words.iter().enumerate() {
            let found = if id == 7 { 5001 } else { id as u32 };
            assert_eq!((pieces.find(word), pieces.get(id as u32)), (Some(found), word.as_str()));
        }
        assert_eq!(pieces.find("日本"), Some(5002));
        assert_eq!((pieces.find(""), pieces.find("w5000"), pieces.get(9999)), (None, None, ""));
        assert_eq!(Pieces::new([].into_iter()).unwrap().find("a"), None);
    }

    #[test]
    fn merges_are_found_by_pair_and_a_repeated_pair_takes_the_later_rank() {
        let merge = |left, right, whole| Merge { left, right, whole };
        let list: Vec<Merge> =
            (0..3000).map(|i| merge(i, i * 7 % 3000, i + 9000)).chain([merge(5, 35, 1)]).collect();
        let merges = Merges::new(&list);
        for (rank, m) in list.iter().enumerate().filter(|(_, m)| m.left != 5) {
            assert_eq!(merges.get(m.left, m.right), Some((rank as u32, m.whole)));
        }
        assert_eq!(merges.get(5, 35), Some((3000, 1)));
        assert_eq!(merges.get(35, 5), None);
    }
}
