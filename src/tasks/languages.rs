//! The 20 languages, in the order in which everything lists them (science.md).

use crate::error::{Error, Result};

/// One of the 20 languages.
#[derive(Debug, PartialEq)]
pub struct Language {
    /// ISO 639-1 code, as in file names and options.
    pub code: &'static str,
    /// English name.
    pub name: &'static str,
    /// The language's name for itself.
    pub own: &'static str,
    pub script: &'static str,
    /// Share of LLaMA-2's training data in percent, where it was published (the ten highest).
    pub llama2_percent: Option<f32>,
}

const fn language(
    code: &'static str,
    name: &'static str,
    own: &'static str,
    script: &'static str,
    llama2_percent: Option<f32>,
) -> Language {
    Language { code, name, own, script, llama2_percent }
}

/// All languages; the first ten are the highest-resource ones of LLaMA-2's training data.
pub const LANGUAGES: [Language; 20] = [
    language("en", "English", "English", "Latin", Some(89.70)),
    language("zh", "Chinese", "中文", "Han", Some(0.13)),
    language("de", "German", "Deutsch", "Latin", Some(0.17)),
    language("fr", "French", "français", "Latin", Some(0.16)),
    language("es", "Spanish", "español", "Latin", Some(0.13)),
    language("it", "Italian", "italiano", "Latin", Some(0.11)),
    language("nl", "Dutch", "Nederlands", "Latin", Some(0.12)),
    language("ja", "Japanese", "日本語", "Han and kana", Some(0.10)),
    language("ru", "Russian", "русский", "Cyrillic", Some(0.13)),
    language("sv", "Swedish", "svenska", "Latin", Some(0.15)),
    language("sl", "Slovenian", "slovenščina", "Latin", None),
    language("pl", "Polish", "polski", "Latin", None),
    language("bg", "Bulgarian", "български", "Cyrillic", None),
    language("no", "Norwegian", "norsk", "Latin", None),
    language("ms", "Malay", "Bahasa Melayu", "Latin", None),
    language("is", "Icelandic", "íslenska", "Latin", None),
    language("hi", "Hindi", "हिन्दी", "Devanagari", None),
    language("th", "Thai", "ไทย", "Thai", None),
    language("sw", "Swahili", "Kiswahili", "Latin", None),
    language("bn", "Bengali", "বাংলা", "Bengali", None),
];

impl Language {
    /// The language of a code, exactly as it is written in [`LANGUAGES`].
    pub fn of_code(code: &str) -> Option<&'static Self> {
        LANGUAGES.iter().find(|language| language.code == code)
    }

    /// Finds a language by code, English name, own name, or a beginning that only one of them has;
    /// upper and lower case are the same.
    ///
    /// # Errors
    /// [`Error::Usage`] naming what was meant at the nearest, or all codes.
    pub fn find(query: &str) -> Result<&'static Self> {
        let wanted = query.trim().to_lowercase();
        if let Some(language) = LANGUAGES.iter().find(|l| l.spellings().contains(&wanted)) {
            return Ok(language);
        }
        let starts = |l: &&Self| l.spellings()[1..].iter().any(|s| s.starts_with(&wanted));
        let found: Vec<&Self> = LANGUAGES.iter().filter(starts).collect();
        match found[..] {
            [language] if !wanted.is_empty() => Ok(language),
            [] | [_] => Err(unknown(query, &wanted)),
            _ if wanted.is_empty() => Err(unknown(query, &wanted)),
            _ => Err(Error::usage(format!("{query:?} could be {}: write the code", listed(&found)))),
        }
    }

    /// Reads `en,de,fr` or `all`; a language named twice counts once.
    ///
    /// # Errors
    /// [`Error::Usage`] as in [`Language::find`], and where the list is empty.
    pub fn find_all(list: &str) -> Result<Vec<&'static Self>> {
        if list.trim().eq_ignore_ascii_case("all") {
            return Ok(LANGUAGES.iter().collect());
        }
        let mut found: Vec<&'static Self> = Vec::new();
        for name in list.split(',').filter(|name| !name.trim().is_empty()) {
            let language = Self::find(name)?;
            if !found.contains(&language) {
                found.push(language);
            }
        }
        if found.is_empty() {
            return Err(Error::usage(format!(
                "no language is named: write codes, as in en,de,fr, or all ({})",
                codes()
            )));
        }
        Ok(found)
    }

    fn spellings(&self) -> [String; 3] {
        [self.code.to_owned(), self.name.to_lowercase(), self.own.to_lowercase()]
    }
}

fn codes() -> String {
    LANGUAGES.map(|l| l.code).join(" ")
}

fn listed(languages: &[&Language]) -> String {
    languages.iter().map(|l| format!("{} ({})", l.code, l.name)).collect::<Vec<_>>().join(", ")
}

fn unknown(query: &str, wanted: &str) -> Error {
    let near: Vec<&Language> = LANGUAGES
        .iter()
        .filter(|l| wanted.chars().count() > 2 && l.spellings().iter().any(|s| distance(s, wanted) <= 2))
        .collect();
    let hint = match near[..] {
        [] => format!("the languages are {}", codes()),
        _ => format!("did you mean {}?", listed(&near)),
    };
    Error::usage(format!("{query:?} is not one of the 20 languages; {hint}"))
}

/// Levenshtein's distance, in characters.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let best = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_and_the_shares_are_those_of_the_definitions() {
        assert_eq!(codes(), "en zh de fr es it nl ja ru sv sl pl bg no ms is hi th sw bn");
        assert!(LANGUAGES.iter().enumerate().all(|(i, l)| l.llama2_percent.is_some() == (i < 10)));
    }

    #[test]
    fn a_language_is_found_by_any_of_its_names() {
        for (query, code) in [
            ("EN", "en"),
            ("german", "de"),
            ("Deutsch", "de"),
            ("中文", "zh"),
            (" SVEN ", "sv"),
            ("РУС", "ru"),
            ("bahasa", "ms"),
            ("icel", "is"),
            ("no", "no"),
            ("ไท", "th"),
        ] {
            assert_eq!(Language::find(query).unwrap().code, code, "{query}");
        }
    }

    #[test]
    fn an_unknown_or_unclear_name_says_what_is_near() {
        let error = |query: &str| {
            let error = Language::find(query).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert!(error("germn").contains("de (German)"), "{}", error("germn"));
        assert!(error("xx").contains("en zh de"));
        assert!(error("").contains("en zh de"));
        let both = error("s");
        assert!(both.contains("sv (Swedish)") && both.contains("sl (Slovenian)"), "{both}");
    }

    #[test]
    fn lists_keep_their_order_and_name_each_language_once() {
        let codes =
            |list: &str| Language::find_all(list).map(|l| l.iter().map(|l| l.code).collect::<Vec<_>>());
        assert_eq!(codes("de, english,de,").unwrap(), ["de", "en"]);
        assert_eq!(codes("ALL").unwrap().len(), 20);
        assert!(codes(" , ").is_err() && codes("en,xx").is_err());
    }

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("ab", "ab")), (3, 3, 0));
    }
}
