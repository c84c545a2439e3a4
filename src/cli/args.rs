//! What can be typed: sub-commands and the options they share, as clap sees them.

use super::values;
use crate::app::ThemeKind;
use crate::engine::protocol::{DType, DeviceChoice, Pooling, Protocol, Score, Style};
use crate::eval::part::Shard;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;
use values::Layers;

/// See what language a language model thinks in: logit lens, joint PCA, LoRA adapters.
#[derive(Debug, Parser)]
#[command(
    name = "polylens",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    after_help = "Without a sub-command the explorer opens. `polylens COMMAND --help` explains one command.",
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub explore: Explore,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open the explorer in the terminal (what `polylens` alone does)
    Explore(Box<Explore>),
    /// Per-layer readout of one text, or mean curves over a task's items
    Lens(Box<Lens>),
    /// Joint PCA of languages with Pearson, CKA, cosine gap and MEXA, per layer
    Pca(Box<Pca>),
    /// Accuracy by constrained decoding: languages x models and adapters
    Eval(Box<Eval>),
    /// Make training data, and look at it
    Data(Box<super::data::Args>),
    /// Base + adapter as a plain Hugging Face directory
    Merge(Box<super::merge::Args>),
    /// Question-translation alignment: trains a LoRA adapter
    Train(Box<super::train_args::Train>),
    /// List, fetch, inspect and remove models
    Models(super::models::Args),
    /// Recordings: check
    Sessions(super::sessions::Sessions),
    /// List, show and check tasks
    Tasks(Tasks),
    /// Devices, threads, SIMD, caches and terminal abilities of this machine
    Doctor(Doctor),
    /// Print a completion script for a shell
    Completions {
        /// bash, elvish, fish, powershell or zsh
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
}

/// Which weights, and how they are computed with.
#[derive(Args, Clone, Debug)]
pub struct Model {
    /// Catalogue name, ORG/REPO of the hub, directory, or .gguf file [default: gemma-3-270m]
    #[arg(long, value_name = "MODEL", help_heading = "Model")]
    pub model: Option<String>,
    /// PEFT LoRA adapter: directory or ORG/REPO; repeatable, one run for the base and one for each
    #[arg(long = "adapter", value_name = "ADAPTER", help_heading = "Model")]
    pub adapters: Vec<String>,
    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = values::device, help_heading = "Model")]
    pub device: DeviceChoice,
    /// What is multiplied in; on a CPU f32 is exact on weights as the file has them, bf16 rounds and is faster
    #[arg(long, value_name = "DTYPE", default_value = "auto", value_parser = values::dtype(), help_heading = "Model")]
    pub dtype: DType,
    /// Threads for computing; 0 = one per core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::threads, help_heading = "Model")]
    pub threads: usize,
}

/// Where a result goes and what is said on the way.
#[derive(Args, Clone, Debug)]
pub struct Output {
    /// Print one JSON document instead of tables
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Also write the result to FILE: .json .csv .md .tex (eval only) .svg .png
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// No progress bar and no notes on stderr
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
    /// Append what is done, with times, to FILE
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub log: Option<PathBuf>,
}

