use super::*;
use crate::geometry::testing::states;

fn codes(langs: &[&str]) -> Vec<String> {
    langs.iter().map(|l| l.to_string()).collect()
}

/// States of `langs` languages at one layer: a common part and an own part.
fn synthetic(seed: u64, langs: usize, n: usize, d: usize) -> Vec<Array2<f32>> {
    let mut arrays = Vec::new();
    for l in 0..langs as u64 {
        let mut x = states(seed, n, d) + states(seed * 100 + l + 1, n, d) * 0.4;
        // a spectrum that falls, as that of a model's states does
        x.indexed_iter_mut().for_each(|((_, j), v)| *v /= 1.0 + j as f64);
        arrays.push(x.mapv(|v| v as f32));
    }
    arrays
}

/// CPU seconds of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit_once(')').unwrap().1;
    after.split_whitespace().skip(11).take(2).map(|t| t.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn one_layer(run: RunId, layer: usize, arrays: &[Array2<f32>]) -> RunStates<'_> {
    RunStates { run, layers: vec![(layer, arrays.iter().map(|a| a.view()).collect())] }
}

fn options() -> Options {
    Options { shared_fit: false, measures: true, seed: 1 }
}

#[test]
fn joint_fits_points_and_pairs() {
    let langs = codes(&["en", "zh", "de", "hi"]);
    let arrays = synthetic(3, 4, 12, 20);
    let runs = [one_layer(None, 7, &arrays)];
    let layer = analyse(&runs, &langs, &options(), &Cancel::new()).unwrap()[0].layers[0].clone();
    let as_f64: Vec<Array2<f64>> = arrays.iter().map(|a| a.mapv(f64::from)).collect();
    let joined = |keep: &[usize]| {
        concatenate(Axis(0), &keep.iter().map(|&i| as_f64[i].view()).collect::<Vec<_>>()).unwrap()
    };
    let two = Fit::new(joined(&[0, 1, 2, 3]).view(), 2).unwrap();
    let one = Fit::new(joined(&[0, 2, 3]).view(), 1).unwrap(); // zh is not among the paper's seven
    assert_eq!(layer.layer, 7);
    for (got, want) in layer.explained_variance_ratio.iter().zip(&two.explained_variance_ratio) {
        assert!((got - want).abs() < 1e-12);
    }
    assert!((layer.explained_variance_ratio_1d - one.explained_variance_ratio[0]).abs() < 1e-12);
    let zh = two.project(as_f64[1].view());
    assert!(layer.points["zh"].iter().zip(zh.rows()).all(|(p, q)| p[0] == q[0] && p[1] == q[1]));
    let line = |i: usize| one.project(as_f64[i].view()).column(0).to_vec();
    assert_eq!(layer.pearson["en-zh"], pearson(&line(0), &line(1)).unwrap());
    let pairs = ["de-hi", "en-de", "en-hi", "en-zh", "zh-de", "zh-hi"];
    for keys in [layer.cka.keys(), layer.cosine_gap.keys(), layer.mexa.keys()] {
        assert!(keys.eq(pairs.iter()), "every shown pair once, in the order shown");
    }
    assert!(layer.pearson.keys().eq(pairs.iter()));
}

#[test]
fn the_fit_languages() {
    assert_eq!(fit_langs(&codes(&["en", "zh", "sw"])), ["en", "sw"]);
    assert_eq!(fit_langs(&codes(&["en", "zh"])), ["en", "zh"], "one of the seven alone fits nothing joint");
    assert_eq!(fit_langs(&codes(&["bg", "zh"])), ["bg", "zh"]);
}

