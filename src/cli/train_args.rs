//! The arguments of `polylens train`. What is not given stays `None`: a resumed run has its own.

use super::values;
use crate::engine::protocol::{DType, DeviceChoice, Recompute, Schedule, TrainData, TrainSettings};
use crate::error::{Error, Result};
use clap::Args;
use std::path::{Path, PathBuf};

/// How a run's progress is told on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Bar,
    Json,
    None,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct Train {
    /// Question-translation rows (.json .jsonl .csv), with their source language or without; repeatable
    #[arg(long = "data", value_name = "LANG=FILE|FILE", value_parser = data)]
    pub data: Vec<TrainData>,
    /// Question pairs made of a task's own items, its answers left out; repeatable
    #[arg(long = "pairs", value_name = "TASK:LANG,…=>LANG", value_parser = pairs)]
    pub pairs: Vec<Pairs>,
    /// At most N pairs a source language (with --pairs)
    #[arg(long, value_name = "N", value_parser = values::limit, requires = "pairs")]
    pub pairs_limit: Option<usize>,
    /// The run's directory: checkpoints, log, and in the end the adapter
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    pub out: Option<PathBuf>,
    /// Go on with the run in DIR, which knows its settings, data and model
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "data", "pairs", "pairs_limit", "init_adapter"])]
    pub resume: Option<PathBuf>,
    /// Begin from this adapter's exact weights; its rank, alpha and targets are taken over
    #[arg(long, value_name = "DIR")]
    pub init_adapter: Option<PathBuf>,
    #[command(flatten)]
    pub settings: Settings,
    /// Catalogue name, ORG/REPO of the hub, directory, or .gguf file [default: gemma-3-270m]
    #[arg(long, value_name = "MODEL", help_heading = "Model")]
    pub model: Option<String>,
    /// What PEFT is told to load the base model by [default: a catalogue model's repository, else as --model]
    #[arg(long, value_name = "NAME", conflicts_with = "resume", help_heading = "Model")]
    pub base_name: Option<String>,
    /// Where to compute: auto or cpu (training runs on the CPU)
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = values::device, help_heading = "Model")]
    pub device: DeviceChoice,
    /// What is multiplied in; on a CPU f32 is exact on weights as the file has them, bf16 rounds [default: auto]
    #[arg(long, value_name = "DTYPE", value_parser = values::dtype(), help_heading = "Model")]
    pub dtype: Option<DType>,
    /// Threads for computing; 0 = one per core [default: 0; resumed: the run's own]
    #[arg(long, value_name = "N", value_parser = values::threads, help_heading = "Model")]
    pub threads: Option<usize>,
    #[command(flatten)]
    pub watch: super::train_watch::WatchArgs,
    /// Progress on stderr: a bar, one JSON object a line, or none
    #[arg(long, value_name = "FORM", default_value = "bar", value_parser = progress(), help_heading = "Output")]
    pub progress: Progress,
    /// Print one JSON document instead of a summary
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// No progress and no notes on stderr
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
    /// Append what is done, with times, to FILE
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub log: Option<PathBuf>,
    /// Record what is asked and answered to FILE, a session that `polylens sessions` replays without the model
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub record: Option<PathBuf>,
}

