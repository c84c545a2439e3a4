//! What a frame of the explorer costs, and a step of scrubbing. `cargo bench --bench frames`
//!
//! Every pane is filled (see busy.rs), keys are pressed, and each is followed by a frame that goes the way of the live
//! explorer: drawn into a buffer, compared with the frame before, written as bytes. `-- WORD` measures those with the
//! word in their names.

mod busy;
mod held;
mod live;
mod measure;

use busy::Busy;
use measure::{Replay, Row, frames};
use polylens::app::bundle::Bundle;
use polylens::app::replay::{Player, Track};
use polylens::app::{KeyInput, ThemeKind};
use polylens::session::shipped;
use polylens::ui::theme::Ladder;
use std::sync::Arc;
use std::time::Duration;

/// A frame at this size is to take less than so many milliseconds, and a step (a key and its frame) a sixtieth of a second.
const SIZE: (u16, u16) = (250, 80);
const GOAL: f64 = 5.0;
const STEP: f64 = 1000.0 / 60.0;

/// Names, keys that lead there, keys held, and keys that lead back.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("lens, grid, pca: nothing changes", "2", "", ""),
    ("lens, grid, pca: layers", "2", "jjjkkk", ""),
    ("lens of two runs: difference", "2d", "jjjkkk", "d"),
    ("lens: a layer open", "2<enter>", "jjjkkk", "<esc>"),
    ("lens: means over items", "2c", "jjjkkk", "c"),
    ("lens, full screen", "2z", "jjjkkk", "z"),
    ("query: typing", "1e", "ab<backspace>ก<backspace><backspace>", "<esc>"),
    ("query, full screen", "1z", "jjkk", "z"),
    ("grid: cells", "3", "lllhhh", ""),
    ("grid: rows", "3", "jjjkkk", ""),
    ("grid, full screen", "3z", "lllhhh", "z"),
    ("grid, full screen: entropy", "3vz", "lllhhh", "zv"),
    ("pca: layers", "4", "lllhhh", ""),
    ("pca, full screen: layers", "4z", "lllhhh", "z"),
    ("pca, full screen: table", "4z<enter>", "lllhhh", "<enter>z"),
    ("pca, full screen: fine dots", "4zo", "lllhhh", "oz"),
    ("training: frames", "5b", "lllhhh", "b"),
    ("training, full screen: frames", "5bz", "lllhhh", "zb"),
    ("training, full screen: layers", "5bz", "jjjkkk", "zb"),
    ("training: curve", "5", "lllhhh", ""),
    ("training, full screen: curve", "5z", "lllhhh", "z"),
    ("training: form", "5NN", "jjjkkk", "N"),
    ("evaluation: table", "6", "jjjkkk", ""),
    ("evaluation, full screen: table", "6z", "jjjkkk", "z"),
    ("evaluation, full screen: items", "6z<enter>", "jjjkkk", "<esc>z"),
    ("overlay: help", "2?", "jjjkkk", "<esc>"),
    ("overlay: commands", "2:", "<down><down><up><up>", "<esc>"),
    ("overlay: commands, filtered", "2:", "la<backspace><backspace>", "<esc>"),
    ("overlay: items", "2i", "<down><down><up><up>", "<esc>"),
    ("overlay: languages", "2L", "<down><down><up><up>", "<esc>"),
];

/// Cases that are measured on other sizes and looks too.
const ELSEWHERE: &[usize] = &[1, 10, 13, 17, 23];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|w| name.contains(w.as_str()));
    let mut rows = Vec::new();
    let mut busy = Busy::new(SIZE);
    for (name, there, held, back) in CASES.iter().filter(|c| wanted(c.0)) {
        busy.keys(there);
        rows.push(frames(*name, &mut busy, held, Ladder::Rgb));
        busy.keys(back);
    }
    for size in [(80, 24), (160, 48), (400, 120)] {
        busy.resize(size);
        for (name, there, held, back) in ELSEWHERE.iter().map(|i| CASES[*i]).filter(|c| wanted(c.0)) {
            busy.keys(there);
            rows.push(frames(name, &mut busy, held, Ladder::Rgb));
            busy.keys(back);
        }
    }
    busy.resize(SIZE);
    for (theme, ladder) in [
        (ThemeKind::Dark, Ladder::Indexed256),
        (ThemeKind::Dark, Ladder::Ansi16),
        (ThemeKind::Light, Ladder::Rgb),
        (ThemeKind::Ascii, Ladder::None),
    ] {
        for (name, there, held, back) in ELSEWHERE.iter().map(|i| CASES[*i]).filter(|c| wanted(c.0)) {
            busy.app.theme = theme;
            busy.keys(there);
            rows.push(frames(format!("{name} ({} {ladder:?})", theme.name()), &mut busy, held, ladder));
            busy.keys(back);
        }
    }
    replays(&wanted, &mut rows);
    if !rows.is_empty() {
        print(&rows);
    }
    held::all(&wanted);
}

