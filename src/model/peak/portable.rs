//! Multiply-and-add for any processor: what the compiler makes of four floats at a time, and NEON on ARM.

use super::Loop;
use std::hint::black_box;

#[cfg(not(target_arch = "aarch64"))]
pub(super) const LOOP: Loop = Loop { name: "portable", flops: (SUMS * 4 * 2) as f64, run };

#[cfg(target_arch = "aarch64")]
pub(super) const LOOP: Loop = Loop { name: "NEON", flops: (SUMS * 4 * 2) as f64, run };

/// Independent sums, in registers together with the factors.
#[cfg(not(target_arch = "aarch64"))]
const SUMS: usize = 12;
#[cfg(target_arch = "aarch64")]
const SUMS: usize = 24;

#[cfg(not(target_arch = "aarch64"))]
fn run(rounds: u64) -> f32 {
    let (a, b) = (black_box([1f32; 4]), black_box([1f32; 4]));
    let mut sums = [[0f32; 4]; SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            // A separate multiply and add, as in the kernel: `mul_add` would call the C library where there is no FMA.
            // The factor is hidden each time, or the compiler would multiply once, before the loop.
            let a = hidden(a);
            *sum = std::array::from_fn(|i| a[i] * b[i] + sum[i]);
        }
    }
    sums.iter().flatten().sum()
}

/// The same four floats, in a register whose contents the compiler must not assume.
#[cfg(all(not(target_arch = "aarch64"), target_arch = "x86_64"))]
#[inline(always)]
fn hidden(a: [f32; 4]) -> [f32; 4] {
    use std::arch::x86_64::{__m128, _mm_loadu_ps, _mm_storeu_ps};
    // SAFETY: SSE is part of x86-64, the array is four floats, and no instruction is executed.
    unsafe {
        let mut v: __m128 = _mm_loadu_ps(a.as_ptr());
        std::arch::asm!("/* {0} */", inout(xmm_reg) v, options(nostack, nomem, preserves_flags));
        let mut out = [0f32; 4];
        _mm_storeu_ps(out.as_mut_ptr(), v);
        out
    }
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
#[inline(always)]
fn hidden(a: [f32; 4]) -> [f32; 4] {
    black_box(a)
}

#[cfg(target_arch = "aarch64")]
fn run(rounds: u64) -> f32 {
    use std::arch::aarch64::{vaddvq_f32, vdupq_n_f32, vfmaq_f32};
    // SAFETY: NEON is part of every 64-bit ARM.
    unsafe {
        let (a, b) = (vdupq_n_f32(black_box(1.0)), vdupq_n_f32(black_box(1.0)));
        let mut sums = [vdupq_n_f32(0.0); SUMS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = vfmaq_f32(*sum, a, b);
            }
        }
        sums.iter().map(|s| vaddvq_f32(*s)).sum()
    }
}
