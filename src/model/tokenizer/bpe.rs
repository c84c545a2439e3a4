//! Byte-pair encoding over the flat tables, as a model for the `tokenizers` crate's pipeline.
//! Gives the same ids as the crate's own `models::bpe::BPE` (a test compares them on random vocabularies).

use super::table::{Merges, Pieces};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::path::{Path, PathBuf};
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::{Model, Result, Token};

/// A BPE model without dropout, prefix or suffix marks.
pub(super) struct FlatBpe {
    pub pieces: Pieces,
    pub merges: Merges,
    /// What a character outside the vocabulary becomes; without it such a character is dropped.
    pub unknown: Option<u32>,
    /// Neighbouring unknown characters become one token.
    pub fuse_unknown: bool,
    /// Ids of <0x00> to <0xFF>, where characters outside the vocabulary are spelled in bytes.
    pub bytes: Option<Box<[Option<u32>; 256]>>,
    /// A pre-token that is a whole vocabulary entry is taken as it is (Llama 3, Tekken).
    pub ignore_merges: bool,
}

/// A run of the text that is one token so far. `len` 0: swallowed by its left neighbour.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    start: usize,
    len: usize,
    previous: usize,
    next: usize,
}

const NONE: usize = usize::MAX;

impl FlatBpe {
    /// The ids of the byte tokens in a vocabulary.
    pub(super) fn byte_ids(pieces: &Pieces) -> Box<[Option<u32>; 256]> {
        Box::new(std::array::from_fn(|byte| pieces.find(&format!("<0x{byte:02X}>"))))
    }

    /// Characters to symbols: by vocabulary, else by bytes (if all of them are there), else unknown.
    fn characters(&self, word: &str) -> Vec<Symbol> {
        let mut symbols: Vec<Symbol> = Vec::with_capacity(word.len());
        let mut add = |id, start, len| {
            let index = symbols.len();
            symbols.push(Symbol { id, start, len, previous: index.wrapping_sub(1), next: index + 1 });
        };
        // An unknown token that may still grow: (id, start, length).
        let mut open: Option<(u32, usize, usize)> = None;
        for (start, character) in word.char_indices() {
            let mut buffer = [0; 4];
            let text: &str = character.encode_utf8(&mut buffer);
            if let Some(id) = self.pieces.find(text) {
                if let Some((id, start, len)) = open.take() {
                    add(id, start, len);
                }
                add(id, start, text.len());
                continue;
            }
            if let Some(ids) = self.spelled(text) {
                // (The crate would put the unknown token after these bytes; no real vocabulary has both.)
                if let Some((id, start, len)) = open.take() {
                    add(id, start, len);
                }
                for (i, id) in ids.enumerate() {
                    add(id, start + i, 1);
                }
                continue;
            }
            let Some(unknown) = self.unknown else { continue };
            open = match open {
                Some((id, from, len)) if self.fuse_unknown => Some((id, from, len + text.len())),
                other => {
                    if let Some((id, from, len)) = other {
                        add(id, from, len);
                    }
                    Some((unknown, start, text.len()))
                }
            };
        }
        if let Some((id, start, len)) = open {
            add(id, start, len);
        }
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        symbols
    }

    /// The byte tokens of a text, if bytes are used and the vocabulary has all of them.
    fn spelled<'a>(&'a self, text: &'a str) -> Option<impl Iterator<Item = u32> + 'a> {
        let ids = self.bytes.as_deref()?;
        text.bytes()
            .all(|b| ids[usize::from(b)].is_some())
            .then(|| text.bytes().filter_map(|b| ids[usize::from(b)]))
    }

    /// Merges neighbours, lowest rank first and leftmost among equals, until none is left to merge.
    fn merge(&self, symbols: &mut [Symbol]) {
        // (rank, position, whole): a heap entry is out of date where its pair no longer gives `whole`.
        let mut queue: BinaryHeap<Reverse<(u32, usize, u32)>> = symbols
            .windows(2)
            .enumerate()
            .filter_map(|(at, w)| {
                self.merges.get(w[0].id, w[1].id).map(|(rank, whole)| Reverse((rank, at, whole)))
            })
            .collect();
        while let Some(Reverse((_, at, whole))) = queue.pop() {
            let left = symbols[at];
            if left.len == 0 || left.next == NONE {
                continue;
            }
            let right = symbols[left.next];
            if self.merges.get(left.id, right.id).is_none_or(|(_, now)| now != whole) {
                continue;
            }
            symbols[left.next].len = 0;
            symbols[at] =
                Symbol { id: whole, len: right.start + right.len - left.start, next: right.next, ..left };
            if right.next != NONE {
                symbols[right.next].previous = at;
                if let Some((rank, bigger)) = self.merges.get(whole, symbols[right.next].id) {
                    queue.push(Reverse((rank, at, bigger)));
                }
            }
            if left.previous != NONE
                && let Some((rank, bigger)) = self.merges.get(symbols[left.previous].id, whole)
            {
                queue.push(Reverse((rank, left.previous, bigger)));
            }
        }
    }
}

impl Model for FlatBpe {
    type Trainer = BpeTrainer;

    fn tokenize(&self, sequence: &str) -> Result<Vec<Token>> {
        if self.ignore_merges
            && let Some(id) = self.pieces.find(sequence)
        {
            return Ok(vec![Token::new(id, sequence.to_owned(), (0, sequence.len()))]);
        }
        let mut symbols = self.characters(sequence);
        self.merge(&mut symbols);
        Ok(symbols
            .iter()
            .filter(|s| s.len > 0)
            .map(|s| Token::new(s.id, self.pieces.get(s.id).to_owned(), (s.start, s.start + s.len)))
            .collect())
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.pieces.find(token)
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        let piece = self.pieces.get(id);
        (!piece.is_empty()).then(|| piece.to_owned())
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        (0..self.pieces.len() as u32)
            .map(|id| (self.pieces.get(id), id))
            .filter(|&(piece, id)| self.pieces.find(piece) == Some(id))
            .map(|(piece, id)| (piece.to_owned(), id))
            .collect()
    }

    fn get_vocab_size(&self) -> usize {
        self.pieces.len()
    }

    fn save(&self, _folder: &Path, _prefix: Option<&str>) -> Result<Vec<PathBuf>> {
        Err("a vocabulary is only read here, never written".into())
    }

    fn get_trainer(&self) -> BpeTrainer {
        BpeTrainer::default()
    }
}
