//! Training data: rows from files or from a task's own items, tokenised, cut, held out and mixed.

pub mod leaks;
pub mod order;
pub mod pairs;
pub mod rows;
pub mod stats;

pub use order::order;
pub use rows::DataRow;

use super::gradient::Sample;
use crate::engine::protocol::{TrainData, TrainSettings};
use crate::error::{Error, Result};
use crate::model::tokenizer::Tokenizer;
use crate::tasks::Source;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Where samples came from, for a model card and for the proof that a resumed run has the same data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// The path, or `task ID source=>target`.
    pub name: String,
    pub rows: usize,
    /// In hexadecimal: of the file's bytes; of a task's rows as [`rows::write`] writes them.
    pub sha256: String,
}

/// The rows of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The language's code, else the file's name without its extension.
    pub lang: String,
    pub file: DataFile,
    pub rows: Vec<DataRow>,
}

impl Part {
    /// Reads a file, or makes the rows of a task (drawn under `seed` where their number is limited).
    ///
    /// # Errors
    /// As [`rows::read`] and [`pairs::pairs`].
    pub fn read(data: &TrainData, seed: u64) -> Result<Self> {
        match data {
            TrainData::File { lang, path } => {
                let (rows, sha256) = rows::read(path)?;
                let stem = || path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
                let file = DataFile { name: path.display().to_string(), rows: rows.len(), sha256 };
                Ok(Self { lang: lang.clone().unwrap_or_else(stem), file, rows })
            }
            TrainData::Task { task, source, target, limit } => {
                let found = Source::find(task)?;
                let from = std::slice::from_ref(source);
                let spec = pairs::Spec { from, to: target, items: None, n: *limit, seed };
                let made = pairs::pairs(&found, &spec)?;
                let lang = made.first().map_or_else(|| source.clone(), |pair| pair.lang.clone());
                let rows: Vec<DataRow> = made.into_iter().map(|pair| pair.row).collect();
                let bytes = rows::write(&rows, rows::RowForm::Paper, rows::Container::Json)?;
                let name = format!("task {} {lang}=>{}", found.task.id, found.task.language(target)?.code);
                let file = DataFile { name, rows: rows.len(), sha256: rows::sha256(&bytes) };
                Ok(Self { lang, file, rows })
            }
        }
    }
}

/// What a run trains on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// In the order of the files and their rows; [`order()`] gives an epoch's.
    pub train: Vec<Sample>,
    /// For the validation loss.
    pub held_out: Vec<Sample>,
    /// Language code, else file name without its extension; its samples, held-out ones too.
    pub sources: Vec<(String, usize)>,
    /// Samples that were cut at the cut-off.
    pub cut: usize,
    /// Tokens of the longest sample, once cut.
    pub longest: usize,
    /// In the order given.
    pub files: Vec<DataFile>,
}

impl Dataset {
    /// Reads, tokenises, cuts and splits. The files are put one behind the other, so that the shuffle of an epoch
    /// mixes them.
    ///
    /// # Errors
    /// [`Error::Usage`] for no data, an impossible cut-off or held-out size; [`Error::Failed`] naming file and row for
    /// what cannot be read; a model whose vocabulary has no EOS.
    pub fn read(data: &[TrainData], settings: &TrainSettings, tokenizer: &Tokenizer) -> Result<Self> {
        if data.is_empty() {
            return Err(Error::usage("there is nothing to train on: name data, as --data zh=zh-en.json"));
        }
        let eos = eos(tokenizer)?;
        let mut all = Self::default();
        let mut samples = Vec::new();
        for data in data {
            let part = Part::read(data, settings.seed)?;
            let made: Vec<(Sample, bool)> = part
                .rows
                .par_iter()
                .enumerate()
                .map(|(i, row)| {
                    let made = tokens(row, tokenizer, eos).and_then(|tokens| sample(tokens, settings.cutoff));
                    made.map_err(|e| e.context(format!("{}, row {}", part.file.name, i + 1)))
                })
                .collect::<Result<_>>()?;
            all.cut += made.iter().filter(|(_, cut)| *cut).count();
            match all.sources.iter_mut().find(|(name, _)| *name == part.lang) {
                Some((_, count)) => *count += made.len(),
                None => all.sources.push((part.lang, made.len())),
            }
            samples.extend(made.into_iter().map(|(sample, _)| sample));
            all.files.push(part.file);
        }
        all.longest = samples.iter().map(|sample| sample.ids.len()).max().unwrap_or(0);
        let (_, held) = order::split(samples.len(), settings.val_size, settings.seed, settings.shuffle)?;
        let mut held = held.into_iter().peekable();
        for (i, sample) in samples.into_iter().enumerate() {
            let place = if held.next_if_eq(&i).is_some() { &mut all.held_out } else { &mut all.train };
            place.push(sample);
        }
        Ok(all)
    }
}

