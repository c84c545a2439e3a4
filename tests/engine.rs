//! The engine on tiny models: its answers agree with each other, and its threads obey.

use polylens::Error;
use polylens::engine::core::LensPart;
use polylens::engine::protocol::*;
use polylens::engine::{Cancel, Engine, worker};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn engine(name: &str) -> Engine {
    let path = fixture(&format!("models/{name}"));
    let spec = LoadSpec { path, name: name.into(), dtype: DType::F32, device: DeviceChoice::Cpu, threads: 2 };
    Engine::load(&spec, &mut |_, _, _, _| {}).unwrap_or_else(|e| panic!("{e}"))
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|w| (*w).to_owned()).collect()
}

fn query(text: &str) -> Query {
    let comparison = Comparison {
        labels: words(&["good", "bad"]),
        gold: 0,
        english: words(&["good", "bad"]),
        target: words(&["wahr", "fern"]),
        same_language: false,
        protocol: Protocol::Paper,
    };
    Query {
        prefix: "one: \"wahr\"\ntwo: \"fern\"\n".into(),
        text: text.into(),
        comparison: Some(comparison),
        track: words(&["the"]),
    }
}

fn items(texts: &[&str]) -> Vec<Item> {
    texts.iter().enumerate().map(|(index, t)| Item { index, query: query(t), gold: "good".into() }).collect()
}

fn lens(engine: &Engine, q: &Query, runs: &[RunId]) -> LensAnswer {
    engine.lens(q, runs, 5, &Cancel::new(), &mut |_| {}).unwrap()
}

fn close(a: f32, b: f32) -> bool {
    // Few and many tokens may be multiplied by different kernels, which round sums in different places.
    (a - b).abs() < 2e-5 * a.abs().max(1.0)
}

#[test]
fn readouts_are_distributions_and_end_in_the_model() {
    for name in ["gemma3-softcap", "mistral", "qwen2"] {
        let engine = engine(name);
        assert!(engine.info().logits_check < 1e-4, "{name}: {}", engine.info().logits_check);
        let answer = lens(&engine, &query("three: \""), &[None]);
        let layers = &answer.runs[0].layers;
        assert_eq!(layers.len(), engine.info().layers + 1);
        assert_eq!(layers.last().unwrap().kl_bits, Some(0.0), "{name}");
        for l in layers {
            assert!(
                l.entropy_bits >= 0.0 && l.entropy_bits <= (engine.info().vocabulary as f32).log2() + 1e-4
            );
            assert!(l.top.windows(2).all(|w| w[0].p >= w[1].p));
            assert!(l.top.iter().map(|t| t.p).sum::<f32>() <= 1.0 + 1e-5);
            let c = l.curves.unwrap();
            let gold = &answer.sets.target[answer.sets.gold].ids;
            let first = l.top.iter().position(|t| gold.contains(&t.id));
            match first {
                Some(at) => assert_eq!(l.gold_rank, Some(at as u32), "{name} layer {}", l.layer),
                None => assert!(l.gold_rank >= Some(l.top.len() as u32), "{name} layer {}", l.layer),
            }
            assert!(c.en <= c.all_possible_latent + 1e-6 && c.target <= c.all_possible_out + 1e-6);
        }
        let first = answer.runs[0].first_final_top1.unwrap();
        assert_eq!(layers[first].top[0].id, layers.last().unwrap().top[0].id);
    }
}

#[test]
fn a_cached_beginning_changes_nothing() {
    let cold = engine("gemma3");
    let warm = engine("gemma3");
    lens(&warm, &query("some other text"), &[None]);
    let a = lens(&cold, &query("three: \""), &[None]);
    let b = lens(&warm, &query("three: \""), &[None]);
    assert!(a.reused_tokens == 0 && b.reused_tokens > 5);
    for (x, y) in a.runs[0].layers.iter().zip(&b.runs[0].layers) {
        assert!(close(x.entropy_bits, y.entropy_bits) && close(x.top[0].p, y.top[0].p));
    }
    // The same text again computes its last token only.
    assert_eq!(lens(&warm, &query("three: \""), &[None]).reused_tokens + 1, b.tokens.len());
}

