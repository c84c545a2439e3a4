//! Parsers of option values. A refusal names the value and what is allowed.

use crate::app::ThemeKind;
use crate::engine::protocol::{DType, DeviceChoice, Pooling, Protocol, Style};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Which layers are wanted, before the model's depth is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Layers {
    #[default]
    All,
    /// Ascending, without repeats.
    Some(Vec<usize>),
}

impl Layers {
    /// The wanted layers of a model with `last` blocks (layers 0..=last); empty means all.
    ///
    /// # Errors
    /// `Error::Usage` where a layer is beyond the model.
    pub fn resolve(&self, last: usize) -> crate::Result<Vec<usize>> {
        let Self::Some(wanted) = self else {
            return Ok(Vec::new());
        };
        match wanted.iter().find(|k| **k > last) {
            Some(k) => Err(crate::Error::Usage(format!(
                "--layers: there is no layer {k}; this model has layers 0 (embeddings) to {last} (output)"
            ))),
            None => Ok(wanted.clone()),
        }
    }

    /// Whether the layer is wanted.
    pub fn holds(&self, layer: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(wanted) => wanted.contains(&layer),
        }
    }
}

/// `all`, or numbers and ranges: `0,6,10-12`.
pub fn layers(text: &str) -> Result<Layers, String> {
    if text.trim() == "all" {
        return Ok(Layers::All);
    }
    let mut wanted = Vec::new();
    for part in text.split(',').map(str::trim) {
        let number = |s: &str| {
            let n: Result<usize, _> = s.trim().parse();
            n.map_err(|_| {
                format!("\"{part}\" is no layer; give all, or numbers and ranges such as 0,6,10-12")
            })
        };
        let (from, to) = match part.split_once('-') {
            Some((a, b)) => (number(a)?, number(b)?),
            None => (number(part)?, number(part)?),
        };
        if from > to {
            return Err(format!("the range {part} runs backwards; write {to}-{from}"));
        }
        if to > 10_000 {
            return Err(format!("{to} is more layers than any model has"));
        }
        wanted.extend(from..=to);
    }
    wanted.sort_unstable();
    wanted.dedup();
    Ok(Layers::Some(wanted))
}

/// `auto`, `cpu`, `cuda`, `cuda:N` or `metal`.
pub fn device(text: &str) -> Result<DeviceChoice, String> {
    let wrong = || format!("\"{text}\" is no device; give auto, cpu, cuda, cuda:N or metal");
    Ok(match text {
        "auto" => DeviceChoice::Auto,
        "cpu" => DeviceChoice::Cpu,
        "cuda" => DeviceChoice::Cuda(0),
        "metal" => DeviceChoice::Metal,
        other => {
            let index = other.strip_prefix("cuda:").ok_or_else(wrong)?;
            DeviceChoice::Cuda(index.parse().map_err(|_| wrong())?)
        }
    })
}

/// Number of threads, 0 = automatic.
pub fn threads(text: &str) -> Result<usize, String> {
    bounded(text, 0, 1024, "a number of threads")
}

/// A screen's size in cells, as in 160x48.
pub fn screen(text: &str) -> Result<(u16, u16), String> {
    crate::ui::script::size(text)
}

/// `--top`.
pub fn top(text: &str) -> Result<usize, String> {
    bounded(text, 1, 1000, "a number of tokens")
}

/// `--limit`.
pub fn limit(text: &str) -> Result<usize, String> {
    bounded(text, 1, usize::MAX, "a number of items")
}

fn bounded(text: &str, low: usize, high: usize, what: &str) -> Result<usize, String> {
    let bounds = if high == usize::MAX { format!("at least {low}") } else { format!("{low} to {high}") };
    match text.parse::<usize>() {
        Ok(n) if (low..=high).contains(&n) => Ok(n),
        _ => Err(format!("\"{text}\" is not {what} ({bounds})")),
    }
}

/// A parser of named values that help texts and completions can list.
pub fn named<T: Copy + Send + Sync + 'static>(
    all: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|(name, _)| *name)).map(|name| {
        // The parser before has let only these names through.
        all.iter().find(|(n, _)| *n == name).map(|(_, v)| *v).expect("a possible value")
    })
}

pub fn dtype() -> impl TypedValueParser<Value = DType> {
    named(&[
        ("auto", DType::Auto),
        ("f32", DType::F32),
        ("f16", DType::F16),
        ("bf16", DType::Bf16),
        ("native", DType::Native),
    ])
}

pub fn style() -> impl TypedValueParser<Value = Style> {
    named(&[("english", Style::English), ("same", Style::Same), ("agnostic", Style::Agnostic)])
}

pub fn protocol() -> impl TypedValueParser<Value = Protocol> {
    named(&[("default", Protocol::Default), ("paper", Protocol::Paper)])
}

pub fn theme() -> impl TypedValueParser<Value = ThemeKind> {
    named(&[("dark", ThemeKind::Dark), ("light", ThemeKind::Light), ("ascii", ThemeKind::Ascii)])
}

pub fn pooling() -> impl TypedValueParser<Value = Pooling> {
    named(&[("mean", Pooling::Mean), ("last", Pooling::Last), ("query", Pooling::Query)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_lists() {
        assert_eq!(layers("all").unwrap(), Layers::All);
        assert_eq!(layers("12, 0,6,10-12").unwrap(), Layers::Some(vec![0, 6, 10, 11, 12]));
        for bad in ["", "a", "3-1", "1,,2", "-1", "0-99999999999"] {
            assert!(layers(bad).is_err(), "{bad}");
        }
        let chosen = layers("0,19").unwrap();
        assert!(chosen.resolve(18).unwrap_err().to_string().contains("no layer 19"));
        assert_eq!(chosen.resolve(19).unwrap(), [0, 19]);
        assert!(chosen.holds(19) && !chosen.holds(5) && Layers::All.holds(5));
    }

    #[test]
    fn devices() {
        assert_eq!(device("cuda").unwrap(), DeviceChoice::Cuda(0));
        assert_eq!(device("cuda:3").unwrap(), DeviceChoice::Cuda(3));
        for bad in ["gpu", "cuda:", "cuda:x", ""] {
            assert!(device(bad).unwrap_err().contains("cuda:N"), "{bad}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert!(top("0").is_err() && limit("0").is_err() && threads("-1").is_err());
        assert_eq!((top("10"), threads("0")), (Ok(10), Ok(0)));
    }
}
