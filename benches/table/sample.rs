//! Which prompts the reference runs: it is slower by so much that it gets a part of them, and one that is fair to it.

/// Prompts that are neighbours by length.
pub const BLOCK: usize = 16;

/// `count` blocks of neighbours by length, at evenly spread places of all prompts: what a program does that sorts
/// everything by length first, so that next to nothing is padded. The middle one comes first.
pub fn blocks(lengths: &[usize], count: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|i| lengths[*i]);
    let all: Vec<Vec<usize>> = order.chunks(BLOCK).map(<[usize]>::to_vec).collect();
    let count = count.clamp(1, all.len().max(1));
    let mut places: Vec<usize> = (0..count).map(|c| (2 * c + 1) * all.len() / (2 * count)).collect();
    places.swap(0, count / 2);
    places.into_iter().filter_map(|p| all.get(p).cloned()).collect()
}
