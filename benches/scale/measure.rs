//! What is measured against what.

use super::common::{load, setting};
use super::fit::Series;
use super::make::{self, Shape, Store};
use polylens::engine::protocol::{DType, DeviceChoice, EvalPlan, LoadSpec, Protocol, Query, Score, Style};
use polylens::engine::{Cancel, Engine};
use polylens::{eval, tasks};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Set in a child process that measures memory: tokens of its text.
pub const CHILD: &str = "POLYLENS_BENCH_SCALE_TOKENS";

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A text of about `tokens` tokens that no cache has seen the beginning of.
fn text(engine: &Engine, tokens: usize, round: usize) -> Result<String, String> {
    let words = "the lamp is warm and the arm stays where you put it after half a year of daily use ";
    let count = |t: &str| engine.tokenizer().encode(t).map(|ids| ids.len()).map_err(|e| e.to_string());
    let each = count(&words.repeat(8))?.saturating_sub(count(words)?) as f64 / 7.0;
    let many = words.repeat((tokens as f64 / each).ceil() as usize + 1);
    let keep = (many.len() as f64 * tokens as f64 / count(&many)? as f64) as usize;
    // Its own first word: a text that is the beginning of another would be found in the cache.
    Ok(format!("{tokens}-{round} {}", &many[..keep.min(many.len())].trim_end()))
}

/// Milliseconds and tokens of a lens of everything anew.
fn lens(engine: &Engine, text: String) -> Result<(f64, usize), String> {
    let query = Query { text, ..Query::default() };
    let start = Instant::now();
    let answer = engine.lens(&query, &[None], 10, &Cancel::new(), &mut |_| {}).map_err(|e| e.to_string())?;
    Ok((start.elapsed().as_secs_f64() * 1e3, answer.tokens.len()))
}

/// The median of some lenses of about `tokens` tokens, and how many tokens they had.
fn lenses(engine: &Engine, tokens: usize, rounds: usize) -> Result<(f64, usize), String> {
    let mut times = Vec::new();
    let mut counted = 0;
    for round in 0..rounds {
        let (ms, n) = lens(engine, text(engine, tokens, round)?)?;
        (counted, _) = (n, times.push(ms));
    }
    Ok((median(times), counted))
}

fn plan(each: usize) -> Result<EvalPlan, String> {
    let source = tasks::Source::find("sentiment").map_err(|e| e.to_string())?;
    let with_rows = |l| Ok((l, source.rows(l, None, Some(each))?));
    let langs = source.task.languages.iter().map(with_rows).collect::<polylens::Result<Vec<_>>>();
    let langs = langs.map_err(|e| e.to_string())?;
    let mut plan = eval::plan(&source.task, &langs, Style::English, Protocol::Paper, Score::PrefixSet)
        .map_err(|e| e.to_string())?;
    plan.langs.iter_mut().for_each(|l| l.free.clear());
    Ok(plan)
}

/// Seconds of a sentiment evaluation in all languages against the items.
pub fn items(engine: &Engine) -> Result<Series, String> {
    let mut points = Vec::new();
    for each in [2, 4, 6, 9, 12, 16] {
        let plan = plan(each)?;
        let sets = engine.eval_sets(&plan).map_err(|e| e.to_string())?;
        let units: Vec<_> = plan
            .langs
            .iter()
            .enumerate()
            .flat_map(|(l, lang)| (0..lang.slots()).map(move |s| (None, l, s)))
            .collect();
        let start = Instant::now();
        let mut done = 0;
        engine
            .evaluate(&plan, &sets, &units, &Cancel::new(), &mut |more| {
                done += more.len();
                Ok(())
            })
            .map_err(|e| e.to_string())?;
        points.push((done as f64, start.elapsed().as_secs_f64()));
    }
    let title = format!("Sentiment evaluation, 20 languages, {}", engine.info().name);
    Ok(Series { title, x_name: "items", y_name: "s", points })
}

/// Milliseconds of a lens against the layers, on made models that differ in nothing else.
pub fn layers() -> Result<Series, String> {
    let shape = Shape {
        blocks: 1,
        hidden: 1024,
        intermediate: 4096,
        heads: 16,
        kv_heads: 4,
        head_dim: 64,
        vocabulary: 8000,
        shard: 500_000_000,
    };
    let mut points = Vec::new();
    for blocks in [1, 2, 4, 8, 16, 24, 32] {
        let place = tempfile::tempdir().map_err(|e| e.to_string())?;
        let made =
            make::write(place.path(), &Shape { blocks, ..shape }, Store::Bf16).map_err(|e| e.to_string())?;
        let engine = open(&made)?;
        lens(&engine, text(&engine, 160, 99)?)?;
        points.push((blocks as f64, lenses(&engine, 160, setting("POLYLENS_BENCH_ROUNDS", 7))?.0));
    }
    let title = "Lens of 160 tokens, made models, hidden 1024, bf16".to_owned();
    Ok(Series { title, x_name: "layers", y_name: "ms", points })
}

fn open(path: &Path) -> Result<Engine, String> {
    let spec = LoadSpec {
        path: path.to_owned(),
        name: "made".into(),
        dtype: DType::Native,
        device: DeviceChoice::Cpu,
        threads: setting("POLYLENS_BENCH_THREADS", 2),
    };
    Engine::load(&spec, &mut |_, _, _, _| {}).map_err(|e| e.to_string())
}

const LENGTHS: [usize; 7] = [64, 256, 512, 1024, 2048, 3072, 4096];

/// Milliseconds of a lens against the tokens of its text.
pub fn tokens(engine: &Engine) -> Result<Series, String> {
    let mut points = Vec::new();
    for tokens in LENGTHS {
        let (ms, n) =
            lenses(engine, tokens, if tokens > 1024 { 3 } else { setting("POLYLENS_BENCH_ROUNDS", 7) })?;
        points.push((n as f64, ms));
    }
    let title = format!("Lens, {}", engine.info().name);
    Ok(Series { title, x_name: "tokens", y_name: "ms", points })
}

/// Peak memory in MB against the tokens, each in a process of its own.
pub fn memory() -> Result<Series, String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut points = Vec::new();
    for tokens in LENGTHS {
        let out = Command::new(&me).env(CHILD, tokens.to_string()).output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        let numbers: Vec<f64> = said.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [n, bytes] = numbers[..] else {
            return Err(format!("no peak memory: {said}{}", String::from_utf8_lossy(&out.stderr)));
        };
        points.push((n, bytes / 1e6));
    }
    let title = "Peak memory of load and lens, the same model".to_owned();
    Ok(Series { title, x_name: "tokens", y_name: "MB", points })
}

/// In a child: load, one lens of `tokens` tokens; its tokens and the peak memory for the parent.
pub fn child(tokens: usize) -> Result<(), String> {
    let engine = load()?;
    let (_, n) = lens(&engine, text(&engine, tokens, 0)?)?;
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| e.to_string())?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).ok_or("the system tells no peak memory")?;
    let kib = line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).ok_or("no number")?;
    println!("{n} {}", kib * 1024.0);
    Ok(())
}
