//! Dependencies of modules point one way: a forbidden import fails here, with the file and the line.
//!
//! model, lens, geometry, tasks, eval <- train <- engine <- session <- app <- ui; report and cli on top. The engine's
//! plain data (`engine::protocol`) and its cancel flag (`engine::control`) may be used everywhere.

use std::fs;
use std::path::{Path, PathBuf};

/// What a module may use of this crate, beside itself and `EVERYWHERE`. "a" allows all of a, "a::b" only a::b.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("model", &[]),
    ("geometry", &[]),
    ("lens", &["model"]),
    ("tasks", &["model"]),
    ("eval", &["tasks", "geometry::random"]),
    ("hub", &["model"]),
    ("train", &["model", "lens", "geometry", "tasks"]),
    ("engine", &["model", "lens", "geometry", "tasks", "eval", "hub", "train"]),
    ("session", &["engine", "train", "tasks", "eval", "geometry"]),
    ("report", &["engine", "train", "tasks", "eval", "session"]),
    ("app", &["session", "tasks", "eval", "hub", "train::log"]),
    ("ui", &["app", "session", "engine", "train", "tasks", "eval", "hub", "report"]),
    (
        "cli",
        &[
            "model", "lens", "geometry", "tasks", "eval", "hub", "train", "engine", "session", "report",
            "app", "ui",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &["error"]),
];

/// Usable by every module: the error type, the shared data, the cancel flag.
const EVERYWHERE: &[&str] = &["error", "fail", "Error", "Result", "engine::protocol", "engine::control"];

/// Words that only the named modules may contain outside their tests, and why.
const RESERVED: &[(&str, &[&str], &str)] = &[
    // the command line's doctor names devices
    ("candle_core", &["model", "lens", "train", "engine", "cli"], "tensors stay below the engine's events"),
    ("candle_nn", &["model", "lens", "train", "engine"], "tensors stay below the engine's events"),
    ("ratatui", &["ui", "cli"], "only ui knows a terminal"),
    ("crossterm", &["ui", "cli"], "only ui knows a terminal"),
    ("println!", &["cli", "main", "ui"], "nothing but a command's result goes to the terminal"),
    ("print!", &["cli", "main", "ui"], "nothing but a command's result goes to the terminal"),
    ("eprintln!", &["cli", "main", "ui"], "nothing but a command's result goes to the terminal"),
    ("dbg!", &[], "left over"),
    ("todo!", &[], "left over"),
    ("unimplemented!", &[], "left over"),
];

/// What `app` may not contain outside its tests: it is a function of its inputs.
const NOT_IN_APP: &[&str] = &[
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "Instant::now",
    "SystemTime::now",
];

/// One place where a path into the crate is named.
struct Use {
    line: usize,
    path: String,
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The file's lines without comments, and without its tests (a `#[cfg(test)]` at the left margin ends the code
/// unless it stands before a `mod` of another file).
fn code(text: &str, with_tests: bool) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        if !with_tests
            && *line == "#[cfg(test)]"
            && lines.get(i + 1).is_some_and(|l| l.trim_end().ends_with('{'))
        {
            break;
        }
        let line = line.split("//").next().unwrap_or("");
        out.push((i + 1, line.to_owned()));
    }
    out
}

