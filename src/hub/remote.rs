//! Repositories of the model hub: which files are needed, and the hub's cache that they are kept in.

use super::catalogue::{Entry, FileSpec};
use super::http::{Client, FileHead, Listing};
use super::job::{Job, Source, io_error, make_dir};
use super::reference::{RepoRef, is_safe_relative};
use super::store::{check_space, delete};
use super::transfer::Fetch;
use crate::error::{Context, Error, Result};
use crate::fail;
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const INDEX: &str = "model.safetensors.index.json";
/// An index or configuration larger than this many bytes is not one.
const TEXT_LIMIT: u64 = 64 << 20;

/// What is wanted of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// config.json, tokenizer files, safetensors.
    Model,
    /// adapter_config.json and adapter_model.safetensors.
    Adapter,
}

/// One file of a repository as the file of a catalogue entry.
pub struct HubFile<'a> {
    pub repo: RepoRef,
    pub file: &'a str,
}

impl Source for HubFile<'_> {
    fn fetch(&self, entry: &Entry, files: &Path, _work: &Path, job: &mut Job) -> Result<()> {
        let FileSpec { name, bytes, sha256 } =
            entry.file.as_ref().ok_or_else(|| Error::failed(format!("{}: not a single file", entry.name)))?;
        let client = Client::new(job.config)?;
        let head = client.head(&self.repo, self.file, job.cancel)?;
        if head.size != *bytes || head.sha256().is_some_and(|h| h != sha256) {
            fail!(
                "{} of {} is no longer the file that the catalogue means ({} bytes instead of {bytes}, or another hash)",
                self.file,
                self.repo.shown(),
                head.size
            );
        }
        make_dir(files)?;
        let path = files.join(name);
        let have = fs::metadata(&path).map_or(0, |m| m.len());
        check_space(files, bytes.saturating_sub(have))?;
        let stage = format!("fetching {}", entry.name);
        let (repo, file) = (&self.repo, self.file);
        let fetch = Fetch {
            client: &client,
            repo,
            file,
            head: &head,
            sha256: Some(sha256),
            stage: &stage,
            before: 0,
            total: *bytes,
        };
        fetch.run(&path, job)
    }
}

/// The repository's folder in the hub's cache.
pub fn cache_repo(hub_cache: &Path, repo: &RepoRef) -> CacheRepo {
    let hf = Repo::with_revision(repo.id.clone(), RepoType::Model, repo.revision.clone());
    Cache::new(hub_cache.to_owned()).repo(hf)
}

/// `models--ORG--REPO` in the hub's cache.
pub fn repo_folder(hub_cache: &Path, repo: &RepoRef) -> PathBuf {
    hub_cache.join(Repo::model(repo.id.clone()).folder_name())
}

/// The newest complete snapshot in the hub's cache, without asking the hub; made by any program.
pub fn cached_snapshot(hub_cache: &Path, repo: &RepoRef, purpose: Purpose) -> Option<PathBuf> {
    let named = repo_folder(hub_cache, repo).join("refs").join(&repo.revision);
    let commit = fs::read_to_string(named).unwrap_or_else(|_| repo.revision.clone());
    let commit = commit.trim();
    if !is_safe_relative(commit) || commit.contains('/') {
        return None;
    }
    let snapshot = cache_repo(hub_cache, repo).pointer_path(commit);
    is_complete(&snapshot, purpose).then_some(snapshot)
}

fn is_complete(snapshot: &Path, purpose: Purpose) -> bool {
    let has = |name: &str| snapshot.join(name).is_file();
    match purpose {
        Purpose::Adapter => has("adapter_config.json") && has("adapter_model.safetensors"),
        Purpose::Model if !has("config.json") || !has("tokenizer.json") => false,
        Purpose::Model => {
            has("model.safetensors")
                || shards(&snapshot.join(INDEX)).is_ok_and(|s| !s.is_empty() && s.iter().all(|n| has(n)))
        }
    }
}

/// Fetches what `purpose` needs of a repository into the hub's cache and returns the snapshot's directory.
pub fn fetch_snapshot(repo: &RepoRef, purpose: Purpose, job: &mut Job) -> Result<PathBuf> {
    let client = Client::new(job.config)?;
    let shown = repo.shown();
    job.bytes(&format!("asking the hub for {shown}"), 0, 0);
    let listing = client.listing(repo, job.cancel)?;
    // All files from one commit, even if the repository changes meanwhile.
    let at_commit = RepoRef::new(&repo.id, Some(&listing.commit));
    let cache = cache_repo(&job.config.hub_cache, &at_commit);
    let place = Place { client: &client, repo: &at_commit, cache: &cache, shown: &shown };
    let mut names = match purpose {
        Purpose::Model => small_model_files(&listing, &shown)?,
        Purpose::Adapter => adapter_files(&listing, &shown)?,
    };
    if purpose == Purpose::Model {
        names.extend(place.weight_files(&listing, job)?);
    }
    place.fetch_all(&names, job)?;
    let snapshot = cache.pointer_path(&listing.commit);
    cache_repo(&job.config.hub_cache, repo)
        .create_ref(&listing.commit)
        .map_err(|e| io_error(&snapshot, "write", &e))?;
    Ok(snapshot)
}

