//! `--record` of the commands and `sessions import`, of the real binary on a tiny fixture model: what is recorded
//! replays to the very numbers that the command printed.

mod bed;
mod import;

use bed::*;
use polylens::app::panes::training_run::{Ending, Phase};
use polylens::app::replay::{Track, What};
use polylens::engine::protocol::{CurvesAnswer, Event};
use polylens::session::SessionFile;
use serde_json::Value;
use std::process::Stdio;
#[test]
fn a_texts_lens_is_replayed_to_the_printed_numbers() {
    let bed = Bed::new(3);
    let document = bed.document(&[
        "lens",
        "--text",
        "the cat",
        "--track",
        "dog",
        "--model",
        MODEL,
        "--adapter",
        &adapter(),
        "--record",
        "@r.jsonl",
    ]);
    let track = bed.replay("r.jsonl");
    let (app, header) = (track.app(), &track.file().header);
    let model = header.model.as_ref().unwrap();
    assert_eq!((model.sha256.len(), header.adapters[0].sha256.len(), header.adapters[0].rank), (64, 64, 4));
    assert_eq!((header.command.as_str(), app.focus), ("lens", polylens::app::PaneId::Lens));
    assert_eq!((app.shared.query.text.as_str(), app.query.free.text()), ("the cat", "the cat"));
    assert_eq!(app.shared.adapters.len(), 1);
    for (run, id) in [(0, None), (1, Some(0))] {
        let layers = document["runs"][run]["layers"].as_array().unwrap();
        let replayed = &app.lens.runs[&id].fresh;
        assert_eq!(layers.len(), replayed.len());
        for (printed, layer) in layers.iter().zip(replayed) {
            assert_eq!(f32_of(&printed["entropy_bits"]), layer.entropy_bits);
            assert_eq!(f32_of(&printed["top"][0]["p"]), layer.top[0].p);
            assert_eq!(f32_of(&printed["tracked"]["dog"]["p"]), layer.tracked[0]);
        }
    }
    // The same weights have the same name, whatever the command.
    bed.done(&["lens", "--text", "x", "--model", MODEL, "--record", "@again.jsonl"]);
    let again = SessionFile::open(&bed.path("again.jsonl")).unwrap();
    assert_eq!(again.header.model.unwrap().sha256, model.sha256);
}

#[test]
fn mean_curves_are_replayed() {
    let bed = Bed::new(4);
    let documents = bed.document(&[
        "lens",
        "--task",
        "@mood.toml",
        "--items",
        "@items_{lang}.json",
        "--langs",
        "en,sw",
        "--protocol",
        "paper",
        "--model",
        MODEL,
        "--adapter",
        &adapter(),
        "--record",
        "@r.jsonl",
    ]);
    let track = bed.replay("r.jsonl");
    let app = track.app();
    assert!(app.lens.means.shown && app.lens.means.running.is_none());
    let (means, fresh) = app.lens.means.current(&app.shared).unwrap();
    assert_eq!((fresh, means.of.lang.as_str(), means.n), (true, "sw", 4));
    let printed = &documents[1];
    assert_eq!(printed["lang"], "sw");
    for (r, (_, layers)) in means.runs.iter().enumerate() {
        for (k, layer) in layers.iter().enumerate() {
            let own = serde_json::to_value(layer).unwrap();
            let theirs: Value = printed["runs"][r]["curves"][k].clone();
            assert_eq!(f32_of(&own["en"]["mean"]), f32_of(&theirs["en"]["mean"]));
            assert_eq!(f32_of(&own["entropy_bits"]["ci95"]), f32_of(&theirs["entropy_bits"]["ci95"]));
        }
    }
    assert_eq!(track.file().marks().into_iter().map(|m| m.1).collect::<Vec<_>>(), ["en", "sw"]);
    // The explorer's engine gives the same to the question as it stands in the file.
    let engine = asked_again(&track, 2);
    assert_eq!(engine, answered(&track));
    // The task is in the file: it replays elsewhere.
    assert_eq!(track.file().header.own_tasks[0].id, "mood");
}

/// The curves that are recorded.
fn answered(track: &Track) -> Vec<CurvesAnswer> {
    let lines =
        track.file().entries().iter().map(|e| track.file().line::<polylens::app::replay::Input>(e).unwrap());
    let answers = lines.filter_map(|l| match l.what {
        What::Event(Event::CurvesReady { answer, .. }) => Some(CurvesAnswer { elapsed_ms: 0.0, ..answer }),
        _ => None,
    });
    answers.collect()
}

