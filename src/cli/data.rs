//! `polylens data pairs | stats`: making training data, and looking at it.

use super::args::Output;
use super::console::{self, Console};
use super::{prompts, values};
use crate::engine::protocol::TrainData;
use crate::error::{Error, Result};
use crate::hub::{DEFAULT_MODEL, Hub};
use crate::report::data::{DataReport, PairsReport};
use crate::report::output::write_whole;
use crate::tasks::{BUNDLED, Language, Source, items};
use crate::train::data::leaks::Index;
use crate::train::data::rows::{self, Container, RowForm};
use crate::train::data::{DataFile, DataRow, Part, pairs, stats};
use clap::Subcommand;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Make question-translation pairs of a task's parallel items (never of their answers)
    Pairs(Pairs),
    /// Lengths in a model's tokens, repeated rows, and evaluation items among the training texts
    Stats(Stats),
}

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = PAIRS_EXAMPLES)]
struct Pairs {
    /// Task: an ID of `polylens tasks list`, or a .toml file
    #[arg(long, value_name = "ID|FILE")]
    task: String,
    /// Source languages
    #[arg(long, value_name = "LANG,…", value_delimiter = ',', required = true)]
    from: Vec<String>,
    /// Target language
    #[arg(long, value_name = "LANG", default_value = "en")]
    to: String,
    /// Own items instead of the task's, parallel in all languages; `{lang}` in the name stands for the language
    #[arg(long, value_name = "FILE")]
    items: Option<String>,
    /// Pairs of each source, drawn at random [default: one of every item]
    #[arg(long, value_name = "N", value_parser = values::limit)]
    n: Option<usize>,
    /// Seed of the drawing and the mixing
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Columns of a row: input and answer, or LLaMA-Factory's instruction, input and output
    #[arg(long, value_name = "FORMAT", default_value = "paper", value_parser = values::named(&[("paper", RowForm::Paper), ("alpaca", RowForm::Alpaca)]))]
    format: RowForm,
    /// File to write: .json .jsonl .csv .tsv
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

const PAIRS_EXAMPLES: &str = "Examples:
  polylens data pairs --task nli --from zh,es --to en --out zh-es-en.json
  polylens data pairs --task my.toml --from de --to zh --items 'train_{lang}.json' --n 10000 --out de-zh.jsonl";

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = STATS_EXAMPLES)]
struct Stats {
    /// Training data, with the source language where it is known
    #[arg(value_name = "[LANG=]FILE", required = true)]
    data: Vec<String>,
    /// Model whose tokens are counted: catalogue name, ORG/REPO, directory, or .gguf file [default: gemma-3-270m]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Most tokens of a sample
    #[arg(long, value_name = "N", default_value_t = 2048)]
    cutoff: usize,
    /// Task whose items must not be among the training texts; repeatable [default: all bundled tasks]
    #[arg(long, value_name = "ID|FILE")]
    against: Vec<String>,
    /// Items to compare with instead of the task's; `{lang}` in the name stands for the language
    #[arg(long, value_name = "FILE", requires = "against")]
    items: Option<String>,
    #[command(flatten)]
    output: Output,
}

const STATS_EXAMPLES: &str = "Examples:
  polylens data stats zh=zh-en.json es=es-en.json --model gemma-3-270m
  polylens data stats train.jsonl --against my.toml --items 'test_{lang}.json' --json";

/// Runs the command.
///
/// # Errors
/// What the task, the items or the rows have wrong; Interrupted on Ctrl-C.
pub fn run(args: &Args) -> Result<()> {
    match &args.action {
        Action::Pairs(args) => make(args),
        Action::Stats(args) => look(args),
    }
}

