use super::*;
use crate::session::{Header, Source, Start};

fn head() -> String {
    serde_json::to_string(&Header::new(Source::Explorer, "explore", Start::default())).unwrap()
}

fn read(text: impl AsRef<[u8]>) -> Result<SessionFile> {
    SessionFile::from_bytes("s.jsonl", Arc::new(text.as_ref().to_vec()))
}

fn refused(text: impl AsRef<[u8]>) -> String {
    read(text).expect_err("it is damaged").to_string()
}

/// A header and these lines.
fn with(lines: &[&str]) -> String {
    format!("{}\n{}\n", head(), lines.join("\n"))
}

#[test]
fn lines_are_found_in_any_spelling() {
    let text = with(&[
        r#"{"t":1,"mark":"a"}"#,
        r#" { "mark" : "b" , "t" : 2 } "#,
        "",
        r#"{"t":3,"user":{"anything":[{}]}}"#,
        r#"{"t":2,"note":{"text":"later","later":true}}"#,
    ]);
    for text in [text.clone(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        let file = read(&text).unwrap();
        let seen: Vec<(u64, u32, Kind)> = file.entries().iter().map(|e| (e.t, e.line, e.kind)).collect();
        let wanted = [(1, 2, Kind::Mark), (2, 3, Kind::Mark), (2, 6, Kind::Note), (3, 5, Kind::User)];
        assert_eq!(seen, wanted);
        assert_eq!((file.end(), file.cut), (3, None));
        assert_eq!(file.marks(), [(1, "a".to_owned()), (2, "b".to_owned())]);
        assert_eq!(file.notes()[0].1.text, "later");
    }
}

#[test]
fn damaged_lines_are_named_by_their_number() {
    let deep = format!("{{\"t\":1,\"user\":{}1{}}} ", "[".repeat(100_000), "]".repeat(100_000));
    let cases = [
        ("nothing", "expected ident"),
        ("[1]", "invalid type"),
        (r#"{"t":1}"#, "nothing stands beside the time"),
        (r#"{"t":-1,"mark":"a"}"#, "invalid value"),
        (r#"{"t":1.5,"mark":"a"}"#, "invalid type"),
        (r#"{"mark":"a"}"#, "missing field `t`"),
        (r#"{"t":1,"t":2,"mark":"a"} "#, "duplicate field"),
        (r#"{"t":1,"mark":"a","note":{}} "#, "one thing"),
        (r#"{"t":1,"event\u0000x":"a"}"#, "no kind of line"),
        (r#"{"t":1000000000001,"mark":"a"}"#, "lifetime"),
        (r#"{"t":99999999999999999999,"mark":"a"}"#, "invalid"),
        ("{\"t\":1,\"mark\":\"\0\"} ", "control character"),
        ("\0\0\0\0", "expected value"),
    ];
    for (line, why) in cases {
        let said = refused(with(&[r#"{"t":0,"mark":"a"}"#, line, r#"{"t":3000000000000,"mark":"b"}"#]));
        assert!(said.starts_with("s.jsonl: line 3 is damaged: ") && said.contains(why), "{line:?}: {said}");
        assert!(said.len() < 400 && !said.chars().any(char::is_control), "{said:?}");
    }
    let said = refused(with(&[r#"{"t":5,"mark":"a"}"#, r#"{"t":4,"mark":"b"}"#]));
    assert!(said.contains("line 3") && said.contains("before that of the line above it (5 ms)"), "{said}");
    // Deeper than any parser may go: a sentence and not the end of the stack.
    let file = read(with(&[&deep])).unwrap();
    assert!(
        file.line::<serde_json::Value>(&file.entries()[0]).unwrap_err().to_string().contains("recursion")
    );
}

#[test]
fn other_files_are_refused_with_what_they_are() {
    let utf16: Vec<u8> = head().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(Vec<u8>, &str); 12] = [
        (Vec::new(), "empty"),
        (b"\n\n".to_vec(), "empty"),
        (b"\x1f\x8b\x08 a gzip".to_vec(), "gunzip it first"),
        (b"PK\x03\x04...".to_vec(), "zip archive"),
        ([b"\xff\xfe".to_vec(), utf16.clone()].concat(), "UTF-16"),
        (utf16, "UTF-16"),
        (b"GGUF\x03".to_vec(), "it is a model"),
        (b"{\"version\":2,\"width\":80}\n".to_vec(), "has no schema"),
        (b"{\"schema\":\"polylens.session/7\"}\n".to_vec(), "use a newer version"),
        (b"{\"schema\":\"polylens.lens/1\"}\n".to_vec(), "its schema is"),
        (b"{\"schema\":\"polylens.session/1\"}\n".to_vec(), "missing field"),
        (head().as_bytes()[..90].to_vec(), "the file ends in this line"),
    ];
    for (bytes, why) in cases {
        let said = refused(&bytes);
        assert!(said.starts_with("s.jsonl: line 1") && said.contains(why), "{why}: {said}");
    }
    let huge = head().replace("\"size\":[0,0]", "\"size\":[65535,3]");
    assert!(refused(huge).contains("line 1 is damaged: a screen of 65535x3"));
}

#[test]
fn a_file_cut_anywhere_is_read_up_to_the_cut() {
    let text = with(&[r#"{"t":1,"mark":"ภาษา 好"}"#, r#"{"t":2,"note":{"text":"積 👩"}}"#]);
    let begins: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    for end in begins[0]..=text.len() {
        let file = read(&text.as_bytes()[..end]).unwrap();
        let whole = begins[1..].iter().filter(|b| end + 1 >= **b).count();
        assert_eq!(file.entries().len(), whole, "cut at byte {end}");
        let clean = begins.iter().any(|b| end == *b || end + 1 == *b);
        assert_eq!(file.cut, (!clean).then_some(whole as u32 + 2), "cut at byte {end}");
    }
    let zeros = [text.as_bytes(), &[0; 4096]].concat();
    let file = read(zeros).unwrap();
    assert_eq!((file.entries().len(), file.cut), (2, Some(4)), "what a crash of the machine leaves");
}

#[test]
fn what_is_no_file_is_said_and_never_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let said = SessionFile::open(dir.path()).unwrap_err().to_string();
    assert!(said.contains("is a directory"), "{said}");
    let said = SessionFile::open(&dir.path().join("none")).unwrap_err().to_string();
    assert!(said.contains("cannot be read"), "{said}");
    #[cfg(unix)]
    {
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let said = SessionFile::open(&pipe).unwrap_err().to_string();
        assert!(said.contains("is a pipe"), "{said}");
    }
    let large = dir.path().join("large");
    std::fs::File::create(&large).unwrap().set_len(5 << 30).unwrap();
    let said = SessionFile::open(&large).unwrap_err().to_string();
    assert!(said.contains("at most 4096 MB"), "{said}");
}

#[test]
fn a_mapped_file_reads_as_one_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.jsonl");
    let mark = format!("{{\"t\":7,\"mark\":\"{}\"}}", "x".repeat(1000));
    let lines: Vec<&str> = std::iter::repeat_n(mark.as_str(), 40_000).collect();
    std::fs::write(&path, with(&lines)).unwrap();
    let file = SessionFile::open(&path).unwrap();
    assert!(file.size() > 33 << 20);
    assert_eq!((file.entries().len(), file.entries()[39_999].line), (40_000, 40_001));
    assert_eq!(file.text(&file.entries()[12_345]), mark.as_bytes());
    // A line longer than any is damaged, not read.
    let long = format!("{{\"t\":8,\"mark\":\"{}\"}}", "x".repeat(65 << 20));
    std::fs::write(&path, with(&[&long])).unwrap();
    let said = SessionFile::open(&path).unwrap_err().to_string();
    assert!(said.contains("line 2 is damaged: it has 65 MB"), "{said}");
}