#[test]
fn base_and_adapters_share_a_pass_and_do_not_touch_each_other() {
    let engine = engine("gemma3");
    let first = engine.add_adapter(&fixture("models/gemma3/adapter_qv"), "qv").unwrap();
    let second = engine.add_adapter(&fixture("models/gemma3/adapter_all"), "all").unwrap();
    let q = query("three: \"");
    let together = lens(&engine, &q, &[None, Some(first), Some(second)]);
    for (i, run) in [None, Some(first), Some(second)].into_iter().enumerate() {
        let fresh = self::engine("gemma3");
        let mut id = None;
        for name in ["adapter_qv", "adapter_all"] {
            let index = fresh.add_adapter(&fixture(&format!("models/gemma3/{name}")), name).unwrap();
            id = if run == Some(index) { run } else { id };
        }
        let alone = lens(&fresh, &q, &[id]);
        for (x, y) in together.runs[i].layers.iter().zip(&alone.runs[0].layers) {
            assert!(close(x.entropy_bits, y.entropy_bits), "run {run:?} layer {}", x.layer);
        }
    }
    let info = engine.adapters()[first].clone().unwrap();
    assert!(info.probe_change > 0.0 && info.keys_matched == 4 * engine.info().layers);
    engine.drop_adapter(first);
    let gone = engine.lens(&q, &[Some(first)], 5, &Cancel::new(), &mut |_| {});
    assert!(matches!(gone, Err(Error::Failed(_))));
    assert!(engine.lens(&q, &[Some(second)], 5, &Cancel::new(), &mut |_| {}).is_ok());
}

#[test]
fn grid_cell_and_lens_agree() {
    let engine = engine("qwen3");
    let q = query("three: \"");
    let answer = lens(&engine, &q, &[None]);
    let n = answer.tokens.len();
    let mut columns = Vec::new();
    engine.grid(&q, None, 2, n, &Cancel::new(), &mut |p, cells| columns.push((p, cells))).unwrap();
    assert_eq!(columns.iter().map(|c| c.0).collect::<Vec<_>>(), (2..n).collect::<Vec<_>>());
    let (_, last) = columns.last().unwrap();
    for (cell, layer) in last.iter().zip(&answer.runs[0].layers) {
        assert_eq!(cell.token.id, layer.top[0].id);
        assert!(close(cell.token.p, layer.top[0].p));
    }
    for layer in [0, 2, engine.info().layers] {
        let detail = engine.cell(&q, None, layer, n - 1, 5, &Cancel::new()).unwrap();
        assert_eq!(detail.residual[0].id, answer.runs[0].layers[layer].top[0].id);
        assert_eq!(detail.after_attention.is_empty(), layer == 0);
        assert_eq!(detail.mlp_output.len(), if layer == 0 { 0 } else { 5 });
    }
    assert!(engine.cell(&q, None, 99, 0, 5, &Cancel::new()).is_err());
    assert!(engine.grid(&q, None, 0, n + 1, &Cancel::new(), &mut |_, _| {}).is_err());
}

#[test]
fn batched_curves_equal_single_ones() {
    let engine = engine("mistral");
    let texts =
        ["a: \"", "some longer words: \"", "x", "three: \"", "and one more: \"", "6", "7 7", "8 8 8", "9"];
    let items = items(&texts);
    let many = engine.curves(&items, &[None], &Cancel::new(), &mut |_, _, _, _| {}).unwrap();
    assert_eq!(many.runs[0].items.len(), texts.len());
    for (item, got) in items.iter().zip(&many.runs[0].items) {
        let single = lens(&self::engine("mistral"), &item.query, &[None]);
        for (a, b) in single.runs[0].layers.iter().zip(&got.layers) {
            assert!(
                close(a.curves.unwrap().target, b.curves.target) && close(a.entropy_bits, b.entropy_bits)
            );
        }
    }
}

#[test]
fn pooled_states_do_not_depend_on_batches_or_prefix_reuse() {
    let shared = items(&["a: \"", "some longer words: \"", "x", "three: \""]);
    let mut whole = shared.clone();
    for item in &mut whole {
        item.query.text = std::mem::take(&mut item.query.prefix) + &item.query.text;
    }
    for (pooling, protocol) in [
        (Pooling::Mean, Protocol::Default),
        (Pooling::Mean, Protocol::Paper),
        (Pooling::Last, Protocol::Default),
        (Pooling::Query, Protocol::Default),
    ] {
        // States are kept by an engine: each has its own.
        let points = |items: Vec<(String, Vec<Item>)>| {
            let (runs, layers) = (vec![None], Vec::new());
            let request = PcaRequest { items, runs, layers, pooling, protocol, ..PcaRequest::default() };
            let mut answer = engine("gemma3").pca(&request, &Cancel::new(), &mut |_, _, _, _| {}).unwrap();
            answer.runs.remove(0).layers
        };
        let together = points(vec![("en".into(), shared.clone()), ("de".into(), whole.clone())]);
        // Of items that stand alone without a prefix nothing can be used again.
        let alone = shared.iter().chain(&whole).enumerate();
        let alone = points(alone.map(|(i, item)| (format!("l{i}"), vec![item.clone()])).collect());
        for (layer, apart) in together.iter().zip(&alone) {
            for (i, a) in layer.points["en"].iter().chain(&layer.points["de"]).enumerate() {
                // Without a declared prefix the whole prompt is the query.
                let like = if pooling == Pooling::Query { i } else { (i + 4) % 8 };
                for b in [i, like].map(|i| apart.points[&format!("l{i}")][0]) {
                    let scale = 1.0 + a[0].abs();
                    let close = (a[0] - b[0]).abs() < 1e-3 * scale;
                    assert!(close, "{pooling:?} {protocol:?} layer {} item {i}: {a:?} {b:?}", layer.layer);
                }
            }
        }
    }
}

