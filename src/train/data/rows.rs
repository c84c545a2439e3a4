//! Rows of training data: the paper's `{"input","answer"}`, or LLaMA-Factory's alpaca rows.

use crate::error::{Error, Result};
use crate::tasks::records::{Record, Rows, Text};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;

/// What is given to the model, and what it learns to answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DataRow {
    pub input: String,
    pub answer: String,
}

const COLUMNS: &str = "input and answer, or instruction, input and output";
/// Columns that LLaMA-Factory's own files carry beside the three; they are read over where they are empty.
const EMPTY_ALLOWED: [&str; 2] = ["system", "history"];

/// Reads a file of rows: a JSON array, JSON Lines, CSV or TSV, told apart by content. Gives the rows and the SHA-256
/// of the file's bytes, in hexadecimal.
///
/// # Errors
/// [`Error::Failed`] naming the file (and the row): missing, too large, not UTF-8, of no known form, an unknown
/// column, a value that is no text, an empty input or answer, or no rows at all.
pub fn read(path: &Path) -> Result<(Vec<DataRow>, String)> {
    let file = Text::open(path)?;
    let rows = parse(file.text()?, file.delimiter, &file.shown)?;
    Ok((rows, sha256(&file.bytes)))
}

/// As [`read`], from text; `delimiter` says that it is CSV, `origin` is shown in errors.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, delimiter: Option<u8>, origin: &str) -> Result<Vec<DataRow>> {
    let rows = Rows { text, delimiter, origin, columns: COLUMNS, limit: usize::MAX };
    let mut found = Vec::new();
    rows.each(&mut |_| Ok(()), &mut |record| {
        let record = record?;
        let faulty = |fault: String| Error::failed(format!("{origin}, {}: {fault}", record.place));
        found.push(row(record).map_err(faulty)?);
        Ok(())
    })?;
    if found.is_empty() {
        crate::fail!("{origin} has no rows; each needs {COLUMNS}");
    }
    Ok(found)
}

/// One row of either form, or what is wrong with it.
fn row(record: &Record) -> Result<DataRow, String> {
    let columns = record.columns();
    let has = |name: &str| columns.iter().any(|c| c == name);
    let (alpaca, known): (bool, &[&str]) = match (has("answer"), has("output") || has("instruction")) {
        (true, true) => return Err("it has columns of both forms of rows; keep one of them".into()),
        (true, false) => (false, &["input", "answer"]),
        (false, true) => (true, &["instruction", "input", "output"]),
        (false, false) => {
            return Err(format!(
                "there is no \"answer\" (it has {}); rows need {COLUMNS}",
                columns.join(", ")
            ));
        }
    };
    let unknown = |name: &&String| {
        !known.contains(&name.as_str())
            && !(alpaca && EMPTY_ALLOWED.contains(&name.as_str()) && record.is_blank(name))
    };
    if let Some(name) = columns.iter().find(unknown) {
        return Err(match alpaca && EMPTY_ALLOWED.contains(&name.as_str()) {
            true => format!("its {name:?} is not empty, and would be left out: put it into the instruction"),
            false => format!("the column {name:?} is not known; take it out: rows have {COLUMNS}"),
        });
    }
    let text = |name: &str| Ok::<_, String>(record.text(name)?.unwrap_or_default());
    let (input, answer) = if alpaca {
        let (instruction, input) = (text("instruction")?, text("input")?);
        // As LLaMA-Factory joins them.
        let parts: Vec<&str> = [instruction, input].into_iter().filter(|part| !part.is_empty()).collect();
        (parts.join("\n"), text("output")?)
    } else {
        (text("input")?.to_owned(), text("answer")?)
    };
    let names = if alpaca { ("instruction and input are", "output") } else { ("input is", "answer") };
    if input.trim().is_empty() {
        return Err(format!("its {} empty: fill it in, or take the row out", names.0));
    }
    if answer.trim().is_empty() {
        return Err(format!("its {} is empty: fill it in, or take the row out", names.1));
    }
    Ok(DataRow { input, answer: answer.to_owned() })
}

/// In hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The columns' names of rows that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowForm {
    /// `input`, `answer`.
    #[default]
    Paper,
    /// `instruction`, `input` (empty), `output`.
    Alpaca,
}

/// The container of rows that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// An array, laid out as the paper's files are.
    Json,
    /// One object a line.
    JsonLines,
    Csv,
    Tsv,
}

