//! One record of a run's log, read from JSON that others wrote: numbers may be strings, `NaN` may stand
//! bare (Python writes it so), times may be `0:12:34`, and keys may be missing or of the wrong type.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What one line of `trainer_log.jsonl`, or one entry of `log_history`, says. All of it is optional;
/// a value that the file gives as NaN or infinity is kept as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Optimiser steps done.
    pub step: Option<f64>,
    pub total_steps: Option<f64>,
    pub loss: Option<f64>,
    pub eval_loss: Option<f64>,
    /// Learning rate.
    pub lr: Option<f64>,
    pub epoch: Option<f64>,
    /// 0..=100.
    pub percentage: Option<f64>,
    pub elapsed_s: Option<f64>,
    pub remaining_s: Option<f64>,
    /// Tokens a second, as LLaMA-Factory gives it.
    pub throughput: Option<f64>,
    pub total_tokens: Option<f64>,
    pub grad_norm: Option<f64>,
    /// Hugging Face's last entry: the whole run's time. It is written when a run is finished.
    pub train_runtime_s: Option<f64>,
}

/// A field's keys (LLaMA-Factory's first, then Hugging Face's) and where it goes.
type Field = (&'static [&'static str], fn(&mut LogRecord) -> &mut Option<f64>);

const FIELDS: [Field; 13] = [
    (&["current_steps", "step"], |r| &mut r.step),
    (&["total_steps", "max_steps"], |r| &mut r.total_steps),
    (&["loss"], |r| &mut r.loss),
    (&["eval_loss"], |r| &mut r.eval_loss),
    (&["lr", "learning_rate"], |r| &mut r.lr),
    (&["epoch"], |r| &mut r.epoch),
    (&["percentage"], |r| &mut r.percentage),
    (&["elapsed_time"], |r| &mut r.elapsed_s),
    (&["remaining_time"], |r| &mut r.remaining_s),
    (&["throughput"], |r| &mut r.throughput),
    (&["total_tokens", "num_input_tokens_seen"], |r| &mut r.total_tokens),
    (&["grad_norm"], |r| &mut r.grad_norm),
    (&["train_runtime"], |r| &mut r.train_runtime_s),
];

impl LogRecord {
    /// Reads an object's known keys. The second value says which of them were of no use, and why.
    pub fn from_object(object: &Map<String, Value>) -> (Self, Option<String>) {
        let mut record = Self::default();
        let mut problem = None;
        for (keys, place) in &FIELDS {
            for key in *keys {
                match object.get(*key) {
                    None | Some(Value::Null) => continue,
                    Some(value) => match number(value) {
                        Some(n) => *place(&mut record) = Some(n),
                        None => {
                            problem = problem.or(Some(format!("\"{key}\" is {}, no number", kind(value))))
                        }
                    },
                }
                break;
            }
        }
        // What counts must be able to count: a step, a total or a time below zero or NaN says nothing.
        let counts = [
            &mut record.step,
            &mut record.total_steps,
            &mut record.elapsed_s,
            &mut record.remaining_s,
            &mut record.percentage,
        ];
        for count in counts {
            if count.is_some_and(|v| !(0.0..=1e15).contains(&v)) {
                *count = None;
                problem = problem.or(Some("a step, percentage or time is out of range".into()));
            }
        }
        (record, problem)
    }

    /// Reads one line. `Err` says in a few words why it is no record.
    pub fn from_line(line: &[u8]) -> Result<(Self, Option<String>), String> {
        let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8 text".to_string())?;
        let value = match parse(text) {
            Ok(value) => value,
            Err(e) => return Err(format!("it is not JSON ({e})")),
        };
        match value.as_object() {
            Some(object) => Ok(Self::from_object(object)),
            None => Err(format!("it holds {} and no object", kind(&value))),
        }
    }

