//! The lines of the form: their names, what they mean, and what may be typed into them.

use crate::engine::protocol::{Schedule, TrainData, TrainSettings};
use std::path::PathBuf;

/// A line, or half a line, of the form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    #[default]
    Sources,
    Target,
    Pairs,
    Data,
    Modules,
    Rank,
    Alpha,
    Epochs,
    Steps,
    Rate,
    Schedule,
    WarmUp,
    HeldOut,
    Batch,
    Micro,
    Out,
    Check,
    Save,
    Frames,
    Seed,
}

use Field as F;

/// A part of the form: its heading and its rows of one or two fields.
pub type Section = (&'static str, &'static [&'static [Field]]);

/// The form from its top.
pub const SECTIONS: [Section; 4] = [
    ("Data", &[&[F::Sources], &[F::Target, F::Pairs], &[F::Data]]),
    ("Adapter", &[&[F::Modules], &[F::Rank, F::Alpha]]),
    (
        "Optimiser",
        &[&[F::Epochs, F::Steps], &[F::Rate, F::Schedule], &[F::WarmUp, F::HeldOut], &[F::Batch, F::Micro]],
    ),
    ("Run", &[&[F::Out], &[F::Check, F::Save], &[F::Frames, F::Seed]]),
];

/// All rows of the form, from its top.
pub fn rows() -> impl Iterator<Item = &'static [Field]> {
    SECTIONS.iter().flat_map(|(_, rows)| rows.iter().copied())
}

/// The modules that LoRA can be put on: PEFT's name, and the short one.
pub const MODULES: [(&str, &str); 7] = [
    ("q_proj", "q"),
    ("k_proj", "k"),
    ("v_proj", "v"),
    ("o_proj", "o"),
    ("gate_proj", "gate"),
    ("up_proj", "up"),
    ("down_proj", "down"),
];

/// The schedules, in the order they are switched through.
pub const SCHEDULES: [(Schedule, &str); 3] =
    [(Schedule::Cosine, "cosine"), (Schedule::Linear, "linear"), (Schedule::Constant, "constant")];

impl Field {
    /// Its name in the form.
    pub fn name(self) -> &'static str {
        match self {
            F::Sources => "from",
            F::Target => "into",
            F::Pairs => "pairs",
            F::Data => "data",
            F::Modules => "modules",
            F::Rank => "rank",
            F::Alpha => "alpha",
            F::Epochs => "epochs",
            F::Steps => "steps",
            F::Rate => "rate",
            F::Schedule => "schedule",
            F::WarmUp => "warm-up",
            F::HeldOut => "held out",
            F::Batch => "batch",
            F::Micro => "at once",
            F::Out => "output",
            F::Check => "validate",
            F::Save => "save",
            F::Frames => "frames",
            F::Seed => "seed",
        }
    }

    /// What it means, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            F::Sources => {
                "Languages whose questions the model reads. The paper takes Chinese and Spanish, mixed at random."
            }
            F::Target => {
                "The language that it learns to put them into. The paper's best is English; any other works too."
            }
            F::Pairs => {
                "Question pairs of each source language: all, or the first so many. The paper takes 10 000."
            }
            F::Data => {
                "Empty: the task's own questions in both languages, never its answers. Else files, as zh=FILE, es=FILE."
            }
            F::Modules => {
                "The matrices that get an adapter: attention's q k v o, the MLP's gate up down. The paper takes q and v."
            }
            F::Rank => "The rank of each adapter: how many directions it can change.",
            F::Alpha => "The adapter's change is scaled by alpha / rank.",
            F::Epochs => "How often every pair is seen.",
            F::Steps => "Optimiser steps in all, whatever the epochs say. Empty: the epochs decide.",
            F::Rate => "The learning rate at its highest, after the warm-up.",
            F::Schedule => "How the rate falls after the warm-up: along a cosine, a line, or not at all.",
            F::WarmUp => "The share of all steps over which the rate rises from 0.",
            F::HeldOut => {
                "Pairs kept out of training for the validation loss: a share such as 5 %, or a number of pairs."
            }
            F::Batch => "Pairs of one optimiser step.",
            F::Micro => "Pairs computed at once: fewer need less memory, the result is the same.",
            F::Out => {
                "A new directory for the adapter and its log. That of an interrupted run goes on with it."
            }
            F::Check => "Steps between two validations.",
            F::Save => "Steps between two checkpoints, from which an interrupted run can go on.",
            F::Frames => {
                "Steps between two frames of lens and PCA (b shows them). Empty: about 20 frames; 0: none."
            }
            F::Seed => "Decides the first weights, the order of the pairs and which are held out.",
        }
    }

    /// Whether it is typed (others are chosen).
    pub fn typed(self) -> bool {
        !matches!(self, F::Sources | F::Target | F::Modules | F::Schedule)
    }

    /// Whether paths are typed into it.
    pub fn takes_paths(self) -> bool {
        matches!(self, F::Data | F::Out)
    }

    /// What settings say in it; empty where they say nothing.
    pub fn text(self, s: &TrainSettings) -> String {
        let share = |v: f64| if v < 1.0 { format!("{} %", rounded(100.0 * v)) } else { v.to_string() };
        match self {
            F::Rank => s.rank.to_string(),
            F::Alpha => s.alpha.to_string(),
            F::Epochs => s.epochs.to_string(),
            F::Steps => s.max_steps.map_or(String::new(), |n| n.to_string()),
            F::Rate => format!("{:e}", s.lr),
            F::WarmUp => share(s.warmup_ratio),
            F::HeldOut => share(s.val_size),
            F::Batch => s.batch_size.to_string(),
            F::Micro => s.micro_batch.to_string(),
            F::Check => s.eval_steps.to_string(),
            F::Save => s.save_steps.to_string(),
            F::Seed => s.seed.to_string(),
            _ => String::new(),
        }
    }

    /// Reads what was typed into the settings.
    ///
    /// # Errors
    /// A sentence: what is wrong with it, and what may be typed.
    pub fn read(self, text: &str, s: &mut TrainSettings) -> Result<(), String> {
        match self {
            F::Rank => s.rank = whole(text, 1, 4096, "a rank")? as usize,
            F::Alpha => s.alpha = number(text, 0.0, 1e6, "alpha")?,
            F::Epochs => s.epochs = number(text, 0.0, 1e4, "the number of epochs")?,
            F::Steps => s.max_steps = optional(text, "the number of steps")?,
            F::Rate => s.lr = number(text, 0.0, 1.0, "a learning rate")?,
            F::WarmUp => s.warmup_ratio = share(text, false)?,
            F::HeldOut => s.val_size = share(text, true)?,
            F::Batch => s.batch_size = whole(text, 1, 65_536, "a batch")? as usize,
            F::Micro => s.micro_batch = whole(text, 1, 65_536, "a micro-batch")? as usize,
            F::Check => s.eval_steps = whole(text, 1, 1_000_000, "this number of steps")?,
            F::Save => s.save_steps = whole(text, 1, 1_000_000, "this number of steps")?,
            F::Seed => s.seed = whole(text, 0, u64::MAX, "a seed")?,
            F::Frames => _ = frames(text)?,
            F::Pairs => _ = pairs(text)?,
            F::Data => _ = files(text)?,
            F::Out | F::Sources | F::Target | F::Modules | F::Schedule => {}
        }
        Ok(())
    }
}

