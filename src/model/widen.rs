//! Quantised blocks to f32, fast: ggml's formats as plain loops that the compiler turns into vector instructions. Each
//! number is the same to the last bit as candle's own conversion gives (which the tests compare with).

#[cfg(target_arch = "x86_64")]
use super::kernels::simd::{Simd, simd};
use crate::multiversion;

/// A half-precision number at a place of a block. Without a call or a branch, so that loops around it stay vectors.
#[inline(always)]
fn half_at(bytes: &[u8], at: usize) -> f32 {
    /// 2^(127 - 15): between the two formats' exponents. The product is exact, subnormal numbers included.
    const BIAS: f32 = f32::from_bits((127 + 112) << 23);
    let h = u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let size = (f32::from_bits((h & 0x7FFF) << 13) * BIAS).to_bits();
    let endless = if h & 0x7C00 == 0x7C00 { 0x7F80_0000 } else { 0 };
    f32::from_bits(size | endless | (h & 0x8000) << 16)
}

/// Scale and 32 signed bytes.
pub fn q8_0(bytes: &[u8], out: &mut [f32]) {
    let ((blocks, _), (outs, _)) = (bytes.as_chunks::<34>(), out.as_chunks_mut::<32>());
    #[cfg(target_arch = "x86_64")]
    if simd() == Simd::Avx512 {
        // SAFETY: `simd` returns only what this processor was found to have.
        return unsafe { q8_0_wide(blocks, outs) };
    }
    for (b, out) in blocks.iter().zip(outs) {
        let d = half_at(b, 0);
        for (i, o) in out.iter_mut().enumerate() {
            *o = f32::from(b[i + 2] as i8) * d;
        }
    }
}

/// [`q8_0`] in vectors: so short a loop the compiler unrolls into single numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn q8_0_wide(blocks: &[[u8; 34]], outs: &mut [[f32; 32]]) {
    use std::arch::x86_64::*;
    for (b, out) in blocks.iter().zip(outs) {
        let d = _mm512_set1_ps(half_at(b, 0));
        for half in [0, 16] {
            // SAFETY: sixteen of the block's 32 bytes after its scale, sixteen of the 32 numbers.
            unsafe {
                let q = _mm512_cvtepi8_epi32(_mm_loadu_si128(b.as_ptr().add(2 + half).cast()));
                _mm512_storeu_ps(out.as_mut_ptr().add(half), _mm512_mul_ps(_mm512_cvtepi32_ps(q), d));
            }
        }
    }
}

multiversion! {
    /// Scale and 32 numbers of 4 bits, of which 8 is the zero; the low halves come first.
    pub fn q4_0(bytes: &[u8], out: &mut [f32]) {
        for (b, out) in bytes.chunks_exact(18).zip(out.chunks_exact_mut(32)) {
            let d = half_at(b, 0);
            let (low, high) = out.split_at_mut(16);
            for ((l, h), q) in low.iter_mut().zip(high).zip(&b[2..18]) {
                *l = (i32::from(q & 15) - 8) as f32 * d;
                *h = (i32::from(q >> 4) - 8) as f32 * d;
            }
        }
    }
}

multiversion! {
    /// Scale, smallest number, and 32 numbers of 4 bits.
    pub fn q4_1(bytes: &[u8], out: &mut [f32]) {
        for (b, out) in bytes.chunks_exact(20).zip(out.chunks_exact_mut(32)) {
            let (d, m) = (half_at(b, 0), half_at(b, 2));
            let (low, high) = out.split_at_mut(16);
            for ((l, h), q) in low.iter_mut().zip(high).zip(&b[4..20]) {
                *l = f32::from(q & 15) * d + m;
                *h = f32::from(q >> 4) * d + m;
            }
        }
    }
}

/// Scale, 32 fifth bits, and 32 numbers of 4 bits; 16 is the zero.
pub fn q5_0(bytes: &[u8], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if simd() == Simd::Avx512 {
        let ((blocks, _), (outs, _)) = (bytes.as_chunks::<22>(), out.as_chunks_mut::<32>());
        // SAFETY: `simd` returns only what this processor was found to have.
        return unsafe { q5_0_wide(blocks, outs) };
    }
    q5_0_plain(bytes, out);
}

