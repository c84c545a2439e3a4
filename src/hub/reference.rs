//! What a `--model` or `--adapter` value means: a catalogue name, a hub repository, a directory or a file.

use super::catalogue::{self, Entry, Form};
use crate::error::{Context, Error, Result};
use crate::fail;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// A repository of the hub at a revision (branch, tag or commit).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoRef {
    /// ORG/REPO.
    pub id: String,
    /// `main` unless given as ORG/REPO@REVISION.
    pub revision: String,
}

impl RepoRef {
    /// `id` at `revision`, `main` if that is `None`.
    pub fn new(id: &str, revision: Option<&str>) -> Self {
        Self { id: id.to_owned(), revision: revision.unwrap_or("main").to_owned() }
    }

    /// ORG/REPO, with @REVISION where that is not `main`.
    pub fn shown(&self) -> String {
        if self.revision == "main" { self.id.clone() } else { format!("{}@{}", self.id, self.revision) }
    }
}

/// A reference, understood but not yet looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Catalogue(&'static Entry),
    Repository(RepoRef),
    Path(PathBuf),
}

/// Understands `text`: a catalogue name comes first, then anything that exists on disk, then `ORG/REPO[@REVISION]`.
///
/// Errors (usage): neither of these; the sentence suggests the nearest name.
pub fn parse(text: &str) -> Result<Reference> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::usage(
            "the model is an empty text: give a name, ORG/REPO, a directory or a .gguf file",
        ));
    }
    if let Some(entry) = catalogue::find(text) {
        return Ok(Reference::Catalogue(entry));
    }
    let path = expand_home(text);
    if path.exists() {
        return Ok(Reference::Path(path));
    }
    let looks_local = text.starts_with(['.', '/', '~', '\\'])
        || text.ends_with(['/', '\\'])
        || has_extension(&path, "gguf")
        || has_extension(&path, "safetensors")
        || path.is_absolute();
    if let Some(repo) = parse_repository(text)
        && !looks_local
    {
        return Ok(Reference::Repository(repo));
    }
    if looks_local || text.contains(['/', '\\']) {
        return Err(Error::usage(format!("{text}: there is no such file or directory")));
    }
    let hint = match catalogue::nearest(text) {
        Some(near) => format!("did you mean {near}?"),
        None => "give a name from `polylens models list`, ORG/REPO of the hub, a directory or a .gguf file"
            .to_owned(),
    };
    Err(Error::usage(format!("there is no model \"{text}\": {hint}")))
}

/// ORG/REPO or ORG/REPO@REVISION.
pub fn parse_repository(text: &str) -> Option<RepoRef> {
    let (id, revision) = match text.split_once('@') {
        Some((id, revision)) => (id, Some(revision)),
        None => (text, None),
    };
    let revision_ok = |r: &str| is_safe_relative(r) && r.bytes().all(|b| is_word(b) || b == b'/');
    (is_repository(id) && revision.is_none_or(revision_ok)).then(|| RepoRef::new(id, revision))
}

/// Whether `text` is ORG/REPO by the hub's rules (letters, digits, `-`, `_`, `.`; no `..` and no `--`).
pub fn is_repository(text: &str) -> bool {
    let part_ok = |part: &str| {
        (1..=96).contains(&part.len())
            && part.bytes().all(is_word)
            && !part.contains("..")
            && !part.contains("--")
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
    };
    text.split_once('/').is_some_and(|(org, repo)| part_ok(org) && part_ok(repo))
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
}

/// Whether a path from outside (a wheel's member, an index's shard, a repository's file) stays below the
/// directory that it is joined to.
pub fn is_safe_relative(text: &str) -> bool {
    !text.is_empty()
        && !text.contains(['\\', '\0', ':'])
        && !text.ends_with('/')
        && Path::new(text).components().all(|c| matches!(c, Component::Normal(_)))
}

/// A model on disk: what kind it is, by looking at it.
///
/// Errors: a directory without config.json or safetensors, a file that is no GGUF; each says what it is instead.
pub fn local_model(path: &Path) -> Result<Form> {
    if path.is_dir() { model_directory(path) } else { gguf_file(path) }
}

