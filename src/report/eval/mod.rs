//! Accuracies of languages and runs: the paper's table, and beside it what tells accuracy from label bias.

mod document;
mod rows;
mod tables;
mod tex;

pub mod samples;

#[cfg(test)]
pub(in crate::report) mod sample;
#[cfg(test)]
mod tests;

pub use tables::{Block, Cell, PER_BLOCK, Row, blocks};

use super::curves::style_name;
use super::plot;
use super::{Report, Source};
use crate::engine::protocol::{EvalPlan, Protocol, Score};
use crate::error::Result;
use crate::eval::{Change, LangSummary, RunSummary, Summary, Table};
use crate::tasks::LANGUAGES;

/// `polylens eval`: a whole evaluation, or what is there of one that goes on.
pub struct EvalReport<'a> {
    pub source: Source<'a>,
    pub table: &'a Table,
    /// Of `table`, made with `seed`.
    pub summary: &'a Summary,
    pub seed: u64,
    /// `None` where nothing was timed, as when parts were joined.
    pub elapsed_ms: Option<f64>,
    /// Answers computed in this run; the others were kept from earlier ones.
    pub computed: usize,
}

impl<'a> EvalReport<'a> {
    pub fn plan(&self) -> &'a EvalPlan {
        &self.table.plan
    }

    /// How the run at a place of the table is called: `base`, or the adapter's name.
    pub fn run_name(&self, run: usize) -> &'a str {
        self.source.run_name(self.table.runs.get(run).copied().flatten())
    }

    /// The plan's languages in the order in which they are shown: the twenty of the paper in their order, then others
    /// as they come.
    pub fn shown_langs(&self) -> Vec<usize> {
        let place = |l: &usize| {
            let code = &self.plan().langs[*l].lang;
            LANGUAGES.iter().position(|known| known.code == code).unwrap_or(LANGUAGES.len())
        };
        let mut all: Vec<usize> =
            (0..self.plan().langs.len()).filter(|l| self.table.takes_part(*l)).collect();
        all.sort_by_key(place);
        all
    }

    pub fn code(&self, lang: usize) -> &'a str {
        &self.plan().langs[lang].lang
    }

    /// One run in one language; `None` where nothing is there.
    pub fn cell(&self, run: usize, lang: usize) -> Option<&'a LangSummary> {
        self.summary.runs.get(run)?.languages.get(lang)?.as_ref()
    }

    /// (language, reason) of those whose labels cannot be told apart.
    pub fn refused(&self) -> Vec<(&'a str, &'a str)> {
        let langs = self.plan().langs.iter().zip(&self.table.sets);
        langs.filter_map(|(l, s)| Some((l.lang.as_str(), s.refused.as_deref()?))).collect()
    }

    /// Answers that are there, and all that there will be.
    pub fn progress(&self) -> (usize, usize) {
        self.table.progress(None)
    }

    /// `24 items in each of 20 languages`.
    fn size(&self) -> String {
        let langs = self.shown_langs();
        let counts = || langs.iter().map(|l| self.plan().langs[*l].items.len());
        let (few, many) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
        let items = match (few, many) {
            (1, 1) => "1 item".to_owned(),
            (a, b) if a == b => format!("{a} items"),
            (a, b) => format!("{a} to {b} items"),
        };
        match langs.as_slice() {
            [] => "no language".to_owned(),
            [one] => format!("{items} in {}", self.code(*one)),
            all => format!("{items} in each of {} languages", all.len()),
        }
    }

    /// `task sentiment, style english, score prefix-set, 24 items in each of 20 languages`.
    pub fn caption(&self) -> String {
        let plan = self.plan();
        format!(
            "task {}, style {}, score {}, protocol {}, {}",
            plan.task,
            style_name(plan.style),
            score_name(plan.score),
            protocol_name(plan.protocol),
            self.size()
        )
    }

    /// What a reader must know beside the numbers, a sentence each, without mark-up.
    fn notes(&self) -> Vec<String> {
        let mut out = Vec::new();
        let (done, of) = self.progress();
        if done < of {
            out.push(format!("Unfinished: {done} of {of} answers are there, and the numbers are of those."));
        }
        for (lang, reason) in self.refused() {
            out.push(format!("Not evaluated: {lang}: {reason}"));
        }
        let some = self.shown_langs();
        let loses = |l: &&usize| {
            self.table.sets.get(**l).is_some_and(|s| s.sets.iter().any(|set| !set.removed.is_empty()))
        };
        let lost: Vec<&str> = some.iter().filter(loses).map(|l| self.code(*l)).collect();
        if !lost.is_empty() {
            let all = lost.len() > 1 && lost.len() == some.len();
            let langs = if all { "all languages".to_owned() } else { lost.join(" ") };
            out.push(format!(
                "Tokens that more than one label holds are left out in {langs} (the JSON document names them)."
            ));
        }
        out
    }

    /// The mean's change of every run but the first, a line each.
    fn changes(&self) -> Vec<String> {
        let first = self.run_name(0);
        let line = |(r, run): (usize, &RunSummary)| {
            let c = run.change?;
            Some(format!(
                "{} against {first}: {} points, 95 % interval {}; {} answers gained, {} lost, p {}",
                self.run_name(r),
                tables::points(c.accuracy),
                tables::interval(&c),
                c.gained,
                c.lost,
                tables::p_value(c.p)
            ))
        };
        self.summary.runs.iter().enumerate().skip(1).filter_map(line).collect()
    }
}

/// `prefix-set` or `loglik`.
pub fn score_name(score: Score) -> &'static str {
    match score {
        Score::PrefixSet => "prefix-set",
        Score::Loglik => "loglik",
    }
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Default => "default",
        Protocol::Paper => "paper",
    }
}

/// `*` for p < .05, `**` for p < .01.
pub fn significance(change: &Change) -> &'static str {
    match change.p {
        p if p < 0.01 => "**",
        p if p < 0.05 => "*",
        _ => "",
    }
}

impl Report for EvalReport<'_> {
    fn json(&self) -> Result<String> {
        document::json(self)
    }

    fn csv(&self) -> Result<String> {
        rows::csv(self)
    }

    fn markdown(&self) -> String {
        tables::markdown(self)
    }

    fn text(&self, width: usize) -> String {
        tables::text(self, width)
    }

    fn tex(&self) -> Result<String> {
        Ok(tex::table(self))
    }

    fn picture(&self) -> plot::scene::Scene {
        plot::eval::draw(self)
    }
}
