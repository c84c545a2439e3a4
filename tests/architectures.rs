//! Every architecture against the reference library: tiny random models made by tests/fixtures/make.py.
//!
//! All logits at every position and the residual stream after every block within 1e-4, for Hugging Face
//! directories and GGUF files, with and without adapters; batched, with a cached prefix, and in other formats.

use polylens::Result;
use polylens::engine::Cancel;
use polylens::engine::protocol::DType;
use polylens::lens::Readout;
use polylens::model::act::Backend;
use polylens::model::adapter::Adapter;
use polylens::model::decoder::{Decoder, KvCache, Options, Point, Span};
use polylens::model::format::Format;
use polylens::model::kernels::Mat;
use polylens::model::loader::Checkpoint;
use polylens::model::tokenizer::Tokenizer;
use polylens::model::weights::Store;
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MODELS: [&str; 10] = [
    "mistral",
    "qwen2",
    "qwen2-tied",
    "qwen2-window",
    "qwen3",
    "llama3",
    "llama-linear",
    "gemma3",
    "gemma3-softcap",
    "gemma3-multimodal",
];
const GGUF: [&str; 4] = ["llama", "gemma3", "qwen2", "qwen3"];
const ADAPTERS: [(&str, &str); 7] = [
    ("mistral", "adapter_qv"),
    ("qwen2-tied", "adapter_qv"),
    ("qwen2-tied", "adapter_layers"),
    ("qwen3", "adapter_all"),
    ("llama3", "adapter_all"),
    ("gemma3", "adapter_qv"),
    ("gemma3", "adapter_all"),
];
/// Largest difference from the reference that counts as agreement (its own f32 noise is 1e-5).
const CLOSE: f32 = 1e-4;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// (path, file of expected numbers, name) of every fixture.
fn all() -> Vec<(PathBuf, PathBuf, String)> {
    let dirs = MODELS.iter().map(|m| {
        let dir = fixture("models").join(m);
        (dir.clone(), dir.join("expected.safetensors"), (*m).to_owned())
    });
    let files = GGUF.iter().map(|g| {
        let file = |ending: &str| fixture("gguf").join(format!("{g}.{ending}"));
        (file("gguf"), file("expected.safetensors"), format!("{g}.gguf"))
    });
    dirs.chain(files).collect()
}

fn load(path: &Path, dtype: DType) -> Decoder {
    load_on(path, dtype, &Backend::Cpu)
}

fn load_on(path: &Path, dtype: DType, backend: &Backend) -> Decoder {
    let open = Checkpoint::open(path).unwrap_or_else(|e| panic!("{e}"));
    open.build(dtype, backend, &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}"))
}

/// One sequence with the reference's numbers.
struct Expected {
    ids: Vec<u32>,
    /// [T][V]
    logits: Vec<Vec<f32>>,
    /// [L + 1][T][hidden]; empty where the file has none.
    residual: Vec<Vec<Vec<f32>>>,
}

fn expected(path: &Path) -> Vec<Expected> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |name: &str| -> Option<(Vec<usize>, Vec<[u8; 4]>)> {
        let view = file.tensor(name).ok()?;
        Some((view.shape().to_vec(), view.data().chunks_exact(4).map(|c| c.try_into().unwrap()).collect()))
    };
    let floats = |name: &str| {
        numbers(name).map(|(s, b)| (s, b.into_iter().map(f32::from_le_bytes).collect::<Vec<_>>()))
    };
    let rows = |xs: &[f32], width: usize| xs.chunks_exact(width).map(<[f32]>::to_vec).collect::<Vec<_>>();
    let mut out = Vec::new();
    while let Some((_, ids)) = numbers(&format!("ids_{}", out.len())) {
        let (shape, logits) = floats(&format!("logits_{}", out.len())).unwrap();
        let residual = floats(&format!("residual_{}", out.len())).map_or(Vec::new(), |(shape, xs)| {
            xs.chunks_exact(shape[1] * shape[2]).map(|layer| rows(layer, shape[2])).collect()
        });
        out.push(Expected {
            ids: ids.into_iter().map(u32::from_le_bytes).collect(),
            logits: rows(&logits, shape[1]),
            residual,
        });
    }
    assert!(!out.is_empty(), "{}: no sequences", path.display());
    out
}

