//! Tasks: prompts, ids and token sets against the reference numbers, and every kind of fault.

mod common;

use polylens::engine::protocol::{Comparison, Protocol, Style, TokenSet};
use polylens::model::gguf::Gguf;
use polylens::model::tokenizer::Tokenizer;
use polylens::tasks::{Row, Task, check, items, prompt, sets};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn golden_task(name: &str) -> Option<Task> {
    Some(Task::open(&common::shared(&format!("golden/{name}.toml"))?).expect("a task file without faults"))
}

/// The first `n` items of the paper's own data.
fn paper_rows(task: &Task, folder: &str, lang: &str, n: usize) -> Option<Vec<Row>> {
    let path = common::shared(&format!("paper/{folder}/{lang}.json"))?;
    Some(items::load(task, task.language(lang).expect("there"), &path, Some(n)).expect("items"))
}

fn tokenizer(model: &str) -> Option<Tokenizer> {
    let file = Gguf::open(&common::model_file(model)?).expect("a GGUF file");
    Some(Tokenizer::from_gguf(&file, None).expect("its tokenizer"))
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

fn union(sets: &[TokenSet]) -> Vec<u32> {
    sets.iter().flat_map(|set| set.ids.iter().copied()).collect::<BTreeSet<u32>>().into_iter().collect()
}

#[test]
fn lens_prompts_and_sets_equal_the_reference() {
    let Some(task) = golden_task("sentiment") else { return };
    for (model, file, count) in
        [("gemma-3-270m", "gemma-lens.json", 12), ("smollm2-135m", "smollm2-lens.json", 6)]
    {
        let (Some(tokenizer), Some(golden)) = (tokenizer(model), common::golden(file)) else { continue };
        let records = golden["items"].as_array().expect("items");
        assert_eq!(records.len(), count);
        for record in records {
            let lang = record["lang"].as_str().expect("a language");
            let index = record["index"].as_u64().expect("an index") as usize;
            let language = task.language(lang).expect("there");
            let Some(rows) = paper_rows(&task, "sentiment", lang, 2) else { return };
            let made = prompt::items(&task, language, Style::Same, Protocol::Default, &rows).expect("items");
            let item = &made[index];
            assert_eq!((item.index, item.gold.as_str()), (index, record["gold"].as_str().expect("gold")));
            let text = format!("{}{}", item.query.prefix, item.query.text);
            assert_eq!(text, record["text"].as_str().expect("text"), "{lang} {index}");
            let (tokens, own) = tokenizer.encode_query(&item.query.prefix, &item.query.text).expect("ids");
            assert_eq!(tokens, ids(&record["ids"]), "{model} {lang} {index}");
            assert_eq!(tokenizer.decode(&tokens[own..]).expect("text"), item.query.text);

            for (protocol, name) in [(Protocol::Paper, "paper"), (Protocol::Default, "default")] {
                let comparison =
                    Comparison { protocol, ..item.query.comparison.clone().expect("a comparison") };
                let sets = sets::token_sets(&tokenizer, Some(&comparison), &[]).expect("sets");
                let expected = |curve: &str| ids(&record["token_sets"][format!("{name}.{curve}")]);
                assert_eq!(sets.latent[sets.gold].ids, expected("en"), "{model} {lang} {name}");
                assert_eq!(sets.target[sets.gold].ids, expected("target"), "{model} {lang} {name}");
                assert_eq!(union(&sets.latent), expected("all_possible_latent"), "{model} {lang} {name}");
                assert_eq!(union(&sets.target), expected("all_possible_out"), "{model} {lang} {name}");
                assert_eq!(sets.refused.is_some(), union(&sets.target).is_empty(), "{model} {lang} {name}");
            }
        }
    }
}

#[test]
fn evaluation_prompts_have_the_reference_token_counts_and_sets() {
    for (name, folder, file, langs) in
        [("sentiment", "sentiment", "gemma-sentiment.json", 20), ("nli", "nli", "gemma-nli.json", 3)]
    {
        let (Some(task), Some(tokenizer), Some(golden)) =
            (golden_task(name), tokenizer("gemma-3-270m"), common::golden(file))
        else {
            return;
        };
        let labels = sets::label_sets(&tokenizer, &task.labels, Protocol::Paper).expect("sets");
        assert_eq!((labels.warnings.len(), labels.refused), (0, None));
        for set in &labels.sets {
            assert_eq!(set.ids, ids(&golden["token_sets"][&set.word]), "{}", set.word);
        }
        let languages = golden["languages"].as_object().expect("languages");
        assert_eq!((languages.len(), task.languages.len()), (langs, langs));
        for (lang, record) in languages {
            let language = task.language(lang).expect("there");
            let Some(rows) = paper_rows(&task, folder, lang, 24) else { return };
            let made = prompt::items(&task, language, Style::English, Protocol::Paper, &rows).expect("items");
            for (item, expected) in made.iter().zip(record["items"].as_array().expect("items")) {
                let text = format!("{}{}", item.query.prefix, item.query.text);
                let count = tokenizer.encode(&text).expect("ids").len();
                assert_eq!(
                    count as u64,
                    expected["tokens"].as_u64().expect("a count"),
                    "{lang} {}",
                    item.index
                );
                assert_eq!(item.gold, expected["gold"].as_str().expect("gold"), "{lang} {}", item.index);
                assert!(
                    item.query.comparison.as_ref().is_some_and(|c| c.same_language && c.target == c.english)
                );
            }
            assert_eq!(made.len(), 24);
        }
    }
}

#[test]
fn what_was_taken_out_of_the_sets_is_told() {
    let (Some(task), Some(tokenizer)) = (golden_task("sentiment"), tokenizer("gemma-3-270m")) else { return };
    let sets = |lang: &str, style, protocol| {
        let language = task.language(lang).expect("there");
        let comparison = prompt::comparison(&task, language, style, protocol, 0).expect("words");
        sets::token_sets(&tokenizer, Some(&comparison), &["naïve".into(), String::new()]).expect("sets")
    };
    // Thai: both words begin with เชิง, so that nothing is left of either.
    let thai = sets("th", Style::Same, Protocol::Default);
    assert!(
        thai.refused.as_ref().is_some_and(|r| r.contains("เชิงบวก") && r.contains("--protocol paper")),
        "{thai:?}"
    );
    assert_eq!(thai.target[0].removed.len(), 6);
    assert!(thai.target[0].removed.iter().any(|token| token.text == "<0xE0>"));
    assert!(
        thai.warnings.iter().any(|w| w.contains("\"เชิงบวก\" and \"เชิงลบ\" share")),
        "{:?}",
        thai.warnings
    );
    let paper = sets("th", Style::Same, Protocol::Paper);
    assert_eq!((paper.refused, paper.target[0].ids.len()), (None, 6));
    // German: every beginning of "positiv" also begins "positive".
    let german = sets("de", Style::Same, Protocol::Default);
    assert!(german.refused.as_ref().is_some_and(|r| r.contains("\"positiv\"")));
    assert!(
        german.warnings.iter().any(|w| w.contains("\"positive\" and \"positiv\"")),
        "{:?}",
        german.warnings
    );
    // English words for all: one comparison, nothing lost between the sides.
    let english = sets("de", Style::English, Protocol::Default);
    assert_eq!((english.refused, english.warnings.len()), (None, 1), "the empty tracked word alone");
    assert_eq!(english.latent, english.target);
    // Agnostic: ox and horse share nothing with positive and negative.
    let agnostic = sets("de", Style::Agnostic, Protocol::Default);
    assert_eq!((agnostic.refused, agnostic.target[1].word.as_str()), (None, "horse"));
    assert!(!agnostic.target[0].ids.is_empty());
    // Tracked words are kept whole, in any protocol.
    assert_eq!(agnostic.tracked[0].word, "naïve");
    assert!(agnostic.tracked[0].ids.len() > 3 && agnostic.tracked[0].removed.is_empty());
    // Labels alone, as an evaluation compares them.
    let words = ["เชิงบวก".to_owned(), "เชิงลบ".to_owned()];
    let labels = sets::label_sets(&tokenizer, &words, Protocol::Default).expect("sets");
    assert!(labels.refused.is_some() && labels.warnings.len() == 1);
    let words = ["positiv".to_owned(), "negativ".to_owned()];
    let labels = sets::label_sets(&tokenizer, &words, Protocol::Default).expect("sets");
    assert_eq!((labels.refused, labels.warnings.len()), (None, 0));
}

const TASK: &str = r#"
id = "colour"
description = "for tests"
labels = ["warm", "cold"]
fields = ["input", "other"]
separator = "\n--\n"
[styles.agnostic]
warm = "ox"
cold = "horse"
[languages.en]
item = "{input}/{other} = \"{answer}\""
labels = { warm = "warm", cold = "cold" }
[languages.zh]
item = "{input}:{other} \"{answer}\"。"
labels = { warm = "暖", cold = "冷" }
shots = [
  { input = "红", other = "{answer}", answer = "warm" },
  { input = "蓝", other = "b", answer = "冷" },
]
"#;

fn task() -> Task {
    Task::parse(TASK, "colour.toml").expect("no faults")
}

#[test]
fn prompts_are_shots_and_query_in_the_styles_words() {
    let task = task();
    let (zh, en) = (task.language("Chinese").expect("there"), task.language("en").expect("there"));
    let row = Row { index: 4, values: vec!["{other}".into(), "{answer}".into()], label: 1 };
    let item = |language, style| {
        prompt::items(&task, language, style, Protocol::Paper, std::slice::from_ref(&row))
            .expect("items")
            .remove(0)
    };
    let same = item(zh, Style::Same);
    assert_eq!(same.query.prefix, "红:{answer} \"暖\"。\n--\n蓝:b \"冷\"。\n--\n");
    assert_eq!(same.query.text, "{other}:{answer} \"");
    assert_eq!((same.index, same.gold.as_str()), (4, "cold"));
    let comparison = same.query.comparison.expect("a comparison");
    assert_eq!(
        (comparison.english, comparison.target),
        (task.labels.clone(), vec!["暖".into(), "冷".into()])
    );
    assert_eq!((comparison.gold, comparison.same_language, comparison.protocol), (1, false, Protocol::Paper));
    assert!(item(zh, Style::English).query.prefix.contains("\"warm\""));
    assert!(item(zh, Style::English).query.comparison.is_some_and(|c| c.same_language));
    let agnostic = item(zh, Style::Agnostic);
    assert!(agnostic.query.prefix.contains("\"ox\""));
    assert!(agnostic.query.comparison.is_some_and(|c| !c.same_language && c.target == ["ox", "horse"]));
    assert_eq!(item(en, Style::Same).query.prefix, "");
    assert!(item(en, Style::Same).query.comparison.is_some_and(|c| c.same_language));
    assert!(item(en, Style::Agnostic).query.comparison.is_some_and(|c| !c.same_language));

    let error = task.language("German").unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("it has en zh"), "{error}");
    let plain = TASK.replace("[styles.agnostic]\nwarm = \"ox\"\ncold = \"horse\"\n", "");
    let plain = Task::parse(&plain, "x").expect("no faults");
    let error = prompt::prefix(&plain, plain.language("zh").expect("there"), Style::Agnostic).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("[styles.agnostic]"), "{error}");
}

