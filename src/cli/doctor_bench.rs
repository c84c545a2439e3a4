//! `polylens doctor --bench`: what the processor and its memory can do at most, and how much of it our products reach.

use crate::engine::load::cores;
use crate::error::{Error, Result};
use crate::model::format::Format;
use crate::model::kernels::{self, CpuWeight, Mat};
use crate::model::peak::{Limit, Peaks};
use crate::model::product::{Product, Shape, numbers, weight};
use crate::report::table::{Align, Table};
use rayon::ThreadPool;
use serde::Serialize;
use std::time::{Duration, Instant};

/// What was measured. GFLOP/s are thousand million multiplications and additions a second, GB/s thousand million bytes.
#[derive(Debug, Serialize)]
pub struct Speed {
    threads: usize,
    /// The kernels in use.
    kernels: &'static str,
    peaks: Vec<Peak>,
    memory_read_gb_s: f64,
    /// How much of the processor this process got meanwhile, in per cent.
    processor_percent: Option<f64>,
    products: Vec<Measured>,
    /// What it means and what to do; whole sentences.
    sentences: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Peak {
    what: &'static str,
    instructions: &'static str,
    gflops: f64,
}

/// One product with weights of one format.
#[derive(Debug, Serialize)]
struct Measured {
    tokens: usize,
    inp: usize,
    out: usize,
    weights: &'static str,
    arithmetic: &'static str,
    ms: f64,
    gflops: f64,
    /// Of the weights' bytes.
    gb_s: f64,
    /// The limit that is nearer: "arithmetic" (the peak of the arithmetic's format) or "memory" (reading the weights).
    limit: &'static str,
    percent: f64,
}

/// A small model's layers, a large one's, a square one, and a single position before a large vocabulary.
const SHAPES: [Shape; 4] = [
    Shape { tokens: 512, inp: 640, out: 2048 },
    Shape { tokens: 150, inp: 4096, out: 14336 },
    Shape { tokens: 256, inp: 4096, out: 4096 },
    Shape { tokens: 1, inp: 640, out: 262_144 },
];
const FORMATS: [Format; 5] = [Format::F32, Format::Bf16, Format::Q4K, Format::Q5_0, Format::Q8_0];

/// About how long a product is measured, and how often at least and at most.
const BUDGET: Duration = Duration::from_millis(150);
const TRIES: (usize, usize) = (3, 25);

/// Measures on all of the process' processors.
///
/// # Errors
/// Where threads cannot be started.
pub fn measure() -> Result<Speed> {
    let threads = cores();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::failed(format!("{threads} threads cannot be started ({e})")))?;
    let peaks = Peaks::measure(&pool);
    let mut products = Vec::new();
    for shape in SHAPES {
        let x = Mat::from_tokens(shape.inp, shape.tokens, &numbers(shape.inp * shape.tokens));
        for format in FORMATS {
            // Blocks of 256 do not divide every model's rows: such a model has no such weights.
            let Some(w) = weight(format, shape.out, shape.inp) else { continue };
            products.push(Measured::of(shape, &w, median(&pool, &w, &x), &peaks));
            let rounding = w.rounding();
            if rounding.rounds {
                products.push(Measured::of(shape, &rounding, median(&pool, &rounding, &x), &peaks));
            }
        }
    }
    let sentences = sentences(&peaks, &products, std::env::var("POLYLENS_SIMD").ok().as_deref());
    let mut shown = vec![Peak::of("f32 on vectors", peaks.f32.name, peaks.f32.flops)];
    shown.extend(peaks.bf16.map(|r| Peak::of("bf16 on vectors", r.name, r.flops)));
    shown.extend(peaks.tiles.map(|r| Peak::of("bf16 on tiles", r.name, r.flops)));
    Ok(Speed {
        threads,
        kernels: kernels::name(),
        peaks: shown,
        memory_read_gb_s: peaks.read / 1e9,
        processor_percent: peaks.got.map(|g| 100.0 * g),
        products,
        sentences,
    })
}

