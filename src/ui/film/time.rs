//! Times of a session as a user writes and reads them.

use crate::app::replay::place;
use crate::error::{Error, Result};
use crate::session::SessionFile;

/// Milliseconds as `1:02.5`; hours only where there are some.
pub fn said(ms: u64) -> String {
    let (s, rest) = (ms / 1000, ms % 1000);
    let fraction = match rest {
        0 => String::new(),
        r if r % 100 == 0 => format!(".{}", r / 100),
        r if r % 10 == 0 => format!(".{:02}", r / 10),
        r => format!(".{r:03}"),
    };
    match s {
        0..3600 => format!("{}:{:02}{fraction}", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02}{fraction}", s / 3600, s / 60 % 60, s % 60),
    }
}

/// The time that `text` names in a session: `1:02.5`, `1:00:02`, `62.5`, `62.5s`, `62500ms`, `start`, `end`, or a
/// mark's name (exactly, or else the only one that begins so).
///
/// # Errors
/// [`Error::Usage`] that says what can be written, and which marks there are.
pub fn find(text: &str, file: &SessionFile) -> Result<u64> {
    let text = text.trim();
    match text {
        "end" => return Ok(file.end()),
        "start" => return Ok(0),
        _ => {}
    }
    if let Some(ms) = place::time(text) {
        if ms > file.end() {
            let (asked, end) = (said(ms), said(file.end()));
            return Err(Error::Usage(format!(
                "{asked} is after the end of the session, which is {end} long; give an earlier time, or end"
            )));
        }
        return Ok(ms);
    }
    let marks = file.marks();
    if let Some((t, _)) = marks.iter().find(|(_, name)| name == text) {
        return Ok(*t);
    }
    let lower = text.to_lowercase();
    let begins: Vec<&(u64, String)> =
        marks.iter().filter(|(_, n)| !lower.is_empty() && n.to_lowercase().starts_with(&lower)).collect();
    match begins[..] {
        [(t, _)] => Ok(*t),
        [] => Err(Error::Usage(format!(
            "\"{text}\" is no time: give 1:02.5, 62.5, 62500ms, end or a mark's name ({})",
            names(&marks)
        ))),
        _ => Err(Error::Usage(format!("several marks begin with \"{text}\": {}", names(&marks)))),
    }
}

fn names(marks: &[(u64, String)]) -> String {
    const SHOWN: usize = 8;
    if marks.is_empty() {
        return "this session has none".into();
    }
    let mut list: Vec<&str> = marks.iter().take(SHOWN).map(|(_, n)| n.as_str()).collect();
    if marks.len() > SHOWN {
        list.push("…");
    }
    format!("it has {}", list.join(", "))
}

/// `2026-11-23T07:43:05Z` as seconds since 1970; `None` where it is no such time.
pub fn seconds(utc: &str) -> Option<u64> {
    let (date, time) = utc.strip_suffix('Z')?.split_once('T')?;
    let number = |s: &str| s.parse::<u64>().ok().filter(|n| *n < 10_000);
    let three = |s: &str, sep: char| -> Option<[u64; 3]> {
        let parts: Vec<u64> = s.split(sep).map(number).collect::<Option<_>>()?;
        parts.try_into().ok()
    };
    let ([year, month, day], [h, m, s]) = (three(date, '-')?, three(time, ':')?);
    if !(1970..).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if h > 23 || m > 59 || s > 60 {
        return None;
    }
    // Hinnant's civil-to-days algorithm.
    let y = if month <= 2 { year - 1 } else { year };
    let of_era = y % 400;
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = (y / 400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some(days.checked_sub(719_468)? * 86_400 + h * 3600 + m * 60 + s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_is_said_is_read_again() {
        for ms in [0, 5, 990, 1000, 62_500, 3_599_999, 3_600_000, 360_000_120] {
            assert_eq!(place::time(&said(ms)), Some(ms), "{}", said(ms));
        }
    }

    #[test]
    fn the_calendar_is_read_as_it_is_written() {
        for s in [0, 951_782_400, 1_709_210_096, 1_767_225_599, 4_102_444_800] {
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(s);
            assert_eq!(seconds(&crate::session::utc(at)), Some(s));
        }
        for wrong in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01 00:00:00Z", "1-1-1T0:0:0Z"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn marks_are_found_by_name() {
        let header = serde_json::to_string(&crate::session::Header::new(
            crate::session::Source::Explorer,
            "explore",
            crate::session::Start::default(),
        ));
        let lines = format!(
            "{}\n{{\"t\":1000,\"mark\":\"Base\"}}\n{{\"t\":2000,\"mark\":\"Aligned\"}}\n{{\"t\":9000,\"mark\":\"All layers\"}}\n",
            header.unwrap()
        );
        let file = SessionFile::from_bytes("s", Arc::new(lines.into_bytes())).unwrap();
        assert_eq!(find("Aligned", &file).unwrap(), 2000);
        assert_eq!(find("base", &file).unwrap(), 1000);
        let times =
            [("end", 9000), ("start", 0), ("0:08.5", 8500), ("8.5", 8500), ("8500ms", 8500), (" 2s ", 2000)];
        for (text, t) in times {
            assert_eq!(find(text, &file).unwrap(), t, "{text}");
        }
        let e = find("al", &file).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("several marks"), "{e}");
        let e = find("nowhere", &file).unwrap_err().to_string();
        assert!(e.contains("Base, Aligned, All layers"), "{e}");
        let e = find("9.1", &file).unwrap_err().to_string();
        assert!(e.contains("0:09.1") && e.contains("0:09 long"), "{e}");
    }
}