#[test]
fn all_faults_of_a_task_file_are_listed_with_their_place() {
    assert_eq!(check(TASK, "colour.toml"), []);
    let file = r#"id = "a b"
lables = []
labels = ["warm", "cold"]
fields = ["input"]
separator = 3
[styles.plain]
warm = "x"
[styles.agnostic]
warm = "ox"
[languages.German]
item = "{input}"
labels = { warm = "x", cold = "x" }
[languages.fr]
item = "{inputs} {answer}"
labels = { warm = "cold", cold = " froid" }
shots = [{ input = "a", answer = "tiède" }, { input = 1 }, "b"]
[languages.sv]
"#;
    let faults: Vec<String> = check(file, "f.toml").iter().map(ToString::to_string).collect();
    let expected = [
        "f.toml:1:6: id: it must be 1 to 64 letters",
        "f.toml:2:1: \"lables\" is not known; did you mean labels?",
        "f.toml:5:13: separator: it must be a text in quotes, and is of the type integer",
        "f.toml:6:1: styles.plain: only [styles.agnostic]",
        "f.toml:8:1: styles.agnostic: cold is missing",
        "f.toml:10:12: languages.German: a language is named by its code in small letters, here de",
        "f.toml:11:8: languages.German.item: {answer} is missing",
        "f.toml:12:31: languages.German.labels.cold: \"x\" is the word for two labels",
        "f.toml:14:8: languages.fr.item: {inputs} is not a field of this task; the fields are input",
        "f.toml:14:8: languages.fr.item: {input} is not before {answer}",
        "f.toml:15:19: languages.fr.labels.warm: \"cold\" is also the label \"cold\"",
        "f.toml:15:34: languages.fr.labels.cold: a word must not be empty nor begin or end with a space",
        "f.toml:16:34: languages.fr.shots[0].answer: \"tiède\" is none of the labels (warm, cold)",
        "f.toml:16:45: languages.fr.shots[1]: answer is missing",
        "f.toml:16:55: languages.fr.shots[1].input: it must be a text in quotes",
        "f.toml:16:60: languages.fr.shots[2]: it must be a table",
        "f.toml:17:1: languages.sv: item is missing",
        "f.toml:17:1: languages.sv: labels is missing",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}\nis not\n{expected}");
    }
    let error = Task::parse(file, "f.toml").unwrap_err();
    assert!(
        error.exit_code() == 1 && error.to_string().contains("and 15 more: polylens tasks check f.toml"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_task_is_refused_in_a_sentence() {
    for (text, expected) in [
        ("", "id is missing"),
        ("id = ", "it is not TOML"),
        ("id = \"a\"\nlabels = [\"x\"]", "labels: it needs at least 2 entries"),
        ("labels = [\"x\", \"x\"]\nfields = []", "stands twice"),
        ("labels = 1\nfields = [\"answer\"]", "\"answer\" cannot be a field"),
        ("languages = 3\nlabels = [\"x\", \"y\"]\nfields = [\"a\"]", "languages: it must be a table"),
        ("languages = {}\nlabels = [\"x\", \"y\"]\nfields = [\"a\"]", "it is empty: add a table"),
        (&format!("id = {}", "[".repeat(100_000)), "it is not TOML"),
    ] {
        let faults = check(text, "f.toml");
        assert!(faults.iter().any(|fault| fault.to_string().contains(expected)), "{expected}: {faults:?}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("t.toml");
    let error = Task::open(&path).unwrap_err().to_string();
    assert!(error.contains("t.toml cannot be opened"), "{error}");
    std::fs::write(&path, b"id = \"\xE9\"").expect("writable");
    let error = Task::open(&path).unwrap_err().to_string();
    assert!(error.contains("t.toml") && error.contains("byte 6 is not UTF-8"), "{error}");
    std::fs::write(&path, format!("\u{feff}{}", TASK.replace('\n', "\r\n"))).expect("writable");
    assert_eq!(Task::open(&path).expect("a task").id, "colour");
}

#[test]
fn damaged_task_files_never_panic_and_faults_lie_within_the_file() {
    let mut state = 1_u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let (mut whole, mut faulty) = (0, 0);
    for _ in 0..3000 {
        let mut characters: Vec<char> = TASK.chars().collect();
        for _ in 0..=below(3) {
            let (at, last) = (below(characters.len()), characters.len() - 1);
            match below(4) {
                0 if last > 0 => drop(characters.remove(at)),
                1 => characters[at] = ['"', '{', '\n', '=', '[', 'x', '\0', 'é'][below(8)],
                2 => characters.swap(at, last),
                _ => characters.truncate(at.max(1)),
            }
        }
        let text: String = characters.into_iter().collect();
        let faults = check(&text, "f");
        assert_eq!(Task::parse(&text, "f").is_ok(), faults.is_empty());
        assert!(faults.iter().all(|fault| fault.line <= text.lines().count() + 1), "{faults:?}");
        *if faults.is_empty() { &mut whole } else { &mut faulty } += 1;
    }
    assert!(whole > 100 && faulty > 1000, "{whole} {faulty}");
}

fn rows(text: &[u8], name: &str, limit: Option<usize>) -> polylens::Result<Vec<Row>> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(name);
    std::fs::write(&path, text).expect("writable");
    let task = task();
    items::load(&task, task.language("zh")?, &path, limit)
}

#[test]
fn items_are_read_from_json_json_lines_and_csv() {
    let expected = [("a", "b\nc", 0), ("d", "é,\"", 1), ("", "x", 1)];
    let json = "\u{feff}[{\"input\":\"a\",\"other\":\"b\\nc\",\"answer\":\"warm\",\"more\":1},\r\n\
                {\"input\":\"d\",\"other\":\"é,\\\"\",\"answer\":\"冷\"},{\"input\":\"\",\"other\":\"x\",\"answer\":\" cold \"}]";
    let lines = "{\"input\":\"a\",\"other\":\"b\\nc\",\"answer\":\"warm\"}\r\n\r\n{\"input\":\"d\",\"other\":\"é,\\\"\",\
                 \"answer\":\"冷\"}\n{\"input\":\"\",\"other\":\"x\",\"answer\":\"cold\"}";
    let csv = "\u{feff}answer,input,other,more\r\nwarm,a,\"b\nc\",1\r\n冷,d,\"é,\"\"\",2\r\ncold,,x,3\r\n";
    let tsv = "answer\tinput\tother\nwarm\ta\t\"b\nc\"\n冷\td\t\"é,\"\"\"\ncold\t\tx\n";
    for (text, name) in [
        (json, "a.json"),
        (json, "a"),
        (lines, "a.jsonl"),
        (lines, "a.json"),
        (csv, "a.csv"),
        (csv, "b"),
        (tsv, "a.tsv"),
    ] {
        let found = rows(text.as_bytes(), name, None).expect(name);
        let seen: Vec<(&str, &str, usize)> =
            found.iter().map(|row| (row.values[0].as_str(), row.values[1].as_str(), row.label)).collect();
        assert_eq!(seen, expected, "{name}");
        assert_eq!(found.iter().map(|row| row.index).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(rows(text.as_bytes(), name, Some(2)).expect(name), found[..2]);
    }
    assert_eq!(items::path_of("d/{lang}_{lang}.json", "zh"), Path::new("d/zh_zh.json"));
    assert!(items::check_template("d/{lang}.json", 3).is_ok() && items::check_template("d.json", 1).is_ok());
    assert_eq!(items::check_template("d.json", 2).unwrap_err().exit_code(), 2);
}

#[test]
fn items_that_are_wrong_are_named_with_their_row() {
    let good = "{\"input\":\"a\",\"other\":\"b\",\"answer\":\"warm\"}";
    for (text, name, expected) in [
        (
            format!("[{good},{{\"input\":\"a\",\"other\":\"b\",\"answer\":\"hot\"}}]"),
            "a.json",
            "row 2: the answer \"hot\"",
        ),
        (
            format!("[{good},{{\"input\":\"a\",\"answer\":\"warm\"}}]"),
            "a.json",
            "row 2: there is no \"other\" (it has answer, input)",
        ),
        (
            format!("[{good},{{\"input\":1,\"other\":\"b\",\"answer\":\"warm\"}}]"),
            "a.json",
            "row 2: \"input\" is a number",
        ),
        (format!("[{good},7]"), "a.json", "row 2: it is not an object"),
        (format!("[{good}"), "a.json", "is not a JSON array of items"),
        (format!("[{good}] x"), "a.json", "is not a JSON array of items"),
        (format!("{good}\n\n{{"), "a.jsonl", "row 2 (line 3): it is not one JSON object a line"),
        (format!("{good}\n{{\"input\":\"\"}}"), "a.jsonl", "row 2 (line 2): there is no \"other\""),
        ("input,other\na,b\n".into(), "a.csv", "no column \"answer\" (it has input, other)"),
        ("input,other,answer\na,b,warm\na,b\n".into(), "a.csv", "is not CSV that can be read"),
        (
            "input,other,answer\na,b,warm\n\"x\ny\",b,hot\n".into(),
            "a.csv",
            "row 2 (line 3): the answer \"hot\"",
        ),
        ("input,other,answer\n".into(), "a.csv", "has no items"),
        ("[]".into(), "a.json", "has no items"),
        (String::new(), "a.json", "has no items"),
        ("no json".into(), "a.json", "is not JSON"),
        ("[".repeat(100_000), "a.json", "is not a JSON array of items"),
        (format!("[{}]", good.replace("warm", &"w".repeat(100_000))), "a.json", "www…\""),
    ] {
        let error = rows(text.as_bytes(), name, None).expect_err(expected).to_string();
        assert!(
            error.contains(expected) && error.contains(name) && error.len() < 1000,
            "{expected}:\n{error}"
        );
    }
    let error = rows(b"[{\"input\":\"\xFF", "a.json", None).unwrap_err().to_string();
    assert!(error.contains("byte 11 is not UTF-8"), "{error}");
    let error = rows(b"\xFF\xFEa\0", "a.csv", None).unwrap_err().to_string();
    assert!(error.contains("UTF-16"), "{error}");
    let task = task();
    let zh = task.language("zh").expect("there");
    for path in ["/nonexistent/a.json", "/"] {
        let error = items::load(&task, zh, Path::new(path), None).unwrap_err();
        assert!(error.exit_code() == 1 && error.to_string().contains(path), "{error}");
    }
}

#[test]
fn the_bundled_task_reads_published_item_files() {
    let Ok(source) = polylens::tasks::Source::find("sentiment") else { panic!("the bundled task") };
    for language in &source.task.languages {
        let Some(file) = common::shared(&format!("paper/sentiment/{}.json", language.code)) else { return };
        let rows = polylens::tasks::items::load(&source.task, language, &file, None).unwrap();
        assert_eq!(rows.len(), 200, "{}", language.code);
    }
}