/// Which prompts.
#[derive(Args, Clone, Debug)]
pub struct Items {
    /// Style of the answers in the prompts
    #[arg(long, value_name = "STYLE", default_value = "same", value_parser = values::style(), help_heading = "Prompts")]
    pub style: Style,
    /// At most N items a language
    #[arg(long, value_name = "N", value_parser = values::limit, help_heading = "Prompts")]
    pub limit: Option<usize>,
    /// Own items instead of the task's: JSON array, JSON Lines or CSV; `{lang}` in the name stands for the language
    #[arg(long, value_name = "FILE", help_heading = "Prompts")]
    pub items: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub struct Explore {
    #[command(flatten)]
    pub model: Model,
    /// Task to begin with: an ID of `polylens tasks list`, or a .toml file
    #[arg(long, value_name = "ID|FILE")]
    pub task: Option<String>,
    /// Language to begin with
    #[arg(long, value_name = "LANG")]
    pub lang: Option<String>,
    /// Style of the answers in the prompts
    #[arg(long, value_name = "STYLE", default_value = "same", value_parser = values::style())]
    pub style: Style,
    /// Definitions where the paper's code and the cleaner way differ
    #[arg(long, value_name = "PROTOCOL", default_value = "default", value_parser = values::protocol())]
    pub protocol: Protocol,
    /// Look of the explorer [default: by the terminal's background and locale]
    #[arg(long, value_name = "THEME", value_parser = values::theme())]
    pub theme: Option<ThemeKind>,
    /// Follow the trainer_log.jsonl of a training run: the file or its directory
    #[arg(long, value_name = "PATH")]
    pub train_log: Option<PathBuf>,
    /// Record the session to FILE from the start (Ctrl-r ends it)
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Append messages to FILE (the screen shows none)
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = LENS_EXAMPLES, group = clap::ArgGroup::new("what").required(true).args(["text", "task"]))]
pub struct Lens {
    /// Text whose next token is read at every layer; `-` reads stdin
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Tokens shown per layer (with --text)
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = values::top, conflicts_with = "task")]
    pub top: usize,
    /// Word followed through the layers by its token set (with --text); repeatable
    #[arg(long = "track", value_name = "WORD", conflicts_with = "task")]
    pub track: Vec<String>,
    /// Mean curves over a task: an ID of `polylens tasks list`, or a .toml file
    #[arg(long, value_name = "ID|FILE")]
    pub task: Option<String>,
    /// Language of the task's prompts (with --task)
    #[arg(long, value_name = "LANG", conflicts_with_all = ["text", "langs"], help_heading = "Prompts")]
    pub lang: Option<String>,
    /// Several languages, or `all`: one JSON document each, in an array (with --task)
    #[arg(long, value_name = "LANG,…|all", conflicts_with = "text", help_heading = "Prompts")]
    pub langs: Option<String>,
    #[command(flatten)]
    pub items: Items,
    /// Layers shown: all, or numbers and ranges such as 0,6,10-12
    #[arg(long, value_name = "LAYERS", default_value = "all", value_parser = values::layers)]
    pub layers: Layers,
    /// Definitions where the paper's code and the cleaner way differ
    #[arg(long, value_name = "PROTOCOL", default_value = "default", value_parser = values::protocol())]
    pub protocol: Protocol,
    /// Seed (the lens draws no random numbers; accepted for scripts that pass it everywhere)
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    pub seed: u64,
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub output: Output,
    /// Record what is asked and answered to FILE, a session that `polylens sessions` replays without the model
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub record: Option<PathBuf>,
}

const LENS_EXAMPLES: &str = "Examples:
  polylens lens --text 'The capital of France is' --top 5 --track Paris
  polylens lens --task sentiment --lang zh --limit 8 --out curves.svg
  polylens lens --task sentiment --langs en,th,sw --adapter my-adapter --json";

#[derive(Args, Clone, Debug)]
#[command(after_help = EVAL_EXAMPLES)]
pub struct Eval {
    /// Task: an ID of `polylens tasks list`, or a .toml file
    #[arg(long, value_name = "ID|FILE", default_value = "sentiment")]
    pub task: String,
    /// Languages, or `all`
    #[arg(long, value_name = "LANG,…|all", default_value = "all", help_heading = "Prompts")]
    pub langs: String,
    /// One language alone
    #[arg(long, value_name = "LANG", conflicts_with = "langs", help_heading = "Prompts")]
    pub lang: Option<String>,
    /// Style of the answers: labels in English, in the language, or unrelated words
    #[arg(long, value_name = "STYLE", default_value = "english", value_parser = values::style(), help_heading = "Prompts")]
    pub style: Style,
    /// At most N items a language
    #[arg(long, value_name = "N", value_parser = values::limit, help_heading = "Prompts")]
    pub limit: Option<usize>,
    /// Own items instead of the task's: JSON array, JSON Lines or CSV; `{lang}` in the name stands for the language
    #[arg(long, value_name = "FILE", help_heading = "Prompts")]
    pub items: Option<String>,
    /// A label's score: probability of its token set, or log-likelihood of the whole label
    #[arg(long, value_name = "SCORE", default_value = "prefix-set", value_parser = super::eval::score())]
    pub score: Score,
    /// Definitions where the paper's code and the cleaner way differ (paper: shared tokens stay in the sets)
    #[arg(long, value_name = "PROTOCOL", default_value = "default", value_parser = values::protocol())]
    pub protocol: Protocol,
    /// Seed of the bootstrap intervals
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Compute every answer anew instead of going on with those kept from before
    #[arg(long)]
    pub fresh: bool,
    /// Also write items as lm-evaluation-harness does: DIR/RUN/samples_TASK_LANG.jsonl
    #[arg(long, value_name = "DIR", conflicts_with = "shard")]
    pub samples: Option<PathBuf>,
    /// Compute only part I of N (from 1), for the jobs of an array; writes a part to be merged
    #[arg(long, value_name = "I/N", value_parser = super::eval::shard, help_heading = "Parts")]
    pub shard: Option<Shard>,
    /// Join the parts that --shard wrote; needs no model
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "shard", help_heading = "Parts")]
    pub merge: Vec<PathBuf>,
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub output: Output,
    /// Record what is asked and answered to FILE, a session that `polylens sessions` replays without the model
    #[arg(long, value_name = "FILE", conflicts_with_all = ["shard", "merge"], help_heading = "Output")]
    pub record: Option<PathBuf>,
}

