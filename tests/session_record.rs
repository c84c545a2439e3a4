//! `--record` of the commands and `sessions import`, of the real binary on a tiny fixture model: what is recorded
//! replays to the very numbers that the command printed.

use polylens::app::App;
use polylens::app::bundle::Bundle;
use polylens::app::panes::training_run::{Ending, Phase};
use polylens::app::replay::{Track, What};
use polylens::engine::protocol::{CurvesAnswer, Event};
use polylens::session::{SessionFile, Source};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/gemma3");

/// A task of three languages with short items, rows to train on, and a cache of its own. Deleted with the value.
struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new(items: usize) -> Self {
        let bed = Self { dir: tempfile::tempdir().unwrap() };
        let mut toml =
            "id = \"mood\"\nlabels = [\"positive\", \"negative\"]\nfields = [\"input\"]\nseparator = \"\\n\"\n".to_owned();
        for (lang, good, bad) in
            [("en", "positive", "negative"), ("de", "gut", "schlecht"), ("sw", "zuri", "baya")]
        {
            toml += &format!(
                "[languages.{lang}]\nitem = \"{lang}: {{input}} \\\"{{answer}}\\\"\"\n\
                 shots = [{{ input = \"the cat\", answer = \"positive\" }}]\n\
                 labels = {{ positive = \"{good}\", negative = \"{bad}\" }}\n"
            );
            let words = ["cat", "dog", "house", "rain", "book", "tea", "no", "yes"];
            let text = |i: usize| format!("{} {lang} {i}", words[i % 8]);
            let row = |i: usize| json!({"input": text(i), "answer": if i * 5 % 3 == 1 { "positive" } else { "negative" }});
            let rows: Vec<Value> = (0..items).map(row).collect();
            std::fs::write(bed.path(&format!("items_{lang}.json")), json!(rows).to_string()).unwrap();
        }
        std::fs::write(bed.path("mood.toml"), toml).unwrap();
        let row = |i: usize| json!({"input": format!("es: cat {i}\nTranslate the input:\n"), "answer": format!("cat {i}")});
        let rows: Vec<Value> = (0..40).map(row).collect();
        std::fs::write(bed.path("es.json"), json!(rows).to_string()).unwrap();
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// `{item}` and `{task}` stand for the bed's own, `{NAME}` for a file in it.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polylens"));
        command.args(args.iter().map(|a| a.replace("@", &format!("{}/", self.dir.path().display()))));
        command.stdin(Stdio::null()).env_remove("RUST_BACKTRACE").env("POLYLENS_CACHE", self.path("cache"));
        command.env("HF_HOME", self.path("cache")).env("HF_HUB_OFFLINE", "1");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// Runs what must succeed; returns stdout.
    fn done(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", stderr(&out));
        String::from_utf8(out.stdout).unwrap()
    }

    fn document(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }

    /// Runs what must fail with that status; returns stderr.
    fn refused(&self, status: i32, args: &[&str], said: &[&str]) -> String {
        let out = self.run(args);
        let text = stderr(&out);
        assert_eq!(out.status.code(), Some(status), "{args:?}: {text}");
        assert!(!text.contains("panicked"), "{text}");
        for words in said {
            assert!(text.contains(words), "{words} is not in {text}");
        }
        text
    }

    /// Checks a session with the program, and plays it here to its end, at which nothing may wait for an answer.
    fn replay(&self, name: &str) -> Track {
        let track = self.play(name);
        assert!(track.app().model.works.is_empty() && !busy(track.app()), "something goes on for ever");
        track
    }

    /// As [`Bed::replay`], for a recording that may have ended before its answers came.
    fn play(&self, name: &str) -> Track {
        self.done(&["sessions", "check", &self.name(name)]);
        let file = Arc::new(SessionFile::open(&self.path(name)).unwrap());
        assert_eq!((file.header.source, file.header.start.size), (Source::Command, (160, 48)));
        let (library, _) = Bundle::with(Some(&self.name("mood.toml"))).unwrap();
        let mut track = Track::new(file.clone(), Arc::new(library));
        track.seek(file.end()).unwrap();
        assert_eq!(track.taken(), file.entries().len());
        track
    }
}

/// Whether a pane waits for an answer that will not come.
fn busy(app: &App) -> bool {
    app.lens.job.is_some()
        || app.grid.pending.is_some()
        || app.pca.running.is_some()
        || app.eval.running.is_some()
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn f32_of(v: &Value) -> f32 {
    serde_json::from_value(v.clone()).unwrap_or_else(|e| panic!("{v}: {e}"))
}

fn adapter() -> String {
    format!("{MODEL}/adapter_qv")
}

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