/// Seconds of one product.
fn median(pool: &ThreadPool, w: &CpuWeight, x: &Mat) -> f64 {
    let mut product = Product::new(w, x);
    // The first one meets memory that was never touched; a slow machine is not asked again.
    let first = product.seconds(pool);
    if first > 2.0 * BUDGET.as_secs_f64() {
        return first;
    }
    let start = Instant::now();
    let mut all = Vec::new();
    while all.len() < TRIES.0 || (start.elapsed() < BUDGET && all.len() < TRIES.1) {
        all.push(product.seconds(pool));
    }
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

impl Peak {
    fn of(what: &'static str, instructions: &'static str, flops: f64) -> Self {
        Self { what, instructions, gflops: flops / 1e9 }
    }
}

impl Measured {
    fn of(shape: Shape, w: &CpuWeight, seconds: f64, peaks: &Peaks) -> Self {
        let bytes = w.bytes().len() as f64;
        let (least, limit) = peaks.least(shape.flops(), w.bytes().len(), w.rounds);
        Self {
            tokens: shape.tokens,
            inp: shape.inp,
            out: shape.out,
            weights: w.format.name(),
            arithmetic: if w.rounds { "bf16" } else { "f32" },
            ms: seconds * 1e3,
            gflops: shape.flops() / seconds / 1e9,
            gb_s: bytes / seconds / 1e9,
            limit: match limit {
                Limit::Memory => "memory",
                Limit::Arithmetic => "arithmetic",
            },
            percent: 100.0 * least / seconds,
        }
    }

    fn shape(&self) -> Shape {
        Shape { tokens: self.tokens, inp: self.inp, out: self.out }
    }
}

/// Below it something else uses the processor.
const GOT: f64 = 0.85;
/// What good kernels reach of the peak in large products, in per cent.
const GOOD: f64 = 70.0;

/// What the figures mean and what to do, in the order of weight.
fn sentences(peaks: &Peaks, products: &[Measured], simd: Option<&str>) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(got) = peaks.got.filter(|g| *g < GOT) {
        out.push(format!(
            "Only {:.0} % of the processor's time was ours while this was measured: another program uses it, or a limit is set. \
             End the other program and measure again; these figures are too small.",
            got * 100.0
        ));
    }
    if let Some(simd) = simd {
        out.push(format!(
            "POLYLENS_SIMD is set to \"{simd}\", so that faster instructions may not be used; unset it to let polylens choose."
        ));
    }
    if let Some(all) = online().filter(|n| *n > peaks.threads) {
        out.push(format!(
            "This process may use {} of the machine's {all} processors; if a taskset or a container's limit says so, widen it.",
            peaks.threads
        ));
    }
    let large: Vec<&Measured> =
        products.iter().filter(|p| p.limit == "arithmetic" && p.weights == "f32").collect();
    let least = large.iter().map(|p| p.percent).fold(f64::INFINITY, f64::min);
    if let Some(most) = large.iter().map(|p| p.percent).max_by(f64::total_cmp) {
        let judged = match least >= GOOD {
            true => "that is as fast as this processor's vectors allow, near enough",
            false => "good kernels reach 70 to 90 %: if nothing else runs, please report this machine",
        };
        out.push(format!(
            "With f32 weights, large products reach {least:.0} to {most:.0} % of the processor's f32 peak; {judged}."
        ));
    }
    if peaks.tiles.is_none() && kernels::trades() {
        out.push(format!(
            "Of three f32 products two share one multiplication and two additions, at most {:.0} GFLOP/s, so that more than 100 % is possible.",
            peaks.f32_at_most() / 1e9
        ));
    }
    if let Some(tiles) = peaks.tiles {
        out.push(format!(
            "f32 results are computed on the bf16 tiles in exact parts, at most {:.0} GFLOP/s, so that more than 100 % is possible.",
            peaks.f32_at_most().min(tiles.flops) / 1e9
        ));
    }
    let single: Vec<&Measured> = products.iter().filter(|p| p.tokens == 1).collect();
    let pick = |weights: &str| single.iter().find(|p| p.weights == weights);
    if let (Some(wide), Some(small)) = (pick("f32"), pick("Q8_0")) {
        out.push(format!(
            "A single position is bound by reading the weights: {:.1} ms for a vocabulary in f32, {:.1} ms in Q8_0.",
            wide.ms, small.ms
        ));
    }
    out
}

