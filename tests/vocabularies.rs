//! Tokenizers of hand-made and random vocabularies: the same ids as the `tokenizers` crate's own model, the BOS
//! rule of each kind of directory, and one sentence for each kind of damage.

use polylens::model::gguf::{Gguf, Value};
use polylens::model::tokenizer::{Tokenizer, VocabularyKind};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// A small generator (SplitMix64): the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn text(&mut self, alphabet: &[&str], longest: usize) -> String {
        let length = self.below(longest + 1);
        (0..length).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }
}

/// A directory with these files.
fn directory(files: &[(&str, &Json)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content.to_string()).expect("writable");
    }
    dir
}

/// A random BPE tokenizer.json over a few letters, some of them unknown to it.
fn random_tokenizer(random: &mut Random) -> Json {
    let mut pieces: Vec<String> = ["<unk>", "▁", "a", "b", "c", "é"].map(str::to_owned).to_vec();
    if random.below(2) == 0 {
        pieces.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    }
    let mut merges: Vec<Json> = Vec::new();
    let mut parts: Vec<String> = pieces[1..6].to_vec();
    for _ in 0..random.below(40) {
        let (left, right) =
            (parts[random.below(parts.len())].clone(), parts[random.below(parts.len())].clone());
        let whole = format!("{left}{right}");
        if !parts.contains(&whole) {
            parts.push(whole.clone());
            pieces.push(whole);
        }
        if !left.contains(' ') {
            merges.push(if random.below(2) == 0 {
                json!([left, right])
            } else {
                json!(format!("{left} {right}"))
            });
        }
    }
    // The file's merges are all of one shape.
    if let Some(Json::String(_)) = merges.first() {
        merges.retain(Json::is_string);
    } else {
        merges.retain(Json::is_array);
    }
    let vocab: serde_json::Map<String, Json> =
        pieces.iter().enumerate().map(|(id, piece)| (piece.clone(), json!(id))).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false,
                          "normalized": false, "special": true}],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": random.below(2) == 0, "byte_fallback": random.below(2) == 0,
                  "ignore_merges": random.below(4) == 0, "vocab": vocab, "merges": merges},
    })
}

#[test]
fn random_vocabularies_give_the_ids_of_the_tokenizers_crate() {
    let alphabet = ["a", "b", "c", "é", " ", "  ", "▁", "x", "日", "🙂", "<unk>", "ab", "\n"];
    let mut random = Random(7);
    for round in 0..150 {
        let file = random_tokenizer(&mut random);
        let dir = directory(&[("tokenizer.json", &file)]);
        let theirs = tokenizers::Tokenizer::from_file(dir.path().join("tokenizer.json")).expect("theirs");
        let ours = Tokenizer::from_dir(dir.path()).expect("ours");
        assert_eq!(ours.kind(), VocabularyKind::SentencePiece);
        for _ in 0..40 {
            let text = random.text(&alphabet, 30);
            let expected = theirs.encode(text.as_str(), true).expect("theirs");
            let ids = ours.encode(&text).expect("ours");
            assert_eq!(ids, expected.get_ids(), "round {round}, {text:?} in {file}");
            assert_eq!(
                ours.decode(&ids).expect("ours"),
                theirs.decode(&ids, false).expect("theirs"),
                "{text:?}"
            );
            let spans = ours.encode_spans(&text).expect("ours");
            assert!(spans.iter().all(|(_, span)| text.get(span.clone()).is_some()), "{text:?}: {spans:?}");
            let cut = text.char_indices().map(|(at, _)| at).nth(random.below(30)).unwrap_or(text.len());
            let (joined, own) = ours.encode_query(&text[..cut], &text[cut..]).expect("ours");
            assert!(joined == ids && own <= ids.len(), "{text:?} cut at {cut}");
        }
    }
}

#[test]
fn a_byte_level_vocabulary_round_trips_any_text() {
    let file = byte_level_file(&[("Ġ", "a"), ("a", "b"), ("ab", "c")], "default");
    let tokenizer = Tokenizer::from_gguf(&file, None).expect("a tokenizer");
    let mut random = Random(1);
    for _ in 0..300 {
        let text = random.text(&["a", "b", "c", " ", "é", "日", "🙂", "\n", "1", "\0", "'s"], 20);
        let ids = tokenizer.encode(&text).expect("ids");
        assert_eq!(tokenizer.decode(&ids).expect("text"), text);
    }
    assert_eq!(tokenizer.encode("abc").expect("ids").len(), 1);
    assert_eq!(tokenizer.text(*tokenizer.encode(" a").expect("ids").first().expect("one")), " a");
}

