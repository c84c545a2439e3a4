//! Where models are kept and how the hub is reached: read once from the environment, then passed on.

use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Everything outside the program that decides where a model comes from and where it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// polylens's own cache: `models/`, `partial/` and `locks/` lie in it.
    pub cache: PathBuf,
    /// The hub's cache, shared with other programs: `models--ORG--REPO/` folders lie in it.
    pub hub_cache: PathBuf,
    /// The hub's address; `None` is hf-hub's default.
    pub endpoint: Option<String>,
    /// The hub's access token.
    pub token: Option<String>,
    /// No requests to the hub.
    pub offline: bool,
    /// The Python whose pip is used; `None` looks for `python3`, then `python`, on PATH.
    pub python: Option<PathBuf>,
}

impl fmt::Debug for HubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubConfig")
            .field("cache", &self.cache)
            .field("hub_cache", &self.hub_cache)
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "(set)"))
            .field("offline", &self.offline)
            .field("python", &self.python)
            .finish()
    }
}

impl HubConfig {
    /// A configuration with every file under `root`, no token and the default hub.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            hub_cache: root.join("hub"),
            cache: root,
            endpoint: None,
            token: None,
            offline: false,
            python: None,
        }
    }

    /// From the environment. polylens: `POLYLENS_CACHE`, `POLYLENS_PYTHON`, `XDG_CACHE_HOME`. The hub's own
    /// conventions: `HF_HUB_CACHE`, `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`.
    ///
    /// Errors: no cache folder can be named (no home directory), or `HF_ENDPOINT` is no web address.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(&|name| std::env::var_os(name))
    }

    /// [`HubConfig::from_env`] over any source of variables; empty values count as unset.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let var = |name: &str| lookup(name).filter(|v| !v.is_empty());
        let path = |name: &str| var(name).map(PathBuf::from);
        let text = |name: &str| var(name).map(|v| v.to_string_lossy().trim().to_owned());
        let home = path("HOME").or_else(|| path("USERPROFILE"));
        let user_cache = path("XDG_CACHE_HOME").or_else(|| home.as_ref().map(|h| h.join(".cache")));
        let cache =
            path("POLYLENS_CACHE").or_else(|| platform_cache(&path, home.as_ref())).ok_or_else(|| {
                Error::failed("there is no home directory to keep models in: set POLYLENS_CACHE to a folder")
            })?;
        let hf_home = path("HF_HOME").or_else(|| user_cache.map(|c| c.join("huggingface")));
        let hub_cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| hf_home.as_ref().map(|h| h.join("hub")))
            .unwrap_or_else(|| cache.join("hub"));
        let token_file = path("HF_TOKEN_PATH").or_else(|| hf_home.map(|h| h.join("token")));
        let token = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(|| {
            let text = std::fs::read_to_string(token_file?).ok()?;
            Some(text.trim().to_owned())
        });
        let is_on = |name: &str| {
            text(name).is_some_and(|v| ["1", "true", "yes", "on"].contains(&v.to_lowercase().as_str()))
        };
        Ok(Self {
            cache: absolute(cache)?,
            hub_cache: absolute(hub_cache)?,
            endpoint: text("HF_ENDPOINT").map(|e| check_endpoint(&e)).transpose()?,
            token: token.filter(|t| !t.is_empty()),
            offline: is_on("HF_HUB_OFFLINE"),
            python: path("POLYLENS_PYTHON"),
        })
    }
}

/// `XDG_CACHE_HOME` everywhere if set, else the platform's conventional place.
fn platform_cache(path: &dyn Fn(&str) -> Option<PathBuf>, home: Option<&PathBuf>) -> Option<PathBuf> {
    if let Some(xdg) = path("XDG_CACHE_HOME") {
        return Some(xdg.join("polylens"));
    }
    if cfg!(windows)
        && let Some(local) = path("LOCALAPPDATA")
    {
        return Some(local.join("polylens").join("cache"));
    }
    let home = home?;
    Some(if cfg!(target_os = "macos") {
        home.join("Library/Caches/polylens")
    } else {
        home.join(".cache/polylens")
    })
}

/// Relative settings are relative to where the program was started; links and comparisons need absolute ones.
fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(&path)
        .map_err(|e| Error::failed(format!("{}: no usable folder name: {e}", path.display())))
}

fn check_endpoint(text: &str) -> Result<String> {
    let text = text.trim_end_matches('/');
    if text.starts_with("https://") || text.starts_with("http://") {
        Ok(text.to_owned())
    } else {
        Err(Error::failed(format!(
            "HF_ENDPOINT is \"{text}\", which is no web address: it must begin with https:// or http://"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<HubConfig> {
        let vars: Vec<(String, OsString)> = vars.iter().map(|(k, v)| (k.to_string(), v.into())).collect();
        HubConfig::from_lookup(&|name| vars.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
    }

    #[test]
    fn the_cache_is_named_by_the_first_variable_that_is_set() {
        let all = [("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("POLYLENS_CACHE", "/p")];
        assert_eq!(config(&all).unwrap().cache, PathBuf::from("/p"));
        assert_eq!(config(&all[..2]).unwrap().cache, PathBuf::from("/x/polylens"));
        assert_eq!(config(&all[..2]).unwrap().hub_cache, PathBuf::from("/x/huggingface/hub"));
        if cfg!(target_os = "linux") {
            assert_eq!(config(&all[..1]).unwrap().cache, PathBuf::from("/h/.cache/polylens"));
            let empty = [("HOME", "/h"), ("POLYLENS_CACHE", "")];
            assert_eq!(config(&empty).unwrap().cache, PathBuf::from("/h/.cache/polylens"));
        }
        assert!(config(&[]).unwrap_err().to_string().contains("POLYLENS_CACHE"));
    }

    #[test]
    fn the_hub_is_reached_as_its_own_tools_reach_it() {
        let c = config(&[
            ("HOME", "/h"),
            ("HF_HOME", "/hf"),
            ("HF_ENDPOINT", "http://mirror.example/"),
            ("HF_TOKEN", " secret\n"),
            ("HF_HUB_OFFLINE", "1"),
        ])
        .unwrap();
        assert_eq!(c.hub_cache, PathBuf::from("/hf/hub"));
        assert_eq!(c.endpoint.as_deref(), Some("http://mirror.example"));
        assert_eq!(c.token.as_deref(), Some("secret"));
        assert!(c.offline);
        assert!(!format!("{c:?}").contains("secret"), "the token must never be printed");
        let wrong = config(&[("HOME", "/h"), ("HF_ENDPOINT", "mirror")]).unwrap_err().to_string();
        assert!(wrong.contains("HF_ENDPOINT") && wrong.contains("mirror"), "{wrong}");
    }

    #[test]
    fn the_token_file_is_read_when_no_variable_gives_a_token() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "from-file\n").unwrap();
        let home = dir.path().to_str().unwrap();
        assert_eq!(config(&[("HOME", "/h"), ("HF_HOME", home)]).unwrap().token.as_deref(), Some("from-file"));
        let both = config(&[("HOME", "/h"), ("HF_HOME", home), ("HF_TOKEN", "var")]).unwrap();
        assert_eq!(both.token.as_deref(), Some("var"));
    }
}