    /// True where none of the known keys was there.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Parses JSON in which Python's bare `NaN`, `Infinity` and `-Infinity` may stand for numbers.
pub fn parse(text: &str) -> serde_json::Result<Value> {
    match serde_json::from_str(text) {
        Err(_) if text.contains("NaN") || text.contains("Infinity") => {
            serde_json::from_str(&quote_special(text))
        }
        other => other,
    }
}

/// Puts quotes around bare NaN and Infinity outside strings.
fn quote_special(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let special =
            ["NaN", "-Infinity", "Infinity"].into_iter().find(|s| !in_string && rest.starts_with(s));
        if let Some(s) = special {
            out.extend(["\"", s, "\""]);
            rest = &rest[s.len()..];
            continue;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// A number, a number in a string, or a time `[N day[s], ]H:MM:SS` in seconds.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.trim().parse().ok().or_else(|| clock(s.trim())),
        _ => None,
    }
}

/// Seconds of Python's `str(timedelta)`: `0:12:34`, `1 day, 2:03:04.5`.
fn clock(text: &str) -> Option<f64> {
    let (days, time) = match text.split_once(", ") {
        Some((days, time)) => {
            (days.strip_suffix(" days").or_else(|| days.strip_suffix(" day"))?.parse::<f64>().ok()?, time)
        }
        None => (0.0, text),
    };
    let mut parts = time.split(':').map(|p| p.parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0));
    let (h, m, s) = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(days * 86_400.0 + h * 3600.0 + m * 60.0 + s)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (LogRecord, Option<String>) {
        LogRecord::from_line(line.as_bytes()).unwrap()
    }

    #[test]
    fn llama_factorys_line() {
        let (r, problem) = read(
            r#"{"current_steps": 10, "total_steps": 1782, "loss": 1.9234, "lr": 2.8e-06, "epoch": 0.0168,
            "percentage": 0.56, "elapsed_time": "0:00:41", "remaining_time": "1 day, 2:01:05",
            "throughput": "1234.5", "total_tokens": 50432, "unknown": {"a": []}}"#,
        );
        assert_eq!(problem, None);
        assert_eq!(
            (r.step, r.total_steps, r.loss, r.lr),
            (Some(10.0), Some(1782.0), Some(1.9234), Some(2.8e-6))
        );
        assert_eq!((r.elapsed_s, r.remaining_s), (Some(41.0), Some(86_400.0 + 7265.0)));
        assert_eq!((r.throughput, r.total_tokens, r.eval_loss), (Some(1234.5), Some(50_432.0), None));
    }

    #[test]
    fn hugging_faces_entry() {
        let (r, _) =
            read(r#"{"epoch": 0.5, "grad_norm": 1.25, "learning_rate": 5e-05, "loss": 0.7, "step": 50}"#);
        assert_eq!((r.step, r.lr, r.grad_norm), (Some(50.0), Some(5e-5), Some(1.25)));
        let (r, _) = read(r#"{"train_runtime": 61.5, "step": 100}"#);
        assert_eq!(r.train_runtime_s, Some(61.5));
    }

    #[test]
    fn python_special_numbers() {
        let (r, problem) =
            read(r#"{"loss": NaN, "eval_loss": -Infinity, "note": "NaN \" Infinity", "lr": 1}"#);
        assert!(r.loss.unwrap().is_nan() && problem.is_none());
        assert_eq!((r.eval_loss, r.lr), (Some(f64::NEG_INFINITY), Some(1.0)));
        let (r, _) = read(r#"{"loss": "nan"}"#);
        assert!(r.loss.unwrap().is_nan());
    }

    #[test]
    fn wrong_types_are_named_and_the_rest_is_kept() {
        let (r, problem) = read(r#"{"loss": [1], "lr": 0.1, "current_steps": 3}"#);
        assert_eq!((r.loss, r.lr, r.step), (None, Some(0.1), Some(3.0)));
        assert_eq!(problem.as_deref(), Some("\"loss\" is a list, no number"));
        let (r, problem) = read(r#"{"current_steps": -3, "total_steps": "NaN", "elapsed_time": "a:b:c"}"#);
        assert!(r.is_empty() && problem.is_some());
        let (r, problem) = read(r#"{"loss": null}"#);
        assert!(r.is_empty() && problem.is_none());
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for line in ["", "[1, 2]", "7", "{\"loss\": 1", "\u{feff}x", "{\"loss\": 1e999}", "NaN"] {
            assert!(LogRecord::from_line(line.as_bytes()).is_err(), "{line:?}");
        }
        assert!(LogRecord::from_line(b"{\"loss\": \xff}").is_err());
        assert!(LogRecord::from_line("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn times() {
        assert_eq!(clock("0:12:34"), Some(754.0));
        assert_eq!(clock("2 days, 0:00:01"), Some(172_801.0));
        for bad in ["1:2", "1:2:3:4", "-1:00:00", "x", "", "NaN:0:0", "5 weeks, 0:00:00"] {
            assert_eq!(clock(bad), None, "{bad}");
        }
    }
}