#[test]
fn a_raised_flag_stops_everything() {
    let engine = engine("llama3");
    let cancel = Cancel::new();
    cancel.cancel();
    let q = query("three: \"");
    assert_eq!(engine.lens(&q, &[None], 5, &cancel, &mut |_| {}).unwrap_err(), Error::Interrupted);
    let stopped = engine.curves(&items(&["a"]), &[None], &cancel, &mut |_, _, _, _| {});
    assert_eq!(stopped.unwrap_err(), Error::Interrupted);
    // Without a BOS an empty text has no position to read out.
    let plain = self::engine("qwen2");
    assert!(!plain.tokenizer().adds_bos());
    assert!(plain.lens(&Query::default(), &[None], 5, &Cancel::new(), &mut |_| {}).is_err());
}

#[test]
fn a_live_lens_hands_out_layers_in_order() {
    let engine = engine("qwen2");
    let mut parts = Vec::new();
    engine
        .lens_live(&query("three: \""), &[None], 3, &Cancel::new(), &mut |part| match part {
            LensPart::Started { tokens, .. } => parts.push(tokens.len()),
            LensPart::Layers { layers, .. } => parts.push(layers.len()),
        })
        .unwrap();
    assert!(parts.len() >= 2 && parts[0] > 5 && *parts.last().unwrap() == engine.info().layers + 1);
}

// --- the threads ---

fn wait(events: &Receiver<Event>, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = events.recv_timeout(Duration::from_secs(120)).expect("an event in time");
        let found = wanted(&event);
        seen.push(event);
        if found {
            return seen;
        }
    }
}

fn started(model: &str) -> (worker::Handle, Receiver<Event>) {
    let (tx, rx) = channel();
    let handle = worker::spawn(move |e| {
        let _ = tx.send(e);
    });
    handle.send(Command::LoadModel {
        job: 1,
        model: fixture(model).display().to_string(),
        dtype: DType::F32,
        device: DeviceChoice::Cpu,
        threads: 1,
    });
    (handle, rx)
}

#[test]
fn jobs_answer_fail_and_supersede() {
    let (handle, events) = started("models/gemma3");
    // Nothing is loaded yet: a lens says so or waits its turn, but never hangs.
    wait(&events, |e| matches!(e, Event::ModelLoaded { job: 1, .. }));
    handle.send(Command::LoadAdapter { job: 2, adapter: "/nowhere/at/all".into() });
    wait(&events, |e| matches!(e, Event::Failed { job: 2, .. }));
    handle.send(Command::LoadAdapter {
        job: 3,
        adapter: fixture("models/gemma3/adapter_qv").display().to_string(),
    });
    wait(&events, |e| matches!(e, Event::AdapterLoaded { job: 3, index: 0, .. }));
    for job in 10..40 {
        let q = query(&format!("text {job}: \""));
        handle.send(Command::Lens { job, query: q, runs: vec![None, Some(0)], top: 3 });
    }
    let seen = wait(&events, |e| matches!(e, Event::LensDone { job: 39, .. }));
    let ended = |j: JobId| {
        seen.iter().any(|e| match e {
            Event::LensDone { job, .. } | Event::Cancelled { job } => *job == j,
            _ => false,
        })
    };
    assert!((10..40).all(ended), "every job comes to an end");
    handle.send(Command::DropAdapter { index: 0 });
    handle.send(Command::Lens { job: 50, query: query("x"), runs: vec![Some(0)], top: 3 });
    wait(&events, |e| matches!(e, Event::Failed { job: 50, .. }));
    handle.send(Command::Cell { job: 51, query: query("x"), run: None, layer: 1, position: 0, top: 3 });
    wait(&events, |e| matches!(e, Event::CellReady { job: 51, .. }));
}

#[test]
fn a_lens_is_answered_while_a_pca_runs() {
    let (handle, events) = started("models/llama3");
    wait(&events, |e| matches!(e, Event::ModelLoaded { .. }));
    let texts: Vec<String> = (0..60).map(|i| format!("item number {i}: \"")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let request = PcaRequest {
        items: ["en", "de", "fr"].map(|l| (l.to_owned(), items(&texts))).into(),
        runs: vec![None],
        ..PcaRequest::default()
    };
    handle.send(Command::Pca { job: 2, request });
    handle.send(Command::Lens { job: 3, query: query("now: \""), runs: vec![None], top: 3 });
    let seen = wait(&events, |e| matches!(e, Event::PcaReady { job: 2, complete: true, .. }));
    assert!(seen.iter().any(|e| matches!(e, Event::LensDone { job: 3, .. })), "the lens came first");
    assert!(
        seen.iter().any(|e| matches!(e, Event::PcaReady { complete: false, .. })),
        "languages came one by one"
    );
}