const EVAL_EXAMPLES: &str = "Examples:
  polylens eval --task sentiment --limit 8
  polylens eval --task nli --langs en,zh,sw --adapter my-adapter --out table.tex
  polylens eval --task my.toml --items 'data/test_{lang}.json' --score loglik --json
  polylens eval --shard 3/8 --out part-3.json      (one of eight jobs)
  polylens eval --merge part-*.json --out all.json (afterwards)";

#[derive(Args, Clone, Debug)]
#[command(after_help = PCA_EXAMPLES)]
pub struct Pca {
    /// Task whose prompts are used: an ID of `polylens tasks list`, or a .toml file
    #[arg(long, value_name = "ID|FILE", default_value = "sentiment")]
    pub task: String,
    /// Languages, or `all`
    #[arg(long, value_name = "LANG,…|all", default_value = "en,de,fr,hi,th,sw,ms", help_heading = "Prompts")]
    pub langs: String,
    /// One language alone
    #[arg(long, value_name = "LANG", conflicts_with = "langs", help_heading = "Prompts")]
    pub lang: Option<String>,
    #[command(flatten)]
    pub items: Items,
    /// Layers computed: all, or numbers and ranges such as 0,6,10-12
    #[arg(long, value_name = "LAYERS", default_value = "all", value_parser = values::layers)]
    pub layers: Layers,
    /// One vector from a prompt: mean over all positions, the last one, or the mean over the query's own
    #[arg(long, value_name = "POOLING", default_value = "mean", value_parser = values::pooling())]
    pub pooling: Pooling,
    /// Project adapter runs with the base model's fit instead of each with its own
    #[arg(long)]
    pub shared_fit: bool,
    /// Definitions where the paper's code and the cleaner way differ
    #[arg(long, value_name = "PROTOCOL", default_value = "default", value_parser = values::protocol())]
    pub protocol: Protocol,
    /// Seed of the bootstrap intervals and the shuffled controls
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub output: Output,
    /// Record what is asked and answered to FILE, a session that `polylens sessions` replays without the model
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub record: Option<PathBuf>,
}

const PCA_EXAMPLES: &str = "Examples:
  polylens pca --langs en,de,th,sw --layers 0,6,12,18
  polylens pca --langs all --limit 16 --adapter my-adapter --out pca.png";

#[derive(Args, Clone, Debug)]
pub struct Tasks {
    #[command(subcommand)]
    pub action: TasksAction,
}

#[derive(Clone, Debug, Subcommand)]
pub enum TasksAction {
    /// The bundled tasks with their labels, languages and numbers of items
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// A task's label words and one whole prompt
    Show {
        /// An ID of `polylens tasks list`, or a .toml file
        #[arg(value_name = "ID|FILE")]
        task: String,
        /// Language of the prompt that is shown
        #[arg(long, value_name = "LANG")]
        lang: Option<String>,
        /// Style of the answers
        #[arg(long, value_name = "STYLE", default_value = "same", value_parser = values::style())]
        style: Style,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check a task file (and items for it), and say what is wrong where
    Check {
        /// The task: a .toml file, or an ID of `polylens tasks list`
        #[arg(value_name = "FILE")]
        task: String,
        /// Items to check with it; `{lang}` in the name stands for the language
        #[arg(long, value_name = "FILE")]
        items: Option<String>,
        /// Language(s) of the items: one, several, or all
        #[arg(long, value_name = "LANG,…|all", default_value = "all")]
        langs: String,
        /// Also look at the label words with this model's vocabulary: which share tokens, which have none of their own
        #[arg(long, value_name = "MODEL")]
        model: Option<String>,
    },
}

#[derive(Args, Clone, Debug)]
pub struct Doctor {
    /// Measure what this processor and its memory can do, and how much of it matrix products reach (some ten seconds)
    #[arg(long)]
    pub bench: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn text_and_task_exclude_each_other() {
        for bad in [
            "polylens lens",
            "polylens lens --text a --task sentiment",
            "polylens lens --text a --lang zh",
            "polylens lens --task sentiment --track x",
            "polylens lens --task sentiment --lang zh --langs en",
            "polylens --model x lens --text a",
        ] {
            assert!(Cli::try_parse_from(bad.split(' ')).is_err(), "{bad}");
        }
        for good in ["polylens", "polylens --lang th --adapter a --adapter b", "polylens lens --text -x"] {
            Cli::try_parse_from(good.split(' ')).unwrap();
        }
    }
}
