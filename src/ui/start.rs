//! From the command line to the first frame.

use super::log::Log;
use super::player::{Front, PlayOptions};
use super::recording::{Origin, Recording};
use super::runtime;
use super::terminal::Terminal;
use super::theme::Ladder;
use crate::app::bundle::Bundle;
use crate::app::model::Settings;
use crate::app::{App, Setup, ThemeKind};
use crate::engine::protocol::{DType, DeviceChoice, Protocol, Style};
use crate::error::{Error, Result};
use crate::hub::DEFAULT_MODEL;
use crate::session::Start;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the explorer begins with.
#[derive(Clone, Debug, Default)]
pub struct ExploreOptions {
    /// Catalogue name, ORG/REPO, directory or file; the default model without one.
    pub model: Option<String>,
    pub adapters: Vec<String>,
    /// A bundled task's id or a task file.
    pub task: Option<String>,
    /// Code or name of a language.
    pub lang: Option<String>,
    pub style: Style,
    pub protocol: Protocol,
    pub dtype: DType,
    pub device: DeviceChoice,
    pub threads: usize,
    /// `None` chooses by the terminal.
    pub theme: Option<ThemeKind>,
    /// Append what is asked and answered to this file.
    pub log: Option<PathBuf>,
    /// Follow this training run.
    pub train_log: Option<PathBuf>,
    /// Record into this file from the start.
    pub record: Option<PathBuf>,
}

/// Opens the explorer and returns when the user leaves it.
///
/// # Errors
/// No terminal; a task or language that is not there; `Error::Interrupted` when a signal ended it.
pub fn run(options: ExploreOptions) -> Result<()> {
    need_terminal()?;
    let env = |name: &str| std::env::var(name).ok();
    let (library, task) = Bundle::with(options.task.as_deref())?;
    let lang = match options.lang.as_deref() {
        Some(lang) => library.find_language(&task, Some(lang))?,
        None => first_language(env)
            .and_then(|code| library.find_language(&task, Some(&code)).ok())
            .map_or_else(|| library.find_language(&task, None), Ok)?,
    };
    let log = Log::open(options.log.as_deref())?;
    let model = options.model.unwrap_or_else(|| DEFAULT_MODEL.to_owned());
    let start = Start {
        model: model.clone(),
        adapters: options.adapters.clone(),
        task: task.clone(),
        lang: lang.clone(),
        style: options.style,
        protocol: options.protocol,
        size: Terminal::size(),
        training_log: options.train_log.as_ref().map(|p| p.display().to_string()),
    };
    let own_task = super::recording::own_task(options.task.as_deref(), &task);
    let mut recording = Recording::new(Origin { start, own_task, ..Origin::default() });
    if let Some(path) = &options.record {
        recording.begin(path, Duration::ZERO)?;
    }
    let (app, effects) = App::new(Setup {
        library: Arc::new(library),
        model,
        adapters: options.adapters,
        task,
        lang,
        style: options.style,
        protocol: options.protocol,
        settings: Settings { dtype: options.dtype, device: options.device, threads: options.threads },
        theme: options.theme.unwrap_or_else(|| theme_for(env)),
        training_log: options.train_log,
    });
    runtime::run(runtime::Begin { app, effects, front: None, recording }, Ladder::detect(env), log)
}

/// Replays recordings and returns when the user leaves them.
///
/// # Errors
/// No terminal; a file that is no session; `Error::Interrupted` when a signal ended it.
pub fn play(options: &PlayOptions) -> Result<()> {
    need_terminal()?;
    let env = |name: &str| std::env::var(name).ok();
    let theme = options.theme.unwrap_or_else(|| theme_for(env));
    let front = Front::open(options, theme, true, Duration::ZERO)?;
    let (library, task) = Bundle::with(None)?;
    let lang = library.find_language(&task, None)?;
    // Nothing of the live explorer is wanted: what it would ask of the world is left undone.
    let (app, _) = App::new(Setup {
        library: Arc::new(library),
        model: DEFAULT_MODEL.to_owned(),
        adapters: Vec::new(),
        task,
        lang,
        style: Style::default(),
        protocol: Protocol::default(),
        settings: Settings::default(),
        theme,
        training_log: None,
    });
    let begin = runtime::Begin { app, effects: Vec::new(), front: Some(front), recording: Recording::none() };
    runtime::run(begin, Ladder::detect(env), Log::open(None)?)
}