fn has(listing: &Listing, name: &str) -> bool {
    listing.files.iter().any(|f| f.name == name)
}

/// The files of a model beside its weights; refuses a repository whose weights cannot be read.
fn small_model_files(listing: &Listing, shown: &str) -> Result<Vec<String>> {
    let ending = |end: &str| listing.files.iter().find(|f| f.name.ends_with(end));
    if !has(listing, "model.safetensors") && !has(listing, INDEX) {
        if has(listing, "adapter_config.json") {
            fail!("{shown} is an adapter, not a model: pass it as --adapter beside --model with its base");
        }
        if let Some(gguf) = ending(".gguf") {
            fail!(
                "{shown} holds GGUF files only: download one (such as {}) and give it as --model FILE.gguf",
                gguf.name
            );
        }
        if ending(".bin").or(ending(".pt")).or(ending(".pth")).is_some() {
            fail!(
                "{shown} has pickled PyTorch weights and no safetensors, which is all that polylens reads: look for a \
                 revision with safetensors (ORG/REPO@REVISION), or convert it"
            );
        }
        fail!("{shown} has no safetensors weights: it is no model that polylens can read");
    }
    for (name, why) in
        [("config.json", "the architecture is not known"), ("tokenizer.json", "text cannot be read")]
    {
        if !has(listing, name) {
            fail!("{shown} has no {name}, and without it {why}");
        }
    }
    let optional = ["tokenizer_config.json", "generation_config.json", "special_tokens_map.json"];
    let mut names = vec!["config.json".to_owned(), "tokenizer.json".to_owned()];
    names.extend(optional.iter().filter(|n| has(listing, n)).map(|n| n.to_string()));
    let is_terms = |n: &str| ["LICENSE", "LICENCE", "NOTICE", "USE_POLICY"].iter().any(|t| n.starts_with(t));
    let small =
        listing.files.iter().filter(|f| f.size.is_none_or(|s| s < 1 << 20) && is_safe_relative(&f.name));
    names.extend(small.filter(|f| is_terms(&f.name) && !f.name.contains('/')).map(|f| f.name.clone()));
    Ok(names)
}

fn adapter_files(listing: &Listing, shown: &str) -> Result<Vec<String>> {
    if !has(listing, "adapter_config.json") {
        fail!("{shown} has no adapter_config.json: it is no PEFT adapter");
    }
    if !has(listing, "adapter_model.safetensors") {
        fail!("{shown} has no adapter_model.safetensors (pickled adapters are not read)");
    }
    Ok(vec!["adapter_config.json".to_owned(), "adapter_model.safetensors".to_owned()])
}

/// The shard names of an index file, each once.
///
/// Errors: not JSON, no `weight_map`, or a shard outside of the index's own directory.
pub fn shards(index: &Path) -> Result<BTreeSet<String>> {
    let shown = index.display();
    let length = fs::metadata(index).with_context(|| shown.to_string())?.len();
    if length > TEXT_LIMIT {
        fail!("{shown}: an index of {length} bytes is no index");
    }
    let text = fs::read(index).with_context(|| shown.to_string())?;
    let value: Value = serde_json::from_slice(&text).with_context(|| format!("{shown}: this is no JSON"))?;
    let map = value.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| Error::failed(format!("{shown}: there is no weight_map in the index")))?;
    let mut names = BTreeSet::new();
    for (tensor, file) in map {
        match file.as_str() {
            Some(file) if is_safe_relative(file) => names.insert(file.to_owned()),
            _ => fail!(
                "{shown}: the index sends {tensor} to {file}, which is not a file beside it: it is refused"
            ),
        };
    }
    Ok(names)
}

/// A repository at a commit and where it is kept.
struct Place<'a> {
    client: &'a Client,
    repo: &'a RepoRef,
    cache: &'a CacheRepo,
    shown: &'a str,
}