#[test]
fn a_shared_fit_projects_the_aligned_run_with_the_base_s_directions() {
    let langs = codes(&["en", "de"]);
    let (base, aligned) = (synthetic(4, 2, 10, 8), synthetic(5, 2, 10, 8));
    let runs = [one_layer(None, 1, &base), one_layer(Some(0), 1, &aligned)];
    let own = analyse(&runs, &langs, &options(), &Cancel::new()).unwrap();
    let shared = analyse(&runs, &langs, &Options { shared_fit: true, ..options() }, &Cancel::new()).unwrap();
    assert_eq!((own[1].run, &own[0]), (Some(0), &shared[0]));
    assert_ne!(own[1].layers[0].points, shared[1].layers[0].points);
    let joined: Vec<Array2<f64>> = base.iter().map(|a| a.mapv(f64::from)).collect();
    let fit =
        Fit::new(concatenate(Axis(0), &[joined[0].view(), joined[1].view()]).unwrap().view(), 2).unwrap();
    let want = fit.project(aligned[0].mapv(f64::from).view());
    assert_eq!(shared[1].layers[0].points["en"][3], [want[[3, 0]], want[[3, 1]]]);
    assert!(shared[1].layers[0].explained_variance_ratio[0] <= own[1].layers[0].explained_variance_ratio[0]);
    assert_eq!(own[1].layers[0].cka, shared[1].layers[0].cka, "the measures need no fit");
}

#[test]
fn bad_states_are_refused_with_a_sentence() {
    let langs = codes(&["en", "de"]);
    let run =
        |arrays: &[Array2<f32>]| analyse(&[one_layer(None, 2, arrays)], &langs, &options(), &Cancel::new());
    let good = synthetic(1, 2, 6, 5);
    let mut nan = good.clone();
    nan[1][[4, 2]] = f32::NAN;
    let message = run(&nan).unwrap_err().to_string();
    assert!(message.contains("de item 4 at layer 2"), "{message}");
    let message = run(&[good[0].clone(), synthetic(1, 1, 7, 5).remove(0)]).unwrap_err().to_string();
    assert!(message.contains("de has 7 items"), "{message}");
    assert!(run(&good[..1]).unwrap_err().to_string().contains("1 languages, not 2"));
    assert!(analyse(&[one_layer(None, 2, &[])], &[], &options(), &Cancel::new()).is_err());
    let cancelled = Cancel::new();
    cancelled.cancel();
    assert_eq!(
        analyse(&[one_layer(None, 2, &good)], &langs, &options(), &cancelled).unwrap_err(),
        Error::Interrupted
    );
}

#[test]
fn one_item_a_language_has_points_but_no_pairs_and_constant_states_have_zeros() {
    let langs = codes(&["en", "de"]);
    let single =
        analyse(&[one_layer(None, 0, &synthetic(2, 2, 1, 5))], &langs, &options(), &Cancel::new()).unwrap();
    let layer = &single[0].layers[0];
    assert!(layer.pearson.is_empty() && layer.cka.is_empty() && layer.mexa.is_empty());
    assert!(layer.points["en"][0].iter().all(|v| v.is_finite()));
    let flat = vec![Array2::from_elem((4, 5), 2.5f32); 2];
    let layer = analyse(&[one_layer(None, 0, &flat)], &langs, &options(), &Cancel::new()).unwrap()[0].layers
        [0]
    .clone();
    assert_eq!(layer.points["de"], vec![[0.0, 0.0]; 4]);
    assert!(layer.pearson.is_empty() && layer.cka.is_empty());
    let text = serde_json::to_string(&layer).unwrap();
    assert!(!text.contains("null") && !text.contains("NaN"));
}

/// `cargo test --release --lib geometry -- --ignored --nocapture`: 20 languages x 32 items x 640 x 19 layers.
#[test]
#[ignore = "a timing, not a check"]
fn time_twenty_languages() {
    let all = "en zh de fr es it nl ja ru sv sl pl bg no ms is hi th sw bn";
    let langs = codes(&all.split(' ').collect::<Vec<_>>());
    let layers: Vec<Vec<Array2<f32>>> = (0..19).map(|l| synthetic(l + 1, 20, 32, 640)).collect();
    let run = RunStates {
        run: None,
        layers: layers.iter().enumerate().map(|(i, l)| (i, l.iter().map(|a| a.view()).collect())).collect(),
    };
    for measures in [false, true, true] {
        let (start, cpu) = (std::time::Instant::now(), cpu_seconds());
        let options = Options { measures, ..options() };
        let out = analyse(std::slice::from_ref(&run), &langs, &options, &Cancel::new()).unwrap();
        let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        println!("measures {measures}: {wall:.3} s, {cpu:.2} s of CPU, {} layers", out[0].layers.len());
    }
}