/// The file's stem or the directory's name, for showing.
pub fn local_name(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if full.is_dir() { full.file_name() } else { full.file_stem() };
    name.map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

fn model_directory(dir: &Path) -> Result<Form> {
    let shown = dir.display();
    let names = file_names(dir)?;
    let has = |name: &str| names.iter().any(|n| n == name);
    if !has("config.json") {
        if has("adapter_config.json") {
            fail!(
                "{shown}: this is an adapter, not a model: pass it as --adapter beside --model with its base"
            );
        }
        if let Some(gguf) = names.iter().find(|n| n.ends_with(".gguf")) {
            fail!(
                "{shown}: the directory has no config.json but holds a GGUF file: give {shown}/{gguf} itself"
            );
        }
        fail!("{shown}: the directory has no config.json, so it is no Hugging Face model directory");
    }
    if names.iter().any(|n| n.ends_with(".safetensors")) {
        return Ok(Form::Directory);
    }
    if names.iter().any(|n| n.ends_with(".bin") || n.ends_with(".pt") || n.ends_with(".pth")) {
        fail!(
            "{shown}: the weights are pickled PyTorch files, which polylens does not run: save them as safetensors"
        );
    }
    fail!("{shown}: the directory has config.json but no .safetensors weights")
}

fn gguf_file(path: &Path) -> Result<Form> {
    let shown = path.display();
    let mut head = Vec::new();
    let file = File::open(path).with_context(|| shown.to_string())?;
    file.take(64).read_to_end(&mut head).with_context(|| shown.to_string())?;
    if head.starts_with(b"GGUF") {
        return Ok(Form::Gguf);
    }
    let what = if head.is_empty() {
        "it is empty; fetch it again"
    } else if head.starts_with(b"version https://git-lfs") {
        "it is a git-lfs pointer, not the file; run `git lfs pull` in its repository"
    } else if has_extension(path, "safetensors") || head.get(8) == Some(&b'{') {
        "it is safetensors weights; give the directory that it lies in, with config.json and tokenizer.json"
    } else if head.starts_with(b"PK") {
        "it is a zip file (a wheel or a pickled PyTorch file)"
    } else if head.starts_with(b"<") {
        "it is a web page, perhaps the error page of a download"
    } else {
        "a GGUF file begins with the letters GGUF"
    };
    fail!("{shown}: this is no GGUF file: {what}")
}

/// Checks that `dir` is a PEFT adapter directory (adapter_config.json and adapter_model.safetensors).
pub fn local_adapter(dir: &Path) -> Result<()> {
    let shown = dir.display();
    if !dir.is_dir() {
        if dir.file_name().is_some_and(|n| n == "adapter_model.safetensors" || n == "adapter_config.json") {
            fail!("{shown}: give the adapter's directory, not a file of it");
        }
        fail!("{shown}: an adapter is a directory with adapter_config.json and adapter_model.safetensors");
    }
    let names = file_names(dir)?;
    let has = |name: &str| names.iter().any(|n| n == name);
    match (has("adapter_config.json"), has("adapter_model.safetensors")) {
        (true, true) => Ok(()),
        (true, false) if has("adapter_model.bin") => fail!(
            "{shown}: the adapter's weights are pickled (adapter_model.bin), which polylens does not run: \
             save it again with PEFT's safe_serialization=True"
        ),
        (true, false) => {
            fail!("{shown}: the directory has adapter_config.json but no adapter_model.safetensors")
        }
        (false, _) if has("config.json") => fail!(
            "{shown}: this is a whole model, not an adapter (it has config.json and no adapter_config.json): \
             use it as --model"
        ),
        (false, _) => fail!("{shown}: the directory has no adapter_config.json, so it is no PEFT adapter"),
    }
}

fn file_names(dir: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension))
}