/// The 256 byte characters, then the merges' wholes.
fn byte_level_file(merges: &[(&str, &str)], pre: &str) -> Gguf {
    let printable = |b: u32| matches!(b, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut others = 0x100..;
    let mut tokens: Vec<String> = Vec::new();
    for byte in 0..256 {
        let code = if printable(byte) { byte } else { others.next().expect("endless") };
        tokens.push(char::from_u32(code).expect("a character").to_string());
    }
    tokens.extend(merges.iter().map(|(left, right)| format!("{left}{right}")));
    let kinds = vec![1; tokens.len()];
    let lines = merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    gguf(&[
        ("tokenizer.ggml.model", Value::Str("gpt2".into())),
        ("tokenizer.ggml.pre", Value::Str(pre.into())),
        ("tokenizer.ggml.tokens", Value::Strings(tokens)),
        ("tokenizer.ggml.token_type", Value::Ints(kinds)),
        ("tokenizer.ggml.merges", Value::Strings(lines)),
    ])
}

fn gguf(entries: &[(&str, Value)]) -> Gguf {
    let metadata = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Gguf { path: PathBuf::new(), metadata, tensors: Default::default(), map: None }
}

/// A small llama vocabulary with everything a file states.
fn llama() -> Gguf {
    let pieces = ["<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "▁ab", "  ", "<0x0A>"];
    let kinds = [2, 3, 3, 1, 1, 1, 1, 1, 4, 6];
    gguf(&[
        ("tokenizer.ggml.model", Value::Str("llama".into())),
        ("tokenizer.ggml.tokens", Value::Strings(pieces.map(str::to_owned).to_vec())),
        ("tokenizer.ggml.token_type", Value::Ints(kinds.to_vec())),
        ("tokenizer.ggml.scores", Value::Floats(vec![0.0, 0.0, 0.0, -9.0, -8.0, -7.0, -1.0, -2.0, 0.0, 0.0])),
        ("tokenizer.ggml.bos_token_id", Value::Uint(1)),
        ("tokenizer.ggml.eos_token_id", Value::Uint(2)),
    ])
}

#[test]
fn a_llama_vocabulary_puts_bos_and_a_space_before_the_text_unless_the_file_says_otherwise() {
    let mut file = llama();
    let ids =
        |file: &Gguf, text: &str| Tokenizer::from_gguf(file, None).expect("it").encode(text).expect("ids");
    assert_eq!(ids(&file, "ab"), [1, 7]);
    assert_eq!(ids(&file, "ab  ab"), [1, 7, 8, 6]);
    assert_eq!(ids(&file, ""), [1]);
    assert_eq!(ids(&file, "z\n"), [1, 3, 0, 9]);
    let tokenizer = Tokenizer::from_gguf(&file, None).expect("it");
    assert_eq!(tokenizer.decode(&[7, 7]).expect("text"), "ab ab");
    file.metadata.insert("tokenizer.ggml.add_space_prefix".into(), Value::Bool(false));
    file.metadata.insert("tokenizer.ggml.add_bos_token".into(), Value::Bool(false));
    assert_eq!(ids(&file, "ab"), [6]);
}

#[test]
fn damaged_gguf_vocabularies_are_refused_in_a_sentence() {
    let cases: [(&str, Option<Value>, &str); 14] = [
        ("model", None, "tokenizer.ggml.model is missing"),
        ("model", Some(Value::Str("t5".into())), "\"t5\""),
        ("tokens", None, "empty"),
        ("tokens", Some(Value::Strings(vec![])), "empty"),
        ("token_type", None, "token_type is missing"),
        ("token_type", Some(Value::Ints(vec![1; 3])), "3 entries, but the vocabulary 10"),
        ("scores", None, "scores is missing"),
        ("scores", Some(Value::Floats(vec![0.0; 11])), "11 entries"),
        ("scores", Some(Value::Floats(vec![f32::NAN; 10])), "not a number"),
        ("bos_token_id", Some(Value::Uint(10)), "only 10 entries"),
        ("bos_token_id", None, "bos_token_id is missing"),
        ("eos_token_id", Some(Value::Uint(u64::MAX)), "only 10 entries"),
        ("unknown_token_id", Some(Value::Uint(99)), "only 10 entries"),
        ("tokens", Some(Value::Strings(vec!["▁".repeat(2000); 10])), "more than any real one"),
    ];
    for (key, value, expected) in cases {
        let mut file = llama();
        let key = format!("tokenizer.ggml.{key}");
        match value {
            Some(value) => file.metadata.insert(key.clone(), value),
            None => file.metadata.remove(&key),
        };
        let error = Tokenizer::from_gguf(&file, None)
            .err()
            .unwrap_or_else(|| panic!("{key}: {expected}"))
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    // The same piece twice is usable: the later id counts, as in the reference library.
    let mut file = llama();
    let mut tokens = file.strings("tokenizer.ggml.tokens").expect("there").to_vec();
    tokens[9] = "ab".into();
    file.metadata.insert("tokenizer.ggml.tokens".into(), Value::Strings(tokens));
    assert_eq!(Tokenizer::from_gguf(&file, None).expect("it").id_of("ab"), Some(9));

    let error =
        Tokenizer::from_gguf(&byte_level_file(&[], "viking"), None).err().expect("refused").to_string();
    assert!(error.contains("\"viking\""), "{error}");
    for (line, shown) in [("a zz", "\"a\" + \"zz\""), ("ab", "\"ab\" + \"\""), ("b a", "\"b\" + \"a\"")] {
        let mut file = byte_level_file(&[("a", "b")], "gpt-2");
        let lines = Value::Strings(vec!["a b".into(), line.into()]);
        file.metadata.insert("tokenizer.ggml.merges".into(), lines);
        let error = Tokenizer::from_gguf(&file, None).err().expect("refused").to_string();
        assert!(error.contains("merge 1") && error.contains(shown), "{error}");
    }
    let mut file = byte_level_file(&[], "gpt-2");
    file.metadata.remove("tokenizer.ggml.merges");
    assert!(
        Tokenizer::from_gguf(&file, None).err().expect("refused").to_string().contains("merges is missing")
    );
}

/// A tokenizer.json with a BOS token `<s>` (id 0), and `template` as its post-processor.
fn small(template: bool) -> Json {
    let processor = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
                           "</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}});
    json!({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "decoder": null,
        "post_processor": if template { processor } else { Json::Null },
        "model": {"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4}, "merges": ["a b"]}})
}

#[test]
fn the_bos_rule_is_the_reference_librarys() {
    let bos = json!({"content": "<s>", "special": true});
    let cases = [
        // (post-processor, tokenizer_config.json, config.json) -> what "ab" becomes
        (false, json!({}), json!({"model_type": "qwen2"}), vec![4]),
        (true, json!({"tokenizer_class": "PreTrainedTokenizerFast"}), json!({}), vec![0, 4]),
        (
            true,
            json!({"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": false}),
            json!({}),
            vec![0, 4],
        ),
        (false, json!({"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": true}), json!({}), vec![4]),
        (true, json!({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"}), json!({}), vec![0, 4]),
        (false, json!({"tokenizer_class": "LlamaTokenizerFast", "bos_token": bos}), json!({}), vec![0, 4]),
        (true, json!({"tokenizer_class": "LlamaTokenizer", "add_bos_token": false}), json!({}), vec![4]),
        (false, json!({"bos_token": "<s>"}), json!({"model_type": "gemma3_text"}), vec![0, 4]),
        (false, json!({}), json!({"model_type": "mistral", "bos_token_id": 0}), vec![0, 4]),
    ];
    for (template, tokenizer, model, expected) in cases {
        let dir = directory(&[
            ("tokenizer.json", &small(template)),
            ("tokenizer_config.json", &tokenizer),
            ("config.json", &model),
        ]);
        let ours = Tokenizer::from_dir(dir.path()).expect("a tokenizer");
        assert_eq!(ours.encode("ab").expect("ids"), expected, "{template} {tokenizer} {model}");
        assert_eq!(ours.encode_plain("ab").expect("ids"), [4]);
    }
    let config = json!({"eos_token": "</s>", "pad_token": "<nowhere>"});
    let dir = directory(&[("tokenizer.json", &small(false)), ("tokenizer_config.json", &config)]);
    let ours = Tokenizer::from_dir(dir.path()).expect("a tokenizer");
    assert_eq!((ours.eos(), ours.bos(), ours.vocabulary()), (Some(1), None, 5));
    assert_eq!(
        ours.encode("a</s>b").expect("ids"),
        [2, 1, 3],
        "named by the configuration, so it is special"
    );
}

#[test]
fn damaged_directories_are_refused_in_a_sentence() {
    let change = |path: &str, value: Json| {
        let mut file = small(true);
        *file.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        file
    };
    let mut added = small(false);
    added["added_tokens"] = json!([{"id": 2, "content": "<x>", "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true}]);
    let mut marked = small(false);
    marked["model"]["end_of_word_suffix"] = json!("</w>");
    let mut unknown = small(false);
    unknown["model"]["unk_token"] = json!("?");
    for (file, expected) in [
        (change("/model/type", json!("Unigram")), "\"Unigram\""),
        (change("/model/vocab", json!([["a", 0.0]])), "empty"),
        (change("/model/vocab", json!({})), "empty"),
        (change("/model/vocab", json!({"a": 0, "b": 0})), "share the id 0"),
        (change("/model/vocab", json!({"a": 4_000_000_000_u32})), "4000000000"),
        (change("/model/merges", json!(["a zz"])), "merge 0 (\"a\" + \"zz\")"),
        (change("/model/merges", json!([["a", "b", "c"]])), "two parts"),
        (change("/model/merges", json!([7])), "a merge"),
        (change("/post_processor/special_tokens/<s>/ids/0", json!(77)), "token 77"),
        (json!([1]), "not a tokenizer.json"),
        (added, "share the id 2"),
        (marked, "end_of_word_suffix"),
        (unknown, "\"?\""),
    ] {
        let dir = directory(&[("tokenizer.json", &file)]);
        let error =
            Tokenizer::from_dir(dir.path()).err().unwrap_or_else(|| panic!("{expected}: {file}")).to_string();
        assert!(error.contains(expected) && error.contains("tokenizer.json"), "{expected}: {error}");
    }
    let error = Tokenizer::from_dir(directory(&[]).path()).err().expect("refused").to_string();
    assert!(error.contains("no tokenizer.json"), "{error}");
    let dir = directory(&[("tokenizer.model", &json!(0))]);
    let error = Tokenizer::from_dir(dir.path()).err().expect("refused").to_string();
    assert!(error.contains("tokenizer.model") && error.contains("save_pretrained"), "{error}");
    let dir = directory(&[("tokenizer.json", &small(true))]);
    std::fs::write(dir.path().join("tokenizer_config.json"), "{").expect("writable");
    let error = Tokenizer::from_dir(dir.path()).err().expect("refused").to_string();
    assert!(error.contains("tokenizer_config.json"), "{error}");
}

#[test]
fn the_older_pair_of_files_is_read_for_qwen() {
    let vocab = json!({"a": 0, "b": 1, "ab": 2, "Ġ": 3, "Ġab": 4});
    let added = json!({"5": {"content": "<|endoftext|>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true}});
    let config = json!({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added, "eos_token": "<|endoftext|>"});
    let model = json!({"model_type": "qwen2"});
    let dir =
        directory(&[("vocab.json", &vocab), ("tokenizer_config.json", &config), ("config.json", &model)]);
    std::fs::write(dir.path().join("merges.txt"), "#version: 0.2\na b\nĠ ab\n").expect("writable");
    let ours = Tokenizer::from_dir(dir.path()).expect("a tokenizer");
    assert_eq!(ours.encode("ab ab<|endoftext|>").expect("ids"), [2, 4, 5]);
    assert_eq!((ours.eos(), ours.kind()), (Some(5), VocabularyKind::ByteLevel));
    assert_eq!(ours.decode(&[2, 4, 5]).expect("text"), "ab ab<|endoftext|>");
}
