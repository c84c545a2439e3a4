//! Which samples are held out, and in which order an epoch sees the others.
//!
//! Everything is drawn by SplitMix64 from the seed and the epoch alone, so that a resumed run sees what an
//! uninterrupted one would have seen, on every machine.

use crate::error::{Error, Result};
use crate::geometry::random::SplitMix64;

/// What a permutation is drawn for; epochs count from 0 and never come so far.
const HELD_OUT: u64 = u64::MAX;
pub(super) const ITEMS: u64 = u64::MAX - 1;
pub(super) const MIXTURE: u64 = u64::MAX - 2;

/// The order of an epoch (from 0): a permutation of `0..n` drawn under `seed` and `epoch`; without `shuffle` the rows
/// as they lie.
pub fn order(n: usize, seed: u64, epoch: u64, shuffle: bool) -> Vec<usize> {
    if shuffle { permutation(n, seed, epoch) } else { (0..n).collect() }
}

/// Fisher and Yates' shuffle of `0..n`. Each purpose has a generator of its own: SplitMix64 seeded with the first
/// number of SplitMix64(`seed`), exclusive-or the purpose's bits times an odd constant.
pub(super) fn permutation(n: usize, seed: u64, purpose: u64) -> Vec<usize> {
    let first = SplitMix64::new(seed).next_u64();
    let mut random = SplitMix64::new(first ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, random.below(i + 1));
    }
    order
}

/// Which of `n` rows are trained on and which are held out, both ascending.
///
/// `val_size` below 1 is a share, `ceil(n * share)` rows as scikit-learn counts them; from 1 a number of rows; 0 none.
/// They are drawn at random under `seed` where `shuffle`, else they are the last ones.
///
/// # Errors
/// [`Error::Usage`] for a size that is negative, not finite, not whole from 1 on, or leaves nothing to train on.
pub fn split(n: usize, val_size: f64, seed: u64, shuffle: bool) -> Result<(Vec<usize>, Vec<usize>)> {
    let whole = val_size < 1.0 || val_size.fract() == 0.0;
    if !val_size.is_finite() || val_size < 0.0 || !whole {
        return Err(Error::usage(format!(
            "--val-size {val_size} is not possible: give a share below 1, a whole number of rows, or 0 for none"
        )));
    }
    let count = if val_size < 1.0 { (n as f64 * val_size).ceil() } else { val_size };
    if count >= n as f64 {
        return Err(Error::usage(format!(
            "--val-size {val_size} holds out {count} of {n} rows, and none is left to train on: make it smaller, or 0"
        )));
    }
    let rows = if shuffle {
        permutation(n, seed, HELD_OUT)
    } else {
        // The last ones first.
        (0..n).rev().collect()
    };
    let (held, train) = rows.split_at(count as usize);
    let sorted = |rows: &[usize]| {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows
    };
    Ok((sorted(train), sorted(held)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_permutation_decided_by_seed_and_epoch() {
        let sorted = |mut order: Vec<usize>| {
            order.sort_unstable();
            order
        };
        for n in [0, 1, 2, 3, 1000] {
            assert_eq!(sorted(order(n, 7, 3, true)), (0..n).collect::<Vec<_>>());
            assert_eq!(order(n, 7, 3, false), (0..n).collect::<Vec<_>>());
        }
        let of = |seed, epoch| order(1000, seed, epoch, true);
        assert_eq!(of(7, 3), of(7, 3));
        for (seed, epoch) in [(7, 4), (8, 3), (3, 7), (0, 0)] {
            assert_ne!(of(7, 3), of(seed, epoch));
        }
        assert_ne!(of(7, 3), permutation(1000, 7, HELD_OUT));
        // Written down, so that a change of the generator is seen: resumed runs rely on it.
        assert_eq!(order(10, 0, 0, true), FIXED);
    }

    /// Computed outside of this program, from the published SplitMix64 and the definition above.
    const FIXED: [usize; 10] = [1, 2, 5, 7, 0, 8, 4, 3, 9, 6];

    #[test]
    fn held_out_rows_are_a_share_a_number_or_none() {
        let held = |n, size, shuffle| split(n, size, 1, shuffle).unwrap().1;
        assert_eq!(held(10, 0.25, false), [7, 8, 9], "ceil(2.5) rows, the last ones");
        assert_eq!(held(20_000, 0.05, true).len(), 1000);
        assert_eq!(held(10, 4.0, true).len(), 4);
        assert!(held(10, 0.0, true).is_empty());
        let (train, out) = split(100, 0.1, 5, true).unwrap();
        assert!(out != (90..100).collect::<Vec<_>>(), "drawn at random");
        let mut all = [train, out].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        for (n, size) in [(10, 10.0), (1, 0.05), (10, 0.95), (10, -0.1), (10, f64::NAN), (10, 1.5), (0, 0.0)]
        {
            let error = split(n, size, 0, true).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("--val-size"), "{error}");
        }
    }
}
