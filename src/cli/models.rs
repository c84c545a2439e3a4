//! `polylens models list | pull NAME | info M | remove NAME`.

use crate::engine::control::Cancel;
use crate::error::{Context, Error, Result};
use crate::hub::{Entry, Header, Hub, Listed, Pulled, Status, describe, human_bytes};
use clap::{Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};
use std::time::Duration;

/// Models by name: what there is, fetching, looking, removing.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Action {
    /// The models known by name, their size and licence, and which are in the cache
    List {
        /// One JSON document instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Fetch a model into the cache (a broken-off fetch is gone on with)
    Pull {
        /// A name from the list, or ORG/REPO (with @REVISION if wanted) of the model hub
        name: String,
        /// Only from this kind of source [default: all, in the catalogue's order]
        #[arg(long, value_enum)]
        source: Option<Kind>,
        /// One JSON document instead of sentences
        #[arg(long)]
        json: bool,
        /// No progress on stderr
        #[arg(long, short)]
        quiet: bool,
    },
    /// What is known of a model, and what its header says if it is here
    Info {
        /// A name from the list, ORG/REPO (with @REVISION if wanted), a directory or a .gguf file
        model: String,
        /// One JSON document instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Delete a model from the cache
    Remove {
        /// A name from the list, or ORG/REPO of the hub's cache
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// One JSON document instead of a sentence
        #[arg(long)]
        json: bool,
    },
}

/// A kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Python packages
    Pip,
    /// The model hub
    Hub,
}

/// Runs the sub-command with the environment's configuration. Results go to `out`, progress and questions to stderr.
///
/// Raise `cancel` on Ctrl-C: a pull then ends within a tenth of a second and can be gone on with.
pub fn run(args: &Args, cancel: &Cancel, out: &mut dyn Write) -> Result<()> {
    run_with(&Hub::from_env()?, args, cancel, out)
}

/// [`run`] on a given configuration.
pub fn run_with(hub: &Hub, args: &Args, cancel: &Cancel, out: &mut dyn Write) -> Result<()> {
    match &args.action {
        Action::List { json } => list(hub, *json, out),
        Action::Pull { name, source, json, quiet } => pull(hub, name, *source, (*json, *quiet), cancel, out),
        Action::Info { model, json } => info(hub, model, *json, out),
        Action::Remove { name, yes, json } => remove(hub, name, (*yes, *json), cancel, out),
    }
}

