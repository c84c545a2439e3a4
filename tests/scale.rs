//! Made checkpoints of any shape load and give a lens, and damage in one that is not read at load is found when it is.

#[expect(dead_code, reason = "the benchmark has formats and shapes of its own")]
#[path = "../benches/scale/make/mod.rs"]
mod make;

use make::{Shape, Store, write};
use polylens::engine::protocol::{DType, DeviceChoice, LensAnswer, LoadSpec, Query};
use polylens::engine::{Cancel, Engine};
use polylens::model::act::Backend;
use polylens::model::decoder::{Options, Span};
use polylens::model::loader::Checkpoint;
use std::path::Path;

const TINY: Shape = Shape {
    blocks: 3,
    hidden: 256,
    intermediate: 512,
    heads: 4,
    kv_heads: 2,
    head_dim: 64,
    vocabulary: 800,
    shard: 2_000_000,
};

fn load(path: &Path, dtype: DType) -> Engine {
    let spec =
        LoadSpec { path: path.to_owned(), name: "made".into(), dtype, device: DeviceChoice::Cpu, threads: 2 };
    Engine::load(&spec, &mut |_, _, _, _| {}).unwrap()
}

fn lens(engine: &Engine) -> LensAnswer {
    let query = Query { text: "the lamp is warm; 灯 too".into(), ..Query::default() };
    engine.lens(&query, &[None], 5, &Cancel::new(), &mut |_| {}).unwrap()
}

/// The same top lists, with probabilities that differ by no more than sums in another order do.
fn same(a: &LensAnswer, b: &LensAnswer) {
    assert_eq!(
        a.tokens.iter().map(|t| t.id).collect::<Vec<_>>(),
        b.tokens.iter().map(|t| t.id).collect::<Vec<_>>()
    );
    assert_eq!((a.runs[0].layers.len(), b.runs[0].layers.len()), (TINY.blocks + 1, TINY.blocks + 1));
    for (a, b) in a.runs[0].layers.iter().zip(&b.runs[0].layers) {
        assert!(a.top.len() == 5 && a.entropy_bits > 0.0 && a.entropy_bits < 9.7);
        for (a, b) in a.top.iter().zip(&b.top) {
            assert!((a.p - b.p).abs() <= 1e-5 * a.p.max(b.p), "{a:?} {b:?}");
        }
    }
}

#[test]
fn sharded_bf16_gives_a_lens_and_the_same_as_f32() {
    let place = tempfile::tempdir().unwrap();
    let made = write(place.path(), &TINY, Store::Bf16).unwrap();
    let shards = std::fs::read_dir(&made).unwrap().filter(|f| {
        let name = f.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".safetensors")
    });
    assert!(shards.count() > 2, "the index is of use");
    let (native, wide) = (load(&made, DType::Native), load(&made, DType::F32));
    assert_eq!((native.info().dtype.as_str(), wide.info().dtype.as_str()), ("bf16", "f32"));
    same(&lens(&native), &lens(&wide));
}

/// Converted to f32 the rows of q and k are copied into order; as they are they are found where they lie.
#[test]
fn quantised_files_give_the_same_as_their_f32() {
    for (store, name) in [(Store::Q4K, "Q4_K"), (Store::Q4_0, "Q4_0")] {
        let place = tempfile::tempdir().unwrap();
        let made = write(place.path(), &TINY, store).unwrap();
        let (native, wide) = (load(&made, DType::Native), load(&made, DType::F32));
        assert_eq!(native.info().dtype, name);
        same(&lens(&native), &lens(&wide));
    }
}

#[test]
fn both_forms_of_the_tokenizer_agree() {
    let (hf, gguf) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hf = load(&write(hf.path(), &TINY, Store::F32).unwrap(), DType::F32);
    let gguf = load(&write(gguf.path(), &TINY, Store::Q4_0).unwrap(), DType::Native);
    for text in ["the arm  stays", "Ünïcode 灯, tabs\tand\nlines", "x"] {
        let ids = hf.tokenizer().encode(text).unwrap();
        assert_eq!(ids, gguf.tokenizer().encode(text).unwrap(), "{text}");
        assert_eq!(hf.tokenizer().decode(&ids[1..]).unwrap(), text);
    }
}

/// Loads with nothing read but what load itself needs, runs a text, and says what is wrong.
fn run_unread(path: &Path, options: Options) -> polylens::Result<()> {
    let mut checkpoint = Checkpoint::open(path)?;
    checkpoint.read_at_load = 0;
    assert!(checkpoint.read_as_needed(DType::Native, &Backend::Cpu));
    let decoder = checkpoint.build(DType::Native, &Backend::Cpu, &mut |_, _| {})?;
    let spans = [Span::new(vec![1, 300, 301, 302], None), Span::new(vec![1, 400], None)];
    decoder.forward(&spans, options, &Cancel::new(), &mut |_| Ok(())).map(|_| ())
}

#[test]
fn damage_that_load_does_not_read_is_found_by_what_it_computes() {
    let place = tempfile::tempdir().unwrap();
    let made = write(place.path(), &Shape { shard: usize::MAX, ..TINY }, Store::Bf16).unwrap();
    let file = made.join("model-00001-of-00001.safetensors");
    let whole = std::fs::read(&file).unwrap();
    let last_only = Options { last_only: true, ..Options::default() };
    run_unread(&made, Options::default()).unwrap();
    run_unread(&made, last_only).unwrap();
    let store = Checkpoint::open(&made).unwrap().store;
    let modules =
        ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj"];
    for module in modules.into_iter().chain(["mlp.up_proj", "mlp.down_proj"]) {
        for layer in [0, TINY.blocks - 1] {
            for (what, bad) in [("NaN", 0x7fc0u16), ("infinity", 0x7f80), ("minus infinity", 0xff80)] {
                let range = store.find(&format!("model.layers.{layer}.{module}.weight")).unwrap().range;
                let mut bytes = whole.clone();
                // Somewhere in the middle of a row in the middle.
                let at = range.start + range.len() / 2 + 100;
                bytes[at..at + 2].copy_from_slice(&bad.to_le_bytes());
                std::fs::write(&file, bytes).unwrap();
                for options in [Options::default(), last_only] {
                    let said = run_unread(&made, options).expect_err(what).to_string();
                    let name = module.rsplit('.').next().unwrap();
                    assert!(
                        said.contains(&format!("block {layer}'s {name}")),
                        "{what} in {layer} {module}: {said}"
                    );
                }
            }
        }
    }
}

#[test]
fn damage_in_the_tables_is_found() {
    let place = tempfile::tempdir().unwrap();
    let made = write(place.path(), &Shape { shard: usize::MAX, ..TINY }, Store::Bf16).unwrap();
    let file = made.join("model-00001-of-00001.safetensors");
    let whole = std::fs::read(&file).unwrap();
    let store = Checkpoint::open(&made).unwrap().store;
    // Token 300 of the embedding is in the text that is run; the unembedding is read through at load.
    for (name, row, word) in
        [("model.embed_tokens.weight", 300, "token embedding"), ("lm_head.weight", 7, "lm_head.weight")]
    {
        let at = store.find(name).unwrap().range.start + (row * TINY.hidden + 9) * 2;
        let mut bytes = whole.clone();
        bytes[at..at + 2].copy_from_slice(&0x7fc0u16.to_le_bytes());
        std::fs::write(&file, bytes).unwrap();
        let said = run_unread(&made, Options::default()).expect_err(name).to_string();
        assert!(said.contains(word), "{name}: {said}");
    }
}