impl Place<'_> {
    /// `model.safetensors`, or the index's shards (the index is fetched for that).
    fn weight_files(&self, listing: &Listing, job: &mut Job) -> Result<Vec<String>> {
        if has(listing, "model.safetensors") {
            return Ok(vec!["model.safetensors".to_owned()]);
        }
        self.fetch_all(&[INDEX.to_owned()], job)?;
        let shards = shards(&self.cache.pointer_path(&self.repo.revision).join(INDEX))?;
        if let Some(missing) = shards.iter().find(|s| !has(listing, s)) {
            fail!("{}: the index names {missing}, which the repository does not have", self.shown);
        }
        if shards.is_empty() {
            fail!("{}: the index names no weights", self.shown);
        }
        Ok(shards.into_iter().collect())
    }

    /// Fetches the files that are not in the cache yet and links them into the snapshot.
    fn fetch_all(&self, names: &[String], job: &mut Job) -> Result<()> {
        let mut heads = Vec::new();
        for name in names {
            job.check()?;
            heads.push(self.client.head(self.repo, name, job.cancel)?);
        }
        let total: u64 = heads.iter().map(|h| h.size).sum();
        let blobs = self.cache.blob_path("x").parent().map(Path::to_owned).unwrap_or_default();
        make_dir(&blobs)?;
        let on_disk = |h: &FileHead| match fs::metadata(self.cache.blob_path(&h.etag)) {
            Ok(blob) if blob.len() == h.size => h.size,
            _ => fs::metadata(self.part_path(h)).map_or(0, |m| m.len().min(h.size)),
        };
        check_space(&blobs, total - heads.iter().map(on_disk).sum::<u64>())?;
        let mut before = 0;
        for (name, head) in names.iter().zip(&heads) {
            let stage = format!("fetching {} ({name})", self.shown);
            self.fetch_one(name, head, (&stage, before, total), job)?;
            before += head.size;
            job.bytes(&stage, before, total);
        }
        Ok(())
    }

    fn part_path(&self, head: &FileHead) -> PathBuf {
        // hf-hub's own name for an unfinished blob: either program goes on where the other ended.
        self.cache.blob_path(&head.etag).with_extension("part")
    }

    fn fetch_one(&self, file: &str, head: &FileHead, at: (&str, u64, u64), job: &mut Job) -> Result<()> {
        let (stage, before, total) = at;
        let blob = self.cache.blob_path(&head.etag);
        if fs::metadata(&blob).is_ok_and(|m| m.len() == head.size) {
            job.reused += head.size;
        } else {
            let part = self.part_path(head);
            let sha256 = head.sha256();
            Fetch { client: self.client, repo: self.repo, file, head, sha256, stage, before, total }
                .run(&part, job)?;
            fs::rename(&part, &blob).map_err(|e| io_error(&blob, "write", &e))?;
        }
        let link = self.cache.pointer_path(&self.repo.revision).join(file);
        if let Some(parent) = link.parent() {
            make_dir(parent)?;
        }
        // A link to a blob that was since deleted, or was replaced, is made anew.
        if fs::metadata(&link).is_ok_and(|m| m.len() == head.size) {
            return Ok(());
        }
        delete(&link)?;
        link_to_blob(&blob, &link, file).map_err(|e| io_error(&link, "write", &e))
    }
}

/// A relative link, as all programs that share the cache make it; a copy where there are no links.
fn link_to_blob(blob: &Path, link: &Path, file: &str) -> std::io::Result<()> {
    let mut relative = PathBuf::from("../..");
    (0..file.matches('/').count()).for_each(|_| relative.push(".."));
    relative.push("blobs");
    relative.push(blob.file_name().unwrap_or_default());
    #[cfg(unix)]
    return std::os::unix::fs::symlink(relative, link);
    #[cfg(windows)]
    return std::os::windows::fs::symlink_file(relative, link).or_else(|_| fs::copy(blob, link).map(|_| ()));
    #[cfg(not(any(unix, windows)))]
    return fs::copy(blob, link).map(|_| ());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_may_only_name_files_beside_it() {
        let tmp = tempfile::tempdir().unwrap();
        let index = tmp.path().join(INDEX);
        let read = |text: &str| {
            fs::write(&index, text).unwrap();
            shards(&index)
        };
        let good =
            read(r#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"}}"#);
        assert_eq!(good.unwrap().into_iter().collect::<Vec<_>>(), ["m-1.safetensors", "m-2.safetensors"]);
        for bad in ["../../x", "/etc/passwd", "a/../../b", "C:\\x", ""] {
            let text = serde_json::json!({"weight_map": {"w": bad}}).to_string();
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains("refused") && error.contains(INDEX), "{error}");
        }
        assert!(read(r#"{"weight_map":{"w":7}}"#).is_err());
        assert!(read("{}").unwrap_err().to_string().contains("no weight_map"));
        assert!(read("{").unwrap_err().to_string().contains("no JSON"));
    }
}