/// Gives a session's questions to the explorer's engine, and waits for so many curves.
fn asked_again(track: &Track, n: usize) -> Vec<CurvesAnswer> {
    let (sender, events) = std::sync::mpsc::channel();
    let handle = polylens::engine::worker::spawn(move |event| _ = sender.send(event));
    let mut answers = Vec::new();
    for entry in track.file().entries() {
        let line = track.file().line::<polylens::app::replay::Input>(entry).unwrap();
        let What::Ask(command) = line.what else { continue };
        handle.send(command);
        // One after the other, as the command did.
        loop {
            match events.recv_timeout(std::time::Duration::from_secs(60)).unwrap() {
                Event::ModelLoaded { .. } | Event::AdapterLoaded { .. } => break,
                Event::CurvesReady { answer, .. } => {
                    answers.push(CurvesAnswer { elapsed_ms: 0.0, ..answer });
                    break;
                }
                Event::Failed { message, .. } => panic!("{message}"),
                _ => {}
            }
        }
    }
    assert_eq!(answers.len(), n);
    answers
}

#[test]
fn a_plane_is_replayed() {
    let bed = Bed::new(4);
    let document = bed.document(&[
        "pca",
        "--task",
        "@mood.toml",
        "--items",
        "@items_{lang}.json",
        "--langs",
        "en,de,sw",
        "--model",
        MODEL,
        "--adapter",
        &adapter(),
        "--pooling",
        "last",
        "--record",
        "@r.jsonl",
    ]);
    let track = bed.replay("r.jsonl");
    let app = track.app();
    let answer = app.pca.answer.as_ref().unwrap();
    assert_eq!((app.pca.complete, app.pca.outdated, app.focus), (true, false, polylens::app::PaneId::Pca));
    assert_eq!(app.pca.run_names, ["base", "adapter_qv"]);
    let own = serde_json::to_value(&answer.runs[1].layers[2]).unwrap();
    let printed = &document["runs"][1]["layers"][2];
    assert!(own["points"]["sw"][3][0].is_f64());
    for key in ["points", "pearson"] {
        assert_eq!(own[key], printed[key], "{key}");
    }
    assert_eq!(own["cka"]["de-sw"]["value"], printed["cka"]["de-sw"]);
    assert!(own["cka"]["de-sw"]["low"].is_f64());
}

#[test]
fn an_evaluation_is_replayed() {
    let bed = Bed::new(9);
    let args = [
        "eval",
        "--task",
        "@mood.toml",
        "--items",
        "@items_{lang}.json",
        "--langs",
        "en,de",
        "--protocol",
        "paper",
        "--model",
        MODEL,
        "--adapter",
        &adapter(),
    ];
    let document = bed.document(&[&args[..], &["--record", "@r.jsonl"]].concat());
    let track = bed.replay("r.jsonl");
    let app = track.app();
    let summary =
        serde_json::to_value(app.eval.summary.runs[1].languages[0].as_ref().unwrap().accuracy()).unwrap();
    let text = document.to_string();
    assert!(text.contains(&format!("\"accuracy\":{summary}")), "{summary} is not in {text}");
    assert_eq!((app.eval.fresh, app.eval.kept), (48, 0));
    // Going on with what is kept is recorded as that.
    bed.done(&[&args[..], &["--record", "@kept.jsonl"]].concat());
    let track = bed.replay("kept.jsonl");
    assert_eq!((track.app().eval.fresh, track.app().eval.kept), (0, 48));
}

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let usual = [
        "train",
        "--data",
        "es=@es.json",
        "--model",
        MODEL,
        "--lr",
        "1e-3",
        "--batch-size",
        "4",
        "--max-steps",
        "6",
        "--save-steps",
        "2",
        "--eval-steps",
        "3",
        "--threads",
        "2",
    ];
    [&usual[..], more].concat()
}

const WATCH: [&str; 8] = [
    "--watch-every",
    "2",
    "--watch-task",
    "@mood.toml",
    "--watch-items",
    "@items_{lang}.json",
    "--watch-langs",
    "de,en",
];