/// The bytes of a file of rows; [`read`] gives the same rows back.
///
/// # Errors
/// None but lack of memory.
pub fn write(rows: &[DataRow], form: RowForm, container: Container) -> Result<Vec<u8>> {
    let cells = |row: &DataRow| match form {
        RowForm::Paper => vec![("input", row.input.clone()), ("answer", row.answer.clone())],
        RowForm::Alpaca => {
            vec![("instruction", row.input.clone()), ("input", String::new()), ("output", row.answer.clone())]
        }
    };
    let object = |row: &DataRow, open: &str, between: &str, close: &str| {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let cells: Vec<String> =
            cells(row).iter().map(|(name, text)| format!("{}: {}", quoted(name), quoted(text))).collect();
        format!("{open}{}{close}", cells.join(between))
    };
    Ok(match container {
        Container::Json => {
            let rows: Vec<String> = rows.iter().map(|row| object(row, "{\n", ",\n", "\n}")).collect();
            format!("[\n{}\n]", rows.join(",\n")).into_bytes()
        }
        Container::JsonLines => {
            rows.iter().map(|row| object(row, "{", ", ", "}") + "\n").collect::<String>().into_bytes()
        }
        Container::Csv | Container::Tsv => {
            let delimiter = if container == Container::Tsv { b'\t' } else { b',' };
            let mut out = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            let header = cells(&DataRow::default());
            out.write_record(header.iter().map(|(name, _)| name)).map_err(Error::failed)?;
            for row in rows {
                out.write_record(cells(row).iter().map(|(_, text)| text)).map_err(Error::failed)?;
            }
            out.into_inner().map_err(Error::failed)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text, None, "f.json").unwrap_err().to_string()
    }

    #[test]
    fn both_forms_are_read_from_every_container() {
        let want = [("a \"b\"\nc", "d"), ("x", "y\tz")]
            .map(|(input, answer)| DataRow { input: input.into(), answer: answer.into() });
        for form in [RowForm::Paper, RowForm::Alpaca] {
            for container in [Container::Json, Container::JsonLines, Container::Csv, Container::Tsv] {
                let bytes = write(&want, form, container).unwrap();
                let delimiter = match container {
                    Container::Csv => Some(b','),
                    Container::Tsv => Some(b'\t'),
                    _ => None,
                };
                let text = String::from_utf8(bytes).unwrap();
                assert_eq!(parse(&text, delimiter, "f").unwrap(), want, "{form:?} {container:?}");
            }
        }
        let row = |text: &str| parse(text, None, "f").unwrap().remove(0);
        let alpaca = r#"{"instruction":"i","input":"q","output":"o","system":"","history":[]}"#;
        assert_eq!(row(alpaca), DataRow { input: "i\nq".into(), answer: "o".into() });
        assert_eq!(row(r#"{"instruction":"","input":"q","output":"o"}"#).input, "q");
        assert_eq!(row(r#"{"instruction":"i","output":"o"}"#).input, "i");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_row() {
        let good = r#"{"input":"a","answer":"b"}"#;
        for (bad, row, says) in [
            (r#"{"input":"a"}"#, "row 2", "no \"answer\" (it has input)"),
            (r#"{"input":"","answer":"b"}"#, "row 2", "its input is empty"),
            (r#"{"input":"a","answer":" "}"#, "row 2", "its answer is empty"),
            (r#"{"input":"a","answer":5}"#, "row 2", "\"answer\" is a number"),
            (r#"{"input":"a","answer":"b","lang":"x"}"#, "row 2", "column \"lang\" is not known"),
            (r#"{"input":"a","answer":"b","output":"x"}"#, "row 2", "both forms"),
            (
                r#"{"instruction":"a","output":"b","history":[["a","b"]]}"#,
                "row 2",
                "\"history\" is not empty",
            ),
            (r#"{"instruction":"","input":"","output":"b"}"#, "row 2", "instruction and input are empty"),
            (r#"{"instruction":"a","input":""}"#, "row 2", "its output is empty"),
            ("3", "row 2", "not an object"),
        ] {
            let array = fault(&format!("[{good},{bad}]"));
            assert!(array.contains(says) && array.contains("f.json") && array.contains(row), "{array}");
            let lines = fault(&format!("{good}\n\n{bad}"));
            assert!(lines.contains(says) && lines.contains("row 2 (line 3)"), "{lines}");
        }
        assert!(fault("").contains("no rows") && fault("[]").contains("no rows"));
        assert!(fault(&format!("[{good}")).contains("not a JSON array"));
        assert!(fault("input;answer\na;b").contains("it has input;answer"));
    }

    #[test]
    fn hashes_are_sha256() {
        assert!(sha256(b"abc").starts_with("ba7816bf8f01cfea"));
        assert_eq!(sha256(b"abc").len(), 64);
    }
}