/// Without the dust of binary fractions: 7.000000000000001 is 7.
fn rounded(v: f64) -> f64 {
    (v * 1e6).round() / 1e6
}

fn whole(text: &str, low: u64, high: u64, what: &str) -> Result<u64, String> {
    let value: Option<u64> = text.trim().replace(['_', ' '], "").parse().ok();
    let range = if high == u64::MAX { format!("from {low}") } else { format!("from {low} to {high}") };
    value
        .filter(|v| (low..=high).contains(v))
        .ok_or_else(|| format!("{} is not {what}: type a whole number {range}.", quoted(text)))
}

fn optional(text: &str, what: &str) -> Result<Option<u64>, String> {
    match text.trim() {
        "" => Ok(None),
        text => whole(text, 1, 100_000_000, what).map(Some),
    }
}

fn number(text: &str, above: f64, most: f64, what: &str) -> Result<f64, String> {
    let value: Option<f64> = text.trim().parse().ok();
    value.filter(|v| v.is_finite() && *v > above && *v <= most).ok_or_else(|| {
        format!("{} is not {what}: type a number above {above}, at most {most}.", quoted(text))
    })
}

/// A share of 0 to 1, also in percent; with `count`, a whole number from 1 too.
fn share(text: &str, count: bool) -> Result<f64, String> {
    let plain = text.trim();
    let percent = plain.strip_suffix('%').map(str::trim);
    let value = percent.unwrap_or(plain).parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
    let share = value.map(|v| if percent.is_some() { rounded(v / 100.0) } else { v });
    let counted = |v: f64| count && percent.is_none() && v >= 1.0 && v.fract() == 0.0;
    match share {
        Some(v) if v < 1.0 || counted(v) => Ok(v),
        _ if count => Err(format!("{} is no share: type 5 %, 0.05 or a number of pairs.", quoted(text))),
        _ => Err(format!("{} is no share: type a value such as 10 % or 0.1.", quoted(text))),
    }
}

