//! What a user feels: the start, held keys, typing beside a computing model, and what an idle explorer costs.

use super::live::Live;
use super::measure::Spread;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SIZES: [(u16, u16); 2] = [(160, 48), (250, 80)];
/// Keys a second, and for how long they are held.
const RATE: u32 = 60;
const KEYS: u32 = 120;

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// The model of the typing: a file or directory; without one the typing is left out.
fn model() -> Option<PathBuf> {
    std::env::var_os("POLYLENS_BENCH_MODEL").map(PathBuf::from).filter(|p| p.exists())
}

/// Everything of which the name has one of the words.
pub fn all(wanted: &dyn Fn(&str) -> bool) {
    let home = tempfile::tempdir().expect("a directory");
    if wanted("live: start") {
        start(&home);
    }
    if wanted("live: held") {
        println!("\nlive: held keys, {RATE} a second for {:.0} s", f64::from(KEYS) / f64::from(RATE));
        for size in SIZES {
            held(&home, size);
        }
    }
    if wanted("live: idle") {
        idle(&home);
    }
    match model() {
        Some(model) if wanted("live: typing") => typing(&home, &model),
        None if wanted("live: typing") => {
            println!("\nlive: typing is left out: POLYLENS_BENCH_MODEL names no file")
        }
        _ => {}
    }
}

fn start(home: &tempfile::TempDir) {
    println!("\nlive: start to the first frame, 20 starts (goal: under 100 ms)");
    let model = model().map(|p| p.display().to_string());
    let with = model.as_deref().map(|m| vec!["--model", m]);
    for args in [Some(vec![]), with, Some(vec!["sessions", "play", "alignment"])].into_iter().flatten() {
        for size in SIZES {
            let times = (0..20).map(|_| ms(Live::start(&args, home.path(), size).first_frame())).collect();
            let name = args.iter().map(|a| a.rsplit('/').next().unwrap_or(a)).collect::<Vec<_>>().join(" ");
            print_row(&format!("polylens {name}"), size, Spread::of(times), "");
        }
    }
}

fn print_row(name: &str, size: (u16, u16), spread: Spread, more: &str) {
    let size = format!("{}x{}", size.0, size.1);
    println!("{name:58} {size:>8} median {:7.1} ms, worst {:7.1} ms{more}", spread.median, spread.p99);
}

fn held(home: &tempfile::TempDir, size: (u16, u16)) {
    let play = |name: &str, at: &str| {
        let mut live = Live::start(&["sessions", "play", name, "--paused", "--at", at], home.path(), size);
        live.wait_for("REPLAY");
        live.send(" ");
        live.send(" ");
        live
    };
    let quiet = Duration::from_millis(300);
    for (what, name, at, keys) in [
        ("alignment: steps on", "alignment", "10%", &["."][..]),
        ("alignment: steps back", "alignment", "95%", &[","]),
        ("evaluation: steps back", "evaluation", "95%", &[","]),
        ("aligned: layers of the lens", "aligned", "30%", &["2j", "j", "j", "j", "j", "k", "k", "k", "k"]),
    ] {
        let mut live = play(name, at);
        live.settle(quiet);
        hold(&mut live, what, size, |i| keys[i % keys.len()].to_owned());
    }
    // The mouse, pressed and drawn along the time line.
    let mut live = play("alignment", "10%");
    live.settle(quiet);
    let line = |i: usize| size.0 as usize / 4 + i % (size.0 as usize / 2);
    hold(&mut live, "alignment: the time line drawn along", size, |i| {
        format!("\x1b[<{};{};{}M", if i == 0 { 0 } else { 32 }, line(i), size.1 - 1)
    });
    // All at once: as after a stop of the program.
    let mut live = play("alignment", "10%");
    live.settle(quiet);
    let sent = Instant::now();
    let before = live.drawn().0;
    live.send(&".,".repeat(300));
    let done = live.settle(quiet).map_or(f64::NAN, |t| ms(t - sent));
    let frames = live.drawn().0 - before;
    println!("{:58} {:>8} all done after {done:.0} ms, {frames} frames", "alignment: 600 keys at once", "");
}

fn hold(live: &mut Live, what: &str, size: (u16, u16), key: impl Fn(usize) -> String) {
    let (before, bytes) = live.drawn();
    let cpu = live.cpu();
    let begun = Instant::now();
    for i in 0..KEYS {
        let due = begun + Duration::from_secs(1) * i / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        live.send(&key(i as usize));
    }
    let last = Instant::now();
    let done = live.settle(Duration::from_millis(300));
    let lag = done.map_or(f64::NAN, |t| t.saturating_duration_since(last).as_secs_f64() * 1e3);
    let (frames, all) = live.drawn();
    let seconds = (last - begun).as_secs_f64();
    println!(
        "{what:58} {:>8} {:5.1} frames/s, last key on the screen after {lag:5.1} ms, {:4.0} % of a core, {} bytes a frame",
        format!("{}x{}", size.0, size.1),
        (frames - before) as f64 / seconds,
        100.0 * (live.cpu() - cpu) / seconds,
        (all - bytes) / (frames - before).max(1),
    );
}

