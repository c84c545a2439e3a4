//! The numbers that tests/fixtures/make.py made with scikit-learn, scipy and numpy.

use super::random::SplitMix64;
use ndarray::Array2;
use serde_json::Value;

/// tests/fixtures/geometry.json.
pub fn fixture() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/geometry.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A JSON array of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The same array as `states` of make_more.py.
pub fn states(seed: u64, n: usize, d: usize) -> Array2<f64> {
    let mut random = SplitMix64::new(seed);
    let mut x = Array2::from_shape_simple_fn((n, d), || random.unit() - 0.5);
    for ((_, j), v) in x.indexed_iter_mut() {
        *v /= 1.0 + (j % 7) as f64;
        if j == 3 {
            *v += 10.0;
        }
    }
    x
}

/// The two languages of a case under "pairs".
pub fn pair(case: &Value) -> (Array2<f64>, Array2<f64>) {
    let get = |key: &str| case[key].as_u64().unwrap();
    let (n, d) = (get("n") as usize, get("d") as usize);
    let x = states(get("seed"), n, d);
    let y = &x * case["share"].as_f64().unwrap() + &states(get("seed") + 100, n, d);
    (x, y)
}