/// Steps between two frames: `None` lets the length of the run decide, 0 is no frames.
///
/// # Errors
/// A sentence.
pub fn frames(text: &str) -> Result<Option<u64>, String> {
    match text.trim() {
        "" => Ok(None),
        text => whole(text, 0, 1_000_000, "this number of steps").map(Some),
    }
}

/// Pairs of each source language; `None` is all.
///
/// # Errors
/// A sentence.
pub fn pairs(text: &str) -> Result<Option<usize>, String> {
    optional(text, "a number of pairs").map(|n| n.map(|n| n as usize))
}

/// The files named, each with or without its language.
///
/// # Errors
/// A sentence.
pub fn files(text: &str) -> Result<Vec<TrainData>, String> {
    let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
    parts
        .map(|part| {
            let (lang, path) = match part.split_once('=') {
                Some((lang, path)) if is_code(lang.trim()) => (Some(lang.trim().to_owned()), path.trim()),
                _ => (None, part),
            };
            match path {
                "" => Err(format!("{} names no file: type LANG=FILE or FILE.", quoted(part))),
                path => Ok(TrainData::File { lang, path: PathBuf::from(path) }),
            }
        })
        .collect()
}

fn is_code(text: &str) -> bool {
    (2..=8).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn quoted(text: &str) -> String {
    let shown: String = text.trim().chars().take(24).collect();
    if shown.is_empty() { "An empty line".to_owned() } else { format!("{shown:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_survives_its_own_text() {
        let settings = TrainSettings { max_steps: Some(40), val_size: 12.0, ..TrainSettings::default() };
        for settings in [TrainSettings::default(), settings] {
            let mut read = TrainSettings::default();
            for field in rows().flatten() {
                field.read(&field.text(&settings), &mut read).unwrap();
            }
            assert_eq!(read, settings);
        }
    }

    #[test]
    fn wrong_values_are_refused_in_a_sentence() {
        let wrong = [
            (F::Rank, "0"),
            (F::Rank, "eight"),
            (F::Alpha, "-1"),
            (F::Alpha, "inf"),
            (F::Epochs, "nan"),
            (F::Steps, "1.5"),
            (F::Rate, "2"),
            (F::WarmUp, "100 %"),
            (F::WarmUp, "7"),
            (F::HeldOut, "1.5"),
            (F::Batch, ""),
            (F::Seed, "99999999999999999999999"),
            (F::Frames, "x"),
            (F::Pairs, "0"),
            (F::Data, "zh=, es=a.json"),
        ];
        for (field, text) in wrong {
            let error = field.read(text, &mut TrainSettings::default()).unwrap_err();
            assert!(error.ends_with('.') && error.contains(": type "), "{field:?} {text}: {error}");
        }
        assert_eq!(share("5 %", true), Ok(0.05));
        assert_eq!((share("20", true), share("0", true)), (Ok(20.0), Ok(0.0)));
    }

    #[test]
    fn files_with_and_without_a_language() {
        let file = |lang: Option<&str>, path: &str| TrainData::File {
            lang: lang.map(str::to_owned),
            path: path.into(),
        };
        let read = files("zh=/d/zh.json, mixed file.csv,").unwrap();
        assert_eq!(read, [file(Some("zh"), "/d/zh.json"), file(None, "mixed file.csv")]);
        assert_eq!(files("/a=b/c.json").unwrap(), [file(None, "/a=b/c.json")]);
        assert_eq!(files(" ").unwrap(), []);
    }
}