/// The explorer needs somebody to look at it.
fn need_terminal() -> Result<()> {
    const INSTEAD: &str = "Without one, `polylens lens`, `polylens pca`, `polylens models` and \
                           `polylens tasks` print their results, and `polylens sessions export` makes a text or a \
                           picture of a recording; see `polylens --help`.";
    let missing = [("stdin", std::io::stdin().is_terminal()), ("stdout", std::io::stdout().is_terminal())];
    if let Some((name, _)) = missing.iter().find(|(_, there)| !there) {
        return Err(Error::usage(format!("The explorer needs a terminal, and {name} is none. {INSTEAD}")));
    }
    if std::env::var("TERM").is_ok_and(|t| t == "dumb") {
        return Err(Error::usage(format!(
            "The explorer needs a terminal that can move its cursor, and TERM is dumb. {INSTEAD}"
        )));
    }
    Ok(())
}

/// The language to begin with: the user's own where it is not English. For English readers Chinese,
/// since English beside English would show nothing.
fn first_language(var: impl Fn(&str) -> Option<String>) -> Option<String> {
    let set = |name: &str| var(name).filter(|v| !v.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_MESSAGES")).or_else(|| set("LANG")).unwrap_or_default();
    let code = locale.split(['_', '.', '@']).next().unwrap_or_default();
    let code = if matches!(code, "nb" | "nn") { "no" } else { code };
    let known = crate::tasks::Language::of_code(code).filter(|l| l.code != "en");
    Some(known.map_or("zh", |l| l.code).to_owned())
}

/// Light where the terminal says that its ground is light, ASCII where the locale has nothing else.
fn theme_for(var: impl Fn(&str) -> Option<String>) -> ThemeKind {
    let set = |name: &str| var(name).filter(|v| !v.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    let coded = locale.contains('.') && !locale.contains("utf-8") && !locale.contains("utf8");
    if coded || set("LC_ALL").is_some_and(|v| v == "C" || v == "POSIX") {
        return ThemeKind::Ascii;
    }
    let ground = set("COLORFGBG").and_then(|v| v.rsplit(';').next().and_then(|n| n.parse::<u8>().ok()));
    if matches!(ground, Some(7 | 9..=15)) { ThemeKind::Light } else { ThemeKind::Dark }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_theme_follows_the_terminal() {
        let theme = |vars: &[(&str, &str)]| {
            theme_for(|n| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| v.to_string()))
        };
        assert_eq!(theme(&[]), ThemeKind::Dark);
        assert_eq!(theme(&[("COLORFGBG", "0;15")]), ThemeKind::Light);
        assert_eq!(theme(&[("COLORFGBG", "15;0"), ("LANG", "th_TH.UTF-8")]), ThemeKind::Dark);
        assert_eq!(theme(&[("LANG", "de_DE.ISO-8859-1")]), ThemeKind::Ascii);
        assert_eq!(theme(&[("LC_ALL", "C")]), ThemeKind::Ascii);
    }

    #[test]
    fn the_first_language_is_the_users_own_or_one_that_shows_something() {
        let first = |lang: &str| first_language(|n| (n == "LANG").then(|| lang.to_owned())).unwrap();
        assert_eq!(first("th_TH.UTF-8"), "th");
        assert_eq!(first("nb_NO.UTF-8"), "no");
        for other in ["en_GB.UTF-8", "C.UTF-8", "", "tlh"] {
            assert_eq!(first(other), "zh", "{other}");
        }
    }
}
