//! Time of PCA and alignment measures at the explorer's largest usual size: 20 languages x 32 items x 640
//! dimensions x 19 layers, all 190 pairs. `cargo bench --bench geometry`

use ndarray::Array2;
use polylens::engine::Cancel;
use polylens::geometry::random::SplitMix64;
use polylens::geometry::{Options, RunStates, analyse};
use std::time::Instant;

const LANGS: &str = "en zh de fr es it nl ja ru sv sl pl bg no ms is hi th sw bn";
const ROUNDS: usize = 7;

/// States of 20 languages at one layer: a part that all share and an own part, with a falling spectrum.
fn layer(seed: u64) -> Vec<Array2<f32>> {
    let numbers = |seed: u64| {
        let mut random = SplitMix64::new(seed);
        Array2::from_shape_simple_fn((32, 640), move || random.unit() as f32 - 0.5)
    };
    let shared = numbers(seed);
    let one = |lang: u64| {
        let mut x = &shared + &(numbers(seed * 1000 + lang) * 0.4);
        x.indexed_iter_mut().for_each(|((_, j), v)| *v *= 50.0 / (1.0 + j as f32));
        x
    };
    (1..=20).map(one).collect()
}

fn main() {
    let langs: Vec<String> = LANGS.split(' ').map(str::to_owned).collect();
    let layers: Vec<Vec<Array2<f32>>> = (1..=19).map(layer).collect();
    let views = layers.iter().enumerate().map(|(i, l)| (i, l.iter().map(|a| a.view()).collect())).collect();
    let run = [RunStates { run: None, layers: views }];
    for (name, measures) in
        [("PCA and Pearson", false), ("with CKA, cosine gap, MEXA, intervals, controls", true)]
    {
        let options = Options { measures, ..Options::default() };
        let mut times: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                let out = analyse(&run, &langs, &options, &Cancel::new()).expect("finite states");
                assert_eq!(out[0].layers.len(), 19);
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{name}: median {:.0} ms (fastest {:.0}) of {ROUNDS}", times[ROUNDS / 2], times[0]);
    }
}
