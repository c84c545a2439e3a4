//! Requests to the model hub: what a repository holds, what a file is, and its bytes from any offset.
//!
//! hf-hub gives the addresses, the cache's layout and the conventions. Its own downloader is not used: it cannot
//! be cancelled, has no time limits, checks no hash, and appends a whole file to a partial one when a server
//! ignores the range that it asked for.

use super::HubConfig;
use super::reference::RepoRef;
use crate::engine::control::Cancel;
use crate::error::{Error, Result};
use crate::fail;
use hf_hub::{Repo, RepoType};
use serde::Deserialize;
use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::time::Duration;
use ureq::config::RedirectAuthHeaders;
use ureq::http::Response;
use ureq::{Agent, Body};

/// How often a waiting request looks at the cancel flag.
const POLL: Duration = Duration::from_millis(50);
/// A server that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// An answer of the hub's interface is never larger than this many bytes.
const ANSWER_LIMIT: u64 = 32 << 20;

/// A file of a repository as the hub lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    pub size: Option<u64>,
}

/// A repository at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub commit: String,
    pub files: Vec<Listed>,
}

/// What the hub says of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHead {
    /// Names the contents; the sha256 for large files (LFS), a git hash for small ones.
    pub etag: String,
    pub size: u64,
}

impl FileHead {
    /// The contents' sha256, where the etag is one.
    pub fn sha256(&self) -> Option<&str> {
        (self.etag.len() == 64 && self.etag.bytes().all(|b| b.is_ascii_hexdigit())).then_some(&self.etag)
    }
}

#[derive(Deserialize)]
struct RawListing {
    sha: String,
    siblings: Vec<RawFile>,
}

#[derive(Deserialize)]
struct RawFile {
    rfilename: String,
    size: Option<u64>,
}

/// A connection to the hub.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    /// The same, but handing out redirects: the first answer holds the hash, the one redirected to does not.
    direct: Agent,
    endpoint: String,
    token: Option<String>,
}