/// What the decoder gives for one span: [L + 1][own tokens][hidden].
type Residual = Vec<Vec<Vec<f32>>>;

fn forward(decoder: &Decoder, spans: &[Span], keep_kv: bool) -> Result<(Vec<Residual>, Vec<KvCache>)> {
    let mut out: Vec<Residual> = vec![Vec::new(); spans.len()];
    let options = Options { keep_kv, ..Options::default() };
    let caches = decoder.forward(spans, options, &Cancel::new(), &mut |tap| {
        assert_eq!(tap.point, Point::Residual);
        for (columns, out) in tap.columns.iter().zip(&mut out) {
            assert_eq!(out.len(), tap.layer, "layers come in order");
            out.push(columns.clone().map(|c| tap.x.column(c)).collect::<Result<_>>()?);
        }
        Ok(())
    })?;
    Ok((out, caches))
}

fn one(decoder: &Decoder, ids: &[u32], adapter: Option<Arc<Adapter>>) -> Residual {
    forward(decoder, &[Span::new(ids.to_vec(), adapter)], false).unwrap().0.remove(0)
}

/// Logits [T][V] of final residual states [T][hidden].
fn logits(decoder: &Decoder, states: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let hidden = states[0].len();
    let mat = Mat::from_tokens(hidden, states.len(), &states.concat());
    let read = Readout::new(decoder).logits(&mat).unwrap();
    (0..states.len()).map(|c| read.column(c)).collect()
}

/// Largest |difference|, with every row of the same length and no NaN.
fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mut largest = 0f32;
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.len(), b.len());
        for (x, y) in a.iter().zip(b) {
            assert!(x.is_finite() && y.is_finite());
            largest = largest.max((x - y).abs());
        }
    }
    largest
}

fn assert_close(a: &[Vec<f32>], b: &[Vec<f32>], what: &str) {
    let difference = apart(a, b);
    assert!(difference <= CLOSE, "{what}: largest difference {difference:e}");
}

#[test]
fn logits_and_residual_stream_agree_with_the_reference() {
    for (path, numbers, name) in all() {
        let decoder = load(&path, DType::F32);
        for (i, want) in expected(&numbers).iter().enumerate() {
            let got = one(&decoder, &want.ids, None);
            assert_eq!(got.len(), want.residual.len(), "{name}: L + 1 layers");
            for (k, (got, want)) in got.iter().zip(&want.residual).enumerate() {
                assert_close(got, want, &format!("{name}, sequence {i}, residual stream at layer {k}"));
            }
            let read = logits(&decoder, got.last().unwrap());
            assert_close(&read, &want.logits, &format!("{name}, sequence {i}, logits"));
        }
    }
}