/// `~/…` as a shell would, for text that no shell has seen (the explorer's pickers).
pub fn expand_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_apart() {
        assert!(
            matches!(parse("gemma-3-270m").unwrap(), Reference::Catalogue(e) if e.name == "gemma-3-270m")
        );
        let Reference::Repository(r) = parse("Qwen/Qwen1.5-0.5B").unwrap() else { panic!() };
        assert_eq!((r.id.as_str(), r.revision.as_str()), ("Qwen/Qwen1.5-0.5B", "main"));
        let Reference::Repository(r) = parse("a/b@refs/pr/1").unwrap() else { panic!() };
        assert_eq!((r.shown().as_str(), r.revision.as_str()), ("a/b@refs/pr/1", "refs/pr/1"));
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(parse(dir.path().to_str().unwrap()).unwrap(), Reference::Path(_)));
        for (text, says) in [
            ("", "empty"),
            ("gema-3-270m", "did you mean gemma-3-270m?"),
            ("nothing-like-it-at-all", "models list"),
            ("./missing", "no such file"),
            ("org/missing.gguf", "no such file"),
            ("a/b/c", "no such file"),
            ("../../no/such/place", "no such file"),
            ("a/b@../x", "no such file"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn paths_that_leave_their_directory_are_seen() {
        for good in ["a", "a/b.txt", "model-00001-of-00002.safetensors", "..a"] {
            assert!(is_safe_relative(good), "{good}");
        }
        for bad in ["", "/", "/etc/passwd", "../x", "a/../../x", "a/..", "./a", "a\\b", "c:/x", "a\0b", "a/"]
        {
            assert!(!is_safe_relative(bad), "{bad}");
        }
        for bad in ["a", "a/b/c", "../b", "a/..", "a/b ", "-a/b", "a/b--c", ".a/b", "a/", "/b"] {
            assert!(!is_repository(bad), "{bad}");
        }
    }

    #[test]
    fn a_wrong_file_or_directory_is_named_for_what_it_is() {
        let tmp = tempfile::tempdir().unwrap();
        let make = |name: &str, bytes: &[u8]| {
            let path = tmp.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            path
        };
        assert_eq!(local_model(&make("ok.gguf", b"GGUF\x03\0\0\0")).unwrap(), Form::Gguf);
        for (name, bytes, says) in [
            ("empty.gguf", &b""[..], "empty"),
            ("lfs.gguf", b"version https://git-lfs", "git-lfs pointer"),
            ("page.gguf", b"<!doctype html>", "web page"),
            ("zip.gguf", b"PK\x03\x04", "zip file"),
            ("x.safetensors", b"\x02\0\0\0\0\0\0\0{}", "directory that it lies in"),
            ("noise.gguf", b"\x00\x01", "letters GGUF"),
        ] {
            let error = local_model(&make(name, bytes)).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains(name), "{error}");
        }
        let dir_error = |dir: &str| local_model(&tmp.path().join(dir)).unwrap_err().to_string();
        make("gg/model.gguf", b"GGUF");
        assert!(dir_error("gg").contains("gg/model.gguf itself"));
        make("ad/adapter_config.json", b"{}");
        assert!(dir_error("ad").contains("--adapter"));
        make("bin/config.json", b"{}");
        assert!(dir_error("bin").contains("no .safetensors"));
        make("bin/pytorch_model.bin", b"");
        assert!(dir_error("bin").contains("pickled"));
        make("ok/config.json", b"{}");
        make("ok/model.safetensors", b"");
        assert_eq!(local_model(&tmp.path().join("ok")).unwrap(), Form::Directory);
    }

    #[test]
    fn a_wrong_adapter_is_named_for_what_it_is() {
        let tmp = tempfile::tempdir().unwrap();
        let error = || local_adapter(tmp.path()).unwrap_err().to_string();
        let touch = |name: &str| std::fs::write(tmp.path().join(name), "{}").unwrap();
        assert!(error().contains("no adapter_config.json"));
        touch("config.json");
        assert!(error().contains("--model"));
        touch("adapter_config.json");
        assert!(error().contains("no adapter_model.safetensors"));
        touch("adapter_model.bin");
        assert!(error().contains("pickled"));
        touch("adapter_model.safetensors");
        assert!(local_adapter(tmp.path()).is_ok());
        let file = tmp.path().join("adapter_model.safetensors");
        assert!(local_adapter(&file).unwrap_err().to_string().contains("directory"));
    }
}