fn idle(home: &tempfile::TempDir) {
    println!("\nlive: what it costs, over 5 s");
    for (what, args) in [
        ("explorer, nothing happens", &[][..]),
        ("a replay paused", &["sessions", "play", "alignment", "--paused", "--at", "60%"][..]),
        ("a replay at its end", &["sessions", "play", "tour", "--at", "end"][..]),
        ("a replay playing", &["sessions", "play", "alignment", "--at", "40%"][..]),
    ] {
        let live = Live::start(args, home.path(), SIZES[1]);
        live.first_frame();
        std::thread::sleep(Duration::from_secs(2));
        cost(&live, what);
    }
}

fn cost(live: &Live, what: &str) {
    let (cpu, (frames, _)) = (live.cpu(), live.drawn());
    std::thread::sleep(Duration::from_secs(5));
    println!(
        "{what:58} {:5.1} % of a core, {:4.1} frames/s",
        20.0 * (live.cpu() - cpu),
        (live.drawn().0 - frames) as f64 / 5.0
    );
}

/// Types into a prompt while the model computes.
fn typing(home: &tempfile::TempDir, model: &std::path::Path) {
    println!("\nlive: typing beside {}", model.display());
    let size = SIZES[1];
    let model = model.display().to_string();
    let args = ["--model", &model, "--lang", "en", "--record", "typed.jsonl"];
    let mut live = Live::start(&args, home.path(), size);
    live.wait_for("LIVE");
    live.wait_for(" ms ");
    live.settle(Duration::from_millis(900));
    cost(&live, "explorer with the model, nothing happens");
    live.send("1e");
    live.settle(Duration::from_millis(400));
    for (what, letters, pause) in [
        ("keys as fast as one types", "quickjumpsvexlazydogbywhimandfrost", 120),
        ("keys in the middle of a computation", "zephyrswaftedbumblingjackdawsonward", 230),
    ] {
        let mut echo = Vec::new();
        live.send("\r");
        live.settle(Duration::from_millis(600));
        for (i, c) in letters.char_indices() {
            let sent = Instant::now();
            live.send(&c.to_string());
            let shown = live.wait_for(&letters[..=i]);
            echo.push(ms(shown - sent));
            std::thread::sleep(Duration::from_millis(pause).saturating_sub(sent.elapsed()));
        }
        print_row(&format!("{what}: key to its echo"), size, Spread::of(echo), "");
        live.settle(Duration::from_millis(700));
    }
    live.send("\x1b\x12");
    live.settle(Duration::from_millis(600));
    drop(live);
    asked(&home.path().join("typed.jsonl"));
}

/// What the recording says of the lenses: how many tokens each had, how many were there already, how long it took.
fn asked(path: &std::path::Path) {
    let text = std::fs::read_to_string(path).expect("the recording");
    let (mut begun, mut last, mut shares, mut times) = (0, (0, 0), Vec::new(), Vec::new());
    let (mut typed, mut waits) = (None, Vec::new());
    for line in text.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok()) {
        let event = &line["event"];
        if line["user"].is_object() {
            typed = line["t"].as_f64();
        }
        match event["event"].as_str() {
            Some("lens_started") => {
                begun += 1;
                let tokens = event["tokens"].as_array().map_or(0, Vec::len);
                last = (event["reused_tokens"].as_u64().unwrap_or(0) as usize, tokens);
                shares.push(last);
            }
            Some("lens_done") => {
                times.extend(event["answer"]["elapsed_ms"].as_f64());
                waits.extend(typed.zip(line["t"].as_f64()).map(|(from, to)| to - from));
            }
            _ => {}
        }
    }
    let done = times.len();
    // The first reads the whole prompt; the few after it are of the line breaks.
    let fresh = shares.iter().skip(1).map(|(reused, all)| all - reused).max().unwrap_or(0);
    let spread = Spread::of(times.split_off(1.min(done)));
    println!(
        "{:58} {begun} begun, {done} done; computed anew at most {fresh} tokens, at the end {} of {}; a lens took \
         {:.0} ms (99 %: {:.0} ms)",
        "what was asked while typing",
        last.1 - last.0,
        last.1,
        spread.median,
        spread.p99
    );
    if done > 1 {
        print_row(
            "last key to the full lens, 80 ms of them a pause",
            SIZES[1],
            Spread::of(waits.split_off(1)),
            "",
        );
    }
}