/// A reader that has gone away (`| head`) is no failure.
fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::failed(format!("the output cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}

fn print_json(out: &mut dyn Write, value: &serde_json::Value) -> Result<()> {
    print(out, &(serde_json::to_string_pretty(value).context("JSON")? + "\n"))
}

fn list(hub: &Hub, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let models = hub.list();
    let config = hub.config();
    if as_json {
        let value = json!({"schema": "polylens.models/1", "cache": config.cache, "hub_cache": config.hub_cache,
            "models": models});
        return print_json(out, &value);
    }
    let rows: Vec<[String; 5]> = models.iter().map(row).collect();
    let head = ["NAME", "PARAMETERS", "DOWNLOAD", "LICENCE", "STATE"].map(str::to_owned);
    let mut text = String::new();
    let width = |i: usize| rows.iter().chain([&head]).map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    for r in [&head].into_iter().chain(&rows) {
        let line = format!(
            "{:<w0$}  {:>w1$}  {:>w2$}  {:<w3$}  {}",
            r[0],
            r[1],
            r[2],
            r[3],
            r[4],
            w0 = widths[0],
            w1 = widths[1],
            w2 = widths[2],
            w3 = widths[3]
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&format!(
        "\nCache: {}   Hub's cache: {}\n",
        config.cache.display(),
        config.hub_cache.display()
    ));
    print(out, &text)
}

fn row(listed: &Listed) -> [String; 5] {
    let state = match &listed.status {
        Status::Cached { .. } => "cached".to_owned(),
        Status::Missing { partial: 0, .. } => String::new(),
        Status::Missing { partial, .. } => format!("partly ({})", human_bytes(*partial)),
    };
    let name = listed.name.clone();
    match (listed.entry, &listed.status) {
        (Some(e), _) => [name, parameters(e.parameters), download(e), e.licence.clone(), state],
        (None, Status::Cached { bytes, .. }) => {
            [name, "-".to_owned(), human_bytes(*bytes), "see its repository".to_owned(), state]
        }
        (None, _) => [name, "-".to_owned(), "-".to_owned(), "see its repository".to_owned(), state],
    }
}

/// 268098176 -> "268M", 7241732096 -> "7.2B".
fn parameters(count: u64) -> String {
    match count {
        1_000_000_000.. => format!("{:.1}B", count as f64 / 1e9),
        _ => format!("{:.0}M", count as f64 / 1e6),
    }
}

fn download(entry: &Entry) -> String {
    format!("{}{}", if entry.approximate { "~" } else { "" }, human_bytes(entry.download))
}

fn pull(
    hub: &Hub,
    name: &str,
    source: Option<Kind>,
    (as_json, quiet): (bool, bool),
    cancel: &Cancel,
    out: &mut dyn Write,
) -> Result<()> {
    let mut shown = Shown::new(quiet);
    let only = source.map(|kind| if kind == Kind::Pip { "pip" } else { "hub" });
    let result = hub.pull(
        name,
        only,
        &mut |stage, done, total, unit| shown.progress(stage, done, total, unit),
        cancel,
    );
    shown.end();
    if result == Err(Error::Interrupted)
        && let Ok(Status::Missing { partial: 1.., .. }) = hub.status(name)
    {
        eprintln!("what was fetched is kept: `polylens models pull {name}` goes on from there");
    }
    let pulled = result?;
    if as_json {
        let mut value = serde_json::to_value(&pulled).context("JSON")?;
        value["schema"] = json!("polylens.pull/1");
        return print_json(out, &value);
    }
    print(out, &pulled_sentences(&pulled))
}

fn pulled_sentences(pulled: &Pulled) -> String {
    let Pulled { name, path, bytes, fetched_bytes, reused_bytes, seconds, .. } = pulled;
    let mut text = format!("{name}  {}\n", path.display());
    if pulled.already_there {
        text.push_str(&format!("{} were there already, checked in {seconds:.1} s\n", human_bytes(*bytes)));
    } else {
        let reused = match reused_bytes {
            0 => String::new(),
            bytes => format!(", {} used again from an earlier pull", human_bytes(*bytes)),
        };
        let fetched = human_bytes(*fetched_bytes);
        text.push_str(&format!("{fetched} fetched from {}{reused}, in {seconds:.1} s\n", pulled.source));
    }
    for note in &pulled.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    if let Some(licence) = &pulled.licence {
        text.push_str(&format!("licence: {licence}\n"));
    }
    if let Some(note) = &pulled.licence_note {
        text.push_str(&format!("  {note}\n"));
    }
    text
}

fn info(hub: &Hub, model: &str, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let status = hub.status(model)?;
    let entry = crate::hub::catalogue::find(model.trim());
    let header = match &status {
        Status::Cached { path, .. } => Some(describe(path)?),
        Status::Missing { .. } => None,
    };
    let manifest = entry.and_then(|e| hub.manifest(&e.name));
    let terms = match &status {
        Status::Cached { path, .. } => terms_beside(path),
        Status::Missing { .. } => Vec::new(),
    };
    if as_json {
        let value = json!({"schema": "polylens.model-info/1", "model": model, "status": status, "catalogue": entry,
            "header": header, "fetched": manifest, "terms": terms});
        return print_json(out, &value);
    }
    let mut lines = vec![("model", model.trim().to_owned())];
    if let Some(e) = entry {
        lines.extend([("title", e.title.clone()), ("parameters", parameters(e.parameters))]);
        lines.extend([("languages", e.languages.clone()), ("licence", e.licence.clone())]);
        lines.extend(e.licence_note.clone().map(|note| ("", note)));
        lines.extend(e.sources.iter().map(|s| ("source", s.label())));
        lines.extend(e.file.as_ref().map(|f| ("sha256", f.sha256.clone())));
    }
    lines.push(("state", status.sentence()));
    if let Status::Cached { path, .. } = &status {
        lines.push(("path", path.display().to_string()));
    }
    lines.extend(terms.into_iter().map(|t| ("terms", t)));
    lines.extend(header.as_ref().map(header_lines).unwrap_or_default());
    let text: String = lines.iter().map(|(key, value)| format!("{key:<13} {value}\n")).collect();
    print(out, &text)
}

fn header_lines(header: &Header) -> Vec<(&'static str, String)> {
    let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let formats: Vec<String> = header
        .formats
        .iter()
        .map(|(format, tensors)| if *tensors > 0 { format!("{tensors} x {format}") } else { format.clone() })
        .collect();
    let mut lines = vec![
        ("architecture", header.architecture.clone().unwrap_or_else(|| "?".to_owned())),
        ("layers", number(header.layers)),
        ("hidden", number(header.hidden)),
        ("heads", format!("{} (keys and values: {})", number(header.heads), number(header.kv_heads))),
        ("vocabulary", number(header.vocabulary)),
        ("context", number(header.context)),
    ];
    lines.extend(header.parameters.map(|p| ("weights", format!("{p} ({})", parameters(p)))));
    lines.push(("tensors", formats.join(", ")));
    lines.extend(header.tokenizer.clone().map(|t| ("tokenizer", t)));
    lines
}

/// Licence and notice files that lie beside a model.
fn terms_beside(path: &std::path::Path) -> Vec<String> {
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    let entries = folder.and_then(|f| std::fs::read_dir(f).ok()).into_iter().flatten().flatten();
    let is_terms = |name: &str| {
        let name = name.to_uppercase();
        ["LICENSE", "LICENCE", "NOTICE", "USE_POLICY"].iter().any(|t| name.starts_with(t))
            || name.contains("_TERMS")
    };
    let named = entries.filter(|e| is_terms(&e.file_name().to_string_lossy()));
    let mut paths: Vec<String> = named.map(|e| e.path().display().to_string()).collect();
    paths.sort();
    paths
}

fn remove(
    hub: &Hub,
    name: &str,
    (yes, as_json): (bool, bool),
    cancel: &Cancel,
    out: &mut dyn Write,
) -> Result<()> {
    let what = hub.removable(name)?;
    let shared = !what.path.starts_with(hub.config().cache.join("models"));
    if !yes {
        let also = if shared { " (the hub's cache: other programs may use it)" } else { "" };
        let question = format!("delete {}{also}, {}? [y/N] ", what.path.display(), human_bytes(what.bytes));
        if !io::stdin().is_terminal() {
            return Err(Error::usage(format!("{question}no terminal to ask on: give --yes")));
        }
        eprint!("{question}");
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).context("stdin")?;
        if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            return print(out, "nothing was deleted\n");
        }
    }
    let removed = hub.remove(name, &mut |_, _, _, _| (), cancel)?;
    if as_json {
        let mut value = serde_json::to_value(&removed).context("JSON")?;
        value["schema"] = json!("polylens.removed/1");
        return print_json(out, &value);
    }
    print(
        out,
        &format!(
            "{} deleted, {} freed ({})\n",
            removed.name,
            human_bytes(removed.bytes),
            removed.path.display()
        ),
    )
}

/// Progress on stderr: a bar on a terminal, one line a stage otherwise, nothing if quiet.
struct Shown {
    bar: Option<ProgressBar>,
    quiet: bool,
    stage: String,
}

impl Shown {
    fn new(quiet: bool) -> Self {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, quiet, stage: String::new() }
    }

    fn progress(&mut self, stage: &str, done: u64, total: u64, unit: &str) {
        let new = stage != self.stage;
        if new {
            self.stage = stage.to_owned();
        }
        match &self.bar {
            Some(bar) => {
                if new {
                    bar.set_style(style(total));
                    bar.set_message(stage.to_owned());
                }
                bar.set_length(total);
                bar.set_position(done);
            }
            None if new && !self.quiet => {
                // A stage is reported once, as it begins: a first chunk's few bytes would say nothing.
                let size = match (total, unit) {
                    (0, _) => String::new(),
                    (_, "bytes") if done < total / 50 => format!(", {}", human_bytes(total)),
                    (_, "bytes") => format!(", {} of {} done", human_bytes(done), human_bytes(total)),
                    _ => format!(", {total} {unit}"),
                };
                eprintln!("{stage}{size}");
            }
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(total: u64) -> ProgressStyle {
    let template = match total {
        0 => "{spinner} {wide_msg}",
        _ => "{msg} [{wide_bar}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
