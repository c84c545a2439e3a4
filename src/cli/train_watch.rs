//! A run without the explorer that is watched all the same: what its frames are of, and who takes them.

use super::args::Items;
use super::prompts::{self, Wanted};
use super::record::Taping;
use super::train_args::{Progress, Train};
use super::train_said::Said;
use super::values;
use crate::engine::protocol::*;
use crate::engine::watching::Watching;
use crate::engine::{Cancel, Engine};
use crate::error::{Error, Result};
use crate::train::Hooks;
use crate::train::lora::LoraParams;
use clap::Args;
use std::path::Path;

/// Languages that are watched where the data name none.
const LANGS: &str = "hi,en,de,fr";
/// Length of the lens' top lists: a frame is kept for long, and shows the first few.
const TOP: usize = 5;

/// What a recorded run shows besides its numbers.
#[derive(Args, Clone, Debug)]
pub struct WatchArgs {
    /// Steps between two frames: the languages' plane and a lens with the adapter as it is then (with --record, or
    /// --progress json)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Watch")]
    pub watch_every: Option<u64>,
    /// Languages in the plane; the lens reads the first item of the first one [default: those of the data, and en]
    #[arg(long, value_name = "LANG,…|all", requires = "watch_every", help_heading = "Watch")]
    pub watch_langs: Option<String>,
    /// Task whose prompts are watched
    #[arg(
        long,
        value_name = "ID|FILE",
        default_value = "sentiment",
        requires = "watch_every",
        help_heading = "Watch"
    )]
    pub watch_task: String,
    /// Own items instead of the task's; `{lang}` in the name stands for the language
    #[arg(long, value_name = "FILE", requires = "watch_every", help_heading = "Watch")]
    pub watch_items: Option<String>,
    /// Items of each language
    #[arg(long, value_name = "N", default_value = "20", value_parser = values::limit, requires = "watch_every", help_heading = "Watch")]
    pub watch_limit: usize,
}

/// What is watched, by its place in the task.
pub struct Watched {
    pub watch: Watch,
    /// The language of the lens' prompt.
    pub lang: String,
}

/// What the options ask to be watched.
///
/// # Errors
/// Usage where nobody would see the frames, or the task or a language is not there.
pub fn watched(args: &Train, data: &[TrainData]) -> Result<Option<Watched>> {
    let WatchArgs { watch_every, watch_langs, watch_task, watch_items, watch_limit } = &args.watch;
    let Some(every) = *watch_every else { return Ok(None) };
    if args.record.is_none() && args.progress != Progress::Json {
        return Err(Error::usage(
            "--watch-every: nobody would see the frames; add --record FILE, or --progress json",
        ));
    }
    let langs = watch_langs.clone().unwrap_or_else(|| of_data(data));
    made(watch_task, &langs, (watch_items.as_deref(), *watch_limit), every).map(Some)
}

/// A watch of a task's items, its own or a file's first so many, in some languages.
///
/// # Errors
/// As [`prompts::gather`]; Usage for less than two languages.
pub fn made(task: &str, langs: &str, (file, most): (Option<&str>, usize), every: u64) -> Result<Watched> {
    let items = Items { style: Style::Same, limit: Some(most), items: file.map(str::to_owned) };
    let protocol = Protocol::Default;
    let mut prompts = prompts::gather(&Wanted { task, langs: Some(langs), protocol, items: &items })?;
    prompts.make_parallel();
    let first =
        prompts.langs.first().and_then(|(lang, items)| Some((lang.clone(), items.first()?.query.clone())));
    let (Some((lang, query)), true) = (first, prompts.langs.len() > 1) else {
        return Err(Error::usage(format!(
            "\"{langs}\" is too little to be watched: name two languages or more, as in zh,es,en"
        )));
    };
    let pca = PcaRequest { items: prompts.langs, protocol, shared_fit: true, ..PcaRequest::default() };
    Ok(Watched { watch: Watch { every, query: Some(query), top: TOP, pca: Some(pca) }, lang })
}

/// The source languages of the data, and English.
fn of_data(data: &[TrainData]) -> String {
    let known = |d: &TrainData| match d {
        TrainData::File { lang, .. } => lang.clone(),
        TrainData::Task { source, .. } => Some(source.clone()),
    };
    let mut langs: Vec<String> = data.iter().filter_map(known).filter(|l| l != "en").collect();
    if langs.is_empty() {
        return LANGS.to_owned();
    }
    langs.push("en".to_owned());
    langs.join(",")
}

/// Whoever hears of a run: the user, and its recording.
pub struct Observed<'a> {
    pub said: Said,
    pub tape: Taping,
    pub watching: Watching,
    pub engine: &'a Engine,
    pub cancel: &'a Cancel,
}

impl Hooks for Observed<'_> {
    fn planned(&mut self, plan: &TrainPlan) {
        self.said.planned(plan);
        self.tape.event(|job| Event::TrainStarted { job, plan: plan.clone() });
    }

    fn stepped(&mut self, step: &TrainStep) {
        self.said.stepped(step);
        self.tape.event(|job| Event::TrainStep { job, step: *step });
    }

    fn validated(&mut self, step: u64, eval_loss: f64, best: bool) {
        self.said.validated(step, eval_loss, best);
        self.tape.event(|job| Event::TrainValidated { job, step, eval_loss, best });
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.said.saved(step, path);
        self.tape.mark(&format!("checkpoint-{step}"));
        self.tape.event(|job| Event::TrainSaved { job, step, path: path.to_owned() });
    }

    fn note(&mut self, sentence: &str) {
        self.said.note(sentence);
        self.tape.event(|job| Event::Note { job, sentence: sentence.to_owned() });
    }

    fn watch(&mut self, step: u64, params: &LoraParams) -> Result<()> {
        let Self { said, tape, watching, engine, cancel } = self;
        let on = &mut |frame: TrainFrame| {
            said.frame(&frame);
            tape.event(|job| Event::TrainFrame { job, frame });
        };
        if let Some(why) = watching.step(engine, (step, params), cancel, &mut |_, _, _, _| {}, on)? {
            self.note(&why);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_datas_languages_are_watched() {
        let file = |lang: Option<&str>| TrainData::File { lang: lang.map(str::to_owned), path: "x".into() };
        assert_eq!(of_data(&[file(Some("zh")), file(None), file(Some("es"))]), "zh,es,en");
        assert_eq!(of_data(&[file(None)]), LANGS);
        let watched = made("sentiment", "zh,es,en", (None, 3), 5).unwrap();
        assert_eq!((watched.lang.as_str(), watched.watch.every), ("zh", 5));
        let pca = watched.watch.pca.unwrap();
        assert!(pca.items.iter().all(|(_, items)| items.len() == 3) && pca.items.len() == 3);
        assert_eq!(watched.watch.query.as_ref(), Some(&pca.items[0].1[0].query));
        assert_eq!(made("sentiment", "zh", (None, 3), 5).err().unwrap().exit_code(), 2);
    }
}