impl Client {
    /// A client for the configured endpoint. Errors: `HF_HUB_OFFLINE` is set.
    pub fn new(config: &HubConfig) -> Result<Self> {
        if config.offline {
            fail!(
                "HF_HUB_OFFLINE is set, so the hub is not asked: unset it, or use a model that is in the cache"
            );
        }
        let endpoint = match &config.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => default_endpoint(config)?,
        };
        let local = endpoint.split("://").nth(1).is_some_and(|rest| {
            ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| rest.starts_with(host))
        });
        let build = |redirects: u32| -> Agent {
            let builder = Agent::config_builder()
                .user_agent(concat!("polylens/", env!("CARGO_PKG_VERSION")))
                .accept_encoding("identity")
                .redirect_auth_headers(RedirectAuthHeaders::SameHost)
                .max_redirects(redirects)
                .http_status_as_error(false)
                .timeout_connect(Some(Duration::from_secs(20)))
                .timeout_recv_response(Some(SILENCE))
                .timeout_per_read(Some(SILENCE));
            // A proxy cannot reach this machine's own loopback.
            if local { builder.proxy(None).build().into() } else { builder.build().into() }
        };
        Ok(Self { agent: build(10), direct: build(0), endpoint, token: config.token.clone() })
    }

    /// The repository's files at the reference's newest commit.
    pub fn listing(&self, repo: &RepoRef, cancel: &Cancel) -> Result<Listing> {
        let hf = Repo::with_revision(repo.id.clone(), RepoType::Model, repo.revision.clone());
        let url = format!("{}/api/{}?blobs=true", self.endpoint, hf.api_url());
        let client = self.clone();
        let (status, code, body) = in_background(cancel, move || {
            let mut response = client.send(&client.agent, "GET", &url, None)?;
            let (status, code) = (response.status().as_u16(), error_code(&response));
            let body = response.body_mut().with_config().limit(ANSWER_LIMIT).read_to_vec();
            Ok((status, code, body.unwrap_or_default()))
        })?
        .map_err(|e| self.unreachable(&e))?;
        if status != 200 {
            return Err(self.refused(status, code.as_deref(), &repo.shown(), ""));
        }
        let raw: RawListing = serde_json::from_slice(&body).map_err(|e| {
            Error::failed(format!("the hub's list of the files of {} cannot be read: {e}", repo.shown()))
        })?;
        if raw.sha.len() < 7 || !raw.sha.bytes().all(|b| b.is_ascii_alphanumeric()) {
            fail!("the hub names an impossible commit for {}: {:?}", repo.shown(), raw.sha);
        }
        let files = raw.siblings.into_iter().map(|f| Listed { name: f.rfilename, size: f.size }).collect();
        Ok(Listing { commit: raw.sha, files })
    }

    /// Hash and size of a file, without its bytes.
    pub fn head(&self, repo: &RepoRef, file: &str, cancel: &Cancel) -> Result<FileHead> {
        let mut url = self.url(repo, file);
        // The hub answers a renamed repository with a redirect on its own host; one to another host is storage.
        for _ in 0..5 {
            let (client, at) = (self.clone(), url.clone());
            let response = in_background(cancel, move || client.send(&client.direct, "HEAD", &at, None))?
                .map_err(|e| self.unreachable(&e))?;
            let status = response.status().as_u16();
            let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
            if let Some(path) =
                header("location").filter(|l| (301..=308).contains(&status) && l.starts_with('/'))
            {
                url = format!("{}{path}", origin(&self.endpoint));
                continue;
            }
            if !(200..400).contains(&status) {
                return Err(self.refused(status, error_code(&response).as_deref(), &repo.shown(), file));
            }
            let etag = header("x-linked-etag").or_else(|| header("etag")).unwrap_or_default();
            let etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
            let size =
                header("x-linked-size").or_else(|| header("content-length")).and_then(|s| s.parse().ok());
            let etag_ok = (1..=128).contains(&etag.len())
                && etag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            return match size {
                Some(size) if etag_ok => Ok(FileHead { etag, size }),
                _ => Err(Error::failed(format!(
                    "the hub says neither size nor hash of {file} in {}: {} may be no model hub",
                    repo.shown(),
                    self.endpoint
                ))),
            };
        }
        fail!("the hub redirects {file} of {} in a circle", repo.shown())
    }

    /// The bytes of a file from `offset` on, as they arrive.
    pub fn bytes(&self, repo: &RepoRef, file: &str, offset: u64, cancel: &Cancel) -> Result<Stream> {
        let (client, url) = (self.clone(), self.url(repo, file));
        let response = in_background(cancel, move || client.send(&client.agent, "GET", &url, Some(offset)))?
            .map_err(|e| self.unreachable(&e))?;
        let status = response.status().as_u16();
        let range = response.headers().get("content-range").and_then(|v| v.to_str().ok());
        let begins: Option<u64> =
            range.and_then(|r| r.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok());
        let start = match (status, begins) {
            (206, Some(begins)) if begins == offset => offset,
            (206, _) => fail!("{file}: the server sent another part than the one asked for ({range:?})"),
            // A server without ranges sends everything.
            (200, _) => 0,
            _ => return Err(self.refused(status, error_code(&response).as_deref(), &repo.shown(), file)),
        };
        let (send, chunks) = sync_channel(4);
        std::thread::spawn(move || {
            let mut reader = response.into_body().into_reader();
            loop {
                let mut chunk = vec![0; 1 << 18];
                let read = reader.read(&mut chunk).map(|n| {
                    chunk.truncate(n);
                    chunk
                });
                let last = read.as_ref().map_or(true, Vec::is_empty);
                if send.send(read.map_err(|e| e.to_string())).is_err() || last {
                    return;
                }
            }
        });
        Ok(Stream { start, chunks })
    }

    /// The address of a file, as hf-hub makes it.
    fn url(&self, repo: &RepoRef, file: &str) -> String {
        let hf = Repo::with_revision(repo.id.clone(), RepoType::Model, repo.revision.clone());
        format!("{}/{}/resolve/{}/{file}", self.endpoint, hf.url(), hf.url_revision())
    }

    fn send(
        &self,
        agent: &Agent,
        method: &str,
        url: &str,
        offset: Option<u64>,
    ) -> Result<Response<Body>, String> {
        let mut request = if method == "HEAD" { agent.head(url) } else { agent.get(url) };
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(offset) = offset {
            request = request.header("Range", format!("bytes={offset}-"));
        }
        request.call().map_err(|e| e.to_string())
    }

    fn unreachable(&self, why: &str) -> Error {
        Error::failed(format!(
            "the hub at {} cannot be reached ({why}): check the network, the proxy settings and HF_ENDPOINT",
            self.endpoint
        ))
    }

    /// A sentence for a status that is no success. `file` may be empty.
    fn refused(&self, status: u16, code: Option<&str>, repo: &str, file: &str) -> Error {
        let of = if file.is_empty() { repo.to_owned() } else { format!("{file} of {repo}") };
        let token = if self.token.is_some() { "the token that is set" } else { "no token" };
        Error::failed(match (status, code) {
            (401 | 403, Some("GatedRepo")) => format!(
                "{repo} is gated: accept its terms on its page at the hub, then set HF_TOKEN to a token of that account"
            ),
            (401, _) => format!(
                "the hub does not give {of} to {token}: the repository does not exist, or it is private or gated; check \
                 the name, and set HF_TOKEN to a token that may read it"
            ),
            (403, _) => {
                format!("the hub forbids {of} to {token}: accept its terms on its page, or use another token")
            }
            (404, Some("RevisionNotFound")) => format!("{repo}: the repository has no such revision"),
            (404, Some("EntryNotFound")) => format!("{repo} has no file {file}"),
            (404, _) => format!("the hub has no {of}: check the name"),
            (429, _) => format!(
                "the hub asks to slow down: wait some minutes, or set HF_TOKEN, then fetch {of} again"
            ),
            (500.., _) => {
                format!("the hub has trouble of its own (status {status} for {of}): try again later")
            }
            _ => format!("the hub answered with status {status} for {of}"),
        })
    }
}