multiversion! {
    fn q5_0_plain(bytes: &[u8], out: &mut [f32]) {
        for (b, out) in bytes.chunks_exact(22).zip(out.chunks_exact_mut(32)) {
            let d = half_at(b, 0);
            let fifth = u32::from_le_bytes([b[2], b[3], b[4], b[5]]);
            let (low, high) = out.split_at_mut(16);
            for (j, ((l, h), q)) in low.iter_mut().zip(high).zip(&b[6..22]).enumerate() {
                let (first, second) = ((fifth >> j) & 1, (fifth >> (j + 16)) & 1);
                *l = ((u32::from(q & 15) | first << 4) as i32 - 16) as f32 * d;
                *h = ((u32::from(q >> 4) | second << 4) as i32 - 16) as f32 * d;
            }
        }
    }
}

/// [`q5_0`] with the fifth bits as masks, which a loop over numbers shifts out one by one.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn q5_0_wide(blocks: &[[u8; 22]], outs: &mut [[f32; 32]]) {
    use std::arch::x86_64::*;
    let sixteen = _mm512_set1_epi32(16);
    for (b, out) in blocks.iter().zip(outs) {
        let d = _mm512_set1_ps(half_at(b, 0));
        // SAFETY: the block's last sixteen bytes, and sixteen of the 32 numbers each time.
        unsafe {
            let both = _mm512_cvtepu8_epi32(_mm_loadu_si128(b.as_ptr().add(6).cast()));
            let fours = [_mm512_and_si512(both, _mm512_set1_epi32(15)), _mm512_srli_epi32::<4>(both)];
            for (half, four) in fours.into_iter().enumerate() {
                // 16 is the zero: whose fifth bit is not set lies below it.
                let fifth = !u16::from_le_bytes([b[2 + 2 * half], b[3 + 2 * half]]);
                let q = _mm512_mask_sub_epi32(four, fifth, four, sixteen);
                let to = out.as_mut_ptr().add(16 * half);
                _mm512_storeu_ps(to, _mm512_mul_ps(_mm512_cvtepi32_ps(q), d));
            }
        }
    }
}

/// Scale and minimum of one of a K-block's eight parts, six bits each, packed into twelve bytes.
#[inline(always)]
pub(super) fn scale_and_min(part: usize, packed: &[u8]) -> (f32, f32) {
    let (s, m) = if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let both = packed[part + 4];
        ((both & 15) | (packed[part - 4] >> 6) << 4, (both >> 4) | (packed[part] >> 6) << 4)
    };
    (f32::from(s), f32::from(m))
}

multiversion! {
    /// 256 numbers of 4 bits in eight parts with scales and minimums of their own.
    pub fn q4_k(bytes: &[u8], out: &mut [f32]) {
        for (b, out) in bytes.chunks_exact(144).zip(out.chunks_exact_mut(256)) {
            let (d, min) = (half_at(b, 0), half_at(b, 2));
            for (pair, (q, out)) in b[16..144].chunks_exact(32).zip(out.chunks_exact_mut(64)).enumerate() {
                let (s1, m1) = scale_and_min(2 * pair, &b[4..16]);
                let (s2, m2) = scale_and_min(2 * pair + 1, &b[4..16]);
                let (d1, m1, d2, m2) = (d * s1, min * m1, d * s2, min * m2);
                let (low, high) = out.split_at_mut(32);
                for ((l, h), q) in low.iter_mut().zip(high).zip(q) {
                    *l = d1 * f32::from(q & 15) - m1;
                    *h = d2 * f32::from(q >> 4) - m2;
                }
            }
        }
    }
}

multiversion! {
    /// As [`q4_k`], with a fifth bit.
    pub fn q5_k(bytes: &[u8], out: &mut [f32]) {
        for (b, out) in bytes.chunks_exact(176).zip(out.chunks_exact_mut(256)) {
            let (d, min) = (half_at(b, 0), half_at(b, 2));
            for (pair, (q, out)) in b[48..176].chunks_exact(32).zip(out.chunks_exact_mut(64)).enumerate() {
                let (s1, m1) = scale_and_min(2 * pair, &b[4..16]);
                let (s2, m2) = scale_and_min(2 * pair + 1, &b[4..16]);
                let (d1, m1, d2, m2) = (d * s1, min * m1, d * s2, min * m2);
                let (low, high) = out.split_at_mut(32);
                for (((l, h), q), fifth) in low.iter_mut().zip(high).zip(q).zip(&b[16..48]) {
                    *l = d1 * f32::from((q & 15) + ((fifth >> (2 * pair)) & 1) * 16) - m1;
                    *h = d2 * f32::from((q >> 4) + ((fifth >> (2 * pair + 1)) & 1) * 16) - m2;
                }
            }
        }
    }
}

