//! `sessions import`: runs made elsewhere become sessions.

use crate::bed::*;
use crate::train;
use polylens::app::panes::training_run::{Ending, Phase};
use serde_json::{Value, json};
use std::path::Path;
/// A run as a Hugging Face trainer leaves it: two checkpoints, the history in the last one's state.
fn hugging_face(bed: &Bed) {
    bed.done(&train(&["--out", "@own", "--quiet"]));
    for (step, from) in [(10, adapter()), (20, bed.name("own"))] {
        let dir = bed.path(&format!("hf/checkpoint-{step}"));
        std::fs::create_dir_all(&dir).unwrap();
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            std::fs::copy(Path::new(&from).join(file), dir.join(file)).unwrap();
        }
    }
    let mut history: Vec<Value> = (1..=10)
        .map(|i| json!({"epoch": 0.1 * i as f64, "grad_norm": 1.5, "learning_rate": 5e-5, "loss": 3.0 - 0.1 * i as f64, "step": 2 * i}))
        .collect();
    history.push(json!({"epoch": 1.0, "eval_loss": 2.25, "step": 20}));
    history.push(json!({"epoch": 1.0, "train_runtime": 40.0, "train_loss": 2.5, "step": 20}));
    let state = json!({"global_step": 20, "max_steps": 20, "num_train_epochs": 1, "save_steps": 10, "log_history": history});
    std::fs::write(bed.path("hf/checkpoint-20/trainer_state.json"), state.to_string()).unwrap();
}

#[test]
fn a_run_made_elsewhere_is_imported_and_scrubbed_through() {
    let bed = Bed::new(4);
    hugging_face(&bed);
    let import = [
        "sessions",
        "import",
        "@hf",
        "--model",
        MODEL,
        "--task",
        "@mood.toml",
        "--items",
        "@items_{lang}.json",
        "--langs",
        "sw,en",
        "--limit",
        "3",
        "--out",
        "@hf.jsonl",
    ];
    let said = bed.done(&import);
    assert!(said.contains("20 steps") && said.contains("2 checkpoints, 2 with frames"), "{said}");
    let mut track = bed.replay("hf.jsonl");
    assert_eq!(
        track.file().marks(),
        [(20_000, "checkpoint-10".to_owned()), (40_000, "checkpoint-20".to_owned())]
    );
    let header = &track.file().header;
    assert_eq!(
        header.adapters.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(),
        ["checkpoint-10", "checkpoint-20"]
    );
    assert_ne!(header.adapters[0].sha256, header.adapters[1].sha256);
    let training = &track.app().training;
    let run = training.run.as_ref().unwrap();
    let Phase::Ended(Ending::Done(outcome)) = &run.phase else { panic!("not ended") };
    assert_eq!((outcome.steps, outcome.loss, outcome.eval_loss), (20, Some(2.0), Some(2.25)));
    assert_eq!((run.request.settings.rank, run.request.settings.lr), (8, 5e-5));
    assert_eq!(training.live.records, 11);
    let frames = training.watch.run.frames.all();
    assert_eq!(frames.iter().map(|k| k.frame.step).collect::<Vec<_>>(), [10, 20]);
    let points = |i: usize| frames[i].frame.pca.as_ref().unwrap().runs[0].layers[3].points["sw"].clone();
    assert_eq!(points(0).len(), 3);
    assert_ne!(points(0), points(1), "the adapters differ");
    // Half way there is the first checkpoint alone.
    track.seek(25_000).unwrap();
    assert_eq!(track.app().training.watch.run.frames.all().len(), 1);
    // The lens of a checkpoint is what the lens says with that adapter.
    let lens = track.app().training.watch.frame().unwrap().lens.clone().unwrap();
    let text = format!("{}{}", track.app().shared.query.prefix, track.app().shared.query.text);
    let document = bed.document(&["lens", "--text", &text, "--model", MODEL, "--adapter", &adapter()]);
    let printed = f32_of(&document["runs"][1]["layers"][6]["entropy_bits"]);
    assert!((printed - lens.runs[0].layers[6].entropy_bits).abs() < 1e-4);
    bed.refused(1, &import, &["is there already"]);
}

#[test]
fn a_log_alone_and_our_own_runs_are_imported() {
    let bed = Bed::new(4);
    hugging_face(&bed);
    bed.done(&["sessions", "import", "@own", "--out", "@own.jsonl"]);
    let track = bed.replay("own.jsonl");
    let run = track.app().training.run.as_ref().unwrap();
    assert_eq!((run.request.settings.lr, run.request.settings.save_steps), (1e-3, 2), "its own record knows");
    assert!(matches!(&run.phase, Phase::Ended(Ending::Done(o)) if o.steps == 6));
    assert!(track.app().shared.model.is_none() && track.app().training.watch.run.frames.all().is_empty());
    // LLaMA-Factory's log, with a line that is damaged and one that was cut off.
    std::fs::create_dir(bed.path("lf")).unwrap();
    let lines = "{\"current_steps\": 10, \"total_steps\": 30, \"loss\": 1.9, \"lr\": 2e-5, \"elapsed_time\": \"0:00:41\"}\n\
                 {\"current_steps\": 20, \"loss\n\
                 {\"current_steps\": 30, \"total_steps\": 30, \"loss\": NaN, \"lr\": 1e-5, \"elapsed_time\": \"0:02:01\"}\n{\"cur";
    std::fs::write(bed.path("lf/trainer_log.jsonl"), lines).unwrap();
    let out = bed.run(&["sessions", "import", "@lf/trainer_log.jsonl", "--out", "@lf.jsonl"]);
    let text = stderr(&out);
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert!(text.contains("line 2"), "{text}");
    let track = bed.replay("lf.jsonl");
    assert_eq!((track.now(), track.app().training.live.records), (121_000, 2));
    let step = track.app().training.run.as_ref().unwrap().step.unwrap();
    assert!(step.loss.is_nan() && step.grad_norm.is_nan() && step.lr == 1e-5, "{step:?}");
}

#[test]
fn what_cannot_be_imported_is_refused_in_words() {
    let bed = Bed::new(4);
    hugging_face(&bed);
    std::fs::create_dir(bed.path("empty")).unwrap();
    let import = |run: &'static str, more: &[&'static str]| {
        [&["sessions", "import", run, "--out", "@x.jsonl"], more].concat()
    };
    bed.refused(1, &import("@nowhere", &[]), &["nowhere is not there"]);
    bed.refused(1, &import("@empty", &[]), &["empty", "there is no log", "trainer_log.jsonl"]);
    std::fs::write(bed.path("empty/trainer_log.jsonl"), "{\"a\": 1}\nnonsense\n").unwrap();
    bed.refused(1, &import("@empty", &[]), &["trainer_log.jsonl", "line 2"]);
    std::fs::write(bed.path("empty/trainer_log.jsonl"), "{\"current_steps\": 1, \"loss\": 1}\n").unwrap();
    bed.refused(1, &import("@empty", &["--model", MODEL]), &["no adapter", "adapter_model.safetensors"]);
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/qwen3");
    let more =
        ["--model", other, "--task", "@mood.toml", "--items", "@items_{lang}.json", "--langs", "sw,en"];
    bed.refused(1, &import("@hf", &more), &["checkpoint-10", "Name the model that was trained"]);
    bed.refused(2, &import("@hf", &["--langs", "en"]), &["--model"]);
    assert!(!bed.path("x.jsonl").exists());
}
