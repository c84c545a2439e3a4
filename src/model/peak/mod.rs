//! What this machine could do at most: arithmetic on registers alone, and reading memory.
//!
//! Each loop does nothing but the instruction that a kernel's inner loop is made of, on as many independent sums as the
//! processor needs to begin one every cycle. The fastest of several tries counts: other programs only make it slower.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use rayon::ThreadPool;
use std::hint::black_box;
use std::time::Instant;

/// A loop over registers: `rounds` times its instructions, on the calling thread.
pub(super) struct Loop {
    /// The instructions, for people.
    name: &'static str,
    /// Multiplications and additions of one round.
    flops: f64,
    run: fn(u64) -> f32,
}

/// The fastest of several loops of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The instructions, for people.
    pub name: &'static str,
    /// Multiplications and additions a second, all threads together.
    pub flops: f64,
}

/// What all threads of a pool reach together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    pub threads: usize,
    /// f32 multiply-and-add on vectors.
    pub f32: Rate,
    /// bf16 dot products on vectors, summed in f32, where the processor has them.
    pub bf16: Option<Rate>,
    /// bf16 products on tiles, summed in f32, where the processor has them and they are not turned off.
    pub tiles: Option<Rate>,
    /// Bytes a second that are read from memory, beyond every cache.
    pub read: f64,
    /// How much of the processor this process got while it was measured, 0 to 1; `None` where the system does not tell.
    pub got: Option<f64>,
}

/// Products of bf16 parts that take the place of one f32 product on tiles (see [`super::kernels::amx`]).
const F32_PARTS: f64 = 6.0;
/// f32 products in the time of one multiplication where some are traded for additions (see [`super::kernels::trades`]).
const TRADED: f64 = 1.5;

/// How often each loop is timed, and about how long (seconds).
const TRIES: usize = 6;
const TRY: f64 = 0.02;

impl Peaks {
    /// Measures for about a second, on all threads of `pool` at once.
    pub fn measure(pool: &ThreadPool) -> Self {
        let (start, before) = (Instant::now(), cpu_seconds());
        let f32 = fastest(pool, f32_loops()).unwrap_or(Rate { name: "none", flops: 0.0 });
        let wall = start.elapsed().as_secs_f64() * pool.current_num_threads() as f64;
        let got = before.zip(cpu_seconds()).map(|(before, after)| ((after - before) / wall).clamp(0.0, 1.0));
        Self {
            threads: pool.current_num_threads(),
            f32,
            got,
            bf16: fastest(pool, bf16_loops()),
            tiles: fastest(pool, tile_loops()),
            read: read(pool),
        }
    }

    /// The most that products in f32 arithmetic can reach: on vectors, three for two multiplications where some are traded
    /// for additions, or on tiles in six products of bf16 parts.
    pub fn f32_at_most(&self) -> f64 {
        let vectors = self.f32.flops * if super::kernels::trades() { TRADED } else { 1.0 };
        vectors.max(self.tiles.map_or(0.0, |t| t.flops / F32_PARTS))
    }

    /// The most that products in bf16 arithmetic can reach.
    pub fn bf16_at_most(&self) -> f64 {
        [self.bf16, self.tiles].into_iter().flatten().map(|r| r.flops).fold(self.f32.flops, f64::max)
    }
}

/// What keeps a product from being faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Arithmetic,
    /// Reading the weights.
    Memory,
}

impl Peaks {
    /// The seconds that `flops` multiplications and additions over `bytes` of weights take at least, in bf16 arithmetic
    /// or in f32's on vectors, and what says so.
    pub fn least(&self, flops: f64, bytes: usize, bf16: bool) -> (f64, Limit) {
        let arithmetic = flops / if bf16 { self.bf16_at_most() } else { self.f32.flops };
        let memory = bytes as f64 / self.read;
        if memory > arithmetic { (memory, Limit::Memory) } else { (arithmetic, Limit::Arithmetic) }
    }
}

fn f32_loops() -> Vec<Loop> {
    #[cfg(target_arch = "x86_64")]
    let mut all = x86::f32_loops();
    #[cfg(not(target_arch = "x86_64"))]
    let mut all = Vec::new();
    all.push(portable::LOOP);
    all
}

