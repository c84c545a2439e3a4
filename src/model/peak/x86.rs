//! The loops for x86-64: FMA on 256 and 512 bits, bf16 dot products, and AMX tiles.

use super::Loop;
use crate::model::kernels::amx;
use crate::model::kernels::simd::Simd;
use std::arch::asm;
use std::arch::x86_64::*;
use std::hint::black_box;

/// Independent sums: an FMA takes four or five cycles and two begin in each.
const SUMS512: usize = 20;
const SUMS256: usize = 12;

pub(super) fn f32_loops() -> Vec<Loop> {
    let there = Simd::available();
    let mut all = Vec::new();
    if there.contains(&Simd::Avx512) {
        // SAFETY: the processor has it.
        let run = |rounds| unsafe { fma512(rounds) };
        all.push(Loop { name: "AVX-512 FMA", flops: (SUMS512 * 16 * 2) as f64, run });
    }
    if there.contains(&Simd::Avx2) {
        // SAFETY: the processor has it.
        let run = |rounds| unsafe { fma256(rounds) };
        all.push(Loop { name: "AVX2 FMA", flops: (SUMS256 * 8 * 2) as f64, run });
    }
    all
}

pub(super) fn bf16_loops() -> Vec<Loop> {
    if !is_x86_feature_detected!("avx512bf16") || !is_x86_feature_detected!("avx512f") {
        return Vec::new();
    }
    // SAFETY: the processor has it.
    let run = |rounds| unsafe { dot512(rounds) };
    vec![Loop { name: "AVX-512 BF16", flops: (SUMS512 * 32 * 2) as f64, run }]
}

pub(super) fn tile_loops() -> Vec<Loop> {
    if !amx::available() {
        return Vec::new();
    }
    // SAFETY: the processor has tiles and the system lets this process use them.
    let run = |rounds| unsafe { tiles(rounds) };
    vec![Loop { name: "AMX tiles, bf16", flops: (SUMS_TILES * 16 * 16 * 32 * 2) as f64, run }]
}

#[target_feature(enable = "avx512f")]
fn fma512(rounds: u64) -> f32 {
    let (a, b) = (_mm512_set1_ps(black_box(1.0)), _mm512_set1_ps(black_box(1.0)));
    let mut sums = [_mm512_setzero_ps(); SUMS512];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(a, b, *sum);
        }
    }
    sums.iter().map(|s| _mm512_reduce_add_ps(*s)).sum()
}

#[target_feature(enable = "avx2,fma")]
fn fma256(rounds: u64) -> f32 {
    let (a, b) = (_mm256_set1_ps(black_box(1.0)), _mm256_set1_ps(black_box(1.0)));
    let mut sums = [_mm256_setzero_ps(); SUMS256];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(a, b, *sum);
        }
    }
    let all: [[f32; 8]; SUMS256] = sums.map(|s| {
        let mut out = [0f32; 8];
        // SAFETY: eight floats fit.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), s) };
        out
    });
    all.iter().flatten().sum()
}

/// 1.0 as bf16, twice.
const ONES: i32 = 0x3f80_3f80;

#[target_feature(enable = "avx512f,avx512bf16")]
fn dot512(rounds: u64) -> f32 {
    let ones = _mm512_set1_epi32(black_box(ONES));
    // SAFETY: both are 64 bytes without invalid patterns.
    let a: __m512bh = unsafe { std::mem::transmute(ones) };
    let b = a;
    let mut sums = [_mm512_setzero_ps(); SUMS512];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, a, b);
        }
    }
    sums.iter().map(|s| _mm512_reduce_add_ps(*s)).sum()
}

/// Tiles of sums: as many as the kernels keep.
const SUMS_TILES: usize = 4;

/// # Safety
/// `amx::available`.
unsafe fn tiles(rounds: u64) -> f32 {
    let ones = [ONES; 256];
    let mut out = [0f32; 256];
    let mut total = 0f32;
    // SAFETY: the caller's; all tiles are 16 rows of 64 bytes, which both buffers hold.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const amx::CONFIG, options(nostack));
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "tileloadd tmm4, [{p} + {s}*1]", "tileloadd tmm5, [{p} + {s}*1]",
            "tileloadd tmm6, [{p} + {s}*1]", "tileloadd tmm7, [{p} + {s}*1]",
            p = in(reg) ones.as_ptr(), s = in(reg) 64usize, options(nostack)
        );
        for _ in 0..rounds {
            asm!(
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                options(nostack, nomem)
            );
        }
        macro_rules! taken {
            ($($t:literal),*) => {$(
                asm!(concat!("tilestored [{p} + {s}*1], tmm", $t), p = in(reg) out.as_mut_ptr(), s = in(reg) 64usize, options(nostack));
                total += out.iter().sum::<f32>();
            )*};
        }
        taken!("0", "1", "2", "3");
        asm!("tilerelease", options(nostack, nomem));
    }
    total
}