/// The settings of a run; the defaults are the paper's.
#[derive(Args, Clone, Debug, Default)]
pub struct Settings {
    /// Rank of the update [default: 8]
    #[arg(long, value_name = "N", help_heading = "Adapter")]
    pub rank: Option<usize>,
    /// Factor alpha / rank on the update [default: 16]
    #[arg(long, value_name = "X", help_heading = "Adapter")]
    pub alpha: Option<f64>,
    /// Layers that are adapted: q_proj k_proj v_proj o_proj gate_proj up_proj down_proj, or all [default: q_proj,v_proj]
    #[arg(long, value_name = "NAME,…|all", value_parser = targets, help_heading = "Adapter")]
    pub targets: Option<Targets>,
    /// Share of an adapted layer's inputs that its update does not see [default: 0]
    #[arg(long, value_name = "P", help_heading = "Adapter")]
    pub dropout: Option<f64>,
    /// Times that every sample is seen [default: 3]
    #[arg(long, value_name = "X", help_heading = "Training")]
    pub epochs: Option<f64>,
    /// Steps in all, whatever the epochs say
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub max_steps: Option<u64>,
    /// Samples a step [default: 16]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub batch_size: Option<usize>,
    /// Samples a forward and backward pass: more is faster and takes more memory [default: 4]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub micro_batch: Option<usize>,
    /// Highest learning rate [default: 5e-5]
    #[arg(long, value_name = "X", help_heading = "Training")]
    pub lr: Option<f64>,
    /// How the rate falls after the warm-up: cosine, linear or constant [default: cosine]
    #[arg(long, value_name = "NAME", value_parser = scheduler(), hide_possible_values = true, help_heading = "Training")]
    pub scheduler: Option<Schedule>,
    /// Share of the steps in which the rate rises [default: 0.1]
    #[arg(long, value_name = "X", help_heading = "Training")]
    pub warmup_ratio: Option<f64>,
    /// Gradients are scaled down to this norm; 0 = never [default: 1]
    #[arg(long, value_name = "X", help_heading = "Training")]
    pub max_grad_norm: Option<f64>,
    /// Decoupled weight decay [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training")]
    pub weight_decay: Option<f64>,
    /// Most tokens of a sample [default: 2048]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub cutoff: Option<usize>,
    /// Seed of order, held-out samples, first weights and dropout [default: 0]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub seed: Option<u64>,
    /// See the samples in the order of their files
    #[arg(long, help_heading = "Training")]
    pub no_shuffle: bool,
    /// Compute activations anew on the way back instead of keeping them: auto, always or never [default: auto]
    #[arg(long, value_name = "WHEN", value_parser = recompute(), hide_possible_values = true, help_heading = "Training")]
    pub recompute: Option<Recompute>,
    /// Held out for the validation loss: a share below 1, or a number of samples [default: 0.05]
    #[arg(long, value_name = "X", help_heading = "Validation and files")]
    pub val_size: Option<f64>,
    /// Steps between two validations [default: 50]
    #[arg(long, value_name = "N", help_heading = "Validation and files")]
    pub eval_steps: Option<u64>,
    /// Stop after N validations without a better loss
    #[arg(long, value_name = "N", help_heading = "Validation and files")]
    pub patience: Option<u32>,
    /// Steps between two lines of the log [default: 10]
    #[arg(long, value_name = "N", help_heading = "Validation and files")]
    pub logging_steps: Option<u64>,
    /// Steps between two checkpoints [default: 50]
    #[arg(long, value_name = "N", help_heading = "Validation and files")]
    pub save_steps: Option<u64>,
}

const EXAMPLES: &str = "Examples:
  polylens train --data zh=zh-en.json --data es=es-en.json --out zh-es-en
  polylens train --pairs 'sentiment:zh,es=>en' --max-steps 60 --lr 2e-4 --out quick
  polylens train --resume zh-es-en              (after Ctrl-C, a crash or kill -9)
  polylens eval --adapter zh-es-en

With --progress json every line of stderr is an object with an \"event\": plan, step, validation, checkpoint, note;
docs/training.md describes them and the run's directory.";

/// Names of linear layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(pub Vec<String>);

/// Pairs of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs {
    pub task: String,
    pub from: Vec<String>,
    pub to: String,
}

impl Settings {
    /// Writes what was given over `settings`. Returns the options whose values were others before: name, value, before.
    pub fn apply(&self, settings: &mut TrainSettings) -> Vec<(&'static str, String, String)> {
        let mut changed = Vec::new();
        macro_rules! set {
            ($($field:ident $name:literal),* $(,)?) => { $(
                if let Some(value) = &self.$field {
                    set_one($name, value, &mut settings.$field, &mut changed);
                }
            )* };
        }
        set!(
            rank "rank", alpha "alpha", dropout "dropout", epochs "epochs", batch_size "batch-size",
            micro_batch "micro-batch", lr "lr", scheduler "scheduler", warmup_ratio "warmup-ratio",
            max_grad_norm "max-grad-norm", weight_decay "weight-decay", cutoff "cutoff", seed "seed",
            recompute "recompute", val_size "val-size", eval_steps "eval-steps", logging_steps "logging-steps",
            save_steps "save-steps",
        );
        if let Some(Targets(names)) = &self.targets {
            set_one("targets", names, &mut settings.targets, &mut changed);
        }
        if self.max_steps.is_some() {
            set_one("max-steps", &self.max_steps, &mut settings.max_steps, &mut changed);
        }
        if self.patience.is_some() {
            set_one("patience", &self.patience, &mut settings.patience, &mut changed);
        }
        if self.no_shuffle && std::mem::take(&mut settings.shuffle) {
            changed.push(("no-shuffle", "true".into(), "false".into()));
        }
        changed
    }
}

