//! Training data: tokens as the reference has them, pairs in the paper's form, and no gold answer among them.

mod common;

use polylens::engine::protocol::{Style, TrainData, TrainSettings};
use polylens::model::gguf::Gguf;
use polylens::model::tokenizer::Tokenizer;
use polylens::tasks::{BUNDLED, LANGUAGES, Source};
use polylens::train::data::pairs::{self, Pair, Spec};
use polylens::train::data::{DataRow, Dataset, rows};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn gemma() -> Option<Tokenizer> {
    let file = Gguf::open(&common::model_file("gemma-3-270m")?).unwrap();
    Some(Tokenizer::from_gguf(&file, None).unwrap())
}

fn file(lang: Option<&str>, path: PathBuf) -> TrainData {
    TrainData::File { lang: lang.map(str::to_owned), path }
}

#[test]
fn samples_are_the_references_tokens_and_labels() {
    let Some(golden) = common::golden("lora/tokens-first8.json") else { return };
    let Some(tokenizer) = gemma() else { return };
    let data = [file(None, common::shared("golden/lora/data.json").unwrap())];
    let settings = TrainSettings { val_size: 0.0, ..TrainSettings::default() };
    let set = Dataset::read(&data, &settings, &tokenizer).unwrap();
    assert_eq!((set.train.len(), set.held_out.len(), set.cut), (320, 0, 0));
    assert_eq!(set.sources, [("data".to_owned(), 320)]);
    let rows = golden["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    for (row, sample) in rows.iter().zip(&set.train) {
        let numbers = |key: &str| -> Vec<i64> {
            row[key].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
        };
        let (ids, labels) = (numbers("input_ids"), numbers("labels"));
        assert_eq!(sample.ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>(), ids);
        assert_eq!(labels.iter().position(|l| *l != -100), Some(sample.answer));
        assert!(
            labels[sample.answer..].iter().eq(&ids[sample.answer..]),
            "the loss is over all that follows"
        );
    }
}

#[test]
fn files_are_mixed_split_and_cut_and_hashed() {
    let Some(zh) = common::shared("paper/train/zh-en.json") else { return };
    let Some(tokenizer) = gemma() else { return };
    let es = common::shared("paper/train/es-en.json").unwrap();
    let data = [file(Some("zh"), zh.clone()), file(Some("es"), es), file(Some("zh"), zh)];
    let settings = TrainSettings { cutoff: 64, ..TrainSettings::default() };
    let started = std::time::Instant::now();
    let set = Dataset::read(&data, &settings, &tokenizer).unwrap();
    println!("9000 rows in {:?}", started.elapsed());
    assert_eq!(set.sources, [("zh".to_owned(), 6000), ("es".to_owned(), 3000)]);
    assert_eq!((set.train.len(), set.held_out.len()), (8550, 450));
    assert_eq!(set.longest, 64);
    assert!(set.cut > 100 && set.train.iter().all(|s| s.answer >= 1 && s.answer_tokens() >= 1));
    assert_eq!(set.files[0].sha256, set.files[2].sha256);
    assert!(set.files[0].sha256 != set.files[1].sha256 && set.files[0].rows == 3000);
    assert_eq!(Dataset::read(&data, &settings, &tokenizer).unwrap(), set, "the same again");
}

#[test]
fn a_tasks_own_items_are_data() {
    let Some(tokenizer) = gemma() else { return };
    let of = |limit| TrainData::Task { task: "nli".into(), source: "sw".into(), target: "zh".into(), limit };
    let settings = TrainSettings { val_size: 2.0, ..TrainSettings::default() };
    let set = Dataset::read(&[of(None), of(Some(5))], &settings, &tokenizer).unwrap();
    let all = BUNDLED.iter().find(|b| b.id == "nli").unwrap().count().unwrap();
    assert_eq!(set.sources, [("sw".to_owned(), all + 5)]);
    assert_eq!(set.files[0].name, "task nli sw=>zh");
    assert_eq!((set.files[0].rows, set.files[1].rows), (all, 5));
    assert_ne!(set.files[0].sha256, set.files[1].sha256);
}

/// What stands before a label's part in an answer row: the two texts of an item, in the paper's words.
fn values(text: &str) -> Vec<String> {
    let line = |line: &str| line.split_once(": ").unwrap().1.to_owned();
    let mut lines = text.lines();
    vec![line(lines.next().unwrap()), line(lines.next().unwrap())]
}