multiversion! {
    /// 256 numbers of 6 bits in sixteen parts with signed scales of their own; 32 is the zero.
    pub fn q6_k(bytes: &[u8], out: &mut [f32]) {
        for (b, out) in bytes.chunks_exact(210).zip(out.chunks_exact_mut(256)) {
            let d = half_at(b, 208);
            for (half, out) in out.chunks_exact_mut(128).enumerate() {
                let (low, high) = (&b[half * 64..][..64], &b[128 + half * 32..][..32]);
                let scales = &b[192 + half * 8..][..8];
                for (quarter, out) in out.chunks_exact_mut(32).enumerate() {
                    let (from, shift) = (quarter % 2 * 32, quarter / 2 * 4);
                    for (part, out) in out.chunks_exact_mut(16).enumerate() {
                        let scale = d * f32::from(scales[quarter * 2 + part] as i8);
                        let (low, high) = (&low[from + part * 16..][..16], &high[part * 16..][..16]);
                        for ((o, l), h) in out.iter_mut().zip(low).zip(high) {
                            let q = ((l >> shift) & 15) | ((h >> (2 * quarter)) & 3) << 4;
                            *o = scale * (i32::from(q) - 32) as f32;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::GgmlType;
    use candle_core::quantized::k_quants::{
        BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5K, BlockQ6K, BlockQ8_0,
    };
    use half::f16;

    type Widen = fn(&[u8], &mut [f32]);

    fn check<T: GgmlType>(name: &str, block: usize, halves: &[usize], ours: Widen) {
        const BLOCKS: usize = 40;
        let mut s = 7u64;
        let mut words = vec![0u32; (size_of::<T>() * BLOCKS).div_ceil(4)];
        // SAFETY: u32s seen as bytes.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), size_of::<T>() * BLOCKS)
        };
        for b in bytes.iter_mut() {
            s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *b = (s >> 56) as u8;
        }
        for (i, b) in bytes.chunks_exact_mut(size_of::<T>()).enumerate() {
            for at in halves {
                // Any half that is a number.
                let d = f16::from_f32((i as f32 - 11.3) * 0.037);
                b[*at..at + 2].copy_from_slice(&d.to_bits().to_le_bytes());
            }
        }
        // SAFETY: blocks are plain bytes and halves, aligned to two.
        let blocks = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<T>(), BLOCKS) };
        let (mut want, mut got) = (vec![0f32; block * BLOCKS], vec![1f32; block * BLOCKS]);
        T::to_float(blocks, &mut want);
        ours(bytes, &mut got);
        for (i, (a, b)) in want.iter().zip(&got).enumerate() {
            assert_eq!(a.to_bits(), b.to_bits(), "{name}: number {i}: {a} {b}");
        }
    }

    #[test]
    fn halves_are_what_they_are() {
        for bits in 0..=u16::MAX {
            let (want, got) = (f16::from_bits(bits).to_f32(), half_at(&bits.to_le_bytes(), 0));
            assert!(
                want.to_bits() == got.to_bits() || (want.is_nan() && got.is_nan()),
                "{bits:x}: {want} {got}"
            );
        }
    }

    #[test]
    fn every_bit_is_candles() {
        check::<BlockQ8_0>("Q8_0", 32, &[0], q8_0);
        check::<BlockQ4_0>("Q4_0", 32, &[0], q4_0);
        check::<BlockQ4_1>("Q4_1", 32, &[0, 2], q4_1);
        check::<BlockQ5_0>("Q5_0", 32, &[0], q5_0);
        check::<BlockQ5_0>("Q5_0", 32, &[0], q5_0_plain);
        check::<BlockQ4K>("Q4_K", 256, &[0, 2], q4_k);
        check::<BlockQ5K>("Q5_K", 256, &[0, 2], q5_k);
        check::<BlockQ6K>("Q6_K", 256, &[208], q6_k);
    }
}