/// `crate::a::b…` and `super::…::a` that leave the file's top module, as "a::b"; groups in braces are taken apart.
fn uses(text: &str, depth: usize, krate: &str) -> Vec<Use> {
    let lines = code(text, true);
    let joined: String = lines.iter().map(|(_, l)| format!("{l}\n")).collect();
    let mut out = Vec::new();
    for (start, _) in joined.match_indices(krate) {
        if joined[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let line = joined[..start].matches('\n').count() + 1;
        collect(&joined[start + krate.len()..], line, &mut out);
    }
    let climb = "super::".repeat(depth);
    for (start, _) in joined.match_indices(&climb) {
        let before =
            joined[..start].ends_with("super::") || joined[start + climb.len()..].starts_with("super::");
        if depth > 0 && !before {
            collect(&joined[start + climb.len()..], joined[..start].matches('\n').count() + 1, &mut out);
        }
    }
    out
}

/// "a::b::c" gives a::b; "{a, b::c}" gives a and b::c.
fn collect(rest: &str, line: usize, out: &mut Vec<Use>) {
    let Some(group) = rest.strip_prefix('{') else {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
        let path: Vec<&str> = rest[..end].split("::").filter(|p| !p.is_empty()).collect();
        let name = path.first().copied().unwrap_or("");
        // `crate::engine::{protocol::…}`
        if path.len() == 1 && rest[end..].starts_with('{') {
            let mut inner = Vec::new();
            collect(&rest[end..], line, &mut inner);
            let outer =
                |u: Use| Use { line, path: format!("{name}::{}", u.path.split("::").next().unwrap_or("")) };
            out.extend(inner.into_iter().map(outer));
        } else if !name.is_empty() {
            out.push(Use { line, path: path.iter().take(2).copied().collect::<Vec<_>>().join("::") });
        }
        return;
    };
    let mut level = 0;
    let mut begin = 0;
    for (i, c) in group.char_indices() {
        match c {
            '{' => level += 1,
            ',' | '}' if level == 0 => {
                collect(group[begin..i].trim_start(), line, out);
                begin = i + 1;
                if c == '}' {
                    return;
                }
            }
            '}' => level -= 1,
            _ => {}
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// (shown path, top module, depth of its module path, text) of every source file.
fn files() -> Vec<(String, String, usize, String)> {
    let mut paths = Vec::new();
    sources(&root(), &mut paths);
    assert!(paths.len() > 20, "the sources were not found");
    let describe = |path: PathBuf| {
        let relative = path.strip_prefix(root()).unwrap().with_extension("");
        let mut parts: Vec<String> =
            relative.components().map(|c| c.as_os_str().to_str().unwrap().to_owned()).collect();
        if parts.last().is_some_and(|p| p == "mod") {
            parts.pop();
        }
        let shown = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
        (shown, parts[0].clone(), parts.len(), fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().map(describe).collect()
}

/// Whether `path` ("a::b") is one of `list` ("a" or "a::b").
fn covered(path: &str, list: &[&str]) -> bool {
    list.iter().any(|l| path == *l || path.strip_prefix(l).is_some_and(|rest| rest.starts_with("::")))
}

#[test]
fn every_module_uses_only_what_lies_below_it() {
    let tops: Vec<&str> = ALLOWED.iter().map(|a| a.0).collect();
    let mut wrong = Vec::new();
    for (shown, top, depth, text) in files() {
        let Some((_, allowed)) = ALLOWED.iter().find(|a| a.0 == top) else {
            wrong.push(format!(
                "{shown}: module {top} has no place in the order; give it one in tests/imports.rs"
            ));
            continue;
        };
        if top == "lib" {
            continue;
        }
        let mut found = uses(&text, depth, "crate::");
        found.extend(uses(&text, 0, "polylens::"));
        for Use { line, path } in found {
            let target = path.split("::").next().unwrap_or("");
            let known = tops.contains(&target) && target != top;
            if known && !covered(&path, EVERYWHERE) && !covered(&path, allowed) {
                wrong.push(format!("{shown}:{line}: {top} must not use {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn terminal_tensors_and_clocks_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for (shown, top, _, text) in files() {
        let name = Path::new(&shown).file_stem().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("test") || shown.contains("/tests/") {
            continue;
        }
        for (line, text) in code(&text, false) {
            for (word, modules, why) in RESERVED {
                let whole = text
                    .match_indices(word)
                    .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
                if whole && !modules.contains(&top.as_str()) {
                    wrong.push(format!("{shown}:{line}: {word} in {top}: {why}"));
                }
            }
            if top == "app" {
                let found = NOT_IN_APP.iter().filter(|w| text.contains(**w));
                wrong.extend(
                    found.map(|w| format!("{shown}:{line}: {w} in app, which has no I/O and no clock")),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_order_has_no_cycle() {
    let mut placed: Vec<&str> = Vec::new();
    let mut left: Vec<_> = ALLOWED.iter().collect();
    while !left.is_empty() {
        let ready = |(_, uses): &(&str, &[&str])| {
            uses.iter().all(|u| placed.contains(&u.split("::").next().unwrap()))
        };
        let at = left.iter().position(|m| ready(m)).expect("a cycle among the allowed imports");
        placed.push(left.remove(at).0);
    }
}

#[test]
fn imports_are_found_in_every_spelling() {
    let text = "use crate::{error::Error, lens::{a, b}};\nlet x = crate::engine::core::Engine;\n// crate::ui::no\n\
                use super::super::ui::theme;\nuse crate::engine::{self, protocol::Query, worker};\nnot_crate::cli::x;";
    let seen: Vec<String> =
        uses(text, 2, "crate::").into_iter().map(|u| format!("{} {}", u.line, u.path)).collect();
    for want in [
        "1 error::Error",
        "1 lens::a",
        "1 lens::b",
        "2 engine::core",
        "4 ui::theme",
        "5 engine::protocol",
        "5 engine::worker",
    ] {
        assert!(seen.iter().any(|s| s == want), "{want} not in {seen:?}");
    }
    assert!(!seen.iter().any(|s| s.contains("no") || s.contains("cli")), "{seen:?}");
    assert!(covered("engine::protocol", EVERYWHERE) && !covered("engine::core", EVERYWHERE));
}