/// Processors that the machine has switched on.
#[cfg(unix)]
fn online() -> Option<usize> {
    // SAFETY: a plain system call.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).ok()
}

#[cfg(not(unix))]
fn online() -> Option<usize> {
    None
}

impl Speed {
    /// Peaks, a table of products, and the sentences.
    pub fn text(&self) -> String {
        let mut out = format!("\nspeed, {} threads, kernels: {}\n", self.threads, self.kernels);
        for p in &self.peaks {
            out += &format!("peak      {:<16}{:>8.0} GFLOP/s   {}\n", p.what, p.gflops, p.instructions);
        }
        out += &format!("peak      {:<16}{:>8.1} GB/s\n\n", "memory, read", self.memory_read_gb_s);
        let columns = [
            ("tokens x in x out", Align::Left),
            ("weights", Align::Left),
            ("arithmetic", Align::Left),
            ("ms", Align::Right),
            ("GFLOP/s", Align::Right),
            ("GB/s", Align::Right),
            ("of the peak", Align::Right),
            ("limit", Align::Left),
        ];
        let mut table = Table::new(columns);
        let mut before = None;
        for p in &self.products {
            let shape = if before == Some(p.shape()) { String::new() } else { p.shape().to_string() };
            before = Some(p.shape());
            table.row([
                shape,
                p.weights.to_owned(),
                p.arithmetic.to_owned(),
                format!("{:.2}", p.ms),
                format!("{:.0}", p.gflops),
                format!("{:.1}", p.gb_s),
                format!("{:.0} %", p.percent),
                p.limit.to_owned(),
            ]);
        }
        out += &table.text(usize::MAX);
        out += "\nThe peak is that of f32 on vectors, or the highest of bf16; where reading is the nearer limit, that of memory.\n";
        for sentence in &self.sentences {
            out += &format!("\n{sentence}\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::peak::Rate;

    fn peaks(got: f64) -> Peaks {
        let f32 = Rate { name: "some", flops: 100e9 };
        Peaks { threads: usize::MAX, f32, bf16: None, tiles: None, read: 10e9, got: Some(got) }
    }

    #[test]
    fn the_nearer_limit_counts() {
        let w = |out, inp| CpuWeight::floats(vec![0.5; out * inp], out, inp);
        // 2 * 100 * 10 * 1000 = 2 MFLOP: 20 us at the peak; 40 kB: 4 us.
        let many = Measured::of(Shape { tokens: 100, inp: 10, out: 1000 }, &w(1000, 10), 40e-6, &peaks(1.0));
        assert_eq!((many.limit, many.percent.round(), many.gflops.round()), ("arithmetic", 50.0, 50.0));
        let one = Measured::of(Shape { tokens: 1, inp: 10, out: 1000 }, &w(1000, 10), 8e-6, &peaks(1.0));
        assert_eq!((one.limit, one.percent.round(), one.gb_s.round()), ("memory", 50.0, 5.0));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let w = CpuWeight::floats(vec![0.5; 10_000], 1000, 10);
        let shape = Shape { tokens: 100, inp: 10, out: 1000 };
        let said = |peaks: &Peaks, seconds: f64, simd: Option<&str>| {
            sentences(peaks, &[Measured::of(shape, &w, seconds, peaks)], simd).join("\n")
        };
        let fine = said(&peaks(0.99), 22e-6, None);
        assert!(fine.contains("91 to 91 %") && fine.contains("near enough"), "{fine}");
        assert!(!fine.contains("another program") && !fine.contains("POLYLENS_SIMD"), "{fine}");
        let bad = said(&peaks(0.5), 200e-6, Some("avx2"));
        for word in ["Only 50 %", "\"avx2\"", "10 to 10 %", "report"] {
            assert!(bad.contains(word), "{word}: {bad}");
        }
    }
}