fn make(args: &Pairs) -> Result<()> {
    let container = container(&args.out)?;
    let shown = args.out.display();
    if args.out.is_dir() {
        crate::fail!("--out {shown}: this is a directory; name a file in it");
    }
    let source = Source::find(&args.task)?;
    let items = args.items.as_deref();
    let spec = pairs::Spec { from: &args.from, to: &args.to, items, n: args.n, seed: args.seed };
    let made = pairs::pairs(&source, &spec)?;
    let mut sources: Vec<(String, usize)> = Vec::new();
    for name in &args.from {
        let code = &source.task.language(name)?.code;
        if !sources.iter().any(|(known, _)| known == code) {
            sources.push((code.clone(), made.iter().filter(|pair| pair.lang == *code).count()));
        }
    }
    let rows: Vec<DataRow> = made.into_iter().map(|pair| pair.row).collect();
    let bytes = rows::write(&rows, args.format, container)?;
    // A bare name has an empty parent, which is no directory to write in.
    let path = if args.out.parent() == Some(Path::new("")) {
        Path::new(".").join(&args.out)
    } else {
        args.out.clone()
    };
    write_whole(&path, &bytes)?;
    let file = DataFile { name: shown.to_string(), rows: rows.len(), sha256: rows::sha256(&bytes) };
    let target = &source.task.language(&args.to)?.code;
    let report =
        PairsReport { file: &file, task: &source.task.id, target, seed: args.seed, sources: &sources };
    console::print(&if args.json { report.json()? } else { report.text(console::stdout_width()) })
}

/// The form of the file, by its extension.
fn container(path: &Path) -> Result<Container> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    Ok(match extension.as_str() {
        "json" => Container::Json,
        "jsonl" | "ndjson" => Container::JsonLines,
        "csv" => Container::Csv,
        "tsv" => Container::Tsv,
        _ => {
            return Err(Error::usage(format!(
                "--out {}: its extension names no form of rows; use one of .json .jsonl .csv .tsv",
                path.display()
            )));
        }
    })
}

/// `LANG=FILE`, or a plain FILE; a file whose name holds `=` is found first.
///
/// # Errors
/// Usage for an unknown language.
pub fn data(text: &str) -> Result<TrainData> {
    match text.split_once('=') {
        Some((lang, path)) if !Path::new(text).exists() => {
            let lang = Some(Language::find(lang)?.code.to_owned());
            Ok(TrainData::File { lang, path: path.into() })
        }
        _ => Ok(TrainData::File { lang: None, path: text.into() }),
    }
}

fn look(args: &Stats) -> Result<()> {
    let mut console = Console::open(&args.output)?;
    if args.cutoff < 2 {
        return Err(Error::usage(format!(
            "--cutoff {} is too short: a sample has at least 2 tokens",
            args.cutoff
        )));
    }
    let parts: Vec<Part> = args.data.iter().map(|text| Part::read(&data(text)?, 0)).collect::<Result<_>>()?;
    let index = against(args)?;
    let cancel = console.cancel.clone();
    let reference = args.model.as_deref().unwrap_or(DEFAULT_MODEL);
    let found =
        Hub::from_env()?.resolve(reference, &mut |s, d, t, u| console.progress(s, d, t, u), &cancel, true)?;
    console.progress("tokenizer", 0, 0, "");
    let tokenizer = crate::engine::load::tokenizer(&found.path)?;
    let stats = stats::stats(&parts, &tokenizer, args.cutoff, &index, &mut |done, all| {
        console.progress("rows", done as u64, all as u64, "rows");
        cancel.check()
    })?;
    let report = DataReport { model: &found.name, parts: &parts, stats: &stats, against: &index.against };
    console.finish(&report)
}

/// The evaluation items to compare with.
fn against(args: &Stats) -> Result<Index> {
    let mut index = Index::default();
    if args.items.is_some() && args.against.len() > 1 {
        return Err(Error::usage("--items are those of one task: name one with --against"));
    }
    let names: Vec<&str> = match &args.against[..] {
        [] => BUNDLED.iter().map(|bundled| bundled.id).collect(),
        named => named.iter().map(String::as_str).collect(),
    };
    for name in names {
        let source = Source::find(name)?;
        let mut languages = prompts::languages(&source.task, "all")?;
        if let Some(template) = &args.items {
            items::check_template(template, languages.len())?;
            languages.retain(|l| items::path_of(template, &l.code).exists());
            if languages.is_empty() {
                crate::fail!(
                    "--items {template}: there is no such file in any language of {}",
                    source.task.id
                );
            }
        }
        for language in languages {
            index.add(&source, language, args.items.as_deref())?;
        }
    }
    Ok(index)
}
