//! The statistics of a table of accuracies.

use crate::geometry::random::SplitMix64;

/// Draws of a bootstrap interval.
pub const RESAMPLES: usize = 2000;

/// Area under the ROC curve: the probability that a positive case scores above a negative one, ties counting half
/// (Mann-Whitney U / (m n)). `None` where there are no positive or no negative cases, or a score is NaN.
pub fn auc(cases: &[(f64, bool)]) -> Option<f64> {
    let positive = cases.iter().filter(|(_, p)| *p).count();
    let negative = cases.len() - positive;
    if positive == 0 || negative == 0 || cases.iter().any(|(s, _)| s.is_nan()) {
        return None;
    }
    let mut sorted = cases.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    // -0.0 sorts before 0.0 but is equal to it: groups are formed by ==.
    let mut rank_sum = 0.0;
    let mut below = 0;
    for group in sorted.chunk_by(|a, b| a.0 == b.0) {
        let mean_rank = below as f64 + (group.len() + 1) as f64 / 2.0;
        rank_sum += mean_rank * group.iter().filter(|(_, p)| *p).count() as f64;
        below += group.len();
    }
    let (m, n) = (positive as f64, negative as f64);
    Some((rank_sum - m * (m + 1.0) / 2.0) / (m * n))
}

/// Exact two-sided McNemar test: how likely discordant pairs at least as uneven as `gained` against `lost` are if
/// both directions are equally likely (binomial with n = gained + lost and probability 1/2). 1 without any.
pub fn mcnemar(gained: usize, lost: usize) -> f64 {
    let n = gained + lost;
    let fewer = gained.min(lost);
    // ln C(n, i) - n ln 2, from term to term: no factorial overflows.
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for i in 0..=fewer {
        tail += term.exp();
        term += ((n - i) as f64).ln() - ((i + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

/// Strata of paired differences whose mean of means is wanted: in each draw every stratum is drawn anew from itself.
/// One stratum is the plain paired bootstrap.
///
/// Returns the 2.5 and 97.5 percentiles of [`RESAMPLES`] draws (linear between order statistics). `None` where a
/// stratum is empty.
pub fn paired_interval(strata: &[Vec<f64>], seed: u64) -> Option<(f64, f64)> {
    if strata.is_empty() || strata.iter().any(Vec::is_empty) {
        return None;
    }
    let mut random = SplitMix64::new(seed ^ 0x0e7a_10c5);
    let mut draw = |values: &Vec<f64>| {
        let n = values.len();
        (0..n).map(|_| values[random.below(n)]).sum::<f64>() / n as f64
    };
    let mut means: Vec<f64> =
        (0..RESAMPLES).map(|_| strata.iter().map(&mut draw).sum::<f64>() / strata.len() as f64).collect();
    means.sort_by(f64::total_cmp);
    Some((percentile(&means, 0.025), percentile(&means, 0.975)))
}

/// The q-quantile of ascending values, linear between neighbours.
fn percentile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_is_sklearns() {
        let cases = |s: &[f64], p: &[u8]| s.iter().zip(p).map(|(s, p)| (*s, *p == 1)).collect::<Vec<_>>();
        // sklearn.metrics.roc_auc_score([0,0,1,1,0,1,1], [.1,.4,.35,.8,.4,.4,-2])
        assert_eq!(auc(&cases(&[0.1, 0.4, 0.35, 0.8, 0.4, 0.4, -2.0], &[0, 0, 1, 1, 0, 1, 1])), Some(0.5));
        assert_eq!(auc(&cases(&[1.0, 2.0, 3.0], &[0, 0, 1])), Some(1.0));
        assert_eq!(auc(&cases(&[1.0, 1.0], &[0, 1])), Some(0.5));
        assert_eq!(auc(&cases(&[f64::NEG_INFINITY, f64::INFINITY], &[1, 0])), Some(0.0));
        assert_eq!(auc(&cases(&[1.0, 2.0], &[1, 1])), None);
        assert_eq!(auc(&cases(&[1.0, f64::NAN], &[1, 0])), None);
    }

    #[test]
    fn mcnemar_is_the_binomial_test() {
        // scipy.stats.binomtest(k, n).pvalue
        for (gained, lost, p) in
            [(0, 0, 1.0), (3, 3, 1.0), (1, 9, 0.021484375), (0, 6, 0.03125), (30, 50, 0.0329926184)]
        {
            assert!((mcnemar(gained, lost) - p).abs() < 1e-6, "{gained} {lost}: {}", mcnemar(gained, lost));
            assert_eq!(mcnemar(gained, lost), mcnemar(lost, gained));
        }
        assert!((mcnemar(5000, 5200) - 0.04878796).abs() < 1e-7, "{}", mcnemar(5000, 5200));
        assert!(mcnemar(0, 5000) >= 0.0);
    }

    #[test]
    fn intervals_hold_the_mean_and_shrink_with_more_items() {
        let values = |n: usize| (0..n).map(|i| [0.0, 1.0, 0.0, -1.0, 1.0][i % 5]).collect::<Vec<_>>();
        let (low, high) = paired_interval(&[values(50)], 1).unwrap();
        assert!(low < 0.2 && 0.2 < high, "{low} {high}");
        let (l, h) = paired_interval(&[values(5000)], 1).unwrap();
        assert!(h - l < (high - low) / 5.0);
        assert_eq!(paired_interval(&[values(50)], 1), Some((low, high)), "the seed decides");
        assert_ne!(paired_interval(&[values(50)], 2), Some((low, high)));
        assert_eq!(paired_interval(&[vec![0.25; 9], vec![0.75; 3]], 0), Some((0.5, 0.5)));
        assert_eq!(paired_interval(&[vec![]], 0), None);
    }
}