#[test]
fn rows_of_the_papers_texts_are_the_papers_rows_byte_for_byte() {
    let Some(path) = common::shared("paper/train/zh-en.json") else { return };
    let bytes = std::fs::read(&path).unwrap();
    let (theirs, _) = rows::read(&path).unwrap();
    let written = rows::write(&theirs, rows::RowForm::Paper, rows::Container::Json).unwrap();
    assert!(written == bytes, "a file of rows is written as the paper's is");
    // Their texts taken apart, as items with an answer that must not matter.
    let dir = tempfile::tempdir().unwrap();
    let items = |side: fn(&DataRow) -> &str| -> Vec<Value> {
        theirs
            .iter()
            .filter(|row| row.answer.lines().count() == 3)
            .map(|row| values(side(row)))
            .map(|v| serde_json::json!({"premise": v[0], "hypothesis": v[1], "answer": "neutral"}))
            .collect()
    };
    for (lang, items) in [("zh", items(|row| &row.input)), ("en", items(|row| &row.answer))] {
        std::fs::write(dir.path().join(format!("{lang}.json")), Value::from(items).to_string()).unwrap();
    }
    let task = common::shared("golden/nli.toml").unwrap();
    let source = Source::find(task.to_str().unwrap()).unwrap();
    let template = dir.path().join("{lang}.json");
    let spec = Spec { from: &["zh".to_owned()], to: "en", items: template.to_str(), n: None, seed: 3 };
    let mut ours = pairs::pairs(&source, &spec).unwrap();
    assert!(ours.windows(2).any(|w| w[0].index > w[1].index), "mixed");
    ours.sort_by_key(|pair| pair.index);
    let want: Vec<&DataRow> = theirs.iter().filter(|row| row.answer.lines().count() == 3).collect();
    assert!(want.len() > 2900);
    assert!(ours.iter().map(|pair| &pair.row).eq(want));
}

fn bytes(pairs: &[Pair]) -> Vec<u8> {
    let rows: Vec<DataRow> = pairs.iter().map(|pair| pair.row.clone()).collect();
    rows::write(&rows, rows::RowForm::Paper, rows::Container::Json).unwrap()
}

/// Every language into English, and all others into Chinese, with items from a folder.
fn everything(source: &Source, template: Option<&str>) -> Vec<u8> {
    let codes = |but: &str| -> Vec<String> {
        source.task.languages.iter().map(|l| l.code.clone()).filter(|c| c != but).collect()
    };
    let mut all = Vec::new();
    for to in ["en", "zh"] {
        let from = codes(to);
        let spec = Spec { from: &from, to, items: template, n: None, seed: 11 };
        all.extend(bytes(&pairs::pairs(source, &spec).unwrap()));
    }
    all
}

/// Items of every language, as (code, array).
type Items = Vec<(String, Vec<Value>)>;

fn write(dir: &Path, items: &Items, answer: &dyn Fn(&str, usize) -> Value) -> String {
    for (code, array) in items {
        let array: Vec<Value> = array
            .iter()
            .enumerate()
            .map(|(i, item)| {
                let mut item = item.clone();
                item["answer"] = answer(code, i);
                item
            })
            .collect();
        std::fs::write(dir.join(format!("{code}.json")), Value::from(array).to_string()).unwrap();
    }
    dir.join("{lang}.json").to_str().unwrap().to_owned()
}

/// Pairs are the same bytes whatever the items' answers are; marker labels never appear; and a row ends where its
/// language's answer would begin.
fn no_answer_comes_in(source: &Source, items: &Items) {
    let dir = tempfile::tempdir().unwrap();
    let original = write(dir.path(), items, &|code, i| {
        let (_, array) = items.iter().find(|(c, _)| c == code).unwrap();
        array[i]["answer"].clone()
    });
    let want = everything(source, Some(&original));
    let n = items[0].1.len();
    // All answers of all items, in every language and style, in turn.
    for step in 1..source.task.labels.len() {
        let permuted = tempfile::tempdir().unwrap();
        let template = write(permuted.path(), items, &|code, i| {
            let language = source.task.language(code).unwrap();
            let style = if i % 2 == 0 { Style::Same } else { Style::English };
            let words = source.task.words(language, style).unwrap();
            words[(i * 7 + step) % words.len()].clone().into()
        });
        assert!(everything(source, Some(&template)) == want, "{}: labels permuted", source.task.id);
    }
    let marked = tempfile::tempdir().unwrap();
    let template = write(marked.path(), items, &|code, i| format!("GOLD-{code}-{i}").into());
    let made = everything(source, Some(&template));
    assert!(made == want, "{}: marked labels", source.task.id);
    assert!(!String::from_utf8(made).unwrap().contains("GOLD-"));
    // Each text is its language's item cut at the answer, and nothing else.
    let from = vec![source.task.languages[1].code.clone()];
    let to = source.task.languages[0].code.clone();
    let spec = Spec { from: &from, to: &to, items: Some(&original), n: None, seed: 0 };
    let made = pairs::pairs(source, &spec).unwrap();
    assert_eq!(made.len(), n);
    let words = &source.task.languages[0].words;
    for pair in made {
        let item = &items.iter().find(|(c, _)| *c == to).unwrap().1[pair.index];
        let texts: Vec<&str> = source.task.fields.iter().map(|f| item[f].as_str().unwrap()).collect();
        let mut rest = pair.row.answer.clone();
        for text in texts {
            rest = rest.replacen(text, "", 1);
        }
        assert!(!words.iter().any(|word| rest.contains(word.as_str())), "{rest:?}");
    }
}