#[test]
fn a_training_run_is_replayed_with_its_frames() {
    let bed = Bed::new(4);
    bed.done(&train(&[&["--out", "@plain", "--quiet"][..]].concat()));
    bed.done(&train(&[&["--out", "@run", "--record", "@r.jsonl"], &WATCH[..]].concat()));
    let weights = |dir: &str| std::fs::read(bed.path(dir).join("adapter_model.safetensors")).unwrap();
    assert!(weights("plain") == weights("run"), "being watched changes nothing");
    let track = bed.replay("r.jsonl");
    let training = &track.app().training;
    let Phase::Ended(Ending::Done(outcome)) = &training.run.as_ref().unwrap().phase else {
        panic!("not ended")
    };
    assert_eq!((outcome.steps, training.live.records >= 6), (6, true));
    let log = std::fs::read_to_string(bed.path("run/trainer_log.jsonl")).unwrap();
    assert!(log.lines().count() > 0);
    let frames = training.watch.run.frames.all();
    assert_eq!(frames.iter().map(|k| k.frame.step).collect::<Vec<_>>(), [0, 2, 4, 6]);
    assert!(training.watch.base().unwrap().pca.is_some() && frames[1].frame.lens.is_some());
    assert_eq!(track.app().shared.lang, "de");
    let marks: Vec<String> = track.file().marks().into_iter().map(|m| m.1).collect();
    assert!(
        marks.contains(&"checkpoint-2".to_owned()) && marks.contains(&"checkpoint-6".to_owned()),
        "{marks:?}"
    );
    // For scripts the frames are lines too; nobody else would see them.
    let out = bed.run(&train(&[&["--out", "@json", "--progress", "json"], &WATCH[..]].concat()));
    assert_eq!(
        stderr(&out)
            .lines()
            .filter(|l| l.starts_with("{\"event\":\"frame\"") || l.contains("\"event\":\"frame\""))
            .count(),
        5
    );
    bed.refused(2, &train(&[&["--out", "@none"], &WATCH[..]].concat()), &["--watch-every", "--record"]);
}

#[test]
fn what_stands_in_the_way_is_said_before_anything_is_loaded() {
    let bed = Bed::new(3);
    std::fs::write(bed.path("there"), "mine").unwrap();
    let lens = |file: &'static str| ["lens", "--text", "a", "--model", "/no/such", "--record", file];
    let text = bed.refused(1, &lens("@there"), &["is there already", "another name"]);
    assert!(!text.contains("/no/such"), "{text}");
    assert_eq!(std::fs::read_to_string(bed.path("there")).unwrap(), "mine");
    bed.refused(1, &lens("@no/dir.jsonl"), &["cannot be written"]);
    // Nothing was recorded: nothing stands in the next one's way.
    bed.refused(2, &lens("@new"), &["/no/such"]);
    assert!(!bed.path("new").exists());
    bed.refused(2, &["eval", "--shard", "1/2", "--record", "@new"], &["--record"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_command_leaves_a_whole_recording() {
    let bed = Bed::new(3000);
    let mut command = bed.command(&[
        "eval",
        "--task",
        "@mood.toml",
        "--items",
        "@items_{lang}.json",
        "--protocol",
        "paper",
        "--model",
        MODEL,
        "--record",
        "@r.jsonl",
    ]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = std::time::Instant::now();
    let recorded =
        || std::fs::read_to_string(bed.path("r.jsonl")).unwrap_or_default().matches("eval_records").count();
    while recorded() < 3 && began.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    // SAFETY: a signal to a child of this process.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130), "{}", stderr(&out));
    let track = bed.replay("r.jsonl");
    let text = std::fs::read_to_string(bed.path("r.jsonl")).unwrap();
    assert!(text.lines().last().unwrap().contains("cancelled"), "{}", text.lines().last().unwrap());
    assert_eq!(track.app().eval.end, Some(polylens::app::panes::eval::End::Stopped));
    assert!(track.app().eval.fresh > 0);
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_the_recording_and_not_the_command() {
    use std::os::unix::process::CommandExt;
    let bed = Bed::new(3);
    let mut command =
        bed.command(&["lens", "--text", "the cat", "--model", MODEL, "--record", "@r.jsonl", "--json"]);
    // SAFETY: a plain system call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
            match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let out = command.output().unwrap();
    let text = stderr(&out);
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert_eq!(text.matches("goes on without its recording").count(), 1, "{text}");
    let document: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(document["schema"], "polylens.lens/1");
    // What was written before plays.
    let track = bed.play("r.jsonl");
    assert!(track.app().shared.model.is_some() && track.taken() > 3);
}
