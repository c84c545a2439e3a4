//! Token ids against the reference library's, for real vocabularies.

mod common;

use polylens::model::gguf::Gguf;
use polylens::model::tokenizer::{Tokenizer, VocabularyKind, common_prefix};
use serde_json::Value;
use std::time::Instant;

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

fn load(model: &str) -> Option<Tokenizer> {
    let file = Gguf::open(&common::model_file(model)?).expect("a GGUF file");
    Some(Tokenizer::from_gguf(&file, None).expect("its tokenizer"))
}

fn compare(tokenizer: &Tokenizer, column: &str) {
    let Some(golden) = common::golden("tokens.json") else { return };
    let cases = golden["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 58);
    for case in cases {
        let (text, expected) = (case["text"].as_str().expect("text"), ids(&case[column]));
        assert_eq!(tokenizer.encode_plain(text).expect("ids"), expected, "{text:?}");
        let spans = tokenizer.encode_spans(text).expect("spans");
        let own: Vec<u32> = spans.iter().skip(usize::from(tokenizer.adds_bos())).map(|(id, _)| *id).collect();
        assert_eq!(own, expected, "{text:?}");
        assert!(spans.iter().all(|(_, span)| text.get(span.clone()).is_some()), "{text:?}: {spans:?}");
        assert!(spans.windows(2).all(|w| w[0].1.start <= w[1].1.start), "{text:?}");
        let back = match tokenizer.kind() {
            // SentencePiece cannot tell a typed U+2581 from a space.
            VocabularyKind::SentencePiece => text.replace('▁', " "),
            VocabularyKind::ByteLevel => text.to_owned(),
        };
        assert_eq!(tokenizer.decode(&expected).expect("text"), back, "{text:?}");
    }
}

#[test]
fn gemma_tokens_equal_the_reference() {
    let Some(tokenizer) = load("gemma-3-270m") else { return };
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(2), Some(1)));
    assert_eq!((tokenizer.kind(), tokenizer.vocabulary()), (VocabularyKind::SentencePiece, 262_144));
    compare(&tokenizer, "gemma");
    // Special tokens spelled out in a text; from transformers 4.57.6 (BOS once more, and never twice).
    for (text, expected) in [
        ("", &[2][..]),
        ("<bos> x", &[2, 2, 1123]),
        ("<unk>", &[2, 3]),
        ("a<eos>b", &[2, 236_746, 1, 236_763]),
        ("<start_of_turn>user\n", &[2, 105, 2364, 107]),
        ("<0x41>", &[2, 236_820, 236_771, 236_781, 236_812, 236_770, 236_813]),
        ("  <table>  ", &[2, 138, 168, 138]),
        ("a\u{fffd}b\u{10ffff}", &[2, 236_746, 238_479, 236_763, 482, 381, 429, 429]),
    ] {
        assert_eq!(tokenizer.encode(text).expect("ids"), expected, "{text:?}");
    }
    assert_eq!(tokenizer.text(482), "<0xF4>");
    assert_eq!(tokenizer.text(2), "<bos>");
    assert_eq!(tokenizer.text(1123), " x");
    assert_eq!(tokenizer.text(9_999_999), "");
    assert_eq!(tokenizer.id_of("▁positive"), Some(4414));
    assert!(tokenizer.decode(&[9_999_999]).unwrap_err().to_string().contains("9999999"));
}

#[test]
fn smollm2_tokens_equal_the_reference() {
    let Some(tokenizer) = load("smollm2-135m") else { return };
    assert_eq!((tokenizer.kind(), tokenizer.vocabulary()), (VocabularyKind::ByteLevel, 49_152));
    assert_eq!((tokenizer.adds_bos(), tokenizer.bos(), tokenizer.eos()), (false, Some(1), Some(2)));
    compare(&tokenizer, "smollm2");
    for (text, expected) in [
        ("<unk>", &[44, 5131, 46][..]),
        ("<|im_start|>hi", &[1, 6004]),
        ("<|endoftext|>", &[0]),
        ("  <table>  ", &[216, 2067, 6413, 46, 256]),
        ("a\u{fffd}b\u{10ffff}", &[81, 24_211, 82, 189, 233, 140, 140]),
    ] {
        assert_eq!(tokenizer.encode(text).expect("ids"), expected, "{text:?}");
    }
    assert_eq!(tokenizer.text(189), "<0xF4>");
    assert_eq!(tokenizer.text(253), " a");
}

#[test]
fn hugging_face_directories_give_the_same_ids() {
    for (variable, column) in [("POLYLENS_GEMMA_DIR", "gemma"), ("POLYLENS_SMOLLM2_DIR", "smollm2")] {
        let Some(dir) = std::env::var_os(variable) else {
            println!("skipped: {variable} names no directory");
            continue;
        };
        let start = Instant::now();
        let tokenizer = Tokenizer::from_dir(dir.as_ref()).expect("its tokenizer");
        println!("{column}: {:?}", start.elapsed());
        assert_eq!(tokenizer.adds_bos(), column == "gemma");
        assert_eq!(tokenizer.eos(), Some(if column == "gemma" { 1 } else { 2 }));
        assert_eq!(tokenizer.encode("<unk>").expect("ids").len(), if column == "gemma" { 2 } else { 3 });
        compare(&tokenizer, column);
    }
}

#[test]
fn a_prefix_and_a_text_are_one_string() {
    let Some(tokenizer) = load("gemma-3-270m") else { return };
    let (prefix, text) = ("Review: fine.\nSentiment: \"positive\"\n", "Review: 水 bad");
    let (ids, own) = tokenizer.encode_query(prefix, text).expect("ids");
    assert_eq!(ids, tokenizer.encode(&format!("{prefix}{text}")).expect("ids"));
    assert_eq!(tokenizer.decode(&ids[own..]).expect("text"), text);
    assert_eq!(tokenizer.encode_query("", "x").expect("ids"), (vec![2, 236_781], 1));
    // "\n" at the border becomes one token with what follows: it belongs to the prefix.
    let (_, own) = tokenizer.encode_query("a\n", "\nb").expect("ids");
    assert_eq!(own, 3);
    assert_eq!(common_prefix(&[1, 2, 3], &[1, 2, 4, 5]), 2);
    assert_eq!(common_prefix(&[], &[1]), 0);
}

#[test]
fn the_second_load_takes_the_merges_from_disk() {
    let Some(path) = common::model_file("gemma-3-270m") else { return };
    let file = Gguf::open(&path).expect("a GGUF file");
    let cache = tempfile::tempdir().expect("a directory");
    let load = || {
        let start = Instant::now();
        let tokenizer = Tokenizer::from_gguf(&file, Some(cache.path())).expect("its tokenizer");
        (tokenizer, start.elapsed())
    };
    let ((_, first), (tokenizer, second)) = (load(), load());
    println!("first load {first:?}, second {second:?}");
    assert_eq!(std::fs::read_dir(cache.path()).expect("a directory").count(), 1);
    compare(&tokenizer, "gemma");
    // Damage anywhere is seen, and the next load works all the same.
    let stored =
        std::fs::read_dir(cache.path()).expect("a directory").next().expect("a file").expect("a file");
    let mut data = std::fs::read(stored.path()).expect("readable");
    let middle = data.len() / 2;
    data[middle] ^= 0x40;
    std::fs::write(stored.path(), &data).expect("writable");
    compare(&load().0, "gemma");
    assert_ne!(std::fs::read(stored.path()).expect("readable"), data, "the damaged file was written anew");
}
