//! Hand-made answers for the tests of the report layer: small, with wide and hostile text.

use crate::engine::protocol::*;

pub fn model() -> ModelInfo {
    ModelInfo {
        name: "gemma-3-270m".into(),
        architecture: "gemma3".into(),
        layers: 18,
        hidden: 640,
        vocabulary: 262_144,
        dtype: "f32".into(),
        device: "cpu".into(),
        threads: 2,
        weight_bytes: 1_072_000_000,
        logits_check: 1.5e-5,
        load_ms: 900,
        notes: vec![],
    }
}

pub fn adapters() -> Vec<AdapterInfo> {
    vec![AdapterInfo {
        name: "zh-es-en".into(),
        path: "adapters/zh-es-en".into(),
        rank: 8,
        alpha: 16.0,
        targets: vec!["q_proj".into(), "v_proj".into()],
        keys_matched: 72,
        delta_norms: vec![0.5; 18],
        probe_change: 1.25,
    }]
}

fn tok(id: u32, text: &str) -> TokenText {
    TokenText { id, text: text.into() }
}

/// A smooth step from 0 to 1 around layer `at`.
fn step(k: usize, at: f32) -> f32 {
    1.0 / (1.0 + (-(k as f32 - at)).exp())
}

pub fn lens() -> LensAnswer {
    let words = ["积极", " positive", "<0xE3>", "\u{e31}", "a&b", " très", "ий", "\n", "ok", "x"];
    let layer = |k: usize, shift: f32| LensLayer {
        layer: k,
        entropy_bits: 17.0 - 15.5 * step(k, 11.0 - shift),
        kl_bits: Some(12.0 * (1.0 - step(k, 12.0)) + 0.1),
        top: (0..10)
            .map(|r| TokenP {
                id: 100 + r as u32,
                text: words[(r + k / 6) % 10].into(),
                p: step(k, 12.0 - shift) * 0.6f32.powi(r as i32 + 1),
            })
            .collect(),
        curves: None,
        tracked: vec![0.9 * step(k, 13.0 - shift), 0.3 * step(k, 9.0)],
        gold_rank: None,
        energy: Some(0.4),
    };
    let run = |run, shift| LensRun {
        run,
        layers: (0..=18).map(|k| layer(k, shift)).collect(),
        first_final_top1: Some(12),
    };
    let set = |word: &str, ids: Vec<u32>| TokenSet { word: word.into(), ids, removed: vec![] };
    LensAnswer {
        tokens: vec![tok(2, "<bos>"), tok(5, "评论"), tok(6, ":"), tok(7, " 很好")],
        sets: TokenSets {
            tracked: vec![set("积极", vec![5, 6]), set("good", vec![9])],
            ..TokenSets::default()
        },
        runs: vec![run(None, 0.0), run(Some(0), 2.0)],
        elapsed_ms: 181.5,
        reused_tokens: 0,
    }
}

pub fn sets() -> TokenSets {
    let set =
        |word: &str, ids: Vec<u32>, removed: Vec<TokenText>| TokenSet { word: word.into(), ids, removed };
    TokenSets {
        labels: vec!["positive".into(), "negative".into()],
        gold: 0,
        latent: vec![set("positive", vec![5, 50], vec![]), set("negative", vec![6], vec![])],
        target: vec![
            set("积极", vec![7], vec![tok(3, "<0xE7>")]),
            set("消极", vec![8], vec![tok(9, "<0xE6>"), tok(3, "<0xE7>")]),
        ],
        tracked: vec![],
        warnings: vec!["<0xE7> begins both 积极 and 消极: removed from both.".into()],
        refused: None,
    }
}

pub fn curves(n: usize, runs: usize) -> CurvesAnswer {
    let point = |k: usize, i: usize, shift: f32| {
        let wobble = ((i * 7 + k * 3) % 11) as f32 / 11.0 - 0.5;
        let target = step(k, 13.0 - shift) * (0.7 + 0.3 * wobble);
        let en = (0.25 * step(k, 11.0 - shift) * (1.0 - step(k, 15.0)) * (1.0 + wobble)).max(0.0);
        CurvesPoint {
            layer: k,
            curves: Curves {
                en,
                target: target * 0.6,
                all_possible_latent: en * 1.4,
                all_possible_out: target,
            },
            entropy_bits: 17.5 - 15.0 * step(k, 11.0) + wobble,
        }
    };
    let item = |i: usize, shift: f32| CurvesItem {
        index: i,
        gold: if i.is_multiple_of(2) { "positive".into() } else { "negative".into() },
        layers: (0..=18).map(|k| point(k, i, shift)).collect(),
    };
    let run = |r: usize| CurvesRun {
        run: r.checked_sub(1),
        items: (0..n).map(|i| item(i, 2.0 * r as f32)).collect(),
    };
    CurvesAnswer { n, sets: sets(), runs: (0..runs).map(run).collect(), elapsed_ms: 5000.0 }
}

pub fn pca(langs: &[&str], n: usize, runs: usize) -> PcaAnswer {
    let point = |l: usize, i: usize, k: usize| {
        let near = 1.0 / (1.0 + k as f64 / 4.0);
        let a = (i * 37 % 19) as f64 / 19.0 * 6.0 + l as f64 * near * 2.0;
        [a.sin() * 20.0 + l as f64 * near * 15.0, a.cos() * 9.0 - i as f64 / 4.0]
    };
    let measure = |value: f64| Measure { value, low: value - 0.1, high: value + 0.05, shuffled: 0.02 };
    // An adapter is further along than the run before it.
    let layer = |k: usize, ahead: usize| {
        let pairs = |f: &dyn Fn(usize, usize) -> f64| {
            let each = langs.iter().enumerate().flat_map(|(a, x)| {
                langs.iter().enumerate().skip(a + 1).map(move |(b, y)| (format!("{x}-{y}"), (a, b)))
            });
            each.map(|(pair, (a, b))| (pair, f(a, b))).collect::<std::collections::BTreeMap<_, _>>()
        };
        let r = |a: usize, b: usize| 1.0 - (a + b) as f64 * 0.9 / ((k + 2 * ahead) as f64 + 2.0 + b as f64);
        let measures =
            |f: f64| pairs(&|a, b| r(a, b) * f).into_iter().map(|(p, v)| (p, measure(v))).collect();
        PcaLayer {
            layer: k,
            explained_variance_ratio: vec![0.41, 0.163],
            explained_variance_ratio_1d: 0.44,
            points: langs
                .iter()
                .enumerate()
                .map(|(l, lang)| ((*lang).to_owned(), (0..n).map(|i| point(l, i, k)).collect()))
                .collect(),
            pearson: pairs(&r),
            cka: measures(0.9),
            cosine_gap: measures(0.5),
            mexa: measures(0.8),
        }
    };
    PcaAnswer {
        langs: langs.iter().map(|l| (*l).to_owned()).collect(),
        fit_langs: vec!["en".into(), "de".into()],
        n,
        pooling: Pooling::Mean,
        runs: (0..runs)
            .map(|r| PcaRun { run: r.checked_sub(1), layers: (0..=18).map(|k| layer(k, r)).collect() })
            .collect(),
        elapsed_ms: 9000.0,
    }
}