/// A body under way. Chunks end with an empty one (complete) or an error (broken off).
pub struct Stream {
    /// Offset of the first byte: the one asked for, or 0 from a server without ranges.
    pub start: u64,
    chunks: Receiver<Result<Vec<u8>, String>>,
}

impl Stream {
    /// The next bytes; `None` at the end. The inner error says why the connection broke.
    pub fn next(&mut self, cancel: &Cancel) -> Result<Result<Option<Vec<u8>>, String>> {
        Ok(match receive(&self.chunks, cancel)? {
            Some(Ok(chunk)) if chunk.is_empty() => Ok(None),
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(why)) => Err(why),
            None => Err("the connection was lost".to_owned()),
        })
    }
}

/// hf-hub's own address, taken from an address that it makes.
fn default_endpoint(config: &HubConfig) -> Result<String> {
    let cache = hf_hub::Cache::new(config.hub_cache.clone());
    let api = hf_hub::api::sync::ApiBuilder::from_cache(cache).with_token(None).build();
    let api = api.map_err(|e| Error::failed(format!("the hub's client cannot be made: {e}")))?;
    let url = api.model("a/b".to_owned()).url("");
    Ok(url.trim_end_matches("/a/b/resolve/main/").to_owned())
}

/// Scheme and host of an address, without its path.
fn origin(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at + 3);
    address[host..].find('/').map_or(address, |end| &address[..host + end])
}

fn error_code(response: &Response<Body>) -> Option<String> {
    response.headers().get("x-error-code").and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// Runs a request on a thread of its own and waits, so that cancelling does not wait for a silent server.
fn in_background<T: Send + 'static>(
    cancel: &Cancel,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<Result<T, String>> {
    let (send, answer) = channel();
    std::thread::spawn(move || {
        let _ = send.send(work());
    });
    Ok(receive(&answer, cancel)?.unwrap_or_else(|| Err("the request was lost".to_owned())))
}

/// The next message, `None` if the sender is gone, `Interrupted` once the flag is raised.
fn receive<T>(from: &Receiver<T>, cancel: &Cancel) -> Result<Option<T>> {
    loop {
        cancel.check()?;
        match from.recv_timeout(POLL) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_an_address_has_no_path() {
        assert_eq!(origin("https://mirror.example/hub/v1"), "https://mirror.example");
        assert_eq!(origin("http://127.0.0.1:80"), "http://127.0.0.1:80");
    }

    #[test]
    fn the_default_address_is_hf_hubs_own() {
        let client = Client::new(&HubConfig::under("/nowhere")).unwrap();
        assert!(
            client.endpoint.starts_with("https://") && !client.endpoint.ends_with('/'),
            "{}",
            client.endpoint
        );
        let offline = HubConfig { offline: true, ..HubConfig::under("/nowhere") };
        assert!(Client::new(&offline).err().unwrap().to_string().contains("HF_HUB_OFFLINE"));
    }
}
