//! Fuzzy matching for pickers and the palette.

/// How well `query` matches `text`: `None` if not all of its words are found; higher is better. A word
/// matches as a substring (best at the start of a word) or, failing that, as a subsequence. Case is
/// ignored. An empty query matches everything equally.
pub fn score(query: &str, text: &str) -> Option<i32> {
    let text = text.to_lowercase();
    query.to_lowercase().split_whitespace().map(|word| word_score(word, &text)).sum()
}

fn word_score(word: &str, text: &str) -> Option<i32> {
    if let Some(at) = text.find(word) {
        let starts_word = text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
        let early = 20_i32.saturating_sub(at.min(20) as i32);
        return Some(if starts_word { 200 + early } else { 100 + early });
    }
    // Single characters match as substrings only: as a subsequence they would match nearly anything.
    if word.chars().count() < 2 {
        return None;
    }
    let mut gaps = 0;
    let mut rest = text;
    for c in word.chars() {
        let at = rest.find(c)?;
        gaps += at.min(10) as i32;
        rest = &rest[at + c.len_utf8()..];
    }
    Some((60 - gaps).max(1))
}

/// Indices of the texts that match, best first; equal ones keep their order.
pub fn rank<'a>(query: &str, texts: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let mut hits: Vec<(i32, usize)> =
        texts.into_iter().enumerate().filter_map(|(i, t)| score(query, t).map(|s| (s, i))).collect();
    hits.sort_by_key(|(s, i)| (-s, *i));
    hits.into_iter().map(|(_, i)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_matches_come_first() {
        let texts = ["th ไทย Thai", "en English", "sw Kiswahili Swahili", "zh 中文 Chinese"];
        assert_eq!(rank("th", texts)[0], 0);
        assert_eq!(rank("swa", texts)[0], 2);
        assert_eq!(rank("ไทย", texts), [0]);
        assert_eq!(rank("中", texts), [3]);
        assert_eq!(rank("", texts), [0, 1, 2, 3]);
        assert_eq!(rank("chns", texts), [3]);
        assert!(rank("xyz", texts).is_empty());
    }
}
