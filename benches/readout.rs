//! Time of the readout (final norm, unembedding, softmax, top 10, entropy, divergence) over the number of states that are
//! read out together, with the table in f32 and in its file's own format. `cargo bench --bench readout`; the model is
//! that of benches/full_lens.rs, which should be a quantised file. POLYLENS_SIMD chooses other kernels.

use polylens::engine::Cancel;
use polylens::engine::protocol::DType;
use polylens::geometry::random::SplitMix64;
use polylens::hub;
use polylens::lens::{Readout, Wanted};
use polylens::model::act::Backend;
use polylens::model::decoder::Decoder;
use polylens::model::kernels::Mat;
use polylens::model::loader::Checkpoint;
use std::time::Instant;

const ROUNDS: usize = 9;

fn load(dtype: DType) -> Result<Decoder, String> {
    let model = std::env::var("POLYLENS_BENCH_MODEL").unwrap_or_else(|_| hub::DEFAULT_MODEL.to_owned());
    let found =
        hub::resolve(&model, &mut |_, _, _, _| {}, &Cancel::new(), false).map_err(|e| e.to_string())?;
    let checkpoint = Checkpoint::open(&found.path).map_err(|e| e.to_string())?;
    checkpoint.build(dtype, &Backend::Cpu, &mut |_, _| {}).map_err(|e| e.to_string())
}

/// Median milliseconds for `n` states.
fn time(decoder: &Decoder, n: usize, lens: bool) -> Result<f64, String> {
    let hidden = decoder.config.hidden;
    let mut random = SplitMix64::new(n as u64);
    let xs: Vec<f32> = (0..n * hidden).map(|_| random.unit() as f32 - 0.5).collect();
    let states = Mat::from_tokens(hidden, n, &xs);
    let finals = if lens { vec![(0..n, n - 1)] } else { Vec::new() };
    let wanted = Wanted { top: if lens { 10 } else { 0 }, finals, ..Wanted::default() };
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        Readout::new(decoder).read(&states, &wanted, &Cancel::new()).map_err(|e| e.to_string())?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[ROUNDS / 2])
}

fn run() -> Result<(), String> {
    for dtype in [DType::F32, DType::Native] {
        let decoder = load(dtype)?;
        let (vocabulary, hidden) = decoder.unembedding.shape();
        println!("{dtype:?}: {vocabulary} x {hidden}; ms for states: plain, with top and KL");
        for n in [1, 8, 16, 19, 24, 32, 48, 64, 96] {
            let [plain, lens] = [false, true].map(|lens| time(&decoder, n, lens));
            println!("{n:>5} {:>7.1} {:>7.1}", plain?, lens?);
        }
    }
    Ok(())
}

fn main() -> Result<(), String> {
    let threads = std::env::var("POLYLENS_BENCH_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| e.to_string())?;
    pool.install(run)
}