#[test]
fn no_gold_label_of_a_bundled_task_reaches_the_pairs() {
    for bundled in &BUNDLED {
        let source = Source::find(bundled.id).unwrap();
        assert_eq!(source.task.languages.len(), LANGUAGES.len());
        let items: Items = bundled
            .items
            .iter()
            .map(|(code, text)| ((*code).to_owned(), serde_json::from_str(text).unwrap()))
            .collect();
        no_answer_comes_in(&source, &items);
        let from: Vec<String> = LANGUAGES[1..].iter().map(|l| l.code.to_owned()).collect();
        let spec = Spec { from: &from, to: "en", items: None, n: None, seed: 11 };
        let own = bytes(&pairs::pairs(&source, &spec).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let template = write(dir.path(), &items, &|_, _| Value::Null);
        let spec = Spec { items: Some(&template), ..spec };
        assert!(own == bytes(&pairs::pairs(&source, &spec).unwrap()), "embedded items are the same items");
    }
}

#[test]
fn no_gold_label_of_the_papers_items_reaches_the_pairs() {
    for (folder, task) in [("nli", "nli"), ("sentiment", "sentiment")] {
        let Some(dir) = common::shared(&format!("paper/{folder}")) else { return };
        let source = Source::find(task).unwrap();
        let read = |code: &str| -> Vec<Value> {
            let text = std::fs::read_to_string(dir.join(format!("{code}.json"))).unwrap();
            let items: Vec<Value> = serde_json::from_str(&text).unwrap();
            items.into_iter().take(60).collect()
        };
        let items: Items = LANGUAGES.iter().map(|l| (l.code.to_owned(), read(l.code))).collect();
        no_answer_comes_in(&source, &items);
    }
}

#[test]
fn pairs_are_drawn_under_the_seed_and_refusals_say_why() {
    let source = Source::find("nli").unwrap();
    let from = ["zh".to_owned(), "spanish".to_owned()];
    let spec = Spec { from: &from, to: "en", items: None, n: Some(6), seed: 5 };
    let made = pairs::pairs(&source, &spec).unwrap();
    assert_eq!(made.len(), 12);
    let of = |lang: &str| {
        let mut of: Vec<usize> = made.iter().filter(|p| p.lang == lang).map(|p| p.index).collect();
        of.sort_unstable();
        of
    };
    assert_eq!(of("zh"), of("es"), "the same items for every source");
    assert_ne!(of("zh"), (0..6).collect::<Vec<_>>(), "drawn at random");
    assert_eq!(pairs::pairs(&source, &spec).unwrap(), made);
    assert_ne!(pairs::pairs(&source, &Spec { seed: 6, ..spec }).unwrap(), made);
    assert!(made[0].row.input.contains("\nTranslate the input from "));

    let fails = |spec: Spec, says: &str, status: u8| {
        let error = pairs::pairs(&source, &spec).unwrap_err();
        assert!(error.to_string().contains(says) && error.exit_code() == status, "{error}");
    };
    fails(Spec { to: "zh", ..spec }, "zh is both", 2);
    fails(Spec { n: Some(100_000), ..spec }, "100000 pairs", 2);
    fails(Spec { to: "xx", ..spec }, "not one of the 20", 2);
    fails(Spec { from: &[], ..spec }, "no source language", 2);
    fails(Spec { items: Some("one.json"), ..spec }, "{lang}", 2);
    let dir = tempfile::tempdir().unwrap();
    let item = r#"{"premise":"a","hypothesis":"b"}"#;
    for (code, text) in [("en", format!("[{item},{item}]")), ("zh", format!("[{item}]")), ("es", "[]".into())]
    {
        std::fs::write(dir.path().join(format!("{code}.json")), text).unwrap();
    }
    let template = dir.path().join("{lang}.json");
    let own = Spec { items: template.to_str(), n: None, ..spec };
    fails(own, "zh.json has 1 items and", 1);
    fails(Spec { from: &from[1..], ..own }, "es.json has no items", 1);
    fails(Spec { from: &from[1..], to: "de", ..own }, "de.json cannot be opened", 1);
}