/// The token that ends every answer.
///
/// # Errors
/// Where the vocabulary names none.
pub fn eos(tokenizer: &Tokenizer) -> Result<u32> {
    tokenizer.eos().ok_or_else(|| {
        Error::failed(
            "this model's tokenizer names no end-of-text token (EOS), and every answer must end with it; add eos_token \
             to tokenizer_config.json, or use a GGUF file with tokenizer.ggml.eos_token_id",
        )
    })
}

/// A row's tokens: the input with the model's BOS rule, and the answer without special tokens but EOS at its end.
///
/// # Errors
/// A text that cannot be tokenised, or that gives no tokens.
pub fn tokens(row: &DataRow, tokenizer: &Tokenizer, eos: u32) -> Result<(Vec<u32>, Vec<u32>)> {
    let (source, mut target) = (tokenizer.encode(&row.input)?, tokenizer.encode_plain(&row.answer)?);
    if source.is_empty() || target.is_empty() {
        let what = if source.is_empty() { "input" } else { "answer" };
        crate::fail!("its {what} has no tokens in this model's vocabulary; take the row out");
    }
    target.push(eos);
    Ok((source, target))
}

/// One sample of at most `cutoff` tokens, and whether it was cut. Both texts keep their beginnings.
///
/// # Errors
/// [`Error::Usage`] for a cut-off below 2: one token to read, one to predict.
pub fn sample((mut source, mut target): (Vec<u32>, Vec<u32>), cutoff: usize) -> Result<(Sample, bool)> {
    if cutoff < 2 {
        return Err(Error::usage(format!(
            "--cutoff {cutoff} leaves nothing to learn: a sample needs at least 2 tokens"
        )));
    }
    let before = (source.len(), target.len());
    let kept = kept(before.0, before.1, cutoff);
    source.truncate(kept.0);
    target.truncate(kept.1);
    let answer = source.len();
    source.append(&mut target);
    Ok((Sample { ids: source, answer }, kept != before))
}

/// How many tokens of source and target stay under a cut-off from 2 on: `infer_seqlen` of LLaMA-Factory
/// (src/llamafactory/data/processor/processor_utils.py), with at least one of each.
fn kept(source: usize, target: usize, cutoff: usize) -> (usize, usize) {
    let most = if target * 2 < cutoff {
        cutoff
    } else if source * 2 < cutoff {
        cutoff - source
    } else {
        (cutoff as f64 * (target as f64 / (source + target) as f64)) as usize
    };
    let target = most.min(target).clamp(1, cutoff - 1);
    (source.min(cutoff - target), target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_off_is_llama_factorys() {
        // By its formula, worked outside of this program: (source, target, cutoff) -> (source, target).
        for (given, want) in [
            ((10, 5, 100), (10, 5)),
            ((100, 5, 50), (45, 5)),
            ((10, 100, 50), (10, 40)),
            ((100, 100, 50), (25, 25)),
            ((300, 100, 100), (75, 25)),
            ((60, 40, 64), (39, 25)),
            ((25, 25, 50), (25, 25)),
        ] {
            assert_eq!(kept(given.0, given.1, given.2), want, "{given:?}");
        }
        for source in 1..40 {
            for target in 1..40 {
                for cutoff in 2..45 {
                    let (s, t) = kept(source, target, cutoff);
                    assert!(s >= 1 && t >= 1 && s + t <= cutoff && s <= source && t <= target);
                    assert!(source + target > cutoff || (s, t) == (source, target));
                }
            }
        }
    }

    #[test]
    fn a_cut_sample_keeps_the_beginnings() {
        let (made, cut) = sample(((0..100).collect(), (200..300).collect()), 50).unwrap();
        assert!(cut && made.answer == 25 && made.answer_tokens() == 25);
        assert_eq!((made.ids[24], made.ids[25]), (24, 200));
        let (made, cut) = sample((vec![2, 5], vec![7, 1]), 2048).unwrap();
        assert_eq!((made, cut), (Sample { ids: vec![2, 5, 7, 1], answer: 2 }, false));
        assert_eq!(sample((vec![2], vec![1]), 1).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn nothing_to_train_on_is_a_wrong_usage() {
        let tokenizer = crate::model::tokenizer::Tokenizer::from_dir(
            &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama3"),
        );
        let Ok(tokenizer) = tokenizer else { panic!("the fixture has a tokenizer") };
        let error = Dataset::read(&[], &TrainSettings::default(), &tokenizer).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("--data"), "{error}");
    }
}