/// The recordings that come with the program, at their end and in their middle.
fn replays(wanted: &dyn Fn(&str) -> bool, rows: &mut Vec<Row>) {
    let tracks = |names: &[&str]| -> Vec<Track> {
        let (library, _) = Bundle::with(None).expect("the bundled tasks are sound");
        let library = Arc::new(library);
        let track =
            |n: &&str| Track::new(Arc::new(shipped::find(n).expect("it is shipped")), library.clone());
        names.iter().map(track).collect()
    };
    let own = ["tour", "six-scripts", "aligned", "alignment", "evaluation"];
    let cases = own.iter().map(|n| vec![*n]).chain([vec!["aligned", "alignment"]]);
    for names in cases {
        let name = format!("replay of {}", names.join(" beside "));
        for (what, held) in
            [("one step on, one back", ".,"), ("steps on", "."), ("steps back", ","), ("playing at 16x", "+")]
        {
            let name = format!("{name}: {what}");
            if !wanted(&name) {
                continue;
            }
            let mut tracks = tracks(&names);
            tracks.iter_mut().for_each(|t| while t.index_some(10_000) {});
            let mut player = Player::new(tracks, ThemeKind::Dark);
            let from = if held == "," { player.end() } else { player.end() / 2 };
            player.seek(from);
            player.clock.playing = held == "+";
            let mut replay = Replay { player, size: SIZE, now: Duration::ZERO };
            rows.push(frames(name, &mut replay, held, Ladder::Rgb));
        }
    }
    let name = "replay of aligned: looking around";
    if wanted(name) {
        let mut player = Player::new(tracks(&["aligned"]), ThemeKind::Dark);
        player.seek(player.end());
        let mut replay = Replay { player, size: SIZE, now: Duration::ZERO };
        measure::Screen::key(&mut replay, KeyInput::char('2'));
        rows.push(frames(name, &mut replay, "jjjkkk", Ladder::Rgb));
    }
}

fn print(rows: &[Row]) {
    println!(
        "\nA step is a key and the frame after it; whole: nothing is on the terminal yet. Milliseconds.\n"
    );
    println!(
        "{:58} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {:>7} {:>8}",
        "", "size", "update", "99 %", "draw", "99 %", "step", "99 %", "bytes", "whole", "bytes"
    );
    for r in rows {
        let late = r.size == SIZE && (r.draw.p99 >= GOAL || r.step.p99 >= STEP);
        let late = if late { "  LATE" } else { "" };
        println!(
            "{:58} {:>8} {:7.2} {:7.2} {:7.2} {:7.2} {:7.2} {:7.2} {:8} {:7.2} {:8}{late}",
            r.name,
            format!("{}x{}", r.size.0, r.size.1),
            r.update.median,
            r.update.p99,
            r.draw.median,
            r.draw.p99,
            r.step.median,
            r.step.p99,
            r.bytes,
            r.whole_ms,
            r.whole_bytes
        );
    }
    let ours = || rows.iter().filter(|r| r.size == SIZE);
    let worst = |f: fn(&Row) -> f64| ours().map(f).fold(0.0, f64::max);
    println!(
        "\nAt {}x{}, the worst of {}: frame {:.2} ms, its 99 % {:.2} ms (goal: under {GOAL} ms); step {:.2} ms, its 99 % \
         {:.2} ms (goal: under {STEP:.1} ms).",
        SIZE.0,
        SIZE.1,
        ours().count(),
        worst(|r| r.draw.median),
        worst(|r| r.draw.p99),
        worst(|r| r.step.median),
        worst(|r| r.step.p99),
    );
}