fn bf16_loops() -> Vec<Loop> {
    #[cfg(target_arch = "x86_64")]
    return x86::bf16_loops();
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

fn tile_loops() -> Vec<Loop> {
    #[cfg(target_arch = "x86_64")]
    return x86::tile_loops();
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

fn fastest(pool: &ThreadPool, loops: Vec<Loop>) -> Option<Rate> {
    let rates = loops.iter().map(|l| Rate { name: l.name, flops: l.flops * rounds_a_second(pool, l.run) });
    rates.max_by(|a, b| a.flops.total_cmp(&b.flops))
}

/// Rounds of a loop a second, of all threads together.
fn rounds_a_second(pool: &ThreadPool, run: fn(u64) -> f32) -> f64 {
    let threads = pool.current_num_threads() as f64;
    let seconds = |rounds: u64| {
        let start = Instant::now();
        pool.broadcast(|_| black_box(run(black_box(rounds))));
        start.elapsed().as_secs_f64().max(1e-9)
    };
    // How many rounds a try needs; starting the threads must not count.
    let mut rounds = 1000;
    while rounds < 1 << 40 && seconds(rounds) < TRY / 4.0 {
        rounds *= 2;
    }
    rounds = (rounds as f64 * TRY / seconds(rounds)).max(1.0) as u64;
    (0..TRIES).map(|_| rounds as f64 * threads / seconds(rounds)).fold(0.0, f64::max)
}

/// Processor time that this process has used, all threads together.
#[cfg(unix)]
fn cpu_seconds() -> Option<f64> {
    // SAFETY: plain numbers, all of which the call fills in.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0 {
        return None;
    }
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    Some(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

#[cfg(not(unix))]
fn cpu_seconds() -> Option<f64> {
    None
}

/// Bytes read by all threads together: more than the caches of common processors hold.
const READ: usize = 320 << 20;

/// Bytes a second that all threads read from memory together.
fn read(pool: &ThreadPool) -> f64 {
    let threads = pool.current_num_threads();
    let words = (READ / 8 / threads).next_multiple_of(SUMS);
    // Written by the thread that reads it, so that it lies near that thread's core.
    let parts: Vec<Vec<u64>> = pool.broadcast(|_| vec![1; words]);
    let once = || {
        let start = Instant::now();
        let sums = pool.broadcast(|at| sum(&parts[at.index()]));
        black_box(sums);
        (words * threads * 8) as f64 / start.elapsed().as_secs_f64().max(1e-9)
    };
    (0..TRIES).map(|_| once()).fold(0.0, f64::max)
}

/// Sums kept at once, so that no load waits for an addition.
const SUMS: usize = 64;

crate::multiversion! {
    fn sum(words: &[u64]) -> u64 {
        let mut sums = [0u64; SUMS];
        for some in words.chunks_exact(SUMS) {
            for (s, w) in sums.iter_mut().zip(some) {
                *s = s.wrapping_add(*w);
            }
        }
        sums.iter().fold(0, |a, b| a.wrapping_add(*b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a loop computes is known: a wrong instruction or a loop that is optimised away shows.
    #[test]
    fn loops_compute_what_they_say() {
        for l in f32_loops().into_iter().chain(bf16_loops()).chain(tile_loops()) {
            // Every sum of every lane starts at zero and gets one product of ones a round (dot products: two, tiles: 32).
            let (one, many) = ((l.run)(1), (l.run)(1000));
            assert!(one > 0.0, "{}", l.name);
            assert_eq!(many, one * 1000.0, "{}", l.name);
            // Each product is one multiplication and one addition.
            assert_eq!(f64::from(one) * 2.0, l.flops, "{}", l.name);
        }
    }

    #[test]
    fn sums_of_words() {
        let words: Vec<u64> = (0..4 * SUMS as u64).collect();
        assert_eq!(sum(&words), words.iter().sum::<u64>());
    }

    #[test]
    fn everything_is_measured() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let peaks = Peaks::measure(&pool);
        assert_eq!(peaks.threads, 2);
        assert!(peaks.f32.flops > 0.0 && peaks.f32.flops.is_finite() && peaks.read > 0.0, "{peaks:?}");
        assert!(peaks.f32_at_most() >= peaks.f32.flops && peaks.bf16_at_most() >= peaks.f32.flops);
    }
}