fn set_one<T: Clone + PartialEq + serde::Serialize>(
    name: &'static str,
    value: &T,
    place: &mut T,
    changed: &mut Vec<(&'static str, String, String)>,
) {
    if value != place {
        let text = |x: &T| serde_json::to_string(x).unwrap_or_default().replace('"', "");
        changed.push((name, text(value), text(place)));
        *place = value.clone();
    }
}

impl Train {
    /// Where the rows come from.
    ///
    /// # Errors
    /// [`Error::Usage`] where nothing was named.
    pub fn sources(&self) -> Result<Vec<TrainData>> {
        let mut all = self.data.clone();
        for pairs in &self.pairs {
            all.extend(pairs.from.iter().map(|source| TrainData::Task {
                task: pairs.task.clone(),
                source: source.clone(),
                target: pairs.to.clone(),
                limit: self.pairs_limit,
            }));
        }
        if all.is_empty() {
            return Err(Error::usage(
                "there is nothing to train on: name data, as --data zh=zh-en.json, or pairs of a task, as --pairs \
                 'sentiment:zh,es=>en'",
            ));
        }
        Ok(all)
    }
}

/// `LANG=FILE`, or a plain FILE. A file whose whole name is that is taken as such.
fn data(text: &str) -> Result<TrainData, String> {
    let is_code = |s: &str| {
        (2..=12).contains(&s.len()) && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let (lang, path) = match text.split_once('=') {
        Some((lang, path)) if is_code(lang) && !Path::new(text).exists() => (Some(lang.to_owned()), path),
        _ => (None, text),
    };
    if path.is_empty() {
        return Err(format!("\"{text}\" names no file; give LANG=FILE or FILE"));
    }
    Ok(TrainData::File { lang, path: PathBuf::from(path) })
}

/// `TASK:zh,es=>en`.
fn pairs(text: &str) -> Result<Pairs, String> {
    let wrong = || format!("\"{text}\" names no pairs; give TASK:LANG,…=>LANG, as 'sentiment:zh,es=>en'");
    let (front, to) = text.split_once("=>").ok_or_else(wrong)?;
    // A task may be a file, whose path may hold a colon.
    let (task, from) = front.rsplit_once(':').ok_or_else(wrong)?;
    let from: Vec<String> = from.split(',').map(|l| l.trim().to_owned()).collect();
    let (task, to) = (task.trim().to_owned(), to.trim().to_owned());
    if task.is_empty() || to.is_empty() || from.iter().any(String::is_empty) {
        return Err(wrong());
    }
    Ok(Pairs { task, from, to })
}

fn targets(text: &str) -> Result<Targets, String> {
    let all: Vec<String> = crate::model::names::Proj::ALL.iter().map(|p| p.module().to_owned()).collect();
    if text.trim() == "all" {
        return Ok(Targets(all));
    }
    let named: Vec<String> = text.split(',').map(|n| n.trim().to_owned()).collect();
    match named.iter().find(|n| !all.contains(n)) {
        Some(n) => Err(format!("\"{n}\" is no linear layer; there are {}, or all", all.join(", "))),
        None => Ok(Targets(named)),
    }
}

fn scheduler() -> impl clap::builder::TypedValueParser<Value = Schedule> {
    values::named(&[
        ("cosine", Schedule::Cosine),
        ("linear", Schedule::Linear),
        ("constant", Schedule::Constant),
    ])
}

fn recompute() -> impl clap::builder::TypedValueParser<Value = Recompute> {
    values::named(&[("auto", Recompute::Auto), ("always", Recompute::Always), ("never", Recompute::Never)])
}

fn progress() -> impl clap::builder::TypedValueParser<Value = Progress> {
    values::named(&[("bar", Progress::Bar), ("json", Progress::Json), ("none", Progress::None)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_pairs() {
        let file = |lang: Option<&str>, path: &str| TrainData::File {
            lang: lang.map(str::to_owned),
            path: path.into(),
        };
        assert_eq!(data("zh=a/b.json"), Ok(file(Some("zh"), "a/b.json")));
        assert_eq!(data("a/b=c.json"), Ok(file(None, "a/b=c.json")));
        assert!(data("zh=").is_err());
        let p = pairs("my:task.toml:zh, es=>en").unwrap();
        assert_eq!(
            (p.task.as_str(), p.from, p.to.as_str()),
            ("my:task.toml", vec!["zh".into(), "es".into()], "en")
        );
        for bad in ["sentiment", "sentiment:zh", "zh=>en", "sentiment:=>en", "s:zh,,es=>en", "s:zh=>"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
        assert_eq!(targets("all").unwrap().0.len(), 7);
        assert!(targets("q_proj,x").unwrap_err().contains("\"x\""));
    }

    #[test]
    fn only_what_was_given_changes_and_is_told() {
        let mut settings = TrainSettings::default();
        let given = Settings {
            lr: Some(1e-3),
            rank: Some(8),
            patience: Some(3),
            no_shuffle: true,
            targets: Some(Targets(vec!["o_proj".into()])),
            ..Settings::default()
        };
        let told: Vec<String> =
            given.apply(&mut settings).into_iter().map(|(n, v, b)| format!("{n} {v} {b}")).collect();
        assert_eq!(
            told,
            [
                "lr 0.001 0.00005",
                "targets [o_proj] [q_proj,v_proj]",
                "patience 3 null",
                "no-shuffle true false"
            ]
        );
        assert_eq!((settings.lr, settings.shuffle, settings.rank), (1e-3, false, 8));
        assert!(given.apply(&mut settings).is_empty());
    }
}
