//! A model hub on the loopback: listings, hashes in headers, redirects to storage, ranges, and faults on request.

use crate::support::sha256;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How a file is served.
#[derive(Clone, Debug, Default)]
pub struct Served {
    pub bytes: Vec<u8>,
    /// Large file: the first answer redirects to storage and names the sha256.
    pub lfs: bool,
    /// The hash that is named instead of the right one.
    pub claims: Option<String>,
    /// So many answers end after so many bytes of their part.
    pub cut: Option<(u32, usize)>,
    pub ignores_ranges: bool,
    /// After so many bytes the server is silent.
    pub stalls_after: Option<usize>,
}

#[derive(Default)]
struct State {
    repos: HashMap<String, HashMap<String, Served>>,
    renamed: HashMap<String, String>,
    token: Option<String>,
    /// "GET /path range=… auth=…"
    log: Vec<String>,
}

/// The running server; its thread ends with the test process.
pub struct FakeHub {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

impl FakeHub {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared, port));
            }
        });
        Self { port, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn put(&self, repo: &str, name: &str, served: Served) {
        let mut state = self.state.lock().unwrap();
        state.repos.entry(repo.to_owned()).or_default().insert(name.to_owned(), served);
    }

    /// A small text file and a large file, served rightly.
    pub fn text(&self, repo: &str, name: &str, text: &str) {
        self.put(repo, name, Served { bytes: text.into(), ..Served::default() });
    }

    pub fn large(&self, repo: &str, name: &str, bytes: &[u8]) {
        self.put(repo, name, Served { bytes: bytes.to_vec(), lfs: true, ..Served::default() });
    }

    pub fn require_token(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    pub fn rename(&self, old: &str, new: &str) {
        self.state.lock().unwrap().renamed.insert(old.to_owned(), new.to_owned());
    }

    /// The requests since the last call.
    pub fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, port: u16) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    let _ = reader.read_line(&mut first);
    let mut words = first.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return };
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    for line in reader.lines().map_while(Result::ok).take_while(|l| !l.is_empty()) {
        if let Some((key, value)) = line.split_once(": ") {
            headers.insert(key.to_lowercase(), value.to_owned());
        }
    }
    let answer = {
        let mut state = state.lock().unwrap();
        let of = |key: &str| headers.get(key).map_or("-", String::as_str);
        state.log.push(format!("{method} {path} range={} auth={}", of("range"), of("authorization")));
        respond(&mut state, &path, &headers, port)
    };
    let Answer { head, body, stalls } = answer;
    let _ = stream.write_all(head.as_bytes());
    if method != "HEAD" {
        let _ = stream.write_all(&body);
        let _ = stream.flush();
        if stalls {
            std::thread::sleep(std::time::Duration::from_secs(120));
        }
    }
}

struct Answer {
    head: String,
    body: Vec<u8>,
    stalls: bool,
}

fn answer(status: &str, headers: &str, length: usize, body: Vec<u8>) -> Answer {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    Answer { head, body, stalls: false }
}

fn plain(status: &str, code: &str) -> Answer {
    answer(status, &format!("X-Error-Code: {code}\r\n"), 0, Vec::new())
}

fn respond(state: &mut State, path: &str, headers: &HashMap<String, String>, port: u16) -> Answer {
    if let Some(rest) = path.strip_prefix("/storage/") {
        // What the redirect points to: no hash here, and no token must come here.
        let (repo, name) = split_name(rest);
        let served = state.repos.get_mut(&repo).and_then(|files| files.get_mut(&name)).unwrap();
        return contents(served, headers, "");
    }
    let wanted = state.token.as_ref().map(|t| format!("Bearer {t}"));
    if wanted.is_some() && headers.get("authorization") != wanted.as_ref() {
        return plain("401 Unauthorized", "GatedRepo");
    }
    if let Some(rest) = path.strip_prefix("/api/models/") {
        let (repo, _) = rest.split_once("/revision/").unwrap();
        let repo = state.renamed.get(repo).map_or(repo, String::as_str);
        let Some(files) = state.repos.get(repo) else { return plain("404 Not Found", "RepoNotFound") };
        let siblings: Vec<_> = files
            .iter()
            .map(|(name, s)| serde_json::json!({"rfilename": name, "size": s.bytes.len()}))
            .collect();
        let body = serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string().into_bytes();
        return answer("200 OK", "", body.len(), body);
    }
    let Some((repo, rest)) = path[1..].split_once("/resolve/") else { return plain("404 Not Found", "") };
    let name = rest.split_once('/').unwrap().1.to_owned();
    if let Some(new) = state.renamed.get(repo) {
        return answer(
            "307 Temporary Redirect",
            &format!("Location: /{new}/resolve/{rest}\r\n"),
            0,
            Vec::new(),
        );
    }
    let Some(files) = state.repos.get_mut(repo) else { return plain("404 Not Found", "RepoNotFound") };
    let Some(served) = files.get_mut(&name) else { return plain("404 Not Found", "EntryNotFound") };
    let hash = served.claims.clone().unwrap_or_else(|| sha256(&served.bytes));
    if served.lfs {
        // Another host name for the same machine, so that a client can tell that it is another host.
        let headers = format!(
            "Location: http://localhost:{port}/storage/{repo}/{name}\r\nX-Linked-Etag: \"{hash}\"\r\nX-Linked-Size: \
             {}\r\nETag: \"not-this\"\r\n",
            served.bytes.len()
        );
        return answer("302 Found", &headers, 0, Vec::new());
    }
    contents(served, headers, &format!("ETag: \"{}\"\r\n", &hash[..40]))
}

fn split_name(path: &str) -> (String, String) {
    let mut parts = path.splitn(3, '/');
    let (org, repo, name) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    (format!("{org}/{repo}"), name.to_owned())
}

fn contents(served: &mut Served, headers: &HashMap<String, String>, extra: &str) -> Answer {
    let all = served.bytes.len();
    let asked = headers.get("range").filter(|_| !served.ignores_ranges);
    let from: Option<usize> = asked.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let body = served.bytes[from.unwrap_or(0)..].to_vec();
    let length = body.len();
    let mut out = match from {
        Some(from) => {
            let range = format!("Content-Range: bytes {from}-{}/{all}\r\n{extra}", all - 1);
            answer("206 Partial Content", &range, length, body)
        }
        None => answer("200 OK", extra, length, body),
    };
    if let Some((left, keep)) = served.cut.as_mut().filter(|(left, _)| *left > 0) {
        *left -= 1;
        out.body.truncate(*keep);
    }
    if let Some(keep) = served.stalls_after {
        out.body.truncate(keep);
        out.stalls = true;
    }
    out
}
