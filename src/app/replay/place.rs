//! Places in a recording as a viewer types them: "1:23", "45 %", "#120", "+10", a mark's name, "end".

/// Where to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// Milliseconds since the recording began.
    Time(u64),
    /// After so many lines.
    Line(usize),
}

/// Reads a place. `now` and `end` in milliseconds; `marks` with their times.
///
/// # Errors
/// A sentence that says what may be typed.
pub fn parse(text: &str, now: u64, end: u64, marks: &[(u64, String)]) -> Result<Place, String> {
    let text = text.trim();
    let lower = text.to_lowercase();
    if let Some(line) = text.strip_prefix('#') {
        return line.trim().parse().map(Place::Line).map_err(|_| help(text));
    }
    if matches!(lower.as_str(), "end" | "start" | "begin") {
        return Ok(Place::Time(if lower == "end" { end } else { 0 }));
    }
    if let Some((t, _)) = marks.iter().find(|(_, m)| m.to_lowercase() == lower) {
        return Ok(Place::Time(*t));
    }
    if let Some(share) = text.strip_suffix('%').and_then(|s| s.trim().parse::<f64>().ok()) {
        return Ok(Place::Time((end as f64 * share.clamp(0.0, 100.0) / 100.0) as u64));
    }
    for (sign, back) in [('+', false), ('-', true)] {
        if let Some(by) = text.strip_prefix(sign).and_then(time) {
            return Ok(Place::Time(if back {
                now.saturating_sub(by)
            } else {
                now.saturating_add(by).min(end)
            }));
        }
    }
    if let Some(t) = time(text) {
        return Ok(Place::Time(t.min(end)));
    }
    let found = marks.iter().find(|(_, m)| lower.chars().count() > 1 && m.to_lowercase().contains(&lower));
    found.map(|(t, _)| Place::Time(*t)).ok_or_else(|| help(text))
}

fn help(text: &str) -> String {
    format!("{text:?} is no place: type a time (1:23 or 83), +10, -10, 50 %, #line, end, or a mark's name")
}

/// "83", "83.5 s", "1:23", "1:02:03.25" as milliseconds.
pub fn time(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(ms) = text.strip_suffix("ms") {
        return ms.trim().parse().ok();
    }
    let text = text.strip_suffix('s').unwrap_or(text).trim();
    let parts: Vec<&str> = text.split(':').collect();
    let (last, whole) = parts.split_last()?;
    if whole.len() > 2 || last.starts_with(['+', '-']) {
        return None;
    }
    let mut seconds: f64 = last.parse().ok().filter(|s: &f64| s.is_finite())?;
    if !whole.is_empty() && seconds >= 60.0 {
        return None;
    }
    for (part, unit) in whole.iter().rev().zip([60.0, 3600.0]) {
        seconds += f64::from(part.parse::<u32>().ok()?) * unit;
    }
    Some((seconds.min(1e9) * 1000.0).round() as u64)
}

/// A time as a viewer reads it: "0:42", "1:02:03".
pub fn clock(ms: u64) -> String {
    let s = ms / 1000;
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_typed() {
        let marks = vec![(5000, "Grid".to_owned()), (70_000, "checkpoint-100".to_owned())];
        let at = |text: &str| parse(text, 10_000, 100_000, &marks);
        for (text, t) in [
            ("1:23", 83_000),
            ("83", 83_000),
            ("83.5s", 83_500),
            ("250ms", 250),
            ("+10", 20_000),
            ("-0:15", 0),
            ("+1:00:00", 100_000),
            ("50 %", 50_000),
            ("end", 100_000),
            ("grid", 5000),
            ("checkpoint", 70_000),
            ("9:99:99", 0),
        ] {
            match t {
                0 if text.starts_with('9') => assert!(at(text).is_err()),
                t => assert_eq!(at(text), Ok(Place::Time(t)), "{text}"),
            }
        }
        assert_eq!(at("#120"), Ok(Place::Line(120)));
        for wrong in ["", "soon", "#x", "1:2:3:4", "nan", "-", "1e400"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (clock(0), clock(83_000), clock(3_723_000)),
            ("0:00".into(), "1:23".into(), "1:02:03".into())
        );
    }
}