#[test]
fn the_last_positions_alone_are_what_they_are_among_all() {
    for (path, numbers, name) in all() {
        let decoder = load(&path, DType::F32);
        let expected = expected(&numbers);
        let kv = forward(&decoder, &[Span::new(expected[0].ids.clone(), None)], true).unwrap().1.remove(0);
        let kv = Arc::new(kv);
        // All sequences, one continued from a cache, and one of a single token.
        let mut spans: Vec<Span> = expected.iter().map(|e| Span::new(e.ids.clone(), None)).collect();
        let reused = expected[0].ids.len() - 1;
        spans
            .push(Span { past: Some((Arc::clone(&kv), reused)), ..Span::new(expected[0].ids.clone(), None) });
        spans.push(Span::new(expected[0].ids[..1].to_vec(), None));
        let (whole, _) = forward(&decoder, &spans, false).unwrap();
        let mut ends = Vec::new();
        let options = Options { last_only: true, ..Options::default() };
        decoder
            .forward(&spans, options, &Cancel::new(), &mut |tap| {
                if tap.layer == decoder.blocks.len() {
                    assert!(tap.columns.iter().all(|c| c.len() == 1), "{name}");
                }
                for (columns, whole) in tap.columns.iter().zip(&whole) {
                    ends.push((tap.x.column(columns.end - 1)?, whole[tap.layer].last().unwrap().clone()));
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(ends.len(), spans.len() * (decoder.blocks.len() + 1), "{name}");
        let (got, want): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        assert_close(&got, &want, &format!("{name}, last positions"));
    }
}

#[test]
fn adapters_agree_with_peft() {
    for (model, name) in ADAPTERS {
        let dir = fixture("models").join(model);
        let decoder = load(&dir, DType::F32);
        let adapter = Arc::new(Adapter::load(&dir.join(name), &decoder).unwrap_or_else(|e| panic!("{e}")));
        let want = expected(&dir.join(format!("expected-{name}.safetensors"))).remove(0);
        let base = expected(&dir.join("expected.safetensors")).remove(0);
        let what = format!("{model} with {name}");
        let adapted = one(&decoder, &want.ids, Some(Arc::clone(&adapter)));
        assert_close(&logits(&decoder, adapted.last().unwrap()), &want.logits, &what);
        assert!(apart(&base.logits, &want.logits) > 0.1, "{what}: the fixture's adapter does nothing");
        // base and aligned beside each other in one pass, and the base afterwards, unchanged
        let spans = [
            Span::new(want.ids.clone(), None),
            Span::new(want.ids.clone(), Some(Arc::clone(&adapter))),
            Span::new(want.ids.clone(), None),
        ];
        let (both, _) = forward(&decoder, &spans, false).unwrap();
        for (got, want) in both.iter().zip([&base.logits, &want.logits, &base.logits]) {
            assert_close(&logits(&decoder, got.last().unwrap()), want, &format!("{what}, side by side"));
        }
        let norms = adapter.delta_norms.clone();
        assert_eq!(norms.len(), decoder.blocks.len());
        let only_second = name == "adapter_layers";
        for (layer, norm) in norms.iter().enumerate() {
            assert_eq!(*norm > 0.0, !only_second || layer == 1, "{what}: norm of block {layer}");
        }
    }
}

#[test]
fn delta_norms_are_those_of_the_products() {
    // scale |B A|_F by plain multiplication, q and v of a block summed in squares
    let dir = fixture("models/mistral");
    let decoder = load(&dir, DType::F32);
    let adapter = Adapter::load(&dir.join("adapter_qv"), &decoder).unwrap();
    assert_eq!((adapter.rank, adapter.alpha, adapter.keys_matched), (4, 8.0, 12));
    assert_eq!(adapter.targets, ["q_proj", "v_proj"]);
    let store = Store::from_safetensors(&dir.join("adapter_qv/adapter_model.safetensors")).unwrap();
    for layer in 0..3 {
        let mut square = 0f64;
        for proj in ["q_proj", "v_proj"] {
            let half = |h: &str| {
                store
                    .find(&format!("base_model.model.model.layers.{layer}.self_attn.{proj}.lora_{h}.weight"))
                    .unwrap()
            };
            let (a, b) = (half("A").floats().unwrap(), half("B").floats().unwrap());
            let width = a.len() / 4;
            for row in b.chunks_exact(4) {
                for j in 0..width {
                    let x: f64 = (0..4).map(|r| f64::from(row[r]) * f64::from(a[r * width + j])).sum();
                    square += (2.0 * x).powi(2);
                }
            }
        }
        let got = f64::from(adapter.delta_norms[layer]);
        assert!((got - square.sqrt()).abs() < 1e-4 * got, "{got} is not {}", square.sqrt());
    }
}

#[test]
fn a_batch_gives_what_single_sequences_give() {
    for (path, numbers, name) in all() {
        let decoder = load(&path, DType::F32);
        let sequences = expected(&numbers);
        // different lengths, one sequence twice, one of a single token
        let ids: Vec<Vec<u32>> =
            [&sequences[0].ids[..], &sequences[1].ids, &sequences[0].ids[..1], &sequences[0].ids]
                .iter()
                .map(|ids| ids.to_vec())
                .collect();
        let spans: Vec<Span> = ids.iter().map(|ids| Span::new(ids.clone(), None)).collect();
        let (batch, _) = forward(&decoder, &spans, false).unwrap();
        for (got, ids) in batch.iter().zip(&ids) {
            let alone = one(&decoder, ids, None);
            for (k, (got, want)) in got.iter().zip(&alone).enumerate() {
                let difference = apart(got, want);
                // Few and many tokens may be multiplied by different kernels, which round sums in different places.
                assert!(difference <= 5e-5, "{name}, layer {k}: a batch differs by {difference:e}");
            }
        }
    }
}

#[test]
fn a_cached_prefix_changes_nothing() {
    for (path, numbers, name) in all() {
        let decoder = load(&path, DType::F32);
        let ids = expected(&numbers).remove(0).ids;
        let whole = one(&decoder, &ids, None);
        // cuts before, at and after the sliding windows of 7 to 9 tokens
        for cut in [1, 6, 7, 8, 9, 16, ids.len() - 1] {
            let (_, mut caches) = forward(&decoder, &[Span::new(ids[..cut].to_vec(), None)], true).unwrap();
            let cache = Arc::new(caches.remove(0));
            let span =
                |n: usize| Span { tokens: ids.clone(), past: Some((Arc::clone(&cache), n)), adapter: None };
            // the whole cache, part of it, and a cache continued into a longer one
            for keep in [cut, cut.div_ceil(2)] {
                let (got, _) = forward(&decoder, &[span(keep)], false).unwrap();
                for (k, (got, want)) in got[0].iter().zip(&whole).enumerate() {
                    let difference = apart(got, &want[keep..]);
                    assert!(
                        difference <= 2e-5,
                        "{name}, {keep} of {cut} cached, layer {k}: differs by {difference:e}"
                    );
                }
            }
            let middle = Span { tokens: ids[..cut + 1].to_vec(), ..span(cut) };
            let (_, mut longer) = forward(&decoder, &[middle], true).unwrap();
            if cut + 1 < ids.len() {
                let past = Some((Arc::new(longer.remove(0)), cut + 1));
                let (got, _) =
                    forward(&decoder, &[Span { tokens: ids.clone(), past, adapter: None }], false).unwrap();
                assert!(
                    apart(&got[0][whole.len() - 1], &whole[whole.len() - 1][cut + 1..]) <= 2e-5,
                    "{name}: continued at {cut}"
                );
            }
        }
    }
}

#[test]
fn tensors_on_a_device_give_the_same_numbers() {
    // candle's own CPU stands for any device
    let backend = Backend::Device(candle_core::Device::Cpu);
    for (path, numbers, name) in all() {
        let decoder = load_on(&path, DType::F32, &backend);
        let want = expected(&numbers).remove(0);
        let cut = 11;
        let (_, mut caches) = forward(&decoder, &[Span::new(want.ids[..cut].to_vec(), None)], true).unwrap();
        let past = Some((Arc::new(caches.remove(0)), cut));
        let spans = [
            Span::new(want.ids.clone(), None),
            Span { tokens: want.ids.clone(), past, adapter: None },
            Span::new(want.ids.clone(), None),
        ];
        let (got, _) = forward(&decoder, &spans, false).unwrap();
        for (got, from) in got.iter().zip([0, cut, 0]) {
            let read = logits(&decoder, got.last().unwrap());
            assert_close(&read, &want.logits[from..], &format!("{name} on a device, from token {from}"));
        }
    }
    for (model, name) in ADAPTERS {
        let dir = fixture("models").join(model);
        let decoder = load_on(&dir, DType::F32, &backend);
        let adapter = Arc::new(Adapter::load(&dir.join(name), &decoder).unwrap());
        let want = expected(&dir.join(format!("expected-{name}.safetensors"))).remove(0);
        let spans = [Span::new(want.ids.clone(), None), Span::new(want.ids.clone(), Some(adapter))];
        let (got, _) = forward(&decoder, &spans, false).unwrap();
        let read = logits(&decoder, got[1].last().unwrap());
        assert_close(&read, &want.logits, &format!("{model} with {name} on a device"));
    }
}

#[test]
fn weights_kept_in_the_file_s_format_give_the_same_numbers() {
    for (path, numbers, name) in all() {
        let decoder = load(&path, DType::Native);
        for want in expected(&numbers) {
            let got = one(&decoder, &want.ids, None);
            assert_close(
                &logits(&decoder, got.last().unwrap()),
                &want.logits,
                &format!("{name} in its own format"),
            );
        }
    }
}

#[test]
fn narrower_formats_stay_near() {
    // Both round the weights; bf16 rounds activations too, where the processor multiplies bf16. What is stored in bf16 and
    // multiplied exactly is among the f32 cases.
    for (dtype, limit) in [(DType::F16, 0.05), (DType::Bf16, 0.5)] {
        for (path, numbers, name) in all() {
            let decoder = load(&path, dtype);
            let want = expected(&numbers).remove(0);
            let got = logits(&decoder, one(&decoder, &want.ids, None).last().unwrap());
            let difference = apart(&got, &want.logits);
            assert!(difference < limit, "{name} in {dtype:?}: {difference}");
        }
    }
}

#[test]
fn every_block_format_is_widened_exactly() {
    let bytes = std::fs::read(fixture("quants.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let formats = [
        ("F16", Format::F16),
        ("BF16", Format::Bf16),
        ("Q4_0", Format::Q4_0),
        ("Q4_1", Format::Q4_1),
        ("Q5_0", Format::Q5_0),
        ("Q5_1", Format::Q5_1),
        ("Q8_0", Format::Q8_0),
        ("Q2_K", Format::Q2K),
        ("Q3_K", Format::Q3K),
        ("Q4_K", Format::Q4K),
        ("Q5_K", Format::Q5K),
        ("Q6_K", Format::Q6K),
    ];
    assert_eq!(formats.len() * 2, file.len(), "every format of the fixture is tested");
    for (name, format) in formats {
        let stored = file.tensor(&format!("{name}.bytes")).unwrap();
        let values = file.tensor(&format!("{name}.values")).unwrap();
        let want: Vec<f32> =
            values.data().chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect();
        let got = format.widen_all(stored.data(), want.len()).unwrap();
        for (i, (g, w)) in got.iter().zip(&want).enumerate() {
            // the reference multiplies in another order: the last bit may differ
            assert!((g - w).abs() <= 1e-6 * w.abs().max(1e-3), "{name}[{i}]: {g} is not {w}");
        }
    }
}

#[test]
fn token_ids_are_those_of_the_reference_tokenizers() {
    let check = |tokenizer: &Tokenizer, path: &Path| {
        let table: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for row in table.as_array().unwrap() {
            let text = row["text"].as_str().unwrap();
            let ids = |key: &str| {
                row[key].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect::<Vec<_>>()
            };
            assert_eq!(tokenizer.encode(text).unwrap(), ids("ids"), "{}: {text:?}", path.display());
            assert_eq!(tokenizer.encode_plain(text).unwrap(), ids("plain"), "{}: {text:?}", path.display());
        }
    };
    for model in MODELS {
        let dir = fixture("models").join(model);
        check(&Tokenizer::from_dir(&dir).unwrap(), &dir.join("tokens.json"));
    }
    for name in GGUF {
        let open = Checkpoint::open(&fixture("gguf").join(format!("{name}.gguf"))).unwrap();
        let tokenizer = Tokenizer::from_gguf(open.gguf.as_ref().unwrap(), None).unwrap();
        check(&tokenizer, &fixture("gguf").join(format!("{name}.tokens.json")));
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let decoder = load(&fixture("models/qwen2"), DType::F32);
    let read = |ids: Vec<u32>| {
        forward(&decoder, &[Span::new(ids, None)], false).map(|_| ()).unwrap_err().to_string()
    };
    assert!(read(vec![]).contains("no tokens"));
    assert!(read(vec![1, 304]).contains("304"));
    assert!(read(vec![5; 129]).contains("128"));
}
