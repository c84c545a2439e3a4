//! Small seeded random numbers: the same seed gives the same intervals on every machine.

/// SplitMix64 (Steele, Lea, Flood 2014): 64 random bits a step.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator whose whole sequence is decided by `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`; `n` must not be 0. (The bias of the product is below n / 2^64.)
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// A number in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

/// How often each of `n` items is drawn when `n` are drawn with replacement: `count` such draws.
pub fn resamples(n: usize, count: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut random = SplitMix64::new(seed ^ 0x0b00_7512);
    (0..count)
        .map(|_| {
            let mut weights = vec![0.0; n];
            for _ in 0..n {
                weights[random.below(n)] += 1.0;
            }
            weights
        })
        .collect()
}

/// `count` random cyclic permutations of `0..n` (Sattolo's algorithm): none leaves an item in its place, so a
/// shuffled pairing holds no true pair. Empty for n < 2.
pub fn derangements(n: usize, count: usize, seed: u64) -> Vec<Vec<usize>> {
    if n < 2 {
        return Vec::new();
    }
    let mut random = SplitMix64::new(seed ^ 0x5a77_0102);
    (0..count)
        .map(|_| {
            let mut order: Vec<usize> = (0..n).collect();
            for i in (1..n).rev() {
                order.swap(i, random.below(i));
            }
            order
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_is_the_published_sequence() {
        let mut random = SplitMix64::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_resample_draws_n_items_and_a_derangement_moves_every_one() {
        for weights in resamples(17, 50, 3) {
            assert_eq!(weights.iter().sum::<f64>(), 17.0);
        }
        assert_ne!(resamples(17, 1, 3), resamples(17, 1, 4));
        for n in 2..12 {
            for order in derangements(n, 20, 9) {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..n).collect::<Vec<_>>());
                assert!(order.iter().enumerate().all(|(i, &j)| i != j));
            }
        }
        assert!(derangements(1, 5, 0).is_empty());
    }

    #[test]
    fn below_reaches_every_value_about_equally() {
        let mut random = SplitMix64::new(0);
        let mut seen = [0; 5];
        for _ in 0..5000 {
            seen[random.below(5)] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
    }
}
